"""The key file: made once, private, replaced as a whole, read again by what runs."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import Category, SsciError
from app.keys import KeyFile, Keys, Ring, changing, ensure_keys, read_keys, write_keys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys.json"


def rotated(keys: Keys) -> Keys:
    return replace(
        keys,
        identity=keys.identity.with_new_key().using_newest(),
        wrapping=keys.wrapping.with_new_key().using_newest(),
    )


def test_a_missing_file_is_made_for_its_owner_alone(path: Path):
    keys = ensure_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_keys(path) == keys
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_start_at_once_agree_on_the_keys(path: Path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ensure_keys(path), range(8)))
    assert all(each == found[0] for each in found)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_stops_the_start(path: Path, mode: int):
    ensure_keys(path)
    path.chmod(mode)
    with pytest.raises(SsciError) as told:
        ensure_keys(path)
    assert told.value.category is Category.FAULT
    assert "chmod 600" in str(told.value)


@pytest.mark.parametrize(
    "change",
    [
        {"current": "7"},
        {"results": "c2hvcnQ="},
        {"encrypting": {"1": "c2hvcnQ="}},
        {"encrypting": {"one": "A" * 43 + "="}, "current": "one"},
        {"messages": []},
        {"rotated": "yesterday"},
    ],
)
def test_a_file_with_a_wrong_key_is_told_without_the_keys(path: Path, change: dict[str, object]):
    ensure_keys(path)
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | change))
    with pytest.raises(SsciError) as told:
        ensure_keys(path)
    assert str(path) in str(told.value)
    assert held["results"] not in str(told.value)


def test_a_file_that_is_no_key_file_is_never_overwritten(path: Path):
    path.parent.mkdir()
    path.write_text("precious")
    path.chmod(0o600)
    with pytest.raises(SsciError):
        ensure_keys(path)
    assert path.read_text() == "precious"


def test_keys_are_not_shown_when_printed(path: Path):
    keys = ensure_keys(path)
    assert repr(keys.results) not in repr(keys)
    assert repr(keys.messages) not in repr(keys)


def test_the_first_form_of_the_file_is_read(path: Path):
    """It had one key for messages, without an id."""
    keys = ensure_keys(path)
    held = json.loads(path.read_text())
    held["messages"] = held["messages"]["1"]
    del held["current_messages"], held["rotated"]
    path.write_text(json.dumps(held))
    assert read_keys(path) == keys


def test_a_rotation_keeps_former_keys_and_those_of_hashes(path: Path):
    before = ensure_keys(path)
    write_keys(path, rotated(before))
    after = read_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (after.identity_lookup, after.results) == (before.identity_lookup, before.results)
    assert (after.current, set(after.encrypting)) == ("2", {"1", "2"})
    assert after.encrypting["1"] == before.encrypting["1"]
    assert after.former_messages == (before.messages,)
    assert after.messages != before.messages


def test_a_prepared_key_is_there_and_not_used_until_it_is(path: Path):
    ring = ensure_keys(path).identity
    prepared = ring.with_new_key()
    assert (prepared.current, prepared.newest, prepared.former) == ("1", "2", ())
    assert prepared.with_new_key() is prepared
    assert prepared.using_newest().former == ("1",)


def test_a_ring_does_without_retired_keys_but_never_without_its_current_one():
    ring = Ring({"1": bytes(32), "2": b"2" * 32}, "2")
    assert set(ring.without({"1"}).keys) == {"2"}
    with pytest.raises(ValueError, match="missing"):
        ring.without({"2"})


def test_a_running_service_reads_a_changed_file_again(path: Path):
    file = KeyFile(path)
    current = file.follow(lambda keys: keys.current)
    assert current() == "1"
    write_keys(path, rotated(file.read()))
    assert current() == "2"


def test_a_running_service_goes_on_when_the_file_has_gone(path: Path):
    file = KeyFile(path)
    keys = file.read()
    path.unlink()
    assert file.read() is keys
    assert not path.exists()


def test_keys_are_changed_by_one_command_at_a_time(path: Path):
    ensure_keys(path)
    with changing(path):
        with pytest.raises(SsciError) as told, changing(path):
            pass
        assert told.value.category is Category.CONFLICT
    with changing(path):
        pass
