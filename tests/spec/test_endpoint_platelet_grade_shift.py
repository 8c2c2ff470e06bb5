"""Shifts of the platelet grade over a cohort that can be checked on paper.

Grade 0 from 100, 1 below 100, 2 below 75, 3 below 50, 4 below 25.

         baseline   M1        M2       worst afterwards
    001  20 (4)     30 (3)    120 (0)  30 (3)
    002  60 (2)     10 (4)    –        10 (4)
    003  24.9 (4)   25 (3)    100 (0)  25 (3)
    004  – (–)      49.9 (3)  50 (2)   49.9 (3)
    005  75 (1)     –         –        – (–)
"""

from __future__ import annotations

import numpy as np
import pytest

from app.endpoints.cohort.grades import MISSING, grade_values
from tests.endpoint_support import answer, ask, read_treatments, subject_answer, visit_of
from tests.response_support import read_courses

ENDPOINT = "platelet-grade-shift"

COURSES = """
    subject  | base | M1   | M2
    SSCI-001 | 20   | 30   | 120
    SSCI-002 | 60   | 10   |
    SSCI-003 | 24.9 | 25   | 100
    SSCI-004 |      | 49.9 | 50
    SSCI-005 | 75   |      |
"""


@pytest.fixture(scope="module")
def told():
    return answer(ask(ENDPOINT, read_courses(COURSES)))


def moves(shift):
    """(from, to) of every pair of grades that somebody has."""
    return {
        (row["name"].removeprefix("baseline "), to["level"]): to["participants"]
        for row in shift["shifts"]
        for to in row["to"]
        if to["participants"]
    }


@pytest.mark.parametrize(
    ("value", "grade"),
    [
        (100, 0),
        (99.9, 1),
        (75, 1),
        (74.9, 2),
        (50, 2),
        (49.9, 3),
        (25, 3),
        (24.9, 4),
        (0, 4),
        (np.nan, MISSING),
    ],
)
def test_a_count_has_the_grade_of_the_limits_it_lies_below(value, grade):
    asked = ask(ENDPOINT, ())
    assert grade_values(asked.cohort, np.array([float(value)])).tolist() == [grade]


def test_baseline_grades(told):
    assert {each["level"]: each["participants"] for each in told["baseline"]} == {
        "grade 0": 0,
        "grade 1": 1,
        "grade 2": 1,
        "grade 3": 0,
        "grade 4": 2,
        "missing": 1,
    }


def test_the_worst_grade_afterwards_stands_against_the_baseline(told):
    assert moves(told["worst"]) == {
        ("grade 4", "grade 3"): 2,
        ("grade 2", "grade 4"): 1,
        ("missing", "grade 3"): 1,
        ("grade 1", "missing"): 1,
    }


def test_improved_and_worsened_are_of_those_with_both_grades(told):
    """Of three 001 and 003 improved, 002 worsened; 2 of 3: 9.43 to 99.16 %, by R's binom.test."""
    worst = told["worst"]
    assert worst["n"] == 3
    assert [worst[name]["n"] for name in ("improved", "unchanged", "worsened")] == [2, 0, 1]
    assert round(worst["improved"]["ciLow"], 2) == 9.43
    assert round(worst["improved"]["ciHigh"], 2) == 99.16


def test_each_visit_has_its_own_shift(told):
    assert moves(visit_of(told, "M2")) == {
        ("grade 4", "grade 0"): 2,
        ("missing", "grade 2"): 1,
        ("grade 2", "missing"): 1,
        ("grade 1", "missing"): 1,
    }
    assert visit_of(told, "M12")["n"] == 0


def test_every_member_stands_in_every_table_once(told):
    for shift in (told["worst"], *told["visits"]):
        assert sum(row["participants"] for row in shift["shifts"]) == told["n"] == 5


def test_counts_after_rescue_are_used():
    rescue = read_treatments("subject | given \n SSCI-002 | 2019-01-10")
    told = answer(ask(ENDPOINT, (*read_courses(COURSES), *rescue)))
    assert moves(told["worst"])[("grade 2", "grade 4")] == 1


def test_each_count_is_a_row_with_its_grade():
    courses = "subject | base | M1 | d31 | d500 \n SSCI-001 | 20 | 30 | 40 | 8"
    rows = subject_answer(ask(ENDPOINT, read_courses(courses)))["rows"]
    told = [(row["ATOXGR"], row["BTOXGR"], row["WORSTFL"], row["notUsed"]) for row in rows]
    assert told == [
        (4, 4, None, None),
        (3, 4, None, None),
        (3, 4, None, "no visit's count, and not the worst"),
        (4, 4, "Y", None),
    ]


def test_who_has_no_count_after_the_first_dose_is_missing():
    (subject,) = subject_answer(ask(ENDPOINT, read_courses("subject | base \n SSCI-001 | 20")))[
        "subjects"
    ]
    assert (subject["BTOXGR"], subject["worstATOXGR"]) == (4, None)
    assert subject["SHIFT1"] == "grade 4 to missing"


def test_only_the_visit_that_was_asked_for_is_told():
    told = answer(ask(ENDPOINT, read_courses(COURSES), visit="M2"))
    assert [each["visit"] for each in told["visits"]] == ["M2"]


def test_of_nobody_there_is_no_share():
    worst = answer(ask(ENDPOINT, ()))["worst"]
    assert (worst["n"], worst["improved"]["percent"]) == (0, None)
    assert worst["improved"]["reasons"]["percent"] == "no participants"
