"""The store: gather what is there, decide what changes, apply it, all in one transaction.
https://hl7.org/fhir/R4/http.html

A lost race (two writers create the same id) is retried from the start, because the decision rests
on what was read; after some attempts the caller gets a 409 and may try again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

import asyncpg

from app.database import Database, ReadConnection, WriteConnection
from app.errors import Category, SsciError, error, errors
from app.fhir.codec import dump_json, equal, parse_json
from app.fhir.conditions import Binder
from app.fhir.expression import Extractor
from app.fhir.index import Indexer
from app.fhir.layout import Layout, TypeLayout
from app.fhir.model import (
    Caller,
    Change,
    Contributor,
    Create,
    Delete,
    Json,
    Moment,
    Operation,
    Revise,
    Statement,
    Update,
)
from app.fhir.registry import Registry
from app.fhir.request import Cursor, SearchRequest
from app.fhir.rows import TypeWriter, new_id, with_meta
from app.fhir.select import MAX_INCLUDED, Compiler

ATTEMPTS = 5
MAX_ISSUES = 100
POLL_PATIENCE = 0.25
"""Seconds that a poll waits for the caller's own last write to come before the safe horizon."""

Key = tuple[str, str]
Also = Callable[[Sequence[Change], Moment], Sequence[Statement]]
Validate = Callable[[Json, str], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """One version as it is kept. `body` is None for a tombstone (`deleted`)."""

    resource_type: str
    id: str
    version: int
    last_updated: datetime
    deleted: bool
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    resource_type: str
    id: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. `following` leads to the next; `truncated`: not all includes fit."""

    matches: tuple[Found, ...]
    included: tuple[Found, ...]
    following: Cursor | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class _Held:
    """What is stored under a key before the decision: `version` 0 if there never was anything."""

    version: int = 0
    resource: Json | None = None


class Store:
    """Reads and writes FHIR resources. Pure parts are given; this shell awaits the database."""

    def __init__(
        self,
        database: Database,
        layout: Layout,
        indexers: Mapping[str, Indexer],
        validate: Validate,
        contributors: Sequence[Contributor] = (),
    ) -> None:
        self._database = database
        self._layout = layout
        self._indexers = indexers
        self._validate = validate
        self._contributors = tuple(contributors)
        self._density = Density()
        self._compiler = Compiler(layout, self._density.is_dense)
        self._writer = {name: TypeWriter(place) for name, place in layout.items()}
        self._last_xid = 0

    # ---- writing

    async def write(
        self,
        caller: Caller,
        operations: Sequence[Operation],
        also: Also | None = None,
        places: Sequence[str] = (),
    ) -> list[Change]:
        """Carry out all operations in one transaction, or none; a change per operation, in order.

        `places` say where each operation's resource stands (`Bundle.entry[1].resource`), for the
        issues of an error; without them an issue begins at the resource's type.
        Raises SsciError: UNPROCESSABLE (a resource breaks a rule), CONFLICT (409: lost race, 412:
        `if_match`), NOT_FOUND, UNAVAILABLE (nothing may be taken as written).
        """
        operations = self._prepared(operations, places)
        for attempt in range(ATTEMPTS):
            try:
                async with self._database.writing() as connection:
                    changes, moment = await self._apply(connection, caller, operations, also)
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

    def _prepared(self, operations: Sequence[Operation], places: Sequence[str]) -> list[Operation]:
        """The operations with ids, validated: an error lists the issues of all of them."""
        refusals: list[SsciError] = []
        for number, operation in enumerate(operations):
            try:
                if isinstance(operation, Create | Update):
                    self._check(operation.resource)
            except SsciError as refusal:
                refusals.append(_placed(refusal, places[number]) if places else refusal)
        if refusals:
            issues = [issue for refusal in refusals for issue in refusal.issues]
            raise errors(refusals[0].category, issues[:MAX_ISSUES], refusals[0].status)
        return [
            replace(operation, id=new_id())
            if isinstance(operation, Create) and operation.id is None
            else operation
            for operation in operations
        ]

    def _check(self, resource: Json) -> None:
        resource_type = resource.get("resourceType")
        if not isinstance(resource_type, str) or resource_type not in self._layout:
            raise error(
                Category.INCORRECT,
                "resourceType is missing or no resource type of this server",
                expression="resourceType",
                code="structure",
            )
        self._validate(resource, resource_type)

    async def _apply(
        self,
        connection: WriteConnection,
        caller: Caller,
        operations: Sequence[Operation],
        also: Also | None,
    ) -> tuple[list[Change], Moment]:
        moment = await _begin(connection)
        held = await self._gather(connection, operations)
        changes = self._decide(operations, held, moment)
        unique = {(change.resource_type, change.id): change for change in changes}
        written = [change for change in unique.values() if change.kind != "unchanged"]
        await self._store(connection, written, moment)
        for contribute in self._contributors:
            await _run(connection, contribute(caller, written, moment))
        if also is not None:
            await _run(connection, also(changes, moment))
        return changes, moment

    async def _gather(
        self, connection: WriteConnection, operations: Sequence[Operation]
    ) -> dict[Key, _Held]:
        """Lock and read what the operations touch, in one order for all transactions."""
        wanted: dict[str, set[str]] = {}
        for operation in operations:
            if not isinstance(operation, Create):
                resource_type, id = _key(operation)
                wanted.setdefault(resource_type, set()).add(id)
        held: dict[Key, _Held] = {}
        for resource_type in sorted(wanted):
            ids = sorted(wanted[resource_type])
            writer = self._writer[resource_type]
            for row in await connection.fetch(writer.lock, ids):
                held[resource_type, row["id"]] = _Held(row["version"], parse_json(row["body"]))
            absent = [id for id in ids if (resource_type, id) not in held]
            if absent:
                for row in await connection.fetch(writer.last_versions, absent):
                    held[resource_type, row["id"]] = _Held(row["version"])
        return held

    def _decide(
        self, operations: Sequence[Operation], held: Mapping[Key, _Held], moment: Moment
    ) -> list[Change]:
        decided: dict[Key, Change] = {}
        for operation in operations:
            key = _key(operation)
            earlier = decided.get(key)
            if earlier is not None and not isinstance(operation, Revise):
                raise error(
                    Category.INCORRECT,
                    f"{key[0]}/{key[1]} is written more than once in one transaction",
                    code="duplicate",
                )
            before = held.get(key, _Held())
            decided[key] = self._decide_one(operation, before, earlier, moment)
        return [decided[_key(operation)] for operation in operations]

    def _decide_one(
        self, operation: Operation, held: _Held, earlier: Change | None, moment: Moment
    ) -> Change:
        if isinstance(operation, Update | Delete) and operation.if_match is not None:
            _check_match(operation, held)
        if isinstance(operation, Delete):
            return _deletion(operation, held, moment)
        if isinstance(operation, Revise):
            current = earlier.after if earlier else held.resource
            after = operation.revise(current)
            if after is not None:
                self._check(after)
            elif earlier is not None:
                return earlier
        else:
            after = operation.resource
        return _decide_content(_key(operation), held, after, moment)

    async def _store(
        self, connection: WriteConnection, changes: Sequence[Change], moment: Moment
    ) -> None:
        by_type: dict[str, list[Change]] = {}
        for change in changes:
            by_type.setdefault(change.resource_type, []).append(change)
        for resource_type in sorted(by_type):
            statements = self._writer[resource_type].statements(
                by_type[resource_type], self._indexers[resource_type], moment
            )
            await _run(connection, statements)

    # ---- reading

    async def read(self, caller: Caller, resource_type: str, id: str) -> Stored | None:
        """The current version, a tombstone, or None if there is nothing (or it may not be seen)."""
        place = self._place(resource_type)
        bind = Binder()
        allowed = self._compiler.restricted(bind, place, caller.restriction)
        condition = " AND ".join([f"r.id = {bind(id)}", *allowed])
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                f"SELECT version, last_updated, body FROM fhir.{place.table} r WHERE {condition}",
                *bind.values,
            )
            if row is None and caller.restriction.is_open:
                row = await connection.fetchrow(
                    "SELECT version, last_updated, body FROM"
                    f" fhir.{place.table}_history WHERE id = $1 AND deleted"
                    " ORDER BY version DESC LIMIT 1",
                    id,
                )
        return _stored(resource_type, id, row) if row else None

    async def read_version(
        self, caller: Caller, resource_type: str, id: str, version: int
    ) -> Stored | None:
        """One version, current or superseded."""
        found = await self._versions(caller, resource_type, id, version)
        return found[0] if found else None

    async def history(self, caller: Caller, resource_type: str, id: str) -> list[Stored]:
        """All versions of one resource, newest first, deletions among them."""
        return await self._versions(caller, resource_type, id, None)

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
                f"SELECT version, last_updated, body FROM fhir.{place.table} r WHERE {where}"
                " UNION ALL SELECT version, last_updated, body"
                f" FROM fhir.{place.table}_history r WHERE {where} ORDER BY version DESC",
                *bind.values,
            )
        return [_stored(resource_type, id, row) for row in rows]

    async def search(self, caller: Caller, request: SearchRequest) -> Page:
        """One page; one statement."""
        query = self._compiler.select_for(request, caller.restriction)
        async with self._database.searching() as connection:
            await self._density.refresh(connection)
            if request.is_poll and request.cursor is None:
                await self._await_horizon(connection)
            rows = await connection.fetch(query.sql, *query.args)
        return _page(request, rows)

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
    columns = "id, version, last_updated, body"
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
            yield _stored(resource_type, row["id"], row)
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
        name: Indexer(place, Extractor(registry, name).extract, zone, base_url)
        for name, place in layout.items()
    }
    return Store(database, layout, indexers, validate, contributors)


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


async def _begin(connection: WriteConnection) -> Moment:
    row = await connection.fetchrow(
        "SELECT xid::text::bigint AS xid, last_updated FROM fhir.begin_write()"
    )
    assert row is not None  # a function that returns one row
    return Moment(row["xid"], row["last_updated"])


async def _run(connection: WriteConnection, statements: Iterable[Statement]) -> None:
    for statement in statements:
        if len(statement.rows) == 1:
            await connection.execute(statement.sql, *statement.rows[0])
        elif statement.rows:
            await connection.executemany(statement.sql, statement.rows)


def _key(operation: Operation) -> Key:
    if isinstance(operation, Delete | Revise):
        return operation.resource_type, operation.id
    assert operation.id is not None  # given by _prepared
    return operation.resource["resourceType"], operation.id


def _placed(refusal: SsciError, place: str) -> SsciError:
    """The same refusal, its expressions beginning at `place` instead of the resource's type."""
    issues = []
    for issue in refusal.issues:
        _, dot, rest = (issue.expression or "").partition(".")
        issues.append(replace(issue, expression=f"{place}{dot}{rest}"))
    return errors(refusal.category, issues, refusal.status)


def _check_match(operation: Update | Delete, held: _Held) -> None:
    if held.resource is None or held.version != operation.if_match:
        current = f"the current version is {held.version}" if held.resource else "there is none"
        raise error(
            Category.CONFLICT,
            f"If-Match asks for version {operation.if_match}, but {current}",
            code="conflict",
            status=412,
        )


def _deletion(operation: Delete, held: _Held, moment: Moment) -> Change:
    kind = "delete" if held.resource is not None else "unchanged"
    version = held.version + 1 if held.resource is not None else held.version
    return Change(
        "delete" if kind == "delete" else "unchanged",
        operation.resource_type,
        operation.id,
        version,
        moment.last_updated,
        held.resource,
        None,
        None,
    )


def _decide_content(key: Key, held: _Held, after: Json | None, moment: Moment) -> Change:
    before = held.resource
    if after is None or (before is not None and equal(_content(before), _content(after))):
        body = dump_json(before) if before is not None else None
        at = _last_updated(before) if before is not None else moment.last_updated
        return Change("unchanged", *key, held.version, at, before, before, body)
    version = held.version + 1
    kept = with_meta(after, key[1], version, moment.last_updated)
    kind = "create" if before is None else "update"
    return Change(
        "create" if kind == "create" else "update",
        *key,
        version,
        moment.last_updated,
        before,
        kept,
        dump_json(kept),
    )


def _content(resource: Json) -> Json:
    """What makes a version: all but the id and the stamps of the server."""
    meta = {
        key: value
        for key, value in (resource.get("meta") or {}).items()
        if key not in ("versionId", "lastUpdated")
    }
    content = {key: value for key, value in resource.items() if key not in ("id", "meta")}
    return content | {"meta": meta} if meta else content


def _last_updated(resource: Json) -> datetime:
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])


def _stored(resource_type: str, id: str, row: asyncpg.Record) -> Stored:
    body = row["body"]
    return Stored(resource_type, id, row["version"], row["last_updated"], body is None, body)


def _page(request: SearchRequest, rows: Sequence[asyncpg.Record]) -> Page:
    matches = [row for row in rows if row["mode"] == "match"]
    included = [row for row in rows if row["mode"] == "include"]
    following = None
    if len(matches) > request.count:
        matches = matches[: request.count]
        following = Cursor(matches[-1]["snapshot"], tuple(matches[-1]["keys"]))
    return Page(
        tuple(Found(row["resource_type"], row["id"], row["body"]) for row in matches),
        tuple(
            Found(row["resource_type"], row["id"], row["body"]) for row in included[:MAX_INCLUDED]
        ),
        following,
        len(included) > MAX_INCLUDED,
    )


_RACES = (
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
