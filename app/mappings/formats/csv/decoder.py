"""Tables as CSV (RFC 4180, and what spreadsheets make of it) as a decoder: a fact per row.

What the columns mean is the site's data (`columns.toml`). One row that cannot be read holds back
none of the others. https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.columns import Columns
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.csv.spreadsheet import LIMITS, Cells, Table, read_table
from app.mappings.formats.decoding import Acknowledgement, Decoder, Head, Read, Receipt, header_text
from app.mappings.formats.flat_results import map_flat_results, settle_mentions
from app.mappings.formats.row_records import (
    check_row,
    name_elements,
    place_of,
    read_row_dose,
    read_row_patient,
    read_row_result,
)
from app.mappings.formats.summary import summarise
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Reason
from app.mappings.rules.administrations import map_doses
from app.mappings.subjects import read_claim

CSV_MEDIA_TYPES = frozenset(
    {"text/csv", "application/csv", "text/tab-separated-values", "application/vnd.ms-excel"}
)
EXAMPLE = (
    "病历号,检验单号,组合代码,项目代码,结果,单位,结果状态,采集时间\r\n"
    "T000000001,L1,CBC,PLT,38,10*9/L,已审核,2019/3/14 8:00\r\n"
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table and what the feed's columns mean."""

    table: Table
    columns: Columns

    @property
    def elements(self) -> Elements:
        return name_elements(self.table.header)


RowMapper = Callable[[Sheet, Sequence[Cells], Context, Resolutions], list[Fact]]


def _map_results(
    sheet: Sheet, rows: Sequence[Cells], context: Context, subjects: Resolutions
) -> list[Fact]:
    elements = sheet.elements
    given = [read_row_result(row, sheet.columns, elements) for row in rows]
    return map_flat_results(given, context, subjects)


def _map_doses(
    sheet: Sheet, rows: Sequence[Cells], context: Context, subjects: Resolutions
) -> list[Fact]:
    elements = sheet.elements
    return map_doses(
        [read_row_dose(row, sheet.columns, elements) for row in rows], context, subjects
    )


ROW_MAPPERS: Mapping[str, RowMapper] = MappingProxyType(
    {"result": _map_results, "dose": _map_doses}
)
"""Kind of a feed's tables (`columns.toml`) → how their rows are mapped."""


def read_csv(data: bytes, setting: FeedSetting, site: Site) -> Read:
    """Finds charset, separator and header, and whom the rows are about."""
    columns = site.columns[setting.name]
    table = read_table(data, columns, setting.codec, setting.transport_charset)
    if table is None:
        return Read(None, Span(0, len(data)), failure=Failure(Reason.PARSE, "no table"))
    head = Head("CSV", "", header_text(table.declared), table.codec, table.mismatch)
    sheet = Sheet(table, columns)
    if failure := _refuse(sheet):
        return Read(sheet, table.header_span, head, failure)
    patients = {read_row_patient(row) for row in table.rows} - {None}
    claims = {each: read_claim(each, setting, site) for each in patients if each is not None}
    return Read(sheet, table.header_span, head, claims=claims)


def _refuse(sheet: Sheet) -> Failure | None:
    """Why no row of the table is mapped: the names of columns, never what stands in them."""
    table, header = sheet.table, sheet.table.header
    if table.overlong:
        return Failure(Reason.STRUCTURE, LIMITS)
    if header.missing:
        names = ", ".join(_name(sheet.columns, element) for element in header.missing)
        return Failure(Reason.STRUCTURE, f"the header lacks columns: {names}")
    if header.doubled:
        names = ", ".join(_name(sheet.columns, element) for element in header.doubled)
        return Failure(Reason.STRUCTURE, f"several columns mean the same: {names}")
    return None


def _name(columns: Columns, element: str) -> str:
    return f"{columns.spellings[element][0]} ({element})"


def map_csv(read: Read, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per row that is not blank, in their order."""
    sheet: Sheet = read.content
    segment_end = context.setting.segment_end
    failures = [(row, check_row(row, segment_end)) for row in sheet.table.rows]
    sound = [row for row, failure in failures if failure is None]
    facts = ROW_MAPPERS[sheet.columns.kind](sheet, sound, context, subjects)
    facts += [
        Fact(0, place_of(row), row.span, elements=sheet.elements).failed(failure)
        for row, failure in failures
        if failure is not None
    ]
    return settle_mentions(facts)


def acknowledge_csv(receipt: Receipt) -> Acknowledgement:
    """The receipt: how the table was read, and how many rows came to what. Columns that mean
    nothing are named only where the rest is a header: else the first row may be a patient's."""
    content = receipt.read.content if receipt.read else None
    return summarise(receipt, _describe(content) if isinstance(content, Sheet) else {})


def _describe(sheet: Sheet) -> Mapping[str, Any]:
    table, header = sheet.table, sheet.table.header
    ignored = [{"column": each.told, "rule": each.rule} for each in header.ignored]
    return {
        "charset": {
            "declared": table.declared or None,
            "used": table.codec,
            "mismatch": table.mismatch,
        },
        "separator": table.separator,
        "rows": len(table.rows),
        "blank_rows": table.blank,
        "columns": {header.names[n]: each for each, n in header.places.items()},
        "ignored_columns": ignored if header.is_sound else None,
    }


CSV = Decoder(
    format="csv",
    title="CSV",
    media_types=CSV_MEDIA_TYPES,
    whole="header",
    read=read_csv,
    map=map_csv,
    acknowledge=acknowledge_csv,
    elements={Element.CHARSET: "charset"},
    example=EXAMPLE,
)
