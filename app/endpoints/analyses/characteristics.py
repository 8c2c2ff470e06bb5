"""Baseline characteristics: continuous ones summarised, categorical ones counted, missing told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.characteristics_rows import (
    STEROID_DOSE,
    build_subject_rows,
    find_washed,
    iterate_inputs,
)
from app.endpoints.answers import Answer
from app.endpoints.cohort.characteristics import (
    BACKGROUND_GROUPS,
    Numbers,
    find_ages,
    find_background,
    find_demographics,
    find_diagnoses,
    prednisone_values,
    score_values,
)
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.figures.summaries import DIGITS, compute_summary, rounded

METHODS = {
    "percent": "of the participants of whom it is known; missing is counted beside",
    "quartiles": "SAS type 2 (QNTLDEF=5; Hyndman-Fan type 2)",
    "age": "completed years at consent",
    "activity": "the last score on or before the day of the first dose, in the baseline's window",
    "background": "in force on the day of the first dose; one participant may have several",
    "steroidDose": "a day's prednisone equivalent of all steroids on the day of the first dose",
    "rounding": f"estimates to {DIGITS} significant digits",
}

NOTES = (
    "Weight and height are not collected by the study's forms: not recorded.",
    "No background treatment recorded is not the same as none taken.",
)

NO_ONE = "nobody of whom it is known"
NOT_RECORDED = ("weight", "height")
NONE_RECORDED = "none recorded"

Labels = Sequence[str | None]


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    return {
        "confidence": cohort.confidence,
        "n": len(members),
        "continuous": _continuous(cohort, members),
        "categorical": _categorical(cohort, members),
        "baselineAfterTreatment": _washed(cohort, members),
        "notRecorded": list(NOT_RECORDED),
    }


def _continuous(cohort: Cohort, members: Members) -> list[Answer]:
    steroid = prednisone_values(cohort)
    platelets = cohort.protocol.measurements["platelets"].unit
    instruments = [
        (f"{code} at baseline", "{score}", score_values(cohort, code))
        for code in cohort.protocol.activity_instruments
    ]
    found: list[tuple[str, str, Numbers]] = [
        ("age", "a", find_ages(cohort)),
        ("baseline platelet count", platelets, cohort.baseline_value),
        *instruments,
        (STEROID_DOSE, "mg/d", steroid),
    ]
    told = [_summary(cohort, members, *each) for each in found]
    taking = np.where(steroid > 0, steroid, np.nan)
    return [*told, _summary(cohort, members, f"{STEROID_DOSE} of those on it", "mg/d", taking)]


def _summary(cohort: Cohort, members: Members, name: str, unit: str, values: Numbers) -> Answer:
    among = values[members.rows]
    known = among[~np.isnan(among)]
    missing = len(among) - len(known)
    return {"name": name, "unit": unit, "missing": missing} | compute_summary(
        known, cohort.confidence
    )


def _categorical(cohort: Cohort, members: Members) -> list[Answer]:
    rows = members.rows.tolist()
    people, diseases = find_demographics(cohort), find_diagnoses(cohort)
    sexes = [people[row].gender if row in people else None for row in rows]
    ctds = [diseases[row].code if row in diseases else None for row in rows]
    return [
        _levels("sex", sexes, ("female", "male")),
        _levels("connective tissue disease", ctds, tuple(cohort.protocol.diagnoses)),
        _levels("baseline platelet count", _strata(cohort, members), _strata_names(cohort)),
        _background(cohort, members),
    ]


def _levels(name: str, labels: Labels, order: Sequence[str]) -> Answer:
    """Each level that may be, then what else there is, with those who are not known apart."""
    found = Counter(label for label in labels if label is not None)
    names = list(dict.fromkeys((*order, *sorted(found))))
    of = sum(found.values())
    return {
        "name": name,
        "n": of,
        "missing": len(labels) - of,
        "levels": [_level(each, found[each], of) for each in names],
    }


def _level(name: str, n: int, of: int) -> Answer:
    return {
        "level": name,
        "n": n,
        "percent": rounded(100 * n / of) if of else None,
        "reasons": {} if of else {"percent": NO_ONE},
    }


def _strata_names(cohort: Cohort) -> tuple[str, str]:
    limit = cohort.protocol.response.baseline_stratum
    return f"< {limit}", f">= {limit}"


def _strata(cohort: Cohort, members: Members) -> Labels:
    limit, (below, above) = float(cohort.protocol.response.baseline_stratum), _strata_names(cohort)
    values = cohort.baseline_value[members.rows].tolist()
    return [None if value != value else below if value < limit else above for value in values]


def _background(cohort: Cohort, members: Members) -> Answer:
    """Groups of background treatment: levels that don't exclude each other."""
    found, rows = find_background(cohort), members.rows.tolist()
    groups = [{each.group for each in found.get(row, ())} for row in rows]
    counted = Counter(group for each in groups for group in each)
    names = list(dict.fromkeys((*BACKGROUND_GROUPS, *sorted(counted))))
    levels = [_level(name, counted[name], len(rows)) for name in names]
    none = _level(NONE_RECORDED, sum(not each for each in groups), len(rows))
    several = "background treatment"
    return {"name": several, "n": len(rows), "missing": 0, "levels": [*levels, none]}


def _washed(cohort: Cohort, members: Members) -> list[Answer]:
    """Baseline counts soon after a treatment that raises them: flagged, used all the same."""
    inside = set(members.rows.tolist())
    return [
        {
            "name": group,
            "withinDays": days,
            "n": sum(row in inside for row in washed),
        }
        for group, days, washed in find_washed(cohort)
    ]


BASELINE_CHARACTERISTICS = Analysis(
    compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES
)
