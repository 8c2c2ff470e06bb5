"""What may be stored of a person. `coded`: only what can't identify; `open`: all that R4 allows.

Coded is a list of what is allowed; everything else is refused. A Patient has an id and identifiers
of a known form, a year of birth, and extensions whose values are codes, numbers or truth values,
all of it without words of the sender's own. It holds for RelatedPersons and Persons too, contained
or not, who would carry the same, and for what a reference to a Patient says beside its address.
Faults name the element, never its value. https://hl7.org/fhir/R4/patient.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.fhir.lexical import Fault
from app.fhir.references import Scope

Policy = Literal["coded", "open"]
Place = tuple[tuple[str, int | None], ...]
"""(name, position in its list) from the resource down."""

NOTHING = re.compile(r"(?!)")

_PERSONS: Mapping[str, frozenset[str]] = {
    "Patient": frozenset({"deceasedBoolean"}),
    "RelatedPerson": frozenset({"patient"}),
    "Person": frozenset(),
}
"""What each type may have beside the elements that all of them may have."""

_ALLOWED = frozenset(
    {"resourceType", "id", "meta", "identifier", "active", "gender", "birthDate", "extension"}
)
_META = frozenset({"profile", "security", "tag", "versionId", "lastUpdated"})
_IDENTIFIER = frozenset({"use", "system", "value"})
_CODING = frozenset({"system", "version", "code", "userSelected"})
_QUANTITY = frozenset({"value", "comparator", "system", "code"})
_PLAIN_VALUES = frozenset(
    {
        "valueBoolean",
        "valueCode",
        "valueDecimal",
        "valueInteger",
        "valuePositiveInt",
        "valueUnsignedInt",
    }
)
_YEAR = re.compile(r"[0-9]{4}")
_SERVER_MADE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LITERAL = re.compile(
    r"(?:https?://\S+/)?(?P<type>[A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_TRANSIENT = re.compile(r"urn:uuid:[0-9a-fA-F-]{36}")
"""A place in a transaction: the server puts the resource's address there."""

_PATIENT_TYPES = frozenset({"Patient", "http://hl7.org/fhir/StructureDefinition/Patient"})
_PATIENT_ELEMENTS = frozenset({"patient", "subject", "subjectReference", "sourcePatientInfo"})
_PATIENT_PATHS = frozenset({"ResearchSubject.individual", "Group.member.entity"})

_CODED = "(patient policy `coded`)"


def _fault(sentence: str) -> Fault:
    return Fault("business-rule", f"{sentence} {_CODED}")


_REFUSED = _fault("This element could identify a person and is refused here")
_REFUSED_ID = _fault("A person's id must be a subject number, or one that this server made")
_REFUSED_META = _fault(
    "Only profile, security, tag, versionId and lastUpdated are accepted in a person's meta"
)
_REFUSED_CODING = _fault("Only system, version and code are accepted in a person's labels")
_REFUSED_DATE = _fault("Only the year of birth is accepted here")
_REFUSED_EXTENSION = _fault(
    "Only codes, numbers and truth values, without display, text or unit, are accepted in"
    " extensions here"
)
_REFUSED_PARTS = _fault("Only use, system and value are accepted in an identifier here")
_REFUSED_VALUE = _fault("The identifier's value does not have the form of a subject number")
_REFUSED_DISPLAY = _fault("Only the patient's id is accepted as display here")
_REFUSED_TARGET = _fault(
    "A patient is referred to as Patient/id, where the id is a subject number or one that this"
    " server made"
)


@dataclass(frozen=True, slots=True)
class PatientPolicy:
    """`identifier_systems`: whose identifiers a coded Patient may have; `identifier_pattern`: the
    form of their values, and of a Patient's id that the server did not make itself."""

    policy: Policy
    identifier_systems: frozenset[str] = frozenset()
    identifier_pattern: re.Pattern[str] = NOTHING

    def concerns(self, resource_type: str) -> bool:
        return self.policy == "coded" and resource_type in _PERSONS

    def knows(self, number: Any) -> bool:
        """Whether it has the form of a subject number."""
        return isinstance(number, str) and self.identifier_pattern.fullmatch(number) is not None

    def accepts_id(self, id: Any) -> bool:
        made_here = isinstance(id, str) and _SERVER_MADE.fullmatch(id) is not None
        return made_here or self.knows(id)


# Persons


def check_person(
    policy: PatientPolicy, person: Mapping[str, Any], elements: Collection[str]
) -> Iterator[tuple[Place, Fault]]:
    """(where, what) of all in `person` that could identify. `elements`: the names that the type
    has; a name that is none is told by the standard's own check and not repeated here."""
    allowed = _ALLOWED | _PERSONS[person["resourceType"]]
    for name, value in person.items():
        element = name.removeprefix("_")
        if element not in elements:
            continue
        if element not in allowed:
            yield ((element, None),), _REFUSED
        elif name != element:
            yield from _check_beside(value, element)
        else:
            yield from _check_element(policy, name, value)


