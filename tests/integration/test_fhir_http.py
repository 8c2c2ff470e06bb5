"""The FHIR REST API as a client sees it. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from app.database import Database
from tests.fhir_support import BASE, fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
PLATELETS: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
    "subject": {"reference": "Patient/SSCI-001"},
    "valueQuantity": {"value": 38, "unit": "10*9/L"},
}


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


async def create(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("Observation", json=PLATELETS | changes, headers=JSON)


def issue(response: httpx.Response) -> dict[str, Any]:
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return dict(outcome["issue"][0])


def bundle_ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [entry["resource"]["id"] for entry in response.json().get("entry", [])]


async def test_create_answers_201_with_location_and_version(client: httpx.AsyncClient) -> None:
    response = await create(client)
    assert response.status_code == 201
    id = response.json()["id"]
    assert response.headers["location"] == f"{BASE}/Observation/{id}/_history/1"
    assert response.headers["etag"] == 'W/"1"'
    read = await client.get(f"Observation/{id}")
    assert read.content == response.content
    assert read.headers["content-type"].startswith("application/fhir+json")


async def test_digits_extensions_and_order_survive(client: httpx.AsyncClient) -> None:
    body = (
        b'{"resourceType":"Observation","id":"a","extension":[{"url":"http://x.example/e",'
        b'"valueDecimal":1.0E+2}],"status":"final","code":{"text":"\xe8\xa1\x80"},'
        b'"valueQuantity":{"value":8.60}}'
    )
    response = await client.put("Observation/a", content=body, headers=JSON)
    assert response.status_code == 201
    tail = body.split(b'"id":"a",')[1]
    assert (await client.get("Observation/a")).content.endswith(tail)


async def test_update_creates_then_updates_and_checks_if_match(client: httpx.AsyncClient) -> None:
    first = await client.put("Observation/a", json=PLATELETS | {"id": "a"}, headers=JSON)
    assert (first.status_code, first.headers["etag"]) == (201, 'W/"1"')
    changed = PLATELETS | {"id": "a", "status": "amended"}
    stale = await client.put("Observation/a", json=changed, headers=JSON | {"if-match": 'W/"7"'})
    assert stale.status_code == 412
    second = await client.put("Observation/a", json=changed, headers=JSON | {"if-match": 'W/"1"'})
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    history = (await client.get("Observation/a/_history")).json()
    assert [entry["request"]["method"] for entry in history["entry"]] == ["PUT", "POST"]
    old = await client.get("Observation/a/_history/1")
    assert old.json()["status"] == "final"


async def test_delete_leaves_a_410_and_a_tombstone(client: httpx.AsyncClient) -> None:
    id = (await create(client)).json()["id"]
    assert (await client.delete(f"Observation/{id}")).status_code == 204
    gone = await client.get(f"Observation/{id}")
    assert (gone.status_code, issue(gone)["code"]) == (410, "deleted")
    history = (await client.get(f"Observation/{id}/_history")).json()
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "POST"]
    assert (await client.delete(f"Observation/{id}")).status_code == 204
    assert (await client.delete("Observation/never")).status_code == 404


async def test_prefer_chooses_the_body(client: httpx.AsyncClient) -> None:
    minimal = await client.post(
        "Observation", json=PLATELETS, headers=JSON | {"prefer": "return=minimal"}
    )
    assert (minimal.status_code, minimal.content) == (201, b"")
    told = await client.post(
        "Observation", json=PLATELETS, headers=JSON | {"prefer": "return=OperationOutcome"}
    )
    assert issue(told)["severity"] == "information"


async def test_a_search_bundle_links_to_itself_and_to_the_next_page(
    client: httpx.AsyncClient,
) -> None:
    created = [(await create(client)).json()["id"] for _ in range(5)]
    first = await client.get("Observation?code=777-3&_count=2")
    links = {link["relation"]: link["url"] for link in first.json()["link"]}
    assert links["self"] == f"{BASE}/Observation?code=777-3&_count=2"
    seen = bundle_ids(first)
    while "next" in links:
        page = await client.get(links["next"])
        links = {link["relation"]: link["url"] for link in page.json()["link"]}
        seen += bundle_ids(page)
    assert seen == sorted(created)


async def test_search_by_form_joins_both_parameter_lists(client: httpx.AsyncClient) -> None:
    id = (await create(client)).json()["id"]
    response = await client.post("Observation/_search?status=final", data={"code": "777-3"})
    assert bundle_ids(response) == [id]
    other = await client.post("Observation/_search?status=amended", data={"code": "777-3"})
    assert bundle_ids(other) == []


async def test_strict_names_what_is_unknown_and_lenient_leaves_it_out(
    client: httpx.AsyncClient,
) -> None:
    await create(client)
    strict = await client.get("Observation?colour=red&code:nonsense=1&status=final")
    assert strict.status_code == 400
    texts = [each["diagnostics"] for each in strict.json()["issue"]]
    assert "'colour'" in texts[0]
    assert "':nonsense'" in texts[1]
    lenient = await client.get(
        "Observation?colour=red&status=final", headers={"prefer": "handling=lenient"}
    )
    entries = lenient.json()["entry"]
    assert [entry["search"]["mode"] for entry in entries] == ["match", "outcome"]
    assert lenient.json()["link"][0]["url"] == f"{BASE}/Observation?status=final"


async def test_a_transaction_resolves_references_between_its_entries(
    client: httpx.AsyncClient,
) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:6d2b5d3e-9d2e-4c5c-8c39-1f1ed3c3a111",
                "resource": {"resourceType": "Patient", "gender": "female"},
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "fullUrl": "urn:uuid:6d2b5d3e-9d2e-4c5c-8c39-1f1ed3c3a222",
                "resource": PLATELETS
                | {"subject": {"reference": "urn:uuid:6d2b5d3e-9d2e-4c5c-8c39-1f1ed3c3a111"}},
                "request": {"method": "POST", "url": "Observation"},
            },
            {
                "resource": PLATELETS | {"id": "a"},
                "request": {"method": "PUT", "url": "Observation/a"},
            },
        ],
    }
    response = await client.post("", json=bundle, headers=JSON)
    assert response.status_code == 200, response.text
    answers = [entry["response"] for entry in response.json()["entry"]]
    assert [answer["status"][:3] for answer in answers] == ["201", "201", "201"]
    patient, observation = (answer["location"].split("/_history")[0] for answer in answers[:2])
    stored = (await client.get(observation)).json()
    assert stored["subject"]["reference"] == patient


async def test_a_bad_entry_undoes_the_whole_transaction(client: httpx.AsyncClient) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": PLATELETS | {"id": "a"},
                "request": {"method": "PUT", "url": "Observation/a"},
            },
            {
                "resource": {"resourceType": "Observation", "status": "nonsense"},
                "request": {"method": "POST", "url": "Observation"},
            },
        ],
    }
    response = await client.post("", json=bundle, headers=JSON)
    assert response.status_code == 422
    assert issue(response)["expression"][0].startswith("Bundle.entry[1].resource")
    assert (await client.get("Observation/a")).status_code == 404


DEEP = b'{"resourceType":"Observation","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
BAD_BODIES = [
    (b'{"resourceType":"Observation"', 400),
    (b"[]", 400),
    (b"", 400),
    (b"\xff\xfe{}", 400),
    (b'{"resourceType":"Observation","status":"final","status":"final"}', 400),
    (b'{"resourceType":"Observation","valueQuantity":{"value":NaN}}', 400),
    (b'{"resourceType":"Observation","valueInteger":' + b"1" * 40 + b"}", 400),
    (b'{"resourceType":"Observation","valueQuantity":{"value":0.' + b"1" * 40 + b"}}", 400),
    (b'{"resourceType":"Observation","valueString":"a\\u0000b"}', 400),
    (b'{"resourceType":"Observation","valueString":"\\ud800"}', 400),
    (DEEP, 400),
    (b'{"resourceType":"Patient"}', 400),
    (b'{"resourceType":"Nonsense"}', 400),
    (b'{"resourceType":"Observation","status":"final"}', 422),
    (b'{"resourceType":"Observation","status":"foo","code":{"text":"x"}}', 422),
    (b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"foo":1}', 422),
    (b" " * 1_000_001, 413),
]


@pytest.mark.parametrize(("body", "status"), BAD_BODIES)
async def test_a_bad_body_is_refused_and_nothing_is_stored(
    client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    response = await client.post("Observation", content=body, headers=JSON)
    assert response.status_code == status, response.text
    assert issue(response)["diagnostics"]
    assert bundle_ids(await client.get("Observation")) == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "Nonsense", {}, 404),
        ("GET", "Nonsense/1", {}, 404),
        ("GET", "Observation/unknown", {}, 404),
        ("GET", "Observation/a_b", {}, 400),
        ("GET", "Observation/" + "a" * 65, {}, 400),
        ("GET", "Observation/a/_history", {}, 404),
        ("GET", "Observation/a/_history/x", {}, 404),
        ("GET", "Observation/a/b", {}, 404),
        ("GET", "Observation/$nonsense", {}, 404),
        ("GET", "Observation?_count=x", {}, 400),
        ("GET", "Observation?_cursor=abc", {}, 400),
        ("GET", "Observation?date=2019-02-30", {}, 400),
        ("GET", "Observation?value-quantity=abc", {}, 400),
        ("GET", "Observation?_sort=nonsense", {}, 400),
        ("GET", "Observation?_include=Patient:nonsense", {}, 400),
        ("GET", "Observation?code=a|b|c", {}, 400),
        ("GET", "Observation?_id=%00", {}, 400),
        ("GET", "Observation", {"accept": "application/fhir+xml"}, 406),
        ("GET", "Observation?_format=xml", {}, 406),
        ("POST", "Observation", {"content-type": "text/csv"}, 415),
        ("POST", "Observation", {"content-type": "application/fhir+json;charset=gbk"}, 415),
        ("PATCH", "Observation/a", JSON, 405),
        ("PUT", "Observation", JSON, 405),
        ("DELETE", "metadata", {}, 405),
        ("PUT", "Observation/b", JSON, 400),
        ("DELETE", "Observation/a", {"if-match": "nonsense"}, 400),
    ],
)
async def test_a_bad_request_is_a_4xx_that_says_why(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    content = orjson.dumps(PLATELETS | {"id": "a"}) if method in ("PUT", "POST", "PATCH") else None
    response = await client.request(method, path, headers=headers, content=content)
    assert response.status_code == status, response.text
    assert issue(response)["diagnostics"]


async def test_head_has_the_headers_of_get_and_no_body(client: httpx.AsyncClient) -> None:
    await client.put("Observation/a", json=PLATELETS | {"id": "a"}, headers=JSON)
    head, get = await client.head("Observation/a"), await client.get("Observation/a")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))


async def test_the_capability_statement_lists_what_is_there(client: httpx.AsyncClient) -> None:
    statement = (await client.get("metadata")).json()
    assert statement["fhirVersion"] == "4.0.1"
    types = {each["type"]: each for each in statement["rest"][0]["resource"]}
    assert len(types) == 50
    names = {each["name"] for each in types["Observation"]["searchParam"]}
    for name in names:
        response = await client.get(f"Observation?{name}:missing=true")
        assert response.status_code == (400 if name in ("_id", "_lastUpdated") else 200), name
