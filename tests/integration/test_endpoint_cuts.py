"""Every endpoint under both clocks over a real trial database, and over tables that are rebuilt.

Three participants, first dose on 2019-01-01 (day 0). SSCI-002 has IVIG as rescue on day 50. What
was first sent is corrected later: a baseline, counts, a loading dose, a trough, a score, an adverse
event and the end of a participation, so that a figure of each endpoint changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.database import Database
from app.endpoints import Endpoints, StatisticsProcess
from app.endpoints.answers import format_instant
from app.endpoints.catalogue import CATALOGUE
from app.endpoints.routes import build_router
from app.fhir import Create, Json, Store, Update
from app.trial import rebuild
from app.trial.codes import RESCUE_TREATMENT
from tests.conftest import Dsns
from tests.endpoint_support import visit_of
from tests.integration.test_endpoint_safety import event, score
from tests.integration.test_endpoints import count, dose, participant
from tests.trial_support import CALLER, ZONE, protocol, trial_store

FIRST, SECOND, THIRD = "SSCI-001", "SSCI-002", "SSCI-003"
BEFORE_RESCUE = "2019-02-19"
"""Day 49."""

WITH_RESCUE = (
    "platelet-change",
    "platelet-change-model",
    "response-rate",
    "response-month-6",
    "complete-remission",
    "sustained-response",
)


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
def store(database: Database) -> Store:
    return trial_store(database)


def day(elapsed: int, time: str = "") -> str:
    """`time` as `T08:00` in the study's zone."""
    told = (date(2019, 1, 1) + timedelta(days=elapsed)).isoformat()
    return f"{told}{time}:00+08:00" if time else told


def of(subject: str, resource: Json, **changes: Any) -> Json:
    return {**resource, "subject": {"reference": f"Patient/{subject}"}, **changes}


def level(value: int, drawn: str) -> Json:
    quantity = {"value": value, "system": "http://unitsofmeasure.org", "code": "ng/mL"}
    loinc = {"coding": [{"system": "http://loinc.org", "code": "29247-4"}]}
    return {**count(value, drawn), "code": loinc, "valueQuantity": quantity}


def rescue(given: str) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "category": {"coding": [{"system": RESCUE_TREATMENT, "code": "ivig"}]},
        "medicationCodeableConcept": {"text": "Immunoglobulin"},
        "subject": {"reference": f"Patient/{SECOND}"},
        "effectiveDateTime": given,
    }


def half(administration: Json) -> Json:
    given = administration["dosage"]["dose"] | {"value": 1}
    return {**administration, "dosage": {"dose": given}}


EARLY: Sequence[tuple[str, Json]] = (
    *((each, participant(each)) for each in (FIRST, SECOND, THIRD)),
    *(
        (f"d{subject[-1]}-{on}", dose(day(on, "T08:00"), subject))
        for subject in (FIRST, SECOND, THIRD)
        for on in range(15)
    ),
    ("base1", count(20, day(-1))),
    ("base2", count(40, day(-1), SECOND)),
    ("base3", count(30, day(-1), THIRD)),
    ("month1", count(30, day(30))),
    ("month1b", count(90, day(30), SECOND)),
    ("month1c", count(45, day(30), THIRD)),
    ("trough", level(5, day(14, "T07:30"))),
    ("score0", score(8, 1, day(-1))),
    ("score1", score(6, 1, day(30))),
    ("event", event("Non-serious", day(20))),
)
"""What happened before the rescue."""

LATE: Sequence[tuple[str, Json]] = (
    ("rescue", rescue(day(50))),
    ("month2b", count(130, day(61), SECOND)),
    ("month6", count(35, day(183))),
    ("month6b", count(95, day(183), SECOND)),
    ("month6c", count(70, day(183), THIRD)),
    ("month12", count(60, day(365))),
    ("score6", score(5, 1, day(183))),
    ("late-dose", dose(day(100, "T08:00"))),
    ("late-trough", level(10, day(101, "T07:30"))),
    ("late-event", event("Serious", day(90))),
)

CORRECTIONS: Sequence[tuple[str, Json]] = (
    (SECOND, participant(SECOND) | {"status": "withdrawn"}),
    ("base3", count(40, day(-1), THIRD, status="corrected")),
    ("month1", count(110, day(30), status="corrected")),
    ("month6", count(120, day(183), status="corrected")),
    ("d1-1", half(dose(day(1, "T08:00")))),
    ("trough", level(9, day(14, "T07:30"))),
    ("score1", score(0, 0, day(30))),
    ("event", event("Serious", day(20))),
)


async def create(store: Store, rows: Sequence[tuple[str, Json]]) -> str:
    """Comes back with the instant from which they are known."""
    (first, *_) = await store.write(CALLER, [Create(body, id_) for id_, body in rows])
    return format_instant(first.last_updated)


