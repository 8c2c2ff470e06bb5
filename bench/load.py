"""Requests per second of the running server over HTTP, each beside its raw limit in the same run.

    python -m bench load [--count 4000] [--seconds 4] [--only create] [--out FILE]

Drives both with `wrk`, or with processes of our own where it is absent (1 and 16 clients), A B A B,
and prints medians and ratios. The patient P0 has 4,000 platelet counts, of which the search asks
the newest 50; what is stored beyond them (`--count 1000000`) is of other patients and comes by
COPY, indexed by the server's own code. What is created is of a patient apart.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from app.database import Database, start_embedded
from app.fhir import dump_json
from bench.client import requests_per_second
from bench.observations import build_observation, fill
from bench.raw import ENTRIES

ROUNDS = 3
SETTLING_SECONDS = 10
"""The server goes on loading units of measure for a while after it is healthy."""
OF_ONE_PATIENT = 4_000
"""Platelet counts of the patient P0, of whom the newest 50 are searched."""


@dataclass(frozen=True, slots=True)
class HotPath:
    """One hot path: the server's address and the raw limit's; `body` makes it a POST."""

    name: str
    path: str
    raw: str
    body: bytes | None = None


def hot_paths() -> list[HotPath]:
    observation = build_observation(1, random.Random(1))
    created = dump_json(observation | {"subject": {"reference": "Patient/written"}})
    entry = b'{"resource":%b,"request":{"method":"POST","url":"Observation"}}' % created
    entries = b",".join([entry] * ENTRIES)
    bundle = b'{"resourceType":"Bundle","type":"transaction","entry":[%b]}' % entries
    query = "patient=P0&code=http://loinc.org%7C777-3&_sort=-date&_count=50"
    return [
        HotPath("read by id", "/fhir/Observation/o00000001", "/read/o00000001"),
        HotPath(
            "search 50, patient + code, newest first", f"/fhir/Observation?{query}", "/search/P0"
        ),
        HotPath(
            "search 50 with _include",
            f"/fhir/Observation?{query}&_include=Observation:patient",
            "/search/P0",
        ),
        HotPath("count", "/fhir/Observation?patient=P0&_summary=count", "/count/P0"),
        HotPath("history of one", "/fhir/Observation/o00000001/_history", "/read/o00000001"),
        HotPath("create", "/fhir/Observation", "/create", created),
        HotPath(f"transaction of {ENTRIES} creates", "/fhir", "/transaction", bundle),
    ]


async def run(count: int, data_dir: Path, seconds: float, only: str = "") -> str:
    """The table, as Markdown."""
    async with await start_embedded(data_dir, on_progress=print) as server:
        server_port, raw_port = _free_port(), _free_port()
        service = _serve(data_dir, server_port)
        raw: subprocess.Popen[bytes] | None = None
        try:
            await asyncio.to_thread(_await_health, server_port)
            await _prepare(server.owner_dsn, count)
            raw = _serve_raw(server.owner_dsn, raw_port)
            await asyncio.sleep(SETTLING_SECONDS)
            return await asyncio.to_thread(_measure, server_port, raw_port, count, seconds, only)
        finally:
            service.terminate()
            if raw is not None:
                raw.terminate()
            service.wait()


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _serve(data_dir: Path, port: int) -> subprocess.Popen[bytes]:
    command = ["serve", "--no-auth", "--port", str(port), "--data-dir", str(data_dir)]
    code = "from app.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *command])


def _serve_raw(dsn: str, port: int) -> subprocess.Popen[bytes]:
    command = ["-m", "uvicorn", "bench.raw:build", "--factory", "--port", str(port)]
    quiet = ["--log-level", "warning", "--no-access-log", "--loop", "uvloop"]
    return subprocess.Popen([sys.executable, *command, *quiet], env=os.environ | {"BENCH_DSN": dsn})


def _await_health(port: int) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the service did not start")


async def _prepare(dsn: str, count: int) -> None:
    async with await Database.open(dsn) as database:
        async with database.reading() as connection:
            held = await connection.fetchval("SELECT count(*) FROM fhir.observation")
        if held == 0:
            await fill(database, min(count, OF_ONE_PATIENT), one_patient=True)
            await fill(database, count - OF_ONE_PATIENT, prefix="s")
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS public.raw_limit (id text primary key, body json)"
        )
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS public.raw_limit_text (id text primary key, body bytea)"
        )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def _measure(port: int, raw_port: int, count: int, seconds: float, only: str) -> str:
    drive = _wrk if shutil.which("wrk") else requests_per_second
    lines = [
        f"{count} Observations stored, {os.cpu_count()} cores, Python {platform.python_version()};"
        f" one worker; median of {ROUNDS} interleaved runs of {seconds:g} s;"
        f" driven by {'bench.client' if drive is requests_per_second else 'wrk'}.",
        "",
        "| path | clients | server/s | raw limit/s | ratio |",
        "|---|---|---|---|---|",
    ]
    for hot in (each for each in hot_paths() if only in each.name):
        for clients in (1, 16):
            ours, limit = [], []
            for _ in range(ROUNDS):
                ours.append(drive(port, hot.path, hot.body, clients, seconds))
                limit.append(drive(raw_port, hot.raw, hot.body, clients, seconds))
            one, other = statistics.median(ours), statistics.median(limit)
            lines.append(
                f"| {hot.name} | {clients} | {one:,.0f} | {other:,.0f} | {one / other:.0%} |"
            )
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _wrk(port: int, path: str, body: bytes | None, clients: int, seconds: float) -> float:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s"]
    if body is not None:
        script = Path("/dev/shm" if Path("/dev/shm").exists() else ".") / f"ssci-{port}.lua"
        script.write_text(
            'wrk.method = "POST"\nwrk.headers["content-type"] = "application/fhir+json"\n'
            f"wrk.body = {json.dumps(body.decode())}\n"
        )
        command += ["-s", str(script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in done.stdout:
        raise SystemExit(f"{path}: {done.stdout}")
    match = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if match is None:
        raise SystemExit(done.stdout)
    return float(match[1])
