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
from datetime import datetime, tzinfo
from typing import Any

from app.database import Database, WriteConnection
from app.errors import Category, error
from app.fhir import Caller, Change, Moment, Statement, Store
from app.trial.codes import SITE_ID
from app.trial.eligibility import Enrolment, check_enrolment
from app.trial.identity import (
    Enrolled,
    IdentityKeys,
    NewIdentity,
    fetch_enrolled,
    fetch_last_sequence,
    idempotency_hmac,
    insert_identity,
    mrn_hmac,
    request_hmac,
    subject_number,
)
from app.trial.protocol import Protocol
from app.trial.subject_resources import build_operations

ENROLMENT_LOCK = 5_352_431_001
"""PostgreSQL advisory lock: one enrolment at a time."""

HashedMrn = tuple[str, bytes]
"""(assigning authority, keyed HMAC of the MRN)"""

Replay = Callable[[Sequence[HashedMrn]], Awaitable[None]]
"""Process what the feeds hold for these MRNs; called after the enrolment is committed."""


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
    check_enrolment(enrolment, trial.protocol, datetime.now(trial.zone).date())
    hashes = [
        (authority, mrn_hmac(trial.keys, authority, mrn)) for authority, mrn in enrolment.mrns
    ]
    async with trial.queue, trial.database.writing() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ENROLMENT_LOCK)
        outcome = await _enrol_in_turn(trial, caller, request, hashes, connection)
    await trial.replay(hashes)
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
        return list(insert_identity(trial.keys, identity, moment.last_updated))

    await trial.store.write(caller, build_operations(number, enrolment, trial.protocol), also)
    return Outcome(number, created=True)


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
    numbers = ", ".join(each.subject for each in earlier)
    raise error(Category.CONFLICT, f"enrolled already as {numbers}", expression="mrns")
