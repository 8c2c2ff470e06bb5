"""The FHIR REST API as a small ASGI application of its own: one table of interactions.
https://hl7.org/fhir/R4/http.html

Bodies go out as the stored bytes. Every error is an OperationOutcome.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Container, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from app.errors import Category, SsciError, error
from app.fhir import binary, media, operations
from app.fhir.batch import carry_out_bundle
from app.fhir.codec import dump_json
from app.fhir.dispatch import BUNDLE, allowed, find_route, methods_at
from app.fhir.exchange import Request, Response
from app.fhir.failures import without_values
from app.fhir.interactions import INTERACTIONS, WRITES, form_parameters
from app.fhir.layout import Layout
from app.fhir.model import Caller
from app.fhir.operations import OPERATIONS, Operation
from app.fhir.outcome import build_outcome
from app.fhir.patch import PATCH_FORMATS
from app.fhir.preconditions import handled_as
from app.fhir.queries import split_query
from app.fhir.registry import Registry
from app.fhir.request import Reading
from app.fhir.store import Store
from app.fhir.unhurried import unhurried

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Authenticate = Callable[[Scope], Awaitable[Caller]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FhirSettings:
    """`base_url` None: taken from each request's Host. `conditional_delete`: whether criteria may
    delete several resources at once. `check_references`: whether what is referred to must exist."""

    base_url: str | None
    mount: str
    zone: tzinfo
    max_body: int
    software_version: str
    check_references: bool = False
    conditional_delete: Literal["single", "multiple"] = "single"


class FhirApp:
    """ASGI application for everything below the FHIR base."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        layout: Layout,
        settings: FhirSettings,
        authenticate: Authenticate,
        operations: Sequence[Operation] = (),
    ) -> None:
        """`operations` are those of others, beside this server's own."""
        self.store = store
        self.operations = (*OPERATIONS, *operations)
        self.registry = registry
        self.layout = layout
        self.settings = settings
        self._authenticate = authenticate
        self.started = datetime.now(UTC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = _identified(await self._respond(scope, receive), scope)
        await _send(send, response, head=scope["method"] == "HEAD")

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        """The answer in the format the client asks for; every failure is an OperationOutcome."""
        rendering = media.plain(self.registry)
        try:
            headers = _headers(scope)
            query = scope["query_string"].decode("latin-1")
            parameters = split_query(query)
            rendering = self._wanted(scope, headers, parameters)
            if scope["method"] == "OPTIONS":
                return _options(self._path(scope), self.layout, self.operations)
            request = await self._request(scope, receive, headers, query)
            rendering = self._wanted_by_form(request, rendering)
            if binary.is_read(request.method, request.path, parameters):
                return await self._binary(request, rendering)
            response = await self.answer(request)
            return await self._in_wanted_format(response, rendering, scope["method"])
        except SsciError as problem:
            return self._refusal(problem, rendering)
        except Exception as problem:
            _log.error("unexpected failure in the FHIR API\n%s", without_values(problem))
            fault = "the server failed to answer; nothing was changed unless a read shows it"
            return self._refusal(error(Category.FAULT, fault), rendering)

    def _wanted(
        self, scope: Scope, headers: Mapping[str, str], parameters: Sequence[tuple[str, str]]
    ) -> media.Rendering:
        """The content of a Binary may be answered where no FHIR format is acceptable."""
        try:
            return media.negotiate(headers, parameters, self.registry)
        except SsciError:
            wish = binary.parse_wish(headers.get("accept", ""))
            if wish.is_any and binary.is_read(scope["method"], self._path(scope), parameters):
                return media.plain(self.registry)
            raise

    def _wanted_by_form(self, request: Request, rendering: media.Rendering) -> media.Rendering:
        """`_format` and `_pretty` may stand in the body of a search, as any parameter."""
        if request.method != "POST" or request.path[-1:] != ("_search",):
            return rendering
        parameters = form_parameters(request)
        if not any(name in ("_format", "_pretty") for name, _ in parameters):
            return rendering
        return media.negotiate(request.headers, parameters, self.registry)

    async def _binary(self, request: Request, rendering: media.Rendering) -> Response:
        """The content, or the resource if that is what the client prefers. Only the resource can
        be abridged."""
        wish = binary.parse_wish(request.headers.get("accept", ""))
        response = await self.answer(request)
        if response.status == 200:
            asked = binary.unabridged(request)
            whole = response if asked is request else await self.answer(asked)
            content = await unhurried(len(whole.body), binary.answer_content, whole, wish)
            if content is not None:
                return content
        return await self._in_wanted_format(response, rendering, request.method)

    def _refusal(self, problem: SsciError, rendering: media.Rendering) -> Response:
        headers = tuple(
            (name.lower().encode("ascii"), value.encode("latin-1"))
            for name, value in problem.headers.items()
        )
        body = dump_json(build_outcome(problem))
        response = Response(problem.http_status, body, headers)
        try:
            return _rendered(response, rendering)
        except SsciError:  # what XML can't tell, JSON can
            return _rendered(response, media.plain(self.registry))

    async def _in_wanted_format(
        self, response: Response, rendering: media.Rendering, method: str
    ) -> Response:
        """What was written is written, also where XML can't tell it: JSON tells it then."""
        size = 0 if rendering.is_as_stored else len(response.body)
        try:
            return await unhurried(size, _rendered, response, rendering)
        except SsciError:
            if method in ("GET", "HEAD"):
                raise
            return _rendered(response, media.plain(self.registry))

    async def answer(self, request: Request) -> Response:
        """Carry out the interaction that the request asks for."""
        name = find_route(request.method, request.path, self.layout)
        if name == BUNDLE:
            return await carry_out_bundle(self, request)
        response = await INTERACTIONS[name](self, request)
        applied = () if name in WRITES else handled_as(request.headers)
        return replace(response, headers=(*response.headers, *applied)) if applied else response

    async def _request(
        self, scope: Scope, receive: Receive, headers: Mapping[str, str], query: str
    ) -> Request:
        body = await _read_body(headers, receive, self.settings.max_body)
        return Request(
            "GET" if scope["method"] == "HEAD" else scope["method"],
            self._path(scope),
            query,
            headers,
            body,
            await self._authenticate(scope),
            self._base_url(scope, headers),
        )

    def _path(self, scope: Scope) -> tuple[str, ...]:
        path = scope["path"].removeprefix(self.settings.mount).strip("/")
        return tuple(path.split("/")) if path else ()

    def _base_url(self, scope: Scope, headers: Mapping[str, str]) -> str:
        if self.settings.base_url is not None:
            return self.settings.base_url
        host = headers.get("host", "localhost")
        if not _HOST.fullmatch(host):
            raise error(
                Category.INCORRECT, "Host must be a name or address", expression="http.Host"
            )
        return f"{scope.get('scheme', 'http')}://{host}{self.settings.mount}"

    def reading(self, request: Request) -> Reading:
        return Reading(self.layout, self.settings.zone, request.base_url)


_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,100}")
_HOST = re.compile(r"(?:[A-Za-z0-9._\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def _read_body(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
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


def _options(path: tuple[str, ...], types: Container[str], among: Sequence[Operation]) -> Response:
    """What can be done at an address. https://www.rfc-editor.org/rfc/rfc9110#name-options"""
    methods = methods_at(path, types) or allowed(operations.methods_at(path, among))
    headers = [(b"allow", ", ".join(methods).encode("ascii"))]
    if "PATCH" in methods:
        headers.append((b"accept-patch", ", ".join(PATCH_FORMATS).encode("ascii")))
    return Response(204, headers=tuple(headers))


def _rendered(response: Response, rendering: media.Rendering) -> Response:
    if not response.body:
        return response
    names = {name for name, _ in response.headers}
    if b"content-type" in names:  # the interaction has chosen its own format
        return response
    headers = (*response.headers, (b"content-type", rendering.content_type))
    return replace(response, body=rendering.render(response.body), headers=headers)


def _identified(response: Response, scope: Scope) -> Response:
    """With the id that the client gave its request, if it is a plain one."""
    sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(sent) != 1 or not _REQUEST_ID.fullmatch(sent[0]):
        return response
    return replace(response, headers=(*response.headers, (b"x-request-id", sent[0])))


async def _send(send: Send, response: Response, *, head: bool) -> None:
    headers = [*response.headers]
    if response.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})
