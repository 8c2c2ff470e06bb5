"""Synthetic Observations by the million, written straight into the tables with COPY.

A tenth are platelet counts, two tenths sirolimus levels, the rest eight other analytes; 100 per
patient over a year. Indexing is the server's own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.database import Database
from app.fhir import Json, dump_json, load_layout, load_registry
from app.fhir.expression import Extractor
from app.fhir.index import Indexer
from app.fhir.rows import with_meta
from app.fhir.tables import search_columns

PER_PATIENT = 100
BATCH = 20_000
PLATELETS, SIROLIMUS = "777-3", "29247-4"
CODES = (PLATELETS, SIROLIMUS, SIROLIMUS, *(f"{n}-{n % 10}" for n in range(2000, 2007)))
START = datetime(2018, 1, 1, tzinfo=UTC)


def build_observation(number: int, draw: random.Random) -> Json:
    code = CODES[number % len(CODES)]
    unit = "10*9/L" if code == PLATELETS else "ng/mL"
    taken = START + timedelta(minutes=draw.randrange(525_600))
    status = "entered-in-error" if number % 50_021 == 0 else "final"
    return {
        "resourceType": "Observation",
        "identifier": [{"system": "https://ssci.example/fhir/sid/result", "value": f"r{number}"}],
        "status": status,
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                    }
                ]
            }
        ],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": code},
                {"system": "https://ssci.example/fhir/CodeSystem/pumch-lis-test", "code": code},
            ],
            "text": "a laboratory result",
        },
        "subject": {"reference": f"Patient/P{number // PER_PATIENT}"},
        "effectiveDateTime": taken.isoformat(),
        "issued": (taken + timedelta(hours=2)).isoformat(),
        "performer": [{"reference": "Organization/PUMCH"}],
        "specimen": {"reference": f"Specimen/S{number}"},
        "valueQuantity": {
            "value": Decimal(draw.randrange(2000)) / 10,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        "note": [{"text": "x" * 300}],
    }


async def fill(
    database: Database, count: int, *, one_patient: bool = False, prefix: str = "o"
) -> None:
    """`count` Observations; progress on stdout. `one_patient`: all are platelet counts of P0."""
    registry = load_registry()
    place = load_layout(registry)["Observation"]
    indexer = Indexer(place, Extractor(registry, "Observation"), ZoneInfo("Asia/Shanghai"), None)
    fixed = ["id", "version", "last_updated", "method", "created", "body"]
    columns = [*fixed, *search_columns(place)]
    draw = random.Random(1)
    for first in range(0, count, BATCH):
        async with database.writing() as connection:
            moment = await connection.fetchrow("SELECT last_updated FROM fhir.begin_write()")
            assert moment is not None
            numbers = range(first, min(first + BATCH, count))
            made = list(_rows(numbers, draw, moment[0], indexer, one_patient, prefix))
            await connection.copy("fhir.observation", columns, [row for row, _ in made])
            await connection.copy(
                "fhir.observation_hot",
                ["id", "code", "systems", "patient", "date_from", "date_to"],
                [hot for _, held in made for hot in held],
            )
        print(f"  {min(first + BATCH, count):>9,} Observations", flush=True)


def _rows(
    numbers: range,
    draw: random.Random,
    at: datetime,
    indexer: Indexer,
    one_patient: bool,
    prefix: str,
) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
    for number in numbers:
        id = f"{prefix}{number:08}"
        made = build_observation(number * len(CODES) if one_patient else number, draw)
        if one_patient:
            made["subject"] = {"reference": "Patient/P0"}
        resource = with_meta(made, id, 1, at)
        row = indexer.index(resource)
        hot = [(id, *held) for held in indexer.hot_rows(resource, row)]
        yield (id, 1, at, "PUT", True, dump_json(resource), *row.values()), hot
