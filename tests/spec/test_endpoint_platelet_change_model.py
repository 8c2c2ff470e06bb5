"""The change by a mixed model for repeated measures, over cohorts that can be checked.

The six participants of test_endpoint_platelet_change.py, and eight complete ones. With complete
data the model is the analysis of covariance of each visit, whatever the visits have in common.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from app.endpoints.analyses.platelet_change_model import compute_figures
from app.endpoints.cohort.members import Members
from app.endpoints.figures.mmrm_contrasts import METHODS
from app.endpoints.figures.mmrm_covariance import STRUCTURES
from app.endpoints.figures.mmrm_visits import PER_VISIT
from app.errors import SsciError
from app.trial import parse_protocol
from app.trial.protocol_file import COVARIANCES, DEGREES_OF_FREEDOM, PROTOCOL_FILE
from tests.endpoint_support import (
    PROTOCOL,
    answer,
    ask,
    enrol_all,
    read_counts,
    read_doses,
    read_subjects,
    read_treatments,
    subject_answer,
    visit_of,
    whole_answer,
)
from tests.spec.test_endpoint_platelet_change import COUNTS, DOSES, SUBJECTS

ENDPOINT = "platelet-change-model"
DAYS = ("2018-12-31", "2019-01-31", "2019-03-03", "2019-05-03", "2019-07-03", "2020-01-01")
VISITS = ("M1", "M2", "M4", "M6", "M12")

COMPLETE = """
    20  30  41 100 120 150
    10  10  25  31  30  44
    40  30  60  80 101 110
    50  70  50  90  60  40
    62  50  71  75  88  66
    15  25  22  60 130 140
    33  36  59  48  52  90
    28  41  30 110  95 103
"""
"""Baseline and the five visits, one line per participant."""


def read_cohort(text):
    """Dosed on 2019-01-01, counted on each visit's target; `-` for no count."""
    lines = [line.split() for line in text.strip().splitlines()]
    counts = ["subject | collected | value"]
    doses = ["subject | taken | mg"]
    for number, values in enumerate(lines, start=1):
        subject = f"SSCI-{number:03}"
        doses.append(f"{subject} | 2019-01-01T08:00 | 2")
        pairs = zip(DAYS, values, strict=True)
        counts += [f"{subject} | {day} | {value}" for day, value in pairs if value != "-"]
    found, taken = read_counts("\n".join(counts)), read_doses("\n".join(doses))
    return (*enrol_all(found, taken), *found, *taken)


def matrix(text):
    return np.array([line.split() for line in text.strip().splitlines()], float)


def model_of(records, name="change", **asked):
    return next(
        each for each in answer(ask(ENDPOINT, records, **asked))["models"] if each["name"] == name
    )


@pytest.fixture(scope="module")
def complete():
    return answer(ask(ENDPOINT, read_cohort(COMPLETE)))


@pytest.fixture(scope="module")
def six():
    records = (*read_subjects(SUBJECTS), *read_doses(DOSES), *read_counts(COUNTS))
    return answer(ask(ENDPOINT, records))


def ancova(response, covariate):
    """Mean at the mean covariate: the mean response, with the error around the line."""
    fit, n = stats.linregress(covariate, response), len(response)
    left = response - fit.intercept - fit.slope * covariate
    return response.mean(), np.sqrt(left @ left / (n - 2) / n)


def test_complete_data_are_the_analysis_of_covariance_of_each_visit(complete):
    table = matrix(COMPLETE)
    model = complete["models"][0]
    assert model["covariance"]["used"] == "unstructured"
    for place, code in enumerate(VISITS, start=1):
        expected = ancova(table[:, place] - table[:, 0], table[:, 0])
        for found in (visit_of(model, code)["lsMean"], *visit_of(model, code)["byMethod"]):
            assert (found["estimate"], found["se"]) == pytest.approx(expected, rel=1e-6)
            assert found["df"] == pytest.approx(6, rel=1e-6)


