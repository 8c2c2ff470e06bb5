"""The installation's keys: one file, mode 0600, made at the first start.

Losing it loses the link between hospital numbers and subjects and the raw messages: back it up
apart from the database (docs/operations.md).

Two rings of keys rotate: `encrypting` (identity) and `messages` (wraps the data keys of raw
messages). The file keeps every key of a ring until it is retired, so that what was encrypted under
it opens; the ring's current key encrypts what is new. The keys of keyed hashes never rotate: under
another one, no hospital number and no result would be found again.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from app.errors import Category, SsciError, error

KEY_BYTES = 32
FIRST = "1"

Stamp = tuple[int, int, int]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Ring:
    """Keys of 32 bytes by id, of which `current` encrypts what is new. Ids are numbers: a higher
    one than the current is prepared, but not used yet."""

    keys: Mapping[str, bytes] = field(repr=False)
    current: str

    def __post_init__(self) -> None:
        lengths = {len(key) for key in self.keys.values()}
        if lengths != {KEY_BYTES} or self.current not in self.keys:
            raise ValueError("a key is missing or has the wrong length")

    @property
    def newest(self) -> str:
        return max(self.keys, key=int)

    @property
    def former(self) -> tuple[str, ...]:
        """The ids of the keys before the current one."""
        return tuple(id for id in self.keys if int(id) < int(self.current))

    def with_new_key(self) -> Ring:
        """With a key prepared, unless one is already."""
        if self.newest != self.current:
            return self
        return Ring({**self.keys, str(int(self.newest) + 1): _fresh_key()}, self.current)

    def using_newest(self) -> Ring:
        return replace(self, current=self.newest)

    def without(self, ids: Set[str]) -> Ring:
        return replace(self, keys={id: key for id, key in self.keys.items() if id not in ids})


@dataclass(frozen=True, slots=True)
class Keys:
    """`identity` and `wrapping` are rings; `identity_lookup` finds hospital numbers, `results`
    makes resource ids: these never rotate. `rotated`: when the rings' current keys were changed."""

    identity: Ring
    wrapping: Ring
    identity_lookup: bytes = field(repr=False)
    results: bytes = field(repr=False)
    rotated: datetime | None = None

    @property
    def encrypting(self) -> Mapping[str, bytes]:
        return self.identity.keys

    @property
    def current(self) -> str:
        return self.identity.current

    @property
    def messages(self) -> bytes:
        """The key that wraps the data keys of new messages."""
        return self.wrapping.keys[self.wrapping.current]

    @property
    def former_messages(self) -> tuple[bytes, ...]:
        """The other keys under which a data key may be wrapped."""
        return tuple(key for id, key in self.wrapping.keys.items() if id != self.wrapping.current)


def ensure_keys(path: Path) -> Keys:
    """The keys in `path`; a missing file is made first, durably and by one process only.

    FAULT names the file and what is wrong with it.
    """
    if not path.exists():
        _make(path)
    return read_keys(path)


def read_keys(path: Path) -> Keys:
    """The keys in `path`. FAULT names the file and what is wrong with it."""
    try:
        _check_mode(path)
        return _parse(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise _unusable(
            path, f"it can't be read as a key file ({type(problem).__name__})"
        ) from None


class KeyFile:
    """The key file of a running service: read again when it has changed, since a rotation changes
    it while the service goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = ensure_keys(path)
        self._seen = _stamp(path)

    def read(self) -> Keys:
        """The keys now. A file that has gone does not stop what runs: only a start needs it."""
        seen = _stamp(self._path)
        if seen is not None and seen != self._seen:
            self._keys, self._seen = read_keys(self._path), seen
        return self._keys

    def follow(self, make: Callable[[Keys], Made]) -> Callable[[], Made]:
        """What `make` makes of the keys now; made anew when the file has changed."""
        keys = self._keys
        made = make(keys)

        def current() -> Made:
            nonlocal keys, made
            now = self.read()
            if now is not keys:
                keys, made = now, make(now)
            return made

        return current


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


# Changing


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Nobody else changes the keys meanwhile; CONFLICT if somebody does already."""
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise error(Category.CONFLICT, "the keys are being rotated by another command") from None
    try:
        yield
    finally:
        os.close(lock)


def write_keys(path: Path, keys: Keys) -> None:
    """Replace the key file, durably: at every moment it is the old one or the new one."""
    with _drafted(path, keys) as draft:
        os.replace(draft, path)
        _sync_folder(path)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _drafted(path, _fresh()) as draft:
        _link(draft, path)


@contextlib.contextmanager
def _drafted(path: Path, keys: Keys) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(_as_json(keys), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path) -> None:
    """Give the finished draft its name, unless another process was first."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# Form


def _fresh() -> Keys:
    return Keys(
        Ring({FIRST: _fresh_key()}, FIRST),
        Ring({FIRST: _fresh_key()}, FIRST),
        _fresh_key(),
        _fresh_key(),
    )


def _fresh_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def _as_json(keys: Keys) -> dict[str, Any]:
    return {
        "encrypting": {id: _encoded(key) for id, key in keys.identity.keys.items()},
        "current": keys.identity.current,
        "identity_lookup": _encoded(keys.identity_lookup),
        "results": _encoded(keys.results),
        "messages": {id: _encoded(key) for id, key in keys.wrapping.keys.items()},
        "current_messages": keys.wrapping.current,
        "rotated": keys.rotated.isoformat() if keys.rotated else None,
    }


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")


def _check_mode(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _unusable(path, "others may read it: chmod 600 it")


def _parse(held: Mapping[str, Any]) -> Keys:
    rotated = held.get("rotated")
    keys = Keys(
        _parse_ring(held["encrypting"], held["current"]),
        _parse_ring(_by_id(held["messages"]), held.get("current_messages", FIRST)),
        base64.b64decode(held["identity_lookup"]),
        base64.b64decode(held["results"]),
        datetime.fromisoformat(rotated) if rotated else None,
    )
    if {len(keys.identity_lookup), len(keys.results)} != {KEY_BYTES}:
        raise ValueError("a key has the wrong length")
    return keys


def _by_id(held: object) -> Mapping[str, str]:
    """The first form of the file has one key for messages, without an id."""
    return held if isinstance(held, dict) else {FIRST: str(held)}


def _parse_ring(held: Mapping[str, str], current: str) -> Ring:
    if not all(id.isdecimal() for id in held):
        raise ValueError("a key's id is not a number")
    return Ring({id: base64.b64decode(text) for id, text in held.items()}, current)


def _unusable(path: Path, reason: str) -> SsciError:
    return error(
        Category.FAULT,
        f"{path}: {reason}. Restore it from your backup; a new one would not open what is stored.",
    )
