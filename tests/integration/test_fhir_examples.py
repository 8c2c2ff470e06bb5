"""Shapes that published examples of R4 have and that servers stumble over, through the whole API.

https://hl7.org/fhir/R4/datatypes.html#decimal · https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.database import Database
from tests.fhir_support import fhir_client, store_on

Json = dict[str, Any]

JSON = {"content-type": "application/fhir+json"}
XML = {"content-type": "application/fhir+xml", "accept": "application/fhir+xml"}
UCUM = "http://unitsofmeasure.org"

NUMBERS = [
    "-1.000000000000000000E+245",
    "1E-22",
    "1e+1000",
    "-1E-1000",
    "9223372036854775808",
    "-123456789012345678901234567890",
    "0." + "0" * 40 + "1",
    "3." + "14159265358979323846" * 3,
    "7" * 1000,
    "0." + "3" * 1000,
]
UNITS = [
    '"unit":"g"',
    f'"unit":"g","system":"{UCUM}","code":"g"',
    f'"unit":"C","system":"{UCUM}","code":"Cel"',
]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


async def put(client: httpx.AsyncClient, resource: Json | str) -> None:
    body = resource if isinstance(resource, str) else json.dumps(resource)
    held = json.loads(body)
    address = f"{held['resourceType']}/{held['id']}"
    answer = await client.put(address, content=body, headers=JSON)
    assert answer.status_code in (200, 201), answer.text


async def found(client: httpx.AsyncClient, query: str) -> list[str]:
    answer = await client.get(query)
    assert answer.status_code == 200, answer.text
    return [each["resource"]["id"] for each in answer.json().get("entry", [])]


def measured(number: str, unit: str) -> str:
    return (
        '{"resourceType":"Observation","id":"n","status":"final","code":{"text":"x"},'
        f'"valueQuantity":{{"value":{number},{unit}}}}}'
    )


@pytest.mark.parametrize("unit", UNITS, ids=["text", "g", "Cel"])
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:12])
async def test_a_number_of_any_size_keeps_its_digits_and_is_found(
    client: httpx.AsyncClient, number: str, unit: str
) -> None:
    await put(client, measured(number, unit))
    read = await client.get("Observation/n")
    assert f'"value":{number},'.encode() in read.content
    in_xml = await client.get("Observation/n", headers=XML)
    assert f'<value value="{number}"/>' in in_xml.text
    again = await client.put("Observation/n", content=in_xml.content, headers=XML)
    assert again.status_code == 200, again.text
    assert f'"value":{number},'.encode() in (await client.get("Observation/n")).content
    exact = number.replace("+", "%2B")
    assert await found(client, f"Observation?value-quantity={exact}") == ["n"]
    code = "Cel" if "Cel" in unit else "g"
    assert await found(client, f"Observation?value-quantity={exact}||{code}") == ["n"]
    sign = "lt" if Decimal(number) < 0 else "gt"
    assert await found(client, f"Observation?value-quantity={sign}0") == ["n"]
    assert await found(client, "Observation?value-quantity=ap5&_sort=value-quantity") == []


@pytest.mark.parametrize("number", ["1e999999999", "1e1001", "-1E-1001", "1" * 1001])
async def test_a_number_without_bounds_is_refused_and_named(
    client: httpx.AsyncClient, number: str
) -> None:
    answer = await client.put("Observation/n", content=measured(number, '"unit":"g"'), headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Observation.valueQuantity.value"]


@pytest.mark.parametrize("number", ["1e9999", "1e-9999", "lt1e9999", "ap" + "9" * 1000, "1e99999"])
async def test_a_search_for_an_absurd_number_finds_nothing_or_is_refused(
    client: httpx.AsyncClient, number: str
) -> None:
    for unit in ("", "||g", f"|{UCUM}|Cel"):
        answer = await client.get(f"Observation?value-quantity={number}{unit}")
        assert answer.status_code == (400 if number == "1e99999" else 200)
        assert "entry" not in answer.json()


CARE_PLAN: Json = {
    "resourceType": "CarePlan",
    "id": "c",
    "status": "active",
    "intent": "plan",
    "subject": {"display": "someone"},
    "activity": [
        {"detail": {"status": "scheduled", "scheduledString": "every evening"}},
        {"detail": {"status": "scheduled", "scheduledPeriod": {"start": "2021-05-04"}}},
    ],
}


async def test_a_schedule_in_words_has_no_dates(client: httpx.AsyncClient) -> None:
    await put(client, CARE_PLAN)
    assert await found(client, "CarePlan?activity-date=ge2021-05") == ["c"]
    performed = {"resourceType": "Procedure", "status": "completed", "subject": {"display": "x"}}
    await put(client, performed | {"id": "p", "performedString": "2021 or so"})
    assert await found(client, "Procedure?date=2021") == []


@pytest.mark.parametrize(
    ("part", "ids"),
    [("d", ["o"]), ("n", ["o"]), ("LD", ["o"]), ("dress", []), ("e", []), ("~", [])],
)
async def test_contains_looks_at_the_value_alone(
    client: httpx.AsyncClient, part: str, ids: list[str]
) -> None:
    hospital = {"resourceType": "Organization", "id": "o", "name": "x"}
    await put(client, hospital | {"address": [{"country": "NLD"}]})
    assert await found(client, f"Organization?address-country:contains={part}") == ids


async def test_a_canonical_is_a_uri_to_a_search(client: httpx.AsyncClient) -> None:
    concept_map = {"resourceType": "ConceptMap", "id": "m", "status": "draft"}
    await put(client, concept_map | {"sourceCanonical": "http://x.example/vs"})
    await put(client, concept_map | {"id": "u", "sourceUri": "http://x.example/vs"})
    assert sorted(await found(client, "ConceptMap?source-uri=http://x.example/vs")) == ["m", "u"]


async def test_a_reference_to_any_type_is_found_with_its_type(client: httpx.AsyncClient) -> None:
    entry = {"item": {"reference": "Condition/c"}}
    a_list = {"resourceType": "List", "status": "current", "mode": "working"}
    await put(client, a_list | {"id": "l", "entry": [entry]})
    assert await found(client, "List?item:Condition=c") == ["l"]
    assert await found(client, "List?item:Patient=c") == []
    assert (await client.get("List?item:Nothing=c")).status_code == 400


async def test_white_space_that_xml_does_not_know_as_such_may_be_in_a_code(
    client: httpx.AsyncClient,
) -> None:
    concepts = [{"code": "LUNG\u00a0"}, {"code": "a\u00a0b"}]
    system = {"resourceType": "CodeSystem", "id": "s", "status": "draft", "content": "complete"}
    await put(client, system | {"concept": concepts})
    assert (await client.get("CodeSystem/s")).json()["concept"] == concepts


async def test_an_extension_added_to_a_primitive_by_patch_is_served_in_both_formats(
    client: httpx.AsyncClient,
) -> None:
    await put(client, {"resourceType": "Patient", "id": "p", "birthDate": "1970-03-30"})
    parts = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient.birthDate"},
        {"name": "name", "valueString": "extension"},
        {
            "name": "value",
            "part": [
                {"name": "url", "valueUri": "http://x.example/time"},
                {"name": "value", "valueDateTime": "1970-03-30T10:00:00+08:00"},
            ],
        },
    ]
    operation = {"name": "operation", "part": parts}
    patch = {"resourceType": "Parameters", "parameter": [operation]}
    answer = await client.patch("Patient/p", content=json.dumps(patch), headers=JSON)
    assert answer.status_code == 200, answer.text
    held = {"url": "http://x.example/time", "valueDateTime": "1970-03-30T10:00:00+08:00"}
    assert (await client.get("Patient/p")).json()["_birthDate"] == {"extension": [held]}
    in_xml = (await client.get("Patient/p", headers=XML)).text
    assert '<birthDate value="1970-03-30"><extension url="http://x.example/time">' in in_xml
