"""The platelet change over HTTP and a real trial database: two clocks, inputs, bad input.

Counts are stored through the FHIR store, so that a correction is a new version of a resource. The
first dose is on 2019-01-01; 2019-01-31 is the target of month 1, 2019-03-03 of month 2.
"""

from __future__ import annotations

import csv
import io
import itertools
import pickle
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app.database import Database
from app.endpoints import Endpoints, StatisticsProcess
from app.endpoints.answers import format_instant
from app.endpoints.catalogue import CATALOGUE, PLATELETS
from app.endpoints.reading.clocks import build_cut
from app.endpoints.reading.columns import Packed, parse_copy
from app.endpoints.reading.records import Dose, Measurement
from app.endpoints.reading.statements import Reading
from app.endpoints.reading.tables import build_tables
from app.endpoints.routes import build_router
from app.endpoints.schemas import Definitions, PlateletChange, PlateletChangeSubjects
from app.errors import SsciError
from app.fhir import Create, Delete, Json, Store, Update
from app.trial import rebuild
from app.trial.codes import REVIEW
from tests.conftest import Dsns
from tests.endpoint_support import pack_counts, pack_doses, visit_of
from tests.trial_support import CALLER, ZONE, protocol, trial_store

CHANGE = "/endpoints/platelet-change"
REVIEWED = {"system": REVIEW, "code": "analytic-suspect"}
SCALE = {"system": REVIEW, "code": "unit-suspect-scale"}


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[StatisticsProcess]:
    """One for all tests here: starting it takes a second."""
    statistics = StatisticsProcess()
    yield statistics
    await statistics.stop()


@pytest.fixture
async def client(
    database: Database, process: StatisticsProcess
) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(build_router(Endpoints(database, protocol(), ZONE, process)))

    @app.exception_handler(SsciError)
    async def tell(request: Request, problem: SsciError) -> JSONResponse:
        issues = [{"place": each.expression, "reason": each.diagnostics} for each in problem.issues]
        return JSONResponse({"issues": issues}, problem.http_status, dict(problem.headers))

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://endpoints") as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> Store:
    return trial_store(database)


def count(
    value: float | Decimal, collected: str, subject: str = "SSCI-001", **changes: Any
) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
        "subject": {"reference": f"Patient/{subject}"},
        "effectiveDateTime": collected,
        "valueQuantity": {
            "value": value,
            "unit": "10*9/L",
            "system": "http://unitsofmeasure.org",
            "code": "10*9/L",
        },
    } | changes


def dose(taken: str, subject: str = "SSCI-001") -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "medicationReference": {"reference": "Medication/sirolimus"},
        "subject": {"reference": f"Patient/{subject}"},
        "effectiveDateTime": taken,
        "dosage": {
            "dose": {
                "value": 2,
                "unit": "mg",
                "system": "http://unitsofmeasure.org",
                "code": "mg",
            }
        },
    }


def participant(subject: str, study: str = "SSCI") -> Json:
    return {
        "resourceType": "ResearchSubject",
        "status": "on-study",
        "period": {"start": "2018-12-01"},
        "study": {"reference": f"ResearchStudy/{study}"},
        "individual": {"reference": f"Patient/{subject}"},
    }


async def store_cohort(store: Store) -> datetime:
    """Two participants: 20 → 30 → 60 and 40 → 35. Comes back with when they became known."""
    changes = await store.write(
        CALLER,
        [
            Create(participant("SSCI-001"), "SSCI-001"),
            Create(participant("SSCI-002"), "SSCI-002"),
            Create(dose("2019-01-01T08:00:00+08:00"), "d1"),
            Create(dose("2019-01-01T08:00:00+08:00", "SSCI-002"), "d2"),
            Create(count(20, "2018-12-30"), "base1"),
            Create(count(40, "2018-12-30", "SSCI-002"), "base2"),
            Create(count(30, "2019-01-31T09:00:00+08:00"), "month1"),
            Create(count(35, "2019-01-31T23:30:00+08:00", "SSCI-002"), "month1b"),
            Create(count(60, "2019-03-03"), "month2"),
        ],
    )
    return changes[0].last_updated


async def ask(client: httpx.AsyncClient, path: str = CHANGE, **parameters: str) -> Any:
    response = await client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    whole = response.json()
    return {**whole, **whole.get("figures", {})}


async def month_1_mean(client: httpx.AsyncClient, **parameters: str) -> float | None:
    mean: float | None = visit_of(await ask(client, **parameters), "M1")["change"]["mean"]
    return mean


async def refusal(client: httpx.AsyncClient, query: str, path: str = CHANGE) -> tuple[int, Any]:
    response = await client.get(f"{path}?{query}")
    return response.status_code, response.json()["issues"]


