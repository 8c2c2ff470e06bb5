"""Means by visit from the mixed model, held against the textbook where data are complete, and the
ladder of covariances where they are not enough."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from app.endpoints.figures import mmrm
from app.endpoints.figures.mmrm_contrasts import (
    KENWARD_ROGER,
    METHODS,
    SATTERTHWAITE,
    Contrast,
    build_test,
)
from app.endpoints.figures.mmrm_moments import LARGEST
from app.endpoints.figures.mmrm_visits import Observations, VisitModel, fit_visits

LADDER = ("unstructured", "ar1-heterogeneous", "compound-symmetry", "per-visit-ancova")


def observe(table, covariate=None):
    """From a matrix (participants x visits; NaN: missing)."""
    rows, visits = np.nonzero(~np.isnan(table))
    given = np.zeros(len(table)) if covariate is None else np.asarray(covariate, float)
    return Observations(rows, visits, table[rows, visits], given[rows])


def drawn(participants=14, visits=3, seed=2):
    random = np.random.default_rng(seed)
    covariate = random.uniform(10, 60, participants)
    common = random.normal(0, 20, (participants, 1))
    noise = random.normal(0, 10, (participants, visits)) * np.arange(1, visits + 1)
    return np.round(common + noise + 15 * np.arange(visits) - 0.2 * covariate[:, None]), covariate


def told(model: VisitModel, visit: int, method=KENWARD_ROGER):
    estimate, contrast = model.solutions[visit].estimate_mean(model.centre, method)
    assert isinstance(contrast, Contrast)
    assert estimate == contrast.estimate
    return contrast


@pytest.mark.parametrize("method", METHODS)
def test_complete_data_without_a_covariate_give_the_paired_t_tests(method):
    table, _ = drawn()
    model = fit_visits(observe(table), 3, LADDER, 3)
    assert (model.used, model.has_slope) == ("unstructured", False)
    for visit in range(3):
        found = told(model, visit, method)
        expected = stats.ttest_1samp(table[:, visit], 0)
        assert found.estimate == pytest.approx(table[:, visit].mean())
        assert found.se == pytest.approx(stats.sem(table[:, visit]))
        assert found.df == pytest.approx(13)
        assert build_test(found, 0.95)["p"] == pytest.approx(expected.pvalue)


def ancova(values, covariate, at):
    """Mean at a covariate, its standard error and degrees of freedom, by the textbook."""
    fit, n = stats.linregress(covariate, values), len(values)
    left = values - fit.intercept - fit.slope * covariate
    apart = covariate - covariate.mean()
    error = np.sqrt(
        left @ left / (n - 2) * (1 / n + (at - covariate.mean()) ** 2 / (apart @ apart))
    )
    return fit.intercept + fit.slope * at, error, n - 2


@pytest.mark.parametrize("method", METHODS)
def test_complete_data_give_the_analysis_of_covariance_of_each_visit(method):
    table, covariate = drawn()
    model = fit_visits(observe(table, covariate), 3, LADDER, 3)
    assert (model.used, model.has_slope) == ("unstructured", True)
    for visit in range(3):
        found = told(model, visit, method)
        expected = ancova(table[:, visit], covariate, covariate.mean())
        assert (found.estimate, found.se, found.df) == pytest.approx(expected)


def test_one_visit_alone_is_an_analysis_of_covariance():
    table, covariate = drawn()
    table[3, 0] = np.nan
    table[:, 1:] = np.nan
    model = fit_visits(observe(table, covariate), 3, LADDER, 3)
    found, seen = told(model, 0), ~np.isnan(table[:, 0])
    expected = ancova(table[seen, 0], covariate[seen], covariate[seen].mean())
    assert (found.estimate, found.se, found.df) == pytest.approx(expected)
    assert model.solutions[1:] == ("no observation", "no observation")


def test_a_missing_value_borrows_from_the_visits_that_are_there():
    """Whoever is missing at the last visit was low before it: the model expects them low there."""
    table, covariate = drawn(40)
    table[table[:, 0] < np.median(table[:, 0]), 2] = np.nan
    model = fit_visits(observe(table, covariate), 3, LADDER, 3)
    seen = ~np.isnan(table[:, 2])
    observed, *_ = ancova(table[seen, 2], covariate[seen], model.centre)
    assert told(model, 2).estimate < observed - 2


def test_the_mean_covariate_counts_each_participant_once():
    table, covariate = drawn()
    table[0, 1:] = np.nan
    model = fit_visits(observe(table, covariate), 3, LADDER, 3)
    weights = np.where(np.arange(14) == 0, 1, 3)
    assert model.centre == pytest.approx(covariate.mean())
    assert model.weighted_centre == pytest.approx(np.average(covariate, weights=weights))


def test_the_slope_is_per_unit_of_the_covariate():
    table, covariate = drawn()
    model = fit_visits(observe(table, covariate), 3, LADDER, 3)
    estimate, _ = model.solutions[1].estimate_slope(SATTERTHWAITE)
    assert estimate == pytest.approx(stats.linregress(covariate, table[:, 1]).slope)


# The ladder


def test_what_is_not_estimable_falls_to_the_next_step_with_its_reason():
    """Four participants at three visits: two degrees of freedom for six covariances."""
    table, covariate = drawn(4)
    model = fit_visits(observe(table, covariate), 3, LADDER, 3)
    first = model.steps[0]
    assert (first.name, first.reason) == ("unstructured", mmrm.ON_THE_EDGE)
    assert model.used == model.steps[-1].name == "ar1-heterogeneous"


def test_visits_that_nobody_has_both_of_do_not_determine_a_covariance():
    table, covariate = drawn(20, 2)
    table[:10, 0], table[10:, 1] = np.nan, np.nan
    model = fit_visits(observe(table, covariate), 2, LADDER, 3)
    assert [step.reason for step in model.steps] == [mmrm.NOT_DETERMINED] * 3 + [None]
    assert model.used == "per-visit-ancova"
    assert model.joint is None
    expected = ancova(table[10:, 0], covariate[10:], covariate.mean())
    found = told(model, 0)
    assert (found.estimate, found.se, found.df) == pytest.approx(expected)


def test_a_ladder_that_ends_before_anything_holds_says_so():
    table, covariate = drawn(20, 2)
    table[:10, 0], table[10:, 1] = np.nan, np.nan
    model = fit_visits(observe(table, covariate), 2, ("unstructured",), 3)
    assert (model.used, model.joint) == (None, None)
    assert model.solutions == ("no step of the ladder could be fitted",) * 2


def test_visits_with_too_little_are_left_out_with_their_reason():
    table, covariate = drawn(10, 4)
    table[2:, 1] = np.nan
    table[:, 2] = np.nan
    covariate[:3], table[3:, 3] = 20.0, np.nan
    model = fit_visits(observe(table, covariate), 4, LADDER, 3)
    assert model.fitted == (0,)
    assert model.solutions[1:] == (
        "fewer than 3 observations",
        "no observation",
        "every baseline at this visit is the same",
    )


def test_one_covariate_for_all_leaves_the_slope_out():
    table, _ = drawn()
    model = fit_visits(observe(table, np.full(14, 30.0)), 3, LADDER, 3)
    assert not model.has_slope
    assert model.solutions[0].estimate_slope(KENWARD_ROGER) is None
    assert told(model, 0).se == pytest.approx(stats.sem(table[:, 0]))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (np.empty((0, 3)), "no observation"),
        (np.array([[1.0, 2.0, 3.0]]), "fewer than 3 observations"),
        (np.full((8, 3), 5.0), "no variation is left beside the model's coefficients"),
    ],
)
def test_no_one_one_and_all_equal_have_a_reason(table, reason):
    covariate = np.arange(len(table)) + 20.0
    model = fit_visits(observe(table, covariate), 3, LADDER, 3)
    assert model.solutions == (reason,) * 3


def test_changes_on_a_straight_line_at_one_visit_do_not_stop_the_others():
    table, covariate = drawn()
    table[:, 1] = 3 * covariate
    model = fit_visits(observe(table, covariate), 3, ("unstructured", "per-visit-ancova"), 3)
    assert model.used == "per-visit-ancova"
    assert model.solutions[1] == "no variation is left beside the model's coefficients"
    expected = ancova(table[:, 0], covariate, covariate.mean())
    assert told(model, 0).se == pytest.approx(expected[1])


def test_the_cost_does_not_grow_with_participants_but_with_patterns():
    """10,000 participants are 7 sums of products, one for each way to be seen at three visits."""
    table, covariate = drawn(10_000)
    table[np.random.default_rng(1).random(table.shape) < 0.2] = np.nan
    model = fit_visits(observe(table, covariate), 3, LADDER, 3)
    assert model.joint.moments.products.shape == (7, 3, 3, 7, 7)


def test_too_many_patterns_are_refused_with_the_limit():
    random = np.random.default_rng(3)
    table, covariate = drawn(300, 12)
    table[random.random(table.shape) < 0.5] = np.nan
    found = fit_visits(observe(table, covariate), 12, ("unstructured",), 3)
    assert (
        found.steps[0].reason
        == f"too many patterns of visits: more than {LARGEST:,} sums of products"
    )


@pytest.mark.parametrize(("participants", "seed", "better"), [(9, 205, 1), (10, 23, 0)])
def test_of_two_peaks_of_the_likelihood_the_higher_is_taken(
    monkeypatch, participants, seed, better
):
    """A few participants with a third of their values missing, drawn so that there are two peaks,
    of which one start climbs the one, the other start the other."""
    table, _ = drawn(participants, seed=seed)
    table[np.random.default_rng(seed).random(table.shape) < 0.35] = np.nan

    def climb():
        return fit_visits(observe(table), 3, LADDER, 3).joint.minus_two_log_likelihood

    both, build = climb(), mmrm.build_starts
    alone = []
    for which in range(2):
        monkeypatch.setattr(mmrm, "build_starts", lambda moments, at=which: [build(moments)[at]])
        alone.append(climb())
    assert both == alone[better] < alone[1 - better] - 0.5
