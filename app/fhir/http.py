"""The FHIR REST API as a small ASGI application of its own: one table of interactions.
https://hl7.org/fhir/R4/http.html

Bodies go out as the stored bytes. Every error is an OperationOutcome.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from email.utils import format_datetime
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.bundle import (
    build_history,
    build_searchset,
    build_transaction_response,
    parse_transaction,
    parse_version_tag,
)
from app.fhir.capability import build_capability
from app.fhir.codec import dump_json, parse_json
from app.fhir.layout import Layout
from app.fhir.model import Caller, Change, Create, Delete, Json, Update
from app.fhir.outcome import build_outcome
from app.fhir.registry import Registry
from app.fhir.request import Reading, parse_search, split_query
from app.fhir.select import MAX_INCLUDED
from app.fhir.store import Store, Stored

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Authenticate = Callable[[Scope], Awaitable[Caller]]

_log = logging.getLogger(__name__)
_JSON = b"application/fhir+json"
_JSON_TYPES = frozenset({"application/fhir+json", "application/json", "text/json"})
_ACCEPTED = _JSON_TYPES | {"*/*", "application/*", "text/*"}
_FORMATS = _JSON_TYPES | {"json"}
_FORM = "application/x-www-form-urlencoded"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as the interactions see it; `path` is below the FHIR base."""

    method: str
    path: tuple[str, ...]
    query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    caller: Caller
    base_url: str


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = ()


