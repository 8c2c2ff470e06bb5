"""HL7 v2 in its bar encoding (ER7), read tolerantly and with byte offsets: bytes → message.

HL7 v2.5.1 chapter 2: separators 2.5.4, escapes 2.7, MSH 2.15.9. Nothing here raises: what cannot
be read comes back as `Unreadable` with a reason and a place.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.mappings.formats.charset import Charset, choose_charset
from app.mappings.frame import Span, find_segments
from app.numerous import numerous

HEX_RUN = re.compile(r"[0-9A-Fa-f]*")
MAX_REPETITIONS = 200
MAX_SEGMENTS = 20_000
MAX_LINES = 200_000
FIXED_ESCAPES = {"H": "", "N": "", ".br": "\n", ".BR": "\n", ".ce": "\n", ".fi": "", ".nf": ""}


@dataclass(frozen=True, slots=True)
class Separators:
    """The five characters of MSH-1 and MSH-2; one that the sender left out is ''."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


@numerous(frozen=True, slots=True, eq=False)
class Segment:
    """One segment: `number` counts those of its name, `span` is in bytes of the message.

    `fields[n]` is field n as sent (`fields[0]` the name); MSH-1 is the separator itself.
    """

    name: str
    number: int
    span: Span
    fields: tuple[str, ...]
    separators: Separators
    codec: str

    @property
    def place(self) -> str:
        return f"{self.name}[{self.number}]"

    def raw(self, field: int) -> str:
        """Field as sent, escapes untouched; '' where it was not sent."""
        return self.fields[field] if field < len(self.fields) else ""

    def repetitions(self, field: int) -> tuple[str, ...]:
        """The repetitions of a field as sent, at most 200; () for an empty field."""
        text = self.raw(field)
        return tuple(_split(text, self.separators.repetition)) if text else ()

    def text(
        self, field: int, component: int = 1, repetition: int = 1, subcomponent: int = 0
    ) -> str:
        """One component (or subcomponent) with escapes resolved and outer blanks removed."""
        raw = self.fields[field] if field < len(self.fields) else ""
        if not raw:
            return ""
        separator = self.separators.repetition
        if separator and separator in raw:
            found = raw.split(separator)
            raw = found[repetition - 1] if repetition <= len(found) else ""
        elif repetition > 1:
            return ""
        return self.part(raw, component, subcomponent)

    def part(self, repetition: str, component: int, subcomponent: int = 0) -> str:
        """One component of a repetition given as sent."""
        marks = self.separators
        found = _pick(repetition, marks.component, component)
        if subcomponent:
            found = _pick(found, marks.subcomponent, subcomponent)
        if marks.escape in found:
            found = unescape(found, marks, self.codec)
        return found.strip()

    def whole(self, raw: str) -> str:
        """A field or repetition taken as one text, escapes resolved."""
        return unescape(raw, self.separators, self.codec)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as read; `overlong`: it has more segments than any real one, and only its header
    was read."""

    separators: Separators
    segments: tuple[Segment, ...]
    charset: Charset
    overlong: bool = False

    @property
    def header(self) -> Segment:
        return self.segments[0]

    @property
    def control_id(self) -> str:
        return self.header.text(10)

    @property
    def message_type(self) -> tuple[str, str]:
        """Message code and trigger event; the trigger is read from MSH-9.3 if MSH-9.2 is empty."""
        code, trigger, structure = (self.header.text(9, n) for n in (1, 2, 3))
        if not trigger and "_" in (structure or code):
            code, trigger = (structure or code).split("_", 1)
        return code.upper(), trigger.upper()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why bytes are no message: a quarantine reason, the place, and a text without values."""

    reason: str
    place: str
    detail: str


def parse_message(data: bytes, feed_codec: str) -> Message | Unreadable:
    """Reads one message; `feed_codec` applies where MSH-18 declares nothing usable."""
    spans, overlong = _find_bounded(data)
    if not spans:
        return Unreadable("FRAME_BROKEN", "MSH", "no MSH segment with a field separator")
    head = data[spans[0].start : spans[0].end]
    if not _is_separator(head[3:4]):
        return Unreadable("FRAME_BROKEN", "MSH-1", "MSH-1 is not a separator character")
    charset = choose_charset(data, _charset_repetitions(head, feed_codec), feed_codec)
    if not charset.decodable:
        return Unreadable("CHARSET_UNDECODABLE", "MSH-18", "the bytes fit no permitted charset")
    separators = _read_separators(head.decode(charset.codec, "replace"))
    segments = _read_segments(data, spans, separators, charset.codec)
    return Message(separators, segments, charset, overlong)


def _find_bounded(data: bytes) -> tuple[list[Span], bool]:
    """The segments; of a message with too many of them only the header, and True."""
    if data.count(b"\r") + data.count(b"\n") > MAX_LINES:
        start = max(data.find(b"MSH"), 0)
        ends = [end for end in (data.find(mark, start) for mark in (b"\r", b"\n")) if end >= 0]
        return find_segments(data[: min(ends, default=len(data))]), True
    spans = find_segments(data)
    return (spans[:1], True) if len(spans) > MAX_SEGMENTS else (spans, False)


