"""The FHIR REST API as a small ASGI application of its own: one table of interactions.
https://hl7.org/fhir/R4/http.html

Bodies go out as the stored bytes. Every error is an OperationOutcome.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from app.errors import Category, SsciError, error
from app.fhir import media
from app.fhir.batch import carry_out_bundle
from app.fhir.codec import dump_json
from app.fhir.dispatch import BUNDLE, find_route
from app.fhir.exchange import Request, Response
from app.fhir.failures import without_values
from app.fhir.interactions import INTERACTIONS
from app.fhir.layout import Layout
from app.fhir.model import Caller
from app.fhir.outcome import build_outcome
from app.fhir.registry import Registry
from app.fhir.request import Reading, split_query
from app.fhir.store import Store

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
    ) -> None:
        self.store = store
        self.registry = registry
        self.layout = layout
        self.settings = settings
        self._authenticate = authenticate
        self.started = datetime.now(UTC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = await self._respond(scope, receive)
        await _send(send, response, head=scope["method"] == "HEAD")

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        """The answer in the format the client asks for; every failure is an OperationOutcome."""
        rendering = media.plain(self.registry)
        try:
            headers = _headers(scope)
            query = scope["query_string"].decode("latin-1")
            rendering = media.negotiate(headers, split_query(query), self.registry)
            response = await self.answer(await self._request(scope, receive, headers, query))
            return self._in_wanted_format(response, rendering, scope["method"])
        except SsciError as problem:
            return self._refusal(problem, rendering)
        except Exception as problem:
            _log.error("unexpected failure in the FHIR API\n%s", without_values(problem))
            fault = "the server failed to answer; nothing was changed unless a read shows it"
            return self._refusal(error(Category.FAULT, fault), rendering)

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

    def _in_wanted_format(
        self, response: Response, rendering: media.Rendering, method: str
    ) -> Response:
        """What was written is written, also where XML can't tell it: JSON tells it then."""
        try:
            return _rendered(response, rendering)
        except SsciError:
            if method in ("GET", "HEAD"):
                raise
            return _rendered(response, media.plain(self.registry))

    async def answer(self, request: Request) -> Response:
        """Carry out the interaction that the request asks for."""
        name = find_route(request.method, request.path, self.layout)
        if name == BUNDLE:
            return await carry_out_bundle(self, request)
        return await INTERACTIONS[name](self, request)

    async def _request(
        self, scope: Scope, receive: Receive, headers: Mapping[str, str], query: str
    ) -> Request:
        path = scope["path"].removeprefix(self.settings.mount).strip("/")
        body = await _read_body(headers, receive, self.settings.max_body)
        return Request(
            "GET" if scope["method"] == "HEAD" else scope["method"],
            tuple(path.split("/")) if path else (),
            query,
            headers,
            body,
            await self._authenticate(scope),
            self._base_url(scope, headers),
        )

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


def _rendered(response: Response, rendering: media.Rendering) -> Response:
    if not response.body:
        return response
    names = {name for name, _ in response.headers}
    if b"content-type" in names:  # the interaction has chosen its own format
        return response
    headers = (*response.headers, (b"content-type", rendering.content_type))
    return replace(response, body=rendering.render(response.body), headers=headers)


async def _send(send: Send, response: Response, *, head: bool) -> None:
    headers = [*response.headers]
    if response.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})
