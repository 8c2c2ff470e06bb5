"""Measurements and doses as packed columns: fixed-width records that PostgreSQL copies out in its
binary format and NumPy reads without a loop. Two million of them take a second.

COPY's binary format: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Packed: TypeAlias = NDArray[Any]

NEVER = np.iinfo(np.int64).max
NO_DAY = np.iinfo(np.int32).max
"""`infinity` of a timestamptz and a date: a time that is not known."""

FIELDS = (
    ("subject", "i8"),
    ("key", "i8"),
    ("version", "i4"),
    ("begin", "i8"),
    ("day", "i4"),
    ("value", "f8"),
    ("flags", "i4"),
)
"""`subject` and `key` are PostgreSQL's 64-bit hashes of the subject number and the resource's id;
`begin` microseconds and `day` days since 2000-01-01, `value` NaN where there is none, `flags` as
below."""

NOT_TIMED = 1
STATUS = 2
ABSENT = 4
ANALYTIC_SUSPECT = 8
SCALE_SUSPECT = 16
COMPARATOR = 32
OTHER_UNIT = 64
"""Flags of a row: known to the day only; a status that is not valid; data absent; in review; a
comparator beside the number; not in the canonical unit."""

HEADER_BYTES = 19
TRAILER_BYTES = 2

_WIRE = np.dtype(
    [("fields", ">i2")]
    + [part for name, kind in FIELDS for part in ((f"{name}_length", ">i4"), (name, f">{kind}"))]
)
PACKED = np.dtype([(name, kind) for name, kind in FIELDS])


def parse_copy(data: bytes | bytearray | memoryview) -> Packed:
    """The rows of one binary COPY of `FIELDS`; ValueError if it is anything else."""
    body = memoryview(data)[HEADER_BYTES : len(data) - TRAILER_BYTES]
    if len(body) % _WIRE.itemsize:
        raise ValueError("the copied rows are not of the expected width")
    wire = np.frombuffer(body, _WIRE)
    if not (wire["fields"] == len(FIELDS)).all():
        raise ValueError("the copied rows have another number of columns")
    packed = np.empty(len(wire), PACKED)
    for name, _ in FIELDS:
        packed[name] = wire[name]
    return packed


def pack(rows: Iterable[tuple[Any, ...]]) -> Packed:
    """The same from tuples in the order of `FIELDS`."""
    return np.array(list(rows), PACKED)
