"""From rows to participants: first dose, baseline, visit windows, the count chosen for each visit.

Every count stays a candidate row; one per visit is chosen (ANL01FL of ADaM's BDS, section 4.5 of
the ADaM Implementation Guide: https://www.cdisc.org/standards/foundational/adam).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from itertools import groupby
from typing import TypeGuard, TypeVar

from app.endpoints.model import (
    ChangeRules,
    ClinicalTime,
    Dose,
    Measurement,
    Rows,
    Source,
)
from app.trial import Visit

SMALLEST_COUNT = Decimal("1e-6")
LARGEST_COUNT = Decimal("1e6")
"""Outside these (0 is inside) a count is a slip of the pen, and ratios leave the numbers' range."""

LAST = datetime.max.replace(tzinfo=UTC)
"""Where a row without a time stands in order of time."""

Row = TypeVar("Row", Measurement, Dose)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A count in the light of the first dose.

    `unusable` tells why it can't be used, `elapsed` the days since the first dose; it is a
    candidate for `visit` or for the baseline, and `chosen` if no other is nearer.
    """

    measurement: Measurement
    unusable: str | None
    elapsed: int | None = None
    visit: Visit | None = None
    for_baseline: bool = False
    chosen: bool = False

    @property
    def value(self) -> Decimal:
        if self.measurement.value is None:
            raise ValueError("the count has no value")
        return self.measurement.value

    @property
    def distance(self) -> int | None:
        """Days from the visit's target, without sign."""
        if self.visit is None or self.elapsed is None:
            return None
        return abs(self.elapsed - self.visit.target)

    @property
    def in_tolerance(self) -> bool | None:
        if self.visit is None or self.distance is None:
            return None
        return self.distance <= self.visit.tolerance

    @property
    def study_day(self) -> int | None:
        """SDTM's study day: the day of the first dose is 1, the day before it -1."""
        if self.elapsed is None:
            return None
        return self.elapsed + 1 if self.elapsed >= 0 else self.elapsed


@dataclass(frozen=True, slots=True)
class Participant:
    """One participant with all counts, in order of time."""

    subject: str
    consented: bool
    first_dose: Dose | None
    candidates: tuple[Candidate, ...]
    baseline: Candidate | None
    visits: Mapping[str, Candidate]

    def at(self, visit: Visit) -> Candidate | None:
        """The count chosen for a visit."""
        return self.visits.get(visit.code)

    def before(self, visit: Visit) -> Candidate | None:
        """The last usable count after the first dose and before a visit's window."""
        earlier = (
            c
            for c in self.candidates
            if c.visit and not c.unusable and c.elapsed is not None and c.elapsed < visit.low
        )
        return max(earlier, key=_time_order, default=None)


POPULATIONS: Mapping[str, Callable[[Participant], bool]] = {
    "enrolled": lambda participant: participant.consented,
    "safety": lambda participant: participant.first_dose is not None,
    "efficacy": lambda participant: participant.first_dose is not None,
}
"""The populations that can be told from consent and doses alone."""


def compute_participants(rows: Rows, rules: ChangeRules, zone: tzinfo) -> tuple[Participant, ...]:
    """Everyone of whom anything is known, in order of subject number."""
    consented = {row.subject for row in rows.subjects if row.consented}
    counts, doses = _by_subject(rows.measurements), _by_subject(rows.doses)
    known = {row.subject for row in rows.subjects} | counts.keys() | doses.keys()
    return tuple(
        _participant(subject, subject in consented, counts[subject], doses[subject], rules, zone)
        for subject in sorted(known)
    )


def compute_first_dose(doses: Iterable[Dose], statuses: Collection[str]) -> Dose | None:
    """The earliest dose with an amount above 0 that was taken at least in part."""
    taken = (
        dose
        for dose in doses
        if dose.amount is not None and dose.amount > 0 and dose.status in statuses
    )
    return min(taken, key=lambda dose: (_begin(dose.when), dose.source.id), default=None)


