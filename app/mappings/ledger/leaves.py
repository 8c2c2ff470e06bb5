"""The coverage ledger: what became of every leaf of a message.

A leaf is a non-empty subcomponent of an HL7 message, a column of a table, a key of a JSON result.
It is *mapped* (went into a resource or a decision), *carried* (kept as it came), *ignored* by a
named rule, or *unexplained*. Paths and names of rules are told, values never.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from app.mappings.crf.records import CrfContent
from app.mappings.dictionary.columns import UNKNOWN, UNNAMED, Columns
from app.mappings.dictionary.site import FeedSetting
from app.mappings.facts import Fact
from app.mappings.formats.csv.decoder import Sheet
from app.mappings.formats.decoding import Read
from app.mappings.formats.fhir.bundle import FhirContent
from app.mappings.formats.hl7v2.er7 import Message, Segment, Separators
from app.mappings.formats.hl7v2.groups import ORDER_DETAILS
from app.mappings.formats.hl7v2.places import OTHER_NOTES, Leaf, Place
from app.mappings.formats.hl7v2.reads import ALTERNATIVES, find_reads
from app.mappings.formats.json.decoder import Item
from app.mappings.formats.v3xml.decoder import V3Content
from app.mappings.ledger.crf import list_crf
from app.mappings.ledger.entries import (
    ALTERNATIVE,
    CARRIED,
    HELD,
    LEFT_OUT,
    MAPPED,
    UNEXPLAINED,
    Entry,
    Found,
    Kind,
    Verdict,
    ignored,
)
from app.mappings.ledger.fhir import list_fhir, list_refused
from app.mappings.ledger.rules import LedgerRules
from app.mappings.ledger.v3xml import list_v3
from app.mappings.reasons import Outcome

MAX_PATHS = 100
"""How many unexplained paths are stored of a message; the number of all of them is."""
ONLY: Leaf = (1, 1, 1)
WHOLE = "message"
"""The one leaf of bytes that are no message of their format."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A message's leaves by what became of them; `paths` of the unexplained, the first of them."""

    mapped: int = 0
    carried: int = 0
    ignored: int = 0
    unexplained: int = 0
    paths: tuple[str, ...] = ()


def build_ledger(read: Read, facts: Sequence[Fact], setting: FeedSetting) -> Ledger | None:
    """Counts and unexplained paths; None for a format that has no ledger, or unreadable bytes."""
    apart = _left_out(read, facts)
    entries = list_entries(read, facts, setting, apart)
    if entries is None:
        return None
    ignored = _count_leaves(apart)
    counts: dict[Kind, int] = {"mapped": 0, "carried": 0, "ignored": ignored, "unexplained": 0}
    paths: list[str] = []
    for entry in entries:
        verdict = entry[2]
        counts[verdict[0]] += 1
        if verdict is UNEXPLAINED and len(paths) < MAX_PATHS:
            paths.append(entry.path)
    return Ledger(**counts, paths=tuple(paths))


def list_entries(
    read: Read, facts: Sequence[Fact], setting: FeedSetting, apart: Set[Segment] = frozenset()
) -> Found | None:
    """Every leaf with its verdict, in the order of the message; none of the segments `apart`."""
    content = read.content
    if content is None:
        return iter((Entry(str, (WHOLE,), ignored("quarantined"), read.span),))
    if isinstance(content, FhirContent):
        return _list_resources(content, read, facts, setting.ledger)
    if isinstance(content, V3Content):
        return list_v3(content, facts, setting.ledger, refused=read.failure is not None)
    if isinstance(content, CrfContent):
        return list_crf(content, facts, refused=read.failure is not None)
    if isinstance(content, Message):
        return _list_message(content, read, facts, setting.ledger, apart)
    if isinstance(content, Sheet):
        return _list_columns(content, read)
    if _is_json(content):
        return _list_items(content[0], read, facts)
    return None


def _list_resources(
    content: FhirContent, read: Read, facts: Sequence[Fact], rules: LedgerRules
) -> Found:
    if content.document is None or read.failure is not None:
        return list_refused(content.data, read.span, ignored("quarantined"))
    return list_fhir(content.data, content.document, facts, rules)


# HL7 v2


def _left_out(read: Read, facts: Sequence[Fact]) -> Set[Segment]:
    """The segments of which every leaf is ignored because of what became of their fact: of most
    messages the most segments, and they need only be counted."""
    if not isinstance(read.content, Message) or _verdict_of_all(read) is not None:
        return frozenset()
    ends = _ends(facts)
    if LEFT_OUT.isdisjoint(ends.values()):
        return frozenset()
    return {each for each in read.content.segments if ends.get(each.place) in LEFT_OUT}


