"""Which messages one transaction may carry together: those of which none bears on another.

Carried out together they must end as if they had come one by one. A later message waits for the
next transaction if it is about a result that an earlier one is about, or about the same subject,
unless both bring nothing but laboratory results that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.mappings.facts import Candidate, Fact

MAX_FACTS = 320
"""Of one transaction: a long one would hold its locks and the event loop."""
UNSTORED = 4
"""So many facts that store nothing count as one that does."""
PLAIN_COMPANIONS = frozenset({"DiagnosticReport", "Specimen"})


@dataclass(frozen=True, slots=True)
class Touched:
    """What the facts of a message are about. `facts`: their number, as far as it is work. `plain`:
    laboratory results and no more. `alone`: it changes who a patient number means, or is too long.
    """

    facts: int
    ids: frozenset[str]
    subjects: frozenset[str]
    plain: bool
    alone: bool


def touched_by(facts: Sequence[Fact] | None) -> Touched:
    """What these facts may read or write when they are carried out; None: nobody knows."""
    if facts is None:
        return Touched(0, frozenset(), frozenset(), plain=False, alone=True)
    stored = [fact for fact in facts if fact.candidate is not None]
    return Touched(
        len(stored) + (len(facts) - len(stored)) // UNSTORED,
        frozenset(id for fact in facts for id in _ids(fact)),
        frozenset(fact.subject.number for fact in stored if fact.subject is not None),
        all(_is_plain(fact) for fact in stored),
        len(facts) > MAX_FACTS or any(fact.merge is not None for fact in facts),
    )


def _ids(fact: Fact) -> list[str]:
    """Also of a fact that failed: what could not be stored counts as an original."""
    candidates: tuple[Candidate, ...] = ()
    if fact.candidate is not None:
        candidates = (fact.candidate, *fact.companions)
    found = [f"{each.resource_type}/{each.id}" for each in candidates]
    return [fact.resource_id, *found] if fact.resource_id else found


def _is_plain(fact: Fact) -> bool:
    """Whether it is a result that no other of the same subject is compared with."""
    companions = {each.resource_type for each in fact.companions}
    return (
        fact.candidate is not None
        and fact.candidate.resource_type == "Observation"
        and companions <= PLAIN_COMPANIONS
        and not (fact.measured is not None and fact.measured.unusual_unit)
    )


@dataclass(slots=True)
class Wave:
    """The messages that one transaction carries, and those that came before and had to wait."""

    facts: int = 0
    ids: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    exclusive: set[str] = field(default_factory=set)
    closed: bool = False

    def admits(self, touched: Touched) -> bool:
        """Whether the next message may be carried too; who comes after one that may not is held
        against both."""
        admitted = self._is_free(touched)
        self.facts += touched.facts if admitted else 0
        self.ids |= touched.ids
        self.subjects |= touched.subjects
        self.exclusive |= frozenset() if touched.plain else touched.subjects
        self.closed = self.closed or touched.alone
        return admitted

    def _is_free(self, touched: Touched) -> bool:
        if self.closed or touched.alone or self.facts + touched.facts > MAX_FACTS:
            return False
        if touched.ids & self.ids or touched.subjects & self.exclusive:
            return False
        return touched.plain or not touched.subjects & self.subjects
