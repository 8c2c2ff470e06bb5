"""How far the data of a participant reach: what did not come by then is missing, what would come
later is not known.

They end with the last event that is known of the participant, or with the end of participation: so
neither a data cut after that nor a shift of all of the participant's dates changes anything.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.calendar import to_day
from app.endpoints.reading.columns import NO_DAY
from app.endpoints.reading.records import Attendance

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort


HELD_STATUSES = frozenset({"arrived", "triaged", "in-progress", "onleave", "finished"})
"""Statuses of a visit that took place."""


def last_day_of_cut(cohort: Cohort) -> int:
    """The day of the last instant before the clinical cut."""
    before = cohort.request.cut.before - timedelta(microseconds=1)
    return to_day(before.astimezone(cohort.request.zone).date())


def find_last_days(cohort: Cohort) -> NDArray[np.int32]:
    """Of each participant the last day with a count, a dose or a visit that was held, no later than
    the cut; before all days where there is none."""
    last = np.full(len(cohort), np.iinfo(np.int32).min, np.int32)
    for packed in (cohort.tables.counts, cohort.tables.doses):
        subject = cohort.subjects_of(packed)
        known = (subject >= 0) & (packed["day"] != NO_DAY)
        np.maximum.at(last, subject[known], packed["day"][known])
    for row in cohort.tables.rows.all(Attendance) if cohort.tables.rows.has(Attendance) else ():
        place = cohort.position.get(row.subject)
        if place is not None and row.day and row.status in HELD_STATUSES:
            last[place] = max(last[place], to_day(row.day))
    return np.minimum(last, last_day_of_cut(cohort))


def find_end(cohort: Cohort, row: int) -> int | None:
    """A participant's last day on study; None while it goes on at the cut."""
    subject = cohort.subjects.get(cohort.numbers[row])
    if subject is None or subject.ended is None:
        return None
    return to_day(subject.ended)


def last_day_of(cohort: Cohort, row: int) -> int:
    """The last day that a participant's doses are looked at: the cut's, or the last on study."""
    ended = find_end(cohort, row)
    return last_day_of_cut(cohort) if ended is None else ended
