"""The entries of a batch or transaction as requests of their own.
https://hl7.org/fhir/R4/http.html#transaction · https://hl7.org/fhir/R4/bundle.html#Bundle.entry
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from app.errors import Category, Issue, SsciError, error
from app.fhir.exchange import Request
from app.fhir.model import Json

MAX_ENTRIES = 10_000
ORDER: Mapping[str, int] = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3}
"""The order in which the standard has the entries of a transaction processed."""

_METHODS = "GET, HEAD, POST, PUT, PATCH or DELETE"
_HEADERS: Mapping[str, str] = {
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifMatch": "if-match",
    "ifNoneExist": "if-none-exist",
}
_PLACES: Mapping[str, str] = {
    "http.If-Match": "request.ifMatch",
    "http.If-None-Match": "request.ifNoneMatch",
    "http.If-None-Exist": "request.ifNoneExist",
    "http.Content-Type": "resource.contentType",
    "resourceType": "resource.resourceType",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """`number` is its position in the Bundle; `full_url` by what the other entries call it."""

    number: int
    full_url: str | None
    request: Request
    head: bool

    @property
    def place(self) -> str:
        return f"Bundle.entry[{self.number}]"


def list_entries(bundle: Json) -> Sequence[Any]:
    """The entries as they came; 400 or 413 if they can't be a list of entries."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise error(
            Category.INCORRECT, "must be a list", expression="Bundle.entry", code="structure"
        )
    if len(entries) > MAX_ENTRIES:
        raise error(
            Category.INCORRECT,
            f"a Bundle holds at most {MAX_ENTRIES} entries",
            expression="Bundle.entry",
            code="too-costly",
            status=413,
        )
    return entries


def parse_entry(outer: Request, number: int, entry: Any) -> Entry:
    """The entry as a request that stands for itself; 400 names what is wrong with it."""
    place = f"Bundle.entry[{number}]"
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        raise _bad(f"{place}.request", "an entry needs a request", "required")
    method = request.get("method")
    if not isinstance(method, str) or (method not in ORDER and method != "HEAD"):
        raise _bad(f"{place}.request.method", f"must be {_METHODS}", "value")
    path, query = _parse_url(request.get("url"), outer.base_url, f"{place}.request.url")
    resource = _resource(entry, method, f"{place}.resource")
    full_url = entry.get("fullUrl")
    if full_url is not None and not isinstance(full_url, str):
        raise _bad(f"{place}.fullUrl", "must be text", "structure")
    single = Request(
        "GET" if method == "HEAD" else method,
        path,
        query,
        _entry_headers(outer, request, place),
        b"",
        outer.caller,
        outer.base_url,
        resource,
    )
    if method == "PATCH" and resource is not None and resource.get("resourceType") == "Binary":
        single = _with_binary(single, resource, f"{place}.resource")
    return Entry(number, full_url or None, single, method == "HEAD")


def _resource(entry: Json, method: str, place: str) -> Json | None:
    resource = entry.get("resource")
    if resource is not None and not isinstance(resource, dict):
        raise _bad(place, "must be a resource", "structure")
    if resource is None and method in ("PUT", "PATCH"):
        raise _bad(place, f"{method} needs a resource", "required")
    return resource


def _parse_url(url: Any, base_url: str, place: str) -> tuple[tuple[str, ...], str]:
    if not isinstance(url, str) or not url.strip() or "\0" in url:
        raise _bad(place, "an address is needed, such as Patient/1", "required")
    path, _, query = url.removeprefix(base_url).partition("?")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.\-]*:", path):
        raise _bad(place, f"must be relative, or below {base_url}", "value")
    parts = path.strip("/")
    return (tuple(unquote(part) for part in parts.split("/")) if parts else ()), query


def _entry_headers(outer: Request, request: Json, place: str) -> dict[str, str]:
    headers = {"prefer": outer.headers.get("prefer", "")}
    if "return=" not in headers["prefer"]:
        headers["prefer"] = f"return=minimal,{headers['prefer']}"
    for name, header in _HEADERS.items():
        value = request.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise _bad(f"{place}.request.{name}", "must be text", "structure")
        headers[header] = value
    return headers


def _with_binary(request: Request, binary: Json, place: str) -> Request:
    """A patch that is no resource travels in a Binary."""
    content_type, data = binary.get("contentType"), binary.get("data")
    try:
        if not isinstance(content_type, str) or not isinstance(data, str):
            raise ValueError(place)
        body = base64.b64decode("".join(data.split()), validate=True)
    except (ValueError, binascii.Error):
        text = "a patch in a Binary needs contentType and data in base64"
        raise _bad(place, text, "value") from None
    headers = {**request.headers, "content-type": content_type}
    return replace(request, body=body, headers=headers, resource=None)


def placed_in(entry: Entry, refusal: SsciError) -> SsciError:
    """The refusal with places as the sender of the Bundle knows them."""
    issues = [_placed_issue(entry, issue) for issue in refusal.issues]
    return SsciError(refusal.category, tuple(issues), refusal.status, refusal.headers)


def _placed_issue(entry: Entry, issue: Issue) -> Issue:
    said = issue.expression or ""
    if said.startswith("Bundle.entry["):
        return issue
    if said in _PLACES:
        below = f".{_PLACES[said]}"
    elif said.startswith("http"):
        below = ".request.url"
    elif said:
        below = f".resource{said[len(said.partition('.')[0]) :]}"
    else:
        below = ""
    return replace(issue, expression=f"{entry.place}{below}")


def _bad(place: str, text: str, code: str) -> SsciError:
    return error(Category.INCORRECT, text, expression=place, code=code)
