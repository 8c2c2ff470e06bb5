"""Activity of the disease over a cohort that can be checked on paper; first doses on 2019-01-01.

In brackets what platelets contribute; – is not assessed, ? not told.

    SLEDAI-2K  baseline  M1 (day 30)  M2 (day 61)          M6 (day 183)
    001        10 (1)    6 (0)        –                    2 (0)
    002         8 (1)    5 (1)        –                    4 (0)
    003         4 (1)    4 (?)        0 (0), after rescue  –
    004         3 (1)    9 (1)        –                    –
    ESSDAI
    005         9 (2)    6 (0)        –                    –
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.endpoints.analyses.answering import compute_answer
from tests.activity_support import read_scores
from tests.endpoint_support import (
    answer,
    ask,
    enrol_all,
    read_counts,
    read_doses,
    read_treatments,
    subject_answer,
    visit_of,
)

ENDPOINT = "ctd-activity"

DOSES = "subject | taken | mg \n" + "\n".join(
    f"SSCI-00{number} | 2019-01-01T08:00 | 2" for number in range(1, 6)
)

SCORES = """
    subject  | assessed   | kind      | value | item
    SSCI-001 | 2018-12-20 | SLEDAI-2K | 10    | 1
    SSCI-001 | 2019-01-31 | SLEDAI-2K | 6     | 0
    SSCI-001 | 2019-07-03 | SLEDAI-2K | 2     | 0
    SSCI-002 | 2018-12-31 | SLEDAI-2K | 8     | 1
    SSCI-002 | 2019-01-31 | SLEDAI-2K | 5     | 1
    SSCI-002 | 2019-07-03 | SLEDAI-2K | 4     | 0
    SSCI-003 | 2019-01-01 | SLEDAI-2K | 4     | 1
    SSCI-003 | 2019-01-31 | SLEDAI-2K | 4     |
    SSCI-003 | 2019-03-03 | SLEDAI-2K | 0     | 0
    SSCI-004 | 2018-12-04 | SLEDAI-2K | 3     | 1
    SSCI-004 | 2019-01-31 | SLEDAI-2K | 9     | 1
    SSCI-005 | 2018-12-31 | ESSDAI    | 9     | 2
    SSCI-005 | 2019-01-31 | ESSDAI    | 6     | 0
"""

TREATMENTS = """
    subject  | given      | last       | kind       | group              | drug         | prednisone
    SSCI-001 | 2018-06    | 2019-01-15 | background | steroid            | prednisone   | 20
    SSCI-001 | 2019-01-16 | -          | background | steroid            | prednisone   | 10
    SSCI-002 | 2018-06-01 | 2019-05-31 | background | steroid            | prednisone   | 15
    SSCI-002 | 2018-06-01 | -          | background | hydroxychloroquine | hcq          |
    SSCI-003 | 2018-06-01 | -          | background | steroid            | prednisone   | 5
    SSCI-003 | 2019-01-20 | -          | background | steroid            | prednisolone | 7.5
    SSCI-003 | 2019-02-10 | 2019-02-12 | rescue     | steroid-pulse      | pulse        | 500
    SSCI-004 | 2018-06-01 | -          | background | steroid            | prednisone   |
"""


def records():
    doses, scores = read_doses(DOSES), read_scores(SCORES)
    return (*enrol_all(doses), *doses, *scores, *read_treatments(TREATMENTS))


@pytest.fixture(scope="module")
def told():
    return answer(ask(ENDPOINT, records()))


def instrument(told, code):
    return next(each for each in told["instruments"] if each["instrument"] == code)


def sledai(told, visit):
    return visit_of(instrument(told, "SLEDAI-2K"), visit)


def one(scores: str, doses: str = "taken | mg \n 2019-01-01T08:00 | 2", others=()):
    """The analysis rows of one participant's SLEDAI-2K scores by id."""
    taken = read_doses(doses)
    asked = ask(ENDPOINT, (*enrol_all(taken), *taken, *read_scores(scores), *others))
    rows = subject_answer(asked)["rows"]
    return {row["resource"].removeprefix("Observation/"): row for row in rows}


