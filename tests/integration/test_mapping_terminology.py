"""The site's dictionary as CodeSystem and ConceptMap: valid, loaded once, and translated by."""

from __future__ import annotations

import pytest

from app.database import Database
from app.fhir import Json
from app.mappings.dictionary.terminology import build_terminology, load_mapping_terminology
from tests.feed_support import CALLER, site
from tests.fhir_support import fhir_client
from tests.trial_support import trial_store

BASE = "https://ssci.example/fhir"
BUILT = build_terminology(site())


def find(kind: str, id: str) -> Json:
    (found,) = [each for each in BUILT if (each["resourceType"], each["id"]) == (kind, id)]
    return found


def targets(map: str, code: str) -> list[tuple[str, str]]:
    elements = find("ConceptMap", map)["group"][0]["element"]
    (element,) = [each for each in elements if each["code"] == code]
    return [(each.get("code", ""), each["equivalence"]) for each in element["target"]]


def test_the_code_systems_have_the_addresses_that_resources_use() -> None:
    urls = {each["url"] for each in BUILT if each["resourceType"] == "CodeSystem"}
    base = "https://ssci.example/fhir/CodeSystem"
    assert {f"{base}/pumch-lis-test", f"{base}/pumch-his-medication"} <= urls
    assert {each["version"] for each in BUILT} == {site().version}


def test_local_codes_lead_to_loinc_rxnorm_and_ucum() -> None:
    assert ("777-3", "equivalent") in targets("pumch-lis-test-loinc", "PLT")
    assert targets("pumch-lis-test-panel", "CBC") == [("CBC", "equivalent")]
    assert targets("pumch-his-medication-rxnorm", "SIR1") == [("35302", "wider")]
    assert targets("pumch-his-medication-atc", "SIR1") == [("L04AH01", "wider")]
    assert targets("pumch-unit-ucum", "10^9/L") == [("10*9/L", "equivalent")]


def test_a_code_stands_once_in_each_code_system_and_map() -> None:
    for each in BUILT:
        listed = each.get("concept") or [e for g in each.get("group", []) for e in g["element"]]
        codes = [item["code"] for item in listed]
        assert len(codes) == len(set(codes)), each["id"]


@pytest.mark.parametrize("resource", BUILT, ids=lambda each: f"{each['resourceType']}-{each['id']}")
async def test_every_resource_is_valid(database: Database, resource: Json) -> None:
    trial_store(database).check(resource)


async def test_loading_again_writes_nothing(database: Database) -> None:
    store = trial_store(database)
    first = await load_mapping_terminology(store, site())
    again = await load_mapping_terminology(store, site())
    assert {change.kind for change in first} == {"create"}
    assert {change.kind for change in again} == {"unchanged"}
    assert await store.read(CALLER, "ConceptMap", "pumch-lis-test-loinc") is not None


@pytest.mark.parametrize(
    ("map", "system", "code", "target"),
    [
        ("pumch-lis-test-loinc", "pumch-lis-test", "PLT", "777-3"),
        ("pumch-lis-test-panel", "pumch-lis-test", "XCG", "CBC"),
        ("pumch-his-medication-rxnorm", "pumch-his-medication", "SIR1", "35302"),
        ("pumch-unit-ucum", "pumch-unit", "10^9/L", "10*9/L"),
    ],
)
async def test_the_maps_translate(
    database: Database, map: str, system: str, code: str, target: str
) -> None:
    store = trial_store(database)
    await load_mapping_terminology(store, site())
    asked = {"url": f"{BASE}/ConceptMap/{map}", "system": f"{BASE}/CodeSystem/{system}"}
    async with fhir_client(store) as client:
        answer = await client.get("/ConceptMap/$translate", params={**asked, "code": code})
    parameters = answer.json()["parameter"]
    assert parameters[0] == {"name": "result", "valueBoolean": True}
    (concept,) = [each for each in parameters[1]["part"] if each["name"] == "concept"]
    assert concept["valueCoding"]["code"] == target


def dependent() -> list[tuple[str, str, str, str]]:
    """(map, code, property, value) of targets that depend on something."""
    return [
        (held["id"], element["code"], needed["property"], needed["value"])
        for held in BUILT
        for group in held.get("group", ())
        for element in group["element"]
        for target in element["target"]
        for needed in target.get("dependsOn", ())
        if target.get("code")
    ]


async def test_what_depends_on_panel_or_class_is_translated_where_that_is_told(
    database: Database,
) -> None:
    store = trial_store(database)
    await load_mapping_terminology(store, site())
    map, code, element, value = dependent()[0]
    source = find("ConceptMap", map)["group"][0]["source"]

    async def translated(*known: str) -> bool:
        told = {"name": "code", "valueCode": code}, {"name": "system", "valueUri": source}
        beside = [
            {
                "name": "dependency",
                "part": [
                    {"name": "element", "valueUri": element},
                    {"name": "concept", "valueCodeableConcept": {"coding": [{"code": each}]}},
                ],
            }
            for each in known
        ]
        body = {"resourceType": "Parameters", "parameter": [*told, *beside]}
        address = f"/ConceptMap/{map}/$translate"
        answer = await client.post(address, json=body)
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["parameter"][0]["valueBoolean"])

    async with fhir_client(store) as client:
        assert await translated(value)
        assert await translated("another", value)
        assert not await translated("another")
        assert not await translated()


@pytest.mark.parametrize(
    "part",
    [
        [],
        [{"name": "element", "valueUri": "x"}],
        [{"name": "element", "valueUri": 1}, {"name": "concept", "valueCodeableConcept": {}}],
        "x",
        [{"name": "element"}, 1],
    ],
)
async def test_a_dependency_of_another_shape_is_refused(database: Database, part: object) -> None:
    store = trial_store(database)
    await load_mapping_terminology(store, site())
    told = {"name": "code", "valueCode": "PLT"}
    body = {"resourceType": "Parameters", "parameter": [told, {"name": "dependency", "part": part}]}
    async with fhir_client(store) as client:
        answer = await client.post("/ConceptMap/pumch-unit-ucum/$translate", json=body)
    assert answer.status_code == 400
    assert "dependency" in answer.text
