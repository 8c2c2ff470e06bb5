"""What the server tells of itself. https://hl7.org/fhir/R4/http.html#capabilities"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir.operations import OPERATIONS
from tests.fhir_support import fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
PROFILE = {
    "resourceType": "StructureDefinition",
    "id": "short",
    "url": "https://example.org/StructureDefinition/short",
    "name": "Short",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Basic",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Basic",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Basic", "path": "Basic"}]},
}
ANIMALS = {
    "resourceType": "CodeSystem",
    "url": "https://example.org/CodeSystem/animals",
    "name": "Animals",
    "status": "active",
    "content": "complete",
    "language": "en",
    "property": [{"code": "legs", "type": "integer"}],
    "concept": [{"code": "cow"}],
}


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as client:
        yield client


async def told(client: httpx.AsyncClient, query: str = "") -> dict[str, Any]:
    response = await client.get(f"metadata{query}")
    assert response.status_code == 200, response.text
    statement: dict[str, Any] = response.json()
    return statement


async def test_a_profile_that_is_held_is_a_supported_one(client: httpx.AsyncClient) -> None:
    await client.put("StructureDefinition/short", json=PROFILE, headers=JSON)
    (rest,) = (await told(client))["rest"]
    types = {each["type"]: each for each in rest["resource"]}
    assert types["Basic"]["supportedProfile"] == [PROFILE["url"]]
    assert types["Basic"]["profile"] == "http://hl7.org/fhir/StructureDefinition/Basic"
    assert "supportedProfile" not in types["Patient"]


async def test_a_retired_profile_is_not_a_supported_one(client: httpx.AsyncClient) -> None:
    await client.put(
        "StructureDefinition/short", json=PROFILE | {"status": "retired"}, headers=JSON
    )
    assert "supportedProfile" not in (await client.get("metadata")).text


@pytest.mark.parametrize(
    "query",
    ["_foo=1", "mode=loud", "_summary=count", "_elements=colour", "_count=1", "mode=", "date=2020"],
)
async def test_what_metadata_does_not_take_is_refused_by_name(
    client: httpx.AsyncClient, query: str
) -> None:
    response = await client.get(f"metadata?{query}")
    assert response.status_code == 400
    (issue,) = response.json()["issue"]
    assert issue["expression"] == [f"http.{query.partition('=')[0]}"]


async def test_a_lenient_client_may_send_an_unknown_parameter(client: httpx.AsyncClient) -> None:
    response = await client.get("metadata?_foo=1", headers={"prefer": "handling=lenient"})
    assert response.status_code == 200


async def test_mode_normative_leaves_out_what_is_for_trial_use(client: httpx.AsyncClient) -> None:
    full, normative = await told(client, "?mode=full"), await told(client, "?mode=normative")
    assert full == await told(client)
    for each in normative["rest"][0]["resource"]:
        assert "versioning" not in each
        assert "searchInclude" not in each
        assert each["interaction"]


async def test_mode_terminology_tells_of_the_code_systems_held(client: httpx.AsyncClient) -> None:
    await client.post("CodeSystem", json=ANIMALS | {"version": "1"}, headers=JSON)
    await client.post("CodeSystem", json=ANIMALS | {"version": "2"}, headers=JSON)
    absent = ANIMALS | {"url": "urn:x", "content": "not-present", "concept": []}
    del absent["concept"]
    await client.post("CodeSystem", json=absent, headers=JSON)
    statement = await told(client, "?mode=terminology")
    assert statement["resourceType"] == "TerminologyCapabilities"
    systems = {each["uri"]: each for each in statement["codeSystem"]}
    versions = {each["code"]: each for each in systems[str(ANIMALS["url"])]["version"]}
    assert {code: each["isDefault"] for code, each in versions.items()} == {"1": False, "2": True}
    assert versions["1"]["property"] == ["legs"]
    assert versions["1"]["language"] == ["en"]
    assert {"concept", "legs"} <= {each["code"] for each in versions["1"]["filter"]}
    assert "urn:x" not in systems
    assert "http://hl7.org/fhir/administrative-gender" in systems


async def test_every_filter_operator_that_is_told_of_is_known(client: httpx.AsyncClient) -> None:
    await client.post("CodeSystem", json=ANIMALS, headers=JSON)
    systems = (await told(client, "?mode=terminology"))["codeSystem"]
    (system,) = (each for each in systems if each["uri"] == ANIMALS["url"])
    for known in system["version"][0]["filter"]:
        for operator in known["op"]:
            condition = {"property": known["code"], "op": operator, "value": "cow"}
            include = {"system": ANIMALS["url"], "filter": [condition]}
            compose = {"include": [include]}
            value_set = {"resourceType": "ValueSet", "status": "draft", "compose": compose}
            answer = await client.post("ValueSet/$expand", json=value_set, headers=JSON)
            assert answer.status_code == 200, (operator, answer.text)


async def test_every_parameter_of_expand_that_is_told_of_is_taken(
    client: httpx.AsyncClient,
) -> None:
    for each in (await told(client, "?mode=terminology"))["expansion"]["parameter"]:
        answer = await client.get(f"ValueSet/$expand?{each['name']}=1")
        assert "unknown" not in answer.text, each["name"]


@pytest.mark.parametrize("mode", ["full", "terminology"])
async def test_a_client_that_has_the_statement_is_not_sent_it_again(
    client: httpx.AsyncClient, mode: str
) -> None:
    address = f"metadata?mode={mode}"
    tag = (await client.get(address)).headers["etag"]
    again = await client.get(address, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await client.put("StructureDefinition/short", json=PROFILE, headers=JSON)
    await client.post("CodeSystem", json=ANIMALS, headers=JSON)
    changed = await client.get(address, headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_elements_and_summary_leave_what_must_be_there(client: httpx.AsyncClient) -> None:
    some = await told(client, "?_elements=software")
    required = {"status", "date", "kind", "fhirVersion", "format", "implementation"}
    assert some.keys() == {"resourceType", "meta", "software", *required}
    assert some["meta"]["tag"][0]["code"] == "SUBSETTED"
    summary = await told(client, "?_summary=true")
    first = summary["rest"][0]["resource"][0]
    assert first.keys() == {"type", "profile", "operation"}
    assert "searchParam" not in summary["rest"][0]
    assert (await told(client, "?_summary=text")).keys() == {"resourceType", "meta", *required}
    assert "rest" in await told(client, "?_summary=data")
    both = await told(client, "?_summary=true&_elements=rest")
    assert both.keys() == {"resourceType", "meta", "rest", *required}
    terms = await told(client, "?mode=terminology&_elements=expansion")
    assert terms.keys() == {
        *("resourceType", "meta", "status", "date", "kind", "implementation", "expansion")
    }


async def test_metadata_answers_in_a_batch_and_in_xml(client: httpx.AsyncClient) -> None:
    entry = {"request": {"method": "GET", "url": "metadata?_elements=software"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    (answer,) = (await client.post("", json=batch, headers=JSON)).json()["entry"]
    assert answer["response"]["status"].startswith("200")
    xml = await client.get("metadata?mode=terminology&_format=xml")
    assert xml.text.startswith('<?xml version="1.0" encoding="UTF-8"?><TerminologyCapabilities')


async def test_an_operation_is_listed_with_the_places_where_it_answers(
    client: httpx.AsyncClient,
) -> None:
    (rest,) = (await told(client))["rest"]
    types = {each["type"]: each for each in rest["resource"]}
    described = {each["name"]: each["documentation"] for each in types["Patient"]["operation"]}
    assert described["meta-add"] == "POST Patient/[id]/$meta-add"
    (lookup,) = (each for each in types["CodeSystem"]["operation"] if each["name"] == "lookup")
    assert lookup["documentation"] == "GET or POST CodeSystem/$lookup"
    for operation in OPERATIONS:
        assert operation.definition.startswith("http://hl7.org/fhir/OperationDefinition/")
