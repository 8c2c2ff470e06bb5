"""Compiled profiles are kept, and yet every change of a definition counts at once.
https://hl7.org/fhir/R4/profiling.html#resources
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir.profiles.shelf import ProfileShelf
from tests.fhir_support import fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
URL = "https://example.org/StructureDefinition/short"
CODES = "https://example.org/ValueSet/colours"


def profile(*elements: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "id": "short",
        "url": URL,
        "name": "Short",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Basic",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Basic",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Basic", "path": "Basic"}, *elements]},
    }


NEEDS_SUBJECT = {"id": "Basic.subject", "path": "Basic.subject", "min": 1}
NEEDS_COLOUR = {
    "id": "Basic.code",
    "path": "Basic.code",
    "binding": {"strength": "required", "valueSet": CODES},
}


def colours(*codes: str) -> dict[str, Any]:
    concepts = [{"code": code} for code in codes]
    return {
        "resourceType": "ValueSet",
        "id": "colours",
        "url": CODES,
        "status": "active",
        "compose": {"include": [{"system": "urn:colours", "concept": concepts}]},
    }


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as client:
        yield client


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    address = f"{resource['resourceType']}/{resource['id']}"
    response = await client.put(address, json=resource, headers=JSON)
    assert response.status_code in (200, 201), response.text


async def status_of(client: httpx.AsyncClient, code: str = "red") -> int:
    basic = {
        "resourceType": "Basic",
        "meta": {"profile": [URL]},
        "code": {"coding": [{"system": "urn:colours", "code": code}]},
    }
    return (await client.post("Basic", json=basic, headers=JSON)).status_code


async def test_a_definition_counts_from_its_writing_to_its_deletion(
    client: httpx.AsyncClient,
) -> None:
    assert await status_of(client) == 201
    await put(client, profile(NEEDS_SUBJECT))
    assert await status_of(client) == 422
    await put(client, profile())
    assert await status_of(client) == 201
    await put(client, profile(NEEDS_SUBJECT))
    assert (await client.delete("StructureDefinition/short")).status_code == 204
    assert await status_of(client) == 201


async def test_a_changed_value_set_counts_at_once(client: httpx.AsyncClient) -> None:
    await put(client, colours("red"))
    await put(client, profile(NEEDS_COLOUR))
    assert (await status_of(client, "red"), await status_of(client, "blue")) == (201, 422)
    await put(client, colours("blue"))
    assert (await status_of(client, "red"), await status_of(client, "blue")) == (422, 201)


async def test_a_definition_that_was_rolled_back_leaves_nothing_behind(
    client: httpx.AsyncClient,
) -> None:
    basic = {"resourceType": "Basic", "id": "b", "meta": {"profile": [URL]}, "code": {"text": "x"}}
    entries = [
        {"resource": profile(NEEDS_SUBJECT), "request": {"method": "PUT", "url": f"{name}/{id}"}}
        for name, id in [("StructureDefinition", "short")]
    ]
    entries.append({"resource": basic, "request": {"method": "PUT", "url": "Basic/b"}})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert (await client.post("", json=bundle, headers=JSON)).status_code == 422
    await put(client, profile())
    assert await status_of(client) == 201


async def test_definitions_are_compiled_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[int] = []
    original = ProfileShelf._fetch

    async def counting(self: ProfileShelf, store: Any, urls: Any) -> Any:
        fetched.append(1)
        return await original(self, store, urls)

    monkeypatch.setattr(ProfileShelf, "_fetch", counting)
    await put(client, profile(NEEDS_SUBJECT))
    assert [await status_of(client) for _ in range(3)] == [422, 422, 422]
    assert len(fetched) == 1


async def test_the_last_of_many_versions_of_a_definition_counts(client: httpx.AsyncClient) -> None:
    for number in range(1, 8):
        strict = [NEEDS_SUBJECT] if number % 2 == 0 else []
        each = profile(*strict) | {"id": f"short-{number}", "version": str(number)}
        await put(client, each)
        assert await status_of(client) == (422 if strict else 201)
