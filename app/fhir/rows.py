"""The rows of the FHIR tables: how a change of a resource is written.
https://hl7.org/fhir/R4/http.html#versioning
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from app.fhir.index import Indexer
from app.fhir.layout import TypeLayout
from app.fhir.model import Change, Copy, Json, Moment, Statement
from app.fhir.tables import search_columns
from app.fhir.times import instant_text

MANY_ROWS = 6
"""From here on rows are inserted by COPY, which costs more to begin and less per row."""
FEW_HOT_ROWS = 4
"""Up to here hot rows are inserted by the statement that inserts their resource."""

_FIXED = ("id", "version", "last_updated", "method", "created", "body")
_HOT = ("id", "code", "systems", "patient", "date_from", "date_to")


class TypeWriter:
    """The statements that write rows of one type; their texts are made once."""

    def __init__(self, place: TypeLayout) -> None:
        table, self._columns = f"fhir.{place.table}", search_columns(place)
        columns = ", ".join(self._columns)
        first = len(_FIXED) + 1
        values = _places(1, len(_FIXED) + len(self._columns))
        settings = ", ".join(f"{c} = ${n}" for n, c in enumerate(self._columns, first))
        row = "id, version, last_updated, method, created"
        self._table = table
        self.lock = (
            f"SELECT id, version, last_updated, body FROM {table}"
            " WHERE id = ANY($1) ORDER BY id FOR UPDATE"
        )
        self.last_versions = (
            "SELECT id, max(version) AS version, max(last_updated) AS last_updated"
            f" FROM {table}_history WHERE id = ANY($1) GROUP BY id"
        )
        self._supersede = (
            f"INSERT INTO {table}_history ({row}, xid, superseded_xid, body, {columns})"
            f" SELECT {row}, xid, pg_current_xact_id(), body, {columns}"
            f" FROM {table} WHERE id = ANY($1)"
        )
        self._insert = f"INSERT INTO {table} ({row}, body, {columns}) VALUES {values}"
        self._update = (
            f"UPDATE {table} SET version = $2, last_updated = $3, method = $4, created = $5,"
            f" body = $6, xid = pg_current_xact_id(), {settings} WHERE id = $1"
        )
        self._remove = f"DELETE FROM {table} WHERE id = ANY($1)"
        self._bury = (
            f"INSERT INTO {table}_history ({row}, xid, deleted)"
            " VALUES ($1, $2, $3, 'DELETE', false, pg_current_xact_id(), true)"
        )
        self._hot = f"{table}_hot" if place.hot else None
        self._with_hot: dict[int, str] = {}

    def statements(
        self, changes: Sequence[Change], indexer: Indexer, moment: Moment
    ) -> Iterable[Statement | Copy]:
        """Superseded versions move to the history first; then the new ones are written.

        Each statement is to be carried out before the next is asked for.
        """
        created = [change for change in changes if change.kind == "create"]
        updated = [change for change in changes if change.kind == "update"]
        deleted = [change for change in changes if change.kind == "delete"]
        gone = [change.id for change in (*updated, *deleted)]
        hot: list[tuple[Any, ...]] = []
        if gone:
            yield Statement(self._supersede, [(gone,)])
        if len(created) == len(changes) == 1:
            yield from self._single(created[0], indexer)
            return
        inserts = self._indexed(created, indexer, hot)
        if len(created) < MANY_ROWS:
            yield Statement(self._insert, list(inserts))
        else:
            yield Copy(self._table, (*_FIXED, *self._columns), inserts)
        yield Statement(self._update, list(self._indexed(updated, indexer, hot)))
        if deleted:
            yield Statement(self._remove, [([change.id for change in deleted],)])
            tombs = [(c.id, c.version, moment.last_updated) for c in deleted]
            yield Statement(self._bury, tombs)
        if self._hot:
            if gone:
                yield Statement(f"DELETE FROM {self._hot} WHERE id = ANY($1)", [(gone,)])
            yield self._hot_rows(hot)

    def _single(self, change: Change, indexer: Indexer) -> Iterator[Statement | Copy]:
        """One new resource; with its few hot rows in one round trip."""
        hot: list[tuple[Any, ...]] = []
        (values,) = self._indexed([change], indexer, hot)
        count = len(hot)
        if 0 < count <= FEW_HOT_ROWS:
            if count not in self._with_hot:
                self._with_hot[count] = self._insert_with_hot(count)
            yield Statement(self._with_hot[count], [(*values, *chain.from_iterable(hot))])
            return
        yield Statement(self._insert, [values])
        if hot:
            yield self._hot_rows(hot)

    def _insert_with_hot(self, count: int) -> str:
        first = len(_FIXED) + len(self._columns) + 1
        rows = (_places(first + n * len(_HOT), len(_HOT)) for n in range(count))
        tail = f"INSERT INTO {self._hot} ({', '.join(_HOT)}) VALUES {', '.join(rows)}"
        return f"WITH kept AS ({self._insert}) {tail}"

    def _indexed(
        self, changes: Iterable[Change], indexer: Indexer, hot: list[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, ...]]:
        """The rows of new versions; their hot rows are added to `hot` on the way."""
        for change in changes:
            assert change.after is not None  # created or updated
            row, narrow = indexer.index_with_hot(change.after)
            hot += [(change.id, *each) for each in narrow]
            yield self._values(change, row)

    def _hot_rows(self, rows: Sequence[tuple[Any, ...]]) -> Statement | Copy:
        assert self._hot is not None
        if len(rows) >= MANY_ROWS:
            return Copy(self._hot, _HOT, rows)
        names, places = ", ".join(_HOT), _places(1, len(_HOT))
        return Statement(f"INSERT INTO {self._hot} ({names}) VALUES {places}", rows)

    def _values(self, change: Change, row: Mapping[str, Any]) -> tuple[Any, ...]:
        fixed = (
            change.id,
            change.version,
            change.last_updated,
            change.method,
            change.kind == "create",
            change.body,
        )
        return (*fixed, *(row[column] for column in self._columns))


def _places(first: int, count: int) -> str:
    return f"({', '.join(f'${n}' for n in range(first, first + count))})"


def new_id() -> str:
    """A UUID of version 7: ordered by time, so that new rows stand together in the indexes."""
    value = (time.time_ns() // 1_000_000) << 80 | 7 << 76 | secrets.randbits(76)
    value = value & ~(3 << 62) | 2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def with_meta(resource: Json, id: str, version: int, last_updated: datetime) -> Json:
    """The resource as it is kept: id, versionId and lastUpdated set, all else as it came."""
    meta = resource.get("meta") or {}
    stamped = {
        "versionId": str(version),
        "lastUpdated": instant_text(last_updated),
    }
    kept = {key: value for key, value in meta.items() if key not in stamped}
    rest = {k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")}
    head = {"resourceType": resource["resourceType"], "id": id, "meta": stamped | kept}
    return head | rest
