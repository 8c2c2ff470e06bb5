"""Baseline characteristics one by one, with the records that they are from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.calendar import to_date
from app.endpoints.cohort.characteristics import (
    BACKGROUND,
    explain_unusable_score,
    explain_unused_background,
    find_ages,
    find_background,
    find_demographics,
    find_diagnoses,
    find_scores,
    prednisone_values,
)
from app.endpoints.cohort.cohort import NOT_GIVEN, RESCUE, Cohort
from app.endpoints.cohort.listing import format_day, number_or_none
from app.endpoints.cohort.members import Members
from app.endpoints.reading.records import ActivityScore, Record, Source, Treatment

STEROID_DOSE = "prednisone equivalent"
ANOTHER = "another score is the last before the first dose"

Scores = Mapping[str, Mapping[int, ActivityScore]]
"""By instrument and participant."""


def find_washed(cohort: Cohort) -> list[tuple[str, int, dict[int, Source]]]:
    """(treatment, days, of whom the treatment given within so many days before the baseline count
    or on its day)."""
    rules = cohort.protocol.baseline
    asked = (
        ("platelet-transfusion", rules.transfusion_washout_days),
        ("ivig", rules.ivig_washout_days),
    )
    return [(group, days, _washed_by(cohort, group, days)) for group, days in asked]


def _washed_by(cohort: Cohort, group: str, days: int) -> dict[int, Source]:
    found: dict[int, Source] = {}
    for row in cohort.tables.rows.all(Treatment):
        place, day = cohort.position.get(row.subject), cohort.day_of(row)
        given = row.kind == RESCUE and row.group == group and row.status not in NOT_GIVEN
        if place is None or day is None or not given or cohort.baseline[place] < 0:
            continue
        counted = int(cohort.counts.day[cohort.baseline[place]])
        if 0 <= counted - day <= days:
            found.setdefault(place, row.source)
    return found


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant; one row per record that a characteristic is, or may be, from."""
    rows, scores = members.rows.tolist(), _scores(cohort)
    return {
        "subjects": list(_subjects(cohort, rows)),
        "rows": [each for row in rows for each in _rows(cohort, row, scores)],
    }


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    used = _used(cohort)
    for row in members.rows.tolist():
        number = cohort.numbers[row]
        for name, record in used.get(row, []):
            yield Input(number, name, None, record.source)
        if cohort.baseline[row] >= 0:
            source = cohort.measurement(cohort.baseline[row]).source
            yield Input(number, "baseline platelet count", None, source)


def _used(cohort: Cohort) -> dict[int, list[tuple[str, Record]]]:
    """Of each participant the records that characteristics are from, by name."""
    found: dict[int, list[tuple[str, Record]]] = {}
    for number, subject in cohort.subjects.items():
        found.setdefault(cohort.position[number], []).append(("age", subject))
    named: tuple[tuple[str, Mapping[int, Record]], ...] = (
        ("sex", find_demographics(cohort)),
        ("connective tissue disease", find_diagnoses(cohort)),
        *((code, find_scores(cohort, code)) for code in cohort.protocol.activity_instruments),
    )
    for name, records in named:
        for row, record in records.items():
            found.setdefault(row, []).append((name, record))
    for row, treatments in find_background(cohort).items():
        found.setdefault(row, []).extend(("background treatment", each) for each in treatments)
    return found


def _subjects(cohort: Cohort, rows: list[int]) -> Iterator[Answer]:
    people, diseases = find_demographics(cohort), find_diagnoses(cohort)
    ages, steroid, background = (
        find_ages(cohort),
        prednisone_values(cohort),
        find_background(cohort),
    )
    scores = {code: find_scores(cohort, code) for code in cohort.protocol.activity_instruments}
    washed = find_washed(cohort)
    for row in rows:
        first = cohort.first_doses.day[row] if cohort.first_doses.dated[row] else None
        yield {
            "USUBJID": cohort.numbers[row],
            "AGE": number_or_none(ages[row]),
            "SEX": people[row].gender if row in people else None,
            "CTD": diseases[row].code if row in diseases else None,
            "TRTSDT": to_date(first).isoformat() if first is not None else None,
            "BASE": number_or_none(cohort.baseline_value[row]),
            "baselineAfter": [group for group, _, found in washed if row in found],
            "activity": {
                code: float(found[row].value or 0) for code, found in scores.items() if row in found
            },
            "background": sorted({each.group for each in background.get(row, ())}),
            "prednisoneMg": number_or_none(steroid[row]),
        }


def _scores(cohort: Cohort) -> Scores:
    return {code: find_scores(cohort, code) for code in cohort.protocol.activity_instruments}


def _rows(cohort: Cohort, row: int, scores: Scores) -> Iterator[Answer]:
    """Scores and background treatments, used or not."""
    number, first = cohort.numbers[row], cohort.date_of_first_dose(row)
    for score in cohort.tables.rows.of(ActivityScore, number):
        chosen = scores.get(score.kind, {}).get(row)
        unused = explain_unusable_score(cohort, score)
        other = None if chosen is not None and chosen.source == score.source else ANOTHER
        yield _told(score.kind, score, score.value, unused or other)
    for treatment in cohort.tables.rows.of(Treatment, number):
        if treatment.kind == BACKGROUND:
            unused = explain_unused_background(cohort, treatment, first)
            name = treatment.drug or treatment.group
            yield _told(name, treatment, treatment.prednisone_mg, unused)


def _told(name: str, record: Record, value: Decimal | None, unused: str | None) -> Answer:
    return {
        "USUBJID": record.subject,
        "name": name,
        "ADT": format_day(record.when),
        "AVAL": None if value is None else float(value),
        "notUsed": unused,
        **build_source(record.source),
    }
