"""Replays in earnest: batches of messages that are processed again, one after the other.

A batch is rows in the database, so that it can be stopped, goes on after a restart, and is worked
at by one process at a time (a claim that is renewed). Identities make a message that is taken twice
write nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.database import Database, ReadConnection
from app.errors import Category, SsciError, error
from app.fhir import Caller, parse_json
from app.mappings.feeds import Feeds
from app.mappings.result_key import keyed_id
from app.mappings.watching.dismissals import MAX_PERSON, MAX_REASON, checked_text
from app.mappings.watching.rehearsal import FAILING, Tally
from app.mappings.watching.selection import Selection, check_selection, select_replayed
from app.mappings.working.processing import TRANSIENT

logger = logging.getLogger(__name__)

CALLER = Caller("feeds")
CLAIM = timedelta(seconds=30)
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Batch:
    """A replay and how far it has come."""

    id: int
    state: str
    person: str
    reason: str
    selection: str
    mapping_version: str
    requested: datetime
    ended: datetime | None
    messages: int
    done: Tally


INSERT = """
INSERT INTO feeds.replay
  (person, reason, selection, mapping_version, state, requested, claimed_until)
VALUES ($1, $2, $3, $4, 'running', $5, now() + $6) RETURNING id
"""
COLUMNS = """
r.id, r.state, r.person, r.reason, r.selection, r.mapping_version, r.requested, r.ended, n.*
"""
SUMS = """
LATERAL (
  SELECT count(*) AS messages, count(*) FILTER (WHERE done) AS done,
    coalesce(sum(facts), 0) AS facts, coalesce(sum(versions), 0) AS versions,
    coalesce(sum(unchanged), 0) AS unchanged, coalesce(sum(failing), 0) AS failing
  FROM feeds.replay_message WHERE replay_id = r.id
) n
"""
CLAIM_BATCH = """
UPDATE feeds.replay SET claimed_until = now() + $2
WHERE id = $1 AND state = 'running' AND ($3 OR claimed_until <= now()) RETURNING id
"""
LEFT_BEHIND = """
SELECT id FROM feeds.replay WHERE state = 'running' AND claimed_until <= now() ORDER BY id LIMIT 1
"""
NEXT_MESSAGE = """
SELECT message_id FROM feeds.replay_message WHERE replay_id = $1 AND NOT done
ORDER BY message_id LIMIT 1
"""
STILL_PENDING = """
SELECT EXISTS (
  SELECT FROM feeds.processing p JOIN feeds.message_key k ON k.message_id = p.message_id
  WHERE p.message_id = $1 AND p.state = 'pending')
"""
"""A message whose key was destroyed meanwhile stays unprocessed: nobody is to wait for it."""

FINISH_MESSAGE = """
UPDATE feeds.replay_message
SET done = true, facts = $3, versions = $4, unchanged = $5, failing = $6
WHERE replay_id = $1 AND message_id = $2
"""
END = """
UPDATE feeds.replay SET state = $2, ended = $3 WHERE id = $1 AND state = 'running' RETURNING id
"""
RESUME = """
UPDATE feeds.replay SET state = 'running', ended = NULL, claimed_until = now()
WHERE id = $1 AND state = 'stopped' RETURNING id
"""


async def begin_replay(
    feeds: Feeds, selection: Selection, person: str, reason: str, *, claim: bool = False
) -> int:
    """Makes a batch of the messages selected now; its id. `claim`: the caller works through it
    (`Replayer.run`), else the service does.

    Raises SsciError INCORRECT: nothing is selected by, or no person or reason is named.
    """
    check_selection(selection)
    person = checked_text(person, "person", MAX_PERSON)
    reason = checked_text(reason, "reason", MAX_REASON)
    query = select_replayed(selection, tuple(feeds.site.feeds), first=2)
    async with feeds.database.writing() as connection:
        id = await connection.fetchval(
            INSERT,
            *(person, reason, selection.describe(), feeds.site.version, datetime.now(UTC)),
            CLAIM if claim else timedelta(0),
        )
        await connection.execute(
            "INSERT INTO feeds.replay_message"
            " SELECT $1::bigint, chosen.message_id, false, 0, 0, 0, 0"
            f" FROM ({query.sql}) chosen",
            id,
            *query.values,
        )
    return int(id)


async def fetch_batch(connection: ReadConnection, id: int) -> Batch:
    """One replay; NOT_FOUND if there is none of this number."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM feeds.replay r, {SUMS} WHERE r.id = $1", id
    )
    if row is None:
        raise error(Category.NOT_FOUND, "no such replay", expression="replay")
    return _batch(row)


