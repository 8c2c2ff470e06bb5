"""Survival figures against published ones.

* 6-MP and placebo: Freireich et al., Blood 1963;21:699, as in Gehan, Biometrika 1965;52:203. The
  curve with Greenwood's errors is in Kleinbaum, Klein: Survival Analysis, chapter 2, and in Cox,
  Oakes: Analysis of Survival Data, chapter 1.
* Maintenance chemotherapy in leukaemia (`aml` of R's survival): Miller, Survival Analysis, 1981;
  medians 31 and 23 weeks.
* Breast cosmesis, radiotherapy alone: Finkelstein, Wolfe, Biometrics 1985;41:933; Turnbull's
  estimate in Fay, Shaw: J Stat Softw 2010;36(2).
"""

from __future__ import annotations

from math import inf, isclose, sqrt

import numpy as np
import pytest

from app.endpoints.figures import interval_censored
from app.endpoints.figures.competing_risks import (
    CENSORED,
    COMPETING,
    EVENT,
    compute_incidence_at,
    estimate_incidence,
)
from app.endpoints.figures.interval_censored import (
    TOO_MANY,
    Masses,
    build_masses,
    compute_bounds_at,
    compute_median_interval,
    estimate_masses,
    find_innermost,
)
from app.endpoints.figures.survival import (
    build_steps,
    compute_event_probability,
    compute_quantile,
    compute_quartiles,
    compute_restricted_mean,
    count_at,
    estimate_survival,
)

MP6 = (
    [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35],
    [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0],
)
PLACEBO = ([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23], [1] * 21)
MAINTAINED = ([9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161], [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0])
UNMAINTAINED = (
    [5, 5, 8, 8, 12, 16, 23, 27, 30, 33, 43, 45],
    [1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1],
)
RADIOTHERAPY = [
    *((45, inf), (6, 10), (0, 7), (46, inf), (46, inf), (7, 16), (17, inf), (7, 14), (37, 44)),
    *((0, 8), (4, 11), (15, inf), (11, 15), (22, inf), (46, inf), (46, inf), (25, 37), (46, inf)),
    *((26, 40), (46, inf), (27, 34), (36, 44), (46, inf), (36, 48), (37, inf), (40, inf)),
    *((17, 25), (46, inf), (11, 18), (38, inf), (5, 12), (37, inf), (0, 5), (18, inf), (24, inf)),
    *((36, inf), (5, 11), (19, 35), (17, 25), (24, inf), (32, inf), (33, inf), (19, 26)),
    *((37, inf), (34, inf), (36, inf)),
]


def quantile(data, probability, confidence=0.95):
    told = compute_quantile(estimate_survival(*data), probability, confidence)
    return told["estimate"], told["ciLow"], told["ciHigh"]


def median(data):
    return quantile(data, 0.5)


def masses_of(intervals):
    found = estimate_masses(*zip(*intervals, strict=True))
    assert isinstance(found, Masses)
    return found


# Kaplan-Meier


def test_remissions_under_6_mp_have_the_published_curve_and_greenwood_errors():
    steps = build_steps(estimate_survival(*MP6), 0.95)
    told = [
        (each["time"], each["atRisk"], round(each["survival"], 4), round(each["standardError"], 4))
        for each in steps
        if each["events"]
    ]
    assert told == [
        (6, 21, 0.8571, 0.0764),
        (7, 17, 0.8067, 0.0869),
        (10, 15, 0.7529, 0.0963),
        (13, 12, 0.6902, 0.1068),
        (16, 11, 0.6275, 0.1141),
        (22, 7, 0.5378, 0.1282),
        (23, 6, 0.4482, 0.1346),
    ]


def test_limits_are_log_log_by_hand():
    """At week 6: S = 18/21, Greenwood's sum 3/(21*18) = 0.0079365.
    ln(-ln S) = ln 0.1541507 = -1.8698; se = sqrt(0.0079365)/0.1541507 = 0.5779.
    Lower S^exp(1.96*0.5779) = 0.8571^3.1043 = 0.6197, upper 0.8571^0.32213 = 0.9516."""
    step = build_steps(estimate_survival(*MP6), 0.95)[0]
    assert step["ciLow"] == pytest.approx(0.6197, abs=5e-5)
    assert step["ciHigh"] == pytest.approx(0.9516, abs=5e-5)


