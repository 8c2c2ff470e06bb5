"""Small tables of attendances, eligibility answers and consents turned into records."""

from __future__ import annotations

from dataclasses import replace

from app.endpoints.reading.records import Attendance, Eligibility, Source, Subject
from tests.endpoint_support import PROTOCOL, clinical_time, read_subjects, read_table

CRITERIA = PROTOCOL.eligibility.criteria


def read_attendances(text: str) -> tuple[Attendance, ...]:
    """Columns: subject, visit, on, status (finished)."""
    return tuple(_attendance(number, row) for number, row in enumerate(read_table(text)))


def _attendance(number: int, row: dict[str, str]) -> Attendance:
    return Attendance(
        subject=row.get("subject", "SSCI-001"),
        when=clinical_time(row.get("on")),
        source=Source("Encounter", f"visit-{number}", 1),
        visit=row["visit"],
        status=row.get("status", "finished"),
    )


def read_eligibility(text: str) -> tuple[Eligibility, ...]:
    """Columns: subject, status, and one per criterion that was not answered as wanted."""
    return tuple(_eligibility(number, row) for number, row in enumerate(read_table(text)))


def _eligibility(number: int, row: dict[str, str]) -> Eligibility:
    answers = {each.code: row.get(each.code, each.wanted) for each in CRITERIA}
    return Eligibility(
        subject=row.get("subject", "SSCI-001"),
        when=clinical_time(row.get("on", "2018-12-01")),
        source=Source("QuestionnaireResponse", f"eligibility-{number}", 1),
        status=row.get("status", "completed"),
        criteria=tuple(answers),
        answers=tuple(answers.values()),
    )


def read_consents(text: str) -> tuple[Subject, ...]:
    """Columns of `read_subjects`, and `on`: the day of consent."""
    days = [row.get("on") for row in read_table(text)]
    return tuple(
        replace(each, when=clinical_time(day))
        for each, day in zip(read_subjects(text), days, strict=True)
    )
