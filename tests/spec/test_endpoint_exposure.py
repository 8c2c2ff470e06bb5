"""Exposure and adherence of three participants that can be checked on paper. Day 0 is 2019-01-01.

001  2, 2, 2 mg in hospital; diary 1, 1, missed, 1 (days 3-6); pill count 14 mg over days 7-20;
     prescribed 2 mg from day 10; hospital 2 mg on day 15; last day 20
002  2, 2, 1 mg in hospital on days 0, 1, 2; nothing more
003  enrolled, never dosed
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime

import pytest

from tests.endpoint_support import (
    CUT,
    ZONE,
    answer,
    ask,
    read_counts,
    read_doses,
    read_subjects,
    read_treatments,
    subject_answer,
)

SUBJECTS = """
    subject  | consent
    SSCI-001 | yes
    SSCI-002 | yes
    SSCI-003 | yes
"""

DOSES = """
    subject  | taken            | last       | mg | status    | origin     | total
    SSCI-001 | 2019-01-01T08:00 |            | 2  | completed |            |
    SSCI-001 | 2019-01-02T08:00 |            | 2  | completed |            |
    SSCI-001 | 2019-01-03T08:00 |            | 2  | completed |            |
    SSCI-001 | 2019-01-04       |            | 1  | completed | diary      |
    SSCI-001 | 2019-01-05       |            | 1  | completed | diary      |
    SSCI-001 | 2019-01-06       |            |    | not-done  | diary      |
    SSCI-001 | 2019-01-07       |            | 1  | completed | diary      |
    SSCI-001 | 2019-01-08       | 2019-01-21 |    | completed | pill-count | 14
    SSCI-001 | 2019-01-16T08:00 |            | 2  | completed |            |
    SSCI-002 | 2019-01-01T08:00 |            | 2  | completed |            |
    SSCI-002 | 2019-01-02T08:00 |            | 2  | completed |            |
    SSCI-002 | 2019-01-03T08:00 |            | 1  | completed |            |
"""

PRESCRIBED = """
    subject  | given      | last       | kind       | group            | status | daily
    SSCI-001 | 2019-01-01 | 2019-01-03 | prescribed | study-medication | active | 2
    SSCI-001 | 2019-01-04 | 2019-01-10 | prescribed | study-medication | active | 1
    SSCI-001 | 2019-01-11 | -          | prescribed | study-medication | active | 2
"""


SEEN = """
    subject  | collected  | value
    SSCI-001 | 2019-07-20 | 50
    SSCI-002 | 2019-07-20 | 50
