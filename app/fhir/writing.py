"""One writing transaction: lock, search, take a place in the order of writers, read, decide, write.
https://hl7.org/fhir/R4/http.html#trules

Locks of criteria and ids come first, then `fhir.begin_write()`: see `resolution`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from app.database import WriteConnection
from app.errors import Category, Issue, SsciError, error, errors
from app.fhir.codec import parse_json
from app.fhir.decision import Held, Key, Plain, decide, key_of, placed
from app.fhir.existence import check_targets
from app.fhir.index import Indexer
from app.fhir.layout import Layout
from app.fhir.links import mentions
from app.fhir.model import (
    Caller,
    Change,
    Contributor,
    Copy,
    Create,
    Json,
    Moment,
    Operation,
    Statement,
    Update,
)
from app.fhir.request import SearchRequest
from app.fhir.resolution import (
    Find,
    Resolved,
    criteria_names,
    id_names,
    lock_keys,
    relinked,
    resolve,
    resolve_references,
)
from app.fhir.rows import TypeWriter, new_id
from app.fhir.select import Compiler
from app.fhir.unhurried import LARGE_BYTES, unhurried
from app.fhir.visibility import refuse_hidden

MAX_ISSUES = 100
PAUSE_EVERY = 50
"""Entries after which a long Bundle lets other requests have their turn."""
USUAL_BYTES = 1000
"""Of one resource, where its size is not known."""
ROWS_AT_ONCE = 200
FEW = 5
"""The most operations of a work that shares its transaction with others."""

T = TypeVar("T")

Also = Callable[[Sequence[Change], Moment], Sequence[Statement | Copy]]
Validate = Callable[[Json, str], None]
Examine = Callable[[WriteConnection, Sequence[Json]], Awaitable[list[list[Issue]]]]
"""What the resources break of profiles that are held, asked in the transaction."""


class LostRaceError(Exception):
    """Another writer came between; the transaction is to be tried again from the start."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one transaction is to do, in the order of `operations`.

    `places` say where each operation's resource stands (`Bundle.entry[1].resource`), for the issues
    of an error; without them an issue begins at the resource's type. `references`: provisional
    `[type]/[id]` in the resources → criteria of the one resource that is meant, among what is
    stored and what the other operations write. `also` gives further statements of the transaction;
    `before_commit` may read on the connection (`Store.within`). Both may run again after a lost
    race. `check_references`: 422 for a reference to what does not exist. `size`: the bytes in which
    the operations came, where one may have many.
    """

    operations: Sequence[Operation]
    places: Sequence[str] = ()
    references: Mapping[str, SearchRequest] = field(default_factory=dict)
    also: Also | None = None
    before_commit: Callable[[WriteConnection], Awaitable[None]] | None = None
    check_references: bool = False
    size: int = 0


class Writer:
    """Carries out one transaction on a connection; the pure parts are given."""

    def __init__(
        self,
        layout: Layout,
        indexers: Mapping[str, Indexer],
        validate: Validate,
        contributors: Sequence[Contributor],
        compiler: Compiler,
        base_url: str | None,
        examine: Examine | None = None,
    ) -> None:
        self._examine = examine
        self._layout = layout
        self._indexers = indexers
        self._validate = validate
        self._contributors = tuple(contributors)
        self._compiler = compiler
        self._base_url = base_url
        self._writer = {name: TypeWriter(place) for name, place in layout.items()}

    async def prepared(
        self, operations: Sequence[Operation], places: Sequence[str], size: int = 0
    ) -> list[Operation]:
        """The operations with ids, validated: an error lists the issues of all of them."""
        size = max(size, len(operations) * USUAL_BYTES)
        refusals = await unhurried(size, self._refusals, operations, places)
        if refusals:
            issues = [issue for refusal in refusals for issue in refusal.issues]
            raise errors(refusals[0].category, issues[:MAX_ISSUES], refusals[0].status)
        return [
            replace(operation, id=new_id())
            if isinstance(operation, Create) and operation.id is None
            else operation
            for operation in operations
        ]

    def _refusals(self, operations: Sequence[Operation], places: Sequence[str]) -> list[SsciError]:
        refusals: list[SsciError] = []
        for number, operation in enumerate(operations):
            try:
                if isinstance(operation, Create | Update):
                    self.check(operation.resource)
            except SsciError as refusal:
                refusals.append(placed(refusal, places[number]) if places else refusal)
        return refusals

    def check(self, resource: Json) -> None:
        """Return if the resource may be stored, else raise all that is wrong with it."""
        resource_type = resource.get("resourceType")
        if not isinstance(resource_type, str) or resource_type not in self._layout:
            raise error(
                Category.INCORRECT,
                "resourceType is missing or no resource type of this server",
                expression="resourceType",
                code="structure",
            )
        self._validate(resource, resource_type)

    async def apply(
        self, connection: WriteConnection, caller: Caller, work: Work
    ) -> tuple[list[list[Change]], Moment]:
        """Lock and search, take a place in the order of writers, then read, decide and write."""
        resolved, moment = await self._begin(connection, caller, work)
        groups = resolved.plain
        await refuse_hidden(connection, self._compiler, caller, map(key_of, _flat(groups)))
        decided: dict[Key, Change] = {}
        places = _places(work, groups)
        later = [_mentions(group, work.references) for group in groups]
        first = _flat(group for group, waits in zip(groups, later, strict=True) if not waits)
        await self._carry(connection, first, resolved, moment, decided, places)
        if any(later):
            moved = await resolve_references(work.references, self._finder(connection, caller))
            groups = [
                relinked(group, moved) if waits else group
                for group, waits in zip(groups, later, strict=True)
            ]
            rest = _flat(group for group, waits in zip(groups, later, strict=True) if waits)
            await self._carry(connection, rest, resolved, moment, decided, places)
        changes = [[decided[key_of(operation)] for operation in group] for group in groups]
        await self._complete(connection, caller, work, resolved, changes, decided, moment)
        return changes, moment

    async def create_together(
        self, connection: WriteConnection, works: Sequence[tuple[Caller, Work]]
    ) -> tuple[list[list[list[Change]]], Moment]:
        """The works, each of `is_plain_creation`, in one transaction: as if they were one, but that
        each keeps its caller. Fails as a whole."""
        moment = await _begin(connection, ())
        decided: list[dict[Key, Change]] = []
        for _, work in works:
            decided.append({})
            plain = [each for each in work.operations if isinstance(each, Create)]
            decide(plain, {}, moment, self.check, decided[-1], {})
        written = _flat(list(each.values()) for each in decided)
        await self._store(connection, written, moment)
        await self._check_profiles(connection, written, {})
        for contribute in self._contributors:
            statements = (
                contribute(caller, list(changes.values()), moment)
                for (caller, _), changes in zip(works, decided, strict=True)
            )
            await _run(connection, _merged(statements))
        changes = [[[change] for change in each.values()] for each in decided]
        return changes, moment

    async def _begin(
        self, connection: WriteConnection, caller: Caller, work: Work
    ) -> tuple[Resolved, Moment]:
        names = criteria_names(work.operations, work.references.values())
        ids = id_names(work.operations)
        if not names:
            moment = await _begin(connection, lock_keys(ids))
            return await resolve(work.operations, (), _find_nothing), moment
        await _lock(connection, lock_keys(names | ids))
        resolved = await resolve(work.operations, work.places, self._finder(connection, caller))
        found = id_names(each for group in resolved.plain for each in group)
        return resolved, await _begin(connection, lock_keys(found - ids))

    def _finder(self, connection: WriteConnection, caller: Caller) -> Find:
        """Searches in the transaction, which see what has been committed or written in it."""

        async def find(criteria: SearchRequest, limit: int) -> list[tuple[str, int]]:
            query = self._compiler.select_for(replace(criteria, count=limit), caller.restriction)
            rows = await connection.fetch(query.sql, *query.args)
            return [
                (row["id"], int(parse_json(row["body"])["meta"]["versionId"]))
                for row in rows
                if row["mode"] == "match"
            ]

        return find

    async def _carry(
        self,
        connection: WriteConnection,
        operations: Sequence[Plain],
        resolved: Resolved,
        moment: Moment,
        decided: dict[Key, Change],
        places: Mapping[Key, str],
    ) -> None:
        held = await self._gather(connection, operations)
        _check_order(held, resolved, moment)
        before = dict(decided)
        decide(operations, held, moment, self.check, decided, places)
        written = [
            change
            for key, change in decided.items()
            if before.get(key) is not change and change.kind != "unchanged"
        ]
        await self._store(connection, written, moment)

    async def _complete(
        self,
        connection: WriteConnection,
        caller: Caller,
        work: Work,
        resolved: Resolved,
        changes: Sequence[Sequence[Change]],
        decided: Mapping[Key, Change],
        moment: Moment,
    ) -> None:
        """What belongs to the transaction beside the resources."""
        written = [change for change in decided.values() if change.kind != "unchanged"]
        places = _places(work, resolved.plain)
        await self._check_profiles(connection, written, places)
        if work.check_references:
            await check_targets(connection, self._layout, self._base_url, written, places)
        for contribute in self._contributors:
            await _run(connection, contribute(caller, written, moment))
        if work.also is not None:
            flat = [change for group in changes for change in group]
            await _run(connection, work.also(flat, moment))
        if work.before_commit is not None:
            await work.before_commit(connection)

    async def _check_profiles(
        self, connection: WriteConnection, written: Sequence[Change], places: Mapping[Key, str]
    ) -> None:
        """422 for what breaks a profile that it claims and that is held here."""
        claiming = [
            (change, change.after)
            for change in written
            if change.after is not None and "profile" in change.after["meta"]
        ]
        if self._examine is None or not claiming:
            return
        found = await self._examine(connection, [resource for _, resource in claiming])
        issues: list[Issue] = []
        for (change, _), broken in zip(claiming, found, strict=True):
            place = places.get((change.resource_type, change.id))
            if broken and place:
                broken = list(placed(errors(Category.UNPROCESSABLE, broken), place).issues)
            issues += broken
        if issues:
            raise errors(Category.UNPROCESSABLE, issues[:MAX_ISSUES])

    async def _gather(
        self, connection: WriteConnection, operations: Sequence[Plain]
    ) -> dict[Key, Held]:
        """Lock and read what the operations touch, in one order for all transactions."""
        wanted: dict[str, set[str]] = {}
        for operation in operations:
            if not isinstance(operation, Create):
                resource_type, id = key_of(operation)
                wanted.setdefault(resource_type, set()).add(id)
        held: dict[Key, Held] = {}
        for resource_type in sorted(wanted):
            ids = sorted(wanted[resource_type])
            writer = self._writer[resource_type]
            for row in await connection.fetch(writer.lock, ids):
                resource = parse_json(row["body"])
                held[resource_type, row["id"]] = Held(row["version"], row["last_updated"], resource)
            absent = [id for id in ids if (resource_type, id) not in held]
            if absent:
                for row in await connection.fetch(writer.last_versions, absent):
                    held[resource_type, row["id"]] = Held(row["version"], row["last_updated"])
        return held

    async def _store(
        self, connection: WriteConnection, changes: Sequence[Change], moment: Moment
    ) -> None:
        by_type: dict[str, list[Change]] = {}
        for change in changes:
            by_type.setdefault(change.resource_type, []).append(change)
        for resource_type in sorted(by_type):
            indexer, writer = self._indexers[resource_type], self._writer[resource_type]
            held = by_type[resource_type]
            for start in range(0, len(held), ROWS_AT_ONCE):
                rows = held[start : start + ROWS_AT_ONCE]
                size = sum(len(each.body or b"") for each in rows)
                await _run(connection, writer.statements(rows, indexer, moment), size)


async def _find_nothing(_criteria: SearchRequest, _limit: int) -> list[tuple[str, int]]:
    return []


async def _lock(connection: WriteConnection, keys: Sequence[int]) -> None:
    """Wait for whoever holds any of the locks; then plan the searches to come for their values."""
    await connection.fetchval(
        "SELECT count(pg_advisory_xact_lock(k)) FROM unnest($1::bigint[]) k", keys
    )
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")


async def _begin(connection: WriteConnection, keys: Sequence[int]) -> Moment:
    """Take a place in the order of writers, once the locks are held: in one round trip."""
    row = await connection.fetchrow(
        "SELECT (w).xid::text::bigint AS xid, (w).last_updated FROM"
        " (SELECT fhir.begin_write() AS w FROM"
        " (SELECT count(pg_advisory_xact_lock(k)) FROM unnest($1::bigint[]) k) locked OFFSET 0) t",
        keys,
    )
    assert row is not None  # a function that returns one row
    return Moment(row["xid"], row["last_updated"])


def _check_order(held: Mapping[Key, Held], resolved: Resolved, moment: Moment) -> None:
    """Versions follow each other in time, and what the searches found is still as it was."""
    for key, each in held.items():
        if each.last_updated > moment.last_updated:
            raise LostRaceError
        if key in resolved.seen and each.version != resolved.seen[key]:
            raise LostRaceError


def _mentions(group: Sequence[Plain], references: Mapping[str, SearchRequest]) -> bool:
    return bool(references) and any(
        mentions(each.resource, references) for each in group if isinstance(each, Create | Update)
    )


async def _run(
    connection: WriteConnection, statements: Iterable[Statement | Copy], size: int = 0
) -> None:
    """`size`: the bytes from which the statements are yet to be made."""
    left = iter(statements)
    while (statement := await unhurried(size, next, left, None)) is not None:
        await run_statement(connection, statement)


async def run_statement(connection: WriteConnection, statement: Statement | Copy) -> None:
    """Once, or for all of its rows."""
    if isinstance(statement, Copy):
        await connection.copy(statement.table, statement.columns, statement.rows)
    elif len(statement.rows) == 1:
        await connection.execute(statement.sql, *statement.rows[0])
    elif statement.rows:
        await connection.executemany(statement.sql, statement.rows)


def _places(work: Work, groups: Sequence[Sequence[Plain]]) -> dict[Key, str]:
    """Where in the Bundle each resource was asked for."""
    return {
        key_of(each): place
        for group, place in zip(groups, work.places, strict=False)
        for each in group
    }


def is_plain_creation(work: Work) -> bool:
    """Whether the work can't meet any other's: new resources under ids of their own, nothing
    searched, nothing read, nothing beside, and little of it."""
    return (
        len(work.operations) <= FEW
        and work.size <= LARGE_BYTES
        and all(isinstance(e, Create) and e.if_none_exist is None for e in work.operations)
        and not (work.places or work.references or work.check_references)
        and work.also is None
        and work.before_commit is None
    )


def _merged(of_each: Iterable[Sequence[Statement]]) -> Iterator[Statement]:
    """The statements of all works, each text once with the rows of all; merged are only those of
    works whose texts are the same, so that the order within a work is kept."""
    alike: dict[tuple[str, ...], list[Sequence[Statement]]] = {}
    for statements in of_each:
        alike.setdefault(tuple(each.sql for each in statements), []).append(statements)
    for texts, works in alike.items():
        for sql, same in zip(texts, zip(*works, strict=True), strict=True):
            yield Statement(sql, [row for statement in same for row in statement.rows])


def _flat(groups: Iterable[Sequence[T]]) -> list[T]:
    return [each for group in groups for each in group]
