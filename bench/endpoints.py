"""Every endpoint over simulated trials of growing size: time from request to answer, and memory.

The rows go straight into the trial tables (20 counts and 2 doses a participant, a rescue treatment
for one in twenty): reading, computing and encoding are measured, not storing.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg

from app.database import Database, Limits, migrate, start_embedded
from app.endpoints import Endpoints, Query, StatisticsProcess
from app.endpoints.catalogue import CATALOGUE
from app.trial import STUDY_ID, load_protocol

ZONE = ZoneInfo("Asia/Shanghai")
SIZES = (20, 1_000, 10_000, 100_000)
REPEATS = 3
HOT = ("platelet-change", "response-rate", "time-to-complete-remission")
"""Those with a target at the largest size; the others are measured up to 1,000 participants."""

_OWN = "clinical_from, clinical_to, precision, clinical_date, system"
_KNOWN = "tstzrange(timestamptz '2021-01-01', null)"


def _clinical(instant: str) -> str:
    day = f"({instant} at time zone 'Asia/Shanghai')::date"
    return f"{instant}, {instant} + interval '1 minute', 'minute', {day}, {_KNOWN}"


_FIRST = "timestamptz '2019-01-01 08:00+08' + (p % 400) * interval '1 day'"

FILL = (
    f"""
    insert into trial.subject (resource_type, resource_id, resource_version, subject, study, status,
        consent, age_at_consent, synthetic, {_OWN})
    select 'ResearchSubject', number, 1, number, '{STUDY_ID}', 'on-study', number, 20 + p % 50,
        true, {_clinical(f"({_FIRST} - interval '10 days')")}
    from generate_series($1::int, $2::int) p,
        lateral (select 'SSCI-' || lpad(p::text, 6, '0')) n(number)
    """,
    f"""
    insert into trial.dose (resource_type, resource_id, resource_version, subject, status, amount,
        unit, {_OWN})
    select 'MedicationAdministration', encode(sha256(('d' || p || '-' || v)::bytea), 'hex'), 1,
        'SSCI-' || lpad(p::text, 6, '0'), 'completed', 2, 'mg', {_clinical("at")}
    from generate_series($1::int, $2::int) p, generate_series(0, 1) v,
        lateral (select {_FIRST} + v * interval '1 day') x(at)
    """,
    f"""
    insert into trial.measurement (resource_type, resource_id, resource_version, subject, kind,
        code, status, value, unit, analytic_suspect, scale_suspect, {_OWN})
    select 'Observation', encode(sha256(('o' || p || '-' || v)::bytea), 'hex'), 1,
        'SSCI-' || lpad(p::text, 6, '0'), 'platelets', '777-3', 'final',
        round((10 + p % 60) * exp(v * (p % 7) * 0.02)::numeric + (p * 31 + v * 17) % 9),
        '10*9/L', false, false, {_clinical("at")}
    from generate_series($1::int, $2::int) p, generate_series(0, 19) v,
        lateral (select {_FIRST} + (v * 21 - 10) * interval '1 day'
            + (p % 5) * interval '1 hour') x(at)
    """,
    f"""
    insert into trial.treatment (resource_type, resource_id, resource_version, subject, kind, class,
        status, {_OWN})
    select 'MedicationAdministration', 'r-' || p, 1, 'SSCI-' || lpad(p::text, 6, '0'), 'rescue',
        'platelet-transfusion', 'completed', {_clinical(f"({_FIRST} + interval '90 days')")}
    from generate_series($1::int, $2::int) p where p % 20 = 0
    """,
)


async def run(largest: int, data_dir: Path) -> str:
    """The table, as Markdown."""
    lines = ["| participants | counts | endpoint | first ms | median ms | process MiB |"]
    lines.append("|---|---|---|---|---|---|")
    async with await start_embedded(data_dir, on_progress=print) as server:
        await migrate(server.owner_dsn)
        async with await Database.open(server.runtime_dsn, Limits()) as database:
            for size in (each for each in SIZES if each <= largest):
                await _fill(server.owner_dsn, size)
                for line in await _measure(database, size):
                    print(line, flush=True)
                    lines.append(line)
    return "\n".join(lines) + "\n"


async def _fill(owner_dsn: str, size: int) -> None:
    """Up to `size` participants in all."""
    settings = {"statement_timeout": "0"}
    owner = await asyncpg.connect(owner_dsn, server_settings=settings)
    try:
        held = await owner.fetchval("select count(*) from trial.subject")
        for statement in FILL if held < size else ():
            await owner.execute("set synchronous_commit = off")
            await owner.execute(
                statement.replace("$1::int", str(held + 1)).replace("$2::int", str(size))
            )
        await owner.execute("vacuum analyze")
    finally:
        await owner.close()


async def _measure(database: Database, size: int) -> list[str]:
    process = StatisticsProcess(timeout=120)
    endpoints = Endpoints(database, load_protocol(), ZONE, process)
    lines = []
    try:
        await endpoints.answer("platelet-change", Query())
        for name in CATALOGUE if size <= 1_000 else HOT:
            times = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                await endpoints.answer(name, Query())
                times.append((time.perf_counter() - began) * 1000)
            lines.append(
                f"| {size:,} | {size * 20:,} | {name} | {times[0]:.0f} |"
                f" {statistics.median(times):.0f} | {_peak(process)} |"
            )
    finally:
        await endpoints.stop()
    return lines


def _peak(process: StatisticsProcess) -> str:
    """The most memory that the process held so far, where the system tells."""
    status = Path(f"/proc/{process.process_id}/status")
    if not status.exists():
        return ""
    held = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return f"{int(held.split()[1]) // 1024}"
