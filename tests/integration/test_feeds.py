"""Feeds over HTTP and a real database: durable first, then every fact by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.database import Database
from app.errors import Category, SsciError, error
from app.fhir import Caller, Delete, Operation, Revise
from app.mappings import FeedKeys, Feeds, TrialDirectory
from app.mappings import feeds as feeds_module
from app.mappings.context import Context, Resolutions
from app.mappings.facts import Candidate, Fact, ResultOrder
from app.mappings.formats.decoding import Read, acknowledge_json
from app.mappings.formats.hl7v2.decoder import HL7V2
from app.mappings.intake.inbox import fetch_content
from app.mappings.resources import build_common_extensions
from app.mappings.rules.results import read_instant
from app.mappings.subjects import Subject
from app.mappings.tables import metadata
from app.mappings.working.processing import Processor
from app.simulation import build_messages, simulate_participants
from app.trial import HashedMrn, Trial
from tests.feed_support import (
    CALLER,
    ER7,
    FEED_KEYS,
    HIS,
    LIS,
    MRN,
    PLT,
    SIROLIMUS,
    STRANGER,
    SUBJECT,
    Clock,
    Hospital,
    current,
    hospital,
    map_bytes,
    message,
    msh,
    obr,
    obx,
    oru,
    pid,
    ras,
    site,
    value_of,
    waiting_key,
)
from tests.trial_support import KEYS, ZONE, person, protocol, trial_client, trial_store


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


async def test_a_platelet_count_becomes_an_observation_with_its_source(lab: Hospital) -> None:
    fact = await lab.send_one(oru())
    assert (fact["outcome"], fact["position"], fact["subject"]) == ("stored", "OBX[1]", "SSCI-001")
    observation = await lab.read(fact["resource"])
    assert value_of(observation) == "38"
    assert observation["subject"] == {"reference": "Patient/SSCI-001"}
    assert await lab.count("Provenance") == 1


async def test_the_acknowledgement_is_the_answer_unless_json_is_accepted(lab: Hospital) -> None:
    answer = await lab.post(oru(id="ABC"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("x-application/hl7-v2+er7")
    assert b"\rMSA|AA|ABC\r" in answer.content


async def test_a_resend_is_counted_and_answered_with_the_same_acknowledgement(
    lab: Hospital,
) -> None:
    data = oru(value="1O2")
    first = await lab.post(data)
    second = await lab.post(data)
    assert b"VALUE_UNPARSABLE" in first.content
    assert second.content == first.content
    detail = await lab.client.get("/feeds/pumch-lis/messages/1")
    assert detail.json()["deliveries"] == 2


async def test_everything_sent_twice_under_new_ids_writes_no_new_version(lab: Hospital) -> None:
    given = [oru(value="38", id="1"), oru(value="83", status="C", id="2", f19="20190314120000")]
    for data in given:
        await lab.send(data)
    written = [await lab.count(kind) for kind in ("Observation", "DiagnosticReport", "Provenance")]
    later = {"sent": "20190315101500+0800"}
    again = [
        oru(value="38", id="3", **later),
        oru(value="83", status="C", id="4", f19="20190314120000", **later),
    ]
    outcomes = [(await lab.send_one(data))["outcome"] for data in again]
    assert outcomes == ["unchanged", "unchanged"]
    assert [
        await lab.count(kind) for kind in ("Observation", "DiagnosticReport", "Provenance")
    ] == written


async def test_replaying_the_whole_inbox_writes_no_new_version(lab: Hospital) -> None:
    for data, feed in (
        (oru(value="38", id="1"), "pumch-lis"),
        (oru(value="83", status="C", id="2", sent="20190314111500+0800"), "pumch-lis"),
        (oru(value="83", status="W", id="3", sent="20190314121500+0800"), "pumch-lis"),
        (ras(), HIS),
    ):
        await lab.send(data, feed)
    kinds = ("Observation", "DiagnosticReport", "MedicationAdministration", "Provenance")
    written = [await lab.count(kind) for kind in kinds]
    await lab.feeds.process_again([1, 2, 3, 4])
    assert [await lab.count(kind) for kind in kinds] == written
    detail = (await lab.client.get("/feeds/pumch-lis/messages/1")).json()
    assert [fact["outcome"] for fact in detail["facts"]] == ["stored"]


async def test_one_bad_fact_does_not_hold_back_the_others(lab: Hospital) -> None:
    facts = await lab.send(
        message(
            msh(),
            pid(),
            obr(),
            obx("XYZ^unknown^99MRC", "1"),
            obx(PLT, "38"),
            obx("WBC^白细胞^99MRC", "5.1"),
        )
    )
    assert [(fact["outcome"], fact["reason"]) for fact in facts] == [
        ("quarantined", "CODE_UNMAPPED"),
        ("stored", None),
        ("not-collected", None),
    ]


async def test_a_corrected_result_keeps_the_old_version(lab: Hospital) -> None:
    fact = await lab.send_one(oru(value="38"))
    renumbered = oru(value="83", status="C", id="M2", sent="20190314111500+0800", f1="7")
    corrected = await lab.send_one(renumbered)
    assert current(corrected) == current(fact)
    assert value_of(await lab.read(corrected["resource"])) == "83"
    assert value_of(await lab.read(f"{current(fact)}/_history/1")) == "38"


async def test_a_correction_waits_for_its_original_and_then_applies(lab: Hospital) -> None:
    early = await lab.send_one(oru(value="83", status="C", id="M2", sent="20190314111500+0800"))
    assert early["reason"] == "CORRECTION_WITHOUT_ORIGINAL"
    fact = await lab.send_one(oru(value="38", id="M1"))
    observation = await lab.read(current(fact))
    assert (observation["status"], value_of(observation)) == ("corrected", "83")
    assert observation["meta"]["versionId"] == "2"
    quarantine = (await lab.client.get("/feeds/quarantine")).json()
    assert quarantine["facts"] == []


async def test_a_correction_of_an_unreadable_original_is_stored_and_settles_it(
    lab: Hospital,
) -> None:
    bad = await lab.send_one(oru(value="1O2", id="M1"))
    assert bad["reason"] == "VALUE_UNPARSABLE"
    fact = await lab.send_one(oru(value="102", status="C", id="M2", sent="20190314111500+0800"))
    assert (await lab.read(current(fact)))["status"] == "corrected"
    assert (await lab.client.get("/feeds/quarantine")).json()["facts"] == []


async def test_facts_of_a_stranger_wait_show_nothing_and_are_replayed_on_enrolment(
    lab: Hospital,
) -> None:
    fact = await lab.send_one(oru(mrn=STRANGER))
    assert (fact["outcome"], fact["reason"], fact["code"]) == ("waiting", "PATIENT_UNKNOWN", "")
    assert await lab.count("Observation") == 0
    lab.directory.subjects["PUMCH", STRANGER] = SUBJECT
    await lab.feeds.replay_waiting([("PUMCH", waiting_key(("PUMCH", STRANGER)))])
    assert await lab.count("Observation") == 1
    detail = (await lab.client.get("/feeds/pumch-lis/messages/1")).json()
    assert (detail["facts"][0]["outcome"], detail["facts"][0]["state"]) == ("stored", "resolved")


async def test_no_hospital_number_or_name_is_stored_outside_the_encrypted_content(
    lab: Hospital,
) -> None:
    await lab.send(oru())
    await lab.send(oru(mrn=STRANGER, id="M2"))
    async with lab.database.reading() as connection:
        tables = await connection.fetch(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
            " WHERE table_schema IN ('feeds', 'fhir', 'trial') AND table_type = 'BASE TABLE'"
        )
        for table in tables:
            text = await connection.fetchval(
                f"SELECT coalesce(string_agg(t::text, ''), '') FROM {table['name']} t"
            )
            for secret in (MRN, STRANGER, "测试", MRN.encode().hex(), "测试".encode().hex()):
                assert secret not in text, table["name"]


async def test_quality_control_is_never_a_subjects_result(lab: Hospital) -> None:
    by_id = await lab.send_one(message(msh(f11="Q"), pid(), obr(), obx()))
    by_panel = await lab.send_one(
        message(msh(f10="M2"), pid(), obr(panel="CBCQCR^质控^99MRC"), obx())
    )
    assert by_id["outcome"] == by_panel["outcome"] == "not-subject-data"
    assert await lab.count("Observation") == 0


async def test_a_dose_becomes_a_medication_administration(lab: Hospital) -> None:
    fact = await lab.send_one(ras("2", "片"), HIS)
    given = await lab.read(fact["resource"])
    assert given["status"] == "completed"
    assert given["dosage"]["dose"]["unit"] == "片"
    canonical = given["dosage"]["dose"]["extension"][0]["valueQuantity"]
    assert (str(canonical["value"]), canonical["code"]) == ("2", "mg")


async def test_two_days_of_one_order_are_two_doses(lab: Hospital) -> None:
    await lab.send(ras(id="R1"), HIS)
    await lab.send(ras(id="R2", start="20190315083000+0800"), HIS)
    assert await lab.count("MedicationAdministration") == 2


async def test_a_deleted_administration_is_entered_in_error(lab: Hospital) -> None:
    fact = await lab.send_one(ras(id="R1"), HIS)
    deleted = await lab.send_one(ras(id="R2", action="D", sent="20190314100000+0800"), HIS)
    assert deleted["state"] == "open"
    assert (await lab.read(current(fact)))["status"] == "entered-in-error"


async def test_an_unsupported_message_is_kept_and_quarantined(lab: Hospital) -> None:
    fact = await lab.send_one(message(msh("ADT^A01^ADT_A01"), "EVN|A01", pid()))
    assert (fact["outcome"], fact["reason"]) == ("quarantined", "UNSUPPORTED_TYPE")


async def test_bytes_that_are_no_message_are_kept_and_rejected(lab: Hospital) -> None:
    answer = await lab.post(b"hello")
    assert answer.status_code == 400
    assert b"\rMSA|AR" in answer.content
    listed = (await lab.client.get("/feeds/pumch-lis/quarantine")).json()["facts"]
    assert [fact["reason"] for fact in listed] == ["FRAME_BROKEN"]


async def test_a_delivery_that_is_too_large_is_recorded_without_its_bytes(lab: Hospital) -> None:
    lab.feeds.max_bytes = 1000
    answer = await lab.post(oru(value="3" * 2000))
    assert answer.status_code == 413
    assert b"TOO_LARGE" in answer.content
    async with lab.database.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM feeds.message") == 1
        assert await connection.fetchval("SELECT count(*) FROM feeds.message_content") == 0


async def test_another_media_type_is_refused(lab: Hospital) -> None:
    answer = await lab.post(oru(), content_type="application/json")
    assert answer.status_code == 415


async def test_an_unknown_feed_is_not_found(lab: Hospital) -> None:
    assert (await lab.post(oru(), feed="nowhere")).status_code == 404


async def test_an_empty_body_is_rejected_as_hl7_says_it(lab: Hospital) -> None:
    answer = await lab.post(b" \r\n")
    assert (answer.status_code, answer.headers["content-type"]) == (400, ER7)
    assert b"\rMSA|AR\r" in answer.content
    assert b"FRAME_BROKEN" in answer.content


async def test_a_format_that_the_feed_does_not_take_is_not_found(lab: Hospital) -> None:
    with pytest.raises(SsciError) as refused:
        await lab.feeds.receive(LIS, oru(), ER7, format="telex")
    assert refused.value.category is Category.NOT_FOUND


async def test_a_message_is_processed_by_the_decoder_of_its_format_also_by_workers(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes as another format are another message."""
    telex = replace(HL7V2, format="telex", whole="telex", acknowledge=acknowledge_json)
    monkeypatch.setattr(feeds_module, "DECODERS", {"hl7v2": HL7V2, "telex": telex})
    setting = replace(site().feeds[LIS], formats=("hl7v2", "telex"))
    lab.feeds.site = replace(site(), feeds={**site().feeds, LIS: setting})
    (kept,) = await lab.feeds.receive(LIS, b"STOP", "text/plain", format="telex", wait=False)
    (other,) = await lab.feeds.receive(LIS, b"STOP", "text/plain", wait=False)
    assert (other.duplicate, other.message_id == kept.message_id) == (False, False)
    assert await lab.feeds.process_pending() == 2
    async with lab.database.reading() as connection:
        rows = await connection.fetch(
            "SELECT f.place, a.code FROM feeds.fact f JOIN feeds.acknowledgement a"
            " USING (message_id) ORDER BY message_id"
        )
    assert [tuple(row) for row in rows] == [("telex", "reject"), ("MSH[1]", "AR")]


