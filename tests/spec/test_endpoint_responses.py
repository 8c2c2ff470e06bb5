"""Responses of counts under each rule. REGISTRY: trial registry; IWG-2009: Blood 2009;113:2386.

The first dose is on 2019-01-01; a count under `M6` is on day 183, one under `d40` on day 40.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from app.endpoints.cohort.responses import COMPLETE, NO_RESPONSE, PARTIAL, UNJUDGED, classify
from tests.endpoint_support import (
    PROTOCOL,
    ask,
    read_doses,
    read_subjects,
    read_treatments,
    subject_answer,
    whole_answer,
)
from tests.response_support import day, read_bleeding, read_courses

RULES = {rule.id: rule for rule in PROTOCOL.response_rules}
CODES = {COMPLETE: "CR", PARTIAL: "R", NO_RESPONSE: "NR", UNJUDGED: None}

VECTORS = """
    20   100    NR CR
    20   101    CR CR
    60   99     NR NR
    5    12     PR NR
    14   29     PR NR
    20   40     NR R
    20   41     PR R
    15   30     NR R
    48   97     PR R
    99   101    CR CR
    30   60     NR R
    20.1 40.2   NR R
    20.1 40.21  PR R
    0.1  0.2    NR NR
    20   100.01 CR CR
    45   99.99  PR R
    14.9 29.9   PR NR
