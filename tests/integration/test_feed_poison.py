"""Which message is to blame when a process dies: only one that was being processed alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from app.database import Database
from app.mappings import FeedKeys
from app.mappings import feeds as feeds_module
from app.mappings.working.processing import Job, Processor
from tests.feed_support import ER7, LIS, Hospital, hospital, oru

FIRST = oru(order="L1", id="1")


class Interrupted(BaseException):
    """Stands for a process that ends here."""


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


async def test_what_was_in_progress_beside_a_message_that_ends_the_process_is_stored(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, dead = Processor.process, asyncio.Event()

    async def die(self: Processor, job: Job) -> Any:
        if b"|KILLER|" in job.content.data:
            dead.set()
            raise Interrupted
        try:
            await asyncio.wait_for(dead.wait(), 0.3)
        except TimeoutError:
            return await process(self, job)
        raise Interrupted

    await _receive_and_die(lab, monkeypatch, oru(order="VICTIM", id="1"))
    await _receive_and_die(lab, monkeypatch, oru(order="KILLER", id="2"))
    with monkeypatch.context() as patch:
        patch.setattr(Processor, "process", die)
        for _ in range(3):
            dead.clear()
            await _let_claims_expire(lab)
            workers = (lab.feeds.process_pending() for _ in range(2))
            await asyncio.gather(*workers, return_exceptions=True)
    await _let_claims_expire(lab)
    await lab.feeds.process_pending()
    assert await _outcomes(lab) == ["stored", "POISON"]


async def test_nothing_else_is_processed_beside_what_a_dead_process_left(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, under_way, most = Processor.process, 0, 0

    async def take_long(self: Processor, job: Job) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.1)
        under_way -= 1
        return await process(self, job)

    await _receive_and_die(lab, monkeypatch)
    await _let_claims_expire(lab)
    monkeypatch.setattr(Processor, "process", take_long)
    working = asyncio.create_task(lab.feeds.process_pending())
    await asyncio.sleep(0.05)
    (answer,) = await lab.feeds.receive(LIS, oru(order="L2", id="2"), ER7)
    await working
    assert answer.facts is not None
    assert (most, await _outcomes(lab)) == (1, ["stored", "stored"])


async def test_a_message_whose_key_was_away_for_long_is_stored_when_it_is_back(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_keys = lab.feeds._read_keys
    await _receive_and_die(lab, monkeypatch)
    lab.feeds._read_keys = lambda: FeedKeys(b"n" * 32, b"r" * 32)
    for _ in range(5):
        await _let_claims_expire(lab)
        await lab.feeds.process_pending()
    lab.feeds._read_keys = read_keys
    await _let_claims_expire(lab)
    await lab.feeds.process_pending()
    assert await _outcomes(lab) == ["stored"]


async def test_a_service_stopped_again_and_again_holds_it_against_no_message(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take_for_ever(*_: object) -> None:
        await asyncio.sleep(60)

    await _receive_and_die(lab, monkeypatch)
    monkeypatch.setattr(feeds_module, "RETRY", timedelta(0))
    with monkeypatch.context() as patch:
        patch.setattr(Processor, "process", take_for_ever)
        for _ in range(5):
            await _let_claims_expire(lab)
            await lab.feeds.start(workers=1)
            await asyncio.sleep(0.1)
            await lab.feeds.stop()
    await _let_claims_expire(lab)
    await lab.feeds.process_pending()
    assert await _outcomes(lab) == ["stored"]


async def _receive_and_die(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch, data: bytes = FIRST
) -> None:
    async def die(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Processor, "process", die)
        with pytest.raises(Interrupted):
            await lab.feeds.receive(LIS, data, ER7)


async def _let_claims_expire(lab: Hospital) -> None:
    async with lab.database.writing() as connection:
        await connection.execute("UPDATE feeds.processing SET claimed_until = now()")


async def _outcomes(lab: Hospital) -> list[str]:
    async with lab.database.reading() as connection:
        rows = await connection.fetch(
            "SELECT coalesce(reason, outcome) AS told FROM feeds.fact ORDER BY message_id, ordinal"
        )
    return [row["told"] for row in rows]
