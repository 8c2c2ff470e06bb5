"""Enrolment: one person becomes the next subject, once, in one transaction.

Subject numbers are consecutive. They are given under a lock that all processes share, in the order
of the queue: gather (who is enrolled, what number is next), decide, then one transaction with the
subject's resources, trial rows and identity. The lock is PostgreSQL's, held by a transaction that
writes nothing; within a process a queue before it keeps waiting requests from taking connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import Any

from app.database import Database, WriteConnection
from app.errors import Category, SsciError, error
from app.fhir import Caller, Change, Moment, Statement, Store
from app.trial.codes import SITE_ID, SUBJECT_NUMBER
from app.trial.eligibility import Enrolment, check_enrolment
from app.trial.identity import (
    Enrolled,
    HashedMrn,
    IdentityKeys,
    NewIdentity,
    fetch_all_mrns,
    fetch_enrolled,
    fetch_last_sequence,
    fetch_owners,
    hash_mrns,
    idempotency_hmac,
    insert_identity,
    request_hmac,
    subject_number,
)
from app.trial.protocol import Protocol
from app.trial.subject_resources import build_operations

ENROLMENT_LOCK = 5_352_431_001
"""PostgreSQL advisory lock: one enrolment at a time."""

Replay = Callable[[Sequence[HashedMrn]], Awaitable[None]]
"""Process what the feeds hold for these numbers; called after the enrolment is committed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the trial's routes and commands work with. `authorities`: the trial's name of each
    assigning authority by its spellings, as the feeds know them; no other one is accepted, since
    results would wait for it for ever."""

    database: Database
    store: Store
    protocol: Protocol
    keys: IdentityKeys
    replay: Replay
    zone: tzinfo
    authorities: Mapping[str, str] = field(default_factory=lambda: {SITE_ID: SITE_ID})
    queue: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    read_keys: Callable[[], IdentityKeys] | None = field(default=None, repr=False)

    @property
    def writing_keys(self) -> IdentityKeys:
        """The keys as the key file has them now, which a rotation may have changed since the start.
        To be asked for inside the transaction that writes with them."""
        return self.read_keys() if self.read_keys else self.keys

    @property
    def today(self) -> date:
        return datetime.now(self.zone).date()


@dataclass(frozen=True, slots=True)
class Request:
    """An enrolment asked for. `fingerprint`: the request's content as JSON-like data, of which only
    a keyed HMAC is kept, to know the same request again under the same idempotency key."""

    enrolment: Enrolment
    fingerprint: dict[str, Any] = field(repr=False)
    idempotency_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`created` is False where the same request had enrolled the subject before."""

    number: str
    created: bool


async def enrol(trial: Trial, caller: Caller, request: Request) -> Outcome:
    """Enrol a subject, or find the one whom the same request enrolled.

    Raises UNPROCESSABLE (the protocol does not allow it), CONFLICT (an MRN is enrolled already, or
    the idempotency key was used for another request).
    """
    enrolment = request.enrolment
    check_enrolment(enrolment, trial.protocol, trial.today)
    hashes = hash_mrns(trial.keys, enrolment.mrns)
    async with trial.queue, trial.database.writing() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ENROLMENT_LOCK)
        outcome = await _enrol_in_turn(trial, caller, request, hashes, connection)
    by_number = hash_mrns(trial.keys, [(SUBJECT_NUMBER, outcome.number)])
    await trial.replay([*hashes, *by_number])
    return outcome


async def _enrol_in_turn(
    trial: Trial,
    caller: Caller,
    request: Request,
    hashes: Sequence[HashedMrn],
    connection: WriteConnection,
) -> Outcome:
    asked = request_hmac(trial.keys, request.fingerprint)
    key = request.idempotency_key
    hashed_key = None if key is None else idempotency_hmac(trial.keys, key)
    earlier = await fetch_enrolled(connection, hashes, hashed_key)
    if earlier:
        return Outcome(decide_repeat(earlier, asked, hashed_key), created=False)
    sequence = await fetch_last_sequence(connection) + 1
    number = subject_number(sequence)
    enrolment = request.enrolment
    birth_date = enrolment.birth_date.isoformat() if enrolment.birth_date else None
    identity = NewIdentity(
        number,
        sequence,
        enrolment.mrns,
        enrolment.name,
        birth_date,
        enrolment.override_reasons,
        asked,
        hashed_key,
    )

    def also(changes: Sequence[Change], moment: Moment) -> Sequence[Statement]:
        return list(insert_identity(trial.writing_keys, identity, moment.last_updated))

    try:
        await trial.store.write(caller, build_operations(number, enrolment, trial.protocol), also)
    except SsciError as refusal:
        if refusal.category is Category.CONFLICT:
            await _refuse_if_linked(connection, hashes)
        raise
    return Outcome(number, created=True)


async def _refuse_if_linked(connection: WriteConnection, hashes: Sequence[HashedMrn]) -> None:
    """A merge of hospital numbers may have come between: CONFLICT that names the subject."""
    if owners := await fetch_owners(connection, hashes):
        raise _enrolled_already(sorted(set(owners.values())))


def _enrolled_already(numbers: Sequence[str]) -> SsciError:
    return error(Category.CONFLICT, f"enrolled already as {', '.join(numbers)}", expression="mrns")


async def replay_enrolled(trial: Trial) -> None:
    """Process what still waits for anyone who is enrolled: for a start after a process ended
    between an enrolment's commit and its replay."""
    async with trial.database.reading() as connection:
        hashes = await fetch_all_mrns(connection)
    await trial.replay(hashes)


def decide_repeat(earlier: Sequence[Enrolled], asked: bytes, key: bytes | None) -> str:
    """The subject whom this very request enrolled before; CONFLICT for any other request."""
    if key is not None:
        for each in earlier:
            if each.idempotency_hmac == key:
                if each.request_hmac == asked:
                    return each.subject
                raise error(
                    Category.CONFLICT,
                    "the key was used for another enrolment",
                    expression="Idempotency-Key",
                )
    raise _enrolled_already([each.subject for each in earlier])
