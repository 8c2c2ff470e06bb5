"""Rotation of keys while the service goes on: everything is under the new keys, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.database import Database
from app.mappings import FeedKeys, Feeds
from app.mappings.intake.inbox import fetch_content, kek_id
from app.mappings.intake.rewrapping import count_by_message_key, rewrap_messages
from app.trial import IdentityKeys, fetch_subjects_by_mrn, mrn_hmac
from app.trial import rewrapping as identity_rewrapping
from app.trial.identity import (
    birth_date_place,
    decrypt,
    mrn_place,
    override_reason_place,
)
from app.trial.rewrapping import Rewrapped, count_by_identity_key, rewrap_identity
from tests.conftest import Dsns
from tests.feed_support import (
    FEED_KEYS,
    Directory,
    hospital,
    message,
    msh,
    obr,
    obx,
    pid,
    site,
)
from tests.trial_support import (
    KEYS,
    MARK,
    answered,
    open_trial,
    person,
    trial_client,
    trial_store,
)

ROTATED = IdentityKeys({**KEYS.encryption, "k2": b"2" * 32}, "k2", KEYS.lookup_hmac)
FEED_ROTATED = FeedKeys(b"n" * 32, FEED_KEYS.result_hmac, former=(FEED_KEYS.kek,))


@pytest.fixture
async def owner_database(database_dsns: Dsns) -> AsyncIterator[Database]:
    async with await Database.open(database_dsns.owner) as opened:
        yield opened


def ignore(step: int) -> None:
    """Nobody watches the progress."""


async def enrol(database: Database, people: int) -> None:
    refractory = {"answer": "unknown", "overrideReason": f"{MARK} knows"}
    async with trial_client(open_trial(database)) as client:
        for number in range(1, people + 1):
            body = person(number, eligibility=answered(refractory=refractory))
            assert (await client.post("/trial/subjects", json=body)).status_code == 201


async def identity_counts(database: Database) -> dict[str, int]:
    async with database.reading() as connection:
        return await count_by_identity_key(connection)


# Identity


async def test_all_of_identity_is_under_the_new_key_and_opens_with_it_alone(
    database: Database, owner_database: Database
):
    await enrol(database, 3)
    steps: list[int] = []
    assert await rewrap_identity(owner_database, ROTATED, steps.append) == Rewrapped(9, 0)
    assert sum(steps) == 9
    assert await identity_counts(database) == {"k2": 9}
    new_alone = IdentityKeys({"k2": ROTATED.encryption["k2"]}, "k2", KEYS.lookup_hmac)
    async with database.reading() as connection:
        who = await connection.fetchrow("SELECT * FROM identity.subject_identity ORDER BY subject")
        mrn = await connection.fetchrow("SELECT * FROM identity.subject_mrn ORDER BY subject")
        why = await connection.fetchrow("SELECT * FROM identity.override_reason ORDER BY subject")
        found = await fetch_subjects_by_mrn(connection, KEYS, [("PUMCH", person(1)["mrn"])])
    assert [each.number for each in found.values()] == ["SSCI-001"]
    assert who is not None
    assert mrn is not None
    assert why is not None
    hashed = mrn_hmac(KEYS, "PUMCH", person(1)["mrn"])
    opened = [
        decrypt(new_alone, birth_date_place("SSCI-001"), "k2", who["birth_date_ciphertext"]),
        decrypt(new_alone, mrn_place("PUMCH", hashed), "k2", mrn["mrn_ciphertext"]),
        decrypt(
            new_alone,
            override_reason_place("SSCI-001", "refractory"),
            "k2",
            why["reason_ciphertext"],
        ),
    ]
    assert opened == ["1979-05-04", person(1)["mrn"], f"{MARK} knows"]


async def test_a_rotation_that_was_broken_off_goes_on_in_small_batches(
    database: Database, owner_database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(identity_rewrapping, "BATCH", 2)
    await enrol(database, 5)

    class BrokenOffError(Exception):
        pass

    steps: list[int] = []

    def break_off(step: int) -> None:
        steps.append(step)
        if len(steps) == 3:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        await rewrap_identity(owner_database, ROTATED, break_off)
    half = await identity_counts(database)
    assert half["k1"] + half["k2"] == 15
    assert half["k1"] > 0
    assert await rewrap_identity(owner_database, ROTATED, ignore) == Rewrapped(half["k1"], 0)
    assert await identity_counts(database) == {"k2": 15}


async def test_a_row_that_does_not_open_is_counted_and_the_others_are_done(
    database: Database, owner_database: Database
):
    await enrol(database, 2)
    async with owner_database.writing() as connection:
        await connection.execute(
            "UPDATE identity.subject_mrn SET mrn_ciphertext = 'broken' WHERE subject = 'SSCI-001'"
        )
    assert await rewrap_identity(owner_database, ROTATED, ignore) == Rewrapped(5, 1)
    assert await identity_counts(database) == {"k1": 1, "k2": 5}


async def test_who_is_enrolled_after_the_rotation_is_under_the_new_key(database: Database):
    keys = [KEYS]
    trial = replace(open_trial(database), read_keys=lambda: keys[0])
    async with trial_client(trial) as client:
        await client.post("/trial/subjects", json=person(1))
        keys[0] = ROTATED
        await client.post("/trial/subjects", json=person(2))
    assert await identity_counts(database) == {"k1": 2, "k2": 2}


# Messages


def result(number: int) -> bytes:
    return message(msh(f10=f"C{number}"), pid(), obr(f"L{number}"), obx(value=str(20 + number)))


async def test_messages_received_during_a_rotation_all_open_with_the_new_key(
    database: Database, owner_database: Database
):
    """Half are there before, half arrive while their data keys are wrapped anew."""
    keys = [FEED_KEYS]
    store = trial_store(database)
    feeds = Feeds(database, store, site(), lambda: keys[0], Directory())
    async with hospital(database, feeds, store) as there:
        for number in range(20):
            await there.send(result(number))
        keys[0] = FEED_ROTATED
        _, done = await asyncio.gather(
            asyncio.gather(*(there.send(result(number)) for number in range(20, 40))),
            rewrap_messages(owner_database, FEED_ROTATED, ignore),
        )
        assert (done.done, done.failed) == (20, 0)
        async with database.reading() as connection:
            assert await count_by_message_key(connection) == {kek_id(b"n" * 32): 40}
            new_alone = FeedKeys(b"n" * 32, FEED_KEYS.result_hmac)
            contents = [await fetch_content(connection, new_alone, n + 1) for n in range(40)]
        assert len({each.data for each in contents if each is not None}) == 40


async def test_a_data_key_under_an_unknown_key_is_counted_and_stays(
    database: Database, owner_database: Database
):
    async with hospital(database) as there:
        await there.send(result(1))
    strange = FeedKeys(b"s" * 32, FEED_KEYS.result_hmac)
    done = await rewrap_messages(owner_database, strange, ignore)
    assert (done.done, done.failed) == (0, 1)
    async with database.reading() as connection:
        assert await fetch_content(connection, FEED_KEYS, 1) is not None
