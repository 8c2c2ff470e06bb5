"""Transaction 2: one kept message becomes resources, Provenance and fact states.

Gather (subjects, what is known of the results) → decide (pure, again under the rows' locks) →
apply. If the whole cannot be written, its facts are written singly, so that one bad fact does not
hold back the others.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

from app.database import Database, ReadConnection
from app.errors import Category, SsciError
from app.fhir import (
    Caller,
    Change,
    Json,
    Moment,
    Operation,
    Revise,
    Statement,
    Store,
    decimal,
    parse_json,
    unhurried,
)
from app.mappings.context import Context
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.facts import Candidate, Fact, Source
from app.mappings.formats.decoding import (
    Acknowledgement,
    Decoder,
    Read,
    Receipt,
    Verdict,
    map_message,
    whole_fact,
)
from app.mappings.intake.inbox import Content
from app.mappings.intake.sealed_answers import seal_answer
from app.mappings.ledger.rows import Ended, ledger_statements
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.resources import (
    CANONICAL_QUANTITY,
    Target,
    build_provenance,
    with_review,
)
from app.mappings.result_key import keyed_id
from app.mappings.rules.merges import settle_merge
from app.mappings.rules.order_links import link_orders
from app.mappings.subjects import Found, PatientClaim, SubjectDirectory
from app.mappings.working.decisions import Decision, decide, decide_companion, fingerprint
from app.mappings.working.quarantine import Settled, fact_statements, settle
from app.mappings.working.relocation import id_for_subject, relocate
from app.trial import claiming

logger = logging.getLogger(__name__)

CALLER = Caller("feeds")
TRANSIENT = frozenset({Category.UNAVAILABLE, Category.CONFLICT})
FACTS_AT_ONCE = 500
"""How many facts one transaction writes: a long file holds neither locks nor the event loop."""
Key = tuple[str, str]
Finish = Callable[[Sequence[Settled], datetime], list[Statement]]


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at one message."""

    content: Content
    setting: FeedSetting
    read: Read
    decoder: Decoder
    attempt: int

    @property
    def reviews(self) -> tuple[Reason, ...]:
        """What wants a look about the message as a whole."""
        found = []
        if self.read.head.charset_mismatch:
            found.append(Reason.CHARSET_MISMATCH)
        if self.content.control_id_reused:
            found.append(Reason.CONTROL_ID_REUSE)
        return tuple(found)


@dataclass(slots=True)
class Run:
    """What one run of a transaction decided, by resource. Filled anew when the transaction is
    repeated; `bases` are versions of deleted resources, which `meta` cannot tell."""

    decisions: dict[Key, Decision] = field(default_factory=dict)
    versions: dict[Key, int] = field(default_factory=dict)
    bases: dict[Key, int] = field(default_factory=dict)

    def note(self, key: Key, stored: Json | None, decision: Decision) -> Json | None:
        base = int(stored["meta"]["versionId"]) if stored else self.bases.get(key, 0)
        self.decisions[key] = decision
        self.versions[key] = base + 1
        return decision.resource


class _OtherVersion(Exception):  # noqa: N818 – no error: the transaction is run again
    """A resource had been deleted before: its version is not the one Provenance names."""

    def __init__(self, bases: Mapping[Key, int]) -> None:
        super().__init__()
        self.bases = bases


class _Elsewhere(Exception):  # noqa: N818 – no error: the transaction is run again
    """These are stored under another id: their own holds the wrong patient's withdrawn result."""

    def __init__(self, keys: set[Key]) -> None:
        super().__init__()
        self.keys = keys


