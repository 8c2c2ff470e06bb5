"""The restricted likelihood of repeated measures, with exact gradient and Hessian.

−2·log L = (N−p)·log 2π + Σ log|Σᵢ| + log|Σ XᵢᵀΣᵢ⁻¹Xᵢ| + rᵀΣ⁻¹r, as SAS PROC MIXED and R's mmrm
have it. Derivatives: Lindstrom and Bates, JASA 1988;83:1014; Wolfinger, Tobias and Sall, SIAM J
Sci Comput 1994;15:1294.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.endpoints.figures.mmrm_covariance import Covariance
from app.endpoints.figures.mmrm_moments import Array, Moments


@dataclass(frozen=True, slots=True, eq=False)
class Weighing:
    """The data weighed by one covariance: `value` is −2 log restricted likelihood (in units of
    `moments.scale`), `beta` the coefficients, `spread` their covariance (XᵀΣ⁻¹X)⁻¹, `inverse` the
    inverse covariance of each pattern of visits (0 where not observed)."""

    value: float
    beta: Array
    spread: Array
    inverse: Array


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """Derivatives of −2 log restricted likelihood by q parameters of the covariance, and of
    XᵀΣ⁻¹X: `precision` (q x columns x columns)."""

    gradient: Array
    hessian: Array
    precision: Array


def weigh(moments: Moments, matrix: Array) -> Weighing | None:
    """None where the matrix is no covariance matrix, or XᵀΣ⁻¹X is beyond the numbers' range."""
    if not np.isfinite(matrix).all():
        return None
    try:
        np.linalg.cholesky(matrix)
        inverse, log_sizes = _invert(moments, matrix)
        whole = moments.total(inverse)
        np.linalg.cholesky(whole[:-1, :-1])
        spread = np.linalg.inv(whole[:-1, :-1])
    except np.linalg.LinAlgError:
        return None
    beta = spread @ whole[:-1, -1]
    direction = np.append(-beta, 1.0)
    size = np.linalg.slogdet(whole[:-1, :-1])[1]
    degrees = moments.observations - moments.coefficients
    value = degrees * log(2 * pi) + log_sizes + size + direction @ whole @ direction
    return Weighing(float(value), beta, _symmetric(spread), inverse)


def _invert(moments: Moments, matrix: Array) -> tuple[Array, float]:
    """Of each pattern the inverse of the observed part; the sum of log determinants."""
    both = moments.observed[:, :, None] & moments.observed[:, None, :]
    padded = np.where(both, matrix, np.eye(moments.visits))
    log_sizes = np.linalg.slogdet(padded)[1]
    inverse = np.where(both, np.linalg.inv(padded), 0.0)
    return inverse, float(moments.participants @ log_sizes)


def _symmetric(matrix: NDArray[np.floating[Any]]) -> Array:
    symmetric: Array = (matrix + matrix.T) / 2
    return symmetric


def differentiate(moments: Moments, weighing: Weighing, covariance: Covariance) -> Curvature:
    """With W = Σ⁻¹ and E a derivative of Σ: that of W is −W·E·W. β is where the sum of squares is
    least, so its own move counts in the Hessian only."""
    inverse, first, second = weighing.inverse, covariance.first, covariance.second
    bent = inverse[:, None] @ first
    pressed = (bent @ inverse[:, None]).transpose(1, 0, 2, 3)
    moved = -np.tensordot(pressed, moments.products, 3)
    precision = moved[:, :-1, :-1]
    leaning = moved[:, :-1] @ np.append(-weighing.beta, 1.0)
    numbers = moments.participants[:, None, None]
    seen = inverse @ _weigh_columns(moments, weighing)
    weight = (numbers * inverse - seen @ inverse).sum(0)
    turned = bent @ (2 * seen - numbers * np.eye(moments.visits))[:, None]
    shrunk = weighing.spread @ precision
    hessian = (
        np.tensordot(second, weight, 2)
        + np.tensordot(bent, turned, ((0, 2, 3), (0, 3, 2)))
        - 2 * leaning @ weighing.spread @ leaning.T
        - np.tensordot(shrunk, shrunk, ((1, 2), (2, 1)))
    )
    return Curvature(np.tensordot(first, weight, 2), _symmetric(hessian), precision)


def _weigh_columns(moments: Moments, weighing: Weighing) -> Array:
    """Of each pattern, by visits: products of residuals, with what estimating β takes from them."""
    direction = np.append(-weighing.beta, 1.0)
    weights = np.outer(direction, direction)
    weights[:-1, :-1] += weighing.spread
    weighed: Array = np.tensordot(moments.products, weights, 2)
    return weighed
