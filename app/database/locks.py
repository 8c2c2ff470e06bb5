"""File locks between processes, and waiting that says what it waits for.

flock(2) belongs to the open file: it ends with the process that holds it, however that ends, and a
child that inherits the file goes on holding it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

POLL_SECONDS = 0.05

Progress = Callable[[str], None]


class Waiting:
    """Pauses between looks at something slow; says so after each second."""

    def __init__(self, say: Progress, what: str) -> None:
        self.what = what
        self._say = say
        self._since = time.monotonic()
        self._next_word = 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    async def pause(self) -> None:
        await asyncio.sleep(POLL_SECONDS)
        if self.seconds >= self._next_word:
            self._say(f"Waiting: {self.what} ({int(self.seconds)} s)")
            self._next_word = int(self.seconds) + 1


def open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def share_lock(file: int) -> None:
    fcntl.flock(file, fcntl.LOCK_SH)


def is_locked(path: Path) -> bool:
    """Whether any process holds the lock, shared or not."""
    file = open_lock(path)
    try:
        return not try_lock(file)
    finally:
        os.close(file)


@contextlib.asynccontextmanager
async def locked(path: Path, say: Progress, what: str) -> AsyncIterator[None]:
    """Hold the lock alone; while somebody else has it, wait for `what`."""
    file = open_lock(path)
    try:
        waiting = Waiting(say, what)
        while not try_lock(file):
            await waiting.pause()
        yield
    finally:
        os.close(file)
