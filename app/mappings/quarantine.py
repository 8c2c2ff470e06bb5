"""Facts as rows: what became of each, what stays open, and the listings of both.

A row is the present state of one fact of one message; a replay moves it on. Open are facts that
could not be stored and facts that were stored but want a look (review).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from app.database import ReadConnection
from app.fhir import Change, Statement
from app.mappings.decisions import Decision, fingerprint
from app.mappings.facts import Fact, Source
from app.mappings.reasons import Failure, Outcome, Reason

OPEN_OUTCOMES = frozenset({Outcome.QUARANTINED, Outcome.WAITING, Outcome.REVIEW})
State = Literal["none", "open", "resolved", "dismissed"]


@dataclass(frozen=True, slots=True)
class Settled:
    """A fact with its end: outcome and, where something is stored under its id, the version."""

    fact: Fact
    version: int | None = None

    @property
    def state(self) -> State:
        fact = self.fact
        return "open" if fact.outcome in OPEN_OUTCOMES or _wants_review(fact) else "none"


def _wants_review(fact: Fact) -> bool:
    return fact.outcome is Outcome.STORED and bool(fact.reviews)


def settle(fact: Fact, decision: Decision, change: Change) -> Settled:
    """The end of a fact that was decided in a transaction."""
    if decision.kind == "refused":
        return Settled(fact.failed(Failure(decision.reason or Reason.INTERNAL, decision.detail)))
    outcome = ENDS[decision.kind]
    reason = decision.reason or (fact.reviews[0] if fact.reviews else None)
    ended = replace(fact, outcome=outcome, reason=reason, detail=decision.detail)
    return Settled(ended, change.version)


ENDS = {
    "store": Outcome.STORED,
    "unchanged": Outcome.UNCHANGED,
    "superseded": Outcome.SUPERSEDED,
}

COLUMNS = (
    "message_id ordinal feed place byte_start byte_end field outcome reason detail reviews code "
    "system analyte order_token subject waiting_keys effective ordered resource_type resource_id "
    "resource_version fingerprint state attempt mapping_version updated"
)
NAMES = COLUMNS.split()

UPSERT = f"""
INSERT INTO feeds.fact AS f ({", ".join(NAMES)})
VALUES ({", ".join(f"${n}" for n in range(1, len(NAMES) + 1))})
ON CONFLICT (message_id, ordinal) DO UPDATE SET
  {", ".join(f"{name} = excluded.{name}" for name in NAMES if name not in ("state", "feed"))},
  state = CASE
    WHEN f.state = 'dismissed' AND excluded.state = 'open' THEN 'dismissed'
    WHEN f.state IN ('open', 'resolved') AND excluded.state = 'none' THEN 'resolved'
    ELSE excluded.state END
WHERE f.outcome NOT IN ('stored', 'unchanged')
  OR excluded.outcome NOT IN ('unchanged', 'superseded')
"""
"""A replay that finds everything in place leaves the row that tells when it was stored."""

RESOLVE_EARLIER = """
UPDATE feeds.fact SET state = 'resolved', updated = $4
WHERE resource_id = $1 AND message_id <> $2 AND state = 'open' AND outcome = 'quarantined'
  AND reason NOT IN ('CORRECTION_WITHOUT_ORIGINAL', 'PATIENT_MISMATCH') AND ordered <= $3
"""
"""What could not be stored is settled when a later message brings the same result readable."""


def fact_statements(
    message_id: int, settled: Sequence[Settled], source: Source, at: datetime, secret: bytes
) -> list[Statement]:
    """The rows of a message's facts, and the end of earlier failures that they replace."""
    rows = [_row(message_id, each, source, at, secret) for each in settled]
    statements = [Statement(UPSERT, rows)] if rows else []
    stored = [
        (each.fact.resource_id, message_id, _ordered(each.fact, source), at)
        for each in settled
        if each.fact.outcome is Outcome.STORED and (each.version or 0) >= 1
    ]
    if stored:
        statements.append(Statement(RESOLVE_EARLIER, stored))
    return statements


def _ordered(fact: Fact, source: Source) -> datetime:
    return fact.order.instant if fact.order else source.received


def _row(
    message_id: int, settled: Settled, source: Source, at: datetime, secret: bytes
) -> tuple[Any, ...]:
    fact = settled.fact
    return (
        message_id,
        fact.ordinal,
        source.feed,
        fact.place,
        fact.span.start,
        fact.span.end,
        fact.field_number,
        (fact.outcome or Outcome.QUARANTINED).value,
        fact.reason.value if fact.reason else None,
        fact.detail,
        [review.value for review in fact.reviews],
        _clean(fact.code),
        _clean(fact.system),
        fact.analyte,
        fact.order_token,
        fact.subject.number if fact.subject else None,
        list(fact.waiting_keys),
        fact.effective,
        _ordered(fact, source),
        fact.resource_type if settled.version else None,
        fact.resource_id or None,
        settled.version,
        fingerprint(fact, secret),
        settled.state,
        source.attempt,
        source.mapping_version,
        at,
    )


