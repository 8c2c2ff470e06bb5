"""Adverse events, grades and activity over HTTP and a real trial database, with a correction.

The first dose is on 2019-01-01, the last on 2019-01-31.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.database import Database
from app.endpoints import Endpoints, StatisticsProcess
from app.endpoints.answers import format_instant
from app.endpoints.routes import build_router
from app.fhir import Create, Json, Store, Update
from app.trial.codes import ACTIVITY, ADVERSE_EVENT_BACKPORT
from tests.endpoint_support import visit_of
from tests.integration.test_endpoints import count, dose, participant
from tests.trial_support import CALLER, ZONE, protocol, trial_store

NCIT = "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"
SERIOUSNESS = "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness"


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


def extension(name: str, **value: Any) -> Json:
    return {"url": f"{ADVERSE_EVENT_BACKPORT}/{name}", **value}


def ncit(code: str) -> Json:
    return {"coding": [{"system": NCIT, "code": code}]}


def event(word: str, onset: str = "2019-01-20", criteria: tuple[str, ...] = ()) -> Json:
    found = [
        extension(
            "seriousness-criteria",
            extension=[
                {"url": "criterionCode", "valueCodeableConcept": ncit(code)},
                {"url": "criterionPresent", "valueBoolean": True},
            ],
        )
        for code in criteria
    ]
    return {
        "resourceType": "AdverseEvent",
        "modifierExtension": [extension("status", valueCode="completed")],
        **({"extension": found} if found else {}),
        "actuality": "actual",
        "event": {"text": "Pneumonia"},
        "subject": {"reference": "Patient/SSCI-001"},
        "date": onset,
        "seriousness": {"coding": [{"system": SERIOUSNESS, "code": word}]},
    }


def score(value: int, item: int, assessed: str) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": ACTIVITY, "code": "SLEDAI-2K"}]},
        "subject": {"reference": "Patient/SSCI-001"},
        "effectiveDateTime": assessed,
        "valueInteger": value,
        "component": [
            {
                "code": {"coding": [{"system": ACTIVITY, "code": "platelet-item"}]},
                "valueInteger": item,
            }
        ],
    }


async def fill(store: Store) -> str:
    """One participant with an event that is corrected to a serious one. Comes back with the
    instant before the correction."""
    (first, *_) = await store.write(
        CALLER,
        [
            Create(participant("SSCI-001"), "SSCI-001"),
            Create(dose("2019-01-01T08:00:00+08:00"), "d1"),
            Create(dose("2019-01-31T08:00:00+08:00"), "d2"),
            Create(count(20, "2018-12-30"), "base"),
            Create(count(60, "2019-01-31"), "month1"),
            Create(event("Non-serious"), "ae1"),
            Create(score(9, 1, "2018-12-30"), "s0"),
            Create(score(4, 0, "2019-01-31"), "s1"),
        ],
    )
    corrected = event("serious", criteria=("C83052",)) | {"id": "ae1"}
    await store.write(CALLER, [Update(corrected, "ae1")])
    return format_instant(first.last_updated)


async def ask(client: httpx.AsyncClient, endpoint: str, **query: str) -> Any:
    answer = await client.get(f"/endpoints/{endpoint}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_event_is_serious_from_its_correction_on(
    client: httpx.AsyncClient, database: Database
) -> None:
    before = await fill(trial_store(database))
    then = await ask(client, "serious-adverse-events", asOf=before)
    now = await ask(client, "serious-adverse-events")
    assert [each["figures"]["all"]["events"] for each in (then, now)] == [0, 1]
    (listed,) = now["figures"]["listing"]["subjects"]
    assert (listed["criteria"], listed["version"], listed["ASTDY"]) == (["hospitalization"], 2, 20)
    rate = now["figures"]["treatmentEmergent"]["eventRate"]
    assert rate["rate"] == 11.78225806  # 1 event in 31 days: 365.25 / 31


async def test_an_event_after_the_cutoff_has_not_happened(
    client: httpx.AsyncClient, database: Database
) -> None:
    await fill(trial_store(database))
    for cutoff, events in (("2019-01-19", 0), ("2019-01-20", 1)):
        told = await ask(client, "adverse-events", cutoff=cutoff)
        assert told["figures"]["all"]["categories"][0]["events"] == events


async def test_grades_and_activity_are_read_from_the_trial_database(
    client: httpx.AsyncClient, database: Database
) -> None:
    await fill(trial_store(database))
    grades = (await ask(client, "platelet-grade-shift"))["figures"]
    assert grades["worst"]["improved"]["n"] == 1
    activity = (await ask(client, "ctd-activity"))["figures"]
    (sledai, *_) = activity["instruments"]
    month = visit_of(sledai, "M1")
    assert month["total"]["change"]["mean"] == -5.0
    assert month["withoutPlateletItem"]["change"]["mean"] == -4.0


@pytest.mark.parametrize(
    "endpoint",
    ["adverse-events", "serious-adverse-events", "platelet-grade-shift", "ctd-activity"],
)
async def test_rows_name_the_resource_version_that_they_come_from(
    client: httpx.AsyncClient, database: Database, endpoint: str
) -> None:
    await fill(trial_store(database))
    rows = (await ask(client, f"{endpoint}/subjects"))["rows"]
    assert rows
    assert all(row["url"].endswith(f"/_history/{row['version']}") for row in rows)
