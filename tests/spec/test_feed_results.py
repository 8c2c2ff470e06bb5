"""ORU^R01 → Observation. HL7 v2.5.1 7.3.1; https://hl7.org/fhir/R4/observation.html"""

from __future__ import annotations

from typing import Any

import pytest

from app.mappings.subjects import Subject
from tests.feed_support import (
    PLT,
    SIROLIMUS,
    map_bytes,
    map_one,
    message,
    msh,
    obr,
    obx,
    oru,
    pid,
    resource_of,
)

CANONICAL = "https://ssci.example/fhir/StructureDefinition/canonical-quantity"
SOURCE_VALUE = "https://ssci.example/fhir/StructureDefinition/source-value"


def extension(resource: dict[str, Any], url: str) -> Any:
    found = [item for item in resource["extension"] if item["url"] == url]
    return next(iter(found), None)


def tags(resource: dict[str, Any]) -> list[str]:
    return [tag["code"] for tag in resource.get("meta", {}).get("tag", [])]


# Value and unit


def test_a_canonical_unit_needs_no_canonical_quantity_beside_it() -> None:
    observation = resource_of(map_one(oru(value="38.0")))
    quantity = observation["valueQuantity"]
    assert (str(quantity["value"]), quantity["unit"], quantity["code"]) == (
        *("38.0", "10*9/L"),
        "10*9/L",
    )
    assert extension(observation, CANONICAL) is None


@pytest.mark.parametrize(
    ("value", "unit", "canonical"),
    [
        ("38", "10^9/L", "38"),
        ("38", "10\\S\\9/L", "38"),
        ("38", "10~9/L", "38"),
        ("38", "×10⁹/L", "38"),
        ("3.8", "万/μL", "38.0"),
        ("38000", "/uL", "38.000"),
        ("38", "10^9/L^billion per litre^99X", "38"),
        ("38", "^K/uL", "38"),
    ],
)
def test_another_unit_stays_as_sent_and_the_canonical_value_stands_beside(
    value: str, unit: str, canonical: str
) -> None:
    observation = resource_of(map_one(oru(value=value, unit=unit)))
    assert str(observation["valueQuantity"]["value"]) == value
    quantity = extension(observation, CANONICAL)["valueQuantity"]
    assert (str(quantity["value"]), quantity["code"]) == (canonical, "10*9/L")


def test_a_sent_ucum_code_stays_a_code_though_another_is_canonical() -> None:
    quantity = resource_of(map_one(oru(unit="10*3/uL")))["valueQuantity"]
    assert (quantity["system"], quantity["code"]) == ("http://unitsofmeasure.org", "10*3/uL")


def test_a_comparator_is_kept_on_both_quantities() -> None:
    data = oru(SIROLIMUS, "<2.0", "ug/L", f2="ST")
    observation = resource_of(map_one(data))
    assert observation["valueQuantity"]["comparator"] == "<"
    assert extension(observation, CANONICAL)["valueQuantity"]["comparator"] == "<"


def test_a_structured_number_is_a_number_with_its_comparator() -> None:
    observation = resource_of(map_one(oru(SIROLIMUS, "<^2.0", "ng/mL", f2="SN")))
    assert observation["valueQuantity"]["comparator"] == "<"


def test_what_was_sent_is_kept_where_the_number_does_not_show_it() -> None:
    observation = resource_of(map_one(oru(value="0038 ↓", f2="ST")))
    assert extension(observation, SOURCE_VALUE)["valueString"] == "0038 ↓"
    assert observation["interpretation"][0]["coding"][0]["code"] == "L"


def test_an_absent_value_becomes_a_data_absent_reason() -> None:
    observation = resource_of(map_one(oru(value="标本量不足", f2="ST")))
    assert "valueQuantity" not in observation
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert observation["dataAbsentReason"]["text"] == "标本量不足"


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"value": "1O2"}, "VALUE_UNPARSABLE", "OBX-5"),
        ({"value": "1,23"}, "VALUE_UNPARSABLE", "OBX-5"),
        ({"value": "38~39"}, "VALUE_UNPARSABLE", "OBX-5"),
        ({"value": "++"}, "VALUE_UNPARSABLE", "OBX-5"),
        ({"value": "10-20"}, "VALUE_UNPARSABLE", "OBX-5"),
        ({"value": "99999"}, "VALUE_IMPLAUSIBLE", "OBX-5"),
        ({"value": "-1"}, "VALUE_IMPLAUSIBLE", "OBX-5"),
        ({"unit": "109/L"}, "UNIT_UNMAPPED", "OBX-6"),
        ({"unit": "ng/mL"}, "UNIT_DIMENSION", "OBX-6"),
        ({"f14": "00000000"}, "TIME_INVALID", "OBX-14"),
        ({"status": ""}, "STATUS_UNMAPPED", "OBX-11"),
        ({"status": "Z"}, "STATUS_UNMAPPED", "OBX-11"),
        ({"code": "PLT^血小板^OTHER"}, "CODE_UNMAPPED", "OBX-3"),
    ],
)
def test_what_cannot_be_mapped_names_its_reason_and_field(
    fields: dict[str, str], reason: str, field: str
) -> None:
    fact = map_one(oru(**fields))
    assert (fact.outcome, fact.reason, fact.field) == ("quarantined", reason, field)
    assert fact.candidate is None


