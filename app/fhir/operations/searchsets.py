"""Searchset Bundles that operations answer with, joined from stored bytes.
https://hl7.org/fhir/R4/bundle.html#searchset
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.fhir.codec import dump_json
from app.fhir.exchange import Request, Response
from app.fhir.queries import join_query


@dataclass(frozen=True, slots=True)
class Found:
    """A resource as it is stored."""

    resource_type: str
    id: str
    body: bytes = field(repr=False)


def answer_searchset(
    matches: Sequence[Found],
    included: Sequence[Found] = (),
    *,
    request: Request,
    links: Iterable[tuple[str, str]],
    total: int | None = None,
) -> Response:
    """The Bundle of `matches` and `included`; `total` only where it is known."""
    entries = [_entry(request.base_url, found, b"match") for found in matches]
    entries += [_entry(request.base_url, found, b"include") for found in included]
    held = dump_json([{"relation": relation, "url": url} for relation, url in links])
    body = b'{"resourceType":"Bundle","type":"searchset",%b"link":%b%b}' % (
        b'"total":%d,' % total if total is not None else b"",
        held,
        b',"entry":[' + b",".join(entries) + b"]" if entries else b"",
    )
    return Response(200, body)


def link_to(request: Request, parameters: Iterable[tuple[str, str]]) -> str:
    """The address of the operation with these parameters."""
    query = join_query(parameters)
    url = f"{request.base_url}/{'/'.join(request.path)}"
    return f"{url}?{query}" if query else url


def _entry(base_url: str, found: Found, mode: bytes) -> bytes:
    url = dump_json(f"{base_url}/{found.resource_type}/{found.id}")
    return b'{"fullUrl":%b,"resource":%b,"search":{"mode":"%b"}}' % (url, found.body, mode)
