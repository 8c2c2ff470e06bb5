"""The statistics process as the web worker sees it: a bounded queue before one subprocess.

SciPy costs 200 MB and two seconds to import, so it lives in a process of its own: started with
the first job, started again if it died, killed when a job takes too long.
"""

from __future__ import annotations

import asyncio
import copyreg
import io
import pickle
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app.errors import Category, SsciError, error

PROJECT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "app.endpoints.worker")
LENGTH = struct.Struct(">Q")
FAILED = b"\x01"

Write = Callable[[bytes], Coroutine[Any, Any, None]]
"""Takes one frame; an empty one ends a run of chunks."""

Send = Callable[[Write], Awaitable[None]]
"""Writes all frames of one job's rows."""


def read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    """What a read-only mapping is made of again on the other side."""
    return MappingProxyType(mapping)


class _Pickler(pickle.Pickler):
    """The protocol's read-only mappings pass as dictionaries that are wrapped again."""

    dispatch_table = copyreg.dispatch_table | {
        MappingProxyType: lambda mapping: (read_only, (dict(mapping),))
    }


def encode_job(job: object, request: object) -> bytes:
    """The frame that opens a job."""
    frame = io.BytesIO()
    _Pickler(frame, pickle.HIGHEST_PROTOCOL).dump((job, request))
    return frame.getvalue()


class StatisticsProcess:
    """Computes one job at a time; at most `queue` requests wait or run.

    UNAVAILABLE with Retry-After if the queue is full, a job takes longer than `timeout` seconds
    or the process dies; FAULT if the job itself fails.
    """

    def __init__(
        self, *, timeout: float = 30.0, queue: int = 16, command: tuple[str, ...] = COMMAND
    ) -> None:
        self._timeout = timeout
        self._queue = queue
        self._command = command
        self._requests = 0
        self._turn = asyncio.Lock()
        self._process: Process | None = None

    @property
    def process_id(self) -> int | None:
        """The subprocess that is running now, if one is."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and alive else None

    async def compute(self, job: str, request: object, send: Send) -> bytes:
        """The bytes that the named job of `worker.JOBS` makes of a picklable request and the frames
        that `send` writes, which begins when the process is free."""
        if self._requests >= self._queue:
            raise _unavailable("too many computations are waiting", "transient", retry_after=5)
        self._requests += 1
        try:
            async with self._turn:
                return await self._exchange(encode_job(job, request), send)
        finally:
            self._requests -= 1

    async def stop(self) -> None:
        """Ends the subprocess; a later job starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.communicate()

    async def _exchange(self, job: bytes, send: Send) -> bytes:
        """One job; a subprocess whose exchange did not end well is of no further use."""
        try:
            async with asyncio.timeout(self._timeout):
                status, body = await self._ask(await self._running(), job, send)
        except TimeoutError:
            await self.stop()
            reason = f"the computation took longer than {self._timeout:g} s"
            raise _unavailable(reason, "too-costly", retry_after=60) from None
        except (OSError, asyncio.IncompleteReadError) as failure:
            await self.stop()
            reason = "the statistics process ended during the computation"
            raise _unavailable(reason, "transient", retry_after=1) from failure
        except BaseException:
            await self.stop()
            raise
        if status == FAILED:
            raise error(Category.FAULT, f"the computation failed: {body.decode()}")
        return body

    async def _running(self) -> Process:
        if self.process_id is None:
            await self.stop()
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, cwd=PROJECT
            )
        assert self._process is not None
        return self._process

    @staticmethod
    async def _ask(process: Process, job: bytes, send: Send) -> tuple[bytes, bytes]:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin = process.stdin

        async def write(frame: bytes) -> None:
            stdin.write(LENGTH.pack(len(frame)))
            stdin.write(frame)
            await stdin.drain()

        await write(job)
        await send(write)
        status = await process.stdout.readexactly(1)
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        return status, await process.stdout.readexactly(length)


def _unavailable(reason: str, code: str, *, retry_after: int) -> SsciError:
    headers = {"Retry-After": str(retry_after)}
    return error(Category.UNAVAILABLE, reason, code=code, headers=headers)
