"""Plots and timelines over HTTP and a real trial database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from xml.etree import ElementTree

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app.database import Database
from app.endpoints import Endpoints, StatisticsProcess
from app.endpoints.catalogue import CATALOGUE
from app.endpoints.routes import build_router, build_timeline_router
from app.endpoints.timeline_schemas import Timeline
from app.errors import SsciError
from app.fhir import Create, Store, Update
from app.trial.routes import build_router as build_trial_router
from tests.integration.test_endpoints import count, dose, participant
from tests.trial_support import CALLER, ZONE, open_trial, protocol

TIMELINE = "/trial/subjects/SSCI-001/timeline"
PLOTS = [
    f"/endpoints/{endpoint}/plot.{form}?plot={plot}"
    for endpoint, entry in CATALOGUE.items()
    for plot in entry.plots
    for form in ("svg", "png")
]


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
    endpoints = Endpoints(database, protocol(), ZONE, process)
    for router in (
        build_trial_router(open_trial(database)),
        build_router(endpoints),
        build_timeline_router(endpoints),
    ):
        app.include_router(router)

    @app.exception_handler(SsciError)
    async def tell(request: Request, problem: SsciError) -> JSONResponse:
        issues = [{"place": each.expression, "reason": each.diagnostics} for each in problem.issues]
        return JSONResponse({"issues": issues}, problem.http_status, dict(problem.headers))

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://endpoints") as opened:
        yield opened


@pytest.fixture
async def store(database: Database) -> Store:
    """Two participants; one with a dose and two counts."""
    opened = open_trial(database).store
    await opened.write(
        CALLER,
        [
            Create(participant("SSCI-001"), "SSCI-001"),
            Create(participant("SSCI-002"), "SSCI-002"),
            Create(dose("2019-01-01T08:00:00+08:00"), "d1"),
            Create(count(20, "2018-12-30"), "base1"),
            Create(count(30, "2019-01-31T09:00:00+08:00"), "month1"),
        ],
    )
    return opened


@pytest.mark.parametrize("address", PLOTS)
async def test_every_plot_is_answered_the_same_byte_for_byte(client, store, address):
    first = await client.get(address)
    assert first.status_code == 200, first.text
    if ".svg" in address:
        assert first.headers["content-type"] == "image/svg+xml"
        ElementTree.fromstring(first.text)
    else:
        assert first.headers["content-type"] == "image/png"
        assert first.content.startswith(b"\x89PNG")
    horizon = (await client.get("/endpoints/platelet-change")).json()["asOf"]
    again = [await client.get(f"{address}&cutoff=2020-01-01&asOf={horizon}") for _ in range(2)]
    assert again[0].content == again[1].content


async def test_an_unknown_plot_is_told_with_those_that_there_are(client, store):
    response = await client.get("/endpoints/platelet-change/plot.svg?plot=pie")
    assert response.status_code == 400
    assert response.json()["issues"] == [
        {"place": "plot", "reason": "must be one of change, waterfall"}
    ]


async def test_a_plot_of_another_format_is_a_400(client, store):
    assert (await client.get("/endpoints/platelet-change/plot.pdf")).status_code == 400


async def test_the_timeline_tells_of_one_participant_only_and_names_versions(client, store):
    told = (await client.get(TIMELINE)).json()
    Timeline.model_validate(told)
    assert [each["resource"] for each in told["platelets"]] == [
        "Observation/base1",
        "Observation/month1",
    ]
    assert [each["mg"] for each in told["doses"]] == [2]
    assert told["participation"]["resource"] == "ResearchSubject/SSCI-001"


async def test_the_timeline_is_that_of_both_clocks(client, store):
    before = (await client.get(TIMELINE)).json()
    await store.write(CALLER, [Update(count(80, "2019-01-31T09:00:00+08:00"), "month1")])
    cut = {"cutoff": "2019-01-30"}
    assert len((await client.get(TIMELINE, params=cut)).json()["platelets"]) == 1
    now = (await client.get(TIMELINE)).json()["platelets"][1]
    then = {"cutoff": before["cutoff"], "asOf": before["asOf"]}
    assert (now["value"], now["version"]) == (80, 2)
    assert (await client.get(TIMELINE, params=then)).json() == before


@pytest.mark.parametrize(("form", "starts"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
async def test_the_timeline_is_drawn(client, store, form, starts):
    response = await client.get(f"{TIMELINE}.{form}?cutoff=2019-06-01")
    assert response.status_code == 200
    assert response.content.startswith(starts)


@pytest.mark.parametrize("number", ["SSCI-999", "nobody", "%00", "%F0%9F%92%8A", "x" * 300])
@pytest.mark.parametrize("form", ["", ".svg", ".png"])
async def test_an_unknown_number_is_told_as_trial_subjects_tells_it(client, store, number, form):
    known = await client.get(f"/trial/subjects/{number}")
    timeline = await client.get(f"/trial/subjects/{number}/timeline{form}")
    assert timeline.status_code == known.status_code
    assert timeline.status_code == (400 if number == "%00" else 404)
    assert timeline.json() == known.json()


async def test_a_participant_of_whom_nothing_is_known_yet_has_an_empty_timeline(client, store):
    told = (await client.get(f"{TIMELINE}?cutoff=2001-01-01")).json()
    assert told["platelets"] == told["doses"] == []
    assert told["participation"] is None


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("population=safety", "population"),
        ("cutoff=never", "cutoff"),
        ("asOf=2999-01-01T00:00:00Z", "asOf"),
        ("cutoff=2019-01-01&cutoff=2019-01-02", "cutoff"),
    ],
)
async def test_a_parameter_that_is_unknown_or_malformed_is_a_400(client, store, query, place):
    for form in ("", ".svg"):
        response = await client.get(f"{TIMELINE}{form}?{query}")
        assert response.status_code == 400
        assert [each["place"] for each in response.json()["issues"]] == [place]


async def test_a_timeline_in_another_format_is_a_400(client, store):
    assert (await client.get(f"{TIMELINE}.pdf")).status_code == 400
