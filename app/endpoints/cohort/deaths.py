"""Who died, on which day, and which record says so.

A death is the end of participation with the reason `death`, or an adverse event with a fatal
outcome: its last day, or else its onset. Of several the first of these in that order speaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import to_day
from app.endpoints.reading.records import AdverseEvent, Source

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

DEATH = "death"
FATAL = "fatal"
NOT_HAPPENED = frozenset({"entered-in-error", "not-done", "cancelled"})


@dataclass(frozen=True, slots=True)
class Death:
    """`day` as the columns have it."""

    day: int
    source: Source


def find_deaths(cohort: Cohort) -> dict[int, Death]:
    """Deaths by participant (position). A death whose day is not known is none here: nothing could
    be placed by it."""
    found = _by_events(cohort)
    for number, subject in cohort.subjects.items():
        if subject.reason == DEATH and subject.ended is not None:
            found[cohort.position[number]] = Death(to_day(subject.ended), subject.source)
    return found


def _by_events(cohort: Cohort) -> dict[int, Death]:
    """The earliest fatal adverse event of each participant."""
    found: dict[int, Death] = {}
    rows = cohort.tables.rows.all(AdverseEvent) if cohort.tables.rows.has(AdverseEvent) else ()
    for row in rows:
        place, day = cohort.position.get(row.subject), _day(cohort, row)
        if place is None or day is None or not _is_fatal(row):
            continue
        if place not in found or day < found[place].day:
            found[place] = Death(day, row.source)
    return found


def _is_fatal(row: AdverseEvent) -> bool:
    happened = row.status not in NOT_HAPPENED and row.actuality != "potential"
    return happened and row.outcome == FATAL


def _day(cohort: Cohort, row: AdverseEvent) -> int | None:
    return to_day(row.resolved) if row.resolved else cohort.day_of(row)
