"""The endpoints over FHIR: `Measure/$evaluate-measure` and `ResearchStudy/SSCI/$endpoints`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.endpoints import Endpoints, MeasureOperations, StatisticsProcess
from app.endpoints.catalogue import CATALOGUE
from app.fhir import Caller, FhirApp, FhirSettings, Store, parse_json
from app.trial import BASE, load_study
from tests.fhir_support import facts
from tests.integration.test_endpoints import store_cohort
from tests.trial_support import CALLER, ZONE, coded_validator, protocol, trial_store

CHANGE = "Measure/platelet-change-1.0.0"
RATE = "Measure/response-rate-1.0.0"
PERIOD = "periodStart=2018-01-01&periodEnd=2030-12-31"


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[StatisticsProcess]:
    statistics = StatisticsProcess()
    yield statistics
    await statistics.stop()


@pytest.fixture
async def store(database: Database) -> Store:
    stored = trial_store(database)
    await load_study(stored, CALLER, protocol())
    await store_cohort(stored)
    return stored


@pytest.fixture
async def client(
    database: Database, store: Store, process: StatisticsProcess
) -> AsyncIterator[httpx.AsyncClient]:
    endpoints = Endpoints(database, protocol(), ZONE, process)
    registry, layout = facts()

    async def anyone(_scope: Any) -> Caller:
        return CALLER

    settings = FhirSettings(None, "/fhir", ZONE, 1_000_000, "0")
    operations = MeasureOperations(endpoints).operations()
    app = FhirApp(store, registry, layout, settings, anyone, operations)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://fhir") as opened:
        yield opened


async def ask(client: httpx.AsyncClient, path: str) -> Any:
    response = await client.get(f"/fhir/{path}")
    assert response.status_code == 200, response.text
    parsed = parse_json(response.content)
    reports = [parsed, *(each["resource"] for each in parsed.get("parameter", ()))]
    for report in reports:
        if report["resourceType"] == "MeasureReport":
            coded_validator().validate(report, "MeasureReport")
    return response.json()


def group_of(report: Any, code: str) -> Any:
    return next(each for each in report["group"] if each["code"]["coding"][0]["code"] == code)


def counts_of(group: Any) -> dict[str, int]:
    return {each["code"]["coding"][0]["code"]: each["count"] for each in group["population"]}


async def test_a_summary_has_populations_score_strata_and_what_was_evaluated(client, store):
    report = await ask(client, f"{CHANGE}/$evaluate-measure?{PERIOD}")
    assert (report["type"], report["measure"]) == (
        "summary",
        f"{BASE}/Measure/platelet-change|1.0.0",
    )
    assert report["period"] == {"start": "2018-01-01", "end": "2030-12-31"}
    month1 = group_of(report, "M1")
    assert counts_of(month1) == {"initial-population": 2, "measure-population": 2}
    assert month1["measureScore"]["value"] == 2.5
    (baseline,) = (each for each in month1["stratifier"] if each["code"][0]["text"] == "baseline")
    assert [each["value"]["text"] for each in baseline["stratum"]] == ["< 50"]
    references = [each["reference"] for each in report["evaluatedResource"]]
    assert "Observation/month1/_history/1" in references
    for reference in references:
        kind, id_, _, version = reference.split("/")
        assert await store.read_version(CALLER, kind, id_, int(version)) is not None


async def test_a_proportion_counts_its_numerator(client):
    """Registry: 20 → 60 is more than twice the baseline and below 100; 40 → 35 is not."""
    month2 = group_of(await ask(client, f"{RATE}/$evaluate-measure?{PERIOD}"), "M2")
    assert counts_of(month2) == {"initial-population": 2, "denominator": 2, "numerator": 1}
    assert month2["measureScore"]["value"] == 0.5


async def test_an_individual_report_is_of_one_participant(client):
    report = await ask(client, f"{RATE}/$evaluate-measure?{PERIOD}&subject=Patient/SSCI-001")
    assert (report["type"], report["subject"]) == ("individual", {"reference": "Patient/SSCI-001"})
    assert counts_of(group_of(report, "M2"))["numerator"] == 1
    assert not [each for each in report["evaluatedResource"] if "base2" in each["reference"]]


async def test_a_subject_list_names_the_participants_of_each_population(client):
    report = await ask(client, f"{RATE}/$evaluate-measure?{PERIOD}&reportType=subject-list")
    lists = {f"#{each['id']}": each for each in report["contained"]}
    month2 = group_of(report, "M2")
    named = {
        each["code"]["coding"][0]["code"]: [
            entry["item"]["reference"]
            for entry in lists[each["subjectResults"]["reference"]].get("entry", ())
        ]
        for each in month2["population"]
    }
    assert named["numerator"] == ["Patient/SSCI-001"]
    assert named["denominator"] == ["Patient/SSCI-001", "Patient/SSCI-002"]


async def test_the_measure_may_be_named_by_its_canonical_url_and_asked_by_post(client):
    by_id = await ask(client, f"{CHANGE}/$evaluate-measure?{PERIOD}")
    values = {"periodStart": "2018-01-01", "periodEnd": "2030-12-31"}
    body = {
        "resourceType": "Parameters",
        "parameter": [
            *({"name": name, "valueDate": value} for name, value in values.items()),
            {"name": "measure", "valueString": f"{BASE}/Measure/platelet-change|1.0.0"},
            {"name": "asOf", "valueInstant": by_id["date"]},
        ],
    }
    response = await client.post("/fhir/Measure/$evaluate-measure", json=body)
    told = await ask(client, f"{CHANGE}/$evaluate-measure?{PERIOD}&asOf={by_id['date']}")
    assert response.status_code == 200, response.text
    assert response.json() == told


async def test_the_period_cuts_at_both_ends(client):
    early = "periodStart=2018-01-01&periodEnd=2019-02-01"
    report = await ask(client, f"{CHANGE}/$evaluate-measure?{early}")
    assert counts_of(group_of(report, "M2"))["measure-population"] == 0
    assert "measureScore" not in group_of(report, "M2")
    late = "periodStart=2019-01-02&periodEnd=2030-12-31"
    report = await ask(client, f"{CHANGE}/$evaluate-measure?{late}")
    assert counts_of(group_of(report, "M1"))["initial-population"] == 0


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        (f"{CHANGE}/$evaluate-measure", 400, "periodStart"),
        (f"{CHANGE}/$evaluate-measure?periodStart=2018&periodEnd=2019-01-01", 400, "periodStart"),
        (f"{CHANGE}/$evaluate-measure?periodStart=2019-02-30&periodEnd=2020-01-01", 400, "exists"),
        (f"{CHANGE}/$evaluate-measure?periodStart=2020-01-01&periodEnd=2019-01-01", 400, "before"),
        (f"{CHANGE}/$evaluate-measure?{PERIOD}&reportType=poem", 400, "reportType"),
        (f"{CHANGE}/$evaluate-measure?{PERIOD}&reportType=subject", 400, "subject"),
        (f"{CHANGE}/$evaluate-measure?{PERIOD}&subject=Group/1", 400, "subject"),
        (f"{CHANGE}/$evaluate-measure?{PERIOD}&practitioner=1", 400, "practitioner"),
        (f"Measure/$evaluate-measure?{PERIOD}", 400, "measure"),
        (f"Measure/unknown/$evaluate-measure?{PERIOD}", 404, "Measure"),
        (f"{CHANGE}/$evaluate-measure?{PERIOD}&asOf=2999-01-01T00:00:00Z", 400, "asOf"),
        ("ResearchStudy/OTHER/$endpoints", 404, "SSCI"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(client, path, status, told):
    response = await client.get(f"/fhir/{path}")
    assert response.status_code == status
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert told in response.text


async def test_the_study_tells_every_endpoint_under_one_cut(client):
    told = await ask(client, "ResearchStudy/SSCI/$endpoints?cutoff=2030-12-31")
    assert [each["name"] for each in told["parameter"]] == list(CATALOGUE)
    dates = {each["resource"]["date"] for each in told["parameter"]}
    assert len(dates) == 1


async def test_every_measure_of_the_study_says_what_its_report_holds(client):
    told = await ask(client, "ResearchStudy/SSCI/$endpoints")
    for each in told["parameter"]:
        report = each["resource"]
        url, version = report["measure"].split("|")
        found = await ask(client, f"Measure?url={url}&version={version}")
        (measure,) = (entry["resource"] for entry in found["entry"])
        ours, theirs = (
            [
                (
                    group["code"]["coding"][0]["code"],
                    [each["code"]["coding"][0]["code"] for each in group["population"]],
                )
                for group in held["group"]
            ]
            for held in (report, measure)
        )
        assert ours == theirs, url


async def test_the_capability_statement_lists_both_operations(client):
    told = await ask(client, "metadata")
    listed = {
        (resource["type"], each["name"])
        for resource in told["rest"][0]["resource"]
        for each in resource.get("operation", ())
    }
    assert {("Measure", "evaluate-measure"), ("ResearchStudy", "endpoints")} <= listed
