"""One participant's timeline: everything known under the two clocks, with its source. The first
dose is on 2019-01-01, which is study day 1; the cut is the end of 2030-01-01."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest

from app.endpoints.analyses.timeline import compute_timeline
from app.endpoints.reading.records import Attendance, Cut, Source
from app.endpoints.timeline_schemas import Timeline
from tests.activity_support import read_scores
from tests.endpoint_support import (
    ZONE,
    ask,
    clinical_time,
    enrol_all,
    read_counts,
    read_doses,
    read_subjects,
    read_treatments,
)
from tests.event_support import read_events
from tests.response_support import day, read_bleeding

DOSES = """
    taken            | last       | mg | status   | origin     | total | id
    2019-01-01T08:00 |            | 3  |          |            |       | a
    2019-01-02T08:00 |            | 1  |          |            |       | b
    2019-01-03T08:00 |            | 1  |          |            |       | c
    2019-01-04       |            |    | not-done | diary      |       | d
    2019-01-05       | 2019-01-08 |    |          | pill-count | 6     | e
    2019-01          |            | 1  |          |            |       | f
"""
COUNTS = """
    collected        | value | comparator | id
    2018-12-30       | 20    |            | base
    2019-01-31T09:00 | 150   |            | m1
    2019-03-03       | 2     | <          | bound
    2019-03          | 90    |            | vague
