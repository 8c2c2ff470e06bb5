"""What a caller may not see can't be inferred: not by reading, nor by any way to search.
https://hl7.org/fhir/R4/security.html · docs/decisions/0024-chains-composites-and-words.md
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir import (
    Caller,
    Delete,
    FhirApp,
    FhirSettings,
    Json,
    Reading,
    Restriction,
    SearchRequest,
    Store,
    Update,
    parse_search,
)
from tests.fhir_support import BASE, CALLER, ZONE, facts, store_on

READING = Reading(facts()[1], ZONE, BASE)
LOINC = "http://loinc.org"


def allowed(resource_type: str, *parameters: tuple[str, str]) -> tuple[SearchRequest, ...]:
    return (parse_search(READING, resource_type, parameters),)


LIMITED = Caller(
    "limited",
    Restriction(
        {
            "Patient": allowed("Patient", ("_id", "seen")),
            "Observation": allowed("Observation", ("patient", "seen")),
            "DiagnosticReport": allowed("DiagnosticReport"),
            "Organization": allowed("Organization"),
            "List": allowed("List"),
            "Group": allowed("Group"),
        }
    ),
)


def patient(id: str, gender: str) -> Json:
    return {
        "resourceType": "Patient",
        "id": id,
        "gender": gender,
        "identifier": [{"system": "http://h/mrn", "value": id}],
        "managingOrganization": {"reference": "Organization/ward"},
    }


def observation(id: str, patient: str, value: int) -> Json:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "777-3"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2019-03-14",
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "10*9/L"},
    }


RESOURCES: list[Json] = [
    {"resourceType": "Organization", "id": "ward", "name": "Ward"},
    patient("seen", "female"),
    patient("hidden", "male"),
    patient("gone", "male"),
    observation("open", "seen", 50),
    observation("open-2", "seen", 60),
    observation("secret", "hidden", 500),
    {
        "resourceType": "DiagnosticReport",
        "id": "report",
        "status": "final",
        "code": {"text": "blood"},
        "result": [{"reference": "Observation/open"}, {"reference": "Observation/secret"}],
    },
    {
        "resourceType": "List",
        "id": "list",
        "status": "current",
        "mode": "working",
        "entry": [
            {"item": {"reference": "Observation/open"}},
            {"item": {"reference": "Observation/secret"}},
        ],
    },
    {
        "resourceType": "Group",
        "id": "group",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": f"Patient/{id}"}} for id in ("seen", "hidden")],
    },
]


@pytest.fixture
async def store(database: Database) -> Store:
    store = store_on(database)
    await store.write(CALLER, [Update(resource, resource["id"]) for resource in RESOURCES])
    await store.write(CALLER, [Delete("Patient", "gone")])
    return store


@pytest.fixture
def client(store: Store) -> httpx.AsyncClient:
    """A client of the FHIR API who is the limited caller."""

    async def authenticate(_scope: object) -> Caller:
        return LIMITED

    registry, layout = facts()
    settings = FhirSettings(None, "/fhir", ZONE, 1_000_000, "0")
    app = FhirApp(store, registry, layout, settings, authenticate)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)


def names(bundle: Json) -> list[str]:
    return [entry["fullUrl"].removeprefix(f"{BASE}/") for entry in bundle.get("entry", [])]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # by chain
        ("DiagnosticReport?result.value-quantity=gt100", []),
        ("DiagnosticReport?result.value-quantity=lt100", ["DiagnosticReport/report"]),
        ("DiagnosticReport?result.subject:Patient.gender=male", []),
        ("DiagnosticReport?result.subject:Patient._id=hidden", []),
        ("Group?member:Patient.gender=male", []),
        ("Group?member:Patient.gender=female&_elements=type", ["Group/group"]),
        # by reverse chain
        ("Organization?_has:Patient:organization:gender=male", []),
        ("Organization?_has:Patient:organization:_has:Observation:patient:value-quantity=500", []),
        ("Patient?_has:Group:member:_id=group", ["Patient/seen"]),
        # by list, compartment and filter
        ("Observation?_list=list", ["Observation/open"]),
        ("Patient/hidden/Observation?code=777-3", []),
        ("Patient/hidden/*?_type=Observation,Patient", []),
        ('Group?_filter=member.gender eq "male"', []),
        ("Observation?_filter=value-quantity gt 100", []),
        # by order, page and number
        ("Observation?_sort=-value-quantity", ["Observation/open-2", "Observation/open"]),
        ("Observation?_id=secret", []),
        ("Observation?_id:not=open,open-2", []),
        ("Observation?code:not=1-1&_sort=_id", ["Observation/open", "Observation/open-2"]),
        ("Patient?identifier=http://h/mrn|hidden", []),
        ("?_type=Observation,Patient&_id=secret,hidden", []),
        # by include
        (
            "DiagnosticReport?_include=DiagnosticReport:result",
            ["DiagnosticReport/report", "Observation/open"],
        ),
        (
            "DiagnosticReport?_include=*&_include:iterate=*",
            ["DiagnosticReport/report", "Observation/open", "Patient/seen", "Organization/ward"],
        ),
        ("Organization?_revinclude=Patient:organization", ["Organization/ward", "Patient/seen"]),
        (
            "Organization?_revinclude=Patient:organization&_revinclude:iterate=Observation:subject",
            ["Organization/ward", "Patient/seen", "Observation/open", "Observation/open-2"],
        ),
        # by operations and histories
        ("Observation/$lastn?code=777-3", ["Observation/open-2"]),
        (
            "Patient/$everything?_type=Patient,Observation",
            ["Patient/seen", "Observation/open", "Observation/open-2"],
        ),
    ],
)
async def test_no_search_shows_or_depends_on_what_is_hidden(
    client: httpx.AsyncClient, query: str, expected: list[str]
) -> None:
    answer = await client.get(query)
    assert answer.status_code == 200, answer.text
    assert names(answer.json()) == expected


@pytest.mark.parametrize("total", ["_total=accurate", "_total=estimate", "_summary=count"])
async def test_totals_count_only_what_may_be_seen(client: httpx.AsyncClient, total: str) -> None:
    assert (await client.get(f"Observation?{total}")).json()["total"] == 2


@pytest.mark.parametrize(
    "path",
    [
        "Observation/secret",
        "Observation/secret/_history",
        "Observation/secret/_history/1",
        "Observation/secret/$meta",
        "Patient/hidden",
        "Patient/hidden/$everything",
        "Patient/gone",
        "Patient/gone/_history",
        "Patient/gone/_history/2",
    ],
)
async def test_what_is_hidden_reads_like_what_never_was(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    unknown = await client.get(path.replace("secret", "none").replace("hidden", "none"))
    assert (answer.status_code, unknown.status_code) == (404, 404)


@pytest.mark.parametrize("path", ["Observation/_history", "_history", "Patient/_history"])
async def test_histories_tell_nothing_of_what_is_hidden(
    client: httpx.AsyncClient, path: str
) -> None:
    bundle = (await client.get(f"{path}?_total=accurate")).json()
    told = names(bundle)
    assert not {"Observation/secret", "Patient/hidden", "Patient/gone"} & set(told)
    assert bundle["total"] == len(told)


async def test_statistics_are_of_visible_measurements(client: httpx.AsyncClient) -> None:
    query = "subject=Patient/hidden&code=777-3&statistic=maximum"
    answer = (await client.get(f"Observation/$stats?{query}")).json()
    (component,) = answer["parameter"][0]["resource"]["component"]
    assert "valueQuantity" not in component


async def send(client: httpx.AsyncClient, method: str, path: str, **given: Any) -> httpx.Response:
    return await client.request(method, path, headers=given.pop("headers", {}), **given)


async def test_conditions_of_writes_find_nothing_hidden(client: httpx.AsyncClient) -> None:
    resource = patient("x", "female")
    del resource["id"]
    headers = {"If-None-Exist": "identifier=http://h/mrn|hidden"}
    created = await client.post("Patient", json=resource, headers=headers)
    assert created.status_code == 201
    deleted = await client.delete("Patient?identifier=http://h/mrn|hidden")
    assert deleted.status_code in (204, 404)


@pytest.mark.parametrize("path", ["Observation/secret", "Observation?_id=secret"])
async def test_a_patch_shows_nothing_hidden(client: httpx.AsyncClient, path: str) -> None:
    headers = {"Content-Type": "application/merge-patch+json", "Prefer": "return=representation"}
    answer = await client.patch(path, content=b'{"note":[{"text":"x"}]}', headers=headers)
    assert answer.status_code == 404
    assert "500" not in answer.text
