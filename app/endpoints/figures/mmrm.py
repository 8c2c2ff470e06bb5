"""Mixed model for repeated measures: coefficients and covariance by restricted maximum likelihood.

Mallinckrodt, Clark and David, J Biopharm Stat 2001;11:9. The likelihood is climbed by Newton's
method with the exact Hessian, from the same starts every time: nothing is random. Figures agree
with SAS PROC MIXED and the R package mmrm (tests/unit/test_mmrm.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import numpy as np

from app.endpoints.figures.mmrm_covariance import Covariance, Structure
from app.endpoints.figures.mmrm_likelihood import Curvature, Weighing, differentiate, weigh
from app.endpoints.figures.mmrm_moments import Array, Moments

MOST_STEPS = 100
MOST_HALVINGS = 40

NEAR = 1e-18
"""Converged where the next step promises to lower −2 log likelihood by no more than this: Newton's
method doubles the digits with every step, so estimates then stand to some 9 digits. Or, near
NOISE, where steps no longer shrink: that is as far as numbers go."""

NOISE = 1e-9
"""What the likelihood's own rounding hides: a step that promises less is taken unseen."""

SINGULAR = 1e-8
"""Smallest eigenvalue of the correlation matrix, below which it counts as singular."""

FLAT = 1e-7
"""Smallest eigenvalue of the scaled Hessian, below which a parameter is not determined."""

SMALLEST_SPREAD = 1e-3
"""Start of a visit's standard deviation, at least, beside that of all observations."""

EVEN = 0.5
"""Correlation of every two visits in the second start: one person's measures are alike."""

WELL_INSIDE = 0.05
"""Smallest eigenvalue of a correlation matrix to start from; residual correlations are halved until
they are there."""

NOT_CONVERGED = f"did not converge in {MOST_STEPS} steps"
NO_STEP = "the likelihood could not be improved, nor was it at its greatest"
ON_THE_EDGE = "the covariance became singular"
NOT_DETERMINED = "the data do not determine every covariance parameter"


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted model of p coefficients and q covariance parameters.

    `beta` (p) with `spread` (p x p), its model-based covariance; `covariance` (visits x visits) of
    a participant's observations; `minus_two_log_likelihood` restricted, with its constant.
    `information` (q x q) is the covariance of the covariance parameters, from the observed
    information; `covariance_first` (q x visits x visits) the covariance's derivatives by them and
    `precision` (q x p x p) those of XᵀΣ⁻¹X, both in units of `moments.scale`, as is `inverse`.
    """

    moments: Moments
    beta: Array
    spread: Array
    covariance: Array
    minus_two_log_likelihood: float
    steps: int
    information: Array
    covariance_first: Array
    precision: Array
    inverse: Array

    @property
    def parameters(self) -> int:
        return len(self.information)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where the climb stands."""

    theta: Array
    matrix: Array
    weighing: Weighing


def fit_model(moments: Moments, structure: Structure) -> Fit | str:
    """The fit, or the reason why this structure can't be fitted to these data. A likelihood may
    have several peaks: of those that are climbed from two starts the highest counts."""
    starts = build_starts(moments)
    found = [_climb(moments, structure, structure.start(start)) for start in starts]
    fits = [each for each in found if isinstance(each, Fit)]
    if not fits:
        return found[0]
    return min(fits, key=lambda each: round(each.minus_two_log_likelihood, 6))


def _climb(moments: Moments, structure: Structure, theta: Array) -> Fit | str:
    place = _place(moments, structure, theta)
    if place is None:
        return NO_STEP
    before = inf
    for step in range(MOST_STEPS):
        if _is_singular(place.matrix):
            return ON_THE_EDGE
        covariance = structure.build(place.theta, moments.visits)
        curvature = differentiate(moments, place.weighing, covariance)
        direction, decrement = _newton_step(curvature)
        if decrement <= NEAR or NOISE > decrement > before / 4:
            return _finish(moments, covariance, place, curvature, step)
        found = (
            _place(moments, structure, place.theta + direction)
            if decrement < NOISE
            else _search(moments, structure, place, direction, decrement)
        )
        if found is None:
            return NO_STEP
        place, before = found, decrement
    return NOT_CONVERGED


