"""The operations as a client sees them. https://hl7.org/fhir/R4/operations.html"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir import Caller, FhirApp, FhirSettings, Reading, Restriction, parse_search
from tests.fhir_support import BASE, ZONE, facts, fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
RED, BLUE = {"system": "http://x.example", "code": "red"}, {"code": "blue"}


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


def observation(id: str, value: str, date: str, **changes: Any) -> dict[str, Any]:
    number, _, unit = value.partition(" ")
    quantity = {"value": float(number), "unit": unit, "system": UCUM, "code": unit}
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "777-3"}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": date,
        "valueQuantity": quantity,
    } | changes


async def store(client: httpx.AsyncClient, *resources: dict[str, Any]) -> None:
    for each in resources:
        path = f"{each['resourceType']}/{each['id']}"
        response = await client.put(path, json=each, headers=JSON)
        assert response.status_code in (200, 201), response.text


def entries(response: httpx.Response, mode: str = "match") -> list[str]:
    assert response.status_code == 200, response.text
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in response.json().get("entry", [])
        if entry["search"]["mode"] == mode
    ]


def issue(response: httpx.Response) -> dict[str, Any]:
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome", outcome
    return dict(outcome["issue"][0])


def meta_of(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    held = response.json().get("parameter", [])
    return dict(held[0]["valueMeta"]) if held else {}


# ---- $everything

PATIENT = {"resourceType": "Patient", "id": "p"}
OTHER = {"resourceType": "Patient", "id": "q"}
DOCTOR = {"resourceType": "Practitioner", "id": "d"}


@pytest.fixture
async def record(client: httpx.AsyncClient) -> httpx.AsyncClient:
    undated = observation("undated", "2 g/L", "2019-02-01")
    del undated["effectiveDateTime"]
    group = {
        "resourceType": "Group",
        "id": "g",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": f"Patient/{id}"}} for id in "pq"],
    }
    doctor = [{"reference": "Practitioner/d"}]
    await store(
        client,
        PATIENT,
        OTHER,
        DOCTOR,
        group,
        {"resourceType": "Practitioner", "id": "stranger"},
        observation("a", "1 g/L", "2019-01-01", performer=doctor),
        observation("b", "2 g/L", "2019-02-01", hasMember=[{"reference": "Observation/other"}]),
        undated,
        observation("other", "3 g/L", "2019-02-01", subject={"reference": "Patient/q"}),
    )
    return client


ALL = ["Patient/p", "Group/g", "Observation/a", "Observation/b", "Observation/undated"]


async def test_everything_is_the_compartment_and_what_it_refers_to(
    record: httpx.AsyncClient,
) -> None:
    response = await record.get("Patient/p/$everything")
    assert entries(response) == ALL
    assert entries(response, "include") == ["Practitioner/d"]
    assert response.json()["total"] == 5


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("start=2019-01-15", ["Patient/p", "Group/g", "Observation/b", "Observation/undated"]),
        ("end=2019-01-15", ["Patient/p", "Group/g", "Observation/a", "Observation/undated"]),
        (
            "start=2019-01-01&end=2019-01-01&_type=Observation",
            ["Observation/a", "Observation/undated"],
        ),
        ("_type=Observation,Patient", [ALL[0], *ALL[2:]]),
        ("_type=Observation&_type=Patient", [ALL[0], *ALL[2:]]),
        ("_since=2000-01-01", ALL),
        ("_since=2999-01-01", []),
        ("_type=Device", []),
    ],
)
async def test_everything_can_be_limited(
    record: httpx.AsyncClient, query: str, found: list[str]
) -> None:
    assert entries(await record.get(f"Patient/p/$everything?{query}")) == found


async def test_pages_of_everything_show_the_first_pages_snapshot_once(
    record: httpx.AsyncClient,
) -> None:
    response = await record.get("Patient/p/$everything?_count=2")
    seen = entries(response)
    assert "total" not in response.json()
    await store(record, observation("b", "9 g/L", "2019-02-01"), observation("c", "1 g/L", "2019"))
    assert (await record.delete("Observation/undated")).status_code == 204
    while True:
        links = {link["relation"]: link["url"] for link in response.json()["link"]}
        if "next" not in links:
            break
        response = await record.get(links["next"])
        seen += entries(response)
    assert seen == ALL


OF_ALL = [
    "Patient/p",
    "Patient/q",
    "Group/g",
    *ALL[2:4],
    "Observation/other",
    "Observation/undated",
]


async def test_everything_of_all_patients_shows_each_resource_once(
    record: httpx.AsyncClient,
) -> None:
    await store(
        record, observation("unheld", "1 g/L", "2019", subject={"reference": "Patient/absent"})
    )
    response = await record.get("Patient/$everything")
    assert entries(response) == OF_ALL
    assert entries(response, "include") == ["Practitioner/d"]
    limited = await record.get("Patient/$everything?_type=Observation&end=2019-01-15")
    assert entries(limited) == ["Observation/a", "Observation/undated"]


async def test_pages_of_everything_of_all_patients_hold_still(record: httpx.AsyncClient) -> None:
    response = await record.get("Patient/$everything?_count=2")
    seen = entries(response)
    assert (await record.delete("Patient/q")).status_code == 204
    assert (await record.delete("Observation/b")).status_code == 204
    await store(record, observation("c", "1 g/L", "2019"))
    while (links := {each["relation"]: each["url"] for each in response.json()["link"]}).get(
        "next"
    ):
        assert links["next"].startswith(f"{BASE}/Patient/$everything?")
        response = await record.get(links["next"])
        assert len(entries(response)) <= 2
        seen += entries(response)
    assert seen == OF_ALL


async def test_everything_of_nobody_is_404_and_of_a_deleted_patient_410(
    record: httpx.AsyncClient,
) -> None:
    assert (await record.get("Patient/nobody/$everything")).status_code == 404
    assert (await record.delete("Patient/q")).status_code == 204
    assert (await record.get("Patient/q/$everything")).status_code == 410


async def test_everything_takes_its_parameters_from_a_body_too(record: httpx.AsyncClient) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueCode": "Observation"},
            {"name": "_count", "valueInteger": 1},
        ],
    }
    response = await record.post("Patient/p/$everything", json=body, headers=JSON)
    assert entries(response) == ["Observation/a"]


# ---- $lastn


async def test_lastn_is_the_latest_of_each_code_newest_first(client: httpx.AsyncClient) -> None:
    def coded(*codes: str) -> dict[str, Any]:
        return {"coding": [{"system": LOINC, "code": code} for code in codes]}

    await store(
        client,
        observation("old", "1 g/L", "2019-01-01"),
        observation("new", "2 g/L", "2019-03-01", code=coded("777-3", "local")),
        observation("newest", "2 g/L", "2019-03-02", code=coded("local")),
        observation("other", "3 g/L", "2018-01-01", code=coded("718-7")),
        observation("text", "3 g/L", "2018-01-01", code={"text": "something"}),
        observation("wrong", "3 g/L", "2020-01-01", status="entered-in-error"),
        observation("stranger", "3 g/L", "2020-01-01", subject={"reference": "Patient/q"}),
    )
    one = await client.get("Observation/$lastn?patient=p")
    assert sorted(entries(one)) == ["Observation/newest", "Observation/other", "Observation/text"]
    two = await client.get(f"Observation/$lastn?subject=Patient/p&max=2&code={LOINC}|777-3")
    assert entries(two) == ["Observation/new", "Observation/old"]
    joined = await client.get("Observation/$lastn?patient=p&max=2&code=777-3,local")
    assert entries(joined) == ["Observation/newest", "Observation/new"]
    everyone = await client.get("Observation/$lastn?code=777-3")
    assert entries(everyone) == ["Observation/new", "Observation/stranger"]


async def test_lastn_takes_codes_that_say_neither_code_nor_text_as_one_kind(
    client: httpx.AsyncClient,
) -> None:
    nameless = {"coding": [{"system": LOINC}]}
    await store(
        client,
        observation("old", "1 g/L", "2019-01-01", code=nameless),
        observation("new", "2 g/L", "2019-03-01", code={"coding": [{"display": "something"}]}),
        observation("coded", "2 g/L", "2019-03-01"),
    )
    latest = await client.get("Observation/$lastn?patient=p")
    assert sorted(entries(latest)) == ["Observation/coded", "Observation/new"]


# ---- $stats


def components(response: httpx.Response, number: int = 0) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    found = [p for p in response.json()["parameter"] if p["name"] == "statistics"]
    return {
        component["code"]["coding"][-1]["code"]: component.get("valueQuantity", {}).get("value")
        for component in found[number]["resource"]["component"]
    }


ASKED = "subject=Patient/p&code=777-3&system=http://loinc.org"
EACH = ["average", "maximum", "minimum", "count", "total-count", "median", "std-dev", "sum"]


async def test_stats_computes_on_one_scale(client: httpx.AsyncClient) -> None:
    await store(
        client,
        observation("a", "1 g/L", "2019-01-03"),
        observation("b", "2000 mg/L", "2019-01-02"),
        observation("c", "6 g/L", "2019-01-01"),
        observation("none", "9 g/L", "2018-01-01") | {"valueQuantity": {"unit": "g/L"}},
        observation("wrong", "99 g/L", "2018-01-01", status="entered-in-error"),
    )
    asked = "&".join(f"statistic={each}" for each in EACH)
    response = await client.get(f"Observation/$stats?{ASKED}&{asked}")
    assert components(response) == {
        "average": 3,
        "maximum": 6,
        "minimum": 1,
        "count": 3,
        "total-count": 4,
        "median": 2,
        "std-dev": 2.64575131106459,
        "sum": 9,
    }
    statistics = response.json()["parameter"][0]["resource"]
    assert statistics["component"][0]["valueQuantity"]["code"] == "g/L"
    answer = await client.post("Observation/$validate", json=statistics, headers=JSON)
    assert issue(answer)["severity"] == "information", answer.text


async def test_stats_of_a_time_and_with_its_sources(client: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    await store(
        client,
        observation("a", "1 g/L", (now - timedelta(hours=1)).isoformat(timespec="seconds")),
        observation("b", "3 g/L", (now - timedelta(days=9)).isoformat(timespec="seconds")),
    )
    recent = await client.get(f"Observation/$stats?{ASKED}&statistic=average&duration=2")
    assert components(recent) == {"average": 1}
    every = await client.get(f"Observation/$stats?{ASKED}&statistic=average&include=true&limit=1")
    assert components(every) == {"average": 2}
    sources = [p["resource"]["id"] for p in every.json()["parameter"] if p["name"] == "source"]
    assert sources == ["a"]
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subject", "valueUri": "Patient/p"},
            {"name": "coding", "valueCoding": {"system": LOINC, "code": "777-3"}},
            {"name": "statistic", "valueCode": "minimum"},
            {"name": "statistic", "valueCode": "std-dev"},
            {
                "name": "period",
                "valuePeriod": {"end": (now + timedelta(days=1)).date().isoformat()},
            },
        ],
    }
    response = await client.post("Observation/$stats", json=body, headers=JSON)
    assert components(response)["minimum"] == 1


async def test_stats_of_components_are_told_apart(client: httpx.AsyncClient) -> None:
    def pressure(id: str, systolic: int) -> dict[str, Any]:
        held = {
            "code": {"coding": [{"system": LOINC, "code": "8480-6"}]},
            "valueQuantity": {"value": systolic, "unit": "mmHg"},
        }
        changed = observation(id, "1 x", "2019-01-01", component=[held])
        del changed["valueQuantity"]
        return changed

    await store(client, pressure("a", 120), pressure("b", 140))
    response = await client.get(f"Observation/$stats?{ASKED}&statistic=average")
    (component,) = response.json()["parameter"][0]["resource"]["component"]
    assert [each["code"] for each in component["code"]["coding"]] == ["8480-6", "average"]
    assert component["valueQuantity"] == {"value": 130, "unit": "mmHg"}


async def test_stats_of_nothing_says_so(client: httpx.AsyncClient) -> None:
    response = await client.get(f"Observation/$stats?{ASKED}&statistic=average,count")
    assert components(response) == {"average": None, "count": 0}


async def test_stats_refuses_to_mix_what_cannot_be_converted(client: httpx.AsyncClient) -> None:
    await store(
        client,
        observation("a", "1 g/L", "2019-01-03"),
        observation("b", "2 mmol/L", "2019-01-02"),
    )
    response = await client.get(f"Observation/$stats?{ASKED}&statistic=average")
    assert response.status_code == 422
    assert "mmol/L" in issue(response)["diagnostics"]


# ---- $meta


async def test_labels_are_added_and_removed_in_new_versions(client: httpx.AsyncClient) -> None:
    await store(client, PATIENT | {"meta": {"tag": [RED]}})

    async def call(name: str, **meta: Any) -> httpx.Response:
        held = {"name": "meta", "valueMeta": meta}
        body = {"resourceType": "Parameters", "parameter": [held]}
        return await client.post(f"Patient/p/${name}", json=body, headers=JSON)

    added = meta_of(await call("meta-add", tag=[RED, BLUE], profile=["http://x.example/p"]))
    assert (added["tag"], added["profile"]) == ([RED, BLUE], ["http://x.example/p"])
    assert added["versionId"] == "2"
    same = meta_of(await call("meta-add", tag=[BLUE]))
    assert same["versionId"] == "2"
    left = meta_of(await call("meta-delete", tag=[RED], profile=["http://x.example/p"]))
    assert (left["tag"], left["versionId"], "profile" in left) == ([BLUE], "3", False)
    assert meta_of(await client.get("Patient/p/$meta")) == left
    assert meta_of(await client.get("Patient/p/_history/1/$meta"))["tag"] == [RED]
    assert (await client.get("Patient/p/_history/9/$meta")).status_code == 404
    assert (await call("meta-add", tag=[{"code": ""}])).status_code == 422
    assert (await call("meta-add", tag=["x"])).status_code == 400
    nobody = await client.post("Patient/nobody/$meta-add", json={}, headers=JSON)
    assert nobody.status_code in (400, 404)


async def test_meta_of_a_type_and_of_the_system_tells_labels_in_use(
    client: httpx.AsyncClient,
) -> None:
    assert meta_of(await client.get("$meta")) == {}
    label = {"security": [RED], "tag": [BLUE], "profile": ["http://x.example/p"]}
    await store(client, PATIENT | {"meta": label}, DOCTOR | {"meta": {"tag": [BLUE, RED]}})
    assert meta_of(await client.get("Patient/$meta")) == label
    assert meta_of(await client.get("$meta"))["tag"] == [RED, BLUE]
    assert meta_of(await client.get("Device/$meta")) == {}


async def test_versions(client: httpx.AsyncClient) -> None:
    parameters = (await client.get("$versions")).json()["parameter"]
    assert parameters[0] == {"name": "version", "valueCode": "4.0"}


# ---- calling


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "$nonsense", None, 404),
        ("GET", "Device/$everything", None, 404),
        ("GET", "Patient/$lastn", None, 404),
        ("GET", "Nonsense/$validate", None, 404),
        ("GET", "Patient/p/$meta-add", None, 405),
        ("DELETE", "Patient/p/$everything", None, 405),
        ("POST", "Patient/p/$meta-add", {"resourceType": "Parameters"}, 400),
        ("POST", "Patient/p/$meta-add", {"resourceType": "Parameters", "parameter": {}}, 400),
        ("POST", "Patient/p/$meta-add", {"resourceType": "Parameters", "parameter": [1]}, 400),
        (
            "POST",
            "Patient/p/$meta-add",
            {"resourceType": "Parameters", "parameter": [{"name": "meta"}]},
            400,
        ),
        ("GET", "Patient/p/$everything?_count=0", None, 400),
        ("GET", "Patient/p/$everything?_count=x", None, 400),
        ("GET", "Patient/p/$everything?_count=1&_count=2", None, 400),
        ("GET", "Patient/p/$everything?_type=Nonsense", None, 400),
        ("GET", "Patient/p/$everything?start=yesterday", None, 400),
        ("GET", "Patient/p/$everything?start=0000", None, 400),
        ("GET", "Patient/p/$everything?_cursor=abc", None, 400),
        ("GET", "Patient/p/$everything?_cursor=WyIxOjE6IiwieCIsInkiXQ", None, 400),
        ("GET", "Patient/p/$everything?colour=red", None, 400),
        ("GET", "Observation/$lastn?max=0", None, 400),
        ("GET", "Observation/$lastn?colour=red", None, 400),
        ("GET", "Observation/$lastn?_sort=date", None, 400),
        ("GET", "Observation/$lastn?date=x", None, 400),
        ("GET", "Observation/$stats?code=1&statistic=count", None, 400),
        ("GET", "Observation/$stats?subject=Patient/p&statistic=count", None, 400),
        ("GET", "Observation/$stats?subject=Patient/p&code=1", None, 400),
        ("GET", "Observation/$stats?subject=Patient/p&code=1&statistic=skew", None, 400),
        ("GET", f"Observation/$stats?{ASKED}&statistic=count&duration=-1", None, 400),
        ("GET", f"Observation/$stats?{ASKED}&statistic=count&duration=1e99", None, 400),
        ("GET", f"Observation/$stats?{ASKED}&statistic=count&period=2019", None, 400),
        ("GET", f"Observation/$stats?{ASKED}&statistic=count&limit=0", None, 400),
        ("GET", f"Observation/$stats?{ASKED}&statistic=count&include=perhaps", None, 400),
        ("GET", "$meta?colour=red", None, 400),
    ],
)
async def test_a_bad_call_is_a_4xx_that_says_why(
    client: httpx.AsyncClient, method: str, path: str, body: Any, status: int
) -> None:
    await store(client, PATIENT)
    response = await client.request(method, path, json=body, headers=JSON)
    assert response.status_code == status, response.text
    assert issue(response)["diagnostics"]


async def test_lenient_handling_ignores_unknown_parameters(client: httpx.AsyncClient) -> None:
    await store(client, PATIENT)
    lenient = {"prefer": "handling=lenient"}
    response = await client.get("Patient/p/$everything?colour=red", headers=lenient)
    assert entries(response) == ["Patient/p"]
    assert response.json()["link"][0]["url"] == f"{BASE}/Patient/p/$everything"


async def test_the_capability_statement_lists_the_operations(client: httpx.AsyncClient) -> None:
    (rest,) = (await client.get("metadata")).json()["rest"]
    assert {each["name"] for each in rest["operation"]} >= {"meta", "versions"}
    by_type = {
        each["type"]: {each["name"]: each["definition"] for each in each["operation"]}
        for each in rest["resource"]
    }
    everywhere = {"meta", "meta-add", "meta-delete", "validate"}
    assert by_type["Device"].keys() == everywhere
    assert by_type["Patient"].keys() == everywhere | {"everything"}
    assert by_type["Observation"].keys() == everywhere | {"lastn", "stats"}
    assert by_type["Patient"]["everything"].endswith("/OperationDefinition/Patient-everything")


@pytest.mark.parametrize("name", ["$meta-add", "$meta-delete"])
@pytest.mark.parametrize(
    "body",
    [
        None,
        {"resourceType": "Patient"},
        {"tag": [RED]},
        {"resourceType": "Parameters"},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueCoding": RED}]},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueString": "red"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "tag", "valueCoding": RED}]},
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": {}, "code": []}]}}],
        },
    ],
)
async def test_labels_come_as_a_meta_in_parameters(
    client: httpx.AsyncClient, name: str, body: Any
) -> None:
    await store(client, PATIENT)
    answer = await client.post(f"Patient/p/{name}", json=body, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert issue(answer)["severity"] == "error"
    assert (await client.get("Patient/p")).headers["etag"] == 'W/"1"'


async def test_operations_are_asked_in_xml_too(client: httpx.AsyncClient) -> None:
    await store(client, PATIENT)
    body = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="meta"/>'
        '<valueMeta><tag><code value="blue"/></tag></valueMeta></parameter></Parameters>'
    )
    xml = {"content-type": "application/fhir+xml"}
    response = await client.post("Patient/p/$meta-add", content=body, headers=xml)
    assert meta_of(response)["tag"] == [BLUE]
    broken = await client.post("Patient/$validate", content="<Patient", headers=xml)
    assert (broken.status_code, issue(broken)["code"]) == (400, "structure")
    other = await client.post("Patient/$validate", content="x", headers={"content-type": "a/b"})
    assert other.status_code == 415


# ---- what a restricted caller sees


@pytest.fixture
async def restricted(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may see Patient p and the Observations of p, and nothing else."""
    registry, layout = facts()
    reading = Reading(layout, ZONE, BASE)
    allowed = Restriction(
        {
            "Patient": (parse_search(reading, "Patient", [("_id", "p")]),),
            "Observation": (parse_search(reading, "Observation", [("subject", "Patient/p")]),),
        }
    )

    async def authenticate(_scope: object) -> Caller:
        return Caller("restricted", allowed)

    settings = FhirSettings(None, "/fhir", ZONE, 1_000_000, "0")
    app = FhirApp(store_on(database), registry, layout, settings, authenticate)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as opened:
        yield opened


async def test_operations_show_only_what_the_caller_may_see(
    record: httpx.AsyncClient, restricted: httpx.AsyncClient
) -> None:
    await store(record, DOCTOR | {"meta": {"tag": [RED]}}, OTHER | {"meta": {"tag": [RED]}})
    everything = await restricted.get("Patient/p/$everything")
    assert entries(everything) == ["Patient/p", *ALL[2:]]
    assert entries(everything, "include") == []
    assert (await restricted.get("Patient/q/$everything")).status_code == 404
    assert entries(await restricted.get("Observation/$lastn?subject=Patient/q")) == []
    theirs = "subject=Patient/q&code=777-3&statistic=count"
    assert components(await restricted.get(f"Observation/$stats?{theirs}")) == {"count": 0}
    assert meta_of(await restricted.get("$meta")) == {}
    assert (await restricted.get("Patient/q/$meta")).status_code == 404
    assert (await restricted.get("Patient/q/$validate")).status_code == 404
    label = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": {"tag": []}}],
    }
    changed = await restricted.post("Patient/q/$meta-add", json=label, headers=JSON)
    assert changed.status_code == 404
