"""Instants in HTTP headers. https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from app.fhir.preconditions import http_date

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES))
def test_an_instant_is_written_as_the_standard_library_does(at: datetime) -> None:
    assert http_date(at) == format_datetime(at.astimezone(UTC), usegmt=True).encode("ascii")
