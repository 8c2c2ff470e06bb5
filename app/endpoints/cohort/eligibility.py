"""What was answered to the eligibility criteria."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.endpoints.reading.records import Eligibility

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

ANSWERED = frozenset({"completed", "amended"})
"""Statuses of a form that was filled in."""

UNKNOWN = "unknown"
OVERRIDDEN = "overridden"
NOT_RECORDED = "eligibility not recorded"


def find_answers(cohort: Cohort) -> dict[int, Eligibility]:
    """Of each participant (by position) the answers that were given last."""
    found: dict[int, Eligibility] = {}
    for row in cohort.tables.rows.all(Eligibility):
        place = cohort.position.get(row.subject)
        if place is not None and row.status in ANSWERED:
            found[place] = row
    return found


def list_unmet(cohort: Cohort, row: Eligibility) -> Iterator[tuple[str, str]]:
    """(criterion, answer) wherever the answer is not the one that lets a participant in; of a
    criterion without an answer it is unknown."""
    given = dict(zip(row.criteria, row.answers, strict=True))
    for criterion in cohort.protocol.eligibility.criteria:
        answer = given.get(criterion.code, UNKNOWN)
        if answer != criterion.wanted:
            yield criterion.code, answer


def judge_eligibility(cohort: Cohort) -> list[str | None]:
    """Of each participant why not eligible; None for who is. A criterion that was overridden is
    not met."""
    return [_why_not(cohort, row) for row in range(len(cohort))]


def _why_not(cohort: Cohort, row: int) -> str | None:
    answers = cohort.eligibility.get(row)
    if answers is None:
        return NOT_RECORDED
    unmet = next(list_unmet(cohort, answers), None)
    return f"criterion {unmet[0]}: {unmet[1]}" if unmet else None
