"""Reading and writing: what commits, what does not, and what a broken connection leads to."""

import asyncio
import contextlib

import asyncpg
import pytest

from app.database import Database, Limits
from app.errors import Category, SsciError

BACKENDS = "select count(*) from pg_stat_activity where datname = current_database()"
OPEN_TRANSACTIONS = f"{BACKENDS} and state like 'idle in transaction%'"
SLEEPING = (
    f"{BACKENDS} and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()"
)
OWN_PID = "select pg_backend_pid()"
TERMINATE = "select pg_terminate_backend($1, 5000)"
BEGIN = "select * from fhir.begin_write()"
LOGGED = "select count(*) from fhir.transaction_log"


@pytest.fixture
async def open_with(database_dsns):
    """Opens the test's database with other limits."""
    opened = []

    async def open_with(**limits):
        opened.append(await Database.open(database_dsns.runtime, Limits(**limits)))
        return opened[-1]

    yield open_with
    for each in opened:
        await each.close()


async def logged(database):
    async with database.reading() as c:
        return await c.fetchval(LOGGED)


async def write(database, *statements):
    async with database.writing() as c:
        for statement in statements:
            await c.fetch(statement)


async def lose_connection(block, owner, then):
    async with block as c:
        await owner.fetchval(TERMINATE, await c.fetchval(OWN_PID))
        await then(c)


async def do_nothing(_connection):
    pass


async def becomes(expected, fetch):
    for _ in range(250):
        if (found := await fetch()) == expected:
            return
        await asyncio.sleep(0.02)
    assert found == expected


async def test_a_block_that_ends_commits(database):
    async with database.writing() as c:
        await c.fetchrow(BEGIN)
        assert await logged(database) == 0
    assert await logged(database) == 1


async def test_a_block_that_raises_rolls_back(database):
    with pytest.raises(asyncpg.DivisionByZeroError):
        await write(database, BEGIN, "select 1 / 0")
    assert await logged(database) == 0


async def test_json_passes_as_the_bytes_that_were_given(database):
    body = '{"value": 1.50,  "unit": "×10⁹/L"}'.encode()
    async with database.reading() as c:
        assert await c.fetchval("select $1::json", body) == body
        assert await c.fetchval("select $1::json[]", [body, body]) == [body, body]
        assert await c.fetchval("select $1::jsonb", b'{"a": 1.50}') == b'{"a": 1.50}'
        assert await c.fetchval("select $1::xid8", 2**40) == 2**40


async def test_many_rows_are_copied_and_pipelined(database, owner):
    await owner.execute("create table fhir.sample (id int, body json)")
    await owner.execute("grant insert, select on fhir.sample to ssci_runtime")
    async with database.writing() as c:
        await c.copy("fhir.sample", ["id", "body"], [(1, b"[1.0]"), (2, b"{}")])
        await c.executemany("insert into fhir.sample values ($1, $2)", [(3, b"3"), (4, b"4")])
    async with database.reading() as c:
        rows = await c.fetch("select id, body from fhir.sample order by id")
    assert [tuple(row) for row in rows] == [(1, b"[1.0]"), (2, b"{}"), (3, b"3"), (4, b"4")]


@pytest.mark.parametrize("kind", ["reading", "searching"])
async def test_a_reader_can_not_write(database, kind):
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with getattr(database, kind)() as c:
            await c.fetchrow(BEGIN)


async def test_a_search_is_planned_for_its_values(database):
    async with database.searching() as c:
        assert await c.fetchval("show plan_cache_mode") == "force_custom_plan"
    async with database.reading() as c:
        assert await c.fetchval("show plan_cache_mode") == "auto"


async def test_a_connection_is_lent_again_as_it_is(database):
    async with database.reading() as c:
        first = await c.fetchval(OWN_PID)
    async with database.reading() as c:
        assert await c.fetchval(OWN_PID) == first


async def test_a_cancelled_reader_ends_its_statement_and_leaves_a_clean_connection(
    open_with, owner
):
    database = await open_with(read_connections=1)

    async def sleep():
        async with database.reading() as c:
            await c.fetchval("select pg_sleep(60)")

    task = asyncio.create_task(sleep())
    await becomes(1, lambda: owner.fetchval(SLEEPING))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.reading() as c:
        assert await c.fetchval("select 7") == 7
    await becomes(0, lambda: owner.fetchval(SLEEPING))


@pytest.mark.parametrize("statement", ["select pg_sleep(60)", None])
async def test_a_cancelled_writer_leaves_no_open_transaction(open_with, owner, statement):
    database = await open_with(write_connections=1)
    begun = asyncio.Event()

    async def write():
        async with database.writing() as c:
            await c.fetchrow(BEGIN)
            begun.set()
            await (c.fetchval(statement) if statement else asyncio.sleep(60))

    task = asyncio.create_task(write())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await becomes(0, lambda: owner.fetchval(OPEN_TRANSACTIONS))
    async with database.writing() as c:
        assert await c.fetchval(LOGGED) == 0
        await c.fetchrow(BEGIN)
    assert await logged(database) == 1


