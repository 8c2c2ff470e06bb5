"""Our statistics against brute force, NumPy and SciPy, and total on every input."""

from __future__ import annotations

from itertools import product
from math import isclose
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from app.endpoints.figures import signed_rank
from app.endpoints.figures import summaries as ours

TIED = st.integers(-6, 6).map(float)
CHANGES = st.decimals(-1000, 1000, places=1).map(float)
POSITIVE = st.decimals("0.1", 1000, places=1).map(float)


def brute_force_p(changes: list[float]) -> float:
    """Every choice of signs of the given mid-ranks, two-sided by doubling the smaller tail."""
    ranks = stats.rankdata(np.abs(changes))
    observed = sum(rank for rank, change in zip(ranks, changes, strict=True) if change > 0)
    sums = [
        sum(rank for rank, plus in zip(ranks, signs, strict=True) if plus)
        for signs in product((False, True), repeat=len(changes))
    ]
    lower = sum(each <= observed for each in sums) / len(sums)
    upper = sum(each >= observed for each in sums) / len(sums)
    return min(1.0, 2 * min(lower, upper))


@given(st.lists(TIED.filter(bool), min_size=1, max_size=10))
def test_signed_rank_with_ties_equals_the_enumeration_of_all_signs(changes):
    assert isclose(signed_rank.exact_p_value(changes), brute_force_p(changes))


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=40, unique=True), st.data())
def test_signed_rank_without_ties_equals_scipys_exact_test(sizes, data):
    signs = data.draw(st.lists(st.sampled_from((-1, 1)), min_size=len(sizes), max_size=len(sizes)))
    changes = [float(sign * size) for sign, size in zip(signs, sizes, strict=True)]
    theirs = stats.wilcoxon(changes, method="exact").pvalue
    assert isclose(signed_rank.exact_p_value(changes), theirs, rel_tol=1e-9)


@given(st.lists(CHANGES.filter(bool), min_size=101, max_size=160))
def test_the_normal_approximation_equals_scipys(changes):
    theirs = stats.wilcoxon(changes, correction=True, method="asymptotic").pvalue
    assert isclose(ours.compute_signed_rank(changes)["p"], theirs, rel_tol=1e-8)


@given(st.lists(CHANGES, min_size=1, max_size=30), st.sampled_from((1, 2, 3)))
def test_quartiles_equal_numpys_averaged_inverted_cdf(values, quarter):
    theirs = np.quantile(values, quarter / 4, method="averaged_inverted_cdf")
    assert isclose(ours.quantile(sorted(values), quarter, 4), theirs, abs_tol=1e-12)


@given(st.lists(CHANGES, min_size=2, max_size=30).filter(lambda values: len(set(values)) > 1))
def test_summary_and_t_test_equal_scipys(values):
    summary, test = ours.compute_summary(values, 0.95), ours.compute_paired_t(values)
    theirs = stats.ttest_1samp(values, 0)
    interval = theirs.confidence_interval(0.95)
    told = (summary["mean"], summary["sd"], summary["ciLow"], summary["ciHigh"], test["p"])
    known = (np.mean(values), np.std(values, ddof=1), interval.low, interval.high, theirs.pvalue)
    assert np.allclose(told, known, rtol=1e-8, atol=1e-9)


@given(st.lists(TIED, min_size=1, max_size=25))
def test_hodges_lehmann_is_the_median_of_all_pairwise_averages(values):
    averages = [(values[i] + values[j]) / 2 for i in range(len(values)) for j in range(i + 1)]
    assert ours.compute_hodges_lehmann(values, 0.95)["estimate"] == median(averages)


@given(st.lists(st.integers(1, 10_000), min_size=6, max_size=25, unique=True))
def test_the_interval_holds_the_shifts_that_the_test_does_not_reject(sizes):
    """The duality of interval and test, at a quarter outside and inside each bound.

    Values are doubled so that Walsh averages are whole and no shift between them makes ties.
    """
    values = [2.0 * size for size in sizes]
    found = ours.compute_hodges_lehmann(values, 0.95)
    for bound, outwards in ((found["ciLow"], -0.25), (found["ciHigh"], 0.25)):
        outside = [value - bound - outwards for value in values]
        inside = [value - bound + outwards for value in values]
        assert signed_rank.exact_p_value(outside) <= 0.05 < signed_rank.exact_p_value(inside)


@given(st.lists(st.one_of(TIED, CHANGES), min_size=1, max_size=30), st.data())
def test_selecting_a_walsh_average_equals_sorting_them_all(values, data):
    sorted_all = signed_rank.WalshAverages(values)
    k = data.draw(st.integers(1, sorted_all.size))
    with patch.object(signed_rank, "DIRECT_WALSH_LIMIT", 0):
        assert signed_rank.WalshAverages(values).smallest(k) == sorted_all.smallest(k)


def nulls_without_reason(figures: dict[str, Any]) -> list[str]:
    return [name for name in figures if figures[name] is None and name not in figures["reasons"]]


def reasons_without_null(figures: dict[str, Any]) -> list[str]:
    return [name for name in figures["reasons"] if figures[name] is not None]


@given(st.lists(st.one_of(TIED, CHANGES), max_size=12), st.sampled_from((0.9, 0.95, 0.999)))
def test_every_figure_that_is_null_has_a_reason_and_no_other(values, confidence):
    for figures in (
        ours.compute_summary(values, confidence),
        ours.compute_ratio(values, confidence),
        ours.compute_paired_t(values),
        ours.compute_signed_rank(values),
        ours.compute_hodges_lehmann(values, confidence),
    ):
        assert nulls_without_reason(figures) == []
        assert reasons_without_null(figures) == []


@given(st.lists(CHANGES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_values_changes_no_digit(values, random):
    shuffled = random.sample(values, len(values))
    assert ours.compute_summary(values, 0.95) == ours.compute_summary(shuffled, 0.95)
    assert ours.compute_paired_t(values) == ours.compute_paired_t(shuffled)
    assert ours.compute_signed_rank(values) == ours.compute_signed_rank(shuffled)
    assert ours.compute_hodges_lehmann(values, 0.95) == ours.compute_hodges_lehmann(shuffled, 0.95)


@given(st.lists(POSITIVE, min_size=1, max_size=12))
def test_the_geometric_mean_ratio_lies_between_the_extremes(ratios):
    figures = ours.compute_ratio([float(np.log(ratio)) for ratio in ratios], 0.95)
    assert min(ratios) * (1 - 1e-8) <= figures["geometricMean"] <= max(ratios) * (1 + 1e-8)
