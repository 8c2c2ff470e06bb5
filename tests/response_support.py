"""Participants with a baseline and counts so many days after their first dose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from app.endpoints.reading.records import Bleeding, Record, Source
from tests.endpoint_support import (
    PROTOCOL,
    clinical_time,
    enrol_all,
    read_counts,
    read_doses,
    read_table,
)

T0 = date(2019, 1, 1)
TARGETS = {visit.code: visit.target for visit in PROTOCOL.visits}


def day(elapsed: int) -> str:
    """The date so many days after the first dose."""
    return (T0 + timedelta(days=elapsed)).isoformat()


def read_courses(text: str) -> tuple[Record, ...]:
    """Columns: subject, base, then M1 … M12 (a count on the target day), then days (`d40`)."""
    counts, doses = ["subject | collected | value"], ["subject | taken | mg"]
    for row in read_table(text):
        number = row.pop("subject")
        doses.append(f"{number} | {day(0)}T08:00 | 2")
        if base := row.pop("base", None):
            counts.append(f"{number} | {day(-1)} | {base}")
        for name, value in row.items():
            at = TARGETS[name] if name in TARGETS else int(name[1:])
            counts.append(f"{number} | {day(at)} | {value}")
    found, taken = read_counts("\n".join(counts)), read_doses("\n".join(doses))
    return (*enrol_all(taken), *found, *taken)


def read_bleeding(text: str) -> tuple[Bleeding, ...]:
    """Columns: subject, on (days after the first dose), grade (none: not assessed), status."""
    return tuple(_bleeding(number, row) for number, row in enumerate(read_table(text)))


def _bleeding(number: int, row: dict[str, str]) -> Bleeding:
    grade = row.get("grade")
    return Bleeding(
        subject=row["subject"],
        when=clinical_time(day(int(row["on"])) if "on" in row else None),
        source=Source("Observation", f"bleeding-{number}", 1),
        status=row.get("status", "final"),
        assessed=grade is not None,
        grade=int(grade) if grade else None,
        sites=(),
    )


def repeat_courses(groups: Sequence[tuple[int, str]], header: str) -> tuple[Record, ...]:
    """So many participants with each line of values: `(10, "20 | 120")` under `base | M6`."""
    lines, number = [f"subject | {header}"], 0
    for size, values in groups:
        for _ in range(size):
            number += 1
            lines.append(f"SSCI-{number:03} | {values}")
    return read_courses("\n".join(lines))
