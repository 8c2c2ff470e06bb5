"""The primary endpoint over a cohort that can be checked on paper, and its edges.

Elapsed days from 2019-01-01: 2019-01-31 is 30, 2019-03-03 is 61, 2019-05-03 is 122, 2019-07-03
is 183, 2020-01-01 is 365.

    baseline → M1 M2 M4 M6 M12         change at M1   at M6
    001  20 →  30  40 100 120 150           10          100
    002  10 →  10  25   –  30   –            0           20     (dropped out)
    003  40 →  30  60  80 101 110          -10           61
    004  50 →  70  50  90  60  40           20           10
    005  60 →  50   –  75  <2  66          -10            –     (a bound)
    006   – →  15   –   –   –   –            –            –     (counted 40 days before)
    007  enrolled, never dosed
"""

from __future__ import annotations

import pytest

from app.endpoints.schemas import PlateletChange, PlateletChangeSubjects
from tests.endpoint_support import (
    ONE_DOSE,
    answer,
    build_request,
    subject_answer,
    visit_of,
    whole_answer,
)

SUBJECTS = """
    subject  | consent
    SSCI-001 | yes
    SSCI-002 | yes
    SSCI-003 | yes
    SSCI-004 | yes
    SSCI-005 | yes
    SSCI-006 | yes
    SSCI-007 | yes
    SSCI-008 | no
"""

DOSES = """
    subject  | taken            | mg
    SSCI-001 | 2019-01-01T08:00 | 2
    SSCI-001 | 2019-01-02T08:00 | 2
    SSCI-002 | 2019-01-01T08:00 | 2
    SSCI-003 | 2019-01-01T08:00 | 2
    SSCI-004 | 2019-01-01T08:00 | 2
    SSCI-005 | 2019-01-01T08:00 | 2
    SSCI-006 | 2019-01-01T08:00 | 2
"""

COUNTS = """
    subject  | collected        | value | comparator
    SSCI-001 | 2018-12-31       | 20    |
    SSCI-001 | 2019-01-31       | 30    |
    SSCI-001 | 2019-03-03       | 40    |
    SSCI-001 | 2019-05-03       | 100   |
    SSCI-001 | 2019-07-03       | 120   |
    SSCI-001 | 2020-01-01       | 150   |
    SSCI-002 | 2019-01-01       | 10    |
    SSCI-002 | 2019-01-31       | 10    |
    SSCI-002 | 2019-03-03       | 25    |
    SSCI-002 | 2019-07-03       | 30    |
    SSCI-003 | 2018-12-20       | 40    |
    SSCI-003 | 2019-01-31       | 30    |
    SSCI-003 | 2019-03-03       | 60    |
    SSCI-003 | 2019-05-03       | 80    |
    SSCI-003 | 2019-07-03       | 101   |
    SSCI-003 | 2020-01-01       | 110   |
    SSCI-004 | 2019-01-01T07:30 | 50    |
    SSCI-004 | 2019-01-31       | 70    |
    SSCI-004 | 2019-03-03       | 50    |
    SSCI-004 | 2019-05-03       | 90    |
    SSCI-004 | 2019-07-03       | 60    |
    SSCI-004 | 2020-01-01       | 40    |
    SSCI-005 | 2018-12-31       | 60    |
    SSCI-005 | 2019-02-10       | 50    |
    SSCI-005 | 2019-05-03       | 75    |
    SSCI-005 | 2019-07-03       | 2     | <
    SSCI-005 | 2020-01-01       | 66    |
    SSCI-006 | 2018-11-22       | 12    |
    SSCI-006 | 2019-01-31       | 15    |
"""


@pytest.fixture(scope="module")
def cohort():
    return answer(build_request(COUNTS, DOSES, SUBJECTS))


def only(figures, *names):
    return {name: figures[name] for name in names}


def test_populations_are_counted_from_consent_and_doses():
    told = {
        name: answer(build_request(COUNTS, DOSES, SUBJECTS, name))["population"]["n"]
        for name in ("enrolled", "safety", "efficacy")
    }
    assert told == {"enrolled": 7, "safety": 6, "efficacy": 6}


