"""What clients that race must never do to each other. https://hl7.org/fhir/R4/http.html#concurrency"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir import Caller, Change, Moment, Statement
from tests.fhir_support import fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
SYSTEM = "https://lab.example/orders"
CLIENTS = 50


def observation(status: str = "final", **changes: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": status, "code": {"text": "x"}, **changes}


def order(number: str, **changes: Any) -> dict[str, Any]:
    return observation(identifier=[{"system": SYSTEM, "value": number}], **changes)


def dawdle(caller: Caller, changes: Sequence[Change], moment: Moment) -> Sequence[Statement]:
    """Some transactions hold their place in the order for a while before they commit."""
    return [Statement("SELECT pg_sleep($1)", [(0.05,)])] if moment.xid % 5 == 0 else []


@pytest.fixture
async def slow_client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database, (dawdle,))) as opened:
        yield opened


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


async def insist(client: httpx.AsyncClient, method: str, url: str, **given: Any) -> httpx.Response:
    """What a client does that is told to try again: 409 and 503 say so, and a 500 never comes."""
    while True:
        response = await client.request(method, url, **given)
        assert response.status_code != 500, response.text
        if response.status_code not in (409, 503):
            return response
        assert response.headers["retry-after"]
        await asyncio.sleep(0.01)


async def versions(client: httpx.AsyncClient, url: str) -> list[int]:
    bundle = (await client.get(f"{url}/_history?_count=1000")).json()
    tags = [entry["response"]["etag"] for entry in bundle["entry"]]
    return [int(tag[3:-1]) for tag in tags]


async def test_fifty_clients_race_on_one_conditional_create(client: httpx.AsyncClient) -> None:
    spellings = [
        f"identifier={SYSTEM}|1&status=final",
        f"status=final&identifier={SYSTEM}|1",
        f"?identifier={SYSTEM.replace(':', '%3A')}%7C1&status=final",
    ]

    async def create(n: int) -> httpx.Response:
        headers = JSON | {"if-none-exist": spellings[n % 3]}
        return await insist(client, "POST", "Observation", json=order("1"), headers=headers)

    answers = await asyncio.gather(*(create(n) for n in range(CLIENTS)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: 1, 200: CLIENTS - 1}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await client.get("Observation")).json()["entry"]) == 1


async def test_transactions_race_on_the_same_conditional_creates(
    client: httpx.AsyncClient,
) -> None:
    async def send(n: int) -> httpx.Response:
        numbers = [str(each) for each in range(5)]
        random.Random(n).shuffle(numbers)
        entries = [
            {
                "resource": order(number),
                "request": {
                    "method": "POST",
                    "url": "Observation",
                    "ifNoneExist": f"identifier={SYSTEM}|{number}",
                },
            }
            for number in numbers
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return await insist(client, "POST", "", json=bundle, headers=JSON)

    answers = await asyncio.gather(*(send(n) for n in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len((await client.get("Observation")).json()["entry"]) == 5


async def test_fifty_updates_of_one_version_have_one_winner(client: httpx.AsyncClient) -> None:
    await client.put("Observation/a", json=observation(id="a"), headers=JSON)

    async def update(n: int) -> int:
        body = observation(id="a", note=[{"text": str(n)}])
        headers = JSON | {"if-match": 'W/"1"'}
        return (
            await insist(client, "PUT", "Observation/a", json=body, headers=headers)
        ).status_code

    statuses = Counter(await asyncio.gather(*(update(n) for n in range(CLIENTS))))
    assert statuses == {200: 1, 412: CLIENTS - 1}
    assert await versions(client, "Observation/a") == [2, 1]


async def test_create_on_update_races_make_one_first_version(client: httpx.AsyncClient) -> None:
    async def update(n: int) -> int:
        body = observation(id="a", note=[{"text": str(n)}])
        return (await insist(client, "PUT", "Observation/a", json=body, headers=JSON)).status_code

    statuses = Counter(await asyncio.gather(*(update(n) for n in range(CLIENTS))))
    assert statuses == {201: 1, 200: CLIENTS - 1}
    assert await versions(client, "Observation/a") == list(range(CLIENTS, 0, -1))


async def test_patches_of_one_resource_lose_nothing(client: httpx.AsyncClient) -> None:
    await client.put("Observation/a", json=observation(id="a", note=[{"text": "0"}]), headers=JSON)

    async def patch(n: int) -> int:
        change = [{"op": "add", "path": "/note/-", "value": {"text": str(n)}}]
        headers = {"content-type": "application/json-patch+json"}
        return (
            await insist(client, "PATCH", "Observation/a", json=change, headers=headers)
        ).status_code

    assert set(await asyncio.gather(*(patch(n) for n in range(1, CLIENTS)))) == {200}
    notes = (await client.get("Observation/a")).json()["note"]
    assert {note["text"] for note in notes} == {str(n) for n in range(CLIENTS)}


async def test_transactions_in_opposite_order_finish_or_are_told_to_try_again(
    client: httpx.AsyncClient,
) -> None:
    names = [f"o{n}" for n in range(6)]

    async def send(n: int) -> int:
        entries = [
            {
                "resource": observation(id=name, note=[{"text": str(n)}]),
                "request": {"method": "PUT", "url": f"Observation/{name}"},
            }
            for name in (names if n % 2 else reversed(names))
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return (await insist(client, "POST", "", json=bundle, headers=JSON)).status_code

    assert set(await asyncio.gather(*(send(n) for n in range(30)))) == {200}
    notes = set()
    for name in names:
        assert await versions(client, f"Observation/{name}") == list(range(30, 0, -1))
        notes.add((await client.get(f"Observation/{name}")).json()["note"][0]["text"])
    assert len(notes) == 1  # whoever came last wrote them all


async def test_deletions_and_updates_leave_gapless_versions(client: httpx.AsyncClient) -> None:
    async def act(n: int) -> None:
        if n % 3 == 0:
            await insist(client, "DELETE", "Observation/a")
        else:
            body = observation(id="a", note=[{"text": str(n)}])
            await insist(client, "PUT", "Observation/a", json=body, headers=JSON)

    await asyncio.gather(*(act(n) for n in range(CLIENTS)))
    bundle = (await client.get("Observation/a/_history?_count=1000")).json()
    numbers = [int(entry["response"]["etag"][3:-1]) for entry in bundle["entry"]]
    assert numbers == list(range(len(numbers), 0, -1))
    instants = [entry["response"]["lastModified"] for entry in bundle["entry"]]
    assert instants == sorted(set(instants), reverse=True)
    last = bundle["entry"][0]["request"]["method"]
    read = await client.get("Observation/a")
    assert read.status_code == (410 if last == "DELETE" else 200)


class Puller:
    """A client that follows the history and keeps a copy, page by page, poll by poll."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._since = "2000-01-01T00:00:00Z"
        self.copy: dict[str, dict[str, Any]] = {}
        self.seen = 0
        self.polls = 0

    async def pull(self) -> None:
        url: str | None = f"Observation/_history?_since={self._since}&_count=20"
        entries: list[dict[str, Any]] = []
        while url:
            page = (await self._client.get(url)).json()
            entries += page.get("entry", [])
            url = next((x["url"] for x in page["link"] if x["relation"] == "next"), None)
        for entry in reversed(entries):  # oldest first
            name = entry["fullUrl"].rpartition("/")[2]
            if entry["request"]["method"] == "DELETE":
                self.copy.pop(name, None)
            else:
                self.copy[name] = entry["resource"]
        self.seen += len(entries)
        self.polls += 1
        if entries:
            self._since = entries[0]["response"]["lastModified"]


