"""gzip and CORS around an ASGI app. https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding
https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.errors import SsciError
from app.fhir.transport import (
    MAX_MEMBERS,
    MIN_COMPRESSED,
    PIECE,
    Inflater,
    Transport,
    TransportSettings,
    accepts_gzip,
)

LIMIT = 3 * PIECE
LONG = b'{"resourceType":"Basic","x":"' + b"a" * 5000 + b'"}'
EDC = "https://edc.example"
PREFLIGHT = {"access-control-request-method": "PUT", "access-control-request-headers": "prefer"}


class Echo:
    """An app that answers with what it read; `largest` is the longest piece it was given."""

    def __init__(self, content_type: bytes = b"application/fhir+json") -> None:
        self.content_type = content_type
        self.largest = 0
        self.headers: dict[bytes, bytes] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers = dict(scope["headers"])
        try:
            status, body = 200, await self._read(receive)
        except SsciError as refused:
            status, body = refused.http_status, str(refused).encode()
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(body)),
            (b"etag", b'W/"1"'),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _read(self, receive: Any) -> bytes:
        pieces = []
        while True:
            message = await receive()
            pieces.append(message["body"])
            self.largest = max(self.largest, len(message["body"]))
            if not message["more_body"]:
                return b"".join(pieces)


def client_of(app: Any, *origins: str) -> httpx.AsyncClient:
    wrapped = Transport(app, TransportSettings(origins, LIMIT))
    transport = httpx.ASGITransport(wrapped)
    return httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"accept-encoding": "identity"}
    )


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(Echo()) as opened:
        yield opened


def in_gzip(**headers: str) -> dict[str, str]:
    return {"content-encoding": "gzip", **headers}


# Requests


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip"])
async def test_a_gzip_body_arrives_inflated(coding: str) -> None:
    app = Echo()
    async with client_of(app) as client:
        headers = {"content-encoding": coding}
        answer = await client.post("/", content=gzip.compress(LONG), headers=headers)
    assert answer.content == LONG
    assert {b"content-encoding", b"content-length"}.isdisjoint(app.headers)


async def test_a_gzip_body_may_come_in_chunks_and_members(client: httpx.AsyncClient) -> None:
    packed = gzip.compress(LONG) + gzip.compress(b"") + gzip.compress(LONG)

    async def chunks() -> AsyncIterator[bytes]:
        for n in range(0, len(packed), 7):
            yield packed[n : n + 7]

    answer = await client.post("/", content=chunks(), headers=in_gzip())
    assert answer.content == LONG + LONG


async def test_a_body_without_coding_passes(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"content-encoding": "identity"}):
        assert (await client.post("/", content=LONG, headers=headers)).content == LONG


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd"])
async def test_another_coding_is_a_415(client: httpx.AsyncClient, coding: str) -> None:
    answer = await client.post("/", content=LONG, headers={"content-encoding": coding})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "body",
    [LONG, gzip.compress(LONG)[:-9], gzip.compress(LONG) + b"more", b"\x1f\x8b", b"\x1f"],
    ids=["not gzip", "cut off", "something behind", "cut in the header", "one byte"],
)
async def test_damaged_gzip_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/", content=body, headers=in_gzip())
    assert answer.status_code == 400


async def test_a_bomb_is_a_413_and_inflated_only_up_to_the_limit() -> None:
    app = Echo()
    async with client_of(app) as client:
        bomb = gzip.compress(bytes(50 * LIMIT))
        answer = await client.post("/", content=bomb, headers=in_gzip())
        assert answer.status_code == 413
        exact = await client.post("/", content=gzip.compress(bytes(LIMIT)), headers=in_gzip())
        assert (exact.status_code, len(exact.content)) == (200, LIMIT)
    assert app.largest == PIECE


def test_endless_empty_members_are_refused() -> None:
    with pytest.raises(SsciError) as refused:
        list(Inflater().feed(gzip.compress(b"") * (MAX_MEMBERS + 1)))
    assert refused.value.http_status == 413


# Answers


async def test_a_long_answer_is_compressed_for_those_who_take_it(
    client: httpx.AsyncClient,
) -> None:
    headers = {"accept-encoding": "br, gzip;q=0.5"}
    async with client.stream("POST", "/", content=LONG, headers=headers) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(raw) < 200
    assert gzip.decompress(raw) == LONG
    assert answer.headers["etag"] == 'W/"1"'
    assert "Accept-Encoding" in answer.headers["vary"]


async def test_others_get_it_as_it_is_and_caches_are_told_the_difference(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/", content=LONG)
    assert "content-encoding" not in answer.headers
    assert int(answer.headers["content-length"]) == len(LONG)
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("content_type", "length", "coded"),
    [
        (b"application/fhir+xml;charset=utf-8", MIN_COMPRESSED, True),
        (b"application/fhir+json", MIN_COMPRESSED - 1, False),
        (b"application/fhir+ndjson", MIN_COMPRESSED, True),
        (b"text/plain", MIN_COMPRESSED, True),
        (b"image/jpeg", 5000, False),
        (b"application/pdf", 5000, False),
    ],
)
async def test_only_texts_of_some_length_are_compressed(
    content_type: bytes, length: int, coded: bool
) -> None:
    async with client_of(Echo(content_type)) as client:
        answer = await client.post("/", content=b"a" * length, headers={"accept-encoding": "gzip"})
    assert ("content-encoding" in answer.headers) == coded
    assert answer.content == b"a" * length


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (b"gzip", True),
        (b"deflate, GZIP;q=0.001", True),
        (b"*", True),
        (b"*;q=0", False),
        (b"gzip;q=0", False),
        (b"gzip;q=0.000, *", False),
        (b"br", False),
        (b"identity", False),
        (b"", False),
        (b",,;q=;", False),
    ],
)
def test_accept_encoding_is_read_with_its_qualities(accept_encoding: bytes, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected


# CORS


async def test_without_allowed_origins_there_is_no_cors(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"origin": EDC})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "Origin" not in answer.headers["vary"]


async def test_an_allowed_origin_may_read_the_answer_and_its_headers() -> None:
    async with client_of(Echo(), EDC, "https://audit.example") as client:
        answer = await client.get("/", headers={"origin": EDC})
    assert answer.headers["access-control-allow-origin"] == EDC
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "Location", "Last-Modified", "Content-Location"} <= {*exposed}
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["vary"] == "Accept, Accept-Encoding, Origin"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"{EDC}.evil.example", "null", "http://edc.example"]
)
async def test_another_origin_is_granted_nothing(origin: str) -> None:
    async with client_of(Echo(), EDC) as client:
        for answer in (
            await client.get("/", headers={"origin": origin}),
            await client.options("/", headers={"origin": origin} | PREFLIGHT),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_star_allows_every_origin() -> None:
    async with client_of(Echo(), "*") as client:
        answer = await client.get("/", headers={"origin": "https://any.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_preflight_is_answered_without_asking_the_app() -> None:
    app = Echo()
    async with client_of(app, EDC) as client:
        answer = await client.options("/Patient/1", headers={"origin": EDC} | PREFLIGHT)
    assert (answer.status_code, answer.content, app.headers) == (204, b"", {})
    assert answer.headers["access-control-allow-origin"] == EDC
    assert {"PUT", "PATCH", "DELETE"} <= {
        *answer.headers["access-control-allow-methods"].split(", ")
    }
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "if-match", "if-none-exist", "prefer", "content-type"} <= {*allowed}


async def test_options_that_is_no_preflight_reaches_the_app() -> None:
    app = Echo()
    async with client_of(app, EDC) as client:
        answer = await client.options("/", headers={"origin": EDC})
    assert answer.status_code == 200
    assert app.headers
