"""Repeated measures as sums over participants with the same visits: all that a restricted
likelihood needs of the data, so that its cost does not grow with the number of participants.

For a participant with response y and design rows x at some visits, z = (x, y). Of all participants
seen at the same visits only the sum of z[a,u]·z[b,v] over visits a, b and columns u, v is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST = 5_000_000
"""Numbers kept: patterns of visits x visits² x columns². Beyond it the model is not fitted."""

UNTOLD = "the model's coefficients can't be told apart"
NOTHING_LEFT = "no variation is left beside the model's coefficients"

NO_RANK = 1e-10
"""A column whose share beyond the others is smaller than this says nothing of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of each pattern of visits: `observed` (patterns x visits), `participants`, `products`
    (patterns x visits x visits x columns x columns, the response last, in units of `scale`)."""

    observed: NDArray[np.bool_]
    participants: NDArray[np.intp]
    products: Array
    scale: float

    @property
    def visits(self) -> int:
        return int(self.observed.shape[1])

    @property
    def coefficients(self) -> int:
        return int(self.products.shape[-1]) - 1

    @property
    def observations(self) -> int:
        return int((self.participants @ self.observed).sum())

    def total(self, weights: Array) -> Array:
        """The sum of the products, weighted by visits (patterns x visits x visits)."""
        total: Array = np.tensordot(weights, self.products, 3)
        return total


def build_moments(
    y: Array, x: Array, subject: NDArray[np.int64], visit: NDArray[np.int64], width: int
) -> Moments | str:
    """Moments of observations: response `y`, design `x` (observations x columns), participant and
    visit (0 … width-1), at most one observation of a participant at a visit. The order of the rows
    changes nothing. Returns the reason where these data allow no model at all.
    """
    order = np.lexsort((visit, subject))
    y, x, subject, visit = y[order], x[order], subject[order], visit[order]
    if not len(y):
        return "no observations"
    scale = _residual_scale(y, x)
    if isinstance(scale, str):
        return scale
    return _gather(np.column_stack([x, y / scale]), subject, visit, width, scale)


def _residual_scale(y: Array, x: Array) -> float | str:
    """The residual standard deviation around least squares, or the reason why there is none."""
    degrees = len(y) - x.shape[1]
    lengths = np.sqrt((x**2).sum(0))
    if degrees < 0 or not lengths.all():
        return UNTOLD
    basis, shares = np.linalg.qr(x / lengths)
    if np.abs(np.diag(shares)).min() < NO_RANK:
        return UNTOLD
    left = y - basis @ (basis.T @ y)
    if not degrees or np.abs(left).max() <= NO_RANK * np.abs(y).max():
        return NOTHING_LEFT
    return float(np.sqrt((left**2).sum() / degrees))


def _gather(
    z: Array, subject: NDArray[np.int64], visit: NDArray[np.int64], width: int, scale: float
) -> Moments | str:
    """Rows stand by participant."""
    row = np.concatenate([[0], np.cumsum(np.diff(subject) != 0)])
    participants = int(row[-1]) + 1
    cube = np.zeros((participants, width, z.shape[1]))
    seen = np.zeros((participants, width), np.bool_)
    cube[row, visit], seen[row, visit] = z, True
    codes = np.packbits(seen, axis=1)
    order = np.lexsort(codes.T[::-1])
    starts = np.flatnonzero(np.r_[True, (np.diff(codes[order], axis=0) != 0).any(1)])
    observed, counted = seen[order[starts]], np.diff(np.r_[starts, participants])
    columns = width * z.shape[1]
    if len(observed) * columns**2 > LARGEST:
        return f"too many patterns of visits: more than {LARGEST:,} sums of products"
    flat = cube.reshape(participants, columns)
    products = np.stack([_square(flat[each]) for each in np.split(order, starts[1:])])
    shape = (len(observed), width, z.shape[1], width, z.shape[1])
    return Moments(observed, counted, products.reshape(shape).transpose(0, 1, 3, 2, 4), scale)


def _square(rows: Array) -> Array:
    square: Array = rows.T @ rows
    return square
