"""columns.toml is checked at start: a mistake names file, key and reason."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pytest

from app.mappings.dictionary.site import SiteError, read_site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("app.mappings").joinpath("sites", "pumch")) as shipped:
        return Path(shutil.copytree(shipped, tmp_path / "pumch"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('kind = "result"', 'kind = "x"', "feeds.pumch-lis.kind: 'x' is none of dose, result"),
        ('needed = ["subject", ', 'needed = ["sbject", ', "feeds.pumch-lis: 'sbject' is none of"),
        ("[feeds.pumch-his]", "[feeds.other]", "feeds: 'other' is none of"),
        ('system = "99MRC" ', "system = 3 ", "feeds.pumch-lis.constants.system: must be a text"),
        ('["结果", ', '["病历号", ', "result.value: '病历号' has two meanings"),
        ('["结果", ', '["__", "结果", ', "result.value: '__' is no name"),
        ("[result]\n", '[result]\nsbject = ["x"]\n', "result: 'sbject' is none of"),
        ('staff = ["送检', 'staff = ["结果", "送检', "ignored.staff: '结果' is a column of result"),
        ('F = ["final"', 'FF = ["final"', "words.result.status: 'FF' is none of"),
        ('P = ["preliminary"', 'P = ["Final"', "words.result.status.P: 'Final' has two meanings"),
        ("[words.result.flag] ", "[words.result.unit] ", "words.result.unit: no words stand for"),
        ("[result]", "[result", "columns.toml: "),
        ('subject = ["病历号"', 'subject = 3 # ["', "result.subject: must be a list of texts"),
    ],
)
def test_a_mistake_stops_the_start(folder: Path, old: str, new: str, told: str) -> None:
    path = folder / "columns.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SiteError) as failure:
        read_site("pumch", folder)
    assert str(failure.value).startswith("columns.toml: ")
    assert told in str(failure.value)


def test_a_feed_that_takes_tables_needs_columns(folder: Path) -> None:
    path = folder / "columns.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[text.index("[result]") :] + "\n[feeds]\n", encoding="utf-8")
    with pytest.raises(SiteError, match=r"feeds\.pumch-lis: is missing"):
        read_site("pumch", folder)


def test_any_change_of_the_columns_is_another_mapping_version(folder: Path) -> None:
    before = read_site("pumch", folder).version
    with (folder / "columns.toml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert read_site("pumch", folder).version != before
