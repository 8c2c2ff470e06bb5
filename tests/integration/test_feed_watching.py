"""Watching the feeds over HTTP and a real database: browser, quarantine, replay, raw view."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import asyncpg
import pytest

from app.database import Database
from app.errors import SsciError
from app.mappings import Feeds
from app.mappings.dictionary.site import Site
from app.mappings.watching.browsing import MessageFilter, order_tokens
from app.mappings.watching.moments import parse_received
from app.mappings.watching.rehearsal import Tally, rehearse
from app.mappings.watching.replays import (
    Replayer,
    begin_replay,
    fetch_batch,
    resume_replay,
    stop_replay,
)
from app.mappings.watching.routes import find_messages
from app.mappings.watching.selection import Selection
from app.mappings.watching.watcher import Watching
from tests.feed_support import (
    FEED_KEYS,
    LIS,
    STRANGER,
    Clock,
    Hospital,
    hospital,
    message,
    msh,
    obr,
    obx,
    oru,
    pid,
    ras,
    site,
)
from tests.trial_support import ZONE

WHO = {"person": "Dr. Watcher", "reason": "the bench confirmed it"}
UNKNOWN_CODE = "NEW^新项目^99MRC"


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


async def listed(lab: Hospital, query: str = "", feed: str = LIS) -> list[int]:
    answer = await lab.client.get(f"/feeds/{feed}/messages?{query}")
    assert answer.status_code == 200, answer.text
    return [each["inbox_id"] for each in answer.json()["messages"]]


def with_unknown_code_known() -> Site:
    """The site after somebody added the unknown code to its dictionary."""
    known = site()
    entry = (
        known.tests[LIS, "*", "PLT", "99MRC"]
        if (LIS, "*", "PLT", "99MRC") in known.tests
        else (next(value for key, value in known.tests.items() if key[2] == "PLT"))
    )
    tests = {**known.tests, (LIS, "*", "NEW", "99MRC"): entry}
    return replace(known, version="pumch-2", tests=MappingProxyType(tests))


def reopened(lab: Hospital, changed: Site | None = None) -> Feeds:
    """The service after a restart, also with another dictionary."""
    feeds = Feeds(lab.database, lab.store, changed or site(), FEED_KEYS, lab.directory, now=Clock())
    lab.feeds = feeds
    return feeds


# The message browser


async def test_messages_are_found_by_each_filter(lab: Hospital) -> None:
    await lab.post(oru(id="A", order="L1"))
    await lab.post(oru(UNKNOWN_CODE, id="B", order="L2"))
    await lab.post(oru(id="C", order="L3", mrn=STRANGER))
    await lab.post(message(msh("ADT^A60^ADT_A60", f10="D"), pid()))
    assert await listed(lab) == [4, 3, 2, 1]
    assert await listed(lab, "subject=SSCI-001") == [2, 1]
    assert await listed(lab, "code=NEW") == [2]
    assert await listed(lab, "code=PLT") == [1]
    assert await listed(lab, "reason=UNSUPPORTED_TYPE") == [4]
    assert await listed(lab, "state=open") == [4, 3, 2]
    assert await listed(lab, "state=pending") == []
    assert await listed(lab, "state=done&count=200") == [4, 3, 2, 1]
    assert await listed(lab, "control_id=C") == [3]
    assert await listed(lab, "type=ADT%5EA60") == [4]
    assert await listed(lab, "subject=SSCI-001&reason=CODE_UNMAPPED&state=open") == [2]
    assert await listed(lab, "subject=SSCI-001&reason=UNSUPPORTED_TYPE") == []
    assert await listed(lab, "control_id=A&code=PLT") == [1]
    assert await listed(lab, "control_id=B&code=PLT") == []


async def test_messages_are_found_by_when_they_were_received(lab: Hospital) -> None:
    for n in range(1, 6):
        await lab.post(oru(id=str(n), order=f"L{n}"))
    async with lab.database.reading() as connection:
        rows = await connection.fetch("SELECT received FROM feeds.message ORDER BY id")
    second, fourth = (rows[n]["received"].isoformat().replace("+", "%2B") for n in (1, 3))
    assert await listed(lab, f"received=ge{second}&received=lt{fourth}") == [3, 2]
    assert await listed(lab, f"received=gt{second}&received=le{fourth}&code=PLT") == [4, 3]
    assert await listed(lab, "received=lt1999-01-01&code=PLT") == []
    for wrong in ("2019-03-14", "ge2019", "ge2019-02-30", "xx2019-03-14", "ge2019-03-14Tnoon"):
        answer = await lab.client.get(f"/feeds/{LIS}/messages?received={wrong}")
        assert answer.status_code == 400, wrong


async def test_pages_of_a_filtered_list_follow_each_other_without_gap(lab: Hospital) -> None:
    for n in range(1, 8):
        await lab.post(oru(id=str(n), order=f"L{n}", value=str(30 + n)))
    address, seen = f"/feeds/{LIS}/messages?code=PLT&count=3&received=ge2000-01-01", []
    while address:
        page = (await lab.client.get(address)).json()
        seen.append([each["inbox_id"] for each in page["messages"]])
        address = page["next"]
    assert seen == [[7, 6, 5], [4, 3, 2], [1]]


async def test_an_order_number_is_looked_for_by_its_token(lab: Hospital) -> None:
    await lab.post(oru(id="A", order="L1"))
    await lab.post(oru(id="B", order="L2"))
    answer = await lab.client.post(f"/feeds/{LIS}/messages/search", json={"order": "L2"})
    assert [each["inbox_id"] for each in answer.json()["messages"]] == [2]
    tokens = order_tokens(FEED_KEYS.result_hmac, site().feeds[LIS], "L1")
    assert await listed(lab, f"order={tokens[0]}") == [1]
    clear = await lab.client.get(f"/feeds/{LIS}/messages?order=L2")
    assert clear.status_code == 422
    assert "L2" not in answer.text.replace("99MRC", "")


async def test_a_stranger_is_not_found_by_an_order_number(lab: Hospital) -> None:
    await lab.post(oru(id="A", order="L1", mrn=STRANGER))
    answer = await lab.client.post(f"/feeds/{LIS}/messages/search", json={"order": "L1"})
    assert answer.json()["messages"] == []


@pytest.mark.parametrize("id", ["ZHANGSAN", "T000000001", "110105194912310021"])
async def test_a_control_id_that_may_name_somebody_is_acknowledged_and_not_kept_in_clear(
    lab: Hospital, id: str
) -> None:
    first = await lab.post(oru(id=id))
    again = await lab.post(oru(id=id))
    assert f"MSA|AA|{id}\r".encode() in first.content
    assert again.content == first.content
    assert await listed(lab, f"control_id={id}") == [1]
    assert id not in (await lab.client.get(f"/feeds/{LIS}/messages/1")).text
    assert id not in (await lab.client.get(f"/feeds/{LIS}/messages/1/content")).text
    assert id.encode() not in await everything_in_clear(lab)


async def test_a_sender_that_is_no_system_is_answered_and_not_kept_in_clear(lab: Hospital) -> None:
    sent = oru().replace(b"|LIS|PUMCH|", "|王测试|T000000001|".encode(), 1)
    plain = {"Content-Type": "application/hl7-v2"}
    headers = plain | {"Idempotency-Key": "one"}
    answers = [
        (await lab.client.post(f"/feeds/{LIS}/hl7v2", content=sent, headers=each)).content
        for each in (headers, headers, plain)
    ]
    assert "|王测试|T000000001|".encode() in answers[0]
    assert len(set(answers)) == 1
    kept = await everything_in_clear(lab)
    assert "王测试".encode() not in kept
    assert b"T000000001" not in kept


async def everything_in_clear(lab: Hospital) -> bytes:
    """What the tables of the feeds hold beside the encrypted bytes."""
    async with lab.database.reading() as connection:
        rows = [
            *await connection.fetch("SELECT control_id, message_type FROM feeds.message"),
            *await connection.fetch("SELECT body FROM feeds.acknowledgement"),
            *await connection.fetch("SELECT body, location FROM feeds.idempotency"),
            *await connection.fetch("SELECT f::text FROM feeds.fact f"),
        ]
    texts = (value for row in rows for value in row.values() if value is not None)
    return b"\n".join(each.encode() if isinstance(each, str) else each for each in texts)


@pytest.mark.parametrize(
    "query", ["code=%00", "subject=%00", "control_id=a%00", "type=%00", "reason=NO", "order=1"]
)
async def test_what_no_filter_can_be_is_refused(lab: Hospital, query: str) -> None:
    assert (await lab.client.get(f"/feeds/{LIS}/messages?{query}")).status_code == 422


async def test_a_message_tells_its_deliveries_resources_and_content(lab: Hospital) -> None:
    await lab.post(oru())
    await lab.post(oru())
    detail = (await lab.client.get(f"/feeds/{LIS}/messages/1")).json()
    assert detail["deliveries"] == 2
    assert detail["last_delivered"] > detail["received"]
    assert detail["resources"] == [detail["facts"][0]["resource"]]
    assert detail["content"] == f"/feeds/{LIS}/messages/1/content"
    assert detail["decisions"] == []


# Status


async def test_the_overview_tells_what_is_open_since_when(lab: Hospital) -> None:
    await lab.post(oru(mrn=STRANGER, id="A"))
    await lab.post(oru(UNKNOWN_CODE, id="B"))
    await lab.post(oru(UNKNOWN_CODE, id="C", order="L2"))
    told = {each["name"]: each for each in (await lab.client.get("/feeds")).json()["feeds"]}[LIS]
    assert told["open"] == {"CODE_UNMAPPED": 2, "PATIENT_UNKNOWN": 1}
    first, second = (each["oldest"] for each in told["open_since"])
    assert (told["oldest_open"], first) == (first, first)
    assert second < first
    assert (told["pending"], told["lag_seconds"]) == (0, 0)


async def test_metrics_are_text_without_identities(lab: Hospital) -> None:
    watching = Watching(lab.feeds)
    await lab.post(oru())
    await lab.post(oru(UNKNOWN_CODE, id="B"))
    await lab.post(oru(mrn=STRANGER, id="C"))
    text = await watching.exposition()
    assert f'ssci_feed_open_facts{{feed="{LIS}",reason="CODE_UNMAPPED"}} 1\n' in text
    assert f'ssci_feed_facts_total{{feed="{LIS}",outcome="stored",process=' in text
    assert f'ssci_feed_messages_total{{feed="{LIS}",outcome="quarantined",process=' in text
    assert f'ssci_feed_pending_messages{{feed="{LIS}"}} 0\n' in text
    assert "# TYPE ssci_feed_lag_seconds gauge\n" in text
    assert all(mark not in text for mark in (STRANGER, "T000000001", "SSCI-001", "测试"))
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rsplit(" ", 1)[1]) >= 0


# Quarantine


async def decide(lab: Hospital, action: str, message_id: int = 1, **body: Any) -> Any:
    return await lab.client.post(f"/feeds/{LIS}/messages/{message_id}/{action}", json=WHO | body)


async def quarantine(lab: Hospital, query: str = "") -> list[dict[str, Any]]:
    answer = await lab.client.get(f"/feeds/quarantine?{query}")
    return list(answer.json()["facts"])


async def test_a_dismissed_fact_leaves_the_list_and_who_did_it_is_kept(lab: Hospital) -> None:
    await lab.post(oru(UNKNOWN_CODE))
    done = await decide(lab, "dismiss")
    assert (done.status_code, done.json()["ordinals"]) == (200, [0])
    assert await quarantine(lab) == []
    (fact,) = await quarantine(lab, "state=dismissed&reason=CODE_UNMAPPED")
    assert fact["message"] == 1
    again = await decide(lab, "reopen", reason="it was the wrong one")
    assert again.json()["state"] == "open"
    assert len(await quarantine(lab)) == 1
    decisions = (await lab.client.get(f"/feeds/{LIS}/decisions")).json()["decisions"]
    assert [(each["action"], each["person"], each["fact_reason"]) for each in decisions] == [
        ("reopen", "Dr. Watcher", "CODE_UNMAPPED"),
        ("dismiss", "Dr. Watcher", "CODE_UNMAPPED"),
    ]
    detail = (await lab.client.get(f"/feeds/{LIS}/messages/1")).json()
    assert [each["action"] for each in detail["decisions"]] == ["dismiss", "reopen"]


async def test_what_cannot_be_decided_changes_nothing(lab: Hospital) -> None:
    await lab.post(message(msh(), pid(), obr(), obx(), obx(UNKNOWN_CODE, f1="2")))
    assert (await decide(lab, "dismiss", facts=[0, 1])).status_code == 409
    assert (await decide(lab, "dismiss", facts=[7])).status_code == 404
    assert (await decide(lab, "dismiss", 99)).status_code == 404
    assert (await decide(lab, "reopen")).status_code == 409
    assert (await decide(lab, "dismiss", person="  ")).status_code == 400
    assert (await decide(lab, "dismiss", reason="a\0b")).status_code == 400
    assert (await decide(lab, "dismiss", unknown=1)).status_code == 422
    assert [fact["state"] for fact in await quarantine(lab)] == ["open"]
    assert (await lab.client.get(f"/feeds/{LIS}/decisions")).json()["decisions"] == []


async def test_decisions_can_only_be_added(lab: Hospital) -> None:
    await lab.post(oru(UNKNOWN_CODE))
    await decide(lab, "dismiss")
    for sql in ("UPDATE feeds.dismissal SET person = ''", "DELETE FROM feeds.dismissal"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with lab.database.writing() as connection:
                await connection.execute(sql)


async def test_a_dismissed_fact_stays_so_while_it_fails_for_the_same_reason(lab: Hospital) -> None:
    await lab.post(oru(UNKNOWN_CODE))
    await decide(lab, "dismiss")
    await lab.feeds.process_again([1])
    assert [fact["state"] for fact in await quarantine(lab, "state=dismissed")] == ["dismissed"]


async def test_a_dismissed_fact_that_fails_for_another_reason_is_open_again(lab: Hospital) -> None:
    await lab.post(oru(UNKNOWN_CODE, value="nonsense"))
    await decide(lab, "dismiss")
    await reopened(lab, with_unknown_code_known()).process_again([1])
    assert [fact["reason"] for fact in await quarantine(lab)] == ["VALUE_UNPARSABLE"]


@pytest.mark.parametrize("dismissed", [False, True])
async def test_a_later_attempt_that_succeeds_resolves(lab: Hospital, dismissed: bool) -> None:
    await lab.post(oru(UNKNOWN_CODE))
    if dismissed:
        await decide(lab, "dismiss")
    await reopened(lab, with_unknown_code_known()).process_again([1])
    (fact,) = await quarantine(lab, "state=resolved&reason=CODE_UNMAPPED")
    assert (fact["outcome"], fact["reason"], fact["resolved_reason"]) == (
        *("stored", None),
        "CODE_UNMAPPED",
    )
    assert await quarantine(lab) == []
    await lab.feeds.process_again([1])
    assert len(await quarantine(lab, "state=resolved&reason=CODE_UNMAPPED")) == 1


async def test_quarantine_of_all_feeds_is_one_list_in_the_order_of_receipt(lab: Hospital) -> None:
    for n in range(1, 4):
        await lab.post(oru(UNKNOWN_CODE, id=str(n), order=f"L{n}"))
        await lab.post(ras("x", order=f"A{n}", id=f"R{n}"), "pumch-his")
    first = (await lab.client.get("/feeds/quarantine?count=4")).json()
    assert [fact["message"] for fact in first["facts"]] == [6, 5, 4, 3]
    rest = (await lab.client.get(first["next"])).json()
    assert [fact["message"] for fact in rest["facts"]] == [2, 1]
    assert rest["next"] is None


# Replay


async def test_a_dry_run_tells_what_would_happen_and_writes_nothing(lab: Hospital) -> None:
    await lab.post(oru(UNKNOWN_CODE, id="A"))
    await lab.post(oru(UNKNOWN_CODE, id="B", order="L2", value="nonsense"))
    await lab.post(oru(id="C", order="L3"))
    before = await everything(lab)
    reopened(lab, with_unknown_code_known())
    async with hospital(lab.database, lab.feeds, lab.store) as changed:
        answer = await changed.client.post("/feeds/replays", json={"reason": "CODE_UNMAPPED"})
    told = answer.json()
    assert (answer.status_code, told["selected"], told["mapping_version"]) == (200, 2, "pumch-2")
    assert told["would"]["facts"] == 2
    assert told["would"]["failing"] == 1
    assert told["would"]["unchanged"] == 0
    assert told["would"]["versions"] >= 1
    assert await everything(lab) == before


async def everything(lab: Hospital) -> Mapping[str, Any]:
    """All that a replay could change."""
    kinds = ("Observation", "DiagnosticReport", "Specimen", "Provenance")
    async with lab.database.reading() as connection:
        facts = await connection.fetch(
            "SELECT f::text FROM feeds.fact f ORDER BY message_id, ordinal"
        )
        work = await connection.fetch("SELECT p::text FROM feeds.processing p ORDER BY message_id")
    counts = {kind: await lab.count(kind) for kind in kinds}
    return {"facts": [row[0] for row in facts], "work": [row[0] for row in work], **counts}


async def test_a_replay_does_what_its_dry_run_told(lab: Hospital) -> None:
    await lab.post(oru(UNKNOWN_CODE, id="A"))
    await lab.post(oru(UNKNOWN_CODE, id="B", order="L2", value="nonsense"))
    await lab.post(oru(id="C", order="L3"))
    feeds = reopened(lab, with_unknown_code_known())
    selection = Selection(reason="CODE_UNMAPPED")
    _, would = await rehearse(feeds, selection, 100)
    id = await begin_replay(feeds, selection, "Dr. Watcher", "dictionary", claim=True)
    await Replayer(feeds).run(id)
    batch = await batch_of(lab, id)
    assert (batch.state, batch.messages, batch.mapping_version) == ("done", 2, "pumch-2")
    assert batch.done == would
    assert batch.ended is not None


async def batch_of(lab: Hospital, id: int) -> Any:
    async with lab.database.reading() as connection:
        return await fetch_batch(connection, id)


async def test_replaying_everything_twice_writes_nothing(lab: Hospital) -> None:
    for n in range(1, 4):
        await lab.post(oru(id=str(n), order=f"L{n}"))
    await lab.post(oru(id="4", order="L1", value="40", status="C", sent="20190315101500+0800"))
    kinds = ("Observation", "DiagnosticReport", "Specimen", "Provenance")
    written = [await lab.count(kind) for kind in kinds]
    everything_stored = Selection(feed=LIS, state="any")
    _, would = await rehearse(lab.feeds, everything_stored, 100)
    assert (would.messages, would.versions, would.failing) == (4, 0, 0)
    for _ in range(2):
        id = await begin_replay(lab.feeds, everything_stored, "Dr. Watcher", "again", claim=True)
        await Replayer(lab.feeds).run(id)
        assert (await batch_of(lab, id)).done == would
    assert [await lab.count(kind) for kind in kinds] == written


async def test_a_dry_run_counts_a_correction_whose_original_it_would_write(lab: Hospital) -> None:
    await lab.post(oru(UNKNOWN_CODE, id="A"))
    await lab.post(oru(UNKNOWN_CODE, id="B", value="40", status="C", sent="20190315101500+0800"))
    feeds = reopened(lab, with_unknown_code_known())
    _, would = await rehearse(feeds, Selection(code="NEW"), 100)
    id = await begin_replay(feeds, Selection(code="NEW"), "Dr. Watcher", "again", claim=True)
    await Replayer(feeds).run(id)
    assert (would.facts, would.failing) == (2, 0)
    assert (await batch_of(lab, id)).done == would


@pytest.mark.parametrize(
    ("selection", "messages"),
    [
        ({"reason": "CODE_UNMAPPED"}, 2),
        ({"code": "NEW"}, 2),
        ({"subject": "SSCI-001"}, 2),
        ({"subject": "SSCI-001", "state": "any"}, 3),
        ({"messages": [1, 3, 99]}, 1),
        ({"messages": [1, 3], "state": "any"}, 2),
        ({"feed": "pumch-his", "state": "any"}, 0),
        ({"received": ["lt1999-01-01"], "state": "any"}, 0),
        ({"mapping_version": "another", "state": "any"}, 0),
    ],
)
async def test_a_replay_takes_what_is_selected(
    lab: Hospital, selection: dict[str, Any], messages: int
) -> None:
    await lab.post(oru(UNKNOWN_CODE, id="A"))
    await lab.post(oru(UNKNOWN_CODE, id="B", order="L2"))
    await lab.post(oru(id="C", order="L3"))
    told = (await lab.client.post("/feeds/replays", json=selection)).json()
    assert told["selected"] == messages


async def test_a_replay_of_nothing_in_particular_is_refused(lab: Hospital) -> None:
    assert (await lab.client.post("/feeds/replays", json={})).status_code == 400
    assert (await lab.client.post("/feeds/replays", json={"state": "any"})).status_code == 400
    body = {"reason": "CODE_UNMAPPED", "dry_run": False}
    assert (await lab.client.post("/feeds/replays", json=body)).status_code == 400
    assert (await lab.client.post("/feeds/replays", json={"feed": "no"})).status_code == 404
    assert (await lab.client.get("/feeds/replays")).json()["replays"] == []


async def test_messages_without_their_bytes_are_not_replayed(lab: Hospital) -> None:
    await lab.feeds.reject_oversize(LIS, b"MSH|", "text/plain", "too large")
    told = (await lab.client.post("/feeds/replays", json={"reason": "TOO_LARGE"})).json()
    assert told["selected"] == 0


async def test_a_stopped_replay_goes_on_with_what_is_left(lab: Hospital) -> None:
    for n in range(1, 5):
        await lab.post(oru(UNKNOWN_CODE, id=str(n), order=f"L{n}"))
    begun = await lab.client.post(
        "/feeds/replays",
        json={"code": "NEW", "dry_run": False, "person": "Dr. Watcher", "why": "dictionary"},
    )
    assert (begun.status_code, begun.headers["location"]) == (201, "/feeds/replays/1")
    feeds, seen = reopened(lab, with_unknown_code_known()), 0

    class Stopping(Replayer):
        async def _replay(self, id: int, message_id: int) -> bool:
            nonlocal seen
            seen += 1
            if seen == 3:
                await stop_replay(lab.database, id)
            return await super()._replay(id, message_id)

    assert await Stopping(feeds).run_left_behind()
    stopped = (await lab.client.get("/feeds/replays/1")).json()
    assert (stopped["state"], stopped["done"]["messages"]) == ("stopped", 3)
    assert not await Replayer(feeds).run_left_behind()
    assert (await lab.client.post("/feeds/replays/1/stop")).status_code == 409
    await lab.client.post("/feeds/replays/1/resume")
    assert await Replayer(feeds).run_left_behind()
    done = (await lab.client.get("/feeds/replays")).json()["replays"]
    assert [(each["state"], each["done"]["messages"]) for each in done] == [("done", 4)]
    assert (await lab.client.post("/feeds/replays/1/resume")).status_code == 409
    assert (await lab.client.get("/feeds/replays/2")).status_code == 404


async def test_a_replay_that_a_process_left_is_taken_up_when_its_claim_ends(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.post(oru(UNKNOWN_CODE))
    selection = Selection(code="NEW")
    id = await begin_replay(lab.feeds, selection, "Dr. Watcher", "again", claim=True)
    assert not await Replayer(lab.feeds).run_left_behind()
    async with lab.database.writing() as connection:
        await connection.execute("UPDATE feeds.replay SET claimed_until = now()")
    assert await Replayer(lab.feeds).run_left_behind()
    assert (await batch_of(lab, id)).state == "done"


async def test_a_running_service_works_through_replays(
    lab: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.post(oru(UNKNOWN_CODE))
    id = await begin_replay(lab.feeds, Selection(code="NEW"), "Dr. Watcher", "again")
    watching = Watching(lab.feeds)
    await watching.start()
    try:
        for _ in range(100):
            if (await batch_of(lab, id)).state == "done":
                break
            await asyncio.sleep(0.05)
    finally:
        await watching.stop()
    batch = await batch_of(lab, id)
    assert (batch.state, batch.done) == ("done", Tally(1, 1, 0, 0, 1))


async def test_a_replay_resumed_by_hand_is_not_resumed_twice(lab: Hospital) -> None:
    await lab.post(oru(UNKNOWN_CODE))
    id = await begin_replay(lab.feeds, Selection(code="NEW"), "Dr. Watcher", "again")
    await stop_replay(lab.database, id)
    await resume_replay(lab.database, id)
    with pytest.raises(SsciError):
        await resume_replay(lab.database, id)


# Raw view


async def test_the_bytes_are_shown_masked_with_a_fact_highlighted(lab: Hospital) -> None:
    await lab.post(message(msh(), pid(), obr(), obx(), obx(UNKNOWN_CODE, f1="2")))
    shown = (await lab.client.get(f"/feeds/{LIS}/messages/1/content?fact=1")).json()
    assert shown["highlight"].startswith("OBX|2|NM|NEW^新项目^99MRC|1|38|")
    whole = shown["before"] + shown["highlight"] + shown["after"]
    assert len(whole.encode()) == shown["size"]
    assert "T000000001" not in whole
    assert "测试" not in whole
    assert shown["byte_end"] - shown["byte_start"] == len(shown["highlight"].encode())
    raw = await lab.client.get(f"/feeds/{LIS}/messages/1/content", headers={"accept": "text/plain"})
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.content.decode() == whole
    assert raw.headers["cache-control"] == "no-store"


async def test_content_that_is_not_there_is_a_404(lab: Hospital) -> None:
    await lab.feeds.reject_oversize(LIS, b"MSH|", "text/plain", "too large")
    await lab.post(oru())
    for path in ("1/content", "2/content?fact=9", "77/content", "-1/content", f"{2**70}/content"):
        answer = await lab.client.get(f"/feeds/{LIS}/messages/{path}")
        assert answer.status_code == 404, path
    assert (await lab.client.get("/feeds/pumch-his/messages/2/content")).status_code == 404


# Pure


@pytest.mark.parametrize(
    ("texts", "since", "before"),
    [
        (["ge2019-03-14"], "2019-03-14T00:00:00+08:00", None),
        (["gt2019-03-14"], "2019-03-15T00:00:00+08:00", None),
        (["lt2019-03-14"], None, "2019-03-14T00:00:00+08:00"),
        (["le2019-03-14"], None, "2019-03-15T00:00:00+08:00"),
        (["ge2019-03-14T12:00:00Z"], "2019-03-14T12:00:00+00:00", None),
        (["ge2019-03-14T12:00:00 08:00"], "2019-03-14T12:00:00+08:00", None),
        (["ge2019-03-14", "ge2019-03-15"], "2019-03-15T00:00:00+08:00", None),
        (["lt2019-03-14", "lt2019-03-13"], None, "2019-03-13T00:00:00+08:00"),
    ],
)
def test_a_time_of_receipt_is_read_in_the_feeds_zone(
    texts: list[str], since: str | None, before: str | None
) -> None:
    found = parse_received(texts, ZONE)
    assert found.since == (datetime.fromisoformat(since) if since else None)
    assert found.before == (datetime.fromisoformat(before) if before else None)


@pytest.mark.parametrize(
    "text",
    ["lt0001-01-01", "ge0001-01-01", "ge0001-01-01T00:30:00Z", "lt9999-12-31T23:30:00Z"],
)
async def test_a_time_of_receipt_at_the_end_of_the_calendar_is_refused(
    lab: Hospital, text: str
) -> None:
    answer = await lab.client.get(f"/feeds/{LIS}/messages", params={"received": text})
    assert answer.status_code == 400


async def test_the_command_line_and_the_routes_find_the_same(lab: Hospital) -> None:
    await lab.post(oru())
    page, more = await find_messages(lab.feeds, MessageFilter(LIS, code="PLT"), None, 10)
    assert ([each.inbox_id for each in page], more) == ([1], None)