def test_medians_of_both_leukaemia_studies_are_the_published_ones():
    medians = [median(each)[0] for each in (MP6, PLACEBO, MAINTAINED, UNMAINTAINED)]
    assert medians == [23, 8, 31, 23]


def test_median_limits_follow_the_band():
    assert median(PLACEBO) == (8, 4, 11)
    assert median(MP6) == (23, 13, None)


def test_all_quartiles_name_what_is_not_reached():
    q1, _, q3 = compute_quartiles(estimate_survival(*MP6), 0.95)
    assert (q1["estimate"], q3["estimate"], q3["ciHigh"]) == (13, None, None)
    assert q3["reasons"] == {
        "estimate": "the curve does not reach it",
        "ciHigh": "the confidence band does not reach it",
    }


def test_a_curve_that_lies_on_a_half_has_its_median_in_the_middle_of_that_stretch():
    assert median(([1, 2, 3, 4], [1, 1, 1, 1]))[0] == 2.5


def test_a_curve_that_ends_on_a_half_has_its_median_between_there_and_the_last_follow_up():
    assert median(([1, 2, 3, 8], [1, 1, 0, 0]))[0] == 5


def test_without_censoring_the_curve_is_the_share_still_waiting():
    steps = build_steps(estimate_survival(*PLACEBO), 0.95)
    assert [round(each["survival"] * 21) for each in steps] == [
        *(19, 17, 16, 14, 12, 8, 6, 4, 3, 2, 1, 0)
    ]
    binomial = sqrt(8 / 21 * 13 / 21 / 21)
    assert isclose(steps[5]["standardError"], binomial, rel_tol=1e-9)


def test_an_event_goes_before_a_censoring_of_the_same_day():
    steps = build_steps(estimate_survival([5, 5], [True, False]), 0.95)
    assert [(each["atRisk"], each["survival"]) for each in steps] == [(2, 0.5)]


def test_the_probability_of_an_event_is_told_with_its_limits_the_other_way_round():
    told = compute_event_probability(estimate_survival(*MP6), 6, 0.95)
    assert told["probability"] == pytest.approx(3 / 21)
    assert told["ciLow"] == pytest.approx(1 - 0.9515517476)
    assert told["ciHigh"] == pytest.approx(1 - 0.6197179553)


def test_before_the_first_event_the_limits_are_null_with_the_reason():
    told = compute_event_probability(estimate_survival(*MP6), 5, 0.95)
    assert (told["probability"], told["standardError"], told["ciLow"]) == (0, 0, None)
    assert "survival of 1" in told["reasons"]["ciLow"]


def test_beyond_the_last_follow_up_nothing_is_known():
    told = compute_event_probability(estimate_survival(*MP6), 36, 0.95)
    assert told["probability"] is None
    assert "beyond the last follow-up" in told["reasons"]["probability"]


def test_after_everyone_had_the_event_the_probability_stays_1():
    told = compute_event_probability(estimate_survival(*PLACEBO), 100, 0.95)
    assert (told["probability"], told["ciLow"]) == (1, None)
    assert "survival of 0" in told["reasons"]["ciLow"]


def test_the_risk_table_counts_those_at_risk_just_before_and_events_up_to_a_day():
    curve = estimate_survival(*MP6)
    assert count_at(curve, 0) == {"atRisk": 21, "events": 0, "censored": 0}
    assert count_at(curve, 6) == {"atRisk": 21, "events": 3, "censored": 1}
    assert count_at(curve, 10) == {"atRisk": 15, "events": 5, "censored": 3}
    assert count_at(curve, 99) == {"atRisk": 0, "events": 9, "censored": 12}


