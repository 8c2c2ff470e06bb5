"""Enrolment over HTTP on a real database: consecutive numbers, one transaction, no identity."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from app.database import Database
from app.errors import Category, error
from app.fhir import Create, Delete
from app.trial import Trial, fetch_subjects_by_mrn, mrn_hmac
from app.trial.codes import ENROLLED_GROUP_ID, SUBJECT_NUMBER
from app.trial.identity import birth_date_place, decrypt, mrn_place, override_reason_place
from tests.conftest import Dsns
from tests.trial_support import (
    CALLER,
    KEYS,
    MARK,
    MET,
    Replayed,
    answered,
    open_trial,
    person,
    sirolimus,
    trial_client,
)

SUBJECTS = "/trial/subjects"


@pytest.fixture
def replay() -> Replayed:
    return Replayed()


@pytest.fixture
def trial(database: Database, replay: Replayed) -> Trial:
    return open_trial(database, replay)


@pytest.fixture
async def client(trial: Trial) -> AsyncIterator[httpx.AsyncClient]:
    async with trial_client(trial) as opened:
        yield opened


async def stored(trial: Trial, resource_type: str, id: str) -> Any:
    found = await trial.store.read(CALLER, resource_type, id)
    assert found is not None
    assert found.body is not None
    return orjson.loads(found.body)


async def members(trial: Trial) -> list[str]:
    group = await stored(trial, "Group", ENROLLED_GROUP_ID)
    return [each["entity"]["reference"] for each in group.get("member", [])]


def places(answer: httpx.Response) -> list[str]:
    return [issue["place"] for issue in answer.json()["issues"]]


# What is written


async def test_the_first_subject_is_number_one(client: httpx.AsyncClient):
    answer = await client.post(SUBJECTS, json=person())
    assert answer.status_code == 201
    assert answer.headers["location"] == "/trial/subjects/SSCI-001"
    assert answer.json() == {
        "number": "SSCI-001",
        "created": True,
        "patient": "/fhir/Patient/SSCI-001",
        "researchSubject": "/fhir/ResearchSubject/SSCI-001",
    }


async def test_the_patient_is_coded(client: httpx.AsyncClient, trial: Trial):
    await client.post(SUBJECTS, json=person())
    patient = await stored(trial, "Patient", "SSCI-001")
    assert patient["birthDate"] == "1979"
    assert set(patient) == {"resourceType", "id", "meta", "identifier", "gender", "birthDate"}


async def test_all_resources_of_the_subject_are_there_and_labelled_synthetic(
    client: httpx.AsyncClient, trial: Trial
):
    await client.post(SUBJECTS, json=person())
    for resource_type, id in [
        ("Patient", "SSCI-001"),
        ("ResearchSubject", "SSCI-001"),
        ("Consent", "SSCI-001-consent"),
        ("Condition", "SSCI-001-ctd"),
        ("QuestionnaireResponse", "SSCI-001-eligibility"),
    ]:
        resource = await stored(trial, resource_type, id)
        assert [each["code"] for each in resource["meta"]["security"]] == ["HTEST"]
    assert await members(trial) == ["Patient/SSCI-001"]


async def test_a_real_subject_is_not_labelled(client: httpx.AsyncClient, trial: Trial):
    await client.post(SUBJECTS, json=person(synthetic=None))
    assert "security" not in (await stored(trial, "Patient", "SSCI-001"))["meta"]


async def test_the_subject_is_told_without_identity(client: httpx.AsyncClient):
    await client.post(SUBJECTS, json=person())
    told = (await client.get(f"{SUBJECTS}/SSCI-001")).json()
    detail = {"reason", "firstDose", "consent", "eligibility", "visits"}
    assert {key: value for key, value in told.items() if key not in detail} == {
        "number": "SSCI-001",
        "study": "SSCI",
        "status": "on-study",
        "arm": "Study Group",
        "consentDate": "2017-09-01",
        "ended": None,
        "ageAtConsent": 38,
        "gender": "female",
        "birthYear": 1979,
        "diagnosis": "SLE",
        "synthetic": True,
        "patient": "/fhir/Patient/SSCI-001",
    }


async def test_the_subject_is_told_with_consent_criteria_and_planned_visits(
    client: httpx.AsyncClient, trial: Trial
):
    refractory = {"answer": "unknown", "overrideReason": "no records yet"}
    await client.post(SUBJECTS, json=person(eligibility=answered(refractory=refractory)))
    before = (await client.get(f"{SUBJECTS}/SSCI-001")).json()
    assert before["consent"] == {"status": "active", "given": "2017-09-01", "ended": None}
    told = {
        each["criterion"]: (each["answer"], each["overridden"]) for each in before["eligibility"]
    }
    assert told["refractory"] == ("unknown", True)
    assert told["age"] == ("met", False)
    assert told["treatment-naive"] == ("not-met", False)
    assert [each["code"] for each in before["visits"]] == ["BL", "M1", "M2", "M4", "M6", "M12"]
    assert {each["target"] for each in before["visits"]} == {None}
    await trial.store.write(CALLER, [Create(sirolimus("2017-09-10"), "dose-1")])
    after = (await client.get(f"{SUBJECTS}/SSCI-001")).json()
    assert after["firstDose"] == "2017-09-10"
    month = after["visits"][1]
    assert (month["target"], month["earliest"], month["latest"]) == (
        "2017-10-10",
        "2017-10-03",
        "2017-10-17",
    )


async def test_an_unknown_number_is_not_found(client: httpx.AsyncClient):
    assert (await client.get(f"{SUBJECTS}/SSCI-999")).status_code == 404


async def test_subjects_are_listed_page_by_page(client: httpx.AsyncClient):
    for number in range(1, 4):
        await client.post(SUBJECTS, json=person(number))
    first = (await client.get(f"{SUBJECTS}?count=2")).json()
    second = (await client.get(first["next"])).json()
    assert [each["number"] for each in first["subjects"]] == ["SSCI-001", "SSCI-002"]
    assert [each["number"] for each in second["subjects"]] == ["SSCI-003"]
    assert second["next"] is None


async def test_participants_of_other_studies_are_no_subjects_of_ours(
    client: httpx.AsyncClient, trial: Trial
):
    other = {
        "resourceType": "ResearchSubject",
        "status": "on-study",
        "study": {"reference": "ResearchStudy/OTHER"},
        "individual": {"reference": "Patient/SSCI-900"},
    }
    await trial.store.write(CALLER, [Create(other, "SSCI-900")])
    assert (await client.get(SUBJECTS)).json()["subjects"] == []
    assert (await client.get(f"{SUBJECTS}/SSCI-900")).status_code == 404


async def test_without_a_birth_date_there_is_no_age(client: httpx.AsyncClient):
    await client.post(SUBJECTS, json=person(birthDate=None, birthYear=1979))
    told = (await client.get(f"{SUBJECTS}/SSCI-001")).json()
    assert (told["ageAtConsent"], told["birthYear"]) == (None, 1979)


async def test_the_override_is_told_and_its_reason_kept_encrypted(
    client: httpx.AsyncClient, trial: Trial, database_dsns: Dsns
):
    reason = f"{MARK} of ward 3 has the records"
    refractory = {"answer": "unknown", "overrideReason": reason}
    body = person(eligibility=answered(refractory=refractory))
    assert (await client.post(SUBJECTS, json=body)).status_code == 201
    answers = await stored(trial, "QuestionnaireResponse", "SSCI-001-eligibility")
    item = next(each for each in answers["item"] if each["linkId"] == "refractory")
    assert item["answer"][0]["valueCoding"]["code"] == "unknown"
    [told] = item["answer"][0]["item"][0]["answer"]
    assert told["valueCoding"]["code"] == "overridden"
    assert MARK not in await dump(database_dsns.owner)
    async with trial.database.reading() as connection:
        row = await connection.fetchrow("SELECT * FROM identity.override_reason")
    assert row is not None
    place = override_reason_place("SSCI-001", "refractory")
    assert decrypt(KEYS, place, row["reason_key"], row["reason_ciphertext"]) == reason


# Identity


async def test_mrn_and_birth_date_are_found_and_opened_with_the_keys_only(
    client: httpx.AsyncClient, database: Database
):
    await client.post(SUBJECTS, json=person())
    hashed = mrn_hmac(KEYS, "PUMCH", person()["mrn"])
    async with database.reading() as connection:
        mrn = await connection.fetchrow("SELECT * FROM identity.subject_mrn")
        who = await connection.fetchrow("SELECT * FROM identity.subject_identity")
    assert mrn is not None
    assert who is not None
    assert mrn["mrn_hmac"] == hashed
    opened = decrypt(KEYS, mrn_place("PUMCH", hashed), mrn["mrn_key"], mrn["mrn_ciphertext"])
    assert opened == person()["mrn"]
    place = birth_date_place("SSCI-001")
    assert decrypt(KEYS, place, who["birth_date_key"], who["birth_date_ciphertext"]) == "1979-05-04"


@pytest.mark.parametrize("spelling", ["a1", " A1 ", "Ａ１", "A\u200b1"])
async def test_two_spellings_of_one_mrn_in_one_enrolment_are_one_number(
    client: httpx.AsyncClient, database: Database, spelling: str
):
    mrns = [{"mrn": "A1"}, {"mrn": spelling}, {"mrn": "A1", "authority": "HIS"}]
    answer = await client.post(SUBJECTS, json=person(mrn=None, mrns=mrns))
    assert answer.status_code == 201, answer.text
    async with database.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM identity.subject_mrn") == 1
        found = await fetch_subjects_by_mrn(
            connection, KEYS, [("PUMCH", "A1"), ("PUMCH", spelling)]
        )
    assert [each.number for each in found.values()] == ["SSCI-001"] * 2


async def test_an_mrn_of_nothing_visible_is_refused(client: httpx.AsyncClient):
    answer = await client.post(SUBJECTS, json=person(mrn="\u200b\u200b"))
    assert (answer.status_code, places(answer)) == (422, ["mrn"])


async def test_feeds_find_the_subject_by_each_of_its_mrns(
    client: httpx.AsyncClient, database: Database
):
    mrns = [{"mrn": "A1"}, {"mrn": "B2", "authority": "OTHER"}]
    await client.post(SUBJECTS, json=person(mrn=None, mrns=mrns))
    asked = [("PUMCH", "a1"), ("OTHER", "B2"), ("PUMCH", "B2")]
    async with database.reading() as connection:
        found = await fetch_subjects_by_mrn(connection, KEYS, asked)
    assert {mrn: (each.number, each.status, each.synthetic) for mrn, each in found.items()} == {
        ("PUMCH", "a1"): ("SSCI-001", "on-study", True),
        ("OTHER", "B2"): ("SSCI-001", "on-study", True),
    }


async def test_waiting_messages_are_asked_for_after_the_commit(
    client: httpx.AsyncClient, database: Database, trial: Trial, replay: Replayed
):
    await client.post(SUBJECTS, json=person())
    numbers = [("PUMCH", person()["mrn"]), (SUBJECT_NUMBER, "SSCI-001")]
    assert replay.asked == [(authority, mrn_hmac(KEYS, authority, n)) for authority, n in numbers]


@pytest.mark.parametrize("path", ["accepted", "refused", "repeated"])
async def test_identity_is_nowhere_but_in_its_schema(
    client: httpx.AsyncClient,
    database_dsns: Dsns,
    caplog: pytest.LogCaptureFixture,
    path: str,
):
    """Every row of every schema as text, every answer and every log line, searched for the mark."""
    caplog.set_level(logging.DEBUG)
    body = person(eligibility=answered(consent={"answer": "not-met"}) if path == "refused" else MET)
    answers = [await client.post(SUBJECTS, json=body)]
    if path == "repeated":
        answers.append(await client.post(SUBJECTS, json=body))
    answers.append(await client.get(SUBJECTS))
    told = " ".join(each.text + str(each.headers) for each in answers)
    assert MARK not in told + caplog.text
    assert "1979-05-04" not in told + caplog.text
    dumped = await dump(database_dsns.owner)
    assert path == "refused" or "SSCI-001" in dumped
    assert MARK not in dumped
    assert MARK.encode().hex() not in dumped
    assert "1979-05-04" not in dumped


async def dump(dsn: str) -> str:
    """All rows of all tables, schema `identity` included: there it is all encrypted."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname IN ('fhir', 'trial', 'identity', 'feeds')"
        )
        found = [
            await connection.fetch(f"SELECT t::text FROM {row['name']} AS t") for row in tables
        ]
        return "\n".join(row["t"] for rows in found for row in rows)
    finally:
        await connection.close()


