"""Two facts of one message with one identity: the first counts."""

from __future__ import annotations

from collections.abc import Iterable

from app.mappings.elements import Element
from app.mappings.facts import Fact
from app.mappings.reasons import Failure, Outcome, Reason


def settle_twins(facts: Iterable[Fact]) -> list[Fact]:
    """An equal second is a repetition; one that says something else cannot be told from the first
    and fails."""
    first: dict[tuple[str, str], Fact] = {}
    settled = []
    for fact in facts:
        key = fact.resource_type, fact.resource_id
        twin = first.setdefault(key, fact) if fact.candidate else fact
        settled.append(fact if twin is fact else _settle(fact, twin))
    return settled


def _settle(fact: Fact, first: Fact) -> Fact:
    if fact.candidate and first.candidate and fact.candidate.resource == first.candidate.resource:
        return fact.settled(Outcome.UNCHANGED, f"repeats {first.place}")
    detail = f"cannot be told from {first.place}, and says something else"
    return fact.failed(Failure(Reason.WEAK_KEY_CONFLICT, detail, Element.ORDER))
