"""What a Patient may hold of a person. `coded`: nothing that identifies; `open`: all R4 allows.

Coded: of identifiers those of the systems that are allowed, of the birth date the year, of
extensions those whose values are codes, numbers or truth values (no text, names, addresses or
dates). It holds for contained Patients too, and for contained RelatedPersons and Persons, who would
carry the same. Faults name the element, never its value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.fhir.lexical import Fault

Policy = Literal["coded", "open"]
Place = tuple[tuple[str, int | None], ...]
"""(name, position in its list) from the resource down."""

_IDENTIFYING = frozenset({"name", "telecom", "address", "photo", "contact", "link", "text"})
_BIRTH_DATE = re.compile(r"[0-9]{4}")
_CODED_VALUES = frozenset(
    {
        "valueBoolean",
        "valueCode",
        "valueCoding",
        "valueCodeableConcept",
        "valueDecimal",
        "valueInteger",
        "valuePositiveInt",
        "valueQuantity",
        "valueUnsignedInt",
    }
)
_EXTENSION_PARTS = frozenset({"id", "url", "extension"}) | _CODED_VALUES

_PATIENT = re.compile(r"(?:^|/)Patient/([A-Za-z0-9\-.]{1,64})")
_REFUSED_DISPLAY = "Only the patient's id is accepted as display here (patient policy `coded`)"
_REFUSED = "Identifying elements are refused here (patient policy `coded`)"
_REFUSED_IDENTIFIER = (
    "Only identifiers of these systems are accepted here (patient policy `coded`): "
)
_REFUSED_DATE = "Only the year of birth is accepted here (patient policy `coded`)"
_REFUSED_EXTENSION = (
    "Only codes, numbers and truth values are accepted in extensions here (patient policy `coded`)"
)


@dataclass(frozen=True, slots=True)
class PatientPolicy:
    """`identifier_systems`: whose identifiers a coded Patient may have."""

    policy: Policy
    identifier_systems: frozenset[str] = frozenset()

    def concerns(self, resource_type: str) -> bool:
        return self.policy == "coded" and resource_type in _PERSONS


_PERSONS = frozenset({"Patient", "RelatedPerson", "Person"})


def check_person(policy: PatientPolicy, person: Mapping[str, Any]) -> Iterator[tuple[Place, Fault]]:
    """(where, what) of all in `person` that identifies."""
    for name, value in person.items():
        element = name.removeprefix("_")
        if element in _IDENTIFYING:
            yield ((element, None),), _fault(_REFUSED)
        elif name == "birthDate" and not _is_year(value):
            yield ((name, None),), _fault(_REFUSED_DATE)
        elif name == "identifier":
            yield from _check_identifiers(policy, value)
    yield from _check_extensions(person, ())


def check_display(policy: PatientPolicy, reference: Mapping[str, Any]) -> Fault | None:
    """A reference to a Patient may show the patient's id, not a name."""
    literal, shown = reference.get("reference"), reference.get("display")
    if policy.policy == "open" or shown is None or not isinstance(literal, str):
        return None
    match = _PATIENT.search(literal)
    return _fault(_REFUSED_DISPLAY) if match and match[1] != shown else None


def _is_year(value: Any) -> bool:
    return isinstance(value, str) and _BIRTH_DATE.fullmatch(value) is not None


def _check_identifiers(policy: PatientPolicy, value: Any) -> Iterator[tuple[Place, Fault]]:
    allowed = " | ".join(sorted(policy.identifier_systems))
    for position, identifier in enumerate(value if isinstance(value, list) else ()):
        system = identifier.get("system") if isinstance(identifier, dict) else None
        if not isinstance(system, str) or system not in policy.identifier_systems:
            yield (("identifier", position),), _fault(f"{_REFUSED_IDENTIFIER}{allowed}")


def _check_extensions(node: Any, place: Place) -> Iterator[tuple[Place, Fault]]:
    """All extensions below `node`, also those of primitives (`_birthDate`)."""
    for name, value in node.items():
        if name == "contained":
            continue
        items = enumerate(value) if isinstance(value, list) else ((None, value),)
        for position, item in items:
            if not isinstance(item, dict):
                continue
            below = (*place, (name.removeprefix("_"), position))
            if name in ("extension", "modifierExtension") and not _is_coded(item):
                yield below, _fault(_REFUSED_EXTENSION)
            else:
                yield from _check_extensions(item, below)


def _is_coded(extension: Mapping[str, Any]) -> bool:
    concept = extension.get("valueCodeableConcept")
    has_text = isinstance(concept, dict) and "text" in concept
    return not has_text and {name.removeprefix("_") for name in extension} <= _EXTENSION_PARTS


def _fault(sentence: str) -> Fault:
    return Fault("business-rule", sentence)
