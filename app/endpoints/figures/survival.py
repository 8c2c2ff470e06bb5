"""Kaplan-Meier curves: estimate, Greenwood's variance, log-log limits, quantiles, risk table.

Own code of NumPy, because the field's libraries are fitted through data frames and give no
Brookmeyer-Crowley limits; the tests hold it against them and against published figures.

Kaplan, Meier: J Am Stat Assoc 1958;53:457. Greenwood 1926. Log-log limits: Kalbfleisch, Prentice:
The Statistical Analysis of Failure Time Data, section 1.4 (SAS's default; R's default is `log`).
Quantiles: Brookmeyer, Crowley: Biometrics 1982;38:29.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from app.endpoints.figures.summaries import Figures, rounded

NO_ONE = "no participants"
NO_EVENT_YET = "no event so far: the log-log limits are not defined at a survival of 1"
NONE_LEFT = "everyone had the event: the log-log limits are not defined at a survival of 0"
BEYOND = "beyond the last follow-up, with participants still without the event"
NOT_REACHED = "the curve does not reach it"
LIMIT_NOT_REACHED = "the confidence band does not reach it"

SAME = 1e-9
"""Two survival probabilities closer than this are the same number."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A step curve over the distinct `times` of an event or a censoring, ascending. `at_risk` just
    before each, `survival` from each on, `greenwood` the sum of d / (n (n - d)) up to it."""

    n: int
    times: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]
    censored: NDArray[np.int64]
    survival: NDArray[np.float64]
    greenwood: NDArray[np.float64]

    @property
    def standard_error(self) -> NDArray[np.float64]:
        """Greenwood's, of the survival; 0 once no one is left."""
        left = self.survival > 0
        error: NDArray[np.float64] = np.zeros(len(self.times))
        error[left] = self.survival[left] * np.sqrt(self.greenwood[left])
        return error

    def band(self, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper log-log limits of the survival; NaN where it is 1 or 0."""
        inside = (self.survival > 0) & (self.survival < 1)
        low, high = np.full((2, len(self.times)), np.nan)
        minus_log = -np.log(self.survival[inside])
        z = float(special.ndtri((1 + confidence) / 2))
        factor = np.exp(z * np.sqrt(self.greenwood[inside]) / minus_log)
        low[inside] = np.exp(-minus_log * factor)
        high[inside] = np.exp(-minus_log / factor)
        return low, high

    def step_at(self, time: float) -> int:
        """The last step at or before `time`; -1 before all."""
        return int(np.searchsorted(self.times, time, side="right")) - 1

    def follows(self, time: float) -> bool:
        """Whether the curve is known at `time`: someone was followed so long, or all had events."""
        return bool(self.n) and bool(time <= self.times[-1] or self.survival[-1] == 0)


def estimate_survival(time: ArrayLike, event: ArrayLike) -> Curve:
    """The product-limit estimate from times (any unit, 0 and up) and whether the event was there.

    At a tie events go before censorings, who are at risk of them. Grows as n log n.
    """
    observed, happened = np.asarray(time, np.float64), np.asarray(event, np.bool_)
    times, place = np.unique(observed, return_inverse=True)
    leaving = np.bincount(place, minlength=len(times))
    events = np.bincount(place[happened], minlength=len(times))
    at_risk = len(observed) - np.concatenate(([0], np.cumsum(leaving)))[:-1].astype(np.int64)
    factors = ((at_risk - events) / at_risk).astype(np.float64)
    survivors = np.maximum(at_risk - events, 1)
    return Curve(
        n=len(observed),
        times=times,
        at_risk=at_risk,
        events=events,
        censored=leaving - events,
        survival=np.cumprod(factors, dtype=np.float64),
        greenwood=np.cumsum(events / (at_risk * survivors)),
    )


QUARTILES = (("q1", 1 / 4), ("median", 1 / 2), ("q3", 3 / 4))
"""Times by which these parts had the event."""


def compute_quartiles(curve: Curve, confidence: float) -> list[Figures]:
    """First quartile, median and third quartile of the time to the event, with their limits."""
    return [{"name": name} | compute_quantile(curve, p, confidence) for name, p in QUARTILES]


def compute_quantile(curve: Curve, probability: float, confidence: float) -> Figures:
    """The time by which `probability` had the event: the first at which the survival is at or below
    1 - p; where the curve lies on 1 - p, the middle of that stretch, as R and SAS have it. Its
    limits are the same of the two limits of the band."""
    low, high = curve.band(confidence)
    target = 1 - probability
    found = {
        "estimate": _crossing(curve, curve.survival, target),
        "ciLow": _crossing(curve, low, target),
        "ciHigh": _crossing(curve, high, target),
    }
    reasons = {
        name: NO_ONE if not curve.n else NOT_REACHED if name == "estimate" else LIMIT_NOT_REACHED
        for name, value in found.items()
        if value is None
    }
    told = {name: None if value is None else rounded(value) for name, value in found.items()}
    return {"probability": probability, **told, "reasons": reasons}


def _crossing(curve: Curve, levels: NDArray[np.float64], target: float) -> float | None:
    below = np.flatnonzero(levels <= target + SAME)
    if not len(below):
        return None
    first = below[0]
    if levels[first] < target - SAME:
        return float(curve.times[first])
    under = np.flatnonzero(levels < target - SAME)
    until = under[0] if len(under) else -1
    return float((curve.times[first] + curve.times[until]) / 2)


def compute_event_probability(curve: Curve, time: float, confidence: float) -> Figures:
    """1 - S at a time with Greenwood's standard error and log-log limits."""
    if not curve.follows(time):
        return _unknown(NO_ONE if not curve.n else BEYOND)
    step = curve.step_at(time)
    survival = float(curve.survival[step]) if step >= 0 else 1.0
    error = float(curve.standard_error[step]) if step >= 0 else 0.0
    told = {"probability": rounded(1 - survival), "standardError": rounded(error)}
    if survival in (0.0, 1.0):
        reason = NO_EVENT_YET if survival else NONE_LEFT
        limits = dict.fromkeys(("ciLow", "ciHigh"))
        return {**told, **limits, "reasons": dict.fromkeys(limits, reason)}
    low, high = curve.band(confidence)
    limits_told = {"ciLow": rounded(1 - float(high[step])), "ciHigh": rounded(1 - float(low[step]))}
    return {**told, **limits_told, "reasons": {}}


def _unknown(reason: str) -> Figures:
    names = ("probability", "standardError", "ciLow", "ciHigh")
    return dict.fromkeys(names) | {"reasons": dict.fromkeys(names, reason)}


def count_at(curve: Curve, time: float) -> Figures:
    """At risk just before a time; events and censorings up to and with it."""
    before = int(np.searchsorted(curve.times, time, side="left"))
    upto = curve.step_at(time) + 1
    return {
        "atRisk": int(curve.at_risk[before]) if before < len(curve.times) else 0,
        "events": int(curve.events[:upto].sum()),
        "censored": int(curve.censored[:upto].sum()),
    }


def build_steps(curve: Curve, confidence: float) -> list[Figures]:
    """One entry per distinct time of the curve."""
    low, high = curve.band(confidence)
    columns: Sequence[list[float]] = [
        each.tolist() for each in (curve.survival, curve.standard_error, low, high)
    ]
    return [
        {
            "time": rounded(float(curve.times[step])),
            "atRisk": int(curve.at_risk[step]),
            "events": int(curve.events[step]),
            "censored": int(curve.censored[step]),
            **_step(*(column[step] for column in columns)),
        }
        for step in range(len(curve.times))
    ]


def _step(survival: float, error: float, low: float, high: float) -> Figures:
    told = {"survival": rounded(survival), "standardError": rounded(error)}
    if survival in (0.0, 1.0):
        reason = NO_EVENT_YET if survival else NONE_LEFT
        limits = dict.fromkeys(("ciLow", "ciHigh"))
        return {**told, **limits, "reasons": dict.fromkeys(limits, reason)}
    return {**told, "ciLow": rounded(low), "ciHigh": rounded(high), "reasons": {}}


def compute_restricted_mean(curve: Curve, horizon: float, confidence: float) -> Figures:
    """The mean time without the event up to `horizon`: the area under the curve, with the variance
    of Klein and Moeschberger, Survival Analysis, section 4.5, and a normal interval."""
    names = ("estimate", "standardError", "ciLow", "ciHigh")
    if not curve.follows(horizon):
        reason = NO_ONE if not curve.n else BEYOND
        return (
            {"horizon": horizon} | dict.fromkeys(names) | {"reasons": dict.fromkeys(names, reason)}
        )
    upto = curve.step_at(horizon) + 1
    edges = np.concatenate(([0.0], curve.times[:upto], [horizon]))
    pieces = np.diff(edges) * np.concatenate(([1.0], curve.survival[:upto]))
    left = pieces.sum() - np.cumsum(pieces)[:-1]
    survivors = curve.at_risk[:upto] - curve.events[:upto]
    jumps = np.where(
        survivors > 0, curve.events[:upto] / (curve.at_risk[:upto] * np.maximum(survivors, 1)), 0.0
    )
    error = float(np.sqrt((left**2 * jumps).sum()))
    half = float(special.ndtri((1 + confidence) / 2)) * error
    mean = float(pieces.sum())
    told = {"estimate": mean, "standardError": error, "ciLow": mean - half, "ciHigh": mean + half}
    return {"horizon": horizon} | {k: rounded(v) for k, v in told.items()} | {"reasons": {}}
