"""The course of each participant's response: best, first, lost, and for how long.

A response is lost at the first count of a confirmed run without response after it began, or at an
intercurrent event of composite strategy, whichever comes first; a response that was not lost is
followed to the participant's last usable count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.choosing import Index
from app.endpoints.cohort.responses import (
    COMPOSITE,
    Flags,
    Levels,
    Responses,
    find_first,
)
from app.endpoints.cohort.stopping import last_days
from app.endpoints.cohort.visit_responses import rescue_days
from app.endpoints.reading.columns import NO_DAY

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

Days = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """By participant. Days count from the first dose, NaN where there is none. `duration` and
    `duration_complete` run from the first response to its loss, or to the last count if it was not
    lost; `event` is the first intercurrent event that ends every response."""

    best: Levels
    first: Days
    first_complete: Days
    loss: Days
    loss_complete: Days
    last: Days
    event: Days

    @property
    def duration(self) -> Days:
        return np.where(np.isnan(self.loss), self.last, self.loss) - self.first

    @property
    def duration_complete(self) -> Days:
        ends = np.where(np.isnan(self.loss_complete), self.last, self.loss_complete)
        return ends - self.first_complete


def find_course(cohort: Cohort, responses: Responses) -> Course:
    """The course under the rule of `responses`."""
    counts, size = cohort.counts, len(cohort)
    event = find_event_days(cohort)
    last = np.full(size, np.nan)
    order = responses.order
    last[counts.subject[order]] = counts.elapsed[order]
    first, complete = _elapsed(cohort, responses.first), _elapsed(cohort, responses.first_complete)
    return Course(
        best=responses.best(counts.subject, size),
        first=first,
        first_complete=complete,
        loss=_loss(cohort, responses, responses.first, responses.lost, event),
        loss_complete=_loss(
            cohort, responses, responses.first_complete, responses.lost_complete, event
        ),
        last=last,
        event=event,
    )


def find_event_days(cohort: Cohort) -> Days:
    """Of each participant the day of the first rescue, or the last on sirolimus, by the strategy
    that the protocol has for them."""
    events = cohort.protocol.intercurrent_events
    days = np.full(len(cohort), np.nan)
    if events["rescue"].strategies["response"] == COMPOSITE:
        days = np.fmin(days, _since_first_dose(cohort, rescue_days(cohort)))
    if events["sirolimus-stopped"].strategies["response"] == COMPOSITE:
        days = np.fmin(days, _since_first_dose(cohort, last_days(cohort)))
    return days


def _since_first_dose(cohort: Cohort, days: NDArray[np.int32]) -> Days:
    known = (days != NO_DAY) & cohort.first_doses.dated
    since: Days = np.where(known, days.astype(np.float64) - cohort.first_doses.day, np.nan)
    return since


def _elapsed(cohort: Cohort, rows: Index) -> Days:
    days = np.full(len(rows), np.nan)
    days[rows >= 0] = cohort.counts.elapsed[rows[rows >= 0]]
    return days


def _loss(cohort: Cohort, responses: Responses, first: Index, lost: Flags, event: Days) -> Days:
    """The day of the loss of what began at the counts `first`; NaN without."""
    counts, order = cohort.counts, responses.order
    place = np.full(len(counts.day), -1, np.intp)
    place[order] = np.arange(len(order))
    began = np.full(len(cohort), len(order), np.intp)
    began[first >= 0] = place[first[first >= 0]]
    later = np.arange(len(order)) > began[counts.subject[order]]
    at = find_first(order, lost[order] & later, counts.subject, len(cohort))
    day = np.fmin(_elapsed(cohort, at), event)
    loss: Days = np.where(first >= 0, day, np.nan)
    return loss
