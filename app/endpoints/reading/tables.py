"""All that was read for one answer, as records and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.endpoints.reading.columns import Packed
from app.endpoints.reading.records import Record, Rows
from app.endpoints.reading.statements import Row, map_rows

RecordFrame = tuple[bool, Mapping[type[Record], Sequence[Row]], Sequence[str], Sequence[int]]
"""Whether participants are few enough to be listed, the rows by table, and everyone named in them
with PostgreSQL's hash of the name."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """`numbers` are the subject numbers, in order, and `hashes` what stands for them in the columns
    `counts` and `doses`. `listed`: few enough for every row to be told one by one; only then are
    Measurement and Dose among `rows` of every endpoint."""

    rows: Rows
    numbers: tuple[str, ...]
    hashes: NDArray[np.int64]
    counts: Packed
    doses: Packed
    listed: bool


def build_tables(frame: RecordFrame, counts: Packed, doses: Packed) -> Tables:
    listed, tables, numbers, hashes = frame
    records = {kind: map_rows(kind, rows) for kind, rows in tables.items()}
    return Tables(Rows(records), tuple(numbers), np.array(hashes, np.int64), counts, doses, listed)