def test_the_restricted_mean_is_the_area_under_the_curve():
    """Times 1, 2, 3, 4, all events, up to 4: 1 + 3/4 + 1/2 + 1/4 = 2.5; by Klein and Moeschberger
    the variance is (1.5² * 1/12 + 0.75² * 1/6 + 0.25² * 1/2) = 0.1875 + 0.09375 + 0.03125, the
    biased variance 1.25 / 4 of the mean."""
    told = compute_restricted_mean(estimate_survival([1, 2, 3, 4], [1] * 4), 4, 0.95)
    assert told["estimate"] == 2.5
    assert told["standardError"] == pytest.approx(sqrt(1.25 / 4))


def test_the_restricted_mean_needs_follow_up_to_its_horizon():
    told = compute_restricted_mean(estimate_survival(*MP6), 40, 0.95)
    assert told["estimate"] is None
    assert "beyond" in told["reasons"]["estimate"]


@pytest.mark.parametrize(
    ("data", "survival", "middle"),
    [
        (([7], [True]), [0.0], 7),
        (([7], [False]), [1.0], None),
        (([7, 7, 7], [True] * 3), [0.0], 7),
        (([3, 9], [False] * 2), [1.0, 1.0], None),
        (([0], [False]), [1.0], None),
    ],
)
def test_edges_have_a_defined_curve(data, survival, middle):
    steps = build_steps(estimate_survival(*data), 0.95)
    assert [each["survival"] for each in steps] == survival
    assert median(data) == (middle, None, None)
    assert all(each["ciLow"] is None and each["reasons"]["ciLow"] for each in steps)


def test_no_one_gives_null_with_the_reason_everywhere():
    empty = estimate_survival([], [])
    assert build_steps(empty, 0.95) == []
    assert compute_quantile(empty, 0.5, 0.95)["reasons"]["estimate"] == "no participants"
    assert compute_event_probability(empty, 30, 0.95)["reasons"]["ciLow"] == "no participants"
    assert compute_restricted_mean(empty, 365, 0.95)["estimate"] is None
    assert count_at(empty, 30) == {"atRisk": 0, "events": 0, "censored": 0}


# Aalen-Johansen


def test_without_competing_events_the_incidence_is_1_minus_kaplan_meier():
    curve, incidence = estimate_survival(*MP6), estimate_incidence(*MP6)
    np.testing.assert_allclose(incidence.event, 1 - curve.survival, atol=1e-15)
    np.testing.assert_allclose(np.sqrt(incidence.variance), curve.standard_error, atol=1e-12)


def test_without_competing_events_the_limits_are_those_of_the_curve():
    told = compute_incidence_at(estimate_incidence(*MP6), 10, 0.95)
    other = compute_event_probability(estimate_survival(*MP6), 10, 0.95)
    for name in ("probability", "standardError", "ciLow", "ciHigh"):
        assert told[name] == pytest.approx(other[name], rel=1e-9)


def test_both_incidences_by_hand():
    """Five at risk: event at 1 (1/5); death at 2 (4/5 * 1/4 = 1/5); censored at 3; event at 4
    (3/5 free * 1/2 = 3/10); censored at 5."""
    kinds = [EVENT, COMPETING, CENSORED, EVENT, CENSORED]
    curve = estimate_incidence([1, 2, 3, 4, 5], kinds)
    np.testing.assert_allclose(curve.event, [0.2, 0.2, 0.2, 0.5, 0.5])
    np.testing.assert_allclose(curve.competing, [0, 0.2, 0.2, 0.2, 0.2])
    np.testing.assert_allclose(curve.free + curve.event + curve.competing, 1)


def test_without_censoring_the_incidence_is_a_share_with_its_binomial_error():
    kinds = [EVENT, COMPETING, EVENT, EVENT, COMPETING]
    told = compute_incidence_at(estimate_incidence([1, 2, 3, 4, 5], kinds), 5, 0.95)
    assert told["probability"] == pytest.approx(3 / 5)
    assert told["competing"] == pytest.approx(2 / 5)
    assert told["standardError"] == pytest.approx(sqrt(3 / 5 * 2 / 5 / 5))


