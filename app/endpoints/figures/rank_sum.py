"""Two groups compared by ranks: the exact conditional Wilcoxon-Mann-Whitney test with ties.

Given the mid-ranks of all values, every choice of the first group's members is equally likely under
the hypothesis; P is the part of the choices whose rank sum lies at least as far from its
expectation as the observed one (Lehmann: Nonparametrics, section 1.2; coin::wilcox_test in R).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, sqrt

from scipy import special

from app.endpoints.figures.signed_rank import doubled_midranks
from app.endpoints.figures.summaries import Figures, Numbers, rounded, sort_numbers

EXACT_LIMIT = 100
"""Up to so many values together the distribution is exact."""

EXACT = "Wilcoxon-Mann-Whitney, exact, conditional on ties"
NORMAL = "Wilcoxon-Mann-Whitney, normal approximation corrected for ties and continuity"
ONE_GROUP = "needs values in both groups"


def compute_rank_sum(first: Numbers, second: Numbers) -> Figures:
    """U of the first group, the probability that one of it exceeds one of the second (ties half),
    and the two-sided P that both have the same distribution."""
    one, two = sort_numbers(first), sort_numbers(second)
    counts = {"nFirst": len(one), "nSecond": len(two)}
    if not one or not two:
        names = ("u", "superiority", "p", "method")
        return counts | dict.fromkeys(names) | {"reasons": dict.fromkeys(names, ONE_GROUP)}
    ranks = _doubled_ranks([*one, *two])
    observed = sum(ranks[: len(one)])
    u = observed / 2 - len(one) * (len(one) + 1) / 2
    exact = len(ranks) <= EXACT_LIMIT
    p = exact_p_value(ranks, len(one)) if exact else _normal_p_value(ranks, len(one))
    return counts | {
        "u": rounded(u),
        "superiority": rounded(u / (len(one) * len(two))),
        "p": rounded(p),
        "method": EXACT if exact else NORMAL,
        "reasons": {},
    }


def _doubled_ranks(values: Sequence[float]) -> tuple[int, ...]:
    """Twice the mid-ranks by value; `doubled_midranks` ranks absolute values, so all are shifted to
    be positive by their order."""
    places = {value: place for place, value in enumerate(sorted(set(values)), start=1)}
    return tuple(doubled_midranks([places[value] for value in values]).tolist())


def exact_p_value(ranks: Sequence[int], size: int) -> float:
    """Of the first `size` of the doubled ranks against all choices of as many."""
    total, observed = sum(ranks), sum(ranks[:size])
    expected = size * total  # over len(ranks): compared after multiplication
    distance = abs(observed * len(ranks) - expected)
    far = sum(
        ways
        for sum_, ways in enumerate(count_choices(tuple(sorted(ranks)), size))
        if abs(sum_ * len(ranks) - expected) >= distance
    )
    return far / comb(len(ranks), size)


def count_choices(ranks: Sequence[int], size: int) -> list[int]:
    """How many choices of `size` ranks give each sum (index). Dynamic programming over the ranks;
    the polynomials are packed into whole numbers whose digits hold every count."""
    width = len(ranks) // 8 + 1
    packed = [1] + [0] * size
    for rank in ranks:
        for chosen in range(size, 0, -1):
            packed[chosen] += packed[chosen - 1] << (rank * width * 8)
    digits = sum(ranks) + 1
    raw = packed[size].to_bytes(digits * width, "little")
    return [int.from_bytes(raw[i * width : (i + 1) * width], "little") for i in range(digits)]


def _normal_p_value(ranks: Sequence[int], size: int) -> float:
    n = len(ranks)
    other = n - size
    mean = sum(ranks) / n
    spread = sum((rank - mean) ** 2 for rank in ranks) / 4
    variance = size * other * spread / (n * (n - 1))
    distance = max(0.0, abs(sum(ranks[:size]) - size * mean) / 2 - 0.5)
    if variance == 0:
        return 1.0
    return min(1.0, 2 * float(special.ndtr(-distance / sqrt(variance))))
