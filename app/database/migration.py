"""Alembic revisions, applied at start and by command, by one process at a time.

Alembic writes them as one SQL script (its offline mode) and asyncpg runs it in one transaction.
https://alembic.sqlalchemy.org/en/latest/offline.html
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.errors import Category, error

SCRIPTS = Path(__file__).parent / "migrations"
LOCK = "select pg_advisory_lock(1397965641, 2)"
VERSION_TABLE = "select to_regclass('public.alembic_version') is not null"
VERSION = "select version_num from public.alembic_version"


async def migrate(owner_dsn: str, revision: str = "head") -> None:
    """Bring the database to `revision`: all of it or nothing. Safe to call from many hosts."""
    connection = await asyncpg.connect(owner_dsn, server_settings={"statement_timeout": "0"})
    try:
        await connection.execute(LOCK)  # ends with the connection
        script = upgrade_script(await _current(connection), revision)
        if script.strip():
            async with connection.transaction():
                await connection.execute(script)
    finally:
        await connection.close()


async def current_revision(dsn: str) -> str | None:
    """The revision that the database has; None for one that was never migrated."""
    connection = await asyncpg.connect(dsn)
    try:
        return await _current(connection)
    finally:
        await connection.close()


def newest_revision() -> str | None:
    """The revision that this version of the service needs."""
    return ScriptDirectory.from_config(_config(StringIO())).get_current_head()


def upgrade_script(current: str | None, revision: str = "head") -> str:
    """The SQL that leads from `current` (None: an empty database) to `revision`."""
    script = StringIO()
    path = f"{current}:{revision}" if current else revision
    try:
        command.upgrade(_config(script), path, sql=True)
    except CommandError as failure:
        raise error(
            Category.FAULT,
            f"The database is at revision {current}, which this version of the service does not "
            "know: it was migrated by a newer one. Install that version.",
        ) from failure
    return script.getvalue()


async def _current(connection: asyncpg.Connection[asyncpg.Record]) -> str | None:
    if not await connection.fetchval(VERSION_TABLE):
        return None
    found: str | None = await connection.fetchval(VERSION)
    return found


def _config(script: StringIO) -> Config:
    config = Config(output_buffer=script)
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config
