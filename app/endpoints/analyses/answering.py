"""One answer: the cohort of a request, the endpoint's figures, and all that stands beside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.registry import ANALYSES
from app.endpoints.answers import (
    Answer,
    build_header,
    build_inputs,
    build_reasons,
    encode_answer,
)
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.subgroups import label_members
from app.endpoints.public import publish
from app.endpoints.reading.records import Request, Subject
from app.endpoints.reading.statements import LISTED
from app.endpoints.reading.tables import Tables
from app.endpoints.tabular import encode_csv

UNLISTED = (
    "Too many participants to list one by one: their inputs stand under /subjects, page by page"
)


def compute_answer(request: Request, tables: Tables) -> bytes:
    """The bytes of one view of one endpoint, in the format that was asked for."""
    cohort = Cohort(request, tables)
    analysis = ANALYSES[request.definition.id]
    if request.view.startswith("plot:"):
        from app.endpoints.plots.drawing import draw

        return draw(cohort, request.view.removeprefix("plot:"), request.format)
    answer = _figures(cohort, analysis) if request.view == "figures" else _rows(cohort, analysis)
    if request.release is not None:
        answer = publish(answer, request.release)
    return encode_csv(answer, request.view) if request.format == "csv" else encode_answer(answer)


def compute_figures(cohort: Cohort) -> Answer:
    """The figures of one endpoint over the request's population."""
    return ANALYSES[cohort.request.definition.id].figures(cohort, cohort.members())


def _figures(cohort: Cohort, analysis: Analysis) -> Answer:
    members = cohort.members()
    return _head(cohort, members) | {
        "figures": analysis.figures(cohort, members),
        "subgroups": list(_subgroups(cohort, analysis, members)),
        "inputs": _inputs(cohort, analysis, members),
        "methods": dict(analysis.methods),
        "notes": list(analysis.notes),
    }


def _rows(cohort: Cohort, analysis: Analysis) -> Answer:
    members = cohort.members()
    return _head(cohort, members) | {"page": _page(cohort)} | analysis.subjects(cohort, members)


def _page(cohort: Cohort) -> Answer:
    """Behind which number the listing goes on, if it does; the population is then that of the
    page."""
    numbers = [row.subject for row in cohort.tables.rows.all(Subject)]
    full = len(set(numbers)) >= LISTED
    return {"after": cohort.request.after, "next": max(numbers) if full else None}


def _head(cohort: Cohort, members: Members) -> Answer:
    request = cohort.request
    return build_header(request) | {"population": _population(cohort, members)}


def _population(cohort: Cohort, members: Members) -> Answer:
    excluded = [(cohort.numbers[row], reason) for row, reason in members.excluded]
    listed = cohort.tables.listed
    return {
        "name": cohort.request.population,
        "n": len(members),
        "subjects": [cohort.numbers[row] for row in members.rows] if listed else None,
        "excluded": build_reasons(excluded, listed=listed),
    }


def _subgroups(cohort: Cohort, analysis: Analysis, members: Members) -> Iterator[Answer]:
    name = cohort.request.subgroup
    if name is None:
        return
    labels = np.array(label_members(cohort, name, members))
    for label in sorted(set(labels.tolist())):
        part = Members(members.rows[labels == label], ())
        yield {
            "subgroup": name,
            "level": label,
            "n": len(part),
            "figures": analysis.figures(cohort, part),
        }


def _inputs(cohort: Cohort, analysis: Analysis, members: Members) -> Answer:
    if not cohort.tables.listed:
        return {"listed": None, "reason": UNLISTED}
    return {"listed": build_inputs(analysis.inputs(cohort, members)), "reason": None}