def build_starts(moments: Moments) -> tuple[Array, Array]:
    """Covariance matrices from which the climb begins, of residuals around least squares: with the
    correlations of the participants who have both visits, and with `EVEN` ones."""
    apart = np.eye(moments.visits) * moments.observed[:, None]
    whole = moments.total(apart)
    direction = np.append(-np.linalg.solve(whole[:-1, :-1], whole[:-1, -1]), 1.0)
    squares = (moments.products @ direction @ direction).sum(0)
    seen = moments.observed.astype(float)
    matrix = squares / np.maximum(seen.T @ (seen * moments.participants[:, None]), 1)
    variances = np.maximum(np.diag(matrix), SMALLEST_SPREAD**2)
    deviations = np.sqrt(variances)
    correlation = matrix / np.outer(deviations, deviations)
    np.fill_diagonal(correlation, 1.0)
    while np.linalg.eigvalsh(correlation)[0] < WELL_INSIDE:
        correlation = (correlation + np.eye(moments.visits)) / 2
    even = (1 - EVEN) * np.eye(moments.visits) + EVEN
    spread = np.outer(deviations, deviations)
    return correlation * spread, even * spread


def _place(moments: Moments, structure: Structure, theta: Array) -> _Place | None:
    with np.errstate(over="ignore", invalid="ignore"):
        matrix = structure.compute(theta, moments.visits)
    weighing = weigh(moments, matrix)
    return None if weighing is None else _Place(theta, matrix, weighing)


def _newton_step(curvature: Curvature) -> tuple[Array, float]:
    """Downhill also where the surface is not convex: eigenvalues count by their size. Scaled, so
    that the units of the parameters do not matter."""
    unit = np.sqrt(np.maximum(np.abs(np.diag(curvature.hessian)), 1e-8))
    values, vectors = np.linalg.eigh(curvature.hessian / np.outer(unit, unit))
    slope = vectors.T @ (curvature.gradient / unit)
    sizes = np.maximum(np.abs(values), FLAT)
    return -(vectors @ (slope / sizes)) / unit, float(slope @ (slope / sizes)) / 2


def _search(
    moments: Moments, structure: Structure, place: _Place, direction: Array, decrement: float
) -> _Place | None:
    """The first place on the way, halved again and again, that is lower by a share of what the
    slope promises."""
    length = min(1.0, 5.0 / float(np.abs(direction).max()))
    for _ in range(MOST_HALVINGS):
        found = _place(moments, structure, place.theta + length * direction)
        aim = place.weighing.value - 2e-4 * length * decrement
        if found and found.weighing.value <= aim:
            return found
        length /= 2
    return None


def _is_singular(matrix: Array) -> bool:
    deviation = np.sqrt(np.diag(matrix))
    correlation = matrix / np.outer(deviation, deviation)
    spread = float(deviation.max() / deviation.min())
    return bool(np.linalg.eigvalsh(correlation)[0] < SINGULAR or spread > 1 / SINGULAR)


def _finish(
    moments: Moments, covariance: Covariance, place: _Place, curvature: Curvature, steps: int
) -> Fit | str:
    unit = np.sqrt(np.maximum(np.diag(curvature.hessian), 0.0))
    if not unit.all():
        return NOT_DETERMINED
    scaled = curvature.hessian / np.outer(unit, unit)
    if np.linalg.eigvalsh(scaled)[0] < FLAT:
        return NOT_DETERMINED
    weighing, scale = place.weighing, moments.scale
    degrees = moments.observations - moments.coefficients
    return Fit(
        moments=moments,
        beta=weighing.beta * scale,
        spread=weighing.spread * scale**2,
        covariance=covariance.matrix * scale**2,
        minus_two_log_likelihood=weighing.value + 2 * degrees * log(scale),
        steps=steps,
        information=2 * np.linalg.inv(scaled) / np.outer(unit, unit),
        covariance_first=covariance.first,
        precision=curvature.precision,
        inverse=weighing.inverse,
    )
