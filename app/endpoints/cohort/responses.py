"""The response of every count under a rule of the protocol.

A count is classified by itself, then confirmed where the rule asks for it, and is no response after
an intercurrent event of composite strategy (ICH E9 R1). Rules: protocol.toml; IWG-2009 is by
Rodeghiero et al., Blood 2009;113:2386.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.bleeding import BLEEDS, find_bleeding
from app.endpoints.cohort.choosing import NONE, Index
from app.endpoints.cohort.ordering import order_in_time
from app.endpoints.cohort.placing import exactly
from app.endpoints.cohort.stopping import after_stop
from app.trial import ResponseRule

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

UNJUDGED = -1
NO_RESPONSE = 0
PARTIAL = 1
COMPLETE = 2
"""Of one count; UNJUDGED has no baseline that a partial response could be told by, or is no usable
count after the first dose."""

Levels = NDArray[np.int8]
Flags = NDArray[np.bool_]

COMPOSITE = "composite"
HYPOTHETICAL = "hypothetical"


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """By count: `alone` is what it is by itself (bleeding included), `level` what stands after
    confirmation and intercurrent events, `bleeding` what is known of it (see `bleeding`), `failed`
    whether it comes after an event that ends every response, `lost` whether it belongs to a
    confirmed run without response, `lost_complete` without complete response.

    `order` are the judged and unjudged usable counts after the first dose by participant and time.
    `first` and `first_complete` are, by participant, the count at which a response, or a complete
    one, began (-1: never).
    """

    rule: ResponseRule
    order: Index
    alone: Levels
    level: Levels
    bleeding: Levels
    failed: Flags
    lost: Flags
    lost_complete: Flags
    first: Index
    first_complete: Index

    def best(self, subject: NDArray[np.int32], size: int) -> Levels:
        """Of each participant the best level of any count; UNJUDGED without one."""
        best = np.full(size, UNJUDGED, np.int8)
        np.maximum.at(best, subject[self.order], self.level[self.order])
        return best


def classify(
    values: NDArray[np.float64], baselines: NDArray[np.float64], rule: ResponseRule
) -> Levels:
    """Counts against their baselines (NaN: none), both in 10*9/L, bleeding left aside. A complete
    response needs no baseline; a partial one can't be told without."""
    value, multiple = exactly(values), exactly(float(rule.partial_multiple) * baselines)
    limit = float(rule.complete_threshold)
    complete = value >= limit if rule.complete_inclusive else value > limit
    in_reach = np.ones(len(value), np.bool_)
    if rule.partial_minimum is not None:
        in_reach &= value >= float(rule.partial_minimum)
    if rule.partial_below is not None:
        in_reach &= value < float(rule.partial_below)
    doubled = value >= multiple if rule.partial_inclusive else value > multiple
    level = np.where(in_reach & doubled, PARTIAL, NO_RESPONSE)
    level = np.where(in_reach & np.isnan(multiple), UNJUDGED, level)
    return np.where(complete, COMPLETE, level).astype(np.int8)


def respond(cohort: Cohort, rule: ResponseRule, *, composite: bool = True) -> Responses:
    """Every count of the cohort under a rule; without `composite`, treatments and stops that came
    before a count change nothing (treatment policy)."""
    if composite:
        alone, bleeding = _alone(cohort, rule)
        failed = find_failed(cohort)
    else:
        same = cohort.responses(rule)
        alone, bleeding, failed = same.alone, same.bleeding, np.zeros_like(same.failed)
    return _confirm(cohort, rule, cohort.judgeable, alone, bleeding, failed)


def _alone(cohort: Cohort, rule: ResponseRule) -> tuple[Levels, Levels]:
    """Of each count its level by itself, and what is known of bleeding."""
    counts, order = cohort.counts, cohort.judgeable
    alone = np.full(len(counts.day), UNJUDGED, np.int8)
    bleeding = find_bleeding(cohort)
    baselines = cohort.baseline_value[counts.subject[order]] if len(order) else np.empty(0)
    level = classify(counts.value[order], baselines, rule)
    if rule.bleeding_excludes:
        level[bleeding[order] == BLEEDS] = NO_RESPONSE
    alone[order] = level
    return alone, bleeding


def find_failed(cohort: Cohort) -> Flags:
    """Counts after an intercurrent event that the protocol takes for a failure."""
    return _after_events(cohort, COMPOSITE)


