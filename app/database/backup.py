"""Backup and restore of the database with PostgreSQL's own programs, those of the wheel.
https://www.postgresql.org/docs/18/app-pgdump.html · https://www.postgresql.org/docs/18/app-pgrestore.html
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from app.database.binaries import find_binaries
from app.database.opening import prepare
from app.errors import Category, error

NEWEST = 18


async def back_up(owner_dsn: str, file: Path) -> None:
    """A dump of everything in `file` (custom format), consistent while the service goes on."""
    await _run("pg_dump", owner_dsn, "--format=custom", f"--file={file}")


async def restore(owner_dsn: str, file: Path) -> None:
    """`back_up`'s dump into a database that holds no resource yet; wholly or not at all.

    CONFLICT if anything is stored there. The xids of the other cluster are reset.
    """
    await prepare(owner_dsn)
    connection = await asyncpg.connect(owner_dsn)
    try:
        used = await connection.fetchval("SELECT EXISTS (SELECT FROM fhir.transaction_log)")
    finally:
        await connection.close()
    if used:
        raise error(
            Category.CONFLICT,
            "this database holds data already: restore into a new data folder or database",
        )
    await _run(
        "pg_restore",
        owner_dsn,
        "--clean",
        "--if-exists",
        "--no-owner",
        "--exit-on-error",
        "--single-transaction",
        str(file),
    )
    await prepare(owner_dsn)


async def _run(program: str, dsn: str, *arguments: str) -> None:
    """The password goes by the environment: a command line can be read by others."""
    password = urlsplit(dsn).password or ""
    address = dsn.replace(f":{password}@", "@", 1)
    process = await asyncio.create_subprocess_exec(
        str(find_binaries(NEWEST).program(program)),
        *arguments,
        f"--dbname={address}",
        env={"PGPASSWORD": unquote(password), "LC_ALL": "C"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    if process.returncode:
        last = told.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason told"]
        raise error(Category.FAULT, f"{program}: {last[0]}")
