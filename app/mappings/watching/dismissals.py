"""Dismissing what is open and opening it again: a person decides, says why, and both are kept.

The rows are only ever appended. A dismissed fact stays dismissed when it fails again for the same
reason, is open again when it fails for another, and is resolved when a later attempt succeeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from app.database import Database, ReadConnection, WriteConnection
from app.errors import Category, error

Action = Literal["dismiss", "reopen"]
MAX_PERSON = 100
MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided about facts of a message, and why. `ordinals` None: all that can be."""

    feed: str
    message_id: int
    ordinals: tuple[int, ...] | None
    action: Action
    person: str
    reason: str


STATES = {"dismiss": ("open", "dismissed"), "reopen": ("dismissed", "open")}

DECIDE = """
WITH changed AS (
  UPDATE feeds.fact SET state = $4 WHERE message_id = $1 AND feed = $2 AND state = $3
    AND ($5::integer[] IS NULL OR ordinal = ANY($5))
  RETURNING ordinal, reason
)
INSERT INTO feeds.dismissal
  (feed, message_id, ordinal, action, fact_reason, person, reason, decided)
SELECT $2, $1, changed.ordinal, $6, changed.reason, $7, $8, $9
FROM changed ORDER BY changed.ordinal RETURNING ordinal
"""


async def decide_facts(database: Database, decision: Decision, at: datetime) -> list[int]:
    """The ordinals of the facts that were dismissed or opened: all that were named, or none.

    Raises SsciError INCORRECT (no person or reason), NOT_FOUND, CONFLICT (not in that state).
    """
    person = checked_text(decision.person, "person", MAX_PERSON)
    reason = checked_text(decision.reason, "reason", MAX_REASON)
    before, after = STATES[decision.action]
    async with database.writing() as connection:
        await _check_there(connection, decision)
        asked = None if decision.ordinals is None else list(decision.ordinals)
        rows = await connection.fetch(
            DECIDE,
            *(decision.message_id, decision.feed, before, after, asked),
            *(decision.action, person, reason, at),
        )
        done = [row["ordinal"] for row in rows]
        missed = sorted(set(asked or ()) - set(done))
        if missed or not done:
            named = f"fact {', '.join(map(str, missed))}" if missed else "no fact of this message"
            raise error(Category.CONFLICT, f"{named}: not {before}", expression="facts")
    return done


def checked_text(text: str, name: str, limit: int) -> str:
    """A text that a person wrote, without outer blanks. INCORRECT where it says nothing, is too
    long or can't be stored."""
    told = text.strip()
    if not told or len(told) > limit or not told.isprintable():
        rule = f"1 to {limit} printable characters"
        raise error(Category.INCORRECT, rule, expression=name)
    return told


async def _check_there(connection: WriteConnection, decision: Decision) -> None:
    known = await connection.fetch(
        "SELECT ordinal FROM feeds.fact WHERE message_id = $1 AND feed = $2",
        decision.message_id,
        decision.feed,
    )
    if not known:
        raise error(Category.NOT_FOUND, "no such message, or no facts yet", expression="message_id")
    if unknown := set(decision.ordinals or ()) - {row["ordinal"] for row in known}:
        told = ", ".join(map(str, sorted(unknown)))
        raise error(Category.NOT_FOUND, f"no fact {told} in this message", expression="facts")


COLUMNS = "id, feed, message_id, ordinal, action, fact_reason, person, reason, decided"


async def fetch_decisions(
    connection: ReadConnection, feed: str, before: int | None, count: int
) -> Sequence[Any]:
    """The decisions about a feed's facts, newest first, one more than `count` if there are more."""
    return await connection.fetch(
        f"SELECT {COLUMNS} FROM feeds.dismissal WHERE feed = $1 AND id < $2"
        " ORDER BY id DESC LIMIT $3",
        feed,
        before if before is not None else 2**63 - 1,
        count + 1,
    )


async def fetch_decisions_of(connection: ReadConnection, message_id: int) -> Sequence[Any]:
    """The decisions about one message's facts, in their order."""
    return await connection.fetch(
        f"SELECT {COLUMNS} FROM feeds.dismissal WHERE message_id = $1 ORDER BY id", message_id
    )
