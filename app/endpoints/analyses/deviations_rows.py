"""Deviations one by one, with the records that show them, and what could not be judged."""

from __future__ import annotations

from collections.abc import Iterator

from app.endpoints.analyses.exposure_rows import iterate_doses
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.calendar import to_date
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.deviating import Deviation, Finding, is_major
from app.endpoints.cohort.members import Members
from app.endpoints.reading.columns import NO_DAY
from app.endpoints.reading.records import AdverseEvent, Attendance, Source


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant, one row per record of each deviation; one without a record where
    something is missing or can't be judged."""
    rows = members.rows.tolist()
    return {
        "subjects": [_subject(cohort, row) for row in rows],
        "rows": [each for row in rows for each in _rows(cohort, row)],
    }


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    """All that was looked at, whether or not it shows a deviation."""
    for row in members.rows.tolist():
        yield from iterate_conduct(cohort, row)


def iterate_conduct(cohort: Cohort, row: int) -> Iterator[Input]:
    """What conduct by the protocol is judged by: participation, eligibility, doses, levels, adverse
    events, attendances, and the counts that show that a visit was held."""
    number, rows = cohort.numbers[row], cohort.tables.rows
    if subject := cohort.subjects.get(number):
        yield Input(number, "participation", None, subject.source)
    if answers := cohort.eligibility.get(row):
        yield Input(number, "eligibility", None, answers.source)
    yield from iterate_doses(cohort, row)
    for level in cohort.levels[row]:
        if level.place:
            yield Input(number, "level", None, level.record.source)
    for event in rows.of(AdverseEvent, number):
        yield Input(number, "adverse event", None, event.source)
    for attendance in rows.of(Attendance, number):
        yield Input(number, "visit", attendance.visit, attendance.source)
    for visit, count in zip(cohort.protocol.visits, cohort.visits[row].tolist(), strict=True):
        if count >= 0:
            yield Input(number, "count", visit.code, cohort.measurement(count).source)


def _subject(cohort: Cohort, row: int) -> Answer:
    findings = cohort.deviations[row]
    found = [each for each in findings if isinstance(each, Deviation)]
    majors = [each for each in found if is_major(cohort, each)]
    return {
        "USUBJID": cohort.numbers[row],
        "major": len(majors),
        "minor": len(found) - len(majors),
        "codes": sorted({each.code for each in found}),
        "notAssessable": len(findings) - len(found),
    }


def _rows(cohort: Cohort, row: int) -> Iterator[Answer]:
    for finding in cohort.deviations[row]:
        told = _told(cohort, row, finding)
        sources: tuple[Source | None, ...] = (None,)
        if isinstance(finding, Deviation) and finding.sources:
            sources = finding.sources
        for source in sources:
            none = {"resource": None, "version": None, "url": None}
            yield told | (build_source(source) if source else none)


def _told(cohort: Cohort, row: int, finding: Finding) -> Answer:
    found = isinstance(finding, Deviation)
    day = finding.day if isinstance(finding, Deviation) else None
    first = int(cohort.first_doses.day[row])
    return {
        "USUBJID": cohort.numbers[row],
        "name": finding.code,
        "title": cohort.protocol.deviations[finding.code].title,
        "severity": cohort.protocol.deviations[finding.code].severity if found else None,
        "visit": finding.visit,
        "ADT": to_date(day).isoformat() if day is not None else None,
        "elapsed": day - first if day is not None and first != NO_DAY else None,
        "detail": finding.detail if isinstance(finding, Deviation) else None,
        "notUsed": None if isinstance(finding, Deviation) else finding.reason,
    }
