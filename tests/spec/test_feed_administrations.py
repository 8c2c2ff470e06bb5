"""RAS^O17 → MedicationAdministration. HL7 v2.5.1 4.13.7;
https://hl7.org/fhir/R4/medicationadministration.html"""

from __future__ import annotations

import pytest

from tests.feed_support import HIS, map_one, ras, resource_of


@pytest.mark.parametrize(
    ("amount", "unit", "milligrams"),
    [
        ("2", "mg", "2"),
        ("1.50", "mg", "1.50"),
        ("2", "毫克", "2"),
        ("2000", "ug", "2.000"),
        ("2", "片", "2"),
        ("0.5", "tablet", "0.5"),
    ],
)
def test_a_dose_is_kept_as_sent_and_known_in_milligrams(
    amount: str, unit: str, milligrams: str
) -> None:
    dose = resource_of(map_one(ras(amount, unit), HIS))["dosage"]["dose"]
    assert (str(dose["value"]), dose["unit"]) == (amount, unit)
    canonical = dose["extension"][0]["valueQuantity"] if "extension" in dose else dose
    assert (str(canonical["value"]), canonical["code"]) == (milligrams, "mg")


@pytest.mark.parametrize(
    ("drug", "codes"),
    [
        ("35302^sirolimus^RXNORM", ["35302", "L04AH01"]),
        ("L04AA10^sirolimus^ATC", ["35302", "L04AH01", "L04AA10"]),
        ("SIR1^西罗莫司片^99PUMCH", ["35302", "L04AH01", "SIR1"]),
    ],
)
def test_sirolimus_is_known_by_its_codes(drug: str, codes: list[str]) -> None:
    concept = resource_of(map_one(ras(drug=drug), HIS))["medicationCodeableConcept"]
    assert [coding["code"] for coding in concept["coding"]] == codes


@pytest.mark.parametrize(
    ("status", "mapped"),
    [("CP", "completed"), ("PA", "completed"), ("RE", "not-done"), ("NA", "not-done")],
)
def test_rxa_20_says_whether_it_was_given(status: str, mapped: str) -> None:
    given = resource_of(map_one(ras(status=status), HIS))
    assert given["status"] == mapped
    assert ("dosage" in given) == (mapped == "completed")


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"amount": "two"}, "VALUE_UNPARSABLE", "RXA-6"),
        ({"amount": "999"}, "VALUE_IMPLAUSIBLE", "RXA-6"),
        ({"unit": "mL"}, "UNIT_DIMENSION", "RXA-7"),
        ({"unit": ""}, "UNIT_UNMAPPED", "RXA-7"),
        ({"drug": "35302^sirolimus^RXNORM", "unit": "片"}, "UNIT_UNMAPPED", "RXA-7"),
        ({"drug": "ASA^阿司匹林^99PUMCH"}, "CODE_UNMAPPED", "RXA-5"),
        ({"start": ""}, "TIME_INVALID", "RXA-3"),
        ({"status": "ZZ"}, "STATUS_UNMAPPED", "RXA-20"),
        ({"action": "X"}, "STATUS_UNMAPPED", "RXA-21"),
    ],
)
def test_what_cannot_be_mapped_names_its_reason_and_field(
    fields: dict[str, str], reason: str, field: str
) -> None:
    fact = map_one(ras(**fields), HIS)
    assert (fact.reason, fact.field, fact.candidate) == (reason, field, None)


def test_background_treatment_is_not_collected_from_the_pharmacy() -> None:
    fact = map_one(ras(drug="PRED5^泼尼松^99PUMCH"), HIS)
    assert fact.outcome == "not-collected"
    assert fact.detail


def test_the_start_is_identity_because_this_feed_repeats_rxa_2() -> None:
    first = map_one(ras(), HIS).resource_id
    assert map_one(ras(amount="1", id="R2"), HIS).resource_id == first
    assert map_one(ras(start="20190315083000+0800"), HIS).resource_id != first
    assert map_one(ras(order="A2"), HIS).resource_id != first
