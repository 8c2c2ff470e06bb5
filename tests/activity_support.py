"""Small tables of activity scores, as a person writes them, turned into records."""

from __future__ import annotations

from decimal import Decimal

from app.endpoints.reading.records import ActivityScore, Source
from tests.endpoint_support import clinical_time, read_table


def read_scores(text: str) -> tuple[ActivityScore, ...]:
    """Columns: id, subject, assessed, kind, value, item (what platelets contribute), status,
    absent."""
    return tuple(_score(number, row) for number, row in enumerate(read_table(text)))


def _score(number: int, row: dict[str, str]) -> ActivityScore:
    return ActivityScore(
        subject=row.get("subject", "SSCI-001"),
        when=clinical_time(row.get("assessed")),
        source=Source("Observation", row.get("id", f"score-{number}"), 1),
        kind=row.get("kind", "SLEDAI-2K"),
        status=row.get("status", "final"),
        value=Decimal(row["value"]) if "value" in row else None,
        platelet_item=Decimal(row["item"]) if "item" in row else None,
        data_absent_reason=row.get("absent"),
    )
