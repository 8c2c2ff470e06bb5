"""The FHIR API in XML, in pretty print and through gzip, as a client sees it.

https://hl7.org/fhir/R4/http.html#mime-type · https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from app.database import Database
from app.fhir import parse_json
from app.fhir.transport import Transport, TransportSettings
from app.fhir.xml import dump_xml, parse_xml
from tests.fhir_support import BASE, facts, fhir_client, store_on
from tests.legal_resources import MOST

Json = dict[str, Any]

XML = "application/fhir+xml"
SEND = {"content-type": XML}
ASK = {"accept": XML}
BOTH = SEND | ASK
FHIR = "{http://hl7.org/fhir}"

PLATELETS = (
    b'<Observation xmlns="http://hl7.org/fhir"><id value="a"/><!-- as sent -->'
    b'<status id="s" value="final"/><code><coding><system value="http://loinc.org"/>'
    b'<code value="777-3"/></coding></code><subject><reference value="Patient/SSCI-001"/></subject>'
    b'<effectiveDateTime value="2019-03-14"/><valueQuantity><value value="8.60"/>'
    b'<unit value="10*9/L"/></valueQuantity></Observation>'
)
LIMIT = 1_000_000


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


@pytest.fixture
async def browser(client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client behind the transport, as the service has it."""
    inner = client._transport
    assert isinstance(inner, httpx.ASGITransport)
    app = Transport(inner.app, TransportSettings(("https://edc.example",), LIMIT))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as opened:
        yield opened


def resource_of(answer: httpx.Response) -> Json:
    """The resource of an XML answer."""
    assert answer.headers["content-type"] == f"{XML};charset=utf-8", answer.text
    return parse_xml(answer.content, facts()[0])


async def put_platelets(client: httpx.AsyncClient) -> None:
    answer = await client.put("Observation/a", content=PLATELETS, headers=SEND)
    assert answer.status_code == 201, answer.text


async def test_what_came_as_xml_is_served_as_json_with_its_digits(
    client: httpx.AsyncClient,
) -> None:
    await put_platelets(client)
    answer = await client.get("Observation/a")
    assert answer.headers["content-type"].startswith("application/fhir+json")
    assert b'"value":8.60' in answer.content
    assert answer.json()["_status"] == {"id": "s"}


async def test_a_create_in_xml_is_answered_in_xml(client: httpx.AsyncClient) -> None:
    answer = await client.post("Observation", content=PLATELETS, headers=BOTH)
    assert answer.status_code == 201
    created = resource_of(answer)
    assert answer.headers["location"] == f"{BASE}/Observation/{created['id']}/_history/1"
    assert b'<value value="8.60"/>' in answer.content


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", ASK),
        ("", {"accept": "application/json;q=0.5, application/fhir+xml"}),
        ("?_format=xml", {}),
        ("?_format=application/fhir%2Bxml", {"accept": "application/json"}),
        ("?_format=application/fhir+xml", {}),
    ],
)
async def test_a_read_answers_in_the_format_asked_for(
    client: httpx.AsyncClient, query: str, headers: dict[str, str]
) -> None:
    await put_platelets(client)
    answer = await client.get(f"Observation/a{query}", headers=headers)
    assert resource_of(answer)["id"] == "a"
    assert answer.headers["etag"] == 'W/"1"'
    assert "last-modified" in answer.headers


async def test_pretty_answers_say_the_same(client: httpx.AsyncClient) -> None:
    await put_platelets(client)
    plain = await client.get("Observation/a")
    pretty = await client.get("Observation/a?_pretty=true")
    assert b'\n  "status": "final"' in pretty.content
    assert pretty.json() == plain.json()
    assert b"8.60" in pretty.content
    xml = await client.get("Observation/a?_pretty=true", headers=ASK)
    assert b'\n  <status id="s" value="final"/>' in xml.content


@pytest.mark.parametrize("resource", MOST, ids=lambda each: str(each["resourceType"]))
async def test_legal_resources_go_in_and_come_out_as_xml(
    client: httpx.AsyncClient, resource: Json
) -> None:
    name = resource["resourceType"]
    body = dump_xml(resource, facts()[0])
    created = resource_of(await client.post(name, content=body, headers=BOTH))
    as_json = await client.get(f"{name}/{created['id']}")
    assert parse_json(as_json.content) == created
    kept = resource.keys() - {"id", "meta"}
    assert {key: created[key] for key in kept} == {key: resource[key] for key in kept}


async def test_a_search_answers_with_a_bundle_in_xml(client: httpx.AsyncClient) -> None:
    await put_platelets(client)
    answer = await client.get("Observation?code=777-3", headers=ASK)
    bundle = resource_of(answer)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    (entry,) = bundle["entry"]
    assert entry["fullUrl"] == f"{BASE}/Observation/a"
    assert entry["search"] == {"mode": "match"}
    assert ElementTree.fromstring(answer.content).tag == f"{FHIR}Bundle"


