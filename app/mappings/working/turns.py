"""Turns at processing: many at a time, or one alone.

Of several messages that were being processed when a process died nobody can tell which one it died
of. Each is tried again with nothing else under way: if the process dies again, it died of this one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """Who asks to be alone comes before those who ask later."""

    def __init__(self) -> None:
        self._together = 0
        self._alone: asyncio.Task[object] | None = None
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Beside others; also what a task does that is alone."""
        while self._alone not in (None, asyncio.current_task()):
            await self._change()
        self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            self._tell()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """With nothing beside it. Not within another turn."""
        while self._alone is not None:
            await self._change()
        self._alone = asyncio.current_task()
        try:
            while self._together:
                await self._change()
            yield
        finally:
            self._alone = None
            self._tell()

    async def _change(self) -> None:
        await self._changed.wait()

    def _tell(self) -> None:
        """Wakes all that wait now."""
        self._changed.set()
        self._changed = asyncio.Event()
