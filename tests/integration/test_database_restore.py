"""Dump, fresh cluster, restore: pages and polls work as before."""

import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from app.database import Database, adopt_cluster, prepare, start_embedded

SETTINGS = {"shared_buffers": "16MB", "max_connections": "20", "fsync": "off"}
POLLED = """
    select last_updated from fhir.transaction_log
    where xid < pg_snapshot_xmin(pg_current_snapshot())
      and pg_visible_in_snapshot(xid, pg_current_snapshot())
    order by last_updated
"""
BURN_XIDS = """
    do $$
    begin
      for _ in 1..20000 loop
        perform pg_current_xact_id();
        commit;
      end loop;
    end
    $$
"""
MOMENTS = "select last_updated from fhir.transaction_log order by last_updated"


@pytest.fixture
async def fresh(reachable_folder, pg_major):
    """Another cluster, never migrated."""
    async with await start_embedded(reachable_folder, pg_major, settings=SETTINGS) as server:
        yield server


def run(server, program, dsn, *arguments):
    """One of PostgreSQL's programs, on the database of `dsn`."""
    parts = urlsplit(dsn)
    return subprocess.run(
        [server.programs / program, *arguments, parts.path.removeprefix("/")],
        env={
            "PGHOST": parse_qs(parts.query)["host"][0],
            "PGUSER": parts.username,
            "PGPASSWORD": parts.password,
        },
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


async def test_a_restored_dump_is_polled_like_the_original(
    server, fresh, database, database_dsns, owner
):
    await owner.execute(
        "create table fhir.sample (id int, xid xid8 not null, superseded_xid xid8);"
        "grant insert on fhir.sample to ssci_runtime"
    )
    for number in range(3):
        async with database.writing() as c:
            xid = (await c.fetchrow("select * from fhir.begin_write()"))["xid"]
            await c.execute("insert into fhir.sample values ($1, $2, null)", number, xid)
    await owner.execute("update fhir.sample set superseded_xid = xid where id = 0")
    await owner.execute(BURN_XIDS)
    async with database.writing() as c:
        await c.fetchrow("select * from fhir.begin_write()")
    moments = await owner.fetch(MOMENTS)

    dump = Path(fresh.home.folder) / "dump"
    dump.write_bytes(run(server, "pg_dump", database_dsns.owner, "--format=custom"))
    run(fresh, "pg_restore", fresh.owner_dsn, "--exit-on-error", str(dump), "--dbname")
    restored = await asyncpg.connect(fresh.owner_dsn)
    assert await restored.fetch(MOMENTS) == moments
    assert len(await restored.fetch(POLLED)) < len(moments)  # the trouble is real

    await prepare(fresh.owner_dsn)
    assert await restored.fetch(POLLED) == moments
    samples = await restored.fetch("select xid, superseded_xid from fhir.sample order by id")
    assert [tuple(row) for row in samples] == [(3, 3), (3, None), (3, None)]
    assert await adopt_cluster(fresh.owner_dsn) is False
    await restored.close()
    async with await Database.open(fresh.runtime_dsn) as opened:
        async with opened.writing() as c:
            assert await c.fetchval("select fhir.safe_horizon()") > moments[-1]["last_updated"]
        async with opened.writing() as c:
            written = await c.fetchrow("select * from fhir.begin_write()")
        assert written["last_updated"] > moments[-1]["last_updated"]
        async with opened.reading() as c:
            assert len(await c.fetch(POLLED)) == len(moments) + 1


async def test_the_own_cluster_is_left_as_it_is(database, database_dsns, owner):
    async with database.writing() as c:
        written = await c.fetchrow("select * from fhir.begin_write()")
    assert await adopt_cluster(database_dsns.owner) is False
    assert await owner.fetchval("select xid from fhir.transaction_log") == written["xid"]
