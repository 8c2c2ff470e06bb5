"""The site's data is checked at start: errors name file, line or key, and the reason."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pytest

from app.mappings.dictionary.site import SiteError, read_site
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.decoding import check_formats
from tests.feed_support import site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("app.mappings").joinpath("sites", "pumch")) as shipped:
        return Path(shutil.copytree(shipped, tmp_path / "pumch"))


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_shipped_site_loads() -> None:
    assert set(site().feeds) >= {"pumch-lis", "pumch-his"}
    found = site().find_test("pumch-lis", "CBC", "PLT", "99MRC")
    assert found is not None
    assert (found.loinc, found.role) == ("777-3", "collected")


def test_any_change_of_the_data_changes_the_version(folder: Path) -> None:
    change(folder, "words.csv", "absent,取消", "absent,已取消")
    assert read_site("pumch", folder).version != site().version


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("site.toml", "Asia/Shanghai", "Asia/Nowhere", "feeds.pumch-lis.zone"),
        ("site.toml", "GB 18030-2000", "MARTIAN", "feeds.pumch-lis.charset"),
        ("site.toml", '"A", "B"', '"A", "?"', "accepted_statuses"),
        ("site.toml", '["D", "N", "T"]  #', '["P"]  #', "test_processing_ids"),
        ("site.toml", 'title = "Laboratory', 'titel = "Laboratory', "feeds.pumch-lis.title"),
        ("site.toml", '["hl7v2", ', '["hl7v2", "hl7v2", ', "feeds.pumch-lis.formats"),
        ("site.toml", "[authorities]", "[authorities", "site.toml"),
        ("tests.csv", ",count,10*9/L,", ",count,10*9/M,", "tests.csv line 2"),
        ("tests.csv", ",0,5000,", ",0,many,", "tests.csv line 2: high"),
        ("tests.csv", ",collected,", ",sometimes,", "tests.csv line 2: role"),
        ("tests.csv", "pumch-lis,*,PLT", "pumch-xxx,*,PLT", "tests.csv line 2: feed"),
        ("tests.csv", "pumch-lis,CBC,PCT", "pumch-lis,CBB,PCT", "panels.csv has no CBB"),
        ("panels.csv", "CBC,99PUMCH", "CBC,99MRC", "panels.csv line 3"),
        ("words.csv", ",error,", ",broken,", "words.csv line"),
        ("medications.csv", ",1,0,40,", ",one,0,40,", "medications.csv line 2: tablet_mg"),
        ("units.csv", "reason\n", "reason\npumch-lis,count,109/L,1,,,,\n", "units.csv line 2"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    folder: Path, file: str, old: str, new: str, told: str
) -> None:
    change(folder, file, old, new)
    with pytest.raises(SiteError) as raised:
        read_site("pumch", folder)
    assert told in str(raised.value)
    assert str(raised.value).startswith((file, "tests.csv"))


def test_a_missing_file_is_told(folder: Path) -> None:
    (folder / "words.csv").unlink()
    with pytest.raises(SiteError, match=r"words\.csv"):
        read_site("pumch", folder)


def test_a_feed_of_a_format_that_nothing_reads_stops_the_start(folder: Path) -> None:
    change(folder, "site.toml", 'formats = ["hl7v2", ', 'formats = ["hl7v2", "telex", ')
    with pytest.raises(SiteError, match=r"feeds\.pumch-lis\.formats: 'telex' is none of"):
        check_formats(read_site("pumch", folder), DECODERS)


def test_a_feed_without_hl7_needs_no_message_types(folder: Path) -> None:
    with (folder / "site.toml").open("a", encoding="utf-8") as file:
        file.write(
            """
[feeds.forms]
title = "Forms"
formats = ["crf-json"]
key_authority = "forms"
charset = "UTF-8"
zone = "Asia/Shanghai"
identifier_types = [""]
accepted_statuses = ["F"]
empty_status = "F"
"""
        )
    assert read_site("pumch", folder).feeds["forms"].formats == ("crf-json",)