# Again, and at once


async def test_the_same_mrn_again_is_a_conflict_that_names_the_subject(
    client: httpx.AsyncClient, trial: Trial
):
    await client.post(SUBJECTS, json=person())
    again = await client.post(SUBJECTS, json=person(mrn=f" {person()['mrn'].lower()} "))
    assert again.status_code == 409
    assert "SSCI-001" in again.text
    assert await members(trial) == ["Patient/SSCI-001"]


async def test_the_same_request_under_the_same_key_writes_nothing(
    client: httpx.AsyncClient, database: Database, replay: Replayed
):
    key = {"Idempotency-Key": "cohort-1"}
    first = await client.post(SUBJECTS, json=person(), headers=key)
    before = await written(database)
    second = await client.post(SUBJECTS, json=person(), headers=key)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json() | {"created": False}
    assert await written(database) == before
    assert len(replay.asked) == 2 * 2  # the first may have been lost with the process


async def written(database: Database) -> tuple[int, int]:
    async with database.reading() as connection:
        return (
            await connection.fetchval("SELECT count(*) FROM fhir.transaction_log"),
            await connection.fetchval("SELECT count(*) FROM identity.subject_identity"),
        )


async def test_another_request_under_the_same_key_is_refused(client: httpx.AsyncClient):
    key = {"Idempotency-Key": "cohort-1"}
    await client.post(SUBJECTS, json=person(1), headers=key)
    other = await client.post(SUBJECTS, json=person(2), headers=key)
    assert other.status_code == 409
    assert places(other) == ["Idempotency-Key"]


