"""Places of an HL7 v2 message as the coverage ledger writes them: `OBX-3`, `PID-3[*].4.1-2`.

A segment alone is all of it; a field is named by number or as a range (`PV1-3-18`), `[*]` is every
repetition instead of the first, components and subcomponents follow after dots.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OTHER_NOTES = "NTE@other"
"""Notes that stand under neither a result nor its order."""
FORM = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2}(?:@other)?)"
    r"(?:-(?P<field>\d{1,3})(?:-(?P<last_field>\d{1,3}))?(?P<every>\[\*\])?"
    r"(?:\.(?P<part>\d{1,2})(?:-(?P<last_part>\d{1,2}))?"
    r"(?:\.(?P<sub>\d{1,2})(?:-(?P<last_sub>\d{1,2}))?)?)?)?"
)
END = 1000
Leaf = tuple[int, int, int]
"""Repetition, component, subcomponent, each from 1."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule holds. Ranges include their ends; `fields` is None for the whole segment."""

    segment: str
    fields: range | None = None
    every: bool = False
    parts: range = range(1, END)
    subs: range = range(1, END)

    def covers(self, leaf: Leaf, *, every: bool) -> bool:
        """Whether a leaf of one of the fields is meant; `every`: in any repetition."""
        repetition, part, sub = leaf
        return (every or self.every or repetition == 1) and part in self.parts and sub in self.subs

    def overlaps(self, other: Place) -> bool:
        """Whether there are leaves that both mean; a whole segment is what its fields leave."""
        if self.segment != other.segment:
            return False
        if self.fields is None or other.fields is None:
            return self.fields is other.fields
        pairs = ((self.fields, other.fields), (self.parts, other.parts), (self.subs, other.subs))
        return all(max(a.start, b.start) < min(a.stop, b.stop) for a, b in pairs)


def parse_place(text: str) -> Place:
    """Raises ValueError saying what a place looks like."""
    found = FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no place such as NK1, PV1-3-18 or PID-3[*].4.1-2")
    segment, every = found["segment"], found["every"] is not None
    if found["field"] is None:
        return Place(segment)
    fields = _range(found["field"], found["last_field"])
    parts = _range(found["part"], found["last_part"])
    subs = _range(found["sub"], found["last_sub"])
    if not all((fields, parts, subs)):
        raise ValueError(f"{text!r} ends before it begins")
    return Place(segment, fields, every, parts, subs)


def _range(first: str | None, last: str | None) -> range:
    if first is None:
        return range(1, END)
    return range(int(first), int(last or first) + 1)
