"""Responses told one by one: each participant's at every visit, and every row that they rest on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.endpoints.analyses.responding import Judged, explain_unusable_rescue, judge, name_response
from app.endpoints.answers import Answer, build_source
from app.endpoints.cohort.bleeding import BLEEDS, NO_BLEEDING, explain_unusable_bleeding
from app.endpoints.cohort.cohort import RESCUE, Cohort
from app.endpoints.cohort.listing import (
    NOT_CHOSEN,
    OUTSIDE,
    elapsed_of,
    format_day,
    list_counts,
    list_unusable_doses,
    name_reason,
    number_or_none,
)
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.response_course import Course, find_course
from app.endpoints.cohort.responses import UNJUDGED, name_level
from app.endpoints.cohort.stopping import PRESCRIBED, STUDY_MEDICATION
from app.endpoints.cohort.visit_responses import WHY
from app.endpoints.reading.records import Bleeding, Record, Treatment

BLEEDING_WORDS = {BLEEDS: "Y", NO_BLEEDING: "N"}
NOT_FIRST = "another rescue treatment came first"
BEFORE_DOSE = "before the first dose"
NO_STOP = "does not say that sirolimus was stopped for good"


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant of the population; one row per count, bleeding assessment, rescue
    treatment and sirolimus prescription."""
    judged = judge(cohort)
    course = find_course(cohort, judged.responses)
    rows = members.rows.tolist()
    return {
        "unit": cohort.protocol.measurements["platelets"].unit,
        "rule": judged.rule.id,
        "subjects": [_subject(judged, course, row) for row in rows],
        "rows": [each for row in rows for each in _rows(judged, row)],
    }


def _subject(judged: Judged, course: Course, row: int) -> Answer:
    cohort, number = judged.cohort, judged.cohort.numbers[row]
    dose, baseline, stop = cohort.first_dose(row), cohort.baseline[row], cohort.stops.get(row)
    rescue = cohort.rescues.get(row)
    return {
        "USUBJID": number,
        "TRTSDT": format_day(dose.when if dose else None),
        "BASE": number_or_none(cohort.baseline_value[row]),
        "firstDose": build_source(dose.source) if dose else None,
        "baseline": build_source(cohort.measurement(baseline).source) if baseline >= 0 else None,
        "rescue": build_source(rescue.source) if rescue else None,
        "sirolimusStopped": {"sign": stop.why, **build_source(stop.source)} if stop else None,
        "unusableDoses": list_unusable_doses(cohort, number),
        "visits": [_visit(judged, row, visit) for visit in range(len(cohort.protocol.visits))],
        **tell_course(judged, course, row),
    }


def _visit(judged: Judged, row: int, visit: int) -> Answer:
    cohort, at = judged.cohort, judged.visits
    count = int(at.chosen[row, visit])
    there = count >= 0
    return {
        "visit": cohort.protocol.visits[visit].code,
        "response": name_response(judged, row, visit),
        "AVAL": number_or_none(cohort.counts.value[count]) if there else None,
        "elapsed": elapsed_of(cohort, count) if there else None,
        "bleeding": _bleeding(judged, count) if there else None,
        "reason": WHY[at.why[row, visit]] or None,
    }


def tell_course(judged: Judged, course: Course, row: int) -> Answer:
    """Best and first response, loss and duration of one participant, in days."""
    best = int(course.best[row])
    return {
        "best": name_level(judged.rule, best) if best != UNJUDGED else None,
        "firstResponse": _days(course.first[row]),
        "firstComplete": _days(course.first_complete[row]),
        "lossOfResponse": _days(course.loss[row]),
        "lossOfComplete": _days(course.loss_complete[row]),
        "duration": _days(course.duration[row]),
        "ongoing": None if np.isnan(course.duration[row]) else bool(np.isnan(course.loss[row])),
    }


def _days(value: float) -> int | None:
    return None if np.isnan(value) else int(value)


def _bleeding(judged: Judged, count: int) -> str:
    return BLEEDING_WORDS.get(int(judged.responses.bleeding[count]), "not assessed")


def _rows(judged: Judged, row: int) -> Iterator[Answer]:
    cohort = judged.cohort
    for count, told in list_counts(cohort, row):
        yield told | _judgement(judged, count) | _choice(judged, row, count)
    number = cohort.numbers[row]
    for bleeding in cohort.tables.rows.of(Bleeding, number):
        why = explain_unusable_bleeding(cohort, bleeding)
        yield _other(cohort, row, bleeding, "BLEED", bleeding.grade, why)
    for treated in cohort.tables.rows.of(Treatment, number):
        if treated.kind == RESCUE:
            why = _why_no_rescue(cohort, row, treated)
            yield _other(cohort, row, treated, "RESCUE", treated.group, why)
        elif treated.kind == PRESCRIBED and treated.group == STUDY_MEDICATION:
            stop = cohort.stops.get(row)
            used = stop is not None and stop.source == treated.source
            why = None if used else NO_STOP
            yield _other(cohort, row, treated, "PRESCRIPTION", treated.status, why)


def _judgement(judged: Judged, count: int) -> Answer:
    """What a count is by itself and what stands of it."""
    responses, rule = judged.responses, judged.rule
    return {
        "countAlone": name_level(rule, int(responses.alone[count])),
        "response": name_level(rule, int(responses.level[count])),
        "bleeding": _bleeding(judged, count),
        "afterEvent": bool(responses.failed[count]),
    }


def _choice(judged: Judged, row: int, count: int) -> Answer:
    cohort = judged.cohort
    is_baseline = cohort.baseline[row] == count
    chosen = is_baseline or count in judged.visits.chosen[row]
    return {
        "ABLFL": "Y" if is_baseline else None,
        "ANL01FL": "Y" if chosen else None,
        "notUsed": None if chosen else _why_not(cohort, count),
        "scaleSuspect": bool(cohort.counts.scale_suspect[count]),
        **build_source(cohort.measurement(count).source),
    }


def _why_not(cohort: Cohort, count: int) -> str:
    counts = cohort.counts
    if counts.reason[count]:
        return name_reason(cohort, int(counts.reason[count]))
    outside = counts.visit[count] < 0 and not counts.for_baseline[count]
    return OUTSIDE if outside else NOT_CHOSEN


def _why_no_rescue(cohort: Cohort, row: int, treated: Treatment) -> str | None:
    why, day = explain_unusable_rescue(treated), cohort.day_of(treated)
    first = cohort.rescues.get(row)
    if why or (first is not None and first.source == treated.source):
        return why
    early = day is not None and day < cohort.first_doses.day[row]
    return BEFORE_DOSE if early else NOT_FIRST


def _other(
    cohort: Cohort, row: int, record: Record, kind: str, value: object, why: str | None
) -> Answer:
    day, first = cohort.day_of(record), cohort.date_of_first_dose(row)
    known = day is not None and record.day is not None and first is not None
    return {
        "USUBJID": record.subject,
        "SUBJID": record.subject,
        "PARAMCD": kind,
        "ADT": format_day(record.when),
        "elapsed": (record.day - first).days if known and record.day and first else None,
        "AVALC": None if value is None else str(value),
        "notUsed": why,
        **build_source(record.source),
    }
