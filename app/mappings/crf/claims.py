"""Whom case report form records are about: a subject number, never a hospital number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.mappings.crf.records import CrfRecord
from app.mappings.subjects import SUBJECT_NUMBERS, PatientClaim


def read_claims(records: Iterable[CrfRecord]) -> Mapping[str, PatientClaim]:
    """A claim by each number as sent."""
    numbers = dict.fromkeys(each.subject for each in records if each.failure is None)
    return {number: _claim(number) for number in numbers}


def _claim(number: str) -> PatientClaim:
    known = ((SUBJECT_NUMBERS, number.upper()),) if number else ()
    return PatientClaim(known, (), "")
