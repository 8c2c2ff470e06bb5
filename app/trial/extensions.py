"""The definitions of the extensions that this service writes, so that a reader can tell what each
means and a validator what it may hold. https://hl7.org/fhir/R4/defining-extensions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.fhir import Json
from app.trial.codes import BASE

_TIMES = ("analysed", "reported", "sent", "received")
_RESULTS = (
    *("Observation", "DiagnosticReport", "MedicationAdministration", "MedicationStatement"),
    *("MedicationRequest", "ServiceRequest", "Encounter", "Condition", "Patient"),
    *("AdverseEvent", "ResearchSubject"),
)
"""What feeds write."""

_AMOUNTS = ("Observation", "Quantity")


@dataclass(frozen=True, slots=True)
class Extension:
    """`type` is that of its value, None where it has `parts` (name → type of the part's value)."""

    id: str
    title: str
    description: str
    contexts: tuple[str, ...]
    type: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


EXTENSIONS: tuple[Extension, ...] = (
    Extension(
        "canonical-quantity",
        "Canonical quantity",
        "The measured amount in the trial's own unit, where it was sent in another one.",
        _AMOUNTS,
        "Quantity",
    ),
    Extension(
        "unit-converted",
        "Unit converted",
        "The canonical quantity was reached by a factor between units, not by another spelling.",
        _AMOUNTS,
        "boolean",
    ),
    Extension(
        "source-value",
        "Value as sent",
        "The value as it stands in the message, where a Quantity can't hold it as it is.",
        ("Observation",),
        "string",
    ),
    Extension(
        "source-status",
        "Status as sent",
        "The letter by which the sending system tells the status: OBX-11, OBR-25, RXA-20.",
        _RESULTS,
        "code",
    ),
    Extension(
        "source-order",
        "Order among messages",
        "When the fact was analysed, reported, sent and received: tells which of two is newer.",
        (*_RESULTS, "Specimen"),
        parts=dict.fromkeys(_TIMES, "instant"),
        required=frozenset({"received"}),
    ),
    Extension(
        "source-value-order",
        "Order of the value among messages",
        "The same for the value, where a later message changed only the status; with the status"
        " that the value had, where that was not final.",
        _RESULTS,
        parts=dict.fromkeys(_TIMES, "instant") | {"status": "code"},
        required=frozenset({"received"}),
    ),
    Extension(
        "source-description-order",
        "Order of the description among messages",
        "The same for all but the status, where a later message changed the status alone.",
        _RESULTS,
        parts=dict.fromkeys(_TIMES, "instant"),
        required=frozenset({"received"}),
    ),
    Extension(
        "source-place",
        "Place in the message",
        "Which part of the source the target was written from, with its first and last byte.",
        ("Provenance.target",),
        parts={"place": "string", "start": "integer", "end": "integer"},
        required=frozenset({"place", "start", "end"}),
    ),
    Extension(
        "mapping-version",
        "Version of the mapping",
        "The version of the rules by which the message became this resource.",
        (*_RESULTS, "Specimen", "Provenance"),
        "string",
    ),
    Extension(
        "dose-source",
        "Source of the dose",
        "How the dose is known: the participant's diary or a count of the tablets left.",
        ("MedicationAdministration",),
        "code",
    ),
    Extension(
        "dose-total",
        "Total of the doses",
        "The amount taken over the whole period, where single doses are not known.",
        ("MedicationAdministration",),
        "Quantity",
    ),
    Extension(
        "prednisone-equivalent",
        "Prednisone equivalent",
        "The daily dose of a glucocorticoid as that of prednisone of the same effect.",
        ("MedicationStatement", "MedicationRequest", "MedicationAdministration"),
        "Quantity",
    ),
    Extension(
        "system-organ-class",
        "System organ class",
        "The class of the adverse event's term in CTCAE.",
        ("AdverseEvent",),
        "string",
    ),
    Extension(
        "participation-reason",
        "Reason for the end of participation",
        "Why the participant left the study or ended it.",
        ("ResearchSubject",),
        "CodeableConcept",
    ),
    Extension(
        "age-at-consent",
        "Age at consent",
        "The age in completed years when the participant consented.",
        ("ResearchSubject",),
        "Quantity",
    ),
    Extension(
        "protocol-source",
        "Source in the protocol",
        "Where the definition comes from: the protocol, the registry, or an assumption.",
        ("Measure",),
        "code",
    ),
    Extension(
        "registry-overall-status",
        "Overall status in the registry",
        "The status of the study as the registry words it.",
        ("ResearchStudy",),
        "string",
    ),
)


def build_extensions(version: str) -> list[Json]:
    """A StructureDefinition for each of them."""
    return [_definition(each, version) for each in EXTENSIONS]


def _definition(extension: Extension, version: str) -> Json:
    return {
        "resourceType": "StructureDefinition",
        "id": extension.id,
        "url": f"{BASE}/StructureDefinition/{extension.id}",
        "version": version,
        "name": "".join(part.capitalize() for part in extension.id.split("-")),
        "title": extension.title,
        "status": "active",
        "experimental": False,
        "description": extension.description,
        "fhirVersion": "4.0.1",
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": path} for path in extension.contexts],
        "type": "Extension",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "derivation": "constraint",
        "differential": {"element": list(_elements(extension))},
    }


def _elements(extension: Extension) -> Iterator[Json]:
    yield _element("Extension", short=extension.title, definition=extension.description)
    if extension.type is not None:
        yield _element("Extension.extension", max="0")
    for name, kind in extension.parts.items():
        yield from _part(name, kind, is_required=name in extension.required)
    url = f"{BASE}/StructureDefinition/{extension.id}"
    yield _element("Extension.url", fixedUri=url)
    if extension.type is None:
        yield _element("Extension.value[x]", max="0")
    else:
        yield _element("Extension.value[x]", min=1, type=[{"code": extension.type}])


def _part(name: str, kind: str, *, is_required: bool) -> Iterator[Json]:
    least = 1 if is_required else 0
    path = "Extension.extension"
    yield {"id": f"{path}:{name}", "path": path, "sliceName": name, "min": least, "max": "1"}
    for inner, asked in (
        ("extension", {"max": "0"}),
        ("url", {"fixedUri": name}),
        ("value[x]", {"min": 1, "type": [{"code": kind}]}),
    ):
        yield {"id": f"{path}:{name}.{inner}", "path": f"{path}.{inner}", **asked}


def _element(path: str, **asked: object) -> Json:
    return {"id": path, "path": path, **asked}
