"""Bundles of type batch and transaction: what their entries ask is done and answered in one go.
https://hl7.org/fhir/R4/http.html#transaction

A transaction is one operation of the store: its writes are decided and stored together, its reads
see them and are answered before the commit, and what fails undoes all. A batch is a series of
requests that know nothing of each other.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.database import WriteConnection
from app.errors import Category, Issue, SsciError, error, errors
from app.fhir import media
from app.fhir.codec import dump_json
from app.fhir.dispatch import OPERATION, find_route
from app.fhir.entries import ORDER, Entry, list_entries, parse_entry, placed_in
from app.fhir.exchange import Request, Response
from app.fhir.failures import without_values
from app.fhir.interactions import INTERACTIONS, READS, WRITES, answer_write
from app.fhir.links import localised, references_in
from app.fhir.model import Create, Json, Operation, Update
from app.fhir.outcome import build_outcome
from app.fhir.preconditions import parse_criteria, returned_as
from app.fhir.request import SearchRequest
from app.fhir.resolution import relinked
from app.fhir.rows import new_id
from app.fhir.times import instant_text
from app.fhir.unhurried import unhurried
from app.fhir.writing import PAUSE_EVERY, Work

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

_log = logging.getLogger(__name__)
_BY_CRITERIA = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)
_RESTFUL = re.compile(r"(https?://\S+)/([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})")


async def carry_out_bundle(app: FhirApp, request: Request) -> Response:
    """What is sent to the base address."""
    content_type = request.headers.get("content-type", "")
    parse, size = media.parse_body, len(request.body)
    bundle = await unhurried(size, parse, content_type, request.body, app.registry)
    bundle = await unhurried(size, localised, bundle, request.body, request.base_url)
    kind = bundle.get("type")
    if bundle.get("resourceType") != "Bundle" or kind not in ("batch", "transaction"):
        raise error(
            Category.INCORRECT,
            "this address takes a Bundle of type batch or transaction",
            expression="Bundle.type",
            code="value",
        )
    entries = list_entries(bundle)
    answers = (
        await _transact(app, request, entries)
        if kind == "transaction"
        else await _carry_out_singly(app, request, entries)
    )
    body = _build_response(f"{kind}-response", request.base_url, answers)
    return Response(200, body, returned_as(request.headers))


# ---- batch


async def _carry_out_singly(
    app: FhirApp, request: Request, entries: Sequence[object]
) -> list[bytes]:
    answers: dict[int, bytes] = {}
    for number in _in_order(entries):
        answers[number] = await _single(app, request, number, entries[number])
        await asyncio.sleep(0)
    return [answers[number] for number in range(len(entries))]


def _in_order(entries: Sequence[object]) -> list[int]:
    """Positions in the order in which the standard has them processed."""

    def rank(number: int) -> int:
        entry = entries[number]
        asked = entry.get("request") if isinstance(entry, dict) else None
        method = asked.get("method") if isinstance(asked, dict) else None
        return ORDER.get(method, 3) if isinstance(method, str) else 3

    return sorted(range(len(entries)), key=rank)


async def _single(app: FhirApp, request: Request, number: int, raw: object) -> bytes:
    entry = None
    try:
        entry = parse_entry(request, number, raw)
        name = find_route(entry.request.method, entry.request.path, app.layout)
        if name not in INTERACTIONS:
            raise error(Category.UNSUPPORTED, "a Bundle can't be sent inside a Bundle", status=405)
        response = await INTERACTIONS[name](app, entry.request)
    except SsciError as refusal:
        return _answer_refusal(placed_in(entry, refusal) if entry else refusal)
    except Exception as problem:
        _log.error("unexpected failure in an entry of a batch\n%s", without_values(problem))
        fault = error(
            Category.FAULT, "the server failed to answer", expression=f"Bundle.entry[{number}]"
        )
        return _answer_refusal(fault)
    return _answer(entry, response)


# ---- transaction


@dataclass(frozen=True, slots=True)
class _Planned:
    """The entries of a transaction: those that write, with their operations, in the order of
    processing, and those that read, each with the name of its interaction."""

    writes: tuple[tuple[Entry, Operation], ...]
    reads: tuple[tuple[Entry, str], ...]


async def _transact(app: FhirApp, request: Request, raw: Sequence[object]) -> list[bytes]:
    entries = await _parsed(request, raw)
    planned = await _plan(app, entries)
    operations, references = _linked(app, planned, request)
    answers: dict[int, bytes] = {}

    async def read(connection: WriteConnection) -> None:
        inner = copy.copy(app)
        inner.store = app.store.within(connection)
        for entry, name in planned.reads:
            answers[entry.number] = await _read(inner, entry, name)

    work = Work(
        operations,
        [f"{entry.place}.resource" for entry, _ in planned.writes],
        references,
        before_commit=read if planned.reads else None,
        check_references=app.settings.check_references,
        size=len(request.body),
    )
    groups = await app.store.carry_out(request.caller, work)
    for (entry, _), changes in zip(planned.writes, groups, strict=True):
        answers[entry.number] = _answer(entry, answer_write(entry.request, changes))
    return [answers[number] for number in range(len(entries))]


async def _parsed(request: Request, raw: Sequence[object]) -> list[Entry]:
    entries: list[Entry] = []
    problems: list[Issue] = []
    for number, each in enumerate(raw):
        if number % PAUSE_EVERY == 0:
            await asyncio.sleep(0)
        try:
            entries.append(parse_entry(request, number, each))
        except SsciError as refusal:
            problems += refusal.issues
    if problems:
        raise errors(Category.INCORRECT, problems[:100])
    return entries


async def _plan(app: FhirApp, entries: Sequence[Entry]) -> _Planned:
    writes: list[tuple[Entry, Operation]] = []
    reads: list[tuple[Entry, str]] = []
    refusals: list[SsciError] = []
    for entry in sorted(entries, key=lambda each: ORDER[each.request.method]):
        try:
            name = find_route(entry.request.method, entry.request.path, app.layout)
            if name in WRITES:
                writes.append((entry, WRITES[name](app, entry.request)))
            elif name in READS or (name == OPERATION and entry.request.method == "GET"):
                reads.append((entry, name))
            else:
                raise error(Category.UNSUPPORTED, "this can't be done in a transaction", status=400)
        except SsciError as refusal:
            refusals.append(placed_in(entry, refusal))
    if refusals:
        issues = [issue for refusal in refusals for issue in refusal.issues]
        raise errors(refusals[0].category, issues[:100], refusals[0].status)
    return _Planned(tuple(writes), tuple(reads))


def _linked(
    app: FhirApp, planned: _Planned, request: Request
) -> tuple[list[Operation], dict[str, SearchRequest]]:
    """The operations with the references between entries resolved, and the criteria behind the
    provisional addresses that stand for references by criteria."""
    addresses: dict[str, str] = {}
    for name, address, place in _named(planned.writes):
        if addresses.setdefault(name, address) != address:
            raise error(
                Category.INCORRECT,
                "this fullUrl is used by more than one entry",
                expression=f"{place}.fullUrl",
                code="duplicate",
            )
    references: dict[str, SearchRequest] = {}
    for entry, operation in planned.writes if b"?" in request.body else ():
        if isinstance(operation, Create | Update):
            for text, criteria in _by_criteria(app, entry, operation.resource, request, addresses):
                addresses[text] = f"{criteria.resource_type}/{new_id()}"
                references[addresses[text]] = criteria
    operations = [operation for _, operation in planned.writes]
    if addresses:
        operations = _relinked(operations, addresses)
    if b"urn:uuid:" in request.body:
        _refuse_dangling(planned.writes, operations)
    return operations, references


def _refuse_dangling(
    writes: Iterable[tuple[Entry, Operation]], operations: Iterable[Operation]
) -> None:
    """A `urn:uuid:` that no entry bears would point to nothing for ever."""
    problems = [
        Issue("not-found", f"{text} is the fullUrl of no entry", f"{entry.place}.resource")
        for (entry, _), operation in zip(writes, operations, strict=True)
        if isinstance(operation, Create | Update)
        for text in references_in(operation.resource)
        if text.startswith("urn:uuid:")
    ]
    if problems:
        raise errors(Category.INCORRECT, problems[:100])


def _relinked(operations: Iterable[Operation], addresses: dict[str, str]) -> list[Operation]:
    return [
        relinked([operation], addresses)[0] if isinstance(operation, Create | Update) else operation
        for operation in operations
    ]


def _named(writes: Iterable[tuple[Entry, Operation]]) -> Iterator[tuple[str, str, str]]:
    """(what an entry is called by others, its address in the store, its place)"""
    for entry, operation in writes:
        if entry.full_url is None or not isinstance(operation, Create | Update):
            continue
        address = f"{operation.resource['resourceType']}/{operation.id}"
        yield entry.full_url, address, entry.place
        match = _RESTFUL.fullmatch(entry.full_url)
        if match is not None and isinstance(operation, Create):
            yield match[2], address, entry.place


def _by_criteria(
    app: FhirApp, entry: Entry, resource: Json, request: Request, known: dict[str, str]
) -> Iterator[tuple[str, SearchRequest]]:
    """References such as `Patient?identifier=…` that are not known yet."""
    for text in references_in(resource):
        match = _BY_CRITERIA.fullmatch(text)
        if match is None or text in known or match[1] not in app.layout:
            continue
        try:
            criteria = parse_criteria(app.reading(request), match[1], match[2], "Reference")
        except SsciError as refusal:
            raise placed_in(entry, refusal) from None
        yield text, criteria


async def _read(app: FhirApp, entry: Entry, name: str) -> bytes:
    try:
        response = await INTERACTIONS[name](app, entry.request)
    except SsciError as refusal:
        raise placed_in(entry, refusal) from None
    return _answer(entry, response)


# ---- answers


def _answer_refusal(refusal: SsciError) -> bytes:
    told = {"status": _status(refusal.http_status), "outcome": build_outcome(refusal)}
    return dump_json({"response": told})


def _answer(entry: Entry, response: Response) -> bytes:
    """The entry of the response Bundle: headers become elements, the body the resource."""
    headers = dict(response.headers)
    told: Json = {"status": _status(response.status)}
    location = headers.get(b"location", b"").decode()
    if location:
        told["location"] = location.removeprefix(f"{entry.request.base_url}/")
    if b"etag" in headers:
        told["etag"] = headers[b"etag"].decode()
    if response.last_updated is not None:
        told["lastModified"] = instant_text(response.last_updated)
    body = b"" if entry.head else response.body
    text = dump_json(told)
    if body.startswith(b'{"resourceType":"OperationOutcome"') and entry.request.method != "GET":
        return b'{"response":%b,"outcome":%b}}' % (text[:-1], body)
    if body:
        return b'{"resource":%b,"response":%b}' % (body, text)
    return b'{"response":%b}' % text


def _status(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def _build_response(kind: str, base_url: str, answers: Sequence[bytes]) -> bytes:
    links = dump_json([{"relation": "self", "url": base_url}])
    tail = b',"entry":[' + b",".join(answers) + b"]" if answers else b""
    head = b'{"resourceType":"Bundle","type":"%b","link":%b%b}'
    return head % (kind.encode("ascii"), links, tail)
