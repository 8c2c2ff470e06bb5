"""Exact tests of two groups, against published results and against going through every table."""

from __future__ import annotations

from itertools import combinations
from math import comb, prod

import pytest
from scipy import stats

from app.endpoints.figures.contingency import (
    compute_association,
    compute_odds_ratio,
    exact_p_value,
)
from app.endpoints.figures.rank_sum import compute_rank_sum

R_ROOT = 1e-2
"""R finds its roots to about 1e-4 of the odds, which is up to so much of an extreme limit."""


def test_fishers_tea_taster():
    """Fisher 1935; R's fisher.test, two-sided: P 0.4857, odds ratio 6.408 (0.2117 to 621.93)."""
    assert compute_association([3, 1], [1, 3])["p"] == pytest.approx(34 / 70)
    told = compute_odds_ratio([3, 1], [1, 3], 0.95)
    assert told["estimate"] == pytest.approx(6.408309, rel=R_ROOT)
    assert told["ciLow"] == pytest.approx(0.2117329, rel=R_ROOT)
    assert told["ciHigh"] == pytest.approx(621.9337505, rel=R_ROOT)


def test_fishers_convicted_twins():
    """R's help of fisher.test: odds ratio 0.04693661 (0.003325764 to 0.363182271)."""
    told = compute_odds_ratio([2, 10], [15, 3], 0.95)
    assert told["estimate"] == pytest.approx(0.04693661, rel=R_ROOT)
    assert told["ciLow"] == pytest.approx(0.003325764, rel=R_ROOT)
    assert told["ciHigh"] == pytest.approx(0.363182271, rel=R_ROOT)
    assert compute_association([2, 10], [15, 3])["p"] == pytest.approx(0.0005367241, rel=1e-6)


def tails(first: list[int], second: list[int], odds: float) -> tuple[float, float]:
    """P(X <= a) and P(X >= a) of Fisher's noncentral hypergeometric distribution."""
    (a, b), (c, d) = first, second
    weights = {
        x: comb(a + b, x) * comb(c + d, a + c - x) * odds**x
        for x in range(max(0, a - d), min(a + b, a + c) + 1)
    }
    whole = sum(weights.values())
    upto = sum(weight for x, weight in weights.items() if x <= a) / whole
    return upto, 1 - upto + weights[a] / whole


@pytest.mark.parametrize(
    ("first", "second"), [([3, 1], [1, 3]), ([2, 10], [15, 3]), ([10, 4], [2, 4])]
)
def test_each_limit_of_the_odds_ratio_leaves_half_of_5_percent(first, second):
    told = compute_odds_ratio(first, second, 0.95)
    assert tails(first, second, told["ciHigh"])[0] == pytest.approx(0.025, rel=1e-6)
    assert tails(first, second, told["ciLow"])[1] == pytest.approx(0.025, rel=1e-6)


def test_the_papers_sle_against_all_others():
    """Month 6: SLE 10 of 14, others 2 of 6. Given 12 responders and 14 with SLE of 20 there are
    C(20,12) = 125970 choices; x of SLE respond in C(14,x) C(6,12-x) of them:
    x=6 3003, 7 20592, 8 45045, 9 40040, 10 15015, 11 2184, 12 91. At most as likely as x=10:
    3003 + 15015 + 2184 + 91 = 20293."""
    assert compute_association([10, 2], [4, 4])["p"] == pytest.approx(20293 / 125970)


TABLES = [
    [(3, 0), (1, 2), (2, 3)],
    [(1, 1), (1, 1), (1, 1), (1, 1)],
    [(5, 0), (0, 5), (2, 2)],
    [(10, 4), (1, 1), (0, 2), (1, 1), (0, 0)],
    [(0, 3), (4, 0), (1, 1), (2, 2), (0, 1), (3, 0)],
]


def brute_force(levels: list[tuple[int, int]]) -> float:
    """Over every choice of the participants who respond."""
    owners = [place for place, pair in enumerate(levels) for _ in range(sum(pair))]
    responders = sum(first for first, _ in levels)
    weight = prod(comb(a + b, a) for a, b in levels)
    extreme = total = 0
    for chosen in combinations(owners, responders):
        filled = [chosen.count(place) for place in range(len(levels))]
        ways = prod(comb(a + b, x) for (a, b), x in zip(levels, filled, strict=True))
        total += 1
        extreme += ways <= weight
    return extreme / total


@pytest.mark.parametrize("levels", [each for each in TABLES if sum(map(sum, each)) <= 17])
def test_any_number_of_levels_is_gone_through_exactly(levels):
    assert exact_p_value(levels) == pytest.approx(brute_force(levels), abs=1e-12)


@pytest.mark.parametrize("cells", [(7, 1, 2, 9), (0, 5, 6, 2), (4, 4, 4, 4), (12, 3, 0, 1)])
def test_two_levels_agree_with_scipy(cells):
    a, b, c, d = cells
    expected = stats.fisher_exact([[a, b], [c, d]]).pvalue
    assert compute_association([a, b], [c, d])["p"] == pytest.approx(expected, rel=1e-9)


