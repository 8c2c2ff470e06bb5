"""The statistics process: jobs in on standard input, answers out on standard output.

Started by `app.endpoints.process` as `python -m app.endpoints.worker`; ends with its input. This
is the only place where a web worker's computations meet SciPy.
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

from app.endpoints.analysis_rows import compute_platelet_change_subjects
from app.endpoints.model import Rows
from app.endpoints.platelet_change import compute_platelet_change
from app.endpoints.rows import map_rows

LENGTH = struct.Struct(">Q")
DONE = b"\x00"
FAILED = b"\x01"

JOBS: Mapping[str, Callable[[Any, Rows], bytes]] = MappingProxyType(
    {
        "platelet-change": compute_platelet_change,
        "platelet-change/subjects": compute_platelet_change_subjects,
    }
)


def main() -> None:
    """Serves until standard input ends; whatever prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    while header := jobs.read(LENGTH.size):
        (length,) = LENGTH.unpack(header)
        status, body = run(jobs.read(length))
        answers.write(status + LENGTH.pack(len(body)) + body)
        answers.flush()


def run(payload: bytes) -> tuple[bytes, bytes]:
    """The job's answer, or where it failed: never the error's text, which may hold a value."""
    try:
        job, request, rows = pickle.loads(payload)
        return DONE, JOBS[job](request, map_rows(rows))
    except Exception as failure:
        place = traceback.extract_tb(failure.__traceback__)[-1]
        told = f"{type(failure).__name__} in {place.name}, line {place.lineno}"
        return FAILED, told.encode()


if __name__ == "__main__":
    main()
