"""Orders and prescriptions over a real database: their course, and the results that answer them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from app.database import Database
from tests.feed_support import (
    HIS,
    MRN,
    SIROLIMUS,
    STRANGER,
    SUBJECT,
    Hospital,
    current,
    hospital,
    message,
    msh,
    obr,
    obx,
    oml,
    oru,
    pid,
    rde,
    waiting_key,
)

GIVEN = rde(ordered="20190314080000+0800", id="1")
CHANGED = rde("1", control="XO", ordered="20190315080000+0800", id="2")
HELD = rde(control="HD", ordered="20190316080000+0800", id="3")
STOPPED = rde(control="DC", ordered="20190317080000+0800", id="4")


@pytest.fixture
async def ward(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


async def told(ward: Hospital, data: bytes) -> dict[str, object]:
    (fact,) = await ward.send(data, HIS)
    return fact


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_the_order_of_arrival_of_an_orders_messages_decides_nothing(
    ward: Hospital, order: tuple[int, ...]
) -> None:
    course = [GIVEN, CHANGED, HELD, STOPPED]
    for n in order:
        fact = await told(ward, course[n])
    request = await ward.read(current(fact))
    assert request["status"] == "stopped"
    dose = request["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"]
    assert str(dose) == "1"
    assert request["authoredOn"] == "2019-03-14T08:00:00+08:00"


async def test_orders_sent_twice_and_replayed_write_no_new_version(ward: Hospital) -> None:
    for data in (GIVEN, STOPPED, oml()):
        await told(ward, data)
    kinds = ("MedicationRequest", "ServiceRequest", "Provenance")
    written = [await ward.count(kind) for kind in kinds]
    for data in (
        rde(ordered="20190314080000+0800", id="8", sent="20190320080000+0800"),
        oml(id="9", sent="20190320080000+0800"),
    ):
        await told(ward, data)
    await ward.feeds.process_again([1, 2, 3, 4, 5])
    assert [await ward.count(kind) for kind in kinds] == written


async def test_an_order_sent_again_without_a_time_does_not_undo_its_end(ward: Hospital) -> None:
    await told(ward, rde(ordered="", id="1"))
    await told(ward, rde(control="DC", ordered="", id="2", sent="20190315080000+0800"))
    again = await told(ward, rde(ordered="", id="3", sent="20190316080000+0800"))
    assert again["outcome"] == "unchanged"
    assert (await ward.read(current(again)))["status"] == "stopped"


async def test_a_result_names_the_order_that_asked_for_it(ward: Hospital) -> None:
    order = await told(ward, oml(order="P-L1"))
    fact = await ward.send_one(oru(order="L1"))
    expected = [{"reference": current(order)}]
    assert (await ward.read(current(fact)))["basedOn"] == expected
    async with ward.database.reading() as connection:
        report = await connection.fetchval("SELECT id FROM fhir.diagnosticreport")
    assert (await ward.read(f"DiagnosticReport/{report}"))["basedOn"] == expected


async def test_a_result_is_found_by_the_fillers_number_too(ward: Hospital) -> None:
    order = await told(ward, oml(order="P-1", filler="L9"))
    fact = await ward.send_one(message(msh(), pid(), obr("L9", f2=""), obx()))
    assert (await ward.read(current(fact)))["basedOn"] == [{"reference": current(order)}]


async def test_of_two_orders_under_one_number_the_panel_decides(ward: Hospital) -> None:
    count = await told(ward, oml(order="P-L1", id="1"))
    level = await told(ward, oml(order="P-L1", code="SIRO^雷帕霉素^99PUMCH", id="2"))
    plt = await ward.send_one(oru(order="L1"))
    panel = "SIRO^雷帕霉素^99PUMCH"
    sirolimus = await ward.send_one(
        message(msh(f10="M2"), pid(), obr("L1", panel), obx(SIROLIMUS, "8.6", "ng/mL"))
    )
    links = [(await ward.read(current(fact)))["basedOn"] for fact in (plt, sirolimus)]
    assert links == [[{"reference": current(count)}], [{"reference": current(level)}]]


async def test_an_order_that_comes_later_changes_no_result(ward: Hospital) -> None:
    fact = await ward.send_one(oru(order="L1"))
    await told(ward, oml(order="P-L1"))
    again = await ward.send_one(oru(order="L1", id="M2", sent="20190315101500+0800"))
    assert again["outcome"] == "unchanged"
    assert "basedOn" not in await ward.read(current(fact))
    corrected = oru(value="83", status="C", order="L1", id="M3", sent="20190316101500+0800")
    assert "basedOn" in await ward.read(current(await ward.send_one(corrected)))


async def test_an_order_of_another_subject_asks_for_nothing_of_this_one(ward: Hospital) -> None:
    ward.directory.subjects["PUMCH", STRANGER] = type(SUBJECT)("SSCI-002", "Patient/SSCI-002")
    await told(ward, oml(order="P-L1", mrn=STRANGER))
    fact = await ward.send_one(oru(order="L1"))
    assert "basedOn" not in await ward.read(current(fact))


async def test_orders_of_a_stranger_wait_and_show_nothing(ward: Hospital) -> None:
    for data in (oml(mrn=STRANGER), rde(mrn=STRANGER)):
        fact = await told(ward, data)
        assert (fact["outcome"], fact["code"], fact["subject"]) == ("waiting", "", None)
    ward.directory.subjects["PUMCH", STRANGER] = SUBJECT
    await ward.feeds.replay_waiting([("PUMCH", waiting_key(("PUMCH", STRANGER)))])
    assert await ward.count("ServiceRequest") == 1
    assert await ward.count("MedicationRequest") == 1


async def test_no_order_number_is_stored_in_clear(ward: Hospital) -> None:
    facts = [await told(ward, oml(order="ORDER-4711")), await told(ward, rde(order="ORDER-4712"))]
    for fact in facts:
        assert "ORDER-47" not in str(await ward.read(current(fact)))
        assert MRN not in str(fact)


async def test_a_wrong_patients_review_names_everything_derived(ward: Hospital) -> None:
    spm = "SPM|1|S1||BLD"
    await ward.send(message(msh(f10="1"), pid(), obr(), obx(), spm))
    sent = "20190314111500+0800"
    withdrawal = message(msh(f10="2", f7=sent), pid(), obr(), obx(f11="W"), spm)
    (fact,) = await ward.send(withdrawal)
    assert (fact["outcome"], fact["reason"]) == ("stored", "WRONG_PATIENT")
    async with ward.database.reading() as connection:
        for kind in ("Observation", "DiagnosticReport", "Specimen"):
            id = await connection.fetchval(f"SELECT id FROM fhir.{kind.lower()}")
            assert f"{kind}/{id}" in fact["detail"]
