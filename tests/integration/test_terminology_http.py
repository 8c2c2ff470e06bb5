"""Terminology as a client meets it: in operations and in searches over HTTP.
https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir import Create
from tests.fhir_support import CALLER, fhir_client, store_on
from tests.terminology_support import ANIMALS, code_system, value_set

SYSTEM = code_system("animal\n    dog\n    cat\nplant", id="animals")
PETS = value_set(
    [{"system": ANIMALS, "filter": [{"property": "concept", "op": "is-a", "value": "animal"}]}],
    url="http://example.org/pets",
    id="pets",
)


def observation(id: str, code: str, value: str, unit: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": ANIMALS, "code": code}]},
        "valueQuantity": {
            "value": int(value),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    store = store_on(database)
    held = [
        SYSTEM,
        PETS,
        observation("a", "dog", "150", "10*9/L"),
        observation("b", "plant", "150", "10*3/uL"),
        observation("c", "animal", "150000", "/uL"),
        observation("d", "cat", "150", "10*6/L"),
    ]
    await store.write(CALLER, [Create(each, each["id"]) for each in held])
    async with fhir_client(store) as client:
        yield client


SEARCHES = """
    code:in=http://example.org/pets                      a c d
    code:in=ValueSet/pets                                a c d
    code:not-in=http://example.org/pets                  b
    code:below=http://example.org/animals|animal         a c d
    code:above=http://example.org/animals|dog            a c
    value-quantity=150|http://unitsofmeasure.org|/nL     a b c
    value-quantity=gt149|http://unitsofmeasure.org|/nL   a b c
    _filter=code+in+http://example.org/pets              a c d
    _filter=not+(code+eq+dog+or+code+eq+cat)             b c
"""


@pytest.mark.parametrize("row", SEARCHES.strip().splitlines())
async def test_searches_know_value_sets_hierarchies_and_units(client, row):
    query, *expected = row.split()
    answer = await client.get(f"/Observation?{query}")
    assert answer.status_code == 200, answer.text
    found = [entry["resource"]["id"] for entry in answer.json().get("entry", ())]
    assert sorted(found) == expected


async def test_a_search_by_a_value_set_that_is_not_held_is_refused(client):
    answer = await client.get("/Observation?code:in=http://unheard.org")
    assert answer.status_code == 400
    assert "not held" in answer.text


async def test_operations_answer_at_type_and_instance(client):
    for path in ("/ValueSet/pets/$expand", "/ValueSet/$expand?url=http://example.org/pets"):
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.json()["expansion"]["total"] == 3
    posted = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "codingA", "valueCoding": {"system": ANIMALS, "code": "animal"}},
            {"name": "codingB", "valueCoding": {"system": ANIMALS, "code": "dog"}},
        ],
    }
    answer = await client.post("/CodeSystem/$subsumes", json=posted)
    assert answer.json()["parameter"] == [{"name": "outcome", "valueCode": "subsumes"}]


async def test_the_capability_statement_names_the_operations(client):
    (rest,) = (await client.get("/metadata")).json()["rest"]
    named = {
        resource["type"]: {each["name"] for each in resource.get("operation", ())}
        for resource in rest["resource"]
    }
    assert {"expand", "validate-code"} <= named["ValueSet"]
    assert {"lookup", "subsumes", "validate-code"} <= named["CodeSystem"]
    assert {"translate"} <= named["ConceptMap"]


NASTY = [
    "",
    " ",
    "\0",
    "|",
    "a|b|c",
    "-1",
    "9" * 40,
    "true",
    "{}",
    "狗" * 300,
    "%",
    "http://[",
    "$",
]
PATHS = [
    "/ValueSet/$expand",
    "/ValueSet/pets/$expand",
    "/ValueSet/pets/$validate-code",
    "/CodeSystem/$lookup",
    "/CodeSystem/animals/$validate-code",
    "/CodeSystem/$subsumes",
    "/ConceptMap/$translate",
]
NAMES = [
    *(
        "url",
        "code",
        "system",
        "display",
        "coding",
        "codeableConcept",
        "codeA",
        "codeB",
        "property",
    ),
    *(
        "filter",
        "count",
        "offset",
        "displayLanguage",
        "system-version",
        "exclude-system",
        "reverse",
    ),
    *("valueSet", "targetsystem", "target", "abstract", "version"),
]


@pytest.mark.parametrize("path", PATHS)
async def test_no_parameter_makes_the_server_fail(client, path):
    given = {"code": "dog", "system": ANIMALS, "codeA": "dog", "codeB": "cat"}
    for name in NAMES:
        for value in NASTY:
            for query in ({name: value}, given | {name: value}):
                answer = await client.get(path, params=query)
                assert answer.status_code < 500, (name, value, answer.text)


BODIES = [
    {},
    {"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": {}}]},
    {"resourceType": "Parameters", "parameter": [{"name": "coding", "valueCoding": []}]},
    {"resourceType": "Parameters", "parameter": [{"name": "codeableConcept", "valueX": {}}]},
    {"resourceType": "Parameters", "parameter": [{"name": "code", "valueCode": {"a": 1}}]},
    {"resourceType": "ValueSet", "status": "active", "compose": {"include": [[]]}},
    {"resourceType": "ValueSet", "status": "active", "expansion": {"contains": [{"code": "x"}]}},
    {"resourceType": "CodeSystem", "status": "active", "concept": [{}]},
]


@pytest.mark.parametrize("path", PATHS)
async def test_no_body_makes_the_server_fail(client, path):
    for body in BODIES:
        answer = await client.post(path, json=body)
        assert answer.status_code < 500, (body, answer.text)
