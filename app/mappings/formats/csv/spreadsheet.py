"""A file as a spreadsheet saves it → a table: its charset, its separator, its header, its rows.

The charset is the one that the media type declares, else the byte order mark's, else the feed's.
None of them is believed against the bytes: the header, whose names are known, and the rows decide,
and a difference is flagged. "UTF-8 if it decodes" is never used as a reading, only as a suspicion.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, tee
from types import MappingProxyType

from app.mappings.dictionary.columns import Columns, Header
from app.mappings.formats.charset import codec_of, decodes
from app.mappings.formats.csv.delimited import SEPARATORS, Row, find_cells, find_hint, find_rows
from app.mappings.frame import Span

MAX_ROWS = 10_000
MAX_COLUMNS = 1_000
MAX_CELLS = 500_000
"""As many separators as a file may have, within quotation marks too: counted before it is cut."""
LIMITS = f"a file may have {MAX_ROWS} rows, {MAX_COLUMNS} columns and {MAX_CELLS} cells"
OVERFULL_READ = 65_536
"""As many bytes of a file with more cells are read, for its charset and header."""
WIDE = MappingProxyType({"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE})
BY_MARK: Mapping[bytes, str] = MappingProxyType(
    {codecs.BOM_UTF8: "utf-8", **{mark: codec for codec, mark in WIDE.items()}}
)


@dataclass(frozen=True, slots=True)
class Text:
    """The bytes behind the byte order mark, cut where separators are single bytes: UTF-16 is
    carried over to UTF-8, and `wide` remembers which it was."""

    data: bytes = field(repr=False)
    mark: bytes = b""
    wide: str = ""
    incomplete: bool = False

    def place(self, rows: Sequence[Row]) -> list[Span]:
        """Where the rows stand in the bytes received."""
        return list(self.place_spans(row.span for row in rows))

    def place_spans(self, spans: Iterable[Span]) -> Iterator[Span]:
        """Where these parts, in their order, stand in the bytes received."""
        read, at = 0, len(self.mark)
        for span in spans:
            start = at + self._width(read, span.start)
            end = start + self._width(span.start, span.end)
            yield Span(start, end)
            read, at = span.end, end

    def _width(self, start: int, end: int) -> int:
        if not self.wide:
            return end - start
        piece = self.data[start:end].decode("utf-8", "surrogatepass")
        return len(piece.encode(self.wide, "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Cells:
    """One row under a header: texts by element, '' where it has no such cell. `trouble` is what is
    wrong with the row as a whole; `ended`: by a line end."""

    number: int
    span: Span
    texts: Mapping[str, str] = field(repr=False)
    trouble: str = ""
    undecodable: bool = False
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table read. `blank` rows are counted and hold nothing; `overlong`: more rows,
    columns or cells than a file may have."""

    declared: str
    codec: str
    mismatch: bool
    separator: str
    header: Header
    header_span: Span
    rows: tuple[Cells, ...] = field(default=(), repr=False)
    blank: int = 0
    overlong: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    """A header under one charset and separator."""

    codec: str
    separator: bytes
    start: int
    row: Row
    header: Header


