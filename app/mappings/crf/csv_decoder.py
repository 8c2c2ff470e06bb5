"""Case report forms as CSV: a record per row, read as every table is (`formats/csv/`).

A table may hold records of several forms; a column that no form has holds back the whole table,
because what it says would be lost in silence. https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from app.mappings.crf.claims import read_claims
from app.mappings.crf.forms import HEAD, field_names
from app.mappings.crf.json_decoder import acknowledge_crf, map_crf
from app.mappings.crf.records import CrfContent, CrfRecord
from app.mappings.crf.schema import write_templates
from app.mappings.dictionary.columns import UNKNOWN, Columns, Header, fold_name
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.elements import Element
from app.mappings.formats.csv.decoder import CSV_MEDIA_TYPES
from app.mappings.formats.csv.spreadsheet import LIMITS, Cells, Table, read_table
from app.mappings.formats.decoding import Decoder, Head, Read, header_text
from app.mappings.formats.row_records import check_row, place_of
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Reason

EXAMPLE = (
    "form,subject,record,recorded,assessed_on,assessed,grade,sites\r\n"
    "bleeding,SSCI-001,1,2019-03-14,2019-03-14,yes,1,skin|oral\r\n"
)


@cache
def columns() -> Columns:
    """The columns of all forms, each spelled as its field is named."""
    names = field_names()
    return Columns(
        kind="case-report-form",
        spellings=MappingProxyType({name: (name,) for name in names}),
        meanings=MappingProxyType({fold_name(name): name for name in names}),
        ignored=MappingProxyType({}),
        needed=tuple(each.name for each in HEAD if each.needed),
        constants=MappingProxyType({}),
        words=MappingProxyType({}),
    )


def read_crf_csv(data: bytes, setting: FeedSetting, site: Site) -> Read:
    """Finds charset, separator and header, and whom the rows are about."""
    table = read_table(data, columns(), setting.codec, setting.transport_charset)
    if table is None:
        return Read(None, Span(0, len(data)), failure=Failure(Reason.PARSE, "no table"))
    head = Head("CRF", "", header_text(table.declared), table.codec, table.mismatch)
    if failure := _refuse(table):
        return Read(CrfContent(data, (), table), table.header_span, head, failure)
    records = tuple(_read_row(row, setting) for row in table.rows)
    return Read(
        CrfContent(data, records, table), table.header_span, head, claims=read_claims(records)
    )


def _refuse(table: Table) -> Failure | None:
    """Why no row is mapped: names of columns, never what stands in them."""
    header = table.header
    if table.overlong:
        return Failure(Reason.STRUCTURE, LIMITS)
    if header.missing:
        return Failure(Reason.STRUCTURE, f"the header lacks columns: {', '.join(header.missing)}")
    if header.doubled:
        return Failure(Reason.STRUCTURE, f"columns stand twice: {', '.join(header.doubled)}")
    if unknown := _unknown(header):
        return Failure(Reason.STRUCTURE, f"no form has these columns: {', '.join(unknown)}")
    return None


def _unknown(header: Header) -> list[str]:
    return [each.told for each in header.ignored if each.rule == UNKNOWN]


def _read_row(row: Cells, setting: FeedSetting) -> CrfRecord:
    failure = check_row(row, setting.segment_end)
    return CrfRecord(place_of(row), row.span, row.texts, failure=failure)


CRF_CSV = Decoder(
    format="crf-csv",
    title="case report forms as CSV",
    media_types=CSV_MEDIA_TYPES,
    whole="header",
    read=read_crf_csv,
    map=map_crf,
    acknowledge=acknowledge_crf,
    elements={Element.CHARSET: "charset"},
    example=EXAMPLE,
    address="csv",
    templates=write_templates,
)
