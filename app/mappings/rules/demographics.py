"""What a message says of a participant's sex and birth year → facts about the coded Patient.

The coded Patient holds subject number, gender and birth year, and nothing else; enrolment wrote it.
What it lacks is added, what it has is never changed: a difference is a review (`decisions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from app.fhir import Json
from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element, Elements, no_elements
from app.mappings.facts import Candidate, Fact, ResultOrder
from app.mappings.frame import Span
from app.mappings.parsing.times import parse_time
from app.mappings.parsing.values import fold_word
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import Patient
from app.mappings.rules.results import read_instant
from app.mappings.subjects import Subject

GENDERS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("f", "female", "女", "女性"), "female"),
        **dict.fromkeys(("m", "male", "男", "男性"), "male"),
        **dict.fromkeys(("o", "a", "other"), "other"),
    }
)
NOT_TOLD = frozenset({"", '""', "u", "n", "unknown", "未知", "不详"})
"""HL7 table 0001; `N` (not applicable) and `U` tell nothing of a person."""


@dataclass(frozen=True, slots=True)
class DemographicRecord:
    """Sex and birth date of a patient, as sent."""

    place: str
    span: Span
    patient: Patient = field(default=None, repr=False)
    elements: Elements = field(default_factory=no_elements, repr=False)
    sex: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    recorded: str = ""
    sent: str = ""


def map_demographics(
    records: Iterable[DemographicRecord], context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per patient."""
    return [
        _map_one(ordinal, record, context, subjects[record.patient])
        for ordinal, record in enumerate(records)
    ]


def _map_one(
    ordinal: int, record: DemographicRecord, context: Context, subject: Subject | Failure
) -> Fact:
    fact = Fact(ordinal, record.place, record.span, elements=record.elements)
    if isinstance(subject, Failure):
        return fact.failed(subject)
    fact = replace(fact, subject=subject, analyte="demographics")
    told = _read(record, context)
    if isinstance(told, Failure):
        return fact.failed(told)
    if not told:
        return fact.settled(Outcome.NOT_RECORDED, "neither sex nor birth year")
    kind, _, id = subject.reference.partition("/")
    order = ResultOrder(
        None,
        read_instant(record.recorded, context),
        read_instant(record.sent, context),
        context.source.received,
    )
    candidate = Candidate({"resourceType": kind, "id": id, **told}, order, needs_original=True)
    return replace(
        fact,
        resource_type=kind,
        resource_id=id,
        effective=order.reported or order.sent,
        order=order,
        candidate=candidate,
    )


def _read(record: DemographicRecord, context: Context) -> Json | Failure:
    """Gender and birth year as far as they are told."""
    told: Json = {}
    sex = fold_word(record.sex)
    if sex not in NOT_TOLD:
        if sex not in GENDERS:
            return Failure(Reason.CODE_UNMAPPED, "no sex of HL7 table 0001", Element.CODE)
        told["gender"] = GENDERS[sex]
    born = parse_time(record.birth_date, context.setting.zone, Element.BIRTH_DATE)
    if isinstance(born, Failure):
        return born
    if born is not None:
        told["birthDate"] = born.text[:4]
    return told
