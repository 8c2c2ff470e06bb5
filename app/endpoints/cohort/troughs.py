"""Sirolimus levels: which are valid troughs, and where in the range they lie.

A trough is drawn so many hours after the last dose, before the day's dose, and so many days after
the dose changed (protocol: `trough`). Of a dose that is known to the day only, or taken at home on
a day that only a pill count or nothing tells, the hour is not known: neither is the timing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.dosing import Dosing
from app.endpoints.reading.records import ClinicalTime, Measurement
from app.trial import Protocol

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

SIROLIMUS = "sirolimus"

BELOW, INSIDE, ABOVE = "below", "inside", "above"
PLACES = (BELOW, INSIDE, ABOVE)

VALID = "valid"
TIMING_UNKNOWN = "timing unknown"
NOT_STEADY = "not steady state"
TOO_EARLY = "drawn too soon after the last dose"
TOO_LATE = "drawn too long after the last dose"
AFTER_DOSE = "drawn after the day's dose"
AFTER_TREATMENT = "after the last recorded dose"
NOT_TREATED = "no first dose known to the day"
BEFORE_TREATMENT = "before the first dose"

STATUS = "status is not final"
ABSENT = "data absent"
SUSPECT = "analytically suspect"
NO_VALUE = "no numeric value"
BOUND = "a bound that does not tell below from inside or above (comparator)"
OTHER_UNIT = "unit is not {unit}"
IMPOSSIBLE = "not a possible level"
NO_DATE = "collection date not known to the day"

LARGEST_LEVEL = 10_000


@dataclass(frozen=True, slots=True)
class Level:
    """A level and what it is as a trough: `finding` is VALID or why it is none. `place` in the
    range is None where the value tells none; `bound`: the value is only a bound. `elapsed` days
    since the first dose, `hours` since the last dose with a time."""

    record: Measurement
    finding: str
    place: str | None
    bound: bool
    elapsed: int | None
    hours: float | None

    @property
    def day(self) -> int:
        assert self.record.day is not None
        return to_day(self.record.day)

    @property
    def value(self) -> float:
        assert self.record.value is not None
        return float(self.record.value)

    @property
    def is_valid(self) -> bool:
        return self.finding == VALID

    @property
    def may_be_trough(self) -> bool:
        """Valid, or only its timing is not known."""
        return self.finding in (VALID, TIMING_UNKNOWN)


def build_levels(cohort: Cohort, row: int) -> tuple[Level, ...]:
    """A participant's sirolimus levels in order of time, those without a time last."""
    number, dosing = cohort.numbers[row], cohort.dosings[row]
    rows = [row for row in cohort.tables.rows.of(Measurement, number) if row.kind == SIROLIMUS]
    judge = _Judge(cohort.protocol, dosing)
    return tuple(judge.judge(each) for each in rows)


def place_of(level: Measurement, low: Decimal, high: Decimal) -> str | None:
    """Where a value lies, both ends of the range inside; of a bound only where it is certain."""
    value = level.value
    if value is None:
        return None
    if level.comparator is not None:
        below = level.comparator in ("<", "<=") and value <= low
        above = level.comparator in (">", ">=") and value >= high
        sure = level.comparator in ("<", ">") or value not in (low, high)
        return (BELOW if below else ABOVE if above else None) if sure else None
    return BELOW if value < low else ABOVE if value > high else INSIDE


