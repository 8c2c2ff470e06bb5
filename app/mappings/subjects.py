"""Whom a message is about: from what it says of a patient to a subject of the trial, or why not.

Unknown patients are the normal case on a hospital feed; nothing of them is mapped. No record here
shows what it holds when it is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

from app.database import ReadConnection, WriteConnection
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.elements import Element
from app.mappings.reasons import Failure, Reason
from app.mappings.records import PatientRecord
from app.trial import (
    SUBJECT_NUMBER,
    EnrolledSubject,
    IdentityKeys,
    birth_date_hmac,
    fetch_subjects_by_mrn,
    fetch_subjects_by_number,
    mrn_hmac,
    name_hmac,
    relink_mrn,
)

Mrn = tuple[str, str]

SUBJECT_NUMBERS = SUBJECT_NUMBER
"""The authority of the trial's own numbers, by which the site's records name a subject."""


@dataclass(frozen=True, slots=True)
class PatientClaim:
    """Who a message says the patient is: hospital numbers with their authorities, names, birth date
    (the digits sent)."""

    mrns: tuple[Mrn, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    birth_date: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of the trial. `mismatch` if name or birth date are not those enrolled; `since` and
    `until`: the days of consent and of the end of participation."""

    number: str
    reference: str
    synthetic: bool = False
    mismatch: bool = False
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a claim: the distinct subjects behind its numbers, and the keys under which
    its facts wait for enrolment if there are none."""

    subjects: tuple[Subject, ...]
    waiting_keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberMerge:
    """Hospital numbers that are one person's, as a merge says."""

    old: tuple[Mrn, ...] = field(repr=False)
    new: tuple[Mrn, ...] = field(repr=False)


Linking = Literal["linked", "unchanged", "unknown", "ambiguous"]
LINKINGS: tuple[Linking, ...] = ("ambiguous", "linked", "unchanged", "unknown")
"""Of several, the first counts."""


@dataclass(frozen=True, slots=True)
class Linked:
    """What linking merged numbers came to, and the keys under which facts wait for those added."""

    outcome: Linking
    waiting_keys: tuple[bytes, ...] = field(default=(), repr=False)


class SubjectDirectory(Protocol):
    """Finds subjects by hospital number; what the trial's identity schema answers. `link` gives
    merged numbers to the one subject who has any of them; again, it changes nothing."""

    async def find(
        self, connection: ReadConnection, claims: Sequence[PatientClaim]
    ) -> Mapping[PatientClaim, Found]: ...

    async def link(
        self, connection: WriteConnection, merge: NumberMerge, at: datetime
    ) -> Linked: ...


@dataclass(frozen=True, slots=True)
class TrialDirectory:
    """The directory that asks the trial's schema `identity`. `read_keys`: the keys now, which a
    rotation may have changed; numbers that are linked are encrypted under them."""

    keys: IdentityKeys = field(repr=False)
    read_keys: Callable[[], IdentityKeys] | None = field(default=None, repr=False)

    async def find(
        self, connection: ReadConnection, claims: Sequence[PatientClaim]
    ) -> Mapping[PatientClaim, Found]:
        named = {mrn for claim in claims for mrn in claim.mrns}
        numbers = {mrn: mrn[1] for mrn in named if mrn[0] == SUBJECT_NUMBERS}
        known = await fetch_subjects_by_mrn(connection, self.keys, sorted(named - numbers.keys()))
        if numbers:
            found = await fetch_subjects_by_number(connection, sorted(numbers.values()))
            known |= {mrn: found[number] for mrn, number in numbers.items() if number in found}
        return {
            claim: Found(self._subjects(claim, known), self._waiting_keys(claim))
            for claim in claims
        }

    async def link(self, connection: WriteConnection, merge: NumberMerge, at: datetime) -> Linked:
        keys = self.read_keys() if self.read_keys else self.keys
        found = [
            await relink_mrn(connection, keys, old, new, at)
            for old in merge.old
            for new in merge.new
        ]
        outcomes = [each.outcome for each in found]
        strongest: Linking = min(outcomes, key=LINKINGS.index, default="unknown")
        added = [hashed for each in found for _, hashed in each.replay]
        return Linked(strongest, tuple(dict.fromkeys(added)))

    def _waiting_keys(self, claim: PatientClaim) -> tuple[bytes, ...]:
        return tuple(mrn_hmac(self.keys, authority, mrn) for authority, mrn in claim.mrns)

    def _subjects(
        self, claim: PatientClaim, found: Mapping[Mrn, EnrolledSubject]
    ) -> tuple[Subject, ...]:
        enrolled = {found[mrn].number: found[mrn] for mrn in claim.mrns if mrn in found}
        return tuple(
            Subject(
                *(each.number, each.patient_reference, each.synthetic),
                self._differs(claim, each),
                each.consented,
                each.ended,
            )
            for each in enrolled.values()
        )

    def _differs(self, claim: PatientClaim, enrolled: EnrolledSubject) -> bool:
        names = {name_hmac(self.keys, name) for name in claim.names}
        if enrolled.name_hmac and names and enrolled.name_hmac not in names:
            return True
        if not enrolled.birth_date_hmac or not claim.birth_date:
            return False
        return birth_date_hmac(self.keys, claim.birth_date) != enrolled.birth_date_hmac


def read_claim(patient: PatientRecord, setting: FeedSetting, site: Site) -> PatientClaim:
    """Who a source says a patient is; numbers of a kind that the feed does not accept count not."""
    mrns = [
        (site.authority(each.authority), each.number)
        for each in patient.identifiers
        if each.number and each.kind in setting.identifier_types
    ]
    names = [name for name in patient.names if name]
    return PatientClaim(tuple(dict.fromkeys(mrns)), tuple(dict.fromkeys(names)), patient.birth_date)


def resolve(claim: PatientClaim | None, found: Found | None) -> Subject | Failure:
    """The one subject that a claim means, or the failure that holds for all its facts."""
    if claim is None:
        return Failure(Reason.STRUCTURE, "nothing says whom this is about", Element.SUBJECT)
    subjects, waiting_keys = (found.subjects, found.waiting_keys) if found else ((), ())
    if not claim.mrns:
        detail = "no patient number of an accepted type"
        return Failure(Reason.PATIENT_UNKNOWN, detail, Element.SUBJECT, waiting_keys)
    if not subjects:
        detail = "no subject of the trial has this number"
        return Failure(Reason.PATIENT_UNKNOWN, detail, Element.SUBJECT, waiting_keys)
    if len({subject.number for subject in subjects}) > 1:
        detail = "the numbers belong to different subjects"
        return Failure(Reason.PATIENT_AMBIGUOUS, detail, Element.SUBJECT)
    if subjects[0].mismatch:
        detail = "name or birth date are not those enrolled"
        return Failure(Reason.PATIENT_MISMATCH, detail, Element.NAME)
    return subjects[0]
