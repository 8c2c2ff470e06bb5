"""The embedded server: started, joined, killed, recovered, stopped."""

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from app.database import Database, Source, binaries, home, open_database, start_embedded
from app.database.cluster import server_pid
from app.database.locks import is_locked
from app.errors import Category, SsciError

SETTINGS = {"shared_buffers": "16MB", "max_connections": "20"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

# A service of its own: starts the server, says so, and is killed.
SERVICE = """
import asyncio, pathlib, sys
from app.database import start_embedded
async def serve():
    server = await start_embedded(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(serve())
"""


@pytest.fixture
def data_dir(reachable_folder):
    """A data directory; whatever runs there in the end is ended."""
    folder = reachable_folder / "data"
    folder.mkdir()
    yield folder
    end_server(folder)


def end_server(data_dir):
    pid = postmaster(data_dir)
    if pid is not None and is_locked(data_dir / "postgres/server.lock"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)


def postmaster(data_dir):
    return server_pid(home.Home((data_dir / "postgres").resolve(), binaries.Account(0, 0, False)))


def is_running(data_dir):
    return is_locked(data_dir / "postgres/server.lock")


@pytest.fixture
def start(data_dir, pg_major):
    def start(major=pg_major, on_progress=None):
        return start_embedded(data_dir, major, on_progress, SETTINGS)

    return start


@pytest.fixture
async def service(data_dir, pg_major):
    """Another process that uses the server."""
    arguments = [sys.executable, "-c", SERVICE, str(data_dir), str(pg_major)]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def kill(process):
    process.kill()
    await process.wait()


async def query(dsn, sql):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def until(condition, seconds=20):
    for _ in range(seconds * 50):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


async def test_it_keeps_what_it_was_told(start):
    async with await start() as server:
        await query(server.owner_dsn, "create table kept as select 1 as id")
    async with await start() as server:
        assert await query(server.owner_dsn, "select id from kept") == 1


async def test_it_is_durable_and_private(start, pg_major):
    async with await start() as server:
        for name, expected in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
            "timezone": "UTC",
            "jit": "off",
        }.items():
            assert await query(server.owner_dsn, f"show {name}") == expected, name
        version = int(await query(server.owner_dsn, "show server_version_num"))
        assert version // 10000 == pg_major
        for path in (server.home.folder, server.home.cluster, server.home.socket_folder):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
        passwords = server.home.folder / "passwords.json"
        assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
        wrong = server.home.dsn("ssci_owner", "guess")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong)


@pytest.fixture
def somebody(tmp_path):
    """A living process of the user who runs PostgreSQL, but no PostgreSQL."""
    account = binaries.server_account(tmp_path / "absent")
    identity = {"user": account.uid, "group": account.gid} if account.switch else {}
    with subprocess.Popen(["sleep", "60"], **identity) as process:
        yield process
        process.kill()


@pytest.fixture
def zombie(reachable_folder):
    """A PostgreSQL that has ended and that its parent has not asked after yet: killed together with
    its service, it stays one until the first process of the machine looks."""
    account = binaries.server_account(reachable_folder / "absent")
    identity = {"user": account.uid, "group": account.gid} if account.switch else {}
    program = reachable_folder / "postgres"
    program.symlink_to("/bin/true")
    with subprocess.Popen([program], **identity) as process:
        yield process


def user_of(pid):
    return Path(f"/proc/{pid}").stat().st_uid


@as_root
async def test_started_by_root_it_runs_as_somebody_else(start, data_dir):
    async with await start() as server:
        assert user_of(postmaster(data_dir)) == server.home.account.uid != 0


@as_root
async def test_where_its_user_can_not_go_it_lives_elsewhere(
    tmp_path, reachable_folder, monkeypatch, pg_major
):
    elsewhere = reachable_folder / "ssci"
    monkeypatch.setattr(home, "SYSTEM_HOME", elsewhere)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with await start_embedded(closed, pg_major, settings=SETTINGS):
        link = closed / "postgres"
        assert link.is_symlink()
        assert link.resolve().parent == elsewhere
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    async with await start_embedded(closed, pg_major, settings=SETTINGS):
        assert len(os.listdir(elsewhere)) == 1


