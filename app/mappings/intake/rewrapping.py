"""Rotation of the key-encryption key of raw messages: their data keys are wrapped anew under the
current one, in batches, while the service goes on. The messages themselves are not touched.

A wrapped key says which key it is under, so that a rotation that was broken off goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.database import Database, ReadConnection, WriteConnection
from app.errors import SsciError
from app.mappings.intake.inbox import FeedKeys, rewrap

BATCH = 1000

SELECT = """
SELECT k.message_id, k.kek_id, k.wrapped, m.feed, m.sha256
FROM feeds.message_key k JOIN feeds.message m ON m.id = k.message_id
WHERE k.kek_id <> $1 AND k.message_id > $2 ORDER BY k.message_id LIMIT $3 FOR UPDATE OF k
"""
UPDATE = """
UPDATE feeds.message_key k SET kek_id = $1, wrapped = renewed.wrapped
FROM unnest($2::bigint[], $3::bytea[]) AS renewed (message_id, wrapped)
WHERE k.message_id = renewed.message_id
"""


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How many data keys are under the current key now, and how many could not be unwrapped: their
    key is missing, or they were altered."""

    done: int
    failed: int


async def count_by_message_key(connection: ReadConnection) -> dict[str, int]:
    """How many messages have their data key under each key-encryption key, by its id."""
    rows = await connection.fetch(
        "SELECT kek_id, count(*) AS number FROM feeds.message_key GROUP BY kek_id ORDER BY kek_id"
    )
    return {row["kek_id"]: row["number"] for row in rows}


async def rewrap_messages(
    database: Database, keys: FeedKeys, advance: Callable[[int], None]
) -> Rewrapped:
    """Wraps every data key under the current key-encryption key."""
    done = failed = 0
    after: int | None = 0
    while after is not None:
        async with database.writing() as connection:
            rows = await connection.fetch(SELECT, keys.kek_id, after, BATCH)
            renewed = [each for row in rows if (each := _renewed(keys, dict(row))) is not None]
            await _store(connection, keys, renewed)
        done, failed = done + len(renewed), failed + len(rows) - len(renewed)
        after = rows[-1]["message_id"] if len(rows) == BATCH else None
        advance(len(rows))
    return Rewrapped(done, failed)


def _renewed(keys: FeedKeys, row: Mapping[str, Any]) -> tuple[int, bytes] | None:
    """(message, its data key under the current key); None where it does not open."""
    try:
        wrapped = rewrap(keys, row["feed"], row["sha256"], row["kek_id"], row["wrapped"])
    except SsciError:
        return None
    return row["message_id"], wrapped


async def _store(
    connection: WriteConnection, keys: FeedKeys, renewed: Sequence[tuple[int, bytes]]
) -> None:
    if renewed:
        ids, wrapped = zip(*renewed, strict=True)
        await connection.execute(UPDATE, keys.kek_id, list(ids), list(wrapped))
