"""Case report forms as JSON: one record, or `{"records": […]}`, each read and judged by itself.

The schema is `schema.py`. JSON is UTF-8 (RFC 8259 8.1); places are JSON pointers (RFC 6901).
"""

from __future__ import annotations

import codecs
from typing import Any

from app.errors import SsciError
from app.fhir import decimal, is_number, parse_json
from app.mappings.context import Context, Resolutions
from app.mappings.crf.claims import read_claims
from app.mappings.crf.facts import map_records
from app.mappings.crf.forms import field_names
from app.mappings.crf.records import CrfContent, CrfRecord
from app.mappings.crf.schema import MAX_RECORDS, build_schema
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.elements import Element
from app.mappings.facts import Fact
from app.mappings.formats.decoding import Acknowledgement, Decoder, Head, Read, Receipt, header_text
from app.mappings.formats.json.spans import Broken, find_items, find_members
from app.mappings.formats.summary import summarise
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Reason

LIST = "records"
UNFIT = "must be a word, a number, a list of words or an object of numbers"
JSON_MEDIA_TYPES = frozenset({"application/json"})
EXAMPLE = """{"records": [
 {"form": "adverse-event", "subject": "SSCI-001", "record": 1, "action": "record",
  "recorded": "2019-03-14T10:15:00+08:00", "term": "Mucositis oral", "grade": 2,
  "onset": "2019-03-02", "end": "2019-03-12", "serious": false, "causality": "possibly-related",
  "expected": true, "action_taken": "dose-not-changed", "outcome": "recovered"},
 {"form": "bleeding", "subject": "SSCI-001", "record": 1, "recorded": "2019-03-14",
  "assessed_on": "2019-03-14", "assessed": true, "grade": 1, "sites": ["skin"]}
]}
"""


def read_crf_json(data: bytes, setting: FeedSetting, site: Site) -> Read:
    """Finds the records, and whom they are about."""
    whole, declared = Span(0, len(data)), header_text(setting.transport_charset)
    mismatch = declared.lower() not in ("", "utf-8", "utf8")
    head = Head("CRF", "", declared, "utf-8", mismatch)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        failure = Failure(Reason.CHARSET_UNDECODABLE, "JSON is UTF-8 (RFC 8259)", Element.CHARSET)
        return Read(None, whole, head, failure)
    found = _read_records(data)
    if isinstance(found, Failure):
        return Read(None, whole, head, found)
    return Read(CrfContent(data, tuple(found)), whole, head, claims=read_claims(found))


def _read_records(data: bytes) -> list[CrfRecord] | Failure:
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    members = find_members(data, start)
    if isinstance(members, Broken):
        return _broken(data, members)
    if LIST not in [key for key, _ in members]:
        last = max((span.end for _, span in members), default=start)
        span = Span(data.index(b"{", start), data.index(b"}", last) + 1)
        return [_read_record(data, span, "")]
    if len(members) > 1:
        return Failure(Reason.STRUCTURE, f"beside /{LIST} nothing may stand")
    items = find_items(data, members[0][1])
    if isinstance(items, Broken):
        return _broken(data, items)
    if not 1 <= len(items) <= MAX_RECORDS:
        return Failure(Reason.STRUCTURE, f"/{LIST}: must have 1 to {MAX_RECORDS} items")
    return [_read_record(data, span, f"/{LIST}/{n}") for n, span in enumerate(items)]


def _broken(data: bytes, broken: Broken) -> Failure:
    before = data[: broken.position]
    line, column = before.count(b"\n") + 1, broken.position - before.rfind(b"\n")
    return Failure(Reason.PARSE, f"no JSON object as documented: line {line}, column {column}")


def _read_record(data: bytes, span: Span, pointer: str) -> CrfRecord:
    place = pointer or "/"
    try:
        value = parse_json(data[span.start : span.end])
    except SsciError:
        value = None
    if not isinstance(value, dict):
        failure = Failure(Reason.PARSE, "no JSON object, or a number or text no system can hold")
        return CrfRecord(place, span, {}, pointers=True, failure=failure)
    read = {key: _text(each) for key, each in value.items()}
    names = field_names()
    texts = {key: text for key, text in read.items() if key in names and text is not None}
    unfit = {key: UNFIT for key, text in read.items() if key in names and text is None}
    unknown = tuple(key for key, text in read.items() if key not in names and text != "")
    return CrfRecord(place, span, texts, True, unfit, unknown=unknown)


def _text(value: Any) -> str | None:
    """A JSON value as a table's cell would have it; None for what none could hold."""
    if isinstance(value, list):
        return _joined([each if isinstance(each, str) else None for each in value])
    if isinstance(value, dict):
        return _joined(
            [f"{key}={decimal(n):f}" if is_number(n) else None for key, n in value.items()]
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return f"{decimal(value):f}"
    return "" if value is None else value if isinstance(value, str) else None


def _joined(parts: list[str | None]) -> str | None:
    known = [each for each in parts if each is not None]
    return "|".join(known) if len(known) == len(parts) else None


def map_crf(read: Read, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per record, in their order."""
    content: CrfContent = read.content
    return map_records(content.records, context, subjects)


def acknowledge_crf(receipt: Receipt) -> Acknowledgement:
    """The receipt: how many records came to what."""
    return summarise(receipt, {})


CRF_JSON = Decoder(
    format="crf-json",
    title="case report forms as JSON",
    media_types=JSON_MEDIA_TYPES,
    whole="document",
    read=read_crf_json,
    map=map_crf,
    acknowledge=acknowledge_crf,
    elements={Element.CHARSET: "charset"},
    example=EXAMPLE,
    documented=build_schema,
    address="json",
)
