"""Reads the trial database as it was known at one instant and up to one clinical time.

`system @> asOf` selects the version of each row that was current then; rows without a clinical
time are read too, so that they can be listed. Nothing is decoded here: the web worker hands the
bytes and tuples on, the statistics process makes records and columns of them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, tzinfo
from typing import Any

from app.database import ReadConnection
from app.endpoints.reading.records import (
    ActivityScore,
    AdverseEvent,
    Attendance,
    Bleeding,
    ClinicalTime,
    Cut,
    Demographic,
    Diagnosis,
    Dose,
    Eligibility,
    Measurement,
    Record,
    Source,
    Subject,
    Treatment,
)
from app.trial import STUDY_ID, Protocol

Row = tuple[Any, ...]
Write = Callable[[bytes], Coroutine[Any, Any, None]]
"""Takes one frame on its way to the statistics process."""

TABLES: dict[type[Record], str] = {
    Subject: "subject",
    Demographic: "demographic",
    Diagnosis: "diagnosis",
    Measurement: "measurement",
    Dose: "dose",
    Attendance: "visit",
    AdverseEvent: "adverse_event",
    ActivityScore: "activity_score",
    Bleeding: "bleeding",
    Treatment: "treatment",
    Eligibility: "eligibility",
}

COLUMN_NAMES = {
    (Dose, "origin"): "source",
    (Treatment, "group"): "class",
    (Measurement, "key"): "hashtextextended(resource_id, 0)",
    (Dose, "key"): "hashtextextended(resource_id, 0)",
}
"""Where a record's name differs from the table's."""

FRAME_BYTES = 256 * 1024
"""PostgreSQL tells its rows in pieces of some kilobytes: so much is passed on at once."""

LISTED = 1000
"""Up to this many participants, answers list who and which inputs."""

KNOWN = "system @> $1::timestamptz and (clinical_from is null or clinical_from < $2)"
AMONG = "($3::text[] is null or subject = any($3))"


def own_fields(kind: type[Record]) -> tuple[str, ...]:
    """The fields of a record beyond subject, when and source."""
    return tuple(each.name for each in fields(kind))[3:]


def _select(kind: type[Record]) -> str:
    names = [COLUMN_NAMES.get((kind, name), name) for name in own_fields(kind)]
    last = "((clinical_to - interval '1 microsecond') at time zone $4::text)::date"
    return (
        f"select subject, clinical_from, precision, clinical_date,"
        f" case when isfinite(clinical_to) then {last} end,"
        f" resource_type, resource_id, resource_version"
        + "".join(f", {name}" for name in names)
        + f" from trial.{TABLES[kind]} where {KNOWN} and {AMONG}"
    )


SELECT = {kind: _select(kind) for kind in TABLES} | {
    Subject: f"{_select(Subject)} and study = '{STUDY_ID}'"
}
"""Other studies' participants are none here."""

SELECT_HASHES = "select hashtextextended(subject, 0) from unnest($1::text[]) subject"

SMALLEST = "0.000001"
LARGEST = "1000000"
"""Outside these (0 is inside) a count or a dose is a slip of the pen, and no double may hold it."""

IMPOSSIBLE = -1.0
"""What such a number is read as."""


def _number(column: str) -> str:
    return (
        f"(case when {column} between {SMALLEST} and {LARGEST} or {column} = 0 then {column}"
        f" when {column} is null then 'NaN' else {IMPOSSIBLE:g} end)::float8"
    )


_FLAGS = """
    (coalesce(precision, 'day') in ('year', 'month', 'day'))::int
    + 2 * (status <> all($4::text[]))::int"""


def _copy_counts(key: str) -> str:
    return f"""
    select hashtextextended(subject, 0), {key}, resource_version,
        coalesce(clinical_from, 'infinity'), coalesce(clinical_date, 'infinity'),
        {_number("value")},
        {_FLAGS} + 4 * (data_absent_reason is not null)::int + 8 * analytic_suspect::int
        + 16 * scale_suspect::int + 32 * (comparator is not null)::int
        + 64 * (unit is distinct from $6)::int
    from trial.measurement where {KNOWN} and {AMONG} and kind = $5
    """


