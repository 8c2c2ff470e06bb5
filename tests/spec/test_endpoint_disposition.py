"""Disposition of seven participants, checked on paper. Day 0 is 2019-01-01 for everyone.

001  treated, eligible, month 1 attended, completed
002  treated, age overridden, withdrawn for an adverse event on day 40
003  treated, lost to follow-up on day 100, no attendance
004  enrolled, eligible, never treated, on study
005  screen failure
006  no consent on record
007  treated (month known only), on study
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from tests.deviation_support import read_attendances, read_eligibility
from tests.endpoint_support import (
    CUT,
    ZONE,
    answer,
    ask,
    read_doses,
    read_subjects,
    subject_answer,
)

SUBJECTS = read_subjects(
    """
    subject  | consent | status     | ended      | reason
    SSCI-001 | yes     | off-study  | 2020-02-01 | follow-up-completed
    SSCI-002 | yes     | withdrawn  | 2019-02-10 | adverse-event
    SSCI-003 | yes     | withdrawn  | 2019-04-11 | lost-to-follow-up
    SSCI-004 | yes     | on-study   |            |
    SSCI-005 | yes     | ineligible | 2018-12-20 | criteria-not-met
    SSCI-006 | no      | on-study   |            |
    SSCI-007 | yes     | on-study   |            |
    """
)
DOSES = read_doses(
    """
    subject  | taken      | mg
    SSCI-001 | 2019-01-01 | 2
    SSCI-002 | 2019-01-01 | 2
    SSCI-003 | 2019-01-01 | 2
    SSCI-007 | 2019-01    | 2
    """
)
ELIGIBILITY = read_eligibility(
    """
    subject  | age
    SSCI-001 | met
    SSCI-002 | overridden
    SSCI-003 | met
    SSCI-004 | met
    SSCI-005 | not-met
    """
)
VISITS = read_attendances(
    """
    subject  | visit | on
    SSCI-001 | M1    | 2019-01-31
    SSCI-002 | M1    | 2019-02-02
    """
)
RECORDS = (*SUBJECTS, *DOSES, *ELIGIBILITY, *VISITS)


@pytest.fixture(scope="module")
def told():
    return answer(ask("disposition", RECORDS))


def numbers(entries):
    return {each["name"]: each["n"] for each in entries}


def test_the_flow_from_screening_to_treatment(told):
    assert numbers(told["flow"]) == {"screened": 7, "enrolled": 6, "eligible": 3, "treated": 4}
    assert told["flow"][2]["notEligible"] == {
        "criterion age: not-met": 1,
        "criterion age: overridden": 1,
        "eligibility not recorded": 1,
    }


def test_who_came_to_each_visit_of_those_whose_visit_was_due(told):
    """Month 1: 002 came on day 32 of 40, 003 did not. Month 2 (up to day 68 in its tolerance): 002
    was gone, 001 and 003 missed it. Month 4 (day 136), month 12 (day 395): only 001, who left on
    day 396, was there to miss them."""
    found = {
        each["visit"]: (
            each["present"]["n"],
            each["present"]["of"],
            each["missed"],
            each["notDue"],
            each["notPlaced"],
        )
        for each in told["visits"]
    }
    assert found["M1"] == (2, 3, 1, 0, 3)
    assert found["M2"] == (0, 2, 2, 1, 3)
    assert found["M4"] == (0, 1, 1, 2, 3)
    assert found["M12"] == (0, 1, 1, 2, 3)


def test_everyones_participation_ends_in_one_way(told):
    assert numbers(told["endings"]) == {
        "completed": 1,
        "lost to follow-up": 1,
        "withdrawn": 1,
        "screen failure": 1,
        "ended otherwise": 0,
        "ongoing": 2,
        "no record of participation": 0,
    }
    withdrawn = next(each for each in told["endings"] if each["name"] == "withdrawn")
    assert withdrawn["byReason"] == {"adverse-event": 1}


def test_an_end_after_the_data_cut_has_not_happened():
    """At the end of 2019-03-31 001 and 003 were still on study."""
    asked = ask("disposition", RECORDS)
    cut = replace(CUT, cutoff="2019-03-31", before=datetime(2019, 4, 1, tzinfo=ZONE))
    told = answer(replace(asked, request=replace(asked.request, cut=cut)))
    found = numbers(told["endings"])
    assert (found["completed"], found["lost to follow-up"], found["ongoing"]) == (0, 0, 4)


def test_a_cut_after_the_last_event_equals_no_cut(told):
    asked = ask("disposition", RECORDS)
    cut = replace(CUT, before=datetime(2020, 2, 2, tzinfo=ZONE))
    assert answer(replace(asked, request=replace(asked.request, cut=cut))) == told


def test_each_population_is_counted_with_the_reasons_of_the_others(told):
    assert numbers(told["populations"]) == {
        "enrolled": 6,
        "safety": 4,
        "efficacy": 4,
        "eligible": 3,
        "per-protocol": 0,
    }
    per_protocol = next(each for each in told["populations"] if each["name"] == "per-protocol")
    assert per_protocol["excluded"] == {
        "adherence to M6 below 80 %": 3,
        "date of the first dose not known to the day": 1,
        "no sirolimus dose with an amount above 0": 2,
    }


def test_sirolimus_ended_with_participation(told):
    assert told["treatment"] == {
        "treated": 4,
        "stopped": 2,
        "notStopped": 2,
        "firstSign": {"participation ended early": 2},
    }


def test_each_participant_is_told_with_the_populations():
    rows = subject_answer(ask("disposition", RECORDS))
    first = rows["subjects"][0]
    assert first["populations"] == ["enrolled", "safety", "efficacy", "eligible"]
    assert (first["ending"], first["DCSREAS"]) == ("completed", "follow-up-completed")
    assert {row["finding"] for row in rows["rows"] if row["USUBJID"] == "SSCI-001"} == {
        "held",
        "missed",
    }


def test_no_participant_gives_a_defined_answer():
    told = answer(ask("disposition", ()))
    assert numbers(told["flow"]) == {"screened": 0, "enrolled": 0, "eligible": 0, "treated": 0}
    assert told["visits"][0]["present"]["percent"] is None


def test_the_order_of_records_changes_nothing(told):
    assert answer(ask("disposition", RECORDS[::-1])) == told
