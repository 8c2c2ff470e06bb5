"""From settings to a database that is ready: found, migrated, opened.

    async with open_database(Source(data_dir=…, owner_dsn=…), Limits(…)) as database: …

Without an `owner_dsn` it is the embedded server of the data directory. Every process of the service
does the same: the first one starts the server and migrates, the others join and find it done.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from app.database.embedded import RUNTIME, start_embedded
from app.database.failures import unavailable
from app.database.locks import Progress, Waiting
from app.database.migration import migrate
from app.database.pool import Database, Limits
from app.database.restore import adopt_cluster
from app.errors import Category, error

OLDEST_VERSION = 160000
ATTEMPT_SECONDS = 5.0
WORTH_WAITING = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ConnectionDoesNotExistError,
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the database is: `owner_dsn` of a server, or None for the embedded one of `data_dir`.

    `runtime_dsn`: a login that has the role ssci_runtime; None: the owner's, acting as that role.
    """

    data_dir: Path
    owner_dsn: str | None = field(default=None, repr=False)
    runtime_dsn: str | None = field(default=None, repr=False)
    major: int = 18
    patience_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """How to reach a running server: as owner, and for the service's daily work."""

    owner_dsn: str = field(repr=False)
    runtime_dsn: str = field(repr=False)
    role: str | None = None


@contextlib.asynccontextmanager
async def open_database(
    source: Source, limits: Limits | None = None, on_progress: Progress | None = None
) -> AsyncIterator[Database]:
    """The database as the runtime role, migrated; an embedded server is left at the end."""
    async with reached_server(source, on_progress) as addresses:
        await prepare(addresses.owner_dsn)
        await _check_role(addresses)
        async with await Database.open(addresses.runtime_dsn, limits, addresses.role) as database:
            yield database


@contextlib.asynccontextmanager
async def reached_server(
    source: Source, on_progress: Progress | None = None
) -> AsyncIterator[Addresses]:
    """A server that answers: the embedded one, or the given one after waiting for it."""
    if source.owner_dsn is None:
        async with await start_embedded(source.data_dir, source.major, on_progress) as server:
            yield Addresses(server.owner_dsn, server.runtime_dsn)
        return
    await wait_for_server(source.owner_dsn, source.patience_seconds, on_progress)
    if source.runtime_dsn is None:
        yield Addresses(source.owner_dsn, source.owner_dsn, RUNTIME)
    else:
        yield Addresses(source.owner_dsn, source.runtime_dsn)


async def prepare(owner_dsn: str) -> None:
    """Migrate to the newest revision, and reset xids after a restored dump."""
    await migrate(owner_dsn)
    await adopt_cluster(owner_dsn)


async def wait_for_server(
    dsn: str, patience_seconds: float, on_progress: Progress | None = None
) -> None:
    """Return when it lets us in. UNAVAILABLE when it can't be reached for so long; FAULT at once
    for what waiting does not mend: a refused login, no such database, an old version."""
    place = place_of(dsn)
    waiting = Waiting(on_progress or (lambda _message: None), f"PostgreSQL at {place}")
    while True:
        try:
            await _attempt(dsn)
            return
        except WORTH_WAITING as failure:
            if waiting.seconds >= patience_seconds:
                raise unavailable(
                    f"PostgreSQL at {place} could not be reached within {patience_seconds:g} s "
                    f"({type(failure).__name__}): check SSCI_DATABASE_URL, and that it runs."
                ) from failure
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as failure:
            raise _refused(place, failure) from failure
        await waiting.pause()


def _refused(place: str, failure: Exception) -> Exception:
    if isinstance(failure, asyncpg.InvalidCatalogNameError):
        advice = "there is no such database: create it (createdb)"
    elif isinstance(failure, asyncpg.InvalidAuthorizationSpecificationError):
        advice = "it refuses this user or password"
    else:
        advice = f"it can't be used ({type(failure).__name__})"
    return error(Category.FAULT, f"PostgreSQL at {place}: {advice}. See SSCI_DATABASE_URL.")


async def _attempt(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=ATTEMPT_SECONDS)
    try:
        version = int(await connection.fetchval("show server_version_num"))
        encoding = await connection.fetchval("show server_encoding")
    finally:
        await connection.close()
    if version < OLDEST_VERSION or encoding != "UTF8":
        raise error(
            Category.FAULT,
            f"PostgreSQL at {place_of(dsn)} is version {version // 10000} with encoding "
            f"{encoding}; version 16 or newer with encoding UTF8 is needed.",
        )


async def _check_role(addresses: Addresses) -> None:
    await wait_for_server(addresses.runtime_dsn, ATTEMPT_SECONDS)
    connection = await asyncpg.connect(addresses.runtime_dsn)
    try:
        fits = await connection.fetchval("select pg_has_role($1, 'usage')", RUNTIME)
    finally:
        await connection.close()
    if addresses.role is None and not fits:
        raise error(
            Category.FAULT,
            "The login of SSCI_RUNTIME_DATABASE_URL has not the role ssci_runtime: run "
            "'grant ssci_runtime to …' in the database.",
        )


def place_of(dsn: str) -> str:
    """Host and port of an address: what may be shown of it."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    host = parts.netloc.rpartition("@")[2] or ",".join(query.get("host", ["localhost"]))
    return host if ":" in host or host.startswith("/") else f"{host}:5432"