def test_everyone_else_is_excluded_with_a_reason():
    stray = DOSES + "    SSCI-008 | 2019-01-01T08:00 | 2 \n  STRAY | 2019-01-01T08:00 | 2"
    told = answer(build_request(COUNTS, stray, SUBJECTS))["population"]
    assert told["n"] == 6
    assert told["excluded"] == {
        "n": 3,
        "reasons": {
            "consent not recorded": 1,
            "no sirolimus dose with an amount above 0": 1,
            "not enrolled in the study": 1,
        },
        "subjects": [
            {"subject": "SSCI-007", "reason": "no sirolimus dose with an amount above 0"},
            {"subject": "SSCI-008", "reason": "consent not recorded"},
            {"subject": "STRAY", "reason": "not enrolled in the study"},
        ],
    }


def test_baseline_figures(cohort):
    """20, 10, 40, 50, 60: sum 180; squared deviations from 36: 256+676+16+196+576 = 1720."""
    assert cohort["baseline"]["missing"] == {"n": 1, "subjects": ["SSCI-006"]}
    figures = only(cohort["baseline"]["observed"], "n", "mean", "sd", "median", "min", "max")
    sd = 20.73644135  # √(1720/4)
    assert figures == {"n": 5, "mean": 36.0, "sd": sd, "median": 40.0, "min": 10.0, "max": 60.0}


def test_change_at_month_1(cohort):
    """10, 0, -10, 20, -10: mean 2, squared deviations 64+4+144+324+144 = 680, SD √170.

    t interval: 2 ± 2.776445 · √(170/5); quartiles at n·p 1.25 and 3.75: 2nd and 4th value.
    """
    assert visit_of(cohort, "M1")["change"] == {
        "n": 5,
        "mean": 2.0,
        "sd": 13.03840481,
        "median": 0.0,
        "q1": -10.0,
        "q3": 10.0,
        "min": -10.0,
        "max": 20.0,
        "ciLow": -14.18931785,
        "ciHigh": 18.18931785,
        "reasons": {},
    }


def test_signed_rank_at_month_1_with_a_zero_and_ties(cohort):
    """|10| three times (mid-rank 2) and 20 (rank 4): W+ = 2 + 4 = 6 of 10.

    Sums of subsets of {2,2,2,4}: 0·1 2·3 4·4 6·4 8·3 10·1; P(≤ 4) = 8/16, so p = 1.
    """
    figures = visit_of(cohort, "M1")["tests"]["signedRank"]
    assert only(figures, "n", "zeros", "nonZero", "wPlus", "s", "p") == {
        "n": 5,
        "zeros": 1,
        "nonZero": 4,
        "wPlus": 6.0,
        "s": 1.0,
        "p": 1.0,
    }


def test_hodges_lehmann_at_month_1(cohort):
    """Walsh averages: -10·3 -5·2 0·3 5·3 10·2 15 20; the 8th of 15 is 0."""
    figures = visit_of(cohort, "M1")["tests"]["hodgesLehmann"]
    assert (figures["estimate"], figures["ciLow"]) == (0.0, None)
    assert figures["reasons"]["ciLow"] == "5 values cannot attain 95 % confidence"


def test_change_at_month_6(cohort):
    """100, 20, 61, 10: mean 47.75; squared deviations 5100.75, SD √1700.25; n·p 1, 2, 3 whole."""
    figures = visit_of(cohort, "M6")["change"]
    assert only(figures, "n", "mean", "sd", "q1", "median", "q3") == {
        "n": 4,
        "mean": 47.75,
        "sd": 41.23408784,
        "q1": 15.0,
        "median": 40.5,
        "q3": 80.5,
    }


def test_tests_at_month_6(cohort):
    """t = 47.75 / (√1700.25 / 2) and, with x = t/√3, p = 1 - 2/π · (x/(1+x²) + arctan x).

    Every change is positive: signed-rank p = 2/16.
    """
    tests = visit_of(cohort, "M6")["tests"]
    assert only(tests["pairedT"], "t", "df", "p") == {"t": 2.316044928, "df": 3, "p": 0.1034574059}
    assert only(tests["signedRank"], "wPlus", "p") == {"wPlus": 10.0, "p": 0.125}


