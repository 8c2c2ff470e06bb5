"""The coverage ledger of FHIR documents: every value with its JSON pointer and bytes.

A resource without a fact of its own (a specimen, a medicine, a report around its results) is used
where a resource that refers to it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.mappings.facts import Fact
from app.mappings.formats.fhir.bundle import BUNDLE, Document
from app.mappings.formats.fhir.bundle import Entry as Resource
from app.mappings.formats.fhir.reads import Use, fhir_reads
from app.mappings.formats.json.leaves import JsonLeaf, Step, walk_leaves, write_pointer
from app.mappings.formats.json.spans import Broken, find_items, find_members
from app.mappings.frame import Span
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
from app.mappings.reasons import Outcome, Reason

UNREADABLE = frozenset({Reason.PARSE, Reason.STRUCTURE})
"""An entry that failed for these is one leaf: what is in it can't be told apart."""
OUTLINE: Mapping[tuple[str, ...], Verdict] = {
    ("resourceType",): Verdict("mapped", "decision", "the message's type"),
    ("type",): Verdict("mapped", "decision", "the message's type"),
    ("timestamp",): Verdict("carried", "order", "extension(result-order)"),
    ("meta", "lastUpdated"): Verdict("carried", "order", "extension(result-order)"),
    ("fullUrl",): Verdict("mapped", "link", "references within the document"),
    ("request", "method"): Verdict("mapped", "decision", "whether the entry brings data"),
}
QUARANTINED = ignored(str(Outcome.QUARANTINED))
TELLS_WHOSE = frozenset({USED, *(str(each) for each in HELD)})
"""Ends of facts whose patient was looked for, as an HL7 message's PID is, whatever came of it."""
CONTROL_ID = Verdict("mapped", "decision", "the message's control id")


def list_fhir(
    data: bytes, document: Document, facts: Sequence[Fact], rules: LedgerRules
) -> Iterator[Entry]:
    """Every leaf of a readable document with its verdict, in the order of the bytes."""
    judge = _Judge(rules, _Ends.of(document, facts))
    start = data.index(b"{")
    if not document.kind.startswith(f"{BUNDLE}/"):
        yield from _list_resource(data, document.entries[0], (), judge)
        return
    members = find_members(data, start)
    for key, span in [] if isinstance(members, Broken) else members:
        items = find_items(data, span) if key == "entry" else Broken(0)
        if isinstance(items, Broken):
            yield from _list_outline(data, span, (key,), document)
            continue
        for entry, (n, item) in zip(document.entries, enumerate(items), strict=True):
            yield from _list_entry(data, entry, item, ("entry", n), judge)


def list_refused(data: bytes, span: Span, verdict: Verdict) -> Iterator[Entry]:
    """Every leaf of a document that fails as a whole."""
    return (_entry(leaf, verdict) for leaf in walk_leaves(data, span))


def _entry(leaf: JsonLeaf, verdict: Verdict, fact: str = "") -> Entry:
    return Entry(write_pointer, (leaf.steps,), verdict, leaf.span, fact)


def _list_outline(
    data: bytes, span: Span, above: tuple[Step, ...], document: Document | None = None
) -> Found:
    """Of the Bundle, or of an entry around its resource."""
    for leaf in walk_leaves(data, span, above):
        names = tuple(step for step in leaf.steps if isinstance(step, str) and step != "entry")
        verdict = OUTLINE.get(names, ignored("envelope"))
        if names == ("identifier", "value") and document and document.identifier:
            verdict = CONTROL_ID
        yield _entry(leaf, verdict)


def _list_entry(
    data: bytes, entry: Resource, item: Span, above: tuple[Step, ...], judge: _Judge
) -> Found:
    members = find_members(data[item.start : item.end])
    if isinstance(members, Broken) or _is_unreadable(entry, item):
        yield _entry(JsonLeaf(above, item), ignored("quarantined"), entry.place)
        return
    for key, at in members:
        span = Span(item.start + at.start, item.start + at.end)
        if key == "resource":
            yield from _list_resource(data, entry, (*above, key), judge)
        else:
            yield from _list_outline(data, span, (*above, key))


def _is_unreadable(entry: Resource, item: Span) -> bool:
    """Whether the entry as a whole is, not the resource in it."""
    return entry.failure is not None and entry.span == item


def _list_resource(data: bytes, entry: Resource, above: tuple[Step, ...], judge: _Judge) -> Found:
    if entry.failure is not None and entry.failure.reason in UNREADABLE:
        yield _entry(JsonLeaf(above, entry.span), ignored("quarantined"), entry.place)
        return
    for leaf in walk_leaves(data, entry.span, above):
        steps = leaf.steps[len(above) :]
        fact = judge.ends.fact_of(entry, steps)
        yield _entry(leaf, judge.judge(entry, steps, fact), fact)


# What became of the resources


