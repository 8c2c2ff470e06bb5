"""The files of `ssci simulate`: complete, described by their manifest, equal for equal orders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from app.cohort_files import Order, write_cohort
from app.errors import SsciError


def write(folder: Path, order: Order) -> int:
    return write_cohort(order, folder, lambda: None)


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_equal_orders_give_equal_files(tmp_path):
    write(tmp_path / "a", Order(3, seed=4))
    write(tmp_path / "b", Order(3, seed=4))
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_the_manifest_describes_every_message(tmp_path):
    written = write(tmp_path, Order(3, seed=4))
    manifest = (tmp_path / "manifest.ndjson").read_text(encoding="utf-8")
    listed = [json.loads(line) for line in manifest.splitlines()]
    assert len(listed) == written
    for line in listed:
        payload = (tmp_path / line["file"]).read_bytes()
        assert hashlib.sha256(payload).hexdigest() == line["sha256"]
        suffix = "json" if line["feed"] == "pumch-crf" else "hl7"
        assert line["file"].endswith(f"-{line['feed']}.{suffix}")
    assert len(list(tmp_path.glob("messages/*/*.*"))) == written


def test_enrolments_and_bundles_have_one_entry_per_participant(tmp_path):
    write(tmp_path, Order(3, seed=4))
    enrolments = json.loads((tmp_path / "enrolment.json").read_text(encoding="utf-8"))
    assert len({body["mrn"] for body in enrolments}) == 3
    bundles = (tmp_path / "bundles.ndjson").read_text(encoding="utf-8").splitlines()
    patients = [json.loads(line)["entry"][0]["resource"]["id"] for line in bundles]
    assert patients == ["SSCI-001", "SSCI-002", "SSCI-003"]


def test_what_is_not_wanted_is_not_written(tmp_path):
    assert write(tmp_path, Order(2, seed=4, messages=False, bundles=False)) == 0
    written = content(tmp_path)
    assert written["bundles.ndjson"] == written["manifest.ndjson"] == b""
    assert sorted(written)[:3] == ["bundles.ndjson", "cohort.json", "enrolment.json"]
    assert len(written) == 4


def test_writing_the_same_order_again_is_allowed(tmp_path):
    write(tmp_path, Order(2, seed=4))
    before = content(tmp_path)
    write(tmp_path, Order(2, seed=4))
    assert content(tmp_path) == before


def test_a_folder_with_another_cohort_is_left_alone(tmp_path):
    write(tmp_path, Order(2, seed=4))
    before = content(tmp_path)
    with pytest.raises(SsciError, match="holds something else"):
        write(tmp_path, Order(2, seed=5))
    assert content(tmp_path) == before


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(SsciError, match="holds something else"):
        write(tmp_path, Order(2, seed=4))
    assert list(content(tmp_path)) == ["thesis.txt"]
