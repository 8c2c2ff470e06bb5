"""The cohort: everyone of whom anything is known under one cut, with first dose, baseline and the
count chosen for each visit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.activity import Activity, find_activities
from app.endpoints.cohort.calendar import to_date, to_day, to_microseconds
from app.endpoints.cohort.choosing import Index, choose_least, take
from app.endpoints.cohort.cutting import hide_later
from app.endpoints.cohort.deviating import Finding, find_deviations
from app.endpoints.cohort.dosing import Dosing, build_dosing
from app.endpoints.cohort.eligibility import find_answers
from app.endpoints.cohort.events import Event, find_events
from app.endpoints.cohort.horizon import find_last_days
from app.endpoints.cohort.members import NO_CONSENT, NOT_OURS, Members, divide
from app.endpoints.cohort.placing import (
    Counts,
    FirstDoses,
    PlacingRules,
    choose_baseline,
    choose_visits,
    find_first_doses,
    place_counts,
)
from app.endpoints.cohort.remission import Observations, observe_counts
from app.endpoints.cohort.responses import Responses, order_judgeable, respond
from app.endpoints.cohort.stopping import Stop, find_stops
from app.endpoints.cohort.treated import find_last_doses
from app.endpoints.cohort.troughs import Level, build_levels
from app.endpoints.reading.columns import NEVER, NO_DAY, Packed
from app.endpoints.reading.records import (
    Dose,
    Eligibility,
    Measurement,
    Record,
    Request,
    Subject,
    Treatment,
)
from app.endpoints.reading.tables import Tables
from app.trial import Protocol, ResponseRule

RESCUE = "rescue"
NOT_GIVEN = frozenset({"not-done", "entered-in-error", "not-taken", "cancelled"})
"""Statuses of a treatment that was not given."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Participants stand in order of subject number; arrays of one dimension are by participant,
    `visits` by participant and visit."""

    request: Request
    tables: Tables

    def __post_init__(self) -> None:
        """At the clinical cut nothing later is known, also of what had begun."""
        object.__setattr__(self, "tables", hide_later(self.tables, self.request))

    @property
    def protocol(self) -> Protocol:
        return self.request.protocol

    @property
    def numbers(self) -> tuple[str, ...]:
        """Subject numbers."""
        return self.tables.numbers

    def __len__(self) -> int:
        return len(self.tables.numbers)

    @cached_property
    def position(self) -> dict[str, int]:
        """Of each subject number."""
        return {number: row for row, number in enumerate(self.numbers)}

    @cached_property
    def subjects(self) -> dict[str, Subject]:
        """The ResearchSubject of each participant; of several the first with a consent."""
        found: dict[str, Subject] = {}
        for row in sorted(self.tables.rows.all(Subject), key=lambda each: not each.consented):
            found.setdefault(row.subject, row)
        return found

    @cached_property
    def not_enrolled(self) -> list[str | None]:
        """Why someone is not enrolled in the study; None for who is."""
        return [self._why_not_enrolled(number) for number in self.numbers]

    def _why_not_enrolled(self, number: str) -> str | None:
        subject = self.subjects.get(number)
        if subject is None:
            return NOT_OURS
        return None if subject.consented else NO_CONSENT

    @cached_property
    def first_doses(self) -> FirstDoses:
        doses = self.tables.doses
        return find_first_doses(doses, self.subjects_of(doses), len(self))

    @cached_property
    def counts(self) -> Counts:
        packed = self.tables.counts
        subject = self.subjects_of(packed)
        known = subject >= 0
        if not known.all():
            packed, subject = packed[known], subject[known]
        return place_counts(packed, subject, self.first_doses, self._placing)

    @property
    def _placing(self) -> PlacingRules:
        baseline = self.protocol.baseline
        return PlacingRules(
            baseline.window_days, baseline.same_day_date_only_is_baseline, self.protocol.visits
        )

    def subjects_of(self, packed: Packed) -> NDArray[np.int32]:
        """The position of each row's participant; -1 of whom only the columns know."""
        if not len(self):
            return np.full(len(packed), -1, np.int32)
        order = np.argsort(self.tables.hashes)
        hashes = self.tables.hashes[order]
        found = np.minimum(np.searchsorted(hashes, packed["subject"]), len(hashes) - 1)
        matches = hashes[found] == packed["subject"]
        return np.where(matches, order[found], -1).astype(np.int32)

    @cached_property
    def baseline(self) -> Index:
        """The count chosen as baseline, as a position in `counts`; -1 for none."""
        return choose_baseline(self.counts, len(self))

    @cached_property
    def visits(self) -> Index:
        """The count chosen for each visit, whatever treatment came between."""
        return choose_visits(self.counts, len(self), self.protocol.visits)

    @cached_property
    def visits_before_rescue(self) -> Index:
        """The same among the counts that no rescue treatment came before."""
        among = ~self.after_rescue
        return choose_visits(self.counts, len(self), self.protocol.visits, among)

    @cached_property
    def last_before(self) -> Index:
        """Of each participant and visit the last usable count after the first dose's day, before
        the visit's window and before rescue treatment; -1 for none."""
        columns = [self._last_before(visit.low) for visit in self.protocol.visits]
        return np.stack(columns, axis=1) if columns else np.empty((len(self), 0), np.intp)

    def _last_before(self, low: int) -> Index:
        counts = self.counts
        earlier = (counts.visit >= 0) & (counts.elapsed < low)
        rows = np.flatnonzero(counts.usable & earlier & ~self.after_rescue)
        keys = (-counts.begin, counts.value, counts.key)
        return choose_least(rows, counts.subject, len(self), keys)

    @cached_property
    def has_count_in_window(self) -> NDArray[np.bool_]:
        """Of each participant and visit whether there is any count, usable or not."""
        counts, width = self.counts, len(self.protocol.visits)
        found = np.zeros((len(self), width), np.bool_)
        inside = counts.visit >= 0
        found[counts.subject[inside], counts.visit[inside]] = True
        return found

    @cached_property
    def baseline_value(self) -> NDArray[np.float64]:
        """10*9/L; NaN for none."""
        return take(self.counts.value, self.baseline)

    def values_of(self, chosen: Index) -> NDArray[np.float64]:
        """The counts at these positions; NaN for none."""
        return take(self.counts.value, chosen)

    @cached_property
    def rescues(self) -> dict[int, Treatment]:
        """Of each participant (by position) the first rescue treatment on or after the day of the
        first dose. One known to the month only counts from its first day."""
        first: dict[int, Treatment] = {}
        for row in self.tables.rows.all(Treatment):
            place = self.position.get(row.subject)
            day = self.day_of(row)
            if place is None or day is None or row.kind != RESCUE or row.status in NOT_GIVEN:
                continue
            if day >= self.first_doses.day[place]:
                first.setdefault(place, row)
        return first

    @cached_property
    def after_rescue(self) -> NDArray[np.bool_]:
        """Of each count whether a rescue treatment came before it: on an earlier day, or on the
        same day, unless both times are known and the count is the earlier."""
        counts, size = self.counts, len(self)
        if not self.rescues:
            return np.zeros(len(counts.day), np.bool_)
        days, begins = np.full(size, NO_DAY, np.int32), np.full(size, NEVER)
        timed = np.zeros(size, np.bool_)
        for place, row in self.rescues.items():
            day = self.day_of(row)
            assert day is not None
            assert row.when is not None
            days[place], timed[place] = day, row.when.has_time
            begins[place] = to_microseconds(row.when.begin)
        day_, begin = days[counts.subject], begins[counts.subject]
        earlier = counts.timed & timed[counts.subject] & (counts.begin < begin)
        later = (counts.day > day_) | ((counts.day == day_) & ~earlier)
        rescued: NDArray[np.bool_] = later & (counts.day != NO_DAY)
        return rescued

    @cached_property
    def stops(self) -> dict[int, Stop]:
        """Of each participant (by position) when and by what sign sirolimus was stopped for good;
        reads Treatment where the endpoint's entry in the catalogue names it."""
        return find_stops(self)

    @cached_property
    def judgeable(self) -> Index:
        """Counts that may be a response (positions in `counts`), by participant and time."""
        return order_judgeable(self)

    @cached_property
    def _responses(self) -> dict[tuple[ResponseRule, bool], Responses]:
        return {}

    def responses(self, rule: ResponseRule, *, composite: bool = True) -> Responses:
        """The response of every count and participant under a rule; without `composite` by the
        counts alone, whatever treatment or stop came between."""
        key = (rule, composite)
        if key not in self._responses:
            self._responses[key] = respond(self, rule, composite=composite)
        return self._responses[key]

    @cached_property
    def _observed(self) -> dict[ResponseRule, Observations]:
        return {}

    def observed(self, rule: ResponseRule) -> Observations:
        """The counts that a time to remission under a rule looks at."""
        if rule not in self._observed:
            self._observed[rule] = observe_counts(self, rule)
        return self._observed[rule]

    @cached_property
    def _order(self) -> tuple[Index, Index]:
        """Counts by participant and time, and where each participant's begin."""
        counts = self.counts
        order = np.lexsort((counts.key, counts.begin, counts.subject))
        return order, np.searchsorted(counts.subject[order], np.arange(len(self) + 1))

    def counts_of(self, row: int) -> list[int]:
        """A participant's counts in order of time."""
        order, starts = self._order
        found: list[int] = order[starts[row] : starts[row + 1]].tolist()
        return found

    @cached_property
    def last_days(self) -> NDArray[np.int32]:
        """Of each participant how far the data reach."""
        return find_last_days(self)

    @cached_property
    def dosings(self) -> tuple[Dosing | None, ...]:
        """Of each participant; None without a first dose that is known to the day."""
        return tuple(build_dosing(self, row) for row in range(len(self)))

    @cached_property
    def levels(self) -> tuple[tuple[Level, ...], ...]:
        """Of each participant the sirolimus levels, judged as troughs."""
        return tuple(build_levels(self, row) for row in range(len(self)))

    @cached_property
    def activities(self) -> dict[str, Activity]:
        """The activity scores by instrument; reads ActivityScore and Treatment."""
        return find_activities(self)

    @cached_property
    def last_doses(self) -> dict[int, int]:
        """Of each participant (by position) with a first dose known to the day the last day with a
        dose; reads Dose and Treatment."""
        return find_last_doses(self)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Every adverse event, by participant and onset; reads AdverseEvent, Dose and Treatment."""
        return find_events(self)

    @cached_property
    def eligibility(self) -> dict[int, Eligibility]:
        """Of each participant (by position) the answers to the eligibility criteria."""
        return find_answers(self)

    @cached_property
    def deviations(self) -> tuple[tuple[Finding, ...], ...]:
        """Of each participant what the protocol asks to be looked for, found or not assessable."""
        return tuple(find_deviations(self, row) for row in range(len(self)))

    @property
    def confidence(self) -> float:
        return float(self.protocol.statistics.confidence_level) / 100

    def day_of(self, row: Record) -> int | None:
        """The day of a record as the columns have it; of a month or a year its first day."""
        if row.when is None:
            return None
        return to_day(row.day or row.when.begin.astimezone(self.request.zone).date())

    @cached_property
    def _measurements(self) -> dict[tuple[int, int], Measurement]:
        rows = self.tables.rows.all(Measurement)
        return {(row.key, row.source.version): row for row in rows}

    @cached_property
    def _doses(self) -> dict[tuple[int, int], Dose]:
        return {(row.key, row.source.version): row for row in self.tables.rows.all(Dose)}

    def measurement(self, count: int) -> Measurement:
        """The record behind a count (a position in `counts`); only where all rows are listed."""
        return self._measurements[int(self.counts.key[count]), int(self.counts.version[count])]

    def first_dose(self, row: int) -> Dose | None:
        """The record behind a participant's first dose; only where all rows are listed."""
        dose = self.first_doses.row[row]
        if dose < 0:
            return None
        packed = self.tables.doses[dose]
        return self._doses[int(packed["key"]), int(packed["version"])]

    def members(self, population: str | None = None) -> Members:
        """Of a population; of the one that was asked for if none is named."""
        return divide(self, population or self.request.population)

    def date_of_first_dose(self, row: int) -> date | None:
        day = int(self.first_doses.day[row])
        return None if day == NO_DAY else to_date(day)