def test_month_1_by_hand(complete):
    """Baselines sum to 258, mean 32.25; changes 10, 0, -10, 20, -12, 10, 3, 13: mean 34/8 = 4.25.
    Baseline: squares 10542 - 258²/8 = 2221.5; with the change 669 - 258·34/8 = -427.5; change:
    1022 - 34²/8 = 877.5, of which 877.5 - 427.5²/2221.5 = 795.233 is left on 6 degrees of freedom:
    SE = √(795.233/6/8) = 4.07030."""
    month = visit_of(complete["models"][0], "M1")
    assert month["lsMean"]["estimate"] == pytest.approx(4.25)
    assert month["slope"]["estimate"] == pytest.approx(-427.5 / 2221.5)
    assert month["lsMean"]["se"] == pytest.approx(4.07030, rel=1e-5)
    assert month["lsMean"]["t"] == pytest.approx(4.25 / 4.07030, rel=1e-5)
    half = 2.446912 * 4.07030  # t with 6 degrees of freedom at 97.5 %
    assert month["lsMean"]["ciHigh"] == pytest.approx(4.25 + half, rel=1e-5)
    assert month["atBaselineZero"]["estimate"] == pytest.approx(4.25 + 32.25 * 427.5 / 2221.5)


def test_the_ln_ratio_is_modelled_beside_the_change(complete):
    table = np.log(matrix(COMPLETE))
    model = complete["models"][1]
    assert (model["name"], model["covariate"]) == ("ln ratio", "ln(baseline)")
    assert model["reference"][0]["baseline"] == pytest.approx(np.exp(table[:, 0].mean()))
    expected = ancova(table[:, 4] - table[:, 0], table[:, 0])
    month = visit_of(model, "M6")
    assert (month["lsMean"]["estimate"], month["lsMean"]["se"]) == pytest.approx(expected)
    assert month["ratio"]["estimate"] == pytest.approx(np.exp(expected[0]))
    assert month["ratio"]["ciLow"] == pytest.approx(np.exp(month["lsMean"]["ciLow"]))


def test_the_covariance_is_told_with_its_likelihood(complete):
    model = complete["models"][0]
    table = matrix(COMPLETE)
    changes = table[:, 1:] - table[:, :1]
    centred = table[:, 0] - table[:, 0].mean()
    slopes = centred @ changes / (centred @ centred)
    left = changes - changes.mean(0) - np.outer(centred, slopes)
    expected = left.T @ left / 6
    rows = {row["visit"]: row for row in model["covariance"]["matrix"]}
    assert rows["M2"]["covariance"]["M12"] == pytest.approx(expected[1, 4], rel=1e-6)
    assert rows["M6"]["sd"] == pytest.approx(np.sqrt(expected[3, 3]), rel=1e-6)
    assert rows["M1"]["correlation"]["M1"] == 1.0
    fit = model["fit"]
    assert fit["covarianceParameters"] == 15
    assert fit["aic"] == pytest.approx(fit["minus2RestrictedLogLikelihood"] + 30)


def test_who_is_not_in_the_model_is_told_with_the_reason(six):
    model = six["models"][0]
    assert (model["participants"], model["observations"]) == (5, 21)
    assert model["leftOut"]["subjects"] == [
        {"subject": "SSCI-006", "reason": "no valid baseline count"}
    ]
    assert [visit["n"] for visit in model["visits"]] == [5, 4, 4, 4, 4]
    assert [each["n"] for each in six["missing"]] == [1, 2, 2, 2, 2]


def test_the_mean_baseline_is_over_participants_and_over_observations_beside(six):
    """20, 10, 40, 50, 60 with 5, 3, 5, 5, 3 counts: 180/5 = 36, 760/21 = 36.190…"""
    told = {each["name"]: each for each in six["models"][0]["reference"]}
    assert (told["participants"]["used"], told["participants"]["baseline"]) == (True, 36.0)
    assert (told["observations"]["used"], told["observations"]["baseline"]) == (
        False,
        pytest.approx(760 / 21),
    )


def test_every_step_down_the_ladder_is_told(six):
    """Five participants leave three degrees of freedom for five visits."""
    steps = six["models"][0]["covariance"]["steps"]
    assert [(step["name"], step["used"]) for step in steps][:2] == [
        ("unstructured", False),
        ("toeplitz-heterogeneous", False),
    ]
    assert steps[0]["reason"] == "the covariance became singular"
    assert (steps[-1]["used"], steps[-1]["reason"]) == (True, None)
    assert six["models"][0]["covariance"]["used"] == steps[-1]["name"]