def _after_events(cohort: Cohort, strategy: str) -> Flags:
    """Counts after a rescue treatment or a stop whose strategy for responses this is."""
    events = cohort.protocol.intercurrent_events
    after = np.zeros(len(cohort.counts.day), np.bool_)
    if events["rescue"].strategies["response"] == strategy:
        after |= cohort.after_rescue
    if events["sirolimus-stopped"].strategies["response"] == strategy:
        after |= after_stop(cohort)
    return after


def order_judgeable(cohort: Cohort) -> Index:
    """Usable counts after the first dose, by participant and time; those of a hypothetical strategy
    are set aside."""
    counts = cohort.counts
    placed = counts.after_first_dose | (counts.visit >= 0)
    rows = np.flatnonzero(counts.usable & placed & ~_after_events(cohort, HYPOTHETICAL))
    return order_in_time(counts, rows)


def _confirm(
    cohort: Cohort,
    rule: ResponseRule,
    order: Index,
    alone: Levels,
    bleeding: Levels,
    failed: Flags,
) -> Responses:
    counts, size = cohort.counts, len(cohort)
    subject, day = counts.subject[order], counts.day[order]
    own = np.where(failed[order], NO_RESPONSE, alone[order])
    days, loss = rule.response_confirmation_days, rule.loss_confirmation_days
    ended = failed[order]
    lost = keep_lasting(own == NO_RESPONSE, subject, day, loss) | ended
    below = (own == NO_RESPONSE) | (own == PARTIAL)
    lost_complete = keep_lasting(below, subject, day, loss) | ended
    complete = keep_confirmed(own == COMPLETE, lost_complete, subject, day, days)
    responds = keep_confirmed(own >= PARTIAL, lost, subject, day, days)
    level = np.where(own == UNJUDGED, UNJUDGED, np.where(responds, PARTIAL, NO_RESPONSE))
    level = np.where(complete, COMPLETE, level).astype(np.int8)
    return Responses(
        rule=rule,
        order=order,
        alone=alone,
        level=_spread(level, order, len(alone), UNJUDGED),
        bleeding=bleeding,
        failed=failed,
        lost=_spread(lost, order, len(alone), False),
        lost_complete=_spread(lost_complete, order, len(alone), False),
        first=find_first(order, level >= PARTIAL, counts.subject, size),
        first_complete=find_first(order, level == COMPLETE, counts.subject, size),
    )


def keep_confirmed(
    flags: Flags,
    lost: Flags,
    subject: NDArray[np.int32],
    day: NDArray[np.int32],
    days: int | None,
) -> Flags:
    """Responding counts of runs that last at least `days`. A count without response that is no
    confirmed loss is looked past: it ends no response, so it does not break a run either."""
    seen = np.flatnonzero(flags | lost)
    kept = np.zeros(len(flags), np.bool_)
    kept[seen] = keep_lasting(flags[seen], subject[seen], day[seen], days)
    return kept


def keep_lasting(
    flags: Flags, subject: NDArray[np.int32], day: NDArray[np.int32], days: int | None
) -> Flags:
    """Of rows in the order of participant and time those whose unbroken run of true flags lasts at
    least `days`; all true ones where no length is asked for."""
    if not days or not len(flags):
        return flags
    starts = np.ones(len(flags), np.bool_)
    starts[1:] = (subject[1:] != subject[:-1]) | (flags[1:] != flags[:-1])
    begins = np.flatnonzero(starts)
    ends = np.append(begins[1:], len(flags)) - 1
    lasting = day[ends] - day[begins] >= days
    kept: Flags = flags & np.repeat(lasting, ends - begins + 1)
    return kept


def find_first(order: Index, flags: Flags, subject: NDArray[np.int32], size: int) -> Index:
    """Of each participant the first of the ordered counts whose flag is true; -1 for none."""
    found = np.full(size, NONE, np.intp)
    rows = order[flags][::-1]
    found[subject[rows]] = rows
    return found


def _spread(values: NDArray[Any], order: Index, size: int, other: int | bool) -> NDArray[Any]:
    """Values of the ordered rows, at the rows' own places."""
    spread = np.full(size, other, values.dtype)
    spread[order] = values
    return spread


def name_level(rule: ResponseRule, level: int) -> str | None:
    """CR, the rule's name of a partial response, NR; None where nothing can be told."""
    names = {COMPLETE: "CR", PARTIAL: rule.partial_code, UNJUDGED: None}
    return names.get(level, "NR")
