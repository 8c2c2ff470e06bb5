"""One participant's troughs: the one of a visit, and the time in range between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.endpoints.answers import Answer
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.troughs import Level
from app.endpoints.figures.rosendaal import TimeInRange, compute_time_in_range
from app.endpoints.figures.summaries import rounded
from app.trial import Visit

FEW = "fewer than two troughs with a value"
FAR = "every gap between troughs is longer than the maximum"
SAME_DAY = "every trough is of the same day"
NO_TREATMENT = "no day on treatment"

Chosen = Callable[[Level], bool]


def measure_time(cohort: Cohort, row: int, chosen: Chosen) -> TimeInRange:
    """Days in range between the chosen troughs of a participant."""
    rules = cohort.protocol.trough
    points = find_points(cohort, row, chosen)
    low, high = float(rules.low), float(rules.high)
    return compute_time_in_range(points, low, high, rules.maximum_gap_days)


def find_points(cohort: Cohort, row: int, chosen: Chosen) -> list[tuple[float, float]]:
    """Elapsed day and level of the chosen troughs, of several on a day their mean."""
    by_day: dict[int, list[float]] = {}
    for level in cohort.levels[row]:
        if chosen(level) and not level.bound and level.elapsed is not None:
            by_day.setdefault(level.elapsed, []).append(level.value)
    return [(day, sum(sorted(found)) / len(found)) for day, found in sorted(by_day.items())]


def why_no_time(cohort: Cohort, row: int, chosen: Chosen) -> str:
    """Of a participant without interpolated time."""
    usable = [level for level in cohort.levels[row] if chosen(level) and not level.bound]
    if len(usable) < 2:
        return FEW
    return FAR if len(find_points(cohort, row, chosen)) > 1 else SAME_DAY


def describe_coverage(cohort: Cohort, rows: Sequence[int], interpolated: float) -> Answer:
    """How much of the treatment the interpolated time stands for."""
    treated = sum(dosing.duration for row in rows if (dosing := cohort.dosings[row]))
    return {
        "treatmentDays": treated,
        "percent": rounded(100 * interpolated / treated) if treated else None,
        "reasons": {} if treated else {"percent": NO_TREATMENT},
    }


def choose_for_visit(levels: Sequence[Level], visit: Visit) -> Level | None:
    """The valid trough closest to the target; on a tie the earlier day, then the later time."""
    inside = [
        level
        for level in levels
        if level.is_valid and level.elapsed is not None and visit.low <= level.elapsed <= visit.high
    ]

    def order(level: Level) -> tuple[int, int, float, float, str]:
        assert level.elapsed is not None
        assert level.record.when is not None
        begin = level.record.when.begin.timestamp()
        distance = abs(level.elapsed - visit.target)
        return distance, level.elapsed, -begin, level.value, level.record.source.id

    return min(inside, key=order, default=None)
