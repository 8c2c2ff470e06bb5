"""The FHIR feed over HTTP and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.database import Database
from app.mappings.formats.v3xml.decoder import EXAMPLE as V3_EXAMPLE
from tests.feed_support import (
    HIS,
    LIS,
    MRN,
    STRANGER,
    SUBJECT,
    Hospital,
    current,
    hospital,
    oru,
    value_of,
)
from tests.fhir_feed_support import (
    administration,
    bundle,
    condition,
    dump,
    encounter,
    observation,
    patient,
    prescription,
    quantity,
    report,
)

JSON = "application/fhir+json"


@pytest.fixture
async def sick(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


async def send(sick: Hospital, data: bytes, feed: str = LIS) -> dict[str, dict[str, Any]]:
    answer = await sick.post(data, feed, "fhir", content_type=JSON)
    assert answer.status_code == 200, answer.text
    (receipt,) = answer.json()["messages"]
    return {fact["position"]: fact for fact in receipt["facts"]}


async def test_a_bundle_is_stored_fact_by_fact(sick):
    facts = await send(sick, bundle(patient(), observation(), report()))
    assert facts["entry[1]"]["outcome"] == "stored"
    stored = await sick.read(current(facts["entry[1]"]))
    assert value_of(stored) == "38"
    assert stored["subject"]["reference"] == SUBJECT.reference
    assert await sick.count("DiagnosticReport") == 1


async def test_the_same_result_by_hl7_and_by_fhir_is_stored_once(sick):
    by_hl7 = await sick.send_one(oru())
    by_fhir = (await send(sick, bundle(patient(), observation(), report())))["entry[1]"]
    assert by_fhir["outcome"] == "unchanged"
    assert await sick.count("Observation") == 1
    assert current(by_hl7)


async def test_a_correction_by_fhir_corrects_what_hl7_brought(sick):
    fact = await sick.send_one(oru())
    later = observation(
        status="corrected",
        valueQuantity=quantity("83", "10*9/L"),
        issued="2019-03-14T11:00:00+08:00",
        meta={"lastUpdated": "2019-03-14T11:00:00+08:00"},
    )
    facts = await send(sick, bundle(patient(), later, report()))
    assert facts["entry[1]"]["outcome"] == "stored"
    assert value_of(await sick.read(current(fact))) == "83"


async def test_a_corrected_result_whose_first_report_was_never_seen_is_stored(sick):
    facts = await send(sick, bundle(patient(), observation(status="corrected"), report()))
    assert facts["entry[1]"]["outcome"] == "stored"


async def test_medicines_visits_and_diagnoses_are_stored_and_again_are_nothing_new(sick):
    data = [patient(), administration(), prescription(), encounter(), condition()]
    facts = await send(sick, bundle(*data), HIS)
    assert [facts[f"entry[{n}]"]["outcome"] for n in range(1, 5)] == ["stored"] * 4
    again = await send(sick, bundle(*data, id="another"), HIS)
    assert [again[f"entry[{n}]"]["outcome"] for n in range(1, 5)] == ["unchanged"] * 4


async def test_a_prescription_follows_its_state(sick):
    first = await send(sick, bundle(patient(), prescription()), HIS)
    stopped = prescription(status="stopped", meta={"lastUpdated": "2019-03-20T09:00:00+08:00"})
    await send(sick, bundle(patient(), stopped), HIS)
    assert (await sick.read(current(first["entry[1]"])))["status"] == "stopped"
    await send(sick, bundle(patient(), prescription(), id="late"), HIS)
    assert (await sick.read(current(first["entry[1]"])))["status"] == "stopped"


async def test_nothing_of_an_unknown_patient_is_mapped_and_enrolment_brings_it(sick):
    data = bundle(patient(mrn=STRANGER), observation(), report())
    facts = await send(sick, data)
    assert facts["entry[1]"]["outcome"] == "waiting"
    assert facts["entry[1]"]["code"] == ""
    sick.directory.subjects["PUMCH", STRANGER] = sick.directory.subjects["PUMCH", MRN]
    again = await send(sick, data + b" ")
    assert again["entry[1]"]["outcome"] == "stored"


async def test_what_is_no_fhir_is_kept_and_refused(sick):
    answer = await sick.post(b"MSH|", LIS, "fhir", content_type=JSON)
    assert answer.status_code == 400
    assert answer.json()["messages"][0]["facts"][0]["reason"] == "PARSE"
    plain = await sick.post(dump(patient()), LIS, "fhir", content_type="text/plain")
    assert plain.status_code == 415


async def test_xml_of_a_v3_system_is_answered_in_its_own_words(sick):
    answer = await sick.post(V3_EXAMPLE.encode(), LIS, "v3xml", content_type="application/xml")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/xml"
    assert b'<acknowledgement typeCode="AA"><targetMessage><id extension="42"/>' in answer.content
    again = await sick.post(
        V3_EXAMPLE.encode(), LIS, "v3xml", content_type="text/xml", accept="application/json"
    )
    (receipt,) = again.json()["messages"]
    assert receipt["duplicate"]
    assert receipt["facts"][0]["outcome"] == "stored"
    assert await sick.count("Observation") == 1


async def test_what_is_no_xml_is_kept_and_refused(sick):
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    answer = await sick.post(bomb, LIS, "v3xml", content_type="application/xml")
    assert answer.status_code == 400
    assert b'typeCode="AE"' in answer.content
