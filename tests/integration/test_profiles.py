"""Profiles that the server holds: checked where a resource claims them, and by `$validate`.
https://hl7.org/fhir/R4/profiling.html · https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.trial import build_study
from tests.fhir_support import fhir_client, store_on
from tests.trial_support import protocol

JSON = {"content-type": "application/fhir+json"}
OURS = "https://ssci.example/fhir/StructureDefinition"
UCUM = "http://unitsofmeasure.org"
SUBJECT = "https://ssci.example/fhir/sid/subject-number"
AE = "http://hl7.org/fhir/uv/ae-research-backport-ig/StructureDefinition"


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """The server with the study's profiles and value sets."""
    async with fhir_client(store_on(database)) as opened:
        for each in build_study(protocol()):
            if each["resourceType"] in ("StructureDefinition", "ValueSet"):
                path = f"{each['resourceType']}/{each['id']}"
                response = await opened.put(path, json=each, headers=JSON)
                assert response.status_code == 201, response.text
        yield opened


def claiming(profile: str, **resource: Any) -> dict[str, Any]:
    return {"meta": {"profile": [f"{OURS}/{profile}"]}, **resource}


def coded(system: str, *codes: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for code in codes]}


PLATELETS = claiming(
    "ssci-platelets",
    resourceType="Observation",
    status="final",
    code=coded("http://loinc.org", "777-3"),
    subject={"reference": "Patient/SSCI-001"},
    effectiveDateTime="2019-03-14",
    valueQuantity={"value": 38, "unit": "10*9/L", "system": UCUM, "code": "10*9/L"},
)
LEVEL = PLATELETS | claiming(
    "ssci-sirolimus-level",
    code=coded("http://loinc.org", "29247-4"),
    valueQuantity={"value": 8.6, "unit": "ng/mL", "system": UCUM, "code": "ng/mL"},
)
DOSE = claiming(
    "ssci-sirolimus-dose",
    resourceType="MedicationAdministration",
    status="completed",
    medicationCodeableConcept=coded("http://www.nlm.nih.gov/research/umls/rxnorm", "35302"),
    subject={"reference": "Patient/SSCI-001"},
    effectiveDateTime="2019-03-14",
    dosage={"dose": {"value": 1, "unit": "mg", "system": UCUM, "code": "mg"}},
)
EVENT = claiming(
    "ssci-adverse-event",
    resourceType="AdverseEvent",
    actuality="actual",
    event={"text": "pneumonia"},
    subject={"reference": "Patient/SSCI-001"},
    date="2019-03-14",
    seriousness=coded(
        "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness", "Non-serious"
    ),
    extension=[{"url": f"{AE}/ae-grade", "valueCodeableConcept": {"text": "3"}}],
)
PARTICIPANT = claiming(
    "ssci-patient",
    resourceType="Patient",
    identifier=[{"system": SUBJECT, "value": "SSCI-001"}],
    gender="female",
    birthDate="1980",
)
GOOD = [PLATELETS, LEVEL, DOSE, EVENT, PARTICIPANT]
NAMES = [each["meta"]["profile"][0].rpartition("/")[2] for each in GOOD]


async def validate(
    client: httpx.AsyncClient, resource: dict[str, Any], query: str = ""
) -> list[dict[str, Any]]:
    path = f"{resource['resourceType']}/$validate{query}"
    response = await client.post(path, json=resource, headers=JSON)
    assert response.status_code == 200, response.text
    return list(response.json()["issue"])


@pytest.mark.parametrize("resource", GOOD, ids=NAMES)
async def test_what_meets_its_profile_is_stored_and_valid(
    client: httpx.AsyncClient, resource: dict[str, Any]
) -> None:
    stored = await client.post(resource["resourceType"], json=resource, headers=JSON)
    assert stored.status_code == 201, stored.text
    assert [each["severity"] for each in await validate(client, resource)] == ["information"]


def without(resource: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != name}


