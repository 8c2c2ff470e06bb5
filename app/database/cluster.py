"""PostgreSQL's own data directory and process: made by initdb, run by postgres.

https://www.postgresql.org/docs/18/app-initdb.html
https://www.postgresql.org/docs/18/server-start.html
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app.database.binaries import Binaries, failed_start
from app.database.home import SOCKET_NAME, Home, Passwords, create_private, write_private
from app.database.locks import Progress
from app.errors import Category, error

OWNER = "ssci_owner"
LOG_BYTES = 10 * 1024 * 1024
LITTLE_SPACE = 64 * 1024 * 1024

SERVER_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": "200",
        "max_locks_per_transaction": "512",
        "shared_buffers": "256MB",
        "effective_cache_size": "1GB",
        "maintenance_work_mem": "128MB",
        "random_page_cost": "1.1",
        "jit": "off",
        "fsync": "on",
        "synchronous_commit": "on",
        "wal_level": "replica",
        "max_wal_size": "2GB",
        "wal_compression": "on",
        "checkpoint_timeout": "10min",
        "autovacuum_naptime": "10s",
        "client_connection_check_interval": "2s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        # Failed statements are the client's to hear; they may quote values, so not in the log.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
    }
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes to start a server: where, which programs, which settings, whom to tell."""

    home: Home
    binaries: Binaries
    settings: Mapping[str, str]
    say: Progress


def check_version(plan: Plan) -> None:
    """FAULT for a cluster of another major version, with the two ways on."""
    path = plan.home.cluster / "PG_VERSION"
    found = path.read_text().strip() if path.exists() else str(plan.binaries.major)
    if found != str(plan.binaries.major):
        raise error(
            Category.FAULT,
            f"The data in {plan.home.folder} was written by PostgreSQL {found}, but PostgreSQL "
            f"{plan.binaries.major} is to be started. Set SSCI_POSTGRES_MAJOR={found} to go on "
            f"with it, or move the data over: dump it with {found} (pg_dump), start with another "
            "data directory, restore (pg_restore).",
        )


async def make_cluster(plan: Plan, passwords: Passwords, lock: int) -> None:
    """initdb aside, then rename: a cluster that exists is complete."""
    plan.say("Making a new PostgreSQL database cluster")
    draft = plan.home.folder / "cluster.new"
    shutil.rmtree(draft, ignore_errors=True)  # of a start that was killed
    password_file = plan.home.folder / "initdb.password"
    write_private(password_file, passwords.owner, plan.home.account)
    try:
        await _initdb(plan, draft, password_file, lock)
    finally:
        password_file.unlink(missing_ok=True)
    with (draft / "postgresql.conf").open("a") as configuration:
        configuration.write("\ninclude 'ssci.conf'\n# Your own settings, below, win over those.\n")
    draft.rename(plan.home.cluster)


async def _initdb(plan: Plan, draft: Path, password_file: Path, lock: int) -> None:
    command = [
        *(str(plan.binaries.program("initdb")), "--pgdata", str(draft)),
        *("--username", OWNER, "--pwfile", str(password_file)),
        *("--encoding", "UTF8", "--no-locale", "--data-checksums"),
        *("--auth-local", "scram-sha-256", "--auth-host", "scram-sha-256"),
        *(("--no-sync",) if plan.settings.get("fsync") == "off" else ()),
    ]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, **_child_options(plan.home, lock)
        )

    result = await asyncio.to_thread(run)
    if result.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise failed_start(
            f"A new database cluster can't be made.{advice(plan.home)}", result.stderr.strip()
        )


def spawn(plan: Plan, lock: int) -> threading.Thread:
    """Start the server, which inherits `lock`; the thread lives as long as it, and reaps it."""
    home = plan.home
    write_private(home.cluster / "ssci.conf", _configuration(plan.settings), home.account)
    _rotate(home)
    command = [
        *(str(plan.binaries.program("postgres")), "-D", str(home.cluster)),
        *("-c", f"unix_socket_directories={home.socket_folder}"),
    ]
    with home.log.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **_child_options(home, lock))
    reaper = threading.Thread(target=process.wait, name="postgres", daemon=True)
    reaper.start()
    return reaper


def _configuration(settings: Mapping[str, str]) -> str:
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    head = "# Written at every start: put your own settings at the end of postgresql.conf."
    return "\n".join([head, *lines, ""])


def _child_options(home: Home, lock: int) -> dict[str, Any]:
    """Its own session (Ctrl-C is not meant for it), a clean environment, never root."""
    account = home.account
    identity = {"user": account.uid, "group": account.gid, "extra_groups": []}
    return {
        "stdin": subprocess.DEVNULL,
        "cwd": home.folder,
        "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        "pass_fds": (lock,),
        "start_new_session": True,
        "umask": 0o077,
        **(identity if account.switch else {}),
    }


def _rotate(home: Home) -> None:
    if home.log.exists() and home.log.stat().st_size > LOG_BYTES:
        home.log.replace(home.log.with_suffix(".log.1"))
        os.close(create_private(home.log, home.account))


def log_tail(home: Home, lines: int = 8) -> str:
    with contextlib.suppress(OSError), home.log.open("rb") as log:
        log.seek(max(0, home.log.stat().st_size - 8192))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    return ""


def advice(home: Home) -> str:
    if shutil.disk_usage(home.folder).free < LITTLE_SPACE:
        return f" The disk of {home.folder} is full: free some space."
    return f" Its log is {home.log}."


def server_pid(home: Home) -> int | None:
    """The process id in postmaster.pid; true only while server.lock is held."""
    try:
        return int((home.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


DEAD = ("Z", "X")
"""States of a process that has ended and that its parent has not asked after yet."""


def remove_stale_pid(home: Home) -> None:
    """For the holder of server.lock: no server of ours lives, whoever has the process id now.

    A server that somebody started by hand holds no lock of ours: its file stays, and PostgreSQL
    refuses to start beside it.
    """
    path = home.cluster / "postmaster.pid"
    if path.exists() and not _is_postgres(server_pid(home)):
        path.unlink()
        (home.socket_folder / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def _is_postgres(pid: int | None) -> bool:
    processes = Path("/proc")
    if pid is None:
        return False
    if not (processes / "self").exists():  # no way to look: PostgreSQL's own check decides
        return True
    try:
        told = (processes / str(pid) / "status").read_text()
    except OSError:
        return False
    lines = dict(line.split(":\t", 1) for line in told.splitlines() if ":\t" in line)
    return lines.get("Name") == "postgres" and lines.get("State", "")[:1] not in DEAD
