"""Figures from numbers, each defined for every input: a value, or null with its reason.

The only module of the endpoints that imports SciPy. It is loaded in the statistics process,
never in a web worker. Every function sorts first, so the order of its input changes nothing.

Quartiles: SAS QNTLDEF=5 (the SAS default) = type 2 of Hyndman and Fan, The American
Statistician 1996;50:361. Signed rank: zeros dropped, mid-ranks (Wilcoxon).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, floor, fsum, isfinite, log, sqrt
from sys import float_info
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from app.endpoints.figures.signed_rank import (
    WalshAverages,
    doubled_midranks,
    exact_interval_rank,
    exact_p_value,
    sum_positive_midranks,
)

Numbers = Sequence[float] | NDArray[np.float64]

Figures = dict[str, Any]
"""Names to numbers; `reasons` in it tells of each null why it is not defined."""

EXACT_LIMIT = 100
"""Up to here the signed-rank distribution is exact; beyond it is the normal approximation."""

DIGITS = 10

NONE = "no values"
ONE = "needs at least two values"
EQUAL = "all values are equal"
ALL_ZERO = "every change is zero"
BEYOND = "beyond the range of numbers"


def rounded(value: float) -> float:
    """The number to 10 significant digits, the same on every machine; never -0, never NaN."""
    if not isfinite(value):
        raise ValueError("a figure is not finite")
    return float(f"{value:.{DIGITS}g}") + 0.0


def sort_numbers(values: Numbers) -> list[float]:
    """In ascending order, as plain floats."""
    ordered: list[float] = np.sort(np.asarray(values, np.float64)).tolist()
    return ordered


def compute_summary(values: Numbers, confidence: float) -> Figures:
    """n, mean, SD, quartiles, range and the t interval of the mean."""
    ordered = sort_numbers(values)
    if not ordered:
        return _undefined(_SUMMARY, NONE) | {"n": 0}
    centre, spread = mean(ordered), sd(ordered)
    reason = _t_reason(ordered, spread)
    return {
        "n": len(ordered),
        "mean": rounded(centre),
        "sd": rounded(spread) if len(ordered) > 1 else None,
        "median": rounded(quantile(ordered, 1, 2)),
        "q1": rounded(quantile(ordered, 1, 4)),
        "q3": rounded(quantile(ordered, 3, 4)),
        "min": rounded(ordered[0]),
        "max": rounded(ordered[-1]),
        **_mean_interval(len(ordered), centre, spread, confidence, reason),
        "reasons": _summary_reasons(len(ordered), reason),
    }


_SUMMARY = ("mean", "sd", "median", "q1", "q3", "min", "max", "ciLow", "ciHigh")


def mean(ordered: Sequence[float]) -> float:
    """The mean, kept inside the range of the values."""
    return min(max(fsum(ordered) / len(ordered), ordered[0]), ordered[-1])


def sd(ordered: Sequence[float]) -> float:
    """The standard deviation with n - 1, exactly 0 when all values are equal."""
    if ordered[0] == ordered[-1]:
        return 0.0
    centre = mean(ordered)
    squares = (np.asarray(ordered, np.float64) - centre) ** 2
    return sqrt(fsum(squares.tolist()) / (len(ordered) - 1))


def quantile(ordered: Sequence[float], numerator: int, denominator: int) -> float:
    """SAS QNTLDEF=5: the empirical distribution's step, averaged where n·p is a whole number."""
    index, remainder = divmod(len(ordered) * numerator, denominator)
    if remainder:
        return ordered[index]
    return (ordered[index - 1] + ordered[index]) / 2


def compute_ratio(logs: Numbers, confidence: float) -> Figures:
    """The geometric mean ratio: exp of the mean log ratio, with its t interval."""
    summary = compute_summary(logs, confidence)
    names = {"mean": "geometricMean", "ciLow": "ciLow", "ciHigh": "ciHigh"}
    figures: Figures = {"n": summary["n"], "lnMean": summary["mean"], "lnSd": summary["sd"]}
    for name, ours in names.items():
        value = summary[name]
        figures[ours] = _exponential(value)
    ours_of = {"mean": ("geometricMean", "lnMean"), "sd": ("lnSd",)}
    reasons = _renamed(summary["reasons"], ours_of | {"ciLow": ("ciLow",), "ciHigh": ("ciHigh",)})
    beyond = {name for name in names.values() if figures[name] is None} - reasons.keys()
    figures["reasons"] = reasons | dict.fromkeys(sorted(beyond), BEYOND)
    return figures