def test_percent_change_and_ratio_at_month_6(cohort):
    """500, 200, 152.5 and 20 %; ratios 6 · 3 · 2.525 · 1.2 = 54.54, fourth root 2.717557."""
    visit = visit_of(cohort, "M6")
    assert visit["percentChange"]["mean"] == 218.125
    assert visit["ratio"]["geometricMean"] == pytest.approx(54.54**0.25, rel=1e-9)


def test_observed_values_need_no_baseline(cohort):
    """30, 10, 30, 70, 50 and 006's 15."""
    visit = visit_of(cohort, "M1")
    assert (visit["n"], visit["observed"]["n"]) == (5, 6)
    assert visit["observed"]["mean"] == pytest.approx(205 / 6, rel=1e-9)


def test_every_missing_change_has_its_reason(cohort):
    assert [visit["missing"]["n"] for visit in cohort["visits"]] == [1, 2, 2, 2, 2]
    assert visit_of(cohort, "M6")["missing"] == {
        "n": 2,
        "reasons": {"no valid baseline count": 1, "no valid count in the window": 1},
        "subjects": [
            {"subject": "SSCI-005", "reason": "no valid count in the window"},
            {"subject": "SSCI-006", "reason": "no valid baseline count"},
        ],
    }
    assert {"subject": "SSCI-002", "reason": "no count in the window"} in visit_of(cohort, "M4")[
        "missing"
    ]["subjects"]


def test_an_undosed_participant_is_missing_from_the_enrolled():
    told = answer(build_request(COUNTS, DOSES, SUBJECTS, "enrolled"))
    reasons = visit_of(told, "M1")["missing"]["reasons"]
    assert reasons["no sirolimus dose with an amount above 0"] == 1


def test_counts_outside_the_tolerance_are_used_and_counted(cohort):
    """005's count of 10 February is on day 40, 10 from the target."""
    assert [visit["outsideTolerance"] for visit in cohort["visits"]] == [1, 0, 0, 0, 0]


def test_strata_split_at_a_baseline_of_50(cohort):
    below, above = cohort["strata"]
    assert (below["name"], below["n"]) == ("baseline < 50", 3)
    assert (above["name"], above["n"]) == ("baseline >= 50", 2)
    assert visit_of(below, "M6")["change"]["mean"] == pytest.approx(181 / 3)
    assert visit_of(above, "M6")["change"]["mean"] == 10.0


def test_locf_carries_the_last_count_after_the_first_dose_and_never_baseline(cohort):
    """Month 6: 005 keeps 75 of month 4, change 15; month 12: 002 keeps 30 of month 6."""
    locf = cohort["sensitivity"]["locf"]
    month6, month12 = visit_of(locf, "M6"), visit_of(locf, "M12")
    told = [only(visit, "n", "carriedForward", "missing") for visit in (month6, month12)]
    assert told == [{"n": 5, "carriedForward": 1, "missing": 1}] * 2
    assert month6["change"]["mean"] == (191 + 15) / 5
    assert month12["change"]["mean"] == (130 + 70 - 10 + 6 + 20) / 5


def test_locf_does_not_reach_the_first_visit():
    told = answer(build_request("collected | value \n 2018-12-31 | 20"))
    assert told["sensitivity"]["locf"]["visits"][0]["n"] == 0


def test_a_count_after_rescue_treatment_is_set_aside_and_used_in_the_sensitivity_analysis():
    counts = "collected | value \n 2018-12-31 | 20 \n 2019-01-31 | 90 \n 2019-03-03 | 40"
    rescue = "given | group \n 2019-01-30 | platelet-transfusion"
    told = answer(build_request(counts, treatments=rescue))
    assert visit_of(told, "M1")["n"] == 0
    assert visit_of(told, "M1")["missing"]["reasons"] == {
        "every valid count in the window is after rescue treatment": 1
    }
    assert told["sensitivity"]["treatmentPolicy"]["visits"][0]["change"]["mean"] == 70.0
    assert told["intercurrentEvents"]["rescue"] == {
        "strategy": "hypothetical",
        "participants": 1,
        "firstBy": {"platelet-transfusion": 1},
        "countsSetAside": 2,
    }


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("2019-01-31", 0),
        ("2019-01-31T08:00", 0),
        ("2019-01-31T10:00", 1),
        ("2019-02-01", 1),
        ("2018-12-31", 1),
    ],
)
def test_a_count_drawn_before_the_rescue_of_its_day_is_used(given, used):
    counts = "collected | value \n 2018-12-31 | 20 \n 2019-01-31T09:00 | 90"
    told = answer(build_request(counts, treatments=f"given \n {given}"))
    assert visit_of(told, "M1")["n"] == used


