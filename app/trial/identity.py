"""Who a subject is at the hospital: the only door to the schema `identity`.

Hospital identifiers are stored encrypted (AES-256-GCM; the row's place is the associated data, so
that a ciphertext moved to another row does not open) and found by keyed HMAC-SHA-256. Names are
kept as keyed HMACs only, to notice a mismatch. The site's reasons for overriding a criterion are
free text and encrypted as well. Nothing of this leaves through FHIR, logs or errors.

Normalised before the HMAC, so that the same fact in two spellings meets itself:

* MRN: Unicode NFKC, all white space and invisible characters removed, upper case; leading zeros
  are kept;
* name: Unicode NFKC, case folded, only letters and digits kept (`WANG^LI` = `Wang Li`);
* birth date: the digits of YYYY-MM-DD or YYYYMMDD (a longer HL7 time keeps its first eight).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.database import ReadConnection, WriteConnection
from app.errors import Category, error
from app.fhir import Statement

Mrn = tuple[str, str]
"""(assigning authority, medical record number)"""

HashedMrn = tuple[str, bytes]
"""(assigning authority, keyed HMAC of the MRN)"""

NONCE_BYTES = 12
KEY_BYTES = 32
SUBJECT_PREFIX = "SSCI-"
INVISIBLE = "Cf"
"""Unicode's format characters, such as zero-width spaces that come along when text is copied."""


@dataclass(frozen=True, slots=True)
class IdentityKeys:
    """`encryption`: AES keys of 32 bytes by key id, of which `current` encrypts what is new;
    `lookup_hmac`: at least 32 bytes, never rotated (lookups would miss)."""

    encryption: Mapping[str, bytes] = field(repr=False)
    current: str
    lookup_hmac: bytes = field(repr=False)

    def __post_init__(self) -> None:
        wrong = self.current not in self.encryption or len(self.lookup_hmac) < KEY_BYTES
        if wrong or any(len(key) != KEY_BYTES for key in self.encryption.values()):
            raise error(
                Category.FAULT,
                f"identity keys: each key has {KEY_BYTES} bytes, and the current one is there",
            )


@dataclass(frozen=True, slots=True)
class EnrolledSubject:
    """`status` is the ResearchSubject's current status, `consented` the day of consent, `ended` the
    last day of participation once it has ended; `synthetic`: label what is stored HTEST."""

    number: str
    patient_reference: str
    name_hmac: bytes | None
    birth_date_hmac: bytes | None
    status: str | None
    synthetic: bool
    ended: date | None = None
    consented: date | None = None

    def covers(self, day: date | None) -> bool:
        """Whether the study may have what was collected on that day, a day in the trial's zone:
        not after participation ended. What has no day is not refused for it."""
        return self.ended is None or day is None or day <= self.ended


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What is known of an earlier enrolment with one of these MRNs or this idempotency key."""

    subject: str
    request_hmac: bytes
    idempotency_hmac: bytes | None


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """What enrolment stores about a person; `birth_date` as YYYY-MM-DD where it is known,
    `override_reasons` by eligibility criterion."""

    subject: str
    sequence: int
    mrns: tuple[Mrn, ...] = field(repr=False)
    name: str | None = field(repr=False)
    birth_date: str | None = field(repr=False)
    override_reasons: Mapping[str, str] = field(repr=False)
    request_hmac: bytes
    idempotency_hmac: bytes | None


def subject_number(sequence: int) -> str:
    return f"{SUBJECT_PREFIX}{sequence:03d}"


# Keyed hashes


def mrn_hmac(keys: IdentityKeys, authority: str, mrn: str) -> bytes:
    return _hmac(keys, "mrn", authority, normal_mrn(mrn))


def distinct_mrns(mrns: Iterable[Mrn]) -> tuple[Mrn, ...]:
    """Each number once, as it was spelled first; one that is nothing but invisible is left out."""
    spelled: dict[Mrn, Mrn] = {}
    for authority, mrn in mrns:
        if normal := normal_mrn(mrn):
            spelled.setdefault((authority, normal), (authority, mrn))
    return tuple(spelled.values())


def hash_mrns(keys: IdentityKeys, mrns: Iterable[Mrn]) -> list[HashedMrn]:
    return [(authority, mrn_hmac(keys, authority, mrn)) for authority, mrn in mrns]


def name_hmac(keys: IdentityKeys, name: str) -> bytes:
    return _hmac(keys, "name", _normal_name(name))


def birth_date_hmac(keys: IdentityKeys, birth_date: str) -> bytes:
    return _hmac(keys, "birth-date", _normal_birth_date(birth_date))


def request_hmac(keys: IdentityKeys, request: Mapping[str, Any]) -> bytes:
    """Says whether a request was made before, without keeping it."""
    return _hmac(keys, "request", json.dumps(request, sort_keys=True, ensure_ascii=False))


def idempotency_hmac(keys: IdentityKeys, key: str) -> bytes:
    return _hmac(keys, "idempotency", key)


def _hmac(keys: IdentityKeys, purpose: str, *parts: str) -> bytes:
    """Parts are told apart by their lengths: ("ab", "c") is not ("a", "bc")."""
    digest = hmac.new(keys.lookup_hmac, digestmod=hashlib.sha256)
    for part in (purpose, *parts):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def normal_mrn(mrn: str) -> str:
    return "".join(
        character
        for character in unicodedata.normalize("NFKC", mrn).upper()
        if not character.isspace() and unicodedata.category(character) != INVISIBLE
    )


def _normal_name(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(character for character in folded if character.isalnum())


def _normal_birth_date(birth_date: str) -> str:
    normal = unicodedata.normalize("NFKC", birth_date)
    return "".join(character for character in normal if character.isdecimal())[:8]


# Encryption


def encrypt(keys: IdentityKeys, place: str, value: str) -> tuple[str, bytes]:
    """(key id, nonce + ciphertext) of `value` at `place` (table and row)."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(keys.encryption[keys.current]).encrypt(nonce, value.encode(), place.encode())
    return keys.current, nonce + sealed