def compute_paired_t(changes: Numbers) -> Figures:
    """The t test of mean change = 0 on n - 1 degrees of freedom, two-sided."""
    ordered = sort_numbers(changes)
    spread = sd(ordered) if ordered else 0.0
    reason = _t_reason(ordered, spread)
    if reason:
        return _undefined(("t", "df", "p"), reason) | {"n": len(ordered)}
    df = len(ordered) - 1
    t = mean(ordered) / (spread / sqrt(len(ordered)))
    p = 2 * float(special.stdtr(df, -abs(t)))
    return {"n": len(ordered), "t": rounded(t), "df": df, "p": rounded(p), "reasons": {}}


def compute_signed_rank(changes: Numbers) -> Figures:
    """Wilcoxon's test: W+ over mid-ranks of non-zero changes, S = W+ - n(n+1)/4 as SAS has it."""
    nonzero = [change for change in sort_numbers(changes) if change != 0]
    counts = {"n": len(changes), "zeros": len(changes) - len(nonzero), "nonZero": len(nonzero)}
    if not nonzero:
        reason = ALL_ZERO if len(changes) else NONE
        return _undefined(("wPlus", "s", "p", "method"), reason) | counts
    exact = len(nonzero) <= EXACT_LIMIT
    w_plus = sum_positive_midranks(nonzero) / 2
    return counts | {
        "wPlus": rounded(w_plus),
        "s": rounded(w_plus - len(nonzero) * (len(nonzero) + 1) / 4),
        "p": rounded(exact_p_value(nonzero) if exact else _normal_p_value(nonzero, w_plus)),
        "method": "exact, conditional on ties" if exact else _NORMAL,
        "reasons": {},
    }


_NORMAL = "normal approximation, corrected for ties and continuity"


def compute_hodges_lehmann(changes: Numbers, confidence: float) -> Figures:
    """The median of the Walsh averages with the interval of the signed-rank distribution."""
    ordered = sort_numbers(changes)
    if not ordered:
        names = ("estimate", "ciLow", "ciHigh", "attained", "method")
        return _undefined(names, NONE) | {"n": 0}
    walsh = WalshAverages(ordered)
    figures = {"n": len(ordered), "estimate": rounded(walsh.median())}
    bounds = _interval_rank(len(ordered), confidence)
    if bounds is None:
        reason = f"{len(ordered)} values cannot attain {confidence * 100:g} % confidence"
        return figures | _undefined(("ciLow", "ciHigh", "attained", "method"), reason)
    rank, attained, method = bounds
    return figures | {
        "ciLow": rounded(walsh.smallest(rank)),
        "ciHigh": rounded(walsh.smallest(walsh.size + 1 - rank)),
        "attained": rounded(attained),
        "method": method,
        "reasons": {},
    }


def _undefined(names: Sequence[str], reason: str) -> Figures:
    return dict.fromkeys(names) | {"reasons": dict.fromkeys(names, reason)}


def _renamed(reasons: Mapping[str, str], names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {ours: reason for name, reason in reasons.items() for ours in names.get(name, ())}


def _exponential(value: float | None) -> float | None:
    """e to the value; None where that is no finite number."""
    return None if value is None or value > log(float_info.max) else rounded(exp(value))


def _mean_interval(
    n: int, centre: float, spread: float, confidence: float, reason: str | None
) -> Figures:
    if reason:
        return {"ciLow": None, "ciHigh": None}
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * spread / sqrt(n)
    return {"ciLow": rounded(centre - half), "ciHigh": rounded(centre + half)}


def _summary_reasons(n: int, reason: str | None) -> dict[str, str]:
    if reason is None:
        return {}
    names = ("sd", "ciLow", "ciHigh") if n == 1 else ("ciLow", "ciHigh")
    return dict.fromkeys(names, reason)


def _t_reason(ordered: Sequence[float], spread: float) -> str | None:
    """Why Student's t says nothing about these sorted values; None if it does."""
    if len(ordered) < 2:
        return ONE if ordered else NONE
    return EQUAL if spread == 0 else None


def _normal_p_value(nonzero: Sequence[float], w_plus: float) -> float:
    n = len(nonzero)
    variance = int((doubled_midranks(nonzero) ** 2).sum()) / 16
    distance = abs(w_plus - n * (n + 1) / 4)
    return min(1.0, 2 * float(special.ndtr(-max(0.0, distance - 0.5) / sqrt(variance))))


def _interval_rank(n: int, confidence: float) -> tuple[int, float, str] | None:
    """(rank of the bounding Walsh average, confidence attained, method)."""
    if n <= EXACT_LIMIT:
        exact = exact_interval_rank(n, confidence)
        return exact and (*exact, "exact signed-rank distribution, conservative under ties")
    z = float(special.ndtri((1 + confidence) / 2))
    spread = sqrt(n * (n + 1) * (2 * n + 1) / 24)
    rank = floor(n * (n + 1) / 4 + 0.5 - z * spread)
    return rank, confidence, "normal approximation of the signed-rank distribution"
