"""`fhir.begin_write` and `fhir.safe_horizon`: pollers miss nothing, and the past stays as it is."""

import asyncio
import contextlib
import random
from datetime import UTC, datetime

import asyncpg
import pytest

from app.database import Database, Limits
from app.errors import SsciError

BEGIN = "select xid, last_updated from fhir.begin_write()"
HORIZON = "select fhir.safe_horizon()"
LOG = "select last_updated from fhir.transaction_log order by last_updated"
LOGGED_UNTIL = "select last_updated from fhir.transaction_log where last_updated <= $1"
POLL = """
    select last_updated from fhir.transaction_log
    where last_updated > $1 and xid < pg_snapshot_xmin(pg_current_snapshot())
    order by last_updated
"""
ADVISORY_LOCKS = """
    select count(*) from pg_locks
    where locktype = 'advisory' and database = (
        select oid from pg_database where datname = current_database())
"""
LOCK = "select pg_advisory_lock(1397965641, 1)"
UNLOCK = "select pg_advisory_unlock(1397965641, 1)"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
async def busy(database_dsns):
    """The test's database, for many writers at once."""
    limits = Limits(read_connections=4, write_connections=12, wait_seconds=30)
    async with await Database.open(database_dsns.runtime, limits) as opened:
        yield opened


async def write(database, *statements):
    async with database.writing() as c:
        for statement in statements:
            await c.fetch(statement)


async def advisory_locks_become(expected, owner):
    for _ in range(250):
        if (found := await owner.fetchval(ADVISORY_LOCKS)) == expected:
            return
        await asyncio.sleep(0.02)
    assert found == expected


async def horizon_of(database):
    async with database.writing() as c:
        return await c.fetchval(HORIZON)


async def write_slowly(database, randomly, rounds):
    """Transactions of up to 10 ms, a fifth of them rolled back; what committed."""
    committed = []
    for _ in range(rounds):
        with contextlib.suppress(LookupError):
            async with database.writing() as c:
                last_updated = (await c.fetchrow(BEGIN))["last_updated"]
                await asyncio.sleep(randomly.random() / 100)
                if randomly.random() < 0.2:
                    raise LookupError
            committed.append(last_updated)
    return committed


async def run_beside(work, repeat):
    """Repeat one coroutine until the other is done; both results."""
    seen = []
    task = asyncio.create_task(work)
    while not task.done():
        seen.append(await repeat())
    seen.append(await repeat())
    return await task, seen


async def eight_writers(database, rounds=40):
    writers = (write_slowly(database, random.Random(seed), rounds) for seed in range(8))
    return sorted(each for committed in await asyncio.gather(*writers) for each in committed)


async def test_a_poller_sees_every_commit_once_and_in_order(busy):
    cursor = LONG_AGO

    async def poll():
        nonlocal cursor
        async with busy.reading() as c:
            rows = [row["last_updated"] for row in await c.fetch(POLL, cursor)]
        cursor = rows[-1] if rows else cursor
        return rows

    committed, polls = await run_beside(eight_writers(busy), poll)
    assert len(committed) > 150
    assert [each for rows in polls for each in rows] == committed


async def test_nothing_ever_appears_at_or_before_a_safe_horizon(busy):
    async def look():
        async with busy.writing() as c:
            horizon = await c.fetchval(HORIZON)
        async with busy.reading() as c:
            return horizon, len(await c.fetch(LOGGED_UNTIL, horizon))

    committed, looks = await run_beside(eight_writers(busy), look)
    assert len(looks) > 20
    for horizon, count in looks:
        assert sum(each <= horizon for each in committed) == count
    assert looks[-1][1] == len(committed)


async def test_horizons_of_many_readers_hold_beside_each_other(busy):
    horizons = await asyncio.gather(*(horizon_of(busy) for _ in range(30)))
    async with busy.writing() as c:
        assert (await c.fetchrow(BEGIN))["last_updated"] > max(horizons)


async def test_moments_and_xids_have_the_same_order(busy, owner):
    await eight_writers(busy, rounds=20)
    by_xid = "select last_updated from fhir.transaction_log order by xid"
    assert await owner.fetch(by_xid) == await owner.fetch(LOG)


async def test_a_quiet_database_has_its_horizon_at_the_present(database):
    async with database.writing() as c:
        written = (await c.fetchrow(BEGIN))["last_updated"]
    before = datetime.now(UTC)
    assert await horizon_of(database) >= max(written, before)