def _clean(text: str) -> str:
    """PostgreSQL holds no NUL in text, nor half a character."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


# Listings


@dataclass(frozen=True, slots=True)
class Page:
    """Where a listing goes on: below this message, and within it after this ordinal."""

    message_id: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class FactFilter:
    """What a listing of open facts is restricted to; None restricts nothing."""

    feed: str | None = None
    reason: str | None = None
    code: str | None = None
    subject: str | None = None


FACT_COLUMNS = (
    "f.message_id, f.ordinal, f.feed, f.place, f.byte_start, f.byte_end, f.field, f.outcome,"
    " f.reason, f.detail, f.reviews, f.code, f.system, f.analyte, f.subject, f.resource_type,"
    " f.resource_id, f.resource_version, f.state, f.attempt, f.mapping_version, f.updated"
)


async def fetch_open_facts(
    connection: ReadConnection, wanted: FactFilter, after: Page | None, count: int
) -> Sequence[Any]:
    """Open facts, newest message first, one more than `count` if there are more."""
    values: list[Any] = []

    def bind(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    conditions = ["f.state = 'open'"]
    for column in ("feed", "reason", "code", "subject"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"f.{column} = {bind(value)}")
    if after is not None:
        message, ordinal = bind(after.message_id), bind(after.ordinal)
        conditions.append(
            f"f.message_id <= {message} AND (f.message_id < {message} OR f.ordinal > {ordinal})"
        )
    return await connection.fetch(
        f"SELECT {FACT_COLUMNS} FROM feeds.fact f WHERE {' AND '.join(conditions)}"
        f" ORDER BY f.message_id DESC, f.ordinal LIMIT {bind(count + 1)}",
        *values,
    )


async def fetch_facts(connection: ReadConnection, message_id: int) -> Sequence[Any]:
    """All facts of one message, in its order."""
    return await connection.fetch(
        f"SELECT {FACT_COLUMNS} FROM feeds.fact f WHERE f.message_id = $1 ORDER BY f.ordinal",
        message_id,
    )


MESSAGE_COLUMNS = (
    "m.id, m.feed, m.sha256, m.size, m.received, m.kind, m.media_type, m.message_type,"
    " m.control_id, m.control_id_reused, m.charset_declared, m.charset_used, m.charset_mismatch,"
    " p.state, p.started, p.finished"
)


async def fetch_messages(
    connection: ReadConnection,
    feed: str,
    control_id: str | None,
    sha256: bytes | None,
    before: int | None,
    count: int,
) -> Sequence[Any]:
    """Messages of a feed, newest first, one more than `count` if there are more."""
    values: list[Any] = [feed, count + 1]
    conditions = ["m.feed = $1"]
    wanted = (("m.control_id =", control_id), ("m.sha256 =", sha256), ("m.id <", before))
    for condition, value in wanted:
        if value is not None:
            values.append(value)
            conditions.append(f"{condition} ${len(values)}")
    return await connection.fetch(
        f"SELECT {MESSAGE_COLUMNS} FROM feeds.message m"
        " LEFT JOIN feeds.processing p ON p.message_id = m.id"
        f" WHERE {' AND '.join(conditions)} ORDER BY m.id DESC LIMIT $2",
        *values,
    )


async def fetch_message(connection: ReadConnection, feed: str, message_id: int) -> Any | None:
    """One message of a feed with its number of deliveries."""
    return await connection.fetchrow(
        f"SELECT {MESSAGE_COLUMNS},"
        " 1 + (SELECT count(*) FROM feeds.delivery d WHERE d.message_id = m.id) AS deliveries"
        " FROM feeds.message m LEFT JOIN feeds.processing p ON p.message_id = m.id"
        " WHERE m.feed = $1 AND m.id = $2",
        feed,
        message_id,
    )


async def fetch_overview(connection: ReadConnection) -> Sequence[Any]:
    """Per feed: its last message, how many wait to be processed, and open facts by reason."""
    return await connection.fetch(
        "SELECT f.feed, f.reason, count(*) AS number FROM feeds.fact f WHERE f.state = 'open'"
        " GROUP BY f.feed, f.reason ORDER BY f.feed, f.reason"
    )


async def fetch_feed_state(connection: ReadConnection, feed: str) -> Any | None:
    return await connection.fetchrow(
        "SELECT (SELECT received FROM feeds.message WHERE feed = $1 ORDER BY id DESC LIMIT 1)"
        " AS last_received, count(*) AS pending, min(m.received) AS oldest_pending"
        " FROM feeds.processing p JOIN feeds.message m ON m.id = p.message_id"
        " WHERE p.state = 'pending' AND m.feed = $1",
        feed,
    )
