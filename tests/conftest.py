"""One embedded PostgreSQL for the whole run, migrated once, cloned for each test.

`SSCI_TEST_PG_MAJOR` chooses its version (18 or 16). A watcher process ends the server and removes
its directory should the test run be killed.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from app.database import Database, EmbeddedServer, Limits, migrate, start_embedded

TEMPLATE = "ssci"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 * 1024**3
TEST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "128MB",
    "autovacuum": "off",
}
SMALL = Limits(read_connections=4, write_connections=4, wait_seconds=2.0)

# Ends with its standard input, that is with the test run, however that ends.
WATCHER = """
import os, pathlib, shutil, signal, sys, time
sys.stdin.read()
folder = pathlib.Path(sys.argv[1])
pid_file = folder / "postgres/cluster/postmaster.pid"
try:
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)
    for _ in range(100):
        if not pid_file.exists():
            break
        time.sleep(0.05)
except (OSError, ValueError, IndexError):
    pass
shutil.rmtree(folder, ignore_errors=True)
"""


@dataclass(frozen=True, slots=True)
class Dsns:
    """Addresses of one test database, for tests that need a raw connection."""

    owner: str = field(repr=False)
    runtime: str = field(repr=False)


def memory_folder() -> Path | None:
    """A file system in memory with room enough, where a clone takes 20 ms instead of 500."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
        return MEMORY
    return None


@pytest.fixture(scope="session")
def pg_major() -> int:
    return int(os.environ.get("SSCI_TEST_PG_MAJOR", "18"))


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ssci-test-", dir=memory_folder()))
    folder.chmod(0o755)  # PostgreSQL's user passes through; what is inside is private
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    )
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    watcher.communicate()


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can enter, unlike pytest's own when root tests."""
    folder = Path(tempfile.mkdtemp(prefix="ssci-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def server(server_folder: Path, pg_major: int) -> AsyncIterator[EmbeddedServer]:
    """The test run's PostgreSQL; its database `ssci` is the migrated template."""
    async with await start_embedded(server_folder, pg_major, settings=TEST_SETTINGS) as running:
        await migrate(running.owner_dsn)
        yield running


_numbers = itertools.count(1)


@pytest.fixture
async def database_dsns(server: EmbeddedServer) -> AsyncIterator[Dsns]:
    """A fresh, migrated database of this test's own."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(_other_database(server.owner_dsn, "postgres"))
    try:
        await admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        await admin.execute(f"revoke create, temporary on database {name} from public")
        yield Dsns(
            _other_database(server.owner_dsn, name), _other_database(server.runtime_dsn, name)
        )
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@pytest.fixture
async def database(database_dsns: Dsns) -> AsyncIterator[Database]:
    """This test's own database, opened as the runtime role."""
    async with await Database.open(database_dsns.runtime, SMALL) as opened:
        yield opened


@pytest.fixture
async def owner(database_dsns: Dsns) -> AsyncIterator[asyncpg.Connection]:
    """A raw connection to this test's own database, as its owner."""
    connection = await asyncpg.connect(database_dsns.owner)
    yield connection
    await connection.close()


def _other_database(dsn: str, name: str) -> str:
    address, _, query = dsn.partition("?")
    return f"{address.rpartition('/')[0]}/{name}?{query}"
