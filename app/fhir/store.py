"""The store: gather what is there, decide what changes, apply it, all in one transaction.
https://hl7.org/fhir/R4/http.html

A lost race (two writers create the same id) is retried from the start, because the decision rests
on what was read; after some attempts the caller gets a 409 and may try again.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Protocol, TypeVar

import asyncpg

from app.database import Database, ReadConnection, WriteConnection
from app.errors import Category, Issue, SsciError, error
from app.fhir.conditions import Binder
from app.fhir.expression import Extractor
from app.fhir.grouping import Grouping
from app.fhir.history import (
    HistoryPage,
    HistoryRequest,
    Stored,
    count_history,
    page_of,
    select_history,
    stored_version,
)
from app.fhir.index import Indexer
from app.fhir.layout import Layout, TypeLayout
from app.fhir.model import (
    Caller,
    Change,
    Contributor,
    Json,
    Moment,
    Operation,
)
from app.fhir.pages import Found, Page, fetch_page
from app.fhir.profiles import ProfileShelf
from app.fhir.registry import Registry
from app.fhir.request import SearchRequest
from app.fhir.select import Compiler
from app.fhir.writing import Also, LostRaceError, Validate, Work, Writer, is_plain_creation

__all__ = ["Density", "Found", "Page", "Store", "Stored", "iterate_history", "open_store"]

ATTEMPTS = 5
POLL_PATIENCE = 0.25
"""Seconds that a poll waits for the caller's own last write to come before the safe horizon."""

Result = TypeVar("Result")

_VERSION = "id, version, last_updated, method, created, body"


class Source(Protocol):
    """Where statements run: the database, or the transaction that is being written."""

    def reading(self) -> AbstractAsyncContextManager[ReadConnection]: ...

    def searching(self) -> AbstractAsyncContextManager[ReadConnection]: ...

    def writing(self) -> AbstractAsyncContextManager[WriteConnection]: ...


