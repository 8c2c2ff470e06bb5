"""Withdrawal, screen failure, completion: status, consent and cohort as new versions, and nothing
collected later belongs to the study."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import httpx
import orjson
import pytest

from app.database import Database
from app.fhir import Create
from app.trial import Trial, fetch_subjects_by_mrn, mrn_hmac, rebuild
from app.trial.codes import ENROLLED_GROUP_ID
from tests.conftest import Dsns
from tests.trial_support import (
    CALLER,
    KEYS,
    ZONE,
    Replayed,
    open_trial,
    person,
    protocol,
    sirolimus,
    trial_client,
)

SUBJECTS = "/trial/subjects"
STATUS = f"{SUBJECTS}/SSCI-001/status"
WITHDRAWN = {"status": "withdrawn", "on": "2018-03-01", "reason": "consent-withdrawn"}


@pytest.fixture
def replay() -> Replayed:
    return Replayed()


@pytest.fixture
def trial(database: Database, replay: Replayed) -> Trial:
    return open_trial(database, replay)


@pytest.fixture
async def client(trial: Trial) -> AsyncIterator[httpx.AsyncClient]:
    """One subject is enrolled."""
    async with trial_client(trial) as opened:
        assert (await opened.post(SUBJECTS, json=person())).status_code == 201
        yield opened


async def stored(trial: Trial, resource_type: str, id: str) -> Any:
    found = await trial.store.read(CALLER, resource_type, id)
    assert found is not None
    assert found.body is not None
    return orjson.loads(found.body)


async def test_withdrawal_of_consent_is_told_by_subject_consent_and_cohort(
    client: httpx.AsyncClient, trial: Trial
):
    answer = await client.post(STATUS, json=WITHDRAWN)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "number": "SSCI-001",
        "status": "withdrawn",
        "changed": True,
        "storedAfter": 0,
    }
    subject = await stored(trial, "ResearchSubject", "SSCI-001")
    assert (subject["status"], subject["meta"]["versionId"]) == ("withdrawn", "2")
    assert subject["period"] == {"start": "2017-09-01", "end": "2018-03-01"}
    consent = await stored(trial, "Consent", "SSCI-001-consent")
    assert consent["status"] == "inactive"
    assert consent["provision"]["period"] == {"start": "2017-09-01", "end": "2018-03-01"}
    (member,) = (await stored(trial, "Group", ENROLLED_GROUP_ID))["member"]
    assert (member["inactive"], member["period"]["end"]) == (True, "2018-03-01")


@pytest.mark.parametrize(
    ("change", "reason", "status", "consent"),
    [
        ("withdrawn", "lost-to-follow-up", "withdrawn", "active"),
        ("screen-failed", "criteria-not-met", "ineligible", "active"),
        ("screen-failed", "consent-withdrawn", "ineligible", "inactive"),
        ("completed", "follow-up-completed", "off-study", "active"),
    ],
)
async def test_every_end_has_its_status_and_only_withdrawn_consent_is_inactive(
    client: httpx.AsyncClient, change: str, reason: str, status: str, consent: str
):
    body = {"status": change, "on": "2018-03-01", "reason": reason}
    assert (await client.post(STATUS, json=body)).status_code == 200
    told = (await client.get(f"{SUBJECTS}/SSCI-001")).json()
    assert (told["status"], told["ended"], told["reason"]) == (status, "2018-03-01", reason)
    assert (told["consent"]["status"], told["consent"]["ended"]) == (consent, "2018-03-01")


async def test_the_trial_database_knows_the_end_and_what_was_known_before(
    client: httpx.AsyncClient, database: Database, database_dsns: Dsns
):
    await client.post(STATUS, json=WITHDRAWN)
    rows = "SELECT status, ended, upper_inf(system) FROM trial.subject ORDER BY resource_version"
    async with database.reading() as connection:
        found = [tuple(row) for row in await connection.fetch(rows)]
    assert found == [("on-study", None, False), ("withdrawn", date(2018, 3, 1), True)]
    async with await Database.open(database_dsns.owner) as owner:
        await rebuild(owner, protocol(), ZONE)
    async with database.reading() as connection:
        assert [tuple(row) for row in await connection.fetch(rows)] == found


async def test_the_same_again_writes_nothing(client: httpx.AsyncClient, trial: Trial):
    await client.post(STATUS, json=WITHDRAWN)
    again = await client.post(STATUS, json=WITHDRAWN)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    subject = await stored(trial, "ResearchSubject", "SSCI-001")
    assert subject["meta"]["versionId"] == "2"


@pytest.mark.parametrize(
    "other",
    [
        WITHDRAWN | {"on": "2018-03-02"},
        {"status": "completed", "on": "2018-03-01", "reason": "follow-up-completed"},
    ],
)
async def test_another_end_is_a_conflict_until_the_first_is_recorded_as_an_error(
    client: httpx.AsyncClient, other: dict[str, str]
):
    await client.post(STATUS, json=WITHDRAWN)
    refused = await client.post(STATUS, json=other)
    assert refused.status_code == 409
    assert refused.json()["issues"][0]["place"] == "status"
    error = {"status": "on-study", "on": "2018-04-01", "reason": "recorded-in-error"}
    assert (await client.post(STATUS, json=error)).status_code == 200
    assert (await client.post(STATUS, json=other)).status_code == 200


async def test_a_subject_who_takes_part_again_is_as_before_and_what_waits_is_processed(
    client: httpx.AsyncClient, trial: Trial, replay: Replayed
):
    before = await stored(trial, "ResearchSubject", "SSCI-001")
    await client.post(STATUS, json=WITHDRAWN)
    replay.asked.clear()
    error = {"status": "on-study", "on": "2018-04-01", "reason": "recorded-in-error"}
    answer = await client.post(STATUS, json=error)
    assert answer.json()["changed"] is True
    again = await stored(trial, "ResearchSubject", "SSCI-001")
    assert (again["status"], again["period"]) == (before["status"], before["period"])
    consent = await stored(trial, "Consent", "SSCI-001-consent")
    assert (consent["status"], consent["provision"]["period"]) == (
        "active",
        {"start": "2017-09-01"},
    )
    (member,) = (await stored(trial, "Group", ENROLLED_GROUP_ID))["member"]
    assert (member.get("inactive"), member["period"]) == (None, {"start": "2017-09-01"})
    assert replay.asked == [("PUMCH", mrn_hmac(KEYS, "PUMCH", person()["mrn"]))]
    assert (await client.post(STATUS, json=error)).json()["changed"] is False


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"on": "2017-08-31"}, "on"),
        ({"on": "2999-01-01"}, "on"),
        ({"reason": "follow-up-completed"}, "reason"),
        ({"reason": "because"}, "reason"),
    ],
)
async def test_what_is_not_possible_is_refused_by_field(
    client: httpx.AsyncClient, changes: dict[str, str], place: str
):
    answer = await client.post(STATUS, json=WITHDRAWN | changes)
    assert answer.status_code == 422
    assert [issue["place"] for issue in answer.json()["issues"]] == [place]


async def test_who_took_a_dose_is_no_screen_failure(client: httpx.AsyncClient, trial: Trial):
    await trial.store.write(CALLER, [Create(sirolimus("2017-09-10"), "dose-1")])
    body = {"status": "screen-failed", "on": "2017-09-20", "reason": "criteria-not-met"}
    assert (await client.post(STATUS, json=body)).status_code == 409


async def test_values_collected_after_the_last_day_are_counted(
    client: httpx.AsyncClient, trial: Trial
):
    for day in ("2018-03-01", "2018-03-02", "2018-03-03"):
        await trial.store.write(CALLER, [Create(sirolimus(day), f"dose-{day}")])
    assert (await client.post(STATUS, json=WITHDRAWN)).json()["storedAfter"] == 2


async def test_nobody_is_withdrawn_under_an_unknown_number(client: httpx.AsyncClient):
    answer = await client.post(f"{SUBJECTS}/SSCI-404/status", json=WITHDRAWN)
    assert answer.status_code == 404


async def test_feeds_are_told_until_which_day_a_subject_takes_part(
    client: httpx.AsyncClient, database: Database
):
    mrn = ("PUMCH", person()["mrn"])
    async with database.reading() as connection:
        (before,) = (await fetch_subjects_by_mrn(connection, KEYS, [mrn])).values()
    await client.post(STATUS, json=WITHDRAWN)
    async with database.reading() as connection:
        (after,) = (await fetch_subjects_by_mrn(connection, KEYS, [mrn])).values()
    later = date(2018, 3, 2)
    assert before.covers(later)
    assert [after.covers(day) for day in (date(2018, 3, 1), later, None)] == [True, False, True]


async def test_many_withdrawals_at_once_are_one(client: httpx.AsyncClient, trial: Trial):
    answers = await asyncio.gather(*(client.post(STATUS, json=WITHDRAWN) for _ in range(8)))
    assert {each.status_code for each in answers} == {200}
    assert sum(each.json()["changed"] for each in answers) == 1
    subject = await stored(trial, "ResearchSubject", "SSCI-001")
    assert subject["meta"]["versionId"] == "2"
