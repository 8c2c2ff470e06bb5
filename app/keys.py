"""The installation's keys: one file, mode 0600, made at the first start and never overwritten.

Losing it loses the link between hospital numbers and subjects and the raw messages: back it up
apart from the database (docs/operations.md).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import Category, SsciError, error

KEY_BYTES = 32
FIRST = "1"


@dataclass(frozen=True, slots=True)
class Keys:
    """`encrypting`: AES keys by id, of which `current` encrypts what is new. The others never
    rotate: `identity_lookup` finds hospital numbers, `results` makes resource ids, `messages` wraps
    the data keys of raw messages."""

    encrypting: Mapping[str, bytes] = field(repr=False)
    current: str
    identity_lookup: bytes = field(repr=False)
    results: bytes = field(repr=False)
    messages: bytes = field(repr=False)


def ensure_keys(path: Path) -> Keys:
    """The keys in `path`; a missing file is made first, durably and by one process only.

    FAULT names the file and what is wrong with it.
    """
    if not path.exists():
        _make(path)
    try:
        _check_mode(path)
        return _parse(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise _unusable(
            path, f"it can't be read as a key file ({type(problem).__name__})"
        ) from None


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(_fresh(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path) -> None:
    """Give the finished draft its name, unless another process was first."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _fresh() -> dict[str, Any]:
    return {
        "encrypting": {FIRST: _encoded()},
        "current": FIRST,
        "identity_lookup": _encoded(),
        "results": _encoded(),
        "messages": _encoded(),
    }


def _encoded() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def _check_mode(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _unusable(path, "others may read it: chmod 600 it")


def _parse(held: Mapping[str, Any]) -> Keys:
    keys = Keys(
        {name: base64.b64decode(text) for name, text in held["encrypting"].items()},
        held["current"],
        *(base64.b64decode(held[name]) for name in ("identity_lookup", "results", "messages")),
    )
    lengths = {len(key) for key in keys.encrypting.values()}
    lengths |= {len(keys.identity_lookup), len(keys.results), len(keys.messages)}
    if lengths != {KEY_BYTES} or keys.current not in keys.encrypting:
        raise ValueError("a key is missing or has the wrong length")
    return keys


def _unusable(path: Path, reason: str) -> SsciError:
    return error(
        Category.FAULT,
        f"{path}: {reason}. Restore it from your backup; a new one would not open what is stored.",
    )
