"""The two clocks of an answer, from what was asked for.

`cutoff` is clinical: events that began until then, a date meaning the end of that day in the
study's zone. `asOf` is system time: what was known then, at most the safe horizon.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo

from app.endpoints.answers import format_instant
from app.endpoints.reading.records import Cut
from app.errors import Category, SsciError, error

_DATE = re.compile(r"(19|[2-8][0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    _DATE.pattern + r"T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
"""Years 1900 to 8999, so that every offset fits."""

_UNESCAPED_PLUS = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)")
_TICK = timedelta(microseconds=1)


def build_cut(cutoff: str | None, as_of: str | None, horizon: datetime, zone: tzinfo) -> Cut:
    """The cut of a request; without `cutoff` both clocks are the same. INCORRECT names the
    parameter that is malformed or too late."""
    known = horizon if as_of is None else parse_instant("asOf", as_of, zone)
    if known > horizon:
        latest = format_instant(horizon)
        reason = f"is later than {latest}, the latest instant whose answer can't change any more"
        raise error(Category.INCORRECT, reason, expression="asOf")
    if cutoff is None:
        return Cut(format_instant(known), known + _TICK, known)
    return _clinical_cut(cutoff, known, zone)


def parse_instant(name: str, text: str, zone: tzinfo) -> datetime:
    """An instant; one without offset is read in `zone`, a `+` sent unescaped is understood."""
    text = _UNESCAPED_PLUS.sub("+", text)
    if not _INSTANT.fullmatch(text):
        raise _malformed(name, "an instant such as 2019-03-14T09:30:00+08:00")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as reason:
        raise _malformed(name, "a date and time that exist") from reason
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)


def _clinical_cut(cutoff: str, known: datetime, zone: tzinfo) -> Cut:
    if "T" in cutoff:
        instant = parse_instant("cutoff", cutoff, zone)
        return Cut(format_instant(instant), instant + _TICK, known)
    if not _DATE.fullmatch(cutoff):
        raise _malformed("cutoff", "a date such as 2019-03-14 or an instant")
    try:
        after = date.fromisoformat(cutoff) + timedelta(days=1)
    except ValueError as reason:
        raise _malformed("cutoff", "a date that exists") from reason
    return Cut(cutoff, datetime.combine(after, time(), zone), known)


def _malformed(name: str, expected: str) -> SsciError:
    return error(Category.INCORRECT, f"must be {expected}", expression=name)
