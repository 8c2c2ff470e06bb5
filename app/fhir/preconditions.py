"""What a client asks beside the resource itself: versions that must or must not be, criteria in the
place of an id, and what it would like to get back.

https://hl7.org/fhir/R4/http.html#concurrency · https://hl7.org/fhir/R4/http.html#cread
https://hl7.org/fhir/R4/http.html#cond-update · https://hl7.org/fhir/R4/http.html#ops
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.errors import Category, SsciError, error
from app.fhir.model import ANY_VERSION
from app.fhir.queries import split_query
from app.fhir.request import Reading, SearchRequest, parse_search

NO_VERSION = -1
"""A tag that is well formed, but can't be a version of this server."""

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_OF_THE_RESULT = frozenset(
    {
        *("_count", "_sort", "_total", "_summary", "_elements", "_cursor", "_type"),
        *("_include", "_revinclude", "_contained", "_containedType"),
    }
)
_IGNORED = frozenset({"_format", "_pretty"})
_RETURNS = ("minimal", "representation", "OperationOutcome")
_HANDLINGS = ("strict", "lenient")


def parse_version_tag(text: str, expression: str = "http.If-Match") -> int:
    """The version in `W/"3"`; NO_VERSION for another tag; 400 for what is no tag."""
    match = _TAG.fullmatch(text.strip())
    if match is None:
        raise error(Category.INCORRECT, 'a version tag has the form W/"3"', expression=expression)
    return _version(match[1])


def _version(text: str) -> int:
    return int(text) if _NUMBER.fullmatch(text) else NO_VERSION


def if_match(headers: Mapping[str, str]) -> int | None:
    """The version that must be current; ANY_VERSION for `*`."""
    tag = headers.get("if-match")
    if tag is None:
        return None
    return ANY_VERSION if tag.strip() == "*" else parse_version_tag(tag)


def is_if_none_match_any(headers: Mapping[str, str]) -> bool:
    """`If-None-Match: *`: write only if there is nothing yet."""
    return headers.get("if-none-match", "").strip() == "*"


def is_not_modified(headers: Mapping[str, str], version: int, last_updated: datetime) -> bool:
    """Whether the client has this version already. If-None-Match, where given, decides alone."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or version in map(_version, _TAG.findall(tags))
    since = _http_date(headers.get("if-modified-since"))
    return since is not None and last_updated.replace(microsecond=0) <= since


def _http_date(text: str | None) -> datetime | None:
    """None for what is no date: such a header is to be ignored."""
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def version_headers(version: int, last_updated: datetime) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"etag", b'W/"%d"' % version), (b"last-modified", http_date(last_updated)))


_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def http_date(at: datetime) -> bytes:
    """An instant as HTTP writes it, to the second. The standard library's takes several times as
    long, and every read has one. https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats"""
    at = at.astimezone(UTC)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return (
        f"{day}, {at.day:02} {month} {at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02} GMT"
    ).encode("ascii")


def preferred_return(headers: Mapping[str, str], otherwise: str = "representation") -> str:
    """`minimal`, `representation` or `OperationOutcome`."""
    return _preferred(headers, "return", _RETURNS) or otherwise


def is_lenient(headers: Mapping[str, str]) -> bool:
    return _preferred(headers, "handling", _HANDLINGS) == "lenient"


def returned_as(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Preference-Applied, for an answer to a write: https://www.rfc-editor.org/rfc/rfc7240"""
    return _applied("return", _preferred(headers, "return", _RETURNS))


def handled_as(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Preference-Applied, for an answer that depends on parameters."""
    return _applied("handling", _preferred(headers, "handling", _HANDLINGS))


def _applied(name: str, value: str | None) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"preference-applied", f"{name}={value}".encode("ascii")),) if value else ()


def _preferred(headers: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    """What is preferred first, if it is one of the known values."""
    prefer = headers.get("prefer", "")
    if name not in prefer.lower():
        return None
    for wish in prefer.split(","):
        key, _, value = wish.partition(";")[0].partition("=")
        if key.strip().lower() == name:
            given = value.strip().strip('"').strip()
            return given if given in known else None
    return None


def parse_criteria(
    reading: Reading, resource_type: str, query: str, expression: str
) -> SearchRequest:
    """Criteria that are to find one resource: conditions only, and each of them understood.

    Strict whatever the client prefers: a criterion that was ignored would widen what is written.
    """
    query = query.removeprefix(f"{reading.base_url}/") if reading.base_url else query
    if _ADDRESS.match(query):
        text = f"the criteria name another server: this one is {reading.base_url}"
        raise _refused(expression, text)
    query = query.removeprefix(resource_type).removeprefix("?")
    parameters = [each for each in split_query(query) if each[0] not in _IGNORED]
    for name, _ in parameters:
        if name.partition(":")[0] in _OF_THE_RESULT:
            raise _refused(expression, f"{name.partition(':')[0]} is no criterion")
    criteria = parse_search(reading, resource_type, parameters)
    if not criteria.conditions:
        raise _refused(expression, "criteria are needed: search parameters with values")
    if criteria.is_poll:
        text = "_lastUpdated with a lower bound stops short of the newest: it is no criterion"
        raise _refused(expression, text)
    return criteria


def _refused(expression: str, text: str) -> SsciError:
    return error(Category.INCORRECT, text, expression=expression)
