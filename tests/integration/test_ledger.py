"""The coverage ledger of messages that were received: stored counts, and the full one on demand."""

from __future__ import annotations

from typing import Any

from app.database import Database
from app.mappings.ledger.rows import MAX_BYTES
from tests.crf_support import CRF, as_json, record
from tests.feed_support import LIS, MRN, Hospital, hospital, message, msh, obr, obx, oru, pid
from tests.fhir_feed_support import bundle, observation, patient, report


async def test_a_message_ends_with_its_ledger_and_the_full_one_has_no_values(
    database: Database,
) -> None:
    data = message(msh(), pid(f5="测试^某人", f11="某街1号"), obr(), obx(f40="secret"))
    async with hospital(database) as place:
        await place.send(data)
        (listed,) = (await place.client.get(f"/feeds/{LIS}/messages")).json()["messages"]
        address = f"/feeds/{LIS}/messages/{listed['inbox_id']}"
        summary = (await place.client.get(address)).json()["ledger"]
        assert (summary["unexplained"], summary["paths"]) == (1, ["OBX[1]-40.1"])
        answer = await place.client.get(f"{address}/ledger")
        full = answer.json()
        for kind in ("mapped", "carried", "ignored", "unexplained"):
            assert full[kind] == summary[kind]
        told = {each["path"]: each["rule"] or each["kind"] for each in full["leaves"]}
        assert told["PID[1]-11.1"] == "direct-identifier"
        assert told["OBX[1]-5.1"] == "mapped"
        assert "direct-identifier" in full["rules"]
        for value in (MRN, "某", "secret", "PLT"):
            assert value not in answer.text


async def test_only_unexplained_leaves_can_be_asked_for(database: Database) -> None:
    async with hospital(database) as place:
        await place.send(oru() + b"ZLR|1\r")
        (listed,) = (await place.client.get(f"/feeds/{LIS}/messages")).json()["messages"]
        address = f"/feeds/{LIS}/messages/{listed['inbox_id']}/ledger?kind=unexplained"
        (leaf,) = (await place.client.get(address)).json()["leaves"]
        assert (leaf["path"], leaf["kind"], leaf["rule"]) == ("ZLR[1]-1.1", "unexplained", None)


async def test_an_unknown_message_has_no_ledger(database: Database) -> None:
    async with hospital(database) as place:
        for id in ("4711", str(2**70), "-1"):
            answer = await place.client.get(f"/feeds/{LIS}/messages/{id}/ledger")
            assert answer.status_code == 404, id


async def test_a_message_worked_at_again_keeps_one_ledger(database: Database) -> None:
    async with hospital(database) as place:
        await place.send(oru())
        async with database.reading() as connection:
            (id,) = [row["id"] for row in await connection.fetch("SELECT id FROM feeds.message")]
        await place.feeds.process_again([id])
        async with database.reading() as connection:
            assert await connection.fetchval("SELECT count(*) FROM feeds.ledger") == 1


async def post(place: Hospital, feed: str, format: str, data: bytes) -> str:
    """Sends a message; the address that it is looked at under."""
    media_type = "application/fhir+json" if format == "fhir" else "application/json"
    answer = await place.client.post(
        f"/feeds/{feed}/{format}", content=data, headers={"Content-Type": media_type}
    )
    assert answer.status_code < 300, answer.text
    (listed,) = (await place.client.get(f"/feeds/{feed}/messages")).json()["messages"]
    return f"/feeds/{feed}/messages/{listed['inbox_id']}"


async def leaves_at(place: Hospital, address: str) -> dict[str, dict[str, Any]]:
    answer = await place.client.get(f"{address}/ledger")
    assert answer.status_code == 200, answer.text
    assert MRN not in answer.text
    return {each["path"]: each for each in answer.json()["leaves"]}


async def test_a_bundle_has_a_ledger_that_names_elements_bytes_and_facts(
    database: Database,
) -> None:
    data = bundle(patient(), observation(method={"text": "x"}), report())
    async with hospital(database) as place:
        address = await post(place, LIS, "fhir", data)
        detail = (await place.client.get(address)).json()
        assert detail["ledger"]["unexplained"] == 0
        found = await leaves_at(place, address)
        value = found["/entry/1/resource/valueQuantity/value"]
        assert data[value["start"] : value["end"]] == b"38"
        assert (value["target"], value["fact"]) == ("Observation.value[x]", "entry[1]")
        assert value["fact"] in {each["position"] for each in detail["facts"]}
        assert found["/entry/1/resource/method/text"]["rule"] == "dictionary"
        kinds = [each["kind"] for each in found.values()]
        for kind in ("mapped", "carried", "ignored", "unexplained"):
            assert kinds.count(kind) == detail["ledger"][kind]


async def test_a_case_report_form_has_a_ledger(database: Database) -> None:
    async with hospital(database) as place:
        address = await post(place, CRF, "json", as_json(record("bleeding", subject="SSCI-999")))
        found = await leaves_at(place, address)
        assert found["/records/0/subject"]["rule"] == "identity"
        assert found["/records/0/grade"]["rule"] == "waiting"


async def test_the_ledger_of_a_long_message_is_not_stored_and_computed_when_asked(
    database: Database,
) -> None:
    others = [observation(str(n), identifier=[], note=[{"text": "x" * 900}]) for n in range(9, 300)]
    data = bundle(patient(), *others, report())
    assert len(data) > MAX_BYTES
    async with hospital(database) as place:
        address = await post(place, LIS, "fhir", data)
        async with database.reading() as connection:
            assert await connection.fetchval("SELECT count(*) FROM feeds.ledger") == 0
        summary = (await place.client.get(address)).json()["ledger"]
        assert summary["unexplained"] == 0
        assert summary["mapped"] > 3000
        assert len(await leaves_at(place, address)) == sum(
            summary[kind] for kind in ("mapped", "carried", "ignored", "unexplained")
        )


async def test_bytes_that_are_no_message_have_a_ledger_of_one_leaf(database: Database) -> None:
    async with hospital(database) as place:
        headers = {"Content-Type": "application/fhir+json"}
        await place.client.post(f"/feeds/{LIS}/fhir", content=b"{", headers=headers)
        (listed,) = (await place.client.get(f"/feeds/{LIS}/messages")).json()["messages"]
        found = await leaves_at(place, f"/feeds/{LIS}/messages/{listed['inbox_id']}")
        assert found["message"]["rule"] == "quarantined"
