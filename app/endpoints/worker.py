"""The statistics process: jobs in on standard input, answers out on standard output.

Started by `app.endpoints.process` as `python -m app.endpoints.worker`; ends with its input. This
is the only place where a web worker's computations meet SciPy. A job is a frame of (job, request),
a frame of records, and two runs of chunks (counts, doses), each ended by an empty frame.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, BinaryIO

from app.endpoints.analyses.answering import compute_answer
from app.endpoints.analyses.measuring import compute_measure
from app.endpoints.analyses.timeline import compute_timeline
from app.endpoints.reading.columns import parse_copy
from app.endpoints.reading.tables import Tables, build_tables

LENGTH = struct.Struct(">Q")
DONE = b"\x00"
FAILED = b"\x01"

JOBS: Mapping[str, Callable[[Any, Tables], bytes]] = MappingProxyType(
    {"endpoint": compute_answer, "measure": compute_measure, "timeline": compute_timeline}
)


def main() -> None:
    """Serves until standard input ends; whatever prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    while header := jobs.read(LENGTH.size):
        frame = _read_body(jobs, header)
        status, body = run(frame, jobs)
        answers.write(status + LENGTH.pack(len(body)) + body)
        answers.flush()


def run(job_frame: bytes, frames: BinaryIO) -> tuple[bytes, bytes]:
    """The job's answer, or where it failed: never the error's text, which may hold a value."""
    records, counts, doses = read_frame(frames), read_chunks(frames), read_chunks(frames)
    try:
        job, request = pickle.loads(job_frame)
        tables = build_tables(pickle.loads(records), parse_copy(counts), parse_copy(doses))
        return DONE, JOBS[job](request, tables)
    except Exception as failure:
        place = traceback.extract_tb(failure.__traceback__)[-1]
        told = f"{type(failure).__name__} in {place.name}, line {place.lineno}"
        return FAILED, told.encode()


def read_frame(frames: BinaryIO) -> bytes:
    return _read_body(frames, frames.read(LENGTH.size))


def _read_body(frames: BinaryIO, header: bytes) -> bytes:
    (length,) = LENGTH.unpack(header)
    return frames.read(length)


def read_chunks(frames: BinaryIO) -> bytearray:
    """The frames up to the next empty one, joined."""
    whole = bytearray()
    while chunk := read_frame(frames):
        whole += chunk
    return whole


if __name__ == "__main__":
    main()
