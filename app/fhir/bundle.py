"""Bundles: search results joined from stored bytes, and transactions.
https://hl7.org/fhir/R4/http.html#transaction · https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from app.errors import Category, Issue, SsciError, error, errors
from app.fhir.codec import dump_json
from app.fhir.model import Change, Create, Json, Operation, Update
from app.fhir.request import SearchRequest, dump_cursor
from app.fhir.rows import new_id
from app.fhir.store import Page, Stored

MAX_ENTRIES = 10_000
_RESOURCE_URL = re.compile(r"([A-Z][A-Za-z]+)(?:/([A-Za-z0-9\-.]{1,64}))?")
_VERSION_TAG = re.compile(r'(?:W/)?"(\d{1,9})"')


def parse_version_tag(text: str, expression: str = "http.If-Match") -> int:
    """The version in `W/"3"`; 400 for anything else."""
    match = _VERSION_TAG.fullmatch(text.strip())
    if match is None:
        raise error(Category.INCORRECT, 'a version tag has the form W/"3"', expression=expression)
    return int(match[1])


# ---- search results and histories


def build_searchset(
    base_url: str, request: SearchRequest, page: Page, outcome: Json | None
) -> bytes:
    """A searchset Bundle; resources are the stored bytes, not parsed again."""
    links = [("self", _search_url(base_url, request, None))]
    if page.following is not None:
        links.append(("next", _search_url(base_url, request, dump_cursor(page.following))))
    entries = [
        _search_entry(base_url, found.resource_type, found.id, found.body, b"match")
        for found in page.matches
    ]
    entries += [
        _search_entry(base_url, found.resource_type, found.id, found.body, b"include")
        for found in page.included
    ]
    if outcome is not None:
        body = dump_json(outcome)
        entries.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % body)
    return _bundle("searchset", links, entries)


def build_history(base_url: str, path: str, versions: Sequence[Stored]) -> bytes:
    """A history Bundle, newest first; deletions are entries without a resource."""
    entries = [_history_entry(base_url, stored) for stored in versions]
    total = b'"total":%d,' % len(versions)
    return _bundle("history", [("self", f"{base_url}/{path}")], entries, total)


def _bundle(
    kind: str, links: Iterable[tuple[str, str]], entries: Sequence[bytes], total: bytes = b""
) -> bytes:
    held = dump_json([{"relation": relation, "url": url} for relation, url in links])
    tail = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
    return b'{"resourceType":"Bundle","type":"%b",%b"link":%b%b}' % (
        kind.encode("ascii"),
        total,
        held,
        tail,
    )


def _search_entry(base_url: str, resource_type: str, id: str, body: bytes, mode: bytes) -> bytes:
    url = f"{base_url}/{resource_type}/{id}".encode()
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}' % (url, body, mode)


def _history_entry(base_url: str, stored: Stored) -> bytes:
    path = f"{stored.resource_type}/{stored.id}"
    method = "DELETE" if stored.deleted else "POST" if stored.version == 1 else "PUT"
    response = {
        "status": {"DELETE": "204", "POST": "201", "PUT": "200"}[method],
        "etag": f'W/"{stored.version}"',
        "lastModified": stored.last_updated.isoformat(),
    }
    url = stored.resource_type if method == "POST" else path
    head = dump_json(
        {
            "fullUrl": f"{base_url}/{path}",
            "request": {"method": method, "url": url},
            "response": response,
        }
    )
    if stored.body is None:
        return head
    return head[:-1] + b',"resource":' + stored.body + b"}"


def _search_url(base_url: str, request: SearchRequest, cursor: str | None) -> str:
    parameters = list(request.used)
    if cursor is not None:
        parameters.append(("_cursor", cursor))
    query = urlencode(parameters, quote_via=quote, safe=":/|,$")
    url = f"{base_url}/{request.resource_type}"
    return f"{url}?{query}" if query else url


# ---- transactions


@dataclass(frozen=True, slots=True)
class Transaction:
    """The operations of a transaction Bundle, one per entry, references between them resolved."""

    operations: tuple[Operation, ...]


def parse_transaction(bundle: Json, base_url: str) -> Transaction:
    """Entries → operations; 400 names each entry that can't be taken."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise error(Category.INCORRECT, "must be a list", expression="Bundle.entry")
    if len(entries) > MAX_ENTRIES:
        raise error(
            Category.INCORRECT,
            f"a transaction holds at most {MAX_ENTRIES} entries",
            expression="Bundle.entry",
            code="too-costly",
            status=413,
        )
    targets = _parsed(entries, base_url)
    addresses = {
        full_url: f"{target.resource_type}/{target.id}"
        for target in targets
        for full_url in target.full_urls
    }
    return Transaction(tuple(_operation(target, addresses) for target in targets))