def test_an_empty_unit_is_taken_only_from_the_dictionary() -> None:
    assert resource_of(map_one(oru(unit="")))["valueQuantity"]["code"] == "10*9/L"
    assert map_one(oru("777-3^Platelets^LN", unit="")).reason == "UNIT_UNMAPPED"


# Codes


@pytest.mark.parametrize("code", ["777-3", "26515-7", "778-1", "97995-5"])
def test_a_platelet_loinc_is_carried_as_sent(code: str) -> None:
    observation = resource_of(map_one(oru(f"{code}^Platelets^LN")))
    assert [coding["code"] for coding in observation["code"]["coding"]] == [code]


@pytest.mark.parametrize("code", ["74775-8", "49497-1", "13056-7"])
def test_what_is_no_count_in_blood_is_never_merged_with_one(code: str) -> None:
    fact = map_one(oru(f"{code}^Platelets^LN"))
    assert (fact.outcome, fact.candidate) == ("not-collected", None)
    assert fact.detail


def test_a_local_code_is_carried_beside_its_loinc() -> None:
    coding = resource_of(map_one(oru(PLT)))["code"]["coding"]
    assert [(item["system"], item["code"]) for item in coding] == [
        ("http://loinc.org", "777-3"),
        ("https://ssci.example/fhir/CodeSystem/pumch-lis-test", "PLT"),
    ]


def test_the_alternate_coding_maps_where_the_first_is_unknown() -> None:
    observation = resource_of(map_one(oru("1234^x^99ABC^777-3^Platelets^LN")))
    assert observation["code"]["coding"][0]["code"] == "777-3"


def test_codings_that_disagree_are_quarantined() -> None:
    fact = map_one(oru("PLT^血小板^99MRC^74775-8^Platelets in PRP^LN"))
    assert fact.reason == "CODE_UNMAPPED"


def test_pct_is_plateletcrit_in_a_blood_count_and_unknown_elsewhere() -> None:
    code = "PCT^PCT^99MRC"
    within = map_one(message(msh(), pid(), obr(), obx(code, "0.2", "%")))
    elsewhere = map_one(message(msh(), pid(), obr(panel="INF^感染^99MRC"), obx(code, "0.2", "")))
    assert (within.outcome, within.analyte) == ("not-collected", "plateletcrit")
    assert elsewhere.reason == "CODE_UNMAPPED"


def test_a_trough_is_coded_as_one_only_where_the_dictionary_says_so() -> None:
    plain = resource_of(map_one(oru(SIROLIMUS, "8.60", "ng/mL")))
    trough = resource_of(map_one(oru("SIRT^谷浓度^99PUMCH", "8.60", "ng/mL")))
    codes = [[item["code"] for item in each["code"]["coding"]][:2] for each in (plain, trough)]
    assert codes == [["29247-4", "SIR"], ["29247-4", "115766-8"]]
    assert str(plain["valueQuantity"]["value"]) == "8.60"


# Identity


def key(data: bytes) -> str:
    return map_one(data).resource_id


@pytest.mark.parametrize(
    "other",
    [
        {"f1": "9"},
        {"id": "M2"},
        {"value": "83", "status": "C"},
        {"sent": "20200101000000+0800"},
        {"f14": "20190315080000+0800"},
        {"unit": "10^9/L"},
    ],
)
def test_what_is_no_identity_does_not_change_the_key(other: dict[str, str]) -> None:
    assert key(oru(**other)) == key(oru())


@pytest.mark.parametrize("other", [{"order": "L2"}, {"f4": "2"}, {"code": "777-3^P^LN"}])
def test_order_code_and_sub_id_are_identity(other: dict[str, str]) -> None:
    assert key(oru(**other)) != key(oru())


def test_without_order_and_specimen_patient_code_and_time_are_a_weak_identity() -> None:
    fact = map_one(oru(order=""))
    assert fact.candidate is not None
    assert fact.candidate.weak
    assert key(oru(order="", f14="20190315080000+0800")) != fact.resource_id


