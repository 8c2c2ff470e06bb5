"""Deviations from the protocol, one participant at a time: which, when, and by which records.

What can't be judged is told apart, with the reason: it is no deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.dosing import PILL_COUNT, Dosing
from app.endpoints.cohort.eligibility import NOT_RECORDED, OVERRIDDEN, list_unmet
from app.endpoints.cohort.reacting import find_actionless_troughs, find_unexplained_changes
from app.endpoints.cohort.visiting import ABSENT, OPEN, UNDATED, find_visit
from app.endpoints.reading.records import Source

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

MAJOR = "major"

NO_CONSENT_DATE = "day of consent not known"
LOADING_UNRECORDED = "the dose of a loading day is not recorded by the day"


@dataclass(frozen=True, slots=True)
class Deviation:
    """`code` is one of the protocol's. `day` as the columns have it."""

    code: str
    day: int | None
    visit: str | None
    detail: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class NotAssessable:
    code: str
    visit: str | None
    reason: str


Finding = Deviation | NotAssessable
Find = Callable[["Cohort", int], Iterator[Finding]]


def find_deviations(cohort: Cohort, row: int) -> tuple[Finding, ...]:
    """All that the protocol asks to be looked for, of one participant, in its order."""
    looked_for = cohort.protocol.deviations
    finders = {FINDERS[code]: None for code in looked_for}
    found = [each for find in finders for each in find(cohort, row)]
    order = {code: place for place, code in enumerate(looked_for)}
    kept = [each for each in found if each.code in order]
    return tuple(sorted(kept, key=lambda each: order[each.code]))


def is_major(cohort: Cohort, finding: Finding) -> bool:
    rule = cohort.protocol.deviations[finding.code]
    return isinstance(finding, Deviation) and rule.severity == MAJOR


def _find_ineligible(cohort: Cohort, row: int) -> Iterator[Finding]:
    answers = cohort.eligibility.get(row)
    if answers is None:
        yield NotAssessable("eligibility-not-met", None, NOT_RECORDED)
        yield NotAssessable("eligibility-overridden", None, NOT_RECORDED)
        return
    for criterion, answer in list_unmet(cohort, answers):
        overridden = answer == OVERRIDDEN
        code = "eligibility-overridden" if overridden else "eligibility-not-met"
        yield Deviation(code, None, None, f"{criterion}: {answer}", (answers.source,))


def _find_dose_before_consent(cohort: Cohort, row: int) -> Iterator[Finding]:
    dosing, subject = cohort.dosings[row], cohort.subjects.get(cohort.numbers[row])
    if dosing is None or subject is None:
        return
    if subject.day is None:
        yield NotAssessable("dose-before-consent", None, NO_CONSENT_DATE)
    elif dosing.first < to_day(subject.day):
        days = to_day(subject.day) - dosing.first
        told = dosing.days.get(dosing.first)
        sources = tuple(dose.source for dose in told.doses) if told else ()
        detail = f"{days} d before consent"
        yield Deviation(
            "dose-before-consent", dosing.first, None, detail, (*sources, subject.source)
        )


def _find_loading(cohort: Cohort, row: int) -> Iterator[Finding]:
    dosing = cohort.dosings[row]
    if dosing is None:
        return
    planned = range(dosing.first, dosing.plan.maintained_from)
    wrong = next((day for day in planned if _differs(dosing, day)), None)
    if wrong is not None:
        told = dosing.days[wrong]
        detail = f"day {wrong - dosing.first + 1}: {_mg(told.mg)} for {_mg(dosing.plan.loading)}"
        sources = tuple(dose.source for dose in told.doses)
        yield Deviation("loading-dose", wrong, None, detail, sources)
    elif not all(_is_known(dosing, day) for day in planned):
        yield NotAssessable("loading-dose", None, LOADING_UNRECORDED)


def _is_known(dosing: Dosing, day: int) -> bool:
    return day in dosing.days and dosing.days[day].origin != PILL_COUNT


def _differs(dosing: Dosing, day: int) -> bool:
    return _is_known(dosing, day) and dosing.days[day].mg != dosing.plan.loading


def _mg(amount: Fraction) -> str:
    return f"{float(amount):g} mg"


def _find_changes(cohort: Cohort, row: int) -> Iterator[Finding]:
    for change in find_unexplained_changes(cohort, row):
        detail = f"{_mg(change.before)} to {_mg(change.after)}"
        sources = (change.record.source,) if change.record else ()
        yield Deviation("dose-change-without-reason", change.day, None, detail, sources)


def _find_troughs(cohort: Cohort, row: int) -> Iterator[Finding]:
    for level, reason in find_actionless_troughs(cohort, row):
        if reason:
            yield NotAssessable("trough-without-action", None, reason)
        else:
            value = f"{level.record.comparator or ''}{level.value:g}"
            detail = f"{value} {level.record.unit}, {level.place} the range"
            source = level.record.source
            yield Deviation("trough-without-action", level.day, None, detail, (source,))


def _find_visits(cohort: Cohort, row: int) -> Iterator[Finding]:
    if cohort.dosings[row] is None:
        return
    for at, visit in enumerate(cohort.protocol.visits):
        held = find_visit(cohort, row, at)
        if held.finding == OPEN:
            yield NotAssessable("visit-missed", visit.code, OPEN)
        elif held.finding == ABSENT:
            yield Deviation("visit-missed", None, visit.code, held.detail, held.sources)
        elif held.finding == UNDATED:
            yield NotAssessable("visit-outside-tolerance", visit.code, UNDATED)
        elif held.distance > visit.tolerance:
            detail = f"{held.distance} d from the target, {visit.tolerance} d allowed"
            yield Deviation("visit-outside-tolerance", held.day, visit.code, detail, held.sources)


FINDERS: Mapping[str, Find] = MappingProxyType(
    {
        "eligibility-not-met": _find_ineligible,
        "eligibility-overridden": _find_ineligible,
        "dose-before-consent": _find_dose_before_consent,
        "loading-dose": _find_loading,
        "dose-change-without-reason": _find_changes,
        "trough-without-action": _find_troughs,
        "visit-missed": _find_visits,
        "visit-outside-tolerance": _find_visits,
    }
)
"""Who finds each of the protocol's deviations; some find two."""
