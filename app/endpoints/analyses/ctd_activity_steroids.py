"""Change of the steroid dose (prednisone equivalent, mg a day), beside the activity."""

from __future__ import annotations

from collections.abc import Mapping

from app.endpoints.analyses.ctd_activity_changes import Pair, summarize
from app.endpoints.answers import Answer, build_reasons
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import NO_DOSE, Members
from app.endpoints.cohort.steroids import (
    NOT_TOLD,
    SteroidDose,
    find_assessment_day,
    find_baseline_day,
    find_steroid_dose,
    has_background,
)
from app.endpoints.figures.summaries import compute_summary

NO_DOSE_DATE = "date of the first dose not known to the day"
NO_ASSESSMENT = "neither score nor count in the window before rescue treatment"
NO_BASELINE_DOSE = "prednisone equivalent not known at baseline"

Doses = Mapping[int, SteroidDose | None]
"""By participant (position)."""


def compute_steroids(cohort: Cohort, members: Members) -> Answer:
    places = members.rows.tolist()
    baseline = {place: find_baseline_dose(cohort, place) for place in places}
    visits = [
        at
        for at, visit in enumerate(cohort.protocol.visits)
        if cohort.request.parameters.get("visit") in (None, visit.code)
    ]
    return {
        "unit": "mg/d",
        "withoutBackgroundRecord": sum(not has_background(cohort, place) for place in places),
        "baseline": _baseline(cohort, baseline),
        "visits": [_visit(cohort, baseline, at) for at in visits],
    }


def _baseline(cohort: Cohort, doses: Doses) -> Answer:
    known = [float(each.mg) for each in doses.values() if each and each.mg is not None]
    return compute_summary(known, cohort.confidence) | {
        "missing": len(doses) - len(known),
        "onSteroid": sum(value > 0 for value in known),
        "doubled": _count_doubled(doses),
    }


def find_baseline_dose(cohort: Cohort, place: int) -> SteroidDose | None:
    """None without a first dose that is known to the day."""
    day = find_baseline_day(cohort, place)
    return None if day is None else find_steroid_dose(cohort, place, day)


def find_visit_dose(cohort: Cohort, place: int, visit: int) -> SteroidDose | None:
    """None without an assessment at the visit."""
    day = find_assessment_day(cohort, place, visit)
    return None if day is None else find_steroid_dose(cohort, place, day)


def find_missing(
    cohort: Cohort, place: int, before: SteroidDose | None, after: SteroidDose | None
) -> str | None:
    """Why a participant has no change of the steroid dose; None if there is one."""
    if not cohort.first_doses.taken[place]:
        return NO_DOSE
    if before is None:
        return NO_DOSE_DATE
    if after is None:
        return NO_ASSESSMENT
    if before.mg is None:
        return NO_BASELINE_DOSE
    return NOT_TOLD if after.mg is None else None


def _visit(cohort: Cohort, baseline: Doses, visit: int) -> Answer:
    doses = {place: find_visit_dose(cohort, place, visit) for place in baseline}
    missing = [
        (cohort.numbers[place], reason)
        for place, before in baseline.items()
        if (reason := find_missing(cohort, place, before, doses[place]))
    ]
    pairs = [pair for place in baseline if (pair := _pair(baseline[place], doses[place]))]
    return {
        "visit": cohort.protocol.visits[visit].code,
        "missing": build_reasons(missing, listed=cohort.tables.listed),
        "doubled": _count_doubled(doses),
        **summarize(cohort, pairs),
        "reduced": sum(pair.change < 0 for pair in pairs),
        "increased": sum(pair.change > 0 for pair in pairs),
        "stopped": sum(pair.baseline > 0 and pair.value == 0 for pair in pairs),
    }


def _pair(before: SteroidDose | None, after: SteroidDose | None) -> Pair | None:
    if before is None or after is None or before.mg is None or after.mg is None:
        return None
    return Pair(before.mg, after.mg)


def _count_doubled(doses: Doses) -> int:
    return sum(dose.doubled for dose in doses.values() if dose)
