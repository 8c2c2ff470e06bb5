"""An external server: waited for, checked, migrated, used as the runtime role."""

import asyncio
import socket

import asyncpg
import pytest

from app.database import (
    Source,
    current_revision,
    migrate,
    newest_revision,
    open_database,
    wait_for_server,
)
from app.errors import Category, SsciError


@pytest.fixture
async def bare_dsn(server):
    """A database without any table, owned by a login that is no superuser."""
    admin = await asyncpg.connect(server.owner_dsn.replace("/ssci?", "/postgres?"))
    await admin.execute("create role plain_owner login createrole password 'plain'")
    await admin.execute("grant ssci_runtime to plain_owner with admin true, inherit false")
    await admin.execute("create database bare owner plain_owner")
    yield f"postgresql://plain_owner:plain@/bare?host={server.home.socket_folder}&port=5432"
    await admin.execute("drop database bare with (force)")
    await admin.execute("drop owned by plain_owner; drop role plain_owner")
    await admin.close()


async def test_an_owner_who_is_no_superuser_suffices(bare_dsn, tmp_path):
    async with open_database(Source(tmp_path, bare_dsn)) as database:
        async with database.writing() as c:
            assert await c.fetchval("select current_user") == "ssci_runtime"
            await c.fetchrow("select * from fhir.begin_write()")
        async with database.reading() as c:
            assert await c.fetchval("select count(*) from fhir.transaction_log") == 1
    assert list(tmp_path.iterdir()) == []


async def test_many_hosts_may_migrate_at_once(bare_dsn):
    assert await current_revision(bare_dsn) is None
    await asyncio.gather(*(migrate(bare_dsn) for _ in range(4)))
    assert await current_revision(bare_dsn) == newest_revision()


async def test_a_migration_that_fails_changes_nothing(bare_dsn):
    owner = await asyncpg.connect(bare_dsn)
    await owner.execute("create schema feeds")  # in the way
    with pytest.raises(asyncpg.DuplicateSchemaError):
        await migrate(bare_dsn)
    assert await owner.fetchval("select to_regnamespace('fhir') is null")
    await owner.close()
    assert await current_revision(bare_dsn) is None


async def test_a_database_of_a_newer_version_is_refused(database_dsns, owner):
    await owner.execute("update public.alembic_version set version_num = '9999'")
    with pytest.raises(SsciError, match="migrated by a newer one"):
        await migrate(database_dsns.owner)


async def test_a_login_of_its_own_needs_the_runtime_role(database_dsns, owner, tmp_path):
    await owner.execute("create role stranger login password 'strange'")
    address = database_dsns.runtime.partition("@")[2]
    source = Source(tmp_path, database_dsns.owner, f"postgresql://stranger:strange@{address}")
    try:
        with pytest.raises(SsciError, match="grant ssci_runtime to"):
            await open_and_close(source)
        await owner.execute("grant ssci_runtime to stranger")
        await open_and_close(source)
    finally:
        await owner.execute("drop role stranger")


async def open_and_close(source):
    async with open_database(source) as database, database.writing() as c:
        await c.fetchrow("select * from fhir.begin_write()")


async def test_an_unreachable_server_is_waited_for_and_then_told_without_the_password():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        told = []
        with pytest.raises(SsciError) as caught:
            await wait_for_server(
                f"postgresql://owner:hunter2@127.0.0.1:{port}/ssci", 1.2, told.append
            )
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "1.2 s" in str(caught.value)
    assert caught.value.http_status == 503
    assert told == [f"Waiting: PostgreSQL at 127.0.0.1:{port} (1 s)"]
    assert "hunter2" not in f"{caught.value} {told}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda dsn: dsn.replace("ssci_runtime:", "ssci_runtime:x"), "refuses this user or pass"),
        (lambda dsn: dsn.replace("/test_", "/absent_"), "createdb"),
        (lambda dsn: dsn.replace("port=5432", "port=many"), "can't be used"),
    ],
)
async def test_what_waiting_does_not_mend_is_told_at_once(database_dsns, change, words):
    with pytest.raises(SsciError, match=words) as caught:
        await wait_for_server(change(database_dsns.runtime), 60)
    assert caught.value.category is Category.FAULT