def chosen(scores: str, **more) -> dict[str, str]:
    return {id_: row["AVISIT"] for id_, row in one(scores, **more).items() if row["ANL01FL"]}


def test_change_at_month_1(told):
    """-4, -3, 0, 6: mean -0.25; squared deviations 14.0625 + 7.5625 + 0.0625 + 39.0625 = 60.75,
    SD √20.25; median (-3 + 0) / 2; t interval -0.25 ± 3.182446 · 4.5 / 2."""
    change = sledai(told, "M1")["total"]["change"]
    names = ("n", "mean", "sd", "median", "min", "max")
    assert [change[name] for name in names] == [4, -0.25, 4.5, -1.5, -4.0, 6.0]
    assert (round(change["ciLow"], 4), round(change["ciHigh"], 4)) == (-7.4105, 6.9105)


def test_signed_rank_at_month_1(told):
    """|-4| 2, |-3| 1, |6| 3: W+ = 3 of 6, the middle of the distribution."""
    test = sledai(told, "M1")["total"]["signedRank"]
    assert (test["zeros"], test["wPlus"], test["s"], test["p"]) == (1, 3.0, 0.0, 1.0)


def test_a_responder_falls_by_the_instruments_cut(told):
    """At month 1 only 001 falls by 4; 004 starts below 4 and can't respond."""
    responders = sledai(told, "M1")["total"]["responders"]
    assert (responders["observed"]["n"], responders["observed"]["of"]) == (1, 4)
    assert responders["couldRespond"] == 3


def test_without_the_platelet_item_a_rising_count_is_no_response(told):
    """9 → 6, 7 → 4, 2 → 8: -3, -3, 6; of 003 nobody told the item at month 1."""
    without = sledai(told, "M1")["withoutPlateletItem"]
    assert (without["n"], without["undefined"], without["change"]["mean"]) == (3, 1, 0.0)
    assert without["responders"]["observed"]["n"] == 0


def test_responders_of_all_with_a_baseline_count_a_missing_score_as_no_response(told):
    """-8 and -4 at month 6: 2 of 2, or 2 of 4."""
    responders = sledai(told, "M6")["total"]["responders"]
    assert responders["observed"]["percent"] == 100.0
    assert responders["assumingNoResponse"]["percent"] == 50.0


def test_essdai_has_its_own_cut(told):
    """9 → 6 is a fall by 3; without the haematological domain 7 → 6 is none."""
    essdai = visit_of(instrument(told, "ESSDAI"), "M1")
    assert essdai["total"]["responders"]["observed"]["n"] == 1
    assert essdai["withoutPlateletItem"]["responders"]["observed"]["n"] == 0
    assert instrument(told, "ESSDAI")["responderDecrease"] == 3.0


def test_an_instrument_concerns_those_whom_it_was_used_for(told):
    found = {
        each["instrument"]: (each["participants"], each["neverAssessed"])
        for each in told["instruments"]
    }
    assert (found["SLEDAI-2K"], found["ESSDAI"], found["DAS28"]) == ((4, 1), (1, 4), (0, 5))


def test_an_instrument_without_platelet_item_and_cut_says_so(told):
    das = visit_of(instrument(told, "DAS28"), "M1")
    assert das["withoutPlateletItem"] is None
    assert das["reasons"] == {"withoutPlateletItem": "the instrument has no platelet item"}
    assert das["total"]["responders"] is None
    assert das["total"]["change"]["reasons"]["mean"] == "no values"


def test_a_score_after_rescue_is_set_aside_and_stands_under_treatment_policy(told):
    month = sledai(told, "M2")
    assert month["n"] == 0
    assert month["missing"]["reasons"] == {
        "every valid score in the window is after rescue treatment": 1,
        "no score in the window": 3,
    }
    policy = visit_of(instrument(told, "SLEDAI-2K")["treatmentPolicy"], "M2")
    assert (policy["n"], policy["total"]["change"]["mean"]) == (1, -4.0)
    assert instrument(told, "SLEDAI-2K")["scores"]["afterRescue"] == 1


