"""Connections: to read and to write are different types, so that a reader can't be given one to
write by mistake. Both are thin: a call is the driver's own call.

`json` and `jsonb` pass as bytes, unparsed in both directions.
https://magicstack.github.io/asyncpg/current/api/index.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from app.database.copying import Row, copied

if TYPE_CHECKING:
    from asyncpg import Record

    RawConnection = asyncpg.Connection[Record]

Sink = Callable[[bytes], Coroutine[Any, Any, None]]
"""Takes the next chunk of a COPY."""

JSONB_VERSION = b"\x01"
CACHED_STATEMENTS = 512
CONNECTING_SECONDS = 10.0


class ReadConnection:
    """Statements that only read, each in a transaction of its own."""

    __slots__ = ("raw",)

    def __init__(self, raw: RawConnection) -> None:
        self.raw = raw

    def fetch(self, sql: str, *values: object) -> Awaitable[list[Record]]:
        return self.raw.fetch(sql, *values)

    def fetchrow(self, sql: str, *values: object) -> Awaitable[Record | None]:
        return self.raw.fetchrow(sql, *values)

    def fetchval(self, sql: str, *values: object) -> Awaitable[Any]:
        return self.raw.fetchval(sql, *values)

    def copy_out(self, sql: str, *values: object, write: Sink) -> Awaitable[str]:
        """COPY a query's rows out in the binary format, in chunks: the fastest way for many."""
        return self.raw.copy_from_query(sql, *values, output=write, format="binary")


class WriteConnection:
    """Statements of one transaction, which commits when its block ends without an exception."""

    __slots__ = ("raw",)

    def __init__(self, raw: RawConnection) -> None:
        self.raw = raw

    def fetch(self, sql: str, *values: object) -> Awaitable[list[Record]]:
        return self.raw.fetch(sql, *values)

    def fetchrow(self, sql: str, *values: object) -> Awaitable[Record | None]:
        return self.raw.fetchrow(sql, *values)

    def fetchval(self, sql: str, *values: object) -> Awaitable[Any]:
        return self.raw.fetchval(sql, *values)

    def execute(self, sql: str, *values: object) -> Awaitable[str]:
        """Run a statement; PostgreSQL's word on it, such as `UPDATE 3`."""
        return self.raw.execute(sql, *values)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> Awaitable[None]:
        """Run a statement once per row, pipelined."""
        return self.raw.executemany(sql, rows)

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> Awaitable[str]:
        """COPY rows into `schema.table`: the fastest way for many. They are taken as they are
        sent, while PostgreSQL stores those before; a row may be a line of `copy_text`."""
        schema, _, name = table.rpartition(".")
        return self.raw.copy_to_table(
            name, schema_name=schema or None, columns=list(columns), source=copied(rows)
        )


async def connect(dsn: str, session: Mapping[str, str], command_timeout: float) -> RawConnection:
    """A connection with these session settings and our codecs.

    `command_timeout` is the driver's own, for a network that went silent: longer than PostgreSQL's
    statement_timeout.
    """
    raw = await asyncpg.connect(
        dsn,
        timeout=CONNECTING_SECONDS,
        command_timeout=command_timeout,
        server_settings=dict(session),
        statement_cache_size=CACHED_STATEMENTS,
        max_cached_statement_lifetime=0,
    )
    try:
        await _set_codecs(raw)
    except BaseException:
        raw.terminate()
        raise
    return raw


async def _set_codecs(raw: RawConnection) -> None:
    await raw.set_type_codec(
        "json", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes
    )
    await raw.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=JSONB_VERSION.__add__,
        decoder=_without_version,
    )


def _without_version(value: bytes) -> bytes:
    return value[1:]
