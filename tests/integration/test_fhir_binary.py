"""Binary as content of its own type. https://hl7.org/fhir/R4/binary.html#rest"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from tests.fhir_support import BASE, fhir_client, store_on

PDF = {"content-type": "application/pdf"}
JSON = {"content-type": "application/fhir+json"}
CONTENT = b"%PDF-1.7\x00\xff"


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


async def put(
    client: httpx.AsyncClient, content: bytes = CONTENT, headers: dict[str, str] = PDF
) -> dict[str, Any]:
    answer = await client.put("Binary/b", content=content, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


async def put_resource(client: httpx.AsyncClient, **elements: str) -> None:
    resource = {"resourceType": "Binary", "id": "b"} | elements
    answer = await client.put("Binary/b", json=resource, headers=JSON)
    assert answer.status_code in (200, 201), answer.text


async def test_content_of_any_type_is_stored_as_a_binary(client: httpx.AsyncClient) -> None:
    secured = PDF | {"x-security-context": f"{BASE}/Patient/p"}
    answer = await client.post("Binary", content=CONTENT, headers=secured)
    assert answer.status_code == 201
    held = answer.json()
    assert (held["contentType"], held["data"]) == (
        "application/pdf",
        base64.b64encode(CONTENT).decode(),
    )
    assert held["securityContext"] == {"reference": "Patient/p"}
    assert answer.headers["location"] == f"{BASE}/Binary/{held['id']}/_history/1"


@pytest.mark.parametrize(
    "accept",
    ["*/*", "", "application/pdf", "image/png", "text/html, application/xml;q=0.9, */*;q=0.8"],
)
async def test_content_comes_back_as_it_was_sent_and_is_not_to_be_run(
    client: httpx.AsyncClient, accept: str
) -> None:
    await put(client, headers=PDF | {"x-security-context": "Patient/p"})
    for path in ("Binary/b", "Binary/b/_history/1", "Binary/b?_summary=true"):
        answer = await client.get(path, headers={"accept": accept})
        assert (answer.status_code, answer.content) == (200, CONTENT)
        told = answer.headers
        assert told["content-type"] == "application/pdf"
        assert (told["etag"], told["x-security-context"]) == ('W/"1"', "Patient/p")
        assert told["x-content-type-options"] == "nosniff"
        assert told["content-disposition"] == "attachment"
        assert "sandbox" in told["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("Binary/b", "application/fhir+json"),
        ("Binary/b", "application/json+fhir"),
        ("Binary/b", "application/fhir+json, */*;q=0.5"),
        ("Binary/b", "application/json"),
        ("Binary/b?_format=json", "application/pdf"),
    ],
)
async def test_who_asks_for_a_fhir_format_gets_the_resource(
    client: httpx.AsyncClient, path: str, accept: str
) -> None:
    await put(client)
    answer = await client.get(path, headers={"accept": accept})
    assert answer.json()["resourceType"] == "Binary"


@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.x+json"])
async def test_plain_json_means_the_content_where_that_is_json(
    client: httpx.AsyncClient, content_type: str
) -> None:
    await put(client, b'{"a":1}', {"content-type": content_type})
    plain = await client.get("Binary/b", headers={"accept": "application/json"})
    assert plain.json() == {"a": 1}
    fhir = await client.get("Binary/b", headers={"accept": "application/fhir+json"})
    assert fhir.json()["contentType"] == content_type


async def test_fhir_that_is_no_binary_is_content_too(client: httpx.AsyncClient) -> None:
    held = await put(client, b'{"resourceType":"Patient"}', JSON)
    assert held["contentType"] == "application/fhir+json"
    await put_resource(client, contentType="text/plain", data="AAAA")
    as_xml = (
        b'<Binary xmlns="http://hl7.org/fhir"><id value="b"/><contentType value="text/css"/>'
        b'<data value="AAAA"/></Binary>'
    )
    held = await put(client, as_xml, {"content-type": "application/fhir+xml"})
    assert held["contentType"] == "text/css"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"x", {}, 415),
        (b"x", {"content-type": "nonsense"}, 415),
        (b"x", {"content-type": 'text/plain; a="b'}, 415),
        (b"", PDF, 400),
        (b'{"resourceType":"Binary","contentType":', JSON, 400),
        (b'{"resourceType":"Binary","contentType":"text/css"}', JSON, 400),
        (b"x", PDF | {"x-security-context": "two words"}, 400),
    ],
)
async def test_content_that_can_not_be_kept_is_refused(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await client.put("Binary/b", content=content, headers=headers)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


async def test_a_type_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    resource = {"resourceType": "Binary", "id": "b", "contentType": "text/html; charset=\u00e9"}
    answer = await client.put("Binary/b", json=resource, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Binary.contentType"]


async def test_other_answers_about_a_binary_stay_fhir(client: httpx.AsyncClient) -> None:
    await put(client)
    assert (await client.get("Binary/b", headers={"accept": "*/*;q=0"})).status_code == 406
    missing = await client.get("Binary/c", headers={"accept": "application/pdf"})
    assert (missing.status_code, missing.json()["resourceType"]) == (404, "OperationOutcome")
    known = await client.get("Binary/b", headers={"if-none-match": 'W/"1"'})
    assert (known.status_code, known.content) == (304, b"")
    assert (await client.get("Binary")).json()["resourceType"] == "Bundle"
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Binary/b"}}],
    }
    answer = await client.post("", json=batch, headers=JSON)
    assert answer.json()["entry"][0]["resource"]["contentType"] == "application/pdf"


async def test_head_tells_the_size_of_the_content(client: httpx.AsyncClient) -> None:
    await put(client)
    read, head = await client.get("Binary/b"), await client.head("Binary/b")
    assert head.headers == read.headers
    assert (head.headers["content-length"], head.content) == (str(len(CONTENT)), b"")


async def test_a_binary_has_no_narrative_to_search(client: httpx.AsyncClient) -> None:
    assert (await client.get("Binary?_text=word")).status_code == 400
    assert (await client.get("Basic?_text=word")).status_code == 200
    statement = (await client.get("metadata")).json()
    (binary,) = (each for each in statement["rest"][0]["resource"] if each["type"] == "Binary")
    assert "_text" not in [each["name"] for each in binary["searchParam"]]


@pytest.mark.parametrize("parameter", ["_summary=true", "%5Fsummary=true", "_elements=id"])
async def test_content_is_whole_whatever_is_to_be_left_out_of_the_resource(
    client: httpx.AsyncClient, parameter: str
) -> None:
    plain = {"content-type": "application/json"}
    assert (await client.put("Binary/b", content=b'{"a": 1}', headers=plain)).status_code == 201
    answer = await client.get(f"Binary/b?{parameter}", headers={"accept": "application/json"})
    assert (answer.status_code, answer.content) == (200, b'{"a": 1}')
    refused = await client.get("Binary/b?_summary=bogus", headers={"accept": "application/json"})
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<doc><Binary/></doc>", "application/xml"),
        (b'[{"resourceType":"Binary"}]', "application/json"),
    ],
)
async def test_what_only_mentions_a_binary_is_content(
    client: httpx.AsyncClient, content: bytes, kind: str
) -> None:
    stored = await put(client, content, {"content-type": kind})
    assert base64.b64decode(stored["data"]) == content
