"""Tables of counts: exact tests of association, odds ratio with exact conditional interval.

Fisher's exact test for two rows and any number of columns (Freeman, Halton: Biometrika
1951;38:141): P is the sum of the probabilities, given the margins, of all tables at most as likely
as the observed one. Weights are whole numbers, so that ties in probability are ties. Odds ratio:
conditional maximum likelihood, with the interval of two exact one-sided tests (Cornfield 1956).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb, prod

import numpy as np
from scipy import special
from scipy.stats import contingency

from app.endpoints.figures.summaries import Figures, rounded

TABLES_LIMIT = 200_000
"""Beyond so many different partial tables P is not computed exactly."""

EXACT_LIMIT = 1_000
"""Beyond so many participants neither P nor the odds ratio is computed exactly."""

EXACT = "Fisher's exact test, conditional on both margins"
APPROXIMATE = "Pearson's chi-squared test (too many participants or tables for the exact one)"
CONDITIONAL = "conditional maximum likelihood, exact interval"
SAMPLE = "sample odds ratio, normal interval of its logarithm (too many participants for the exact)"
NOBODY = "no participants"
ONE_ROW = "needs participants in both groups"
ONE_LEVEL = "needs participants in at least two levels"
EDGE = "a cell is 0: the estimate lies at the edge of its range"

Row = Sequence[int]


def compute_association(first: Row, second: Row) -> Figures:
    """P of no association between two groups and the levels whose counts are given, two-sided."""
    levels = [(a, b) for a, b in zip(first, second, strict=True) if a + b]
    if reason := _no_test(levels):
        return {"p": None, "method": None, "reasons": dict.fromkeys(("p", "method"), reason)}
    small = sum(first) + sum(second) <= EXACT_LIMIT
    p = exact_p_value(levels) if small else None
    if p is None:
        return {"p": rounded(_pearson(levels)), "method": APPROXIMATE, "reasons": {}}
    return {"p": rounded(p), "method": EXACT, "reasons": {}}


def _no_test(levels: Sequence[tuple[int, int]]) -> str | None:
    if not levels:
        return NOBODY
    if not all(sum(each[group] for each in levels) for group in (0, 1)):
        return ONE_ROW
    return ONE_LEVEL if len(levels) < 2 else None


def exact_p_value(levels: Sequence[tuple[int, int]]) -> float | None:
    """Of (first, second) counts per level; None if there are too many tables to go through.

    Level by level all ways to fill the first row are kept as (its sum, weight) with how many there
    are; a weight is the product of binomials, the probability without its common denominator.
    """
    total = sum(first for first, _ in levels)
    left = sum(first + second for first, second in levels)
    ways: Counter[tuple[int, int]] = Counter({(0, 1): 1})
    for first, second in levels:
        size = first + second
        left -= size
        grown: Counter[tuple[int, int]] = Counter()
        for (filled, weight), many in ways.items():
            for each in range(max(0, total - filled - left), min(size, total - filled) + 1):
                grown[filled + each, weight * comb(size, each)] += many
            if len(grown) > TABLES_LIMIT:
                return None
        ways = grown
    observed = prod(comb(first + second, first) for first, second in levels)
    as_likely = sum(weight * many for (_, weight), many in ways.items() if weight <= observed)
    everything = sum(weight * many for (_, weight), many in ways.items())
    return as_likely / everything


def _pearson(levels: Sequence[tuple[int, int]]) -> float:
    table = np.array(levels, np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(special.chdtrc(len(levels) - 1, statistic))


def compute_odds_ratio(first: Row, second: Row, confidence: float) -> Figures:
    """Odds of the first group's first level against its second, over the same odds of the second
    group; what is infinite is null with its reason, an estimate or limit of 0 is told as such."""
    names = ("estimate", "ciLow", "ciHigh", "method")
    table = [list(first), list(second)]
    margins = (sum(first), sum(second), first[0] + second[0], first[1] + second[1])
    if not all(margins):
        reason = ONE_ROW if not (margins[0] and margins[1]) else ONE_LEVEL
        return dict.fromkeys(names) | {"reasons": dict.fromkeys(names, reason)}
    small = sum(first) + sum(second) <= EXACT_LIMIT
    found = contingency.odds_ratio(table, kind="conditional" if small else "sample")
    interval = found.confidence_interval(confidence)
    values = (float(found.statistic), float(interval.low), float(interval.high))
    told = {
        name: rounded(value) if np.isfinite(value) else None
        for name, value in zip(names[:3], values, strict=True)
    }
    reasons = {name: EDGE for name, value in told.items() if value is None}
    return told | {"method": CONDITIONAL if small else SAMPLE, "reasons": reasons}
