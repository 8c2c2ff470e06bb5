"""HL7 date and time (DTM) → FHIR dateTime, at the precision sent.

HL7 v2.5.1 2.A.21/22: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]; a value without a zone is
read in the feed's zone. https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal
from zoneinfo import ZoneInfo

from app.mappings.elements import Element
from app.mappings.reasons import Failure, Reason

Precision = Literal["year", "month", "day", "hour", "minute", "second"]

DTM = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?)?)?)?)?(?P<zone>[+-]\d{4}|Z)?",
    re.ASCII,
)
ISO = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?(?P<zone>[+-]\d\d:?\d\d|Z)?)?",
    re.ASCII,
)
PARTS: tuple[Precision, ...] = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class Time:
    """`text` is FHIR's dateTime at the precision sent (an hour or minute is filled with zeros, as
    FHIR asks); `instant` the earliest moment it may mean, for ordering; `zoned`: the sender named
    the zone."""

    text: str
    instant: datetime
    precision: Precision
    zoned: bool

    @property
    def is_instant(self) -> bool:
        return self.precision == "second"


def parse_time(text: str, zone: ZoneInfo, element: Element | None = None) -> Time | Failure | None:
    """None for an empty field or `""`; a failure TIME_INVALID for what is no time."""
    text = text.strip()
    if not text or text == '""':
        return None
    found = _parse(text, zone)
    return found if isinstance(found, Time) else Failure(Reason.TIME_INVALID, found, element)


@functools.lru_cache(maxsize=4096)
def _parse(text: str, zone: ZoneInfo) -> Time | str:
    """The time, or why it is none; a message repeats its few times in many segments."""
    match = DTM.fullmatch(text) or ISO.fullmatch(text)
    if match is None:
        return "not an HL7 date or time"
    try:
        return _build_time(match.groupdict(), zone)
    except (ValueError, OverflowError):
        return "no such date or time"


def _build_time(parts: dict[str, str | None], zone: ZoneInfo) -> Time:
    given = [name for name in PARTS if parts[name] is not None]
    year, month, day, hour, minute, second = (
        int(parts[name] or default) for name, default in zip(PARTS, (1, 1, 1, 0, 0, 0), strict=True)
    )
    fraction = parts["fraction"] or ""
    local = datetime(year, month, day, hour, minute, second, int(f"{fraction:0<6}"[:6]))
    aware = local.replace(tzinfo=_read_zone(parts["zone"], zone))
    text = _write(aware, given[-1], fraction)
    return Time(text, aware.astimezone(UTC), given[-1], bool(parts["zone"]))


def _read_zone(text: str | None, zone: ZoneInfo) -> ZoneInfo | timezone:
    if text is None:
        return zone
    if text == "Z":
        return UTC
    digits = text.replace(":", "")
    hours, minutes = int(digits[1:3]), int(digits[3:5])
    if hours > 14 or minutes > 59:
        raise ValueError("zone")
    return timezone((1 if digits[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))


def _write(moment: datetime, precision: Precision, fraction: str) -> str:
    date = moment.isoformat()[:10]
    if precision in ("year", "month", "day"):
        return date[: {"year": 4, "month": 7, "day": 10}[precision]]
    clock = moment.strftime("%H:%M:%S") + (f".{fraction}" if fraction else "")
    offset = moment.utcoffset() or timedelta(0)
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    return f"{date}T{clock}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
