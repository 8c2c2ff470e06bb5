"""FHIR dates and times as half-open intervals of instants.

A value known to the day is the whole day; a value without a zone is read in the given zone.
https://hl7.org/fhir/R4/search.html#date · https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple

EARLIEST = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
"""Bounds of an interval that is open on that side."""

MAX_REMEMBERED = 40
"""Characters of a date that may be remembered."""
_INSTANT = timedelta(microseconds=1)
_DATE_TIME = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})"
    r"(?:T(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,60}))?)?"
    r"(?P<zone>Z|[+-]\d{2}:\d{2})?)?)?)?",
    re.ASCII,
)


class Interval(NamedTuple):
    """Instants from `start` up to, not including, `end` (both in UTC)."""

    start: datetime
    end: datetime


def parse_date(text: str, zone: tzinfo) -> Interval:
    """The interval that a FHIR date, dateTime or instant stands for; ValueError if it is none."""
    return _parse_date(text, zone) if len(text) <= MAX_REMEMBERED else _read_date(text, zone)


@functools.lru_cache(maxsize=2048)
def _parse_date(text: str, zone: tzinfo) -> Interval:
    """The same times stand in all that a message brings."""
    return _read_date(text, zone)


def _read_date(text: str, zone: tzinfo) -> Interval:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a date of the form YYYY[-MM[-DD[Thh:mm[:ss[.fff]][zone]]]]: {text}")
    part = match.groupdict()
    if part["hour"] is None:
        first, after = _days(int(part["year"]), part["month"], part["day"])
        start, end = _midnight(first, zone), _midnight(after, zone)
        return Interval(start, end) if start < end else _interval(start, _INSTANT)
    return _time(part, zone)


def instant_text(at: datetime) -> str:
    """An instant as every answer of the server writes it: UTC, microseconds, `Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_period(period: Mapping[str, Any], zone: tzinfo) -> Interval:
    """A Period, open where `start` or `end` is missing."""
    start, end = period.get("start"), period.get("end")
    return Interval(
        parse_date(start, zone).start if start else EARLIEST,
        parse_date(end, zone).end if end else LATEST,
    )


def _days(year: int, month: str | None, day: str | None) -> tuple[date, date]:
    """The first day, and the day after the last (or the calendar's last day)."""
    first = date(year, int(month or 1), int(day or 1))
    if first >= date(9999, 12, 1) or (month is None and year == 9999):
        after = date.max if day is None or first == date.max else first + timedelta(days=1)
    elif month is None:
        after = date(year + 1, 1, 1)
    elif day is None:
        after = (first + timedelta(days=32)).replace(day=1)
    else:
        after = first + timedelta(days=1)
    return first, after


def _interval(start: datetime, length: timedelta) -> Interval:
    """From `start`, not beyond the bounds of time, and never empty."""
    held = min(max(start, EARLIEST), LATEST - _INSTANT)
    return Interval(held, min(max(start, EARLIEST), LATEST - length) + length)


def _midnight(day: date, zone: tzinfo) -> datetime:
    if not EARLIEST.date() < day < LATEST.date():
        return EARLIEST if day.year == 1 else LATEST
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _time(part: dict[str, str | None], zone: tzinfo) -> Interval:
    fraction = part["fraction"] or ""
    second = part["second"]
    local = datetime(
        int(part["year"] or 0),
        int(part["month"] or 0),
        int(part["day"] or 0),
        int(part["hour"] or 0),
        int(part["minute"] or 0),
        min(int(second or 0), 59),
        int(fraction[:6].ljust(6, "0")) if fraction else 0,
    )
    if second is None:
        length = timedelta(minutes=1)
    else:
        step = max(10 ** (6 - len(fraction)), 1) if fraction else 1_000_000
        length = timedelta(microseconds=step)
    if not EARLIEST.date() < local.date() < LATEST.date():
        return _interval(EARLIEST if local.year == 1 else LATEST, length)
    start = local.replace(tzinfo=_zone(part["zone"]) or zone).astimezone(UTC)
    return Interval(start, start + length)


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