"""
"""Baseline, count, REGISTRY, IWG-2009; the first eleven are the trial's own, the rest lie on
thresholds with decimals."""


def vectors() -> list[tuple[str, str, str, str]]:
    return [tuple(line.split()) for line in VECTORS.strip().splitlines()]  # type: ignore[misc]


def level(base: str, count: str, rule: str) -> str | None:
    values = np.array([float(Decimal(count))]), np.array([float(Decimal(base))])
    return CODES[int(classify(*values, RULES[rule])[0])]


@pytest.mark.parametrize(("base", "count", "registry", "iwg"), vectors())
def test_a_count_against_its_baseline(base, count, registry, iwg):
    assert level(base, count, "REGISTRY") == registry.replace("PR", "R")
    assert level(base, count, "PAPER") == registry.replace("PR", "R")
    assert level(base, count, "IWG-2009") == iwg


@pytest.mark.parametrize(("base", "count", "registry", "iwg"), vectors())
def test_the_endpoint_says_the_same_of_a_count_at_month_6(base, count, registry, iwg):
    records = read_courses(f"subject | base | M6 \n SSCI-001 | {base} | {count}")
    assert responses(records, "REGISTRY")["M6"] == registry
    rows = subject_answer(ask("response-rate", records, rule="IWG-2009"))["rows"]
    assert rows[-1]["countAlone"] == iwg


def responses(records, rule: str = "REGISTRY") -> dict[str, str | None]:
    (subject,) = subject_answer(ask("response-rate", records, rule=rule))["subjects"]
    return {each["visit"]: each["response"] for each in subject["visits"]}


def reasons(records, rule: str = "REGISTRY") -> dict[str, str | None]:
    (subject,) = subject_answer(ask("response-rate", records, rule=rule))["subjects"]
    return {each["visit"]: each["reason"] for each in subject["visits"]}


def test_a_complete_response_needs_no_baseline_and_a_partial_one_does():
    records = read_courses("subject | M1 | M2 | M4 \n SSCI-001 | 101 | 60 | 100")
    told = responses(records)
    assert (told["M1"], told["M2"], told["M4"]) == ("CR", None, "NR")
    assert "no valid baseline count" in str(reasons(records)["M2"])


@pytest.mark.parametrize(("second", "told"), [(190, "CR"), (189, "NR")])
def test_iwg_confirms_on_two_counts_at_least_7_days_apart(second, told):
    records = read_courses(f"subject | base | M6 | d{second} \n SSCI-001 | 20 | 120 | 110")
    assert responses(records, "IWG-2009")["M6"] == told


def test_an_unconfirmed_response_is_none_and_says_so():
    records = read_courses("subject | base | M6 \n SSCI-001 | 20 | 120")
    assert responses(records, "IWG-2009")["M6"] == "NR"
    assert reasons(records, "IWG-2009")["M6"] == "not confirmed by a second count"
    assert responses(records, "REGISTRY")["M6"] == "CR"


def test_a_confirmed_loss_between_two_counts_breaks_the_confirmation():
    text = "subject | base | M6 | d186 | d187 | d190 \n SSCI-001 | 20 | 120 | 25 | 25 | 120"
    assert responses(read_courses(text), "IWG-2009")["M6"] == "NR"


def test_one_count_that_fails_is_no_loss_and_is_looked_past():
    text = "subject | base | M6 | d186 | d190 \n SSCI-001 | 20 | 120 | 25 | 120"
    assert responses(read_courses(text), "IWG-2009")["M6"] == "CR"


def test_a_complete_response_confirmed_by_a_partial_one_is_partial():
    text = "subject | base | M6 | d190 \n SSCI-001 | 20 | 120 | 80"
    assert responses(read_courses(text), "IWG-2009")["M6"] == "R"


def test_each_visit_may_confirm_the_one_before():
    text = "subject | base | M1 | M2 | M4 \n SSCI-001 | 20 | 120 | 120 | 10"
    told = responses(read_courses(text), "IWG-2009")
    assert (told["M1"], told["M2"], told["M4"]) == ("CR", "CR", "NR")


BLEEDS = "subject | base | M6 | d190 \n SSCI-001 | 20 | 120 | 120"


@pytest.mark.parametrize(
    ("on", "grade", "told"),
    [(183, 0, "CR"), (183, 1, "NR"), (176, 2, "NR"), (175, 2, "CR"), (183, "", "CR")],
)
def test_under_iwg_bleeding_within_7_days_of_a_count_is_no_response(on, grade, told):
    text = f"subject | on | grade \n SSCI-001 | {on} | {grade} \n SSCI-001 | 190 | 0"
    records = (*read_courses(BLEEDS), *read_bleeding(text))
    assert responses(records, "IWG-2009")["M6"] == told
    assert responses(records, "REGISTRY")["M6"] == "CR"


def test_the_nearest_assessment_speaks_and_of_two_equally_near_the_worse():
    near = read_bleeding("subject|on|grade \n SSCI-001|182|0 \n SSCI-001|180|3 \n SSCI-001|190|0")
    tied = read_bleeding("subject|on|grade \n SSCI-001|182|0 \n SSCI-001|184|3 \n SSCI-001|190|0")
    assert responses((*read_courses(BLEEDS), *near), "IWG-2009")["M6"] == "CR"
    assert responses((*read_courses(BLEEDS), *tied), "IWG-2009")["M6"] == "NR"
    assert reasons((*read_courses(BLEEDS), *tied), "IWG-2009")["M6"] == "bleeding"


def test_bleeding_that_was_not_assessed_is_told_beside_the_response():
    records = (
        *read_courses(BLEEDS),
        *read_bleeding("subject|on|grade|status\nSSCI-001|183||final"),
    )
    whole = whole_answer(ask("response-rate", records, rule="IWG-2009", visit="M6"))["figures"]
    (visit,) = whole["visits"]
    assert visit["response"]["n"] == 1
    assert visit["bleeding"] == {
        "considered": True,
        "bleeding": 0,
        "noBleeding": 0,
        "notAssessed": 1,
        "responsesNotAssessed": 1,
    }
    assert whole["bleedingAssessments"]["unusable"] == {"bleeding was not assessed": 1}


def test_an_erroneous_assessment_of_bleeding_does_not_count():
    wrong = read_bleeding("subject|on|grade|status\nSSCI-001|183|3|entered-in-error")
    assert responses((*read_courses(BLEEDS), *wrong), "IWG-2009")["M6"] == "CR"


COURSE = "subject | base | M1 | M2 | M4 | M6 \n SSCI-001 | 20 | 120 | 120 | 120 | 120"


def test_nothing_is_a_response_after_rescue():
    rescue = read_treatments(f"subject | given \n SSCI-001 | {day(61)}T12:00")
    told = responses((*read_courses(COURSE), *rescue))
    assert told == {"M1": "CR", "M2": "NR", "M4": "NR", "M6": "NR", "M12": "NR"}
    why = reasons((*read_courses(COURSE), *rescue))
    assert why["M4"] == why["M12"] == "after rescue treatment"


def test_rescue_before_the_target_of_an_empty_window_is_an_observed_failure():
    rescue = read_treatments(f"subject | given \n SSCI-001 | {day(61)}")
    early = read_courses("subject | base | M1 \n SSCI-001 | 20 | 120")
    assert reasons((*early, *rescue))["M2"] == "after rescue treatment"
    later = read_treatments(f"subject | given \n SSCI-001 | {day(62)}")
    assert reasons((*early, *later))["M2"] == "no count in the window"


def test_a_treatment_that_was_not_given_is_no_rescue():
    text = f"subject | given | status \n SSCI-001 | {day(40)} | not-done"
    assert responses((*read_courses(COURSE), *read_treatments(text)))["M6"] == "CR"


def prescription(number: int, begin: int, last: str, status: str = "stopped") -> str:
    head = "subject | given | last | kind | group | status | id"
    row = (
        f"SSCI-001 | {day(begin)} | {last} | prescribed | study-medication | {status} | rx-{number}"
    )
    return f"{head}\n{row}"


def test_nothing_is_a_response_after_the_last_day_on_sirolimus():
    stopped = read_treatments(prescription(1, 0, day(100)))
    told = responses((*read_courses(COURSE), *stopped))
    assert told == {"M1": "CR", "M2": "CR", "M4": "NR", "M6": "NR", "M12": "NR"}
    assert reasons((*read_courses(COURSE), *stopped))["M4"] == "after sirolimus was stopped"


@pytest.mark.parametrize("status", ["completed", "active", "cancelled"])
def test_a_prescription_that_was_not_stopped_stops_nothing(status):
    stopped = read_treatments(prescription(1, 0, day(100), status))
    assert responses((*read_courses(COURSE), *stopped))["M6"] == "CR"


def test_a_stopped_prescription_that_another_follows_stops_nothing():
    rows = [*read_treatments(prescription(1, 0, day(100)))]
    rows += read_treatments(prescription(2, 101, "-", "active"))
    assert responses((*read_courses(COURSE), *rows))["M6"] == "CR"


def test_a_dose_after_the_stopped_prescription_says_that_sirolimus_went_on():
    stopped = read_treatments(prescription(1, 0, day(100)))
    dose = read_doses(f"subject | taken | mg | id \n SSCI-001 | {day(101)} | 1 | again")
    assert responses((*read_courses(COURSE), *stopped, *dose))["M6"] == "CR"


def test_early_withdrawal_stops_sirolimus_on_its_last_day():
    _, *rest = read_courses(COURSE)
    text = f"subject | consent | status | ended \n SSCI-001 | yes | withdrawn | {day(61)}"
    told = responses((*read_subjects(text), *rest))
    assert told == {"M1": "CR", "M2": "CR", "M4": "NR", "M6": "NR", "M12": "NR"}
    ended = text.replace("withdrawn", "off-study")
    assert responses((*read_subjects(ended), *rest))["M4"] == "CR"
