"""Adverse events in the light of sirolimus: which count, since when, how severe, and whether they
are treatment-emergent.

ADaM Implementation Guide, Occurrence Data Structure (OCCDS):
https://www.cdisc.org/standards/foundational/adam. Treatment-emergent is an onset from the first
dose to the protocol's days after the last; a worsening is an event of its own, with its own onset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import EPOCH_INSTANT, to_date, to_day, to_microseconds
from app.endpoints.cohort.deaths import FATAL, NOT_HAPPENED
from app.endpoints.reading.columns import NEVER, NO_DAY
from app.endpoints.reading.records import AdverseEvent, ClinicalTime

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

NO_STATUS = "status does not say that it happened"
NOT_ACTUAL = "potential, not actual"

ON_TREATMENT = "onset on treatment"
BEFORE = "onset before the first dose"
AFTER = "onset later than the days after the last dose"
VAGUE = "onset not known to the day: on treatment or outside"
NEVER_TREATED = "no first dose"

POTENTIAL = "potential"
EMERGENT = "treatment-emergent"
DEATH_GRADE = 5

SEVERITY_GRADES: Mapping[str, int] = MappingProxyType({"mild": 1, "moderate": 2, "severe": 3})
"""Of an event that was not graded, as CTCAE 5.0 describes its grades."""

CRITERIA: Mapping[str, str] = MappingProxyType(
    {
        "C48275": "death",
        "C84266": "life-threatening",
        "C83052": "hospitalization",
        "C11338": "disability",
        "C83117": "congenital-anomaly",
        "C82521": "medically-important",
    }
)
"""Seriousness criteria of ICH E2A by their codes of the NCI Thesaurus, in the guideline's order."""

DEATH = CRITERIA["C48275"]

_BEFORE_ALL, _AFTER_ALL = -NO_DAY, NO_DAY

Span = tuple[int, int]
"""The first and the last day that are possible, both included."""


@dataclass(frozen=True, slots=True)
class Event:
    """`aside` tells why it counts nowhere. `start` is the day of onset, imputed where `imputed`
    names what is missing (ADaM's ASTDTF: D the day, M the month, Y all of it); None where nothing
    is known. `emergence` is one of the reasons above, `vague` that the protocol had to decide it.
    `worsened`: an event of the same term and a lower grade was there before the first dose."""

    record: AdverseEvent
    place: int
    aside: str | None
    start: int | None
    imputed: str | None
    emergence: str
    emergent: bool
    grade: int | None
    criteria: tuple[str, ...]
    serious: bool
    fatal: bool
    related: bool
    dose_changed: bool
    stopped: bool
    worsened: bool = False

    @property
    def counts(self) -> bool:
        return self.aside is None

    @property
    def vague(self) -> bool:
        return self.emergence == VAGUE

    @property
    def soc(self) -> str | None:
        return self.record.soc

    @property
    def term(self) -> str | None:
        return self.record.term


def find_events(cohort: Cohort) -> tuple[Event, ...]:
    """Every adverse event of the cohort, by participant, day of onset (unknown ones first) and id;
    those that count nowhere too."""
    rows = cohort.tables.rows.all(AdverseEvent)
    found = sorted(
        (_place(cohort, row) for row in rows if row.subject in cohort.position), key=_in_order
    )
    return tuple(_mark_worsened(found))


def explain_aside(row: AdverseEvent) -> str | None:
    """Why an event counts nowhere; None if it counts."""
    if row.status in NOT_HAPPENED:
        return NO_STATUS
    return NOT_ACTUAL if row.actuality == POTENTIAL else None


def _place(cohort: Cohort, row: AdverseEvent) -> Event:
    safety, place = cohort.protocol.safety, cohort.position[row.subject]
    span, first = _span(cohort, row), _first_dose(cohort, place)
    emergence = _judge(cohort, place, row, span, first)
    grade = row.grade or SEVERITY_GRADES.get(row.severity or "")
    criteria = _criteria(row)
    fatal = row.outcome == FATAL or grade == DEATH_GRADE or DEATH in criteria
    unassessed = row.causality is None and safety.unassessed_is_related
    return Event(
        record=row,
        place=place,
        aside=explain_aside(row),
        start=_start(span, None if emergence == BEFORE else first),
        imputed=_imputed(row.when),
        emergence=emergence,
        emergent=emergence == ON_TREATMENT
        or (emergence == VAGUE and safety.vague_onset == EMERGENT),
        grade=grade,
        criteria=criteria,
        serious=bool(criteria or fatal) if row.serious is None else row.serious,
        fatal=fatal,
        related=row.causality in safety.related_causalities or unassessed,
        dose_changed=row.action in safety.dose_change_actions,
        stopped=row.action in safety.stop_actions,
    )


