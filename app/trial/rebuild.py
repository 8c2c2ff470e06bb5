"""Fills the trial database anew from the history of the FHIR store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import tzinfo
from typing import Any

from app.database import Database, ReadConnection, WriteConnection
from app.fhir import Stored, iterate_history, parse_json
from app.trial.projection import CLOSE, INSERT, insert_values
from app.trial.protocol import Protocol
from app.trial.tables import TRIAL_TABLES
from app.trial.trial_rows import PROJECTIONS, Context, build_context, project_resource

BATCH = 500


def _tell_nobody(_versions: int) -> None:
    return


async def rebuild(
    database: Database,
    protocol: Protocol,
    zone: tzinfo,
    advance: Callable[[int], None] = _tell_nobody,
) -> dict[str, int]:
    """Empty and refill the trial tables in one transaction; the number of rows per table.

    `advance` is told how many versions of resources were read since it was last told. `database`
    is opened as the owner. Writers of trial rows wait until it is done: emptying locks the tables,
    so that what they add comes after.
    """
    context = build_context(protocol, zone)
    counts = {table.name: 0 for table in TRIAL_TABLES}
    names = ", ".join(f"{table.schema}.{table.name}" for table in TRIAL_TABLES)
    async with database.writing() as connection, database.reading() as history:
        await connection.execute(f"TRUNCATE {names}")
        for resource_type in PROJECTIONS:
            async for versions in _batches(history, resource_type):
                await _replay(connection, versions, context, counts)
                advance(len(versions))
    return counts


async def _batches(connection: ReadConnection, resource_type: str) -> AsyncIterator[list[Stored]]:
    batch: list[Stored] = []
    async for version in iterate_history(connection, resource_type, BATCH):
        batch.append(version)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _replay(
    connection: WriteConnection, versions: list[Stored], context: Context, counts: dict[str, int]
) -> None:
    """Insert the rows of all versions as current, then let each version close those before it."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for stored in versions:
        if stored.body is None:
            continue
        version = (stored.resource_type, stored.id, stored.version)
        for row in project_resource(parse_json(stored.body), context):
            values = insert_values(row, version, (stored.last_updated, None))
            rows.setdefault(row.table, []).append(values)
    for table, values_of in rows.items():
        await connection.executemany(INSERT[table], values_of)
        counts[table] += len(values_of)
    later = [(v.resource_type, v.id, v.version, v.last_updated) for v in versions if v.version > 1]
    if later:
        for table in PROJECTIONS[versions[0].resource_type]:
            await connection.executemany(CLOSE[table], later)
