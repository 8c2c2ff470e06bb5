"""Changes of a subject's hospital numbers: added, removed, merged by the hospital.

A number belongs to one subject at most: the primary key of `identity.subject_mrn` decides, whoever
writes at the same time. What was linked and no longer is stays in `identity.mrn_change` as a keyed
hash; the number itself is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from app.database import WriteConnection
from app.errors import Category, error
from app.fhir import Caller
from app.trial.enrolment import ENROLMENT_LOCK, Trial
from app.trial.identity import (
    INSERT_MRN,
    HashedMrn,
    IdentityKeys,
    Mrn,
    fetch_all_mrns,
    fetch_owners,
    is_enrolled,
    mrn_hmac,
    mrn_row,
)

Action = Literal["add", "remove"]
Linking = Literal["linked", "unchanged", "unknown", "ambiguous"]


@dataclass(frozen=True, slots=True)
class MrnChange:
    """A number to add to a subject, or to take from it."""

    action: Action
    mrn: Mrn = field(repr=False)


@dataclass(frozen=True, slots=True)
class MrnOutcome:
    """`changed` is False where it was so already; `count`: how many numbers the subject has now."""

    number: str
    changed: bool
    count: int


@dataclass(frozen=True, slots=True)
class Relinked:
    """What became of a merge of two numbers.

    linked: both belong to the one subject of `subjects` now · unchanged: they did before ·
    unknown: neither is a subject's · ambiguous: they belong to two subjects, and nothing was done.
    `replay`: the numbers whose waiting messages are to be processed after the commit.
    """

    outcome: Linking
    subjects: tuple[str, ...] = ()
    replay: tuple[HashedMrn, ...] = field(default=(), repr=False)


async def relink_mrn(
    connection: WriteConnection,
    keys: IdentityKeys,
    old: Mrn,
    new: Mrn,
    at: datetime,
    caller: str = "feeds",
) -> Relinked:
    """Link both numbers of a merge (HL7 v2 ADT^A40: MRG-1 and PID-3) to the subject who has one.

    Both are kept. Best in a transaction of its own, before what else the message says is written;
    it may be called again, and changes nothing then. HL7 v2.5.1, chapter 3, event A40.
    """
    spelled = {_hashed(keys, mrn): mrn for mrn in (old, new)}
    owners = await fetch_owners(connection, spelled)
    decided = decide_relink(spelled, owners)
    if decided.outcome != "linked":
        return decided
    (subject,) = decided.subjects
    for hashed in decided.replay:
        if not await _link(connection, keys, subject, spelled[hashed], at):
            return decide_relink(spelled, await fetch_owners(connection, spelled))
        await _note(connection, subject, hashed, "merged", caller, at)
    return decided


def decide_relink(spelled: Mapping[HashedMrn, Mrn], owners: Mapping[HashedMrn, str]) -> Relinked:
    """What a merge of these numbers comes to, by who has which."""
    subjects = tuple(sorted(set(owners.values())))
    if not subjects:
        return Relinked("unknown")
    if len(subjects) > 1:
        return Relinked("ambiguous", subjects)
    new = tuple(hashed for hashed in spelled if hashed not in owners)
    return Relinked("linked" if new else "unchanged", subjects, new)


async def change_mrn(trial: Trial, caller: Caller, number: str, change: MrnChange) -> MrnOutcome:
    """Add a number to a subject or take one away; what waited for an added one is then processed.

    NOT_FOUND: no such subject, or the number to remove is not its. CONFLICT: the number is another
    subject's, or the last one that the subject has.
    """
    hashed = _hashed(trial.keys, change.mrn)
    async with trial.queue, trial.database.writing() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ENROLMENT_LOCK)
        if not await is_enrolled(connection, number):
            reason = "nobody was enrolled under this number"
            raise error(Category.NOT_FOUND, reason, expression="number")
        if change.action == "add":
            changed = await _add(trial, caller, connection, number, change.mrn)
        else:
            changed = await _remove(caller, connection, number, hashed)
        count = len(await fetch_all_mrns(connection, number))
    if change.action == "add":
        await trial.replay([hashed])
    return MrnOutcome(number, changed, count)


async def _add(
    trial: Trial, caller: Caller, connection: WriteConnection, number: str, mrn: Mrn
) -> bool:
    at, hashed = datetime.now(UTC), _hashed(trial.keys, mrn)
    if await _link(connection, trial.writing_keys, number, mrn, at):
        await _note(connection, number, hashed, "added", caller.name, at)
        return True
    owner = (await fetch_owners(connection, [hashed]))[hashed]
    if owner != number:
        raise error(Category.CONFLICT, f"the number is that of {owner}", expression="mrn")
    return False


async def _remove(
    caller: Caller, connection: WriteConnection, number: str, hashed: HashedMrn
) -> bool:
    held = await fetch_all_mrns(connection, number)
    if hashed not in held:
        raise error(Category.NOT_FOUND, "the number is not this subject's", expression="mrn")
    if len(held) == 1:
        reason = "is the only number of the subject: add the right one first"
        raise error(Category.CONFLICT, reason, expression="mrn")
    await connection.execute(
        "DELETE FROM identity.subject_mrn WHERE authority = $1 AND mrn_hmac = $2 AND subject = $3",
        *hashed,
        number,
    )
    await _note(connection, number, hashed, "removed", caller.name, datetime.now(UTC))
    return True


def _hashed(keys: IdentityKeys, mrn: Mrn) -> HashedMrn:
    return mrn[0], mrn_hmac(keys, *mrn)


async def _link(
    connection: WriteConnection, keys: IdentityKeys, subject: str, mrn: Mrn, at: datetime
) -> bool:
    """Whether the number was nobody's and is the subject's now."""
    word = await connection.execute(
        f"{INSERT_MRN} ON CONFLICT (authority, mrn_hmac) DO NOTHING",
        *mrn_row(keys, subject, mrn, at),
    )
    return word.endswith(" 1")


async def _note(
    connection: WriteConnection,
    subject: str,
    hashed: HashedMrn,
    action: str,
    caller: str,
    at: datetime,
) -> None:
    await connection.execute(
        "INSERT INTO identity.mrn_change (subject, authority, mrn_hmac, action, caller, changed)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        subject,
        *hashed,
        action,
        caller,
        at,
    )
