"""Time in therapeutic range by linear interpolation between levels.

Rosendaal et al., Thromb Haemost 1993;69:236-239, with exact crossings in place of whole days. Both
ends of the range belong to it. Between two levels further apart than the maximum gap nothing is
said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]
"""Day and level."""


@dataclass(frozen=True, slots=True)
class TimeInRange:
    """Days below, inside and above the range between levels; `skipped` those in gaps that are too
    long."""

    below: float
    inside: float
    above: float
    skipped: float

    @property
    def interpolated(self) -> float:
        return self.below + self.inside + self.above

    @property
    def fraction(self) -> float | None:
        """Of the interpolated time that inside the range; None where there is none."""
        return self.inside / self.interpolated if self.interpolated else None


def compute_time_in_range(
    points: Sequence[Point], low: float, high: float, maximum_gap: float
) -> TimeInRange:
    """Of levels in order of their days. ValueError if they are not, or if low is not below high."""
    if low >= high:
        raise ValueError("low must be below high")
    below = inside = above = skipped = 0.0
    for (day, level), (next_day, next_level) in pairwise(points):
        length = next_day - day
        if length < 0:
            raise ValueError("levels must be in order of their days")
        if length > maximum_gap:
            skipped += length
            continue
        under = _share_below(level, next_level, low)
        over = _share_below(-level, -next_level, -high)
        below += length * under
        above += length * over
        inside += length * max(0.0, 1 - under - over)
    return TimeInRange(below, inside, above, skipped)


def _share_below(start: float, end: float, limit: float) -> float:
    """Of a straight line from start to end that part which lies below a limit."""
    lowest, highest = min(start, end), max(start, end)
    if highest < limit:
        return 1.0
    if lowest >= limit:
        return 0.0
    return (limit - lowest) / (highest - lowest)