class Processor:
    """Carries kept messages into the FHIR store."""

    def __init__(
        self,
        database: Database,
        store: Store,
        site: Site,
        secret: bytes,
        directory: SubjectDirectory,
        service: str,
    ) -> None:
        self.database = database
        self.store = store
        self.site = site
        self.secret = secret
        self._directory = directory
        self.service = service

    async def process(self, job: Job) -> list[Settled]:
        """What became of every fact of the message, committed.

        Raises SsciError UNAVAILABLE or CONFLICT: nothing is decided, the message stays pending.
        """
        source = self.source(job)
        facts = await self._map(job, source)
        settled: list[Settled] = []
        for start in range(0, max(len(facts), 1), FACTS_AT_ONCE):
            part = facts[start : start + FACTS_AT_ONCE]
            ends = start + len(part) == len(facts)
            settled = await self._write_part(job, source, part, settled, ends)
        return settled

    def source(self, job: Job) -> Source:
        """What mapping may know of the message beside its text."""
        content = job.content
        return Source(
            content.feed,
            content.sha256.hex(),
            content.received,
            self.site.version,
            job.attempt,
            content.format,
        )

    # Gather

    async def map(self, job: Job) -> tuple[Source, list[Fact]]:
        """What processing this message would begin with; nothing is written."""
        source = self.source(job)
        return source, await self._map(job, source, link=False)

    async def _map(self, job: Job, source: Source, *, link: bool = True) -> list[Fact]:
        try:
            async with self.database.reading() as connection:
                found = await self.find(connection, [job])
                data = job.content.data
                facts = await unhurried(len(data), self.map_facts, job, source, found)
                (facts,) = await self.compare(connection, [(job, facts)])
            return [await self._link(fact) for fact in facts] if link else facts
        except SsciError:
            raise
        except Exception as problem:
            _log("a message could not be mapped", job, problem)
            fact = whole_fact(job.decoder, job.read)
            return [fact.failed(Failure(Reason.INTERNAL, "the message could not be mapped"))]

    def map_facts(
        self, job: Job, source: Source, found: Mapping[PatientClaim, Found]
    ) -> list[Fact]:
        """What the message says, before it is held against what is known."""
        context = Context(self.site, job.setting, self.secret, source)
        return map_message(job.decoder, job.read, found, context)

    async def compare(
        self, connection: ReadConnection, messages: Sequence[tuple[Job, Sequence[Fact]]]
    ) -> list[list[Fact]]:
        """The facts of each message, held against what is known: earlier facts, orders."""
        secret = self.secret
        rows = await fetch_earlier(connection, [facts for _, facts in messages], secret)
        found: list[Fact] = []
        for job, facts in messages:
            compared = await compare_with_earlier(connection, facts, job.content.id, rows, secret)
            found += [await self._check_scale(connection, fact) for fact in compared]
        linked = iter(await link_orders(connection, found, self.site))
        return [list(islice(linked, len(facts))) for _, facts in messages]

    async def find(
        self, connection: ReadConnection, jobs: Sequence[Job]
    ) -> Mapping[PatientClaim, Found]:
        """Whom these messages are about."""
        claims = list(dict.fromkeys(claim for job in jobs for claim in job.read.claims.values()))
        return await self._directory.find(connection, claims) if claims else {}

    async def _link(self, fact: Fact) -> Fact:
        """Links merged hospital numbers, in a transaction of its own: said again, it is no more."""
        if fact.merge is None:
            return fact
        async with self.database.writing() as connection:
            linked = await self._directory.link(connection, fact.merge, datetime.now(UTC))
        return settle_merge(fact, linked)

    async def _check_scale(self, connection: ReadConnection, fact: Fact) -> Fact:
        """Flags a power-of-ten jump against the subject's last result where the unit is unusual."""
        measured = fact.measured
        if fact.candidate is None or measured is None or not measured.unusual_unit:
            return fact
        last = await self._last_value(connection, fact)
        if last is None or not _jumps(float(measured.canonical), last):
            return fact
        return _with_review(fact, Reason.UNIT_SUSPECT_SCALE)

    async def _last_value(self, connection: ReadConnection, fact: Fact) -> float | None:
        id = await connection.fetchval(
            "SELECT resource_id FROM feeds.fact WHERE subject = $1 AND analyte = $2"
            " AND effective < $3 AND outcome = 'stored' AND resource_id <> $4"
            " ORDER BY effective DESC LIMIT 1",
            fact.subject.number if fact.subject else "",
            fact.analyte,
            fact.effective,
            fact.resource_id,
        )
        stored = await self.store.read(CALLER, "Observation", id) if id else None
        return _canonical_value(parse_json(stored.body)) if stored and stored.body else None

    # Apply

    async def _write_part(
        self,
        job: Job,
        source: Source,
        facts: Sequence[Fact],
        before: Sequence[Settled],
        ends: bool,
    ) -> list[Settled]:
        """These facts after those settled `before`: all of them; the last part ends the message."""
        try:
            return await self._write(job, source, facts, before, ends)
        except SsciError as problem:
            if problem.category in TRANSIENT:
                raise
        except Exception as problem:
            _log("facts could not be written together", job, problem)
        return await self._write_singly(job, source, facts, before, ends)

    async def _write(
        self,
        job: Job,
        source: Source,
        facts: Sequence[Fact],
        before: Sequence[Settled],
        ends: bool,
    ) -> list[Settled]:
        """In one transaction."""
        settled: list[Settled] = []

        def finish(ended: Sequence[Settled], at: datetime) -> list[Statement]:
            settled[:] = [*before, *ended]
            return self._end_part(job, source, settled, len(before), ends, at)

        await self._store_facts(job, source, facts, finish)
        return settled

    async def _write_singly(
        self,
        job: Job,
        source: Source,
        facts: Sequence[Fact],
        before: Sequence[Settled],
        ends: bool,
    ) -> list[Settled]:
        """Each fact in a transaction of its own."""
        settled = [*before]
        for fact in facts:
            settled.append(await self._write_one(job, source, fact))
        async with self.database.writing() as connection:
            at = datetime.now(UTC)
            for statement in self._end_part(job, source, settled, len(before), ends, at):
                await connection.executemany(statement.sql, statement.rows)
        return settled

    def _end_part(
        self,
        job: Job,
        source: Source,
        settled: list[Settled],
        start: int,
        ends: bool,
        at: datetime,
    ) -> list[Statement]:
        """The rows of the facts from `start` on; if they are the last, also the message's end."""
        settled += reviews_of(job, len(settled)) if ends else []
        rows = fact_statements(job.content.id, settled[start:], source, at, self.secret)
        if not ends:
            return rows
        ledgers = ledger_statements([ledger_of(job, source, settled)])
        return [*rows, *_end_of(job, settled, self.secret), *ledgers]

    async def _write_one(self, job: Job, source: Source, fact: Fact) -> Settled:
        if fact.candidate is None:
            return Settled(fact, fact.version)
        ended: list[Settled] = []

        def finish(each: Sequence[Settled], at: datetime) -> list[Statement]:
            ended[:] = each
            return fact_statements(job.content.id, each, source, at, self.secret)

        try:
            await self._store_facts(job, source, [fact], finish)
        except SsciError as problem:
            if problem.category in TRANSIENT:
                raise
            detail = f"the resource breaks a rule of FHIR: {_rule_of(problem)}"
            return Settled(fact.failed(Failure(Reason.FHIR_INVALID, detail)))
        except Exception as problem:
            _log("a fact could not be written", job, problem)
            return Settled(fact.failed(Failure(Reason.INTERNAL, "the fact could not be written")))
        return ended[0]

    async def _store_facts(
        self, job: Job, source: Source, facts: Sequence[Fact], finish: Finish
    ) -> None:
        if not any(fact.candidate for fact in facts):
            async with self.database.writing() as connection:
                for statement in finish(
                    [Settled(fact, fact.version) for fact in facts], datetime.now(UTC)
                ):
                    await connection.executemany(statement.sql, statement.rows)
            return
        provenance = provenance_id(self.secret, source, facts)
        run = Run()
        while True:
            try:
                await self._run(run, facts, source, provenance, finish)
            except _OtherVersion as other:
                run = Run(bases={**run.bases, **other.bases})
            except _Elsewhere as other:
                facts = [_relocated(fact, other.keys, self.secret) for fact in facts]
                run = Run(bases=run.bases)
            else:
                return

    async def _run(
        self, run: Run, facts: Sequence[Fact], source: Source, provenance: str, finish: Finish
    ) -> None:
        """One transaction, committed. Raises _OtherVersion or _Elsewhere: to be run again."""
        operations = build_operations(facts, run, source, provenance, self.service)

        def also(changes: Sequence[Change], moment: Moment) -> Sequence[Statement]:
            by_key = {(change.resource_type, change.id): change for change in changes}
            check_run(run, by_key)
            ended = [settle_fact(fact, run, by_key) for fact in facts]
            return finish(ended, moment.last_updated)

        await self.store.write(CALLER, operations, also)