async def test_twenty_at_once_get_twenty_consecutive_numbers(
    client: httpx.AsyncClient, trial: Trial
):
    answers = await asyncio.gather(
        *(client.post(SUBJECTS, json=person(number)) for number in range(1, 21))
    )
    assert [each.status_code for each in answers] == [201] * 20
    numbers = sorted(each.json()["number"] for each in answers)
    assert numbers == [f"SSCI-{number:03d}" for number in range(1, 21)]
    assert sorted(await members(trial)) == [f"Patient/{number}" for number in numbers]


async def test_two_processes_share_the_sequence(database: Database, trial: Trial):
    """Two `Trial`s have two queues, as two processes have: only PostgreSQL's lock joins them."""
    async with trial_client(trial) as one, trial_client(open_trial(database)) as two:
        answers = await asyncio.gather(
            *((one, two)[number % 2].post(SUBJECTS, json=person(number)) for number in range(1, 11))
        )
    assert sorted(each.json()["number"] for each in answers) == [
        f"SSCI-{number:03d}" for number in range(1, 11)
    ]


async def test_the_same_person_at_once_is_enrolled_once(client: httpx.AsyncClient, trial: Trial):
    answers = await asyncio.gather(*(client.post(SUBJECTS, json=person()) for _ in range(10)))
    assert sorted(each.status_code for each in answers) == [201] + [409] * 9
    assert await members(trial) == ["Patient/SSCI-001"]


