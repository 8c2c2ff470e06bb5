"""How long each participant was followed for remission, and whether it came: one course each.

Courses are followed over observations (platelet counts under a response rule, or activity scores)
after the day of the first dose, in elapsed days. Rescue treatment is dealt with as the protocol's
strategy says (ICH E9 R1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.bleeding import BLEEDS, find_bleeding
from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.choosing import NONE, Index
from app.endpoints.cohort.deaths import Death, find_deaths
from app.endpoints.cohort.ordering import order_in_time
from app.endpoints.cohort.responses import COMPLETE, classify, find_first, keep_lasting
from app.endpoints.reading.columns import NO_DAY
from app.trial import ResponseRule

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

COMPOSITE = "composite"
HYPOTHETICAL = "hypothetical"
TREATMENT_POLICY = "treatment-policy"

REMISSION = 0
KEPT_AT_RISK = 1
AT_RESCUE = 2
DIED = 3
PARTICIPATION_ENDED = 4
AT_LAST = 5
NEVER_SEEN = 6
ENDINGS = (
    "remission",
    "rescue treatment before remission: at risk to the administrative end",
    "rescue treatment: censored on its day",
    "death: censored at the last {observation} before it",
    "end of participation: censored at the last {observation} before it",
    "no remission by the cut-off: censored at the last {observation}",
    "no usable {observation} after the day of the first dose: censored on that day",
)
"""What ended a course; all but the first are censored."""

Flags = NDArray[np.bool_]
Days = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Usable observations after the day of the first dose and up to the last day on study, in the
    order of participant and time. `place` is where each stands among its kind, `remits` whether it
    is a remission by itself; a remission is confirmed where its unbroken run lasts
    `confirmation_days`."""

    place: Index
    subject: NDArray[np.int32]
    elapsed: Days
    remits: Flags
    after_rescue: Flags
    confirmation_days: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Courses:
    """By participant of the cohort: `time` in elapsed days, `event` whether it is remission, the
    `ending` as an index of ENDINGS, and `clear`, the last day up to which there was no remission.
    `deciding` is the observation of the event or else the last one looked at (-1: none), `death`
    the elapsed day of a death without remission (-1: none), `timed` whether there is a day 0."""

    time: Days
    event: Flags
    ending: NDArray[np.int8]
    clear: Days
    deciding: Index
    death: Days
    timed: Flags


def observe_counts(cohort: Cohort, rule: ResponseRule) -> Observations:
    """Platelet counts under a response rule: complete responses, without bleeding where the rule
    asks for that."""
    counts = cohort.counts
    on_study = counts.day <= last_days_on_study(cohort)[counts.subject] if len(cohort) else False
    rows = np.flatnonzero(counts.usable & counts.after_first_dose & on_study)
    rows = order_in_time(counts, rows)
    no_baseline = np.full(len(rows), np.nan)
    complete = classify(counts.value[rows], no_baseline, rule) == COMPLETE
    if rule.bleeding_excludes:
        complete &= find_bleeding(cohort)[rows] != BLEEDS
    return Observations(
        place=rows,
        subject=counts.subject[rows],
        elapsed=counts.elapsed[rows],
        remits=complete,
        after_rescue=cohort.after_rescue[rows],
        confirmation_days=rule.response_confirmation_days,
    )


def last_days_on_study(cohort: Cohort) -> Days:
    """Of each participant the last day on study; NO_DAY of who goes on."""
    last = np.full(len(cohort), NO_DAY, np.int32)
    for number, subject in cohort.subjects.items():
        if subject.ended is not None:
            last[cohort.position[number]] = to_day(subject.ended)
    return last


