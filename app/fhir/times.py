"""FHIR dates and times as half-open intervals of instants.

A value known to the day is the whole day; a value without a zone is read in the given zone.
https://hl7.org/fhir/R4/search.html#date · https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple

EARLIEST = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
"""Bounds of an interval that is open on that side."""

_DATE_TIME = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})"
    r"(?:T(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,12}))?)?"
    r"(?P<zone>Z|[+-]\d{2}:\d{2})?)?)?)?"
)


class Interval(NamedTuple):
    """Instants from `start` up to, not including, `end` (both in UTC)."""

    start: datetime
    end: datetime


def parse_date(text: str, zone: tzinfo) -> Interval:
    """The interval that a FHIR date, dateTime or instant stands for; ValueError if it is none."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a date of the form YYYY[-MM[-DD[Thh:mm[:ss[.fff]][zone]]]]: {text}")
    part = match.groupdict()
    if part["hour"] is None:
        first, after = _days(int(part["year"]), part["month"], part["day"])
        return Interval(_midnight(first, zone), _midnight(after, zone))
    return _time(part, zone)


def parse_period(period: Mapping[str, Any], zone: tzinfo) -> Interval:
    """A Period, open where `start` or `end` is missing."""
    start, end = period.get("start"), period.get("end")
    return Interval(
        parse_date(start, zone).start if start else EARLIEST,
        parse_date(end, zone).end if end else LATEST,
    )


def _days(year: int, month: str | None, day: str | None) -> tuple[date, date]:
    if month is None:
        return date(year, 1, 1), date(min(year + 1, 9999), 1, 1)
    if day is None:
        first = date(year, int(month), 1)
        return first, min((first + timedelta(days=32)).replace(day=1), _LAST_DAY)
    only = date(year, int(month), int(day))
    return only, min(only + timedelta(days=1), _LAST_DAY)


_LAST_DAY = date(9999, 12, 29)


def _midnight(day: date, zone: tzinfo) -> datetime:
    if day >= _LAST_DAY:
        return LATEST
    if day.year == 1 and day < date(1, 1, 3):
        return EARLIEST
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _time(part: dict[str, str | None], zone: tzinfo) -> Interval:
    fraction = part["fraction"] or ""
    second = part["second"]
    start = datetime(
        int(part["year"] or 0),
        int(part["month"] or 0),
        int(part["day"] or 0),
        int(part["hour"] or 0),
        int(part["minute"] or 0),
        min(int(second or 0), 59),
        int(fraction[:6].ljust(6, "0")) if fraction else 0,
        tzinfo=_zone(part["zone"]) or zone,
    ).astimezone(UTC)
    if second is None:
        return Interval(start, start + timedelta(minutes=1))
    step = max(10 ** (6 - len(fraction)), 1) if fraction else 1_000_000
    return Interval(start, start + timedelta(microseconds=step))


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
