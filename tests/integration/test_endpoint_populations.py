"""The populations over HTTP and a real trial database: subjects enrolled through the trial's own
route, eligible or overridden, before and after the trial tables are rebuilt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.database import Database
from app.endpoints import Endpoints, StatisticsProcess
from app.endpoints.routes import build_router
from app.fhir import Create, Update, parse_json
from app.trial import Trial, rebuild
from tests.conftest import Dsns
from tests.trial_support import (
    CALLER,
    ZONE,
    answered,
    open_trial,
    person,
    protocol,
    sirolimus,
    trial_client,
)

ENDPOINTS = (
    "disposition",
    "protocol-deviations",
    "exposure",
    "trough-in-range",
    "baseline-characteristics",
)
REFRACTORY = {"answer": "unknown", "overrideReason": "records asked for"}


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[StatisticsProcess]:
    statistics = StatisticsProcess()
    yield statistics
    await statistics.stop()


@pytest.fixture
async def client(
    database: Database, process: StatisticsProcess
) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(build_router(Endpoints(database, protocol(), ZONE, process)))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://endpoints") as opened:
        yield opened


@pytest.fixture
async def trial(database: Database) -> Trial:
    """SSCI-001 eligible and dosed, SSCI-002 enrolled with a criterion overridden."""
    opened = open_trial(database)
    async with trial_client(opened) as enrolling:
        await enrolling.post("/trial/subjects", json=person(1))
        overridden = person(2, eligibility=answered(refractory=REFRACTORY))
        response = await enrolling.post("/trial/subjects", json=overridden)
        assert response.status_code == 201, response.text
    await opened.store.write(CALLER, [Create(sirolimus("2017-09-03"), "d1")])
    return opened


async def ask(client: httpx.AsyncClient, endpoint: str, **parameters: str) -> Any:
    response = await client.get(f"/endpoints/{endpoint}", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def sizes(client: httpx.AsyncClient) -> dict[str, int]:
    figures = (await ask(client, "disposition"))["figures"]
    return {each["name"]: each["n"] for each in figures["populations"]}


async def test_a_subject_with_an_overridden_criterion_is_enrolled_and_not_eligible(client, trial):
    found = await sizes(client)
    assert (found["enrolled"], found["eligible"], found["safety"]) == (2, 1, 1)
    told = (await ask(client, "disposition", population="eligible"))["population"]
    assert told["subjects"] == ["SSCI-001"]
    assert told["excluded"]["reasons"] == {"criterion refractory: overridden": 1}


async def test_a_corrected_form_counts_and_the_earlier_answer_can_be_asked_for(client, trial):
    known = (await ask(client, "disposition"))["asOf"]
    stored = await trial.store.read(CALLER, "QuestionnaireResponse", "SSCI-002-eligibility")
    assert stored is not None
    assert stored.body is not None
    corrected = parse_json(stored.body) | {"status": "amended"}
    for item in corrected["item"]:
        if item["linkId"] == "refractory":
            item["answer"] = [{"valueCoding": item["answer"][0]["valueCoding"] | {"code": "met"}}]
    await trial.store.write(CALLER, [Update(corrected, corrected["id"])])
    assert (await sizes(client))["eligible"] == 2
    before = await ask(client, "disposition", population="eligible", asOf=known)
    assert before["population"]["n"] == 1


async def ask_all(
    client: httpx.AsyncClient, endpoint: str, clocks: dict[str, str]
) -> list[httpx.Response]:
    """Figures, subjects, CSV, another population, a subgroup."""
    address = f"/endpoints/{endpoint}"
    asked: tuple[tuple[str, dict[str, str]], ...] = (
        (address, {}),
        (f"{address}/subjects", {}),
        (address, {"format": "csv"}),
        (address, {"population": "per-protocol"}),
        (address, {"population": "enrolled", "subgroup": "sex"}),
    )
    return [await client.get(path, params=clocks | more) for path, more in asked]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_rebuilding_the_trial_tables_changes_no_byte(
    client, trial, database_dsns: Dsns, endpoint
):
    first = await ask(client, endpoint)
    clocks = {name: first[name] for name in ("cutoff", "asOf")}
    before = await ask_all(client, endpoint, clocks)
    assert [each.status_code for each in before] == [200] * len(before), before[0].text
    async with await Database.open(database_dsns.owner) as as_owner:
        await rebuild(as_owner, protocol(), ZONE)
    after = await ask_all(client, endpoint, clocks)
    assert [each.content for each in after] == [each.content for each in before]