def test_the_protocol_s_degrees_of_freedom_are_the_default(six):
    month = visit_of(six["models"][0], "M12")
    by_method = {each.pop("name"): each for each in month["byMethod"]}
    assert six["degreesOfFreedom"] == "kenward-roger"
    assert by_method["kenward-roger"] == month["lsMean"]
    assert by_method["satterthwaite"]["se"] < month["lsMean"]["se"]
    assert by_method["satterthwaite"]["df"] == month["lsMean"]["df"]


def test_counts_after_rescue_are_set_aside_and_used_under_treatment_policy():
    rescue = read_treatments("subject | given \n SSCI-001 | 2019-06-01")
    told = answer(ask(ENDPOINT, (*read_cohort(COMPLETE), *rescue)))
    counted = [visit["n"] for visit in told["models"][0]["visits"]]
    assert counted == [8, 8, 8, 7, 7]
    assert told["intercurrentEvents"]["rescue"]["countsSetAside"] == 2
    assert told["missing"][4]["reasons"] == {
        "every valid count in the window is after rescue treatment": 1
    }
    policy = told["sensitivity"]["treatmentPolicy"]["models"][0]
    assert [visit["n"] for visit in policy["visits"]] == [8] * 5
    assert policy["visits"] == model_of(read_cohort(COMPLETE))["visits"]


def test_who_has_counts_after_rescue_only_is_left_out_with_that_reason():
    rescue = read_treatments("subject | given \n SSCI-001 | 2019-01-02")
    told = answer(ask(ENDPOINT, (*read_cohort(COMPLETE), *rescue)))
    for model in told["models"]:
        assert model["leftOut"]["subjects"] == [
            {
                "subject": "SSCI-001",
                "reason": "every usable count at a visit is after rescue treatment",
            }
        ]
    assert told["sensitivity"]["treatmentPolicy"]["models"][0]["leftOut"]["n"] == 0


def test_a_count_of_0_has_no_logarithm():
    records = read_cohort(COMPLETE.replace("120 150", "120 0"))
    assert model_of(records)["observations"] == 40
    logs = model_of(records, "ln ratio")
    assert (logs["observations"], logs["undefined"], logs["leftOut"]["n"]) == (39, 1, 0)


def test_a_baseline_of_0_is_left_out_of_the_logarithms_with_its_reason():
    logs = model_of(read_cohort(COMPLETE.replace("    20  30", "    0   30")), "ln ratio")
    assert logs["leftOut"]["subjects"] == [
        {
            "subject": "SSCI-001",
            "reason": "no logarithm: the baseline, or every count at a visit, is 0",
        }
    ]


def test_one_visit_asked_for_rests_on_the_model_of_all():
    records = read_cohort(COMPLETE.replace("101 110", "-   110"))
    whole, one = model_of(records), model_of(records, visit="M6")
    assert [visit["visit"] for visit in one["visits"]] == ["M6"]
    assert visit_of(one, "M6") == visit_of(whole, "M6")
    assert one["observations"] == 39


def test_the_order_of_rows_changes_nothing():
    records = read_cohort(COMPLETE.replace("101 110", "-   110"))
    assert whole_answer(ask(ENDPOINT, records)) == whole_answer(ask(ENDPOINT, records[::-1]))


@pytest.mark.parametrize(
    ("cohort", "used", "reason"),
    [
        ("", None, "no observation"),
        ("20 30 40 50 60 70", None, "fewer than 3 observations"),
        ("20 30 40 50 60 70\n" * 6, "per-visit-ancova", "no variation is left"),
        ("20 20 20 20 20 20\n30 30 30 30 30 30\n" * 4, "per-visit-ancova", "no variation is left"),
        ("20 30 40 50 60 70\n30 31 45 52 68 70", None, "fewer than 3 observations"),
    ],
)
def test_no_one_one_two_and_all_equal_have_nulls_with_reasons(cohort, used, reason):
    for name in ("change", "ln ratio"):
        model = model_of(read_cohort(cohort), name)
        assert model["covariance"]["used"] == used
        for visit in model["visits"]:
            assert visit["lsMean"]["estimate"] is None
            assert visit["lsMean"]["reasons"]["estimate"].startswith(reason)
            assert visit["lsMean"]["reasons"].keys() == visit["lsMean"].keys() - {"reasons"}


