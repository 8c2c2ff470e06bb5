"""Adverse events: treatment-emergent ones by system organ class, term and worst grade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from app.endpoints.analyses.adverse_events_counts import (
    METHODS,
    NOTES,
    Events,
    group_by,
    keep_counting,
    keep_emergent,
    select_events,
    tell_aside,
    tell_categories,
    tell_emergence,
    tell_grades,
    tell_occurrence,
    tell_rates,
    told,
)
from app.endpoints.analyses.adverse_events_rows import build_rows, build_subjects, iterate_events
from app.endpoints.analyses.analysis import Analysis
from app.endpoints.answers import Answer, Input
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.events import Event
from app.endpoints.cohort.members import Members

OWN_NOTES = (
    "Platelet counts below 100 are why participants are here: platelet grades are reported as "
    "shifts (platelet-grade-shift), not as adverse events.",
    "Occurrence flags are those of the treatment-emergent events, in the order of onset.",
)


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    """Treatment-emergent events in full; of all events, whenever, the categories."""
    events = select_events(cohort, members)
    emergent, counting = keep_emergent(events), keep_counting(events)
    return {
        "grading": cohort.protocol.safety.grading,
        "gradedBy": _gradings(counting),
        "confidence": cohort.confidence,
        "n": len(members),
        "treatmentEmergent": {
            "categories": tell_categories(cohort, members, emergent, _categories(cohort)),
            "bySeverity": tell_grades(emergent),
            "socs": [
                _soc(cohort, members, soc, part)
                for soc, part in group_by(emergent, lambda event: event.soc).items()
            ],
            **tell_rates(cohort, members, emergent),
        },
        "all": {
            "categories": tell_categories(cohort, members, counting, _categories(cohort)),
            "bySeverity": tell_grades(counting),
        },
        "emergence": tell_emergence(cohort, events),
        "aside": tell_aside(events),
    }


def _categories(cohort: Cohort) -> Mapping[str, Callable[[Event], bool]]:
    severe = cohort.protocol.safety.severe_grade
    return {
        "any": lambda _event: True,
        "related": lambda event: event.related,
        "relation not assessed": lambda event: event.record.causality is None,
        "serious": lambda event: event.serious,
        "serious and related": lambda event: event.serious and event.related,
        f"grade {severe} or more": lambda event: (event.grade or 0) >= severe,
        "fatal": lambda event: event.fatal,
        "leading to a dose change": lambda event: event.dose_changed,
        "leading to the end of sirolimus": lambda event: event.stopped,
        "seriousness not told": lambda event: event.record.serious is None and not event.serious,
        "onset not known to the day": lambda event: event.imputed is not None,
    }


def _soc(cohort: Cohort, members: Members, soc: str | None, events: Events) -> Answer:
    return {
        "soc": told(soc),
        **tell_occurrence(cohort, members, events),
        "worstGrade": tell_grades(events),
        "terms": [
            {
                "term": told(term),
                **tell_occurrence(cohort, members, part),
                "worstGrade": tell_grades(part),
            }
            for term, part in group_by(events, lambda event: event.term).items()
        ],
    }


def _gradings(events: Events) -> list[Answer]:
    """By which version of CTCAE events were graded."""
    found = Counter(event.record.grading or "not told" for event in events if event.record.grade)
    return [{"name": name, "events": number} for name, number in sorted(found.items())]


def build_listing(cohort: Cohort, members: Members) -> Answer:
    return {
        "subjects": build_subjects(cohort, members),
        "rows": build_rows(cohort, members),
    }


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    return iterate_events(cohort, members, keep_counting(select_events(cohort, members)))


ADVERSE_EVENTS = Analysis(
    compute_figures, build_listing, iterate_inputs, METHODS, (*NOTES, *OWN_NOTES)
)
