"""What the trial database knows of the study's subjects now, as plain records. Nothing identifies.

The FHIR store may hold participants of other studies: they are none of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.database import Database
from app.trial.codes import STUDY_ID

SELECT = f"""
SELECT s.subject, s.study, s.status, s.arm, s.clinical_date AS consented, s.ended,
       s.age_at_consent, s.synthetic, d.gender, d.birth_year, c.code AS diagnosis
  FROM trial.subject AS s
  LEFT JOIN trial.demographic AS d ON d.subject = s.subject AND upper_inf(d.system)
  LEFT JOIN LATERAL (
    SELECT code FROM trial.diagnosis AS c
     WHERE c.subject = s.subject AND upper_inf(c.system)
       AND c.verification IS DISTINCT FROM 'entered-in-error'
     ORDER BY c.resource_id LIMIT 1) AS c ON true
 WHERE upper_inf(s.system) AND s.study = '{STUDY_ID}'
"""


@dataclass(frozen=True, slots=True)
class SubjectSummary:
    number: str
    study: str
    status: str
    arm: str | None
    consent_date: date | None
    ended: date | None
    age_at_consent: int | None
    gender: str | None
    birth_year: int | None
    diagnosis: str | None
    synthetic: bool


async def fetch_subjects(database: Database, after: str, count: int) -> list[SubjectSummary]:
    """At most `count` subjects in the order of their numbers, from the one that follows `after`.

    Numbers are ordered as numbers: SSCI-999 comes before SSCI-1000.
    """
    async with database.reading() as connection:
        rows = await connection.fetch(
            f"{SELECT} AND (length(s.subject), s.subject) > (length($1), $1)"
            " ORDER BY length(s.subject), s.subject, s.resource_id LIMIT $2",
            after,
            count,
        )
    return [_summary(dict(row)) for row in rows]


async def fetch_subject(database: Database, number: str) -> SubjectSummary | None:
    async with database.reading() as connection:
        row = await connection.fetchrow(
            f"{SELECT} AND s.subject = $1 ORDER BY s.resource_id LIMIT 1", number
        )
    return _summary(dict(row)) if row else None


def _summary(row: Mapping[str, Any]) -> SubjectSummary:
    return SubjectSummary(
        number=row["subject"],
        study=row["study"],
        status=row["status"],
        arm=row["arm"],
        consent_date=row["consented"],
        ended=row["ended"],
        age_at_consent=row["age_at_consent"],
        gender=row["gender"],
        birth_year=row["birth_year"],
        diagnosis=row["diagnosis"],
        synthetic=row["synthetic"],
    )