COPY_COUNTS = {
    True: _copy_counts("hashtextextended(resource_id, 0)"),
    False: _copy_counts("0::int8"),
}
"""Columns of `columns.FIELDS`, by whether participants are listed: where they are not, no row is
looked up by its key. It decides between rows of equal instant and value only, which give the same
figures, and to hash two million ids takes its time."""

COPY_DOSES = f"""
    select hashtextextended(subject, 0), hashtextextended(resource_id, 0), resource_version,
        coalesce(clinical_from, 'infinity'), coalesce(clinical_date, 'infinity'),
        {_number("amount")},
        {_FLAGS}
    from trial.dose where {KNOWN} and {AMONG}
"""

SELECT_NUMBERS = f"""
    select subject from trial.subject
    where {KNOWN} and study = $3 and ($4::text is null or subject > $4)
    group by subject order by subject limit $5
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer reads: records of `needs`, the counts of `kind` and the doses, of all or of
    the named participants."""

    cut: Cut
    zone: tzinfo
    protocol: Protocol
    kind: str
    needs: frozenset[type[Record]]
    subjects: tuple[str, ...] | None = None

    @property
    def _clocks(self) -> tuple[Any, ...]:
        among = None if self.subjects is None else list(self.subjects)
        return self.cut.as_of, self.cut.before, among

    async def send(self, connection: ReadConnection, write: Write) -> None:
        """Everything as frames: records by table, then counts and doses as COPY's bytes."""
        tables, listed = await self._fetch_tables(connection)
        numbers = sorted({row[0] for rows in tables.values() for row in rows})
        hashes = [row[0] for row in await connection.fetch(SELECT_HASHES, numbers)]
        told = (listed, tables, numbers, hashes)
        await write(pickle.dumps(told, pickle.HIGHEST_PROTOCOL))
        rules = self.protocol.measurements[self.kind]
        statuses = list(rules.valid_statuses)
        counts = (*self._clocks, statuses, self.kind, rules.unit)
        await self._copy(connection, write, COPY_COUNTS[listed], counts)
        doses = (*self._clocks, list(self.protocol.dosing.first_dose_statuses))
        await self._copy(connection, write, COPY_DOSES, doses)

    async def _fetch_tables(
        self, connection: ReadConnection
    ) -> tuple[dict[type[Record], list[Row]], bool]:
        subjects = await self._fetch(connection, Subject)
        tables: dict[type[Record], list[Row]] = {Subject: subjects}
        listed = len(subjects) <= LISTED
        details: set[type[Record]] = {Measurement, Dose} if listed else set()
        for kind in sorted((self.needs | details) - {Subject}, key=lambda each: each.__name__):
            tables[kind] = await self._fetch(connection, kind)
        return tables, listed

    async def _fetch(self, connection: ReadConnection, kind: type[Record]) -> list[Row]:
        rows = await connection.fetch(SELECT[kind], *self._clocks, str(self.zone))
        return [tuple(row) for row in rows]

    @staticmethod
    async def _copy(
        connection: ReadConnection, write: Write, sql: str, values: Sequence[Any]
    ) -> None:
        held = bytearray()

        async def hold(chunk: bytes) -> None:
            held.extend(chunk)
            if len(held) >= FRAME_BYTES:
                await write(bytes(held))
                held.clear()

        await connection.copy_out(sql, *values, write=hold)
        if held:
            await write(bytes(held))
        await write(b"")


def map_rows(kind: type[Record], rows: Sequence[Row]) -> list[Record]:
    """Records from the rows of `SELECT[kind]`."""
    return [_map_row(kind, *row) for row in rows]


def _map_row(
    kind: type[Record],
    subject: str,
    begin: datetime | None,
    precision: str | None,
    day: date | None,
    last_day: date | None,
    resource_type: str,
    id_: str,
    version: int,
    *own: Any,
) -> Record:
    when = ClinicalTime(begin, precision, day, last_day) if begin and precision else None
    source = Source(resource_type, id_, version)
    if list in map(type, own):
        own = tuple(tuple(each) if isinstance(each, list) else each for each in own)
    return kind(subject, when, source, *own)


async def fetch_numbers(
    connection: ReadConnection, cut: Cut, after: str | None, limit: int
) -> list[str]:
    """The next subject numbers of the study after one, in order."""
    clocks = (cut.as_of, cut.before)
    rows = await connection.fetch(SELECT_NUMBERS, *clocks, STUDY_ID, after, limit)
    return [row[0] for row in rows]
