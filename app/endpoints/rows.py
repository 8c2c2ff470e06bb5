"""Reads the trial database as it was known at one instant and up to one clinical time.

`system @> asOf` selects the version of each row that was current then; rows without a clinical
time are read too, so that they can be listed. The web worker passes the rows on as plain tuples;
the statistics process makes records of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.database import ReadConnection
from app.endpoints.model import (
    ClinicalTime,
    Cut,
    Dose,
    Measurement,
    Rows,
    Source,
    Subject,
)
from app.trial import STUDY_ID

_KNOWN = "system @> $1::timestamptz and (clinical_from is null or clinical_from < $2)"
_SOURCE = "resource_type, resource_id, resource_version"

SELECT_SUBJECTS = f"""
    select subject, clinical_from is not null or consent is not null, {_SOURCE}
    from trial.subject where {_KNOWN} and study = $3
"""
"""Consent is recorded if it has a date or a document. Other studies' participants are none here."""

SELECT_MEASUREMENTS = f"""
    select subject, clinical_from, precision, value, unit, comparator, status,
        analytic_suspect, scale_suspect, data_absent_reason, {_SOURCE}
    from trial.measurement where {_KNOWN} and kind = $3
"""

SELECT_DOSES = f"""
    select subject, clinical_from, precision, amount, unit, status, {_SOURCE}
    from trial.dose where {_KNOWN}
"""


Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows in the order of the columns that the statements above select."""

    subjects: list[Row]
    measurements: list[Row]
    doses: list[Row]


async def fetch_rows(connection: ReadConnection, cut: Cut, kind: str) -> RawRows:
    """The study's subjects, all measurements of one kind and all doses under a cut: one statement
    per table."""
    clocks = (cut.as_of, cut.before)
    subjects = await connection.fetch(SELECT_SUBJECTS, *clocks, STUDY_ID)
    measurements = await connection.fetch(SELECT_MEASUREMENTS, *clocks, kind)
    doses = await connection.fetch(SELECT_DOSES, *clocks)
    return RawRows(*([tuple(row) for row in rows] for rows in (subjects, measurements, doses)))


def map_rows(raw: RawRows) -> Rows:
    return Rows(
        tuple(map(map_subject, raw.subjects)),
        tuple(map(map_measurement, raw.measurements)),
        tuple(map(map_dose, raw.doses)),
    )


def map_subject(row: Row) -> Subject:
    subject, consented, *source = row
    return Subject(subject, consented, Source(*source))


def map_measurement(row: Row) -> Measurement:
    subject, begin, precision, value, unit, comparator, status, *flags, absent = row[:-3]
    analytic_suspect, scale_suspect = flags
    return Measurement(
        subject,
        _clinical_time(begin, precision),
        value,
        unit,
        comparator,
        status,
        analytic_suspect,
        scale_suspect,
        absent,
        Source(*row[-3:]),
    )


def map_dose(row: Row) -> Dose:
    subject, begin, precision, amount, unit, status, *source = row
    return Dose(subject, _clinical_time(begin, precision), amount, unit, status, Source(*source))


def _clinical_time(begin: datetime | None, precision: str | None) -> ClinicalTime | None:
    return ClinicalTime(begin, precision) if begin and precision else None
