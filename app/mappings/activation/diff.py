"""What another mapping would make of the messages in the inbox: the difference before activation.

Each message is mapped with the active mapping and with the candidate; both are held against what is
known of the results, nothing is written. Two facts at the same place differ in outcome or in the
content of their resource; the mapping's own version does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.database import Database
from app.fhir import Json
from app.mappings.facts import Candidate, Fact
from app.mappings.feeds import Feeds
from app.mappings.resources import MAPPING_VERSION

MAX_LINES = 1000
AT_ONCE = 500
NEXT = """
SELECT id FROM feeds.message WHERE id > $1 AND kind = 'message' ORDER BY id LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that would change: where, from what to what, and which elements of the resource.
    Nothing of whom it is about."""

    message: int
    place: str
    code: str
    before: str
    after: str
    elements: tuple[str, ...] = ()


@dataclass(slots=True)
class Comparison:
    """The difference of two mappings over the inbox, as it grows; `lines` are the first of them."""

    messages: int = 0
    facts: int = 0
    changed: int = 0
    not_there: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)
    lines: list[Difference] = field(default_factory=list)

    def add(self, message: int, before: Sequence[Fact], after: Sequence[Fact]) -> None:
        self.messages += 1
        self.facts += max(len(before), len(after))
        for found in compare_facts(message, before, after):
            self.changed += 1
            if found.before != found.after:
                self.outcomes[found.before, found.after] += 1
            self.elements.update(found.elements)
            if len(self.lines) < MAX_LINES:
                self.lines.append(found)


def compare_facts(message: int, before: Sequence[Fact], after: Sequence[Fact]) -> list[Difference]:
    """The facts of one message that differ, by place; several of one place in their order."""
    old, new = _by_place(before), _by_place(after)
    found = (
        _compare(message, place, old.get(place), new.get(place))
        for place in dict.fromkeys((*old, *new))
    )
    return [each for each in found if each is not None]


Spot = tuple[str, int]


def _by_place(facts: Sequence[Fact]) -> dict[Spot, Fact]:
    found: dict[Spot, Fact] = {}
    counts: Counter[str] = Counter()
    for fact in facts:
        found[fact.place, counts[fact.place]] = fact
        counts[fact.place] += 1
    return found


def _compare(
    message: int, spot: Spot, before: Fact | None, after: Fact | None
) -> Difference | None:
    told = _outcome(before), _outcome(after)
    elements = tuple(sorted(_elements_that_differ(before, after)))
    if told[0] == told[1] and not elements:
        return None
    some = after or before
    assert some is not None
    return Difference(message, spot[0], some.code, *told, elements)


NONE = "no fact"
STORE = "to be stored"


def _outcome(fact: Fact | None) -> str:
    if fact is None:
        return NONE
    if fact.outcome is None:
        return STORE
    return f"{fact.outcome}: {fact.reason}" if fact.reason else str(fact.outcome)


def _elements_that_differ(before: Fact | None, after: Fact | None) -> set[str]:
    """Top-level elements of the resource, and of those that come with it."""
    old, new = _resources(before), _resources(after)
    if not old or not new:
        return set()
    found: set[str] = set()
    for kind in old.keys() | new.keys():
        ours, theirs = old.get(kind, {}), new.get(kind, {})
        found |= {
            f"{kind}.{name}"
            for name in ours.keys() | theirs.keys()
            if ours.get(name) != theirs.get(name)
        }
    return found


def _resources(fact: Fact | None) -> Mapping[str, Json]:
    if fact is None or fact.candidate is None:
        return {}
    given: list[Candidate] = [*fact.companions, fact.candidate]
    return {each.resource_type: _without_version(each.resource) for each in given}


def _without_version(resource: Any) -> Any:
    kept = [each for each in resource.get("extension", ()) if each.get("url") != MAPPING_VERSION]
    return {**resource, "extension": kept}


async def compare_inbox(
    active: Feeds, candidate: Feeds, comparison: Comparison
) -> AsyncIterator[int]:
    """Adds each message of the inbox to the comparison, oldest first; the message's id after it."""
    async for id in _message_ids(active.database):
        before, after = await _map(active, id), await _map(candidate, id)
        if before is None and after is None:
            comparison.not_there += 1
        else:
            comparison.add(id, before or (), after or ())
        yield id


async def _message_ids(database: Database) -> AsyncIterator[int]:
    last = 0
    while True:
        async with database.reading() as connection:
            rows = await connection.fetch(NEXT, last, AT_ONCE)
        for row in rows:
            last = row["id"]
            yield last
        if len(rows) < AT_ONCE:
            return


async def _map(feeds: Feeds, id: int) -> Sequence[Fact] | None:
    """None where the bytes are not kept, or the site has no such feed."""
    job = await feeds.open_job(id, 0)
    return None if job is None else (await feeds.map_job(job))[1]


async def count_messages(database: Database) -> int:
    async with database.reading() as connection:
        return int(
            await connection.fetchval("SELECT count(*) FROM feeds.message WHERE kind = 'message'")
        )