def follow(cohort: Cohort, seen: Observations, strategy: str) -> Courses:
    """Each participant from the first dose to remission or censoring, with rescue treatment by a
    strategy of the protocol: `composite` (no remission after it, at risk to the administrative
    end), `hypothetical` (censored on its day), any other: it changes nothing."""
    size, rescued = len(cohort), _rescue_days(cohort)
    heeded = strategy in (COMPOSITE, HYPOTHETICAL)
    among = np.flatnonzero(~seen.after_rescue) if heeded else np.arange(len(seen.place))
    subject, elapsed = seen.subject[among], seen.elapsed[among]
    lasting = keep_lasting(seen.remits[among], subject, elapsed, seen.confirmation_days)
    first = find_first(among, lasting, seen.subject, size)
    last = _last(among, seen.subject, size)
    event = first >= 0
    deciding = np.where(event, first, last)
    time = np.where(deciding >= 0, _take(seen.elapsed, deciding), 0)
    deaths = find_deaths(cohort)
    ending = _endings(cohort, deaths, event, last)
    clear = np.where(event, _clear_before(among, seen, first, size), time)
    if heeded:
        found = (rescued >= 0) & ~event
        time = np.where(found, _at_rescue(cohort, seen, rescued, strategy), time)
        ending[found] = KEPT_AT_RISK if strategy == COMPOSITE else AT_RESCUE
        clear = np.where(found, time, clear)
    return Courses(
        time=time.astype(np.int32),
        event=event,
        ending=ending,
        clear=clear.astype(np.int32),
        deciding=np.where(deciding >= 0, _take(seen.place, deciding), NONE),
        death=_deaths_without(
            cohort, deaths, event, np.where(last >= 0, _take(seen.elapsed, last), 0)
        ),
        timed=cohort.first_doses.dated,
    )


def _take(values: NDArray[np.int32] | Index, rows: Index) -> NDArray[np.int64]:
    """Values of rows; anything where there is no row."""
    if not len(values):
        return np.zeros(len(rows), np.int64)
    return values[np.maximum(rows, 0)].astype(np.int64)


def _last(among: Index, subject: NDArray[np.int32], size: int) -> Index:
    last = np.full(size, NONE, np.intp)
    last[subject[among]] = among
    return last


def _clear_before(among: Index, seen: Observations, first: Index, size: int) -> Days:
    """The elapsed day of the last observation on a day before that of the first remission."""
    until = np.where(first >= 0, _take(seen.elapsed, first), -1)
    earlier = among[seen.elapsed[among] < until[seen.subject[among]]] if size else among
    clear = np.zeros(size, np.int32)
    clear[seen.subject[earlier]] = seen.elapsed[earlier]
    return clear


def _rescue_days(cohort: Cohort) -> Days:
    """Of each participant the elapsed day of the first rescue treatment; -1 for none."""
    days = np.full(len(cohort), -1, np.int32)
    for place, row in cohort.rescues.items():
        day = cohort.day_of(row)
        if day is not None and cohort.first_doses.dated[place]:
            days[place] = day - cohort.first_doses.day[place]
    return days


def _at_rescue(cohort: Cohort, seen: Observations, rescued: Days, strategy: str) -> Days:
    if strategy == HYPOTHETICAL:
        return rescued
    latest = np.zeros(len(cohort), np.int32)
    latest[seen.subject] = seen.elapsed
    end: Days = np.maximum(latest, cohort.protocol.time_to_remission.administrative_end)
    return end


def _endings(
    cohort: Cohort, deaths: Mapping[int, Death], event: Flags, last: Index
) -> NDArray[np.int8]:
    ending = np.full(len(cohort), AT_LAST, np.int8)
    ended = last_days_on_study(cohort)
    ending[ended != NO_DAY] = PARTICIPATION_ENDED
    ending[list(deaths)] = DIED
    ending[last < 0] = NEVER_SEEN
    ending[event] = REMISSION
    return ending


def _deaths_without(
    cohort: Cohort, deaths: Mapping[int, Death], event: Flags, last: NDArray[np.int64]
) -> Days:
    """Elapsed days of deaths before any remission, not before the last observation."""
    days = np.full(len(cohort), -1, np.int32)
    for place, death in deaths.items():
        if cohort.first_doses.dated[place] and not event[place]:
            days[place] = max(death.day - int(cohort.first_doses.day[place]), int(last[place]))
    return days
