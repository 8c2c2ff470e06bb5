"""The demo: feeds a whole cohort over HTTP, and after an interruption the rest, nothing twice."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from rich.console import Console

from app.demo import DemoPlan, run_demo
from app.errors import SsciError
from app.settings import Settings, read_settings
from app.simulation import build_case_report_forms, build_messages, simulate_participants
from tests.conftest import Dsns

PLAN = DemoPlan(participants=2, seed=1, exit_after=0)
SSCI = str(Path(sys.executable).with_name("ssci"))


@pytest.fixture
def settings(database_dsns: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("SSCI_")]:
        monkeypatch.delenv(name)
    return read_settings(
        port=0,
        data_dir=tmp_path / "data",
        database_url=database_dsns.owner,
        runtime_database_url=database_dsns.runtime,
        no_auth=True,
    )


@pytest.fixture
def demo(settings: Settings) -> Callable[[], Awaitable[str]]:
    async def run() -> str:
        shown = io.StringIO()
        await run_demo(settings, PLAN, Console(file=shown, width=120))
        return shown.getvalue()

    return run


def expected_hashes() -> set[bytes]:
    return {
        hashlib.sha256(message.payload).digest()
        for participant in simulate_participants(PLAN.participants, PLAN.seed)
        for message in (*build_messages(participant), *build_case_report_forms(participant))
    }


async def state_of(owner: asyncpg.Connection) -> dict[str, Any]:
    """What must not move when the demo runs again."""
    return {
        "messages": await owner.fetchval("SELECT count(*) FROM feeds.message"),
        "deliveries": await owner.fetchval("SELECT count(*) FROM feeds.delivery"),
        "subjects": await owner.fetchval("SELECT count(*) FROM trial.subject"),
        "observations": await owner.fetch("SELECT id, version FROM fhir.observation ORDER BY id"),
    }


async def test_the_whole_cohort_is_fed_and_the_figures_are_shown(demo, owner):
    shown = await demo()
    kept = {row["sha256"] for row in await owner.fetch("SELECT sha256 FROM feeds.message")}
    assert kept == expected_hashes()
    for text in ("Baseline", "Month 6", "/docs", "/fhir/metadata", "curl -s", "_history"):
        assert text in shown
    outcomes = await owner.fetch("SELECT DISTINCT reason FROM feeds.fact WHERE reason IS NOT NULL")
    assert {row["reason"] for row in outcomes} <= {"PATIENT_UNKNOWN", "NOT_SUBJECT_DATA"}


async def test_a_second_run_feeds_nothing(demo, owner):
    await demo()
    before = await state_of(owner)
    shown = await demo()
    assert await state_of(owner) == before
    assert "were acknowledged before, 0 not" in shown


async def test_a_run_after_kill_9_feeds_the_rest_and_nothing_twice(demo, owner, settings, tmp_path):
    await killed_in_the_middle(settings, owner, tmp_path)
    fed = await owner.fetchval("SELECT count(*) FROM feeds.message")
    assert 0 < fed < len(expected_hashes())
    await demo()
    kept = {row["sha256"] for row in await owner.fetch("SELECT sha256 FROM feeds.message")}
    assert kept == expected_hashes()
    unfinished = "SELECT count(*) FROM feeds.processing WHERE state <> 'done'"
    assert await owner.fetchval(unfinished) == 0
    doubled = """SELECT count(*) FROM (SELECT subject, effective, analyte FROM feeds.fact
        WHERE outcome = 'stored' AND resource_id IS NOT NULL GROUP BY 1, 2, 3
        HAVING count(DISTINCT resource_id) > 1) doubled"""
    assert await owner.fetchval(doubled) == 0


async def killed_in_the_middle(settings: Settings, owner: asyncpg.Connection, folder: Path) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SSCI_")}
    assert settings.database_url is not None
    assert settings.runtime_database_url is not None
    process = await asyncio.create_subprocess_exec(
        *(SSCI, "demo", "--port", "0", "--participants", str(PLAN.participants)),
        env={
            **inherited,
            "SSCI_DATA_DIR": str(settings.data_dir),
            "SSCI_DATABASE_URL": settings.database_url.get_secret_value(),
            "SSCI_RUNTIME_DATABASE_URL": settings.runtime_database_url.get_secret_value(),
        },
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while await owner.fetchval("SELECT count(*) FROM feeds.message") < 15:
        assert time.monotonic() < deadline
        assert process.returncode is None
        await asyncio.sleep(0.02)
    process.kill()
    await process.wait()


async def test_a_taken_port_is_told_with_what_to_do(settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = settings.model_copy(update={"port": other.getsockname()[1]})
        with pytest.raises(SsciError, match=r"port \d+ is taken.*--port"):
            await run_demo(taken, PLAN, Console(file=io.StringIO()))
