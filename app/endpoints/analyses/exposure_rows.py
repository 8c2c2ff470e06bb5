"""Exposure told one by one: a participant's sums, and every record of sirolimus with the days it
tells, or why it tells none."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.adherence import Adherence, measure_to_visit, measure_treatment
from app.endpoints.cohort.calendar import to_date
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.dosing import AFTER, HOSPITAL, PILL_COUNT, Dosing, key_of
from app.endpoints.cohort.listing import explain_unusable_dose, format_day, format_moment
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.regimens import PRESCRIBED, STUDY_MEDICATION
from app.endpoints.figures.summaries import rounded
from app.endpoints.reading.records import Dose, Treatment

NO_FIRST_DOSE = "no first dose known to the day"


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant, one row per dose record and prescription of sirolimus."""
    rows = members.rows.tolist()
    return {
        "unit": "mg",
        "subjects": [_subject(cohort, row) for row in rows],
        "rows": [each for row in rows for each in _rows(cohort, row)],
    }


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    for row in members.rows.tolist():
        yield from iterate_doses(cohort, row)


def iterate_doses(cohort: Cohort, row: int) -> Iterator[Input]:
    """The dose records that tell a day, and the prescriptions in force."""
    number, dosing = cohort.numbers[row], cohort.dosings[row]
    if dosing is None:
        return
    for dose in cohort.tables.rows.of(Dose, number):
        if key_of(dose) in dosing.days_told_by:
            yield Input(number, "dose", None, dose.source)
    for regimen in dosing.regimens:
        yield Input(number, "prescription", None, regimen.record.source)


def exactly(amount: Fraction) -> float:
    return rounded(float(amount))


def _subject(cohort: Cohort, row: int) -> Answer:
    number, dosing = cohort.numbers[row], cohort.dosings[row]
    if dosing is None:
        return {"USUBJID": number, "TRTSDT": None, "reason": NO_FIRST_DOSE}
    stop = cohort.stops.get(row)
    return {
        "USUBJID": number,
        "TRTSDT": to_date(dosing.first).isoformat(),
        "TRTEDT": to_date(dosing.last).isoformat(),
        "TRTDURD": dosing.duration,
        "cumulative": exactly(dosing.cumulative),
        "meanDaily": exactly(dosing.cumulative / dosing.duration),
        "unrecordedDays": len(dosing.unrecorded),
        "adherence": _told(cohort, measure_treatment(dosing)),
        "adherenceToVisit": _told(cohort, measure_to_visit(cohort, dosing)),
        "changes": [
            {
                "day": to_date(each.day).isoformat(),
                "elapsed": each.day - dosing.first,
                "before": exactly(each.before),
                "after": exactly(each.after),
            }
            for each in dosing.changes
        ],
        "interruptions": [
            {"day": to_date(day).isoformat(), "elapsed": day - dosing.first, "days": days}
            for day, days in dosing.interruptions(cohort.protocol.exposure.interruption_days)
        ],
        "stop": {"day": to_date(stop.day).isoformat(), "why": stop.why} if stop else None,
        "reason": None,
    }


def _told(cohort: Cohort, adherence: Adherence) -> Answer:
    percent = adherence.percent(cohort.protocol.exposure.unrecorded_days)
    return {
        "percent": None if percent is None else rounded(percent),
        "mgTaken": exactly(adherence.taken),
        "mgExpected": exactly(adherence.expected),
        "days": adherence.days,
        "unrecordedDays": adherence.unrecorded,
    }


def _rows(cohort: Cohort, row: int) -> Iterator[Answer]:
    number, dosing = cohort.numbers[row], cohort.dosings[row]
    for dose in cohort.tables.rows.of(Dose, number):
        yield _dose(cohort, dosing, dose)
    for treatment in cohort.tables.rows.of(Treatment, number):
        if (treatment.kind, treatment.group) == (PRESCRIBED, STUDY_MEDICATION):
            yield _prescription(cohort, dosing, treatment)


def _dose(cohort: Cohort, dosing: Dosing | None, dose: Dose) -> Answer:
    days = dosing.days_told_by.get(key_of(dose), 0) if dosing else 0
    when = dose.when
    milligrams = dose.total if dose.origin == PILL_COUNT else dose.amount
    return {
        "USUBJID": dose.subject,
        "kind": "dose",
        "origin": dose.origin or HOSPITAL,
        "ADT": format_day(when),
        "ADTM": format_moment(cohort, when),
        "last": when.last_day.isoformat() if when and when.last_day else None,
        "status": dose.status,
        "mg": None if milligrams is None else float(milligrams),
        "days": days,
        "notUsed": None if days else _why_not(cohort, dosing, dose),
        **build_source(dose.source),
    }


def _why_not(cohort: Cohort, dosing: Dosing | None, dose: Dose) -> str:
    if dosing:
        return dosing.unused.get(key_of(dose), AFTER)
    statuses = cohort.protocol.dosing.first_dose_statuses
    return explain_unusable_dose(dose, statuses) or NO_FIRST_DOSE


def _prescription(cohort: Cohort, dosing: Dosing | None, row: Treatment) -> Answer:
    unused = {each.source: why for each, why in dosing.unused_regimens} if dosing else {}
    return {
        "USUBJID": row.subject,
        "kind": "prescription",
        "origin": None,
        "ADT": format_day(row.when),
        "ADTM": format_moment(cohort, row.when),
        "last": row.when.last_day.isoformat() if row.when and row.when.last_day else None,
        "status": row.status,
        "mg": None if row.daily_mg is None else float(row.daily_mg),
        "days": None,
        "notUsed": unused.get(row.source) if dosing else NO_FIRST_DOSE,
        **build_source(row.source),
    }