def test_the_same_baseline_for_all_leaves_the_baseline_out():
    lines = [line.split()[1:] for line in COMPLETE.strip().splitlines()]
    cohort = "\n".join(" ".join(["30", *line]) for line in lines)
    table = matrix(cohort)
    model = model_of(read_cohort(cohort))
    assert model["baselineTerm"] == {
        "used": False,
        "reason": "the baseline is the same for everyone",
    }
    month = visit_of(model, "M6")
    assert month["lsMean"]["estimate"] == pytest.approx(np.mean(table[:, 4] - 30))
    assert month["lsMean"]["se"] == pytest.approx(stats.sem(table[:, 4]))
    assert month["slope"]["reasons"]["estimate"] == "the baseline is the same for everyone"


def test_subgroups_have_models_of_their_own():
    cohort = ask(ENDPOINT, read_cohort(COMPLETE)).cohort
    figures = compute_figures(cohort, Members(np.array([0, 2, 5, 7]), ()))
    assert figures["models"][0]["participants"] == 4
    assert "NaN" not in json.dumps(figures)


def test_subjects_tell_who_is_in_the_model_with_every_count():
    records = (*read_subjects(SUBJECTS), *read_doses(DOSES), *read_counts(COUNTS))
    told = subject_answer(ask(ENDPOINT, records))
    inside = {each["USUBJID"]: each["inModel"] for each in told["subjects"]}
    assert [number for number, flag in inside.items() if not flag] == ["SSCI-006"]
    assert told["subjects"][5]["notInModel"] == "no valid baseline count"
    assert len(told["rows"]) == COUNTS.strip().count("\n")


def test_inputs_name_the_counts_that_entered(six):
    used = [(each["subject"], each["usedAs"], each["visit"]) for each in six["inputs"]["listed"]]
    assert ("SSCI-001", "baseline", None) in used
    assert ("SSCI-005", "visit", "M6") not in used
    assert sum(use == "visit" for _, use, _ in used) == 22  # with month 1 of SSCI-006


def under(rules, records):
    """The model of the change under other rules of the protocol."""
    asked = ask(ENDPOINT, records)
    protocol = replace(PROTOCOL, change_model=replace(PROTOCOL.change_model, **rules))
    altered = replace(asked, request=replace(asked.request, protocol=protocol))
    return answer(altered)["models"][0]


def test_the_protocol_decides_on_covariance_method_and_reference():
    records = read_cohort(COMPLETE.replace("101 110", "-   110"))
    before = visit_of(model_of(records), "M6")
    rules = {"covariances": ("compound-symmetry",), "degrees_of_freedom": "satterthwaite"}
    model = under(rules | {"reference": "observations"}, records)
    assert model["covariance"]["used"] == "compound-symmetry"
    assert model["fit"]["covarianceParameters"] == 2
    assert [each["used"] for each in model["reference"]] == [False, True]
    month = visit_of(model, "M6")
    by_method = {each.pop("name"): each for each in month["byMethod"]}
    assert month["lsMean"] == by_method["satterthwaite"]
    same = visit_of(under({"reference": "observations"}, records), "M6")
    assert same["lsMean"]["estimate"] == before["atOtherReference"]["estimate"]


def test_more_observations_may_be_asked_of_a_visit():
    model = under({"least_observations": 9}, read_cohort(COMPLETE))
    assert visit_of(model, "M6")["lsMean"]["reasons"]["se"] == "fewer than 9 observations"
    assert model["leftOut"]["reasons"] == {
        "counts only at visits that are left out of the model": 8
    }


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"ar1-heterogeneous", "compound', '"ar(1)", "compound', "ar(1) is not one of"),
        ('{ value = "kenward-roger"', '{ value = "residual"', "must be one of kenward-roger"),
        ("least_observations = { value = 3", "least_observations = { value = 2", "not be below 3"),
    ],
)
def test_the_protocol_s_rules_are_checked_at_start(old, new, problem):
    text = PROTOCOL_FILE.read_text("utf-8")
    assert old in text
    with pytest.raises(SsciError, match=re.escape(problem)):
        parse_protocol(text.replace(old, new))


def test_the_protocol_knows_the_covariances_that_can_be_fitted():
    assert (*STRUCTURES, PER_VISIT) == COVARIANCES
    assert METHODS == DEGREES_OF_FREEDOM
