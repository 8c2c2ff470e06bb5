"""What the headers of requests and answers say: methods, versions, preferences, formats.

https://hl7.org/fhir/R4/http.html · https://www.rfc-editor.org/rfc/rfc7240
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir import Transport, TransportSettings
from tests.fhir_support import BASE, fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
BASIC: dict[str, Any] = {"resourceType": "Basic", "id": "a", "code": {"text": "x"}}


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


async def put(client: httpx.AsyncClient, text: str = "x", **headers: str) -> httpx.Response:
    body = BASIC | {"code": {"text": text}}
    sent = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.put("Basic/a", json=body, headers=sent)


# ---- methods


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("metadata", "GET, HEAD, OPTIONS"),
        ("", "GET, HEAD, OPTIONS, POST"),
        ("Basic/_search", "OPTIONS, POST"),
        ("Basic/a", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("Basic/a/$meta", "GET, HEAD, OPTIONS, POST"),
        ("Basic/a/$meta-add", "OPTIONS, POST"),
    ],
)
async def test_options_and_405_tell_all_that_can_be_asked(
    client: httpx.AsyncClient, path: str, allowed: str
) -> None:
    options = await client.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, allowed)
    assert ("accept-patch" in options.headers) == ("PATCH" in allowed)
    refused = await client.request("TRACE", path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


async def test_options_of_what_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    for path in ("Nonsense", "Basic/a/b/c", "Basic/$nonsense"):
        assert (await client.options(path)).status_code == 404


async def test_head_of_a_compressed_answer_tells_the_coding(client: httpx.AsyncClient) -> None:
    inner = client._transport
    assert isinstance(inner, httpx.ASGITransport)
    app = Transport(inner.app, TransportSettings((), 1_000_000))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as zipped:
        read, head = await zipped.get("metadata"), await zipped.head("metadata")
    assert read.headers["content-encoding"] == head.headers["content-encoding"] == "gzip"
    assert "content-length" not in head.headers


async def test_a_patch_of_another_format_is_told_which_there_are(
    client: httpx.AsyncClient,
) -> None:
    await put(client)
    answer = await client.patch("Basic/a", content=b"x", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert "application/json-patch+json" in answer.headers["accept-patch"]


async def test_a_request_is_answered_under_the_id_that_the_client_gave_it(
    client: httpx.AsyncClient,
) -> None:
    for id, told in (("r-1", "r-1"), ("two words", None), ("x" * 101, None)):
        for path in ("Basic", "Nonsense"):
            answer = await client.get(path, headers={"x-request-id": id})
            assert answer.headers.get("x-request-id") == told


# ---- versions


async def test_a_deletion_is_told_with_its_version_and_time(client: httpx.AsyncClient) -> None:
    await put(client)
    await client.delete("Basic/a")
    for path in ("Basic/a", "Basic/a/_history/2"):
        gone = await client.get(path)
        assert (gone.status_code, gone.headers["etag"]) == (410, 'W/"2"')
        assert gone.headers["last-modified"].endswith("GMT")


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ('W/"1"', 200),
        ('"1"', 200),
        ("*", 200),
        ('W/"2"', 412),
        ('W/"01"', 412),
        ('W/"\u00b2"', 412),
        ("1", 400),
        ("", 400),
    ],
)
async def test_if_match_takes_tags_and_a_star(
    client: httpx.AsyncClient, tag: str, status: int
) -> None:
    await put(client)
    sent = JSON | {"if-match": tag.encode("latin-1")}
    changed = BASIC | {"code": {"text": "y"}}
    assert (await client.put("Basic/a", json=changed, headers=sent)).status_code == status


async def test_if_match_star_needs_something_to_match(client: httpx.AsyncClient) -> None:
    assert (await put(client, if_match="*")).status_code == 412


async def test_criteria_may_be_a_whole_address_of_ours(client: httpx.AsyncClient) -> None:
    await put(client)
    sent = JSON | {"if-none-exist": f"{BASE}/Basic?_id=a"}
    answer = await client.post("Basic", json=BASIC, headers=sent)
    assert (answer.status_code, answer.json()["id"]) == (200, "a")


# ---- preferences


@pytest.mark.parametrize(
    ("prefer", "kind", "applied"),
    [
        ("return=minimal", None, "return=minimal"),
        ('RETURN = "minimal"', None, "return=minimal"),
        ("respond-async; wait=1, return=minimal", None, "return=minimal"),
        ("return=OperationOutcome", "OperationOutcome", "return=OperationOutcome"),
        ("return=representation, return=minimal", "Basic", "return=representation"),
        ("foo; return=minimal", "Basic", None),
        ("return=nonsense", "Basic", None),
    ],
)
async def test_what_is_preferred_and_done_is_told(
    client: httpx.AsyncClient, prefer: str, kind: str | None, applied: str | None
) -> None:
    answer = await put(client, prefer=prefer)
    assert answer.status_code == 201
    assert (answer.json()["resourceType"] if answer.content else None) == kind
    assert answer.headers.get("preference-applied") == applied


async def test_lenient_handling_is_told(client: httpx.AsyncClient) -> None:
    answer = await client.get("Basic?colour=red", headers={"prefer": "handling=lenient"})
    assert answer.headers["preference-applied"] == "handling=lenient"


# ---- formats


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        ("application/json", "application/json"),
        ("text/xml", "text/xml"),
        ("application/json, application/fhir+json", "application/fhir+json"),
        ("application/xml+fhir", "application/fhir+xml"),
        ("application/json+fhir", "application/fhir+json"),
        ("application/*", "application/fhir+json"),
        ("text/json;q=0.4, */*;q=0.3", "text/json"),
    ],
)
async def test_an_answer_goes_by_the_name_that_was_asked_for(
    client: httpx.AsyncClient, accept: str, told: str
) -> None:
    await put(client)
    answer = await client.get("Basic/a", headers={"accept": accept})
    assert answer.headers["content-type"] == f"{told};charset=utf-8"


async def test_older_names_of_the_formats_are_taken(client: httpx.AsyncClient) -> None:
    body = b'<Basic xmlns="http://hl7.org/fhir"><code><text value="x"/></code></Basic>'
    answer = await client.post("Basic", content=body, headers={"content-type": "text/xml"})
    assert answer.status_code == 201
    for name in ("application/xml+fhir", "application/json+fhir"):
        content = body if "xml" in name else b'{"resourceType":"Basic","code":{"text":"x"}}'
        answer = await client.post("Basic", content=content, headers={"content-type": name})
        assert answer.status_code == 201, answer.text


async def test_a_form_may_say_how_to_answer(client: httpx.AsyncClient) -> None:
    await put(client)

    async def ask(form: str) -> httpx.Response:
        return await client.post("Basic/_search", content=form, headers=FORM)

    assert (
        (await ask("_id=a&_format=xml")).headers["content-type"].startswith("application/fhir+xml")
    )
    assert "\n" in (await ask("_id=a&_pretty=true")).text
    assert (await ask("_id=a&_format=html")).status_code == 406
    assert (await ask("_id=a&_summary=count")).json()["total"] == 1
    (entry,) = (await ask("_id=a&_elements=subject")).json()["entry"]
    assert entry["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_an_entry_without_its_resource_is_a_400(client: httpx.AsyncClient) -> None:
    entry = {"request": {"method": "POST", "url": "Basic"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    answer = await client.post("", json=batch, headers=JSON)
    assert answer.json()["entry"][0]["response"]["status"] == "400 Bad Request"
