"""Concurrent creations over a real PostgreSQL: fewer transactions, the same outcome for each.
https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.database import Database
from app.database.copying import copied
from app.errors import Category, SsciError, error
from app.fhir import Caller, Change, Create, Json, Moment, Statement, Update
from app.fhir.writing import Work
from tests.fhir_support import CALLER, store_on

CLIENTS = 50
PAUSE = Statement("SELECT pg_sleep($1)", [(0.002,)])


def observation(number: int) -> Json:
    code = {"coding": [{"system": "http://loinc.org", "code": f"{number}-0"}]}
    return {"resourceType": "Observation", "status": "final", "code": code}


async def test_fifty_concurrent_creations_take_few_transactions(database: Database) -> None:
    store = store_on(database, (lambda *_: [PAUSE],))
    works = [Work([Create(observation(number))]) for number in range(CLIENTS)]
    done = await asyncio.gather(*(store.carry_out(CALLER, work) for work in works))
    changes = [change for ((change,),) in done]
    codes = [change.after["code"]["coding"][0]["code"] for change in changes if change.after]
    assert codes == [f"{number}-0" for number in range(CLIENTS)]
    async with database.reading() as connection:
        rows = await connection.fetch("SELECT id, body, xid::text FROM fhir.observation")
        hot = await connection.fetch("SELECT id, code FROM fhir.observation_hot")
    assert {row["id"]: row["body"] for row in rows} == {each.id: each.body for each in changes}
    assert {tuple(row) for row in hot} == {
        (each.id, code) for each, code in zip(changes, codes, strict=True)
    }
    assert len({row["xid"] for row in rows}) <= CLIENTS / 5


async def test_a_contributor_is_asked_for_each_caller_alone(database: Database) -> None:
    told: list[tuple[str, list[str]]] = []

    def contribute(
        caller: Caller, changes: Sequence[Change], _moment: Moment
    ) -> Sequence[Statement]:
        told.append((caller.name, [change.id for change in changes]))
        return [PAUSE]

    store = store_on(database, (contribute,))
    callers = [Caller(f"client-{number}") for number in range(12)]
    done = await asyncio.gather(
        *(store.write(caller, [Create(observation(n))]) for n, caller in enumerate(callers))
    )
    ids = [changes[0].id for changes in done]
    expected = [(caller.name, [id]) for caller, id in zip(callers, ids, strict=True)]
    assert sorted(told) == sorted(expected)


async def test_what_one_contributes_stays_in_its_order(database: Database, owner) -> None:
    await owner.execute("create table fhir.parent (id text primary key)")
    await owner.execute("create table fhir.child (id text references fhir.parent)")
    await owner.execute("grant insert, select on fhir.parent, fhir.child to ssci_runtime")
    parent, child = "INSERT INTO fhir.parent VALUES ($1)", "INSERT INTO fhir.child VALUES ($1)"

    def contribute(
        caller: Caller, changes: Sequence[Change], _moment: Moment
    ) -> Sequence[Statement]:
        rows = [(change.id,) for change in changes]
        alone = Statement(child, [(None,)])
        both = [Statement(parent, rows), Statement(child, rows)]
        return [PAUSE, alone] if int(caller.name[1:]) % 2 == 0 else [PAUSE, *both]

    store = store_on(database, (contribute,))
    writes = (store.write(Caller(f"c{n}"), [Create(observation(n))]) for n in range(20))
    await asyncio.gather(*writes)
    async with database.reading() as connection:
        assert await connection.fetchval("SELECT count(id) FROM fhir.child") == 10
        xids = await connection.fetch("SELECT DISTINCT xid::text FROM fhir.observation")
    assert len(xids) < 6  # together, not after a failure alone


async def test_a_refusal_of_one_leaves_the_others_written(database: Database) -> None:
    def contribute(
        caller: Caller, _changes: Sequence[Change], _moment: Moment
    ) -> Sequence[Statement]:
        if caller.name == "bad":
            raise error(Category.UNPROCESSABLE, "not for this caller")
        return [PAUSE]

    store = store_on(database, (contribute,))
    callers = [Caller("bad" if number == 7 else "good") for number in range(12)]
    done = await asyncio.gather(
        *(store.write(each, [Create(observation(n))]) for n, each in enumerate(callers)),
        return_exceptions=True,
    )
    assert [n for n, each in enumerate(done) if isinstance(each, SsciError)] == [7]
    async with database.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM fhir.observation") == 11


async def test_an_id_that_is_taken_is_a_conflict_for_its_writer_alone(database: Database) -> None:
    store = store_on(database, (lambda *_: [PAUSE],))
    await store.write(CALLER, [Update(observation(0) | {"id": "taken"}, "taken")])
    ids = [None, None, None, "taken", None, None]
    done = await asyncio.gather(
        *(store.write(CALLER, [Create(observation(n), id)]) for n, id in enumerate(ids)),
        return_exceptions=True,
    )
    refused = [each for each in done if isinstance(each, SsciError)]
    assert [each.http_status for each in refused] == [409]
    async with database.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM fhir.observation") == 6


HOSTILE = ["", " ", "NULL", "\\N", "\\.", "a\tb", "a\nb\r", 'say "x"', "\\", "{a,b}", "×10⁹/L 血"]


async def test_what_is_copied_is_what_would_have_been_inserted(database: Database, owner) -> None:
    await owner.execute(
        "create table fhir.sample (t text, ts text[], n numeric, ns numeric[], b boolean, i int,"
        " at timestamptz, ats timestamptz[], body json)"
    )
    await owner.execute("grant insert, select, delete on fhir.sample to ssci_runtime")
    late, early = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    numbers = [Decimal("8.60"), Decimal("-1E+3"), Decimal("Infinity"), Decimal("-Infinity")]
    rows = [
        (text, [text, *HOSTILE], number, [number], True, -7, late, [early, late], b'{"a": "\\n"}')
        for text, number in zip(HOSTILE, numbers * 3, strict=False)
    ]
    rows.append(("empty", [], None, None, False, None, early, None, None))
    columns = ["t", "ts", "n", "ns", "b", "i", "at", "ats", "body"]
    insert = f"INSERT INTO fhir.sample VALUES ({', '.join(f'${n + 1}' for n in range(9))})"
    async with database.writing() as c:
        await c.copy("fhir.sample", columns, rows)
        copied_rows = await c.fetch("DELETE FROM fhir.sample RETURNING sample::text")
        await c.executemany(insert, rows)
        inserted_rows = await c.fetch("DELETE FROM fhir.sample RETURNING sample::text")
    assert len(inserted_rows) == len(rows)
    assert copied_rows == inserted_rows


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
async def test_a_row_of_any_text_is_one_line_with_its_fields(texts: list[str]) -> None:
    pieces = [piece async for piece in copied([tuple(texts), (texts,)])]
    lines = b"".join(pieces).decode().split("\n")
    assert len(lines) == 3
    assert lines[0].count("\t") == len(texts) - 1
    assert "\t" not in lines[1]


async def test_an_instant_without_a_zone_is_not_copied() -> None:
    with pytest.raises(TypeError, match="zone"):
        [piece async for piece in copied([(datetime(2019, 3, 14),)])]