async def fetch_batches(
    connection: ReadConnection, before: int | None, count: int
) -> Sequence[Batch]:
    """Replays, newest first, one more than `count` if there are more."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM feeds.replay r, {SUMS} WHERE r.id < $1 ORDER BY r.id DESC LIMIT $2",
        before if before is not None else 2**63 - 1,
        count + 1,
    )
    return [_batch(row) for row in rows]


def _batch(row: Any) -> Batch:
    done = Tally(row["done"], row["facts"], row["versions"], row["unchanged"], row["failing"])
    return Batch(
        *(row["id"], row["state"], row["person"], row["reason"], row["selection"]),
        *(row["mapping_version"], row["requested"], row["ended"], row["messages"]),
        done,
    )


async def stop_replay(database: Database, id: int) -> None:
    """Stops a running replay before its next message. CONFLICT if it does not run."""
    async with database.writing() as connection:
        stopped = await connection.fetchval(END, id, "stopped", datetime.now(UTC))
        if stopped is None:
            raise await _not_in_state(ReadConnection(connection.raw), id, "running")


async def resume_replay(database: Database, id: int) -> None:
    """Lets a stopped replay go on with what is left of it. CONFLICT if it is not stopped."""
    async with database.writing() as connection:
        if await connection.fetchval(RESUME, id) is None:
            raise await _not_in_state(ReadConnection(connection.raw), id, "stopped")


async def _not_in_state(connection: ReadConnection, id: int, wanted: str) -> Exception:
    batch = await fetch_batch(connection, id)
    return error(Category.CONFLICT, f"the replay is {batch.state}, not {wanted}", expression="id")


class Replayer:
    """Works through batches."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._database = feeds.database

    async def run_left_behind(self) -> bool:
        """Works through the oldest batch that nobody works at; whether there was one."""
        async with self._database.reading() as connection:
            id = await connection.fetchval(LEFT_BEHIND)
        if id is None or not await self._claim(id, own=False):
            return False
        await self.run(id)
        return True

    async def run(self, id: int, advance: Callable[[int], None] = lambda _: None) -> None:
        """Works through a batch that the caller has claimed, until it is done or stopped."""
        while await self._claim(id, own=True):
            async with self._database.reading() as connection:
                message_id = await connection.fetchval(NEXT_MESSAGE, id)
            if message_id is None:
                await self._end(id)
                return
            if not await self._replay(id, message_id):
                return
            advance(1)

    async def _claim(self, id: int, *, own: bool) -> bool:
        async with self._database.writing() as connection:
            return await connection.fetchval(CLAIM_BATCH, id, CLAIM, own) is not None

    async def _end(self, id: int) -> None:
        async with self._database.writing() as connection:
            await connection.fetchval(END, id, "done", datetime.now(UTC))

    async def _replay(self, id: int, message_id: int) -> bool:
        """Processes one message and notes what came of it; False if the replay was stopped before
        the message was processed."""
        while not await self._has_been_processed(message_id):
            await asyncio.sleep(LOOK_SECONDS)
            if not await self._claim(id, own=True):
                return False
        tally = await self._count(message_id)
        async with self._database.writing() as connection:
            await connection.execute(
                FINISH_MESSAGE,
                *(id, message_id, tally.facts, tally.versions, tally.unchanged, tally.failing),
            )
        return True

    async def _has_been_processed(self, message_id: int) -> bool:
        """Processes a message, or waits for who is at it; what can't be opened any more counts."""
        try:
            await self._feeds.process_again([message_id])
        except SsciError as problem:
            if problem.category in TRANSIENT:
                return False
            logger.error("replay: message %s: %s", message_id, problem.category)
            return True
        async with self._database.reading() as connection:
            return not await connection.fetchval(STILL_PENDING, message_id)

    async def _count(self, message_id: int) -> Tally:
        """What the last attempt at a message came to."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(
                "SELECT f.place, f.outcome, f.attempt = p.started AS now, p.started, m.feed,"
                " m.format, m.sha256 FROM feeds.fact f JOIN feeds.message m ON m.id = f.message_id"
                " JOIN feeds.processing p ON p.message_id = m.id WHERE m.id = $1"
                " ORDER BY f.ordinal",
                message_id,
            )
        failing = sum(row["outcome"] in FAILING for row in rows)
        stored = [row for row in rows if row["outcome"] == "stored" and row["now"]]
        versions = await self._versions(rows[0], stored) if rows else 0
        return Tally(1, len(rows), versions, len(rows) - failing - len(stored), failing)

    async def _versions(self, message: Any, stored: Sequence[Any]) -> int:
        """How many versions the Provenance of this attempt names: one for the message, or one for
        each fact where they were written singly."""
        number = 0
        for place in sorted({"", message["place"], *(row["place"] for row in stored)}):
            id = keyed_id(
                *(self._feeds.secret, "provenance", message["feed"], message["format"]),
                *(message["sha256"].hex(), str(message["started"]), place),
            )
            found = await self._feeds.store.read(CALLER, "Provenance", id)
            if found is not None and found.body:
                number += len(parse_json(found.body)["target"])
        return number