class _Judge:
    """Judges the levels of one participant."""

    def __init__(self, protocol: Protocol, dosing: Dosing | None) -> None:
        self._rules = protocol.trough
        self._measurement = protocol.measurements[SIROLIMUS]
        self._interruption = protocol.exposure.interruption_days
        self._dosing = dosing

    def judge(self, record: Measurement) -> Level:
        place = place_of(record, self._rules.low, self._rules.high)
        bound = record.comparator is not None
        unusable = self._why_unusable(record, place)
        elapsed = self._elapsed(record)
        if unusable:
            return Level(record, unusable, None, bound, elapsed, None)
        hours = self._hours(record)
        return Level(record, self._finding(record, hours), place, bound, elapsed, hours)

    def _why_unusable(self, record: Measurement, place: str | None) -> str | None:
        value = record.value
        checks = (
            (record.status not in self._measurement.valid_statuses, STATUS),
            (record.data_absent_reason is not None, ABSENT),
            (record.analytic_suspect, SUSPECT),
            (value is None, NO_VALUE),
            (value is not None and not 0 <= value <= LARGEST_LEVEL, IMPOSSIBLE),
            (
                record.unit != self._measurement.unit,
                OTHER_UNIT.format(unit=self._measurement.unit),
            ),
            (place is None, BOUND),
            (record.day is None, NO_DATE),
        )
        return next((reason for fails, reason in checks if fails), None)

    def _elapsed(self, record: Measurement) -> int | None:
        if self._dosing is None or record.day is None:
            return None
        return to_day(record.day) - self._dosing.first

    @cached_property
    def _timed(self) -> list[tuple[datetime, int]]:
        """Instant and day of each dose whose time is known."""
        days = self._dosing.known_levels if self._dosing else ()
        return sorted(
            (dose.when.begin, day)
            for day, each in days
            for dose in each.doses
            if dose.when and dose.when.has_time and dose.amount
        )

    @cached_property
    def _changed(self) -> list[int]:
        return self._dosing.unsteady_days(self._interruption) if self._dosing else []

    def _last_timed(self, when: ClinicalTime) -> tuple[datetime, int] | None:
        earlier = bisect_left(self._timed, (when.begin,))
        return self._timed[earlier - 1] if earlier else None

    def _hours(self, record: Measurement) -> float | None:
        if record.when is None or not record.when.has_time:
            return None
        last = self._last_timed(record.when)
        return (record.when.begin - last[0]) / timedelta(hours=1) if last else None

    def _finding(self, record: Measurement, hours: float | None) -> str:
        dosing, when = self._dosing, record.when
        assert when is not None
        assert record.day is not None
        if dosing is None:
            return NOT_TREATED
        day = to_day(record.day)
        if day < dosing.first or (day == dosing.first and hours is None):
            return BEFORE_TREATMENT
        if day > dosing.last + 1:
            return AFTER_TREATMENT
        return self._timing(dosing, day, when, hours) or self._steadiness(day)

    def _steadiness(self, day: int) -> str:
        """Of a change on the day itself the trough before that dose knows nothing."""
        before = [each for each in self._changed if each < day]
        steady = before and day - before[-1] >= self._rules.steady_state_days
        return VALID if steady else NOT_STEADY

    def _timing(
        self, dosing: Dosing, day: int, when: ClinicalTime, hours: float | None
    ) -> str | None:
        """Why the timing is not a trough's; None if it is."""
        last = self._last_timed(when) if when.has_time else None
        if last is None or hours is None:
            return TIMING_UNKNOWN
        if hours < self._rules.hours_after_dose_minimum:
            return TOO_EARLY
        if last[1] == day and self._rules.before_the_days_dose:
            return AFTER_DOSE
        if hours > self._rules.hours_after_dose_maximum:
            known = _all_told_missed(dosing, range(last[1] + 1, day))
            known = known and not _may_have_gone_before(dosing, range(day, day + 1))
            return TOO_LATE if known else TIMING_UNKNOWN
        between = range(last[1] + 1, day + 1)
        return TIMING_UNKNOWN if _may_have_gone_before(dosing, between) else None


def _all_told_missed(dosing: Dosing, days: Sequence[int]) -> bool:
    return all(day in dosing.days and not dosing.days[day].mg for day in days)


def _may_have_gone_before(dosing: Dosing, days: Sequence[int]) -> bool:
    """Whether on one of these days a dose was taken whose time is not known."""
    told = (dosing.days[day] for day in days if day in dosing.days)
    return any(
        bool(each.mg) and not all(dose.when and dose.when.has_time for dose in each.doses)
        for each in told
    )
