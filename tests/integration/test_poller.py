"""Polling a FHIR server: every page is kept before the watermark moves, whatever it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
import respx
import uvicorn

from app.database import Database, EmbeddedServer
from app.errors import Category, error
from app.fhir import Caller, FhirApp, FhirSettings, Store, Update
from app.mappings.polling.http import HisClient, Patience
from app.mappings.polling.plan import OAuth, PollPlan
from app.mappings.polling.poller import Poller, Pollers, Round
from app.mappings.polling.state import fetch_states
from tests.conftest import SMALL, TEMPLATE, _other_database
from tests.feed_support import CALLER, LIS, STRANGER, Hospital, hospital
from tests.fhir_feed_support import HIS_BASE, dump, observation, patient, report
from tests.fhir_support import ZONE, facts, store_on

OBSERVATIONS = f"{HIS_BASE}/Observation"
TOKEN = "https://his.pumch.example/token"
PLAN = PollPlan(LIS, HIS_BASE, ("Observation",), interval=60)
SECURED = replace(PLAN, oauth=OAuth(TOKEN, "ssci", "s3cret", "system/*.read"))
NEWEST = datetime(2019, 3, 14, 2, 15, tzinfo=UTC)


def page(*resources: Any, url: str = "", included: tuple[Any, ...] = (), **more: Any) -> bytes:
    entries = [
        {"fullUrl": f"{HIS_BASE}/{each['resourceType']}/{each['id']}", "resource": each,
         "search": {"mode": mode}}
        for mode, group in (("match", resources), ("include", included))
        for each in group
    ]  # fmt: skip
    links = [{"relation": "next", "url": url}] if url else []
    told = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
    return dump(told | more)


def answer(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body, headers={"content-type": "application/fhir+json"})


ONE = page(observation(), included=(patient(), report()))


@dataclass(slots=True)
class Waits:
    """Remembers the waits instead of waiting."""

    seconds: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)

    @property
    def patience(self) -> Patience:
        return Patience(attempts=3, sleep=self.sleep, jitter=lambda: 1.0)


@pytest.fixture
async def ward(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def his() -> Any:
    with respx.mock(assert_all_called=False) as mock:
        yield mock


def poller_of(
    ward: Hospital, waits: Waits, plan: PollPlan = PLAN, max_bytes: int = 1_000_000
) -> Poller:
    return Poller(ward.feeds, plan, HisClient(plan, max_bytes, waits.patience), wait=True)


async def poll(poller: Poller) -> Round:
    (found,) = await poller.poll(at_once=True)
    return found


async def state(ward: Hospital) -> Any:
    async with ward.database.reading() as connection:
        rows = await fetch_states(connection)
    return rows[0] if rows else None


async def kept(ward: Hospital) -> int:
    async with ward.database.reading() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM feeds.message"))


# Rounds


async def test_every_page_is_kept_and_stored_and_the_watermark_moves(ward, waits, his):
    second = page(observation("10", basedOn=[{"identifier": {"value": "x"}}]))
    his.get(url__startswith=OBSERVATIONS).mock(
        return_value=answer(page(observation(), url=f"{HIS_BASE}?p=2", included=(patient(),)))
    )
    his.get(f"{HIS_BASE}?p=2").mock(return_value=answer(second))
    found = await poll(poller_of(ward, waits))
    assert (found.pages, found.kept, found.matches, found.problem) == (2, 2, 2, "")
    assert (await state(ward))["watermark"] == NEWEST
    assert await ward.count("Observation") == 1


async def test_the_next_round_asks_from_the_watermark_with_the_overlap(ward, waits, his):
    route = his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(ONE))
    poller = poller_of(ward, waits)
    await poll(poller)
    await poll(poller)
    assert "_lastUpdated" not in route.calls[0].request.url.params
    assert route.calls[1].request.url.params["_lastUpdated"] == "ge2019-03-14T02:10:00.000Z"


async def test_what_stands_in_the_overlap_is_not_kept_again(ward, waits, his):
    his.get(url__startswith=OBSERVATIONS).mock(
        side_effect=[
            answer(page(observation(), included=(patient(), report()), id="a")),
            answer(page(observation(), included=(patient(), report()), id="b")),
        ]
    )
    poller = poller_of(ward, waits)
    assert (await poll(poller)).kept == 1
    assert (await poll(poller)).kept == 0
    assert await kept(ward) == 1


async def test_polled_again_from_the_beginning_nothing_is_written_twice(ward, waits, his):
    his.get(url__startswith=OBSERVATIONS).mock(side_effect=[answer(ONE), answer(ONE + b" ")])
    await poll(poller_of(ward, waits))
    await poll(poller_of(ward, waits))
    assert await kept(ward) == 2
    assert await ward.count("Observation") == 1


async def test_an_empty_page_is_not_kept(ward, waits, his):
    his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(page()))
    assert (await poll(poller_of(ward, waits))).kept == 0
    assert (await state(ward))["watermark"] is None


async def test_a_round_that_fails_begins_again_where_it_began(ward, waits, his):
    his.get(url__startswith=OBSERVATIONS).mock(
        return_value=answer(page(observation(), url=f"{HIS_BASE}?p=2", included=(patient(),)))
    )
    his.get(f"{HIS_BASE}?p=2").mock(return_value=httpx.Response(404))
    found = await poll(poller_of(ward, waits))
    row = await state(ward)
    assert (found.kept, found.problem) == (1, "the server answers 404")
    assert (row["watermark"], row["failures"], row["problem"]) == (None, 1, found.problem)


async def test_a_page_that_cannot_be_kept_stops_the_round(ward, waits, his, monkeypatch):
    async def refuse(*_: Any, **__: Any) -> None:
        raise error(Category.UNAVAILABLE, "the database is away")

    his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(ONE))
    monkeypatch.setattr(ward.feeds, "receive", refuse)
    found = await poll(poller_of(ward, waits))
    assert (found.kept, found.problem) == (0, "nothing can be kept")
    assert (await state(ward))["watermark"] is None


async def test_a_time_that_lies_ahead_does_not_leave_out_what_comes_until_then(ward, waits, his):
    ahead = observation(meta={"lastUpdated": "2999-01-01T00:00:00Z"})
    his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(page(ahead)))
    await poll(poller_of(ward, waits))
    assert (await state(ward))["watermark"] <= datetime.now(UTC)


async def test_the_watermark_never_moves_back(ward, waits, his):
    older = observation("8", meta={"lastUpdated": "2019-01-01T00:00:00Z"})
    his.get(url__startswith=OBSERVATIONS).mock(side_effect=[answer(ONE), answer(page(older))])
    poller = poller_of(ward, waits)
    await poll(poller)
    await poll(poller)
    assert (await state(ward))["watermark"] == NEWEST


async def test_of_two_processes_one_asks(ward, waits, his):
    asked, gate = asyncio.Event(), asyncio.Event()

    async def slow(_: httpx.Request) -> httpx.Response:
        asked.set()
        await gate.wait()
        return answer(ONE)

    his.get(url__startswith=OBSERVATIONS).mock(side_effect=slow)
    first = asyncio.create_task(poll(poller_of(ward, waits)))
    await asyncio.wait_for(asked.wait(), 5)
    assert (await poll(poller_of(ward, waits))).skipped
    gate.set()
    assert not (await first).skipped


async def test_it_asks_when_it_is_due_and_not_before(ward, waits, his):
    his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(ONE))
    poller = poller_of(ward, waits)
    assert not (await poller.poll())[0].skipped
    assert (await poller.poll())[0].skipped


async def test_a_poller_that_is_stopped_leaves_the_round_to_the_next(ward, waits, his):
    asked = asyncio.Event()

    async def never(_: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.sleep(60)
        raise AssertionError("it was not stopped")

    route = his.get(url__startswith=OBSERVATIONS).mock(side_effect=never)
    pollers = Pollers(ward.feeds, [PLAN])
    pollers.start()
    await asyncio.wait_for(asked.wait(), 5)
    await asyncio.wait_for(pollers.stop(), 5)
    route.mock(side_effect=None, return_value=answer(ONE))
    assert (await poll(poller_of(ward, waits))).kept == 1


async def test_get_feeds_shows_how_far_a_server_was_read(ward, waits, his):
    his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(ONE))
    await poll(poller_of(ward, waits))
    told = (await ward.client.get("/feeds")).json()["feeds"]
    (shown,) = next(each["polling"] for each in told if each["name"] == LIS)
    assert (shown["resource_type"], shown["failures"], shown["pages"]) == ("Observation", 0, 1)


# Servers in trouble


async def test_a_server_in_trouble_is_asked_again_with_growing_waits(ward, waits, his):
    his.get(url__startswith=OBSERVATIONS).mock(
        side_effect=[httpx.Response(503), httpx.ConnectTimeout("x"), answer(ONE)]
    )
    assert (await poll(poller_of(ward, waits))).problem == ""
    assert waits.seconds == [1.0, 2.0]


async def test_retry_after_is_obeyed(ward, waits, his):
    busy = httpx.Response(429, headers={"retry-after": "17"})
    his.get(url__startswith=OBSERVATIONS).mock(side_effect=[busy, answer(ONE)])
    assert (await poll(poller_of(ward, waits))).problem == ""
    assert waits.seconds == [17.0]


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        ([httpx.Response(503)] * 3, "the server answers 503"),
        ([httpx.Response(503, headers={"retry-after": "99999"})], "over an hour"),
        ([httpx.ConnectError("secret.host")] * 3, "cannot be reached (ConnectError)"),
        ([httpx.Response(302, headers={"location": "http://169.254.169.254/"})], "answers 302"),
        ([httpx.Response(403)], "answers 403"),
        ([httpx.Response(401)], "another token"),
        ([httpx.Response(200, content=b"<html>")], "no JSON object"),
        ([answer(page(observation(), url="https://elsewhere.example/"))], "another server"),
    ],
)
async def test_a_round_ends_with_a_reason_that_names_no_address(ward, waits, his, replies, told):
    his.get(url__startswith=OBSERVATIONS).mock(side_effect=replies)
    problem = (await poll(poller_of(ward, waits))).problem
    assert told in problem
    assert "secret.host" not in problem


async def test_links_without_end_end(ward, waits, his):
    his.get(url__startswith=HIS_BASE).mock(
        return_value=answer(page(observation(), url=f"{HIS_BASE}?again"))
    )
    assert "no end" in (await poll(poller_of(ward, waits))).problem


async def test_of_a_page_that_is_too_large_a_smaller_one_is_asked_for(ward, waits, his):
    def serve(request: httpx.Request) -> httpx.Response:
        size = int(request.url.params["_count"])
        return answer(ONE + b" " * (5000 * size))

    his.get(url__startswith=OBSERVATIONS).mock(side_effect=serve)
    found = await poll(poller_of(ward, waits, replace(PLAN, page_size=8), 20_000))
    assert (found.kept, found.problem) == (1, "")


async def test_a_page_that_is_always_too_large_ends_the_round(ward, waits, his):
    his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(ONE))
    assert "more than 100 bytes" in (await poll(poller_of(ward, waits, PLAN, 100))).problem


# Tokens


def token(value: str = "t1", **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"access_token": value, "expires_in": 300} | more)


async def test_a_token_is_fetched_once_and_used(ward, waits, his):
    asked = his.post(TOKEN).mock(return_value=token())
    route = his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(ONE))
    poller = poller_of(ward, waits, SECURED)
    await poll(poller)
    await poll(poller)
    assert asked.call_count == 1
    assert (
        asked.calls[0].request.content == b"grant_type=client_credentials&scope=system%2F%2A.read"
    )
    assert asked.calls[0].request.headers["authorization"].startswith("Basic ")
    assert route.calls[1].request.headers["authorization"] == "Bearer t1"


async def test_a_token_that_the_server_refuses_is_replaced_once(ward, waits, his):
    his.post(TOKEN).mock(side_effect=[token("old"), token("new")])
    route = his.get(url__startswith=OBSERVATIONS).mock(
        side_effect=[httpx.Response(401), answer(ONE)]
    )
    assert (await poll(poller_of(ward, waits, SECURED))).problem == ""
    assert route.calls[1].request.headers["authorization"] == "Bearer new"


async def test_a_second_refusal_ends_the_round(ward, waits, his):
    asked = his.post(TOKEN).mock(return_value=token())
    his.get(url__startswith=OBSERVATIONS).mock(return_value=httpx.Response(401))
    assert "token" in (await poll(poller_of(ward, waits, SECURED))).problem
    assert asked.call_count == 2


async def test_a_token_that_ends_is_fetched_anew(ward, waits, his):
    asked = his.post(TOKEN).mock(return_value=token(expires_in=1))
    his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(ONE))
    poller = poller_of(ward, waits, SECURED)
    await poll(poller)
    await poll(poller)
    assert asked.call_count == 2


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(400, json={"error": "invalid_client"}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"access_token": 7}),
        httpx.Response(200, json={"access_token": "a\r\nb: c"}),
        httpx.Response(200, json={"access_token": "t", "expires_in": "soon"}),
    ],
)
async def test_without_a_token_nothing_is_asked_and_no_secret_told(ward, waits, his, reply, caplog):
    caplog.set_level(logging.DEBUG)
    his.post(TOKEN).mock(return_value=reply)
    route = his.get(url__startswith=OBSERVATIONS).mock(return_value=answer(ONE))
    problem = (await poll(poller_of(ward, waits, SECURED))).problem
    assert "token endpoint" in problem
    assert not route.called
    assert "s3cret" not in caplog.text + problem


# A real server


@asynccontextmanager
async def his_database(server: EmbeddedServer) -> AsyncIterator[Database]:
    """A database beside the test's own, for the hospital's server."""
    admin = await asyncpg.connect(_other_database(server.owner_dsn, "postgres"))
    try:
        await admin.execute(f"create database his template {TEMPLATE} strategy file_copy")
        dsn = _other_database(server.runtime_dsn, "his")
        async with await Database.open(dsn, SMALL) as opened:
            yield opened
    finally:
        await admin.execute("drop database if exists his with (force)")
        await admin.close()


@asynccontextmanager
async def serving(store: Store) -> AsyncIterator[str]:
    """A FHIR server that takes any Patient, on a free port; its base address."""

    async def authenticate(_scope: object) -> Caller:
        return CALLER

    registry, layout = facts()
    app = FhirApp(
        store, registry, layout, FhirSettings(None, "/fhir", ZONE, 10**6, "0"), authenticate
    )
    listening = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    task = asyncio.create_task(listening.serve())
    while not listening.started:  # noqa: ASYNC110 – it has no event to wait for
        await asyncio.sleep(0.01)
    port = listening.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/fhir"
    finally:
        listening.should_exit = True
        await task


async def test_another_instance_of_this_service_is_polled_over_sockets(ward, waits, server):
    async with his_database(server) as database, serving(store_on(database)) as base:
        sent = [patient(), observation(), observation("10", subject={"reference": "Patient/18"})]
        sent += [patient("18", STRANGER), report()]
        await store_on(database).write(CALLER, [Update(each, each["id"]) for each in sent])
        plan = replace(PLAN, base_url=base, page_size=1)
        client = HisClient(plan, 1_000_000, waits.patience)
        poller = Poller(ward.feeds, plan, client, wait=True)
        found = await poll(poller)
        again = await poll(poller)
        await poller.close()
    assert (found.matches, found.kept, found.problem) == (2, 2, "")
    assert again.kept == 0
    assert await ward.count("Observation") == 1
    assert await ward.count("DiagnosticReport") == 1
    assert (await state(ward))["watermark"] is not None