class Store:
    """Reads and writes FHIR resources. Pure parts are given; this shell awaits the database."""

    def __init__(
        self,
        database: Database,
        layout: Layout,
        indexers: Mapping[str, Indexer],
        validate: Validate,
        contributors: Sequence[Contributor] = (),
        base_url: str | None = None,
        profiles: ProfileShelf | None = None,
    ) -> None:
        self._database: Source = database
        self._layout = layout
        self._density = Density()
        self._compiler = Compiler(layout, self._density.is_dense)
        self.profiles = profiles
        self._writer = Writer(
            layout, indexers, validate, contributors, self._compiler, base_url, self._examine
        )
        self._last_xid = 0
        self._grouping: Grouping | None = Grouping(self._carry_out_alone, self._create_together)

    @property
    def compiler(self) -> Compiler:
        return self._compiler

    def searching(self) -> AbstractAsyncContextManager[ReadConnection]:
        """A connection for statements that the operations make themselves."""
        return self._database.searching()

    # ---- writing

    async def write(
        self,
        caller: Caller,
        operations: Sequence[Operation],
        also: Also | None = None,
        places: Sequence[str] = (),
    ) -> list[Change]:
        """Carry out all operations in one transaction, or none; their changes, in order.

        That is one change per operation (of DeleteMatching: one per resource deleted).
        Raises SsciError: UNPROCESSABLE (a resource breaks a rule), CONFLICT (409: lost race, 412:
        `if_match`), NOT_FOUND, UNAVAILABLE (nothing may be taken as written).
        """
        groups = await self.carry_out(caller, Work(operations, places, also=also))
        return [change for group in groups for change in group]

    async def carry_out(self, caller: Caller, work: Work) -> list[list[Change]]:
        """The same, with all that a transaction may ask for; the changes of each operation."""
        given = work.operations, work.places, work.size
        work = replace(work, operations=await self._writer.prepared(*given))
        if self._grouping is not None and is_plain_creation(work):
            return await self._grouping.carry_out(caller, work)
        return await self._carry_out_alone(caller, work)

    async def _carry_out_alone(self, caller: Caller, work: Work) -> list[list[Change]]:
        return await self._insist(lambda connection: self._writer.apply(connection, caller, work))

    async def _create_together(
        self, works: Sequence[tuple[Caller, Work]]
    ) -> list[list[list[Change]]]:
        return await self._insist(lambda each: self._writer.create_together(each, works))

    async def _insist(
        self, apply: Callable[[WriteConnection], Awaitable[tuple[Result, Moment]]]
    ) -> Result:
        """A transaction, tried again where another came between."""
        for attempt in range(ATTEMPTS):
            try:
                async with self._database.writing() as connection:
                    changes, moment = await apply(connection)
            except (*_RACES, SsciError) as race:
                if not _is_race(race):
                    raise
                if attempt + 1 == ATTEMPTS:
                    raise _conflict() from race
                await asyncio.sleep(secrets.randbelow(20) / 1000 * attempt)
                continue
            self._last_xid = max(self._last_xid, moment.xid)
            return changes
        raise _conflict()

    def check(self, resource: Json) -> None:
        """Return if the resource may be stored, else raise all that is wrong with it."""
        self._writer.check(resource)

    async def _examine(
        self, connection: WriteConnection, resources: Sequence[Json]
    ) -> list[list[Issue]]:
        if self.profiles is None:
            return [[] for _ in resources]
        return await self.profiles.check(self.within(connection), resources)

    # ---- reading

    def within(self, connection: WriteConnection) -> Store:
        """This store, reading in the transaction of `connection`."""
        inner = copy.copy(self)
        inner._database = _Joined(connection)
        inner._grouping = None
        inner._last_xid = 0
        return inner

    async def read(self, caller: Caller, resource_type: str, id: str) -> Stored | None:
        """The current version, a tombstone, or None if there is nothing (or it may not be seen)."""
        place = self._place(resource_type)
        bind = Binder()
        allowed = self._compiler.restricted(bind, place, caller.restriction)
        condition = " AND ".join([f"r.id = {bind(id)}", *allowed])
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                f"SELECT {_VERSION} FROM fhir.{place.table} r WHERE {condition}",
                *bind.values,
            )
            if row is None and caller.restriction.is_open:
                row = await connection.fetchrow(
                    f"SELECT {_VERSION} FROM fhir.{place.table}_history WHERE id = $1 AND deleted"
                    " ORDER BY version DESC LIMIT 1",
                    id,
                )
        return stored_version(resource_type, row) if row else None

    async def read_version(
        self, caller: Caller, resource_type: str, id: str, version: int
    ) -> Stored | None:
        """One version, current or superseded."""
        found = await self._versions(caller, resource_type, id, version)
        return found[0] if found else None

    async def history(self, caller: Caller, resource_type: str, id: str) -> list[Stored]:
        """All versions of one resource, newest first, deletions among them."""
        return await self._versions(caller, resource_type, id, None)

    async def history_page(self, caller: Caller, request: HistoryRequest) -> HistoryPage:
        """One page of the history of a resource, of a type or of everything."""
        parts = (request, self._layout, self._compiler, caller.restriction)
        async with self._database.searching() as connection:
            if request.is_poll and request.cursor is None:
                await self._await_horizon(connection)
            query = select_history(*parts)
            page = page_of(request, await connection.fetch(query.sql, *query.args))
            if page.total is None and (request.total or request.id is not None):
                counted = count_history(*parts)
                page = replace(page, total=await connection.fetchval(counted.sql, *counted.args))
        return page

    async def _versions(
        self, caller: Caller, resource_type: str, id: str, version: int | None
    ) -> list[Stored]:
        place = self._place(resource_type)
        bind = Binder()
        conditions = [f"r.id = {bind(id)}"]
        if version is not None:
            conditions.append(f"r.version = {bind(version)}")
        conditions += self._compiler.restricted(bind, place, caller.restriction)
        where = " AND ".join(conditions)
        async with self._database.reading() as connection:
            rows = await connection.fetch(
                f"SELECT {_VERSION} FROM fhir.{place.table} r WHERE {where}"
                f" UNION ALL SELECT {_VERSION}"
                f" FROM fhir.{place.table}_history r WHERE {where} ORDER BY version DESC",
                *bind.values,
            )
        return [stored_version(resource_type, row) for row in rows]

    async def search(self, caller: Caller, request: SearchRequest) -> Page:
        """One page; one statement, unless it includes much or estimates its total."""
        async with self._database.searching() as connection:
            await self._density.refresh(connection)
            if request.is_poll and request.cursor is None:
                await self._await_horizon(connection)
            return await fetch_page(connection, self._compiler, request, caller.restriction)

    async def search_all(self, caller: Caller, request: SearchRequest) -> AsyncIterator[Found]:
        """All matches, page by page, as the first page's snapshot has them."""
        while True:
            page = await self.search(caller, request)
            for each in page.matches:
                yield each
            if page.following is None:
                return
            request = replace(request, cursor=page.following)

    async def _await_horizon(self, connection: ReadConnection) -> None:
        """Let this process's own last write come before the horizon, for a short while."""
        deadline = time.monotonic() + POLL_PATIENCE
        while time.monotonic() < deadline:
            horizon = await connection.fetchval(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            )
            if horizon > self._last_xid:
                return
            await asyncio.sleep(0.01)

    def _place(self, resource_type: str) -> TypeLayout:
        place = self._layout.get(resource_type)
        if place is None:
            raise error(Category.NOT_FOUND, f"{resource_type} is no resource type of this server")
        return place


