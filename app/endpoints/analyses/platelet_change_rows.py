"""Every count as an analysis row with ADaM's names, so that each choice can be checked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.endpoints.answers import Answer, build_source
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import (
    explain_choice,
    format_day,
    format_moment,
    list_counts,
    list_unusable_doses,
    number_or_none,
)
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.placing import exactly
from app.endpoints.figures.summaries import rounded


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant of the population, one row per count."""
    rows = members.rows.tolist()
    return {
        "unit": cohort.protocol.measurements["platelets"].unit,
        "subjects": [_subject(cohort, row) for row in rows],
        "rows": [each for row in rows for each in _rows(cohort, row)],
    }


def _subject(cohort: Cohort, row: int) -> Answer:
    from app.endpoints.analyses.platelet_change import find_missing

    number, dose = cohort.numbers[row], cohort.first_dose(row)
    taken = dose.when if dose else None
    visits = cohort.protocol.visits
    reasons = [(each.code, find_missing(cohort, row, at)) for at, each in enumerate(visits)]
    baseline, rescue = cohort.baseline[row], cohort.rescues.get(row)
    return {
        "USUBJID": number,
        "TRTSDT": format_day(taken),
        "TRTSDTM": format_moment(cohort, taken),
        "BASE": number_or_none(cohort.baseline_value[row]),
        "firstDose": build_source(dose.source) if dose else None,
        "baseline": build_source(cohort.measurement(baseline).source) if baseline >= 0 else None,
        "rescue": build_source(rescue.source) if rescue else None,
        "unusableDoses": list_unusable_doses(cohort, number),
        "missing": [{"visit": visit, "reason": reason} for visit, reason in reasons if reason],
    }


def _rows(cohort: Cohort, row: int) -> Iterator[Answer]:
    for count, told in list_counts(cohort, row):
        yield told | _changes(cohort, row, count) | explain_choice(cohort, row, count)


def _changes(cohort: Cohort, row: int, count: int) -> Answer:
    counts, base = cohort.counts, cohort.baseline_value[row]
    if np.isnan(base) or counts.visit[count] < 0 or counts.reason[count]:
        return dict.fromkeys(("CHG", "PCHG", "LNRATIO"))
    change, value = float(exactly(counts.value[count] - base)), counts.value[count]
    return {
        "CHG": rounded(change),
        "PCHG": rounded(100 * change / base) if base else None,
        "LNRATIO": rounded(float(np.log(value / base))) if base and value else None,
    }
