"""Enrolment racing the hospital: a result that arrives while its patient is enrolled is stored, in
every order of events, also when the process ended between enrolment and replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from app.database import Database
from app.errors import Category, error
from app.mappings import Feeds, TrialDirectory
from app.trial import Trial, replay_enrolled
from tests.feed_support import FEED_KEYS, Hospital, hospital, message, msh, obr, obx, pid, site
from tests.trial_support import KEYS, open_trial, person, trial_client, trial_store

SUBJECTS = "/trial/subjects"


@pytest.fixture
async def there(database: Database) -> AsyncIterator[Hospital]:
    store = trial_store(database)
    feeds = Feeds(database, store, site(), FEED_KEYS, TrialDirectory(KEYS))
    async with hospital(database, feeds, store) as opened:
        yield opened


@pytest.fixture
def trial(database: Database, there: Hospital) -> Trial:
    return replace(open_trial(database), store=there.store, replay=there.feeds.replay_waiting)


@pytest.fixture
async def client(trial: Trial) -> AsyncIterator[httpx.AsyncClient]:
    async with trial_client(trial) as opened:
        yield opened


def body(number: int) -> dict[str, object]:
    """Without name and birth date, which the messages would have to match."""
    return person(number, mrn=f"T{number:09d}", name=None, birthDate=None, birthYear=1979)


def result(number: int, sent: int = 1) -> bytes:
    order = f"L{number}-{sent}"
    return message(
        msh(f10=f"C{order}"), pid(f"T{number:09d}"), obr(order), obx(value=str(20 + sent))
    )


async def outcomes(there: Hospital) -> dict[str, int]:
    async with there.database.reading() as connection:
        rows = await connection.fetch("SELECT outcome, count(*) AS n FROM feeds.fact GROUP BY 1")
    return {row["outcome"]: row["n"] for row in rows}


async def test_a_result_that_came_before_enrolment_is_stored_by_it(
    there: Hospital, client: httpx.AsyncClient
):
    await there.send(result(1))
    assert await outcomes(there) == {"waiting": 1}
    assert (await client.post(SUBJECTS, json=body(1))).status_code == 201
    assert await outcomes(there) == {"stored": 1}


async def test_results_that_arrive_during_enrolment_are_never_lost(
    there: Hospital, client: httpx.AsyncClient
):
    """Twelve people, each enrolled while three of their results arrive."""
    people = range(1, 13)
    await asyncio.gather(
        *(client.post(SUBJECTS, json=body(number)) for number in people),
        *(there.send(result(number, sent)) for number in people for sent in (1, 2, 3)),
    )
    await there.feeds.process_pending()
    assert await outcomes(there) == {"stored": 36}
    assert await there.count("Observation") == 36


async def test_what_a_process_left_waiting_is_stored_at_the_next_start(
    there: Hospital, trial: Trial
):
    """The process ends after the enrolment's commit, before its replay."""

    async def killed(hashes: object) -> None:
        raise error(Category.UNAVAILABLE, "killed")

    await there.send(result(1))
    async with trial_client(replace(trial, replay=killed)) as client:
        assert (await client.post(SUBJECTS, json=body(1))).status_code == 503
    assert await outcomes(there) == {"waiting": 1}
    await replay_enrolled(trial)
    assert await outcomes(there) == {"stored": 1}


async def test_an_added_number_brings_the_results_that_waited_for_it(
    there: Hospital, client: httpx.AsyncClient
):
    await client.post(SUBJECTS, json=body(1))
    await there.send(result(2))
    assert await outcomes(there) == {"waiting": 1}
    change = {"action": "add", "mrn": "t000000002"}
    assert (await client.post(f"{SUBJECTS}/SSCI-001/mrns", json=change)).status_code == 200
    assert await outcomes(there) == {"stored": 1}


async def test_a_message_of_two_patients_is_taken_up_for_the_one_who_was_just_enrolled(
    there: Hospital, trial: Trial, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    """The second is no subject. Enrolment and its replay come after the subjects were looked up,
    before the facts are written: nothing waits yet that the replay could find."""
    find = TrialDirectory.find
    looked = asyncio.Event()

    async def find_then_enrol(self, connection, claims):  # type: ignore[no-untyped-def]
        found = await find(self, connection, claims)
        if not looked.is_set():
            looked.set()
            assert (await client.post(SUBJECTS, json=body(1))).status_code == 201
        return found

    monkeypatch.setattr(TrialDirectory, "find", find_then_enrol)
    two = message(
        *(msh(f10="C1"), pid("T000000001"), obr("L1"), obx()),
        *(pid("T000000099"), obr("L2"), obx()),
    )
    await there.send(two)
    await there.feeds.process_pending()
    assert await outcomes(there) == {"stored": 1, "waiting": 1}


async def test_what_is_collected_after_withdrawal_is_not_taken_over(
    there: Hospital, client: httpx.AsyncClient
):
    """The last day counts; the day after does not, and shows nothing."""
    await client.post(SUBJECTS, json=body(1))
    end = {"status": "withdrawn", "on": "2019-03-14", "reason": "consent-withdrawn"}
    assert (await client.post(f"{SUBJECTS}/SSCI-001/status", json=end)).status_code == 200
    days = {"20190314235900+0800": "stored", "20190315000100+0800": "not-subject-data"}
    for number, (collected, outcome) in enumerate(days.items()):
        order = obr(f"L{number}", f7=collected)
        data = message(msh(f10=f"C{number}"), pid("T000000001"), order, obx(f14=collected))
        fact = await there.send_one(data)
        assert (fact["outcome"], fact["code"] == "") == (outcome, outcome != "stored"), fact
    assert await there.count("Observation") == 1
