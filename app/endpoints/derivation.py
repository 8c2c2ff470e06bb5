"""From rows to participants: first dose, baseline, visit windows, the count chosen for each visit.

Every count stays a candidate row; one per visit is chosen (ANL01FL of ADaM's BDS, section 4.5 of
the ADaM Implementation Guide: https://www.cdisc.org/standards/foundational/adam).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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

NOT_OURS = "not enrolled in the study"
NO_CONSENT = "consent not recorded"
NO_DOSE = "no sirolimus dose with an amount above 0"

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
class UnusableDose:
    """A dose that can't be the first, and why."""

    dose: Dose
    reason: str


@dataclass(frozen=True, slots=True)
class Participant:
    """One person with all counts, in order of time.

    `exclusion` tells why the person is not enrolled in the study; None for who is.
    """

    subject: str
    exclusion: str | None
    first_dose: Dose | None
    unusable_doses: tuple[UnusableDose, ...]
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


def _explain_undosed(participant: Participant) -> str | None:
    """Why an enrolled participant is not treated; None if there is a first dose."""
    return NO_DOSE if participant.first_dose is None else None


POPULATIONS: Mapping[str, Callable[[Participant], str | None]] = {
    "enrolled": lambda _participant: None,
    "safety": _explain_undosed,
    "efficacy": _explain_undosed,
}
"""Why an enrolled participant does not belong to a population; None for a member. These are the
populations that can be told from consent and doses alone."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A population, and everyone else of whom anything is known, with the reason."""

    members: tuple[Participant, ...]
    excluded: tuple[tuple[str, str], ...]


def divide(everyone: Iterable[Participant], population: str) -> Membership:
    """Only who is enrolled in the study can be in any of its populations."""
    judged = [(each, each.exclusion or POPULATIONS[population](each)) for each in everyone]
    return Membership(
        tuple(each for each, reason in judged if not reason),
        tuple((each.subject, reason) for each, reason in judged if reason),
    )


def compute_participants(rows: Rows, rules: ChangeRules, zone: tzinfo) -> tuple[Participant, ...]:
    """Everyone of whom anything is known, in order of subject number."""
    consented = {row.subject for row in rows.subjects if row.consented}
    of_study = {row.subject for row in rows.subjects}
    counts, doses = _by_subject(rows.measurements), _by_subject(rows.doses)
    exclusions = {
        subject: None if subject in consented else NO_CONSENT if subject in of_study else NOT_OURS
        for subject in of_study | counts.keys() | doses.keys()
    }
    return tuple(
        _participant(subject, exclusion, counts[subject], doses[subject], rules, zone)
        for subject, exclusion in sorted(exclusions.items())
    )


def compute_first_dose(doses: Iterable[Dose], statuses: Collection[str]) -> Dose | None:
    """The earliest dose with an amount above 0 that was taken at least in part.

    A dose dated to the day goes before all that are not: a year alone can't place any count.
    """
    taken = (dose for dose in doses if _is_taken(dose, statuses))
    return min(taken, key=_dose_order, default=None)


def explain_unusable_dose(dose: Dose, statuses: Collection[str]) -> str | None:
    """Why a dose can't be the first that counts are placed by; None if it can."""
    checks = (
        (dose.status not in statuses, "status does not say that it was taken"),
        (dose.amount is None, "no amount in mg"),
        (dose.amount is not None and dose.amount <= 0, "amount is not above 0"),
        (not _is_dated(dose.when), "date not known to the day"),
    )
    return next((reason for fails, reason in checks if fails), None)


def _is_taken(dose: Dose, statuses: Collection[str]) -> bool:
    return dose.amount is not None and dose.amount > 0 and dose.status in statuses


def _dose_order(dose: Dose) -> tuple[object, ...]:
    return not _is_dated(dose.when), _begin(dose.when), dose.source.id


def _unusable_doses(doses: Iterable[Dose], statuses: Collection[str]) -> Iterator[UnusableDose]:
    for dose in sorted(doses, key=_dose_order):
        if reason := explain_unusable_dose(dose, statuses):
            yield UnusableDose(dose, reason)


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
    exclusion: str | None,
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
        exclusion,
        first_dose,
        tuple(_unusable_doses(doses, rules.dose_statuses)),
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