def test_the_order_of_levels_and_of_groups_changes_nothing():
    told = compute_association([10, 1, 0, 1], [4, 1, 2, 1])
    assert compute_association([1, 0, 1, 10], [1, 2, 1, 4]) == told
    assert compute_association([4, 1, 2, 1], [10, 1, 0, 1])["p"] == told["p"]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([], [], "no participants"),
        ([0, 0], [0, 0], "no participants"),
        ([3, 2], [0, 0], "needs participants in both groups"),
        ([3], [2], "needs participants in at least two levels"),
        ([3, 0], [2, 0], "needs participants in at least two levels"),
    ],
)
def test_no_test_without_two_groups_and_two_levels(first, second, reason):
    told = compute_association(first, second)
    assert (told["p"], told["reasons"]["p"]) == (None, reason)


def test_a_large_table_falls_back_to_chi_squared_and_says_so():
    """SciPy's chi2_contingency without correction."""
    first, second = [300, 200, 100, 50, 30, 20], [100, 300, 200, 60, 80, 90]
    told = compute_association(first, second)
    assert "chi-squared" in told["method"]
    expected = stats.chi2_contingency([first, second], correction=False).pvalue
    assert told["p"] == pytest.approx(expected, rel=1e-6)


def test_an_odds_ratio_at_the_edge_has_one_limit():
    told = compute_odds_ratio([5, 0], [2, 4], 0.95)
    assert told["estimate"] is None
    assert told["ciHigh"] is None
    assert told["ciLow"] > 0
    assert set(told["reasons"]) == {"estimate", "ciHigh"}


def test_an_odds_ratio_of_0_is_told_with_its_upper_limit():
    """R's fisher.test of (0, 3; 4, 2): estimate 0, interval 0 to 2.6460595, P 0.1666667."""
    told = compute_odds_ratio([0, 3], [4, 2], 0.95)
    assert (told["estimate"], told["ciLow"], told["reasons"]) == (0.0, 0.0, {})
    assert told["ciHigh"] == pytest.approx(2.6460595, rel=1e-4)
    assert compute_association([0, 3], [4, 2])["p"] == pytest.approx(1 / 6)


def test_no_odds_ratio_without_both_margins():
    assert compute_odds_ratio([5, 3], [0, 0], 0.95)["estimate"] is None
    assert compute_odds_ratio([5, 0], [2, 0], 0.95)["estimate"] is None


CONTROL = [300.0] * 12
TREATED = [22.0, 300, 75, 271, 300, 18, 300, 300, 163, 300, 300, 300]


def test_the_rotarod_experiment_with_its_many_ties():
    """Bergmann, Ludbrook, Spooren, Am Stat 2000;54:72: exact two-sided P = 0.0373. All five rats
    below 300 s are treated ones: 2 C(19,7)/C(24,12) = 2 x 50388/2704156."""
    told = compute_rank_sum(CONTROL, TREATED)
    assert told["p"] == pytest.approx(2 * 50388 / 2704156)
    assert round(told["p"], 4) == 0.0373


@pytest.mark.parametrize(
    ("first", "second"),
    [([1.0, 2, 3], [4.0, 5, 6, 7]), ([1.5, 1.5, 9], [1.5, 2, 2, 30]), ([5.0], [5.0, 1, 9, 9])],
)
def test_every_choice_of_the_first_group_is_counted(first, second):
    values = [*first, *second]
    ranks = stats.rankdata(values)
    centre = len(first) * ranks.mean()
    observed = abs(ranks[: len(first)].sum() - centre)
    sums = [sum(each) for each in combinations(ranks, len(first))]
    expected = sum(abs(each - centre) >= observed - 1e-9 for each in sums) / len(sums)
    assert compute_rank_sum(first, second)["p"] == pytest.approx(expected)


def test_without_ties_it_is_scipys_exact_mann_whitney():
    first, second = [1.1, 3.2, 4.8, 9.0], [2.5, 5.1, 6.0, 7.7, 8.2]
    expected = stats.mannwhitneyu(first, second, method="exact")
    told = compute_rank_sum(first, second)
    assert told["u"] == expected.statistic
    assert told["p"] == pytest.approx(expected.pvalue)


def test_many_values_are_compared_by_the_normal_approximation():
    first, second = [float(x % 17) for x in range(80)], [float(x % 13) + 1 for x in range(60)]
    expected = stats.mannwhitneyu(first, second, method="asymptotic")
    told = compute_rank_sum(first, second)
    assert "normal approximation" in told["method"]
    assert told["p"] == pytest.approx(expected.pvalue, rel=1e-6)


def test_all_equal_values_give_a_p_of_1_and_an_empty_group_none():
    assert compute_rank_sum([3.0, 3], [3.0])["p"] == 1.0
    assert compute_rank_sum([3.0] * 80, [3.0] * 40)["p"] == 1.0
    told = compute_rank_sum([], [3.0])
    assert (told["p"], told["reasons"]["p"]) == (None, "needs values in both groups")


def test_beyond_a_thousand_participants_the_odds_ratio_is_the_samples():
    """exp(ln 4 -+ 1.959964 sqrt(1/400 + 1/200 + 1/200 + 1/400)): 3.15 to 5.09."""
    told = compute_odds_ratio([400, 200], [200, 400], 0.95)
    assert (told["estimate"], "sample" in told["method"]) == (4.0, True)
    assert (round(told["ciLow"], 2), round(told["ciHigh"], 2)) == (3.15, 5.09)
