"""The raw limit: a bare ASGI application and one asyncpg statement per request, same bytes.

What a Python service on this machine could do at most; `load` holds the real one against it.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import asyncpg

READ = "SELECT body FROM fhir.observation WHERE id = $1"
SEARCH = (
    "SELECT body FROM fhir.observation WHERE patient = $1 AND tokens @> ARRAY[$2::text]"
    " ORDER BY date_to DESC, id DESC LIMIT 50"
)
COUNT = "SELECT count(*) FROM fhir.observation WHERE patient = $1"
INSERT = "INSERT INTO public.raw_limit (id, body) VALUES ($1, $2)"
INSERT_TEXT = "INSERT INTO public.raw_limit_text (id, body) VALUES ($1, $2)"
CONNECTIONS = 8
ENTRIES = 100
"""Entries of the transaction that is measured."""

Message = MutableMapping[str, Any]


class RawLimit:
    """`/read/ID`, `/search/PATIENT`, `/count/PATIENT`, `POST /create`, `POST /transaction`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._idle: asyncio.LifoQueue[Any] = asyncio.LifoQueue()

    async def start(self) -> None:
        for _ in range(CONNECTIONS):
            connection = await asyncpg.connect(self._dsn)
            await connection.set_type_codec(
                "json", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes
            )
            self._idle.put_nowait(connection)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await self.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        kind, _, key = scope["path"][1:].partition("/")
        body = (await receive()).get("body", b"")
        connection = await self._idle.get()
        try:
            answer = await _ANSWERS[kind](connection, key, body)
        finally:
            self._idle.put_nowait(connection)
        headers = [
            (b"content-type", b"application/fhir+json"),
            (b"content-length", b"%d" % len(answer)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _read(connection: Any, key: str, _body: bytes) -> bytes:
    return bytes(await connection.fetchval(READ, key))


async def _search(connection: Any, key: str, _body: bytes) -> bytes:
    rows = await connection.fetch(SEARCH, key, "code=http://loinc.org|777-3")
    entries = b",".join(b'{"resource":%b}' % row[0] for row in rows)
    return b'{"resourceType":"Bundle","type":"searchset","entry":[%b]}' % entries


async def _count(connection: Any, key: str, _body: bytes) -> bytes:
    return b'{"total":%d}' % await connection.fetchval(COUNT, key)


async def _create(connection: Any, _key: str, body: bytes) -> bytes:
    await connection.execute(INSERT, str(uuid.uuid4()), body)
    return body


async def _transaction(connection: Any, _key: str, body: bytes) -> bytes:
    rows = [(str(uuid.uuid4()), body[: len(body) // ENTRIES]) for _ in range(ENTRIES)]
    async with connection.transaction():
        await connection.executemany(INSERT_TEXT, rows)
    return b"{}"


_ANSWERS = {
    "read": _read,
    "search": _search,
    "count": _count,
    "create": _create,
    "transaction": _transaction,
}


def build() -> RawLimit:
    return RawLimit(os.environ["BENCH_DSN"])
