"""What happened after the clinical cut is hidden from rows that began before it: the end of
participation, the end of a treatment, the end and outcome of an adverse event.

The rows are read if they began before the cut; how they went on was recorded later, and a figure at
the cut must not know it. What is hidden is as if it had not happened yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from app.endpoints.reading.records import AdverseEvent, Record, Request, Subject, Treatment
from app.endpoints.reading.tables import Tables

DEATH = "death"
FATAL = "fatal"
DEATH_GRADE = 5
DEATH_CRITERIA = frozenset({DEATH, "C48275"})
"""Codes of the criterion that the participant died: our word and the NCI Thesaurus'."""


def hide_later(tables: Tables, request: Request) -> Tables:
    """The tables as they stood at the request's clinical cut."""
    before = request.cut.before - timedelta(microseconds=1)
    last = before.astimezone(request.zone).date()
    dying = _dying_later(tables, last)
    hides: dict[type[Record], Callable[..., Record]] = {
        Subject: lambda row: _on_study(row, last),
        Treatment: lambda row: _going_on(row, last),
        AdverseEvent: lambda row: _unresolved(row, last, row.subject in dying),
    }
    return replace(tables, rows=tables.rows.changed(hides))


def _dying_later(tables: Tables, last: date) -> frozenset[str]:
    """Whose participation ended by death after the cut."""
    return frozenset(
        row.subject
        for row in tables.rows.all(Subject)
        if row.reason == DEATH and row.ended is not None and row.ended > last
    )


def _on_study(row: Subject, last: date) -> Subject:
    if row.ended is None or row.ended <= last:
        return row
    return replace(row, ended=None, reason=None, status="on-study")


def _going_on(row: Treatment, last: date) -> Treatment:
    when = row.when
    if when is None or when.last_day is None or when.last_day <= last:
        return row
    return replace(row, when=replace(when, last_day=None))


def _unresolved(row: AdverseEvent, last: date, dying: bool) -> AdverseEvent:
    """An event that ended after the cut went on at it; of a death after it nothing is known."""
    later = row.resolved > last if row.resolved else dying and row.outcome == FATAL
    if not later:
        return row
    criteria = tuple(each for each in row.seriousness_criteria if each not in DEATH_CRITERIA)
    grade = None if row.grade == DEATH_GRADE else row.grade
    return replace(row, resolved=None, outcome=None, grade=grade, seriousness_criteria=criteria)