def test_two_results_that_cannot_be_told_apart_are_not_guessed_at() -> None:
    first, second = map_bytes(message(msh(), pid(), obr(), obx(value="38"), obx(value="40")))
    assert first.candidate is not None
    assert (second.outcome, second.reason) == ("quarantined", "WEAK_KEY_CONFLICT")


def test_no_order_number_is_readable_in_what_is_stored() -> None:
    fact = map_one(oru(order="ORDER77"))
    for candidate in (fact.candidate, *fact.companions):
        assert candidate is not None
        assert "ORDER77" not in str(candidate.resource)


# Time


def test_the_time_of_collection_is_obx_14_then_obr_7() -> None:
    both = resource_of(map_one(oru(f14="20190314073000+0800")))
    order_only = resource_of(map_one(oru(f14="")))
    assert both["effectiveDateTime"] == "2019-03-14T07:30:00+08:00"
    assert order_only["effectiveDateTime"] == "2019-03-14T08:00:00+08:00"


def test_without_any_time_of_collection_nothing_is_stored() -> None:
    fact = map_one(message(msh(), pid(), obr(f7=""), obx(f14="")))
    assert fact.reason == "TIME_INVALID"


# Clumps


@pytest.mark.parametrize(
    "extra",
    [
        ["NTE|1|L|血小板聚集"],
        ["NTE|1|L|PLT clumps seen on smear"],
        [obx("PLT-AGG^血小板聚集^99MRC", "阳性", "", f2="ST")],
        [obx("7796-6^Platelet clump^LN", "Present", "", f2="ST")],
        [obx("9999^备注^99ABC", "可见血小板聚集", "", f2="TX")],
    ],
)
def test_clumped_platelets_are_stored_and_suspect(extra: list[str]) -> None:
    fact = map_bytes(message(msh(), pid(), obr(), obx(), *extra))[0]
    assert tags(resource_of(fact)) == ["analytic-suspect"]


def test_an_abnormal_flag_a_makes_a_count_suspect() -> None:
    assert tags(resource_of(map_one(oru(f8="L~A")))) == ["analytic-suspect"]


@pytest.mark.parametrize(
    "extra",
    [
        ["NTE|1|L|未见血小板聚集"],
        ["NTE|1|L|no platelet clumps"],
        [obx("PLT-AGG^血小板聚集^99MRC", "阴性", "", f2="ST")],
        [obx("PLT-AGG^血小板聚集^99MRC", "0", "", f2="NM")],
    ],
)
def test_the_absence_of_clumps_is_no_suspicion(extra: list[str]) -> None:
    fact = map_bytes(message(msh(), pid(), obr(), obx(), *extra))[0]
    assert tags(resource_of(fact)) == []


def test_a_note_belongs_to_the_result_before_it() -> None:
    facts = map_bytes(
        message(
            *(msh(), pid(), obr(), obx()),
            *(obx("WBC^白细胞^99MRC", "5", "10*9/L"), "NTE|1|L|血小板聚集"),
        )
    )
    assert tags(resource_of(facts[0])) == []


# Grouping, patients


def test_each_patient_has_the_results_below_its_pid() -> None:
    facts = map_bytes(message(msh(), pid(), obr(), obx(), pid("OTHER"), obr("L2"), obx()))
    assert [fact.place for fact in facts] == ["OBX[1]", "OBX[2]"]
    assert facts[0].resource_id != facts[1].resource_id


def test_results_without_pid_are_a_broken_structure() -> None:
    assert map_one(message(msh(), obr(), obx())).reason == "STRUCTURE"


def test_a_message_without_results_says_so() -> None:
    assert map_one(message(msh(), pid())).reason == "STRUCTURE"


def test_an_order_without_results_is_recorded() -> None:
    assert map_one(message(msh(), pid(), obr(f25="X"))).outcome == "not-recorded"


def test_numbers_of_two_subjects_are_ambiguous() -> None:
    both = (Subject("SSCI-001", "Patient/SSCI-001"), Subject("SSCI-002", "Patient/SSCI-002"))
    (fact,) = map_bytes(oru(), subjects=both)
    assert fact.reason == "PATIENT_AMBIGUOUS"


def test_another_name_or_birth_date_is_a_mismatch() -> None:
    wrong = (Subject("SSCI-001", "Patient/SSCI-001", mismatch=True),)
    (fact,) = map_bytes(oru(), subjects=wrong)
    assert fact.reason == "PATIENT_MISMATCH"


def test_nothing_of_an_unknown_patient_is_shown() -> None:
    (fact,) = map_bytes(oru(), subjects=())
    assert (fact.outcome, fact.code, fact.order_token, fact.candidate) == ("waiting", "", "", None)