async def correct(store: Store) -> str:
    changes = [Update(ended(body) | {"id": id_}, id_) for id_, body in CORRECTIONS]
    (first, *_) = await store.write(CALLER, changes)
    return format_instant(first.last_updated)


def ended(body: Json) -> Json:
    if body.get("status") != "withdrawn":
        return body
    return {**body, "period": {**body["period"], "end": day(200)}}


async def figures(client: httpx.AsyncClient, endpoint: str, **clocks: str) -> Any:
    answer = await client.get(f"/endpoints/{endpoint}", params=clocks)
    assert answer.status_code == 200, (endpoint, answer.text)
    return answer.json()["figures"]


async def ask_all(client: httpx.AsyncClient, **clocks: str) -> dict[str, bytes]:
    """The bytes of every endpoint's figures, subjects and CSV, by address."""
    found = {}
    for endpoint in CATALOGUE:
        for path in (endpoint, f"{endpoint}/subjects", f"{endpoint}?format=csv"):
            address = httpx.URL(f"/endpoints/{path}").copy_merge_params(clocks)
            answer = await client.get(address)
            assert answer.status_code == 200, (path, answer.text)
            found[path] = answer.content
    return found


async def test_before_a_correction_everything_stays_as_it_was_told(client, store):
    await create(store, EARLY)
    before = await create(store, LATE)
    clocks = {"cutoff": day(400), "asOf": before}
    told = await ask_all(client, **clocks)
    await correct(store)
    assert await ask_all(client, **clocks) == told


async def test_a_correction_changes_a_figure_of_every_endpoint(client, store):
    await create(store, EARLY)
    before = await create(store, LATE)
    after = await correct(store)
    same = [
        endpoint
        for endpoint in CATALOGUE
        if await figures(client, endpoint, cutoff=day(400), asOf=before)
        == await figures(client, endpoint, cutoff=day(400), asOf=after)
    ]
    assert same == []


async def test_figures_by_hand_before_and_after_the_correction(client, store):
    await create(store, EARLY)
    before = await create(store, LATE)
    after = await correct(store)
    told = [await look(client, asOf=as_of) for as_of in (before, after)]
    assert told == [
        # changes at month 1: 10, 50, 15; at month 6 70 > 2 * 30, not 35 > 2 * 20, 95 after rescue;
        # trough 10 of day 101
        {"change": 25, "response": 1, "remissions": 0, "inside": 1, "serious": 1},
        # 90, 50, 5; 120 > 100, not 70 > 2 * 40; 110 on day 30; troughs 9 and 10
        {
            "change": pytest.approx(145 / 3),
            "response": 1,
            "remissions": 1,
            "inside": 2,
            "serious": 2,
        },
    ]


async def look(client: httpx.AsyncClient, **clocks: str) -> dict[str, float]:
    change = await figures(client, "platelet-change", **clocks)
    response = await figures(client, "response-rate", **clocks)
    remission = await figures(client, "time-to-complete-remission", **clocks)
    trough = await figures(client, "trough-in-range", **clocks)
    serious = await figures(client, "serious-adverse-events", **clocks)
    return {
        "change": visit_of(change, "M1")["change"]["mean"],
        "response": visit_of(response, "M6")["response"]["n"],
        "remissions": remission["events"],
        "inside": trough["pooled"]["inside"],
        "serious": serious["all"]["events"],
    }


async def test_what_came_after_the_cutoff_changes_no_figure(client, store):
    """A rescue, counts, doses, a score and an event are sent that happened after day 49."""
    known = await create(store, EARLY)
    alone = {
        each: await figures(client, each, cutoff=BEFORE_RESCUE, asOf=known) for each in CATALOGUE
    }
    later = await create(store, LATE)
    for endpoint, told in alone.items():
        again = await figures(client, endpoint, cutoff=BEFORE_RESCUE, asOf=later)
        assert again == told, endpoint


async def test_a_rescue_counts_from_its_day_on(client, store):
    await create(store, EARLY)
    known = await create(store, LATE)
    for endpoint in WITH_RESCUE:
        rescued = [
            (await figures(client, endpoint, cutoff=cutoff, asOf=known))["intercurrentEvents"][
                "rescue"
            ]["participants"]
            for cutoff in (BEFORE_RESCUE, day(50))
        ]
        assert rescued == [0, 1], endpoint


async def test_rebuilding_the_trial_tables_changes_no_byte_of_any_endpoint(
    client, store, database_dsns: Dsns
):
    await create(store, EARLY)
    before = await create(store, LATE)
    after = await correct(store)
    cuts = (
        {"cutoff": day(400), "asOf": before},
        {"cutoff": day(400), "asOf": after},
        {"cutoff": BEFORE_RESCUE, "asOf": after},
    )
    told = [await ask_all(client, **clocks) for clocks in cuts]
    async with await Database.open(database_dsns.owner) as as_owner:
        await rebuild(as_owner, protocol(), ZONE)
    assert [await ask_all(client, **clocks) for clocks in cuts] == told
