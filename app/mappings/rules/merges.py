"""Two hospital numbers that are one person's: what a merge says of the trial's subjects.

HL7 v2.5.1 3.3.40 (ADT^A40). Nothing of it is FHIR: both numbers are linked to the one subject in
the schema `identity`, and what waited under the new number is processed. Both are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from app.mappings.context import Resolutions
from app.mappings.elements import Element, Elements, no_elements
from app.mappings.facts import Fact
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import Patient
from app.mappings.subjects import Linked, Mrn, NumberMerge, PatientClaim, Subject


@dataclass(frozen=True, slots=True)
class MergeRecord:
    """One merge: `old` is who the number belonged to, `patient` who it belongs to now."""

    place: str
    span: Span
    old: Patient = field(repr=False)
    patient: Patient = field(repr=False)
    elements: Elements = field(default_factory=no_elements, repr=False)


def map_merges(
    records: Iterable[MergeRecord],
    claims: Mapping[Patient, PatientClaim],
    subjects: Resolutions,
) -> list[Fact]:
    """A fact per merge."""
    return [_map_merge(ordinal, record, claims, subjects) for ordinal, record in enumerate(records)]


def _map_merge(
    ordinal: int,
    record: MergeRecord,
    claims: Mapping[Patient, PatientClaim],
    subjects: Resolutions,
) -> Fact:
    fact = Fact(ordinal, record.place, record.span, elements=record.elements)
    numbers = NumberMerge(*(_numbers(claims, key) for key in (record.old, record.patient)))
    if not numbers.old or not numbers.new:
        detail = "a merge without a patient number of an accepted type on each side"
        return fact.failed(Failure(Reason.STRUCTURE, detail, Element.SUBJECT))
    found = [subjects[record.old], subjects[record.patient]]
    failures = [each for each in found if isinstance(each, Failure)]
    if refused := next((each for each in failures if not _is_unknown(each)), None):
        return fact.failed(refused)
    known = [each for each in found if isinstance(each, Subject)]
    if not known:
        keys = tuple(key for each in failures for key in each.waiting_keys)
        return fact.failed(replace(failures[0], waiting_keys=keys))
    if len({each.number for each in known}) > 1:
        return fact.failed(AMBIGUOUS)
    return replace(fact, subject=known[0], analyte="merge", merge=numbers)


AMBIGUOUS = Failure(
    Reason.PATIENT_AMBIGUOUS, "the merged numbers belong to different subjects", Element.SUBJECT
)


def _numbers(claims: Mapping[Patient, PatientClaim], key: Patient) -> tuple[Mrn, ...]:
    claim = claims.get(key)
    return claim.mrns if claim else ()


def _is_unknown(failure: Failure) -> bool:
    return failure.reason is Reason.PATIENT_UNKNOWN


def settle_merge(fact: Fact, linked: Linked) -> Fact:
    """The merge's fact with what linking came to."""
    if linked.outcome == "linked":
        detail = "both numbers are the subject's"
        return replace(fact.settled(Outcome.STORED, detail), waiting_keys=linked.waiting_keys)
    if linked.outcome == "unchanged":
        return fact.settled(Outcome.UNCHANGED, "both numbers were the subject's before")
    if linked.outcome == "ambiguous":
        return fact.failed(AMBIGUOUS)
    unknown = Failure(Reason.STRUCTURE, "the numbers are no subject's any more", Element.SUBJECT)
    return fact.failed(unknown)
