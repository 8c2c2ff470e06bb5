"""Survival figures held against SciPy and lifelines, and properties of each estimate."""

from __future__ import annotations

import warnings
from math import inf

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lifelines import AalenJohansenFitter, KaplanMeierFitter
    from lifelines.datasets import load_lung

from app.endpoints.figures.competing_risks import CENSORED, COMPETING, EVENT, estimate_incidence
from app.endpoints.figures.interval_censored import GAIN, Masses, estimate_masses
from app.endpoints.figures.survival import build_steps, compute_quartiles, estimate_survival

follow_ups = st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=40)
courses = st.lists(
    st.tuples(st.integers(1, 60), st.sampled_from([CENSORED, EVENT, COMPETING])),
    min_size=1,
    max_size=40,
)
intervals = st.lists(
    st.tuples(st.integers(0, 40), st.one_of(st.integers(1, 20), st.just(inf))),
    min_size=1,
    max_size=30,
)


def columns(rows):
    return [np.array(each) for each in zip(*rows, strict=True)]


@given(follow_ups)
@settings(deadline=None, max_examples=60)
def test_the_curve_and_its_log_log_limits_are_those_of_lifelines(rows):
    time, event = columns(rows)
    ours = estimate_survival(time, event)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = KaplanMeierFitter().fit(time, event)
    expected = theirs.survival_function_at_times(ours.times).to_numpy()
    np.testing.assert_allclose(ours.survival, expected, atol=1e-12)
    limits = theirs.confidence_interval_.loc[ours.times].to_numpy()
    low, high = ours.band(0.95)
    inside = ~np.isnan(low)
    np.testing.assert_allclose(low[inside], limits[inside, 0], rtol=1e-8)
    np.testing.assert_allclose(high[inside], limits[inside, 1], rtol=1e-8)


@given(follow_ups)
@settings(deadline=None, max_examples=60)
def test_the_curve_is_that_of_scipy(rows):
    time, event = columns(rows)
    data = stats.CensoredData(uncensored=time[event], right=time[~event])
    expected = stats.ecdf(data).sf.evaluate(np.unique(time))
    np.testing.assert_allclose(estimate_survival(time, event).survival, expected, atol=1e-12)


def test_the_lung_cancer_study_of_rs_survival_has_its_published_median():
    """Loprinzi et al., J Clin Oncol 1994;12:601: 228 participants, 165 deaths, median 310 days."""
    rows = load_lung()
    curve = estimate_survival(rows["time"], rows["status"] == 1)
    assert (curve.n, int(curve.events.sum())) == (228, 165)
    assert [each["estimate"] for each in compute_quartiles(curve, 0.95)] == [170, 310, 550]


@given(follow_ups, st.randoms(use_true_random=False))
def test_order_changes_nothing(rows, random):
    other = list(rows)
    random.shuffle(other)
    told = [build_steps(estimate_survival(*columns(each)), 0.95) for each in (rows, other)]
    assert told[0] == told[1]


@given(follow_ups)
def test_limits_hold_the_estimate_between_them(rows):
    curve = estimate_survival(*columns(rows))
    for told in compute_quartiles(curve, 0.95):
        known = [told[name] for name in ("ciLow", "estimate", "ciHigh") if told[name] is not None]
        assert known == sorted(known)
    assert (np.diff(curve.survival) <= 0).all()


@given(courses)
@settings(deadline=None, max_examples=60)
def test_incidences_are_those_of_lifelines_where_nothing_is_tied(rows):
    time, kind = columns(rows)
    _, first = np.unique(time, return_index=True)
    time, kind = time[first], kind[first]
    if not (kind == EVENT).any():
        return
    ours = estimate_incidence(time, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = AalenJohansenFitter(calculate_variance=False).fit(time, kind, EVENT)
    expected = theirs.cumulative_density_.loc[ours.times].to_numpy()[:, 0]
    np.testing.assert_allclose(ours.event, expected, atol=1e-9)


@given(courses)
def test_event_competing_event_and_neither_add_up_to_1(rows):
    curve = estimate_incidence(*columns(rows))
    np.testing.assert_allclose(curve.event + curve.competing + curve.free, 1, atol=1e-12)
    assert (curve.variance >= 0).all()


@given(intervals)
@settings(deadline=None, max_examples=60)
def test_the_masses_add_up_to_1_and_none_could_gain(rows):
    left = np.array([low for low, _ in rows], float)
    right = np.array([low + width for low, width in rows], float)
    masses = estimate_masses(left, right)
    assert isinstance(masses, Masses)
    assert (masses.mass >= 0).all()
    np.testing.assert_allclose(masses.mass.sum(), 1, atol=1e-9)
    assert masses.gap <= GAIN
    fitted = ((masses.left >= left[:, None]) & (masses.right <= right[:, None])) @ masses.mass
    assert (fitted > 0).all()
