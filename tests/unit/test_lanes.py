"""Calls that come at the same time are carried out together, and each has its own end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.mappings.intake.lanes import Lanes


class Doubling:
    """Doubles numbers; fails for negative ones, all together for a number above 100."""

    def __init__(self) -> None:
        self.taken: list[list[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> list[int | BaseException]:
        self.taken.append(list(numbers))
        await self.gate.wait()
        if max(numbers) > 100:
            raise OSError("all of them")
        return [2 * n if n >= 0 else ValueError(n) for n in numbers]


async def _started(lanes: Lanes[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(lanes.do(n)) for n in numbers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_those_that_come_while_one_is_carried_out_go_together() -> None:
    work = Doubling()
    lanes = Lanes(work, most=3)
    tasks = await _started(lanes, 1)
    tasks += await _started(lanes, 2, 3, 4, 5)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
    assert work.taken == [[1], [2, 3, 4], [5]]


async def test_a_failure_of_one_is_told_to_that_one_alone() -> None:
    work = Doubling()
    lanes = Lanes(work, most=9)
    work.gate.set()
    tasks = await _started(lanes, 7, 1, -1, 3)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [int, int, ValueError, int]


async def test_a_failure_of_all_is_told_to_all_and_the_next_are_carried_out() -> None:
    work = Doubling()
    lanes = Lanes(work, most=9)
    work.gate.set()
    ends = await asyncio.gather(*await _started(lanes, 101, 102), return_exceptions=True)
    assert [type(end) for end in ends] == [OSError, OSError]
    assert await lanes.do(1) == 2


async def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    work = Doubling()
    lanes = Lanes(work, most=1)
    _, gone = [*await _started(lanes, 1), *await _started(lanes, 2)]
    gone.cancel()
    await asyncio.sleep(0)
    work.gate.set()
    assert await lanes.do(3) == 6
    assert work.taken == [[1], [3]]


async def test_a_caller_who_leaves_does_not_end_what_was_begun() -> None:
    work = Doubling()
    lanes = Lanes(work, most=2)
    first, *others = await _started(lanes, 1, 2)
    first.cancel()
    await asyncio.sleep(0)
    work.gate.set()
    assert await asyncio.gather(*others) == [4]


async def test_who_waits_when_the_lanes_are_stopped_is_cancelled() -> None:
    lanes = Lanes(Doubling(), most=2)
    (task,) = await _started(lanes, 1)
    await lanes.stop()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_two_lanes_carry_out_two_at_a_time() -> None:
    work = Doubling()
    lanes = Lanes(work, most=1, lanes=2)
    tasks = await _started(lanes, 1, 2, 3)
    assert work.taken == [[1], [2]]
    work.gate.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6]