BROKEN = [
    (PLATELETS | {"code": coded("http://loinc.org", "13056-7")}, "Observation.code"),
    (without(PLATELETS, "subject"), "Observation.subject"),
    (PLATELETS | {"subject": {"reference": "Group/g"}}, "Observation.subject"),
    (without(PLATELETS, "effectiveDateTime"), "Observation.effective"),
    (without(PLATELETS, "valueQuantity") | {"valueString": "38"}, "Observation.valueString"),
    (
        PLATELETS | {"valueQuantity": {"value": 38, "system": UCUM, "code": "g/L"}},
        "Observation.valueQuantity.code",
    ),
    (LEVEL | {"valueQuantity": {"value": 8}}, "Observation.valueQuantity.system"),
    (
        DOSE | {"medicationCodeableConcept": {"text": "sirolimus"}},
        "MedicationAdministration.medicationCodeableConcept",
    ),
    (EVENT | {"actuality": "potential"}, "AdverseEvent.actuality"),
    (without(EVENT, "seriousness"), "AdverseEvent.seriousness"),
    (
        EVENT | {"extension": [{"url": f"{AE}/ae-grade", "valueCode": "3"}]},
        "AdverseEvent.extension[0].valueCode",
    ),
    (PARTICIPANT | {"name": [{"text": "x"}]}, "Patient.name"),
    (
        PARTICIPANT | {"identifier": [{"system": "http://mrn.example", "value": "1"}]},
        "Patient.identifier[0]",
    ),
]


@pytest.mark.parametrize(("resource", "place"), BROKEN, ids=[place for _, place in BROKEN])
async def test_what_breaks_its_profile_is_refused_with_its_place(
    client: httpx.AsyncClient, resource: dict[str, Any], place: str
) -> None:
    refused = await client.post(resource["resourceType"], json=resource, headers=JSON)
    assert refused.status_code == 422, refused.text
    assert place in [each["expression"][0] for each in refused.json()["issue"]]
    issues = await validate(client, resource)
    assert place in [each["expression"][0] for each in issues if "expression" in each]
    unclaimed = without(resource, "meta")
    stored = await client.post(resource["resourceType"], json=unclaimed, headers=JSON)
    assert stored.status_code == 201, stored.text


@pytest.mark.parametrize(
    ("resource", "key"),
    [
        (without(PLATELETS, "valueQuantity"), "ssci-plt-1"),
        (without(DOSE, "dosage"), "ssci-dose-1"),
        (
            EVENT
            | {
                "seriousness": coded(
                    "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness", "Serious"
                )
            },
            "ssci-ae-1",
        ),
        (PARTICIPANT | {"birthDate": "1980-02-03"}, "ssci-pat-1"),
    ],
)
async def test_constraints_are_evaluated_by_validate(
    client: httpx.AsyncClient, resource: dict[str, Any], key: str
) -> None:
    (issue,) = await validate(client, resource)
    assert (issue["severity"], issue["code"]) == ("error", "invariant")
    assert key in issue["diagnostics"]


