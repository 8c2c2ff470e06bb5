"""The exact signed-rank distribution with ties, and order statistics of Walsh averages.

Given the absolute values, each sign is + or - with probability 1/2 under the hypothesis of
symmetry about 0, so the sum of the positive mid-ranks has the generating function
prod(1 + x^r). Mid-ranks are doubled to be whole numbers.

Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3rd ed., section 3.1 to 3.3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, combinations_with_replacement
from math import inf, nextafter

DIRECT_WALSH_LIMIT = 1_000

_NEAR = 1e-13


def doubled_midranks(values: Sequence[float]) -> tuple[int, ...]:
    """Twice the mid-rank of each absolute value, in the order of `values`."""
    ordered = sorted(abs(value) for value in values)
    twice = {}
    start = 0
    while start < len(ordered):
        end = bisect_right(ordered, ordered[start])
        twice[ordered[start]] = start + 1 + end
        start = end
    return tuple(twice[abs(value)] for value in values)


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
    ranks = doubled_midranks(changes)
    positive = sum(rank for rank, change in zip(ranks, changes, strict=True) if change > 0)
    counts = count_signings(tuple(sorted(ranks)))
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
    """Order statistics of the n(n+1)/2 averages (x_i + x_j)/2, i <= j."""

    __slots__ = ("_averages", "_values", "size")

    def __init__(self, values: Sequence[float]) -> None:
        self._values = sorted(values)
        self.size = len(values) * (len(values) + 1) // 2
        direct = len(values) <= DIRECT_WALSH_LIMIT
        self._averages = sorted(_averages(self._values)) if direct else None

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
        low, high = nextafter(self._values[0], -inf), self._values[-1]
        near = _NEAR * (self._values[-1] - self._values[0])
        while high - low > near and low < (middle := (low + high) / 2) < high:
            if self._count_upto(middle) >= k:
                high = middle
            else:
                low = middle
        candidate = self._least_above(low)
        while self._count_upto(candidate) < k:
            candidate = self._least_above(candidate)
        return candidate

    def _count_upto(self, limit: float) -> int:
        return sum(partner - first + 1 for first, partner in self._partners(limit))

    def _least_above(self, limit: float) -> float:
        """The smallest average above `limit`; there must be one."""
        values, last = self._values, len(self._values) - 1
        partners = dict(self._partners(limit))
        nexts = (
            (first, max(partners.get(first, first - 1) + 1, first)) for first in range(last + 1)
        )
        return min((values[i] + values[j]) / 2 for i, j in nexts if j <= last)

    def _partners(self, limit: float) -> Iterator[tuple[int, int]]:
        """Each first value with the last partner j >= i whose average is at most `limit`."""
        values, partner = self._values, len(self._values) - 1
        for first, value in enumerate(values):
            while partner >= first and (value + values[partner]) / 2 > limit:
                partner -= 1
            if partner < first:
                return
            yield first, partner


def _averages(values: Sequence[float]) -> list[float]:
    return [(a + b) / 2 for a, b in combinations_with_replacement(values, 2)]
