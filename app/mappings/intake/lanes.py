"""Calls that come at the same time are carried out together: one transaction, one fsync for many.

Nothing waits for company: a call that comes alone is carried out alone, at once; those that come
while others are being carried out are taken up together when these are done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Sequence[T]], Awaitable[Sequence[R | BaseException]]]
"""Carries out calls together: a result or a failure for each, in their order."""


class Lanes(Generic[T, R]):
    """At most `lanes` works at a time, each of at most `most` calls."""

    def __init__(self, work: Work[T, R], most: int, lanes: int = 1) -> None:
        self._work = work
        self._most = most
        self._free = lanes
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def do(self, call: T) -> R:
        """The result of this call, carried out alone or with others. One that is cancelled after
        its work began is carried out all the same."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def stop(self) -> None:
        """Ends what is being carried out; who waits for it is cancelled."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while taken := self._take():
                await self._carry_out(taken)
        finally:
            self._free += 1

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        taken: list[tuple[T, asyncio.Future[R]]] = []
        while self._waiting and len(taken) < self._most:
            call, future = self._waiting.popleft()
            if not future.done():  # its caller may have gone
                taken.append((call, future))
        return taken

    async def _carry_out(self, taken: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            ends = await self._work([call for call, _ in taken])
        except asyncio.CancelledError:
            for _, future in taken:
                future.cancel()
            raise
        except BaseException as problem:
            ends = [problem] * len(taken)
        for (_, future), end in zip(taken, ends, strict=True):
            _tell(future, end)


def _tell(future: asyncio.Future[R], end: R | BaseException) -> None:
    if future.done():
        return
    if isinstance(end, BaseException):
        future.set_exception(end)
    else:
        future.set_result(end)
