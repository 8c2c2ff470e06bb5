"""Plans and times of the advertised queries at a million Observations.

    python -m bench plans [--count 1000000] [--data-dir DIR] [--out FILE]

Prints a table of median times, warm, and writes every plan for docs/.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from app.database import Database, migrate, start_embedded
from app.fhir import EVERYTHING, Reading, load_layout, load_registry, parse_search
from app.fhir.queries import split_query
from app.fhir.select import Compiler
from app.fhir.store import Density
from bench.observations import fill

QUERIES = (
    "patient=P77&code=http://loinc.org|777-3&_sort=-date",
    "patient=P77&code=777-3",
    "patient=P77",
    "patient=P77&category=laboratory&date=ge2018-03-01&date=le2018-09-01",
    "subject=Patient/P77&status=final&_sort=-date",
    "code=http://loinc.org|777-3&_sort=-date",
    "code=777-3",
    "code=777-3&date=ge2018-06-01&date=lt2018-07-01",
    "code=777-3&date=ge2018-06-01&date=lt2018-07-01&_sort=-date",
    "code=unknown&_sort=-date",
    "date=2018-06-15",
    "date=ge2018-12-31",
    "identifier=https://ssci.example/fhir/sid/result|r77",
    "identifier=r77",
    "status=final",
    "status=entered-in-error",
    "category=laboratory&_sort=-date",
    "specimen=Specimen/S77",
    "value-quantity=gt199|http://unitsofmeasure.org|10*9/L",
    "_id=o00000077",
    "_lastUpdated=ge2018-01-01",
    "_lastUpdated=ge2999-01-01",
    "_lastUpdated=ge2018-01-01&category=laboratory&_sort=_lastUpdated",
    "_sort=-_lastUpdated",
    "patient=P77&_include=Observation:specimen",
    "value-quantity=gt199|http://unitsofmeasure.org|10*3/uL",
    "code-value-quantity=777-3$gt199|http://unitsofmeasure.org|10*9/L",
    "patient=P77&code-value-quantity=777-3$gt150&_sort=-date",
    "code:text=a lab&patient=P77",
    "patient.identifier=unknown|1",
    "patient.identifier=unknown|1&code=777-3&_sort=-date",
    "patient.gender=female&code=777-3&_sort=-date",
    "specimen.type=unknown",
    "patient=P77&code=777-3&_total=accurate&_count=10",
    "code=777-3&_summary=count",
    "code=777-3&_total=estimate&_count=10",
    "",
)
REPEATS = 5


async def run(count: int, data_dir: Path) -> str:
    """The plans, as Markdown."""
    async with await start_embedded(data_dir, on_progress=print) as server:
        await migrate(server.owner_dsn)
        async with await Database.open(server.owner_dsn) as database:
            await _prepare(database, count)
            return await _measure(database)


async def _prepare(database: Database, count: int) -> None:
    async with database.reading() as connection:
        held = await connection.fetchval("SELECT count(*) FROM fhir.observation")
    if held < count:
        await fill(database, count)
    async with database.writing() as connection:
        await connection.execute("ANALYZE fhir.observation, fhir.observation_hot")


async def _measure(database: Database) -> str:
    registry = load_registry()
    layout = load_layout(registry)
    density = Density()
    reading = Reading(layout, ZoneInfo("Asia/Shanghai"), "http://x/fhir")
    plans = ["# Plans of the hot queries\n"]
    async with database.searching() as connection:
        await density.refresh(connection)
        compiler = Compiler(layout, density.is_dense)
        for query in QUERIES:
            request = parse_search(reading, "Observation", split_query(query))
            compiled = compiler.select_for(request, EVERYTHING)
            times = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                rows = await connection.fetch(compiled.sql, *compiled.args)
                times.append((time.perf_counter() - began) * 1000)
            median = statistics.median(times)
            print(f"{median:9.2f} ms {len(rows):>5} rows  Observation?{query}", flush=True)
            explained = await connection.fetch(
                f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {compiled.sql}", *compiled.args
            )
            text = "\n".join(row[0] for row in explained)
            plans.append(f"## `Observation?{query}` — {median:.2f} ms\n\n```\n{text}\n```\n")
    return "\n".join(plans)
