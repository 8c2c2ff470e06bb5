"""Sirolimus as prescribed, and the dose that a day asked for: loading, maintenance, then what was
prescribed. A prescribed dose holds until the next one begins, or until it is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from app.endpoints.cohort.calendar import to_day
from app.endpoints.reading.records import Treatment
from app.trial import Protocol

PRESCRIBED, STUDY_MEDICATION = "prescribed", "study-medication"
IN_FORCE = frozenset({"active", "completed", "stopped", "on-hold"})
STOPPED = "stopped"

NOT_IN_FORCE = "status does not say that it was in force"
NO_DAILY = "no daily dose in mg"
NO_DATE = "first day not known"


@dataclass(frozen=True, slots=True)
class Regimen:
    """`mg` a day from `first`; `last` where its end is recorded."""

    first: int
    last: int | None
    mg: Fraction
    record: Treatment

    @property
    def stopped_after(self) -> int | None:
        """The last day of a regimen that was stopped."""
        return self.last if self.record.status == STOPPED else None


class Plan:
    """The dose in mg that each day asks for."""

    def __init__(self, protocol: Protocol, first: int, regimens: Sequence[Regimen]) -> None:
        rules = protocol.dosing
        self.loading = Fraction(rules.loading_dose)
        self.maintenance = Fraction(rules.maintenance_dose)
        self.maintained_from = first + rules.loading_days
        self._regimens = regimens

    def runs(self, first: int, last: int) -> list[tuple[int, int, Fraction]]:
        """(first day, last day, mg a day) of each run of days that ask for the same dose."""
        starts = [first, *(day for day in self.steps if first < day <= last)]
        ends = [*(day - 1 for day in starts[1:]), last]
        return [(a, b, self.expected(a)) for a, b in zip(starts, ends, strict=True) if a <= b]

    @cached_property
    def steps(self) -> list[int]:
        """Days on which the dose that is asked for may change, in order."""
        starts = (each.first for each in self._regimens)
        stops = (each.stopped_after + 1 for each in self._regimens if each.stopped_after)
        ends = (each.last + 1 for each in self._regimens if each.last and self._is_loading(each))
        return sorted({self.maintained_from, *starts, *stops, *ends})

    def expected(self, day: int) -> Fraction:
        """Of a day from the first dose on."""
        if day < self.maintained_from:
            return self.loading
        regimen = self._begun(day)
        if regimen is None or (self._is_loading(regimen) and not _reaches(regimen, day)):
            return self.maintenance
        stopped = regimen.stopped_after
        return Fraction(0) if stopped is not None and stopped < day else regimen.mg

    def record_of(self, day: int) -> Treatment | None:
        """The prescription that a day's dose follows."""
        regimen = self._begun(day)
        return regimen.record if regimen else None

    def _begun(self, day: int) -> Regimen | None:
        begun = [each for each in self._regimens if each.first <= day]
        return begun[-1] if begun else None

    def _is_loading(self, regimen: Regimen) -> bool:
        """Prescribed for the loading days; left open, it ends with them."""
        return regimen.first < self.maintained_from and regimen.mg == self.loading


def _reaches(regimen: Regimen, day: int) -> bool:
    return regimen.last is not None and regimen.last >= day


def find_regimens(
    rows: Sequence[Treatment],
) -> tuple[tuple[Regimen, ...], list[tuple[Treatment, str]]]:
    """The regimens of sirolimus in order of their first day, and the prescriptions of it that
    can't be read as one, with the reason."""
    ours = [row for row in rows if (row.kind, row.group) == (PRESCRIBED, STUDY_MEDICATION)]
    unused = [(row, why) for row in ours if (why := _why_unusable(row))]
    regimens = [_regimen(row) for row in ours if not _why_unusable(row)]
    return tuple(sorted(regimens, key=_order)), unused


def _why_unusable(row: Treatment) -> str | None:
    if row.status not in IN_FORCE:
        return NOT_IN_FORCE
    if row.daily_mg is None or row.daily_mg < 0:
        return NO_DAILY
    return NO_DATE if row.day is None else None


def _regimen(row: Treatment) -> Regimen:
    assert row.day is not None
    assert row.daily_mg is not None
    last = row.when.last_day if row.when else None
    return Regimen(to_day(row.day), to_day(last) if last else None, Fraction(row.daily_mg), row)


def _order(regimen: Regimen) -> tuple[int, float, str]:
    when = regimen.record.when
    return regimen.first, when.begin.timestamp() if when else 0.0, regimen.record.source.id
