"""Every activity score and background steroid as a row: which was used for what, and why not.

ADaM's names (BDS); AVAL of a score is the whole, AVALNP the score without its platelet item; a
steroid's AVAL is its prednisone equivalent in mg a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from app.endpoints.analyses.ctd_activity_steroids import (
    find_baseline_dose,
    find_missing,
    find_visit_dose,
)
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.activity import Activity, Score
from app.endpoints.cohort.calendar import to_date
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import (
    AFTER_RESCUE,
    BASELINE,
    OUTSIDE,
    format_day,
    format_moment,
    study_day,
)
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.steroids import (
    NOT_THEN,
    explain_unusable_steroid,
    find_assessment_day,
    list_steroids,
)
from app.endpoints.figures.summaries import rounded
from app.endpoints.reading.records import Source, Treatment

NOT_CHOSEN = "another score was chosen"
STEROID = "PREDEQ"


def build_listing(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant; one row per score, then one per steroid, in order of time."""
    places = members.rows.tolist()
    rows = (each for place in places for each in _rows(cohort, place))
    return {"subjects": [_subject(cohort, place) for place in places], "rows": list(rows)}


def _subject(cohort: Cohort, place: int) -> Answer:
    dose, steroid = cohort.first_dose(place), find_baseline_dose(cohort, place)
    visits = enumerate(cohort.protocol.visits)
    return {
        "USUBJID": cohort.numbers[place],
        "TRTSDT": format_day(dose.when) if dose else None,
        "firstDose": build_source(dose.source) if dose else None,
        "baseline": [
            {"instrument": code, "BASE": _number(activity.baseline[place].value)}
            for code, activity in cohort.activities.items()
            if place in activity.baseline
        ],
        "steroidBaseline": _number(steroid.mg) if steroid else None,
        "steroids": [
            {"visit": visit.code, **_steroid_at(cohort, place, at)} for at, visit in visits
        ],
    }


def _steroid_at(cohort: Cohort, place: int, visit: int) -> Answer:
    dose, day = find_visit_dose(cohort, place, visit), find_assessment_day(cohort, place, visit)
    before = find_baseline_dose(cohort, place)
    return {
        "day": None if day is None else to_date(day).isoformat(),
        "mg": _number(dose.mg) if dose else None,
        "reason": find_missing(cohort, place, before, dose),
    }


def _rows(cohort: Cohort, place: int) -> Iterator[Answer]:
    for activity in cohort.activities.values():
        for score in activity.scores.get(place, ()):
            yield _score(cohort, activity, score)
    used = _steroid_uses(cohort, place)
    for row in list_steroids(cohort, place):
        yield _steroid(cohort, row, used.get(row.source, []))


def _score(cohort: Cohort, activity: Activity, score: Score) -> Answer:
    row, base = score.record, activity.baseline.get(score.place)
    return {
        "USUBJID": row.subject,
        "PARAMCD": row.kind,
        "ADT": format_day(row.when),
        "ADTM": format_moment(cohort, row.when),
        "ADY": study_day(score.elapsed),
        "elapsed": score.elapsed,
        **_window(cohort, score),
        "AVAL": _number(score.value),
        "AVALNP": _number(score.value_without_platelets),
        "plateletItem": _number(row.platelet_item),
        "BASE": _number(base.value) if base else None,
        **_changes(activity, score, base),
        **_choice(activity, score),
    }


def _window(cohort: Cohort, score: Score) -> Answer:
    visit = cohort.protocol.visits[score.visit] if score.visit >= 0 else None
    distance = abs((score.elapsed or 0) - visit.target) if visit else None
    return {
        "AVISIT": visit.label if visit else BASELINE if score.for_baseline else None,
        "AVISITN": visit.month if visit else 0 if score.for_baseline else None,
        "AWTARGET": visit.target if visit else None,
        "AWTDIFF": distance,
        "AWLO": visit.low if visit else None,
        "AWHI": visit.high if visit else None,
        "AWU": "DAYS" if visit else None,
        "inTolerance": distance <= visit.tolerance if visit and distance is not None else None,
    }


def _changes(activity: Activity, score: Score, base: Score | None) -> Answer:
    """CRIT1FL is Y or N at a visit, by the responder cut of the instrument."""
    cut = activity.instrument.responder_decrease
    change = without = None
    if base and score.visit >= 0:
        change = _difference(score.value, base.value)
        without = _difference(score.value_without_platelets, base.value_without_platelets)
    return {
        "CHG": _number(change),
        "CHGNP": _number(without),
        "CRIT1": None if cut is None else f"CHG <= -{cut}",
        "CRIT1FL": None if cut is None or change is None else "Y" if change <= -cut else "N",
    }


def _difference(after: Decimal | None, before: Decimal | None) -> Decimal | None:
    return None if after is None or before is None else after - before


def _choice(activity: Activity, score: Score) -> Answer:
    is_baseline = activity.baseline.get(score.place) is score
    chosen = is_baseline or any(each.get(score.place) is score for each in activity.visits)
    return {
        "ABLFL": "Y" if is_baseline else None,
        "ANL01FL": "Y" if chosen else None,
        "notUsed": None if chosen else _why_not(score),
        **build_source(score.record.source),
    }


def _why_not(score: Score) -> str:
    if score.reason:
        return score.reason
    if score.visit < 0 and not score.for_baseline:
        return OUTSIDE
    return AFTER_RESCUE if score.after_rescue and score.visit >= 0 else NOT_CHOSEN


def _steroid(cohort: Cohort, row: Treatment, visits: list[str]) -> Answer:
    last = row.when.last_day if row.when else None
    unused = None if visits else explain_unusable_steroid(row) or NOT_THEN
    return {
        "USUBJID": row.subject,
        "PARAMCD": STEROID,
        "drug": row.drug,
        "ASTDT": format_day(row.when),
        "AENDT": last.isoformat() if last else None,
        "AVAL": _number(row.prednisone_mg),
        "usedAt": visits,
        "notUsed": unused,
        **build_source(row.source),
    }


def _steroid_uses(cohort: Cohort, place: int) -> dict[Source, list[str]]:
    """Of each steroid record the visits at which it was in force."""
    doses = [(cohort.protocol.baseline.code, find_baseline_dose(cohort, place))]
    for at, visit in enumerate(cohort.protocol.visits):
        doses.append((visit.code, find_visit_dose(cohort, place, at)))
    used: dict[Source, list[str]] = {}
    for code, dose in doses:
        for row in dose.records if dose else ():
            used.setdefault(row.source, []).append(code)
    return used


def _number(value: Decimal | None) -> float | None:
    return None if value is None else rounded(float(value))


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    visits = [visit.code for visit in cohort.protocol.visits]
    for place in members.rows.tolist():
        number = cohort.numbers[place]
        if dose := cohort.first_dose(place):
            yield Input(number, "first dose", None, dose.source)
        if rescue := cohort.rescues.get(place):
            yield Input(number, "rescue", None, rescue.source)
        for code, activity in cohort.activities.items():
            if base := activity.baseline.get(place):
                yield Input(number, f"baseline of {code}", None, base.record.source)
            for visit, chosen in zip(visits, activity.visits, strict=True):
                if score := chosen.get(place):
                    yield Input(number, code, visit, score.record.source)
        for source, used in _steroid_uses(cohort, place).items():
            for code in used:
                yield Input(number, "steroid", code, source)
