"""The trial database on a real PostgreSQL: both clocks, grants, rebuild, description."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from app.database import Database
from app.fhir import Create, Delete, Json, Store, Update
from app.trial import rebuild
from app.trial.tables import TRIAL_TABLES, metadata
from tests.conftest import Dsns
from tests.trial_support import (
    CALLER,
    ZONE,
    open_trial,
    person,
    protocol,
    trial_client,
    trial_store,
)


@pytest.fixture
def store(database: Database) -> Store:
    return trial_store(database)


@pytest.fixture
async def owner(database_dsns: Dsns) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_dsns.owner)
    yield connection
    await connection.close()


def platelets(value: int, loinc: str = "777-3") -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "subject": {"reference": "Patient/SSCI-001"},
        "effectiveDateTime": "2019-03-14",
        "valueQuantity": {
            "value": value,
            "unit": "10*9/L",
            "system": "http://unitsofmeasure.org",
            "code": "10*9/L",
        },
    }


def dose(amount: int) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "medicationReference": {"reference": "Medication/sirolimus"},
        "subject": {"reference": "Patient/SSCI-001"},
        "effectiveDateTime": "2019-03-14T08:00:00+08:00",
        "dosage": {
            "dose": {
                "value": amount,
                "unit": "mg",
                "system": "http://unitsofmeasure.org",
                "code": "mg",
            }
        },
    }


async def counts(database: Database, as_of: Any) -> list[int]:
    async with database.reading() as connection:
        rows = await connection.fetch(
            "SELECT value FROM trial.measurement WHERE system @> $1::timestamptz ORDER BY value",
            as_of,
        )
    return [int(row["value"]) for row in rows]


async def test_a_correction_is_known_from_its_own_moment_on(store: Store, database: Database):
    [first] = await store.write(CALLER, [Create(platelets(38), "p1")])
    [second] = await store.write(CALLER, [Update(platelets(83), "p1")])
    assert await counts(database, first.last_updated) == [38]
    assert await counts(database, second.last_updated) == [83]


async def test_a_deletion_and_a_return_leave_a_gap(store: Store, database: Database):
    [first] = await store.write(CALLER, [Create(platelets(38), "p1")])
    [gone] = await store.write(CALLER, [Delete("Observation", "p1")])
    [back] = await store.write(CALLER, [Update(platelets(40), "p1")])
    assert [await counts(database, each.last_updated) for each in (first, gone, back)] == [
        [38],
        [],
        [40],
    ]


async def test_a_result_that_changes_its_test_leaves_the_trial(store: Store, database: Database):
    await store.write(CALLER, [Create(platelets(38), "p1")])
    [changed] = await store.write(CALLER, [Update(platelets(38, "6690-2"), "p1")])
    assert await counts(database, changed.last_updated) == []


async def test_an_identical_write_adds_no_row(store: Store, database: Database):
    for _ in range(3):
        await store.write(CALLER, [Update(platelets(38), "p1")])
    async with database.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM trial.measurement") == 1


async def test_a_value_is_stored_with_its_digits(store: Store, database: Database):
    given = dose(1)
    given["dosage"]["dose"]["value"] = Decimal("0.50")
    await store.write(CALLER, [Create(given, "d1")])
    async with database.reading() as connection:
        row = await connection.fetchrow("SELECT amount, unit, precision FROM trial.dose")
    assert row is not None
    assert (str(row["amount"]), row["unit"], row["precision"]) == ("0.50", "mg", "second")


async def rows_of(connection: asyncpg.Connection) -> dict[str, list[Any]]:
    return {
        table.name: [
            tuple(row)
            for row in await connection.fetch(
                f"SELECT * FROM trial.{table.name} ORDER BY resource_id, resource_version"
            )
        ]
        for table in TRIAL_TABLES
    }


async def test_the_tables_rebuilt_from_fhir_history_are_equal(
    database: Database, database_dsns: Dsns, owner: asyncpg.Connection
):
    trial = open_trial(database)
    async with trial_client(trial) as client:
        for number in range(1, 4):
            await client.post("/trial/subjects", json=person(number))
    store = trial.store
    many = [Create(platelets(n), f"p{n}") for n in range(1, 1203)]
    await store.write(CALLER, [*many, Create(dose(2), "d1")])
    for value in (10, 20, 30):
        await store.write(CALLER, [Update(platelets(value), "p7"), Update(dose(value), "d1")])
    await store.write(CALLER, [Delete("Observation", "p8"), Delete("Observation", "p9")])
    await store.write(CALLER, [Update(platelets(99), "p9")])
    await store.write(CALLER, [Update(platelets(5, "6690-2"), "p10")])
    before = await rows_of(owner)
    enrolled = ("subject", "demographic", "diagnosis", "eligibility")
    assert [len(before[name]) for name in enrolled] == [3, 3, 3, 3]
    assert len(before["measurement"]) == 1206
    async with await Database.open(database_dsns.owner) as as_owner:
        counted = await rebuild(as_owner, protocol(), ZONE)
    assert await rows_of(owner) == before
    assert counted == {name: len(rows) for name, rows in before.items()}


APPEND_ONLY = ("identity.subject_identity", "identity.subject_mrn", "identity.override_reason")
FORBIDDEN = [
    *(f"DELETE FROM {table}" for table in metadata.tables if table != "identity.subject_mrn"),
    *(f"TRUNCATE {table}" for table in metadata.tables),
    *(f"UPDATE {table} SET subject = 'x'" for table in metadata.tables),
    *(f"UPDATE {table} SET created = now()" for table in APPEND_ONLY),
    "UPDATE identity.subject_mrn SET mrn_ciphertext = ''",
    "UPDATE identity.mrn_change SET changed = now()",
]


async def test_the_service_can_rewrite_neither_trial_rows_nor_identity(database: Database):
    allowed: list[str] = []
    for statement in FORBIDDEN:
        try:
            async with database.writing() as connection:
                await connection.execute(statement)
            allowed.append(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
    assert allowed == []


async def test_the_tables_are_as_described(owner: asyncpg.Connection):
    found = await owner.fetch(
        "SELECT attrelid::regclass::text AS table, attname,"
        " format_type(atttypid, atttypmod) AS type, attnotnull,"
        " (SELECT collname FROM pg_collation c WHERE c.oid = attcollation) AS collation"
        " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'"
        " WHERE relnamespace IN ('trial'::regnamespace, 'identity'::regnamespace) AND attnum > 0"
        " ORDER BY attrelid::regclass::text, attnum"
    )
    described = [
        (name, *describe(column))
        for name, table in sorted(metadata.tables.items())
        for column in table.columns
    ]
    assert sorted(map(repr, (tuple(row) for row in found))) == sorted(map(repr, described))


def describe(column: sa.Column[Any]) -> tuple[str, str, bool, str | None]:
    element = column.type.item_type if isinstance(column.type, sa.ARRAY) else column.type
    kind = {
        sa.Text: "text",
        sa.Integer: "integer",
        sa.BigInteger: "bigint",
        sa.Numeric: "numeric",
        sa.Boolean: "boolean",
        sa.Date: "date",
        sa.DateTime: "timestamp with time zone",
        sa.LargeBinary: "bytea",
    }.get(type(element), "tstzrange")
    many = "[]" if isinstance(column.type, sa.ARRAY) else ""
    collation = getattr(element, "collation", None)
    return column.name, kind + many, not column.nullable, collation


async def test_the_indexes_are_as_described(owner: asyncpg.Connection):
    found = await owner.fetch(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE c.relnamespace IN ('trial'::regnamespace, 'identity'::regnamespace)"
        " AND NOT i.indisprimary"
    )
    described = {
        each.name
        for table in metadata.tables.values()
        for each in (
            *table.indexes,
            *(c for c in table.constraints if isinstance(c, sa.UniqueConstraint)),
        )
    }
    assert {row["relname"] for row in found} == described