def explain_unusable(count: Measurement, rules: ChangeRules) -> str | None:
    """Why a count can't be used for any figure; None if it can."""
    checks = (
        (count.status not in rules.measurement_statuses, "status is not final"),
        (count.data_absent_reason is not None, "data absent"),
        (count.analytic_suspect, "analytically suspect"),
        (count.value is None, "no numeric value"),
        (count.comparator is not None, "a bound, not a number (comparator)"),
        (count.unit != rules.unit, f"unit is not {rules.unit}"),
        (not _is_possible(count.value), "not a possible count"),
        (not _is_dated(count.when), "collection date not known to the day"),
    )
    return next((reason for fails, reason in checks if fails), None)


def find_visit(elapsed: int, visits: Iterable[Visit]) -> Visit | None:
    return next((visit for visit in visits if visit.low <= elapsed <= visit.high), None)


def _participant(
    subject: str,
    consented: bool,
    counts: Sequence[Measurement],
    doses: Sequence[Dose],
    rules: ChangeRules,
    zone: tzinfo,
) -> Participant:
    first_dose = compute_first_dose(doses, rules.dose_statuses)
    placed = sorted((_place(c, first_dose, rules, zone) for c in counts), key=_time_order)
    chosen = _choose(placed)
    candidates = tuple(
        replace(c, chosen=True) if c.measurement.source in chosen else c for c in placed
    )
    return Participant(
        subject,
        consented,
        first_dose,
        candidates,
        next((c for c in candidates if c.chosen and c.for_baseline), None),
        {c.visit.code: c for c in candidates if c.chosen and c.visit},
    )


def _place(
    count: Measurement, first_dose: Dose | None, rules: ChangeRules, zone: tzinfo
) -> Candidate:
    unusable = explain_unusable(count, rules)
    dose = first_dose.when if first_dose else None
    if not _is_dated(count.when) or not _is_dated(dose):
        return Candidate(count, unusable)
    elapsed = (count.when.date(zone) - dose.date(zone)).days
    if _is_before_first_dose(count.when, dose, elapsed, rules):
        for_baseline = elapsed >= -rules.baseline_days
        return Candidate(count, unusable, elapsed, for_baseline=for_baseline)
    return Candidate(count, unusable, elapsed, find_visit(elapsed, rules.visits))


def _is_dated(when: ClinicalTime | None) -> TypeGuard[ClinicalTime]:
    return when is not None and when.has_date


def _is_before_first_dose(
    count: ClinicalTime, dose: ClinicalTime, elapsed: int, rules: ChangeRules
) -> bool:
    """At or before it; on the same day without both times, as the protocol decides."""
    if elapsed != 0:
        return elapsed < 0
    if count.has_time and dose.has_time:
        return count.begin <= dose.begin
    return rules.same_day_date_only_is_baseline


def _choose(placed: Sequence[Candidate]) -> set[Source]:
    """The sources of the last usable count for the baseline and the nearest of each visit."""
    usable = [c for c in placed if not c.unusable]
    of_visits = groupby(sorted((c for c in usable if c.visit), key=_window_order), _window_order)
    nearest = [min(group, key=_nearness) for _, group in of_visits]
    baseline = max((c for c in usable if c.for_baseline), key=_time_order, default=None)
    return {c.measurement.source for c in (*nearest, baseline) if c}


def _window_order(candidate: Candidate) -> int:
    return candidate.visit.low if candidate.visit else 0


def _nearness(candidate: Candidate) -> tuple[object, ...]:
    """Closest to the target, then the earlier day, then the later time of that day."""
    begin = _begin(candidate.measurement.when)
    source = candidate.measurement.source
    return candidate.distance, candidate.elapsed, LAST - begin, source.id


def _time_order(candidate: Candidate) -> tuple[object, ...]:
    source = candidate.measurement.source
    return _begin(candidate.measurement.when), source.id, source.version


def _begin(when: ClinicalTime | None) -> datetime:
    return when.begin if when else LAST


def _is_possible(value: Decimal | None) -> bool:
    return value is not None and (value == 0 or SMALLEST_COUNT <= value <= LARGEST_COUNT)


def _by_subject(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.subject].append(row)
    return grouped
