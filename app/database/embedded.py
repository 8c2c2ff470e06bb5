"""The embedded PostgreSQL: one server per data directory, shared by every process that needs it.

Below `<data_dir>/postgres` (the *home*):

    cluster/        PostgreSQL's own data directory; complete or absent (made aside, then renamed)
    socket/         its Unix socket, mode 0700; there is no TCP port
    passwords.json  generated SCRAM passwords of the owner and of the runtime role, mode 0600
    server.log      what the server says (what it said earlier in server.log.1)
    start.lock      held while somebody starts or stops the server
    users.lock      shared by every process that uses the server; the last one to leave stops it
    server.lock     inherited by the server's processes: while it is locked, one of them lives

`server.lock` tells whether the server runs without trusting process ids, so a stale or reused
`postmaster.pid` can't mislead. A server whose service was killed goes on running; the next start
joins it. A server that was killed is started again by whoever uses it.

PostgreSQL refuses to run as root. Started by root, the home belongs to the system user `postgres`
(or `nobody`), and where that user can't enter the data directory (below /root, say), the home is a
folder of a random name below /var/lib/ssci, the data directory gets a symbolic link to it, and
programs out of reach are copied to /var/lib/ssci as well. No parent folder's mode is ever changed.

An operator's own settings go to the end of `cluster/postgresql.conf` and win over ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from app.database.binaries import failed_start, usable_binaries
from app.database.cluster import (
    OWNER,
    SERVER_SETTINGS,
    Plan,
    advice,
    check_version,
    log_tail,
    make_cluster,
    remove_stale_pid,
    server_pid,
    spawn,
)
from app.database.home import DATABASE, Home, Passwords, passwords_of, prepared_home
from app.database.locks import Progress, Waiting, is_locked, locked, open_lock, share_lock, try_lock

RUNTIME = "ssci_runtime"
STOP_PATIENCE_SECONDS = 60.0
WATCH_SECONDS = 1.0
PROBE_SECONDS = 5.0
BUSY = "another process is starting or stopping PostgreSQL"
NOT_YET = (
    OSError,
    TimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
)

logger = logging.getLogger(__name__)


class EmbeddedServer:
    """One process's share in an embedded server, from `start_embedded` until `stop`."""

    def __init__(self, plan: Plan, passwords: Passwords, users: int) -> None:
        self._plan = plan
        self._users: int | None = users
        self._watch = asyncio.create_task(_keep_running(plan, passwords))
        self.owner_dsn = plan.home.dsn(OWNER, passwords.owner)
        self.runtime_dsn = plan.home.dsn(RUNTIME, passwords.runtime)

    @property
    def programs(self) -> Path:
        """The folder of PostgreSQL's programs (pg_dump and the like)."""
        return self._plan.binaries.folder / "bin"

    @property
    def home(self) -> Home:
        """Where the server keeps its files."""
        return self._plan.home

    async def stop(self) -> None:
        """Leave the server; the last one to leave shuts it down. A second call does nothing."""
        users, self._users = self._users, None
        if users is None:
            return
        self._watch.cancel()
        await asyncio.wait([self._watch])
        async with locked(self.home.start_lock, _silent, BUSY):
            os.close(users)
            if not is_locked(self.home.users_lock):
                await _shut_down(self.home)

    async def __aenter__(self) -> EmbeddedServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def start_embedded(
    data_dir: Path,
    major: int = 18,
    on_progress: Progress | None = None,
    settings: Mapping[str, str] | None = None,
) -> EmbeddedServer:
    """Start the server of `data_dir`, or join it where it runs; ready for connections on return.

    `settings` are server settings on top of ours. Waits as long as crash recovery takes while the
    server lives, telling `on_progress`. Fails with an UNAVAILABLE or FAULT error that says what to
    do next: nothing installed, wrong version, no permission, disk full, the log's last lines.
    """
    say = on_progress or _silent
    home = prepared_home(data_dir)
    binaries = usable_binaries(major, home.account)
    plan = Plan(home, binaries, {**SERVER_SETTINGS, **(settings or {})}, say)
    try:
        return await _started(plan)
    except OSError as failure:
        raise failed_start(
            f"PostgreSQL can't be started in {home.folder} ({failure.strerror}).{advice(home)}"
        ) from failure


async def _started(plan: Plan) -> EmbeddedServer:
    users = open_lock(plan.home.users_lock)
    try:
        async with locked(plan.home.start_lock, plan.say, BUSY):
            share_lock(users)
            passwords = passwords_of(plan.home)
            await _run(plan, passwords)
            await _ensure_database(plan.home, passwords)
            return EmbeddedServer(plan, passwords, users)
    except BaseException:
        os.close(users)
        raise


def _silent(_message: str) -> None:
    pass


async def _run(plan: Plan, passwords: Passwords) -> None:
    """Have the server answer: join the one that runs, or start one. Under start.lock."""
    waiting = Waiting(plan.say, "PostgreSQL is starting")
    lock = open_lock(plan.home.server_lock)
    try:
        while not try_lock(lock):  # somebody's server, or the last processes of a dead one
            if await _answers(plan.home, passwords, waiting):
                return
            await waiting.pause()
        check_version(plan)
        if not plan.home.cluster.exists():
            await make_cluster(plan, passwords, lock)
        remove_stale_pid(plan.home)
        child = spawn(plan, lock)
    finally:
        os.close(lock)
    while not await _answers(plan.home, passwords, waiting):
        if not child.is_alive():
            raise failed_start(
                f"PostgreSQL stopped while it was starting.{advice(plan.home)}", log_tail(plan.home)
            )
        await waiting.pause()


async def _answers(home: Home, passwords: Passwords, waiting: Waiting) -> bool:
    try:
        connection = await _connected(home, passwords)
    except asyncpg.CannotConnectNowError as failure:
        waiting.what = str(failure)  # starting up, in recovery, shutting down
        return False
    except asyncpg.InvalidPasswordError as failure:
        raise failed_start(
            f"PostgreSQL in {home.folder} refuses the password in passwords.json: restore that "
            "file from a backup."
        ) from failure
    except NOT_YET:
        return False
    await connection.close()
    return True


async def _connected(home: Home, passwords: Passwords) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(
        home.dsn(OWNER, passwords.owner, "postgres"), ssl=False, timeout=PROBE_SECONDS
    )


async def _ensure_database(home: Home, passwords: Passwords) -> None:
    """The runtime role and the database: made at the first start, or at the next if that died."""
    connection = await _connected(home, passwords)
    try:
        if not await connection.fetchval("select 1 from pg_roles where rolname = $1", RUNTIME):
            await connection.execute(f"create role {RUNTIME} login password '{passwords.runtime}'")
        if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE}")
    finally:
        await connection.close()


async def _shut_down(home: Home) -> None:
    """Fast shutdown; should it take longer than our patience, it ends without us."""
    pid = server_pid(home)
    if pid is None or not is_locked(home.server_lock):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    waiting = Waiting(_silent, "PostgreSQL is shutting down")
    while is_locked(home.server_lock) and waiting.seconds < STOP_PATIENCE_SECONDS:
        await waiting.pause()


async def _keep_running(plan: Plan, passwords: Passwords) -> None:
    """Start the server again whenever it dies; every user does, and the first one succeeds."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            if not is_locked(plan.home.server_lock):
                logger.error("PostgreSQL is gone; starting it again")
                async with locked(plan.home.start_lock, _silent, BUSY):
                    await _run(plan, passwords)
        except Exception:
            logger.exception("PostgreSQL can't be started again")
            await asyncio.sleep(10 * WATCH_SECONDS)