def test_incidence_at_its_edges_is_null_with_the_reason():
    assert compute_incidence_at(estimate_incidence([], []), 5, 0.95)["probability"] is None
    late = compute_incidence_at(estimate_incidence([3], [CENSORED]), 5, 0.95)
    assert "beyond" in late["reasons"]["probability"]
    none = compute_incidence_at(estimate_incidence([9], [CENSORED]), 5, 0.95)
    assert (none["probability"], none["ciLow"]) == (0, None)
    dead = compute_incidence_at(estimate_incidence([3], [COMPETING]), 5, 0.95)
    assert (dead["probability"], dead["competing"], dead["ciHigh"]) == (0, 1, None)


# Turnbull


def test_breast_cosmesis_has_the_published_estimate():
    told = build_masses(masses_of(RADIOTHERAPY))
    assert [(each["left"], each["right"], round(each["mass"], 4)) for each in told] == [
        (4, 5, 0.0463),
        (6, 7, 0.0334),
        (7, 8, 0.0887),
        (11, 12, 0.0708),
        (24, 25, 0.0926),
        (33, 34, 0.0818),
        (38, 40, 0.1209),
        (46, 48, 0.4656),
    ]


def test_the_search_ends_at_the_maximum_of_the_likelihood():
    """Gentleman and Geyer: no innermost interval could gain."""
    assert masses_of(RADIOTHERAPY).gap < 1e-8


def test_mass_lies_only_where_a_left_end_is_followed_by_a_right_end():
    left, right = find_innermost(np.array([0.0, 2.0, 3.0]), np.array([3.0, 5.0, inf]))
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(2, 3), (3, 5)]


def test_two_intervals_that_touch_share_nothing():
    """(0, 3] and (3, 5]: half of the mass in each."""
    told = build_masses(masses_of([(0, 3), (3, 5)]))
    assert [(each["left"], each["right"], each["mass"]) for each in told] == [
        (0, 3, 0.5),
        (3, 5, 0.5),
    ]


def test_intervals_of_no_length_give_the_kaplan_meier_steps():
    """Events known to the day, (t - 1, t], and censorings (t, inf) that no such day falls into."""
    times, events = MP6
    intervals = [(t - 1, t) if e else (t, inf) for t, e in zip(times, events, strict=True)]
    masses, curve = masses_of(intervals), estimate_survival(*MP6)
    for day in (6, 7, 10, 13, 16, 22, 23):
        expected = compute_event_probability(curve, day, 0.95)["probability"]
        assert compute_bounds_at(masses, day)["probabilityHigh"] == pytest.approx(
            expected, rel=2e-6
        )


def test_within_an_interval_the_probability_is_bounded():
    masses = masses_of([(0, 10), (0, 10), (20, inf)])
    assert compute_bounds_at(masses, 5) == {"probabilityLow": 0, "probabilityHigh": 0.666667}
    assert compute_bounds_at(masses, 10) == {
        "probabilityLow": 0.666667,
        "probabilityHigh": 0.666667,
    }


def test_the_median_is_an_interval_or_null_with_the_reason():
    assert compute_median_interval(masses_of([(0, 10), (0, 10), (20, inf)]))["high"] == 10
    late = compute_median_interval(masses_of([(0, 10), (20, inf), (30, inf)]))
    assert (late["low"], late["reasons"]["low"]) == (None, "the curve does not reach it")


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0, 3)], [(0, 3, 1)]),
        ([(0, 3)] * 4, [(0, 3, 1)]),
        ([(5, inf), (9, inf)], [(9, None, 1)]),
        ([(0, inf)], [(0, None, 1)]),
    ],
)
def test_one_or_equal_or_all_censored_intervals_have_one_mass(intervals, expected):
    told = build_masses(masses_of(intervals))
    assert [(each["left"], each["right"], each["mass"]) for each in told] == expected


def test_no_interval_and_too_many_intervals_are_refused_with_the_reason(monkeypatch):
    assert estimate_masses([], []) == "no participants"
    monkeypatch.setattr(interval_censored, "LARGEST", 1)
    assert estimate_masses([0, 1], [3, 4]) == TOO_MANY