def provenance_id(secret: bytes, source: Source, facts: Sequence[Fact]) -> str:
    """One per message and attempt; of a part of it, one per part."""
    part = facts[0].place if len(facts) == 1 or facts[0].ordinal else ""
    names = ("provenance", source.feed, source.format, source.sha256, str(source.attempt), part)
    return keyed_id(secret, *names)


def _log(text: str, job: Job, problem: Exception) -> None:
    """The kind of a failure and the message's number; never what it held."""
    logger.error("%s: message %s: %s", text, job.content.id, type(problem).__name__)


def _rule_of(problem: SsciError) -> str:
    return ", ".join(issue.expression or issue.code for issue in problem.issues)[:200]


# Decide


def build_operations(
    facts: Sequence[Fact], run: Run, source: Source, provenance_id: str, service: str
) -> list[Operation]:
    """Facts first, then what depends on their decisions: companions, Provenance."""
    operations: list[Operation] = []
    places: dict[Key, Fact] = {}
    for fact in facts:
        if fact.candidate is not None:
            operations.append(_revise(fact.candidate, partial(_revise_fact, run, fact.candidate)))
            places[_key(fact.candidate)] = fact
    for key, (candidate, members) in _companions(facts).items():
        if key not in places:
            revise = partial(_revise_companion, run, candidate, members)
            operations.append(_revise(candidate, revise))
            places[key] = members[0]
    synthetic = any(fact.subject is not None and fact.subject.synthetic for fact in facts)

    def revise_provenance(stored: Json | None) -> Json | None:
        targets = [
            Target(*key, run.versions[key], fact.place, fact.span.start, fact.span.end)
            for key, fact in places.items()
            if run.decisions[key].kind == "store"
        ]
        if stored is not None or not targets:
            return None
        return build_provenance(provenance_id, targets, source, synthetic, service)

    return [*operations, Revise("Provenance", provenance_id, revise_provenance)]


