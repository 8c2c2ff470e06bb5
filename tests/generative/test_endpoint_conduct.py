"""What must change no figure of exposure, troughs, deviations, disposition and baseline: shifting
every date of a participant, the order of records, a data cut after the last event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.endpoints.reading.records import ClinicalTime, Record
from tests.deviation_support import read_attendances, read_consents, read_eligibility
from tests.endpoint_support import (
    CUT,
    ask,
    read_counts,
    read_doses,
    read_treatments,
    whole_answer,
)
from tests.event_support import read_events

ENDPOINTS = (
    "exposure",
    "trough-in-range",
    "protocol-deviations",
    "disposition",
    "baseline-characteristics",
)
START = date(2019, 1, 1)
NUMBERS = ("SSCI-001", "SSCI-002")
LAST = 400
"""Nothing begins later than this many days after the start."""

ELAPSED = st.integers(-20, LAST)


def day(elapsed: int) -> str:
    return (START + timedelta(days=elapsed)).isoformat()


def table(head: str, rows: Sequence[str]) -> str:
    return "\n".join([head, *rows])


@st.composite
def courses(draw: Any) -> tuple[Record, ...]:
    """Two participants with whatever may have been recorded of them."""
    found: list[Record] = []
    for place, number in enumerate(NUMBERS):
        ended = draw(st.none() | st.integers(30, LAST))
        status = "withdrawn" if ended is not None else "on-study"
        row = f"{number} | yes | {day(-5)} | {status} | {day(ended) if ended is not None else ''}"
        found += read_consents(table("subject | consent | on | status | ended", [row]))
        found += read_eligibility(f"subject \n {number}")
        found += draw_doses(draw, number, place)
        found += draw_rest(draw, number, place)
    return tuple(found)


def draw_doses(draw: Any, number: str, place: int) -> list[Record]:
    days = draw(st.lists(st.integers(0, 60), max_size=20, unique=True))
    taken = [
        f"{number} | {day(each)}T08:00 | {draw(st.sampled_from((1, 2)))} | {place}-{each}"
        for each in days
    ]
    first, length = draw(st.integers(1, 300)), draw(st.integers(0, 60))
    count = f"{number} | {day(first)} | {day(first + length)} | pill-count | 30 | {place}-count"
    return [
        *read_doses(table("subject | taken | mg | id", taken)),
        *read_doses(table("subject | taken | last | origin | total | id", [count])),
    ]


def draw_rest(draw: Any, number: str, place: int) -> list[Record]:
    def several(low: int = -20) -> list[int]:
        found: list[int] = draw(st.lists(st.integers(low, LAST), max_size=4, unique=True))
        return found

    counts = [f"{number} | {day(each)} | {each % 90 + 5} | {place}-c{each}" for each in several()]
    levels = [
        f"{number} | {day(each)}T07:30 | {each % 20} | {place}-l{each}" for each in several(0)
    ]
    visits = [
        f"{number} | M{m} | {day(each)}" for m, each in zip((1, 2, 4, 6), several(1), strict=False)
    ]
    orders = [
        f"{number} | {day(each)} | - | {1 + each % 2} | prescribed | study-medication"
        f" | {place}-{each}"
        for each in several(0)
    ]
    events = [f"{number} | {day(each)} | {place}-e{each}" for each in several(0)]
    return [
        *read_counts(table("subject | collected | value | id", counts)),
        *read_counts(table("subject | collected | value | id", levels), "sirolimus"),
        *read_attendances(table("subject | visit | on", visits)),
        *read_treatments(table("subject | given | last | daily | kind | group | id", orders)),
        *read_events(table("subject | onset | id", events)),
    ]


def shift(record: Record, days: int) -> Record:
    by = timedelta(days=days)
    changes: dict[str, Any] = {}
    if record.when is not None:
        changes["when"] = shift_time(record.when, by)
    for name in ("ended", "resolved"):
        if getattr(record, name, None) is not None:
            changes[name] = getattr(record, name) + by
    return replace(record, **changes)


def shift_time(when: ClinicalTime, by: timedelta) -> ClinicalTime:
    return ClinicalTime(
        when.begin + by,
        when.precision,
        when.day + by if when.day else None,
        when.last_day + by if when.last_day else None,
    )


def figures(endpoint: str, records: Sequence[Record], **asked: Any) -> Any:
    return whole_answer(ask(endpoint, records, **asked))["figures"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@settings(max_examples=15, deadline=None)
@given(records=courses(), days=st.integers(-300, 300))
def test_shifting_every_date_of_a_participant_changes_nothing(endpoint, records, days):
    shifted = [shift(each, days) if each.subject == NUMBERS[0] else each for each in records]
    assert figures(endpoint, shifted) == figures(endpoint, records)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@settings(max_examples=10, deadline=None)
@given(records=courses(), random=st.randoms(use_true_random=False))
def test_the_order_of_records_changes_nothing(endpoint, records, random):
    turned = random.sample(records, len(records))
    assert figures(endpoint, turned) == figures(endpoint, records)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@settings(max_examples=10, deadline=None)
@given(records=courses())
def test_a_cut_after_the_last_event_equals_no_cut(endpoint, records):
    last = max(each.day for each in records if each.day)
    ends = [each.when.last_day for each in records if each.when and each.when.last_day]
    ended = [each.ended for each in records if getattr(each, "ended", None)]
    after = max(last, *ends, *ended, START) + timedelta(days=1)
    asked = ask(endpoint, records)
    zone = ZoneInfo("Asia/Shanghai")
    before = datetime(after.year, after.month, after.day, tzinfo=zone)
    cut = replace(asked, request=replace(asked.request, cut=replace(CUT, before=before)))
    assert whole_answer(cut)["figures"] == figures(endpoint, records)


@settings(max_examples=15, deadline=None)
@given(records=courses())
def test_every_dose_record_of_the_treated_is_used_or_says_why_not(records):
    """And what is taken is what the records say: no milligram twice."""
    told = figures("exposure", records)
    given_ = sum(
        float(each.amount or each.total or 0) for each in records if hasattr(each, "origin")
    )
    assert told["cumulative"]["n"] == told["n"]
    total = sum(each["mg"] for each in told["origins"])
    assert total <= given_ + 1e-9