async def test_a_puller_of_the_history_ends_equal_to_the_server(
    slow_client: httpx.AsyncClient,
) -> None:
    client = slow_client
    draw = random.Random(11)
    names = [f"o{n}" for n in range(12)]

    async def write(seed: int) -> None:
        chance = random.Random(seed)
        for n in range(25):
            name = chance.choice(names)
            if chance.random() < 0.2:
                await insist(client, "DELETE", f"Observation/{name}")
                continue
            body = observation(id=name, note=[{"text": f"{seed}-{n}"}])
            await insist(client, "PUT", f"Observation/{name}", json=body, headers=JSON)

    writers = [asyncio.create_task(write(draw.randrange(10**6))) for _ in range(4)]
    puller = Puller(client)
    while not all(writer.done() for writer in writers):
        await puller.pull()
    await asyncio.gather(*writers)
    await puller.pull()
    server = {
        entry["resource"]["id"]: entry["resource"]
        for entry in (await client.get("Observation?_count=100")).json()["entry"]
    }
    assert puller.copy == server
    assert puller.seen > 60
    assert puller.polls > 10


async def test_a_poller_by_last_updated_ends_equal_to_the_server(
    slow_client: httpx.AsyncClient,
) -> None:
    client = slow_client
    names = [f"o{n}" for n in range(12)]

    async def write(seed: int) -> None:
        chance = random.Random(seed)
        for n in range(20):
            name = chance.choice(names)
            body = observation(id=name, note=[{"text": f"{seed}-{n}"}])
            await insist(client, "PUT", f"Observation/{name}", json=body, headers=JSON)

    async def poll(since: str) -> str:
        url = f"Observation?_lastUpdated=ge{since}&_sort=_lastUpdated&_count=100"
        for entry in (await client.get(url)).json().get("entry", []):
            copy[entry["resource"]["id"]] = entry["resource"]
            since = entry["resource"]["meta"]["lastUpdated"]
        return since

    copy: dict[str, Any] = {}
    since = "2000-01-01T00:00:00Z"
    writers = [asyncio.create_task(write(seed)) for seed in range(4)]
    while not all(writer.done() for writer in writers):
        since = await poll(since)
    await asyncio.gather(*writers)
    await poll(since)
    entries = (await client.get("Observation?_count=100")).json()["entry"]
    assert copy == {entry["resource"]["id"]: entry["resource"] for entry in entries}