async def iterate_history(
    connection: ReadConnection, resource_type: str, batch: int = 500
) -> AsyncIterator[Stored]:
    """Every version of every resource of a type, in the order of writing (tombstones included)."""
    table = resource_type.lower()
    columns = _VERSION
    after: tuple[datetime, str, int] = (datetime.min.replace(tzinfo=UTC), "", 0)
    while True:
        rows = await connection.fetch(
            f"SELECT * FROM (SELECT {columns} FROM fhir.{table} UNION ALL"
            f" SELECT {columns} FROM fhir.{table}_history) v"
            " WHERE (last_updated, id, version) > ($1, $2, $3)"
            " ORDER BY last_updated, id, version LIMIT $4",
            *after,
            batch,
        )
        for row in rows:
            yield stored_version(resource_type, row)
        if len(rows) < batch:
            return
        after = (rows[-1]["last_updated"], rows[-1]["id"], rows[-1]["version"])


def open_store(
    database: Database,
    registry: Registry,
    layout: Layout,
    validate: Validate,
    *,
    zone: tzinfo,
    base_url: str | None = None,
    contributors: Sequence[Contributor] = (),
) -> Store:
    """A store with an indexer per type. `base_url`: references below it are our own."""
    indexers = {
        name: Indexer(place, Extractor(registry, name), zone, base_url)
        for name, place in layout.items()
    }
    profiles = ProfileShelf(registry, base_url or "")
    return Store(database, layout, indexers, validate, contributors, base_url, profiles)


class Density:
    """Which token entries most rows have, from PostgreSQL's own statistics, now and then anew."""

    _SHARE = 0.003
    _EVERY = 60.0
    _QUERY = (
        "SELECT tablename, most_common_elems::text::text[] AS elements, most_common_elem_freqs"
        " AS shares FROM pg_stats WHERE schemaname = 'fhir' AND attname = 'tokens'"
    )

    def __init__(self) -> None:
        self._dense: frozenset[tuple[str, str]] = frozenset()
        self._due = 0.0

    def is_dense(self, resource_type: str, entry: str) -> bool:
        return (resource_type.lower(), entry) in self._dense

    async def refresh(self, connection: ReadConnection) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._EVERY
        rows = await connection.fetch(self._QUERY)
        self._dense = frozenset(
            (row["tablename"], element)
            for row in rows
            for element, share in zip(row["elements"] or (), row["shares"] or (), strict=False)
            if share > self._SHARE
        )


class _Joined:
    """The connection of a running transaction in the place of a database."""

    def __init__(self, connection: WriteConnection) -> None:
        self._connection = connection

    def reading(self) -> AbstractAsyncContextManager[ReadConnection]:
        return nullcontext(ReadConnection(self._connection.raw))

    def searching(self) -> AbstractAsyncContextManager[ReadConnection]:
        return self.reading()

    def writing(self) -> AbstractAsyncContextManager[WriteConnection]:
        raise error(Category.UNSUPPORTED, "this can't be done inside a transaction")


_RACES = (
    LostRaceError,
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


def _is_race(failure: Exception) -> bool:
    """A lost race, also where the database layer has already put it into words."""
    return isinstance(failure, _RACES) or isinstance(failure.__cause__, _RACES)


def _conflict() -> SsciError:
    return error(
        Category.CONFLICT,
        "another request wrote the same resource at the same time; try again",
        headers={"Retry-After": "1"},
    )