async def test_a_search_by_form_answers_in_xml(client: httpx.AsyncClient) -> None:
    await put_platelets(client)
    answer = await client.post("Observation/_search", data={"code": "777-3"}, headers=ASK)
    assert len(resource_of(answer)["entry"]) == 1


async def test_a_history_answers_in_xml(client: httpx.AsyncClient) -> None:
    await put_platelets(client)
    bundle = resource_of(await client.get("Observation/a/_history", headers=ASK))
    (entry,) = bundle["entry"]
    assert entry["request"]["method"] == "PUT"
    assert entry["response"]["etag"] == 'W/"1"'


async def test_a_transaction_in_xml_is_carried_out_and_answered_in_xml(
    client: httpx.AsyncClient,
) -> None:
    entry = (
        b'<entry><fullUrl value="urn:uuid:c757873d-ec9a-4326-a141-556f43239520"/><resource>'
        + PLATELETS.replace(b'<id value="a"/>', b"")
        + b'</resource><request><method value="POST"/><url value="Observation"/></request></entry>'
    )
    body = (
        b'<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>'
        + entry * 1
        + b"</Bundle>"
    )
    answer = await client.post("", content=body, headers=BOTH)
    assert answer.status_code == 200, answer.text
    bundle = resource_of(answer)
    assert bundle["type"] == "transaction-response"
    (done,) = bundle["entry"]
    assert done["response"]["status"].startswith("201")
    found = resource_of(await client.get("Observation?code=777-3", headers=ASK))
    assert len(found["entry"]) == 1


async def test_the_capability_statement_can_be_read_in_xml_and_tells_the_formats(
    client: httpx.AsyncClient,
) -> None:
    statement = resource_of(await client.get("metadata", headers=ASK))
    as_json = (await client.get("metadata")).json()
    assert statement == as_json
    assert {"application/fhir+json", XML, "json", "xml"} == {*as_json["format"]}


async def test_refusals_are_told_in_the_format_asked_for(client: httpx.AsyncClient) -> None:
    missing = await client.get("Observation/none", headers=ASK)
    assert missing.status_code == 404
    assert resource_of(missing)["resourceType"] == "OperationOutcome"
    broken = await client.post("Observation", content=PLATELETS[:-5], headers=BOTH)
    assert broken.status_code == 400
    assert "well-formed" in resource_of(broken)["issue"][0]["diagnostics"]


async def test_what_is_wrong_with_an_element_is_told_with_its_place(
    client: httpx.AsyncClient,
) -> None:
    wrong = PLATELETS.replace(b'value="8.60"', b'value="much"')
    answer = await client.post("Observation", content=wrong, headers=SEND)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Observation.valueQuantity.value"]
    unknown = PLATELETS.replace(b'value="final"', b'value="finished"')
    answer = await client.post("Observation", content=unknown, headers=SEND)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Observation.status"]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"accept": "text/html"}),
        ("", {"accept": "application/fhir+json;fhirVersion=3.0"}),
        ("?_format=html", {}),
    ],
)
async def test_other_formats_are_a_406(
    client: httpx.AsyncClient, query: str, headers: dict[str, str]
) -> None:
    answer = await client.get(f"metadata{query}", headers=headers)
    assert answer.status_code == 406
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", f"{XML};charset=iso-8859-1", f"{XML};fhirVersion=3.0", "application/pdf"],
)
async def test_other_bodies_are_a_415(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"content-type": content_type}
    answer = await client.post("Observation", content=PLATELETS, headers=headers)
    assert answer.status_code == 415


async def test_an_unreadable_wish_is_a_400(client: httpx.AsyncClient) -> None:
    answer = await client.get("metadata?_pretty=perhaps")
    assert answer.status_code == 400
    assert "_pretty" in answer.json()["issue"][0]["diagnostics"]


# Through the transport


async def test_gzip_goes_both_ways(browser: httpx.AsyncClient) -> None:
    packed = gzip.compress(PLATELETS)
    headers = SEND | {"content-encoding": "gzip"}
    created = await browser.put("Observation/a", content=packed, headers=headers)
    assert created.status_code == 201, created.text
    answer = await browser.get("metadata", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(answer.content) / 4
    assert answer.json()["resourceType"] == "CapabilityStatement"


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("br", PLATELETS, 415),
        ("gzip", PLATELETS, 400),
        ("gzip", gzip.compress(PLATELETS)[:-4], 400),
        ("gzip", gzip.compress(bytes(10 * LIMIT)), 413),
    ],
)
async def test_bodies_that_can_not_be_inflated_are_refused_with_an_outcome(
    browser: httpx.AsyncClient, coding: str, body: bytes, status: int
) -> None:
    headers = SEND | {"content-encoding": coding}
    answer = await browser.put("Observation/a", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await browser.get("Observation/a")).status_code == 404


async def test_a_page_of_an_allowed_origin_may_read_versions(browser: httpx.AsyncClient) -> None:
    await put_platelets(browser)
    answer = await browser.get("Observation/a", headers={"origin": "https://edc.example"})
    assert answer.headers["access-control-allow-origin"] == "https://edc.example"
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert answer.headers["etag"] == 'W/"1"'
