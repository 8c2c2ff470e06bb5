"""A page of a search as a Bundle, joined from stored bytes.
https://hl7.org/fhir/R4/bundle.html#searchset
"""

from __future__ import annotations

import uuid

from app.fhir.codec import dump_json
from app.fhir.model import Json
from app.fhir.pages import Found, Page
from app.fhir.queries import join_query
from app.fhir.registry import Registry
from app.fhir.request import Cursor, SearchRequest, dump_cursor
from app.fhir.summary import elements, summarise


def build_searchset(
    base_url: str,
    request: SearchRequest,
    page: Page,
    outcome: Json | None,
    registry: Registry,
) -> bytes:
    """A searchset Bundle; resources are the stored bytes, not parsed again unless cut down."""
    entries = [
        _entry(base_url, found, abridge(registry, request, found.body), b"match")
        for found in page.matches
    ]
    entries += [
        _entry(base_url, found, _summary(registry, request, found.body), b"include")
        for found in page.included
    ]
    if outcome is not None:
        body = dump_json(outcome)
        name = uuid.uuid5(uuid.NAMESPACE_OID, body.decode()).urn.encode()
        entry = b'{"fullUrl":"%b","resource":%b,"search":{"mode":"outcome"}}' % (name, body)
        entries.append(entry)
    total = b'"total":%d,' % page.total if page.total is not None else b""
    tail = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
    links = dump_json(_links(base_url, request, page))
    head = b'{"resourceType":"Bundle","type":"searchset",'
    return head + total + b'"link":%b%b}' % (links, tail)


def abridge(registry: Registry, request: SearchRequest, body: bytes) -> bytes:
    """A stored resource as `_elements` and `_summary` want it."""
    body = _summary(registry, request, body)
    return elements(registry, body, request.elements) if request.elements else body


def _summary(registry: Registry, request: SearchRequest, body: bytes) -> bytes:
    if request.summary is None or request.summary == "count":
        return body
    return summarise(registry, body, request.summary)


def _entry(base_url: str, found: Found, body: bytes, mode: bytes) -> bytes:
    url = f"{base_url}/{found.resource_type}/{found.id}".encode()
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}' % (url, body, mode)


def _links(base_url: str, request: SearchRequest, page: Page) -> list[Json]:
    """Where this page stands among the others; every one shows the first page's snapshot."""
    places = (
        ("self", request.cursor),
        ("first", page.first),
        ("previous", page.preceding),
        ("next", page.following),
    )
    return [
        {"relation": relation, "url": search_url(base_url, request, cursor)}
        for relation, cursor in places
        if cursor is not None or relation == "self"
    ]


def search_url(base_url: str, request: SearchRequest, cursor: Cursor | None) -> str:
    """The address of the search, with those parameters that took part."""
    parameters = list(request.used)
    if cursor is not None:
        parameters.append(("_cursor", dump_cursor(cursor)))
    query = join_query(parameters)
    address = request.address or request.resource_type
    url = f"{base_url}/{address}" if address else base_url
    return f"{url}?{query}" if query else url