@dataclass(frozen=True, slots=True)
class _Ends:
    """By place: the outcomes of facts; and of each entry, whether it or one that refers to it was
    used."""

    of_fact: Mapping[str, Outcome]
    own: Mapping[str, str]
    users: Mapping[str, str]

    @classmethod
    def of(cls, document: Document, facts: Sequence[Fact]) -> _Ends:
        of_fact = {fact.place: fact.outcome or Outcome.STORED for fact in facts}
        told: dict[str, list[Outcome]] = {}
        for place, outcome in of_fact.items():
            told.setdefault(place.partition(".component[")[0], []).append(outcome)
        own = {place: _sum_up([_end(each) for each in ends]) for place, ends in told.items()}
        return cls(of_fact, own, _sum_up_users(_find_users(document), own))

    def fact_of(self, entry: Resource, steps: tuple[Step, ...]) -> str:
        """The place of the fact that a leaf belongs to."""
        if len(steps) > 1 and steps[0] == "component":
            place = f"{entry.place}.component[{steps[1]}]"
            if place in self.of_fact:
                return place
        return entry.place

    def end(self, fact: str) -> str:
        """Why what belongs to this fact was not used; '' where it was."""
        if fact in self.of_fact and "component[" in fact:
            return _end(self.of_fact[fact])
        return self.own.get(fact, PENDING)


NOT_USED = HELD | LEFT_OUT


def _end(outcome: Outcome) -> str:
    return str(outcome) if outcome in NOT_USED else USED


def _sum_up(ends: Sequence[str]) -> str:
    return USED if USED in ends else ends[0]


def _sum_up_users(users: Mapping[str, Sequence[str]], own: Mapping[str, str]) -> dict[str, str]:
    """By entry the end of those that refer to it, over reports to results."""
    found = {}
    for place, direct in users.items():
        further = [each for one in direct for each in users.get(one, ())]
        ends = [own[each] for each in (*direct, *further) if each in own and each != place]
        if ends:
            waiting = [each for each in ends if each != str(Outcome.NOT_RECORDED)]
            found[place] = _sum_up(waiting or ends)
    return found


LINKS = {
    "Observation": ("basedOn", "specimen", "subject"),
    "DiagnosticReport": ("basedOn", "specimen", "subject"),
    "MedicationAdministration": ("medicationReference", "request", "subject"),
    "MedicationRequest": ("medicationReference", "subject"),
    **dict.fromkeys(("ServiceRequest", "Encounter", "Condition"), ("subject",)),
}
"""Resource type → the references that its mapper follows."""
GATHERS = {"DiagnosticReport": "result", "Observation": "hasMember"}


def _find_users(document: Document) -> dict[str, list[str]]:
    """By the place of an entry the places of those that use it."""
    users: dict[str, list[str]] = {}
    for entry in document.entries:
        if entry.failure is None:
            for name in LINKS.get(entry.type, ()):
                for found in _follow(entry, name, document):
                    users.setdefault(found.place, []).append(entry.place)
            for found in _follow(entry, GATHERS.get(entry.type, ""), document):
                users.setdefault(entry.place, []).append(found.place)
    return users


def _follow(entry: Resource, name: str, document: Document) -> Iterator[Resource]:
    told = entry.resource.get(name, [])
    for reference in told if isinstance(told, list) else [told]:
        if found := document.find_entry(reference, entry):
            yield found


# What became of their leaves


@dataclass(frozen=True, slots=True)
class _Judge:
    """Says what became of the leaves of the document's resources."""

    rules: LedgerRules
    ends: _Ends
    known: dict[tuple[str, str, str, bool, str, str], Verdict] = field(default_factory=dict)

    def judge(self, entry: Resource, steps: tuple[Step, ...], fact: str) -> Verdict:
        if entry.failure is not None:
            return QUARANTINED
        own = self.ends.end(fact)
        referred = self.ends.users.get(entry.place, own)
        asked = (entry.type, *_locate(entry.resource, steps), own, referred)
        found = self.known.get(asked)
        if found is None:
            found = self.known[asked] = self._judge(*asked)
        return found

    def _judge(
        self, type: str, kind: str, path: str, inside: bool, own: str, referred: str
    ) -> Verdict:
        use = fhir_reads().get(kind, {}).get(path)
        if use is not None and use.whose and (type == "Patient" or own in TELLS_WHOSE):
            return _verdict(use)
        if inside:
            return self._judge_contained(kind, path, use, own)
        if USED in (own, referred) and use is None:
            return self._left(kind, path)
        if use is not None and (own == USED or (referred == USED and use.referred)):
            return _verdict(use)
        if own == str(Outcome.NOT_RECORDED) and referred != USED:
            return ignored(referred)
        return ignored(own)

    def _judge_contained(self, kind: str, path: str, use: Use | None, own: str) -> Verdict:
        """A contained resource has no fact of its own."""
        if own != USED:
            return ignored(own)
        if kind not in fhir_reads():
            return ignored(str(Outcome.NOT_COLLECTED))
        if use is not None:
            return _verdict(use) if use.referred else ignored(str(Outcome.NOT_RECORDED))
        return self._left(kind, path)

    def _left(self, kind: str, path: str) -> Verdict:
        rule = self.rules.rule_of_element(kind, path)
        return ignored(rule) if rule else UNEXPLAINED


def _verdict(use: Use) -> Verdict:
    return Verdict("carried" if use.carried else "mapped", use.rule, use.target)


def _locate(resource: Mapping[str, Any], steps: tuple[Step, ...]) -> tuple[str, str, bool]:
    """The type whose element this is, its path there, and whether that resource is contained."""
    kind = str(resource.get("resourceType", ""))
    if len(steps) > 2 and steps[0] == "contained" and isinstance(steps[1], int):
        inner = resource["contained"][steps[1]]
        name = inner.get("resourceType", "") if isinstance(inner, dict) else ""
        return str(name), _path(steps[2:]), True
    return kind, _path(steps), False


def _path(steps: tuple[Step, ...]) -> str:
    return ".".join(step for step in steps if isinstance(step, str))
