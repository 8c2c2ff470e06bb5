"""Random draws shared by the generators, each from a `random.Random` that the caller seeded."""

from __future__ import annotations

import math
from random import Random


def seeded(seed: int, *parts: str | int) -> Random:
    """A generator of its own for one participant or one purpose, so that adding a draw to one
    does not move the draws of the next."""
    return Random("/".join(str(part) for part in (seed, *parts)))


def bounded_gauss(
    random: Random, mean: float, deviation: float, lowest: float, highest: float
) -> float:
    """A normal draw, drawn again until it lies within the bounds."""
    while True:
        value = random.gauss(mean, deviation)
        if lowest <= value <= highest:
            return value


def bounded_lognormal(
    random: Random, median: float, log_deviation: float, lowest: float, highest: float
) -> float:
    """A log-normal draw by its median, drawn again until it lies within the bounds."""
    return math.exp(
        bounded_gauss(random, math.log(median), log_deviation, math.log(lowest), math.log(highest))
    )
