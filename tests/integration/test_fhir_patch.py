"""Patches over HTTP. https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from tests.fhir_support import fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
URL = "Observation/a"
BODY = (
    b'{"resourceType":"Observation","id":"a","status":"final","code":{"text":"x"},'
    b'"valueQuantity":{"value":8.60,"unit":"10*9/L"},"note":[{"text":"one"}]}'
)
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        await opened.put(URL, content=BODY, headers=JSON)
        yield opened


async def patch(
    client: httpx.AsyncClient, kind: str, body: bytes, **headers: str
) -> httpx.Response:
    return await client.patch(URL, content=body, headers={"content-type": kind, **headers})


def fhirpath(value: str) -> bytes:
    return (
        '{"resourceType":"Parameters","parameter":[{"name":"operation","part":['
        '{"name":"type","valueCode":"replace"},'
        '{"name":"path","valueString":"Observation.value"},'
        f'{{"name":"value","valueQuantity":{{"value":{value},"unit":"10*9/L"}}}}]}}]}}'
    ).encode()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON_PATCH, b'[{"op":"replace","path":"/valueQuantity/value","value":9.70}]'),
        (MERGE_PATCH, b'{"valueQuantity":{"value":9.70}}'),
        ("application/fhir+json", fhirpath("9.70")),
    ],
)
async def test_each_language_changes_what_it_says_and_keeps_digits(
    client: httpx.AsyncClient, kind: str, body: bytes
) -> None:
    response = await patch(client, kind, body)
    assert (response.status_code, response.headers["etag"]) == (200, 'W/"2"')
    assert b'"value":9.70,' in response.content
    assert b'"note":[{"text":"one"}]' in response.content
    again = await patch(client, kind, body)
    assert again.headers["etag"] == 'W/"2"'


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (JSON_PATCH, b'[{"op":"test","path":"/status","value":"amended"}]', 422),
        (JSON_PATCH, b'[{"op":"remove","path":"/bodySite"}]', 422),
        (JSON_PATCH, b'[{"op":"replace","path":"/id","value":"b"}]', 422),
        (JSON_PATCH, b'[{"op":"remove","path":"/id"}]', 422),
        (JSON_PATCH, b'[{"op":"replace","path":"/resourceType","value":"Patient"}]', 422),
        (JSON_PATCH, b'[{"op":"replace","path":"/meta/versionId","value":"9"}]', 422),
        (JSON_PATCH, b'[{"op":"replace","path":"","value":1}]', 422),
        (JSON_PATCH, b'[{"op":"remove","path":""}]', 422),
        (JSON_PATCH, b'[{"op":"replace","path":"/status","value":"odd"}]', 422),
        (JSON_PATCH, b'[{"op":"explode","path":"/status"}]', 400),
        (JSON_PATCH, b'{"op":"test"}', 400),
        (JSON_PATCH, b"[", 400),
        (MERGE_PATCH, b'{"status":null}', 422),
        (MERGE_PATCH, b'{"id":"b"}', 422),
        (MERGE_PATCH, b"[]", 400),
        ("application/fhir+json", b'{"resourceType":"Patient"}', 400),
        ("text/csv", b"a,b", 415),
    ],
)
async def test_a_patch_that_can_not_be_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, kind: str, body: bytes, status: int
) -> None:
    refused = await patch(client, kind, body)
    assert refused.status_code == status, refused.text
    assert refused.json()["issue"][0]["diagnostics"]
    assert (await client.get(URL)).headers["etag"] == 'W/"1"'


async def test_if_match_and_prefer_hold_for_patches(client: httpx.AsyncClient) -> None:
    body = b'{"status":"amended"}'
    stale = await patch(client, MERGE_PATCH, body, **{"if-match": 'W/"7"'})
    assert stale.status_code == 412
    done = await patch(
        client, MERGE_PATCH, body, **{"if-match": 'W/"1"', "prefer": "return=minimal"}
    )
    assert (done.status_code, done.content, done.headers["etag"]) == (200, b"", 'W/"2"')


async def test_what_is_not_there_can_not_be_patched(client: httpx.AsyncClient) -> None:
    await client.delete(URL)
    headers: dict[str, Any] = {"content-type": MERGE_PATCH}
    for url in (URL, "Observation/never"):
        assert (await client.patch(url, content=b"{}", headers=headers)).status_code == 404