def test_unusable_counts_are_counted_by_reason(cohort):
    bound = "a bound, not a number (comparator)"
    assert cohort["counts"] == {"total": 29, "chosen": 27, "unusable": {bound: 1}}


def test_each_figure_lists_the_versions_it_rests_on(cohort):
    mine = [each for each in cohort["inputs"]["listed"] if each["subject"] == "SSCI-002"]
    told = [(each["usedAs"], each["visit"], each["url"]) for each in mine]
    assert told == [
        ("first dose", None, "/fhir/MedicationAdministration/dose-2/_history/1"),
        ("baseline", None, "/fhir/Observation/count-6/_history/1"),
        ("visit", "M1", "/fhir/Observation/count-7/_history/1"),
        ("visit", "M2", "/fhir/Observation/count-8/_history/1"),
        ("visit", "M6", "/fhir/Observation/count-9/_history/1"),
    ]


def test_definition_both_clocks_and_assumptions_are_told(cohort):
    assert only(cohort, "endpoint", "cutoff", "asOf", "software") == {
        "endpoint": "platelet-change",
        "cutoff": "2030-01-01",
        "asOf": "2030-01-02T00:00:00.000000Z",
        "software": "test",
    }
    assert only(cohort["definition"], "id", "version", "source") == {
        "id": "platelet-change",
        "version": "1.0.0",
        "source": "S",
    }
    assert any("28 d" in assumption for assumption in cohort["definition"]["assumptions"])


def test_no_participant_gives_a_defined_answer():
    told = answer(build_request(doses="subject"))
    assert told["population"]["n"] == 0
    for visit in told["visits"]:
        assert (visit["n"], visit["change"]["mean"]) == (0, None)
        assert visit["change"]["reasons"]["mean"] == "no values"


def test_one_participant_has_a_mean_but_no_spread():
    told = answer(build_request("collected | value \n 2018-12-31 | 20 \n 2019-01-31 | 30"))
    visit = visit_of(told, "M1")
    assert only(visit["change"], "n", "mean", "sd", "ciLow") == {
        "n": 1,
        "mean": 10.0,
        "sd": None,
        "ciLow": None,
    }
    assert visit["tests"]["pairedT"]["reasons"]["p"] == "needs at least two values"


def test_a_baseline_of_zero_has_no_percent_change_and_no_ratio():
    told = answer(build_request("collected | value \n 2018-12-31 | 0 \n 2019-01-31 | 30"))
    visit = visit_of(told, "M1")
    assert visit["change"]["mean"] == 30.0
    assert [visit[name]["undefined"] for name in ("percentChange", "ratio")] == [1, 1]


def test_a_count_of_zero_has_a_percent_change_but_no_ratio():
    told = answer(build_request("collected | value \n 2018-12-31 | 20 \n 2019-01-31 | 0"))
    visit = visit_of(told, "M1")
    assert visit["percentChange"]["mean"] == -100.0
    assert visit["ratio"]["undefined"] == 1


def test_answers_have_the_documented_shape():
    request = build_request(COUNTS, DOSES, SUBJECTS)
    PlateletChange.model_validate(whole_answer(request))
    PlateletChangeSubjects.model_validate(subject_answer(request))
    empty = build_request(doses="subject")
    PlateletChange.model_validate(whole_answer(empty))
    PlateletChangeSubjects.model_validate(subject_answer(empty))


def test_each_participant_is_told_with_first_dose_baseline_and_what_is_missing():
    told = subject_answer(build_request("collected | value \n 2018-12-31 | 20", ONE_DOSE))
    (subject,) = told["subjects"]
    assert (subject["TRTSDT"], subject["TRTSDTM"]) == ("2019-01-01", "2019-01-01T08:00:00+08:00")
    assert (subject["BASE"], subject["baseline"]["resource"]) == (20.0, "Observation/count-0")
    assert subject["missing"][0] == {"visit": "M1", "reason": "no count in the window"}
