"""Proportions with their intervals.

Clopper and Pearson, Biometrika 1934;26:404 (exact); Wilson, JASA 1927;22:209 (score, without
continuity correction).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from types import MappingProxyType

from scipy import special

from app.endpoints.figures.summaries import Figures, rounded

NOBODY = "no participants"

Bounds = tuple[float, float]


def clopper_pearson(events: int, of: int, confidence: float) -> Bounds:
    """Each tail holds at most half of what the confidence leaves."""
    tail = (1 - confidence) / 2
    low = float(special.betaincinv(events, of - events + 1, tail)) if events else 0.0
    high = float(special.betaincinv(events + 1, of - events, 1 - tail)) if events < of else 1.0
    return low, high


def wilson(events: int, of: int, confidence: float) -> Bounds:
    z = float(special.ndtri((1 + confidence) / 2))
    share = events / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low = centre - half if events else 0.0
    return low, (centre + half if events < of else 1.0)


INTERVALS: Mapping[str, Callable[[int, int, float], Bounds]] = MappingProxyType(
    {"clopper-pearson": clopper_pearson, "wilson": wilson}
)


def compute_proportion(
    events: int, of: int, confidence: float, interval: str = "clopper-pearson"
) -> Figures:
    """`n` of `of` in percent with a two-sided interval of the named kind, in percent."""
    if not of:
        names = ("percent", "ciLow", "ciHigh")
        return {
            "n": events,
            "of": 0,
            **dict.fromkeys(names),
            "reasons": dict.fromkeys(names, NOBODY),
        }
    low, high = INTERVALS[interval](events, of, confidence)
    return {
        "n": events,
        "of": of,
        "percent": rounded(100 * events / of),
        "ciLow": rounded(100 * low),
        "ciHigh": rounded(100 * high),
        "reasons": {},
    }
