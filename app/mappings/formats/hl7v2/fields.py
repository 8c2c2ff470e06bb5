"""Fields that several kinds of segment share, read as senders write them."""

from __future__ import annotations

import functools
import re

from app.mappings.formats.hl7v2.er7 import Segment, Separators
from app.mappings.frame import Span
from app.mappings.records import Coding

DELETED = '""'
MAX_REMEMBERED = 200
NOWHERE = Span(0, 0)


def read_codings(segment: Segment, field: int) -> tuple[Coding, ...]:
    """The coding of a coded element (CE, CWE) and, if there is one, the alternate."""
    raw = segment.raw(field)
    if len(raw) <= MAX_REMEMBERED:
        return _read_short_codings(raw, segment.separators, segment.codec)
    return _read_codings(segment, field)


@functools.lru_cache(maxsize=2048)
def _read_short_codings(raw: str, separators: Separators, codec: str) -> tuple[Coding, ...]:
    """The codes of a laboratory are the same in all of its messages."""
    return _read_codings(Segment("", 0, NOWHERE, ("", raw), separators, codec), 1)


def _read_codings(segment: Segment, field: int) -> tuple[Coding, ...]:
    first = Coding(segment.text(field), segment.text(field, 3), segment.text(field, 2))
    other = segment.text(field, 4)
    if not other:
        return (first,)
    return first, Coding(other, segment.text(field, 6), segment.text(field, 5))


def read_unit_text(segment: Segment, field: int) -> str:
    """The unit as sent; a bare `10^9/L` or `10~9/L`, which HL7 splits, is put together again."""
    raw, separators = segment.raw(field), segment.separators
    for separator in (separators.component, separators.repetition):
        power, found, rest = raw.partition(separator)
        if found and re.fullmatch(r"[xX×*]?\s*10", power.strip()) and rest[:1].isdigit():
            other = separators.repetition if separator == separators.component else ""
            return segment.whole(
                _first_unit(f"{power}{separator}{rest}", separators.component, other)
            )
    return segment.text(field) or segment.text(field, 2)


def _first_unit(text: str, component: str, repetition: str) -> str:
    """`10^9/L^billion per litre` → `10^9/L`: the unit ends at the second component."""
    if repetition:
        text = text.split(repetition, 1)[0]
        return component.join(text.split(component, 2)[:2])
    return text.split(component, 1)[0]