async def test_one_person_in_many_spellings_and_others_at_once_leave_no_gap(
    client: httpx.AsyncClient, trial: Trial
):
    """Ten requests for one MRN in two spellings, ten for others, all at once."""
    same = [person(1, mrn=spelling) for spelling in ["A1", "ａ 1"] * 5]
    others = [person(number) for number in range(2, 12)]
    bodies = [each for pair in zip(same, others, strict=True) for each in pair]
    answers = await asyncio.gather(*(client.post(SUBJECTS, json=body) for body in bodies))
    assert sorted(each.status_code for each in answers) == [201] * 11 + [409] * 9
    numbers = sorted(each.json()["number"] for each in answers if each.status_code == 201)
    assert numbers == [f"SSCI-{number:03d}" for number in range(1, 12)]
    assert sorted(await members(trial)) == [f"Patient/{number}" for number in numbers]


async def test_a_failed_enrolment_leaves_nothing_and_no_gap(
    client: httpx.AsyncClient, trial: Trial, database: Database
):
    """A stray Condition with the next subject's id makes the transaction fail half-way."""
    stray = {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/SSCI-900"},
    }
    await trial.store.write(CALLER, [Create(stray, "SSCI-001-ctd")])
    failed = await client.post(SUBJECTS, json=person(1))
    assert failed.status_code == 409
    assert await trial.store.read(CALLER, "Patient", "SSCI-001") is None
    assert await members(trial) == []
    async with database.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM identity.subject_identity") == 0
    await trial.store.write(CALLER, [Delete("Condition", "SSCI-001-ctd")])
    assert (await client.post(SUBJECTS, json=person(2))).json()["number"] == "SSCI-001"


async def test_a_replay_that_fails_does_not_undo_the_enrolment(database: Database):
    class Failing(Replayed):
        async def __call__(self, hashes: Any) -> None:
            raise error(Category.UNAVAILABLE, "the feeds are not there")

    trial = open_trial(database, Failing())
    key = {"Idempotency-Key": "k"}
    async with trial_client(trial) as client:
        assert (await client.post(SUBJECTS, json=person(), headers=key)).status_code == 503
    async with trial_client(open_trial(database)) as client:
        answer = await client.post(SUBJECTS, json=person(), headers=key)
    assert (answer.status_code, answer.json()["number"]) == (200, "SSCI-001")


async def test_a_number_with_a_nul_character_is_refused(client: httpx.AsyncClient):
    assert (await client.get(f"{SUBJECTS}/SSCI%00")).status_code == 400
