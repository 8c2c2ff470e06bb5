"""`received=ge2019-03-14`: times of receipt as the lists take them.

Prefixes as in FHIR searches. https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo

from app.errors import Category, SsciError, error
from app.mappings.watching.browsing import Received

YEARS = range(1900, 9999)
"""Zones and margins move a moment by a day at most: within these years it stays one."""
FORM = re.compile(r"(ge|gt|le|lt)(\d{4}-\d\d-\d\d)([T ].{1,40})?")


def parse_received(texts: Sequence[str], zone: tzinfo) -> Received:
    """The span of time that all of the texts allow; a text without a zone is in `zone`.

    Raises SsciError INCORRECT for a text that is none of ge, gt, le, lt with a date or date-time.
    """
    since: datetime | None = None
    before: datetime | None = None
    for text in texts:
        prefix, start, end = _parse(text, zone)
        if prefix in ("ge", "gt"):
            bound = start if prefix == "ge" else end
            since = bound if since is None else max(since, bound)
        else:
            bound = start if prefix == "lt" else end
            before = bound if before is None else min(before, bound)
    return Received(since, before)


def _parse(text: str, zone: tzinfo) -> tuple[str, datetime, datetime]:
    """(prefix, where the moment or day begins, where it ends)."""
    match = FORM.fullmatch(text)
    if match is None:
        raise _refused()
    prefix, day, rest = match.groups()
    if int(day[:4]) not in YEARS:
        raise _refused()
    try:
        if rest is None:
            return _day(prefix, date.fromisoformat(day), zone)
        moment = datetime.fromisoformat(
            day + rest.replace(" ", "+") if "+" not in rest else text[2:]
        )
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return prefix, moment, moment + timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise _refused() from None


def _day(prefix: str, day: date, zone: tzinfo) -> tuple[str, datetime, datetime]:
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    following = day + timedelta(days=1)
    return prefix, start, datetime(following.year, following.month, following.day, tzinfo=zone)


def _refused() -> SsciError:
    rule = "ge, gt, le or lt before a date or date-time: ge2019-03-14, lt2019-03-14T12:00:00+08:00"
    return error(Category.INCORRECT, rule, expression="received")
