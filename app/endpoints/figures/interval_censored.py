"""Turnbull's estimate: the distribution of a time that is only known to lie in (left, right].

Mass can only lie in the innermost intervals (Peto: Appl Stat 1973;22:86; Turnbull: J R Stat Soc B
1976;38:290). The likelihood is maximised by the constrained Newton method (Wang: J R Stat Soc B
2007;69:185) until no interval could gain more than `GAIN` by Gentleman and Geyer's condition
(Biometrika 1994;81:618), which proves the maximum. Where within an innermost interval the mass
lies is not known: probabilities come as bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from app.endpoints.figures.summaries import Figures
from app.endpoints.figures.survival import NO_ONE, NOT_REACHED

LARGEST = 1_000
"""Up to this many distinct intervals are computed: the work grows with their number times that of
the innermost ones."""

TOO_MANY = f"more than {LARGEST} distinct intervals: not computed"
NOT_FOUND = "the likelihood's maximum was not reached"
OPEN = "no upper bound: the mass lies after the last follow-up"

GAIN = 1e-8
STEPS = 500
DIGITS = 6
"""The maximum is known to fewer digits than a closed formula is."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Masses:
    """The innermost intervals (`left`, `right`] with the probability of each; the last right end
    may be infinite. `gap` is the largest relative gain still possible, at most `GAIN`."""

    n: int
    left: Floats
    right: Floats
    mass: Floats
    log_likelihood: float
    gap: float

    def bounds(self, time: float) -> tuple[float, float]:
        """Least and greatest probability of an event by `time`."""
        low = float(self.mass[self.right <= time].sum())
        return min(low, 1.0), min(float(self.mass[self.left < time].sum()), 1.0)


def estimate_masses(left: ArrayLike, right: ArrayLike) -> Masses | str:
    """From left < right ends (right infinite: no event until left). Why not, if not: no one, more
    than `LARGEST` distinct intervals, or no convergence."""
    ends = np.column_stack([np.asarray(left, np.float64), np.asarray(right, np.float64)])
    if not len(ends):
        return NO_ONE
    distinct, weights = np.unique(ends, axis=0, return_counts=True)
    if len(distinct) > LARGEST:
        return TOO_MANY
    low, high = find_innermost(distinct[:, 0], distinct[:, 1])
    inside = (low >= distinct[:, :1]) & (high <= distinct[:, 1:])
    mass, gap = _maximise(inside.astype(np.float64), weights.astype(np.float64))
    if gap > GAIN:
        return NOT_FOUND
    likelihood = float(weights @ np.log(inside @ mass))
    return Masses(len(ends), low, high, mass, likelihood, max(gap, 0.0))


def find_innermost(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Each left end that is followed at once by a right end: the only places of mass. Intervals are
    open at the left, so at a tie right ends come first."""
    ends = np.concatenate([left, right])
    is_left = np.repeat([1, 0], [len(left), len(right)])
    order = np.lexsort((is_left, ends))
    ends, is_left = ends[order], is_left[order]
    starts = np.flatnonzero((is_left[:-1] == 1) & (is_left[1:] == 0))
    return ends[starts], ends[starts + 1]


def _maximise(inside: Floats, weights: Floats) -> tuple[Floats, float]:
    """The masses that maximise the likelihood, and the relative gain still possible."""
    n, size = weights.sum(), inside.shape[1]
    mass = np.full(size, 1 / size)
    gap = np.inf
    for _ in range(STEPS):
        ratios = inside / (inside @ mass)[:, None]
        gradient = weights @ ratios
        gap = float(gradient.max() / n - 1)
        if gap <= GAIN:
            break
        mass = _step(inside, weights, mass, ratios, gradient)
    return mass, gap


def _step(
    inside: Floats, weights: Floats, mass: Floats, ratios: Floats, gradient: Floats
) -> Floats:
    """Towards the maximum of the quadratic approximation, halved until the likelihood grows; the
    self-consistent step, which always grows, where that fails."""
    steady: Floats = mass * gradient / weights.sum()
    target = _newton_target(ratios, weights)
    if target is None:
        return steady
    before, slope = weights @ np.log(inside @ mass), float(gradient @ (target - mass))
    for halving in range(30):
        part = 0.5**halving
        moved: Floats = mass + part * (target - mass)
        fitted = inside @ moved
        if (fitted > 0).all() and weights @ np.log(fitted) >= before + part * slope / 3:
            return moved
    return steady


def _newton_target(ratios: Floats, weights: Floats) -> Floats | None:
    """The least squares of ratios @ x = 2 over x >= 0 with sum 1, as non-negative least squares
    (Dax: SIAM J Optim 1990;1:62)."""
    scaled = np.sqrt(weights)[:, None] * (ratios - 2)
    rows = np.vstack([scaled, np.ones(ratios.shape[1])])
    goal = np.zeros(len(rows))
    goal[-1] = 1
    try:
        found, _ = optimize.nnls(rows, goal)
    except RuntimeError:
        return None
    total = found.sum()
    return found / total if total > 0 else None


def told(value: float) -> float:
    """To six significant digits; what is nothing but noise of the search is 0."""
    return float(f"{value:.{DIGITS}g}") + 0.0 if abs(value) > GAIN else 0.0


def build_masses(masses: Masses) -> list[Figures]:
    """Innermost intervals with mass; `right` is null, with its reason, where it has no end."""
    rows = zip(masses.left.tolist(), masses.right.tolist(), masses.mass.tolist(), strict=True)
    return [
        {
            "left": low,
            "right": high if np.isfinite(high) else None,
            "mass": told(mass),
            "reasons": {} if np.isfinite(high) else {"right": OPEN},
        }
        for low, high, mass in rows
        if told(mass)
    ]


def compute_bounds_at(masses: Masses, time: float) -> Figures:
    """Probability of an event by a time: least and greatest, equal outside innermost intervals."""
    low, high = masses.bounds(time)
    return {"probabilityLow": told(low), "probabilityHigh": told(high)}


def compute_median_interval(masses: Masses) -> Figures:
    """The innermost interval in which half have had the event."""
    reached = np.flatnonzero(np.cumsum(masses.mass) >= 0.5 - GAIN)
    first = reached[0]
    low, high = float(masses.left[first]), float(masses.right[first])
    if not np.isfinite(high):
        return {"low": None, "high": None, "reasons": dict.fromkeys(("low", "high"), NOT_REACHED)}
    return {"low": low, "high": high, "reasons": {}}
