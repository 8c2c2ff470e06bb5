"""Sirolimus day by day: what was taken, told by one origin a day, and what was to be taken.

Hospital records go before the diary, the diary before a pill count's even share of the day, so
that no milligram is counted twice. Amounts are exact fractions of mg; days are those since
2000-01-01, as the columns have them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.horizon import find_end, last_day_of
from app.endpoints.cohort.placing import LARGEST_COUNT, SMALLEST_COUNT
from app.endpoints.cohort.regimens import Plan, Regimen, find_regimens
from app.endpoints.reading.columns import NO_DAY
from app.endpoints.reading.records import Dose, Treatment

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

HOSPITAL, DIARY, PILL_COUNT = "hospital", "diary", "pill-count"
ORIGINS = (HOSPITAL, DIARY, PILL_COUNT)

NOT_DONE = "not-done"

STATUS = "status does not say that it was taken"
NO_AMOUNT = "no amount in mg"
NO_TOTAL = "a pill count without a total in mg"
IMPOSSIBLE = "not a possible amount"
NO_DATE = "date not known to the day"
NO_PERIOD = "a pill count without first and last day"
BEFORE = "before the first dose"
AFTER = "after the last day on study"
IN_HOSPITAL = "a hospital record tells the day"
OTHER_DIARY = "another diary record tells the day"
TAKEN = "another record says that the day's dose was taken"
TOLD_OTHERWISE = "other records tell all of its days"

Key = tuple[int, int]
"""A dose's key and version."""


