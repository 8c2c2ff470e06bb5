"""`ssci mapping …` as a process of its own: a folder is checked, compared, activated."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from app.main import mapping_store, open_services
from app.settings import Settings, read_settings
from tests.conftest import Dsns
from tests.feed_support import CALLER, LIS, MRN, STRANGER, oru, site

Result = subprocess.CompletedProcess[str]
Ssci = Callable[..., Result]
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def settings(database_dsns: Dsns, tmp_path: Path) -> Settings:
    return read_settings(
        data_dir=str(tmp_path / "data"),
        database_url=database_dsns.owner,
        runtime_database_url=database_dsns.runtime,
    )


@pytest.fixture
def ssci(database_dsns: Dsns, tmp_path: Path) -> Ssci:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SSCI_")}
    environment = {
        **inherited,
        "SSCI_DATA_DIR": str(tmp_path / "data"),
        "SSCI_DATABASE_URL": database_dsns.owner,
        "SSCI_RUNTIME_DATABASE_URL": database_dsns.runtime,
        "PYTHONPATH": ROOT,
    }

    def run(*arguments: str) -> Result:
        return subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A candidate: a new version in which quality control ends in another way."""
    with resources.as_file(resources.files("app.mappings").joinpath("sites", "pumch")) as shipped:
        made = Path(shutil.copytree(shipped, tmp_path / "candidate"))
    change(made, "site.toml", 'version = "pumch-1"', 'version = "pumch-2"')
    change(made, "site.toml", '"ORU^R01", ', "")
    return made


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


async def fill(settings: Settings) -> int:
    """A message of somebody who is not enrolled; its id."""
    async with open_services(settings) as services:
        await services.feeds.receive(LIS, oru(mrn=STRANGER), "x-application/hl7-v2+er7")
        async with services.database.reading() as connection:
            return int(await connection.fetchval("SELECT max(id) FROM feeds.message"))


def test_a_mapping_is_compared_before_it_is_activated(
    settings: Settings, ssci: Ssci, folder: Path
) -> None:
    message = asyncio.run(fill(settings))
    refused = ssci("mapping", "activate", str(folder))
    assert (refused.returncode, "was not compared" in refused.stderr) == (1, True)

    told = ssci("mapping", "diff", str(folder), "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    (line,) = [each for each in found["list"] if each["message"] == message][:1]
    assert "UNSUPPORTED_TYPE" in line["after"] or line["after"] == "no fact"
    assert found["changed"] >= 1
    assert STRANGER not in told.stdout

    done = ssci("mapping", "activate", str(folder))
    assert done.returncode == 0, done.stderr
    store = mapping_store(settings)
    assert store.active.startswith("pumch-2+")
    assert f"* {store.active}" in ssci("mapping", "list").stdout
    assert asyncio.run(version_in_service(settings)) == (store.active, store.active)


async def version_in_service(settings: Settings) -> tuple[str, str]:
    """The version that the feeds are read by, and that of the code system in the FHIR store."""
    async with open_services(settings) as services:
        stored = await services.store.read(CALLER, "CodeSystem", "pumch-lis-test")
        assert stored is not None
        assert stored.body is not None
        return services.feeds.site.version, json.loads(stored.body)["version"]


def test_a_folder_that_is_wrong_is_not_activated(
    settings: Settings, ssci: Ssci, folder: Path
) -> None:
    change(folder, "tests.csv", ",777-3,", ",777-4,")
    refused = ssci("mapping", "activate", str(folder), "--without-diff")
    assert refused.returncode == 1
    assert "tests.csv line 2: loinc: '777-4'" in refused.stderr
    assert mapping_store(settings).active == ""


def test_an_active_mapping_whose_files_were_changed_stops_the_start(
    settings: Settings, ssci: Ssci, folder: Path
) -> None:
    assert ssci("mapping", "activate", str(folder), "--without-diff").returncode == 0
    store = mapping_store(settings)
    change(store.folder / store.active, "words.csv", "absent,取消", "absent,已取消")
    refused = ssci("feed", "status")
    assert refused.returncode == 1
    assert "its files were changed" in refused.stderr
    back = ssci("mapping", "activate", "shipped", "--without-diff")
    assert back.returncode == 0, back.stderr
    assert store.active == site().version


def test_the_ledger_of_a_message_is_told_without_values(settings: Settings, ssci: Ssci) -> None:
    message = asyncio.run(fill(settings))
    told = ssci("feed", "ledger", str(message))
    assert told.returncode == 0, told.stderr
    assert "PID[1]-5.1\tmapped" in told.stdout
    assert "0 unexplained" in told.stdout
    for value in (STRANGER, MRN, "测试"):
        assert value not in told.stdout
