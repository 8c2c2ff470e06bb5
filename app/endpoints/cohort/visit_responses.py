"""The response of every participant at every visit, and why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.bleeding import BLEEDS
from app.endpoints.cohort.choosing import Index
from app.endpoints.cohort.members import NO_DOSE
from app.endpoints.cohort.responses import (
    COMPOSITE,
    HYPOTHETICAL,
    NO_RESPONSE,
    PARTIAL,
    UNJUDGED,
    Levels,
    Responses,
)
from app.endpoints.cohort.stopping import last_days
from app.endpoints.reading.columns import NO_DAY

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

WHY = (
    "",
    NO_DOSE,
    "date of the first dose not known to the day",
    "no count in the window",
    "no valid count in the window",
    "no valid baseline count, so that a partial response can't be told",
    "after rescue treatment",
    "after sirolimus was stopped",
    "bleeding",
    "not confirmed by a second count",
    "the count is no response",
)
"""Why a participant does not respond at a visit; the first is that of who does."""

(
    RESPONDS,
    NOT_DOSED,
    NOT_DATED,
    NOT_COUNTED,
    NOT_VALID,
    NO_BASELINE,
    RESCUED,
    STOPPED,
    BLEEDING,
    UNCONFIRMED,
    BELOW,
) = range(len(WHY))

MISSING = (NOT_DOSED, NOT_DATED, NOT_COUNTED, NOT_VALID, NO_BASELINE)
"""Nothing is known of the response; the other reasons are observed failures."""


@dataclass(frozen=True, slots=True, eq=False)
class VisitResponses:
    """By participant and visit: the position of the count, its level (UNJUDGED without one), and
    the index of WHY."""

    chosen: Index
    level: Levels
    why: NDArray[np.int8]

    @property
    def missing(self) -> NDArray[np.bool_]:
        return np.isin(self.why, MISSING)


def find_visit_responses(cohort: Cohort, responses: Responses) -> VisitResponses:
    """A visit is judged by the count closest to its target, whatever treatment came before: after
    an event of composite strategy that count is no response. Where there is no count, the event
    decides if it came by the target day."""
    chosen = choose(cohort)
    there = chosen >= 0
    at = np.where(there, chosen, 0)
    level = np.full(chosen.shape, UNJUDGED, np.int8)
    why = _why_without_count(cohort, chosen.shape)
    if len(cohort.counts.day):
        level = np.where(there, responses.level[at], UNJUDGED).astype(np.int8)
        why = np.where(there, _why_with_count(cohort, responses, at), why).astype(np.int8)
    level[np.isin(why, (RESCUED, STOPPED))] = NO_RESPONSE
    return VisitResponses(chosen, level, why)


def choose(cohort: Cohort) -> Index:
    """The counts that visits are judged by."""
    strategy = cohort.protocol.intercurrent_events["rescue"].strategies["response"]
    return cohort.visits_before_rescue if strategy == HYPOTHETICAL else cohort.visits


def _why_with_count(cohort: Cohort, responses: Responses, at: Index) -> NDArray[np.int8]:
    alone, failed = responses.alone[at], responses.failed[at]
    bleeds = (responses.bleeding[at] == BLEEDS) & responses.rule.bleeding_excludes
    why = np.full(at.shape, BELOW, np.int8)
    why[alone >= PARTIAL] = UNCONFIRMED
    why[bleeds & (alone < PARTIAL)] = BLEEDING
    why[alone == UNJUDGED] = NO_BASELINE
    why[failed] = STOPPED
    why[failed & cohort.after_rescue[at]] = RESCUED
    why[responses.level[at] >= PARTIAL] = RESPONDS
    return why


def _why_without_count(cohort: Cohort, shape: tuple[int, ...]) -> NDArray[np.int8]:
    why = np.where(cohort.has_count_in_window, NOT_VALID, NOT_COUNTED).astype(np.int8)
    strategies = cohort.protocol.intercurrent_events
    if strategies["sirolimus-stopped"].strategies["response"] == COMPOSITE:
        why[_by_target(cohort, last_days(cohort))] = STOPPED
    if strategies["rescue"].strategies["response"] == COMPOSITE:
        why[_by_target(cohort, rescue_days(cohort))] = RESCUED
    why[~cohort.first_doses.dated] = NOT_DATED
    why[~cohort.first_doses.taken] = NOT_DOSED
    return why.reshape(shape)


def _by_target(cohort: Cohort, days: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Of each participant and visit whether a day lies on or before the target."""
    targets = np.array([visit.target for visit in cohort.protocol.visits], np.int64)
    known = (days != NO_DAY) & cohort.first_doses.dated
    elapsed = np.where(known, days.astype(np.int64) - cohort.first_doses.day, 0)
    by: NDArray[np.bool_] = known[:, None] & (elapsed[:, None] <= targets[None, :])
    return by


def rescue_days(cohort: Cohort) -> NDArray[np.int32]:
    """Of each participant the day of the first rescue treatment; NO_DAY without one."""
    days = np.full(len(cohort), NO_DAY, np.int32)
    for place, row in cohort.rescues.items():
        day = cohort.day_of(row)
        days[place] = NO_DAY if day is None else day
    return days
