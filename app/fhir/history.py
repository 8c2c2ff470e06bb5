"""The history of a resource, of a type or of everything: newest first, deletions included.
https://hl7.org/fhir/R4/http.html#history

Versions never change, so a page link needs only the first page's snapshot and where that page
ended: what was not visible then stays out. The history of a type or of everything is a poll: it
stops before the oldest transaction still running, so that `_since` misses no late commit.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

import asyncpg
import orjson

from app.errors import Category, Issue, SsciError, error, errors
from app.fhir.codec import dump_json
from app.fhir.conditions import Binder, every
from app.fhir.layout import Layout, TypeLayout
from app.fhir.model import Restriction
from app.fhir.queries import join_query
from app.fhir.select import Compiler, Query
from app.fhir.times import Interval, instant_text, parse_date

DEFAULT_COUNT = 50
MAX_COUNT = 1000
PARAMETERS = ("_since", "_before", "_at", "_count", "_sort", "_total", "_cursor")
_UNUSED = frozenset({"_format", "_pretty"})
_SNAPSHOT = re.compile(r"[0-9]{1,20}:[0-9]{1,20}:([0-9]{1,20}(,[0-9]{1,20})*)?")
_SORTS = {"-_lastUpdated": True, "none": True, "_lastUpdated": False}
_STATUS = {"POST": "201", "DELETE": "204"}


@dataclass(frozen=True, slots=True)
class Stored:
    """One version as it is kept. `body` is None for a tombstone (`deleted`). `method` and `created`
    tell the interaction that made it."""

    resource_type: str
    id: str
    version: int
    last_updated: datetime
    deleted: bool
    body: bytes | None = field(repr=False)
    method: str = "PUT"
    created: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page starts: the first page's snapshot, and the last version shown."""

    snapshot: str
    last_updated: datetime
    resource_type: str
    id: str
    version: int


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """`resource_type` None: everything; `id` None: the whole type. `used` as it was given."""

    resource_type: str | None = None
    id: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    at: Interval | None = None
    count: int = DEFAULT_COUNT
    descending: bool = True
    total: bool = False
    cursor: Cursor | None = None
    used: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def is_poll(self) -> bool:
        return self.id is None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """`total` None: not asked for, and not known without counting."""

    versions: tuple[Stored, ...]
    following: Cursor | None
    total: int | None


# ---- reading a request


def parse_history(
    path: Sequence[str], parameters: Iterable[tuple[str, str]], zone: tzinfo, *, lenient: bool
) -> tuple[HistoryRequest, list[Issue]]:
    """The request for `[type]/[id]`, `[type]` or nothing, and what was ignored under `lenient`."""
    resource_type, id = [*path, None, None][:2]
    request = HistoryRequest(resource_type, id)
    problems: list[Issue] = []
    for name, value in parameters:
        if name in _UNUSED:
            continue
        try:
            request = _with(request, name, value, zone)
        except SsciError as problem:
            problems += problem.issues
    if problems and not lenient:
        raise errors(Category.INCORRECT, problems)
    return request, problems


def _with(request: HistoryRequest, name: str, value: str, zone: tzinfo) -> HistoryRequest:
    if name == "_cursor":
        return replace(request, cursor=_parse_cursor(value))
    used = (*request.used, (name, value))
    return replace(request, used=used, **_taken(name, value, zone))


def _taken(name: str, value: str, zone: tzinfo) -> dict[str, Any]:
    if name == "_count":
        return _count(value)
    if name == "_sort":
        if value not in _SORTS:
            raise _refused(name, "takes _lastUpdated, -_lastUpdated or none")
        return {"descending": _SORTS[value]}
    if name == "_total":
        if value not in ("none", "estimate", "accurate"):
            raise _refused(name, "takes none, estimate or accurate")
        return {"total": value != "none"}
    if name not in ("_since", "_before", "_at"):
        raise _refused(name, f"is no parameter of a history (it has: {', '.join(PARAMETERS[:-1])})")
    interval = _interval(name, value, zone)
    return {"at": interval} if name == "_at" else {name[1:]: interval.start}


def _count(value: str) -> dict[str, Any]:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise _refused("_count", "is not a whole number")
    return {"count": min(int(value), MAX_COUNT)} | ({"total": True} if int(value) == 0 else {})


