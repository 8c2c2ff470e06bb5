"""How bodies travel and who may ask from a browser: gzip both ways and CORS, around an ASGI app.

https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding · https://fetch.spec.whatwg.org/#http-cors-protocol
https://hl7.org/fhir/R4/http.html#compression
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.unhurried import unhurried

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MIN_COMPRESSED = 1024
"""A shorter body is not worth the work."""

PIECE = 1024 * 1024
"""The most that is inflated at a time, so that whoever reads can stop in time."""

MAX_MEMBERS = 1024
"""Empty members cost work and give no bytes that a limit could count."""

ZIPPED_FASTER = 8
"""How many times faster a text is compressed than a resource of its size is read and checked."""

ANY_ORIGIN = "*"
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = (
    b"Accept, Authorization, Content-Encoding, Content-Type, If-Match, If-Modified-Since,"
    b" If-None-Exist, If-None-Match, Prefer, X-Request-Id, X-Security-Context"
)
EXPOSED_HEADERS = (
    b"Content-Disposition, Content-Location, ETag, Last-Modified, Location, Preference-Applied,"
    b" Retry-After, X-Request-Id, X-Security-Context"
)
_PREFLIGHT_SECONDS = b"600"

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_FAST = 1
_GZIP = frozenset({b"gzip", b"x-gzip"})
_COMPRESSIBLE = re.compile(rb"text/|application/([a-z+.-]*\+)?(json|xml|ndjson)\b", re.IGNORECASE)
_CODING = re.compile(rb"\s*([^\s;,]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?(?:,|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """`cors_origins`: `https://edc.example` …, `*` for any; empty: no other origin may ask.

    `max_body`: the most bytes a request's body may have when inflated.
    """

    cors_origins: tuple[str, ...]
    max_body: int


class Transport:
    """ASGI middleware. What it refuses it raises as the body is read: the app tells the client."""

    def __init__(self, app: App, settings: TransportSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        granted = cors_headers(headers.get(b"origin"), self._settings.cors_origins)
        if granted and _is_preflight(scope, headers):
            await _answer_preflight(send, granted)
            return
        coding = headers.get(b"content-encoding", b"").strip().lower()
        if coding not in _NO_CODING:
            scope, receive = self._decoded(scope, receive, coding)
        zip_it = accepts_gzip(headers.get(b"accept-encoding", b""))
        by_origin = bool(self._settings.cors_origins)
        has_body = scope["method"] != "HEAD"
        await self._app(scope, receive, _Answer(send, zip_it, granted, by_origin, has_body))

    def _decoded(self, scope: Scope, receive: Receive, coding: bytes) -> tuple[Scope, Receive]:
        kept = [pair for pair in scope["headers"] if pair[0] not in _OF_THE_CODED_BODY]
        return {**scope, "headers": kept}, _Inflating(receive, coding, self._settings.max_body)


_NO_CODING = frozenset({b"", b"identity"})
_OF_THE_CODED_BODY = frozenset({b"content-encoding", b"content-length"})


# Requests


class _Inflating:
    """`receive` of a coded body: hands on what it inflates in pieces, none longer than PIECE."""

    def __init__(self, receive: Receive, coding: bytes, limit: int) -> None:
        self._receive = receive
        self._coding = coding
        self._limit = limit
        self._pieces: Iterator[bytes] = iter(())
        self._inflater = Inflater()
        self._size = 0
        self._last = False
        self._done = False

    async def __call__(self) -> Message:
        check_coding(self._coding)
        while True:
            piece = next(self._pieces, None)
            if piece is not None:
                self._count(piece)
                return {"type": "http.request", "body": piece, "more_body": True}
            if self._last and not self._done:
                self._done = True
                self._inflater.finish()
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._last = not message.get("more_body", False)
            self._pieces = self._inflater.feed(message.get("body", b""))

    def _count(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            sentence = f"The body is larger than {self._limit} bytes when inflated"
            raise error(Category.INCORRECT, sentence, code="too-long", status=413)


def check_coding(coding: bytes) -> None:
    """Return if bodies of this Content-Encoding can be read, else 415."""
    if coding not in _GZIP:
        raise error(
            Category.UNSUPPORTED,
            "A body may be coded with gzip, once, or not at all",
            expression="http.Content-Encoding",
            code="not-supported",
            status=415,
            headers={"Accept-Encoding": "gzip"},
        )


class Inflater:
    """Inflates gzip, of one or several members, a piece at a time; 400 if it is none."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False
        self._members = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._begun = True
            piece, data = self._inflate(data)
            if piece:
                yield piece

    def _inflate(self, data: bytes) -> tuple[bytes, bytes]:
        """(what came out, what of `data` is left)."""
        if self._member.eof:
            self._next_member()
        try:
            piece = self._member.decompress(data, PIECE)
        except zlib.error:
            raise _not_gzip() from None
        return piece, self._member.unconsumed_tail or self._member.unused_data

    def _next_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            sentence = f"The gzip data has more than {MAX_MEMBERS} members"
            raise error(Category.INCORRECT, sentence, code="too-costly", status=413)
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    def finish(self) -> None:
        """The body is over: so must be the gzip data. An empty body is none, and fine."""
        if self._begun and not self._member.eof:
            raise _not_gzip()


