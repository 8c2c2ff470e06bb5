"""Which of the study's profiles a resource claims. https://hl7.org/fhir/R4/profiling.html#resources"""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir import parse_json
from app.trial import build_study, claiming, load_protocol
from app.trial.claims import CONSTRAINTS, study_profiles

BASE = "https://ssci.example/fhir/StructureDefinition"
PLATELETS = {
    "resourceType": "Observation",
    "id": "a",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
    "subject": {"reference": "Patient/SSCI-001"},
    "effectiveDateTime": "2019-03-14",
    "valueQuantity": {"value": 38, "system": "http://unitsofmeasure.org", "code": "10*9/L"},
}
DOSE = {
    "resourceType": "MedicationAdministration",
    "status": "completed",
    "medicationCodeableConcept": {
        "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "35302"}]
    },
    "subject": {"reference": "Patient/SSCI-001"},
    "effectiveDateTime": "2019-03-14",
    "dosage": {"dose": {"value": 2, "system": "http://unitsofmeasure.org", "code": "mg"}},
}
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "https://ssci.example/fhir/sid/subject-number", "value": "SSCI-001"}],
    "gender": "female",
    "birthDate": "1975",
}


def claims(resource: dict[str, Any], **changed: Any) -> list[str]:
    given = {k: v for k, v in (resource | changed).items() if v is not None}
    profiles: list[str] = claiming(given).get("meta", {}).get("profile", [])
    return [url.removeprefix(f"{BASE}/") for url in profiles]


def test_each_resource_claims_the_profile_that_it_meets() -> None:
    assert claims(PLATELETS) == ["ssci-platelets"]
    assert claims(DOSE) == ["ssci-sirolimus-dose"]
    assert claims(PATIENT) == ["ssci-patient"]


@pytest.mark.parametrize(
    "changed",
    [
        {"valueQuantity": {"value": 38, "unit": "G/L"}},
        {"valueQuantity": None},
        {"effectiveDateTime": None},
        {"code": {"coding": [{"system": "http://loinc.org", "code": "1-1"}]}},
        {"component": [{"code": {"text": "x"}, "valueString": "x"}]},
    ],
)
def test_what_does_not_meet_a_profile_does_not_claim_it(changed: dict[str, Any]) -> None:
    assert claims(PLATELETS, **changed) == []


def test_a_result_without_value_claims_it_if_it_says_why_or_is_withdrawn() -> None:
    assert claims(PLATELETS, valueQuantity=None, status="cancelled") == ["ssci-platelets"]
    reason = {"text": "clumped"}
    assert claims(PLATELETS, valueQuantity=None, dataAbsentReason=reason) == ["ssci-platelets"]


def test_a_dose_that_was_given_needs_an_amount() -> None:
    assert claims(DOSE, dosage=None) == []
    assert claims(DOSE, dosage=None, status="not-done") == ["ssci-sirolimus-dose"]


def test_a_claim_that_no_longer_holds_is_taken_away_and_foreign_ones_stay() -> None:
    foreign = "https://example.org/StructureDefinition/x"
    meta = {"profile": [f"{BASE}/ssci-platelets", foreign], "tag": [{"code": "x"}]}
    wrong = claiming(PLATELETS | {"meta": meta, "effectiveDateTime": "2019"})
    assert wrong["meta"]["profile"] == [foreign, f"{BASE}/ssci-platelets"]
    less = claiming(PLATELETS | {"meta": meta, "valueQuantity": {"value": 1}})
    assert less["meta"] == {"profile": [foreign], "tag": [{"code": "x"}]}
    assert "meta" not in claiming({"resourceType": "Basic", "code": {"text": "x"}})


def test_every_constraint_of_a_claimed_profile_is_known_as_a_function() -> None:
    definitions = [e for e in build_study(load_protocol()) if e.get("url") in study_profiles()]
    keys = {
        constraint["key"]
        for definition in definitions
        for element in definition["differential"]["element"]
        for constraint in element.get("constraint", ())
    }
    assert keys == CONSTRAINTS.keys()
    assert len(study_profiles()) == 4


def test_a_resource_read_from_json_keeps_its_digits() -> None:
    given = parse_json(
        b'{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"x:y","valueDecimal":8.60}]}'
    )
    assert claiming(given) is given
