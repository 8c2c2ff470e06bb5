"""In which format a client speaks and wants to be answered: JSON or XML, plain or indented.
https://hl7.org/fhir/R4/http.html#mime-type · https://hl7.org/fhir/R4/http.html#parameters

Bodies inside the server are compact JSON text; such an answer goes out as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import orjson

from app.errors import Category, SsciError, error
from app.fhir.codec import LosslessFloat, parse_json
from app.fhir.model import Json
from app.fhir.registry import Registry
from app.fhir.xml import dump_xml, parse_xml

Format = Literal["json", "xml"]

FHIR_VERSION = "4.0"
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "application/fhir+json": "json",
        "application/json": "json",
        "text/json": "json",
        "application/json+fhir": "json",
        "application/fhir+xml": "xml",
        "application/xml": "xml",
        "text/xml": "xml",
        "application/xml+fhir": "xml",
    }
)
"""By media type; the last of each format are the names that FHIR had before R3."""

GENERIC = frozenset({"application/json", "text/json", "application/xml", "text/xml"})
"""Who asks for one of these by name is answered under that name, as the standard recommends."""

ADVERTISED = ("application/fhir+json", "application/fhir+xml", "json", "xml")
"""What the CapabilityStatement says of formats."""

_OWN_TYPES: Mapping[Format, str] = {"json": "application/fhir+json", "xml": "application/fhir+xml"}
_SHORT: Mapping[str, Format] = {"json": "json", "xml": "xml"}
_BOOLEANS = {"true": True, "false": False}
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})
_MAX_REMEMBERED = 200

_ITEM = re.compile(r'(?:[^,"]|"[^"]*"?)+')
_PARAMETER = re.compile(r';\s*([^\s;=]+)\s*=\s*("[^"]*"|[^\s;]*)')
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class Rendering:
    """How the answer to one request is to look. `generic`: the name to answer under, if not FHIR's
    own one."""

    format: Format
    pretty: bool
    registry: Registry = field(repr=False)
    generic: str | None = None

    @property
    def content_type(self) -> bytes:
        return f"{self.generic or _OWN_TYPES[self.format]};charset=utf-8".encode("ascii")

    @property
    def is_as_stored(self) -> bool:
        """Whether bodies go out as they are."""
        return self.format == "json" and not self.pretty

    def render(self, body: bytes) -> bytes:
        """`body`, compact JSON text of a resource, in this format; 406 if XML can't tell it."""
        if not body or self.is_as_stored:
            return body
        resource = _read_as_written(body)
        if self.format == "xml":
            return dump_xml(resource, self.registry, pretty=self.pretty)
        return orjson.dumps(resource, default=_as_written, option=orjson.OPT_INDENT_2)


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type or range in lower case, and its parameters by name in lower case."""

    name: str
    parameters: Mapping[str, str]

    @property
    def is_r4(self) -> bool:
        return self.parameters.get("fhirversion", FHIR_VERSION) == FHIR_VERSION


def negotiate(
    headers: Mapping[str, str], parameters: Sequence[tuple[str, str]], registry: Registry
) -> Rendering:
    """What `_format` asks for, else what `Accept` prefers (JSON where it has no preference).

    `headers` by name in lower case, `parameters` percent-decoded. 406 if it is none of ours.
    """
    wanted = _last(parameters, "_format")
    chosen, generic = _named_format(wanted), None
    if chosen is None:
        chosen, generic = _accepted_format(headers.get("accept", ""))
    return Rendering(chosen, _wants_pretty(parameters), registry, generic)


def plain(registry: Registry) -> Rendering:
    """Compact JSON: for answers to requests whose wish is not known."""
    return Rendering("json", False, registry)


def parse_body(content_type: str, body: bytes, registry: Registry) -> Json:
    """The resource in a body of a FHIR media type, UTF-8 and R4; 415 if it is another, else 400."""
    media_type = parse_media_type(content_type)
    format = FORMATS.get(media_type.name)
    charset = media_type.parameters.get("charset", "utf-8").lower()
    if format is None or charset not in _UTF_8 or not media_type.is_r4:
        raise _unsupported_body()
    return parse_xml(body, registry) if format == "xml" else parse_json(body)


def parse_media_type(text: str) -> MediaType:
    """`Application/FHIR+json; charset="utf-8"` as a record; never fails."""
    name, _, _ = text.partition(";")
    parameters = {
        key.lower(): value.strip('"') for key, value in _PARAMETER.findall(text[len(name) :])
    }
    return MediaType(name.strip().lower(), parameters)


# What is asked for

Ranges = Sequence[tuple[MediaType, float]]
"""What `Accept` lists, each with its quality."""


def _named_format(wanted: str) -> Format | None:
    """What `_format` names, if it is given; a `+` in an address may have been read as a space."""
    if not wanted:
        return None
    media_type = parse_media_type(wanted.strip().replace(" ", "+").replace(";+", ";"))
    found = FORMATS.get(media_type.name) or _SHORT.get(media_type.name)
    if found is None or not media_type.is_r4:
        raise not_acceptable("http._format")
    return found


Accepted = tuple[Format, str | None]
"""The format, and the generic media type by whose name it was asked for."""


def _accepted_format(accept: str) -> Accepted:
    if len(accept) > _MAX_REMEMBERED:
        return _preferred(accept)
    return _remembered(accept)


def _preferred(accept: str) -> Accepted:
    if not accept.strip():
        return "json", None
    ranges = list(parse_accept(accept))
    qualities = {format: _quality_of(format, ranges) for format in _OWN_TYPES}
    best = max(qualities, key=lambda format: qualities[format])
    if not qualities[best]:
        raise not_acceptable("http.Accept")
    return best, _generic_name(best, qualities[best], ranges)


def _generic_name(format: Format, quality: float, ranges: Ranges) -> str | None:
    """The generic media type that was asked for by name, unless FHIR's own would do as well."""
    named = {each.name for each, given in ranges if given == quality and FORMATS.get(each.name)}
    named = {name for name in named if FORMATS[name] == format}
    return min(named) if named and named <= GENERIC else None


