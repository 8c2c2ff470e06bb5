"""A running service follows the mapping that is activated."""

from __future__ import annotations

import logging
import shutil
from importlib import resources
from pathlib import Path

import pytest

from app.database import Database
from app.errors import SsciError
from app.mappings.activation.following import MappingFollower
from app.mappings.activation.store import MappingStore
from app.mappings.dictionary.site import read_site
from tests.feed_support import hospital, oru

CODE = "pumch-lis,*,NEWPLT,99MRC,platelets,777-3,Platelets,,,新血小板,count,,10*9/L"
NEW = f"{CODE},0,5000,BLD,collected,\n"


@pytest.fixture
def store(tmp_path: Path) -> MappingStore:
    return MappingStore(tmp_path / "data", "pumch")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("app.mappings").joinpath("sites", "pumch")) as shipped:
        return Path(shutil.copytree(shipped, tmp_path / "pumch"))


def activate(store: MappingStore, folder: Path) -> str:
    version = read_site("pumch", folder).version
    store.activate(folder, version)
    return version


async def test_what_is_activated_is_the_mapping_of_the_next_message(
    database: Database, store: MappingStore, folder: Path
) -> None:
    with (folder / "tests.csv").open("a", encoding="utf-8") as file:
        file.write(NEW)
    async with hospital(database) as lab:
        follower = MappingFollower(store, lab.feeds)
        await follower.look()
        before = await lab.send_one(oru("NEWPLT^新^99MRC", id="1", order="L1"))
        version = activate(store, folder)
        await follower.look()
        after = await lab.send_one(oru("NEWPLT^新^99MRC", id="2", order="L2"))
    assert (before["reason"], after["outcome"]) == ("CODE_UNMAPPED", "stored")
    assert lab.feeds.site.version == version


@pytest.mark.parametrize(
    ("old", "new"), [('"csv", "json"', '"json"'), ("[authorities]", '[authorities]\nX = ["Y"]')]
)
async def test_what_others_hold_too_waits_for_a_restart(
    *,
    database: Database,
    store: MappingStore,
    folder: Path,
    old: str,
    new: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = folder / "site.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    async with hospital(database) as lab:
        before = lab.feeds.site
        activate(store, folder)
        with caplog.at_level(logging.WARNING):
            await MappingFollower(store, lab.feeds).look()
        assert lab.feeds.site is before
    assert "after a restart" in caplog.text


async def test_one_that_cannot_be_loaded_changes_nothing(
    database: Database, store: MappingStore, folder: Path
) -> None:
    with (folder / "tests.csv").open("a", encoding="utf-8") as file:
        file.write(NEW)
    version = activate(store, folder)
    (store.folder / version / "tests.csv").write_text("feed\n", encoding="utf-8")
    async with hospital(database) as lab:
        before = lab.feeds.site
        with pytest.raises(SsciError):
            await MappingFollower(store, lab.feeds).look()
        assert lab.feeds.site is before
