"""The coverage ledger of V3 XML: every attribute and every text with its path and bytes.

What stands around results is used where one of them is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.mappings.facts import Fact
from app.mappings.formats.v3xml.decoder import REPORTS, V3Content, find_person, find_roles
from app.mappings.formats.v3xml.elements import XmlElement
from app.mappings.formats.v3xml.leaves import XmlLeaf, walk_leaves, write_path
from app.mappings.formats.v3xml.reads import (
    MESSAGE,
    ROLE,
    TEXT,
    find_around_use,
    find_person_use,
    find_result_use,
)
from app.mappings.ledger.entries import (
    HELD,
    LEFT_OUT,
    PENDING,
    UNEXPLAINED,
    USED,
    Entry,
    Found,
    Verdict,
    ignored,
)
from app.mappings.ledger.rules import LedgerRules
from app.mappings.reasons import Outcome

NOT_USED = HELD | LEFT_OUT
TELLS_WHOSE = frozenset({USED, *(str(each) for each in HELD)})
"""Ends of facts whose patient was looked for, whatever came of it."""


def list_v3(
    content: V3Content, facts: Sequence[Fact], rules: LedgerRules, *, refused: bool
) -> Found:
    """Every leaf with its verdict, element by element. `refused`: the message as a whole."""
    judge = None if refused or content.message is None else _Judge.of(content, facts, rules)
    for leaf in walk_leaves(content.data, content.root):
        fact, verdict = judge.judge(leaf) if judge else ("", ignored("quarantined"))
        yield Entry(write_path, (leaf,), verdict, leaf.span, fact)


@dataclass(frozen=True, slots=True)
class _Judge:
    """By the identity of elements: results with their places, what stands around results with
    the places below it; the patient's roles, and who is the person in the first."""

    rules: LedgerRules
    message: XmlElement
    results: Mapping[int, str]
    around: Mapping[int, Sequence[str]]
    roles: frozenset[int]
    person: int
    ends: Mapping[str, str]

    @classmethod
    def of(cls, content: V3Content, facts: Sequence[Fact], rules: LedgerRules) -> _Judge:
        assert content.message is not None  # of a message that is not refused
        around: dict[int, list[str]] = {}
        for found in content.found:
            for element in found.around:
                around.setdefault(id(element), []).append(found.place)
        roles = find_roles(content.message)
        person = id(find_person(roles[0])) if roles else 0
        results = {id(found.element): found.place for found in content.found}
        numbered = frozenset(id(each) for each in roles)
        ends = {each.place: _end(each) for each in facts}
        return cls(rules, content.message, results, around, numbered, person, ends)

    def judge(self, leaf: XmlLeaf) -> tuple[str, Verdict]:
        """The place of the leaf's fact, and what became of the leaf."""
        names = [each.name for each in leaf.chain]
        depth = next((n for n, each in enumerate(leaf.chain) if each is self.message), None)
        if depth is None:
            return "", ignored("envelope")
        steps = (*names, f"@{leaf.attribute}" if leaf.attribute else TEXT)
        for n, element in reversed(list(enumerate(leaf.chain))):
            below = steps[n + 1 :]
            if id(element) in self.results:
                place = self.results[id(element)]
                value = element.child("value")
                use = find_result_use(below, value.type if value else "")
                return place, self._verdict(use, self._end((place,)), steps)
            if verdict := self._judge_person(element, below):
                return "", verdict
            if id(element) in self.around:
                return "", self._judge_around(element, below, steps)
        return "", self._verdict(None, self._end(()), steps)

    def _judge_person(self, element: XmlElement, below: tuple[str, ...]) -> Verdict | None:
        use = ROLE.get("/".join(below)) if id(element) in self.roles else None
        if use is None and id(element) == self.person:
            use = find_person_use(below)
        if use is None:
            return None
        ends = set(self.ends.values())
        if ends & TELLS_WHOSE:
            return use
        return ignored(next(iter(sorted(ends)), PENDING))

    def _judge_around(
        self, element: XmlElement, below: tuple[str, ...], steps: tuple[str, ...]
    ) -> Verdict:
        told = MESSAGE.get("/".join(below)) if element is self.message else None
        if told is not None:
            return told
        use = find_around_use(below, panel=element.name in REPORTS)
        return self._verdict(use, self._end(self.around[id(element)]), steps)

    def _end(self, places: Sequence[str]) -> str:
        """Why what these facts need was not used; of no place that of all facts."""
        ends = [self.ends[each] for each in places or self.ends if each in self.ends]
        return USED if USED in ends else next(iter(ends), PENDING)

    def _verdict(self, use: Verdict | None, end: str, steps: tuple[str, ...]) -> Verdict:
        if end != USED:
            return ignored(end)
        if use is not None:
            return use
        rule = self.rules.rule_of_v3(steps)
        return ignored(rule) if rule else UNEXPLAINED


def _end(fact: Fact) -> str:
    outcome = fact.outcome or Outcome.STORED
    return str(outcome) if outcome in NOT_USED else USED
