"""Histories of a resource, a type and everything. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir import Caller, Restriction
from app.fhir.history import HistoryRequest
from tests.fhir_support import BASE, fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


async def put(client: httpx.AsyncClient, id: str, text: str) -> str:
    """The instant of the version that was written."""
    body = {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": text},
    }
    response = await client.put(f"Observation/{id}", json=body, headers=JSON)
    return str(response.json()["meta"]["lastUpdated"])


def told(bundle: dict[str, Any]) -> list[str]:
    """`PUT a/2` for each entry."""
    return [
        f"{entry['request']['method']} {entry['fullUrl'].rpartition('/')[2]}"
        f"/{entry['response']['etag'][3:-1]}"
        for entry in bundle.get("entry", [])
    ]


async def history(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return dict(response.json())


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((x["url"] for x in bundle["link"] if x["relation"] == relation), None)


async def test_each_interaction_is_told_as_it_was_written(client: httpx.AsyncClient) -> None:
    created = await client.post(
        "Observation",
        json={"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
        headers=JSON,
    )
    id = created.json()["id"]
    await put(client, id, "y")
    change = [{"op": "replace", "path": "/status", "value": "amended"}]
    headers = {"content-type": "application/json-patch+json"}
    await client.patch(f"Observation/{id}", json=change, headers=headers)
    await client.delete(f"Observation/{id}")
    await put(client, id, "again")
    bundle = await history(client, f"Observation/{id}/_history")
    assert told(bundle) == [
        f"PUT {id}/5",
        f"DELETE {id}/4",
        f"PATCH {id}/3",
        f"PUT {id}/2",
        f"POST {id}/1",
    ]
    assert bundle["total"] == 5
    statuses = [entry["response"]["status"] for entry in bundle["entry"]]
    assert statuses == ["201", "204", "200", "200", "201"]
    assert "resource" not in bundle["entry"][1]
    assert [entry["request"]["url"] for entry in bundle["entry"]] == [
        *[f"Observation/{id}"] * 4,
        "Observation",
    ]


async def test_type_and_system_history_are_newest_first(client: httpx.AsyncClient) -> None:
    await put(client, "a", "1")
    await put(client, "b", "1")
    await client.put("Patient/p", json={"resourceType": "Patient", "id": "p"}, headers=JSON)
    await put(client, "a", "2")
    await client.delete("Observation/b")
    assert told(await history(client, "Observation/_history")) == [
        "DELETE b/2",
        "PUT a/2",
        "PUT b/1",
        "PUT a/1",
    ]
    everything = await history(client, "_history")
    assert told(everything) == ["DELETE b/2", "PUT a/2", "PUT p/1", "PUT b/1", "PUT a/1"]
    assert link(everything, "self") == f"{BASE}/_history"
    ascending = await history(client, "_history?_sort=_lastUpdated")
    assert told(ascending) == list(reversed(told(everything)))


@pytest.mark.parametrize("path", ["_history", "Observation/_history", "Observation/a/_history"])
@pytest.mark.parametrize("sort", ["", "&_sort=_lastUpdated"])
async def test_pages_hold_still_while_writers_write(
    client: httpx.AsyncClient, path: str, sort: str
) -> None:
    for n in range(7):
        await put(client, "a", str(n))
        await put(client, "b", str(n))
    whole = told(await history(client, f"{path}?_count=100{sort}"))
    seen: list[str] = []
    url: str | None = f"{path}?_count=3{sort}"
    step = 0
    while url:
        page = await history(client, url)
        seen += told(page)
        url = link(page, "next")
        step += 1
        await put(client, "a", f"later {step}")
        await put(client, f"new{step}", "x")
        await client.delete("Observation/b")
    assert seen == whole
    assert step == (3 if "/a/" in path else 5)


async def test_since_before_and_at_choose_versions(client: httpx.AsyncClient) -> None:
    first = await put(client, "a", "1")
    await put(client, "b", "1")
    second = await put(client, "a", "2")
    third = await put(client, "a", "3")
    await client.delete("Observation/a")

    async def found(query: str) -> list[str]:
        return told(await history(client, f"Observation/_history?{query}"))

    assert await found(f"_since={second}") == ["DELETE a/4", "PUT a/3", "PUT a/2"]
    assert await found(f"_before={second}") == ["PUT b/1", "PUT a/1"]
    assert await found(f"_since={first}&_before={second}") == ["PUT b/1", "PUT a/1"]
    assert await found(f"_at={second}") == ["PUT a/2", "PUT b/1"]
    assert await found(f"_at={third}") == ["PUT a/3", "PUT b/1"]
    assert await found("_at=2000-01-01") == []
    assert await found("_since=2999-01-01") == []


async def test_the_total_is_told_where_it_is_known_or_asked_for(client: httpx.AsyncClient) -> None:
    for n in range(5):
        await put(client, "a", str(n))
    assert (await history(client, "Observation/a/_history?_count=2"))["total"] == 5
    assert "total" not in await history(client, "Observation/_history?_count=2")
    assert (await history(client, "Observation/_history?_count=2&_total=accurate"))["total"] == 5
    counted = await history(client, "_history?_count=0")
    assert (counted["total"], "entry" in counted) == (5, False)


@pytest.mark.parametrize(
    "query",
    [
        "_since=yesterday",
        "_count=x",
        "_sort=date",
        "_cursor=abc",
        "_cursor=WzEsMl0",
        "status=final",
        "_total=some",
        "_at=2019-02-30",
    ],
)
async def test_a_bad_parameter_is_named_and_lenient_leaves_it_out(
    client: httpx.AsyncClient, query: str
) -> None:
    await put(client, "a", "1")
    refused = await client.get(f"Observation/_history?{query}")
    assert refused.status_code == 400
    assert query.partition("=")[0] in refused.json()["issue"][0]["diagnostics"]
    lenient = await client.get(
        f"Observation/_history?{query}", headers={"prefer": "handling=lenient"}
    )
    assert lenient.status_code == 200
    assert link(lenient.json(), "self") == f"{BASE}/Observation/_history"
    assert (
        "ignored" in lenient.json()["entry"][-1]["response"]["outcome"]["issue"][0]["diagnostics"]
    )


async def test_a_history_of_nothing_is_empty_or_not_found(client: httpx.AsyncClient) -> None:
    assert "entry" not in await history(client, "Observation/_history")
    assert (await client.get("Observation/never/_history")).status_code == 404
    assert (await client.get("Nonsense/_history")).status_code == 404


async def test_a_history_shows_only_what_the_caller_may_see(database: Database) -> None:
    store = store_on(database)
    async with fhir_client(store) as client:
        await put(client, "a", "1")
        await client.put("Patient/p", json={"resourceType": "Patient", "id": "p"}, headers=JSON)
    nobody = Caller("none", Restriction({}))
    page = await store.history_page(nobody, HistoryRequest())
    assert page.versions == ()
