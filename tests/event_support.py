"""Small tables of adverse events, as a person writes them, turned into records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from app.endpoints.reading.records import AdverseEvent, Record, Source
from tests.endpoint_support import Asked, ask, clinical_time, enrol_all, read_doses, read_table

FLAGS = {"yes": True, "no": False}


def read_events(text: str) -> tuple[AdverseEvent, ...]:
    """Columns: id, subject, onset, ended, term, soc, grade, severity, serious (yes, no), criteria
    (separated by commas), related, expected (yes, no), action, outcome, status, actuality."""
    return tuple(_event(number, row) for number, row in enumerate(read_table(text)))


def _event(number: int, row: dict[str, str]) -> AdverseEvent:
    ended = row.get("ended")
    return AdverseEvent(
        subject=row.get("subject", "SSCI-001"),
        when=clinical_time(row.get("onset")),
        source=Source("AdverseEvent", row.get("id", f"event-{number}"), 1),
        status=row.get("status", "completed"),
        actuality=row.get("actuality", "actual"),
        term=row.get("term"),
        serious=FLAGS.get(row.get("serious", "")),
        seriousness_criteria=tuple(row["criteria"].split(",")) if "criteria" in row else (),
        grade=int(row["grade"]) if "grade" in row else None,
        severity=row.get("severity"),
        outcome=row.get("outcome"),
        causality=row.get("related"),
        expected=FLAGS.get(row.get("expected", "")),
        recorded=None,
        soc=row.get("soc"),
        grading="5.0" if "grade" in row else None,
        action=row.get("action"),
        resolved=date.fromisoformat(ended) if ended else None,
    )


def ask_events(endpoint: str, doses: str, events: str, *others: Sequence[Record]) -> Asked:
    """An endpoint over doses and events, everyone in them enrolled."""
    taken, found = read_doses(doses), read_events(events)
    more = [record for each in others for record in each]
    return ask(endpoint, (*enrol_all(taken, found), *taken, *found, *more))


def share(told: Any) -> tuple[int, int, int]:
    """(participants, of, events) of an occurrence."""
    return told["participants"]["n"], told["participants"]["of"], told["events"]


def named(entries: Sequence[Any], key: str) -> dict[str, Any]:
    return {each[key]: each for each in entries}