"""


def tell(*records, number="SSCI-001", cut=None):
    asked = ask("platelet-change", records, population="enrolled", view=f"timeline:{number}")
    request = asked.request if cut is None else replace(asked.request, cut=cut)
    told = json.loads(compute_timeline(request, asked.tables))
    Timeline.model_validate(told)
    return told


def course(*more, doses=DOSES, counts=COUNTS):
    return (*enrol_all(read_doses(doses)), *read_doses(doses), *read_counts(counts), *more)


def attendance(visit, on, status="finished"):
    return Attendance("SSCI-001", clinical_time(on), Source("Encounter", visit, 1), visit, status)


def test_days_with_equal_doses_of_one_origin_are_one_run_with_all_their_sources():
    runs = tell(*course())["doses"]
    assert [(each["date"], each["last"]["date"], each["days"], each["mg"]) for each in runs] == [
        ("2019-01-01", "2019-01-01", 1, 3),
        ("2019-01-02", "2019-01-03", 2, 1),
        ("2019-01-04", "2019-01-04", 1, 0),
        ("2019-01-05", "2019-01-08", 4, 1.5),
    ]
    assert [each["resource"] for each in runs[1]["sources"]] == [
        "MedicationAdministration/b",
        "MedicationAdministration/c",
    ]
    assert [each["origin"] for each in runs] == ["hospital", "hospital", "diary", "pill-count"]


def test_a_day_that_nothing_tells_ends_a_run():
    doses = "taken | mg\n2019-01-01 | 1\n2019-01-02 | 1\n2019-01-04 | 1"
    runs = tell(*course(doses=doses))["doses"]
    assert [(each["studyDay"], each["days"]) for each in runs] == [(1, 2), (4, 1)]


def test_equal_doses_of_two_origins_are_two_runs():
    doses = "taken | mg | origin\n2019-01-01 | 1 |\n2019-01-02 | 1 | diary"
    runs = tell(*course(doses=doses))["doses"]
    assert [(each["origin"], each["days"]) for each in runs] == [("hospital", 1), ("diary", 1)]


def test_a_dose_that_tells_of_no_day_is_listed_with_the_reason():
    [left] = tell(*course())["dosesNotUsed"]
    assert (left["resource"], left["date"], left["studyDay"]) == (
        "MedicationAdministration/f",
        "2019-01",
        None,
    )
    assert left["notUsed"] == "date not known to the day"


def test_a_count_says_what_it_is_used_as_and_what_response_it_is():
    found = {each["resource"]: each for each in tell(*course())["platelets"]}
    base, month = found["Observation/base"], found["Observation/m1"]
    assert (base["studyDay"], base["elapsed"], base["usedAs"]) == (-2, -2, "baseline")
    assert (month["studyDay"], month["elapsed"], month["usedAs"]) == (31, 30, "M1")
    assert (month["value"], month["response"], month["time"]) == (
        150,
        "CR",
        "2019-01-31T09:00:00+08:00",
    )
    assert month["url"] == "/fhir/Observation/m1/_history/1"


def test_a_count_that_no_figure_uses_is_told_as_written_without_a_number():
    found = {each["resource"]: each for each in tell(*course())["platelets"]}
    bound, vague = found["Observation/bound"], found["Observation/vague"]
    assert (bound["value"], bound["written"]) == (None, "<2")
    assert bound["notUsed"]
    assert (vague["date"], vague["studyDay"], vague["value"]) == ("2019-03", None, None)


def test_counts_after_rescue_treatment_are_marked_and_the_rescue_is_intercurrent():
    rescue = read_treatments("given | kind | group\n2019-01-20 | rescue | ivig")
    told = tell(*course(*rescue))
    after = {each["resource"]: each["afterRescue"] for each in told["platelets"]}
    assert (after["Observation/base"], after["Observation/m1"]) == (False, True)
    assert [each["intercurrent"] for each in told["treatments"]] == [True]
    assert told["responses"][0]["why"] == "after rescue treatment"


def test_the_response_of_each_visit_names_its_count():
    found = tell(*course())["responses"]
    assert [each["visit"] for each in found] == ["M1", "M2", "M4", "M6", "M12"]
    assert (found[0]["response"], found[0]["why"]) == ("CR", None)
    assert found[0]["count"]["resource"] == "Observation/m1"
    assert found[0]["target"] == {"date": "2019-01-31", "studyDay": 31}
    assert found[1] == found[1] | {"response": None, "why": "no valid count in the window"}


def test_a_level_says_what_it_is_as_a_trough():
    levels = read_counts("collected | value\n2019-01-03T07:00 | 8\n2019-01-07 | 4", "sirolimus")
    first, second = tell(*course(*levels))["levels"]
    assert (first["value"], first["place"], first["hoursAfterDose"]) == (8, "inside", 23)
    assert first["trough"] == first["notUsed"] == "not steady state"
    assert (second["place"], second["trough"]) == ("below", "timing unknown")


def test_what_was_seen_beside_counts_and_doses_is_there_with_its_source():
    told = tell(
        *course(
            *read_events(
                "onset | ended | term | grade | serious\n2019-01-20 | 2019-01-25 | Rash | 2 | no"
            ),
            *read_bleeding("subject | on | grade\nSSCI-001 | 30 | 1"),
            *read_scores("assessed | value\n2019-01-31 | 4"),
            attendance("M1", "2019-01-31"),
            attendance("M2", "2019-03-01", "cancelled"),
        )
    )
    [event], [bleeding], [score] = told["adverseEvents"], told["bleeding"], told["activity"]
    assert (event["term"], event["studyDay"], event["last"]["studyDay"]) == ("Rash", 20, 25)
    assert (bleeding["grade"], bleeding["studyDay"]) == (1, 31)
    assert (score["instrument"], score["value"]) == ("SLEDAI-2K", 4)
    assert [(each["visit"], bool(each["notUsed"])) for each in told["visits"]] == [
        ("M1", False),
        ("M2", True),
    ]


def test_nothing_of_a_period_is_told_that_came_after_the_cutoff():
    """Known at once, but after the data cut of 2019-02-01: an end, an outcome, a withdrawal."""
    cut = Cut("2019-02-01", datetime(2019, 2, 2, tzinfo=ZONE), datetime(2030, 1, 2, tzinfo=ZONE))
    enrolled = read_subjects(
        "subject | consent | status | ended | reason\nSSCI-001 | yes | withdrawn | 2019-04-01 | own"
    )
    told = tell(
        *enrolled,
        *read_doses("taken | mg\n2019-01-01 | 1"),
        *read_treatments(
            "given | last | kind | group\n2018-12-01 | 2019-03-01 | background | steroid"
        ),
        *read_events("onset | ended | term | outcome\n2019-01-20 | 2019-03-01 | Rash | resolved"),
        cut=cut,
    )
    assert [each["last"] for each in (*told["treatments"], *told["adverseEvents"])] == [None, None]
    assert told["adverseEvents"][0]["outcome"] is None
    participation = told["participation"]
    assert [participation[name] for name in ("ended", "reason")] == [None] * 2
    assert participation["status"] == "on-study"


def test_participation_tells_first_and_last_dose_and_its_end():
    enrolled = read_subjects(
        "subject | consent | status | ended | reason\nSSCI-001 | yes | withdrawn | 2019-04-01 | own"
    )
    told = tell(*enrolled, *read_doses(DOSES))["participation"]
    assert told["firstDose"] == {"date": "2019-01-01", "studyDay": 1}
    assert told["lastDose"] == {"date": "2019-01-08", "studyDay": 8}
    assert told["ended"] == {"date": "2019-04-01", "studyDay": 91}
    assert told["sirolimusStopped"]["why"] == "participation ended early"
    assert (told["status"], told["reason"]) == ("withdrawn", "own")


def test_without_a_first_dose_dates_are_told_and_study_days_are_not():
    counts = read_counts("collected | value\n2019-01-31 | 20")
    told = tell(*enrol_all(counts), *counts, *read_doses("taken | mg\n2019-01 | 1"))
    assert [(each["date"], each["studyDay"]) for each in told["platelets"]] == [
        ("2019-01-31", None)
    ]
    assert told["doses"] == []
    assert [each["notUsed"] for each in told["dosesNotUsed"]] == ["no first dose known to the day"]
    assert {each["target"] for each in told["responses"]} == {None}


@pytest.mark.parametrize("records", [(), read_subjects("subject | consent\nSSCI-002 | yes")])
def test_of_whom_nothing_is_known_every_list_is_empty(records):
    told = tell(*records)
    assert told["participation"] is None
    assert [each for each in told.values() if isinstance(each, list) and each] == []


def test_the_order_of_rows_changes_no_byte():
    more = (*read_treatments("given\n2019-01-20"), *read_bleeding("subject | on\nSSCI-001 | 3"))
    records = course(*more, attendance("M1", day(30)))
    assert tell(*records) == tell(*records[::-1])