async def test_many_cancellations_lose_no_connection(open_with, owner):
    database = await open_with(write_connections=2, wait_seconds=5)

    async def write():
        async with database.writing() as c:
            await c.fetchrow(BEGIN)
            await c.fetchval("select pg_sleep(0.005)")

    for delay in range(60):
        tasks = [asyncio.create_task(write()) for _ in range(3)]
        await asyncio.sleep(delay / 5000)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    async with database.writing(), database.writing():
        assert await owner.fetchval(BACKENDS) <= 4  # ours, one reader, two writers
    await becomes(0, lambda: owner.fetchval(OPEN_TRANSACTIONS))


async def test_an_exhausted_pool_is_unavailable_after_a_wait(open_with):
    database = await open_with(read_connections=1, wait_seconds=0.05)
    async with database.reading():
        with pytest.raises(SsciError, match="no database connection came free") as caught:
            async with database.reading():
                pass
    assert (caught.value.http_status, dict(caught.value.headers)) == (503, {"Retry-After": "1"})
    assert await logged(database) == 0


async def test_who_waits_gets_the_connection_that_comes_free(open_with):
    database = await open_with(read_connections=1, wait_seconds=5)
    assert await asyncio.gather(*(logged(database) for _ in range(20))) == [0] * 20


async def test_a_connection_that_broke_while_idle_is_replaced(open_with, owner):
    database = await open_with(read_connections=1)
    async with database.reading() as c:
        pid = await c.fetchval(OWN_PID)
    await owner.fetchval(TERMINATE, pid)
    await asyncio.sleep(0.05)
    async with database.reading() as c:
        assert await c.fetchval(OWN_PID) != pid


async def test_a_connection_that_breaks_in_use_is_unavailable_and_replaced(open_with, owner):
    database = await open_with(read_connections=1)
    with pytest.raises(SsciError) as caught:
        await lose_connection(database.reading(), owner, lambda c: c.fetchval("select 1"))
    assert (caught.value.category, caught.value.http_status) == (Category.UNAVAILABLE, 503)
    assert await logged(database) == 0


async def test_a_connection_lost_at_the_commit_is_never_a_success(open_with, owner):
    database = await open_with(write_connections=1)
    with pytest.raises(SsciError, match="whether it was stored is not known") as caught:
        await lose_connection(database.writing(), owner, do_nothing)
    assert caught.value.http_status == 503
    async with database.writing() as c:
        assert await c.fetchval(LOGGED) == 0


async def test_a_transaction_whose_failure_was_swallowed_does_not_pass_for_committed(database):
    async def write_on_after_a_failure():
        async with database.writing() as c:
            await c.fetchrow(BEGIN)
            with contextlib.suppress(asyncpg.DivisionByZeroError):
                await c.fetchval("select 1 / 0")

    with pytest.raises(SsciError, match="rolled back"):
        await write_on_after_a_failure()
    assert await logged(database) == 0


async def test_a_constraint_that_fails_at_the_commit_raises(database, owner):
    await owner.execute(
        "create table fhir.sample (id int unique deferrable initially deferred);"
        "grant insert on fhir.sample to ssci_runtime"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await write(database, "insert into fhir.sample values (1), (1)")
    assert await owner.fetchval("select count(*) from fhir.sample") == 0


async def test_a_read_that_takes_too_long_is_too_costly(open_with):
    database = await open_with(read_timeout_seconds=0.05)
    with pytest.raises(SsciError) as caught:
        async with database.reading() as c:
            await c.fetchval("select pg_sleep(5)")
    assert (caught.value.http_status, caught.value.issues[0].code) == (400, "too-costly")


async def test_a_write_that_takes_too_long_is_unavailable(open_with):
    database = await open_with(write_timeout_seconds=0.05)
    with pytest.raises(SsciError) as caught:
        await write(database, "select pg_sleep(5)")
    assert (caught.value.http_status, caught.value.headers["Retry-After"]) == (503, "5")


async def test_a_writer_that_waits_too_long_for_a_row_is_unavailable(open_with, owner):
    database = await open_with(lock_timeout_seconds=0.05)
    await owner.execute("create table fhir.sample (id int); insert into fhir.sample values (1)")
    await owner.execute("grant update, select on fhir.sample to ssci_runtime")
    async with owner.transaction():
        await owner.execute("update fhir.sample set id = 2")
        with pytest.raises(SsciError) as caught:
            await write(database, "update fhir.sample set id = 3")
    assert caught.value.http_status == 503


async def test_a_closed_database_is_unavailable(open_with):
    database = await open_with()
    await database.close()
    with pytest.raises(SsciError, match="shutting down"):
        async with database.reading():
            pass


async def test_closing_leaves_no_connection_behind(open_with, owner):
    database = await open_with()
    async with database.reading(), database.reading(), database.searching(), database.writing():
        await database.close()
    await becomes(1, lambda: owner.fetchval(BACKENDS))


async def test_a_refused_login_is_told_at_opening(database_dsns):
    wrong = database_dsns.runtime.replace("ssci_runtime:", "ssci_runtime:x")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await Database.open(wrong)
