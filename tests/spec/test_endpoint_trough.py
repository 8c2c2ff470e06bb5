"""Troughs against 6-15 ng/mL. Everyone takes 2 mg on days 0-2 and 1 mg every day after, at 08:00,
day 0 being 2019-01-01; troughs are drawn at 07:30, 23.5 hours after the last dose.

    day    10   40   70        valid troughs: below, inside, above
    001     4   10   20        1, 1, 1
    002     8    8    -        0, 2, 0
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.endpoint_support import (
    answer,
    ask,
    read_counts,
    read_doses,
    read_subjects,
    read_treatments,
    subject_answer,
    visit_of,
)

START = date(2019, 1, 1)


def day(elapsed):
    return (START + timedelta(days=elapsed)).isoformat()


def daily(last, subject="SSCI-001", without=()):
    """A dose each day at 08:00 up to the day `last`."""
    rows = [
        f"{subject} | {day(each)}T08:00 | {2 if each < 3 else 1} | {subject}-{each}"
        for each in range(last + 1)
        if each not in without
    ]
    return read_doses("\n".join(["subject | taken | mg | id", *rows]))


def levels(text):
    return read_counts(text, "sirolimus")


def subjects(*numbers):
    rows = [f"{number} | yes" for number in numbers or ("SSCI-001",)]
    return read_subjects("\n".join(["subject | consent", *rows]))


COHORT = (
    *subjects("SSCI-001", "SSCI-002", "SSCI-003"),
    *daily(70),
    *daily(40, "SSCI-002"),
    *levels(
        f"""
        subject  | collected       | value
        SSCI-001 | {day(10)}T07:30 | 4
        SSCI-001 | {day(40)}T07:30 | 10
        SSCI-001 | {day(70)}T07:30 | 20
        SSCI-002 | {day(10)}T07:30 | 8
        SSCI-002 | {day(40)}T07:30 | 8
        """
    ),
)


@pytest.fixture(scope="module")
def told():
    return answer(ask("trough-in-range", COHORT))


def finding(level, doses=None, prescribed="subject"):
    """What one level is as a trough, of a participant dosed daily up to day 40 by default."""
    records = (*subjects(), *(daily(40) if doses is None else doses), *levels(level))
    found = subject_answer(ask("trough-in-range", (*records, *read_treatments(prescribed))))["rows"]
    return found[0]["notUsed"] or found[0]["place"]


def test_valid_troughs_are_pooled_below_inside_and_above(told):
    pooled = told["pooled"]
    assert [pooled[name] for name in ("n", "below", "inside", "above")] == [5, 1, 3, 1]
    assert [pooled[f"{name}Percent"] for name in ("below", "inside", "above")] == [20.0, 60.0, 20.0]


def test_each_participants_percentage_counts_once(told):
    """33.3 % and 100 %: mean 66.7 %."""
    figures = told["participants"]
    assert (figures["n"], figures["withoutTrough"]) == (2, 0)
    assert (figures["everInside"], figures["alwaysInside"]) == (2, 1)
    assert figures["percentInside"]["mean"] == pytest.approx(200 / 3)


def test_a_visit_has_one_trough_per_participant(told):
    """Month 1 (day 30, window 1-45): of days 10 and 40 the 40th is closer."""
    month1, month2 = visit_of(told, "M1"), visit_of(told, "M2")
    assert (month1["n"], month1["inside"]["n"], month1["observed"]["mean"]) == (2, 2, 9.0)
    assert (month2["n"], month2["above"]["percent"]) == (1, 100.0)
    assert month2["missing"]["reasons"] == {"no level in the window": 1}


def test_time_in_range_is_35_of_60_days_and_pooled_over_days(told):
    """001: 35 of 60 days (DOMAIN's fixture), 002: 30 of 30; pooled 65 of 90."""
    time = told["timeInRange"]
    assert (time["inside"], time["interpolated"], time["skipped"]) == (65.0, 90.0, 0.0)
    assert time["percentInside"] == pytest.approx(100 * 65 / 90)
    assert time["ofParticipants"]["mean"] == pytest.approx((100 * 35 / 60 + 100) / 2)


def test_coverage_is_of_the_days_on_treatment(told):
    """71 and 41 days on treatment."""
    coverage = told["timeInRange"]["coverage"]
    assert coverage["treatmentDays"] == 112
    assert coverage["percent"] == pytest.approx(100 * 90 / 112)


@pytest.mark.parametrize(
    ("value", "place"),
    [("5.99", "below"), ("6", "inside"), ("6.0", "inside"), ("15", "inside"), ("15.1", "above")],
)
def test_both_ends_of_the_range_are_inside(value, place):
    assert finding(f"collected | value \n {day(20)}T07:30 | {value}") == place


@pytest.mark.parametrize(
    ("collected", "found"),
    [
        (f"{day(20)}T04:00", "inside"),
        (f"{day(20)}T03:59", "drawn too soon after the last dose"),
        (f"{day(20)}T10:00", "drawn too soon after the last dose"),
        (day(20), "timing unknown"),
        (f"{day(41)}T12:00", "inside"),
        (f"{day(41)}T12:01", "drawn too long after the last dose"),
        (f"{day(42)}T07:30", "after the last recorded dose"),
        (f"{day(-1)}T07:30", "before the first dose"),
        (f"{day(0)}T07:30", "before the first dose"),
    ],
)
def test_a_trough_is_drawn_20_to_28_hours_after_the_last_dose(collected, found):
    assert finding(f"collected | value \n {collected} | 10") == found


def test_a_level_after_the_days_dose_is_no_trough():
    """Dosed at 00:30, drawn at 21:00: 20.5 hours after, but after the day's dose."""
    doses = read_doses(
        "\n".join(["taken | mg", *(f"{day(n)}T00:30 | {2 if n < 3 else 1}" for n in range(21))])
    )
    level = f"collected | value \n {day(20)}T21:00 | 10"
    assert finding(level, doses) == "drawn after the day's dose"


def test_more_than_28_hours_after_a_dose_is_too_late_where_the_next_was_told_as_missed():
    missed = daily(40, without=(19,))
    diary = read_doses(f"taken | status | origin | id \n {day(19)} | not-done | diary | missed")
    level = f"collected | value \n {day(20)}T07:30 | 10"
    assert finding(level, (*missed, *diary)) == "drawn too long after the last dose"
    assert finding(level, missed) == "timing unknown"


def test_a_dose_at_home_that_is_known_to_the_day_leaves_the_timing_unknown():
    diary = read_doses(f"taken | mg | origin | id \n {day(19)} | 1 | diary | home")
    level = f"collected | value \n {day(20)}T07:30 | 10"
    assert finding(level, (*daily(40, without=(19,)), *diary)) == "timing unknown"


@pytest.mark.parametrize(("elapsed", "found"), [(9, "not steady state"), (10, "inside")])
def test_a_trough_is_steady_seven_days_after_the_step_to_maintenance(elapsed, found):
    """The step is on day 3."""
    assert finding(f"collected | value \n {day(elapsed)}T07:30 | 10") == found


@pytest.mark.parametrize(
    ("elapsed", "found"), [(20, "inside"), (21, "not steady state"), (27, "inside")]
)
def test_a_change_of_the_prescribed_dose_is_not_known_to_the_trough_before_it(elapsed, found):
    """2 mg prescribed from day 20 on: the trough of that morning is of the dose before."""
    prescribed = f"""
        given     | last | kind       | group            | daily
        {day(20)} | -    | prescribed | study-medication | 2
    """
    level = f"collected | value \n {day(elapsed)}T07:30 | 10"
    doses = read_doses(
        "\n".join(
            ["taken | mg", *(f"{day(n)}T08:00 | {1 if 3 <= n < 20 else 2}" for n in range(41))]
        )
    )
    assert finding(level, doses, prescribed) == found


@pytest.mark.parametrize(
    ("value", "comparator", "found"),
    [
        ("2", "<", "below"),
        ("6", "<", "below"),
        ("30", ">", "above"),
        ("7", "<", "a bound that does not tell below from inside or above (comparator)"),
    ],
)
def test_a_bound_is_placed_where_it_is_certain(value, comparator, found):
    level = f"collected | value | comparator \n {day(20)}T07:30 | {value} | {comparator}"
    assert finding(level) == found


def test_time_is_not_interpolated_from_a_bound():
    level = f"""
        collected       | value | comparator
        {day(20)}T07:30 | 2     | <
        {day(40)}T07:30 | 10    |
    """
    told = answer(ask("trough-in-range", (*subjects(), *daily(40), *levels(level))))
    assert told["pooled"]["below"] == 1
    assert told["timeInRange"]["percentInside"] is None
    assert told["timeInRange"]["undefined"]["reasons"] == {"fewer than two troughs with a value": 1}


@pytest.mark.parametrize(
    ("columns", "values", "found"),
    [
        ("status", "preliminary", "status is not final"),
        ("review", "clumps", "analytically suspect"),
        ("unit", "mg", "unit is not ng/mL"),
        ("absent", "error", "data absent"),
    ],
)
def test_an_unusable_level_says_why(columns, values, found):
    level = f"collected | value | {columns} \n {day(20)}T07:30 | 10 | {values}"
    assert finding(level) == found


def test_time_across_a_gap_longer_than_the_maximum_is_skipped():
    """92 days is the longest that is interpolated: days 10-102 are, days 102-195 are not."""
    level = f"""
        collected        | value
        {day(10)}T07:30  | 10
        {day(102)}T07:30 | 10
        {day(195)}T07:30 | 10
    """
    told = answer(ask("trough-in-range", (*subjects(), *daily(200), *levels(level))))
    assert (told["timeInRange"]["interpolated"], told["timeInRange"]["skipped"]) == (92.0, 93.0)


def test_levels_of_unknown_timing_are_counted_in_the_sensitivity_analysis_only():
    level = f"collected | value \n {day(20)} | 10 \n {day(30)} | 4"
    told = answer(ask("trough-in-range", (*subjects(), *daily(40), *levels(level))))
    assert told["levels"] == {
        "total": 2,
        "valid": 0,
        "timingUnknown": 2,
        "notSteadyState": 0,
        "notUsed": {"timing unknown": 2},
    }
    assert told["pooled"]["n"] == 0
    loose = told["sensitivity"]["unknownTiming"]
    assert (loose["pooled"]["n"], loose["pooled"]["inside"]) == (2, 1)
    assert loose["timeInRange"]["inside"] == pytest.approx(10 * 4 / 6)


def test_no_level_and_no_participant_give_defined_answers():
    for records in ((), (*subjects(), *daily(3))):
        told = answer(ask("trough-in-range", records))
        assert told["pooled"]["belowPercent"] is None
        assert told["pooled"]["reasons"]["belowPercent"] == "no valid trough"
        assert told["timeInRange"]["reasons"]["percentInside"]


def test_the_order_of_records_changes_nothing(told):
    assert answer(ask("trough-in-range", COHORT[::-1])) == told
