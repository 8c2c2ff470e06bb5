"""When something happened, as the trial database keeps it: a half-open interval of instants, how
precisely it was recorded, and the calendar day in the trial's zone.

A value without a zone is read in the trial's zone, a date-only one is the whole day there.
https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from app.fhir import parse_date

PRECISIONS = {4: "year", 7: "month", 10: "day"}


@dataclass(frozen=True, slots=True)
class ClinicalTime:
    """`end` is None for what has begun and has no recorded end."""

    begin: datetime
    end: datetime | None
    precision: str
    day: date | None

    @property
    def columns(self) -> tuple[datetime, datetime | None, str, date | None]:
        return self.begin, self.end, self.precision, self.day


NO_TIME = (None, None, None, None)
"""The columns of a row whose resource has no usable time."""


def parse_clinical_time(text: object, zone: tzinfo) -> ClinicalTime | None:
    """The time that a FHIR date, dateTime or instant stands for; None if it stands for none."""
    if not isinstance(text, str):
        return None
    try:
        begin, end = parse_date(text, zone)
        day = begin.astimezone(zone).date()
    except (ValueError, OverflowError):
        return None
    precision = _precision(text)
    return ClinicalTime(begin, end, precision, None if precision in ("year", "month") else day)


def _precision(text: str) -> str:
    known = PRECISIONS.get(len(text))
    if known is not None:
        return known
    time = text.partition("T")[2]
    clock = time.replace("Z", "+").replace("-", "+").partition("+")[0]
    if "." in clock:
        return "millisecond"
    return "second" if clock.count(":") == 2 else "minute"


def parse_clinical_period(period: Mapping[str, Any], zone: tzinfo) -> ClinicalTime | None:
    """From the period's start to its end, as precise as its start; None without a start."""
    start = parse_clinical_time(period.get("start"), zone)
    if start is None:
        return None
    end = parse_clinical_time(period.get("end"), zone)
    if end is None or end.end is None or end.end < start.begin:
        return ClinicalTime(start.begin, None, start.precision, start.day)
    return ClinicalTime(start.begin, end.end, start.precision, start.day)


def effective_time(resource: Mapping[str, Any], element: str, zone: tzinfo) -> ClinicalTime | None:
    """The time in `element[x]` (`effective`, `onset`): dateTime, instant or Period."""
    for suffix in ("DateTime", "Instant"):
        if element + suffix in resource:
            return parse_clinical_time(resource[element + suffix], zone)
    period = resource.get(f"{element}Period")
    return parse_clinical_period(period, zone) if isinstance(period, dict) else None
