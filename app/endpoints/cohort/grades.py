"""Platelet grades of CTCAE, by the limits of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.choosing import Index, choose_least
from app.endpoints.cohort.placing import exactly

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

MISSING = 5
"""Of who has no count; grades are 0 to 4."""


def name_grade(grade: int) -> str:
    return "missing" if grade == MISSING else f"grade {grade}"


def find_grades(cohort: Cohort, chosen: Index) -> NDArray[np.int8]:
    """The grade of each of the chosen counts (positions; -1 for none)."""
    return grade_values(cohort, cohort.values_of(chosen))


def grade_values(cohort: Cohort, values: NDArray[np.float64]) -> NDArray[np.int8]:
    """Of counts in 10*9/L (NaN: none): how many of the limits each lies below."""
    safety = cohort.protocol.safety
    limits = (safety.platelet_lower_limit, *safety.platelet_grades)
    value = exactly(values)
    grades = sum((value < float(limit) for limit in limits), np.zeros(len(values), np.int8))
    return np.where(np.isnan(values), MISSING, grades).astype(np.int8)


def find_worst_counts(cohort: Cohort) -> Index:
    """Of each participant the lowest usable count on a day after that of the first dose, of equal
    ones the earliest; -1 for none."""
    counts = cohort.counts
    rows = np.flatnonzero(counts.usable & counts.after_first_dose)
    keys = (counts.value, counts.begin, counts.key)
    return choose_least(rows, counts.subject, len(cohort), keys)
