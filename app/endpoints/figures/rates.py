"""Rates of events over person-time, with the exact interval of a Poisson count.

Garwood, Biometrika 1936;28:437: the limits are half the quantiles of chi-squared distributions
with 2k and 2k + 2 degrees of freedom, which are quantiles of gamma distributions.
"""

from __future__ import annotations

from scipy import special

from app.endpoints.figures.summaries import Figures, rounded

NO_TIME = "no person-time"

METHOD = "exact Poisson (Garwood)"


def poisson_interval(events: int, confidence: float) -> tuple[float, float]:
    """Of the expectation of a count; each tail holds half of what the confidence leaves. No event
    has the lower limit 0."""
    tail = (1 - confidence) / 2
    low = float(special.gammaincinv(events, tail)) if events else 0.0
    return low, float(special.gammainccinv(events + 1, tail))


def compute_rate(events: int, years: float, confidence: float) -> Figures:
    """Events per participant-year of `years` in sum, with the exact interval; undefined without
    person-time."""
    figures: Figures = {"events": events, "participantYears": rounded(years)}
    if years <= 0:
        names = ("rate", "ciLow", "ciHigh")
        return figures | dict.fromkeys(names) | {"reasons": dict.fromkeys(names, NO_TIME)}
    low, high = poisson_interval(events, confidence)
    return figures | {
        "rate": rounded(events / years),
        "ciLow": rounded(low / years),
        "ciHigh": rounded(high / years),
        "reasons": {},
    }
