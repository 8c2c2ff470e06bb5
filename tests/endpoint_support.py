"""Small tables of doses and counts, as a person writes them, turned into endpoint answers.

Times are read in Asia/Shanghai; `2019-01-01` is known to the day, `2019-01` to the month.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.endpoints.analysis_rows import compute_platelet_change_subjects
from app.endpoints.definitions import build_change_rules, find_definition
from app.endpoints.model import (
    ChangeRequest,
    ClinicalTime,
    Cut,
    Dose,
    Measurement,
    Rows,
    Source,
    Subject,
)
from app.endpoints.platelet_change import compute_platelet_change
from app.trial import load_protocol

ZONE = ZoneInfo("Asia/Shanghai")
PROTOCOL = load_protocol()
DEFINITION = find_definition(PROTOCOL, "platelet-change")
RULES = build_change_rules(PROTOCOL)
CUT = Cut("2030-01-01", datetime(2030, 1, 2, tzinfo=ZONE), datetime(2030, 1, 2, tzinfo=UTC))
PRECISIONS = {4: "year", 7: "month", 10: "day"}

Asked = tuple[ChangeRequest, Rows]
"""What is asked, and of which rows."""

ONE_DOSE = """
    subject  | taken            | mg
    SSCI-001 | 2019-01-01T08:00 | 2
"""


def read_table(text: str) -> list[dict[str, str]]:
    """Rows by column name; empty cells are left out."""
    lines = [line.strip() for line in text.strip().splitlines()]
    header, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [{k: v for k, v in zip(header, row, strict=True) if v} for row in rows]


def clinical_time(text: str | None) -> ClinicalTime | None:
    if text is None:
        return None
    whole = text + "-01-01"[: max(0, 10 - len(text))]
    begin = datetime.fromisoformat(whole).replace(tzinfo=ZONE)
    return ClinicalTime(begin.astimezone(UTC), PRECISIONS.get(len(text), "second"))


def read_subjects(text: str) -> tuple[Subject, ...]:
    return tuple(
        Subject(row["subject"], row.get("consent") == "yes", Source("ResearchSubject", "x", 1))
        for row in read_table(text)
    )


def read_doses(text: str) -> tuple[Dose, ...]:
    return tuple(
        Dose(
            row.get("subject", "SSCI-001"),
            clinical_time(row.get("taken")),
            Decimal(row["mg"]) if "mg" in row else None,
            "mg",
            row.get("status", "completed"),
            Source("MedicationAdministration", f"dose-{number}", 1),
        )
        for number, row in enumerate(read_table(text))
    )


def read_counts(text: str) -> tuple[Measurement, ...]:
    return tuple(_count(number, row) for number, row in enumerate(read_table(text)))


def _count(number: int, row: dict[str, str]) -> Measurement:
    return Measurement(
        subject=row.get("subject", "SSCI-001"),
        when=clinical_time(row.get("collected")),
        value=Decimal(row["value"]) if "value" in row else None,
        unit=row.get("unit", "10*9/L"),
        comparator=row.get("comparator"),
        status=row.get("status", "final"),
        analytic_suspect="clumps" in row.get("review", ""),
        scale_suspect="scale" in row.get("review", ""),
        data_absent_reason=row.get("absent"),
        source=Source("Observation", row.get("id", f"count-{number}"), 1),
    )


def request(population: str = "efficacy") -> ChangeRequest:
    return ChangeRequest(DEFINITION, RULES, ZONE, CUT, population, "test")


def build_request(
    counts: str = "subject",
    doses: str = ONE_DOSE,
    subjects: str | None = None,
    population: str = "efficacy",
) -> Asked:
    """Without `subjects`, everyone with a count or dose is enrolled."""
    found, taken = read_counts(counts), read_doses(doses)
    enrolled = enrol_all(found, taken) if subjects is None else read_subjects(subjects)
    return request(population), Rows(enrolled, found, taken)


def enrol_all(counts: tuple[Measurement, ...], doses: tuple[Dose, ...] = ()) -> tuple[Subject, ...]:
    numbers = sorted({row.subject for row in (*counts, *doses)})
    return tuple(Subject(number, True, Source("ResearchSubject", number, 1)) for number in numbers)


def answer(asked: Asked) -> Any:
    return json.loads(compute_platelet_change(*asked))


def subject_answer(asked: Asked) -> Any:
    return json.loads(compute_platelet_change_subjects(*asked))


def candidates(counts: str, doses: str = ONE_DOSE) -> dict[str, Any]:
    """The analysis rows by the count's id."""
    rows = subject_answer(build_request(counts, doses))["rows"]
    return {row["resource"].removeprefix("Observation/"): row for row in rows}


def visit_of(whole: Any, code: str) -> Any:
    return next(visit for visit in whole["visits"] if visit["visit"] == code)
