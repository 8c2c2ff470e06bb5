"""Pollers by `_lastUpdated` miss no commit, however slow or concurrent. (decision 0013)"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from app.database import Database
from app.fhir import Change, Create, Moment, Reading, Statement, Store, parse_search
from tests.fhir_support import CALLER, ZONE, facts, store_on

OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
WRITERS, WRITES = 6, 12


async def write_slowly(store: Store, draw: random.Random) -> set[str]:
    """Transactions that hold their place in the order for a while before they commit."""
    written = set()
    for _ in range(WRITES):
        pause = draw.random() / 20

        def wait(
            _changes: Sequence[Change], _moment: Moment, pause: float = pause
        ) -> Sequence[Statement]:
            return [Statement("SELECT pg_sleep($1)", [(pause,)])]

        (change,) = await store.write(CALLER, [Create(OBSERVATION)], wait)
        written.add(change.id)
    return written


async def poll(store: Store, since: str) -> tuple[set[str], str]:
    """Everything from `since` on; the newest lastUpdated seen is where the next poll begins."""
    reading = Reading(facts()[1], ZONE, "http://x/fhir")
    query = [("_lastUpdated", f"ge{since}"), ("_sort", "_lastUpdated"), ("_count", "1000")]
    page = await store.search(CALLER, parse_search(reading, "Observation", query))
    assert page.following is None
    instants = [found.body.split(b'"lastUpdated":"')[1][:27] for found in page.matches]
    newest = max(instants, default=b"")
    return {found.id for found in page.matches}, newest.decode() or since


async def test_a_poller_sees_what_every_slow_writer_committed(database: Database) -> None:
    store = store_on(database)
    draw = random.Random(7)
    writers = [
        asyncio.create_task(write_slowly(store, random.Random(draw.random())))
        for _ in range(WRITERS)
    ]
    seen: set[str] = set()
    since = "2000-01-01T00:00:00Z"
    polls = 0
    while not all(writer.done() for writer in writers):
        found, since = await poll(store, since)
        seen |= found
        polls += 1
        await asyncio.sleep(0.005)
    found, since = await poll(store, since)
    seen |= found
    written = set().union(*(writer.result() for writer in writers))
    assert len(written) == WRITERS * WRITES
    assert seen == written
    assert polls > WRITES


async def test_a_poll_sees_the_callers_own_last_write(database: Database) -> None:
    store = store_on(database)
    for _ in range(5):
        (change,) = await store.write(CALLER, [Create(OBSERVATION)])
        found, _ = await poll(store, change.last_updated.isoformat().replace("+00:00", "Z"))
        assert found == {change.id}
