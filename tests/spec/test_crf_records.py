"""Case report form records: what each form takes, and every rule with the place of what breaks it.
docs/crf.md"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.mappings.crf.codes import items_of, load_activity_items, load_terms, load_treatments
from app.mappings.crf.forms import forms
from app.mappings.crf.json_decoder import EXAMPLE
from app.mappings.crf.schema import build_form_schema, write_template
from app.mappings.reasons import Outcome, Reason
from app.trial import build_study
from tests.crf_support import CRF, CSV, JSON, as_csv, as_json, map_record, record
from tests.feed_support import map_bytes, resource_of
from tests.trial_support import protocol

MRSS = dict.fromkeys(items_of("mRSS"), 1)
MMT = dict.fromkeys(items_of("MMT-8"), 10)
JOINTS = {"tender-joints": 4, "swollen-joints": 1, "global-health": 50}


@pytest.mark.parametrize("form", list(forms()))
def test_the_documented_example_is_taken(form: str) -> None:
    fact = map_record(form)
    assert fact.candidate is not None, fact.detail
    assert (fact.code, fact.resource_type) == (form, forms()[form].resource_type)


def test_the_examples_of_the_api_are_taken() -> None:
    facts = map_bytes(EXAMPLE.encode(), CRF, format=JSON)
    rows = [
        fact
        for form in forms()
        for fact in map_bytes(write_template(form, example=True).encode(), CRF, format=CSV)
    ]
    assert all(fact.candidate is not None for fact in (*facts, *rows))
    assert (len(facts), len(rows)) == (2, len(forms()))


@pytest.mark.parametrize("form", list(forms()))
def test_what_the_schema_requires_is_required(form: str) -> None:
    schema = build_form_schema(forms()[form])
    for name in schema["then"]["required"]:
        fact = map_record(form, **{name: None})
        assert fact.candidate is None, name
        assert fact.field.startswith(f"/records/0/{name}") or name == "form"


def test_a_record_that_names_no_subject_does_not_wait_for_one() -> None:
    table = as_csv([record("bleeding", subject="")])
    for fact in (map_record("bleeding", subject=None), *map_bytes(table, CRF, format=CSV)):
        assert (fact.outcome, fact.reason) == (Outcome.QUARANTINED, Reason.STRUCTURE)
        assert fact.detail == "subject: is missing"
        assert fact.field.endswith("subject")


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("adverse-event", {"onset": "2019", "end": None, "outcome": "unknown"}),
    ("adverse-event", {"onset": "2019-02", "term": "lung INFECTION"}),
    (
        "adverse-event",
        {"serious": True, "seriousness_criteria": ["hospitalization", "life-threatening"]},
    ),
    (
        "adverse-event",
        {"grade": 5, "outcome": "fatal", "serious": True, "seriousness_criteria": ["death"]},
    ),
    ("activity-score", {"items": None, "platelet_item": 0}),
    ("activity-score", {"items": {}, "total": 0}),
    ("activity-score", {"assessed": False, "total": None, "items": None}),
    ("activity-score", {"instrument": "mRSS", "items": MRSS, "total": 17}),
    ("activity-score", {"instrument": "MMT-8", "items": MMT, "total": 80}),
    ("activity-score", {"instrument": "PhGA", "items": None, "total": 2.5}),
    ("activity-score", {"instrument": "ESSDAI", "items": {"haematological": 4}, "total": 4}),
    ("activity-score", {"instrument": "DAS28", "items": {**JOINTS, "esr": 28}, "total": 4.43}),
    ("activity-score", {"instrument": "DAS28", "items": {**JOINTS, "crp": 10}, "total": 3.92}),
    ("bleeding", {"assessed": False, "grade": None, "sites": None}),
    ("bleeding", {"grade": 0, "sites": None}),
    ("rescue-treatment", {"amount": None, "unit": None, "end": None}),
    ("rescue-treatment", {"treatment": "platelet-transfusion", "amount": 1, "unit": "{unit}"}),
    ("concomitant-treatment", {"treatment": "hydroxychloroquine", "daily_mg": None}),
    ("prescription", {"treatment": "prednisone", "end": "2019-12-31", "status": "active"}),
    ("home-dose", {"taken": False, "dose_mg": None}),
    ("visit", {"status": "missed", "date": None}),
    ("visit", {"status": "planned", "date": "2020-03-01"}),
    ("disposition", {"status": "screen-failed", "reason": "criteria-not-met"}),
]


@pytest.mark.parametrize(("form", "changes"), GOOD)
def test_what_a_form_allows_is_taken(form: str, changes: dict[str, Any]) -> None:
    fact = map_record(form, **changes)
    assert fact.candidate is not None, fact.detail


COUNT = {"source": "pill-count", "taken": None, "dose_mg": None}
BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("bleeding", {"form": "unheard-of"}, "UNSUPPORTED_TYPE", "form"),
    ("bleeding", {"record": 0}, "VALUE_IMPLAUSIBLE", "record"),
    ("bleeding", {"record": 1.5}, "VALUE_UNPARSABLE", "record"),
    ("bleeding", {"record": "T000000001"}, "VALUE_UNPARSABLE", "record"),
    ("bleeding", {"action": "erase"}, "CODE_UNMAPPED", "action"),
    ("bleeding", {"recorded": "yesterday"}, "TIME_INVALID", "recorded"),
    ("bleeding", {"recorded": "2019-03"}, "TIME_INVALID", "recorded"),
    ("bleeding", {"recorded": "2019-03-19"}, "TIME_INVALID", "recorded"),
    ("bleeding", {"sites": [["skin"]]}, "STRUCTURE", "sites"),
    ("bleeding", {"sites": ["knee"]}, "CODE_UNMAPPED", "sites"),
    ("bleeding", {"assessed": "perhaps"}, "VALUE_UNPARSABLE", "assessed"),
    ("bleeding", {"assessed": False}, "STRUCTURE", "grade"),
    ("bleeding", {"grade": None}, "STRUCTURE", "grade"),
    ("bleeding", {"grade": 5}, "VALUE_IMPLAUSIBLE", "grade"),
    ("bleeding", {"grade": 0}, "STRUCTURE", "sites"),
    ("bleeding", {"sites": None}, "STRUCTURE", "sites"),
    ("bleeding", {"assessed_on": "2019-03-18"}, "TIME_INVALID", "assessed_on"),
    ("adverse-event", {"term": "felt unwell on Tuesday"}, "CODE_UNMAPPED", "term"),
    ("adverse-event", {"grade": "severe"}, "VALUE_UNPARSABLE", "grade"),
    ("adverse-event", {"grade": 6}, "VALUE_IMPLAUSIBLE", "grade"),
    ("adverse-event", {"onset": "2019-02-30"}, "TIME_INVALID", "onset"),
    ("adverse-event", {"end": "2019-03-01"}, "TIME_INVALID", "end"),
    ("adverse-event", {"outcome": "not-recovered"}, "STRUCTURE", "end"),
    ("adverse-event", {"serious": True}, "STRUCTURE", "seriousness_criteria"),
    ("adverse-event", {"seriousness_criteria": ["death"]}, "STRUCTURE", "seriousness_criteria"),
    ("adverse-event", {"outcome": "fatal"}, "STRUCTURE", "grade"),
    ("adverse-event", {"grade": 5}, "STRUCTURE", "grade"),
    ("adverse-event", {"causality": "maybe"}, "CODE_UNMAPPED", "causality"),
    ("adverse-event", {"action_taken": "none"}, "CODE_UNMAPPED", "action_taken"),
    ("activity-score", {"instrument": "BILAG"}, "CODE_UNMAPPED", "instrument"),
    ("activity-score", {"total": 8}, "VALUE_IMPLAUSIBLE", "total"),
    ("activity-score", {"total": None}, "STRUCTURE", "total"),
    ("activity-score", {"assessed": False}, "STRUCTURE", "total"),
    ("activity-score", {"items": {"arthritis": 3}}, "VALUE_IMPLAUSIBLE", "items/arthritis"),
    ("activity-score", {"items": {"face": 3}}, "CODE_UNMAPPED", "items/face"),
    ("activity-score", {"items": {"toothache": 3}}, "CODE_UNMAPPED", "items"),
    ("activity-score", {"items": {"arthritis": "much"}}, "STRUCTURE", "items"),
    ("activity-score", {"items": None}, "STRUCTURE", "platelet_item"),
    ("activity-score", {"platelet_item": 0}, "VALUE_IMPLAUSIBLE", "platelet_item"),
    ("activity-score", {"platelet_item": 2}, "VALUE_IMPLAUSIBLE", "platelet_item"),
    (
        "activity-score",
        {"instrument": "PhGA", "items": None, "total": 2, "platelet_item": 1},
        *("STRUCTURE", "platelet_item"),
    ),
    (
        "activity-score",
        {"instrument": "PhGA", "items": None, "total": 11},
        *("VALUE_IMPLAUSIBLE", "total"),
    ),
    (
        "activity-score",
        {"instrument": "mRSS", "items": {"face": 1}, "total": 1},
        *("STRUCTURE", "items"),
    ),
    (
        "activity-score",
        {"instrument": "DAS28", "items": JOINTS, "total": 4},
        *("STRUCTURE", "items"),
    ),
    (
        "activity-score",
        {"instrument": "DAS28", "items": {**JOINTS, "esr": 28}, "total": 4.5},
        *("VALUE_IMPLAUSIBLE", "total"),
    ),
    ("rescue-treatment", {"unit": None}, "STRUCTURE", "unit"),
    ("rescue-treatment", {"amount": None}, "STRUCTURE", "amount"),
    ("rescue-treatment", {"amount": 0}, "VALUE_IMPLAUSIBLE", "amount"),
    ("rescue-treatment", {"unit": "bottles"}, "CODE_UNMAPPED", "unit"),
    ("rescue-treatment", {"treatment": "prednisone"}, "CODE_UNMAPPED", "treatment"),
    ("rescue-treatment", {"end": "2019-03-01"}, "TIME_INVALID", "end"),
    ("concomitant-treatment", {"daily_mg": None}, "STRUCTURE", "daily_mg"),
    ("concomitant-treatment", {"end": "2018-12-31"}, "TIME_INVALID", "end"),
    ("prescription", {"daily_mg": 400}, "VALUE_IMPLAUSIBLE", "daily_mg"),
    ("prescription", {"status": "draft"}, "CODE_UNMAPPED", "status"),
    ("home-dose", {"dispensed": 30}, "STRUCTURE", "dispensed"),
    ("home-dose", {"dose_mg": None}, "STRUCTURE", "dose_mg"),
    ("home-dose", {"dose_mg": 0}, "VALUE_IMPLAUSIBLE", "dose_mg"),
    ("home-dose", {"taken": False}, "STRUCTURE", "dose_mg"),
    ("home-dose", {"start": "2019-03"}, "TIME_INVALID", "start"),
    ("home-dose", COUNT, "STRUCTURE", "end"),
    (
        "home-dose",
        {**COUNT, "end": "2019-03-13", "dispensed": 1, "returned": 2, "tablet_mg": 1},
        *("VALUE_IMPLAUSIBLE", "returned"),
    ),
    ("visit", {"visit": "M3"}, "CODE_UNMAPPED", "visit"),
    ("visit", {"date": None}, "STRUCTURE", "date"),
    ("visit", {"date": "2019-03-20"}, "TIME_INVALID", "date"),
    ("disposition", {"reason": "follow-up-completed"}, "CODE_UNMAPPED", "reason"),
    ("disposition", {"date": "2019-03"}, "TIME_INVALID", "date"),
    ("disposition", {"status": "on-study"}, "CODE_UNMAPPED", "status"),
]


@pytest.mark.parametrize(("form", "changes", "reason", "field"), BROKEN)
def test_a_broken_rule_is_told_with_its_place(
    form: str, changes: dict[str, Any], reason: str, field: str
) -> None:
    fact = map_record(form, **changes)
    assert (fact.reason, fact.field) == (reason, f"/records/0/{field}"), fact.detail
    assert fact.candidate is None


def test_a_table_names_its_column() -> None:
    (fact,) = map_bytes(as_csv([record("bleeding", grade=9)]), CRF, format=CSV)
    assert (fact.place, fact.field) == ("row[2]", "grade")


def test_every_broken_field_is_told_at_once() -> None:
    fact = map_record("bleeding", grade="x", assessed_on="x", sites=["x"])
    told = [part.split(":")[0] for part in fact.detail.split("; ")]
    assert told == ["assessed_on", "grade", "sites"]


def test_no_value_is_repeated_in_an_error() -> None:
    fact = map_record("bleeding", grade="ZQXMARK", remark="ZQXMARK", sites=["ZQXMARK"])
    assert "ZQXMARK" not in f"{fact.detail} {fact.field}"


def test_a_whole_table_with_an_unknown_column_is_held_back() -> None:
    (fact,) = map_bytes(as_csv([record("bleeding"), record("visit", remark="x")]), CRF, format=CSV)
    assert (fact.reason, fact.place) == ("STRUCTURE", "header")
    assert "remark" not in fact.detail
    (fact,) = map_bytes(as_csv([record("bleeding", asessed="x")]), CRF, format=CSV)
    assert fact.detail.startswith("no form has these columns: column ")
    assert fact.detail.endswith("(near assessed)")


@pytest.mark.parametrize("key", ["王测试", "T000000001", "ZHANG SAN"])
def test_a_key_that_no_form_has_is_counted_and_never_repeated(key: str) -> None:
    fact = map_record("bleeding", **{key: {"x": []}, "grad": 1})
    assert (fact.reason, fact.field) == ("STRUCTURE", "/records/0")
    assert fact.detail == "has 2 unknown keys (near grade)"


def test_a_field_of_another_form_is_named() -> None:
    fact = map_record("bleeding", onset="2019-03-14")
    assert (fact.detail, fact.field) == (
        "onset: is no field of the form bleeding",
        "/records/0/onset",
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_table_is_read_as_spreadsheets_write_it(separator: str, charset: str) -> None:
    body = as_csv([record("bleeding", assessed="是", assessed_on="2019/3/14")], separator, charset)
    (fact,) = map_bytes(body, CRF, format=CSV)
    assert resource_of(fact)["effectiveDateTime"] == "2019-03-14"


# What becomes of it


def test_an_adverse_event_is_that_of_the_research_backport() -> None:
    event = resource_of(
        map_record(
            "adverse-event",
            serious=True,
            seriousness_criteria=["hospitalization", "medically-important"],
        )
    )
    base = "http://hl7.org/fhir/uv/ae-research-backport-ig/StructureDefinition/"
    assert [each["url"] for each in event["modifierExtension"]] == [f"{base}status"]
    urls = [each["url"].removeprefix(base) for each in event["extension"]]
    assert [url for url in urls if not url.startswith("http")] == [
        *("research-subject-ref", "ae-grade", "seriousness-criteria", "seriousness-criteria"),
        *("expected-in-research-study", "suspect-entity", "mitigating-action", "resolve-date"),
    ]
    assert [each["code"] for each in event["outcome"]["coding"]] == ["resolved", "C49498"]
    assert event["seriousness"]["coding"][0]["code"] == "serious"
    assert (event["date"], event["recordedDate"]) == ("2019-03-02", "2019-03-14T10:15:00+08:00")


def test_the_platelet_item_stands_apart() -> None:
    score = resource_of(map_record("activity-score"))
    codes = [[each["code"] for each in part["code"]["coding"]] for part in score["component"]]
    assert codes == [
        ["SLEDAI-2K.arthritis"],
        ["SLEDAI-2K.low-complement"],
        ["platelet-item", "SLEDAI-2K.thrombocytopenia"],
    ]


def test_items_that_are_left_out_score_no_platelets() -> None:
    score = resource_of(map_record("activity-score", items={"arthritis": 4}, total=4))
    platelets = score["component"][-1]
    assert (platelets["code"]["coding"][0]["code"], platelets["valueQuantity"]["value"]) == (
        *("platelet-item", 0),
    )


@pytest.mark.parametrize(
    ("drug", "daily", "worth"),
    [("prednisone", 10, "10"), ("methylprednisolone", 8, "10"), ("hydrocortisone", 20, "5")],
)
def test_a_steroid_is_told_in_prednisone(drug: str, daily: int, worth: str) -> None:
    fact = map_record("concomitant-treatment", treatment=drug, daily_mg=daily)
    url = "https://ssci.example/fhir/StructureDefinition/prednisone-equivalent"
    (found,) = [each for each in resource_of(fact)["extension"] if each["url"] == url]
    assert found["valueQuantity"]["value"] == Decimal(worth)
    assert found["valueQuantity"]["code"] == "mg/d"


def test_a_dose_at_home_is_never_an_observed_one() -> None:
    dose = resource_of(map_record("home-dose"))
    assert dose["category"]["coding"][0]["code"] == "community"
    assert dose["performer"] == [{"actor": {"reference": "Patient/SSCI-001"}}]
    assert dose["extension"][0]["valueCode"] == "diary"


def test_each_form_subject_and_number_is_a_record_of_its_own() -> None:
    sent = [record("bleeding"), record("bleeding", record=2), record("visit")]
    facts = map_bytes(as_json(*sent), CRF, format=JSON)
    assert len({fact.resource_id for fact in facts}) == 3


def test_the_data_beside_the_code_are_whole() -> None:
    assert len(load_terms()) > 500
    assert len({each.code for each in load_terms().values()}) == len(load_terms())
    kinds = {each.kind for each in load_treatments().values() if each.use == "rescue"}
    assert kinds == {"platelet-transfusion", "ivig", "tpo-agent", "rituximab", "steroid-pulse"}
    highest = {
        name: sum(max(i.scores) for i in items_of(name).values() if i.scores)
        for name in ("SLEDAI-2K", "ESSDAI", "mRSS", "MMT-8")
    }
    assert highest == {"SLEDAI-2K": 105, "ESSDAI": 123, "mRSS": 51, "MMT-8": 80}


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("ctcae-term", [each.code for each in load_terms().values()]),
        ("treatment", list(load_treatments())),
        ("ctd-activity-item", [f"{of}.{item}" for of, item in load_activity_items()]),
        ("case-report-form", list(forms())),
    ],
)
def test_the_study_publishes_the_codes_that_the_forms_use(name: str, codes: list[str]) -> None:
    (found,) = [
        each
        for each in build_study(protocol())
        if (each["resourceType"], each["id"]) == ("CodeSystem", name)
    ]
    assert [concept["code"] for concept in found["concept"]] == codes
