"""Which columns of a table are shown: those that the site's data give a meaning that names nobody.

The header shows the names that the site's data know. https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType

from app.mappings.dictionary.columns import Columns, fold_name
from app.mappings.dictionary.site import FeedSetting, Site, Words
from app.mappings.formats.csv.spreadsheet import Table, read_table
from app.mappings.watching.masking import (
    AMOUNT,
    CODED,
    HEADING,
    LOOSE_TIME,
    NUMBER,
    Form,
    Piece,
    fits,
    is_plain_value,
)

SHOWN: Mapping[str, Form] = MappingProxyType(
    {
        **dict.fromkeys(("code", "system", "display", "loinc", "sub_id"), CODED),
        **dict.fromkeys(("panel", "panel_system", "panel_display"), CODED),
        **dict.fromkeys(("unit", "reference"), HEADING),
        **dict.fromkeys(("flag", "status", "report_status", "action", "subject_type"), HEADING),
        **dict.fromkeys(("time", "analysed", "reported", "sent", "start", "end"), LOOSE_TIME),
        **dict.fromkeys(("entered", "ordered"), LOOSE_TIME),
        "amount": AMOUNT,
        "counter": NUMBER,
    }
)
"""What a column means → the form that its cells may have; `value` has rules of its own."""

NAMING = frozenset({"subject", "name", "birth_date", "order", "placer", "specimen"})


def cut_csv(data: bytes, setting: FeedSetting, site: Site) -> tuple[str, list[Piece]] | None:
    """A hospital's table in pieces, by what the site's data say of its columns."""
    columns = site.columns.get(setting.name)
    return cut_table(data, setting, site, columns, SHOWN, NAMING) if columns else None


def cut_table(
    data: bytes,
    setting: FeedSetting,
    site: Site,
    columns: Columns,
    shown: Mapping[str, Form],
    naming: frozenset[str],
) -> tuple[str, list[Piece]] | None:
    """A table in pieces: `shown` what the cells of a column may look like, `naming` the columns
    that name a person. What stands above the header is masked."""
    table = read_table(data, columns, setting.codec, setting.transport_charset)
    if table is None or table.codec.startswith("utf-16"):
        return None
    show = partial(_cell, words=site.words, shown=shown, naming=naming)
    try:
        text = data.decode(table.codec)
    except UnicodeDecodeError:
        return None
    return table.codec, list(_pieces(text, table, columns, show))


def _pieces(
    text: str, table: Table, columns: Columns, show: Callable[[str, str], Piece]
) -> Iterator[Piece]:
    meanings = {place: element for element, place in table.header.places.items()}
    offset = 0
    for row in _rows(text, table.separator):
        is_header = offset == table.header_span.start
        below = offset > table.header_span.start
        for place, (cell, end) in enumerate(row):
            if is_header:
                name = fold_name(_unquoted(cell))
                known = name in columns.meanings or name in columns.ignored
                yield Piece(cell, shown=known, kept='"')
            elif below:
                yield show(cell, meanings.get(place, ""))
            else:
                yield Piece(cell, kept="\ufeff")
            yield Piece(end, shown=True)
            offset += len((cell + end).encode(table.codec))


def _rows(text: str, separator: str) -> Iterator[list[tuple[str, str]]]:
    """Each row's cells as sent, and what ends each."""
    mark = re.escape(separator)
    pattern = re.compile(
        rf'(\ufeff?(?:"(?:[^"]++|"")*+"(?=[\r\n{mark}]|\Z)|[^\r\n{mark}]*+))({mark}|\r\n|\r|\n|\Z)'
    )
    row: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None or match.end() == position:
            row.append((text[position:], ""))
            break
        row.append((match[1], match[2]))
        position = match.end()
        if match[2] != separator:
            yield row
            row = []
    if row:
        yield row


def _unquoted(cell: str) -> str:
    cell = cell.lstrip("\ufeff")
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _cell(
    cell: str, element: str, *, words: Words, shown: Mapping[str, Form], naming: frozenset[str]
) -> Piece:
    content, form = _unquoted(cell).strip(), shown.get(element)
    if element == "value":
        is_shown = is_plain_value(content, words)
    else:
        is_shown = not content or (form is not None and fits(content, form))
    return Piece(cell, shown=is_shown, kept='"', naming=element in naming and not is_shown)
