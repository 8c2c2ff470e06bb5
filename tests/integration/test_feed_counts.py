"""The number of open facts by feed and reason is kept as they come and go, and always exact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.database import Database
from app.mappings.watching.browsing import MessageFilter, select_messages
from app.mappings.watching.moments import parse_received
from tests.feed_support import LIS, STRANGER, Hospital, hospital, oru
from tests.trial_support import ZONE

COUNTED = "SELECT feed, reason, sum(number) FROM feeds.open_facts GROUP BY 1, 2"
COUNTED_ANEW = """
SELECT feed, coalesce(reason, ''), count(*) FROM feeds.fact WHERE state = 'open' GROUP BY 1, 2
"""


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


async def test_open_facts_are_counted_as_they_come_and_go(lab: Hospital) -> None:
    sent = [
        *(oru(mrn=STRANGER, order=f"W{n}", id=f"w{n}") for n in range(6)),
        *(oru(unit="parsecs", order=f"U{n}", id=f"u{n}") for n in range(6)),
        oru(order="L1", id="1"),
    ]
    answers = await asyncio.gather(*(lab.post(each, accept="application/json") for each in sent))
    assert await _counts(lab) == {(LIS, "PATIENT_UNKNOWN"): 6, (LIS, "UNIT_UNMAPPED"): 6}
    dismissed = answers[6].json()["messages"][0]["inbox_id"]
    who = {"person": "Dr. Watcher", "reason": "a joke"}
    answer = await lab.client.post(f"/feeds/{LIS}/messages/{dismissed}/dismiss", json=who)
    assert answer.status_code == 200, answer.text
    assert await _counts(lab) == {(LIS, "PATIENT_UNKNOWN"): 6, (LIS, "UNIT_UNMAPPED"): 5}
    told = {each["name"]: each for each in (await lab.client.get("/feeds")).json()["feeds"]}[LIS]
    assert told["open"] == {"PATIENT_UNKNOWN": 6, "UNIT_UNMAPPED": 5}


def test_a_filter_of_facts_binds_their_messages_too() -> None:
    received = parse_received(["lt2024-12-01"], ZONE)
    wanted = MessageFilter(LIS, reason="PATIENT_UNKNOWN", received=received)
    sql = select_messages(wanted, (), None, 50).sql
    assert "m.feed = $1" in sql
    assert "m.id < coalesce" in sql


async def _counts(lab: Hospital) -> dict[tuple[str, str], int]:
    async with lab.database.reading() as connection:
        counted = await connection.fetch(COUNTED)
        anew = await connection.fetch(COUNTED_ANEW)
    found = {(feed, reason): int(number) for feed, reason, number in counted if number}
    assert found == {(feed, reason): number for feed, reason, number in anew}
    return found