def _count_leaves(segments: Iterable[Segment]) -> int:
    """How many entries `_Judge.segment` would list of these segments of one message."""
    fields: list[str] = []
    for segment in segments:
        fields += segment.fields[1:]
        marks = segment.separators
    return len(_leaf_of(marks).findall(marks.field.join(fields))) if fields else 0


@functools.lru_cache(maxsize=64)
def _leaf_of(marks: Separators) -> re.Pattern[str]:
    """What stands between two separators and is more than blanks."""
    parts = (marks.field, marks.component, marks.repetition, marks.subcomponent)
    signs = re.escape("".join(parts))
    return re.compile(rf"[^{signs}\s][^{signs}]*")


def _list_message(
    message: Message, read: Read, facts: Sequence[Fact], rules: LedgerRules, apart: Set[Segment]
) -> Found:
    judge = _Judge(_table_of(rules, *message.message_type), _told(message), _ends(facts))
    whole = _verdict_of_all(read)
    owner = ""
    for segment in message.segments:
        if segment.name not in ORDER_DETAILS:
            owner = segment.name
        name = segment.name
        if name == "NTE" and owner not in ("OBR", "OBX"):
            name = OTHER_NOTES
        if segment in apart:
            continue
        entries = judge.segment(segment, name)
        if whole is None or (segment.name == "MSH" and read.failure is None):
            yield from entries
        else:
            yield from (entry._replace(verdict=whole) for entry in entries)


def _verdict_of_all(read: Read) -> Verdict | None:
    """Of a message that is not mapped; None for one that is."""
    if read.failure is not None:
        return Verdict("ignored", "quarantined")
    return Verdict("ignored", "not-subject-data") if read.controls else None


Rule = tuple[Place, bool, Verdict]
"""Where, whether in every repetition, and what."""


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """What is known of a segment in one type of message: by field, and of all other fields."""

    fields: Mapping[int, tuple[Rule, ...]]
    rest: Verdict = UNEXPLAINED
    simple: dict[int, Verdict] = field(default_factory=dict)
    """Verdicts of fields that hold one text, as they are met."""

    def look_up(self, number: int, leaf: Leaf) -> Verdict:
        if leaf is not ONLY:
            return self._find(number, leaf)
        found = self.simple.get(number)
        if found is None:
            found = self.simple[number] = self._find(number, leaf)
        return found

    def _find(self, number: int, leaf: Leaf) -> Verdict:
        for place, every, verdict in self.fields.get(number, ()):
            if place.covers(leaf, every=every):
                return verdict
        return self.rest


NO_SEGMENT = SegmentTable(MappingProxyType({}))
Table = Mapping[str, SegmentTable]


@functools.lru_cache(maxsize=256)
def _table_of(rules: LedgerRules, code: str, trigger: str) -> Table:
    """Reads before ignored places: what is read is no less read because a rule names it."""
    reads = find_reads(code, trigger)
    given: list[Rule] = []
    if reads is not None:
        given += [(place, False, MAPPED) for place in reads.mapped]
        given += [(place, False, CARRIED) for place in reads.carried]
    given += [
        (row.place, True, Verdict("ignored", row.rule))
        for row in rules.rows
        if row.holds_for(code, trigger)
    ]
    names = {place.segment for place, _, _ in given}
    return MappingProxyType({name: _segment_table(name, given) for name in names})


def _segment_table(name: str, given: Iterable[Rule]) -> SegmentTable:
    fields: dict[int, tuple[Rule, ...]] = {}
    rest = UNEXPLAINED
    for rule in given:
        place, _, verdict = rule
        if place.segment != name:
            continue
        if place.fields is None:
            rest = verdict
        for number in place.fields or ():
            fields[number] = (*fields.get(number, ()), rule)
    return SegmentTable(MappingProxyType(fields), rest)


def _ends(facts: Sequence[Fact]) -> Mapping[str, Outcome]:
    """What became of facts that brought nothing into a resource, by their segment. A PID says whom
    the message is about whatever its own fact comes to."""
    return {
        fact.place: fact.outcome
        for fact in facts
        if fact.outcome in HELD_OR_LEFT_OUT and not fact.place.startswith(("PID", "MSH"))
    }


HELD_OR_LEFT_OUT = HELD | LEFT_OUT
PREFERRED = MappingProxyType(
    {
        name: tuple({n for others in ALTERNATIVES.values() for each, n in others if each == name})
        for name in {each for others in ALTERNATIVES.values() for each, _ in others}
    }
)


