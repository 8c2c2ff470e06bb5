"""The coverage ledger of a message, computed from its bytes: paths and rules, never values."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from app.errors import Category, error
from app.fhir import unhurried
from app.mappings.facts import Fact
from app.mappings.feeds import Feeds
from app.mappings.ledger.entries import BUILT_IN, Entry, Kind
from app.mappings.ledger.leaves import Ledger, build_ledger, list_entries
from app.mappings.ledger.rows import MAX_BYTES, fetch_ledger
from app.mappings.reasons import Outcome
from app.mappings.working.processing import Job


@dataclass(frozen=True, slots=True)
class Line:
    """A leaf of the message: where, what became of it, by which rule, in which element; the bytes
    it stands on and the place of its fact, where the format tells them."""

    path: str
    kind: Kind
    rule: str
    target: str
    start: int | None
    end: int | None
    fact: str

    @classmethod
    def of(cls, entry: Entry) -> Line:
        verdict, span = entry.verdict, entry.span
        start, end = (span.start, span.end) if span else (None, None)
        return cls(entry.path, verdict.kind, verdict.rule, verdict.target, start, end, entry.fact)


@dataclass(frozen=True, slots=True)
class FullLedger:
    """The counts, the lines asked for (the first of them), and what the rules among them mean."""

    counts: Ledger
    lines: tuple[Line, ...]
    rules: dict[str, str]
    mapping_version: str


class Ledgers:
    """The ledgers of kept messages. Those of long ones are computed one at a time, beside the event
    loop."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._turn = asyncio.Semaphore(1)

    async def compute(
        self, feed: str, message_id: int, kind: Kind | None, limit: int
    ) -> FullLedger:
        """NOT_FOUND: no such message, its bytes are not kept, or its format has no ledger."""
        job = await self._open(message_id, feed)
        if job is None:
            raise error(Category.NOT_FOUND, "no message with its bytes of this id", expression="id")
        found = await self._compute(job, kind, limit)
        if found is None:
            told = "messages of this format have no ledger"
            raise error(Category.NOT_FOUND, told, expression="id")
        return found

    async def summarise(self, feed: str, message_id: int) -> Mapping[str, Any] | None:
        """Counts and unexplained paths: as stored, else computed. None where the bytes of a message
        without a stored ledger are not kept, or its format has none."""
        async with self._feeds.database.reading() as connection:
            stored = await fetch_ledger(connection, message_id)
        if stored is not None:
            return stored
        job = await self._open(message_id, feed)
        found = await self._compute(job, None, 0) if job is not None else None
        if found is None:
            return None
        return asdict(found.counts) | {"mapping_version": found.mapping_version}

    async def _open(self, message_id: int, feed: str) -> Job | None:
        async with self._feeds.database.reading() as connection:
            name = await connection.fetchval(
                "SELECT feed FROM feeds.message WHERE id = $1", message_id
            )
        return await self._feeds.open_job(message_id, 0) if name == feed else None

    async def _compute(self, job: Job, kind: Kind | None, limit: int) -> FullLedger | None:
        facts, size = await _fetch_ends(self._feeds, job), len(job.content.data)
        given = (job, facts, kind, limit, self._feeds.site.version)
        if size <= MAX_BYTES:
            return await unhurried(size, _compute, *given)
        async with self._turn:
            return await unhurried(size, _compute, *given)


async def _fetch_ends(feeds: Feeds, job: Job) -> Sequence[Fact]:
    """What became of the message's facts, as far as a ledger asks."""
    async with feeds.database.reading() as connection:
        rows = await connection.fetch(
            "SELECT ordinal, place, outcome FROM feeds.fact WHERE message_id = $1", job.content.id
        )
    return [
        Fact(row["ordinal"], row["place"], job.read.span, outcome=Outcome(row["outcome"]))
        for row in rows
    ]


def _compute(
    job: Job, facts: Sequence[Fact], kind: Kind | None, limit: int, version: str
) -> FullLedger | None:
    counts = build_ledger(job.read, facts, job.setting)
    entries = list_entries(job.read, facts, job.setting)
    if counts is None or entries is None:
        return None
    wanted = (each for each in entries if kind is None or each.verdict.kind == kind)
    lines = tuple(Line.of(each) for each in islice(wanted, limit))
    texts = {**BUILT_IN, **job.setting.ledger.texts}
    used = sorted({line.rule for line in lines} & texts.keys())
    return FullLedger(counts, lines, {name: texts[name] for name in used}, version)
