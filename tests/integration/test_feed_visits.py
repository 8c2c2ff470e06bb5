"""ADT over a real database: hospital visits, the coded Patient, merges. HL7 v2.5.1 chapter 3."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

import pytest

from app.database import Database
from app.fhir import Create, Update
from app.mappings import Feeds, TrialDirectory
from app.trial import HashedMrn, Trial
from tests.feed_support import (
    CALLER,
    FEED_KEYS,
    HIS,
    MRN,
    STRANGER,
    SUBJECT,
    Clock,
    Hospital,
    adt,
    current,
    hospital,
    oru,
    site,
    waiting_key,
)
from tests.trial_support import KEYS, ZONE, person, protocol, trial_client, trial_store

PATIENT = {"resourceType": "Patient", "id": "SSCI-001", "gender": "female", "birthDate": "1979"}
ADMITTED, CLASSED, LEFT, BACK = (
    adt("A01", recorded="20190310100000+0800", id="1"),
    adt("A08", recorded="20190311100000+0800", id="2", kind="O", start="20190310090000+0800"),
    adt(
        "A03", recorded="20190312100000+0800", id="3", kind="", start="", end="20190312093000+0800"
    ),
    adt("A13", recorded="20190312120000+0800", id="4", kind="", start=""),
)


@pytest.fixture
async def clinic(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        await opened.store.write(CALLER, [Create(PATIENT, "SSCI-001")])
        yield opened


async def send(clinic: Hospital, data: bytes) -> list[dict[str, Any]]:
    return await clinic.send(data, HIS)


async def visit_after(clinic: Hospital, *messages: bytes) -> dict[str, Any]:
    for data in messages:
        facts = await send(clinic, data)
    return await clinic.read(current(facts[1]))


async def test_an_admission_is_an_encounter_of_class_and_period_alone(clinic: Hospital) -> None:
    encounter = await visit_after(clinic, adt("A01"))
    assert encounter["status"] == "in-progress"
    assert encounter["class"]["code"] == "IMP"
    assert encounter["period"] == {"start": "2019-03-10T08:00:00+08:00"}
    kept = {"resourceType", "id", "meta", "extension", "status", "class", "subject", "period"}
    assert set(encounter) == kept


@pytest.mark.parametrize(
    ("messages", "status", "end"),
    [
        ([ADMITTED, LEFT], "finished", "2019-03-12T09:30:00+08:00"),
        ([ADMITTED, LEFT, BACK], "in-progress", None),
        ([ADMITTED, adt("A11", recorded="20190310110000+0800", id="5")], "cancelled", None),
        ([adt("A04", kind="O")], "in-progress", None),
        ([adt("A04", kind="P", start="20190610080000+0800")], "planned", None),
        ([LEFT, adt("A08", recorded="20190313100000+0800", id="6")], "finished",
         "2019-03-12T09:30:00+08:00"),
    ],
)  # fmt: skip
async def test_events_move_the_status_of_one_visit(
    clinic: Hospital, messages: list[bytes], status: str, end: str | None
) -> None:
    encounter = await visit_after(clinic, *messages)
    assert (encounter["status"], encounter.get("period", {}).get("end")) == (status, end)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_the_order_of_arrival_decides_nothing(
    clinic: Hospital, order: tuple[int, ...]
) -> None:
    told = [ADMITTED, CLASSED, LEFT, BACK]
    encounter = await visit_after(clinic, *(told[n] for n in order))
    assert (encounter["status"], encounter["class"]["code"]) == ("in-progress", "AMB")
    assert encounter["period"] == {"start": "2019-03-10T09:00:00+08:00"}


async def test_events_sent_twice_and_replayed_write_no_new_version(clinic: Hospital) -> None:
    for data in (ADMITTED, LEFT):
        await send(clinic, data)
    written = [await clinic.count(kind) for kind in ("Encounter", "Patient", "Provenance")]
    for data in (
        adt("A01", recorded="20190310100000+0800", id="7", sent="20190320080000+0800"),
        adt(
            "A03",
            recorded="20190312100000+0800",
            id="8",
            end="20190312093000+0800",
            sent="20190320080000+0800",
        ),
    ):
        await send(clinic, data)
    await clinic.feeds.process_again([1, 2, 3, 4])
    now = [await clinic.count(kind) for kind in ("Encounter", "Patient", "Provenance")]
    assert now == written


async def test_the_study_is_named_on_visits_within_participation_only(clinic: Hospital) -> None:
    clinic.directory.subjects["PUMCH", MRN] = type(SUBJECT)(
        SUBJECT.number, SUBJECT.reference, True, since=date(2019, 3, 11), until=date(2020, 3, 10)
    )
    encounter = await visit_after(clinic, ADMITTED)
    assert "workflow-researchStudy" in str(encounter["extension"])
    before = adt("A03", id="9", visit="V0", start="20180101080000+0800", end="20180105080000+0800")
    encounter = await visit_after(clinic, before)
    assert "workflow-researchStudy" not in str(encounter["extension"])


LAST_DAY = date(2019, 3, 11)
NOT_OURS = ("not-subject-data", "NOT_SUBJECT_DATA")


def end_participation(clinic: Hospital) -> None:
    clinic.directory.subjects["PUMCH", MRN] = type(SUBJECT)(
        SUBJECT.number, SUBJECT.reference, True, since=date(2019, 3, 1), until=LAST_DAY
    )


AFTER = {"recorded": "20190312100000+0800", "id": "9"}


@pytest.mark.parametrize(
    "later",
    [
        LEFT,
        adt("A03", **AFTER),
        adt("A03", **AFTER, start="", kind=""),
        adt("A03", recorded="", id="9", start=""),
        adt("A08", **AFTER, end="20190312093000+0800"),
        adt("A08", **AFTER, start="", kind="E"),
        adt("A01", **AFTER, start="20190312090000+0800"),
        adt("A01", **AFTER, start=""),
    ],
)
async def test_what_happens_to_a_visit_after_the_last_day_of_participation_is_not_stored(
    clinic: Hospital, later: bytes
) -> None:
    before = await visit_after(clinic, ADMITTED)
    end_participation(clinic)
    facts = await send(clinic, later)
    assert [(fact["outcome"], fact["reason"]) for fact in facts][1] == NOT_OURS
    assert await clinic.read(f"Encounter/{before['id']}") == before


@pytest.mark.parametrize(
    ("later", "status"),
    [
        (adt("A03", **AFTER, end="20190311200000+0800"), "finished"),
        (adt("A11", **AFTER), "cancelled"),
        (adt("A11", **AFTER, start=""), "cancelled"),
    ],
)
async def test_the_end_of_a_visit_within_participation_and_its_cancelling_are_stored_whenever_told(
    clinic: Hospital, later: bytes, status: str
) -> None:
    before = await visit_after(clinic, ADMITTED)
    end_participation(clinic)
    await send(clinic, later)
    assert (await clinic.read(f"Encounter/{before['id']}"))["status"] == status


async def test_sex_and_birth_year_told_after_the_last_day_are_not_stored(clinic: Hospital) -> None:
    await clinic.store.write(
        CALLER, [Update({"resourceType": "Patient", "id": "SSCI-001"}, "SSCI-001")]
    )
    end_participation(clinic)
    facts = await send(clinic, adt("A08", **AFTER, sex="F", born="19790504"))
    assert (facts[0]["outcome"], facts[0]["reason"]) == NOT_OURS
    assert "gender" not in await clinic.read("Patient/SSCI-001")


async def test_what_enrolment_wrote_is_never_overwritten(clinic: Hospital) -> None:
    facts = await send(clinic, adt("A08", sex="M", born="19790504"))
    assert (facts[0]["outcome"], facts[0]["reason"], facts[0]["field"]) == (
        "review",
        "PATIENT_MISMATCH",
        "PID-3",
    )
    assert "gender" in facts[0]["detail"]
    patient = await clinic.read("Patient/SSCI-001")
    assert (patient["gender"], patient["meta"]["versionId"]) == ("female", "1")
    quarantine = (await clinic.client.get("/feeds/quarantine")).json()
    assert [fact["position"] for fact in quarantine["facts"]] == ["PID[1]"]


async def test_what_the_patient_lacks_is_added_and_nothing_that_identifies(
    clinic: Hospital,
) -> None:
    bare = {"resourceType": "Patient", "id": "SSCI-002"}
    await clinic.store.write(CALLER, [Create(bare, "SSCI-002")])
    clinic.directory.subjects["PUMCH", MRN] = type(SUBJECT)("SSCI-002", "Patient/SSCI-002")
    facts = await send(clinic, adt("A08", sex="F", born="19790504"))
    assert facts[0]["outcome"] == "stored"
    patient = await clinic.read("Patient/SSCI-002")
    del patient["meta"]
    assert patient == bare | {"gender": "female", "birthDate": "1979"}


async def test_nothing_is_shown_of_the_visit_of_a_non_participant(clinic: Hospital) -> None:
    facts = await send(clinic, adt("A01", mrn=STRANGER))
    assert [(fact["outcome"], fact["code"], fact["subject"]) for fact in facts] == [
        ("waiting", "", None),
        ("waiting", "", None),
    ]
    assert await clinic.count("Encounter") == 0


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"kind": "住院"}, "CODE_UNMAPPED", "PV1-2"),
        ({"start": "20191310"}, "TIME_INVALID", "PV1-44"),
        ({"start": "20200310"}, "TIME_INVALID", "PV1-44"),
        ({"end": "20180312"}, "TIME_INVALID", "PV1-45"),
        ({"visit": "", "start": ""}, "STRUCTURE", "PV1-19"),
    ],
)
async def test_a_visit_that_cannot_be_read_names_reason_and_field(
    clinic: Hospital, fields: dict[str, str], reason: str, field: str
) -> None:
    facts = await send(clinic, adt("A01", **fields))
    assert (facts[1]["outcome"], facts[1]["reason"], facts[1]["field"]) == (
        "quarantined",
        reason,
        field,
    )


async def test_a_merge_links_both_numbers_and_takes_up_what_waited(clinic: Hospital) -> None:
    assert (await clinic.send_one(oru(mrn=STRANGER)))["outcome"] == "waiting"
    (fact,) = await send(clinic, adt("A40", mrn=STRANGER, merged=MRN))
    assert (fact["outcome"], fact["position"], fact["subject"]) == ("stored", "MRG[1]", "SSCI-001")
    assert await clinic.count("Observation") == 1
    assert (await clinic.send_one(oru(value="40", order="L2", id="M9")))["outcome"] == "stored"
    (again,) = await send(clinic, adt("A40", mrn=STRANGER, merged=MRN, id="again"))
    assert again["outcome"] == "unchanged"


async def test_a_merge_of_two_subjects_is_for_a_person(clinic: Hospital) -> None:
    clinic.directory.subjects["PUMCH", STRANGER] = type(SUBJECT)("SSCI-002", "Patient/SSCI-002")
    (fact,) = await send(clinic, adt("A40", mrn=STRANGER, merged=MRN))
    assert (fact["outcome"], fact["reason"], fact["field"]) == (
        "quarantined",
        "PATIENT_AMBIGUOUS",
        "MRG-1",
    )


async def test_a_merge_of_strangers_waits_for_either_number(clinic: Hospital) -> None:
    (fact,) = await send(clinic, adt("A40", mrn=STRANGER, merged="N888888888"))
    assert fact["outcome"] == "waiting"
    clinic.directory.subjects["PUMCH", "N888888888"] = SUBJECT
    key = waiting_key(("PUMCH", "N888888888"))
    await clinic.feeds.replay_waiting([("PUMCH", key)])
    assert clinic.directory.subjects["PUMCH", STRANGER] == SUBJECT


async def test_an_enrolled_persons_visits_and_merge_with_the_trials_own_identity(
    database: Database,
) -> None:
    replayed: list[Feeds] = []

    async def replay(hashes: Sequence[HashedMrn]) -> None:
        await replayed[0].replay_waiting(hashes)

    store = trial_store(database)
    trial = Trial(database, store, protocol(), KEYS, replay, ZONE)
    feeds = Feeds(database, store, site(), FEED_KEYS, TrialDirectory(KEYS), now=Clock())
    replayed.append(feeds)
    body = person()
    name, mrn = body["name"], body["mrn"]
    who = {"name": f"{name[:2]}^{name[2:]}", "born": body["birthDate"].replace("-", "")}
    stay = {"start": "20180101080000+0800", "sent": "20300101080000+0800"}
    async with hospital(database, feeds, store) as clinic, trial_client(trial) as client:
        facts = await send(clinic, adt("A01", mrn=mrn, sex="F", **who, **stay))
        assert {fact["outcome"] for fact in facts} == {"waiting"}
        merge = adt("A40", mrn="N000000042", merged=mrn, **who, id="2")
        assert [fact["outcome"] for fact in await send(clinic, merge)] == ["waiting"]
        answer = await client.post("/trial/subjects", json=body | {"gender": "female"})
        assert answer.status_code == 201, answer.text
        detail = (await clinic.client.get("/feeds/pumch-his/messages/1")).json()["facts"]
        assert [fact["outcome"] for fact in detail] == ["unchanged", "stored"]
        encounter = await clinic.read(current(detail[1]))
        assert "workflow-researchStudy" in str(encounter["extension"])
        (merged,) = (await clinic.client.get("/feeds/pumch-his/messages/2")).json()["facts"]
        assert merged["outcome"] == "stored"
        later = adt("A03", mrn="N000000042", id="3", **who, **stay, end="20300101070000+0800")
        facts = await send(clinic, later)
        assert current(facts[1]) == current(detail[1])
        other = adt("A03", mrn="N000000042", id="4", name="别^人", born=who["born"], **stay)
        reasons = {fact["reason"] for fact in await send(clinic, other)}
        assert reasons == {"PATIENT_MISMATCH"}
