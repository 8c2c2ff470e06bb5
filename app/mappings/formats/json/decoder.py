"""Results as JSON as a decoder: one result, or `{"results": […]}`, each read and judged by itself.

The schema is `shape.py`. JSON is UTF-8 (RFC 8259 8.1); decimals keep their digits.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from app.errors import SsciError
from app.fhir import decimal, dump_json, parse_json
from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.columns import Columns
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.decoding import Decoder, Head, Read, header_text
from app.mappings.formats.flat_results import FlatResult, map_flat_results, settle_mentions
from app.mappings.formats.json.shape import DELIVERY, MAX_RESULTS, RESULT, find_misfit
from app.mappings.formats.json.spans import Broken, find_items, find_members
from app.mappings.formats.row_records import read_birth_date
from app.mappings.formats.summary import summarise
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Reason
from app.mappings.records import (
    NO_CODING,
    Coding,
    Identifier,
    OrderRecord,
    PatientRecord,
    ResultRecord,
)
from app.mappings.result_key import OrderNumbers
from app.mappings.subjects import read_claim

LIST = "results"
EXAMPLE = """{"results": [{
  "patient": {"identifiers": [{"number": "T000000001", "type": "MR"}]},
  "order": {"filler": "L1", "placer": "P1"},
  "panel": {"code": "CBC", "system": "99MRC"},
  "codes": [{"code": "PLT", "system": "99MRC", "display": "血小板计数"}],
  "value": 38.0, "unit": "10*9/L", "reference": "100-350", "flags": ["L"], "status": "final",
  "collected": "2019-03-14T08:00:00+08:00", "reported": "2019-03-14T09:55:00+08:00"
}]}
"""
PLACES: Mapping[Element, str] = MappingProxyType(
    {
        Element.SUBJECT: "patient/identifiers",
        Element.NAME: "patient/name",
        Element.BIRTH_DATE: "patient/birth_date",
        Element.ORDER: "order/filler",
        Element.SPECIMEN: "specimen/number",
        Element.PANEL: "panel/code",
        Element.CODE: "codes/0/code",
        Element.SYSTEM: "codes/0/system",
        Element.SUB_ID: "sub_id",
        Element.VALUE: "value",
        Element.UNIT: "unit",
        Element.REFERENCE: "reference",
        Element.FLAG: "flags",
        Element.STATUS: "status",
        Element.TIME: "collected",
        Element.ANALYSED: "analysed",
        Element.REPORTED: "reported",
        Element.NOTE: "notes",
    }
)


@dataclass(frozen=True, slots=True)
class Item:
    """One result of a delivery: where it stands, and what it says or why it cannot be read;
    `wrong` points at what does not fit."""

    pointer: str
    span: Span
    value: Mapping[str, Any] = field(default_factory=dict, repr=False)
    failure: Failure | None = None
    wrong: str = ""

    @property
    def place(self) -> str:
        return self.pointer or "document"

    @property
    def elements(self) -> Elements:
        return MappingProxyType({key: f"{self.pointer}/{part}" for key, part in PLACES.items()})


def read_json(data: bytes, setting: FeedSetting, site: Site) -> Read:
    """Finds the results, and whom they are about."""
    whole = Span(0, len(data))
    declared = header_text(setting.transport_charset)
    head = Head("JSON", "", declared, "utf-8", declared.lower() not in ("", "utf-8", "utf8"))
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        failure = Failure(Reason.CHARSET_UNDECODABLE, "JSON is UTF-8 (RFC 8259)", Element.CHARSET)
        return Read(None, whole, head, failure)
    columns = site.columns[setting.name]
    if columns.kind != "result":
        failure = Failure(Reason.UNSUPPORTED_TYPE, "this feed takes no results as JSON")
        return Read((), whole, head, failure)
    found = read_items(data)
    if isinstance(found, Failure):
        return Read(None, whole, head, found)
    patients = {_read_patient(each.value) for each in found if each.failure is None}
    claims = {each: read_claim(each, setting, site) for each in patients}
    return Read((tuple(found), columns), whole, head, claims=claims)


def read_items(data: bytes) -> list[Item] | Failure:
    """The results of a delivery; a failure for what is no JSON or not of the documented shape."""
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    members = find_members(data, start)
    if isinstance(members, Broken):
        return _broken(data, members)
    if LIST not in [key for key, _ in members]:
        last = max((span.end for _, span in members), default=start)
        return [_read_item(data, _object_around(data, start, last), "")]
    if len(members) > 1:
        return Failure(Reason.STRUCTURE, f"beside /{LIST} nothing may stand")
    items = find_items(data, members[0][1])
    if isinstance(items, Broken):
        return _broken(data, items)
    if not 1 <= len(items) <= MAX_RESULTS:
        return Failure(Reason.STRUCTURE, f"/{LIST}: must have 1 to {MAX_RESULTS} items")
    return [_read_item(data, span, f"/{LIST}/{n}") for n, span in enumerate(items)]


def _object_around(data: bytes, start: int, last: int) -> Span:
    return Span(data.index(b"{", start), data.index(b"}", last) + 1)


def _broken(data: bytes, broken: Broken) -> Failure:
    before = data[: broken.position]
    line, column = before.count(b"\n") + 1, broken.position - before.rfind(b"\n")
    return Failure(Reason.PARSE, f"no JSON object as documented: line {line}, column {column}")


def _read_item(data: bytes, span: Span, pointer: str) -> Item:
    try:
        value = parse_json(data[span.start : span.end])
    except SsciError:
        failure = Failure(Reason.PARSE, "not valid JSON, or a number or text no system can hold")
        return Item(pointer, span, failure=failure)
    misfit = find_misfit(value, RESULT)
    if misfit is None:
        return Item(pointer, span, value)
    failure = Failure(Reason.STRUCTURE, misfit.rule)
    return Item(pointer, span, failure=failure, wrong=pointer + misfit.pointer)


# Records


def map_json(read: Read, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per result, in their order."""
    items, columns = read.content
    sound = [each for each in items if each.failure is None]
    facts = map_flat_results([_read_flat(each, columns) for each in sound], context, subjects)
    facts += [_failed(each, each.failure) for each in items if each.failure is not None]
    return settle_mentions(facts)


