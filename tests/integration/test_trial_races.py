"""Concurrent writers of one count, with the trial's rows written in the same transactions."""

from __future__ import annotations

import asyncio
from typing import Any

from app.database import Database
from app.fhir import Update, parse_json
from app.trial import build_projection, load_protocol
from tests.fhir_support import CALLER, ZONE, store_on


def platelets(value: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "a",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
        "subject": {"reference": "Patient/SSCI-001"},
        "effectiveDateTime": "2018-05-01T08:00:00+08:00",
        "valueQuantity": {
            "value": value,
            "unit": "10*9/L",
            "system": "http://unitsofmeasure.org",
            "code": "10*9/L",
        },
    }


async def test_versions_and_trial_rows_follow_each_other_in_time(database: Database) -> None:
    store = store_on(database, (build_projection(load_protocol(), ZONE),))
    writes = (store.write(CALLER, [Update(platelets(n), "a")]) for n in range(30))
    changes = [change for (change,) in await asyncio.gather(*writes)]
    assert sorted(change.version for change in changes) == list(range(1, 31))
    history = await store.history(CALLER, "Observation", "a")
    instants = [parse_json(stored.body or b"{}")["meta"]["lastUpdated"] for stored in history]
    assert instants == sorted(set(instants), reverse=True)
    async with database.reading() as connection:
        rows = await connection.fetch(
            "SELECT resource_version, lower(system) AS since, upper(system) AS until"
            " FROM trial.measurement WHERE resource_id = 'a' ORDER BY resource_version"
        )
    assert [row["resource_version"] for row in rows] == list(range(1, 31))
    assert [row["until"] for row in rows[:-1]] == [row["since"] for row in rows[1:]]
    assert rows[-1]["until"] is None