async def test_figures_per_visit_with_inputs_that_can_be_read(client, store):
    await store_cohort(store)
    told = await ask(client)
    month1, month2 = visit_of(told, "M1"), visit_of(told, "M2")
    assert (month1["n"], month1["change"]["mean"]) == (2, 2.5)
    assert (month2["n"], month2["change"]["mean"], month2["missing"]["n"]) == (1, 40.0, 1)
    assert len(told["inputs"]["listed"]) == 7
    for each in told["inputs"]["listed"]:
        resource_type, resource_id = each["resource"].split("/")
        stored = await store.read_version(CALLER, resource_type, resource_id, each["version"])
        assert stored is not None
        assert each["url"] == f"/fhir/{each['resource']}/_history/{each['version']}"


async def test_answers_have_the_documented_shape(client, store):
    await store_cohort(store)
    PlateletChange.model_validate((await client.get(CHANGE)).json())
    PlateletChangeSubjects.model_validate(await ask(client, f"{CHANGE}/subjects"))
    Definitions.model_validate(await ask(client, "/endpoints"))


async def test_an_empty_trial_has_a_defined_answer(client):
    told = await ask(client)
    assert told["population"] == {
        "name": "efficacy",
        "n": 0,
        "excluded": {"n": 0, "reasons": {}, "subjects": []},
        "subjects": [],
    }
    assert visit_of(told, "M6")["change"]["reasons"]["mean"] == "no values"


@pytest.mark.parametrize("population", ["enrolled", "safety", "efficacy"])
async def test_who_is_not_enrolled_in_this_study_is_in_no_population(client, store, population):
    await store_cohort(store)
    taken = "2019-01-01T08:00:00+08:00"
    await store.write(
        CALLER,
        [
            Create(dose(taken, "SSCI-900"), "stray"),
            Create(participant("SSCI-901", "OTHER"), "elsewhere"),
            Create(dose(taken, "SSCI-901"), "elsewhere"),
        ],
    )
    told = (await ask(client, population=population))["population"]
    assert told["subjects"] == ["SSCI-001", "SSCI-002"]
    assert told["excluded"]["reasons"] == {"not enrolled in the study": 2}


async def test_a_correction_counts_from_when_it_was_known(client, store):
    before = await store_cohort(store)
    [corrected] = await store.write(
        CALLER, [Update(count(50, "2019-01-31", status="corrected"), "month1")]
    )
    assert await month_1_mean(client, asOf=format_instant(before)) == 2.5
    assert await month_1_mean(client, asOf=format_instant(corrected.last_updated)) == 12.5
    assert await month_1_mean(client) == 12.5


async def test_an_instant_before_anything_was_known_has_no_participants(client, store):
    before = await store_cohort(store) - timedelta(microseconds=1)
    assert (await ask(client, asOf=format_instant(before)))["population"]["n"] == 0


async def test_a_withdrawn_result_counts_until_it_was_withdrawn(client, store):
    before = await store_cohort(store)
    await store.write(CALLER, [Delete("Observation", "month1")])
    await store.write(
        CALLER,
        [Update(count(35, "2019-01-31", "SSCI-002", status="entered-in-error"), "month1b")],
    )
    assert await month_1_mean(client, asOf=format_instant(before)) == 2.5
    told = await ask(client)
    assert visit_of(told, "M1")["n"] == 0
    assert told["counts"]["unusable"] == {"status is not final": 1}


async def test_a_late_result_is_before_the_cutoff_but_not_yet_known(client, store):
    before = await store_cohort(store)
    [late] = await store.write(CALLER, [Create(count(10, "2019-03-03", "SSCI-002"), "late")])
    sizes = [
        visit_of(await ask(client, cutoff="2019-03-31", asOf=format_instant(known)), "M2")["n"]
        for known in (before, late.last_updated)
    ]
    assert sizes == [1, 2]


@pytest.mark.parametrize(
    ("cutoff", "size"),
    [
        ("2019-01-30", 0),
        ("2019-01-31", 2),
        ("2019-01-31T09:00:00+08:00", 1),
        ("2019-01-31T08:59:59+08:00", 0),
        ("2019-01-31T01:00:00Z", 1),
        ("2019-01-31T09:00", 1),
        ("2019-01-31T23:30:00%2B08:00", 2),
    ],
)
async def test_the_cutoff_includes_what_began_until_then(client, store, cutoff, size):
    """Also with an unescaped plus, which arrives as a space."""
    await store_cohort(store)
    response = await client.get(f"{CHANGE}?cutoff={cutoff}")
    assert visit_of(response.json()["figures"], "M1")["n"] == size


async def test_a_cut_before_the_first_dose_has_no_participants(client, store):
    await store_cohort(store)
    assert (await ask(client, cutoff="2018-12-31"))["population"]["n"] == 0