def decrypt(keys: IdentityKeys, place: str, key_id: str, ciphertext: bytes) -> str:
    """The value; FAULT where the key is missing, or the row was altered or moved."""
    key = keys.encryption.get(key_id)
    if key is None:
        raise error(Category.FAULT, f"identity: there is no key {key_id}")
    nonce, sealed = ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, sealed, place.encode()).decode()
    except (InvalidTag, ValueError):  # altered; or cut off
        raise error(Category.FAULT, f"identity: {place} does not open") from None


def mrn_place(authority: str, hashed: bytes) -> str:
    return f"identity.subject_mrn/{authority}/{hashed.hex()}"


def birth_date_place(subject: str) -> str:
    return f"identity.subject_identity/{subject}/birth_date"


def override_reason_place(subject: str, criterion: str) -> str:
    return f"identity.override_reason/{subject}/{criterion}"


# Reading


Connection = ReadConnection | WriteConnection


async def fetch_subjects_by_mrn(
    connection: Connection, keys: IdentityKeys, mrns: Iterable[Mrn]
) -> dict[Mrn, EnrolledSubject]:
    """The subjects behind these MRNs, by each spelling asked for; an MRN that nobody was enrolled
    with is absent."""
    spellings: dict[HashedMrn, list[Mrn]] = {}
    for authority, mrn in mrns:
        asked = (authority, mrn_hmac(keys, authority, mrn))
        spellings.setdefault(asked, []).append((authority, mrn))
    if not spellings:
        return {}
    authorities, hashes = zip(*spellings, strict=True)
    rows = await connection.fetch(
        "SELECT asked.authority, asked.mrn_hmac, who.subject, who.name_hmac, who.birth_date_hmac,"
        " trial.status, trial.synthetic, trial.ended,"
        " trial.clinical_date AS consented"
        " FROM unnest($1::text[], $2::bytea[]) AS asked (authority, mrn_hmac)"
        " JOIN identity.subject_mrn AS mrn USING (authority, mrn_hmac)"
        " JOIN identity.subject_identity AS who USING (subject)"
        " LEFT JOIN trial.subject AS trial ON trial.resource_type = 'ResearchSubject'"
        " AND trial.resource_id = who.subject AND upper_inf(trial.system)",
        list(authorities),
        list(hashes),
    )
    return {
        spelling: _enrolled_subject(dict(row))
        for row in rows
        for spelling in spellings[row["authority"], row["mrn_hmac"]]
    }


async def fetch_subjects_by_number(
    connection: Connection, numbers: Iterable[str]
) -> dict[str, EnrolledSubject]:
    """The subjects of the trial who have these numbers; one that nobody has is absent."""
    rows = await connection.fetch(
        "SELECT subject, NULL::bytea AS name_hmac, NULL::bytea AS birth_date_hmac, status,"
        " synthetic, ended, clinical_date AS consented FROM trial.subject"
        " WHERE resource_type = 'ResearchSubject' AND resource_id = ANY($1)"
        " AND subject = resource_id AND upper_inf(system)",
        list(numbers),
    )
    return {row["subject"]: _enrolled_subject(dict(row)) for row in rows}


def _enrolled_subject(row: Mapping[str, Any]) -> EnrolledSubject:
    return EnrolledSubject(
        number=row["subject"],
        patient_reference=f"Patient/{row['subject']}",
        name_hmac=row["name_hmac"],
        birth_date_hmac=row["birth_date_hmac"],
        status=row["status"],
        synthetic=bool(row["synthetic"]),
        ended=row["ended"],
        consented=row["consented"],
    )


