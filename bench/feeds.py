"""Messages per second with a durable acknowledgement, beside one durable insert of the same bytes.

    python -m bench feeds [--count 800] [--out FILE]

Drives the running service, one worker, with 1 and 16 senders over MLLP and REST, answered after the
facts are decided or as soon as the message is durable. The backlog is what is still pending when
the last sender has its answer, and how long it takes to go. Then the time of one message by stage.
"""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count as counting
from pathlib import Path

import asyncpg
import httpx

from app.database import start_embedded
from bench.feed_messages import SUBJECTS, blood_count, enrolment
from bench.feed_stages import describe_stages
from bench.load import _await_health, _free_port

FEED = "pumch-lis"
Send = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: messages per second, acknowledgements in ms, the backlog and seconds to its end."""

    rate: float
    middle: float
    slowest: float
    backlog: int = 0
    drained: float = 0.0

    def row(self, *names: object) -> str:
        told = (f"{self.rate:,.0f}", f"{self.middle:.0f}", f"{self.slowest:.0f}")
        return f"| {' | '.join(map(str, (*names, *told, self.backlog, f'{self.drained:.1f}')))} |"


async def run(count: int, data_dir: Path) -> str:
    """The tables, as Markdown."""
    async with await start_embedded(data_dir, on_progress=print) as server:
        lines = [
            f"{count} messages per run, {os.cpu_count()} cores, Python"
            f" {platform.python_version()}; one worker, load generator on the same cores.",
            "",
            "| messages | transport, answer | senders | /s | p50 ms | p99 ms | backlog | s to 0 |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for waits in (True, False):
            lines += await _measure_service(server.owner_dsn, data_dir, count, waits=waits)
        lines += await _measure_raw(server.owner_dsn, count)
        lines += ["", *await describe_stages(server.owner_dsn, server.runtime_dsn, data_dir)]
    return "\n".join(lines) + "\n"


async def _measure_service(dsn: str, data_dir: Path, count: int, *, waits: bool) -> list[str]:
    http, mllp = _free_port(), _free_port()
    service = _serve(data_dir, http, mllp, waits=waits)
    lines = []
    try:
        await asyncio.to_thread(_await_health, http)
        await _enrol(http)
        await _drive(mllp, _send_block, _messages(100, "w", collected=False), 16)
        await _drain(dsn)
        answer = "after facts" if waits else "when durable"
        asked = "" if waits else "Prefer: respond-async\r\n"
        transports: list[tuple[str, int, Send]] = [
            ("MLLP", mllp, _send_block),
            ("REST", http, _post(asked)),
        ]
        for collected in (False, True):
            for name, port, send in transports:
                for senders in (1, 16):
                    number = count // (8 if collected else 1) // (4 if senders == 1 else 1)
                    messages = _messages(number, f"{time.time_ns()}", collected=collected)
                    found = await _with_backlog(dsn, port, send, messages, senders)
                    what = "20 collected" if collected else "1 of 20 collected"
                    lines.append(found.row(what, f"{name}, {answer}", senders))
                    print(lines[-1], flush=True)
    finally:
        service.terminate()
        service.wait()
    return lines


def _serve(data_dir: Path, http: int, mllp: int, *, waits: bool) -> subprocess.Popen[bytes]:
    command = ["serve", "--no-auth", "--port", str(http), "--data-dir", str(data_dir)]
    code = "from app.cli import main; main()"
    env = {"SSCI_MLLP": f"{FEED}={mllp}", "SSCI_MLLP_WAIT": str(waits).lower()}
    return subprocess.Popen(
        [sys.executable, "-c", code, *command],
        env=os.environ | env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def _enrol(port: int) -> None:
    """The subjects, once per database."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for n in range(SUBJECTS):
            answer = await client.post("/trial/subjects", json=enrolment(n))
            if answer.status_code not in (201, 409):
                raise SystemExit(f"a subject could not be enrolled: {answer.text}")


def _messages(number: int, run: str, *, collected: bool) -> list[bytes]:
    return [blood_count(n, run, collected=collected) for n in range(number)]


# Senders


async def _send_block(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes
) -> None:
    writer.write(b"\x0b" + message + b"\x1c\r")
    if b"MSA|AA|" not in await reader.readuntil(b"\x1c\r"):
        raise SystemExit("a message was not accepted")


def _post(further: str) -> Send:
    async def send(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes
    ) -> None:
        head = (
            f"POST /feeds/{FEED}/hl7v2 HTTP/1.1\r\nHost: 127.0.0.1\r\n{further}"
            f"Content-Type: x-application/hl7-v2+er7\r\nContent-Length: {len(message)}\r\n\r\n"
        )
        writer.write(head.encode() + message)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
            raise SystemExit(f"a message was not accepted: {answer[:40]!r}")
        length = answer.lower().split(b"content-length:")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))

    return send


async def _drive(port: int, send: Send, messages: Sequence[bytes], senders: int) -> Measured:
    """Each sender sends the next message when it has the answer to its last."""
    waits: list[float] = []
    next_one = counting()

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (n := next(next_one)) < len(messages):
            begun = time.perf_counter()
            await send(reader, writer, messages[n])
            waits.append(time.perf_counter() - begun)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(senders)))
    return _measured(time.perf_counter() - begun, waits)


def _measured(seconds: float, waits: list[float]) -> Measured:
    ordered = sorted(1000 * each for each in waits)
    return Measured(
        len(ordered) / seconds, ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    )


async def _with_backlog(
    dsn: str, port: int, send: Send, messages: Sequence[bytes], senders: int
) -> Measured:
    found = await _drive(port, send, messages, senders)
    backlog, seconds = await _drain(dsn)
    return Measured(found.rate, found.middle, found.slowest, backlog, seconds)


async def _drain(dsn: str) -> tuple[int, float]:
    """How many messages are pending now, and the seconds until none is."""
    connection = await asyncpg.connect(dsn)
    try:
        begun, first = time.perf_counter(), -1
        while True:
            left = await connection.fetchval(
                "SELECT count(*) FROM feeds.processing WHERE state = 'pending'"
            )
            first = left if first < 0 else first
            if not left:
                return first, time.perf_counter() - begun
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


# The raw limit


async def _measure_raw(dsn: str, count: int) -> list[str]:
    """One durable insert of the same bytes per message."""
    lines = []
    for senders in (1, 16):
        connections = [await asyncpg.connect(dsn) for _ in range(senders)]
        await connections[0].execute("CREATE TABLE IF NOT EXISTS public.raw_feed (body bytea)")
        messages = _messages(count, "raw", collected=False)
        waits: list[float] = []
        shares = [messages[n::senders] for n in range(senders)]
        begun = time.perf_counter()
        await asyncio.gather(*map(_insert, connections, shares, [waits] * senders))
        found = _measured(time.perf_counter() - begun, waits)
        lines.append(found.row("the same bytes", "one INSERT each", senders))
        for connection in connections:
            await connection.close()
    return lines


async def _insert(
    connection: asyncpg.Connection[asyncpg.Record], messages: Sequence[bytes], waits: list[float]
) -> None:
    for message in messages:
        begun = time.perf_counter()
        await connection.execute("INSERT INTO public.raw_feed VALUES ($1)", message)
        waits.append(time.perf_counter() - begun)
