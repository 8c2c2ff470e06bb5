"""Response rates over the whole set. Published: Rheumatology 2021;60(6):2629-34 (month 6: 12 of 20,
complete 10, partial 2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.endpoints.analyses.answering import compute_answer
from tests.endpoint_support import (
    Asked,
    ask,
    build_tables,
    read_counts,
    read_doses,
    read_subjects,
    read_treatments,
    subject_answer,
    visit_of,
    whole_answer,
)
from tests.response_support import day, read_bleeding, read_courses, repeat_courses

PAPER = repeat_courses([(10, "20 | 120"), (2, "20 | 60"), (8, "20 | 30")], "base | M6")


def figures(endpoint: str, records: Any, **asked: str) -> Any:
    return whole_answer(ask(endpoint, records, **asked))["figures"]


def limits(proportion: Any) -> tuple[float, float]:
    return round(proportion["ciLow"], 2), round(proportion["ciHigh"], 2)


def test_the_published_result_at_month_6():
    (visit,) = figures("response-month-6", PAPER)["visits"]
    assert visit["visit"] == "M6"
    assert (visit["response"]["n"], visit["response"]["of"]) == (12, 20)
    assert (visit["complete"]["n"], visit["partial"]["n"]) == (10, 2)
    assert limits(visit["response"]) == (36.05, 80.88)
    assert limits(visit["complete"]) == (27.20, 72.80)


def test_wilsons_interval_on_request():
    (visit,) = figures("response-month-6", PAPER, interval="wilson")["visits"]
    assert limits(visit["response"]) == (38.66, 78.12)


def test_month_6_stays_month_6_under_another_rule():
    told = figures("response-month-6", PAPER, rule="IWG-2009")
    assert [each["visit"] for each in told["visits"]] == ["M6"]
    assert told["visits"][0]["sensitivity"]["singleCount"]["response"]["n"] == 12


MISSING = """
    subject  | base | M6
    SSCI-001 | 20   | 120
    SSCI-002 | 20   | 30
    SSCI-003 | 20   |
    SSCI-004 |      | 60
