"""Which fields of an HL7 v2 message are shown: those that hold no identity by the standard.

HL7 v2.5.1 chapters 2, 3, 4, 7. Left out on purpose: everything about persons (PID but set id and
sex, NK1, GT1, IN1, physicians, collectors, observers), numbers of orders, specimens and visits, and
all free text (NTE-3, OBX-5 unless it is a number or a word that the site's data knows). Segments
that are not listed, Z segments among them, show their name and separators alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.formats.hl7v2.er7 import Message, Segment, Separators, Unreadable, parse_message
from app.mappings.frame import KNOWN_SEGMENTS
from app.mappings.watching.masking import (
    AMOUNT,
    CODED,
    CONTROL,
    HEADING,
    LETTERS,
    NUMBER,
    TIME,
    Form,
    Piece,
    fits,
    is_plain_value,
)


def _fields(**forms: str) -> Mapping[int, Form]:
    """`_fields(time="7 22", code="4")` → {7: TIME, 22: TIME, 4: CODED}."""
    return MappingProxyType(
        {int(number): FORMS[name] for name, text in forms.items() for number in text.split()}
    )


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "time": TIME,
        "number": NUMBER,
        "letters": LETTERS,
        "code": CODED,
        "heading": HEADING,
        "control": CONTROL,
        "amount": AMOUNT,
    }
)
SHOWN: Mapping[str, Mapping[int, Form]] = MappingProxyType(
    {
        "MSH": _fields(
            heading="2 3 4 5 6 9 12 17 18 21", control="10", time="7", letters="11 15 16"
        ),
        "FHS": _fields(heading="2 3 4 5 6", time="7"),
        "BHS": _fields(heading="2 3 4 5 6", time="7"),
        "BTS": _fields(number="1"),
        "FTS": _fields(number="1"),
        "EVN": _fields(letters="1 4", time="2 6"),
        "PID": _fields(number="1", letters="8"),
        "PV1": _fields(number="1", letters="2 4 36", time="44 45"),
        "ORC": _fields(letters="1 5", time="9 15"),
        "OBR": _fields(
            number="1", code="4 44", letters="5 11 24 25", time="6 7 8 14 22", heading="15"
        ),
        "TQ1": _fields(number="1", letters="2 3 9", time="7 8"),
        "SPM": _fields(number="1", code="4 8", time="17 18"),
        "OBX": _fields(
            number="1", code="3 17", letters="2 4 8 9 10 11", heading="6 7", time="12 14 19"
        ),
        "NTE": _fields(number="1", letters="2 4"),
        "RXA": _fields(
            number="1 2", time="3 4 16 22", code="5 7 8 14", amount="6 13", letters="20 21"
        ),
        "RXE": _fields(code="2 5 6", amount="3 4 10", letters="9"),
        "RXO": _fields(code="1 4 5", amount="2 3"),
        "RXR": _fields(code="1 2 3 4"),
        "RXC": _fields(letters="1", code="2 4", amount="3"),
        "DG1": _fields(number="1", letters="2 6", code="3", time="5"),
        "MSA": _fields(letters="1"),
    }
)
"""Segment → field → the form that its content may have; all other fields are masked."""


NAMING: Mapping[str, Mapping[int, bool]] = MappingProxyType(
    {
        segment: MappingProxyType(
            dict.fromkeys(map(int, first.split()), True)
            | dict.fromkeys(map(int, whole.split()), False)
        )
        for segment, first, whole in (
            ("PID", "2 3 4 18 20 21", "5 6 7 9 11 13 14 19"),
            ("MRG", "1 2 3 4", "7"),
            ("NK1", "", "2 4 5 6"),
            ("GT1", "2", "3 4 5 6 7"),
            ("IN1", "36 49", "16 19"),
            ("PV1", "19", "7 8 9 17"),
            ("ORC", "2 3 4", "10 11 12"),
            ("OBR", "2 3", "10 16"),
            ("SPM", "2", ""),
        )
    }
)
"""Segment → fields that name a person or a person's order; True: only by their first component (the
others name who assigned the number)."""


def cut_hl7(data: bytes, setting: FeedSetting, site: Site) -> tuple[str, list[Piece]] | None:
    """A message in pieces; what stands outside its segments is masked."""
    message = parse_message(data, setting.codec)
    if isinstance(message, Unreadable):
        return None
    codec = message.charset.codec
    try:
        return codec, list(_pieces(data, message, codec, site))
    except UnicodeDecodeError:
        return None


def _pieces(data: bytes, message: Message, codec: str, site: Site) -> Iterator[Piece]:
    position = 0
    for segment in message.segments:
        yield Piece(data[position : segment.span.start].decode(codec))
        yield from _segment(data, segment, codec, site)
        position = segment.span.end
    yield Piece(data[position:].decode(codec))


def _segment(data: bytes, segment: Segment, codec: str, site: Site) -> Iterator[Piece]:
    text = data[segment.span.start : segment.span.end].decode(codec)
    separator = segment.separators.field
    first = 2 if segment.name in ("MSH", "FHS", "BHS") else 1
    name, *fields = text.split(separator)
    yield Piece(name, shown=name in KNOWN_SEGMENTS or (len(name) == 3 and name[0] == "Z"))
    for number, content in enumerate(fields, start=first):
        yield Piece(separator, shown=True)
        yield from _field(segment, number, content, site)


def _field(segment: Segment, number: int, content: str, site: Site) -> Iterator[Piece]:
    separators = segment.separators
    kept = "".join((separators.component, separators.repetition, separators.subcomponent))
    if segment.name == "OBX" and number == 5:
        yield from _value(content, kept, site)
        return
    form = SHOWN.get(segment.name, {}).get(number)
    if form is not None and _fits(content, form, separators.component):
        yield Piece(content, shown=True)
    elif (first := NAMING.get(segment.name, {}).get(number)) is not None:
        yield from _naming(content, separators, first_only=first)
    else:
        yield Piece(content, kept=kept)


def _naming(content: str, separators: Separators, *, first_only: bool) -> Iterator[Piece]:
    between = re.compile(f"([{re.escape(separators.repetition)}])")
    for repetition in between.split(content) if separators.repetition else [content]:
        first, separator, rest = (
            repetition.partition(separators.component)
            if separators.component
            else (repetition, "", "")
        )
        kept = "".join((separators.component, separators.repetition, separators.subcomponent))
        yield Piece(first, kept=kept, naming=True)
        yield Piece(separator, shown=True)
        yield Piece(rest, kept=kept, naming=not first_only)


def _fits(content: str, form: Form, component: str) -> bool:
    """Of a time only the first component counts: a precision may follow."""
    if form is TIME and component:
        content, _, rest = content.partition(component)
        if len(rest) > 1:
            return False
    return not content or fits(content, form)


def _value(content: str, kept: str, site: Site) -> Iterator[Piece]:
    """OBX-5, part by part."""
    parts = re.split(f"([{re.escape(kept)}])", content) if kept else [content]
    for part in parts:
        yield Piece(part, shown=part in kept or is_plain_value(part, site.words))
