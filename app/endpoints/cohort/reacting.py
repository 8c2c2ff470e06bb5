"""Reactions to troughs and adverse events: dose changes that nothing explains, and troughs outside
the range that nothing was done about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.deaths import NOT_HAPPENED
from app.endpoints.cohort.dosing import Change, Dosing
from app.endpoints.cohort.troughs import ABOVE, BELOW, INSIDE, TIMING_UNKNOWN, Level
from app.endpoints.cohort.visiting import HELD, find_visit
from app.endpoints.reading.records import AdverseEvent

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

ACTED_UPON = frozenset({"dose-reduced", "drug-interrupted", "drug-withdrawn"})
"""Actions with sirolimus that explain a lower dose whenever it came."""

POTENTIAL = "potential"

NEXT_NOT_REACHED = "the next visit is not reached"
NO_NEXT = "no visit comes after"
UNKNOWN_TIMING = "outside the range, timing unknown"


def find_unexplained_changes(cohort: Cohort, row: int) -> Iterator[Change]:
    """Changes of the dose without a level on that side of the range or, of a lower dose, an adverse
    event within the protocol's days before it."""
    dosing = cohort.dosings[row]
    for change in dosing.changes if dosing else ():
        by_level = _has_level(cohort, row, change)
        if not by_level and not _has_event(cohort, cohort.numbers[row], change):
            yield change


def _days_before(cohort: Cohort, change: Change) -> range:
    return range(change.day - cohort.protocol.deviation_limits.change_reason_days, change.day + 1)


def _has_level(cohort: Cohort, row: int, change: Change) -> bool:
    """A level that the dose goes against, of whatever timing: the site acted on what it had."""
    place, days = (BELOW if change.after > change.before else ABOVE), _days_before(cohort, change)
    return any(each.place == place and each.day in days for each in cohort.levels[row])


def _has_event(cohort: Cohort, number: str, change: Change) -> bool:
    days = _days_before(cohort, change)
    events = cohort.tables.rows.of(AdverseEvent, number)
    happened = [each for each in events if _happened(each)]
    if change.after > change.before:
        ended = [to_day(each.resolved) for each in happened if each.resolved]
        return any(day in days for day in ended)
    return any(_explains_less(each, days) for each in happened)


def _happened(event: AdverseEvent) -> bool:
    return event.status not in NOT_HAPPENED and event.actuality != POTENTIAL


def _explains_less(event: AdverseEvent, days: range) -> bool:
    onset = to_day(event.day) if event.day else None
    if onset is None:
        return False
    return onset in days or (event.action in ACTED_UPON and onset < days.stop)


def find_actionless_troughs(cohort: Cohort, row: int) -> Iterator[tuple[Level, str | None]]:
    """Troughs outside the range without a change of dose by the next visit; with a reason where
    that can't be judged."""
    dosing = cohort.dosings[row]
    if dosing is None:
        return
    for level in cohort.levels[row]:
        if level.place in (None, INSIDE) or not level.may_be_trough:
            continue
        if level.finding == TIMING_UNKNOWN:
            yield level, UNKNOWN_TIMING
            continue
        due = _next_visit(cohort, row, dosing, level)
        if due is None or due > dosing.observed:
            yield level, NO_NEXT if due is None else NEXT_NOT_REACHED
        elif not _acted(cohort, row, dosing, level, due):
            yield level, None


def _next_visit(cohort: Cohort, row: int, dosing: Dosing, level: Level) -> int | None:
    """The day of the first visit after a level: as held, else as planned."""
    return min((day for day in _visit_days(cohort, row, dosing) if day > level.day), default=None)


def _visit_days(cohort: Cohort, row: int, dosing: Dosing) -> Iterator[int]:
    for at, visit in enumerate(cohort.protocol.visits):
        held = find_visit(cohort, row, at)
        known = held.day if held.finding == HELD else None
        yield dosing.first + visit.target if known is None else known


def _acted(cohort: Cohort, row: int, dosing: Dosing, level: Level, due: int) -> bool:
    days = range(level.day, due + 1)
    stop = cohort.stops.get(row)
    if stop and stop.day in days:
        return True
    if any(each.day in days and _goes_against(each, level) for each in dosing.changes):
        return True
    interruptions = dosing.interruptions(cohort.protocol.exposure.interruption_days)
    return level.place == ABOVE and _begins_in(interruptions, days)


def _goes_against(change: Change, level: Level) -> bool:
    return (change.after > change.before) == (level.place == BELOW)


def _begins_in(runs: Sequence[tuple[int, int]], days: range) -> bool:
    return any(first in days for first, _ in runs)
