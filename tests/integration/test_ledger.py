"""The coverage ledger of messages that were received: stored counts, and the full one on demand."""

from __future__ import annotations

from app.database import Database
from tests.feed_support import LIS, MRN, hospital, message, msh, obr, obx, oru, pid


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
        assert leaf == {"path": "ZLR[1]-1.1", "kind": "unexplained", "rule": None}


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