def test_baseline_is_the_last_valid_score_at_or_before_the_first_dose():
    scores = """
        id    | assessed         | value | status
        early | 2018-12-20       | 9     |
        last  | 2019-01-01T08:00 | 8     |
        after | 2019-01-01T08:01 | 7     |
        draft | 2018-12-31       | 6     | preliminary
    """
    assert chosen(scores) == {"last": "Baseline"}


@pytest.mark.parametrize(("assessed", "used"), [("2018-12-04", True), ("2018-12-03", False)])
def test_baseline_reaches_back_as_far_as_that_of_the_counts(assessed, used):
    assert bool(chosen(f"id | assessed | value \n a | {assessed} | 9")) == used


def test_a_score_of_the_day_of_the_first_dose_without_a_time_is_baseline():
    assert chosen("id | assessed | value \n a | 2019-01-01 | 9") == {"a": "Baseline"}


def test_of_a_window_the_score_closest_to_the_target_is_chosen_the_earlier_on_a_tie():
    """The target of month 1 is day 30, 2019-01-31."""
    scores = """
        id | assessed   | value
        a  | 2019-01-26 | 9
        b  | 2019-01-29 | 8
        c  | 2019-02-02 | 7
    """
    rows = one(scores)
    assert {id_: row["ANL01FL"] for id_, row in rows.items()} == {"a": None, "b": "Y", "c": None}
    assert rows["c"]["notUsed"] == "another score was chosen"


def test_of_two_scores_of_one_instant_the_less_favourable_is_chosen():
    scores = """
        id | assessed   | value
        a  | 2018-12-31 | 9
        b  | 2018-12-31 | 8
        c  | 2019-01-31 | 3
        d  | 2019-01-31 | 4
    """
    assert chosen(scores) == {"b": "Baseline", "d": "Month 1"}


def test_scores_that_can_not_be_used_say_why():
    scores = """
        id | assessed   | value | status           | absent
        a  | 2019-01-31 | 9     | entered-in-error |
        b  | 2019-01-31 |       |                  | not-performed
        c  | 2019-01-31 |       |                  |
        d  | 2019-01    | 9     |                  |
        e  | 2019-01-01T09:00 | 9 |                |
        f  | 2020-12-31 | 9     |                  |
    """
    assert {id_: row["notUsed"] for id_, row in one(scores).items()} == {
        "a": "status is not final",
        "b": "not assessed",
        "c": "no numeric value",
        "d": "date not known to the day",
        "e": "outside every window",
        "f": "outside every window",
    }


def test_unusable_scores_are_counted():
    doses = read_doses("taken | mg \n 2019-01-01 | 2")
    scores = read_scores("assessed | value | status \n 2019-01-31 | 9 | preliminary")
    told = answer(ask(ENDPOINT, (*enrol_all(doses), *doses, *scores)))
    assert instrument(told, "SLEDAI-2K")["scores"]["unusable"] == {"status is not final": 1}
    reasons = visit_of(instrument(told, "SLEDAI-2K"), "M1")["missing"]["reasons"]
    assert reasons == {"no valid baseline score": 1}


def test_steroids_at_baseline(told):
    """20, 15, 5; of 004 the dose is not told; 005 has no background record and counts as 0."""
    steroids = told["steroids"]
    assert (steroids["baseline"]["n"], steroids["baseline"]["mean"]) == (4, 10.0)
    assert (steroids["baseline"]["onSteroid"], steroids["baseline"]["missing"]) == (3, 1)
    assert steroids["withoutBackgroundRecord"] == 1


