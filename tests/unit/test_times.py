"""FHIR dates as intervals. https://hl7.org/fhir/R4/search.html#date"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.times import EARLIEST, LATEST, parse_date, parse_period

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2019", "2018-12-31T16:00", "2019-12-31T16:00"),
        ("2019-03", "2019-02-28T16:00", "2019-03-31T16:00"),
        ("2019-12", "2019-11-30T16:00", "2019-12-31T16:00"),
        ("2019-03-14", "2019-03-13T16:00", "2019-03-14T16:00"),
        ("2019-03-14T08:05", "2019-03-14T00:05", "2019-03-14T00:06"),
        ("2019-03-14T08:05:01", "2019-03-14T00:05:01", "2019-03-14T00:05:02"),
        ("2019-03-14T08:05:01.5Z", "2019-03-14T08:05:01.500", "2019-03-14T08:05:01.600"),
        ("2019-03-14T08:05:01-05:00", "2019-03-14T13:05:01", "2019-03-14T13:05:02"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59", "2017-01-01T00:00:00"),
    ],
)
def test_a_value_spans_what_its_precision_says(text: str, start: str, end: str) -> None:
    interval = parse_date(text, SHANGHAI)
    assert interval.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert interval.end == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "19", "2019-3", "2019-02-30", "2019-13", "2019-03-14T25:00", "2019-03-14 08:00", "x2019"],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- datetime's own texts differ by version
        parse_date(text, SHANGHAI)


@pytest.mark.parametrize(
    "text",
    [
        "0001",
        "0001-01",
        "0001-01-01",
        "0001-01-01T00:00:00+14:00",
        "9999",
        "9999-12",
        "9999-12-31",
        "9999-12-31T23:59Z",
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_the_ends_of_time_do_not_overflow(text: str) -> None:
    interval = parse_date(text, SHANGHAI)
    assert EARLIEST <= interval.start < interval.end <= LATEST


def test_an_open_period_reaches_the_end_of_time() -> None:
    assert parse_period({"start": "2019-03-14"}, SHANGHAI).end == LATEST
    assert parse_period({"end": "2019-03-14"}, SHANGHAI).start == EARLIEST


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_an_instant_lies_in_its_interval_however_it_is_cut(instant: datetime) -> None:
    text = instant.strftime("%Y-%m-%dT%H:%M:%S")
    for length in (4, 7, 10, 16, 19):
        cut = text[:length] + ("Z" if length > 10 else "")
        interval = parse_date(cut, UTC)
        assert interval.start <= instant < interval.end + timedelta(microseconds=1)
