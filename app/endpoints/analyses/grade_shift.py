"""Platelet grades by CTCAE as shifts: at baseline against the worst after it, and at each visit.

CTCAE v5.0, "Platelet count decreased": grade 1 below the lower limit of normal, 2 below 75,
3 below 50, 4 below 25 x10^9/L. Everyone starts low, so a grade alone tells nothing of treatment.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.grade_shift_rows import build_listing
from app.endpoints.analyses.platelet_change import name_visit
from app.endpoints.answers import Answer, Input
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.grades import MISSING, find_grades, find_worst_counts, name_grade
from app.endpoints.cohort.listing import count_unusable_counts
from app.endpoints.cohort.members import Members
from app.endpoints.figures.proportions import compute_proportion

METHODS = {
    "grade": "the number of limits that a count lies below: the lower limit of normal, 75, 50, 25",
    "worst": "the lowest usable count on any day after that of the first dose",
    "visit": "the count chosen for the visit as for the platelet change",
    "participants": "of those with both grades; interval: Clopper-Pearson",
    "rescue": "treatment policy: counts after rescue treatment are used",
}

NOTES = (
    "The laboratories' lower limits of normal are not sent: the protocol's platelet_lower_limit "
    "stands for them, and only grade 0 against grade 1 depends on it.",
    "A count that is exactly a limit has the milder grade.",
    "These grades are no adverse events.",
)

Grades = NDArray[np.int8]


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    safety, grades = cohort.protocol.safety, range(MISSING)
    limits = (safety.platelet_lower_limit, *safety.platelet_grades)
    baseline = find_grades(cohort, cohort.baseline)[members.rows]
    return {
        "grading": safety.grading,
        "unit": cohort.protocol.measurements["platelets"].unit,
        "limits": [
            {"level": name_grade(grade), "below": float(limits[grade - 1])} for grade in grades[1:]
        ],
        "confidence": cohort.confidence,
        "n": len(members),
        "baseline": _levels(baseline),
        "worst": _shift(cohort, baseline, _worst(cohort)[members.rows]),
        "visits": [
            name_visit(visit) | _shift(cohort, baseline, _visit(cohort, at)[members.rows])
            for at, visit in enumerate(cohort.protocol.visits)
            if cohort.request.parameters.get("visit") in (None, visit.code)
        ],
        "counts": {"unusable": count_unusable_counts(cohort, members)},
    }


def _worst(cohort: Cohort) -> Grades:
    return find_grades(cohort, find_worst_counts(cohort))


def _visit(cohort: Cohort, visit: int) -> Grades:
    return find_grades(cohort, cohort.visits[:, visit])


def _shift(cohort: Cohort, before: Grades, after: Grades) -> Answer:
    """Every pair of grades, and who improved: a lower grade than at baseline."""
    table = np.zeros((MISSING + 1, MISSING + 1), np.int64)
    np.add.at(table, (before, after), 1)
    known = table[:MISSING, :MISSING]
    moves = {
        "improved": int(np.tril(known, -1).sum()),
        "unchanged": int(np.trace(known)),
        "worsened": int(np.triu(known, 1).sum()),
    }
    n = int(known.sum())
    return {
        "n": n,
        **{name: compute_proportion(moved, n, cohort.confidence) for name, moved in moves.items()},
        "shifts": [_row(grade, counts.tolist()) for grade, counts in enumerate(table)],
    }


def _row(grade: int, counts: list[int]) -> Answer:
    return {
        "name": f"baseline {name_grade(grade)}",
        "participants": sum(counts),
        "to": [
            {"level": name_grade(after), "participants": number}
            for after, number in enumerate(counts)
        ],
    }


def _levels(grades: Grades) -> list[Answer]:
    counts = np.bincount(grades, minlength=MISSING + 1).tolist()
    return [
        {"level": name_grade(grade), "participants": number} for grade, number in enumerate(counts)
    ]


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    worst = find_worst_counts(cohort)
    for row in members.rows.tolist():
        number = cohort.numbers[row]
        if dose := cohort.first_dose(row):
            yield Input(number, "first dose", None, dose.source)
        for used_as, visit, count in _uses(cohort, row, int(worst[row])):
            if count >= 0:
                yield Input(number, used_as, visit, cohort.measurement(count).source)


def _uses(cohort: Cohort, row: int, worst: int) -> Iterator[tuple[str, str | None, int]]:
    yield "baseline", None, int(cohort.baseline[row])
    yield "worst", None, worst
    for visit, count in zip(cohort.protocol.visits, cohort.visits[row].tolist(), strict=True):
        yield "visit", visit.code, count


PLATELET_GRADE_SHIFT = Analysis(compute_figures, build_listing, iterate_inputs, METHODS, NOTES)
