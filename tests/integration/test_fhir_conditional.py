"""Conditional interactions. https://hl7.org/fhir/R4/http.html#ccreate"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir import Store
from tests.fhir_support import BASE, fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
SYSTEM = "https://lab.example/orders"


def order(number: str, **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "identifier": [{"system": SYSTEM, "value": number}],
        "code": {"text": "platelets"},
        **changes,
    }


@pytest.fixture
def store(database: Database) -> Store:
    return store_on(database)


@pytest.fixture
async def client(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store) as opened:
        yield opened


async def create(client: httpx.AsyncClient, number: str, **headers: str) -> httpx.Response:
    return await client.post("Observation", json=order(number), headers=JSON | headers)


async def count(client: httpx.AsyncClient) -> int:
    bundle = (await client.get("Observation?_count=100")).json()
    return len(bundle.get("entry", []))


async def test_conditional_create_creates_once_and_then_tells_what_is_there(
    client: httpx.AsyncClient,
) -> None:
    criteria = {"if-none-exist": f"identifier={SYSTEM}|1"}
    first = await create(client, "1", **criteria)
    again = await create(client, "1", **criteria)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["etag"] == 'W/"1"'
    assert await count(client) == 1


async def test_conditional_create_is_refused_where_several_match(
    client: httpx.AsyncClient,
) -> None:
    await create(client, "1")
    await create(client, "1")
    refused = await create(client, "1", **{"if-none-exist": f"identifier={SYSTEM}|1"})
    assert refused.status_code == 412
    assert refused.json()["issue"][0]["code"] == "multiple-matches"
    assert await count(client) == 2


@pytest.mark.parametrize(
    "criteria", ["", "colour=red", "_count=1", "_lastUpdated=ge2000-01-01", "_sort=date"]
)
async def test_criteria_that_would_not_hold_are_refused(
    client: httpx.AsyncClient, criteria: str
) -> None:
    refused = await create(client, "1", **{"if-none-exist": criteria, "prefer": "handling=lenient"})
    assert refused.status_code == 400
    assert await count(client) == 0


async def put(client: httpx.AsyncClient, query: str, body: dict[str, Any]) -> httpx.Response:
    return await client.put(f"Observation?{query}", json=body, headers=JSON)


async def test_conditional_update_creates_updates_or_refuses(client: httpx.AsyncClient) -> None:
    query = f"identifier={SYSTEM}|1"
    created = await put(client, query, order("1"))
    assert created.status_code == 201
    updated = await put(client, query, order("1", status="amended"))
    assert (updated.status_code, updated.headers["etag"]) == (200, 'W/"2"')
    assert updated.json()["id"] == created.json()["id"]
    await create(client, "1")
    assert (await put(client, query, order("1", status="corrected"))).status_code == 412


async def test_conditional_update_respects_the_id_in_the_resource(
    client: httpx.AsyncClient,
) -> None:
    query = f"identifier={SYSTEM}|1"
    created = await put(client, query, order("1", id="mine"))
    assert created.headers["location"] == f"{BASE}/Observation/mine/_history/1"
    other = await put(client, query, order("1", id="other", status="amended"))
    assert (other.status_code, other.json()["issue"][0]["expression"]) == (400, ["Observation.id"])
    taken = await put(client, f"identifier={SYSTEM}|2", order("2", id="mine"))
    assert taken.status_code == 409
    assert (await client.get("Observation/mine")).json()["identifier"][0]["value"] == "1"


async def test_conditional_patch_needs_exactly_one(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json-patch+json"}
    change = [{"op": "replace", "path": "/status", "value": "amended"}]
    url = f"Observation?identifier={SYSTEM}|1"
    assert (await client.patch(url, json=change, headers=headers)).status_code == 404
    await create(client, "1")
    patched = await client.patch(url, json=change, headers=headers)
    assert (patched.status_code, patched.json()["status"]) == (200, "amended")
    await create(client, "1")
    assert (await client.patch(url, json=change, headers=headers)).status_code == 412


async def test_conditional_delete_takes_one_unless_several_are_allowed(store: Store) -> None:
    url = f"Observation?identifier={SYSTEM}|1"
    async with fhir_client(store) as client:
        assert (await client.delete(url)).status_code == 204
        await create(client, "1")
        await create(client, "2")
        deleted = await client.delete(url)
        assert (deleted.status_code, await count(client)) == (204, 1)
        await create(client, "1")
        await create(client, "1")
        assert (await client.delete(url)).status_code == 412
        assert await count(client) == 3
    async with fhir_client(store, conditional_delete="multiple") as client:
        told = await client.delete(url, headers={"prefer": "return=OperationOutcome"})
        assert (told.status_code, await count(client)) == (200, 1)
        assert "2 resources deleted" in told.text


async def test_a_read_of_what_the_client_has_is_304(client: httpx.AsyncClient) -> None:
    created = await create(client, "1")
    url = f"Observation/{created.json()['id']}"
    read = await client.get(url)
    tag, modified = read.headers["etag"], read.headers["last-modified"]
    for headers, status in [
        ({"if-none-match": tag}, 304),
        ({"if-none-match": '"1"'}, 304),
        ({"if-none-match": 'W/"7", W/"1"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": 'W/"2"'}, 200),
        ({"if-modified-since": modified}, 304),
        ({"if-modified-since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-none-match": 'W/"2"', "if-modified-since": modified}, 200),
    ]:
        response = await client.get(url, headers=headers)
        assert response.status_code == status, headers
        assert (response.content == b"") == (status == 304)
        assert response.headers["etag"] == tag


async def test_if_none_match_any_updates_only_what_is_new(client: httpx.AsyncClient) -> None:
    headers = JSON | {"if-none-match": "*"}
    body = order("1", id="a")
    first = await client.put("Observation/a", json=body, headers=headers)
    again = await client.put("Observation/a", json=body | {"status": "amended"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 412)


async def test_a_version_of_another_form_never_matches(client: httpx.AsyncClient) -> None:
    await client.put("Observation/a", json=order("1", id="a"), headers=JSON)
    refused = await client.delete("Observation/a", headers={"if-match": 'W/"abc"'})
    assert refused.status_code == 412


async def test_references_are_checked_where_the_setting_wants_it(store: Store) -> None:
    subject = {"subject": {"reference": "Patient/p"}}
    async with fhir_client(store, check_references=True) as client:
        refused = await client.post("Observation", json=order("1", **subject), headers=JSON)
        assert refused.status_code == 422
        assert refused.json()["issue"][0]["expression"] == ["Observation.subject.reference"]
        patient = {"resourceType": "Patient", "id": "p"}
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "resource": order("1", **subject),
                    "request": {"method": "POST", "url": "Observation"},
                },
                {"resource": patient, "request": {"method": "PUT", "url": "Patient/p"}},
            ],
        }
        assert (await client.post("", json=bundle, headers=JSON)).status_code == 200
        stored = await client.post("Observation", json=order("2", **subject), headers=JSON)
        assert stored.status_code == 201
        await client.delete("Patient/p")
        gone = await client.post("Observation", json=order("3", **subject), headers=JSON)
        assert gone.status_code == 422
