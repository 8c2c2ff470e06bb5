"""Rows of a table → order and dose records. Nothing is judged here but what spreadsheets do to
numbers and dates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from app.mappings.dictionary.columns import Columns, Header
from app.mappings.dictionary.site import SegmentEnd
from app.mappings.elements import Element, Elements
from app.mappings.formats.csv.spreadsheet import Cells
from app.mappings.reasons import Failure, Reason
from app.mappings.records import (
    Coding,
    DoseRecord,
    Identifier,
    OrderRecord,
    PatientRecord,
    ResultRecord,
)
from app.mappings.result_key import OrderNumbers

NUMBERS = ("subject", "order", "placer", "specimen")
SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d{1,3}", re.IGNORECASE | re.ASCII)
"""How a spreadsheet shows a number of twelve digits and more: several numbers look the same."""
AS_TEXT = re.compile(r'="([^"]*)"')
"""How exports keep a spreadsheet from reading a number: `="000123"`."""
DATE = re.compile(
    r"(\d{4})(?:[-/.]|年)(\d{1,2})(?:[-/.]|月)(\d{1,2})日?"
    r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?\s*([+-]\d{2}:?\d{2}|Z)?)?",
    re.ASCII,
)


def place_of(row: Cells) -> str:
    return f"row[{row.number}]"


def name_elements(header: Header) -> Elements:
    """The columns' own names of what the rules may point at."""
    known = {each.value for each in Element}
    return MappingProxyType(
        {
            Element(element): header.names[place]
            for element, place in header.places.items()
            if element in known
        }
    )


def check_row(row: Cells, segment_end: SegmentEnd) -> Failure | None:
    """Why a row cannot be read at all."""
    if row.undecodable:
        return Failure(Reason.CHARSET_UNDECODABLE, "a cell is not in the file's charset")
    if row.trouble:
        return Failure(Reason.PARSE, row.trouble)
    if segment_end == "required" and not row.ended:
        return Failure(Reason.PARSE, "the row has no line end: it may be cut off")
    for element in NUMBERS:
        if SHORTENED.fullmatch(row.texts.get(element, "")):
            detail = "a number shortened by a spreadsheet: store the column as text"
            known = {each.value for each in Element}
            return Failure(Reason.PARSE, detail, Element(element) if element in known else None)
    return None


def read_row_patient(row: Cells) -> PatientRecord | None:
    """Who a row is about; None where it has no patient number."""
    number = _number(row.texts, "subject")
    if not number:
        return None
    text = row.texts.get
    identifier = Identifier(number, text("subject_type", ""), text("authority", ""))
    names = tuple(filter(None, (text("name", ""),)))
    return PatientRecord((identifier,), names, read_birth_date(text("birth_date", "")))


def read_birth_date(text: str) -> str:
    """As eight digits; '' for what is no full date."""
    digits = read_time(text).replace("-", "")[:8]
    return digits if len(digits) == 8 and digits.isdecimal() else ""


def read_time(text: str) -> str:
    """`2019/3/14 8:05` and `2019年3月14日 8:05` as ISO writes them; anything else as it is."""
    match = DATE.fullmatch(text)
    if match is None:
        return text
    year, month, day, hour, minute, second, fraction, zone = match.groups(default="")
    date = f"{year}-{month:0>2}-{day:0>2}"
    if not hour:
        return date
    return f"{date} {hour:0>2}:{minute}" + (f":{second}{fraction}" if second else "") + zone


def read_row_result(
    row: Cells, columns: Columns, elements: Elements
) -> tuple[OrderRecord, ResultRecord]:
    """One result, and what its row says of its order."""
    return _read_order(row, elements), _read_result(row, columns, elements)


def _read_order(row: Cells, elements: Elements) -> OrderRecord:
    text = row.texts.get
    panel = Coding(text("panel", ""), text("panel_system", ""), text("panel_display", ""))
    status = text("report_status", "")
    return OrderRecord(
        place_of(row),
        row.span,
        read_row_patient(row),
        elements,
        _numbers(row.texts),
        panel if panel.code else Coding(),
        is_report=bool(status),
        status=status,
        reported=read_time(text("reported", "")) if status else "",
        sent=read_time(text("sent", "")),
    )


def _read_result(row: Cells, columns: Columns, elements: Elements) -> ResultRecord:
    text = row.texts.get
    value, flag, note = text("value", ""), text("flag", ""), text("note", "")
    return ResultRecord(
        place_of(row),
        row.span,
        elements,
        _codings(row.texts),
        text("sub_id", ""),
        components=(value,) if value else (),
        value_text=value,
        unit=text("unit", ""),
        reference=text("reference", ""),
        flags=(columns.letter("flag", flag),) if flag else (),
        status=columns.letter("status", text("status", "")),
        collected=read_time(text("time", "")),
        analysed=read_time(text("analysed", "")),
        reported=read_time(text("reported", "")),
        notes=(note,) if note else (),
    )


def read_row_dose(row: Cells, columns: Columns, elements: Elements) -> DoseRecord:
    """One administration."""
    text = row.texts.get
    return DoseRecord(
        place_of(row),
        row.span,
        read_row_patient(row),
        elements,
        _numbers(row.texts),
        text("counter", ""),
        _codings(row.texts),
        start=read_time(text("start", "")),
        end=read_time(text("end", "")),
        amount=text("amount", ""),
        unit=text("unit", ""),
        status=columns.letter("status", text("status", "")),
        action=columns.letter("action", text("action", "")),
        entered=read_time(text("entered", "")),
        ordered=read_time(text("ordered", "")),
        sent=read_time(text("sent", "")),
    )


def _codings(texts: Mapping[str, str]) -> tuple[Coding, ...]:
    text = texts.get
    own = Coding(text("code", ""), text("system", ""), text("display", ""))
    loinc = text("loinc", "")
    return (own, Coding(loinc, "LN")) if loinc else (own,)


def _numbers(texts: Mapping[str, str]) -> OrderNumbers:
    """The numbers, with the namespace where there is one: as in HL7's entity identifiers."""
    namespace = texts.get("order_namespace", "")
    filler, placer, specimen = (_number(texts, each) for each in ("order", "placer", "specimen"))
    filler, placer = (f"{n}^{namespace}" if n and namespace else n for n in (filler, placer))
    return OrderNumbers(filler, placer, specimen)


def _number(texts: Mapping[str, str], element: str) -> str:
    text = texts.get(element, "")
    match = AS_TEXT.fullmatch(text)
    return match[1].strip() if match else text