def _interval(name: str, value: str, zone: tzinfo) -> Interval:
    try:
        return parse_date(value.replace(" ", "+"), zone)
    except (ValueError, OverflowError) as problem:
        raise _refused(name, f"is no date or instant: {problem}") from None


def _refused(name: str, diagnostics: str) -> SsciError:
    expression = f"http.{name}" if name.isascii() else None
    return error(
        Category.INCORRECT, f"{name}: {diagnostics}", expression=expression, code="invalid"
    )


def _parse_cursor(text: str) -> Cursor:
    try:
        snapshot, instant, resource_type, id, version = orjson.loads(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        )
        if not _SNAPSHOT.fullmatch(snapshot) or not (0 < version < 2**31):
            raise ValueError(text)
        if not isinstance(resource_type, str) or not isinstance(id, str) or "\0" in id:
            raise ValueError(text)
        at = datetime.fromisoformat(instant)
        if at.tzinfo is None:
            raise ValueError(text)
        return Cursor(snapshot, at, resource_type, id, version)
    except (ValueError, TypeError, binascii.Error):
        raise _refused("_cursor", "is no page link of this server; start anew") from None


def _dump_cursor(cursor: Cursor) -> str:
    parts = [
        cursor.snapshot,
        cursor.last_updated.astimezone(UTC).isoformat(),
        cursor.resource_type,
        cursor.id,
        cursor.version,
    ]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode("ascii")


# ---- the statement


def select_history(
    request: HistoryRequest, layout: Layout, compiler: Compiler, restriction: Restriction
) -> Query:
    """One page, one version more than asked for, with the snapshot in which it is read."""
    bind = Binder()
    way = "DESC" if request.descending else "ASC"
    limit = request.count + 1
    parts = [
        f"(SELECT {_COLUMNS.format(type=place.resource_type, table=table)} FROM fhir.{table} r"
        f" WHERE {every(conditions)} ORDER BY {_order('r.', way)} LIMIT {limit})"
        for place, table in _tables(request, layout)
        for conditions in [_conditions(bind, request, place, compiler, restriction, paged=True)]
    ]
    sql = (
        f"SELECT *, ({_snapshot(bind, request)})::text AS snapshot"
        f" FROM ({' UNION ALL '.join(parts)}) v"
        f" ORDER BY {_order('v.', way, 'v.resource_type')} LIMIT {limit}"
    )
    return Query(sql, tuple(bind.values))


def count_history(
    request: HistoryRequest, layout: Layout, compiler: Compiler, restriction: Restriction
) -> Query:
    bind = Binder()
    parts = [
        f"SELECT count(*) AS n FROM fhir.{table} r WHERE {every(conditions)}"
        for place, table in _tables(request, layout)
        for conditions in [_conditions(bind, request, place, compiler, restriction, paged=False)]
    ]
    sql = f"SELECT sum(n)::bigint FROM ({' UNION ALL '.join(parts)}) counts"
    return Query(sql, tuple(bind.values))


_COLUMNS = (
    "'{type}' COLLATE \"C\" AS resource_type, r.id, r.version, r.last_updated, r.method,"
    " r.created, r.body"
)


def _order(prefix: str, way: str, resource_type: str | None = None) -> str:
    names = [f"{prefix}last_updated", resource_type, f"{prefix}id", f"{prefix}version"]
    return ", ".join(f"{name} {way}" for name in names if name)


def _tables(request: HistoryRequest, layout: Layout) -> Iterator[tuple[TypeLayout, str]]:
    wanted = [layout[request.resource_type]] if request.resource_type else layout.values()
    for place in wanted:
        yield place, place.table
        yield place, f"{place.table}_history"


def _snapshot(bind: Binder, request: HistoryRequest) -> str:
    if request.cursor is None:
        return "pg_current_snapshot()"
    return f"{bind(request.cursor.snapshot)}::text::pg_snapshot"


def _conditions(
    bind: Binder,
    request: HistoryRequest,
    place: TypeLayout,
    compiler: Compiler,
    restriction: Restriction,
    *,
    paged: bool,
) -> list[str]:
    where = compiler.restricted(bind, place, restriction)
    if request.id is not None:
        where.append(f"r.id = {bind(request.id)}")
    if request.is_poll:
        where.append(f"r.xid < pg_snapshot_xmin({_snapshot(bind, request)})")
    elif request.cursor is not None:
        where.append(f"pg_visible_in_snapshot(r.xid, {_snapshot(bind, request)})")
    if request.since is not None:
        where.append(f"r.last_updated >= {bind(request.since)}")
    if request.before is not None:
        where.append(f"r.last_updated < {bind(request.before)}")
    if request.at is not None:
        where += _current_at(bind, place, request.at)
    if paged and request.cursor is not None:
        where += _behind(bind, place, request.cursor, request.descending)
    return where