def _revise(candidate: Candidate, revise: Any) -> Revise:
    return Revise(candidate.resource_type, candidate.id, revise)


def _key(candidate: Candidate) -> Key:
    return candidate.resource_type, candidate.id


def _companions(facts: Sequence[Fact]) -> dict[Key, tuple[Candidate, list[Fact]]]:
    """The specimens, reports … of a message, each once, with their facts."""
    found: dict[Key, tuple[Candidate, list[Fact]]] = {}
    for fact in facts:
        for candidate in fact.companions if fact.candidate is not None else ():
            found.setdefault(_key(candidate), (candidate, []))[1].append(fact)
    return found


def _revise_fact(run: Run, candidate: Candidate, stored: Json | None) -> Json | None:
    written = run.note(_key(candidate), stored, decide(stored, candidate))
    return None if written is None else claiming(written)


def _accepted(run: Run, facts: Sequence[Fact]) -> list[Candidate]:
    candidates = [fact.candidate for fact in facts if fact.candidate is not None]
    return [each for each in candidates if _follows(run.decisions[_key(each)])]


def _follows(decision: Decision) -> bool:
    """Whether companions are looked at for a fact: not for a refused or re-sent one."""
    return decision.kind != "refused" and not decision.resend


def _revise_companion(
    run: Run, candidate: Candidate, facts: Sequence[Fact], stored: Json | None
) -> Json | None:
    results: list[Json] = [
        {"reference": f"{each.resource_type}/{each.id}"} for each in _accepted(run, facts)
    ]
    return run.note(_key(candidate), stored, decide_companion(stored, candidate, results))


def check_run(run: Run, changes: Mapping[Key, Change]) -> None:
    """Raises where the transaction is to be run again, otherwise."""
    _check_places(run)
    _check_versions(run, changes)


def _check_places(run: Run) -> None:
    elsewhere = {key for key, decision in run.decisions.items() if decision.kind == "elsewhere"}
    if elsewhere:
        raise _Elsewhere(elsewhere)


