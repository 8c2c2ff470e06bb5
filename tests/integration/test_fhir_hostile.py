"""Requests that try to break the server, its links or its log: a 4xx, never a 500.
https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from app.database import Database
from tests.fhir_support import fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "x"},
}


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(parts))).rstrip(b"=").decode()


@pytest.mark.parametrize("host", ['x","evil":"y', '"\\', "a b", "x/../y", "a@b"])
async def test_a_host_that_is_none_is_refused(client: httpx.AsyncClient, host: str) -> None:
    await client.put("Observation/a", json=OBSERVATION | {"id": "a"}, headers=JSON)
    response = await client.get("Observation", headers={"host": host})
    assert response.status_code == 400
    assert response.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "query",
    [
        "_cursor=" + cursor("9:1:", "a"),
        "_cursor=" + cursor("1:5:4,3", "a"),
        "_cursor=" + cursor("1:5:", "not a time", "a") + "&_sort=date",
        "_cursor=" + cursor("1:5:", "a") + "&_sort=date",
        "_cursor=" + cursor("1:5:") + "&code=x&_sort=-date",
        "_cursor=" + cursor("1:5:", "a") + "&code=x&_sort=-date",
        "_cursor=" + cursor("1:5:", "\x00"),
        "_sort=" + ",".join(["status"] * 2000),
        "&".join(["code=a"] * 5000),
        "patient=",
        "nonsense=",
        "nonsense",
    ],
)
async def test_a_crafted_query_is_a_400(client: httpx.AsyncClient, query: str) -> None:
    response = await client.get(f"Observation?{query}")
    assert response.status_code == 400, response.text[:500]


async def test_a_date_may_have_any_number_of_decimals(client: httpx.AsyncClient) -> None:
    instant = "2019-03-14T08:00:00.12345678901234567890Z"
    body = OBSERVATION | {"effectiveDateTime": instant}
    assert (await client.post("Observation", json=body, headers=JSON)).status_code == 201
    found = await client.get("Observation?date=2019-03-14")
    assert len(found.json()["entry"]) == 1


async def test_many_bad_parameters_make_a_short_answer(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "Observation/_search",
        content="xx=1&" * 20_000,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert 400 <= response.status_code < 500
    assert len(response.content) < 200_000


async def test_an_if_match_that_is_no_tag_is_not_ignored(client: httpx.AsyncClient) -> None:
    await client.put("Observation/a", json=OBSERVATION | {"id": "a"}, headers=JSON)
    entry = {
        "resource": OBSERVATION | {"id": "a", "status": "amended"},
        "request": {"method": "PUT", "url": "Observation/a", "ifMatch": 1},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    response = await client.post("", json=bundle, headers=JSON)
    assert response.status_code in (400, 422)
    assert (await client.get("Observation/a")).json()["meta"]["versionId"] == "1"


async def test_text_that_looks_like_a_link_stays_text(client: httpx.AsyncClient) -> None:
    name = "urn:uuid:6d2b5d3e-9d2e-4c5c-8c39-1f1ed3c3a111"
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": name,
                "resource": {"resourceType": "Patient"},
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "resource": OBSERVATION
                | {"id": "a", "valueString": name, "subject": {"reference": name}},
                "request": {"method": "PUT", "url": "Observation/a"},
            },
        ],
    }
    assert (await client.post("", json=bundle, headers=JSON)).status_code == 200
    stored = (await client.get("Observation/a")).json()
    assert stored["valueString"] == name
    assert stored["subject"]["reference"].startswith("Patient/")


async def test_an_unresolved_urn_is_refused(client: httpx.AsyncClient) -> None:
    urn = "urn:uuid:6d2b5d3e-9d2e-4c5c-8c39-1f1ed3c3a999"
    entry = {
        "resource": OBSERVATION | {"id": "a", "subject": {"reference": urn}},
        "request": {"method": "PUT", "url": "Observation/a"},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    response = await client.post("", json=bundle, headers=JSON)
    assert response.status_code in (400, 422), response.text


@pytest.mark.parametrize("query", ["subject=Patient/PX", "patient=PX", "patient=Patient/PX"])
async def test_a_reference_by_our_own_address_is_found(
    client: httpx.AsyncClient, query: str
) -> None:
    body = OBSERVATION | {"subject": {"reference": "http://test/fhir/Patient/PX"}}
    assert (await client.post("Observation", json=body, headers=JSON)).status_code == 201
    found = await client.get(f"Observation?{query}")
    assert len(found.json().get("entry", [])) == 1


async def test_patient_is_found_by_identifier_too(client: httpx.AsyncClient) -> None:
    subject = {"identifier": {"system": "http://s.example", "value": "1"}, "type": "Patient"}
    await client.post("Observation", json=OBSERVATION | {"subject": subject}, headers=JSON)
    found = await client.get("Observation?patient:identifier=http://s.example|1")
    assert len(found.json().get("entry", [])) == 1


async def test_what_was_sent_is_not_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="app"):
        body = OBSERVATION | {"effectiveDateTime": "2019-02-30", "valueString": "Wang Secret"}
        await client.post("Observation", json=body, headers=JSON)
        await client.get("Observation?value-string=Wang Secret&date=x")
    assert "Secret" not in caplog.text


async def test_there_is_nothing_below_a_version(client: httpx.AsyncClient) -> None:
    await client.put("Observation/a", json=OBSERVATION | {"id": "a"}, headers=JSON)
    response = await client.get("Observation/a/_history/1/x")
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("1", 1),
        ("http://s.example|1", 1),
        ("http://s.example|", 1),
        ("|1", 0),
        ("2", 0),
        ("http://t.example|", 0),
    ],
)
async def test_the_identifier_of_a_reference_is_searched_as_a_token(
    client: httpx.AsyncClient, value: str, count: int
) -> None:
    subject = {"identifier": {"system": "http://s.example", "value": "1"}, "type": "Patient"}
    await client.post("Observation", json=OBSERVATION | {"subject": subject}, headers=JSON)
    found = await client.get("Observation", params={"subject:identifier": value})
    assert found.status_code == 200
    assert len(found.json().get("entry", [])) == count


async def test_criteria_of_another_server_are_refused_by_that(client: httpx.AsyncClient) -> None:
    headers = JSON | {"if-none-exist": "http://other.example/fhir/Observation?_id=a"}
    refused = await client.post("Observation", json=OBSERVATION, headers=headers)
    assert refused.status_code == 400
    assert "another server" in refused.text


async def test_what_other_servers_call_otherwise_is_hinted_at(client: httpx.AsyncClient) -> None:
    assert "_total" in (await client.get("Observation?_totalMethod=count")).text
    await client.put("Observation/h", json=OBSERVATION | {"id": "h"}, headers=JSON)
    part = {"json": {"status": "amended"}, "headers": {"content-type": "application/json"}}
    refused = await client.patch("Observation/h", **part)  # type: ignore[arg-type]
    assert refused.status_code == 415
    assert "a part of a resource is application/merge-patch+json" in refused.text
