"""What is known of bleeding at the time of each count: the nearest assessment speaks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.reading.columns import NO_DAY
from app.endpoints.reading.records import Bleeding

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

NOT_ASSESSED = -1
NO_BLEEDING = 0
BLEEDS = 1

NO_STATUS = "status is not final"
NO_GRADE = "bleeding was not assessed"
NO_DATE = "date not known to the day"

_SPAN = 1 << 32


def explain_unusable_bleeding(cohort: Cohort, row: Bleeding) -> str | None:
    """Why an assessment speaks for no count; None if it may."""
    if row.status not in cohort.protocol.measurements["platelets"].valid_statuses:
        return NO_STATUS
    if row.grade is None:
        return NO_GRADE
    return None if row.day else NO_DATE


def find_bleeding(cohort: Cohort) -> NDArray[np.int8]:
    """Of each count NOT_ASSESSED, NO_BLEEDING or BLEEDS, by the assessment nearest to it in days,
    within the protocol's window; of two equally near, and of several of one day, the worse."""
    counts = cohort.counts
    found = np.full(len(counts.day), NOT_ASSESSED, np.int8)
    places, grades = _assessments(cohort)
    rows = np.flatnonzero(counts.usable & (counts.day != NO_DAY))
    if not len(places) or not len(rows):
        return found
    own = counts.subject[rows].astype(np.int64) * _SPAN + counts.day[rows]
    found[rows] = _nearest(own, places, grades, cohort.protocol.response.bleeding_days)
    return found


def _assessments(cohort: Cohort) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Participant and day as one number, ascending, and whether the worst of that day bleeds."""
    limit, worst = cohort.protocol.response.bleeding_grade, dict[int, int]()
    rows = cohort.tables.rows.all(Bleeding) if cohort.tables.rows.has(Bleeding) else ()
    for row in rows:
        place, day = cohort.position.get(row.subject), cohort.day_of(row)
        if place is None or day is None or row.grade is None:
            continue
        if explain_unusable_bleeding(cohort, row) is None:
            key = place * _SPAN + day
            worst[key] = max(worst.get(key, 0), row.grade)
    places = np.array(sorted(worst), np.int64)
    bleeds = [BLEEDS if worst[key] >= limit else NO_BLEEDING for key in places.tolist()]
    return places, np.array(bleeds, np.int8)


def _nearest(
    own: NDArray[np.int64], places: NDArray[np.int64], grades: NDArray[np.int8], days: int
) -> NDArray[np.int8]:
    after = np.minimum(np.searchsorted(places, own), len(places) - 1)
    before = np.maximum(np.searchsorted(places, own, side="right") - 1, 0)
    gaps = [np.abs(places[each] - own) for each in (before, after)]
    told = [
        np.where(gap <= days, grades[each], NOT_ASSESSED)
        for gap, each in zip(gaps, (before, after), strict=True)
    ]
    nearer = np.where(gaps[0] < gaps[1], told[0], told[1])
    nearest: NDArray[np.int8] = np.where(gaps[0] == gaps[1], np.maximum(*told), nearer)
    return nearest.astype(np.int8)