Interaction = Callable[["FhirApp", Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class FhirSettings:
    """`base_url` None: taken from each request's Host."""

    base_url: str | None
    mount: str
    zone: tzinfo
    max_body: int
    software_version: str


class FhirApp:
    """ASGI application for everything below the FHIR base."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        layout: Layout,
        settings: FhirSettings,
        authenticate: Authenticate,
    ) -> None:
        self.store = store
        self.registry = registry
        self.layout = layout
        self.settings = settings
        self._authenticate = authenticate
        self._started = datetime.now(UTC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = await self._respond(scope, receive)
        await _send(send, response, head=scope["method"] == "HEAD")

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        try:
            request = await self._request(scope, receive)
            return await self._dispatch(request)
        except SsciError as problem:
            return _refusal(problem)
        except Exception:
            _log.exception("unexpected failure in the FHIR API")
            fault = "the server failed to answer; nothing was changed unless a read shows it"
            return _refusal(error(Category.FAULT, fault))

    async def _request(self, scope: Scope, receive: Receive) -> Request:
        headers = _headers(scope)
        path = scope["path"].removeprefix(self.settings.mount).strip("/")
        body = await _read_body(headers, receive, self.settings.max_body)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return Request(
            method,
            tuple(path.split("/")) if path else (),
            scope["query_string"].decode("latin-1"),
            headers,
            body,
            await self._authenticate(scope),
            self._base_url(scope, headers),
        )

    def _base_url(self, scope: Scope, headers: Mapping[str, str]) -> str:
        if self.settings.base_url is not None:
            return self.settings.base_url
        host = headers.get("host", "localhost")
        return f"{scope.get('scheme', 'http')}://{host}{self.settings.mount}"

    async def _dispatch(self, request: Request) -> Response:
        parameters = split_query(request.query)
        _check_accept(request, parameters)
        interaction = self._interaction(request)
        return await interaction(self, request)

    def _interaction(self, request: Request) -> Interaction:
        shape = _shape(request.path)
        self._check_type(request.path, shape)
        methods = _INTERACTIONS.get(shape)
        if methods is None:
            raise error(Category.NOT_FOUND, f"there is no such address: /{'/'.join(request.path)}")
        interaction = methods.get(request.method)
        if interaction is None:
            allowed = ", ".join(sorted(methods))
            raise error(
                Category.UNSUPPORTED,
                f"{request.method} is not possible here; possible: {allowed}",
                status=405,
                headers={"Allow": allowed},
            )
        return interaction

    def _check_type(self, path: tuple[str, ...], shape: str) -> None:
        if shape in ("", "metadata"):
            return
        if path[0] not in self.layout:
            raise error(
                Category.NOT_FOUND,
                f"'{path[0]}' is no resource type of this server; see /metadata",
                code="not-supported",
            )
        if shape.startswith("type/id") and not _ID.fullmatch(path[1]):
            raise error(
                Category.INCORRECT,
                "an id has 1 to 64 characters of A-Z, a-z, 0-9, '-' and '.'",
                expression=f"{path[0]}.id",
                code="value",
            )

    def reading(self, request: Request) -> Reading:
        return Reading(self.layout, self.settings.zone, request.base_url)

    # ---- interactions

    async def capability(self, request: Request) -> Response:
        statement = build_capability(
            self.registry,
            self.layout,
            request.base_url,
            self.settings.software_version,
            self._started,
        )
        return Response(200, dump_json(statement))

    async def read(self, request: Request) -> Response:
        resource_type, id = request.path
        stored = await self.store.read(request.caller, resource_type, id)
        if stored is None:
            raise error(Category.NOT_FOUND, f"{resource_type}/{id} is not known")
        return _found(stored)

    async def read_version(self, request: Request) -> Response:
        resource_type, id, _, version = request.path
        stored = None
        if version.isascii() and version.isdigit() and len(version) < 10:
            stored = await self.store.read_version(request.caller, resource_type, id, int(version))
        if stored is None:
            raise error(Category.NOT_FOUND, f"{resource_type}/{id} has no version '{version[:64]}'")
        return _found(stored)

    async def history(self, request: Request) -> Response:
        resource_type, id, _ = request.path
        _no_parameters(request)
        versions = await self.store.history(request.caller, resource_type, id)
        if not versions:
            raise error(Category.NOT_FOUND, f"{resource_type}/{id} is not known")
        path = "/".join(request.path)
        return Response(200, build_history(request.base_url, path, versions))

    async def search(self, request: Request) -> Response:
        return await self._search(request, split_query(request.query))

    async def search_by_form(self, request: Request) -> Response:
        _check_media_type(request, frozenset({_FORM}))
        form = _text_of(request.body)
        return await self._search(request, split_query(request.query) + split_query(form))

    async def _search(self, request: Request, parameters: list[tuple[str, str]]) -> Response:
        search = parse_search(
            self.reading(request), request.path[0], parameters, lenient=_is_lenient(request)
        )
        page = await self.store.search(request.caller, search)
        outcome = _search_outcome(search.ignored, page.truncated)
        return Response(200, build_searchset(request.base_url, search, page, outcome))

    async def create(self, request: Request) -> Response:
        resource = self._resource(request)
        if "if-none-exist" in request.headers:
            raise error(
                Category.UNSUPPORTED,
                "conditional create is not supported",
                expression="http.If-None-Exist",
            )
        (change,) = await self.store.write(request.caller, [Create(resource)])
        return _written(request, change)

    async def update(self, request: Request) -> Response:
        resource = self._resource(request)
        id = request.path[1]
        if resource.get("id") != id:
            raise error(
                Category.INCORRECT,
                f"the resource's id must be present and equal the id in the address, '{id}'",
                expression=f"{request.path[0]}.id",
                code="value",
            )
        tag = request.headers.get("if-match")
        expected = parse_version_tag(tag) if tag else None
        (change,) = await self.store.write(request.caller, [Update(resource, id, expected)])
        return _written(request, change)

    async def delete(self, request: Request) -> Response:
        resource_type, id = request.path
        tag = request.headers.get("if-match")
        expected = parse_version_tag(tag) if tag else None
        (change,) = await self.store.write(request.caller, [Delete(resource_type, id, expected)])
        if change.version == 0:
            raise error(Category.NOT_FOUND, f"{resource_type}/{id} is not known")
        return Response(204, headers=((b"etag", b'W/"%d"' % change.version),))

    async def transact(self, request: Request) -> Response:
        _check_media_type(request, _JSON_TYPES)
        bundle = parse_json(request.body)
        if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
            raise error(
                Category.INCORRECT,
                "this address takes a Bundle of type transaction",
                expression="Bundle.type",
                code="value",
            )
        transaction = parse_transaction(bundle, request.base_url)
        places = [f"Bundle.entry[{n}].resource" for n in range(len(transaction.operations))]
        changes = await self.store.write(request.caller, transaction.operations, places=places)
        return Response(200, build_transaction_response(changes))

    def _resource(self, request: Request) -> Json:
        _check_media_type(request, _JSON_TYPES)
        resource = parse_json(request.body)
        if resource.get("resourceType") != request.path[0]:
            raise error(
                Category.INCORRECT,
                f"the body must be a resource of type {request.path[0]}",
                expression="resourceType",
                code="structure",
            )
        return resource


_INTERACTIONS: Mapping[str, Mapping[str, Interaction]] = {
    "": {"POST": FhirApp.transact},
    "metadata": {"GET": FhirApp.capability},
    "type": {"GET": FhirApp.search, "POST": FhirApp.create},
    "type/_search": {"POST": FhirApp.search_by_form},
    "type/id": {"GET": FhirApp.read, "PUT": FhirApp.update, "DELETE": FhirApp.delete},
    "type/id/_history": {"GET": FhirApp.history},
    "type/id/_history/version": {"GET": FhirApp.read_version},
}


def _shape(path: tuple[str, ...]) -> str:
    if path == ("metadata",) or not path:
        return "/".join(path)
    if len(path) == 1:
        return "type"
    if len(path) == 2:
        return f"type/{path[1]}" if path[1].startswith(("_", "$")) else "type/id"
    rest = ["_history", "version"] if path[2] == "_history" else list(path[2:])
    return "/".join(["type", "id", *rest[: len(path) - 2]])


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def _read_body(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise error(Category.INCORRECT, "the connection closed before the body was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _too_large(limit: int) -> SsciError:
    text = f"the body is larger than {limit} bytes"
    return error(Category.INCORRECT, text, code="too-long", status=413)


def _text_of(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(
            Category.INCORRECT, f"the body is not UTF-8 at byte {problem.start}", code="structure"
        ) from None


def _media_types(header: str) -> list[str]:
    return [part.partition(";")[0].strip().lower() for part in header.split(",") if part.strip()]


def _check_accept(request: Request, parameters: list[tuple[str, str]]) -> None:
    formats = [value for name, value in parameters if name == "_format"]
    if formats:
        wanted = formats[-1].partition(";")[0].strip().replace(" ", "+")
        acceptable = wanted in _FORMATS
    else:
        wanted = request.headers.get("accept", "*/*")
        acceptable = not wanted.strip() or not _ACCEPTED.isdisjoint(_media_types(wanted))
    if not acceptable:
        raise error(
            Category.UNSUPPORTED,
            "this server answers in application/fhir+json",
            code="not-supported",
            status=406,
        )


def _check_media_type(request: Request, known: frozenset[str]) -> None:
    given = request.headers.get("content-type", "")
    types = _media_types(given)
    if len(types) != 1 or types[0] not in known or not _is_utf8(given):
        raise error(
            Category.UNSUPPORTED,
            f"the body must be one of {', '.join(sorted(known))}, in UTF-8",
            expression="http.Content-Type",
            code="not-supported",
            status=415,
        )


def _is_utf8(content_type: str) -> bool:
    match = re.search(r'charset\s*=\s*"?([^\s;"]+)', content_type, re.IGNORECASE)
    return match is None or match[1].lower() in ("utf-8", "utf8", "us-ascii")


def _is_lenient(request: Request) -> bool:
    return "handling=lenient" in request.headers.get("prefer", "").replace(" ", "")


def _no_parameters(request: Request) -> None:
    for name, _ in split_query(request.query):
        if name not in ("_format", "_pretty"):
            raise error(
                Category.INCORRECT,
                f"{name}: is not a parameter of this interaction",
                expression=f"http.{name}",
                code="not-supported",
            )


def _search_outcome(ignored: Any, truncated: bool) -> Json | None:
    issues = [
        {"severity": "warning", "code": issue.code, "diagnostics": f"ignored: {issue.diagnostics}"}
        for issue in ignored
    ]
    if truncated:
        text = f"this page includes only the first {MAX_INCLUDED} referenced resources"
        issues.append({"severity": "warning", "code": "too-costly", "diagnostics": text})
    return {"resourceType": "OperationOutcome", "issue": issues} if issues else None


def _found(stored: Stored) -> Response:
    if stored.body is None:
        raise error(
            Category.NOT_FOUND,
            f"{stored.resource_type}/{stored.id} was deleted in version {stored.version}",
            code="deleted",
            status=410,
        )
    return Response(200, stored.body, _version_headers(stored.version, stored.last_updated))


def _version_headers(version: int, last_updated: datetime) -> tuple[tuple[bytes, bytes], ...]:
    modified = format_datetime(last_updated.astimezone(UTC), usegmt=True)
    return ((b"etag", b'W/"%d"' % version), (b"last-modified", modified.encode("ascii")))


def _written(request: Request, change: Change) -> Response:
    """201 with Location for a new resource, 200 otherwise; the body as `Prefer` asks."""
    created = change.kind == "create"
    path = f"{change.resource_type}/{change.id}/_history/{change.version}"
    headers = [
        *_version_headers(change.version, change.last_updated),
        (b"location", f"{request.base_url}/{path}".encode()),
    ]
    preferred = request.headers.get("prefer", "").replace(" ", "")
    body = change.body or b""
    if "return=minimal" in preferred:
        body = b""
    elif "return=OperationOutcome" in preferred:
        done = {"create": "created", "update": "updated"}.get(change.kind, "unchanged")
        text = f"{change.resource_type}/{change.id}: {done}, version {change.version}"
        body = dump_json(
            {
                "resourceType": "OperationOutcome",
                "issue": [
                    {"severity": "information", "code": "informational", "diagnostics": text}
                ],
            }
        )
    return Response(201 if created else 200, body, tuple(headers))


def _refusal(problem: SsciError) -> Response:
    headers = tuple(
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in problem.headers.items()
    )
    return Response(problem.http_status, dump_json(build_outcome(problem)), headers)


async def _send(send: Send, response: Response, *, head: bool) -> None:
    headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
    if response.body:
        headers.append((b"content-type", _JSON + b";charset=utf-8"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})
