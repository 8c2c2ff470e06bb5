"""Concurrent small creations share a transaction, and none of them sees a difference."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from app.database.failures import outcome_unknown
from app.errors import Category, SsciError, error
from app.fhir import Caller, Change
from app.fhir.grouping import AT_ONCE, MAX_GROUP, Grouping
from app.fhir.model import Create
from app.fhir.unhurried import LARGE_BYTES
from app.fhir.writing import Work

CALLER = Caller("test")
Changes = list[list[Change]]


def work(name: str) -> Work:
    return Work([Create({"resourceType": "Basic", "name": name}, name)])


def name_of(held: Work) -> str:
    (operation,) = held.operations
    assert isinstance(operation, Create)
    assert operation.id is not None
    return operation.id


class Transactions:
    """What was written in which transaction; they wait for each other until they may `go`."""

    def __init__(self, **failures: SsciError) -> None:
        self.written: list[list[str]] = []
        self.go = asyncio.Event()
        self.failures = failures
        self.grouping = Grouping(self.alone, self.together)

    async def alone(self, _caller: Caller, held: Work) -> Changes:
        await self.carry_out([name_of(held)])
        return [[name_of(held)]]  # type: ignore[list-item]  # stands for its changes

    async def together(self, works: Sequence[tuple[Caller, Work]]) -> list[Changes]:
        names = [name_of(held) for _, held in works]
        await self.carry_out(names)
        return [[[name]] for name in names]  # type: ignore[list-item]

    async def carry_out(self, names: list[str]) -> None:
        await self.go.wait()
        for name in names:
            if name in self.failures:
                raise self.failures[name]
        self.written.append(names)

    def ask(self, name: str) -> asyncio.Task[Changes]:
        return asyncio.create_task(self.grouping.carry_out(CALLER, work(name)))

    async def ask_all(self, names: Sequence[str]) -> list[asyncio.Task[Changes]]:
        tasks = [self.ask(name) for name in names]
        await asyncio.sleep(0)
        return tasks


async def test_those_that_come_while_others_are_written_are_written_together() -> None:
    transactions = Transactions()
    tasks = await transactions.ask_all("abcdef")
    transactions.go.set()
    assert await asyncio.gather(*tasks) == [[[name]] for name in "abcdef"]
    assert transactions.written == [*([each] for each in "abcdef"[:AT_ONCE]), ["c", "d", "e", "f"]]


async def test_one_that_comes_alone_waits_for_nobody() -> None:
    transactions = Transactions()
    transactions.go.set()
    for name in "abc":
        await transactions.ask(name)
    assert transactions.written == [["a"], ["b"], ["c"]]


async def test_what_is_wrong_with_one_of_a_group_is_told_to_it_alone() -> None:
    refusal = error(Category.UNPROCESSABLE, "no")
    transactions = Transactions(d=refusal)
    tasks = await transactions.ask_all("abcdef")
    transactions.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[3] is refusal
    assert transactions.written == [["a"], ["b"], ["c"], ["e"], ["f"]]


async def test_a_group_that_may_have_been_committed_is_not_repeated() -> None:
    broken = outcome_unknown()
    transactions = Transactions(d=broken)
    tasks = await transactions.ask_all("abcdef")
    transactions.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(each) for each in outcomes[2:]] == [str(broken)] * 4
    assert len({id(each) for each in outcomes[2:]}) == 4, "each is told by its own exception"
    assert transactions.written == [["a"], ["b"]]


async def test_a_group_that_found_no_connection_is_tried_one_by_one() -> None:
    transactions = Transactions(d=error(Category.UNAVAILABLE, "no connection came free"))
    tasks = await transactions.ask_all("abcdef")
    transactions.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, SsciError) for each in outcomes] == [False] * 3 + [True] + [False] * 2
    assert transactions.written == [["a"], ["b"], ["c"], ["e"], ["f"]]


async def test_much_is_not_written_together() -> None:
    transactions = Transactions()
    large = [
        asyncio.create_task(
            transactions.grouping.carry_out(CALLER, replace(work(name), size=LARGE_BYTES // 2))
        )
        for name in "abcdefg"
    ]
    await asyncio.sleep(0)
    transactions.go.set()
    await asyncio.gather(*large)
    assert max(map(len, transactions.written)) == 2


async def test_who_is_cancelled_while_it_waits_has_written_nothing() -> None:
    transactions = Transactions()
    tasks = await transactions.ask_all("abcd")
    tasks[2].cancel()
    await asyncio.sleep(0)
    transactions.go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert transactions.written == [["a"], ["b"], ["d"]]


async def test_who_is_cancelled_in_a_group_takes_nobody_along() -> None:
    transactions = Transactions()
    started = asyncio.Event()

    async def together(works: Sequence[tuple[Caller, Work]]) -> list[Changes]:
        started.set()
        await asyncio.sleep(0.01)
        return await transactions.together(works)

    transactions.grouping = Grouping(transactions.alone, together)
    tasks = await transactions.ask_all("abcd")
    transactions.go.set()
    await started.wait()
    tasks[2].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[2], asyncio.CancelledError)
    assert outcomes[3] == [["d"]]


async def test_a_group_has_a_bound() -> None:
    transactions = Transactions()
    names = [f"n{number}" for number in range(AT_ONCE + 2 * MAX_GROUP)]
    tasks = await transactions.ask_all(names)
    transactions.go.set()
    await asyncio.gather(*tasks)
    assert max(map(len, transactions.written)) == MAX_GROUP
    assert sorted(name for each in transactions.written for name in each) == sorted(names)


async def test_places_are_free_again_after_failures() -> None:
    refusal = error(Category.UNPROCESSABLE, "no")
    transactions = Transactions(a=refusal, b=refusal, c=refusal, d=refusal)
    transactions.go.set()
    for _ in range(3):
        tasks = await transactions.ask_all("abcd")
        assert await asyncio.gather(*tasks, return_exceptions=True) == [refusal] * 4
    assert await transactions.ask("e") == [["e"]]