def _current_at(bind: Binder, place: TypeLayout, at: Interval) -> list[str]:
    """Versions that were current at some time in the interval."""
    start = bind(at.start)
    succeeded = "n.id = r.id AND n.version = r.version + 1 AND n.last_updated <= " + start
    return [
        f"r.last_updated < {bind(at.end)}",
        f"NOT EXISTS (SELECT FROM fhir.{place.table} n WHERE {succeeded})",
        f"NOT EXISTS (SELECT FROM fhir.{place.table}_history n WHERE {succeeded})",
    ]


def _behind(bind: Binder, place: TypeLayout, cursor: Cursor, descending: bool) -> list[str]:
    sign = "<" if descending else ">"
    instant = bind(cursor.last_updated)
    keys = f"{bind(cursor.resource_type)}, {bind(cursor.id)}, {bind(cursor.version)}::integer"
    return [
        f"r.last_updated {sign}= {instant}",
        f"(r.last_updated, '{place.resource_type}' COLLATE \"C\", r.id, r.version)"
        f" {sign} ({instant}, {keys})",
    ]


def page_of(request: HistoryRequest, rows: Sequence[asyncpg.Record]) -> HistoryPage:
    """The page, its total left open unless the rows tell it."""
    versions = [stored_version(row["resource_type"], row) for row in rows[: request.count]]
    following = None
    if len(rows) > request.count and versions:
        last = versions[-1]
        following = Cursor(
            rows[0]["snapshot"], last.last_updated, last.resource_type, last.id, last.version
        )
    complete = request.cursor is None and len(rows) <= request.count
    return HistoryPage(tuple(versions), following, len(versions) if complete else None)


def stored_version(resource_type: str, row: asyncpg.Record) -> Stored:
    body = row["body"]
    return Stored(
        resource_type,
        row["id"],
        row["version"],
        row["last_updated"],
        body is None,
        body,
        row["method"],
        row["created"],
    )


# ---- the Bundle


def build_history(
    base_url: str,
    path: Sequence[str],
    request: HistoryRequest,
    page: HistoryPage,
    outcome: bytes | None = None,
) -> bytes:
    """A Bundle of type history, joined from the stored bytes."""
    links = [{"relation": "self", "url": _url(base_url, path, request, None)}]
    if page.following is not None:
        url = _url(base_url, path, request, _dump_cursor(page.following))
        links.append({"relation": "next", "url": url})
    total = b"" if page.total is None else b'"total":%d,' % page.total
    entries = [_entry(base_url, stored) for stored in page.versions]
    if outcome is not None:
        entries.append(_outcome_entry(outcome))
    tail = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
    return b'{"resourceType":"Bundle","type":"history",%b"link":%b%b}' % (
        total,
        dump_json(links),
        tail,
    )


def _url(base_url: str, path: Sequence[str], request: HistoryRequest, cursor: str | None) -> str:
    parameters = [*request.used, *([("_cursor", cursor)] if cursor else [])]
    url = "/".join([base_url, *path])
    query = join_query(parameters)
    return f"{url}?{query}" if query else url


def _entry(base_url: str, stored: Stored) -> bytes:
    path = f"{stored.resource_type}/{stored.id}"
    url = stored.resource_type if stored.method == "POST" else path
    status = _STATUS.get(stored.method) or ("201" if stored.created else "200")
    full_url = dump_json({"fullUrl": f"{base_url}/{path}"})
    told = dump_json(
        {
            "request": {"method": stored.method, "url": url},
            "response": {
                "status": status,
                "etag": f'W/"{stored.version}"',
                "lastModified": instant_text(stored.last_updated),
            },
        }
    )
    held = b"" if stored.body is None else b'"resource":%b,' % stored.body
    return full_url[:-1] + b"," + held + told[1:]


def _outcome_entry(outcome: bytes) -> bytes:
    told = {"request": {"method": "GET", "url": "_history"}, "response": {"status": "200"}}
    return dump_json(told)[:-2] + b',"outcome":%b}}' % outcome
