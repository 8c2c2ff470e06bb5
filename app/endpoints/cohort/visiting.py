"""Whether a participant came to a visit of the protocol, and when.

An attendance that is recorded goes before what the counts say; a valid count in the window shows
that the participant came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.horizon import HELD_STATUSES, find_end
from app.endpoints.reading.columns import NO_DAY
from app.endpoints.reading.records import Attendance, Source
from app.trial import Visit

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

CANCELLED = "cancelled"

HELD = "held"
UNDATED = "held on a day that is not known"
ABSENT = "missed"
OPEN = "not due: participation ended before, or nothing later is known"

TOLD_MISSED = "recorded as missed"
NOTHING = "neither attendance nor valid count in the window"


@dataclass(frozen=True, slots=True)
class Visiting:
    """`finding` is HELD, UNDATED, ABSENT or OPEN; `day` as the columns have it and `distance` from
    the target in days, of a visit that was held."""

    finding: str
    day: int | None
    distance: int
    detail: str
    sources: tuple[Source, ...]


def find_visit(cohort: Cohort, row: int, at: int) -> Visiting:
    """One visit (by its place in the protocol) of a participant with a dated first dose."""
    visit, number = cohort.protocol.visits[at], cohort.numbers[row]
    records = [
        each for each in cohort.tables.rows.of(Attendance, number) if each.visit == visit.code
    ]
    target = int(cohort.first_doses.day[row]) + visit.target
    attended = [each for each in records if each.status in HELD_STATUSES]
    dated = [(to_day(each.day), each) for each in attended if each.day]
    if dated:
        day, record = min(dated, key=lambda each: (abs(each[0] - target), each[0]))
        return Visiting(HELD, day, abs(day - target), "", (record.source,))
    if attended:
        return Visiting(UNDATED, None, 0, "", (attended[0].source,))
    return _by_count(cohort, row, at, target) or _absent(cohort, row, at, records)


def _by_count(cohort: Cohort, row: int, at: int, target: int) -> Visiting | None:
    count = int(cohort.visits[row, at])
    if count < 0:
        return None
    day = int(cohort.counts.day[count])
    sources = (cohort.measurement(count).source,) if cohort.tables.listed else ()
    return Visiting(HELD, day, abs(day - target), "", sources)


def _absent(cohort: Cohort, row: int, at: int, records: list[Attendance]) -> Visiting:
    cancelled = [each.source for each in records if each.status == CANCELLED]
    if cancelled:
        return Visiting(ABSENT, None, 0, TOLD_MISSED, tuple(cancelled))
    closed = _is_over(cohort, row, cohort.protocol.visits[at])
    return Visiting(ABSENT if closed else OPEN, None, 0, NOTHING if closed else OPEN, ())


def _is_over(cohort: Cohort, row: int, visit: Visit) -> bool:
    """Whether a visit can't be held any more: something is known of the participant from the end
    of its window on, or participation ended after its tolerance."""
    first, ended = int(cohort.first_doses.day[row]), find_end(cohort, row)
    if first == NO_DAY:
        return False
    if ended is not None:
        return ended >= first + visit.target + visit.tolerance
    return int(cohort.last_days[row]) >= first + visit.high
