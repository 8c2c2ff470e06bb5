"""`ssci feed …` as a process of its own: tables, JSON, decisions and replays."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.main import open_services
from app.settings import read_settings
from tests.conftest import Dsns
from tests.feed_support import LIS, STRANGER, oru

Result = subprocess.CompletedProcess[str]
Ssci = Callable[..., Result]
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def ssci(database_dsns: Dsns, tmp_path: Path) -> Ssci:
    """The command over a database with three messages: two of them unsupported."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SSCI_")}
    environment = {
        **inherited,
        "SSCI_DATA_DIR": str(tmp_path / "data"),
        "SSCI_DATABASE_URL": database_dsns.owner,
        "SSCI_RUNTIME_DATABASE_URL": database_dsns.runtime,
        "COLUMNS": "250",
        "PYTHONPATH": ROOT,
    }

    def run(*arguments: str, given: str = "") -> Result:
        return subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", "feed", *arguments],
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
        )

    settings = read_settings(
        data_dir=str(tmp_path / "data"),
        database_url=database_dsns.owner,
        runtime_database_url=database_dsns.runtime,
    )

    async def fill() -> None:
        async with open_services(settings) as services:
            for body in (
                oru(mrn=STRANGER),
                oru(id="2").replace(b"ORU^R01^ORU_R01", b"ADT^A60^ADT_A60"),
                oru(id="3", order="L9").replace(b"ORU^R01^ORU_R01", b"ADT^A60^ADT_A60"),
            ):
                await services.feeds.receive(LIS, body, "application/hl7-v2")

    asyncio.run(fill())
    return run


def test_what_is_open_can_be_seen_dismissed_and_replayed(ssci: Ssci) -> None:
    status = ssci("status")
    assert status.returncode == 0, status.stderr
    assert "UNSUPPORTED_TYPE" in status.stdout
    listed = json.loads(ssci("quarantine", "--reason", "UNSUPPORTED_TYPE", "--json").stdout)
    assert [fact["message"] for fact in listed["facts"]] == [3, 2]
    table = ssci("quarantine").stdout
    assert "PATIENT_UNKNOWN" in table
    assert "OBX[1]" in table
    done = ssci("dismiss", "2", "--person", "Dr. Watcher", "--why", "never sent again")
    assert "dismiss of fact 0 is recorded" in done.stdout
    again = ssci("dismiss", "2", "--person", "Dr. Watcher", "--why", "never sent again")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    dry = ssci("replay", "--reason", "UNSUPPORTED_TYPE")
    assert "dry run over 1 messages: nothing was written" in dry.stdout
    assert "1 facts fail or wait" in dry.stdout
    nameless = ssci("replay", "--reason", "UNSUPPORTED_TYPE", "--go")
    assert nameless.returncode == 2
    went = ssci("replay", "--reason", "UNSUPPORTED_TYPE", "--go", "--person", "Me", "--why", "it")
    assert "replay 1: done, 1 messages" in went.stdout
    assert ssci("replay").returncode == 2
    opened = ssci("reopen", "2", "--person", "Me", "--why", "it matters", "--fact", "0")
    assert opened.returncode == 0


def test_messages_are_listed_and_an_order_number_comes_from_standard_input(ssci: Ssci) -> None:
    found = json.loads(ssci("messages", LIS, "--type", "ADT^A60", "--json").stdout)
    assert [each["control_id"] for each in found["messages"]] == ["3", "2"]
    assert "ORU^R01" in ssci("messages", LIS).stdout
    asked = ssci("messages", LIS, "--order-file", "-", "--json", given="L9\n")
    assert json.loads(asked.stdout)["messages"] == []
    assert ssci("messages", LIS, "--received", "yesterday").returncode == 2
    assert ssci("messages", LIS, "--state", "lost").returncode == 2
    assert ssci("messages", "nowhere").returncode == 1
