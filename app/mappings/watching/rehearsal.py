"""The dry run of a replay: what it would write, found without writing anything.

Each message is mapped as it would be now and decided against what is stored; what an earlier
message of the same dry run would have written counts as stored. The same rules decide as in earnest
(`working/decisions.py`); the Provenance that comes with every writing is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.database import Database
from app.errors import SsciError
from app.fhir import Caller, Json, Operation, Revise, parse_json
from app.mappings.facts import Fact
from app.mappings.feeds import Feeds
from app.mappings.reasons import Outcome
from app.mappings.watching.selection import Selection, check_selection, select_replayed
from app.mappings.working.processing import Key, Run, build_operations
from app.mappings.working.quarantine import OPEN_OUTCOMES
from app.mappings.working.relocation import relocate

CALLER = Caller("feeds")
FAILING = OPEN_OUTCOMES - {Outcome.REVIEW}
MOVES = 3


@dataclass(frozen=True, slots=True)
class Tally:
    """What a replay does: how many messages it takes, their facts, the versions of resources that
    are new, the facts that change nothing and those that still fail or wait."""

    messages: int = 0
    facts: int = 0
    versions: int = 0
    unchanged: int = 0
    failing: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.messages + other.messages,
            self.facts + other.facts,
            self.versions + other.versions,
            self.unchanged + other.unchanged,
            self.failing + other.failing,
        )


async def select_messages(
    database: Database, selection: Selection, feeds: Sequence[str]
) -> list[int]:
    """The messages that a replay would take, oldest first. INCORRECT: nothing is selected by."""
    check_selection(selection)
    query = select_replayed(selection, tuple(feeds))
    async with database.searching() as connection:
        rows = await connection.fetch(query.sql, *query.values)
    return [row["message_id"] for row in rows]


class Rehearsal:
    """A dry run, message by message."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._written: dict[Key, Json] = {}

    async def take(self, message_id: int) -> Tally:
        """What replaying this message would do."""
        job = await self._feeds.open_job(message_id, 0)
        if job is None:
            return Tally(1)
        source, facts = await self._feeds.map_job(job)
        for _ in range(MOVES):
            run = Run()
            operations = build_operations(facts, run, source, "rehearsal", "")
            written = await self._decide(operations)
            moved = {key for key, each in run.decisions.items() if each.kind == "elsewhere"}
            if not moved:
                break
            facts = [self._relocated(fact, moved) for fact in facts]
        return self._count(facts, run, written, len(job.reviews))

    def _relocated(self, fact: Fact, moved: set[Key]) -> Fact:
        key = _key(fact)
        return relocate(fact, self._feeds.secret) if key is not None and key in moved else fact

    async def _decide(self, operations: Sequence[Operation]) -> dict[Key, Json]:
        """What would be written under each key, in the order of writing; without Provenance."""
        written: dict[Key, Json] = {}
        for operation in operations:
            if not isinstance(operation, Revise) or operation.resource_type == "Provenance":
                continue
            key = (operation.resource_type, operation.id)
            stored = await self._stored(key)
            resource = operation.revise(stored)
            if resource is not None:
                version = int(stored["meta"]["versionId"]) + 1 if stored else 1
                written[key] = _as_version(resource, version)
        return written

    async def _stored(self, key: Key) -> Json | None:
        if key in self._written:
            return self._written[key]
        stored = await self._feeds.store.read(CALLER, *key)
        return parse_json(stored.body) if stored is not None and stored.body else None

    def _count(
        self, facts: Sequence[Fact], run: Run, written: dict[Key, Json], reviews: int
    ) -> Tally:
        versions, unchanged, failing = 0, reviews, 0
        broken = {key for key, resource in written.items() if not self._is_valid(resource)}
        for fact in facts:
            key = _key(fact)
            if fact.outcome in FAILING or key in broken:
                failing += 1
            elif key is None or key not in written:
                refused = key is not None and run.decisions[key].kind == "refused"
                failing, unchanged = failing + refused, unchanged + (not refused)
        for key in written.keys() - broken:
            self._written[key] = written[key]
            versions += 1
        return Tally(1, len(facts) + reviews, versions, unchanged, failing)

    def _is_valid(self, resource: Json) -> bool:
        try:
            self._feeds.store.check(resource)
        except SsciError:
            return False
        return True


def _key(fact: Fact) -> Key | None:
    return (fact.candidate.resource_type, fact.candidate.id) if fact.candidate else None


def _as_version(resource: Json, version: int) -> Json:
    return {**resource, "meta": {**resource.get("meta", {}), "versionId": str(version)}}


async def rehearse(feeds: Feeds, selection: Selection, limit: int) -> tuple[int, Tally]:
    """(how many messages are selected, what replaying the first `limit` of them would do)."""
    messages = await select_messages(feeds.database, selection, tuple(feeds.site.feeds))
    rehearsal, tally = Rehearsal(feeds), Tally()
    for message_id in messages[:limit]:
        tally += await rehearsal.take(message_id)
    return len(messages), tally
