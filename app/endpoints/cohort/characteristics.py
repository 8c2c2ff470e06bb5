"""What participants were like at the first dose: disease, sex, age, activity, background treatment.

Each function gives one value per participant, None or NaN where it is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.calendar import to_microseconds
from app.endpoints.reading.records import (
    ActivityScore,
    Demographic,
    Diagnosis,
    Treatment,
)

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

BACKGROUND = "background"
BACKGROUND_GROUPS = ("steroid", "hydroxychloroquine", "immunosuppressant")
"""Kinds of the study's code system background-treatment."""

STEROID = "steroid"
REFUTED = frozenset({"entered-in-error", "refuted"})
NOT_TAKEN = frozenset({"entered-in-error", "not-taken", "not-done", "cancelled"})

Numbers = NDArray[np.float64]


def find_diagnoses(cohort: Cohort) -> dict[int, Diagnosis]:
    """Of each participant the connective tissue disease: a confirmed one before others, then in the
    protocol's order; refuted ones and errors never."""
    order = {code: place for place, code in enumerate(cohort.protocol.diagnoses)}
    rows = [each for each in cohort.tables.rows.all(Diagnosis) if each.verification not in REFUTED]
    rows.sort(key=lambda each: (each.verification != "confirmed", order.get(each.code, len(order))))
    found: dict[int, Diagnosis] = {}
    for row in rows:
        place = cohort.position.get(row.subject)
        if place is not None:
            found.setdefault(place, row)
    return found


def find_demographics(cohort: Cohort) -> dict[int, Demographic]:
    rows = cohort.tables.rows.all(Demographic)
    places = ((cohort.position.get(row.subject), row) for row in rows)
    return {place: row for place, row in places if place is not None}


def find_ages(cohort: Cohort) -> Numbers:
    """Completed years at consent."""
    subjects = cohort.subjects
    ages = (subjects[each].age_at_consent if each in subjects else None for each in cohort.numbers)
    return np.array([np.nan if age is None else age for age in ages], np.float64)


def explain_unusable_score(cohort: Cohort, row: ActivityScore) -> str | None:
    """Why a score tells nothing of the activity at baseline; None if it may."""
    if row.status not in cohort.protocol.measurements["platelets"].valid_statuses:
        return "status is not final"
    if row.value is None or row.data_absent_reason is not None:
        return "no score"
    place = cohort.position.get(row.subject)
    first = cohort.date_of_first_dose(place) if place is not None else None
    if row.day is None or first is None:
        return "date not known to the day"
    if place is not None and first == row.day and _is_after_dose(cohort, place, row):
        return "after the first dose"
    days = cohort.protocol.baseline.window_days
    return None if 0 <= (first - row.day).days <= days else "not in the baseline's window"


def _is_after_dose(cohort: Cohort, place: int, row: ActivityScore) -> bool:
    """Where both times are known, later on the day of the first dose."""
    doses = cohort.first_doses
    if row.when is None or not row.when.has_time or not doses.timed[place]:
        return False
    return to_microseconds(row.when.begin) > int(doses.begin[place])


def find_scores(cohort: Cohort, instrument: str) -> dict[int, ActivityScore]:
    """Of each participant the last valid score on or before the day of the first dose, within the
    baseline's window; of two of one instant the lower."""
    found: dict[int, ActivityScore] = {}
    for row in cohort.tables.rows.all(ActivityScore):
        if row.kind != instrument or explain_unusable_score(cohort, row):
            continue
        place = cohort.position[row.subject]
        if place not in found or _score_key(row) >= _score_key(found[place]):
            found[place] = row
    return found


def _score_key(row: ActivityScore) -> tuple[object, ...]:
    assert row.when is not None
    assert row.value is not None
    return row.when.begin, -row.value


def score_values(cohort: Cohort, instrument: str) -> Numbers:
    """Points of an instrument at baseline."""
    values = np.full(len(cohort), np.nan)
    for place, row in find_scores(cohort, instrument).items():
        values[place] = np.nan if row.value is None else float(row.value)
    return values


def find_background(cohort: Cohort) -> dict[int, list[Treatment]]:
    """Of each participant the background treatments that were being taken on the day of the first
    dose."""
    found: dict[int, list[Treatment]] = {}
    for place, row, first in _background_rows(cohort):
        if explain_unused_background(cohort, row, first) is None:
            found.setdefault(place, []).append(row)
    return found


def _background_rows(cohort: Cohort) -> Iterator[tuple[int, Treatment, date | None]]:
    for row in cohort.tables.rows.all(Treatment):
        place = cohort.position.get(row.subject)
        if place is not None and row.kind == BACKGROUND:
            yield place, row, cohort.date_of_first_dose(place)


def explain_unused_background(cohort: Cohort, row: Treatment, first: date | None) -> str | None:
    """Why a background treatment is none at the first dose; None if it is."""
    if row.status in NOT_TAKEN:
        return "status says that it was not taken"
    day = cohort.day_of(row)
    if day is None or row.when is None or first is None:
        return "date not known"
    if day > int(cohort.first_doses.day[cohort.position[row.subject]]):
        return "begun after the first dose"
    ended = row.when.last_day
    return "ended before the first dose" if ended is not None and ended < first else None


def prednisone_values(cohort: Cohort) -> Numbers:
    """A day's prednisone equivalent of all steroids at the first dose, in mg; NaN where a steroid's
    is not told, 0 without steroid."""
    values = np.zeros(len(cohort))
    for place, rows in find_background(cohort).items():
        doses = [row.prednisone_mg for row in rows if row.group == STEROID]
        known = [float(dose) for dose in doses if dose is not None]
        values[place] = sum(sorted(known)) if len(known) == len(doses) else np.nan
    return values