@as_root
def test_programs_out_of_reach_are_copied_to_where_they_work(
    reachable_folder, monkeypatch, pg_major
):
    target = reachable_folder / "ssci"
    monkeypatch.setattr(binaries, "SYSTEM_HOME", target)
    monkeypatch.setattr(binaries, "can_enter", lambda _folder, _account: False)
    account = binaries.server_account(target / "absent")
    copy = binaries.usable_binaries(pg_major, account)
    assert copy.folder.is_relative_to(target)
    assert binaries.usable_binaries(pg_major, account) == copy
    told = subprocess.run(
        [copy.program("initdb"), "--version"],
        user=account.uid,
        group=account.gid,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f" {pg_major}." in told.stdout


async def test_the_last_of_two_users_stops_it(start, data_dir):
    first, second = await start(), await start()
    assert first.owner_dsn == second.owner_dsn
    await first.stop()
    assert is_running(data_dir)
    assert await query(second.owner_dsn, "select 1") == 1
    await second.stop()
    await second.stop()
    assert not is_running(data_dir)


async def test_users_who_start_at_once_share_one_server(start, data_dir):
    servers = await asyncio.gather(*(start() for _ in range(4)))
    assert len({server.runtime_dsn for server in servers}) == 1
    await asyncio.gather(*(server.stop() for server in servers))
    assert not is_running(data_dir)


async def test_a_server_whose_service_was_killed_is_joined_and_then_stopped(
    service, start, data_dir
):
    await service.stdout.readline()
    orphan = postmaster(data_dir)
    await kill(service)
    async with await start():
        assert postmaster(data_dir) == orphan
    assert not is_running(data_dir)


async def test_a_killed_server_recovers_at_the_next_start(start, data_dir):
    server = await start()
    await query(server.owner_dsn, "create table kept as select generate_series(1, 1000) as id")
    server._watch.cancel()
    os.kill(postmaster(data_dir), signal.SIGKILL)
    await until(lambda: not is_running(data_dir))
    await server.stop()
    assert (data_dir / "postgres/cluster/postmaster.pid").exists()
    async with await start() as again:
        assert await query(again.owner_dsn, "select count(*) from kept") == 1000
        assert "automatic recovery in progress" in again.home.log.read_text()


async def test_a_server_killed_in_use_is_started_again(data_dir, pg_major):
    async with open_database(Source(data_dir, major=pg_major)) as database:
        await write(database)
        killed = postmaster(data_dir)
        os.kill(killed, signal.SIGKILL)
        failures = [error async for error in failures_until_replaced(database, data_dir, killed)]
        assert {error.http_status for error in failures} <= {503}
        before = await logged(database)
        await write(database)
        assert await logged(database) == before + 1 >= 2


async def write(database):
    async with database.writing() as c:
        await c.fetchrow("select * from fhir.begin_write()")


async def logged(database):
    async with database.reading() as c:
        return await c.fetchval("select count(*) from fhir.transaction_log")


async def failures_until_replaced(database, data_dir, killed):
    """What readers and writers meet until another server has taken the place of the killed one;
    whose own processes may answer for a moment yet."""
    for _ in range(600):
        try:
            await write(database)
            await logged(database)
            if postmaster(data_dir) != killed:
                return
        except SsciError as error:
            yield error
        except (OSError, ValueError, IndexError):
            pass  # its pid file is being replaced
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come back")


@pytest.mark.parametrize("content", ["{alive}\n", "4194303\n", "garbage", ""])
async def test_a_stale_pid_file_does_not_matter(start, data_dir, somebody, content):
    await (await start()).stop()
    stale = data_dir / "postgres/cluster/postmaster.pid"
    stale.write_text(content.format(alive=somebody.pid))
    async with await start() as server:
        assert await query(server.owner_dsn, "select 1") == 1
        assert postmaster(data_dir) != somebody.pid


async def test_a_killed_server_that_nobody_has_buried_yet_does_not_matter(start, data_dir, zombie):
    await (await start()).stop()
    await until(lambda: "State:\tZ" in Path(f"/proc/{zombie.pid}/status").read_text())
    cluster, socket = data_dir / "postgres/cluster", data_dir / "postgres/socket"
    (cluster / "postmaster.pid").write_text(f"{zombie.pid}\n{cluster.resolve()}\n")
    (socket / f"{home.SOCKET_NAME}.lock").write_text(f"{zombie.pid}\n{cluster.resolve()}\n")
    async with await start() as server:
        assert await query(server.owner_dsn, "select 1") == 1


async def test_an_initdb_that_was_killed_is_done_again(service, start, data_dir):
    draft = data_dir / "postgres/cluster.new/base"
    await until(draft.exists)
    await kill(service)
    assert not (data_dir / "postgres/cluster").exists()
    async with await start() as server:
        assert await query(server.owner_dsn, "select 1") == 1
        assert not draft.parent.exists()


async def test_a_start_killed_before_the_database_was_made_is_completed(start):
    async with await start() as server:
        postgres = server.owner_dsn.replace("/ssci?", "/postgres?")
        await query(postgres, "drop database ssci")
        await query(postgres, "drop role ssci_runtime")
    async with await start() as server:
        assert await query(server.runtime_dsn, "select current_user") == "ssci_runtime"


async def test_another_major_version_is_refused_with_the_way_on(start, pg_major):
    other = {16: 18, 18: 16}[pg_major]
    await (await start()).stop()
    with pytest.raises(SsciError, match=f"written by PostgreSQL {pg_major}") as caught:
        await start(major=other)
    assert f"SSCI_POSTGRES_MAJOR={pg_major}" in str(caught.value)
    assert caught.value.category is Category.FAULT


async def test_a_start_that_fails_shows_the_end_of_the_log(start, data_dir):
    await (await start()).stop()
    with (data_dir / "postgres/cluster/postgresql.conf").open("a") as configuration:
        configuration.write("max_connections = many\n")
    with pytest.raises(SsciError, match='invalid value for parameter "max_connections"') as caught:
        await start()
    assert "server.log" in str(caught.value)
    assert not is_running(data_dir)


async def test_an_operators_own_settings_win(start, data_dir):
    await (await start()).stop()
    with (data_dir / "postgres/cluster/postgresql.conf").open("a") as configuration:
        configuration.write("work_mem = '7MB'\nmax_connections = 21\n")
    async with await start() as server:
        assert await query(server.owner_dsn, "show work_mem") == "7MB"
        assert await query(server.owner_dsn, "show max_connections") == "21"


async def test_a_log_that_grew_is_put_aside(start, data_dir):
    await (await start()).stop()
    log = data_dir / "postgres/server.log"
    log.write_text("old\n" * 3_000_000)
    await (await start()).stop()
    assert (data_dir / "postgres/server.log.1").stat().st_size == 12_000_000
    assert "ready to accept connections" in log.read_text()


async def test_lost_passwords_are_told(start, data_dir):
    await (await start()).stop()
    (data_dir / "postgres/passwords.json").unlink()
    with pytest.raises(SsciError, match=r"passwords\.json"):
        await start()


async def test_a_data_directory_that_is_none_is_told(data_dir, pg_major):
    (data_dir / "file").write_text("")
    with pytest.raises(SsciError, match="--data-dir"):
        await start_embedded(data_dir / "file", pg_major)


async def test_it_says_what_it_does(start):
    told = []
    await (await start(on_progress=told.append)).stop()
    assert told[0] == "Making a new PostgreSQL database cluster"


async def test_a_long_path_gets_a_short_socket(data_dir, pg_major):
    deep = data_dir / ("long-" * 20)
    async with await start_embedded(deep, pg_major, settings=SETTINGS) as server:
        assert not server.home.socket_folder.is_relative_to(data_dir)
        assert await query(server.owner_dsn, "select 1") == 1
        assert stat.S_IMODE(server.home.socket_folder.stat().st_mode) == 0o700
    server.home.socket_folder.rmdir()


async def test_a_database_outlives_a_second_opening(data_dir, pg_major):
    source = Source(data_dir, major=pg_major)
    async with open_database(source) as first:
        async with open_database(source) as second:
            await write(second)
        assert isinstance(first, Database)
        assert await logged(first) == 1