def _not_gzip() -> SsciError:
    sentence = "The body is not gzip as its Content-Encoding says, or it is cut off"
    return error(Category.INCORRECT, sentence, expression="http.Content-Encoding", code="structure")


# Answers


class _Answer:
    """`send` that compresses a body which comes in one piece, and adds CORS headers.

    Without a body (HEAD) the headers are those of the answer that would have one, but for its
    length, which is not known when it would be compressed.
    """

    def __init__(
        self, send: Send, zip_it: bool, granted: Headers, by_origin: bool, has_body: bool
    ) -> None:
        self._send = send
        self._zip_it = zip_it
        self._granted = granted
        self._vary = b"Accept, Accept-Encoding" + (b", Origin" if by_origin else b"")
        self._has_body = has_body
        self._start: Message = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._start:
            start, self._start = self._start, {}
            message = await self._begin(start, message)
        await self._send(message)

    async def _begin(self, start: Message, first: Message) -> Message:
        headers: Headers = [*start.get("headers", ()), *self._granted, (b"vary", self._vary)]
        body: bytes = first.get("body", b"")
        is_whole = not first.get("more_body", False)
        size = len(body) if self._has_body else _length_of(headers)
        if self._zip_it and is_whole and is_worth_zipping(headers, size):
            headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
            headers.append((b"content-encoding", b"gzip"))
            if self._has_body:
                body = await unhurried(size // ZIPPED_FASTER, compress, body)
                headers.append((b"content-length", b"%d" % len(body)))
        await self._send({**start, "headers": headers})
        return {**first, "body": body}


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether `Accept-Encoding` lets an answer be coded with gzip."""
    if not accept_encoding:
        return False
    qualities = {
        name.lower(): not quality or quality.strip(b"0.") != b""
        for name, quality in _CODING.findall(accept_encoding)
    }
    return qualities.get(b"gzip", qualities.get(b"*", False))


def _length_of(headers: Headers) -> int:
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    return int(lengths[0]) if lengths else 0


def is_worth_zipping(headers: Iterable[tuple[bytes, bytes]], size: int) -> bool:
    """A text of some length that is not coded yet."""
    if size < MIN_COMPRESSED:
        return False
    by_name = {name.lower(): value for name, value in headers}
    is_text = _COMPRESSIBLE.match(by_name.get(b"content-type", b"")) is not None
    return is_text and b"content-encoding" not in by_name


def compress(body: bytes) -> bytes:
    """`body` as gzip; the same bytes give the same bytes."""
    stream = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP_WINDOW)
    return stream.compress(body) + stream.flush()


# CORS


def cors_headers(origin: bytes | None, allowed: tuple[str, ...]) -> Headers:
    """What lets a browser show the answer to a page of `origin`; nothing if it may not ask.

    Credentials are never allowed: clients send tokens, not cookies.
    """
    if origin is None or not allowed:
        return []
    if ANY_ORIGIN in allowed:
        shown = b"*"
    elif origin.decode("latin-1") in allowed:
        shown = origin
    else:
        return []
    return [
        (b"access-control-allow-origin", shown),
        (b"access-control-expose-headers", EXPOSED_HEADERS),
    ]


def _is_preflight(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers


async def _answer_preflight(send: Send, granted: Headers) -> None:
    headers = [
        granted[0],
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", _PREFLIGHT_SECONDS),
        (b"vary", b"Origin"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