"""


def test_missing_is_no_response_and_out_of_the_observed_cases():
    """1 of 4; of the two whose response is known 1."""
    visit = visit_of(figures("response-rate", read_courses(MISSING)), "M6")
    assert (visit["response"]["n"], visit["response"]["of"]) == (1, 4)
    observed = visit["sensitivity"]["observedCases"]["response"]
    assert (observed["n"], observed["of"]) == (1, 2)
    assert visit["noResponse"]["missing"] == 2
    assert visit["noResponse"]["reasons"] == {
        "no count in the window": 1,
        "no valid baseline count, so that a partial response can't be told": 1,
        "the count is no response": 1,
    }


def test_who_can_not_respond_partially_is_reported_apart():
    text = "subject|base|M6 \n SSCI-001|49.9|99.9 \n SSCI-002|50|101 \n SSCI-003||101"
    strata = figures("response-rate", read_courses(text), visit="M6")["strata"]
    told = {each["name"]: (each["n"], each["visits"][0]["response"]["n"]) for each in strata}
    assert told == {"baseline < 50": (1, 1), "baseline >= 50": (1, 1), "baseline not known": (1, 1)}


def test_counts_at_or_above_the_thresholds():
    text = "subject | base | M6 \n SSCI-001|20|29.99 \n SSCI-002|20|30 \n SSCI-003|20|50"
    visit = visit_of(figures("response-rate", read_courses(text)), "M6")
    assert {each["name"]: each["n"] for each in visit["thresholds"]} == {">= 30": 2, ">= 50": 1}


def test_a_count_after_rescue_reaches_no_threshold():
    rescue = read_treatments(f"subject | given \n SSCI-001 | {day(100)}")
    records = (*read_courses("subject | base | M4 | M6 \n SSCI-001 | 20 | 60 | 60"), *rescue)
    visit = visit_of(figures("response-rate", records), "M6")
    assert [each["n"] for each in visit["thresholds"]] == [0, 0]


def test_treatment_policy_takes_counts_after_rescue_for_what_they_are():
    rescue = read_treatments(f"subject | given \n SSCI-001 | {day(100)}")
    text = "subject | base | M6 \n SSCI-001 | 20 | 120 \n SSCI-002 | 20 | 120"
    told = figures("response-rate", (*read_courses(text), *rescue))
    visit = visit_of(told, "M6")
    assert visit["response"]["n"] == 1
    assert visit["sensitivity"]["observedCases"]["response"]["of"] == 2
    assert visit["sensitivity"]["treatmentPolicy"]["response"]["n"] == 2
    assert told["intercurrentEvents"]["rescue"] == {
        "strategy": "composite",
        "participants": 1,
        "firstBy": {"platelet-transfusion": 1},
        "unusable": {},
    }


def test_rescue_that_can_not_be_used_is_counted_with_the_reason():
    rescue = read_treatments(
        f"subject | given | status | id \n SSCI-001 | {day(9)} | not-done | a \n SSCI-001 | | | b"
    )
    events = figures("response-rate", (*PAPER, *rescue))["intercurrentEvents"]
    assert events["rescue"]["participants"] == 0
    assert events["rescue"]["unusable"] == {
        "date not known": 1,
        "status says that it was not given": 1,
    }


def test_one_visit_only():
    told = figures("response-rate", PAPER, visit="M2")
    assert [each["visit"] for each in told["visits"]] == ["M2"]
    assert told["notJudged"] == []


def test_a_rule_that_looks_at_one_visit_says_which_it_does_not_judge():
    told = figures("response-rate", PAPER, rule="PAPER")
    assert [each["visit"] for each in told["visits"]] == ["M6"]
    reason = "the rule PAPER looks at M6 only"
    others = ["M1", "M2", "M4", "M12"]
    assert told["notJudged"] == [{"visit": each, "reason": reason} for each in others]
    assert figures("response-rate", PAPER, rule="PAPER", visit="M1")["visits"] == []


def test_the_count_closest_to_the_target_decides():
    text = "subject | base | d180 | d184 \n SSCI-001 | 20 | 120 | 30"
    assert visit_of(figures("response-rate", read_courses(text)), "M6")["response"]["n"] == 0


EXTREMES = {
    "no participant": (),
    "one": read_courses("subject | base | M6 \n SSCI-001 | 20 | 120"),
    "all respond": repeat_courses([(5, "20 | 120")], "base | M6"),
    "none responds": repeat_courses([(5, "20 | 20")], "base | M6"),
    "nothing but doses": repeat_courses([(3, " | ")], "base | M6"),
}
ENDPOINTS = ("response-rate", "response-month-6", "complete-remission", "sustained-response")


@pytest.mark.parametrize("endpoint", [*ENDPOINTS, "responders"])
@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("rule", ["REGISTRY", "IWG-2009"])
def test_every_extreme_has_an_answer_in_every_view_and_format(endpoint, name, rule):
    asked = ask(endpoint, EXTREMES[name], rule=rule)
    for view in ("figures", "subjects"):
        for form in ("json", "csv"):
            told = compute_answer(replace(asked.request, view=view, format=form), asked.tables)
            assert b"NaN" not in told
            assert b"Infinity" not in told
    whole_answer(ask(endpoint, EXTREMES[name], rule=rule, population="enrolled"))


@pytest.mark.parametrize("subgroup", ["baseline", "ctd", "sex", "age", "activity", "background"])
@pytest.mark.parametrize("endpoint", [*ENDPOINTS, "responders"])
def test_every_subgroup_adds_up_to_the_population(endpoint, subgroup):
    asked = ask(endpoint, PAPER)
    request = replace(asked.request, subgroup=subgroup)
    parts = whole_answer(replace(asked, request=request))["subgroups"]
    assert sum(each["figures"]["n"] for each in parts) == 20


MIXED = """
    subject  | base | M1  | M2 | M6  | d190 | M12
    SSCI-001 | 20   | 120 | 90 | 130 | 120  | 110
    SSCI-002 | 60   | 99  | 99 | 101 | 99   |
    SSCI-003 |      | 60  | 30 | 150 |      | 30
