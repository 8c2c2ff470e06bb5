"""Delimited text → rows with the bytes each stands on, as spreadsheets write it (RFC 4180).

Cut on bytes, before anything is decoded: a separator, quotation mark or line end is never the
second byte of a character in UTF-8, GB 18030 or Big5. A cell is quoted only if its closing mark
stands before a separator or line end; so a stray quotation mark spoils its own row, not those
behind it.
https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.mappings.frame import Span

SEPARATORS = (b",", b";", b"\t")
HINT = re.compile(rb'"?sep=(.)"?(?:\r\n|\r|\n)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `span` is without its line end. `number` counts as a spreadsheet does: a line end
    inside quotation marks begins no row. `closed`: every quotation mark that opens a cell also
    closes it; `ended`: a line end follows."""

    number: int
    span: Span
    cells: tuple[bytes, ...] = field(repr=False)
    closed: bool = True
    ended: bool = True

    @property
    def is_blank(self) -> bool:
        return not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Hint:
    """Excel's first line `sep=;`: where the table begins behind it, and the separator it names."""

    start: int
    separator: bytes


def find_hint(data: bytes, start: int = 0) -> Hint | None:
    match = HINT.match(data, start)
    return Hint(match.end(), match[1]) if match and match[1] in SEPARATORS else None


def find_rows(data: bytes, separator: bytes, start: int = 0) -> Iterator[Row]:
    """All rows from `start` on, blank ones too; linear in the bytes. Never raises."""
    pattern, number = _cell_pattern(separator), 1
    while start < len(data):
        row, start = _read_row(data, pattern, start, number)
        yield row
        number += 1


def find_cells(data: bytes, separator: bytes, row: Span) -> Iterator[Span]:
    """Where the cells of a row stand, quotation marks included."""
    pattern, position = _cell_pattern(separator), row.start
    while position <= row.end:
        match = pattern.match(data, position)
        assert match is not None  # both halves of the pattern may be empty
        yield Span(position, match.start(3))
        if match[3] != separator:
            return
        position = match.end()


def _read_row(data: bytes, pattern: re.Pattern[bytes], start: int, number: int) -> tuple[Row, int]:
    """The row that begins at `start`, and where the next one does."""
    cells, closed, position = [], True, start
    while True:
        match = pattern.match(data, position)
        assert match is not None  # both halves of the pattern may be empty
        quoted, bare, end = match.groups()
        closed = closed and not (bare or b"").startswith(b'"')
        cells.append(quoted.replace(b'""', b'"') if quoted is not None else bare)
        position = match.end()
        if end in (b"", b"\r\n", b"\r", b"\n"):
            span = Span(start, match.start(3))
            return Row(number, span, tuple(cells), closed, bool(end)), position


@functools.cache
def _cell_pattern(separator: bytes) -> re.Pattern[bytes]:
    """A cell and what ends it. Possessive, so that nothing is tried twice."""
    mark = re.escape(separator)
    return re.compile(
        rb'(?:"((?:[^"]++|"")*+)"(?=[\r\n' + mark + rb"]|\Z)|([^\r\n" + mark + rb"]*+))"
        rb"(" + mark + rb"|\r\n|\r|\n|\Z)"
    )