def field_span(data: bytes, segment: Segment, field: int) -> Span:
    """Where a field's bytes are in the message (`data`); an empty span where it was not sent."""
    text = data[segment.span.start : segment.span.end].decode(segment.codec)
    first = 2 if segment.name == "MSH" else 1
    pieces = text.split(segment.separators.field)
    place = field - first + 1
    if place >= len(pieces):
        return Span(segment.span.end, segment.span.end)
    before = segment.separators.field.join([*pieces[:place], ""])
    start = segment.span.start + len(before.encode(segment.codec))
    return Span(start, start + len(pieces[place].encode(segment.codec)))


def unescape(text: str, separators: Separators, codec: str) -> str:
    """Resolves HL7 escapes; what is no known escape, or unpaired, stays as it was sent."""
    escape = separators.escape
    if not escape or escape not in text:
        return text
    pieces: list[str] = []
    position = 0
    while (start := text.find(escape, position)) >= 0:
        pieces.append(text[position:start])
        end = text.find(escape, start + 1)
        paired = end > start + 1
        found = _resolve(text, start, end, separators, codec) if paired else None
        resolved, position = found if found is not None else (escape, start + 1)
        pieces.append(resolved)
    pieces.append(text[position:])
    return "".join(pieces)


def _resolve(
    text: str, start: int, end: int, separators: Separators, codec: str
) -> tuple[str, int] | None:
    """What the escape between `start` and `end` stands for, and where reading goes on."""
    body = text[start + 1 : end]
    if body[:1] == "X":
        return _resolve_hex(text, start, separators.escape, codec)
    plain = _plain_escapes(separators)
    if body in plain:
        return plain[body], end + 1
    if re.fullmatch(r"\.sp\d{0,2}", body):
        return "\n" * int(body[3:] or 1), end + 1
    return None


@functools.lru_cache(maxsize=64)
def _plain_escapes(separators: Separators) -> Mapping[str, str]:
    return MappingProxyType(
        {
            "F": separators.field,
            "S": separators.component,
            "T": separators.subcomponent,
            "R": separators.repetition,
            "E": separators.escape,
        }
        | FIXED_ESCAPES
    )


def _resolve_hex(text: str, start: int, escape: str, codec: str) -> tuple[str, int] | None:
    """Adjacent `\\X..\\` escapes are one run: a character's bytes may be spread over several. A run
    that is no text in this charset stays as it was sent, as a whole."""
    run: list[str] = []
    position = start
    while text.startswith(f"{escape}X", position):
        end = text.find(escape, position + 1)
        digits = text[position + 2 : end]
        if end < 0 or not digits or len(digits) % 2 or not HEX_RUN.fullmatch(digits):
            break
        run.append(digits)
        position = end + 1
    if not run:
        return None
    try:
        return bytes.fromhex("".join(run)).decode(codec), position
    except UnicodeDecodeError:
        return text[start:position], position


def _pick(text: str, separator: str, number: int) -> str:
    """The part with this number; '' where there are not as many."""
    if not separator or separator not in text:
        return text if number == 1 else ""
    found = text.split(separator)
    return found[number - 1] if number <= len(found) else ""


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator, MAX_REPETITIONS)[:MAX_REPETITIONS] if separator else [text]


def _is_separator(byte: bytes) -> bool:
    return bool(byte) and byte.isascii() and not byte.isalnum() and byte not in b"\r\n\x00 "


def _charset_repetitions(head: bytes, feed_codec: str) -> tuple[str, ...]:
    """MSH-18, read where reading under the charset it names finds the same declaration."""
    for codec in dict.fromkeys(("utf-8", feed_codec, "gb18030", "latin-1")):
        try:
            text = head.decode(codec)
        except UnicodeDecodeError:
            continue
        found = _read_msh_18(text)
        if found == _read_msh_18(
            head.decode(choose_charset(head, found, feed_codec).codec, "replace")
        ):
            return found
    return ()


def _read_msh_18(text: str) -> tuple[str, ...]:
    separators = _read_separators(text)
    fields = text.split(separators.field)
    return tuple(_split(fields[17], separators.repetition)) if len(fields) > 17 else ()


def _read_separators(head: str) -> Separators:
    """Separators as MSH declares them; missing ones are the standard's, '~' of MSH-2 = `^~\\&`."""
    field = head[3]
    encoding = head[4:].split(field, 1)[0]
    standard = "^~\\&"
    found = [encoding[n : n + 1] or standard[n] for n in range(4)]
    if len(set(found)) < 4 or field in found:
        found = [*standard]
    return _separators(field, *found)


@functools.lru_cache(maxsize=64)
def _separators(*marks: str) -> Separators:
    """The same object for the same marks: what is remembered by them is found sooner."""
    return Separators(*marks)


def _read_segments(
    data: bytes, spans: list[Span], separators: Separators, codec: str
) -> tuple[Segment, ...]:
    counts: dict[str, int] = {}
    segments = []
    for span in spans:
        text = data[span.start : span.end].decode(codec)
        fields = text.split(separators.field)
        name = fields[0]
        if name == "MSH":
            fields.insert(1, separators.field)
        counts[name] = counts.get(name, 0) + 1
        segments.append(Segment(name, counts[name], span, tuple(fields), separators, codec))
    return tuple(segments)
