"""The FHIR REST API as a client sees it. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

import random
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
    assert [entry["request"]["method"] for entry in history["entry"]] == ["PUT", "PUT"]
    assert [entry["response"]["status"] for entry in history["entry"]] == ["200", "201"]
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
    assert (await client.delete("Observation/never")).status_code == 204


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
    (b'{"resourceType":"Observation","valueInteger":' + b"1" * 40 + b"}", 422),
    (b'{"resourceType":"Observation","valueQuantity":{"value":0.' + b"1" * 1_001 + b"}}", 400),
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
        ("GET", "Observation", {"accept": "text/csv"}, 406),
        ("GET", "Observation?_format=turtle", {}, 406),
        ("POST", "Observation", {"content-type": "text/csv"}, 415),
        ("POST", "Observation", {"content-type": "application/fhir+json;charset=gbk"}, 415),
        ("PATCH", "Observation/a", JSON, 400),
        ("PUT", "Observation", JSON, 400),
        ("DELETE", "metadata", {}, 405),
        ("PUT", "Observation/_search", JSON, 405),
        ("GET", "Observation/a/_history/1/2/3", {}, 404),
        ("DELETE", "Observation", {}, 400),
        ("DELETE", "Observation?colour=red", {"prefer": "handling=lenient"}, 400),
        ("DELETE", "Observation?status=final&_count=1", {}, 400),
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


async def test_an_identical_update_writes_no_version_and_says_so(client: httpx.AsyncClient) -> None:
    body = PLATELETS | {"id": "a"}
    await client.put("Observation/a", json=body, headers=JSON)
    again = await client.put(
        "Observation/a", json=body, headers=JSON | {"prefer": "return=OperationOutcome"}
    )
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"1"')
    assert "unchanged" in issue(again)["diagnostics"]
    assert (await client.get("Observation/a/_history")).json()["total"] == 1


async def test_xml_comes_and_goes_where_it_is_asked_for(client: httpx.AsyncClient) -> None:
    await client.put("Observation/a", json=PLATELETS | {"id": "a"}, headers=JSON)
    read = await client.get("Observation/a", headers={"accept": "application/fhir+xml"})
    assert read.headers["content-type"].startswith("application/fhir+xml")
    sent = await client.put(
        "Observation/a", content=read.content, headers={"content-type": "application/fhir+xml"}
    )
    assert (sent.status_code, sent.headers["etag"]) == (200, 'W/"1"')
    refused = await client.get("Observation/b", headers={"accept": "application/fhir+xml"})
    assert refused.content.startswith(b"<")


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
        response = await client.get(f"Observation?{name}:missing=maybe")
        assert response.status_code == 400, name
        assert f"no search parameter '{name}'" not in response.text


async def test_searches_at_every_level_by_get_and_by_form(client: httpx.AsyncClient) -> None:
    await client.put(
        "Patient/SSCI-001", json={"resourceType": "Patient", "id": "SSCI-001"}, headers=JSON
    )
    id = (await create(client)).json()["id"]
    await create(client, subject={"reference": "Patient/SSCI-002"})
    assert bundle_ids(await client.get("Patient/SSCI-001/Observation?code=777-3")) == [id]
    assert bundle_ids(await client.get("Patient/SSCI-001/Observation?code=1-1")) == []
    form = await client.post("Patient/SSCI-001/Observation/_search", data={"code": "777-3"})
    assert bundle_ids(form) == [id]
    assert set(bundle_ids(await client.get("Patient/SSCI-001/*"))) == {id, "SSCI-001"}
    everything = "?_type=Patient,Observation"
    assert len(bundle_ids(await client.get(everything))) == 3
    posted = await client.post("_search", data={"_type": "Patient"})
    assert bundle_ids(posted) == ["SSCI-001"]
    assert (await client.get("Patient/SSCI-001/Nonsense")).status_code == 404
    assert (await client.get("Observation/a/Patient")).status_code == 404


PATHS = [
    *("", "metadata", "_history", "_search", "Observation", "Observation/a", "Observation/_search"),
    *("Observation/_history", "Observation/a/_history", "Observation/a/_history/1", "Patient/p/*"),
    *("Patient/p/Observation", "Observation/$validate", "$versions", "Observation/a/$meta", "x//y"),
    *("Observation/a/_history/99999999999", "%00", "Observation/%2F", "Observation/a/_history/%00"),
    *(
        "Observation/$lastn",
        "Patient/p/$everything",
        "ValueSet/$expand",
        "Binary/x",
        "\u00e9/\u4e2d",
    ),
]
QUERIES = [
    *(
        "",
        "status=final",
        "_count=0",
        "_count=-1",
        "_since=x",
        "_cursor=WzFd",
        "_sort=-date",
        "&&=&",
    ),
    *(
        "date=ge2019&date=",
        "code=a|b|c",
        "_id=%00",
        "value-quantity=1e99999",
        "_at=0000",
        "%ff=%ff",
    ),
    *(
        "_has:Observation:subject:code=1",
        "subject:Patient.name=x",
        "_filter=status eq",
        "_since=9999",
    ),
    *("_format=xml", "_format=%00", "_elements=,", "_summary=count", "_lastUpdated=ge9999-12-31"),
    *("_include=*", "_at=9999-12-31", "_before=0001-01-01", "date=0001-01-01", "_total=estimate"),
]
HEADERS: list[dict[str, str]] = [
    *(
        {},
        JSON,
        {"content-type": "application/json-patch+json"},
        {"accept": "application/fhir+xml"},
    ),
    *({"content-type": "application/fhir+xml"}, {"content-type": "x" * 300}, {"accept": ";;,q=,"}),
    *({"if-match": 'W/"1"'} | JSON, {"if-none-exist": "status=final"} | JSON),
    *(
        {"if-none-match": "*"} | JSON,
        {"if-modified-since": "\x80"},
        {"prefer": "return=,;handling"},
    ),
    *({"content-type": "application/x-www-form-urlencoded"}, {"content-encoding": "zip"} | JSON),
    {"content-type": "application/merge-patch+json"},
]
BODIES = [
    *(b"", b"{}", b"[]", b"null", b"\xff", b"<a/>", b"status=final", b'[{"op":"add","path":"/a"}]'),
    *(orjson.dumps(PLATELETS), orjson.dumps(PLATELETS | {"id": "a"}), b'{"status":[[]]}'),
    b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"?"}},1]}',
    b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{},"request":{"method":'
    b'"POST","url":"Observation","ifNoneExist":"_id=\\u0001"},"fullUrl":"urn:uuid:1"}]}',
    b'{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":[]}]}]}',
    b'<Observation xmlns="http://hl7.org/fhir"><status value="final"/></Observation>',
]


async def test_no_request_is_answered_by_a_500(client: httpx.AsyncClient) -> None:
    draw = random.Random(5)
    for _ in range(3000):
        method = draw.choice(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        url = f"{draw.choice(PATHS)}?{draw.choice(QUERIES)}&{draw.choice(QUERIES)}"
        headers = draw.choice(HEADERS)
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        content = draw.choice(BODIES) if method in ("POST", "PUT", "PATCH") else None
        response = await client.request(method, url, headers=raw, content=content)
        assert response.status_code < 500 or response.status_code == 501, (
            method,
            url,
            headers,
            content,
            response.text,
        )


async def test_a_read_can_be_abridged_and_names_what_it_does_not_know(
    client: httpx.AsyncClient,
) -> None:
    await client.put("Observation/a", json=PLATELETS | {"id": "a"}, headers=JSON)
    brief = (await client.get("Observation/a?_elements=status")).json()
    assert (brief["status"], "valueQuantity" in brief) == ("final", False)
    assert brief["meta"]["tag"][0]["code"] == "SUBSETTED"
    summary = (await client.get("Observation/a/_history/1?_summary=true")).json()
    assert summary["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert (await client.get("Observation/a?_format=json")).json()["valueQuantity"]
    for query in ("foo=1", "_summary=bogus", "_elements=nonsense"):
        assert (await client.get(f"Observation/a?{query}")).status_code == 400
    lenient = await client.get("Observation/a?foo=1", headers={"prefer": "handling=lenient"})
    assert lenient.status_code == 200


async def test_a_telephone_number_is_found_with_and_without_its_system(
    client: httpx.AsyncClient,
) -> None:
    telecom = [{"system": "phone", "value": "(03) 5555 6473"}]
    await client.put(
        "Patient/p", json={"resourceType": "Patient", "id": "p", "telecom": telecom}, headers=JSON
    )
    for query in ("telecom=phone|(03) 5555 6473", "telecom=(03) 5555 6473", "phone=(03) 5555 6473"):
        assert bundle_ids(await client.get(f"Patient?{query}")) == ["p"]