def _check_element(policy: PatientPolicy, name: str, value: Any) -> Iterator[tuple[Place, Fault]]:
    if name == "id" and not policy.accepts_id(value):
        yield ((name, None),), _REFUSED_ID
    elif name == "birthDate" and not (isinstance(value, str) and _YEAR.fullmatch(value)):
        yield ((name, None),), _REFUSED_DATE
    elif name == "meta":
        yield from _check_meta(value)
    elif name == "identifier":
        for position, each in enumerate(_list(value)):
            for below, fault in _check_identifier(policy, each):
                yield (("identifier", position), *below), fault
    elif name == "extension":
        yield from _check_extensions(value, ())


def _check_meta(meta: Any) -> Iterator[tuple[Place, Fault]]:
    if not isinstance(meta, dict):
        return
    if not meta.keys() <= _META:
        yield (("meta", None),), _REFUSED_META
    for name in ("security", "tag"):
        for position, each in enumerate(_list(meta.get(name))):
            if not _has_only(each, _CODING):
                yield (("meta", None), (name, position)), _REFUSED_CODING


def _check_identifier(policy: PatientPolicy, identifier: Any) -> Iterator[tuple[Place, Fault]]:
    if not isinstance(identifier, dict):
        return
    if identifier.get("system") not in policy.identifier_systems:
        allowed = " | ".join(sorted(policy.identifier_systems))
        yield (), _fault(f"Only identifiers of these systems are accepted here: {allowed}")
    elif not identifier.keys() <= _IDENTIFIER:
        yield (), _REFUSED_PARTS
    elif not policy.knows(identifier.get("value")):
        yield (("value", None),), _REFUSED_VALUE


def _check_beside(value: Any, element: str) -> Iterator[tuple[Place, Fault]]:
    """The id and extensions of a primitive (`_birthDate`): an id could be a name."""
    if isinstance(value, dict):
        if "id" in value:
            yield ((element, None),), _REFUSED
        yield from _check_extensions(value.get("extension"), ((element, None),))


def _check_extensions(extensions: Any, place: Place) -> Iterator[tuple[Place, Fault]]:
    for position, extension in enumerate(_list(extensions)):
        if not isinstance(extension, dict):
            continue
        here = (*place, ("extension", position))
        if all(_is_coded(name, value) for name, value in extension.items()):
            yield from _check_extensions(extension.get("extension"), here)
        else:
            yield here, _REFUSED_EXTENSION


def _is_coded(name: str, value: Any) -> bool:
    """One property of an extension; inner extensions are asked for themselves."""
    if name == "valueCoding":
        return _has_only(value, _CODING)
    if name == "valueQuantity":
        return _has_only(value, _QUANTITY)
    if name == "valueCodeableConcept":
        codings = _list(value.get("coding")) if isinstance(value, dict) else []
        return _has_only(value, {"coding"}) and all(_has_only(each, _CODING) for each in codings)
    return name in _PLAIN_VALUES or name in ("url", "extension")


def _has_only(node: Any, names: Collection[str]) -> bool:
    return isinstance(node, dict) and all(name in names for name in node)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# References to patients


def check_patient_reference(
    policy: PatientPolicy, reference: Mapping[str, Any], path: str, name: str, scope: Scope
) -> Iterator[tuple[str, Fault]]:
    """(child, what) of a reference that says more of a patient than who it is to this server.

    `path` and `name` are the element's: where nothing tells what it refers to, a `subject` or
    `patient` is taken for a Patient.
    """
    if policy.policy == "open":
        return
    literal, stated = reference.get("reference"), reference.get("type")
    pointed, id = _parse_literal(literal, scope)
    if not _is_of_patient(pointed or stated, path, name):
        return
    if isinstance(literal, str) and not _is_acceptable(policy, literal, id):
        yield "reference", _REFUSED_TARGET
    if "display" in reference and not _shows_id(policy, reference["display"], id):
        yield "display", _REFUSED_DISPLAY
    for below, fault in _check_identifier(policy, reference.get("identifier")):
        yield ".".join(("identifier", *(each for each, _ in below))), fault


def _is_of_patient(known: Any, path: str, name: str) -> bool:
    if known is not None:
        return known in _PATIENT_TYPES
    return name in _PATIENT_ELEMENTS or path in _PATIENT_PATHS


def _parse_literal(literal: Any, scope: Scope) -> tuple[str | None, str | None]:
    """(type, id) that a literal reference names; of a contained resource the type alone."""
    if not isinstance(literal, str):
        return None, None
    if literal.startswith("#"):
        return scope.find(literal[1:]), None
    match = _LITERAL.fullmatch(literal)
    return (match["type"], match["id"]) if match else (None, None)


def _is_acceptable(policy: PatientPolicy, literal: str, id: str | None) -> bool:
    if id is not None:
        return policy.accepts_id(id)
    return literal.startswith("#") or _TRANSIENT.fullmatch(literal) is not None


def _shows_id(policy: PatientPolicy, display: Any, id: str | None) -> bool:
    return policy.knows(display) if id is None else display == id