def test_steroids_change_on_the_day_of_the_visits_score(told):
    """At month 1: 20 → 10, 15 → 15, 5 → 5 + 7.5, 0 → 0: -10, 0, 7.5, 0."""
    month = visit_of(told["steroids"], "M1")
    assert (month["n"], month["change"]["mean"]) == (4, -0.625)
    assert (month["reduced"], month["increased"], month["stopped"]) == (1, 1, 0)
    assert month["missing"]["reasons"] == {"prednisone equivalent not known at baseline": 1}


def test_a_steroid_that_ended_is_none(told):
    """At month 6: 20 → 10, 15 → 0."""
    month = visit_of(told["steroids"], "M6")
    assert (month["n"], month["change"]["mean"], month["stopped"]) == (2, -12.5, 1)


def test_without_a_score_the_day_of_the_platelet_count_is_looked_at():
    doses = read_doses("taken | mg \n 2019-01-01 | 2")
    steroid = read_treatments(
        "given | last | kind | group | prednisone \n"
        "2018-01-01 | 2019-02-04 | background | steroid | 8"
    )
    counts = read_counts("collected | value \n 2019-02-05 | 90")
    told = answer(ask(ENDPOINT, (*enrol_all(doses), *doses, *steroid, *counts)))
    month = visit_of(told["steroids"], "M1")
    assert (month["n"], month["change"]["mean"]) == (1, -8.0)
    reasons = visit_of(told["steroids"], "M2")["missing"]["reasons"]
    assert reasons == {"neither score nor count in the window before rescue treatment": 1}


def test_one_drug_in_force_twice_is_added_and_told():
    doses = read_doses("taken | mg \n 2019-01-01 | 2")
    steroids = read_treatments(
        "given | last | kind | group | drug | prednisone \n"
        "2018-01-01 | - | background | steroid | prednisone | 8 \n"
        "2018-12-01 | - | background | steroid | prednisone | 4"
    )
    told = answer(ask(ENDPOINT, (*enrol_all(doses), *doses, *steroids)))["steroids"]["baseline"]
    assert (told["mean"], told["doubled"]) == (12.0, 1)


def test_every_steroid_record_is_a_row_with_the_visits_that_it_was_in_force_at():
    rows = subject_answer(ask(ENDPOINT, records()))["rows"]
    used = {row["resource"]: row["usedAt"] for row in rows if row["PARAMCD"] == "PREDEQ"}
    assert used["MedicationStatement/treated-0"] == ["BL"]
    assert used["MedicationStatement/treated-1"] == ["M1", "M6"]


def test_rows_tell_change_and_responder_flag():
    rows = subject_answer(ask(ENDPOINT, records()))["rows"]
    row = next(each for each in rows if each["AVISIT"] == "Month 1")
    names = ("USUBJID", "AVAL", "BASE", "CHG", "AVALNP", "CHGNP", "CRIT1FL", "ANL01FL")
    assert [row[name] for name in names] == ["SSCI-001", 6.0, 10.0, -4.0, 6.0, -3.0, "Y", "Y"]


def test_the_inputs_are_scores_and_steroids(told):
    used = {
        (each["usedAs"], each["visit"])
        for each in told["inputs"]["listed"]
        if each["subject"] == "SSCI-001"
    }
    assert used == {
        ("first dose", None),
        ("baseline of SLEDAI-2K", None),
        ("SLEDAI-2K", "M1"),
        ("SLEDAI-2K", "M6"),
        ("steroid", "BL"),
        ("steroid", "M1"),
        ("steroid", "M6"),
    }


def test_of_nobody_every_figure_is_null_with_its_reason():
    told = answer(ask(ENDPOINT, ()))
    month = sledai(told, "M1")
    assert month["total"]["change"]["reasons"]["mean"] == "no values"
    assert month["total"]["responders"]["observed"]["percent"] is None


def test_the_order_of_rows_changes_nothing():
    asked = ask(ENDPOINT, records())
    turned = replace(asked, records=tuple(reversed(asked.records)))
    both = [compute_answer(each.request, each.tables) for each in (asked, turned)]
    assert both[0] == both[1]
