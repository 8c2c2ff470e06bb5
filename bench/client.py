"""Load over HTTP/1.1 from processes of our own, where `wrk` is absent.

    python -m bench.client PORT PATH CLIENTS SECONDS [BODY_FILE]

Each client keeps one connection and asks again as soon as it has its answer. Prints how many
answers came within the time; fails where one is no 2xx.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httptools
import uvloop


class _Client(asyncio.Protocol):
    """One connection; the parser calls `on_message_complete`."""

    def __init__(self, request: bytes, deadline: float) -> None:
        self._request = request
        self._deadline = deadline
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.answers = 0
        self.trouble = ""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._transport is not None
        status = self._parser.get_status_code()
        if not 200 <= status < 300:
            self.trouble = f"status {status}"
        if self.trouble or time.monotonic() >= self._deadline:
            self._transport.close()
            return
        self.answers += 1
        self._transport.write(self._request)

    def connection_lost(self, _failure: Exception | None) -> None:
        if time.monotonic() < self._deadline and not self.trouble:
            self.trouble = "the connection was closed"
        if not self.done.done():
            self.done.set_result(None)


def requests_per_second(
    port: int, path: str, body: bytes | None, clients: int, seconds: float
) -> float:
    """The answers of all clients per second, from half as many processes as there are cores."""
    processes = min(clients, max(1, (os.cpu_count() or 1) // 2))
    shares = [len(range(number, clients, processes)) for number in range(processes)]
    with tempfile.NamedTemporaryFile() as held:
        held.write(body or b"")
        held.flush()
        tail = [str(seconds), *([held.name] if body is not None else [])]
        command = [sys.executable, "-m", "bench.client", str(port), path]
        running = [
            subprocess.Popen([*command, str(share), *tail], stdout=subprocess.PIPE, text=True)
            for share in shares
        ]
        said = [each.communicate()[0].strip() for each in running]
    if any(each.returncode for each in running):
        raise SystemExit(f"{path}: {said}")
    return sum(map(float, said)) / seconds


async def _run(port: int, request: bytes, clients: int, seconds: float) -> list[_Client]:
    loop = asyncio.get_running_loop()
    deadline = time.monotonic() + seconds
    held = [_Client(request, deadline) for _ in range(clients)]
    for client in held:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
    await asyncio.wait_for(asyncio.gather(*(client.done for client in held)), seconds + 60)
    return held


def _request(port: int, path: str, body: bytes | None) -> bytes:
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    if body is not None:
        lines += ["Content-Type: application/fhir+json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b"")


def main() -> None:
    port, path, clients, seconds = sys.argv[1:5]
    body = Path(sys.argv[5]).read_bytes() if len(sys.argv) > 5 else None
    request = _request(int(port), path, body)
    held = uvloop.run(_run(int(port), request, int(clients), float(seconds)))
    troubles = {client.trouble for client in held if client.trouble}
    print(", ".join(sorted(troubles)) or sum(client.answers for client in held))
    if troubles:
        sys.exit(1)


if __name__ == "__main__":
    main()
