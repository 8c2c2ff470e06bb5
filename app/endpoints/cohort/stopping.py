"""When sirolimus was stopped for good, as far as the records tell.

Either of the protocol's two signs [A]: the last prescription of sirolimus was ended with a status
such as `stopped`, and neither a dose nor a prescription began after its last day; or participation
ended with a status such as `withdrawn`. A prescription that is replaced by another is no stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.calendar import to_day
from app.endpoints.reading.columns import NO_DAY, STATUS
from app.endpoints.reading.records import Source, Treatment

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

PRESCRIBED = "prescribed"
STUDY_MEDICATION = "study-medication"
NEVER_VALID = frozenset({"entered-in-error", "cancelled", "draft", "not-done", "unknown"})
"""Statuses of a prescription that says nothing of what is taken."""

BY_PRESCRIPTION = "the last prescription was stopped"
BY_WITHDRAWAL = "participation ended early"


@dataclass(frozen=True, slots=True)
class Stop:
    """`day`, as the columns have it, is the last day on sirolimus."""

    day: int
    why: str
    source: Source


def find_stops(cohort: Cohort) -> dict[int, Stop]:
    """Of each participant (by position) the earliest sign that sirolimus was stopped; none of whom
    had no first dose, and none before it."""
    found = _by_withdrawal(cohort)
    for place, stop in _by_prescription(cohort).items():
        if place not in found or stop.day < found[place].day:
            found[place] = stop
    first = cohort.first_doses.day
    return {place: stop for place, stop in found.items() if first[place] <= stop.day}


def after_stop(cohort: Cohort) -> NDArray[np.bool_]:
    """Of each count whether it was collected after the last day on sirolimus."""
    last = last_days(cohort)
    counts = cohort.counts
    if not len(last):
        return np.zeros(len(counts.day), np.bool_)
    later: NDArray[np.bool_] = (counts.day > last[counts.subject]) & (counts.day != NO_DAY)
    return later


def last_days(cohort: Cohort) -> NDArray[np.int32]:
    """Of each participant the last day on sirolimus; NO_DAY of who did not stop."""
    last = np.full(len(cohort), NO_DAY, np.int32)
    for place, stop in cohort.stops.items():
        last[place] = stop.day
    return last


def _by_withdrawal(cohort: Cohort) -> dict[int, Stop]:
    statuses = cohort.protocol.response.stopped_subject_statuses
    return {
        cohort.position[number]: Stop(to_day(subject.ended), BY_WITHDRAWAL, subject.source)
        for number, subject in cohort.subjects.items()
        if subject.ended is not None and subject.status in statuses
    }


def _by_prescription(cohort: Cohort) -> dict[int, Stop]:
    statuses = cohort.protocol.response.stopped_prescription_statuses
    doses = _last_doses(cohort)
    found: dict[int, Stop] = {}
    for place, row in _last_prescriptions(cohort).items():
        ended = row.when.last_day if row.when else None
        if row.status in statuses and ended and doses[place] <= to_day(ended):
            found[place] = Stop(to_day(ended), BY_PRESCRIPTION, row.source)
    return found


def _last_prescriptions(cohort: Cohort) -> dict[int, Treatment]:
    """Of each participant the sirolimus prescription that began last; of two of one instant one
    that was not stopped."""
    statuses = cohort.protocol.response.stopped_prescription_statuses
    last: dict[int, Treatment] = {}
    rows = cohort.tables.rows.all(Treatment) if cohort.tables.rows.has(Treatment) else ()
    for row in rows:
        place = cohort.position.get(row.subject)
        ours = row.kind == PRESCRIBED and row.group == STUDY_MEDICATION
        if place is None or not ours or row.when is None or row.status in NEVER_VALID:
            continue
        known = last.get(place)
        same = known is not None and known.when is not None and known.when.begin == row.when.begin
        if not (same and row.status in statuses):
            last[place] = row
    return last


def _last_doses(cohort: Cohort) -> NDArray[np.int32]:
    """Of each participant the last day on which a dose began; before all days without one."""
    doses = cohort.tables.doses
    last = np.full(len(cohort), np.iinfo(np.int32).min, np.int32)
    if not len(doses):
        return last
    subject = cohort.subjects_of(doses)
    taken = (doses["value"] > 0) & (doses["flags"] & STATUS == 0)
    rows = np.flatnonzero(taken & (subject >= 0) & (doses["day"] != NO_DAY))
    np.maximum.at(last, subject[rows], doses["day"][rows])
    return last
