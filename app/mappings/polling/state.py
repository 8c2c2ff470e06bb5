"""How far a server has been read, durably: a row per feed, server and resource type.

The row is also the lease: of several processes one at a time asks, and none before it is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.database import Database, ReadConnection

LEASE = timedelta(minutes=10)

OPEN = """
INSERT INTO feeds.poller (feed, source, resource_type) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
CLAIM = """
UPDATE feeds.poller SET claimed_until = now() + $4, started = now()
WHERE feed = $1 AND source = $2 AND resource_type = $3 AND claimed_until <= now()
  AND (due <= now() OR $5)
RETURNING watermark
"""
RENEW = """
UPDATE feeds.poller SET claimed_until = now() + $4
WHERE feed = $1 AND source = $2 AND resource_type = $3
"""
SUCCEED = """
UPDATE feeds.poller SET claimed_until = now(), due = now() + $4, succeeded = now(), failures = 0,
  problem = '', watermark = greatest(watermark, $5), kept = kept + $6
WHERE feed = $1 AND source = $2 AND resource_type = $3
"""
FAIL = """
UPDATE feeds.poller SET claimed_until = now(), due = now() + $4, failures = failures + 1,
  problem = $5, kept = kept + $6
WHERE feed = $1 AND source = $2 AND resource_type = $3
"""
RELEASE = """
UPDATE feeds.poller SET claimed_until = now()
WHERE feed = $1 AND source = $2 AND resource_type = $3
"""
STATES = """
SELECT feed, source, resource_type, watermark, started, succeeded, failures, problem, kept
FROM feeds.poller ORDER BY feed, source, resource_type
"""


@dataclass(frozen=True, slots=True)
class Place:
    """What a row is about."""

    feed: str
    source: str
    resource_type: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.feed, self.source, self.resource_type


@dataclass(frozen=True, slots=True)
class Held:
    """A round that may begin, and where it begins."""

    watermark: datetime | None


async def claim(database: Database, place: Place, *, at_once: bool) -> Held | None:
    """None while another process is at it, or (unless `at_once`) before it is due."""
    async with database.writing() as connection:
        await connection.execute(OPEN, *place.key)
        row = await connection.fetchrow(CLAIM, *place.key, LEASE, at_once)
    return Held(row["watermark"]) if row is not None else None


async def renew(database: Database, place: Place) -> None:
    async with database.writing() as connection:
        await connection.execute(RENEW, *place.key, LEASE)


async def succeed(
    database: Database, place: Place, wait: float, watermark: datetime | None, kept: int
) -> None:
    """All pages of a round are kept: the watermark moves on, never back."""
    async with database.writing() as connection:
        waited = timedelta(seconds=wait)
        await connection.execute(SUCCEED, *place.key, waited, watermark, kept)


async def fail(database: Database, place: Place, wait: float, problem: str, kept: int) -> None:
    async with database.writing() as connection:
        waited = timedelta(seconds=wait)
        await connection.execute(FAIL, *place.key, waited, problem, kept)


async def release(database: Database, place: Place) -> None:
    """Of a round that was broken off: another may begin at once."""
    async with database.writing() as connection:
        await connection.execute(RELEASE, *place.key)


async def fetch_states(connection: ReadConnection) -> Sequence[Any]:
    """All rows, by feed."""
    return await connection.fetch(STATES)