async def test_a_slow_writer_holds_the_horizon_below_its_moment(database):
    async with database.writing() as c:
        first = (await c.fetchrow(BEGIN))["last_updated"]
    async with database.writing() as slow:
        pending = (await slow.fetchrow(BEGIN))["last_updated"]
        async with database.writing() as c:
            later = (await c.fetchrow(BEGIN))["last_updated"]
        assert await horizon_of(database) == first
        assert await slow.fetchval(HORIZON) == first
    assert first < pending < later < await horizon_of(database)


async def test_before_the_first_commit_the_horizon_is_the_beginning(database):
    async with database.writing() as slow:
        await slow.fetchrow(BEGIN)
        assert await horizon_of(database) == LONG_AGO


async def test_a_horizon_needs_a_fresh_snapshot(database):
    with pytest.raises(asyncpg.ActiveSQLTransactionError, match="READ COMMITTED"):
        await write(database, "set transaction isolation level repeatable read", HORIZON)


async def test_the_clock_never_runs_backwards(database, owner):
    await owner.execute("select setval('fhir.clock', 4102444800000000)")  # 2100-01-01
    async with database.writing() as c:
        moment = (await c.fetchrow(BEGIN))["last_updated"]
    assert moment == datetime(2100, 1, 1, microsecond=1, tzinfo=UTC)
    assert await horizon_of(database) == datetime(2100, 1, 1, microsecond=2, tzinfo=UTC)


async def test_a_moment_is_exact_to_the_microsecond(database, owner):
    async with database.writing() as c:
        moment = (await c.fetchrow(BEGIN))["last_updated"]
    ticks = await owner.fetchval("select last_value from fhir.clock")
    assert ticks == round((moment - LONG_AGO).total_seconds() * 1_000_000)


async def test_begin_write_comes_before_any_other_write(database, owner):
    await owner.execute(
        "create table fhir.sample (id int); grant insert on fhir.sample to ssci_runtime"
    )
    for earlier in (BEGIN, "insert into fhir.sample values (1)"):
        with pytest.raises(asyncpg.ActiveSQLTransactionError, match="before any other write"):
            await write(database, earlier, BEGIN)


async def test_the_lock_is_not_held_until_the_commit(database, owner):
    async with database.writing() as c:
        await c.fetchrow(BEGIN)
        assert await owner.fetchval(ADVISORY_LOCKS) == 0
        await c.fetchval(HORIZON)
        assert await owner.fetchval(ADVISORY_LOCKS) == 0


@pytest.mark.parametrize("function", [BEGIN, HORIZON])
async def test_moments_are_given_one_at_a_time(database, owner, function):
    await owner.execute(LOCK)
    task = asyncio.create_task(write(database, function))
    await advisory_locks_become(2, owner)
    assert not task.done()
    await owner.execute(UNLOCK)
    await task


async def test_a_writer_cancelled_while_it_waits_for_the_lock_leaves_none(database, owner):
    await owner.execute(LOCK)
    task = asyncio.create_task(write(database, BEGIN))
    await advisory_locks_become(2, owner)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await owner.execute(UNLOCK)
    await advisory_locks_become(0, owner)
    await write(database, BEGIN)
    assert await owner.fetchval("select count(*) from fhir.transaction_log") == 1


async def test_a_writer_that_can_not_have_the_lock_in_time_is_unavailable(database_dsns, owner):
    await owner.execute(LOCK)
    limits = Limits(lock_timeout_seconds=0.05)
    async with await Database.open(database_dsns.runtime, limits) as impatient:
        with pytest.raises(SsciError) as caught:
            await write(impatient, BEGIN)
        assert caught.value.http_status == 503
        await owner.execute(UNLOCK)
        await write(impatient, BEGIN)


@pytest.mark.parametrize(
    "statement",
    [
        "update fhir.transaction_log set xid = '5'",
        "delete from fhir.transaction_log",
        "insert into fhir.transaction_log values (now(), '5')",
        "truncate fhir.transaction_log",
        "select fhir.tick()",
        "select setval('fhir.clock', 1)",
        "select last_value from fhir.clock",
        "update fhir.cluster set system_identifier = 1",
        "create table fhir.mine (id int)",
        "create table public.mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "create role mine",
        "update public.alembic_version set version_num = '0'",
    ],
)
async def test_the_runtime_role_has_no_right_to(database, statement):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await write(database, statement)