def _relocated(fact: Fact, keys: set[Key], secret: bytes) -> Fact:
    return relocate(fact, secret) if fact.candidate and _key(fact.candidate) in keys else fact


def _check_versions(run: Run, changes: Mapping[Key, Change]) -> None:
    wrong = {
        key: changes[key].version - 1
        for key, decision in run.decisions.items()
        if decision.kind == "store" and changes[key].version != run.versions[key]
    }
    if wrong:
        raise _OtherVersion(wrong)


def settle_fact(fact: Fact, run: Run, changes: Mapping[Key, Change]) -> Settled:
    if fact.candidate is None:
        return Settled(fact, fact.version)
    key = _key(fact.candidate)
    return settle(fact, run.decisions[key], changes[key])


# Corrections, scale


EARLIER = """
SELECT resource_id, resource_version, message_id, outcome, reason, fingerprint FROM feeds.fact
WHERE resource_id = ANY($1)
"""
NO_ORIGINAL = frozenset({Reason.CORRECTION_WITHOUT_ORIGINAL, Reason.PATIENT_MISMATCH})
SAME_DOSE = """
SELECT DISTINCT resource_id FROM feeds.fact
WHERE subject = $1 AND analyte = $2 AND order_token = $3 AND message_id <> $4
  AND resource_type = 'MedicationAdministration' AND outcome IN ('stored', 'unchanged')
LIMIT 2
"""


async def fetch_earlier(
    connection: ReadConnection, messages: Sequence[Sequence[Fact]], secret: bytes
) -> Sequence[Any]:
    """What is known of the results that the facts of these messages are about."""
    asked: dict[str, None] = {}
    for fact in (fact for facts in messages for fact in facts if fact.candidate):
        asked |= {fact.resource_id: None, _id_elsewhere(fact, secret): None}
    return await connection.fetch(EARLIER, list(asked)) if asked else ()


async def compare_with_earlier(
    connection: ReadConnection,
    facts: Sequence[Fact],
    message_id: int,
    rows: Sequence[Any],
    secret: bytes,
) -> list[Fact]:
    """What earlier messages said of the same results decides where a fact belongs, whether it was
    said before, and whether a correction has its original: one that was received but could not be
    stored counts."""
    own = {fact.candidate.id: _id_elsewhere(fact, secret) for fact in facts if fact.candidate}
    if not own:
        return list(facts)
    rows = [row for row in rows if row["message_id"] != message_id]
    stored = {row["resource_id"] for row in rows if row["resource_version"] is not None}
    earlier: dict[str, list[Any]] = {}
    for row in rows:
        earlier.setdefault(row["resource_id"], []).append(row)
    moved = {("Observation", id) for id, elsewhere in own.items() if elsewhere in stored}
    found = []
    for fact in facts:
        placed = _relocated(fact, moved, secret)
        if _lacks_dose(placed, stored):
            placed = await _with_dose(connection, placed, message_id)
        found.append(_compared(placed, earlier.get(placed.resource_id, ()), message_id, secret))
    return found


def _id_elsewhere(fact: Fact, secret: bytes) -> str:
    return id_for_subject(secret, fact.resource_id, fact.subject.number if fact.subject else "")


def _lacks_dose(fact: Fact, stored: set[str]) -> bool:
    """Whether an update or deletion names no dose that is stored: it may correct the very time
    that is part of the identity."""
    candidate = fact.candidate
    return (
        candidate is not None
        and candidate.resource_type == "MedicationAdministration"
        and candidate.needs_original
        and bool(fact.order_token)
        and candidate.id not in stored
    )


async def _with_dose(connection: ReadConnection, fact: Fact, message_id: int) -> Fact:
    """The fact under the id of the only dose of the same order, RXA-2 and drug, if there is one."""
    number = fact.subject.number if fact.subject else ""
    rows = await connection.fetch(SAME_DOSE, number, fact.analyte, fact.order_token, message_id)
    if len(rows) != 1 or fact.candidate is None:
        return fact
    id = rows[0]["resource_id"]
    candidate = replace(fact.candidate, resource={**fact.candidate.resource, "id": id})
    return replace(fact, resource_id=id, candidate=candidate)


