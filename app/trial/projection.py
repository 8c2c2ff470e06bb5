"""Changes of resources → statements that keep the trial database in step, in their transaction: a
deletion or a new version closes the system time of the row before, a new version opens its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any

import sqlalchemy as sa

from app.fhir import Caller, Change, Contributor, Moment, Statement
from app.trial.protocol import Protocol
from app.trial.tables import TRIAL_TABLES
from app.trial.trial_rows import PROJECTIONS, Context, TrialRow, build_context, project_resource


def build_projection(protocol: Protocol, zone: tzinfo) -> Contributor:
    """The contributor that keeps the trial database in step with the FHIR store."""
    context = build_context(protocol, zone)

    def project_changes(
        caller: Caller, changes: Sequence[Change], moment: Moment
    ) -> Sequence[Statement]:
        return [*close_rows(changes), *insert_changes(changes, context)]

    return project_changes


def close_rows(changes: Iterable[Change]) -> Iterator[Statement]:
    """Ends the system time of the rows of superseded and deleted versions."""
    superseded: dict[str, list[tuple[str, str, int, datetime]]] = {}
    for change in changes:
        if change.kind in ("update", "delete"):
            for table in PROJECTIONS.get(change.resource_type, {}):
                row = (change.resource_type, change.id, change.version, change.last_updated)
                superseded.setdefault(table, []).append(row)
    for table, rows in superseded.items():
        yield Statement(CLOSE[table], rows)


def insert_changes(changes: Iterable[Change], context: Context) -> Iterator[Statement]:
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for change in changes:
        if change.kind in ("create", "update") and change.after is not None:
            for row in project_resource(change.after, context):
                version = (change.resource_type, change.id, change.version)
                values = insert_values(row, version, (change.last_updated, None))
                rows.setdefault(row.table, []).append(values)
    for table, values_of in rows.items():
        yield Statement(INSERT[table], values_of)


def insert_values(
    row: TrialRow,
    version: tuple[str, str, int],
    system: tuple[datetime, datetime | None],
) -> tuple[Any, ...]:
    """The values of `INSERT[row.table]`, in its order."""
    return (*version, *(row.values[name] for name in _OWN_COLUMNS[row.table]), *system)


def _own_columns(table: sa.Table) -> tuple[str, ...]:
    fixed = {"resource_type", "resource_id", "resource_version", "system"}
    return tuple(column.name for column in table.columns if column.name not in fixed)


def _insert_sql(table: sa.Table) -> str:
    names = ("resource_type", "resource_id", "resource_version", *_own_columns(table))
    places = ", ".join(f"${i}" for i in range(1, len(names) + 1))
    system = f"tstzrange(${len(names) + 1}::timestamptz, ${len(names) + 2}::timestamptz)"
    return (
        f"INSERT INTO {table.schema}.{table.name} ({', '.join(names)}, system)"
        f" VALUES ({places}, {system})"
    )


def _close_sql(table: sa.Table) -> str:
    return (
        f"UPDATE {table.schema}.{table.name} SET system = tstzrange(lower(system), $4)"
        " WHERE resource_type = $1 AND resource_id = $2 AND resource_version < $3"
        " AND upper_inf(system)"
    )


_OWN_COLUMNS = {table.name: _own_columns(table) for table in TRIAL_TABLES}
INSERT = {table.name: _insert_sql(table) for table in TRIAL_TABLES}
CLOSE = {table.name: _close_sql(table) for table in TRIAL_TABLES}
