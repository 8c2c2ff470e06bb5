"""The cumulative incidence of one event where another takes people out of its reach.

Aalen-Johansen estimate: Aalen, Johansen: Scand J Stat 1978;5:141. Variance by the delta method as
in Marubini, Valsecchi: Analysing Survival Data from Clinical Trials, 1995, section 10.2, log-log
limits on it. With no competing event the estimate is 1 - Kaplan-Meier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from app.endpoints.figures.summaries import Figures, rounded
from app.endpoints.figures.survival import BEYOND, NO_EVENT_YET, NO_ONE

CENSORED, EVENT, COMPETING = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Incidence:
    """Steps at the distinct `times`: cumulative incidence of the event and of the competing event,
    `free` the probability of neither, `variance` of the event's incidence."""

    n: int
    times: NDArray[np.float64]
    event: NDArray[np.float64]
    competing: NDArray[np.float64]
    free: NDArray[np.float64]
    variance: NDArray[np.float64]


def estimate_incidence(time: ArrayLike, kind: ArrayLike) -> Incidence:
    """From times and what ended them: CENSORED, EVENT or COMPETING. At a tie, events of both kinds
    are simultaneous and go before censorings."""
    observed, ended = np.asarray(time, np.float64), np.asarray(kind, np.int64)
    times, place = np.unique(observed, return_inverse=True)
    size = len(times)
    leaving = np.bincount(place, minlength=size)
    events = np.bincount(place[ended == EVENT], minlength=size)
    others = np.bincount(place[ended == COMPETING], minlength=size)
    at_risk = len(observed) - np.concatenate(([0], np.cumsum(leaving)))[:-1]
    free = np.cumprod((at_risk - events - others) / at_risk)
    before = np.concatenate(([1.0], free))[:-1]
    incidence = np.cumsum(before * events / at_risk)
    return Incidence(
        n=len(observed),
        times=times,
        event=incidence,
        competing=np.cumsum(before * others / at_risk),
        free=free,
        variance=_variance(at_risk, events, others, before, incidence),
    )


def _variance(
    at_risk: NDArray[np.int64],
    events: NDArray[np.int64],
    others: NDArray[np.int64],
    before: NDArray[np.float64],
    incidence: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sums over s <= t of (F(t) - F(s))^2 d/(n (n - d)) + S^2 d1 (n - d1)/n^3
    - 2 (F(t) - F(s)) S d1/n^2, opened into running sums so that it grows linearly."""
    both = events + others
    left = np.maximum(at_risk - both, 1)
    spread = np.where(at_risk > both, both / (at_risk * left), 0.0)
    joint = before * events / at_risk**2.0
    own = before**2 * events * (at_risk - events) / at_risk**3.0
    square, cross, plain = (
        np.cumsum(spread),
        np.cumsum(spread * incidence),
        np.cumsum(spread * incidence**2),
    )
    first = incidence**2 * square - 2 * incidence * cross + plain
    last = incidence * np.cumsum(joint) - np.cumsum(joint * incidence)
    variance: NDArray[np.float64] = np.maximum(first + np.cumsum(own) - 2 * last, 0.0)
    return variance


def compute_incidence_at(curve: Incidence, time: float, confidence: float) -> Figures:
    """Both incidences at a time, the event's with standard error and log-log limits."""
    names = ("probability", "competing", "standardError", "ciLow", "ciHigh")
    if not curve.n or (time > curve.times[-1] and curve.free[-1] > 0):
        reason = NO_ONE if not curve.n else BEYOND
        return dict.fromkeys(names) | {"reasons": dict.fromkeys(names, reason)}
    step = int(np.searchsorted(curve.times, time, side="right")) - 1
    if step < 0:
        return _told(0.0, 0.0, 0.0, confidence)
    error = float(np.sqrt(curve.variance[step]))
    return _told(float(curve.event[step]), float(curve.competing[step]), error, confidence)


def _told(event: float, competing: float, error: float, confidence: float) -> Figures:
    told = {
        "probability": rounded(event),
        "competing": rounded(competing),
        "standardError": rounded(error),
    }
    if not 0 < event < 1 or not error:
        reason = NO_EVENT_YET if not event else NO_SPREAD
        limits = dict.fromkeys(("ciLow", "ciHigh"))
        return {**told, **limits, "reasons": dict.fromkeys(limits, reason)}
    minus_log = -np.log1p(-event)
    z = float(special.ndtri((1 + confidence) / 2))
    factor = np.exp(z * error / ((1 - event) * minus_log))
    low, high = -np.expm1(-minus_log / factor), -np.expm1(-minus_log * factor)
    return {**told, "ciLow": rounded(float(low)), "ciHigh": rounded(float(high)), "reasons": {}}


NO_SPREAD = "the estimated variance is 0: no limits"