async def test_a_cut_after_the_last_event_equals_no_cut(client, store):
    known = format_instant(await store_cohort(store))
    cut = await ask(client, cutoff="2019-03-03", asOf=known)
    uncut = await ask(client, asOf=known)
    assert (cut.pop("cutoff"), uncut.pop("cutoff")) == ("2019-03-03", known)
    assert cut == uncut


async def test_an_answer_is_the_same_byte_for_byte_whatever_happens_later(client, store):
    await store_cohort(store)
    first = await client.get(CHANGE)
    clocks = {name: first.json()[name] for name in ("cutoff", "asOf")}
    await store.write(CALLER, [Update(count(99, "2019-01-31"), "month1")])
    await store.write(CALLER, [Delete("Observation", "base2")])
    again = await client.get(CHANGE, params=clocks)
    assert again.content == first.content


async def test_the_default_as_of_never_passes_a_transaction_under_way(client, store, database):
    await store_cohort(store)
    async with database.writing() as slow:
        begun = await slow.fetchval("SELECT last_updated FROM fhir.begin_write()")
        told = await ask(client)
    assert datetime.fromisoformat(told["asOf"]) < begun


async def test_rebuilding_the_trial_tables_changes_no_byte(client, store, database_dsns: Dsns):
    await store_cohort(store)
    await store.write(CALLER, [Update(count(50, "2019-01-31", status="corrected"), "month1")])
    before = [await client.get(f"{CHANGE}{path}") for path in ("", "/subjects")]
    async with await Database.open(database_dsns.owner) as as_owner:
        await rebuild(as_owner, protocol(), ZONE)
    for answer, path in zip(before, ("", "/subjects"), strict=True):
        clocks = {name: answer.json()[name] for name in ("cutoff", "asOf")}
        assert (await client.get(f"{CHANGE}{path}", params=clocks)).content == answer.content


async def test_sending_the_same_again_changes_no_figure(client, store):
    await store_cohort(store)
    before = await ask(client)
    await store.write(CALLER, [Update(count(60, "2019-03-03"), "month2")])
    after = await ask(client)
    for clock in ("cutoff", "asOf"):
        before.pop(clock)
        after.pop(clock)
    assert after == before


async def test_an_as_of_after_the_safe_horizon_is_refused_with_the_latest(client, store):
    known = await store_cohort(store)
    status, [issue] = await refusal(client, "asOf=2999-01-01T00:00:00Z")
    assert (status, issue["place"]) == (400, "asOf")
    latest = datetime.fromisoformat(issue["reason"].split()[3].rstrip(","))
    assert latest >= known


@pytest.mark.parametrize("path", [CHANGE, f"{CHANGE}/subjects", "/endpoints"])
async def test_an_unknown_parameter_is_refused_by_name(client, path):
    status, [issue] = await refusal(client, "cutof=2019-01-01", path)
    assert (status, issue["place"]) == (400, "cutof")


async def test_a_parameter_given_twice_is_refused_by_name(client):
    status, [issue] = await refusal(client, "cutoff=2019-01-01&cutoff=2020-01-01")
    assert (status, issue["place"]) == (400, "cutoff")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cutoff", ""),
        ("cutoff", "yesterday"),
        ("cutoff", "2019-02-30"),
        ("cutoff", "2019-13-01"),
        ("cutoff", "2019-01"),
        ("cutoff", "20190101"),
        ("cutoff", "0000-01-01"),
        ("cutoff", "9999-12-31"),
        ("cutoff", "9999-12-31T23:59:59.999999Z"),
        ("cutoff", "0001-01-01T00:00:00%2B14:00"),
        ("cutoff", "2019-01-01T25:00:00Z"),
        ("cutoff", "2019-01-01T00:00:00%2B99:00"),
        ("cutoff", "２０１９-01-01"),
        ("cutoff", "2019-01-01%00"),
        ("asOf", ""),
        ("asOf", "2019-01-01"),
        ("asOf", "0001-01-01T00:00:00%2B14:00"),
        ("population", ""),
        ("subgroup", "shoe-size"),
        ("visit", "M3"),
        ("format", "pdf"),
        ("definition", "0.0.1"),
        ("population", "everyone"),
    ],
)
async def test_a_malformed_value_is_refused_by_its_parameters_name(client, name, value):
    status, [issue] = await refusal(client, f"{name}={value}")
    assert (status, issue["place"]) == (400, name)


async def test_the_list_tells_definitions_and_where_they_are_answered(client):
    told = await ask(client, "/endpoints")
    answered = {each["id"]: each["answers"] for each in told["endpoints"] if each["answers"]}
    assert answered["platelet-change"][:2] == [CHANGE, f"{CHANGE}/subjects"]
    assert answered.keys() == CATALOGUE.keys()