"""
"""Both are seen on day 200."""


def records(doses=DOSES, prescribed=PRESCRIBED, subjects=SUBJECTS):
    told = (*read_subjects(subjects), *read_doses(doses), *read_treatments(prescribed))
    return (*told, *read_counts(SEEN)) if subjects == SUBJECTS else told


def exposure(doses=DOSES, prescribed=PRESCRIBED, **asked):
    return answer(ask("exposure", records(doses, prescribed), **asked))


def one(doses, prescribed="subject"):
    """The entry of the only participant, dosed in hospital on days 0 to 2 by default."""
    subjects = "subject | consent \n SSCI-001 | yes"
    told = subject_answer(ask("exposure", records(doses, prescribed, subjects)))
    return told["subjects"][0], told["rows"]


@pytest.fixture(scope="module")
def told():
    return exposure()


def named(entries, name, key="name"):
    return next(each for each in entries if each[key] == name)


def test_duration_runs_from_the_first_to_the_last_day_with_a_dose(told):
    """001: days 0-20 are 21; 002: days 0-2 are 3. Mean 12, range 3-21."""
    figures = told["duration"]
    assert (figures["n"], figures["mean"], figures["min"], figures["max"]) == (2, 12.0, 3.0, 21.0)


def test_cumulative_dose_counts_a_day_by_one_origin(told):
    """001: 6 in hospital, 3 by diary, 13 of 14 shares of 1 mg, 2 in hospital: 24. 002: 5."""
    assert (told["cumulative"]["max"], told["cumulative"]["min"]) == (24.0, 5.0)
    assert [(each["name"], each["days"], each["mg"]) for each in told["origins"]] == [
        ("hospital", 7, 13.0),
        ("diary", 3, 3.0),
        ("pill-count", 13, 13.0),
    ]
    assert told["records"]["mgOfPillCountsToldOtherwise"] == 1.0


def test_mean_daily_dose_is_over_the_whole_duration(told):
    """24/21 = 1.142857143 and 5/3 = 1.666666667."""
    assert (told["meanDaily"]["min"], told["meanDaily"]["max"]) == (1.142857143, 1.666666667)


def test_days_are_told_apart_by_what_is_known_of_them(told):
    assert told["days"] == {
        "onTreatment": 24,
        "taken": 23,
        "toldNotTaken": 1,
        "unrecorded": 0,
        "unrecordedRuns": 0,
        "longestUnrecordedRun": 0,
    }


def test_dose_levels_are_those_known_by_the_day(told):
    """2 mg: 001 on days 0-2 and 15, 002 on days 0-1; 1 mg: 001's diary, 002's day 2."""
    levels = [(each["level"], each["participants"], each["days"]) for each in told["doseLevels"]]
    assert levels == [("1 mg", 2, 4), ("2 mg", 2, 6)]
    assert [each["lastKnown"] for each in told["doseLevels"]] == [1, 1]


def test_adherence_on_treatment_is_held_against_loading_maintenance_and_prescription(told):
    """001 expected: 3 x 2 + 7 x 1 (days 3-9) + 11 x 2 (days 10-20) = 35, taken 24: 68.57 %.

    002 expected 6, taken 5: 83.33 %.
    """
    figures = named(told["adherence"]["periods"], "on treatment")
    assert figures["percent"]["min"] == pytest.approx(100 * 24 / 35)
    assert figures["percent"]["max"] == pytest.approx(100 * 5 / 6)
    assert (figures["mgTaken"], figures["mgExpected"]) == (29.0, 41.0)
    adherent = figures["adherent"]
    assert (adherent["minimum"], adherent["n"], adherent["of"]) == (80.0, 1, 2)
    assert adherent["percent"] == 50.0


def test_adherence_to_month_6_goes_on_after_the_last_dose(told):
    """Days 0-182. 001: 6 + 7 + 173 x 2 = 359; 002 (nothing prescribed): 6 + 180 x 1 = 186."""
    figures = named(told["adherence"]["periods"], "to M6")
    assert figures["mgExpected"] == 359.0 + 186.0
    assert figures["percent"]["max"] == pytest.approx(100 * 24 / 359)
    assert figures["unrecordedDays"] == 162 + 180


def test_recorded_days_only_leaves_the_others_out_of_both_sums(told):
    """To month 6: 001 24/35, 002 5/6: as on treatment, where every day is recorded."""
    figures = named(told["adherence"]["periods"], "to M6")["recordedDaysOnly"]
    assert figures["min"] == pytest.approx(100 * 24 / 35)
    assert figures["max"] == pytest.approx(100 * 5 / 6)


def test_the_planned_step_to_maintenance_is_no_change_and_an_increase_is(told):
    assert told["changes"] == [
        {"name": "increase", "participants": 1, "events": 1},
        {"name": "reduction", "participants": 0, "events": 0},
        {"name": "to no dose", "participants": 0, "events": 0},
    ]


def test_where_nothing_is_prescribed_changes_are_those_of_the_dose_taken():
    """1 mg maintenance taken as 2 on day 3 (increase), as 1 on day 5 (reduction)."""
    doses = """
        taken      | mg
        2019-01-01 | 2
        2019-01-04 | 2
        2019-01-06 | 1
    """
    subject, _ = one(doses)
    changes = [(each["elapsed"], each["before"], each["after"]) for each in subject["changes"]]
    assert changes == [(3, 1.0, 2.0), (5, 2.0, 1.0)]


def test_an_open_loading_prescription_ends_with_the_loading_days():
    """Expected on days 0-4: 2, 2, 2, 1, 1 = 8."""
    doses = "taken | mg \n 2019-01-01 | 2 \n 2019-01-05 | 1"
    open_end = (
        "given | last | kind | group | daily \n 2019-01-01 | - | prescribed | study-medication | 2"
    )
    assert one(doses, open_end)[0]["adherence"]["mgExpected"] == 8.0


def test_a_stopped_prescription_asks_for_nothing_from_the_day_after():
    """1 mg from day 3, stopped after day 4: days 0-9 ask for 6 + 2 = 8 mg."""
    doses = "taken | mg \n 2019-01-01 | 2 \n 2019-01-10 | 1"
    stopped = """
        given      | last       | kind       | group            | status  | daily
        2019-01-04 | 2019-01-05 | prescribed | study-medication | stopped | 1
    """
    subject, _ = one(doses, stopped)
    assert subject["adherence"]["mgExpected"] == 8.0
    assert [(each["elapsed"], each["after"]) for each in subject["changes"]] == [(5, 0.0)]


def test_a_completed_prescription_holds_until_the_next_one_begins():
    """2 mg from day 3 to day 4, completed: days 0-9 ask for 6 + 7 x 2 = 20 mg."""
    doses = "taken | mg \n 2019-01-01 | 2 \n 2019-01-10 | 1"
    done = """
        given      | last       | kind       | group            | status    | daily
        2019-01-04 | 2019-01-05 | prescribed | study-medication | completed | 2
    """
    assert one(doses, done)[0]["adherence"]["mgExpected"] == 20.0


@pytest.mark.parametrize(
    ("second", "cumulative", "reason"),
    [
        ("2019-01-01 | 5 | completed | diary", 2.0, "a hospital record tells the day"),
        ("2019-01-01 | 1 | entered-in-error |", 2.0, "status does not say that it was taken"),
        ("2019-01-01 | | completed |", 2.0, "no amount in mg"),
        ("2019-01-01 | 1 | completed |", 3.0, None),
        ("2019-01 | 1 | completed |", 2.0, "date not known to the day"),
        ("2019-01-01 | | not-done |", 2.0, "another record says that the day's dose was taken"),
    ],
)
def test_each_record_of_a_day_counts_once_or_says_why_not(second, cumulative, reason):
    doses = "taken | mg | status | origin \n 2019-01-01T08:00 | 2 | completed | \n" + second
    subject, rows = one(doses)
    assert subject["cumulative"] == cumulative
    assert sorted(filter(None, (row["notUsed"] for row in rows))) == ([reason] if reason else [])


def test_of_two_diary_entries_of_a_day_the_higher_one_tells_it():
    doses = """
        taken      | mg | origin
        2019-01-01 | 2  |
        2019-01-02 | 1  | diary
        2019-01-02 | 2  | diary
    """
    subject, rows = one(doses)
    assert subject["cumulative"] == 4.0
    assert [row["notUsed"] for row in rows if row["notUsed"]] == [
        "another diary record tells the day"
    ]


def test_a_dose_missed_in_the_diary_goes_before_a_pill_counts_share():
    """10 mg over days 1-10, of which day 5 is told as missed: 2 + 9."""
    doses = """
        taken      | last       | mg | status    | origin     | total
        2019-01-01 |            | 2  | completed |            |
        2019-01-02 | 2019-01-11 |    | completed | pill-count | 10
        2019-01-06 |            |    | not-done  | diary      |
    """
    assert one(doses)[0]["cumulative"] == 11.0


def test_nothing_given_in_hospital_says_nothing_of_a_dose_at_home():
    doses = """
        taken      | last       | mg | status    | origin     | total
        2019-01-01 |            | 2  | completed |            |
        2019-01-02 | 2019-01-11 |    | completed | pill-count | 10
        2019-01-06 |            |    | not-done  |            |
    """
    assert one(doses)[0]["cumulative"] == 12.0


def test_three_days_in_a_row_told_as_not_taken_are_an_interruption():
    days = "\n".join(f"2019-01-{day:02} | | not-done | diary" for day in (5, 6, 7, 10, 11))
    doses = f"""taken | mg | status | origin
        2019-01-01 | 2 | completed |
        {days}
        2019-01-15 | 1 | completed |"""
    subject, _ = one(doses)
    assert subject["interruptions"] == [{"day": "2019-01-05", "elapsed": 4, "days": 3}]
    assert subject["unrecordedDays"] == 15 - 2 - 5


def test_a_pill_count_is_cut_at_the_end_of_participation():
    """10 mg over days 1-10, participation ended on day 5: 2 + 5."""
    doses = """
        taken      | last       | mg | origin     | total
        2019-01-01 |            | 2  |            |
        2019-01-02 | 2019-01-11 |    | pill-count | 10
    """
    subjects = "subject | consent | status | ended \n SSCI-001 | yes | withdrawn | 2019-01-06"
    told = answer(ask("exposure", records(doses, "subject", subjects)))
    assert told["cumulative"]["mean"] == 7.0
    assert told["stops"] == {"participants": 1, "firstSign": {"participation ended early": 1}}


def test_a_participant_without_a_dated_dose_is_missing_with_the_reason():
    told = exposure("subject | taken | mg \n SSCI-001 | 2019-01 | 2", population="enrolled")
    assert told["missing"]["reasons"] == {
        "date of the first dose not known to the day": 1,
        "no sirolimus dose with an amount above 0": 2,
    }
    assert told["records"]["ofNobodyDosed"] == 1
    assert told["duration"]["reasons"]["mean"] == "no values"


def test_no_participant_gives_a_defined_answer():
    told = answer(ask("exposure", ()))
    assert (told["n"], told["doseLevels"]) == (0, [])
    assert named(told["adherence"]["periods"], "to M6")["adherent"]["percent"] is None


def test_the_order_of_records_changes_nothing():
    whole = records()
    first = answer(ask("exposure", whole))
    assert answer(ask("exposure", whole[::-1])) == first
    for turned in itertools.islice(itertools.permutations(whole[3:9]), 1, 720, 120):
        assert answer(ask("exposure", (*whole[:3], *turned, *whole[9:]))) == first


def test_a_cut_after_the_last_event_equals_no_cut(told):
    asked = ask("exposure", records())
    cut = replace(CUT, before=datetime(2019, 7, 21, tzinfo=ZONE))
    assert answer(replace(asked, request=replace(asked.request, cut=cut))) == told


def test_each_record_that_tells_a_day_is_an_input(told):
    mine = [each for each in told["inputs"]["listed"] if each["subject"] == "SSCI-001"]
    assert [each["usedAs"] for each in mine] == ["dose"] * 9 + ["prescription"] * 3