async def test_a_mapper_may_bring_resources_of_any_type_and_companions(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encounter with what comes with it; an older message does not undo a newer one."""

    def map_stay(read: Read, context: Context, subjects: Resolutions) -> list[Fact]:
        (pid,) = read.claims
        header = read.content.header
        subject = subjects[pid]
        assert isinstance(subject, Subject)
        sent = read_instant(header.text(7), context)
        order = ResultOrder(None, sent, sent, context.source.received)
        stay = {
            "resourceType": "Encounter",
            "id": "stay-1",
            "extension": build_common_extensions("", order, context.source),
            "status": header.text(19),
            "class": {"code": "IMP"},
            "subject": {"reference": subject.reference},
        }
        reason = {
            "resourceType": "Condition",
            "id": "reason-1",
            "code": {"text": "immune thrombocytopenia"},
            "subject": {"reference": subject.reference},
        }
        fact = Fact(0, header.place, header.span, subject=subject, order=order)
        candidate, companion = Candidate(stay, order), Candidate(reason, order)
        return [
            replace(
                fact,
                resource_type="Encounter",
                resource_id="stay-1",
                candidate=candidate,
                companions=(companion,),
            )
        ]

    decoder = replace(HL7V2, map=map_stay)
    monkeypatch.setattr(feeds_module, "DECODERS", {"hl7v2": decoder})

    def adt(status: str, sent: str) -> bytes:
        return message(f"{msh(f7=sent, f10=sent)}|{status}", pid())

    first = await lab.send_one(adt("in-progress", "20190314100000+0800"))
    later = await lab.send_one(adt("finished", "20190316100000+0800"))
    between = await lab.send_one(adt("in-progress", "20190315100000+0800"))
    outcomes = [fact["outcome"] for fact in (first, later, between)]
    assert outcomes == ["stored", "stored", "superseded"]
    assert (await lab.read("Encounter/stay-1"))["status"] == "finished"
    assert await lab.count("Condition") == 1


async def test_respond_async_answers_before_processing_and_a_worker_does_the_rest(
    lab: Hospital,
) -> None:
    answer = await lab.post(oru(), prefer="respond-async")
    assert answer.status_code == 202
    assert answer.json()["messages"][0]["facts"] is None
    assert await lab.count("Observation") == 0
    assert await lab.feeds.process_pending() == 1
    assert await lab.count("Observation") == 1


async def test_a_batch_is_answered_message_by_message(lab: Hospital) -> None:
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + oru(id="1") + oru(id="2", order="L2") + b"BTS|3\rFTS|1\r"
    answer = await lab.post(batch)
    assert answer.content.count(b"MSA|AA|") == 2
    assert await lab.count("Observation") == 2


async def test_of_a_long_batch_all_is_kept_and_the_rest_is_left_to_the_workers(
    lab: Hospital,
) -> None:
    batch = b"".join(oru(id=f"{n}", order=f"L{n}") for n in range(120)) + oru(id="0", order="L0")
    told = (await lab.post(batch, accept="application/json")).json()["messages"]
    assert [each["facts"] is not None for each in told] == [True] * 50 + [False] * 71
    assert told[-1]["duplicate"]
    assert [f"MSA|AA|{n % 120}\r" in each["ack"] for n, each in enumerate(told)] == [True] * 121
    assert await lab.count("Observation") == 50
    assert await lab.feeds.process_pending() == 70
    assert await lab.count("Observation") == 120
    again = await lab.post(batch)
    assert (again.status_code, again.content.count(b"MSA|AA|")) == (200, 121)
    assert await lab.feeds.process_pending() == 0


async def test_other_bytes_under_one_control_id_in_one_batch_are_flagged(lab: Hospital) -> None:
    batch = oru(id="1", order="L1") + oru(id="1", order="L2")
    told = (await lab.post(batch, accept="application/json")).json()["messages"]
    assert [len(each["facts"]) for each in told] == [1, 2]
    assert told[1]["facts"][1]["reason"] == "CONTROL_ID_REUSE"


async def test_thousands_of_messages_in_one_delivery_are_answered_soon(lab: Hospital) -> None:
    batch = b"".join(b"MSH|^~\\&|L|P|S|P|2019||ORU^R01|%d|P|2.5\r" % n for n in range(3000))
    async with asyncio.timeout(8):
        answer = await lab.post(batch)
    assert answer.content.count(b"MSA|AA|") == 3000
    async with lab.database.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM feeds.message_content") == 3000


async def test_a_delivery_of_too_many_messages_is_recorded_and_refused(lab: Hospital) -> None:
    answer = await lab.post(b"MSH|^~\\&|L\r" * 10_001)
    assert answer.status_code == 413
    assert b"TOO_LARGE" in answer.content
    assert b"10000 messages" in answer.content


async def test_another_message_under_a_used_control_id_is_flagged_not_dropped(
    lab: Hospital,
) -> None:
    await lab.send(oru(id="1", order="L1"))
    facts = await lab.send(oru(id="1", order="L2"))
    assert [(fact["outcome"], fact["reason"]) for fact in facts] == [
        ("stored", None),
        ("review", "CONTROL_ID_REUSE"),
    ]


async def test_a_clumped_count_is_stored_and_flagged(lab: Hospital) -> None:
    fact = await lab.send_one(oru(notes=["可见血小板聚集，建议复查"]))
    assert (fact["outcome"], fact["review"]) == ("stored", ["ANALYTIC_SUSPECT"])
    tags = (await lab.read(fact["resource"]))["meta"]["tag"]
    assert [tag["code"] for tag in tags] == ["analytic-suspect"]


async def test_a_power_of_ten_jump_in_an_unusual_unit_is_flagged_and_stored(
    lab: Hospital,
) -> None:
    await lab.send(oru(value="12", id="1"))
    later = {"order": "L2", "f14": "20190320080000+0800", "sent": "20190320101500+0800"}
    responder = await lab.send_one(oru(value="120", id="2", **later))
    assert responder["review"] == []
    later = {"order": "L3", "f14": "20190321080000+0800", "sent": "20190321101500+0800"}
    suspect = await lab.send_one(oru(value="120", unit="10*4/uL", id="3", **later))
    assert (suspect["outcome"], suspect["review"]) == ("stored", ["UNIT_SUSPECT_SCALE"])


async def test_a_result_of_another_subject_is_not_moved(lab: Hospital) -> None:
    lab.directory.subjects["PUMCH", STRANGER] = type(SUBJECT)("SSCI-002", "Patient/SSCI-002")
    await lab.send(oru(id="1"))
    moved = await lab.send_one(oru(id="2", mrn=STRANGER, sent="20190314111500+0800"))
    assert moved["reason"] == "PATIENT_MISMATCH"


async def test_a_collection_long_after_the_message_is_quarantined(lab: Hospital) -> None:
    fact = await lab.send_one(oru(f14="20990101"))
    assert (fact["reason"], fact["field"]) == ("TIME_INVALID", "OBX-14")
    dose = await lab.send_one(ras(start="20990101080000+0800"), HIS)
    assert (dose["reason"], dose["field"]) == ("TIME_INVALID", "RXA-3")
    near = await lab.send_one(oru(id="2", f14="20190315100000+0800"))
    assert near["outcome"] == "stored"


async def test_corrections_back_and_forth_end_with_the_last(lab: Hospital) -> None:
    outcomes = []
    for number, (value, status) in enumerate([("38", "F"), ("83", "C"), ("38", "C"), ("83", "C")]):
        sent = f"201903141{number}1500+0800"
        fact = await lab.send_one(oru(value=value, status=status, id=f"{number}", sent=sent))
        outcomes.append(fact["outcome"])
    assert outcomes == ["stored"] * 4
    assert value_of(await lab.read(current(fact))) == "83"
    again = await lab.send_one(oru(value="83", status="C", id="5", sent="20190314201500+0800"))
    assert again["outcome"] == "unchanged"
    assert await lab.count("Observation") == 4


async def test_a_first_report_sent_again_after_its_correction_changes_nothing(
    lab: Hospital,
) -> None:
    await lab.send(oru(value="38", id="1"))
    fact = await lab.send_one(oru(value="83", status="C", id="2", sent="20190314111500+0800"))
    again = await lab.send_one(oru(value="38", id="3", sent="20190314121500+0800"))
    assert (again["outcome"], again["detail"]) == ("unchanged", "said before by message 1")
    assert value_of(await lab.read(current(fact))) == "83"


async def test_a_dose_added_again_after_its_deletion_is_given(lab: Hospital) -> None:
    fact = await lab.send_one(ras(id="1"), HIS)
    await lab.send_one(ras(id="2", action="D", sent="20190314100000+0800"), HIS)
    again = await lab.send_one(ras(id="3", sent="20190314110000+0800"), HIS)
    assert (again["outcome"], current(again)) == ("stored", current(fact))
    assert (await lab.read(current(fact)))["status"] == "completed"


@pytest.mark.parametrize("action", ["U", "D"])
async def test_a_corrected_time_of_a_dose_makes_no_second_dose(lab: Hospital, action: str) -> None:
    fact = await lab.send_one(ras(id="1"), HIS)
    moved = {"start": "20190314093000+0800", "sent": "20190314100000+0800"}
    corrected = await lab.send_one(ras(id="2", action=action, **moved), HIS)
    assert current(corrected) == current(fact)
    given = await lab.read(current(fact))
    told = ("completed", "09") if action == "U" else ("entered-in-error", "08")
    assert (given["status"], given["effectiveDateTime"][11:13]) == told


async def test_an_update_that_comes_before_its_dose_waits_for_it(lab: Hospital) -> None:
    moved = {"start": "20190314093000+0800", "sent": "20190314100000+0800"}
    early = await lab.send_one(ras(id="2", action="U", **moved), HIS)
    assert early["reason"] == "CORRECTION_WITHOUT_ORIGINAL"
    fact = await lab.send_one(ras(id="1"), HIS)
    given = await lab.read(current(fact))
    assert given["effectiveDateTime"].startswith("2019-03-14T09:30")
    assert (await lab.client.get("/feeds/quarantine")).json()["facts"] == []


async def test_an_update_that_could_mean_two_doses_is_not_guessed_at(lab: Hospital) -> None:
    await lab.send(ras(id="1"), HIS)
    await lab.send(ras(id="2", start="20190315083000+0800", sent="20190315090000+0800"), HIS)
    unclear = {"start": "20190315093000+0800", "sent": "20190315100000+0800"}
    fact = await lab.send_one(ras(id="3", action="U", **unclear), HIS)
    assert fact["reason"] == "CORRECTION_WITHOUT_ORIGINAL"
    assert await lab.count("MedicationAdministration") == 2


@pytest.mark.parametrize("early", [False, True])
async def test_a_result_of_the_wrong_patient_makes_way_for_the_right_one(
    lab: Hospital, early: bool
) -> None:
    lab.directory.subjects["PUMCH", STRANGER] = type(SUBJECT)("SSCI-002", "Patient/SSCI-002")
    wrong = await lab.send_one(oru(id="1"))
    withdrawal = oru(id="2", status="W", sent="20190314111500+0800")
    right = oru(id="3", mrn=STRANGER, sent="20190314121500+0800")
    for data in (right, withdrawal) if early else (withdrawal, right):
        await lab.send(data)
    corrected = oru(id="4", mrn=STRANGER, value="40", status="C", sent="20190314131500+0800")
    fact = await lab.send_one(corrected)
    observation = await lab.read(fact["resource"])
    assert (observation["subject"]["reference"], value_of(observation)) == (
        *("Patient/SSCI-002",),
        "40",
    )
    assert observation["meta"]["versionId"] == "2"
    first = await lab.read(current(wrong))
    assert (first["status"], first["subject"]["reference"]) == (
        *("entered-in-error",),
        "Patient/SSCI-001",
    )
    open_facts = (await lab.client.get("/feeds/quarantine")).json()["facts"]
    assert [each["reason"] for each in open_facts] == ["WRONG_PATIENT"]


async def test_provenance_leads_from_each_version_to_the_bytes(lab: Hospital) -> None:
    data = oru()
    answer = (await lab.post(data, accept="application/json")).json()["messages"][0]
    async with lab.database.reading() as connection:
        id = await connection.fetchval("SELECT id FROM fhir.provenance")
    provenance = await lab.read(f"Provenance/{id}")
    assert provenance["entity"][0]["what"]["identifier"]["value"] == answer["sha256"]
    observed = provenance["target"][0]
    assert observed["reference"] == answer["facts"][0]["resource"]
    place = {
        item["url"]: item.get("valueString", item.get("valueInteger"))
        for item in observed["extension"][0]["extension"]
    }
    assert place["place"] == "OBX[1]"
    assert data[place["start"] : place["end"]].startswith(b"OBX|1|NM|PLT")


async def test_a_version_after_a_deletion_is_named_rightly(lab: Hospital) -> None:
    fact = await lab.send_one(oru(id="1"))
    kind, id = current(fact).split("/")
    await lab.store.write(CALLER, [Delete(kind, id)])
    again = await lab.send_one(oru(value="39", id="2", sent="20190314111500+0800"))
    assert again["resource"] == f"{kind}/{id}/_history/3"
    async with lab.database.reading() as connection:
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM fhir.provenance")]
    named = {
        target["reference"]
        for each in ids
        for target in (await lab.read(f"Provenance/{each}"))["target"]
    }
    assert {f"{kind}/{id}/_history/1", f"{kind}/{id}/_history/3"} <= named


async def test_corrections_of_what_was_deleted_here_wait_and_are_not_tried_for_ever(
    lab: Hospital,
) -> None:
    kind, id = current(await lab.send_one(oru(id="1"))).split("/")
    await lab.store.write(CALLER, [Delete(kind, id)])
    async with asyncio.timeout(5):
        for n in (2, 3):
            data = oru(value=f"4{n}", status="C", id=f"{n}", sent=f"201903141{n}1500+0800")
            assert (await lab.send_one(data))["reason"] == "CORRECTION_WITHOUT_ORIGINAL"


async def test_listings_page_by_key_and_filter_by_reason(lab: Hospital) -> None:
    for number in range(5):
        await lab.send(oru(value="1O2", id=str(number), order=f"L{number}"))
    await lab.send(oru(unit="foo", id="x", order="LX"))
    wanted = "/feeds/pumch-lis/quarantine?reason=VALUE_UNPARSABLE&count=2"
    seen = []
    while wanted:
        page = (await lab.client.get(wanted)).json()
        seen += [fact["message"] for fact in page["facts"]]
        wanted = page["next"]
    assert seen == [5, 4, 3, 2, 1]
    overview = (await lab.client.get("/feeds")).json()["feeds"]
    assert overview[0]["open"] == {"UNIT_UNMAPPED": 1, "VALUE_UNPARSABLE": 5}
    messages = (await lab.client.get("/feeds/pumch-lis/messages?count=2")).json()
    assert [each["inbox_id"] for each in messages["messages"]] == [6, 5]
    assert messages["next"] == "/feeds/pumch-lis/messages?before=5&count=2"
    one = (await lab.client.get("/feeds/pumch-lis/messages?control_id=3")).json()["messages"]
    assert [each["inbox_id"] for each in one] == [4]


async def test_the_runtime_role_cannot_change_or_delete_a_raw_message(lab: Hospital) -> None:
    await lab.send(oru())
    for sql in (
        "UPDATE feeds.message SET size = 0",
        "DELETE FROM feeds.message_content",
        "UPDATE feeds.message_content SET ciphertext = ''",
        "DELETE FROM feeds.delivery",
        "DELETE FROM feeds.acknowledgement",
    ):
        with pytest.raises(Exception, match="permission denied"):
            async with lab.database.writing() as connection:
                await connection.execute(sql)


# Trouble


async def test_fifty_deliveries_of_one_message_at_once_are_one_result(lab: Hospital) -> None:
    answers = await asyncio.gather(*(lab.post(oru()) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert await lab.count("Observation") == 1
    async with lab.database.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM feeds.message") == 1
        assert await connection.fetchval("SELECT count(*) FROM feeds.delivery") == 49


async def test_versions_of_one_result_arriving_at_once_end_with_the_newest(lab: Hospital) -> None:
    chain = [oru(value="38", id="0")] + [
        oru(value=str(40 + n), status="C", id=str(n), sent=f"201903141{n}0000+0800")
        for n in range(1, 8)
    ]
    await asyncio.gather(*(lab.post(data) for data in reversed(chain)))
    async with lab.database.reading() as connection:
        id = await connection.fetchval("SELECT id FROM fhir.observation")
    assert value_of(await lab.read(f"Observation/{id}")) == "47"
    assert (await lab.client.get("/feeds/quarantine")).json()["facts"] == []


class Interrupted(BaseException):
    """Stands for a process that ends here."""


async def test_what_a_killed_process_left_is_processed_by_the_next(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Processor, "process", die)
        with pytest.raises(Interrupted):
            await lab.feeds.receive("pumch-lis", oru(), ER7)
    assert await lab.count("Observation") == 0
    await _let_claims_expire(lab)
    assert await lab.feeds.process_pending() == 1
    assert await lab.count("Observation") == 1


async def test_a_message_that_alone_twice_ends_its_process_is_quarantined(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Processor, "process", die)
        with pytest.raises(Interrupted):
            await lab.feeds.receive("pumch-lis", oru(), ER7)
        for _ in range(2):
            await _let_claims_expire(lab)
            with pytest.raises(Interrupted):
                await lab.feeds.process_pending()
    await _let_claims_expire(lab)
    assert await lab.feeds.process_pending() == 1
    (fact,) = (await lab.client.get("/feeds/quarantine?reason=POISON")).json()["facts"]
    assert fact["outcome"] == "quarantined"
    assert await lab.feeds.process_pending() == 0


async def test_what_is_worked_at_is_not_taken_up_by_another(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Processor.process

    async def take_long(self: Processor, job: Any) -> Any:
        await asyncio.sleep(1)
        return await process(self, job)

    monkeypatch.setattr(feeds_module, "CLAIM", timedelta(seconds=0.4))
    monkeypatch.setattr(feeds_module, "RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(Processor, "process", take_long)
    sending = asyncio.create_task(lab.send_one(oru()))
    await asyncio.sleep(0.7)
    assert await lab.feeds.process_pending() == 0
    assert (await sending)["outcome"] == "stored"


async def test_what_a_killed_process_claimed_is_free_within_ten_seconds(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Processor, "process", die)
        with pytest.raises(Interrupted):
            await lab.feeds.receive("pumch-lis", oru(id="1") + oru(id="2", order="L2"), ER7)
    async with lab.database.reading() as connection:
        longest = await connection.fetchval(
            "SELECT max(claimed_until) - now() FROM feeds.processing WHERE state = 'pending'"
        )
    assert timedelta(0) < longest <= timedelta(seconds=10)


async def _let_claims_expire(lab: Hospital) -> None:
    async with lab.database.writing() as connection:
        await connection.execute("UPDATE feeds.processing SET claimed_until = now()")


async def test_a_passing_trouble_leaves_the_message_kept_and_pending(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise error(Category.UNAVAILABLE, "the database is restarting")

    with monkeypatch.context() as patch:
        patch.setattr(Processor, "process", refuse)
        answer = await lab.post(oru())
        told = await lab.post(oru(), accept="application/json")
    assert (answer.status_code, b"MSA|AA|M1" in answer.content) == (200, True)
    assert (told.status_code, told.json()["messages"][0]["facts"]) == (202, None)
    await _let_claims_expire(lab)
    await lab.feeds.process_pending()
    assert await lab.count("Observation") == 1


async def test_what_cannot_be_kept_is_refused_with_a_time_to_retry(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error(Category.UNAVAILABLE, "the database is down")

    monkeypatch.setattr(lab.feeds, "receive", refuse)
    answer = await lab.post(oru(id="M7"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert b"\rMSA|AR|M7\r" in answer.content
    assert answer.content.startswith(b"MSH|^~\\&|SSCI|PUMCH|LIS|PUMCH|")
    batch = await lab.post(b"BHS|^~\\&\r" + oru(id="M7") + oru(id="M8") + b"BTS|2\r")
    assert (batch.status_code, b"\rMSA|AR\r" in batch.content) == (503, True)


async def test_what_is_too_large_is_refused_under_its_own_control_id(lab: Hospital) -> None:
    answer = await lab.post(oru(id="M7", notes=["x" * 6_000_000] * 4))
    assert answer.status_code == 413
    assert b"\rMSA|AR|M7\r" in answer.content


async def test_a_resource_that_breaks_a_rule_of_fhir_fails_alone(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = lab.store.write

    async def refuse_level(caller: Caller, operations: Sequence[Operation], also: Any) -> Any:
        ids = {each.id for each in operations if isinstance(each, Revise)}
        if level.resource_id in ids:
            raise error(Category.UNPROCESSABLE, "no", expression="Observation.value")
        return await write(caller, operations, also)

    data = message(msh(), pid(), obr(), obx(), obx(SIROLIMUS, "8.6", "ng/mL"))
    level = map_bytes(data)[1]
    monkeypatch.setattr(lab.store, "write", refuse_level)
    facts = await lab.send(data)
    assert [(fact["outcome"], fact["reason"]) for fact in facts] == [
        ("stored", None),
        ("quarantined", "FHIR_INVALID"),
    ]
    assert "Observation.value" in facts[1]["detail"]


async def test_workers_process_what_is_pending_until_they_are_stopped(lab: Hospital) -> None:
    await lab.feeds.start(workers=2)
    for number in range(6):
        await lab.post(oru(id=str(number), order=f"L{number}"), prefer="respond-async")
    for _ in range(1000):
        if await lab.count("Observation") == 6:
            break
        await asyncio.sleep(0.02)
    await lab.feeds.stop()
    assert await lab.count("Observation") == 6


async def test_a_changed_row_of_content_does_not_open(lab: Hospital) -> None:
    await lab.send(oru(id="1"))
    async with lab.database.reading() as connection:
        content = await fetch_content(connection, FEED_KEYS, 1)
        assert content is not None
        assert content.data == oru(id="1")
        with pytest.raises(SsciError):
            await fetch_content(connection, FeedKeys(b"x" * 32, b"r" * 32), 1)


async def test_enrolment_takes_up_what_waited_and_marks_it_synthetic(database: Database) -> None:
    """The whole way with the trial's own identity schema."""
    replayed: list[Feeds] = []

    async def replay(hashes: Sequence[HashedMrn]) -> None:
        await replayed[0].replay_waiting(hashes)

    store = trial_store(database)
    trial = Trial(database, store, protocol(), KEYS, replay, ZONE)
    feeds = Feeds(database, store, site(), FEED_KEYS, TrialDirectory(KEYS), now=Clock())
    replayed.append(feeds)
    body = person()
    name, born = body["name"], body["birthDate"].replace("-", "")
    sent = {"f5": f"{name[:2]}^{name[2:]}", "f7": born}
    async with hospital(database, feeds, store) as lab, trial_client(trial) as client:
        own = message(msh(), pid(body["mrn"], **sent), obr(), obx())
        assert (await lab.send_one(own))["outcome"] == "waiting"
        answer = await client.post("/trial/subjects", json=body)
        assert answer.status_code == 201, answer.text
        detail = (await lab.client.get("/feeds/pumch-lis/messages/1")).json()["facts"][0]
        assert (detail["outcome"], detail["subject"]) == ("stored", "SSCI-001")
        observation = await lab.read(detail["resource"])
        assert observation["meta"]["security"][0]["code"] == "HTEST"
        wrong = message(msh(f10="M2"), pid(body["mrn"], f5="别^人"), obr("L2"), obx())
        assert (await lab.send_one(wrong))["reason"] == "PATIENT_MISMATCH"


async def test_the_tables_are_what_the_migration_makes(database: Database) -> None:
    async with database.reading() as connection:
        rows = await connection.fetch(
            "SELECT table_name, column_name, is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'feeds'"
        )
    made = {(row["table_name"], row["column_name"], row["is_nullable"] == "YES") for row in rows}
    described = {
        (table.name, column.name, bool(column.nullable))
        for table in metadata.tables.values()
        for column in table.columns
    }
    assert made == described


async def test_a_simulated_course_is_explained_fact_by_fact_and_sending_it_again_changes_nothing(
    lab: Hospital,
) -> None:
    (participant,) = simulate_participants(1, seed=7)
    lab.directory.subjects["PUMCH", participant.person.mrn] = SUBJECT
    sent = build_messages(participant)[:60]
    for each in sent:
        assert (await lab.post(each.payload, each.feed)).status_code == 200
    kinds = ("Observation", "MedicationAdministration", "DiagnosticReport", "Provenance")
    written = [await lab.count(kind) for kind in kinds]
    assert written[0] > 0
    assert written[1] > 0
    quarantine = (await lab.client.get("/feeds/quarantine?count=200")).json()["facts"]
    reasons = {fact["reason"] for fact in quarantine}
    assert reasons <= {"PATIENT_UNKNOWN", "ANALYTIC_SUSPECT", "WRONG_PATIENT", "UNIT_SUSPECT_SCALE"}
    for each in sent:
        await lab.post(each.payload, each.feed)
    async with lab.database.reading() as connection:
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM feeds.message")]
    await lab.feeds.process_again(ids)
    assert [await lab.count(kind) for kind in kinds] == written
