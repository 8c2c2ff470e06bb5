"""A FHIR document from its bytes: the resources of a Bundle, or the one it is, each with its place,
and references between them. https://hl7.org/fhir/R4/bundle.html#references

Every entry is read by itself: one that is broken takes no other with it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from app.errors import SsciError
from app.fhir import Json, parse_json
from app.mappings.formats.fhir.shapes import SHAPES, TEXT, find_wrong
from app.mappings.formats.json.leaves import MAX_NAME, NAME
from app.mappings.formats.json.spans import Broken, find_items, find_members
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Reason

BUNDLE = "Bundle"
TYPES = frozenset({"batch", "transaction", "collection", "searchset", "message"})
MAX_ENTRIES = 10_000
HISTORY = "/_history/"


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of the document; `failure` says why it cannot be read, `wrong` where."""

    place: str
    span: Span
    resource: Json = field(default_factory=dict, repr=False)
    url: str = field(default="", repr=False)
    method: str = ""
    failure: Failure | None = None
    wrong: str = ""

    @property
    def type(self) -> str:
        return str(self.resource.get("resourceType", ""))


@dataclass(frozen=True, slots=True)
class Document:
    """`kind` is `Bundle/searchset`, or the type of the one resource; `sent` is when it was put
    together. `by_name`: entries by full URL and by type and id; None where a name is two's."""

    kind: str
    entries: tuple[Entry, ...]
    sent: str = ""
    identifier: str = ""
    by_name: Mapping[str, Entry | None] = field(default_factory=dict, repr=False)

    def find(self, reference: Mapping[str, Any], referrer: Entry) -> Json | None:
        """The resource that a reference means, if it is in the document."""
        text = str(reference.get("reference", ""))
        if text.startswith("#"):
            return find_contained(referrer.resource, text[1:])
        entry = self.find_entry(reference, referrer)
        return entry.resource if entry else None

    def find_entry(self, reference: Mapping[str, Any], referrer: Entry) -> Entry | None:
        name = str(reference.get("reference", "")).split(HISTORY, 1)[0]
        if not name or name.startswith("#"):
            return None
        base = _base(referrer)
        names = [f"{base}{name}", name] if base and ":" not in name else [name]
        return next((self.by_name[each] for each in names if each in self.by_name), None)


@dataclass(frozen=True, slots=True)
class FhirContent:
    """The bytes, and the document that they are; None for one that fails as a whole."""

    data: bytes = field(repr=False)
    document: Document | None = field(default=None, repr=False)


def find_contained(resource: Json, id: str) -> Json | None:
    """The contained resource of an id."""
    found = [each for each in _contained(resource) if each.get("id") == id]
    return found[0] if len(found) == 1 else None


def _contained(resource: Json) -> list[Json]:
    """The contained resources; of a type whose shape is not checked also what is none."""
    held = resource.get("contained", [])
    return [each for each in held if isinstance(each, dict)] if isinstance(held, list) else []


def read_document(data: bytes) -> Document | Failure:
    """A failure PARSE for what is no JSON object, STRUCTURE for what is no resource."""
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    members = find_members(data, start)
    if isinstance(members, Broken):
        return _broken(data, members)
    spans = dict(members)
    if len(spans) < len(members):
        return Failure(Reason.PARSE, "a key stands twice")
    if _text(data, spans.get("resourceType")) != BUNDLE:
        return _read_single(data, Span(data.index(b"{"), data.rindex(b"}") + 1))
    return _read_bundle(data, spans)


def _broken(data: bytes, broken: Broken) -> Failure:
    before = data[: broken.position]
    line, column = before.count(b"\n") + 1, broken.position - before.rfind(b"\n")
    return Failure(Reason.PARSE, f"no JSON object: line {line}, column {column}")


def _read_single(data: bytes, span: Span) -> Document | Failure:
    entry = _read_resource(data, "resource", span)
    if not entry.type and entry.failure is None:
        return Failure(Reason.STRUCTURE, "no resourceType: this is no FHIR resource")
    return _document(entry.type or "unreadable", [entry], "", "")


def _read_bundle(data: bytes, spans: Mapping[str, Span]) -> Document | Failure:
    kind = _text(data, spans.get("type"))
    if kind not in TYPES:
        detail = f"a Bundle is taken as {', '.join(sorted(TYPES))}"
        return Failure(Reason.UNSUPPORTED_TYPE, detail)
    items = find_items(data, spans["entry"]) if "entry" in spans else []
    if isinstance(items, Broken):
        return Failure(Reason.STRUCTURE, "Bundle.entry must be a list")
    if len(items) > MAX_ENTRIES:
        return Failure(Reason.STRUCTURE, f"a Bundle may have {MAX_ENTRIES} entries")
    entries = [_read_entry(data, span, f"entry[{n}]") for n, span in enumerate(items)]
    meta, identifier = _object(data, spans.get("meta")), _object(data, spans.get("identifier"))
    sent = _text(data, spans.get("timestamp")) or str(meta.get("lastUpdated", ""))
    told = str(identifier.get("value", "")) if kind == "message" else ""
    return _document(f"{BUNDLE}/{kind}", entries, sent, told)


