"""The exact signed-rank distribution with ties, and order statistics of Walsh averages.

Given the absolute values, each sign is + or - with probability 1/2 under the hypothesis of
symmetry about 0, so the sum of the positive mid-ranks has the generating function
prod(1 + x^r). Mid-ranks are doubled to be whole numbers.

Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3rd ed., section 3.1 to 3.3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, combinations_with_replacement
from math import inf, nextafter

import numpy as np
from numpy.typing import NDArray

DIRECT_WALSH_LIMIT = 1_000

_NEAR = 1e-13


def doubled_midranks(values: Sequence[float]) -> NDArray[np.int64]:
    """Twice the mid-rank of each absolute value, in the order of `values`."""
    sizes = np.abs(np.asarray(values, np.float64))
    _, place, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    twice: NDArray[np.int64] = (2 * ends - counts + 1)[place]
    return twice


def sum_positive_midranks(values: Sequence[float]) -> int:
    """Twice the sum of the mid-ranks of the values above 0."""
    return int(doubled_midranks(values)[np.asarray(values, np.float64) > 0].sum())


@lru_cache(maxsize=64)
def count_signings(ranks: tuple[int, ...]) -> tuple[int, ...]:
    """How many of the 2^n choices of signs give each sum of positive `ranks` (index = sum).

    Dynamic programming over the ranks; the polynomial is packed into one integer whose digits
    are wide enough for 2^n, so that a step is a shift and an addition.
    """
    width = len(ranks) // 8 + 1
    packed = 1
    for rank in ranks:
        packed += packed << (rank * width * 8)
    digits = sum(ranks) + 1
    raw = packed.to_bytes(digits * width, "little")
    return tuple(int.from_bytes(raw[i * width : (i + 1) * width], "little") for i in range(digits))


def exact_p_value(changes: Sequence[float]) -> float:
    """Two-sided P of the signed-rank sum of non-zero `changes`, conditional on their ties."""
    ranks = tuple(sorted(doubled_midranks(changes).tolist()))
    positive = sum_positive_midranks(changes)
    counts = count_signings(ranks)
    tail = min(positive, sum(ranks) - positive)
    signings: int = 2 ** len(ranks)
    return min(1.0, 2 * sum(counts[: tail + 1]) / signings)


def exact_interval_rank(n: int, confidence: float) -> tuple[int, float] | None:
    """Which Walsh averages, k-th smallest and k-th largest, bound the centre of symmetry.

    Comes back as (k, confidence attained) by the tie-free distribution, which is conservative
    under ties; None if even the whole range falls short of `confidence`.
    """
    counts = count_signings(tuple(range(1, n + 1)))
    below = [0, *accumulate(counts)]
    rank = bisect_right(below, (1 - confidence) / 2 * 2**n) - 1
    return (rank, 1 - 2 * below[rank] / 2**n) if rank > 0 else None


class WalshAverages:
    """Order statistics of the n(n+1)/2 averages (x_i + x_j)/2, i <= j.

    Up to DIRECT_WALSH_LIMIT values they are listed; beyond, the range is halved, counting over the
    distinct values: a hundred thousand counts have a few hundred distinct changes.
    """

    __slots__ = ("_above", "_averages", "_near", "_values", "_weights", "size")

    def __init__(self, values: Sequence[float]) -> None:
        self.size = len(values) * (len(values) + 1) // 2
        direct = len(values) <= DIRECT_WALSH_LIMIT
        self._averages = sorted(_averages(sorted(values))) if direct else None
        distinct, weights = np.unique(np.asarray(values, np.float64), return_counts=True)
        self._values, self._weights = distinct, weights.astype(np.int64)
        self._above = np.concatenate([[0], np.cumsum(self._weights)])
        self._near = _NEAR * float(distinct[-1] - distinct[0])

    def smallest(self, k: int) -> float:
        """The k-th smallest average, k from 1."""
        if self._averages is not None:
            return self._averages[k - 1]
        return self._select(k)

    def median(self) -> float:
        lower = self.smallest((self.size + 1) // 2)
        return lower if self.size % 2 else (lower + self.smallest(self.size // 2 + 1)) / 2

    def _select(self, k: int) -> float:
        """The k-th smallest without listing all: halve the range, then step over averages."""
        low = nextafter(float(self._values[0]) - 4 * self._near, -inf)
        high = float(self._values[-1])
        while high - low > self._near and low < (middle := (low + high) / 2) < high:
            if self._count_upto(middle) >= k:
                high = middle
            else:
                low = middle
        candidate = self._least_above(low)
        while self._count_upto(candidate) < k:
            candidate = self._least_above(candidate)
        return candidate

    def _count_upto(self, limit: float) -> int:
        """How many averages are at most `limit`: of the ordered pairs, each with itself twice,
        half."""
        pairs = int((self._weights * self._above[self._partners(limit)]).sum())
        alone = int(self._weights[self._values <= limit + self._near].sum())
        return (pairs + alone) // 2

    def _least_above(self, limit: float) -> float:
        """The smallest average above `limit`; there must be one."""
        partners = self._partners(limit)
        inside = partners < len(self._values)
        return float(((self._values[inside] + self._values[partners[inside]]) / 2).min())

    def _partners(self, limit: float) -> NDArray[np.intp]:
        """Of each distinct value how many of them make with it an average of at most `limit`."""
        found: NDArray[np.intp] = np.searchsorted(
            self._values, 2 * (limit + self._near) - self._values, side="right"
        )
        return found


def _averages(values: Sequence[float]) -> list[float]:
    return [(a + b) / 2 for a, b in combinations_with_replacement(values, 2)]
