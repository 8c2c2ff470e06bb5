"""Hospital numbers that change: added, removed, merged. One subject per number, whoever writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app.database import Database
from app.trial import Relinked, Trial, fetch_subjects_by_mrn, mrn_hmac, relink_mrn
from tests.conftest import Dsns
from tests.integration.test_trial_enrolment import dump
from tests.trial_support import (
    KEYS,
    MARK,
    Replayed,
    open_trial,
    person,
    trial_client,
)

SUBJECTS = "/trial/subjects"
MRNS = f"{SUBJECTS}/SSCI-001/mrns"
AT = datetime(2018, 1, 1, tzinfo=UTC)
FIRST = ("PUMCH", person(1)["mrn"])
SECOND = ("PUMCH", person(2)["mrn"])
NEW = ("PUMCH", f"{MARK}-NEW")
OTHER = ("OTHER", f"{MARK}-OTHER")


@pytest.fixture
def replay() -> Replayed:
    return Replayed()


@pytest.fixture
def trial(database: Database, replay: Replayed) -> Trial:
    return open_trial(database, replay)


@pytest.fixture
async def client(trial: Trial, replay: Replayed) -> AsyncIterator[httpx.AsyncClient]:
    """Two subjects are enrolled."""
    async with trial_client(trial) as opened:
        for number in (1, 2):
            await opened.post(SUBJECTS, json=person(number))
        replay.asked.clear()
        yield opened


def change(action: str, mrn: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"action": action, "authority": mrn[0], "mrn": mrn[1]} | more


async def owners(database: Database, *mrns: tuple[str, str]) -> list[str | None]:
    async with database.reading() as connection:
        found = await fetch_subjects_by_mrn(connection, KEYS, mrns)
    return [found[mrn].number if mrn in found else None for mrn in mrns]


async def recorded(database: Database) -> list[tuple[str, str]]:
    async with database.reading() as connection:
        rows = await connection.fetch("SELECT subject, action FROM identity.mrn_change ORDER BY id")
    return [(row["subject"], row["action"]) for row in rows]


async def relink(database: Database, old: tuple[str, str], new: tuple[str, str]) -> Relinked:
    async with database.writing() as connection:
        return await relink_mrn(connection, KEYS, old, new, AT)


# Added and removed


async def test_an_added_number_finds_the_subject_and_what_waited_is_processed(
    client: httpx.AsyncClient, database: Database, replay: Replayed
):
    answer = await client.post(MRNS, json=change("add", NEW))
    assert (answer.status_code, answer.json()) == (
        200,
        {"number": "SSCI-001", "changed": True, "mrns": 2},
    )
    assert await owners(database, FIRST, NEW) == ["SSCI-001", "SSCI-001"]
    assert replay.asked == [("PUMCH", mrn_hmac(KEYS, *NEW))]
    again = await client.post(MRNS, json=change("add", ("PUMCH", f" {NEW[1].lower()} ")))
    assert again.json() == {"number": "SSCI-001", "changed": False, "mrns": 2}
    assert await recorded(database) == [("SSCI-001", "added")]


async def test_a_number_of_another_subject_is_a_conflict(
    client: httpx.AsyncClient, database: Database
):
    answer = await client.post(MRNS, json=change("add", SECOND))
    assert answer.status_code == 409
    assert "SSCI-002" in answer.text
    assert await owners(database, SECOND) == ["SSCI-002"]


async def test_a_removed_number_finds_nobody_and_may_become_another_subjects(
    client: httpx.AsyncClient, database: Database
):
    await client.post(MRNS, json=change("add", NEW))
    answer = await client.post(MRNS, json=change("remove", NEW))
    assert answer.json() == {"number": "SSCI-001", "changed": True, "mrns": 1}
    assert await owners(database, FIRST, NEW) == ["SSCI-001", None]
    second = await client.post(f"{SUBJECTS}/SSCI-002/mrns", json=change("add", NEW))
    assert second.status_code == 200
    assert await owners(database, NEW) == ["SSCI-002"]
    assert await recorded(database) == [
        ("SSCI-001", "added"),
        ("SSCI-001", "removed"),
        ("SSCI-002", "added"),
    ]


async def test_the_last_number_stays(client: httpx.AsyncClient, database: Database):
    answer = await client.post(MRNS, json=change("remove", FIRST))
    assert answer.status_code == 409
    assert await owners(database, FIRST) == ["SSCI-001"]


@pytest.mark.parametrize("mrn", [NEW, SECOND])
async def test_what_is_not_the_subjects_cannot_be_removed(
    client: httpx.AsyncClient, database: Database, mrn: tuple[str, str]
):
    assert (await client.post(MRNS, json=change("remove", mrn))).status_code == 404
    assert await owners(database, SECOND) == ["SSCI-002"]


async def test_an_unknown_authority_or_subject_is_refused(client: httpx.AsyncClient):
    body = change("add", ("ELSEWHERE", "A1"))
    assert (await client.post(MRNS, json=body)).status_code == 422
    nobody = await client.post(f"{SUBJECTS}/SSCI-404/mrns", json=change("add", NEW))
    assert nobody.status_code == 404


async def test_two_removals_at_once_leave_one_number(client: httpx.AsyncClient, database: Database):
    await client.post(MRNS, json=change("add", NEW))
    answers = await asyncio.gather(
        *(client.post(MRNS, json=change("remove", mrn)) for mrn in (FIRST, NEW))
    )
    assert sorted(each.status_code for each in answers) == [200, 409]


async def test_no_answer_log_or_other_table_shows_a_number(
    client: httpx.AsyncClient, database_dsns: Dsns, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    sent = [
        ("SSCI-001", change("add", NEW)),
        ("SSCI-001", change("add", NEW)),
        ("SSCI-002", change("add", NEW)),
        ("SSCI-001", change("remove", NEW)),
        ("SSCI-001", change("remove", NEW)),
        ("SSCI-001", change("remove", FIRST)),
        ("SSCI-001", change("move", NEW)),
        ("SSCI-001", change("add", NEW, extra=MARK)),
        ("SSCI-001", change("add", ("PUMCH", f"{MARK}\x00"))),
        ("SSCI-001", change("add", (MARK, "A1"))),
        ("SSCI-404", change("add", NEW)),
    ]
    answers = [await client.post(f"{SUBJECTS}/{who}/mrns", json=body) for who, body in sent]
    assert {each.status_code for each in answers} == {200, 400, 404, 409, 422}
    told = " ".join(each.text + str(each.headers) for each in answers)
    assert MARK not in told + caplog.text
    dumped = await dump(database_dsns.owner)
    assert MARK not in dumped
    assert MARK.encode().hex() not in dumped


# Merged by the hospital


async def test_a_merge_links_both_numbers_to_the_subject_who_has_one(
    client: httpx.AsyncClient, database: Database
):
    merged = await relink(database, FIRST, NEW)
    assert merged == Relinked("linked", ("SSCI-001",), (("PUMCH", mrn_hmac(KEYS, *NEW)),))
    assert await owners(database, FIRST, NEW) == ["SSCI-001", "SSCI-001"]
    assert await relink(database, FIRST, NEW) == Relinked("unchanged", ("SSCI-001",))
    assert await recorded(database) == [("SSCI-001", "merged")]


async def test_a_merge_into_a_known_number_links_the_former_one(
    client: httpx.AsyncClient, database: Database
):
    assert (await relink(database, OTHER, FIRST)).outcome == "linked"
    assert await owners(database, OTHER) == ["SSCI-001"]


async def test_a_merge_of_two_subjects_is_ambiguous_and_changes_nothing(
    client: httpx.AsyncClient, database: Database
):
    assert await relink(database, FIRST, SECOND) == Relinked("ambiguous", ("SSCI-001", "SSCI-002"))
    assert await owners(database, FIRST, SECOND) == ["SSCI-001", "SSCI-002"]


async def test_a_merge_of_strangers_is_unknown(client: httpx.AsyncClient, database: Database):
    assert await relink(database, OTHER, NEW) == Relinked("unknown")
    assert await owners(database, OTHER, NEW) == [None, None]


async def test_a_merge_of_two_spellings_of_one_number_changes_nothing(
    client: httpx.AsyncClient, database: Database
):
    assert (await relink(database, FIRST, ("PUMCH", FIRST[1].lower()))).outcome == "unchanged"


async def test_a_merge_racing_an_enrolment_gives_the_number_to_one_of_the_two(
    client: httpx.AsyncClient, database: Database
):
    """Either the merge was first (the enrolment is a conflict), or the enrolment (ambiguous)."""
    for round in range(3, 9):
        mrn = ("PUMCH", person(round)["mrn"])
        merged, enrolled = await asyncio.gather(
            relink(database, FIRST, mrn), client.post(SUBJECTS, json=person(round))
        )
        (owner,) = await owners(database, mrn)
        if enrolled.status_code == 201:
            assert owner == enrolled.json()["number"]
            assert merged.outcome == "ambiguous"
        else:
            assert enrolled.status_code == 409
            assert "SSCI-001" in enrolled.text
            assert (owner, merged.outcome) == ("SSCI-001", "linked")
