"""Endpoints as FHIR measures them: groups with their populations, a score, and the same by stratum.

The populations of a Measure follow from its scoring
(https://hl7.org/fhir/R4/codesystem-measure-scoring.html): `proportion` counts a denominator and a
numerator, `continuous-variable` a measure population, `cohort` its initial population alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from app.endpoints.analyses.adverse_events_counts import (
    keep_counting,
    keep_emergent,
    select_events,
)
from app.endpoints.analyses.registry import ANALYSES
from app.endpoints.analyses.responding import judge
from app.endpoints.analyses.sustained_response import find_sustained
from app.endpoints.answers import Answer, build_header, build_inputs, encode_answer
from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.choosing import Index, take
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.placing import exactly
from app.endpoints.cohort.responses import PARTIAL
from app.endpoints.cohort.subgroups import label_members
from app.endpoints.figures.summaries import mean, rounded, sort_numbers
from app.endpoints.reading.records import Request
from app.endpoints.reading.tables import Tables
from app.trial import measuring

PERIOD_START = "periodStart"
"""Parameter: participants whose first dose is before this day are not reported."""

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


def _respond_by_visit(cohort: Cohort) -> Mapping[str, Flags]:
    level = judge(cohort).visits.level
    return {each.code: level[:, at] >= PARTIAL for at, each in enumerate(cohort.protocol.visits)}


def _respond_at_month_6(cohort: Cohort) -> Mapping[str, Flags]:
    rule = judge(cohort).rule
    return {
        measuring.ALL: _respond_by_visit(cohort)[rule.visit or cohort.protocol.per_protocol.visit]
    }


def _ever_complete(cohort: Cohort) -> Mapping[str, Flags]:
    return {measuring.ALL: judge(cohort).responses.first_complete >= 0}


def _sustained(cohort: Cohort) -> Mapping[str, Flags]:
    return {measuring.ALL: find_sustained(judge(cohort))}


def _with_event(cohort: Cohort, serious: bool) -> Mapping[str, Flags]:
    everyone = Members(np.arange(len(cohort)), ())
    events = keep_counting(keep_emergent(select_events(cohort, everyone)))
    found = np.zeros(len(cohort), np.bool_)
    for event in events:
        if event.serious or not serious:
            found[cohort.position[event.record.subject]] = True
    return {measuring.ALL: found}


NUMERATORS: Mapping[str, Callable[[Cohort], Mapping[str, Flags]]] = MappingProxyType(
    {
        "response-rate": _respond_by_visit,
        "response-month-6": _respond_at_month_6,
        "complete-remission": _ever_complete,
        "sustained-response": _sustained,
        "serious-adverse-events": lambda cohort: _with_event(cohort, serious=True),
        "adverse-events": lambda cohort: _with_event(cohort, serious=False),
    }
)
"""Of each participant of the cohort, by group."""


def _changes(cohort: Cohort) -> Mapping[str, Values]:
    chosen = cohort.visits_before_rescue
    return {
        each.code: exactly(take(cohort.counts.value, chosen[:, at]) - cohort.baseline_value)
        for at, each in enumerate(cohort.protocol.visits)
    }


OBSERVED: Mapping[str, tuple[str, Callable[[Cohort], Mapping[str, Values]]]] = MappingProxyType(
    {"platelet-change": ("10*9/L", _changes)}
)
"""Unit and values (NaN for none) of each participant of the cohort, by group: the score is their
mean."""


def compute_measure(request: Request, tables: Tables) -> bytes:
    """Groups, populations, scores, strata and inputs of one Measure, as JSON for `measures`."""
    cohort = Cohort(request, tables)
    members = _within_period(cohort, cohort.members())
    analysis = ANALYSES[request.definition.id]
    listed = build_inputs(analysis.inputs(cohort, members)) if tables.listed else []
    answer = build_header(request) | {
        "scoring": measuring.scoring_of(request.definition),
        "groups": list(_groups(cohort, members)),
        "inputs": listed,
    }
    return encode_answer(answer)


def _within_period(cohort: Cohort, members: Members) -> Members:
    start = cohort.request.parameters.get(PERIOD_START)
    if start is None:
        return members
    day = cohort.first_doses.day[members.rows]
    return Members(members.rows[day >= to_day(date.fromisoformat(start))], ())


def _groups(cohort: Cohort, members: Members) -> Iterator[Answer]:
    labels = {
        name: np.array(label_members(cohort, name, members)) for name in measuring.STRATIFIERS
    }
    for code, tell in _tellers(cohort).items():
        yield {
            "code": code,
            **tell(members.rows),
            "stratifiers": [
                {
                    "code": name,
                    "strata": [
                        {"value": value, **tell(members.rows[own == value])}
                        for value in sorted(set(own.tolist()))
                    ],
                }
                for name, own in labels.items()
            ],
        }


Tell = Callable[[Index], Answer]


def _tellers(cohort: Cohort) -> Mapping[str, Tell]:
    """By group what tells the populations and the score of some participants."""
    endpoint = cohort.request.definition.id
    if endpoint in NUMERATORS:
        flags = NUMERATORS[endpoint](cohort)
        return {code: _proportion(cohort, flags[code]) for code in flags}
    if endpoint in OBSERVED:
        unit, observe = OBSERVED[endpoint]
        return {code: _average(cohort, unit, each) for code, each in observe(cohort).items()}
    return {
        measuring.ALL: lambda rows: (
            _populations(cohort, {measuring.INITIAL: rows}) | {"score": None, "unit": None}
        )
    }


def _proportion(cohort: Cohort, flags: Flags) -> Tell:
    def tell(rows: Index) -> Answer:
        inside = rows[flags[rows]]
        score = rounded(len(inside) / len(rows)) if len(rows) else None
        populations = {
            measuring.INITIAL: rows,
            measuring.DENOMINATOR: rows,
            measuring.NUMERATOR: inside,
        }
        return _populations(cohort, populations) | {"score": score, "unit": None}

    return tell


def _average(cohort: Cohort, unit: str, values: Values) -> Tell:
    def tell(rows: Index) -> Answer:
        inside = rows[~np.isnan(values[rows])]
        score = rounded(mean(sort_numbers(values[inside]))) if len(inside) else None
        return _populations(cohort, {measuring.INITIAL: rows, measuring.MEASURED: inside}) | {
            "score": score,
            "unit": unit,
        }

    return tell


def _populations(cohort: Cohort, populations: Mapping[str, Index]) -> Answer:
    return {
        "populations": [
            {
                "code": code,
                "count": len(rows),
                "subjects": [cohort.numbers[row] for row in rows.tolist()],
            }
            for code, rows in populations.items()
        ]
    }