def _criteria(row: AdverseEvent) -> tuple[str, ...]:
    """By name, in the guideline's order; unknown codes as they are, at the end."""
    names = [CRITERIA.get(code, code) for code in row.seriousness_criteria]
    known = list(CRITERIA.values())
    return tuple(
        sorted(set(names), key=lambda name: (known.index(name) if name in known else 99, name))
    )


def _span(cohort: Cohort, row: AdverseEvent) -> Span | None:
    first = cohort.day_of(row)
    if row.when is None or first is None:
        return None
    return first, _last_possible(first, row.when)


def _last_possible(first: int, when: ClinicalTime) -> int:
    """Of a month or a year its last day."""
    begin = to_date(first)
    if when.day is not None:
        return first
    if when.precision == "year":
        return to_day(begin.replace(month=12, day=31))
    return to_day((begin.replace(day=1) + timedelta(days=31)).replace(day=1)) - 1


def _first_dose(cohort: Cohort, place: int) -> Span | None:
    """None without a first dose; of one not known to the day only a beginning is certain."""
    doses = cohort.first_doses
    if not doses.taken[place]:
        return None
    if doses.dated[place]:
        day = int(doses.day[place])
        return day, day
    begin = int(doses.begin[place])
    if begin == NEVER:
        return _BEFORE_ALL, _AFTER_ALL
    instant = EPOCH_INSTANT + timedelta(microseconds=begin)
    return to_day(instant.astimezone(cohort.request.zone).date()), _AFTER_ALL


def _judge(
    cohort: Cohort, place: int, row: AdverseEvent, span: Span | None, first: Span | None
) -> str:
    if first is None:
        return NEVER_TREATED
    if span is None:
        resolved = to_day(row.resolved) if row.resolved else _AFTER_ALL
        return BEFORE if resolved < first[0] else VAGUE
    last, days = cohort.last_doses.get(place), cohort.protocol.safety.treatment_emergent_days
    limit = _AFTER_ALL if last is None else last + days
    if span[1] < first[0] or _is_earlier_that_day(cohort, place, row, span):
        return BEFORE
    if span[0] > limit:
        return AFTER
    certain = first[1] <= span[0] and span[1] <= limit
    if not certain and row.resolved and to_day(row.resolved) < first[0]:
        return BEFORE
    return ON_TREATMENT if certain else VAGUE


def _is_earlier_that_day(cohort: Cohort, place: int, row: AdverseEvent, span: Span) -> bool:
    """On the day of the first dose, where both times are known, by the time."""
    doses = cohort.first_doses
    if row.when is None or not row.when.has_time or not doses.timed[place]:
        return False
    begin = to_microseconds(row.when.begin)
    return span[0] == int(doses.day[place]) and begin < int(doses.begin[place])


def _start(span: Span | None, first: Span | None) -> int | None:
    """The first possible day; that of the first dose where the onset may lie on it."""
    if span is None:
        return None
    if first and span[0] <= first[0] <= span[1]:
        return first[0]
    return span[0]


def _imputed(when: ClinicalTime | None) -> str | None:
    if when is None:
        return "Y"
    return None if when.day else "M" if when.precision == "year" else "D"


def _in_order(event: Event) -> tuple[object, ...]:
    begin = event.record.when.begin.timestamp() if event.record.when else 0.0
    start = _BEFORE_ALL if event.start is None else event.start
    return event.place, start, begin, number_parts(event.record.source.id)


def number_parts(text: str) -> tuple[tuple[str, int], ...]:
    """A text in an order in which `ae-2` comes before `ae-10`."""
    return tuple(
        (letters, int(digits or -1)) for letters, digits in re.findall(r"(\D*)(\d*)", text)
    )


def _mark_worsened(events: Iterable[Event]) -> Iterator[Event]:
    """Emergent events whose term was there before the first dose, lower and not yet over."""
    earlier: dict[tuple[int, str | None], list[Event]] = {}
    for event in events:
        key = event.place, event.term
        if event.counts and event.emergence == BEFORE:
            earlier.setdefault(key, []).append(event)
        yield replace(event, worsened=event.emergent and _is_worse(event, earlier.get(key, ())))


def _is_worse(event: Event, earlier: Iterable[Event]) -> bool:
    return event.counts and any(
        before.grade is not None and event.grade is not None and before.grade < event.grade
        for before in earlier
        if not _was_over(before, event)
    )


def _was_over(before: Event, event: Event) -> bool:
    resolved = before.record.resolved
    return resolved is not None and event.start is not None and to_day(resolved) < event.start