def read_table(data: bytes, columns: Columns, feed_codec: str, charset: str) -> Table | None:
    """The table that the bytes hold; None where they hold none (blank or binary). Never raises."""
    text = open_text(data)
    overfull = any(text.data.count(each) > MAX_CELLS for each in SEPARATORS)
    if overfull:
        text = replace(text, data=text.data[:OVERFULL_READ])
    heads = _find_heads(text)
    if not heads or any(b"\0" in cell for head in heads for cell in head.row.cells):
        return None
    declared, candidates = _candidates(text, feed_codec, charset)
    chosen = _choose(text, [_read_header(heads, codec, columns) for codec in candidates])
    rows = list(islice(find_rows(text.data, chosen.separator, chosen.start), MAX_ROWS + 2))
    spans = text.place(rows)
    filled = [(row, span) for row, span in zip(rows, spans, strict=True) if not row.is_blank]
    below = [each for each in filled if each[0].number > chosen.row.number]
    mismatch = chosen.codec != candidates[0] or _may_be_utf8(text, chosen.codec)
    return Table(
        declared,
        text.wide or chosen.codec,
        mismatch,
        chosen.separator.decode(),
        chosen.header,
        spans[chosen.row.number - 1],
        tuple(_read_cells(row, span, chosen, columns, text) for row, span in below),
        len(rows) - len(filled),
        overfull or len(rows) > MAX_ROWS + 1 or len(chosen.row.cells) > MAX_COLUMNS,
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that is not blank: number of its row, position in it, and the bytes it stands on."""

    row: int
    column: int
    span: Span


def locate_cells(data: bytes, table: Table) -> Iterator[Cell]:
    """Every cell of a table that is not blank, the header's too, in their order; also of rows
    beyond those that a file may have."""
    text, separator = open_text(data), table.separator.encode()
    hint = find_hint(text.data)
    found = (
        (row.number, column, span)
        for row in find_rows(text.data, separator, hint.start if hint else 0)
        for column, span in enumerate(find_cells(text.data, separator, row.span))
        if row.cells[column].strip()
    )
    told, spans = tee(found)
    placed = text.place_spans(span for _, _, span in spans)
    for (row, column, _), span in zip(told, placed, strict=True):
        yield Cell(row, column, span)


# Charset


def open_text(data: bytes) -> Text:
    """What stands behind the byte order mark."""
    mark = next((each for each in BY_MARK if data.startswith(each)), b"")
    body = data[len(mark) :]
    wide = BY_MARK[mark] if mark and BY_MARK[mark] in WIDE else ""
    if not wide:
        return Text(body, mark)
    incomplete = len(body) % 2 == 1
    even = body[:-1] if incomplete else body
    written = even.decode(wide, "surrogatepass").encode("utf-8", "surrogatepass")
    return Text(written, mark, wide, incomplete)


def _candidates(text: Text, feed_codec: str, charset: str) -> tuple[str, list[str]]:
    """What was declared, as sent, and the charsets the bytes may be in, the likeliest first."""
    marked = "utf-8" if text.mark else ""
    if text.wide:
        return charset or text.wide, ["utf-8"]
    named = codec_of(charset) or ""
    declared = charset or (f"{marked} (byte order mark)" if marked else "")
    found = dict.fromkeys(each for each in (named, marked, feed_codec, "utf-8") if each)
    return declared, list(found)


def _may_be_utf8(text: Text, codec: str) -> bool:
    """Whether what was read in another charset is also UTF-8: wants a look."""
    return codec != "utf-8" and not text.data.isascii() and decodes(text.data, "utf-8")


def _choose(text: Text, readings: Sequence[_Reading]) -> _Reading:
    """The first reading with a sound header that most rows do not contradict; else the first."""
    sound = [each for each in readings if each.header.is_sound]
    return next((each for each in sound if not _contradicted(text, each)), (sound or readings)[0])


def _contradicted(text: Text, reading: _Reading) -> bool:
    """Whether most of the rows with other than ASCII characters are not in this charset."""
    if decodes(text.data, reading.codec):
        return False
    rows = islice(find_rows(text.data, reading.separator, reading.start), MAX_ROWS)
    told = [text.data[row.span.start : row.span.end] for row in rows]
    wider = [each for each in told if not each.isascii()]
    wrong = sum(not decodes(each, reading.codec) for each in wider)
    return 2 * wrong > len(wider)


# Header


@dataclass(frozen=True, slots=True)
class _Head:
    """The first row that is not blank, cut at one separator."""

    separator: bytes
    start: int
    row: Row


def _find_heads(text: Text) -> list[_Head]:
    """The header under each separator that it may have."""
    hint = find_hint(text.data)
    start = hint.start if hint else 0
    found = []
    for separator in (hint.separator,) if hint else SEPARATORS:
        rows = islice(find_rows(text.data, separator, start), MAX_ROWS)
        row = next((each for each in rows if not each.is_blank), None)
        if row is not None:
            found.append(_Head(separator, start, row))
    return found


def _read_header(heads: Sequence[_Head], codec: str, columns: Columns) -> _Reading:
    """The header under one charset, with the separator under which most of its names are known."""
    readings = []
    for head in heads:
        names = [cell.decode(codec, "replace") for cell in head.row.cells[: MAX_COLUMNS + 1]]
        header = columns.read_header(names)
        readings.append(_Reading(codec, head.separator, head.start, head.row, header))
    return max(readings, key=lambda each: len(each.header.places))


# Rows


def _read_cells(row: Row, span: Span, reading: _Reading, columns: Columns, text: Text) -> Cells:
    places, texts = reading.header.places, {}
    undecodable = text.incomplete and not row.ended
    for element in columns.spellings:
        place = places.get(element, len(row.cells))
        cell = row.cells[place] if place < len(row.cells) else b""
        try:
            texts[element] = cell.decode(reading.codec).strip()
        except UnicodeDecodeError:
            texts[element], undecodable = "", True
    for element, constant in columns.constants.items():
        texts[element] = texts.get(element) or constant
    trouble = _trouble(row, reading.header, columns)
    return Cells(row.number, span, MappingProxyType(texts), trouble, undecodable, row.ended)


def _trouble(row: Row, header: Header, columns: Columns) -> str:
    if any(b"\0" in cell for cell in row.cells):
        return "a NUL character"
    if not row.closed:
        return "a quotation mark is not closed, or one within the cell is not doubled"
    width = len(header.names)
    if any(cell.strip() for cell in row.cells[width:]):
        return "more cells than the header has names"
    if len(row.cells) >= width:
        return ""
    needed = [header.places[each] for each in columns.needed if each in header.places]
    if not row.ended or len(row.cells) <= max(needed, default=0):
        return "fewer cells than the header has names"
    return ""
