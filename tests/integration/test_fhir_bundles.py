"""Batches and transactions. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from app.database import Database
from tests.fhir_support import BASE, fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
SYSTEM = "https://lab.example/orders"
URN = "urn:uuid:6d2b5d3e-9d2e-4c5c-8c39-1f1ed3c3a111"
Entry = dict[str, Any]


def observation(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        **changes,
    }


def patient(number: str, **changes: Any) -> dict[str, Any]:
    identifier = [{"system": SYSTEM, "value": number}]
    return {"resourceType": "Patient", "identifier": identifier, **changes}


def entry(
    method: str,
    url: str,
    resource: dict[str, Any] | None = None,
    full_url: str | None = None,
    **request: str,
) -> Entry:
    made: Entry = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database), max_body=40_000_000) as opened:
        yield opened


async def send(
    client: httpx.AsyncClient, kind: str, *entries: Entry, **headers: str
) -> httpx.Response:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    return await client.post("", json=bundle, headers=JSON | headers)


async def transact(client: httpx.AsyncClient, *entries: Entry, **headers: str) -> list[Entry]:
    response = await send(client, "transaction", *entries, **headers)
    assert response.status_code == 200, response.text
    assert response.json()["type"] == "transaction-response"
    return list(response.json().get("entry", []))


def statuses(entries: list[Entry]) -> list[str]:
    return [each["response"]["status"][:3] for each in entries]


async def count(client: httpx.AsyncClient, query: str = "Observation") -> int:
    return len((await client.get(query)).json().get("entry", []))


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    url = f"{resource['resourceType']}/{resource['id']}"
    assert (await client.put(url, json=resource, headers=JSON)).status_code in (200, 201)


async def test_every_verb_is_done_in_the_standards_order_and_answered_in_the_senders(
    client: httpx.AsyncClient,
) -> None:
    for id in ("gone", "old", "patched"):
        await put(client, observation(id=id))
    change = [{"op": "replace", "path": "/status", "value": "amended"}]
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64.b64encode(orjson.dumps(change)).decode(),
    }
    answers = await transact(
        client,
        entry("GET", "Observation?_count=100"),
        entry("HEAD", "Observation/old"),
        entry("PUT", "Observation/old", observation(id="old", status="amended")),
        entry("PATCH", "Observation/patched", binary),
        entry("POST", "Observation", observation()),
        entry("DELETE", "Observation/gone"),
        entry("GET", "Observation/old/_history"),
    )
    assert statuses(answers) == ["200", "200", "200", "200", "201", "204", "200"]
    found = {each["resource"]["id"]: each["resource"] for each in answers[0]["resource"]["entry"]}
    created = answers[4]["response"]["location"].split("/")[1]
    assert found.keys() == {"old", "patched", created}
    assert {found["old"]["status"], found["patched"]["status"]} == {"amended"}
    assert answers[1]["response"]["etag"] == 'W/"2"'
    assert "resource" not in answers[1]
    assert answers[3]["response"]["etag"] == 'W/"2"'
    assert answers[5]["response"]["etag"] == 'W/"2"'
    assert answers[6]["resource"]["total"] == 2


async def test_a_read_that_fails_undoes_the_transaction(client: httpx.AsyncClient) -> None:
    refused = await send(
        client,
        "transaction",
        entry("POST", "Observation", observation()),
        entry("GET", "Observation/never"),
    )
    assert refused.status_code == 404
    assert refused.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]
    assert await count(client) == 0


async def test_references_by_urn_lead_to_what_conditions_find(client: httpx.AsyncClient) -> None:
    await put(client, patient("1", id="known"))
    narrative = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{URN}">her</a></div>'
    answers = await transact(
        client,
        entry(
            "POST",
            "Observation",
            observation(subject={"reference": URN}, text={"status": "generated", "div": narrative}),
        ),
        entry("POST", "Patient", patient("1"), URN, ifNoneExist=f"identifier={SYSTEM}|1"),
        prefer="return=representation",
    )
    assert statuses(answers) == ["201", "200"]
    stored = answers[0]["resource"]
    assert stored["subject"]["reference"] == "Patient/known"
    assert 'href="Patient/known"' in stored["text"]["div"]
    assert answers[1]["response"]["location"] == "Patient/known/_history/1"


async def test_a_conditional_update_keeps_the_references_to_it(client: httpx.AsyncClient) -> None:
    await put(client, patient("1", id="known"))
    answers = await transact(
        client,
        entry("PUT", f"Patient?identifier={SYSTEM}|1", patient("1", gender="female"), URN),
        entry("PUT", f"Patient?identifier={SYSTEM}|2", patient("2"), URN.replace("111", "222")),
        entry("POST", "Observation", observation(subject={"reference": URN})),
        entry("POST", "Observation", observation(subject={"reference": URN.replace("111", "222")})),
    )
    assert statuses(answers) == ["200", "201", "201", "201"]
    new = answers[1]["response"]["location"].split("/_history")[0]
    for answer, expected in ((answers[2], "Patient/known"), (answers[3], new)):
        read = await client.get(answer["response"]["location"])
        assert read.json()["subject"]["reference"] == expected


async def test_references_by_criteria_find_what_is_stored_or_written_beside_them(
    client: httpx.AsyncClient,
) -> None:
    await put(client, patient("1", id="known"))
    answers = await transact(
        client,
        entry(
            "POST",
            "Observation",
            observation(subject={"reference": f"Patient?identifier={SYSTEM}|1"}),
        ),
        entry(
            "POST",
            "Observation",
            observation(subject={"reference": f"Patient?identifier={SYSTEM}|2"}),
        ),
        entry("PUT", "Patient/new", patient("2", id="new")),
    )
    subjects = [
        (await client.get(each["response"]["location"])).json()["subject"]["reference"]
        for each in answers[:2]
    ]
    assert subjects == ["Patient/known", "Patient/new"]


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        (f"Patient?identifier={SYSTEM}|9", 412),
        (f"Patient?identifier={SYSTEM}|1", 412),
        ("Patient?colour=red", 400),
        ("Organization?name=x", 422),
    ],
)
async def test_a_reference_by_criteria_must_lead_to_one_resource_of_a_right_type(
    client: httpx.AsyncClient, reference: str, status: int
) -> None:
    await put(client, patient("1", id="a"))
    await put(client, patient("1", id="b"))
    refused = await send(
        client,
        "transaction",
        entry("POST", "Observation", observation()),
        entry("POST", "Observation", observation(subject={"reference": reference})),
    )
    assert refused.status_code == status, refused.text
    assert await count(client) == 0


async def test_relative_references_follow_the_full_urls_of_the_sender(
    client: httpx.AsyncClient,
) -> None:
    answers = await transact(
        client,
        entry("POST", "Patient", patient("1"), "http://other.example/fhir/Patient/77"),
        entry(
            "POST",
            "Observation",
            observation(subject={"reference": "Patient/77"}),
            "http://other.example/fhir/Observation/78",
        ),
    )
    new = answers[0]["response"]["location"].split("/_history")[0]
    stored = (await client.get(answers[1]["response"]["location"])).json()
    assert stored["subject"]["reference"] == new


async def test_a_deletion_comes_before_the_condition_of_a_create(
    client: httpx.AsyncClient,
) -> None:
    await put(client, patient("1", id="old"))
    answers = await transact(
        client,
        entry("POST", "Patient", patient("1"), ifNoneExist=f"identifier={SYSTEM}|1"),
        entry("DELETE", "Patient/old"),
    )
    assert statuses(answers) == ["201", "204"]


async def test_the_same_condition_twice_makes_one_resource(client: httpx.AsyncClient) -> None:
    criteria = f"identifier={SYSTEM}|1"
    answers = await transact(
        client,
        entry("POST", "Patient", patient("1"), ifNoneExist=criteria),
        entry("POST", "Patient", patient("1"), ifNoneExist=criteria),
    )
    assert len({each["response"]["location"] for each in answers}) == 1
    assert await count(client, "Patient") == 1


@pytest.mark.parametrize(
    ("bad", "status", "place"),
    [
        (entry("POST", "Observation", observation(status="odd")), 422, ".resource.status"),
        (entry("PUT", "Observation/b", observation(id="c")), 400, ".resource.id"),
        (entry("PUT", "Observation/a", observation(id="a"), ifMatch='W/"7"'), 412, ".resource"),
        (entry("PUT", "Observation/a", observation(id="a"), ifMatch="x"), 400, ".request.ifMatch"),
        (
            entry("POST", "Observation", observation(), ifNoneExist="colour=red"),
            400,
            ".request.url",
        ),
        (entry("POST", "Nonsense", observation()), 404, ""),
        (entry("POST", "Observation"), 400, ".resource"),
        (entry("PUT", "Observation/b"), 400, ".resource"),
        (entry("LINK", "Observation/b"), 400, ".request.method"),
        (entry("GET", "http://elsewhere.example/Patient/1"), 400, ".request.url"),
        (entry("DELETE", "Observation?status=final"), 412, ".resource"),
        (entry("PATCH", "Observation/a", {"resourceType": "Binary"}), 400, ".resource"),
        (entry("POST", "", {"resourceType": "Bundle", "type": "batch"}), 400, ""),
        ({"resource": observation()}, 400, ".request"),
        ("entry", 400, ".request"),
    ],
)
async def test_a_bad_entry_is_named_and_undoes_all(
    client: httpx.AsyncClient, bad: Any, status: int, place: str
) -> None:
    await put(client, observation(id="a"))
    await put(client, observation(id="z"))
    before = await count(client)
    refused = await send(client, "transaction", entry("POST", "Observation", observation()), bad)
    assert refused.status_code == status, refused.text
    (issue, *_) = refused.json()["issue"]
    assert issue["expression"][0].startswith(f"Bundle.entry[1]{place}"), issue
    assert await count(client) == before


async def test_the_same_resource_twice_is_refused(client: httpx.AsyncClient) -> None:
    refused = await send(
        client,
        "transaction",
        entry("PUT", "Observation/a", observation(id="a")),
        entry("DELETE", "Observation/a"),
    )
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (400, "duplicate")


async def test_a_batch_is_a_series_of_requests_of_their_own(client: httpx.AsyncClient) -> None:
    await put(client, observation(id="a"))
    response = await send(
        client,
        "batch",
        entry("GET", "Observation/a"),
        entry("POST", "Observation", observation(status="odd")),
        entry("PUT", "Observation/b", observation(id="b")),
        entry("GET", "Observation/never"),
        entry("GET", "Observation/b"),
        entry("GET", "Observation/a", ifNoneMatch='W/"1"'),
        entry("DELETE", "Observation/a", ifMatch='W/"9"'),
        entry("POST", "", {"resourceType": "Bundle", "type": "batch"}),
        entry("GET", "Nonsense?x=y"),
        {"fullUrl": "x"},
    )
    answers = response.json()["entry"]
    assert response.json()["type"] == "batch-response"
    assert statuses(answers) == [
        *("200", "422", "201", "404", "200", "304", "412", "400", "404", "400"),
    ]
    assert answers[0]["resource"]["id"] == "a"
    outcome = answers[1]["response"]["outcome"]
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.status"]
    assert answers[2]["response"]["location"] == "Observation/b/_history/1"
    assert "resource" not in answers[2]
    assert await count(client) == 2


async def test_prefer_chooses_what_entries_bring_back(client: httpx.AsyncClient) -> None:
    for kind in ("transaction", "batch"):
        for wish, held in (
            ("representation", "resource"),
            ("minimal", None),
            ("OperationOutcome", "outcome"),
        ):
            response = await send(
                client,
                kind,
                entry("POST", "Observation", observation()),
                prefer=f"return={wish}",
            )
            (answer,) = response.json()["entry"]
            assert ("resource" in answer) == (held == "resource")
            assert ("outcome" in answer["response"]) == (held == "outcome")
            assert answer["response"]["lastModified"].endswith("Z")


async def test_a_transaction_of_ten_thousand_is_stored_whole(client: httpx.AsyncClient) -> None:
    entries = [
        entry("POST", "Patient", patient("1"), URN),
        *(
            entry("POST", "Observation", observation(subject={"reference": URN}))
            for _ in range(9_999)
        ),
    ]
    answers = await transact(client, *entries)
    assert len(answers) == 10_000
    assert set(statuses(answers)) == {"201"}
    new = answers[0]["response"]["location"].split("/")[1]
    counted = (await client.get(f"Observation?patient={new}&_summary=count")).json()
    assert counted["total"] == 9_999
    refused = await send(client, "transaction", *entries, entries[-1])
    assert refused.status_code == 413


async def test_an_empty_bundle_is_answered_and_another_is_refused(
    client: httpx.AsyncClient,
) -> None:
    assert await transact(client) == []
    for body in (
        {"resourceType": "Bundle", "type": "collection"},
        {"resourceType": "Patient"},
        {"resourceType": "Bundle", "type": "batch", "entry": {}},
    ):
        assert (await client.post("", json=body, headers=JSON)).status_code == 400
    assert BASE in (await send(client, "batch")).text
