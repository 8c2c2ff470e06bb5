"""Every adverse event as a row with the names of ADaM's occurrence data structure (OCCDS).

Occurrence flags are set among the treatment-emergent events that count: the first of a participant
(AOCCFL), in a system organ class (AOCCSFL) and of a term (AOCCPFL), and the first of the highest
grade at each of these levels (AOCCIFL, AOCCSIFL, AOCCPIFL).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from app.endpoints.analyses.adverse_events_counts import (
    Events,
    find_worst,
    keep_counting,
    keep_emergent,
    select_events,
    yes,
)
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.calendar import to_date, to_day
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.events import Event
from app.endpoints.cohort.listing import format_day, format_moment, study_day
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.treated import list_last_doses
from app.endpoints.reading.columns import NO_DAY
from app.endpoints.reading.records import Source

LEVELS: Mapping[str, Callable[[Event], tuple[object, ...]]] = {
    "AOCCFL": lambda event: (event.place,),
    "AOCCSFL": lambda event: (event.place, event.soc),
    "AOCCPFL": lambda event: (event.place, event.soc, event.term),
}
WORST_LEVELS = {"AOCCIFL": "AOCCFL", "AOCCSIFL": "AOCCSFL", "AOCCPIFL": "AOCCPFL"}
FLAGS = (*LEVELS, *WORST_LEVELS)


def build_subjects(cohort: Cohort, members: Members) -> list[Answer]:
    """One entry per member: exposure, and the events that count."""
    by_place: dict[int, list[Event]] = {}
    for event in select_events(cohort, members):
        by_place.setdefault(event.place, []).append(event)
    return [_subject(cohort, row, by_place.get(row, [])) for row in members.rows.tolist()]


def build_rows(cohort: Cohort, members: Members) -> list[Answer]:
    """One row per event of the members, also of those that count nowhere."""
    events = select_events(cohort, members)
    flags = flag_occurrences(keep_emergent(events))
    return [
        {**build_event(cohort, event), **_flags_of(flags, event), **_choice(event)}
        for event in events
    ]


def flag_occurrences(events: Events) -> dict[str, set[Source]]:
    """Of each flag the events that have it; `events` in order, all of them emergent."""
    found: dict[str, set[Source]] = {}
    for flag, level in LEVELS.items():
        found[flag] = _first_of_each(events, level)
    for flag, name in WORST_LEVELS.items():
        found[flag] = _first_of_each(_keep_worst(events, LEVELS[name]), LEVELS[name])
    return found


def _first_of_each(events: Events, level: Callable[[Event], tuple[object, ...]]) -> set[Source]:
    first: dict[tuple[object, ...], Source] = {}
    for event in events:
        first.setdefault(level(event), event.record.source)
    return set(first.values())


def _keep_worst(events: Events, level: Callable[[Event], tuple[object, ...]]) -> list[Event]:
    worst: dict[tuple[object, ...], int] = {}
    for event in events:
        worst[level(event)] = max(event.grade or 0, worst.get(level(event), 0))
    return [event for event in events if (event.grade or 0) == worst[level(event)]]


def _flags_of(flags: Mapping[str, set[Source]], event: Event) -> Answer:
    return {name: yes(event.record.source in flags[name]) for name in FLAGS}


def build_event(cohort: Cohort, event: Event) -> Answer:
    """What an event is, by ADaM's names; days are SDTM's study days, which have no day 0."""
    row = event.record
    return {
        "USUBJID": row.subject,
        "AEDECOD": row.term,
        "AEBODSYS": row.soc,
        **_timing(cohort, event),
        "TRTEMFL": yes(event.emergent and event.counts),
        "emergence": event.emergence,
        "worsened": event.worsened,
        "ATOXGR": event.grade,
        "grading": row.grading,
        "AESEV": row.severity,
        "AESER": _yes_or_no(event.serious),
        "criteria": list(event.criteria),
        "AESDTH": yes(event.fatal),
        "AEREL": row.causality,
        "related": event.related,
        "expected": row.expected,
        "AEOUT": row.outcome,
        "AEACN": row.action,
        "doseChanged": event.dose_changed,
        "stopped": event.stopped,
        "status": row.status,
    }


def _timing(cohort: Cohort, event: Event) -> Answer:
    row = event.record
    first = int(cohort.first_doses.day[event.place])
    start, end = event.start, to_day(row.resolved) if row.resolved else None
    return {
        "ASTDT": None if start is None else to_date(start).isoformat(),
        "ASTDTF": event.imputed,
        "ASTDTM": format_moment(cohort, row.when),
        "ASTDY": _study_day(start, first),
        "AENDT": row.resolved.isoformat() if row.resolved else None,
        "AENDY": _study_day(end, first),
    }


def _study_day(day: int | None, first: int) -> int | None:
    return None if day is None or first == NO_DAY else study_day(day - first)


def _yes_or_no(flag: bool) -> str:
    return "Y" if flag else "N"


def _choice(event: Event) -> Answer:
    unused = event.aside or (None if event.emergent else event.emergence)
    return {"notUsed": unused, **build_source(event.record.source)}


def _subject(cohort: Cohort, row: int, events: list[Event]) -> Answer:
    dose, last = cohort.first_dose(row), cohort.last_doses.get(row)
    emergent = keep_emergent(events)
    return {
        "USUBJID": cohort.numbers[row],
        "TRTSDT": format_day(dose.when) if dose else None,
        "TRTEDT": None if last is None else to_date(last).isoformat(),
        "exposureDays": None if last is None else last - int(cohort.first_doses.day[row]) + 1,
        "events": len(keep_counting(events)),
        "treatmentEmergent": len(emergent),
        "serious": sum(event.serious for event in keep_counting(events)),
        "worstGrade": find_worst(emergent).get(row),
        "firstDose": build_source(dose.source) if dose else None,
    }


def iterate_events(cohort: Cohort, members: Members, events: Events) -> Iterator[Input]:
    """The events, and of every member the doses that treatment begins and ends with."""
    by_place: dict[int, list[Event]] = {}
    for event in events:
        by_place.setdefault(event.place, []).append(event)
    for row in members.rows.tolist():
        number, last = cohort.numbers[row], cohort.last_doses.get(row)
        if dose := cohort.first_dose(row):
            yield Input(number, "first dose", None, dose.source)
        for each in () if last is None else list_last_doses(cohort, row, last):
            yield Input(number, "last dose", None, each.source)
        for event in by_place.get(row, ()):
            yield Input(number, "adverse event", None, event.record.source)
