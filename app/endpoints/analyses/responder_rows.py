"""Characteristics told one by one: of each participant, and every row that they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.endpoints.analyses import responding, response_rows
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.characteristics import (
    BACKGROUND,
    explain_unusable_score,
    explain_unused_background,
    find_background,
    find_demographics,
    find_diagnoses,
    find_scores,
)
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import format_day
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.subgroups import SUBGROUPS, label_members
from app.endpoints.reading.records import (
    ActivityScore,
    Demographic,
    Diagnosis,
    Record,
    Source,
    Treatment,
)

NOT_CHOSEN = "another one was chosen"


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """As for every endpoint of response, with each participant's characteristics and their rows."""
    told = response_rows.build_subject_rows(cohort, members)
    labels = {name: label_members(cohort, name, members) for name in SUBGROUPS}
    for place, subject in enumerate(told["subjects"]):
        subject["characteristics"] = {name: each[place] for name, each in labels.items()}
    used = _used(cohort)
    rows = [each for row in members.rows.tolist() for each in _rows(cohort, row, used)]
    return told | {"rows": [*told["rows"], *rows]}


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    """Those of the response, and what the characteristics were read from."""
    yield from responding.iterate_inputs(cohort, members)
    used = _used(cohort)
    for row in members.rows.tolist():
        for record, kind, _ in _records(cohort, row):
            if record.source in used:
                yield Input(cohort.numbers[row], kind, None, record.source)
        subject = cohort.subjects.get(cohort.numbers[row])
        if subject is not None and subject.age_at_consent is not None:
            yield Input(cohort.numbers[row], "age", None, subject.source)


def _used(cohort: Cohort) -> frozenset[Source]:
    found: list[Mapping[int, Record]] = [find_diagnoses(cohort), find_demographics(cohort)]
    found += [find_scores(cohort, each) for each in cohort.protocol.activity_instruments]
    background = (row.source for rows in find_background(cohort).values() for row in rows)
    return frozenset([*(row.source for each in found for row in each.values()), *background])


def _records(cohort: Cohort, row: int) -> Iterator[tuple[Record, str, object]]:
    """(record, what it tells, its value)"""
    rows, number = cohort.tables.rows, cohort.numbers[row]
    for diagnosis in rows.of(Diagnosis, number):
        yield diagnosis, "diagnosis", diagnosis.code
    for demographic in rows.of(Demographic, number):
        yield demographic, "sex", demographic.gender
    for score in rows.of(ActivityScore, number):
        yield score, "activity", f"{score.kind} {score.value}"
    for treatment in rows.of(Treatment, number):
        if treatment.kind == BACKGROUND:
            yield treatment, "background", treatment.group


def _rows(cohort: Cohort, row: int, used: frozenset[Source]) -> Iterator[Answer]:
    for record, kind, value in _records(cohort, row):
        why = None if record.source in used else _why_not(cohort, record) or NOT_CHOSEN
        yield {
            "USUBJID": record.subject,
            "SUBJID": record.subject,
            "PARAMCD": kind.upper(),
            "ADT": format_day(record.when),
            "AVALC": None if value is None else str(value),
            "notUsed": why,
            **build_source(record.source),
        }


def _why_not(cohort: Cohort, record: Record) -> str | None:
    if isinstance(record, ActivityScore):
        return explain_unusable_score(cohort, record)
    if isinstance(record, Treatment):
        first = cohort.date_of_first_dose(cohort.position[record.subject])
        return explain_unused_background(cohort, record, first)
    return None