async def test_a_transaction_names_the_entry_that_breaks_its_profile(
    client: httpx.AsyncClient,
) -> None:
    entries = [
        {"resource": each, "request": {"method": "POST", "url": "Observation"}}
        for each in (PLATELETS, without(PLATELETS, "subject"))
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    response = await client.post("", json=bundle, headers=JSON)
    assert response.status_code == 422
    (issue,) = response.json()["issue"]
    assert issue["expression"] == ["Bundle.entry[1].resource.subject"]
    assert (await client.get("Observation")).json().get("entry", []) == []


async def test_an_unknown_profile_is_a_warning_where_claimed_and_an_error_where_asked_for(
    client: httpx.AsyncClient,
) -> None:
    resource = without(PLATELETS, "meta") | {"meta": {"profile": ["http://x.example/unknown"]}}
    stored = await client.post("Observation", json=resource, headers=JSON)
    assert stored.status_code == 201, stored.text
    assert [each["severity"] for each in await validate(client, resource)] == ["warning"]
    asked = await validate(client, PLATELETS, "?profile=http://x.example/other")
    assert [(each["severity"], each["code"]) for each in asked] == [("error", "not-found")]


async def test_a_profile_is_checked_where_asked_for(client: httpx.AsyncClient) -> None:
    bare = without(without(PLATELETS, "meta"), "subject")
    assert [each["severity"] for each in await validate(client, bare)] == ["information"]
    issues = await validate(client, bare, f"?profile={OURS}/ssci-platelets")
    assert [each["expression"] for each in issues] == [["Observation.subject"]]


async def test_a_new_version_of_a_profile_counts_at_once(client: httpx.AsyncClient) -> None:
    bare = without(PLATELETS, "subject")
    definition = (await client.get("StructureDefinition/ssci-platelets")).json()
    elements = definition["differential"]["element"]
    kept = [each for each in elements if each["path"] != "Observation.subject"]
    changed = definition | {"differential": {"element": kept}}
    path = "StructureDefinition/ssci-platelets"
    assert (await client.put(path, json=changed, headers=JSON)).status_code == 200
    assert (await client.post("Observation", json=bare, headers=JSON)).status_code == 201


async def test_a_new_version_of_a_value_set_counts_at_once(client: httpx.AsyncClient) -> None:
    plasma = PLATELETS | {"code": coded("http://loinc.org", "13056-7")}
    assert (await client.post("Observation", json=plasma, headers=JSON)).status_code == 422
    codes = (await client.get("ValueSet/platelets")).json()
    codes["compose"]["include"][0]["concept"].append({"code": "13056-7"})
    assert (await client.put("ValueSet/platelets", json=codes, headers=JSON)).status_code == 200
    assert (await client.post("Observation", json=plasma, headers=JSON)).status_code == 201


async def test_a_profile_holds_its_resources_to_its_base_too(client: httpx.AsyncClient) -> None:
    derived = {
        "resourceType": "StructureDefinition",
        "id": "derived",
        "url": "http://x.example/derived",
        "name": "Derived",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Observation",
        "baseDefinition": f"{OURS}/ssci-platelets",
        "derivation": "constraint",
        "differential": {
            "element": [{"id": "Observation.issued", "path": "Observation.issued", "min": 1}]
        },
    }
    put = await client.put("StructureDefinition/derived", json=derived, headers=JSON)
    assert put.status_code == 201, put.text
    bare = without(PLATELETS, "subject") | {"meta": {"profile": ["http://x.example/derived"]}}
    issues = await validate(client, bare)
    places = [each["expression"][0] for each in issues]
    assert places == ["Observation.issued", "Observation.subject"]


# ---- $validate itself


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"resourceType":"Observation","status":"a\\u0000"}', "value"),
        (b'{"resourceType":"Observation","status":"nonsense"}', "required"),
        (b'{"resourceType":"Patient"}', "structure"),
        (b'{"resourceType":"Nonsense"}', "structure"),
        (b"{}", "structure"),
    ],
)
async def test_a_bad_resource_is_answered_by_200_and_its_issues(
    client: httpx.AsyncClient, body: bytes, code: str
) -> None:
    response = await client.post("Observation/$validate", content=body, headers=JSON)
    assert response.status_code == 200, response.text
    issues = response.json()["issue"]
    assert {each["severity"] for each in issues} <= {"error", "fatal"}
    assert code in [each["code"] for each in issues]


@pytest.mark.parametrize(
    "body", [b'{"resourceType":"Observation"', b"[]", b"1", b"null", b'"x"', b""]
)
@pytest.mark.parametrize("path", ["Observation/$validate", "Resource/$validate"])
async def test_a_body_that_is_no_object_leaves_nothing_to_judge(
    client: httpx.AsyncClient, path: str, body: bytes
) -> None:
    response = await client.post(path, content=body, headers=JSON)
    assert response.status_code == 400, response.text
    assert response.json()["resourceType"] == "OperationOutcome"


async def test_a_resource_of_any_type_may_be_validated(client: httpx.AsyncClient) -> None:
    for resource in (PLATELETS, {"resourceType": "Patient"}):
        response = await client.post("Resource/$validate", json=resource, headers=JSON)
        assert response.json()["issue"][0]["severity"] == "information", response.text
    nonsense = await client.post("Resource/$validate", json={"resourceType": "X"}, headers=JSON)
    assert nonsense.json()["issue"][0]["severity"] == "error"
    for path in ("Resource/$meta", "Resource/a/$validate", "Resource/$nonsense"):
        assert (await client.get(path)).status_code == 404, path


