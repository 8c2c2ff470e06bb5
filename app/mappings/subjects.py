"""Whom a message is about: from PID to a subject of the trial, or why not.

Unknown patients are the normal case on a hospital feed; nothing of them is mapped. No record here
shows what it holds when it is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.database import ReadConnection
from app.mappings.er7 import Segment
from app.mappings.reasons import Failure, Reason
from app.mappings.site import FeedSetting, Site
from app.trial import (
    EnrolledSubject,
    IdentityKeys,
    birth_date_hmac,
    fetch_subjects_by_mrn,
    mrn_hmac,
    name_hmac,
)

Mrn = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PatientClaim:
    """Who a PID says the patient is: hospital numbers with their authorities, names, birth date
    (the digits sent)."""

    mrns: tuple[Mrn, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    birth_date: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of the trial. `mismatch` if name or birth date are not those enrolled."""

    number: str
    reference: str
    synthetic: bool = False
    mismatch: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a claim: the distinct subjects behind its numbers, and the keys under which
    its facts wait for enrolment if there are none."""

    subjects: tuple[Subject, ...]
    waiting_keys: tuple[bytes, ...] = ()


class SubjectDirectory(Protocol):
    """Finds subjects by hospital number; what the trial's identity schema answers."""

    async def find(
        self, connection: ReadConnection, claims: Sequence[PatientClaim]
    ) -> Mapping[PatientClaim, Found]: ...


@dataclass(frozen=True, slots=True)
class TrialDirectory:
    """The directory that asks the trial's schema `identity`."""

    keys: IdentityKeys = field(repr=False)

    async def find(
        self, connection: ReadConnection, claims: Sequence[PatientClaim]
    ) -> Mapping[PatientClaim, Found]:
        mrns = [mrn for claim in claims for mrn in claim.mrns]
        known = await fetch_subjects_by_mrn(connection, self.keys, mrns)
        return {
            claim: Found(self._subjects(claim, known), self._waiting_keys(claim))
            for claim in claims
        }

    def _waiting_keys(self, claim: PatientClaim) -> tuple[bytes, ...]:
        return tuple(mrn_hmac(self.keys, authority, mrn) for authority, mrn in claim.mrns)

    def _subjects(
        self, claim: PatientClaim, found: Mapping[Mrn, EnrolledSubject]
    ) -> tuple[Subject, ...]:
        enrolled = {found[mrn].number: found[mrn] for mrn in claim.mrns if mrn in found}
        return tuple(
            Subject(each.number, each.patient_reference, each.synthetic, self._differs(claim, each))
            for each in enrolled.values()
        )

    def _differs(self, claim: PatientClaim, enrolled: EnrolledSubject) -> bool:
        names = {name_hmac(self.keys, name) for name in claim.names}
        if enrolled.name_hmac and names and enrolled.name_hmac not in names:
            return True
        if not enrolled.birth_date_hmac or not claim.birth_date:
            return False
        return birth_date_hmac(self.keys, claim.birth_date) != enrolled.birth_date_hmac


def read_claim(pid: Segment, setting: FeedSetting, site: Site) -> PatientClaim:
    """PID-3, PID-5 and PID-7 of one patient."""
    return PatientClaim(
        tuple(dict.fromkeys(_mrns(pid, setting, site))),
        tuple(dict.fromkeys(_names(pid))),
        _birth_date(pid),
    )


def _mrns(pid: Segment, setting: FeedSetting, site: Site) -> list[Mrn]:
    found = []
    for repetition in pid.repetitions(3):
        number, kind = pid.part(repetition, 1), pid.part(repetition, 5)
        if number and number != '""' and kind in setting.identifier_types:
            sent = pid.part(repetition, 4, 1) or pid.part(repetition, 4, 2)
            found.append((site.authority(sent), number))
    return found


def _names(pid: Segment) -> list[str]:
    """Each name with and without its middle part, and the family name where it stands alone."""
    names = []
    for repetition in pid.repetitions(5):
        family, given, middle = (pid.part(repetition, n) for n in (1, 2, 3))
        if family == '""':
            continue
        names += [f"{family} {given}".strip(), f"{family} {given} {middle}".strip()]
    return [name for name in names if name]


def _birth_date(pid: Segment) -> str:
    digits = pid.text(7)[:8]
    return digits if len(digits) == 8 and digits.isdecimal() and digits != "00000000" else ""


def resolve(claim: PatientClaim | None, found: Sequence[Subject]) -> Subject | Failure:
    """The one subject that a claim means, or the failure that holds for all its facts."""
    if claim is None:
        return Failure(Reason.STRUCTURE, "no PID segment before this segment")
    if not claim.mrns:
        return Failure(Reason.PATIENT_UNKNOWN, "no patient number of an accepted type", 3)
    if not found:
        return Failure(Reason.PATIENT_UNKNOWN, "no subject of the trial has this number", 3)
    if len({subject.number for subject in found}) > 1:
        return Failure(Reason.PATIENT_AMBIGUOUS, "the numbers belong to different subjects", 3)
    if found[0].mismatch:
        return Failure(Reason.PATIENT_MISMATCH, "name or birth date are not those enrolled", 5)
    return found[0]