async def test_every_endpoint_of_the_catalogue_answers_an_empty_trial_and_a_small_one(
    client, store
):
    await assert_all_answer(client)
    await store_cohort(store)
    await assert_all_answer(client)


async def assert_all_answer(client: httpx.AsyncClient) -> None:
    for endpoint, form in itertools.product(CATALOGUE, ("json", "csv")):
        for path in ("", "/subjects"):
            told = await client.get(f"/endpoints/{endpoint}{path}?format={form}")
            assert told.status_code == 200, (endpoint, path, form, told.text)
            assert "NaN" not in told.text


async def test_an_unknown_endpoint_is_not_found(client):
    response = await client.get("/endpoints/happiness")
    assert response.status_code == 404
    assert "platelet-change" in response.json()["issues"][0]["reason"]


async def test_figures_as_csv_have_one_row_per_figure(client, store):
    await store_cohort(store)
    response = await client.get(f"{CHANGE}?format=csv&visit=M1")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.text)))
    means = {row["group"]: row["value"] for row in rows if row["statistic"] == "visits.change.mean"}
    assert means == {"M1": "2.5"}
    empty = [row["reason"] for row in rows if row["statistic"] == "strata.visits.change.sd"]
    assert empty == ["", "no values"]


async def test_listed_counts_as_csv_have_one_row_per_count(client, store):
    await store_cohort(store)
    response = await client.get(f"{CHANGE}/subjects?format=csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["CHG"] for row in rows if row["AVISIT"] == "Month 1"] == ["10.0", "-5.0"]


async def test_the_listing_goes_on_after_a_subject_number(client, store):
    await store_cohort(store)
    told = await ask(client, f"{CHANGE}/subjects", after="SSCI-001")
    assert [each["USUBJID"] for each in told["subjects"]] == ["SSCI-002"]


async def test_a_subgroup_has_figures_of_its_own(client, store):
    await store_cohort(store)
    told = await ask(client, subgroup="baseline")
    assert [(each["level"], each["n"]) for each in told["subgroups"]] == [("< 50", 2)]
    assert visit_of(told["subgroups"][0]["figures"], "M1")["change"]["mean"] == 2.5


def test_the_api_document_tells_parameters_and_shapes(database):
    app = FastAPI()
    app.include_router(build_router(Endpoints(database, protocol(), ZONE)))
    operation = app.openapi()["paths"]["/endpoints/{endpoint}"]["get"]
    told = [each["name"] for each in operation["parameters"]]
    assert told[:4] == ["endpoint", "cutoff", "asOf", "population"]
    assert operation["parameters"][0]["schema"]["enum"] == list(CATALOGUE)
    shape = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert shape == {"$ref": "#/components/schemas/EndpointAnswer"}


async def test_the_columns_say_what_the_records_say(database, store):
    """Flags, times and numbers that PostgreSQL packs, against the records of the same rows."""
    await store_cohort(store)
    absent = {**count(3, "2019-02-03"), "dataAbsentReason": {"text": "clotted"}}
    del absent["valueQuantity"]
    undated = count(6, "2019")
    del undated["effectiveDateTime"]
    changes = [
        count(Decimal("1.5"), "2019-02", status="preliminary"),
        count(2, "2019", valueQuantity={"value": 2, "unit": "giant", "comparator": "<"}),
        absent,
        count(-4, "2019-02-03T10:00:00.123+08:00"),
        count(Decimal("5E300"), "2019-02-04T23:59:59Z"),
        count(Decimal("0.000000001"), "2019-02-05"),
        count(0, "2019-02-06"),
        {**count(7, "2019-02-07"), "meta": {"tag": [REVIEWED, SCALE]}},
    ]
    await store.write(CALLER, [Create(each) for each in (*changes, undated)])
    cut = build_cut(None, None, datetime.now(UTC), ZONE)
    reading = Reading(cut, ZONE, protocol(), PLATELETS, frozenset())
    frames: list[bytes] = []

    async def write(frame: bytes) -> None:
        frames.append(frame)

    async with database.reading() as connection:
        await reading.send(connection, write)
    end = frames.index(b"")
    packed = parse_copy(b"".join(frames[1:end])), parse_copy(b"".join(frames[end + 1 : -1]))
    tables = build_tables(pickle.loads(frames[0]), *packed)
    counts = sorted_by_key(pack_counts(tables.rows.all(Measurement)))
    doses = sorted_by_key(pack_doses(tables.rows.all(Dose)))
    for ours, theirs in ((counts, tables.counts), (doses, tables.doses)):
        for name in ("key", "version", "begin", "day", "value", "flags"):
            np.testing.assert_array_equal(ours[name], sorted_by_key(theirs)[name], name)


def sorted_by_key(packed: Packed) -> Packed:
    return packed[np.argsort(packed["key"])]
