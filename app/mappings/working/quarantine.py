"""Facts as rows: what became of each and what stays open. Listings: `watching/`.

A row is the present state of one fact of one message; a replay moves it on. Open are facts that
could not be stored and facts that were stored but want a look (review).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Literal, overload

from app.database import ReadConnection, copy_text
from app.fhir import Change, Copy, Statement
from app.mappings.facts import Fact, Source
from app.mappings.forms import shown_code, shown_system
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.subjects import Subject
from app.mappings.working.decisions import Decision, fingerprint
from app.numerous import numerous

OPEN_OUTCOMES = frozenset({Outcome.QUARANTINED, Outcome.WAITING, Outcome.REVIEW})
State = Literal["none", "open", "resolved", "dismissed"]


@numerous(frozen=True, slots=True)
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
    plain: Sequence[str] = ()


def build_fact_rows(
    message_id: int, settled: Sequence[Settled], source: Source, at: datetime, secret: bytes
) -> FactRows:
    """The rows that tell what became of a message's facts. At its first attempt it has none yet:
    then those of facts that are not collected are lines for COPY."""
    plain = plain_lines(message_id, settled, source, at) if source.attempt == 1 else {}
    settled = [each for each in settled if each.fact.ordinal not in plain]
    stored = _stored_rows(message_id, settled, source, at)
    rows = [_row(message_id, each, source, at, secret) for each in settled]
    return FactRows(rows, stored, list(plain.values()))


def _stored_rows(
    message_id: int, settled: Sequence[Settled], source: Source, at: datetime
) -> list[tuple[Any, ...]]:
    return [
        (each.fact.resource_id, message_id, _ordered(each.fact, source), at)
        for each in settled
        if each.fact.outcome is Outcome.STORED and (each.version or 0) >= 1
    ]


LINES_AT_ONCE = 100
"""How many lines are sent together: sending costs as much as some of them."""
OF_FACT = ("ordinal", "byte_start", "byte_end", "place", "detail", "code", "system", "analyte")
OF_MESSAGE = (
    *("message_id", "feed", "outcome", "reviews", "waiting_keys", "ordered", "state", "attempt"),
    *("mapping_version", "updated", "order_token", "subject"),
)
"""What a fact that is not collected has, and what it has of its message; all else is NULL."""


def plain_lines(
    message_id: int, settled: Sequence[Settled], source: Source, at: datetime
) -> dict[int, str]:
    """The rows of the facts that are not collected, by ordinal: most of most messages."""
    fixed = copy_text(
        *(message_id, source.feed, Outcome.NOT_COLLECTED.value, [], [], source.received, "none"),
        *(source.attempt, source.mapping_version, at),
    )
    lines: dict[int, str] = {}
    tails: dict[tuple[str, Subject | None], str] = {}
    for fact in (each.fact for each in settled if _is_plain(each.fact)):
        key = fact.order_token, fact.subject
        if key not in tails:
            number = fact.subject.number if fact.subject else None
            tails[key] = f"{fixed}\t{copy_text(fact.order_token, number)}\n"
        told = _told(fact.detail, fact.code, fact.system, fact.analyte)
        span, place = fact.span, copy_text(fact.place)
        lines[fact.ordinal] = (
            f"{fact.ordinal}\t{span.start}\t{span.end}\t{place}\t{told}\t{tails[key]}"
        )
    return lines


@lru_cache(maxsize=1024)
def _told(detail: str, code: str, system: str, analyte: str) -> str:
    """Of a test that is not collected, as COPY reads it: the dictionary has a few of them."""
    return copy_text(detail, _clean(code), _clean(system), analyte)


def _is_plain(fact: Fact) -> bool:
    """Whether nothing but its place and code is known of a fact."""
    return (
        fact.outcome is Outcome.NOT_COLLECTED
        and bool(fact.analyte)
        and fact.candidate is None
        and fact.reason is None
        and fact.order is None
        and fact.effective is None
        and fact.version is None
        and not (fact.field or fact.resource_id or fact.reviews or fact.waiting_keys)
    )


def write_fact_rows(messages: Sequence[FactRows]) -> list[Statement | Copy]:
    """The rows of all these messages, and the end of earlier failures that they replace.

    COPY fails where another attempt has come to an end meanwhile: the messages then go one by one.
    """
    facts = [row for each in messages for row in each.facts]
    stored = [row for each in messages for row in each.stored]
    plain = [line for each in messages for line in each.plain]
    pieces = ["".join(plain[n : n + LINES_AT_ONCE]) for n in range(0, len(plain), LINES_AT_ONCE)]
    copies = [Copy("feeds.fact", (*OF_FACT, *OF_MESSAGE), pieces)] if plain else []
    return [*copies, *_upserts(facts, stored)]


def _upserts(
    facts: Sequence[tuple[Any, ...]], stored: Sequence[tuple[Any, ...]]
) -> list[Statement]:
    found = ((UPSERT, facts), (RESOLVE_EARLIER, stored))
    return [Statement(sql, [_columns(rows)]) for sql, rows in found if rows]


def fact_statements(
    message_id: int, settled: Sequence[Settled], source: Source, at: datetime, secret: bytes
) -> list[Statement]:
    """The rows of a message's facts, also where it has some, and the end of earlier failures that
    they replace."""
    rows = [_row(message_id, each, source, at, secret) for each in settled]
    return _upserts(rows, _stored_rows(message_id, settled, source, at))


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


class FreshRows(Sequence[Mapping[str, Any]]):
    """The rows of a message that had none before, as a listing gives them; made when they are
    asked for."""

    def __init__(
        self,
        message_id: int,
        settled: Sequence[Settled],
        source: Source,
        at: datetime,
        secret: bytes,
    ) -> None:
        self._given = message_id, settled, source, at, secret

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> Any:
        return self._rows[index]

    @cached_property
    def _rows(self) -> list[Mapping[str, Any]]:
        message_id, settled, source, at, secret = self._given
        return [fresh_row(_row(message_id, each, source, at, secret)) for each in settled]


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
