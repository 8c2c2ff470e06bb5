"""Concurrent small creations share a transaction: one place in the order of writers, one commit.

While `AT_ONCE` are under way, those that come wait and are then written together; who comes alone
is written alone, at once. Only works that can't meet each other are grouped, so that nobody sees a
difference, but that resources of one group share their `last_updated` as those of a transaction do.
If a group fails, each of it is tried alone, so that what is wrong with one is told to it alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from app.database import OutcomeUnknownError
from app.errors import SsciError
from app.fhir.model import Caller, Change
from app.fhir.unhurried import LARGE_BYTES
from app.fhir.writing import Work

AT_ONCE = 2
"""Transactions of this kind under way: one is made ready while another is committed."""

MAX_GROUP = 32

Changes = list[list[Change]]
Alone = Callable[[Caller, Work], Awaitable[Changes]]
Together = Callable[[Sequence[tuple[Caller, Work]]], Awaitable[list[Changes]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    caller: Caller
    work: Work
    outcome: asyncio.Future[Changes] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Grouping:
    """Lets works wait for each other. `alone` and `together` carry them out, with their retries."""

    def __init__(self, alone: Alone, together: Together) -> None:
        self._alone = alone
        self._together = together
        self._waiting: list[_Waiting] = []
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def carry_out(self, caller: Caller, work: Work) -> Changes:
        """The changes of the work, committed. Whoever is cancelled while it waits has written
        nothing; once its group is under way, it may have."""
        if self._under_way >= AT_ONCE:
            waiting = _Waiting(caller, work)
            self._waiting.append(waiting)
            return await waiting.outcome
        self._under_way += 1
        try:
            return await self._alone(caller, work)
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """Hand the place of a transaction that ended to those who wait, if any do."""
        waiting = [each for each in self._waiting if not each.outcome.done()]
        size = _size_of_group(waiting)
        group, self._waiting = waiting[:size], waiting[size:]
        if not group:
            self._under_way -= 1
            return
        task = asyncio.create_task(self._carry_out_group(group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out_group(self, group: Sequence[_Waiting]) -> None:
        try:
            await self._try_together(group)
        finally:
            for each in group:
                if not each.outcome.done():  # the service is being stopped
                    each.outcome.cancel()
            self._go_on()

    async def _try_together(self, group: Sequence[_Waiting]) -> None:
        if len(group) > 1:
            try:
                outcomes = await self._together([(each.caller, each.work) for each in group])
            except Exception as failure:
                if isinstance(failure, OutcomeUnknownError):
                    _tell_all(group, failure)
                    return
            else:
                for each, changes in zip(group, outcomes, strict=True):
                    if not each.outcome.done():
                        each.outcome.set_result(changes)
                return
        for each in group:
            await self._try_alone(each)

    async def _try_alone(self, waiting: _Waiting) -> None:
        if waiting.outcome.done():
            return
        try:
            changes = await self._alone(waiting.caller, waiting.work)
        except Exception as failure:
            if not waiting.outcome.done():
                waiting.outcome.set_exception(failure)
        else:
            if not waiting.outcome.done():
                waiting.outcome.set_result(changes)


def _size_of_group(waiting: Sequence[_Waiting]) -> int:
    """How many of those who wait are written together: few enough, and not too much."""
    total = 0
    for number, each in enumerate(waiting[:MAX_GROUP]):
        total += each.work.size
        if total > LARGE_BYTES:
            return max(number, 1)
    return min(len(waiting), MAX_GROUP)


def _tell_all(group: Sequence[_Waiting], failure: Exception) -> None:
    for each in group:
        if not each.outcome.done():
            each.outcome.set_exception(_own(failure))


def _own(failure: Exception) -> Exception:
    """Each is told by an exception of its own: whoever raises one adds to its traceback."""
    if isinstance(failure, SsciError):
        return type(failure)(failure.category, failure.issues, failure.status, failure.headers)
    return failure
