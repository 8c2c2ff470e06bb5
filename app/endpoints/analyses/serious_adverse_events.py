"""Serious adverse events of any cause: participants, events, rates over exposure, and each of them.

Serious is what meets a criterion of ICH E2A, as the record says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from app.endpoints.analyses.adverse_events_counts import (
    METHODS,
    NOTES,
    Events,
    keep_counting,
    keep_emergent,
    select_events,
    tell_aside,
    tell_categories,
    tell_emergence,
    tell_occurrence,
    tell_rates,
)
from app.endpoints.analyses.adverse_events_rows import (
    build_event,
    build_rows,
    build_subjects,
    iterate_events,
)
from app.endpoints.analyses.analysis import Analysis
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.events import CRITERIA, Event
from app.endpoints.cohort.members import Members

NOT_SERIOUS = "not serious"
NOT_TOLD = "seriousness not told, and no criterion"

DATES = frozenset({"ASTDT", "ASTDTM", "AENDT"})

OWN_NOTES = (
    "An event whose seriousness is not told is serious where it names a criterion or is fatal; "
    "the others are counted in `seriousnessNotTold`.",
    "The listing places events by study day; /subjects gives their dates.",
    "A rate holds treatment-emergent events only: what began before the first dose or long after "
    "the last has no exposure to be held against.",
)

CATEGORIES: Mapping[str, Callable[[Event], bool]] = MappingProxyType(
    {
        "related": lambda event: event.related,
        "relation not assessed": lambda event: event.record.causality is None,
        "fatal": lambda event: event.fatal,
        "leading to a dose change": lambda event: event.dose_changed,
        "leading to the end of sirolimus": lambda event: event.stopped,
        "expected": lambda event: event.record.expected is True,
        "unexpected": lambda event: event.record.expected is False,
        "expectedness not told": lambda event: event.record.expected is None,
        "related and unexpected": lambda event: event.related and event.record.expected is False,
    }
)


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    """Treatment-emergent serious events with their rates, and all of them, whenever they began."""
    events = select_events(cohort, members)
    serious = [event for event in events if event.serious]
    emergent, counting = keep_emergent(serious), keep_counting(serious)
    return {
        "confidence": cohort.confidence,
        "n": len(members),
        "treatmentEmergent": _tell(cohort, members, emergent)
        | tell_rates(cohort, members, emergent),
        "all": _tell(cohort, members, counting),
        "emergence": tell_emergence(cohort, serious),
        "seriousnessNotTold": sum(_is_untold(event) for event in keep_counting(events)),
        "aside": tell_aside(serious),
        "listing": {"subjects": _list(cohort, counting) if cohort.tables.listed else None},
    }


def _tell(cohort: Cohort, members: Members, events: Events) -> Answer:
    return {
        **tell_occurrence(cohort, members, events),
        "categories": tell_categories(cohort, members, events, CATEGORIES),
        "criteria": tell_categories(cohort, members, events, _criteria()),
    }


def _criteria() -> Mapping[str, Callable[[Event], bool]]:
    return {name: _meets(name) for name in CRITERIA.values()}


def _meets(name: str) -> Callable[[Event], bool]:
    return lambda event: name in event.criteria


def _is_untold(event: Event) -> bool:
    return event.record.serious is None and not event.serious


def _list(cohort: Cohort, events: Events) -> list[Answer]:
    """Each serious event that counts, treatment-emergent or not, placed by study days: a figure
    does not change when a participant's dates are shifted."""
    return [_tell_event(cohort, each) for each in events]


def _tell_event(cohort: Cohort, event: Event) -> Answer:
    told = build_event(cohort, event)
    kept = {name: value for name, value in told.items() if name not in DATES}
    return kept | build_source(event.record.source)


def build_listing(cohort: Cohort, members: Members) -> Answer:
    """A row per event of any kind, so that it can be seen why one is not serious."""
    events = select_events(cohort, members)
    why = {event.record.source.reference: _why_not(event) for event in events}
    rows = build_rows(cohort, members)
    return {
        "subjects": build_subjects(cohort, members),
        "rows": [row | {"notUsed": row["notUsed"] or why[row["resource"]]} for row in rows],
    }


def _why_not(event: Event) -> str | None:
    if event.serious:
        return None
    return NOT_TOLD if event.record.serious is None else NOT_SERIOUS


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    events = keep_counting(select_events(cohort, members))
    return iterate_events(cohort, members, [event for event in events if event.serious])


SERIOUS_ADVERSE_EVENTS = Analysis(
    compute_figures, build_listing, iterate_inputs, METHODS, (*NOTES, *OWN_NOTES)
)
