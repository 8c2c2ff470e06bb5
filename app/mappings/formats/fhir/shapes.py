"""The elements of R4 resources that the feed reads, with their JSON types. What it does not read is
not looked at. https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from app.fhir import Json, is_number

TEXT = "a text"
NUMBER = "a number"
TRUTH = "true or false"
ANY = "anything"

Shape = Any
"""One of the words above, `[shape]` for a list, a table of elements for an object."""

CODING = {"system": TEXT, "code": TEXT, "display": TEXT, "userSelected": TRUTH}
CONCEPT = {"coding": [CODING], "text": TEXT}
IDENTIFIER = {"system": TEXT, "value": TEXT, "type": CONCEPT, "use": TEXT}
REFERENCE = {"reference": TEXT, "type": TEXT, "identifier": IDENTIFIER}
QUANTITY = {"value": NUMBER, "comparator": TEXT, "unit": TEXT, "system": TEXT, "code": TEXT}
PERIOD = {"start": TEXT, "end": TEXT}
RANGE = {"low": QUANTITY, "high": QUANTITY}
RATIO = {"numerator": QUANTITY, "denominator": QUANTITY}
EVERY = {
    "resourceType": TEXT,
    "id": TEXT,
    "meta": {"lastUpdated": TEXT},
    "implicitRules": TEXT,
    "contained": [{"resourceType": TEXT, "id": TEXT}],
    "modifierExtension": [ANY],
}
MEASURED = {
    "valueQuantity": QUANTITY,
    "valueCodeableConcept": CONCEPT,
    "valueString": TEXT,
    "valueInteger": NUMBER,
    "valueRange": RANGE,
    "valueRatio": RATIO,
    "dataAbsentReason": CONCEPT,
    "interpretation": [CONCEPT],
    "referenceRange": [{"low": QUANTITY, "high": QUANTITY, "text": TEXT}],
    "code": CONCEPT,
    "modifierExtension": [ANY],
}
EFFECTIVE = {
    "effectiveDateTime": TEXT,
    "effectiveInstant": TEXT,
    "effectivePeriod": PERIOD,
}
MEDICATION = {"medicationCodeableConcept": CONCEPT, "medicationReference": REFERENCE}
RATES = {"rateRatio": RATIO, "rateRange": RANGE, "rateQuantity": QUANTITY}
LIMITS = {
    "maxDosePerPeriod": RATIO,
    "maxDosePerAdministration": QUANTITY,
    "maxDosePerLifetime": QUANTITY,
}
REPEAT = {
    "boundsDuration": QUANTITY,
    "boundsRange": RANGE,
    "count": NUMBER,
    "countMax": NUMBER,
    "duration": NUMBER,
    "durationMax": NUMBER,
    "durationUnit": TEXT,
    "frequency": NUMBER,
    "frequencyMax": NUMBER,
    "period": NUMBER,
    "periodMax": NUMBER,
    "periodUnit": TEXT,
    "dayOfWeek": [TEXT],
    "timeOfDay": [TEXT],
    "when": [TEXT],
    "offset": NUMBER,
}
"""All of a rhythm but the period it is bound by."""
DOSAGE = {
    "text": TEXT,
    "asNeededBoolean": TRUTH,
    "asNeededCodeableConcept": CONCEPT,
    "route": CONCEPT,
    "timing": {
        "code": CONCEPT,
        "event": [TEXT],
        "repeat": {"boundsPeriod": PERIOD, **REPEAT},
    },
    "doseAndRate": [{"doseQuantity": QUANTITY, "doseRange": RANGE, **RATES}],
    **LIMITS,
}

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "Patient": {
            **EVERY,
            "identifier": [IDENTIFIER],
            "name": [{"text": TEXT, "family": TEXT, "given": [TEXT]}],
            "birthDate": TEXT,
            "gender": TEXT,
        },
        "Observation": {
            **EVERY,
            **MEASURED,
            **EFFECTIVE,
            "identifier": [IDENTIFIER],
            "basedOn": [REFERENCE],
            "status": TEXT,
            "category": [CONCEPT],
            "subject": REFERENCE,
            "issued": TEXT,
            "note": [{"text": TEXT}],
            "specimen": REFERENCE,
            "hasMember": [REFERENCE],
            "component": [MEASURED],
        },
        "DiagnosticReport": {
            **EVERY,
            **EFFECTIVE,
            "identifier": [IDENTIFIER],
            "basedOn": [REFERENCE],
            "status": TEXT,
            "code": CONCEPT,
            "subject": REFERENCE,
            "issued": TEXT,
            "specimen": [REFERENCE],
            "result": [REFERENCE],
            "conclusion": TEXT,
        },
        "Specimen": {
            **EVERY,
            "identifier": [IDENTIFIER],
            "accessionIdentifier": IDENTIFIER,
            "subject": REFERENCE,
            "collection": {"collectedDateTime": TEXT, "collectedPeriod": PERIOD},
        },
        "ServiceRequest": {
            **EVERY,
            "identifier": [IDENTIFIER],
            "status": TEXT,
            "intent": TEXT,
            "code": CONCEPT,
            "subject": REFERENCE,
            "authoredOn": TEXT,
        },
        "Medication": {**EVERY, "code": CONCEPT},
        "MedicationAdministration": {
            **EVERY,
            **MEDICATION,
            **EFFECTIVE,
            "identifier": [IDENTIFIER],
            "status": TEXT,
            "subject": REFERENCE,
            "request": REFERENCE,
            "dosage": {"dose": QUANTITY},
        },
        "MedicationRequest": {
            **EVERY,
            **MEDICATION,
            "identifier": [IDENTIFIER],
            "status": TEXT,
            "intent": TEXT,
            "doNotPerform": TRUTH,
            "subject": REFERENCE,
            "authoredOn": TEXT,
            "dosageInstruction": [DOSAGE],
            "priorPrescription": REFERENCE,
        },
        "Encounter": {
            **EVERY,
            "identifier": [IDENTIFIER],
            "status": TEXT,
            "class": CODING,
            "subject": REFERENCE,
            "period": PERIOD,
        },
        "Condition": {
            **EVERY,
            "identifier": [IDENTIFIER],
            "clinicalStatus": CONCEPT,
            "verificationStatus": CONCEPT,
            "code": CONCEPT,
            "subject": REFERENCE,
            "onsetDateTime": TEXT,
            "onsetPeriod": PERIOD,
            "recordedDate": TEXT,
        },
    }
)
"""Resource type → what is read of it."""


def find_wrong(value: Any, shape: Shape, path: str) -> str | None:
    """The FHIRPath-like name of the first element of another JSON type than R4 gives it."""
    if isinstance(shape, str):
        return None if _is_a(value, shape) else path
    if isinstance(shape, list):
        if not isinstance(value, list):
            return path
        return next(filter(None, (find_wrong(each, shape[0], path) for each in value)), None)
    if not isinstance(value, dict):
        return path
    told = ((key, value[key]) for key in shape if key in value)
    found = (find_wrong(each, shape[key], f"{path}.{key}") for key, each in told)
    return next(filter(None, found), None)


def copy_told(value: Json, shape: Mapping[str, Shape]) -> Json:
    """What stands in a sound element of that shape, and nothing else: no extensions, no texts."""
    return {key: _copy(value[key], shape[key]) for key in shape if key in value}


def _copy(value: Any, shape: Shape) -> Any:
    if isinstance(shape, list):
        return [_copy(each, shape[0]) for each in value]
    return copy_told(value, shape) if isinstance(shape, dict) else value


def _is_a(value: Any, word: str) -> bool:
    if word == NUMBER:
        return is_number(value)
    return word == ANY or isinstance(value, bool if word == TRUTH else str)
