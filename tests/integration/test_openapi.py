"""The OpenAPI document is true: what an address answers is declared for it, status, media type and
type of resource. https://spec.openapis.org/oas/v3.1.0#responses-object
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from app.main import Service
from app.settings import Settings
from tests.conftest import Dsns

METHODS = ("get", "post", "put", "patch", "delete")
GIVEN = {"id": "a", "vid": "1", "type": "Patient", "feed": "his", "number": "P-1"}
TEXTS = {"url": "http://example.org/x", "_type": "Patient", "statistic": "count", "mode": "create"}
OUTCOME = {"$ref": "#/components/schemas/OperationOutcome"}


@pytest.fixture
async def client(database_dsns: Dsns, tmp_path: object) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        no_auth=True,
        allowed_hosts=("test",),
        data_dir=str(tmp_path),
        database_url=database_dsns.owner,
        runtime_database_url=database_dsns.runtime,
        read_connections=2,
        write_connections=3,
    )
    service = Service(settings)
    await service.start()
    transport = httpx.ASGITransport(service)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened
    await service.stop()


class Call(NamedTuple):
    """One request that the document describes, and what it declares for the answer."""

    method: str
    address: str
    options: dict[str, Any]
    responses: dict[str, Any]


def _calls(document: dict[str, Any]) -> Iterator[Call]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert method in METHODS
            for options in _variants(operation):
                yield Call(method, _address(path), options, _resolved(document, operation))


def _resolved(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    shared = document["components"]["responses"]
    return {
        status: shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each
        for status, each in operation["responses"].items()
    }


def _address(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: GIVEN.get(found[1], "1"), path)


def _variants(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Bare, with what is required, in XML, with a parameter that is not there, with a body."""
    needed = {
        each["name"]: TEXTS.get(each["name"], "a")
        for each in operation.get("parameters", ())
        if each["in"] == "query" and each.get("required") and each["name"] != "criteria"
    }
    yield {}
    yield {"params": needed} if needed else {"params": {"_id": "a"}}
    yield {"params": needed, "headers": {"accept": "application/fhir+xml"}}
    yield {"params": {"nope": "1"}}
    for kind in operation.get("requestBody", {}).get("content", ()):
        yield {"headers": {"content-type": kind}, "content": b"{}"}


async def _problems(client: httpx.AsyncClient, call: Call) -> AsyncIterator[str]:
    response = await client.request(call.method, call.address, **call.options)
    told = f"{call.method} {call.address} {call.options}: {response.status_code}"
    status = str(response.status_code)
    declared = call.responses.get(status) or call.responses.get(f"{status[0]}XX")
    if declared is None:
        yield f"{told} is not declared"
        return
    if not response.content:
        return
    name = response.headers["content-type"].partition(";")[0]
    content = declared.get("content", {})
    if "*/*" in content:  # the content of a Binary, whatever it is
        return
    if name not in content:
        yield f"{told} in {name} is not declared"
    elif name == "application/fhir+json":
        kind = response.json()["resourceType"]
        if kind not in _types(content[name]):
            yield f"{told}: a {kind} is not declared"


def _types(media_type: dict[str, Any]) -> set[str]:
    schema = media_type["schema"]
    return {each["$ref"].rpartition("/")[2] for each in schema.get("anyOf", [schema])}


async def test_what_every_address_answers_is_declared(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    found = [p for call in _calls(document) async for p in _problems(client, call)]
    assert found == []


async def test_what_succeeds_is_declared_as_well(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    fhir = {"content-type": "application/fhir+json"}
    organization = b'{"resourceType":"Organization","id":"a","name":"x"}'
    returned = {"prefer": "return=OperationOutcome"}
    body = {"headers": fhir, "content": organization}
    merge = {
        "headers": {"content-type": "application/merge-patch+json"},
        "content": b'{"name":"y"}',
    }
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("put", "/fhir/Organization/{id}", body),
        ("put", "/fhir/Organization/{id}", {**body, "headers": fhir | returned}),
        ("put", "/fhir/Binary/{id}", {"headers": {"content-type": "text/csv"}, "content": b"a,b"}),
        ("get", "/fhir/Binary/{id}", {}),
        ("get", "/fhir/Binary/{id}", {"headers": {"accept": "application/fhir+json"}}),
        ("get", "/fhir/Organization/{id}", {"headers": {"if-none-match": 'W/"1"'}}),
        ("patch", "/fhir/Organization/{id}", merge),
        ("get", "/fhir/Organization/{id}/_history/{vid}", {}),
        ("get", "/fhir/{type}/{id}/$meta", {}),
        ("get", "/fhir/Observation/$lastn", {"params": {"max": "2"}}),
        ("get", "/fhir/Patient/$everything", {}),
        ("delete", "/fhir/Organization/{id}", {"headers": returned}),
    ]
    for method, path, options in steps:
        address = _address(path).replace("/Patient/a/", "/Organization/a/")
        call = Call(method, address, options, _resolved(document, document["paths"][path][method]))
        assert [each async for each in _problems(client, call)] == []
        assert (await client.request(method, address, **options)).status_code < 400


async def test_the_parameters_of_operations_are_those_they_take(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path, methods in paths.items():
        if "$" not in path or "get" not in methods:
            continue
        for each in methods["get"].get("parameters", ()):
            if each["in"] == "query":
                response = await client.get(_address(path), params={each["name"]: "a"})
                assert "is no parameter" not in response.text, (path, each["name"])


async def test_a_get_says_which_parameters_an_operation_needs(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path in (path for path in paths if "$" in path and "get" in paths[path]):
        given = paths[path]["get"].get("parameters", ())
        needed = {each["name"] for each in given if each["in"] == "query" and each.get("required")}
        params = {name: TEXTS.get(name, "a") for name in needed}
        complete = (await client.get(_address(path), params=params)).text
        assert '"required"' not in complete or path.endswith(("/$validate", "/$translate")), path
        for name in needed:
            rest = {key: value for key, value in params.items() if key != name}
            response = await client.get(_address(path), params=rest)
            assert response.status_code in (400, 404), (path, name)


async def test_a_conditional_write_needs_a_criterion(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    for method in ("put", "patch", "delete"):
        given = document["paths"]["/fhir/Observation"][method]["parameters"]
        criteria = next(each for each in given if each["name"] == "criteria")
        assert criteria["required"]
        assert criteria["schema"]["minProperties"] == 1
    members = document["components"]["schemas"]["ObservationCriteria"]
    assert {"code", "subject"} <= members["properties"].keys()
    assert re.search(*members["patternProperties"], "subject:Patient.name")


async def test_values_that_are_no_dates_or_numbers_are_not_declared(
    client: httpx.AsyncClient,
) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    tried = itertools.product(("DateValues",), ("", "x", "2020-13", "2020-1", "2020,"))
    tried = itertools.chain(tried, [("NumberValues", "1e"), ("QuantityValues", "1|kg")])
    for name, text in tried:
        assert not re.search(schemas[name]["pattern"], text), (name, text)
    for name, text in [("DateValues", "ge2020-01,lt2021"), ("QuantityValues", "gt5|http://x|mg")]:
        assert re.search(schemas[name]["pattern"], text), (name, text)


async def test_the_framework_s_own_refusal_is_not_declared(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path in ("/feeds/quarantine", "/trial/subjects", "/endpoints"):
        refusal = document["paths"][path]["get"]["responses"]["4XX"]
        assert refusal["content"] == {"application/fhir+json": {"schema": OUTCOME}}
