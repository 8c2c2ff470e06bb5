"""Sustained response (months 6 and 12, no loss or rescue between) and the course of responses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.endpoint_support import ask, read_treatments, subject_answer, whole_answer
from tests.response_support import day, read_courses


def figures(records: Any, **asked: str) -> Any:
    return whole_answer(ask("sustained-response", records, **asked))["figures"]


def course(text: str, *more: Any, **asked: str) -> Any:
    records = (*read_courses(text), *more)
    (subject,) = subject_answer(ask("sustained-response", records, **asked))["subjects"]
    return subject


SIX = """
    subject  | base | M1  | M2  | M4 | M6  | d250 | M12
    SSCI-001 | 20   | 120 | 120 | 90 | 130 |      | 110
    SSCI-002 | 20   | 30  | 60  | 60 | 60  | 35   | 60
    SSCI-003 | 20   | 30  | 30  | 41 | 50  |      |
    SSCI-004 | 20   | 120 | 120 |    |     |      | 120
    SSCI-005 | 20   | 20  | 25  | 30 | 30  |      | 30
    SSCI-006 | 20   | 30  | 30  | 30 | 120 |      | 120
"""
"""Under REGISTRY: 001 responds at months 6 and 12; 002 falls to 35 (not above 40) between; 003 has
no month 12; 004 no month 6; 005 never responds; 006 is rescued on day 300."""

RESCUE = read_treatments(f"subject | given \n SSCI-006 | {day(300)}")


def six() -> tuple[Any, ...]:
    return (*read_courses(SIX), *RESCUE)


def test_who_sustains_a_response_and_who_does_not():
    told = figures(six())
    assert (told["sustained"]["n"], told["sustained"]["of"]) == (1, 6)
    why = {each["subject"][-3:]: each["reason"] for each in told["notSustained"]["subjects"]}
    assert why == {
        "002": "response lost between the visits",
        "003": "M12: no count in the window",
        "004": "M6: no count in the window",
        "005": "M6: the count is no response",
        "006": "M12: after rescue treatment",
    }


def test_observed_cases_leave_out_only_those_of_whom_nothing_is_known():
    """003 and 004 miss a visit and fail at none; 002, 005 and 006 have failed: 1 of 4."""
    told = figures(six())
    assert told["notSustained"]["missing"] == 2
    observed = told["sensitivity"]["observedCases"]
    assert (observed["n"], observed["of"]) == (1, 4)


def test_a_failure_at_one_visit_is_known_even_if_the_other_is_missing():
    told = figures(read_courses("subject | base | M6 \n SSCI-001 | 20 | 30"))
    assert told["notSustained"]["missing"] == 0
    assert told["sensitivity"]["observedCases"]["of"] == 1


def test_best_response():
    """001, 004 and 006 complete; 002 and 003 partial; 005 none."""
    best = figures(six())["best"]
    numbers = {name: best[name]["n"] for name in ("response", "complete", "partial", "none")}
    assert numbers == {"response": 5, "complete": 3, "partial": 2, "none": 1}


def test_first_response_in_days_from_the_first_dose():
    """001 day 30, 002 day 61, 003 day 122, 004 day 30, 006 day 183."""
    first = figures(six())["first"]
    assert (first["response"]["n"], first["response"]["of"]) == (5, 6)
    days = first["response"]["days"]
    assert (days["min"], days["median"], days["max"]) == (30, 61, 183)
    assert first["complete"]["days"]["median"] == 30


def test_loss_and_duration_of_any_response():
    """001 is followed to day 365 without a loss (335 days); 002 lost on day 250 (189 days); 003
    followed to day 183 (61); 004 to 365 (335); 006 lost at the rescue of day 300 (117). Of 5 in
    the order 61+, 117, 189, 335+, 335+: S = 3/4 after 117, 1/2 from 189 to the end: the curve lies
    on 1/2 from 189 on, and the median is the middle of 189 and 335, 262."""
    told = figures(six())
    loss = told["loss"]["response"]
    assert (loss["n"], loss["of"]) == (2, 5)
    assert loss["by"] == {"count": 1, "intercurrentEvent": 1}
    duration = told["duration"]["response"]
    assert (duration["n"], duration["events"], duration["censored"]) == (5, 2, 3)
    assert duration["observed"]["max"] == 335
    median = next(each for each in duration["quartiles"] if each["name"] == "median")
    assert median["estimate"] == 262


def test_a_complete_response_may_be_lost_while_the_response_goes_on():
    """001: complete on day 30, 90 on day 122."""
    told = course("\n".join(SIX.splitlines()[:3]))
    assert told["lossOfResponse"] is None
    assert told["lossOfComplete"] == 122
    assert (told["duration"], told["ongoing"]) == (335, True)


def test_counts_at_or_above_a_threshold_at_any_time():
    """005 reaches 30 on day 122; 003 reaches 50."""
    told = {each["name"]: each["n"] for each in figures(six())["thresholds"]}
    assert told == {">= 30": 6, ">= 50": 5}


@pytest.mark.parametrize(("second", "lost"), [("d251", 250), ("d250", None)])
def test_iwg_loses_a_response_on_two_counts_at_least_a_day_apart(second, lost):
    """One count of 25 on day 250, another on the day after."""
    more = f" | {second}" if second != "d250" else ""
    value = " | 25" if more else ""
    text = f"subject | base | M1 | M2 | d250{more} | d300 | M12\n"
    text += f"SSCI-001 | 20 | 60 | 60 | 25{value} | 60 | 60"
    assert course(text, rule="IWG-2009")["lossOfResponse"] == lost


def test_under_the_registrys_rule_one_count_loses_a_response():
    text = "subject | base | M6 | d250 | M12 \n SSCI-001 | 20 | 60 | 25 | 60"
    assert course(text)["lossOfResponse"] == 250


def test_the_registrys_gap_loses_a_complete_response():
    """A count of exactly 100 is neither complete nor partial."""
    told = course("subject | base | M6 | M12 \n SSCI-001 | 20 | 101 | 100")
    assert told["lossOfResponse"] == 365


def test_one_count_that_fails_does_not_lose_a_response_that_iwg_confirmed():
    text = "subject | base | M1 | M2 | M6 | d250 | M12 \n SSCI-001|20|60|60|60|25|60"
    records = read_courses(text)
    assert figures(records, rule="IWG-2009")["sustained"]["n"] == 1
    assert figures(records)["sustained"]["n"] == 0


def test_stopping_sirolimus_ends_a_response_on_the_last_day():
    stopped = read_treatments(
        "subject | given | last | kind | group | status \n"
        f"SSCI-001 | {day(0)} | {day(200)} | prescribed | study-medication | stopped"
    )
    told = course("subject | base | M6 | M12 \n SSCI-001 | 20 | 120 | 120", *stopped)
    assert (told["firstResponse"], told["lossOfResponse"], told["duration"]) == (183, 200, 17)
