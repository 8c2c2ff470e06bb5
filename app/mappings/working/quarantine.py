"""Facts as rows: what became of each and what stays open. Listings: `watching/`.

A row is the present state of one fact of one message; a replay moves it on. Open are facts that
could not be stored and facts that were stored but want a look (review).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from app.database import ReadConnection
from app.fhir import Change, Statement
from app.mappings.facts import Fact, Source
from app.mappings.forms import shown_code, shown_system
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.working.decisions import Decision, fingerprint

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
    detail = decision.detail or fact.detail
    ended = replace(fact, outcome=outcome, reason=reason, detail=detail)
    if outcome is Outcome.REVIEW and reason is not None:
        ended = replace(ended, field=fact.field_of(reason))
    return Settled(ended, change.version)


ENDS = {
    "store": Outcome.STORED,
    "unchanged": Outcome.UNCHANGED,
    "superseded": Outcome.SUPERSEDED,
    "review": Outcome.REVIEW,
}

COLUMNS = (
    "message_id ordinal feed place byte_start byte_end field outcome reason detail reviews code "
    "system analyte order_token subject waiting_keys effective ordered resource_type resource_id "
    "resource_version fingerprint state attempt mapping_version updated"
)
NAMES = COLUMNS.split()

LISTS = {"reviews": "text[]", "waiting_keys": "bytea[]"}
"""Columns that are lists travel as text: lists of different lengths are no array."""
TYPES = {
    "message_id": "bigint",
    **dict.fromkeys(("ordinal", "byte_start", "byte_end"), "integer"),
    **dict.fromkeys(("resource_version", "attempt"), "integer"),
    **dict.fromkeys(("effective", "ordered", "updated"), "timestamptz"),
    "fingerprint": "bytea",
}
"""All others are text."""
SELECTED = [f"n.{name}::{LISTS[name]}" if name in LISTS else f"n.{name}" for name in NAMES]

UPSERT = f"""
INSERT INTO feeds.fact AS f ({", ".join(NAMES)})
SELECT {", ".join(SELECTED)}
FROM unnest({", ".join(f"${n}::{TYPES.get(name, 'text')}[]" for n, name in enumerate(NAMES, 1))})
  AS n ({", ".join(NAMES)})
ON CONFLICT (message_id, ordinal) DO UPDATE SET
  {", ".join(f"{name} = excluded.{name}" for name in NAMES if name not in ("state", "feed"))},
  resolved_reason = CASE
    WHEN excluded.state = 'open' OR f.state = 'none' THEN NULL
    ELSE coalesce(f.resolved_reason, f.reason) END,
  state = CASE
    WHEN f.state = 'dismissed' AND excluded.state = 'open'
      AND f.reason IS NOT DISTINCT FROM excluded.reason THEN 'dismissed'
    WHEN f.state <> 'none' AND excluded.state = 'none' THEN 'resolved'
    ELSE excluded.state END
WHERE f.outcome NOT IN ('stored', 'unchanged')
  OR excluded.outcome NOT IN ('unchanged', 'superseded')
"""
"""A replay that finds everything in place leaves the row that tells when it was stored. What was
dismissed is open again where it fails for another reason than the one that was dismissed."""

RESOLVE_EARLIER = """
UPDATE feeds.fact f SET state = 'resolved', resolved_reason = reason, updated = n.updated
FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[])
  AS n (resource_id, message_id, ordered, updated)
WHERE f.resource_id = n.resource_id AND f.message_id <> n.message_id AND f.state = 'open'
  AND f.outcome = 'quarantined' AND f.reason NOT IN ('CORRECTION_WITHOUT_ORIGINAL',
  'PATIENT_MISMATCH') AND f.ordered <= n.ordered
"""
"""What could not be stored is settled when a later message brings the same result readable."""


@dataclass(frozen=True, slots=True)
class FactRows:
    """The rows of a message's facts, in the order of `NAMES`, and of the results stored."""

    facts: Sequence[tuple[Any, ...]] = ()
    stored: Sequence[tuple[Any, ...]] = ()


def build_fact_rows(
    message_id: int, settled: Sequence[Settled], source: Source, at: datetime, secret: bytes
) -> FactRows:
    """The rows that tell what became of a message's facts."""
    stored = [
        (each.fact.resource_id, message_id, _ordered(each.fact, source), at)
        for each in settled
        if each.fact.outcome is Outcome.STORED and (each.version or 0) >= 1
    ]
    return FactRows([_row(message_id, each, source, at, secret) for each in settled], stored)


def write_fact_rows(messages: Sequence[FactRows]) -> list[Statement]:
    """The rows of all these messages, and the end of earlier failures that they replace."""
    facts = [row for each in messages for row in each.facts]
    stored = [row for each in messages for row in each.stored]
    found = ((UPSERT, facts), (RESOLVE_EARLIER, stored))
    return [Statement(sql, [_columns(rows)]) for sql, rows in found if rows]


def fact_statements(
    message_id: int, settled: Sequence[Settled], source: Source, at: datetime, secret: bytes
) -> list[Statement]:
    """The rows of a message's facts, and the end of earlier failures that they replace."""
    return write_fact_rows([build_fact_rows(message_id, settled, source, at, secret)])


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def fresh_row(row: tuple[Any, ...]) -> Mapping[str, Any]:
    """The row of a fact that had none before, as a listing gives it."""
    told = dict(zip(NAMES, row, strict=True))
    return {**told, "reviews": _list_of(told["reviews"]), "resolved_reason": None}


def _list_of(literal: str) -> list[str]:
    return literal[1:-1].split(",") if literal != "{}" else []


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
        fact.field or None,
        (fact.outcome or Outcome.QUARANTINED).value,
        fact.reason.value if fact.reason else None,
        fact.detail,
        "{" + ",".join(review.value for review in fact.reviews) + "}",
        _clean(fact.code) if fact.analyte else shown_code(fact.code),
        _clean(fact.system) if fact.analyte else shown_system(fact.system),
        fact.analyte,
        fact.order_token,
        fact.subject.number if fact.subject else None,
        "{" + ",".join(f'"\\\\x{key.hex()}"' for key in fact.waiting_keys) + "}",
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


# Reading back


FACT_COLUMNS = (
    "f.message_id, f.ordinal, f.feed, f.place, f.byte_start, f.byte_end, f.field, f.outcome,"
    " f.reason, f.detail, f.reviews, f.code, f.system, f.analyte, f.subject, f.resource_type,"
    " f.resource_id, f.resource_version, f.state,"
    " f.resolved_reason, f.attempt, f.mapping_version, f.updated"
)


async def fetch_facts(connection: ReadConnection, message_id: int) -> Sequence[Any]:
    """All facts of one message, in its order."""
    return await connection.fetch(
        f"SELECT {FACT_COLUMNS} FROM feeds.fact f WHERE f.message_id = $1 ORDER BY f.ordinal",
        message_id,
    )