def _failed(item: Item, failure: Failure) -> Fact:
    fact = Fact(0, item.place, item.span, elements=item.elements).failed(failure)
    return replace(fact, field=item.wrong)


def _read_patient(value: Mapping[str, Any]) -> PatientRecord:
    patient = value["patient"]
    identifiers = tuple(
        Identifier(each["number"].strip(), each.get("type", ""), each.get("authority", ""))
        for each in patient["identifiers"]
    )
    names = tuple(filter(None, (patient.get("name", "").strip(),)))
    return PatientRecord(identifiers, names, read_birth_date(patient.get("birth_date", "").strip()))


def _read_flat(item: Item, columns: Columns) -> FlatResult:
    return _read_order(item), _read_result(item, columns)


def _read_order(item: Item) -> OrderRecord:
    value = item.value
    order, status = value.get("order", {}), _text(value, "report_status")
    numbers = (_text(order, "filler"), _text(order, "placer"))
    return OrderRecord(
        item.place,
        item.span,
        _read_patient(value),
        item.elements,
        OrderNumbers(*numbers, _text(value.get("specimen", {}), "number")),
        _read_coding(value["panel"]) if "panel" in value else NO_CODING,
        is_report=bool(status),
        status=status,
        reported=_text(value, "reported") if status else "",
        sent=_text(value, "sent"),
    )


def _read_result(item: Item, columns: Columns) -> ResultRecord:
    value = item.value
    sent, plain = _read_value(value.get("value"))
    return ResultRecord(
        item.place,
        item.span,
        item.elements,
        tuple(_read_coding(each) for each in value["codes"]),
        _text(value, "sub_id"),
        "" if isinstance(value.get("value"), str | None) else "NM",
        (plain,) if plain else (),
        sent,
        absent_reason=_text(value, "absent_reason"),
        unit=_text(value, "unit"),
        reference=_text(value, "reference"),
        flags=tuple(columns.letter("flag", each.strip()) for each in value.get("flags", ())),
        status=columns.letter("status", _text(value, "status")),
        collected=_text(value, "collected"),
        analysed=_text(value, "analysed"),
        reported=_text(value, "reported"),
        notes=tuple(value.get("notes", ())),
    )


def _read_value(value: Any) -> tuple[str, str]:
    """The value as sent, and without an exponent: `3.80e1` is 38.0."""
    if value is None or isinstance(value, str):
        return (value or "").strip(), (value or "").strip()
    sent = dump_json(value).decode()
    return sent, _plain(decimal(value)) if "e" in sent.lower() else sent


def _plain(number: Decimal) -> str:
    return f"{number:f}"


def _read_coding(value: Mapping[str, Any]) -> Coding:
    return Coding(_text(value, "code"), _text(value, "system"), _text(value, "display"))


def _text(value: Mapping[str, Any], key: str) -> str:
    return str(value.get(key, "")).strip()


JSON = Decoder(
    format="json",
    title="JSON",
    media_types=frozenset({"application/json"}),
    whole="document",
    read=read_json,
    map=map_json,
    acknowledge=lambda receipt: summarise(receipt, {}),
    elements={Element.CHARSET: "charset"},
    example=EXAMPLE,
    schema=DELIVERY,
)
