"""The last day with a dose of each participant, as the exposure has it, without its days.

Days told by one record each come from the columns; only where a pill count reaches further is the
treatment told day by day (`dosing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.dosing import PILL_COUNT, build_dosing
from app.endpoints.cohort.horizon import last_day_of
from app.endpoints.reading.columns import NO_DAY, STATUS
from app.endpoints.reading.records import Dose

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort


def find_last_doses(cohort: Cohort) -> dict[int, int]:
    """By participant (position) of everyone whose first dose is known to the day."""
    first = cohort.first_doses.day
    last = np.where(first == NO_DAY, -NO_DAY, first)
    doses, subject = cohort.tables.doses, cohort.subjects_of(cohort.tables.doses)
    taken = (doses["value"] > 0) & (doses["flags"] & STATUS == 0) & (doses["day"] != NO_DAY)
    rows = np.flatnonzero(taken & (subject >= 0))
    rows = rows[doses["day"][rows] <= _last_days_looked_at(cohort)[subject[rows]]]
    np.maximum.at(last, subject[rows], doses["day"][rows])
    found = {place: int(last[place]) for place in np.flatnonzero(first != NO_DAY).tolist()}
    for place in _reaching_further(cohort, found):
        dosing = build_dosing(cohort, place)
        found[place] = dosing.last if dosing else found[place]
    return found


def _last_days_looked_at(cohort: Cohort) -> NDArray[np.int32]:
    return np.array([last_day_of(cohort, place) for place in range(len(cohort))], np.int32)


def _reaching_further(cohort: Cohort, last: dict[int, int]) -> set[int]:
    """Participants with a pill count whose period ends after the last day told otherwise."""
    found: set[int] = set()
    for row in cohort.tables.rows.all(Dose):
        if row.origin == PILL_COUNT and row.when and row.when.last_day:
            place = cohort.position[row.subject]
            if place in last and to_day(row.when.last_day) > last[place]:
                found.add(place)
    return found


def list_last_doses(cohort: Cohort, place: int, last: int) -> list[Dose]:
    """The records that tell of a dose on that day."""
    rows = cohort.tables.rows.of(Dose, cohort.numbers[place])
    return [row for row in rows if _tells_of(row, last) and _was_taken(cohort, row)]


def _tells_of(row: Dose, day: int) -> bool:
    if row.day is None or row.when is None:
        return False
    last = row.when.last_day if row.origin == PILL_COUNT else row.day
    return last is not None and to_day(row.day) <= day <= to_day(last)


def _was_taken(cohort: Cohort, row: Dose) -> bool:
    milligrams = row.total if row.origin == PILL_COUNT else row.amount
    return row.status in cohort.protocol.dosing.first_dose_statuses and bool(milligrams)
