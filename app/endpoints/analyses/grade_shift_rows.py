"""Every platelet count with its grade: which is baseline, which the worst, which of a visit.

ADaM's names: ATOXGR the grade, BTOXGR that of baseline, SHIFT1 both, WORSTFL the worst after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.endpoints.answers import Answer, build_source
from app.endpoints.cohort.choosing import Index
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.grades import (
    MISSING,
    find_grades,
    find_worst_counts,
    grade_values,
    name_grade,
)
from app.endpoints.cohort.listing import (
    NOT_CHOSEN,
    OUTSIDE,
    format_day,
    list_counts,
    list_unusable_doses,
    name_reason,
)
from app.endpoints.cohort.members import Members

NOT_WORST = "no visit's count, and not the worst"


def build_listing(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant, one row per count."""
    rows = members.rows.tolist()
    grades = grade_values(cohort, cohort.counts.value)
    worst = find_worst_counts(cohort)
    return {
        "unit": cohort.protocol.measurements["platelets"].unit,
        "subjects": [_subject(cohort, row, worst) for row in rows],
        "rows": [each for row in rows for each in _rows(cohort, row, int(worst[row]), grades)],
    }


def _subject(cohort: Cohort, row: int, worst: Index) -> Answer:
    number, dose = cohort.numbers[row], cohort.first_dose(row)
    chosen = np.array([cohort.baseline[row], worst[row]])
    before, after = find_grades(cohort, chosen).tolist()
    return {
        "USUBJID": number,
        "TRTSDT": format_day(dose.when) if dose else None,
        "BTOXGR": _grade(before),
        "worstATOXGR": _grade(after),
        "SHIFT1": f"{name_grade(before)} to {name_grade(after)}",
        "firstDose": build_source(dose.source) if dose else None,
        "unusableDoses": list_unusable_doses(cohort, number),
    }


def _rows(cohort: Cohort, row: int, worst: int, grades: NDArray[np.int8]) -> Iterator[Answer]:
    base = find_grades(cohort, cohort.baseline[[row]]).tolist()[0]
    for count, told in list_counts(cohort, row):
        usable = not cohort.counts.reason[count]
        grade = int(grades[count]) if usable else MISSING
        yield told | {
            "ATOXGR": _grade(grade),
            "BTOXGR": _grade(base),
            "WORSTFL": "Y" if count == worst else None,
            **_choice(cohort, row, count, worst),
        }


def _choice(cohort: Cohort, row: int, count: int, worst: int) -> Answer:
    is_baseline = bool(cohort.baseline[row] == count)
    of_visit = bool(count in cohort.visits[row])
    used = is_baseline or of_visit or count == worst
    return {
        "ABLFL": "Y" if is_baseline else None,
        "ANL01FL": "Y" if is_baseline or of_visit else None,
        "notUsed": None if used else _why_not(cohort, count),
        **build_source(cohort.measurement(count).source),
    }


def _why_not(cohort: Cohort, count: int) -> str:
    counts = cohort.counts
    if counts.reason[count]:
        return name_reason(cohort, int(counts.reason[count]))
    if counts.after_first_dose[count]:
        return NOT_WORST
    return NOT_CHOSEN if counts.for_baseline[count] else OUTSIDE


def _grade(grade: int) -> int | None:
    return None if grade == MISSING else grade