def _told(message: Message) -> frozenset[tuple[str, int]]:
    """Which of the preferred fields the message has."""
    return frozenset(
        (segment.name, number)
        for segment in message.segments
        for number in PREFERRED.get(segment.name, ())
        if segment.raw(number)
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Says what became of the leaves of a message's segments."""

    table: Table
    told: frozenset[tuple[str, int]]
    ends: Mapping[str, Outcome]

    def segment(self, segment: Segment, name: str) -> Found:
        known = self.table.get(name, NO_SEGMENT)
        end = self.ends.get(segment.place) if self.ends else None
        for number, raw in enumerate(segment.fields):
            if number and raw:
                for leaf in _leaves(segment, number, raw):
                    verdict = self._judge(name, number, known.look_up(number, leaf), end)
                    yield Entry(_path, (segment, number, leaf), verdict)

    def _judge(self, name: str, number: int, found: Verdict, end: Outcome | None) -> Verdict:
        if end in LEFT_OUT:
            return Verdict("ignored", str(end))
        if found is not MAPPED:
            return found
        if end is not None:
            return Verdict("ignored", str(end))
        others = ALTERNATIVES.get((name, number), ())
        return ALTERNATIVE if others and not self.told.isdisjoint(others) else found


def _leaves(segment: Segment, number: int, raw: str) -> Iterable[Leaf]:
    """The places in a field that hold something."""
    marks = segment.separators
    if segment.name == "MSH" and number <= 2:
        return (ONLY,)
    if marks.component in raw or marks.repetition in raw or marks.subcomponent in raw:
        return _split_leaves(raw, marks)
    return () if raw.isspace() else (ONLY,)


def _split_leaves(raw: str, marks: Separators) -> Iterator[Leaf]:
    for repetition, text in _split(raw, marks.repetition):
        for part, component in _split(text, marks.component):
            for sub, value in _split(component, marks.subcomponent):
                if value and not value.isspace():
                    yield repetition, part, sub


def _split(text: str, separator: str) -> Iterable[tuple[int, str]]:
    if not separator or separator not in text:
        return ((1, text),)
    return enumerate(text.split(separator), start=1)


def _path(segment: Segment, number: int, leaf: Leaf) -> str:
    """`OBX[2]-3.1`, `PID[1]-3[2].4.1`."""
    repetition, part, sub = leaf
    again = f"[{repetition}]" if repetition > 1 else ""
    below = f".{part}.{sub}" if sub > 1 else f".{part}"
    return f"{segment.place}-{number}{again}{below}"


# Tables


def _list_columns(sheet: Sheet, read: Read) -> Found:
    """A leaf per column. Names are told only where the header is one, else it may be a patient;
    those of unknown columns never."""
    header = sheet.table.header
    meant = set(header.places.values())
    ignored = {each.place: each for each in header.ignored}
    for n, name in enumerate(header.names):
        column = ignored.get(n)
        verdict = MAPPED if n in meant else _verdict_of_column(column.rule if column else UNNAMED)
        if verdict is not None:
            listed = column.told if column and column.rule != UNKNOWN else name
            shown = listed if header.is_sound else ""
            yield Entry(_column, (n, shown), _verdict_of_all(read) or verdict)


def _verdict_of_column(rule: str) -> Verdict | None:
    """None: a column without name and without meaning is no leaf."""
    if rule == UNNAMED:
        return None
    return UNEXPLAINED if rule == UNKNOWN else Verdict("ignored", rule)


def _column(n: int, name: str) -> str:
    return f"column[{n + 1}] {name}".rstrip()


# JSON results


def _is_json(content: Any) -> bool:
    """What the JSON decoder reads: (results, columns)."""
    return isinstance(content, tuple) and len(content) == 2 and isinstance(content[1], Columns)


def _list_items(items: Sequence[Item], read: Read, facts: Sequence[Fact]) -> Found:
    """A leaf per value. The schema knows every key: a result with another one fails as a whole."""
    ends, whole = _ends(facts), _verdict_of_all(read)
    for item in items:
        end = ends.get(item.place)
        verdict = whole or (MAPPED if end is None else Verdict("ignored", str(end)))
        if item.failure is not None:
            yield Entry(str, (item.place,), Verdict("ignored", "quarantined"))
            continue
        for pointer in _pointers(item.value, item.pointer):
            yield Entry(str, (pointer,), verdict)


def _pointers(value: Any, pointer: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _pointers(each, f"{pointer}/{key}")
    elif isinstance(value, (list, tuple)):
        for n, each in enumerate(value):
            yield from _pointers(each, f"{pointer}/{n}")
    elif value is not None and value != "":
        yield pointer
