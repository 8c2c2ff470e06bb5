"""First dose, baseline and visit windows of the platelet change: which count is which.

The first dose of these tables is on 2019-01-01 at 08:00 unless they give another.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.endpoint_support import ONE_DOSE, answer, build_request, candidates, subject_answer


def chosen(counts: str, doses: str = ONE_DOSE) -> dict[str, str]:
    rows = candidates(counts, doses)
    return {id_: row["AVISIT"] for id_, row in rows.items() if row["ANL01FL"] == "Y"}


def first_dose(doses: str) -> str | None:
    rows = subject_answer(build_request(doses=doses))["subjects"]
    return rows[0]["TRTSDT"] if rows else None


def test_the_first_dose_is_the_earliest_that_was_taken_with_an_amount():
    doses = """
        taken            | mg | status
        2018-12-28T08:00 | 2  | not-done
        2018-12-29T08:00 | 0  | completed
        2018-12-30T08:00 |    | completed
        2018-12-31T08:00 | 2  | entered-in-error
        2019-01-02T08:00 | 2  | completed
        2019-01-01T08:00 | 2  | stopped
    """
    assert first_dose(doses) == "2019-01-01"


@pytest.mark.parametrize("status", ["in-progress", "completed", "stopped"])
def test_a_dose_taken_at_least_in_part_is_a_first_dose(status):
    assert first_dose(f"taken | mg | status \n 2019-01-01 | 2 | {status}") == "2019-01-01"


@pytest.mark.parametrize("status", ["on-hold", "not-done", "entered-in-error", "unknown"])
def test_a_dose_not_taken_puts_nobody_into_the_efficacy_set(status):
    doses = f"taken | mg | status \n 2019-01-01 | 2 | {status}"
    assert answer(build_request(doses=doses))["population"]["n"] == 0


def test_a_first_dose_known_to_the_month_gives_no_windows():
    doses = "taken | mg \n 2019-01 | 2"
    counts = "id | collected | value \n a | 2019-01-31 | 30"
    told = answer(build_request(counts, doses))
    assert told["population"]["n"] == 1
    reason = "date of the first dose not known to the day"
    assert [visit["missing"]["reasons"] for visit in told["visits"]] == [{reason: 1}] * 5


@pytest.mark.parametrize("vague", ["2018-01", "2019-01", "2020-01"])
def test_a_dose_known_to_the_month_does_not_hide_one_known_to_the_day(vague):
    doses = f"taken | mg \n {vague} | 2 \n 2019-01-01T08:00 | 2"
    counts = "collected | value \n 2018-12-31 | 20 \n 2019-01-31 | 30"
    (subject,) = subject_answer(build_request(counts, doses))["subjects"]
    assert subject["TRTSDT"] == "2019-01-01"
    assert answer(build_request(counts, doses))["visits"][0]["n"] == 1


def test_doses_that_can_not_be_the_first_are_listed_with_a_reason():
    doses = """
        taken            | mg | status
        2019-01-01T08:00 | 2  |
        2018             | 2  |
        2019-01          | 2  |
        2019-01-02T08:00 | 0  |
        2019-01-03T08:00 |    |
        2019-01-04T08:00 | 2  | not-done
    """
    (subject,) = subject_answer(build_request(doses=doses))["subjects"]
    told = {each["resource"][-1]: each["reason"] for each in subject["unusableDoses"]}
    assert told == {
        "1": "date not known to the day",
        "2": "date not known to the day",
        "3": "amount is not above 0",
        "4": "no amount in mg",
        "5": "status does not say that it was taken",
    }
    assert answer(build_request(doses=doses))["doses"]["unusable"] == {
        "amount is not above 0": 1,
        "date not known to the day": 2,
        "no amount in mg": 1,
        "status does not say that it was taken": 1,
    }


def test_baseline_is_the_last_valid_count_at_or_before_the_first_dose():
    counts = """
        id     | collected        | value | status
        early  | 2018-12-20T07:00 | 20    | final
        last   | 2019-01-01T08:00 | 30    | final
        after  | 2019-01-01T08:01 | 40    | final
        draft  | 2019-01-01T07:59 | 50    | preliminary
    """
    assert chosen(counts) == {"last": "Baseline"}


@pytest.mark.parametrize(
    ("collected", "is_baseline"), [("2018-12-04", True), ("2018-12-03", False)]
)
def test_baseline_reaches_back_28_days(collected, is_baseline):
    counts = f"id | collected | value \n a | {collected} | 20"
    assert chosen(counts) == ({"a": "Baseline"} if is_baseline else {})


def test_with_a_date_only_first_dose_counts_of_that_day_are_baseline():
    doses = "taken | mg \n 2019-01-01 | 2"
    counts = "id | collected | value \n a | 2019-01-01T23:59 | 20"
    assert chosen(counts, doses) == {"a": "Baseline"}


def test_a_date_only_count_of_the_day_of_the_first_dose_is_baseline():
    assert chosen("id | collected | value \n a | 2019-01-01 | 20") == {"a": "Baseline"}


def test_the_day_is_the_day_in_the_studys_zone():
    """2018-12-31T17:30Z is already 1 January in Shanghai: the day of the first dose, after it."""
    doses = "taken | mg \n 2019-01-01T01:00 | 2"
    counts = "id | collected | value \n a | 2019-01-01T01:30 | 20 \n b | 2019-01-02T00:30 | 30"
    rows = candidates(counts, doses)
    assert (rows["a"]["elapsed"], rows["b"]["elapsed"]) == (0, 1)


@pytest.mark.parametrize(
    ("elapsed", "visit", "distance", "tolerated"),
    [
        (0, None, None, None),
        (1, "Month 1", 29, False),
        (22, "Month 1", 8, False),
        (23, "Month 1", 7, True),
        (37, "Month 1", 7, True),
        (38, "Month 1", 8, False),
        (45, "Month 1", 15, False),
        (46, "Month 2", 15, False),
        (54, "Month 2", 7, True),
        (91, "Month 2", 30, False),
        (92, "Month 4", 30, False),
        (108, "Month 4", 14, True),
        (152, "Month 4", 30, False),
        (153, "Month 6", 30, False),
        (197, "Month 6", 14, True),
        (274, "Month 6", 91, False),
        (275, "Month 12", 90, False),
        (395, "Month 12", 30, True),
        (425, "Month 12", 60, False),
        (426, None, None, None),
    ],
)
def test_windows_are_closed_at_both_ends(elapsed, visit, distance, tolerated):
    day = date(2019, 1, 1) + timedelta(days=elapsed)
    row = candidates(f"id | collected | value \n a | {day}T09:00 | 20")["a"]
    told = (row["elapsed"], row["AVISIT"], row["AWTDIFF"], row["inTolerance"])
    assert told == (elapsed, visit, distance, tolerated)


@pytest.mark.parametrize(
    ("collected", "study_day"),
    [("2018-12-31", -1), ("2019-01-01", 1), ("2019-01-02", 2), ("2019-01-31", 31)],
)
def test_there_is_no_study_day_zero(collected, study_day):
    assert candidates(f"id | collected | value \n a | {collected} | 20")["a"]["ADY"] == study_day


def test_the_count_closest_to_the_target_is_chosen():
    counts = """
        id  | collected  | value
        d25 | 2019-01-26 | 20
        d34 | 2019-02-04 | 30
        d36 | 2019-02-06 | 40
    """
    assert chosen(counts) == {"d34": "Month 1"}


def test_of_two_counts_as_close_the_earlier_is_chosen():
    counts = "id | collected | value \n d33 | 2019-02-03 | 20 \n d27 | 2019-01-28 | 30"
    assert chosen(counts) == {"d27": "Month 1"}


def test_of_two_counts_of_one_day_the_later_is_chosen():
    counts = """
        id      | collected        | value
        morning | 2019-01-31T07:00 | 20
        evening | 2019-01-31T19:00 | 30
        undated | 2019-01-31       | 40
    """
    assert chosen(counts) == {"evening": "Month 1"}


def test_a_count_that_cannot_be_used_leaves_its_place_to_the_next():
    counts = """
        id | collected  | value | review
        a  | 2019-01-31 | 20    | clumps
        b  | 2019-02-05 | 30    |
    """
    assert chosen(counts) == {"b": "Month 1"}


@pytest.mark.parametrize(
    ("columns", "cells", "reason"),
    [
        ("value | status", "20 | preliminary", "status is not final"),
        ("value | status", "20 | entered-in-error", "status is not final"),
        ("value | absent", "20 | unsatisfactory", "data absent"),
        ("value | review", "20 | clumps", "analytically suspect"),
        ("value | comparator", "2 | <", "a bound, not a number (comparator)"),
        ("value | unit", "20 | mg", "unit is not 10*9/L"),
        ("status", "final", "no numeric value"),
        ("value", "-1", "not a possible count"),
        ("value", "1e400", "not a possible count"),
        ("value", "1e-400", "not a possible count"),
    ],
)
def test_a_count_that_is_not_valid_stays_a_candidate_with_its_reason(columns, cells, reason):
    row = candidates(f"id | collected | {columns} \n a | 2019-01-31 | {cells}")["a"]
    assert (row["AVISIT"], row["ANL01FL"], row["AVAL"]) == ("Month 1", None, None)
    assert row["notUsed"] == reason


@pytest.mark.parametrize("collected", ["2019-01", ""])
def test_a_count_without_a_day_is_listed_outside_every_window(collected):
    row = candidates(f"id | collected | value \n a | {collected} | 20")["a"]
    assert (row["ADT"], row["AVISIT"]) == (None, None)
    assert row["notUsed"] == "collection date not known to the day"


def test_a_count_whose_scale_is_under_review_is_used_and_flagged():
    counts = "id | collected | value | review \n a | 2019-01-31 | 120 | scale"
    row = candidates(counts)["a"]
    assert (row["ANL01FL"], row["scaleSuspect"]) == ("Y", True)


def test_a_candidate_row_carries_change_ratio_and_its_resource_version():
    counts = """
        id   | collected        | value
        base | 2019-01-01T07:00 | 20.0
        m1   | 2019-01-29T09:30 | 50.0
    """
    row = candidates(counts)["m1"]
    assert row == {
        "USUBJID": "SSCI-001",
        "SUBJID": "SSCI-001",
        "PARAMCD": "PLAT",
        "ADT": "2019-01-29",
        "ADTM": "2019-01-29T09:30:00+08:00",
        "ADY": 29,
        "elapsed": 28,
        "AVISIT": "Month 1",
        "AVISITN": 1,
        "AWTARGET": 30,
        "AWTDIFF": 2,
        "AWLO": 1,
        "AWHI": 45,
        "AWU": "DAYS",
        "inTolerance": True,
        "AVAL": 50.0,
        "AVALC": "50.0",
        "AVALU": "10*9/L",
        "BASE": 20.0,
        "CHG": 30.0,
        "PCHG": 150.0,
        "LNRATIO": 0.9162907319,  # ln 2.5
        "ABLFL": None,
        "ANL01FL": "Y",
        "notUsed": None,
        "scaleSuspect": False,
        "resource": "Observation/m1",
        "version": 1,
        "url": "/fhir/Observation/m1/_history/1",
    }


def test_a_bound_is_shown_as_it_was_reported():
    counts = "id | collected | value | comparator \n a | 2019-01-31 | 2 | <"
    assert candidates(counts)["a"]["AVALC"] == "<2"
