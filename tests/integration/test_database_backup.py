"""A dump of one cluster, restored into another, answers the same."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from app.database import Database, back_up, restore, start_embedded
from app.errors import SsciError
from app.fhir import Create
from tests.conftest import TEST_SETTINGS, Dsns
from tests.fhir_support import CALLER, store_on

OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


async def test_what_was_backed_up_is_restored_into_a_new_cluster(
    database: Database, database_dsns: Dsns, reachable_folder: Path, pg_major: int
) -> None:
    (change,) = await store_on(database).write(CALLER, [Create(OBSERVATION)])
    file = reachable_folder / "ssci.dump"
    await back_up(database_dsns.owner, file)
    folder = reachable_folder / "restored"
    async with await start_embedded(folder, pg_major, settings=TEST_SETTINGS) as server:
        await restore(server.owner_dsn, file)
        async with await Database.open(server.runtime_dsn) as restored:
            stored = await store_on(restored).read(CALLER, "Observation", change.id)
            assert stored is not None
            assert stored.body == change.body
            await store_on(restored).write(CALLER, [Create(OBSERVATION)])
        with pytest.raises(SsciError, match="holds data already"):
            await restore(server.owner_dsn, file)
        connection = await asyncpg.connect(server.owner_dsn)
        try:
            assert await connection.fetchval("SELECT count(*) FROM fhir.observation") == 2
        finally:
            await connection.close()


async def test_a_file_that_is_no_dump_is_told_and_changes_nothing(
    database_dsns: Dsns, tmp_path: Path
) -> None:
    file = tmp_path / "no.dump"
    file.write_bytes(b"nothing")
    with pytest.raises(SsciError, match="pg_restore"):
        await restore(database_dsns.owner, file)
