"""Messages processed in one transaction end as if they had come one by one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from app.database import Database, WriteConnection
from app.errors import Category, error
from app.fhir import parse_json
from app.mappings import FeedKeys, Feeds
from app.mappings import feeds as feeds_module
from app.mappings.intake import inbox as inbox_module
from app.mappings.subjects import Subject
from app.mappings.working.joint import process_in_waves
from app.mappings.working.processing import Job, Processor
from tests.feed_support import (
    ER7,
    FEED_KEYS,
    HIS,
    LIS,
    MRN,
    STRANGER,
    SUBJECT,
    Clock,
    Directory,
    Hospital,
    adt,
    hospital,
    message,
    msh,
    obr,
    obx,
    oml,
    oru,
    pid,
    ras,
    site,
)
from tests.trial_support import trial_store

Sent = tuple[str, bytes]
MRNS = (MRN, "T000000002", "T000000003", STRANGER, "N888888888")


def directory() -> Directory:
    others = {
        ("PUMCH", mrn): Subject(f"SSCI-00{n}", f"Patient/SSCI-00{n}", synthetic=True)
        for n, mrn in enumerate(MRNS[1:3], start=2)
    }
    return Directory({("PUMCH", MRN): SUBJECT, **others})


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


def some_message(chance: random.Random, n: int) -> Sent:
    """Few subjects, orders, values and times, so that many messages are about the same."""
    mrn, order = chance.choice(MRNS), chance.choice(["L1", "L2", "L3", f"X{n}"])
    hour = f"201903141{chance.randrange(10)}0000+0800"
    kind = chance.randrange(10)
    if kind == 0:
        return HIS, ras(mrn=mrn, order=chance.choice("AB"), action=chance.choice("AUD"), sent=hour)
    if kind == 1:
        return HIS, adt("A08", mrn=mrn, visit=chance.choice("12"), sent=hour)
    if kind == 2:
        return HIS, oml(mrn=mrn, order=f"P-{order}", sent=hour)
    if kind == 3 and not n % 4:
        return HIS, adt("A40", mrn=MRN, merged=STRANGER, sent=hour)
    if kind in (4, 5):
        others = [obx("WBC^白细胞^99MRC", str(n), f4="2"), obx("HGB^血红蛋白^99MRC", "90", f4="3")]
        return LIS, message(msh(f7=hour, f10="1"), pid(mrn), obr(order), obx(), *others)
    value = chance.choice(["20", "30", "200", "1O2"])
    unit = chance.choice(["10*9/L", "10*9/L", "10*3/uL", "parsecs"])
    letter = chance.choice("FFFPCWU")
    return LIS, oru(value=value, unit=unit, status=letter, mrn=mrn, order=order, sent=hour, id="1")


async def keep_all(feeds: Feeds, messages: Sequence[Sent]) -> None:
    for feed, data in messages:
        await feeds.receive(feed, data, ER7, wait=False)


async def contents(database: Database) -> dict[str, Any]:
    """Every version of every resource, every fact, acknowledgement and row of the trial; without
    the instants of writing."""
    found: dict[str, Any] = {}
    async with database.reading() as connection:
        for kind in ("observation", "diagnosticreport", "provenance", "servicerequest",
                     "medicationadministration", "encounter"):  # fmt: skip
            rows = await connection.fetch(
                f"SELECT id, version, body FROM fhir.{kind} UNION ALL"
                f" SELECT id, version, body FROM fhir.{kind}_history ORDER BY 1, 2"
            )
            found[kind] = [(row["id"], row["version"], timeless(row["body"])) for row in rows]
        facts = await connection.fetch("SELECT * FROM feeds.fact ORDER BY message_id, ordinal")
        found["fact"] = [{**row, "updated": None} for row in map(dict, facts)]
        for table in ("acknowledgement", "processing"):
            rows = await connection.fetch(f"SELECT * FROM feeds.{table} ORDER BY message_id")
            found[table] = [{**row, "claimed_until": None} for row in map(dict, rows)]
        rows = await connection.fetch(
            "SELECT to_jsonb(m) - 'system' AS row FROM trial.measurement m"
            " ORDER BY resource_id, resource_version"
        )
        found["measurement"] = [row["row"] for row in rows]
    return found


def timeless(body: bytes) -> Any:
    resource = parse_json(body)
    return {**resource, "meta": {**resource["meta"], "lastUpdated": None}}


async def empty(owner: asyncpg.Connection) -> None:
    tables = await owner.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname IN ('fhir', 'trial', 'feeds') AND tablename <> 'cluster'"
    )
    names = ", ".join(row["name"] for row in tables)
    await owner.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")


@pytest.mark.parametrize("seed", range(8))
async def test_messages_processed_together_end_as_if_they_had_come_one_by_one(
    database: Database,
    owner: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    chance = random.Random(seed)
    messages = [some_message(chance, n) for n in range(40)]
    ends, waves = [], []

    async def counted(processor: Processor, *given: Any) -> AsyncIterator[Any]:
        async for wave in process_in_waves(processor, *given):
            waves.append(len(wave))
            yield wave

    monkeypatch.setattr(feeds_module, "process_in_waves", counted)
    for together in (1, 16):
        monkeypatch.setattr(feeds_module, "TOGETHER", together)
        feeds = Feeds(database, trial_store(database), site(), FEED_KEYS, directory(), now=Clock())
        await keep_all(feeds, messages)
        waves.clear()
        await feeds.process_pending()
        ends.append(await contents(database))
        await empty(owner)
    one_by_one, grouped = ends
    assert max(waves) > 2
    for name, rows in one_by_one.items():
        assert grouped[name] == rows, name
    assert {fact["outcome"] for fact in grouped["fact"]} >= {
        *("stored", "quarantined", "waiting", "not-collected")
    }


async def test_messages_that_another_attempt_has_ended_meanwhile_go_one_by_one(
    lab: Hospital, owner: asyncpg.Connection
) -> None:
    """A claim ran out, and the attempt it was for goes on as if it were the first."""
    wbc = obx("WBC^白细胞^99MRC", "5.1", f4="2")
    messages = [message(msh(f10=n), pid(), obr(f"L{n}"), obx(), wbc) for n in ("1", "2", "3")]
    await keep_all(lab.feeds, [(LIS, data) for data in messages])
    assert await lab.feeds.process_pending() == 3
    before = await contents(lab.database)
    await owner.execute(
        "UPDATE feeds.processing SET state = 'pending', started = 0, finished = 0,"
        " claimed_until = now() WHERE message_id <> 2"
    )
    assert await lab.feeds.process_pending() == 2
    after = await contents(lab.database)
    assert after == before
    assert [fact["outcome"] for fact in after["fact"]] == ["stored", "not-collected"] * 3


async def test_a_message_that_cannot_be_written_harms_no_other(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sizes = lab.store.write, []

    async def refuse(caller: Any, operations: Any, also: Any) -> Any:
        sizes.append(len(operations))
        if any(_is_sick(operation) for operation in operations):
            raise error(Category.UNPROCESSABLE, "no", expression="Observation.value")
        return await write(caller, operations, also)

    monkeypatch.setattr(lab.store, "write", refuse)
    values = ["20", "21", "666", "23", "24", "25"]
    await keep_all(lab.feeds, [(LIS, oru(value=v, order=f"L{v}", id=v)) for v in values])
    assert await lab.feeds.process_pending() == 6
    assert sizes[0] == 18
    assert await _outcomes(lab) == ["stored", "stored", "FHIR_INVALID", *["stored"] * 3]


def _is_sick(operation: Any) -> bool:
    found = operation.revise(None) if operation.resource_type == "Observation" else None
    return found is not None and str(found["valueQuantity"]["value"]) == "666"


async def _outcomes(lab: Hospital) -> list[str]:
    async with lab.database.reading() as connection:
        rows = await connection.fetch(
            "SELECT CASE outcome WHEN 'quarantined' THEN reason ELSE outcome END AS outcome"
            " FROM feeds.fact ORDER BY message_id"
        )
    return [row["outcome"] for row in rows]


async def test_a_message_that_cannot_be_mapped_harms_no_other(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_facts = Processor.map_facts

    def fail(self: Processor, job: Job, *others: Any) -> Any:
        if b"|L2|" in job.content.data:
            raise KeyError("sick")
        return map_facts(self, job, *others)

    monkeypatch.setattr(Processor, "map_facts", fail)
    await keep_all(lab.feeds, [(LIS, oru(order=f"L{n}", id=f"{n}")) for n in range(1, 5)])
    assert await lab.feeds.process_pending() == 4
    assert await _outcomes(lab) == ["stored", "INTERNAL", "stored", "stored"]


async def test_a_message_whose_key_is_not_there_harms_no_other(lab: Hospital) -> None:
    await keep_all(lab.feeds, [(LIS, oru(order="L1", id="1"))])
    lab.feeds._read_keys = lambda: FeedKeys(b"n" * 32, b"r" * 32)
    lab.feeds._held.clear()
    await keep_all(lab.feeds, [(LIS, oru(order="L2", id="2"))])
    assert await lab.feeds.process_pending() == 2
    assert await _outcomes(lab) == ["stored"]


async def test_while_the_database_is_away_all_stay_pending_and_are_tried_again(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise error(Category.UNAVAILABLE, "away")

    await keep_all(lab.feeds, [(LIS, oru(order=f"L{n}", id=f"{n}")) for n in range(3)])
    with monkeypatch.context() as patch:
        patch.setattr(lab.store, "write", away)
        await lab.feeds.process_pending()
    assert await _outcomes(lab) == []
    async with lab.database.writing() as connection:
        await connection.execute("UPDATE feeds.processing SET claimed_until = now()")
    assert await lab.feeds.process_pending() == 3
    assert await _outcomes(lab) == ["stored"] * 3


class Interrupted(BaseException):
    """Stands for a process that ends here."""


async def test_a_message_that_ends_its_process_takes_no_other_into_quarantine(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_facts = Processor.map_facts

    def die(self: Processor, job: Job, *others: Any) -> Any:
        if b"|L2|" in job.content.data:
            raise Interrupted
        return map_facts(self, job, *others)

    await keep_all(lab.feeds, [(LIS, oru(order=f"L{n}", id=f"{n}")) for n in range(1, 5)])
    with monkeypatch.context() as patch:
        patch.setattr(Processor, "map_facts", die)
        for _ in range(3):
            with pytest.raises(Interrupted):
                await lab.feeds.process_pending()
            async with lab.database.writing() as connection:
                await connection.execute("UPDATE feeds.processing SET claimed_until = now()")
    await lab.feeds.process_pending()
    assert await _outcomes(lab) == ["stored", "POISON", "stored", "stored"]


async def test_deliveries_that_come_at_once_share_a_transaction_and_each_has_its_answer(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, sizes = inbox_module.keep, []

    async def counted(connection: WriteConnection, keys: Any, incoming: Any, claims: Any) -> Any:
        sizes.append(len(incoming))
        return await keep(connection, keys, incoming, claims)

    monkeypatch.setattr(inbox_module, "keep", counted)
    sent = [oru(order=f"L{n % 5}", id=f"{n % 5}") for n in range(10)]
    answers = await asyncio.gather(
        *(lab.feeds.receive(LIS, each, ER7, wait=False) for each in sent)
    )
    flat = [answer for (answer,) in answers]
    assert max(sizes) > 1
    assert len({answer.message_id for answer in flat}) == 5
    assert sorted(answer.duplicate for answer in flat) == [False] * 5 + [True] * 5
    for answer, data in zip(flat, sent, strict=True):
        assert f"|{data.split(b'|')[9].decode()}".encode() in answer.ack


async def test_a_delivery_that_cannot_be_kept_harms_no_other(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = inbox_module.keep

    async def refuse(connection: WriteConnection, keys: Any, incoming: Any, claims: Any) -> Any:
        if any(b"|L2|" in each.data for each in incoming):
            raise error(Category.FAULT, "no")
        return await keep(connection, keys, incoming, claims)

    monkeypatch.setattr(inbox_module, "keep", refuse)
    sent = [oru(order=f"L{n}", id=f"{n}") for n in range(4)]
    ends = await asyncio.gather(
        *(lab.feeds.receive(LIS, each, ER7) for each in sent), return_exceptions=True
    )
    assert [isinstance(end, BaseException) for end in ends] == [False, False, True, False]
    assert await _outcomes(lab) == ["stored"] * 3


async def test_messages_that_wait_for_their_facts_are_told_what_is_stored(lab: Hospital) -> None:
    sent = [oru(order=f"L{n}", id=f"{n}", unit="parsecs" if n == 3 else "10*9/L") for n in range(8)]
    answers = await asyncio.gather(*(lab.post(each, accept="application/json") for each in sent))
    for answer in answers:
        (receipt,) = answer.json()["messages"]
        told = await lab.client.get(f"/feeds/{LIS}/messages/{receipt['inbox_id']}")
        assert told.json()["facts"] == receipt["facts"]
        again = (await lab.post(sent[answers.index(answer)], accept="application/json")).json()
        assert again["messages"][0]["ack"] == receipt["ack"]


async def test_of_more_messages_than_can_be_held_the_first_are_held(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds_module, "HELD_JOBS", 2)
    await keep_all(lab.feeds, [(LIS, oru(order=f"L{n}", id=f"{n}")) for n in range(3)])
    assert list(lab.feeds._held) == await _message_ids(lab, 2)
    assert await lab.feeds.process_pending() == 3
    assert await _outcomes(lab) == ["stored"] * 3
    assert not lab.feeds._held


async def test_what_another_process_took_up_makes_room_for_what_comes(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds_module, "HELD_JOBS", 1)
    await keep_all(lab.feeds, [(LIS, oru(order="L1", id="1"))])
    taken = dict(lab.feeds._held)
    assert await lab.feeds.process_pending() == 1
    lab.feeds._held.update(taken)
    await keep_all(lab.feeds, [(LIS, oru(order="L2", id="2"))])
    assert list(lab.feeds._held) == (await _message_ids(lab, 2))[1:]


async def _message_ids(lab: Hospital, limit: int) -> list[int]:
    async with lab.database.reading() as connection:
        rows = await connection.fetch("SELECT id FROM feeds.message ORDER BY id LIMIT $1", limit)
    return [row["id"] for row in rows]
