"""What tests of the FHIR feed share: the hospital's own resources, and Bundles of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.fhir import dump_json
from tests.feed_support import MRN

HIS_BASE = "https://his.pumch.example/fhir"
MRNS = "https://his.pumch.example/patient"
TESTS = "https://lis.pumch.example/test"
CODES = "https://his.pumch.example/code"
FILLERS = "https://lis.pumch.example/order"
PLACERS = "https://his.pumch.example/order"
SPECIMENS = "https://lis.pumch.example/specimen"
SUB_IDS = "https://lis.pumch.example/sub-id"
COUNTERS = "https://his.pumch.example/dose"
VISITS = "https://his.pumch.example/visit"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"

Resource = dict[str, Any]


def identifier(system: str, value: str) -> Resource:
    return {"system": system, "value": value}


def concept(system: str, code: str, display: str = "") -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display or code}]}


def quantity(value: str, unit: str) -> Resource:
    return {"value": Decimal(value), "unit": unit, "system": UCUM, "code": unit}


def patient(id: str = "17", mrn: str = MRN, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id, "identifier": [identifier(MRNS, mrn)]} | more


def observation(id: str = "9", value: str = "38", **more: Any) -> Resource:
    """A platelet count of order L1 as `oru()` tells it."""
    return {
        "resourceType": "Observation",
        "id": id,
        "meta": {"lastUpdated": "2019-03-14T10:15:00+08:00"},
        "identifier": [identifier(SUB_IDS, "1")],
        "status": "final",
        "category": [
            concept("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory")
        ],
        "code": {"coding": [{"system": TESTS, "code": "PLT", "display": "血小板计数"}]},
        "subject": {"reference": "Patient/17"},
        "effectiveDateTime": "2019-03-14T08:00:00+08:00",
        "issued": "2019-03-14T09:55:00+08:00",
        "valueQuantity": quantity(value, "10*9/L"),
    } | more


def report(order: str = "L1", results: tuple[str, ...] = ("9",), **more: Any) -> Resource:
    """The order's report, with filler's and placer's number, as `obr()` tells it."""
    return {
        "resourceType": "DiagnosticReport",
        "id": f"R-{order}",
        "identifier": [identifier(FILLERS, order), identifier(PLACERS, f"P-{order}")],
        "status": "final",
        "code": concept(TESTS, "CBC", "血常规"),
        "subject": {"reference": "Patient/17"},
        "effectiveDateTime": "2019-03-14T08:00:00+08:00",
        "issued": "2019-03-14T09:55:00+08:00",
        "result": [{"reference": f"Observation/{each}"} for each in results],
    } | more


def administration(id: str = "A1", **more: Any) -> Resource:
    """One milligram-dose of order A1 as `ras()` tells it."""
    return {
        "resourceType": "MedicationAdministration",
        "id": id,
        "meta": {"lastUpdated": "2019-03-14T09:00:00+08:00"},
        "identifier": [identifier(COUNTERS, "1")],
        "status": "completed",
        "medicationCodeableConcept": concept(CODES, "SIR1", "西罗莫司片1mg"),
        "subject": {"reference": "Patient/17"},
        "effectiveDateTime": "2019-03-14T08:30:00+08:00",
        "request": {"identifier": identifier(FILLERS, "A1")},
        "dosage": {"dose": quantity("2", "mg")},
    } | more


def prescription(id: str = "M1", **more: Any) -> Resource:
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "meta": {"lastUpdated": "2019-03-14T09:00:00+08:00"},
        "identifier": [identifier(PLACERS, "RX1")],
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": concept(CODES, "SIR1", "西罗莫司片1mg"),
        "subject": {"reference": "Patient/17"},
        "authoredOn": "2019-03-13T15:00:00+08:00",
        "dosageInstruction": [
            {
                "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                "route": concept("http://snomed.info/sct", "26643006"),
                "doseAndRate": [{"doseQuantity": {"value": Decimal("1"), "unit": "mg"}}],
            }
        ],
    } | more


def encounter(id: str = "E1", **more: Any) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": id,
        "meta": {"lastUpdated": "2019-03-12T13:00:00+08:00"},
        "identifier": [identifier(VISITS, "V1")],
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/17"},
        "period": {"start": "2019-03-10T08:00:00+08:00", "end": "2019-03-12T11:00:00+08:00"},
    } | more


def condition(code: str = "M32.101", **more: Any) -> Resource:
    return {
        "resourceType": "Condition",
        "id": "C1",
        "meta": {"lastUpdated": "2019-03-01T09:00:00+08:00"},
        "clinicalStatus": concept(
            "http://terminology.hl7.org/CodeSystem/condition-clinical", "active"
        ),
        "code": concept("http://hl7.org/fhir/sid/icd-10", code),
        "subject": {"reference": "Patient/17"},
        "onsetDateTime": "2015-06",
    } | more


def bundle(*resources: Resource, kind: str = "collection", **more: Any) -> bytes:
    entries = [
        {"fullUrl": f"{HIS_BASE}/{each['resourceType']}/{each['id']}", "resource": each}
        for each in resources
    ]
    return dump({"resourceType": "Bundle", "type": kind, "entry": entries} | more)


def dump(value: Any) -> bytes:
    return dump_json(value)