@dataclass(frozen=True, slots=True)
class _Target:
    method: str
    resource_type: str
    id: str
    resource: Json
    full_urls: tuple[str, ...]
    if_match: int | None


def _parsed(entries: Sequence[Any], base_url: str) -> list[_Target]:
    targets, problems = [], list[Issue]()
    for number, entry in enumerate(entries):
        try:
            targets.append(_target(entry, f"Bundle.entry[{number}]"))
        except SsciError as problem:
            problems += problem.issues
    problems += _repeated(targets)
    if problems:
        raise errors(Category.INCORRECT, problems)
    return targets


def _target(entry: Any, place: str) -> _Target:
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        raise _bad(f"{place}.request", "an entry of a transaction needs a request", "required")
    resource = entry.get("resource")
    method, url = request.get("method"), request.get("url")
    if method not in ("POST", "PUT"):
        raise _bad(f"{place}.request.method", "must be POST or PUT", "not-supported")
    for name in ("ifNoneExist", "ifNoneMatch", "ifModifiedSince"):
        if name in request:
            raise _bad(f"{place}.request.{name}", "is not supported", "not-supported")
    match = _RESOURCE_URL.fullmatch(url) if isinstance(url, str) else None
    if match is None or (match[2] is None) == (method == "PUT"):
        raise _bad(f"{place}.request.url", "POST takes [type], PUT takes [type]/[id]", "value")
    if not isinstance(resource, dict) or resource.get("resourceType") != match[1]:
        raise _bad(f"{place}.resource", f"must be a resource of type {match[1]}", "invalid")
    if method == "PUT" and resource.get("id") != match[2]:
        raise _bad(f"{place}.resource.id", "must equal the id in request.url", "value")
    full_url = entry.get("fullUrl")
    tag = request.get("ifMatch")
    return _Target(
        method,
        match[1],
        match[2] or new_id(),
        resource,
        (full_url,) if isinstance(full_url, str) else (),
        parse_version_tag(tag, f"{place}.request.ifMatch") if isinstance(tag, str) else None,
    )


def _repeated(targets: Sequence[_Target]) -> list[Issue]:
    seen: set[str] = set()
    problems = []
    for target in targets:
        for name in (*target.full_urls, f"{target.resource_type}/{target.id}"):
            if name in seen:
                text = f"{name} is used by more than one entry"
                problems.append(Issue("duplicate", text, "Bundle.entry"))
            seen.add(name)
    return problems


def _bad(place: str, text: str, code: str) -> SsciError:
    return error(Category.INCORRECT, text, expression=place, code=code)


def _operation(target: _Target, addresses: Mapping[str, str]) -> Operation:
    resource = resolve_references(target.resource, addresses)
    if target.method == "POST":
        return Create(resource, target.id)
    return Update(resource, target.id, target.if_match)


def resolve_references(value: Any, addresses: Mapping[str, str]) -> Any:
    """The same tree, with every reference to an entry's fullUrl turned into [type]/[id]."""
    if isinstance(value, dict):
        return {key: resolve_references(held, addresses) for key, held in value.items()}
    if isinstance(value, list):
        return [resolve_references(held, addresses) for held in value]
    if isinstance(value, str) and (":" in value):
        bare, sign, fragment = value.partition("#")
        if bare in addresses:
            return addresses[bare] + sign + fragment
    return value


def build_transaction_response(changes: Sequence[Change]) -> bytes:
    """One entry per request entry, in the same order."""
    entries = [
        dump_json(
            {
                "response": {
                    "status": "201 Created" if change.kind == "create" else "200 OK",
                    "location": f"{change.resource_type}/{change.id}/_history/{change.version}",
                    "etag": f'W/"{change.version}"',
                    "lastModified": change.last_updated.isoformat(),
                }
            }
        )
        for change in changes
    ]
    tail = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
    return b'{"resourceType":"Bundle","type":"transaction-response"%b}' % tail