@dataclass(frozen=True, slots=True)
class DayDose:
    """What is known of a day, or of each day of a pill count; `mg` is 0 where records say that
    nothing was taken."""

    mg: Fraction
    origin: str
    doses: tuple[Dose, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """The dose differs from `day` on; `before` and `after` in mg a day, 0 is a stop. `record` is
    the dose or the prescription that shows it."""

    day: int
    before: Fraction
    after: Fraction
    record: Dose | Treatment | None


@dataclass(frozen=True, eq=False)
class Dosing:
    """One participant's treatment. `first` is the day of the first dose, `last` the last day with
    any; `until` the last day that doses are looked at (data cut, end of participation), `observed`
    the last by which something not recorded is missing (`cohort.last_days`, end of participation).
    `days` in order, only those that something is recorded of. `unused` tells of a dose why it
    counts for nothing; `not_counted` are the mg of pill counts on days that other records tell."""

    first: int
    last: int
    until: int
    observed: int
    days: Mapping[int, DayDose]
    unused: Mapping[Key, str]
    not_counted: Fraction
    plan: Plan
    regimens: tuple[Regimen, ...]
    unused_regimens: tuple[tuple[Treatment, str], ...]

    @property
    def duration(self) -> int:
        """Days from the first to the last with a dose, both included."""
        return self.last - self.first + 1

    @cached_property
    def cumulative(self) -> Fraction:
        return add_up(self.taken)

    @cached_property
    def taken(self) -> list[DayDose]:
        return [each for each in self.days.values() if each.mg]

    @cached_property
    def days_told_by(self) -> Mapping[Key, int]:
        """How many days each dose record tells."""
        found: Counter[Key] = Counter()
        for told, run in groupby(self.days.values()):
            found.update(dict.fromkeys(map(key_of, told.doses), len(list(run))))
        return found

    @cached_property
    def known_levels(self) -> list[tuple[int, DayDose]]:
        """Days on which a dose was taken that is known by itself, not as a share of a total."""
        told = self.days.items()
        return [(day, each) for day, each in told if each.origin != PILL_COUNT and each.mg]

    @cached_property
    def recorded(self) -> tuple[list[int], list[DayDose]]:
        """Days that something is recorded of, in order, and what."""
        return list(self.days), list(self.days.values())

    @cached_property
    def unrecorded(self) -> list[int]:
        return [day for day in range(self.first, self.last + 1) if day not in self.days]

    def expected(self, day: int) -> Fraction:
        return self.plan.expected(day)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Of the prescribed dose; of the dose taken where nothing is prescribed. The planned step
        from loading to maintenance is none."""
        return tuple(self._prescribed_changes() if self.regimens else self._taken_changes())

    def _prescribed_changes(self) -> Iterator[Change]:
        dose = self.plan.maintenance
        for day in sorted({*self.plan.steps, self.plan.maintained_from}):
            if self.plan.maintained_from <= day <= self.until:
                now = self.expected(day)
                if now != dose:
                    yield Change(day, dose, now, self.plan.record_of(day))
                dose = now

    def _taken_changes(self) -> Iterator[Change]:
        dose = self.plan.maintenance
        for day, each in self.known_levels:
            if day >= self.plan.maintained_from:
                if each.mg != dose:
                    yield Change(day, dose, each.mg, each.doses[0])
                dose = each.mg

    def interruptions(self, minimum: int) -> list[tuple[int, int]]:
        """(first day, days) of each run of days told as not taken, inside the treatment."""
        told = [day for day, each in self.days.items() if not each.mg and day <= self.last]
        return [run for run in find_runs(told) if run[1] >= minimum]

    def unsteady_days(self, interruption_days: int) -> list[int]:
        """Days on which the dose became another one, in order: the first dose, the step to
        maintenance, every change that was prescribed or taken, the end of an interruption."""
        resumed = (first + days for first, days in self.interruptions(interruption_days))
        prescribed = (each.day for each in self._prescribed_changes())
        taken = (each.day for each in self._taken_changes())
        start = (self.first, self.plan.maintained_from)
        return sorted({*start, *prescribed, *taken, *resumed})


def add_up(days: Iterable[DayDose]) -> Fraction:
    """The mg of days, equal neighbours at once."""
    runs = (list(run) for _, run in groupby(days, key=lambda each: each.mg))
    return sum((run[0].mg * len(run) for run in runs), Fraction(0))


def find_runs(days: Iterable[int]) -> list[tuple[int, int]]:
    """(first day, number) of each run of consecutive days; `days` in order."""
    runs: list[tuple[int, int]] = []
    for day in days:
        if runs and sum(runs[-1]) == day:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((day, 1))
    return runs


def build_dosing(cohort: Cohort, row: int) -> Dosing | None:
    """A participant's treatment; None without a first dose that is known to the day."""
    first = int(cohort.first_doses.day[row])
    if first == NO_DAY:
        return None
    until = last_day_of(cohort, row)
    doses = cohort.tables.rows.of(Dose, cohort.numbers[row])
    book = _Book(first, until, cohort.protocol.dosing.first_dose_statuses)
    days, unused, not_counted = book.tell(doses)
    regimens, unused_regimens = find_regimens(cohort.tables.rows.of(Treatment, cohort.numbers[row]))
    last = max((day for day, each in days.items() if each.mg), default=first)
    plan = Plan(cohort.protocol, first, regimens)
    ended = find_end(cohort, row)
    observed = max(int(cohort.last_days[row]), last) if ended is None else ended
    return Dosing(
        first,
        last,
        until,
        observed,
        days,
        unused,
        not_counted,
        plan,
        regimens,
        tuple(unused_regimens),
    )


def key_of(dose: Dose) -> Key:
    return dose.key, dose.source.version


@dataclass(frozen=True, slots=True)
class _Book:
    """Sorts doses into days from the first dose to the last day that is looked at."""

    first: int
    until: int
    statuses: Sequence[str]

    def tell(self, doses: Sequence[Dose]) -> tuple[dict[int, DayDose], dict[Key, str], Fraction]:
        unused: dict[Key, str] = {}
        singles: dict[int, list[Dose]] = {}
        counts: list[Dose] = []
        for dose in sorted(doses, key=lambda each: (_begin(each), each.source.id)):
            reason = self._why_unusable(dose)
            if reason:
                unused[key_of(dose)] = reason
            elif dose.origin == PILL_COUNT:
                counts.append(dose)
            else:
                singles.setdefault(_first_day(dose), []).append(dose)
        days = {day: _tell_day(found, unused) for day, found in singles.items()}
        not_counted = self._share(counts, days, unused)
        return dict(sorted(days.items())), unused, not_counted

    def _why_unusable(self, dose: Dose) -> str | None:
        counted = dose.origin == PILL_COUNT
        milligrams = dose.total if counted else dose.amount
        if dose.status != NOT_DONE and dose.status not in self.statuses:
            return STATUS
        if dose.status != NOT_DONE and milligrams is None:
            return NO_TOTAL if counted else NO_AMOUNT
        if milligrams and not SMALLEST_COUNT <= milligrams <= LARGEST_COUNT:
            return IMPOSSIBLE
        if dose.day is None:
            return NO_DATE
        if counted and (dose.status == NOT_DONE or _last_day(dose) is None):
            return NO_PERIOD
        return self._why_outside(_first_day(dose), _last_day(dose) if counted else None)

    def _why_outside(self, first: int, last: int | None) -> str | None:
        if first > self.until:
            return AFTER
        return BEFORE if (first if last is None else last) < self.first else None

    def _share(
        self, counts: Sequence[Dose], days: dict[int, DayDose], unused: dict[Key, str]
    ) -> Fraction:
        """Fills the days that nothing better tells; the mg of those that something does."""
        not_counted = Fraction(0)
        for dose in counts:
            first, last = _first_day(dose), _last_day(dose)
            assert dose.total is not None
            assert last is not None
            share = Fraction(dose.total) / (last - first + 1)
            free = [
                day
                for day in range(max(first, self.first), min(last, self.until) + 1)
                if day not in days or _gives_way(days[day])
            ]
            days |= dict.fromkeys(free, DayDose(share, PILL_COUNT, (dose,)))
            not_counted += share * (last - first + 1 - len(free))
            if not free:
                unused[key_of(dose)] = TOLD_OTHERWISE
        return not_counted


def _tell_day(doses: Sequence[Dose], unused: dict[Key, str]) -> DayDose:
    """One day from the records that are of it alone."""
    taken = [dose for dose in doses if dose.status != NOT_DONE and dose.amount]
    hospital = [dose for dose in taken if not dose.origin]
    diary = sorted((dose for dose in taken if dose.origin), key=_greatest_first)
    for dose in doses:
        if taken and dose not in taken:
            unused[key_of(dose)] = TAKEN
    for dose in diary if hospital else diary[1:]:
        unused[key_of(dose)] = IN_HOSPITAL if hospital else OTHER_DIARY
    told = hospital or diary[:1]
    if not told:
        missed = [dose for dose in doses if dose.origin] or list(doses)
        return DayDose(Fraction(0), DIARY if missed[0].origin else HOSPITAL, tuple(missed))
    amount = sum((Fraction(dose.amount or 0) for dose in told), Fraction(0))
    return DayDose(amount, HOSPITAL if hospital else DIARY, tuple(told))


def _gives_way(told: DayDose) -> bool:
    """Nothing given in hospital says nothing about home."""
    return told.origin == HOSPITAL and told.mg == 0


def _greatest_first(dose: Dose) -> tuple[Fraction, str]:
    return -Fraction(dose.amount or 0), dose.source.id


def _begin(dose: Dose) -> float:
    return dose.when.begin.timestamp() if dose.when else 0.0


def _first_day(dose: Dose) -> int:
    assert dose.day is not None
    return to_day(dose.day)


def _last_day(dose: Dose) -> int | None:
    last = dose.when.last_day if dose.when else None
    return to_day(last) if last else None