def _read_entry(data: bytes, span: Span, place: str) -> Entry:
    members = find_members(data[span.start : span.end])
    if isinstance(members, Broken):
        return _sick(place, span, "must be an object")
    spans = {key: Span(span.start + at.start, span.start + at.end) for key, at in members}
    if len(spans) < len(members):
        return _sick(place, span, "a key stands twice")
    request = _object(data, spans.get("request"))
    method = str(request.get("method", ""))
    if "resource" not in spans:
        return Entry(place, span, method=method)
    entry = _read_resource(data, place, spans["resource"])
    url = _text(data, spans.get("fullUrl")).split(HISTORY, 1)[0]
    return Entry(place, entry.span, entry.resource, url, method, entry.failure, entry.wrong)


def _read_resource(data: bytes, place: str, span: Span) -> Entry:
    try:
        resource = parse_json(data[span.start : span.end])
    except SsciError:
        failure = Failure(Reason.PARSE, "not valid JSON, or a number or text no system can hold")
        return Entry(place, span, failure=failure)
    kind = resource.get("resourceType")
    wrong = find_wrong(kind, TEXT, "resourceType") if kind is not None else None
    wrong = wrong or find_wrong(resource, SHAPES.get(str(kind), {}), str(kind))
    wrong = wrong or _find_wrong_contained(resource, str(kind))
    if wrong:
        failure = Failure(Reason.FHIR_INVALID, "another JSON type than R4 gives this element")
        known = {"resourceType": kind} if isinstance(kind, str) else {}
        return Entry(place, span, known, failure=failure, wrong=wrong)
    return _refuse_modified(Entry(place, span, resource), data)


def _refuse_modified(entry: Entry, data: bytes) -> Entry:
    """What changes the meaning of a resource that is read must be understood, or it is not read.
    https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    text = data[entry.span.start : entry.span.end]
    if entry.type not in SHAPES or not any(each in text for each in MODIFIERS):
        return entry
    place = find_modifier(entry.resource, entry.type)
    if place is None:
        return entry
    failure = Failure(Reason.FHIR_INVALID, "a modifier that is not understood")
    known = {"resourceType": entry.type}
    return Entry(entry.place, entry.span, known, failure=failure, wrong=place)


MODIFIERS = (b"modifierExtension", b"implicitRules", b"\\u")
"""How the bytes show that there may be one; a name may be written with escapes."""


def find_modifier(resource: Json, kind: str) -> str | None:
    """The FHIRPath-like name of the first modifier extension, at whatever depth, or of implicit
    rules; names that are not spelled like an element's are shown as `*`."""
    waiting: list[tuple[Any, str]] = [(resource, kind)]
    while waiting:
        value, path = waiting.pop()
        if isinstance(value, list):
            waiting += [(each, path) for each in reversed(value)]
        elif isinstance(value, dict):
            if value.get("modifierExtension"):
                return f"{path}.modifierExtension"
            if "resourceType" in value and "implicitRules" in value:
                return f"{path}.implicitRules"
            below = [(each, f"{path}.{_show(key)}") for key, each in value.items()]
            waiting += reversed(below)
    return None


def _show(key: str) -> str:
    return key if len(key) <= MAX_NAME and NAME.fullmatch(key) else "*"


def _find_wrong_contained(resource: Json, kind: str) -> str | None:
    """As `find_wrong`, of the contained resources: what refers to them reads them."""
    found = (
        find_wrong(each, SHAPES.get(str(each.get("resourceType")), {}), f"{kind}.contained")
        for each in _contained(resource)
    )
    return next(filter(None, found), None)


def _sick(place: str, span: Span, rule: str) -> Entry:
    return Entry(place, span, failure=Failure(Reason.STRUCTURE, rule))


def _object(data: bytes, span: Span | None) -> Json:
    """A small object of the outline; {} where it is none."""
    return _parse(data[span.start : span.end]) if span else {}


def _text(data: bytes, span: Span | None) -> str:
    """A text of the outline; '' where it is none."""
    found = _parse(b'{"text":' + data[span.start : span.end] + b"}").get("text") if span else ""
    return found if isinstance(found, str) else ""


def _parse(data: bytes) -> Json:
    try:
        return parse_json(data)
    except SsciError:
        return {}


# References


def _document(kind: str, entries: Sequence[Entry], sent: str, identifier: str) -> Document:
    names: dict[str, Entry | None] = {}
    for name, entry in _names(entries):
        known = names.setdefault(name, entry)
        if known is not None and known.resource != entry.resource:
            names[name] = None
    return Document(kind, tuple(entries), sent, identifier, MappingProxyType(names))


def _names(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    for entry in entries:
        if entry.failure is None:
            if entry.url:
                yield entry.url, entry
            if id := entry.resource.get("id"):
                yield f"{entry.type}/{id}", entry


def _base(referrer: Entry) -> str:
    """`https://his/fhir/` of `https://his/fhir/Observation/1`."""
    tail = f"{referrer.type}/{referrer.resource.get('id', '')}"
    return referrer.url.removesuffix(tail) if referrer.url.endswith(f"/{tail}") else ""