async def test_modes_ask_whether_a_write_would_be_accepted(client: httpx.AsyncClient) -> None:
    stored = PLATELETS | {"id": "a"}
    await client.put("Observation/a", json=stored, headers=JSON)

    async def severity(path: str, body: Any, **headers: str) -> str:
        response = await client.post(path, json=body, headers=JSON | headers)
        assert response.status_code == 200, response.text
        return str(response.json()["issue"][0]["severity"])

    path = "Observation/a/$validate?mode=update"
    assert await severity(path, stored, **{"if-match": 'W/"1"'}) == "information"
    assert await severity(path, stored, **{"if-match": "*"}) == "information"
    assert await severity(path, stored, **{"if-match": 'W/"2"'}) == "error"
    unknown = "Observation/b/$validate?mode=update"
    assert await severity(unknown, stored | {"id": "b"}) == "information"
    assert await severity("Observation/$validate?mode=create", PLATELETS) == "information"
    await client.delete("Observation/a")
    gone = await client.get("Observation/a/$validate?mode=delete")
    assert gone.status_code == 410


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("mode=create", None),
        ("mode=update", None),
        ("mode=profile", None),
        ("mode=profile&profile=http://x.example/p", PLATELETS),
    ],
)
async def test_each_mode_needs_what_the_standard_says(
    client: httpx.AsyncClient, query: str, body: Any
) -> None:
    await client.put("Observation/a", json=PLATELETS | {"id": "a"}, headers=JSON)
    response = await client.post(f"Observation/a/$validate?{query}", json=body, headers=JSON)
    assert response.status_code == 400, response.text


async def test_validate_takes_the_resource_in_parameters(client: httpx.AsyncClient) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "mode", "valueCode": "create"},
            {"name": "resource", "resource": without(PLATELETS, "subject")},
        ],
    }
    response = await client.post("Observation/$validate", json=body, headers=JSON)
    assert response.json()["issue"][0]["expression"] == ["Observation.subject"]


async def test_validate_of_what_is_stored(client: httpx.AsyncClient) -> None:
    stored = PLATELETS | {"id": "a"}
    await client.put("Observation/a", json=stored, headers=JSON)
    for path in ("Observation/a/$validate", "Observation/a/$validate?mode=delete"):
        response = await client.get(path)
        assert response.status_code == 200, response.text
        assert response.json()["issue"][0]["severity"] == "information"
    other = await client.post(
        "Observation/a/$validate?mode=update", json=PLATELETS | {"id": "b"}, headers=JSON
    )
    assert other.json()["issue"][0]["expression"] == ["Observation.id"]
    assert (await client.get("Observation/unknown/$validate")).status_code == 404


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", None),
        ("?mode=nonsense", PLATELETS),
        ("?mode=delete", PLATELETS),
        ("?mode=profile", PLATELETS),
        ("?colour=red", PLATELETS),
        ("", {"resourceType": "Parameters", "parameter": [{"name": "resource", "valueCode": "x"}]}),
    ],
)
async def test_a_question_that_is_not_understood_is_a_400(
    client: httpx.AsyncClient, query: str, body: Any
) -> None:
    response = await client.post(f"Observation/$validate{query}", json=body, headers=JSON)
    assert response.status_code == 400, response.text


async def test_rules_of_definitions_that_are_not_compiled_are_evaluated(
    client: httpx.AsyncClient,
) -> None:
    definition = (await client.get("StructureDefinition/ssci-patient")).json()
    assert [each["severity"] for each in await validate(client, definition)] == ["information"]
    element = {"id": "Patient.name", "path": "Patient.name", "type": [{"code": "Human-Name!"}]}
    wrong = definition | {
        "url": "http://hl7.org/fhir/StructureDefinition/own",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}, element]},
    }
    issues = await validate(client, wrong)
    assert "sdf-19" in issues[0]["diagnostics"]