"""


@pytest.mark.parametrize("endpoint", [*ENDPOINTS, "responders"])
def test_the_order_of_rows_changes_nothing(endpoint):
    rescue = read_treatments(f"subject | given \n SSCI-001 | {day(200)} \n SSCI-001 | {day(210)}")
    bleeding = read_bleeding(
        "subject | on | grade \n SSCI-001|30|1 \n SSCI-001|30|0 \n SSCI-002|183|0"
    )
    records = (*read_courses(MIXED), *rescue, *bleeding)
    for view in ("figures", "subjects"):
        asked = ask(endpoint, records, rule="IWG-2009", view=view)
        turned = ask(endpoint, records[::-1], rule="IWG-2009", view=view)
        assert compute_answer(asked.request, asked.tables) == compute_answer(
            turned.request, turned.tables
        )


def test_beyond_the_listed_nobody_is_named():
    asked = ask("response-rate", read_courses(MIXED))
    tables = build_tables(asked.records, listed=False)
    told = compute_answer(asked.request, tables)
    assert b"SSCI-00" not in told


def test_every_row_of_a_participant_is_told_with_why_it_is_not_used():
    treated = (
        f"subject | given | id \n SSCI-001 | {day(-5)} | early \n SSCI-001 | {day(300)} | late"
    )
    rows = subject_answer(ask("response-rate", (*read_courses(MIXED), *read_treatments(treated))))[
        "rows"
    ]
    told = {(each["USUBJID"], each["elapsed"]): each["notUsed"] for each in rows}
    assert told["SSCI-001", -5] == "before the first dose"
    assert told["SSCI-001", 300] is None
    assert told["SSCI-001", 190] == "another count was chosen"
    assert told["SSCI-001", 183] is None


def test_complete_remission_at_any_time_and_at_visits():
    """SSCI-001 at M1, SSCI-002 and SSCI-003 at M6: 3 of 3 ever, days 30, 183, 183."""
    told = figures("complete-remission", read_courses(MIXED))
    assert (told["everComplete"]["n"], told["everComplete"]["of"]) == (3, 3)
    assert told["everComplete"]["days"]["median"] == 183
    assert {each["visit"]: each["complete"]["n"] for each in told["visits"]} == {
        "M1": 1,
        "M2": 0,
        "M4": 0,
        "M6": 3,
        "M12": 1,
    }


def test_a_complete_response_after_rescue_is_no_remission():
    rescue = read_treatments(f"subject | given \n SSCI-001 | {day(1)}")
    records = (*read_courses("subject | base | M1 \n SSCI-001 | 20 | 120"), *rescue)
    assert figures("complete-remission", records)["everComplete"]["n"] == 0


def test_shifting_all_dates_of_a_participant_changes_no_figure():
    def records(shift: int) -> tuple[Any, ...]:
        at = [day(each + shift) for each in (-1, 0, 30, 183, 365, 200)]
        counts = read_counts(
            "subject | collected | value \n"
            f"SSCI-001 | {at[0]} | 20 \n SSCI-001 | {at[2]} | 120 \n SSCI-001 | {at[3]} | 120 \n"
            f"SSCI-001 | {at[4]} | 120"
        )
        doses = read_doses(f"subject | taken | mg \n SSCI-001 | {at[1]} | 2")
        rescue = read_treatments(f"subject | given \n SSCI-001 | {at[5]}")
        return (*read_subjects("subject|consent\nSSCI-001|yes"), *counts, *doses, *rescue)

    for endpoint in ENDPOINTS:
        assert figures(endpoint, records(0)) == figures(endpoint, records(-77))


def _inputs(asked: Asked) -> set[str]:
    return {each["resource"] for each in whole_answer(asked)["inputs"]["listed"]}


def test_inputs_are_all_that_a_figure_rests_on():
    rescue = read_treatments(f"subject | given \n SSCI-001 | {day(200)}")
    bleeding = read_bleeding("subject | on | grade \n SSCI-001 | 183 | 0")
    records = (*read_courses("subject|base|M6|d190\nSSCI-001|20|120|120"), *rescue, *bleeding)
    expected = {
        "MedicationAdministration/dose-0",
        "MedicationAdministration/treated-0",
        *(f"Observation/count-{each}" for each in range(3)),
    }
    assert _inputs(ask("response-rate", records)) == expected
    iwg = ask("response-rate", records, rule="IWG-2009")
    assert _inputs(iwg) == expected | {"Observation/bleeding-0"}
