"""One page of a search, fetched: the one place of a search that awaits the database.
https://hl7.org/fhir/R4/search.html#paging
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import asyncpg

from app.database import ReadConnection
from app.fhir.conditions import Binder
from app.fhir.including import (
    MAX_INCLUDED,
    MAX_ROUNDS,
    Key,
    Node,
    references_wanted,
    select_by_ids,
    select_meant,
    select_referring,
)
from app.fhir.layout import TypeLayout
from app.fhir.model import Restriction
from app.fhir.request import Cursor, Include, SearchRequest
from app.fhir.select import ESTIMATED, Compiler, includes_apart

Record = asyncpg.Record


@dataclass(frozen=True, slots=True)
class Found:
    resource_type: str
    id: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. `following` leads to the next, `preceding` to the one before, `first`
    to the first of the same search; `truncated`: not all includes fit. `total` if asked for."""

    matches: tuple[Found, ...]
    included: tuple[Found, ...]
    following: Cursor | None
    truncated: bool
    preceding: Cursor | None = None
    first: Cursor | None = None
    total: int | None = None


async def fetch_page(
    connection: ReadConnection,
    compiler: Compiler,
    request: SearchRequest,
    restriction: Restriction,
) -> Page:
    """One statement, and more only for `_total=estimate` and includes of includes."""
    query = compiler.select_for(request, restriction)
    rows = await connection.fetch(query.sql, *query.args)
    total = next((int(row["id"]) for row in rows if row["mode"] == "total"), None)
    if request.is_count:
        return Page((), (), None, False, total=total)
    if request.total == "estimate":
        total = await _estimate(connection, compiler, request, restriction)
    page = build_page(request, rows, total)
    if includes_apart(compiler.layout, request):
        matches = [row for row in rows if row["mode"] == "match"][: request.count]
        nodes = [_node(row) for row in matches]
        return await _with_included(connection, compiler, request, restriction, page, nodes)
    return page


def build_page(request: SearchRequest, rows: Sequence[Record], total: int | None = None) -> Page:
    """The page that the rows of its statement make, and the cursors that lead on from it."""
    matches = [row for row in rows if row["mode"] == "match"]
    included = [row for row in rows if row["mode"] == "include"]
    cursor, backward = request.cursor, request.cursor is not None and request.cursor.backward
    more = len(matches) > request.count
    matches = matches[: request.count]
    if backward:
        matches.reverse()
    came_from = cursor is not None and bool(cursor.keys)
    following = preceding = first = None
    if matches and (more or backward):
        following = _cursor(matches[-1], backward=False)
    if matches and (more if backward else came_from):
        preceding = _cursor(matches[0], backward=True)
    if total is None and not (more or came_from or backward or request.hides_total):
        total = len(matches)
    if following or preceding:
        first = Cursor(matches[0]["snapshot"], ())
    return Page(
        tuple(_found(row) for row in matches),
        tuple(_found(row) for row in included[:MAX_INCLUDED]),
        following,
        len(included) > MAX_INCLUDED,
        preceding,
        first,
        total,
    )


def _cursor(row: Record, *, backward: bool) -> Cursor:
    return Cursor(row["snapshot"], tuple(row["keys"]), backward)


def _found(row: Record) -> Found:
    return Found(row["resource_type"], row["id"], row["body"])


async def _estimate(
    connection: ReadConnection,
    compiler: Compiler,
    request: SearchRequest,
    restriction: Restriction,
) -> int:
    """Exact while it is small; else the planner's guess, at least what was counted."""
    counted = compiler.select_count(request, restriction, ESTIMATED)
    total = int(await connection.fetchval(counted.sql, *counted.args))
    if total < ESTIMATED:
        return total
    query = compiler.select_matches(request, restriction)
    plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query.sql}", *query.args)
    return max(total, int(json.loads(plan)[0]["Plan"]["Plan Rows"]))


# ---- includes in rounds


def _node(row: Record) -> Node:
    return Node(row["resource_type"], row["id"], row["tokens"] or (), row["patient"])


async def _with_included(
    connection: ReadConnection,
    compiler: Compiler,
    request: SearchRequest,
    restriction: Restriction,
    page: Page,
    nodes: list[Node],
) -> Page:
    """Round after round, until nothing new comes or a bound is reached."""
    seen: set[Key] = {(node.resource_type, node.id) for node in nodes}
    included: list[Found] = []
    for turn in range(MAX_ROUNDS + 1):
        includes = [each for each in request.includes if each.iterate or turn == 0]
        rows = await _fetch_round(connection, compiler, includes, restriction, nodes, seen)
        fresh = {(row["resource_type"], row["id"]): row for row in rows}
        fresh = {key: row for key, row in fresh.items() if key not in seen}
        if not fresh:
            break
        if turn == MAX_ROUNDS or len(included) + len(fresh) > MAX_INCLUDED:
            room = MAX_INCLUDED - len(included) if turn < MAX_ROUNDS else 0
            included += [_found(row) for row in list(fresh.values())[:room]]
            return _including(page, included, truncated=True)
        included += [_found(row) for row in fresh.values()]
        seen |= fresh.keys()
        nodes = [_node(row) for row in fresh.values()]
    return _including(page, included, truncated=False)


def _including(page: Page, included: Sequence[Found], *, truncated: bool) -> Page:
    return replace(page, included=tuple(included), truncated=truncated)


async def _fetch_round(
    connection: ReadConnection,
    compiler: Compiler,
    includes: Sequence[Include],
    restriction: Restriction,
    nodes: Sequence[Node],
    seen: set[Key],
) -> Sequence[Record]:
    """One statement: what the nodes refer to and what refers to them."""

    def restricted(bind: Binder, place: TypeLayout) -> list[str]:
        return compiler.restricted(bind, place, restriction)

    bind = Binder()
    forward = [include for include in includes if not include.reverse]
    reverse = [include for include in includes if include.reverse]
    wanted = references_wanted(compiler.layout, nodes, forward)
    for resource_type, ids in wanted.items():
        ids -= {id for name, id in seen if name == resource_type}
    selects = select_by_ids(compiler.layout, bind, wanted, restricted)
    selects += select_meant(compiler.layout, bind, nodes, forward, restricted)
    selects += select_referring(compiler.layout, bind, nodes, reverse, restricted)
    if not selects:
        return []
    return await connection.fetch(" UNION ALL ".join(selects), *bind.values)