def _compared(fact: Fact, rows: Sequence[Any], message_id: int, secret: bytes) -> Fact:
    candidate = fact.candidate
    if candidate is None:
        return fact
    said_now = fingerprint(fact, secret)
    said = [
        row["message_id"]
        for row in rows
        if row["fingerprint"] == said_now
        and row["message_id"] < message_id
        and row["outcome"] != Outcome.QUARANTINED
    ]
    unreadable = any(
        row["outcome"] == Outcome.QUARANTINED and row["reason"] not in NO_ORIGINAL for row in rows
    )
    fact = replace(fact, candidate=replace(candidate, said_before=max(said, default=None)))
    return _admitted(fact) if unreadable and not candidate.keeps_value else fact


def _admitted(fact: Fact) -> Fact:
    if fact.candidate is None:
        return fact
    return replace(fact, candidate=replace(fact.candidate, needs_original=False))


def _jumps(value: float, last: float) -> bool:
    """Whether the ratio is about ten, a hundred … or a tenth, a hundredth …"""
    if value <= 0 or last <= 0:
        return False
    power = math.log10(value / last)
    return round(power) != 0 and abs(power - round(power)) < 0.2


def _canonical_value(resource: Json) -> float | None:
    beside = [
        item["valueQuantity"]
        for item in resource.get("extension", [])
        if item.get("url") == CANONICAL_QUANTITY
    ]
    quantity = beside[0] if beside else resource.get("valueQuantity")
    return float(decimal(quantity["value"])) if quantity else None


def _with_review(fact: Fact, reason: Reason) -> Fact:
    if fact.candidate is None:
        return fact
    resource = with_review(fact.candidate.resource, reason)
    return replace(
        fact,
        reviews=(*fact.reviews, reason),
        candidate=replace(fact.candidate, resource=resource),
    )


# The message's end


def reviews_of(job: Job, ordinal: int) -> list[Settled]:
    found = []
    for n, reason in enumerate(job.reviews, start=ordinal):
        fact = whole_fact(job.decoder, job.read, n)
        found.append(Settled(fact.settled(Outcome.REVIEW, _REVIEW_TEXTS[reason], reason)))
    return found


_REVIEW_TEXTS = {
    Reason.CHARSET_MISMATCH: "the bytes are not in the charset that was declared",
    Reason.CONTROL_ID_REUSE: "other bytes were received under this control id",
}

END = """
UPDATE feeds.processing SET state = 'done', finished = started, claimed_until = now()
WHERE message_id = ANY($1)
"""
ACKNOWLEDGE = """
INSERT INTO feeds.acknowledgement (message_id, code, body)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[])
ON CONFLICT (message_id) DO NOTHING
"""


def _end_of(job: Job, settled: Sequence[Settled], secret: bytes) -> list[Statement]:
    return end_messages([job], [acknowledge(job, [each.fact for each in settled])], secret)


def ledger_of(job: Job, source: Source, settled: Sequence[Settled]) -> Ended:
    """What the coverage ledger of a message is made of."""
    facts = [each.fact for each in settled]
    content = job.content
    return content.id, len(content.data), job.read, job.setting, facts, source.mapping_version


def end_messages(
    jobs: Sequence[Job], told: Sequence[Acknowledgement], secret: bytes
) -> list[Statement]:
    ids, codes = [job.content.id for job in jobs], [each.code for each in told]
    bodies = [seal_answer(secret, each.body) if each.private else each.body for each in told]
    return [Statement(END, [(ids,)]), Statement(ACKNOWLEDGE, [(ids, codes, bodies)])]


def verdict_of(job: Job) -> Verdict:
    """Kept is accepted, also with quarantined facts; only bytes that are no message of the format
    are rejected although they were kept."""
    return "reject" if job.read.content is None else "accept"


def acknowledge(job: Job, facts: Sequence[Fact] | None) -> Acknowledgement:
    """The acknowledgement of a message, processed or (without facts) only kept."""
    content = job.content
    receipt = Receipt(content.id, content.received, verdict_of(job), job.read, facts)
    return job.decoder.acknowledge(receipt)
