"""The coverage ledger of case report forms: every value and every cell, and what became of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.mappings.crf.forms import forms
from app.mappings.crf.schema import write_template
from app.mappings.crf.targets import ELEMENTS, targets_of
from app.mappings.ledger.entries import Entry
from app.simulation import simulate_participants
from app.simulation.case_report_forms import build_case_report_forms
from tests.crf_support import CRF, CSV, JSON, as_csv, as_json, map_record, record
from tests.feed_support import resource_of
from tests.ledger_support import assert_each_once, leaves_of, told, unexplained


def json_of(*records: Any, known: bool = True) -> list[Entry]:
    data = as_json(*records)
    leaves = leaves_of(data, JSON, CRF, known=known)
    assert_each_once(data, leaves)
    return leaves


def csv_of(data: bytes, *, known: bool = True) -> list[Entry]:
    return leaves_of(data, CSV, CRF, known=known)


@pytest.mark.parametrize("form", list(forms()))
def test_every_value_of_an_example_is_used_in_json_and_in_a_table(form: str) -> None:
    table = write_template(form, example=True).encode()
    for leaves in (json_of(record(form)), csv_of(table)):
        assert {each.verdict.kind for each in leaves} == {"mapped", "carried"}
        assert all(each.verdict.target and each.verdict.rule for each in leaves)


@pytest.mark.parametrize("form", list(forms()))
def test_the_columns_of_an_empty_template_are_leaves_too(form: str) -> None:
    leaves = csv_of(write_template(form).encode())
    assert len(leaves) == len(forms()[form].all_fields)
    assert unexplained(leaves) == []


def test_nothing_of_the_simulated_records_is_unexplained() -> None:
    for participant in simulate_participants(1, seed=4):
        for message in build_case_report_forms(participant):
            leaves = leaves_of(message.payload, JSON, CRF)
            assert_each_once(message.payload, leaves)
            assert unexplained(leaves) == []


def test_a_value_is_told_by_pointer_bytes_and_target() -> None:
    data = as_json(record("bleeding"))
    found = {each.path: each for each in leaves_of(data, JSON, CRF)}
    site = found["/records/0/sites/1"]
    assert site.span is not None
    assert data[site.span.start : site.span.end] == b'"oral"'
    assert site.verdict == ("mapped", "content", "Observation.component")
    assert found["/records/0/recorded"].verdict.kind == "carried"


def test_one_record_alone_is_told_from_the_root() -> None:
    data = json.dumps(record("bleeding")).encode()
    leaves = leaves_of(data, JSON, CRF)
    assert_each_once(data, leaves)
    assert told(leaves)["/grade"] == "Observation.value[x]"


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_cell_is_told_by_row_column_and_bytes(charset: str, separator: str) -> None:
    data = as_csv([record("visit"), record("bleeding", grade=0, sites=None)], separator, charset)
    found = {each.path: each for each in csv_of(data)}
    assert found["header/column[1] form"].verdict.rule == "column"
    for path, text in (("row[2]/column[1] form", "visit"), ("row[3]/column[1] form", "bleeding")):
        span = found[path].span
        assert span is not None
        codec = "utf-16-le" if charset == "utf-16" else charset
        assert data[span.start : span.end].decode(codec) == text


def test_of_a_deletion_no_more_counts_than_which_record_it_is() -> None:
    found = told(json_of(record("bleeding", action="delete")))
    assert found["/records/0/grade"] == "deletion"
    assert found["/records/0/record"] == "Observation.id, Observation.identifier"


def test_a_record_of_nobody_waits_and_only_its_subject_counts() -> None:
    leaves = json_of(record("bleeding"), known=False)
    mapped = [each.path for each in leaves if each.verdict.kind == "mapped"]
    assert mapped == ["/records/0/subject"]
    assert {each.verdict.rule for each in leaves} == {"identity", "waiting"}


def test_a_record_that_fails_is_in_quarantine_and_its_neighbour_is_not() -> None:
    found = told(json_of(record("bleeding", grade=9), record("visit")))
    assert found["/records/0/grade"] == "quarantined"
    assert found["/records/1/visit"] == "Encounter.type"


def test_a_table_with_a_column_of_no_form_is_in_quarantine_and_its_name_is_not_shown() -> None:
    leaves = csv_of(b"form,subject,record,recorded,Zhang\r\nvisit,SSCI-001,1,2019-03-14,x\r\n")
    assert {each.verdict.rule for each in leaves} == {"quarantined"}
    assert len(leaves) == 10
    assert not any("Zhang" in each.path for each in leaves)


# The declared targets are where the fields go

OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "term": ({}, {"term": "Nausea"}),
    "ctcae_version": ({}, {"ctcae_version": "6.0"}),
    "grade": ({}, {"grade": 3}),
    "onset": ({}, {"onset": "2019-03-01"}),
    "end": ({}, {"end": "2019-03-13"}),
    "serious": ({}, {"serious": True, "seriousness_criteria": ["hospitalization"]}),
    "seriousness_criteria": (
        {"serious": True, "seriousness_criteria": ["hospitalization"]},
        {"serious": True, "seriousness_criteria": ["life-threatening"]},
    ),
    "causality": ({}, {"causality": "not-related"}),
    "expected": ({}, {"expected": False}),
    "action_taken": ({}, {"action_taken": "drug-withdrawn"}),
    "outcome": ({}, {"outcome": "recovered-with-sequelae"}),
    "first_recorded": ({}, {"first_recorded": "2019-03-10"}),
    "instrument": (
        {"items": None, "total": 0},
        {"items": None, "total": 0, "instrument": "ESSDAI"},
    ),
    "assessed_on": ({}, {"assessed_on": "2019-03-13"}),
    "assessed": (
        {},
        dict.fromkeys(("total", "items", "platelet_item", "grade", "sites")) | {"assessed": False},
    ),
    "total": (
        {"items": None, "platelet_item": 1, "total": 7},
        {"items": None, "platelet_item": 1, "total": 8},
    ),
    "items": ({}, {"items": {"arthritis": 4, "low-complement": 2, "fever": 1}}),
    "platelet_item": (
        {"items": None, "platelet_item": 1},
        {"items": None, "platelet_item": 0},
    ),
    "sites": ({}, {"sites": ["skin"]}),
    "start": ({}, {"start": "2019-03-10"}),
    "amount": ({}, {"amount": 25}),
    "unit": ({}, {"unit": "mg"}),
    "daily_mg": ({}, {"daily_mg": 3}),
    "source": (
        {},
        {"source": "pill-count", "taken": None, "dose_mg": None, "end": "2019-03-14",
         "dispensed": 10, "returned": 2, "tablet_mg": 1},
    ),
    "taken": ({}, {"taken": False, "dose_mg": None}),
    "dose_mg": ({}, {"dose_mg": 2}),
    "visit": ({}, {"visit": "M2"}),
    "date": ({}, {"date": "2019-03-13"}),
}  # fmt: skip
"""Field → the record it is changed in, and the change."""
COUNT = {
    "source": "pill-count", "taken": None, "dose_mg": None, "start": "2019-03-10",
    "end": "2019-03-14", "dispensed": 10, "returned": 2, "tablet_mg": 1,
}  # fmt: skip
OF_FORM: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("bleeding", "grade"): ({}, {"grade": 2}),
    ("rescue-treatment", "treatment"): ({}, {"treatment": "platelet-transfusion"}),
    ("concomitant-treatment", "treatment"): ({}, {"treatment": "methylprednisolone"}),
    ("concomitant-treatment", "start"): ({}, {"start": "2019-01-04"}),
    ("concomitant-treatment", "end"): ({}, {"end": "2019-03-01"}),
    ("prescription", "treatment"): ({}, {"treatment": "prednisone"}),
    ("prescription", "end"): ({}, {"end": "2019-03-20"}),
    ("prescription", "status"): ({}, {"status": "stopped"}),
    ("rescue-treatment", "end"): ({}, {"end": "2019-03-14"}),
    ("home-dose", "end"): (COUNT, COUNT | {"end": "2019-03-13"}),
    ("home-dose", "dispensed"): (COUNT, COUNT | {"dispensed": 11}),
    ("home-dose", "returned"): (COUNT, COUNT | {"returned": 3}),
    ("home-dose", "tablet_mg"): (COUNT, COUNT | {"tablet_mg": 2}),
    ("visit", "status"): ({}, {"status": "missed"}),
}


@pytest.mark.parametrize("form", list(forms()))
def test_every_field_of_a_form_has_a_target_and_no_other_has(form: str) -> None:
    assert set(targets_of(form)) == {each.name for each in forms()[form].all_fields}


CHANGED = [
    (form, field) for form, fields in ELEMENTS.items() for field in fields if form != "disposition"
]


@pytest.mark.parametrize(("form", "field"), CHANGED)
def test_a_changed_field_changes_the_element_that_it_is_said_to_go_into(
    form: str, field: str
) -> None:
    before, after = OF_FORM.get((form, field)) or OTHERS[field]
    one, other = (resource_of(map_record(form, **change)) for change in (before, after))
    differing = {_general(key) for key in {*one, *other} if one.get(key) != other.get(key)}
    declared = {
        part.split("(")[0].split(".")[1]
        for part in targets_of(form)[field].element.split(", ")
    }  # fmt: skip
    assert declared <= differing, differing


def _general(key: str) -> str:
    for choice in ("value", "effective", "medication"):
        if key.startswith(choice):
            return f"{choice}[x]"
    return key
