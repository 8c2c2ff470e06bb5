"""HL7 times at every precision. HL7 v2.5.1 2.A.22; https://hl7.org/fhir/R4/datatypes.html#dateTime"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.mappings.elements import Element
from app.mappings.parsing.times import Time, parse_time
from app.mappings.reasons import Failure, Reason

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("sent", "text", "precision"),
    [
        ("2019", "2019", "year"),
        ("201903", "2019-03", "month"),
        ("20190314", "2019-03-14", "day"),
        ("2019031408", "2019-03-14T08:00:00+08:00", "hour"),
        ("201903140815", "2019-03-14T08:15:00+08:00", "minute"),
        ("20190314081530", "2019-03-14T08:15:30+08:00", "second"),
        ("20190314081530.25", "2019-03-14T08:15:30.25+08:00", "second"),
        ("20190314081530+0000", "2019-03-14T08:15:30+00:00", "second"),
        ("20190314081530-0530", "2019-03-14T08:15:30-05:30", "second"),
        ("201903140815+0900", "2019-03-14T08:15:00+09:00", "minute"),
        ("20190314+0800", "2019-03-14", "day"),
        ("2019-03-14 08:15:30", "2019-03-14T08:15:30+08:00", "second"),
        (" 20190314 ", "2019-03-14", "day"),
    ],
)
def test_a_time_keeps_its_precision_and_zone(sent: str, text: str, precision: str) -> None:
    found = parse_time(sent, SHANGHAI)
    assert isinstance(found, Time)
    assert (found.text, found.precision) == (text, precision)


def test_a_time_without_a_zone_is_read_in_the_feeds_zone() -> None:
    found = parse_time("20190314080000", SHANGHAI)
    assert isinstance(found, Time)
    assert found.instant == datetime(2019, 3, 14, 0, tzinfo=UTC)
    assert not found.zoned


@pytest.mark.parametrize("sent", ["", '""', "  "])
def test_an_empty_time_is_none(sent: str) -> None:
    assert parse_time(sent, SHANGHAI) is None


@pytest.mark.parametrize(
    "sent",
    [
        *("0000", "00000000", "20191301", "20190230", "2019031425", "20190314080000+9900", "201"),
        *("yesterday", "2019/03/14", "20190314080000+08", "0001", "２０１９", "20190314 0800"),
    ],
)
def test_what_is_no_time_is_refused(sent: str) -> None:
    found = parse_time(sent, SHANGHAI, Element.TIME)
    assert isinstance(found, Failure)
    assert (found.reason, found.element) == (Reason.TIME_INVALID, Element.TIME)