_remembered = lru_cache(maxsize=256)(_preferred)


def parse_accept(accept: str) -> Iterator[tuple[MediaType, float]]:
    """Ranges and their quality; those of another FHIR version or with a malformed one fall out."""
    for item in _ITEM.findall(accept):
        media_type = parse_media_type(item)
        quality = media_type.parameters.get("q", "1")
        if media_type.is_r4 and _QUALITY.fullmatch(quality):
            yield media_type, float(quality)


def _quality_of(format: Format, ranges: Ranges) -> float:
    """The quality that the most specific matching ranges give it.
    https://www.rfc-editor.org/rfc/rfc9110#name-accept"""
    matches = [
        (precision, quality)
        for media_type, quality in ranges
        if (precision := _precision(format, media_type.name))
    ]
    return max(matches)[1] if matches else 0.0


def _precision(format: Format, name: str) -> int:
    """3 for a media type of the format, 2 for `application/*`, 1 for `*/*`, 0 for no match."""
    if name == "*/*":
        return 1
    if name.endswith("/*"):
        return 2 if any(m.startswith(name[:-1]) for m, f in FORMATS.items() if f == format) else 0
    return 3 if FORMATS.get(name) == format else 0


def _wants_pretty(parameters: Sequence[tuple[str, str]]) -> bool:
    wanted = _last(parameters, "_pretty") or "false"
    if wanted not in _BOOLEANS:
        sentence = "_pretty: the value must be true or false"
        raise error(Category.INCORRECT, sentence, expression="http._pretty", code="value")
    return _BOOLEANS[wanted]


def _last(parameters: Sequence[tuple[str, str]], wanted: str) -> str:
    return next((value for name, value in reversed(parameters) if name == wanted), "")


def not_acceptable(expression: str) -> SsciError:
    sentence = "This server answers in application/fhir+json or application/fhir+xml, FHIR 4.0"
    return _unsupported(sentence, expression, 406)


def _unsupported_body() -> SsciError:
    sentence = f"The body must be one of {', '.join(FORMATS)}, in UTF-8 and FHIR {FHIR_VERSION}"
    return _unsupported(sentence, "http.Content-Type", 415)


def _unsupported(sentence: str, expression: str, status: int) -> SsciError:
    return error(
        Category.UNSUPPORTED, sentence, expression=expression, code="not-supported", status=status
    )


# Bodies as they are written: not limited in depth, for a Bundle adds to its resources'


def _read_as_written(body: bytes) -> Json:
    resource: Json = json.loads(body, parse_float=_keep, parse_int=_keep)
    return resource


def _keep(digits: str) -> LosslessFloat:
    return LosslessFloat(digits.encode())


def _as_written(value: LosslessFloat) -> orjson.Fragment:
    return orjson.Fragment(bytes(value))