async def fetch_enrolled(
    connection: Connection, hashes: Sequence[HashedMrn], idempotency: bytes | None
) -> list[Enrolled]:
    """Earlier enrolments that share an MRN or the idempotency key, by subject number."""
    rows = await connection.fetch(
        "SELECT subject, request_hmac, idempotency_hmac FROM identity.subject_identity"
        " WHERE idempotency_hmac = $3 OR subject IN (SELECT subject FROM identity.subject_mrn"
        " JOIN unnest($1::text[], $2::bytea[]) AS asked (authority, mrn_hmac)"
        " USING (authority, mrn_hmac)) ORDER BY sequence",
        [authority for authority, _ in hashes],
        [hashed for _, hashed in hashes],
        idempotency,
    )
    return [Enrolled(row["subject"], row["request_hmac"], row["idempotency_hmac"]) for row in rows]


async def fetch_owners(connection: Connection, hashes: Iterable[HashedMrn]) -> dict[HashedMrn, str]:
    """The subject numbers behind these numbers; those that nobody has are absent."""
    asked = list(hashes)
    rows = await connection.fetch(
        "SELECT authority, mrn_hmac, subject FROM identity.subject_mrn"
        " JOIN unnest($1::text[], $2::bytea[]) AS asked (authority, mrn_hmac)"
        " USING (authority, mrn_hmac)",
        [authority for authority, _ in asked],
        [hashed for _, hashed in asked],
    )
    return {(row["authority"], row["mrn_hmac"]): row["subject"] for row in rows}


async def fetch_all_mrns(connection: Connection, subject: str | None = None) -> list[HashedMrn]:
    """The hashed numbers of one subject, or of all."""
    rows = await connection.fetch(
        "SELECT authority, mrn_hmac FROM identity.subject_mrn"
        " WHERE $1::text IS NULL OR subject = $1 ORDER BY created",
        subject,
    )
    return [(row["authority"], row["mrn_hmac"]) for row in rows]


async def is_enrolled(connection: Connection, subject: str) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM identity.subject_identity WHERE subject = $1)", subject
        )
    )


async def fetch_last_sequence(connection: Connection) -> int:
    """The sequence number of the latest subject, 0 before the first."""
    last = await connection.fetchval(
        "SELECT coalesce(max(sequence), 0) FROM identity.subject_identity"
    )
    return int(last)


# Writing: statements for the transaction that writes the subject's resources


def insert_identity(
    keys: IdentityKeys, identity: NewIdentity, created: datetime
) -> Iterator[Statement]:
    birth_key = birth_ciphertext = birth_hashed = None
    if identity.birth_date is not None:
        place = birth_date_place(identity.subject)
        birth_key, birth_ciphertext = encrypt(keys, place, identity.birth_date)
        birth_hashed = birth_date_hmac(keys, identity.birth_date)
    yield Statement(
        "INSERT INTO identity.subject_identity (subject, sequence, name_hmac, birth_date_hmac,"
        " birth_date_key, birth_date_ciphertext, request_hmac, idempotency_hmac, created)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            (
                identity.subject,
                identity.sequence,
                name_hmac(keys, identity.name) if identity.name else None,
                birth_hashed,
                birth_key,
                birth_ciphertext,
                identity.request_hmac,
                identity.idempotency_hmac,
                created,
            )
        ],
    )
    yield Statement(
        INSERT_MRN, [mrn_row(keys, identity.subject, mrn, created) for mrn in identity.mrns]
    )
    if identity.override_reasons:
        yield Statement(
            "INSERT INTO identity.override_reason (subject, criterion, reason_key,"
            " reason_ciphertext, created) VALUES ($1, $2, $3, $4, $5)",
            [
                _reason_row(keys, identity.subject, each, created)
                for each in identity.override_reasons.items()
            ],
        )


INSERT_MRN = (
    "INSERT INTO identity.subject_mrn (authority, mrn_hmac, subject, mrn_key, mrn_ciphertext,"
    " created) VALUES ($1, $2, $3, $4, $5, $6)"
)


def mrn_row(
    keys: IdentityKeys, subject: str, mrn: Mrn, created: datetime
) -> tuple[str, bytes, str, str, bytes, datetime]:
    authority, number = mrn
    hashed = mrn_hmac(keys, authority, number)
    key_id, ciphertext = encrypt(keys, mrn_place(authority, hashed), number)
    return authority, hashed, subject, key_id, ciphertext, created


def _reason_row(
    keys: IdentityKeys, subject: str, given: tuple[str, str], created: datetime
) -> tuple[str, str, str, bytes, datetime]:
    criterion, reason = given
    key_id, ciphertext = encrypt(keys, override_reason_place(subject, criterion), reason)
    return subject, criterion, key_id, ciphertext, created
