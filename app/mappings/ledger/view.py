"""The full coverage ledger of a message, computed from its bytes: paths and names of rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from app.errors import Category, error
from app.fhir import unhurried
from app.mappings.facts import Fact
from app.mappings.feeds import Feeds
from app.mappings.ledger.leaves import BUILT_IN, Kind, Ledger, build_ledger, list_entries
from app.mappings.reasons import Outcome
from app.mappings.working.processing import Job


@dataclass(frozen=True, slots=True)
class Line:
    """A leaf of the message: where, what became of it, by which rule it was ignored."""

    path: str
    kind: Kind
    rule: str


@dataclass(frozen=True, slots=True)
class FullLedger:
    """The counts, the lines asked for (the first of them), and what the rules among them mean."""

    counts: Ledger
    lines: tuple[Line, ...]
    rules: dict[str, str]
    mapping_version: str


async def compute_ledger(
    feeds: Feeds, feed: str, message_id: int, kind: Kind | None, limit: int
) -> FullLedger:
    """NOT_FOUND: no such message, its bytes are not kept, or its format has no ledger."""
    async with feeds.database.reading() as connection:
        name = await connection.fetchval("SELECT feed FROM feeds.message WHERE id = $1", message_id)
    job = await feeds.open_job(message_id, 0) if name == feed else None
    if job is None:
        raise error(Category.NOT_FOUND, "no message with its bytes of this id", expression="id")
    facts = await _fetch_ends(feeds, job)
    size = len(job.content.data)
    found = await unhurried(size, _compute, job, facts, kind, limit, feeds.site.version)
    if found is None:
        raise error(Category.NOT_FOUND, "messages of this format have no ledger", expression="id")
    return found


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
    lines = tuple(
        Line(each.path, each.verdict.kind, each.verdict.rule) for each in islice(wanted, limit)
    )
    texts = {**BUILT_IN, **job.setting.ledger.texts}
    used = sorted({line.rule for line in lines} & texts.keys())
    return FullLedger(counts, lines, {name: texts[name] for name in used}, version)
