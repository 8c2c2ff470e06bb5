"""The feeds as the rest of the service sees them: receive a delivery, work through what is pending,
process again what waited.

    receive   transaction 1 keeps the bytes; by default transaction 2 follows before the answer
    workers   take whatever is pending, also what a killed process left behind
    replay    marks messages pending again (enrolment, a correction whose original has come)
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.database import Database, ReadConnection
from app.errors import Category, SsciError, error
from app.fhir import Store, unhurried
from app.mappings.dictionary.site import HL7, FeedSetting, Site
from app.mappings.facts import Fact, Source
from app.mappings.formats.charset import codec_of, decodes
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.decoding import Decoder, Read, Receipt, check_formats
from app.mappings.frame import Span
from app.mappings.intake.control_ids import control_id_as_kept
from app.mappings.intake.idempotency import Idempotency
from app.mappings.intake.inbox import (
    Claim,
    Content,
    Delivery,
    FeedKeys,
    Incoming,
    Kept,
    fetch_sealed,
    keep,
    keep_together,
    open_content,
)
from app.mappings.intake.lanes import Lanes
from app.mappings.intake.sealed_answers import open_answer
from app.mappings.parsing.units import load_ucum
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.subjects import Found, PatientClaim, SubjectDirectory
from app.mappings.working.joint import End, Ended, process_in_waves
from app.mappings.working.processing import TRANSIENT, Job, Processor, acknowledge, verdict_of
from app.mappings.working.quarantine import Settled, fact_statements, fetch_facts
from app.mappings.working.turns import Turns

logger = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024 * 1024
MAX_MESSAGES = 10_000
MESSAGES_AT_ONCE = 50
CLAIM = timedelta(seconds=10)
RENEWAL_SECONDS = 3.0
RETRY = timedelta(seconds=2)
IDLE_SECONDS = 1.0
TOGETHER = 32
"""How many messages one transaction carries at most: so many also hold up the event loop."""
LIGHT_BYTES = 16 * 1024
"""A longer message is carried out alone, beside the others."""
WORKERS = 2
"""While one waits for the database, the other maps."""
HELD_JOBS = 512
BROKEN_ATTEMPTS = 2
"""So many attempts alone may end with the process; then the message goes into quarantine."""
DELIVERIES_AT_ONCE = 64


Observer = Callable[[str, Sequence[Settled]], None]
"""Told the feed and what became of the facts of each message that was processed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one message: `facts` as rows of the listing, None while it is pending."""

    message_id: int
    sha256: str
    duplicate: bool
    unreadable: bool
    ack: bytes = field(repr=False)
    facts: Sequence[object] | None = None


CLAIM_NEXT = """
WITH next AS (
  SELECT message_id, started > finished AS broken FROM feeds.processing
  WHERE state = 'pending' AND claimed_until <= now()
  ORDER BY message_id LIMIT $2 FOR UPDATE SKIP LOCKED
), sized AS (
  SELECT next.message_id, bool_or(broken) OVER arrival AS broken,
    sum(m.size) OVER arrival AS size, row_number() OVER arrival AS place
  FROM next JOIN feeds.message m ON m.id = next.message_id
  WINDOW arrival AS (ORDER BY next.message_id)
)
UPDATE feeds.processing p SET started = p.started + 1, claimed_until = now() + $1
FROM sized WHERE p.message_id = sized.message_id
  AND NOT sized.broken AND (sized.place = 1 OR sized.size <= $3)
RETURNING p.message_id, p.started
"""
"""The oldest that are free, up to the first that was being processed when a process died."""
FREE = """
SELECT 1 FROM feeds.processing WHERE state = 'pending' AND claimed_until <= now()
ORDER BY message_id LIMIT 1
"""
CLAIM_BROKEN = """
WITH next AS (
  SELECT message_id FROM feeds.processing
  WHERE state = 'pending' AND claimed_until <= now()
  ORDER BY message_id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE feeds.processing p SET started = p.started + 1, claimed_until = now() + $1
FROM next WHERE p.message_id = next.message_id AND p.started > p.finished
RETURNING p.message_id, p.started, p.finished
"""
"""The oldest that is free, if it was being processed when a process died. It goes alone, so that it
takes no other with it and bears no other's blame: `started - finished` is then one more than its
attempts alone, this one included."""
CLAIM_ONE = """
UPDATE feeds.processing SET started = started + 1, claimed_until = now() + $2
WHERE message_id = $1 AND state = 'pending' AND claimed_until <= now() AND started = finished
RETURNING message_id, started
"""
CLAIM_FIRST = """
UPDATE feeds.processing SET started = started + 1, claimed_until = now() + $2
WHERE message_id = $1 AND state = 'pending' AND started = 0
RETURNING message_id, started
"""
RENEW = """
UPDATE feeds.processing SET claimed_until = now() + $2
WHERE message_id = ANY($1) AND state = 'pending'
"""
RELEASE = """
UPDATE feeds.processing SET finished = started, claimed_until = now() + $2
WHERE message_id = $1 AND state = 'pending'
"""
REOPEN = """
UPDATE feeds.processing SET state = 'pending', claimed_until = now()
WHERE message_id = ANY($1) AND state = 'done' RETURNING message_id
"""
WAITING = """
SELECT DISTINCT message_id FROM feeds.fact WHERE outcome = 'waiting' AND waiting_keys && $1
ORDER BY message_id
"""
CORRECTIONS = """
SELECT DISTINCT c.message_id FROM feeds.fact c WHERE c.resource_id = ANY($1) AND c.state = 'open'
  AND c.reason = 'CORRECTION_WITHOUT_ORIGINAL' AND EXISTS (
    SELECT FROM feeds.fact o WHERE o.resource_id = c.resource_id AND o.message_id <> c.message_id
    AND o.outcome IN ('stored', 'unchanged'))
ORDER BY c.message_id
"""
DOSE_CORRECTIONS = """
SELECT DISTINCT c.message_id FROM feeds.fact c WHERE c.state = 'open'
  AND c.reason = 'CORRECTION_WITHOUT_ORIGINAL' AND c.order_token = ANY($1) AND c.order_token <> ''
  AND 1 = (
    SELECT count(DISTINCT o.resource_id) FROM feeds.fact o WHERE o.subject = c.subject
    AND o.analyte = c.analyte AND o.order_token = c.order_token AND o.message_id <> c.message_id
    AND o.resource_type = 'MedicationAdministration' AND o.outcome IN ('stored', 'unchanged'))
ORDER BY c.message_id
"""
MISPLACED = """
SELECT DISTINCT message_id FROM feeds.fact WHERE resource_id = ANY($1) AND state = 'open'
  AND reason = 'PATIENT_MISMATCH'
ORDER BY message_id
"""


class Feeds:
    """All feeds of a site. `service` names program and version in Provenance."""

    def __init__(
        self,
        database: Database,
        store: Store,
        site: Site,
        keys: FeedKeys | Callable[[], FeedKeys],
        directory: SubjectDirectory,
        *,
        service: str = "ssci",
        max_bytes: int = MAX_BYTES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        check_formats(site, DECODERS)
        self.database = database
        self.store = store
        self.site = site
        self.observers: list[Observer] = []
        self.max_bytes = max_bytes
        self._read_keys = keys if callable(keys) else lambda: keys
        self._directory = directory
        self._now = now
        secret = self._keys.result_hmac
        self._processor = Processor(database, store, site, secret, directory, service)
        self._workers: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._unreleased: set[int] = set()
        self._inbox = Lanes(self._keep_together, DELIVERIES_AT_ONCE)
        self._lanes = Lanes(self._attempt_together, TOGETHER, lanes=2)
        self._turns = Turns()
        self._held: dict[int, Job] = {}
        self._taken = 0
        self.idempotency = Idempotency(database, lambda: self._keys.result_hmac, now)

    @property
    def secret(self) -> bytes:
        """The key of identities, which never rotates."""
        return self._keys.result_hmac

    @property
    def _keys(self) -> FeedKeys:
        """The keys now: a rotation may have changed them since the start."""
        return self._read_keys()

    # Life

    async def start(self, workers: int = WORKERS) -> None:
        """Starts the workers, which first take what an earlier process left pending."""
        await asyncio.to_thread(load_ucum)
        self._workers = [asyncio.create_task(self._work()) for _ in range(workers)]

    async def stop(self) -> None:
        """Stops the workers; what they had begun stays pending and is taken up again."""
        for worker in self._workers:
            worker.cancel()
        for worker in self._workers:
            with contextlib.suppress(asyncio.CancelledError):
                await worker
        self._workers = []
        await self._inbox.stop()
        await self._lanes.stop()

    async def use_site(self, site: Site) -> None:
        """Another mapping of the same feeds, from now on. Nothing is being processed while it is
        changed, and nothing is held that was read by the former."""
        async with self._turns.alone():
            self.site = self._processor.site = site
            self._held.clear()

    def setting(self, feed: str) -> FeedSetting:
        """A feed's setting; NOT_FOUND for a name that is none."""
        found = self.site.feeds.get(feed)
        if found is None:
            raise error(Category.NOT_FOUND, "no feed of this name", expression="feed")
        return found

    # Receiving

    def decoder(self, feed: str, format: str) -> Decoder:
        """The decoder of a format that the feed takes; NOT_FOUND for any other."""
        if format not in self.setting(feed).formats:
            raise error(Category.NOT_FOUND, "this feed takes no such format", expression="feed")
        return DECODERS[format]

    async def receive(
        self, feed: str, body: bytes, media_type: str, *, format: str = HL7, wait: bool = True
    ) -> list[Answer]:
        """Keeps a delivery, then (if `wait`) processes it; an answer per message, in order.

        Raises SsciError UNAVAILABLE: nothing was kept. NOT_FOUND: no such feed, or not its format.
        """
        setting, decoder = self.setting(feed), self.decoder(feed, format)
        arrivals = await unhurried(len(body), self._take_apart, setting, decoder, body, media_type)
        claims = [_claim(n, wait) for n in range(len(arrivals))]
        kept = await self._keep(Delivery([each for each, _ in arrivals], claims))
        known = await self._acknowledged([each.id for each in kept if each.duplicate])
        answers = [
            await self._answer(setting, decoder, each, read, place, claim, known)
            for (each, read), place, claim in zip(arrivals, kept, claims, strict=True)
            if each.kind != "envelope"
        ]
        if any(answer.facts is None for answer in answers):
            self._wake.set()
        return answers

    async def _keep(self, delivery: Delivery) -> list[Kept]:
        """Durable when it returns. Small deliveries that come at once share a transaction."""
        if len(delivery.incoming) <= MESSAGES_AT_ONCE:
            return await self._inbox.do(delivery)
        async with self.database.writing() as connection:
            return await keep(connection, self._keys, delivery.incoming, delivery.claims)

    async def _keep_together(
        self, deliveries: Sequence[Delivery]
    ) -> list[list[Kept] | BaseException]:
        return await keep_together(self.database, self._keys, deliveries)

    def limit_broken(self, body: bytes, format: str = HL7) -> str | None:
        """Which limit of a delivery its body breaks, if any."""
        if len(body) > self.max_bytes:
            return f"a delivery may have {self.max_bytes} bytes"
        if DECODERS[format].exceeds(body, MAX_MESSAGES):
            return f"a delivery may have {MAX_MESSAGES} messages and envelope segments"
        return None

    def refuse(
        self, feed: str, format: str, failure: Failure | None = None, body: bytes = b""
    ) -> bytes:
        """The answer to a delivery that is not kept; what it repeats is read from `body`."""
        decoder, now = DECODERS[format], self._now()
        fact = Fact(0, decoder.whole, Span(0, 0), elements=decoder.elements)
        facts = [fact.failed(failure)] if failure else None
        read = self._read_header(self.setting(feed), decoder, body)
        return decoder.acknowledge(Receipt(0, now, "reject", read, facts)).body

    def _read_header(self, setting: FeedSetting, decoder: Decoder, body: bytes) -> Read | None:
        header = decoder.header(body)
        return decoder.read(header, setting, self.site) if header else None

    async def reject_oversize(
        self, feed: str, head: bytes, media_type: str, rule: str, format: str = HL7
    ) -> bytes:
        """Records a delivery that breaks a limit, without its bytes; the answer to it."""
        setting, decoder, now = self.setting(feed), self.decoder(feed, format), self._now()
        digest = hashlib.sha256(head).digest()
        incoming = Incoming(
            setting.name, "too-large", format, media_type, digest, len(head), now, None
        )
        failure = Failure(Reason.TOO_LARGE, rule)
        fact = Fact(0, decoder.whole, Span(0, 0)).failed(failure)
        source = Source(feed, digest.hex(), now, self.site.version, format=format)
        async with self.database.writing() as connection:
            (kept,) = await keep(connection, self._keys, [incoming], [Claim()])
            if not kept.duplicate:
                rows = [Settled(fact)]
                secret = self._keys.result_hmac
                for statement in fact_statements(kept.id, rows, source, now, secret):
                    await connection.executemany(statement.sql, statement.rows)
        self._tell(feed, [] if kept.duplicate else [Settled(fact)])
        read = self._read_header(setting, decoder, head)
        return decoder.acknowledge(Receipt(kept.id, kept.received, "reject", read, [fact])).body

    def _take_apart(
        self, setting: FeedSetting, decoder: Decoder, body: bytes, media_type: str
    ) -> list[tuple[Incoming, Read]]:
        """The messages of a delivery, and its envelope if it is a batch."""
        frames = decoder.split(body)
        if not frames.messages or (len(frames.messages) == 1 and not frames.envelope):
            return [self._incoming(setting, decoder, body, media_type, None)]
        batch = hashlib.sha256(body).digest()
        found = [
            self._incoming(setting, decoder, body[span.start : span.end], media_type, batch)
            for span in frames.messages
        ]
        envelope = b"".join(body[span.start : span.end] for span in frames.envelope)
        if envelope:
            incoming = Incoming(
                *(setting.name, "envelope", decoder.format, media_type, batch, len(envelope)),
                self._now(),
                envelope,
                batch=batch,
            )
            found.append((incoming, Read(None, Span(0, len(envelope)))))
        return found

    def _incoming(
        self,
        setting: FeedSetting,
        decoder: Decoder,
        data: bytes,
        media_type: str,
        batch: bytes | None,
    ) -> tuple[Incoming, Read]:
        read = decoder.read(data, with_transport_charset(setting, media_type, data), self.site)
        head = read.head
        incoming = Incoming(
            setting.name,
            "message",
            decoder.format,
            media_type,
            hashlib.sha256(data).digest(),
            len(data),
            self._now(),
            data,
            head.message_type,
            control_id_as_kept(self._keys.result_hmac, setting.name, head.control_id),
            head.charset_declared,
            head.charset_used,
            head.charset_mismatch,
            batch,
        )
        return incoming, read

    async def _answer(
        self,
        setting: FeedSetting,
        decoder: Decoder,
        incoming: Incoming,
        read: Read,
        kept: Kept,
        claim: Claim,
        known: Mapping[int, bytes],
    ) -> Answer:
        """The answer to one message, which is processed first if its receiver has a claim.

        The acknowledgement is the one given first; before there is one, the acceptance alone.
        """
        content = Content(
            kept.id,
            setting.name,
            incoming.format,
            incoming.sha256,
            kept.received,
            incoming.media_type,
            kept.control_id_reused,
            incoming.data or b"",
        )
        job = Job(content, setting, read, decoder, attempt=1)
        facts, ack = None, known.get(kept.id)
        if claim.seconds:
            facts, told = await self._settle(job, kept, claim)
            ack = ack or told
        elif not kept.duplicate:
            self._hold(job)
        ack = ack or acknowledge(job, None).body
        rejected = verdict_of(job) == "reject"
        return Answer(kept.id, incoming.sha256.hex(), kept.duplicate, rejected, ack, facts)

    async def _settle(
        self, job: Job, kept: Kept, claim: Claim
    ) -> tuple[Sequence[object] | None, bytes | None]:
        """Processes a message whose turn has come; its facts, None while it is pending, and its
        acknowledgement."""
        if not kept.duplicate and (claim.started or await self._claim(CLAIM_FIRST, kept.id)):
            ended = await self._attempt(job)
            if ended is not None and ended.facts is not None:
                return ended.facts, ended.ack
        facts = await self._facts_if_done(kept.id)
        if facts is None and kept.duplicate:
            await self._process_one(kept.id)
            facts = await self._facts_if_done(kept.id)
        return facts, (await self._acknowledged([kept.id])).get(kept.id)

    def _hold(self, job: Job) -> None:
        """Spares the worker that takes the message up reading it back. Of more than can be held the
        first are held, which are taken up first; what another process has taken up is let go."""
        content = job.content
        if len(self._held) >= HELD_JOBS and (oldest := next(iter(self._held))) <= self._taken:
            del self._held[oldest]
        if len(content.data) <= LIGHT_BYTES and len(self._held) < HELD_JOBS:
            setting = with_transport_charset(job.setting, content.media_type, content.data)
            self._held[content.id] = replace(job, setting=setting)

    async def _claim(self, sql: str, message_id: int) -> Any | None:
        async with self.database.writing() as connection:
            return await connection.fetchrow(sql, message_id, CLAIM)

    async def _facts_if_done(self, message_id: int) -> Sequence[object] | None:
        async with self.database.reading() as connection:
            state = await connection.fetchval(
                "SELECT state FROM feeds.processing WHERE message_id = $1", message_id
            )
            return await fetch_facts(connection, message_id) if state == "done" else None

    async def _acknowledged(self, message_ids: Sequence[int]) -> Mapping[int, bytes]:
        """The acknowledgements of those of these messages that are processed."""
        if not message_ids:
            return {}
        async with self.database.reading() as connection:
            rows = await connection.fetch(
                "SELECT message_id, body FROM feeds.acknowledgement WHERE message_id = ANY($1)",
                list(message_ids),
            )
        secret = self.secret
        return {row["message_id"]: open_answer(secret, bytes(row["body"])) for row in rows}

    # Processing

    async def _attempt(self, job: Job) -> Ended | None:
        """One attempt, with others that come at the same time; a passing trouble leaves the message
        pending."""
        if len(job.content.data) <= LIGHT_BYTES:
            return await self._lanes.do(job)
        (end,) = await self._attempt_together([job])
        if isinstance(end, BaseException):
            raise end
        return end

    async def _attempt_together(self, jobs: Sequence[Job]) -> list[Ended | BaseException | None]:
        """One attempt at each; None for one that stays pending, or is to be read back."""
        begun, again = time.monotonic(), set[int]()
        ends: dict[int, End] = {}
        held = {job.content.id for job in jobs}
        async with self._holding(held):
            async for wave in process_in_waves(self._processor, jobs, self._turns):
                ended = {job.content.id: end for job, end in wave}
                held -= ended.keys()
                again |= await self._finish(wave)
                ends |= ended
        if time.monotonic() - begun > CLAIM.total_seconds():
            again |= ends.keys()  # another may have been at them
        return [_told(job, ends[job.content.id], again) for job in jobs]

    async def _finish(self, wave: Sequence[tuple[Job, End]]) -> set[int]:
        """What follows from messages that were processed; those that were processed again."""
        for job, end in wave:
            if isinstance(end, SsciError) and end.category in TRANSIENT:
                await self._release(job.content.id)
            elif isinstance(end, Ended):
                self._tell(job.content.feed, end.settled)
        return await self._follow(wave)

    def _tell(self, feed: str, settled: Sequence[Settled]) -> None:
        for observe in self.observers:
            observe(feed, settled)

    @contextlib.asynccontextmanager
    async def _holding(self, message_ids: Set[int]) -> AsyncIterator[None]:
        """Renews the claims while the messages are worked at. A claim is short, so that what a
        killed process leaves behind is soon taken up."""
        renewing = asyncio.create_task(self._renew(message_ids))
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self, message_ids: Set[int]) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            with contextlib.suppress(SsciError):
                async with self.database.writing() as connection:
                    await connection.execute(RENEW, list(message_ids), CLAIM)

    async def _follow(self, ends: Sequence[tuple[Job, End]]) -> set[int]:
        """Takes up what these messages made possible, or what changed while they were processed:
        corrections that came before their original, the right patient's result after the wrong
        one's was withdrawn, what waited for a number just linked, enrolment of a patient just
        looked for. The messages that were taken up."""
        done = [(job, end.settled) for job, end in ends if isinstance(end, Ended)]
        asked = _asked(done)
        if not asked.is_needed:
            return set()
        async with self.database.reading() as connection:
            again = await _corrections_of(connection, asked.created)
            again |= await _select(connection, MISPLACED, asked.withdrawn)
            again |= await _select(connection, WAITING, asked.linked)
            again |= await _corrections_of(connection, asked.lacking) & asked.first
            again |= await self._known_now(connection, asked.waiting)
        if again:
            await self.process_again(sorted(again))
        return again

    async def _known_now(
        self, connection: ReadConnection, waiting: Sequence[tuple[Job, Sequence[Fact]]]
    ) -> set[int]:
        """The messages with facts that wait for a patient who has been enrolled meanwhile."""
        if not waiting:
            return set()
        found = await self._processor.find(connection, [job for job, _ in waiting])
        return {job.content.id for job, facts in waiting if _is_known(job, facts, found)}

    async def process_again(self, message_ids: Sequence[int]) -> None:
        """Processes messages once more, in this order; identities make it change nothing twice."""
        async with self.database.writing() as connection:
            await connection.fetch(REOPEN, list(message_ids))
        for message_id in message_ids:
            await self._process_one(message_id)

    async def replay_waiting(self, hashes: Sequence[tuple[str, bytes]]) -> None:
        """Processes what waited for these (authority, keyed HMAC of the MRN): on enrolment."""
        async with self.database.reading() as connection:
            rows = await connection.fetch(WAITING, [hashed for _, hashed in hashes])
        if rows:
            await self.process_again([row["message_id"] for row in rows])

    async def _process_one(self, message_id: int) -> None:
        row = await self._claim(CLAIM_ONE, message_id)
        if row is not None:
            await self._process_claimed([row])

    async def process_pending(self) -> int:
        """Works through everything that is pending now; how many messages that were."""
        number = 0
        while taken := await self._process_next():
            number += taken
        return number

    async def _process_next(self) -> int:
        async with self.database.writing() as connection:
            rows = await connection.fetch(CLAIM_NEXT, CLAIM, TOGETHER, TOGETHER * LIGHT_BYTES)
        if not rows:
            return await self._process_broken()
        self._taken = max(row["message_id"] for row in rows)
        await self._process_claimed(sorted(rows, key=lambda row: int(row["message_id"])))
        return len(rows)

    async def _process_broken(self) -> int:
        """One that was being processed when a process died, while nothing else is."""
        async with self.database.reading() as connection:
            if not await connection.fetchval(FREE):
                return 0
        async with self._turns.alone():
            async with self.database.writing() as connection:
                row = await connection.fetchrow(CLAIM_BROKEN, CLAIM)
            if row is None:
                return 0
            alone = row["started"] - row["finished"] - 1
            try:
                await self._process_claimed([row], poisoned=alone > BROKEN_ATTEMPTS)
            except asyncio.CancelledError:  # stopped, not broken
                await self._release(row["message_id"])
                raise
        return 1

    async def _process_claimed(self, rows: Sequence[Any], *, poisoned: bool = False) -> None:
        jobs = await self._open_claimed({row["message_id"]: row["started"] for row in rows})
        jobs = [_poisoned(job) for job in jobs] if poisoned else jobs
        light = [job for job in jobs if len(job.content.data) <= LIGHT_BYTES]
        heavy = [[job] for job in jobs if len(job.content.data) > LIGHT_BYTES]
        async with self._holding({job.content.id for [job] in heavy}):
            for some in (light, *heavy):
                ends = await self._attempt_together(some) if some else []
                for problem in (each for each in ends if isinstance(each, BaseException)):
                    _log_problem(problem)

    async def _open_claimed(self, attempts: Mapping[int, int]) -> list[Job]:
        """Those that open. That the others don't (their key is not there, the site has no such feed
        any more) ended no process: it is not held against them."""
        try:
            jobs = await self._open_jobs(attempts)
        except Exception as problem:
            _log_problem(problem)
            jobs = []
        for message_id in attempts.keys() - {job.content.id for job in jobs}:
            await self._release(message_id, CLAIM)
        return jobs

    async def open_job(self, message_id: int, attempt: int) -> Job | None:
        """A kept message with its bytes, read as its feed and format have it; None where they are
        not there, or the site has no such feed any more."""
        return next(iter(await self._open_jobs({message_id: attempt})), None)

    async def _open_jobs(self, attempts: Mapping[int, int]) -> list[Job]:
        """The messages that are there, in the order given; attempts by message."""
        held = {id: self._held.pop(id) for id in attempts if id in self._held}
        jobs = {id: replace(job, attempt=attempts[id]) for id, job in held.items()}
        if absent := [id for id in attempts if id not in held]:
            async with self.database.reading() as connection:
                rows = await fetch_sealed(connection, absent)
            for row in rows:
                job = await self._open_row(row, attempts[row["id"]], alone=len(attempts) == 1)
                jobs |= {row["id"]: job} if job else {}
        return [jobs[id] for id in attempts if id in jobs]

    async def _open_row(self, row: Any, attempt: int, *, alone: bool) -> Job | None:
        """One that does not open harms no other."""
        try:
            return await self._read_job(open_content(self._keys, row), attempt)
        except Exception as problem:
            if alone:
                raise
            _log_problem(problem)
            return None

    async def _read_job(self, content: Content, attempt: int) -> Job | None:
        setting, decoder = self.site.feeds.get(content.feed), DECODERS.get(content.format)
        if setting is None or decoder is None:
            return None
        setting = with_transport_charset(setting, content.media_type, content.data)
        read = await unhurried(len(content.data), decoder.read, content.data, setting, self.site)
        return Job(content, setting, read, decoder, attempt=attempt)

    async def map_job(self, job: Job) -> tuple[Source, list[Fact]]:
        """What a message says now, compared with what is known of it; nothing is written."""
        return await self._processor.map(job)

    async def _release(self, message_id: int, wait: timedelta = RETRY) -> None:
        """Gives a claimed message back; if even that fails, a worker does it later."""
        try:
            async with self.database.writing() as connection:
                await connection.execute(RELEASE, message_id, wait)
        except SsciError:
            self._unreleased.add(message_id)
        self._wake.set()

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                for message_id in list(self._unreleased):
                    self._unreleased.discard(message_id)
                    await self._release(message_id)
                busy = await self._process_next() > 0
            except SsciError as problem:
                logger.warning("feeds: %s", problem.category)
                busy = False
            except Exception as problem:
                logger.error("feeds: a worker met %s", type(problem).__name__)
                busy = False
            if not busy:
                try:
                    await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
                except TimeoutError:
                    self._held.clear()


@dataclass(slots=True)
class _Asked:
    """What is to be looked for after messages were processed; `first`: at their first attempt."""

    created: list[Fact] = field(default_factory=list)
    lacking: list[Fact] = field(default_factory=list)
    first: set[int] = field(default_factory=set)
    withdrawn: list[str] = field(default_factory=list)
    linked: list[bytes] = field(default_factory=list)
    waiting: list[tuple[Job, list[Fact]]] = field(default_factory=list)

    @property
    def is_needed(self) -> bool:
        found = (self.created, self.lacking, self.withdrawn, self.linked, self.waiting)
        return any(found)


def _asked(done: Sequence[tuple[Job, Sequence[Settled]]]) -> _Asked:
    asked = _Asked()
    for job, settled in done:
        asked.created += [each.fact for each in settled if _is_created(each)]
        asked.withdrawn += [each.fact.resource_id for each in settled if _withdraws(each.fact)]
        asked.linked += _linked_keys(settled)
        waiting = [each.fact for each in settled if each.fact.outcome is Outcome.WAITING]
        if any(fact.waiting_keys for fact in waiting):
            asked.waiting.append((job, waiting))
        lacking = [each.fact for each in settled if _lacks_original(each.fact)]
        if job.attempt == 1 and lacking:
            asked.lacking += lacking
            asked.first.add(job.content.id)
    return asked


def _is_known(job: Job, facts: Sequence[Fact], found: Mapping[PatientClaim, Found]) -> bool:
    waiting = [set(fact.waiting_keys) for fact in facts if fact.waiting_keys]
    asked = [found[claim] for claim in job.read.claims.values() if claim in found]
    known = [set(each.waiting_keys) for each in asked if each.subjects]
    return any(keys <= waited for keys in known for waited in waiting)


def _told(job: Job, end: End, again: set[int]) -> Ended | BaseException | None:
    if isinstance(end, SsciError) and end.category in TRANSIENT:
        return None
    if isinstance(end, Ended) and job.content.id in again:
        return Ended(end.settled)
    return end


def _poisoned(job: Job) -> Job:
    detail = f"the process ended {BROKEN_ATTEMPTS} times while it processed this message alone"
    return replace(job, read=replace(job.read, failure=Failure(Reason.POISON, detail)))


def _log_problem(problem: BaseException) -> None:
    """Of one message among several: it is tried again when its claim has run out."""
    logger.error("feeds: a message stays pending: %s", type(problem).__name__)


async def _corrections_of(connection: ReadConnection, facts: Sequence[Fact]) -> set[int]:
    """The messages with corrections that lacked an original these results may be."""
    ids = [fact.resource_id for fact in facts]
    doses = [fact.order_token for fact in facts if _is_dose(fact)]
    found = await _select(connection, CORRECTIONS, ids)
    return found | await _select(connection, DOSE_CORRECTIONS, doses)


async def _select(
    connection: ReadConnection, sql: str, values: Sequence[str] | Sequence[bytes]
) -> set[int]:
    rows = await connection.fetch(sql, list(values)) if values else []
    return {row["message_id"] for row in rows}


def _is_created(settled: Settled) -> bool:
    return settled.version == 1 and settled.fact.outcome is Outcome.STORED


def _lacks_original(fact: Fact) -> bool:
    """Its original may have been stored while it was looked for: to be tried once more."""
    return fact.reason is Reason.CORRECTION_WITHOUT_ORIGINAL and bool(fact.resource_id)


def _claim(place: int, wait: bool) -> Claim:
    """Who takes up the message at this place of a delivery: the first ones its receiver, one after
    the other, all others the workers."""
    if not wait or place >= MESSAGES_AT_ONCE:
        return Claim()
    return Claim(CLAIM.total_seconds(), started=place == 0)


def _is_dose(fact: Fact) -> bool:
    return fact.resource_type == "MedicationAdministration"


def _linked_keys(settled: Sequence[Settled]) -> list[bytes]:
    """What facts wait for that a merge of hospital numbers has just made known."""
    merged = [each.fact for each in settled if each.fact.merge is not None]
    stored = [fact for fact in merged if fact.outcome is Outcome.STORED]
    return [key for fact in stored for key in fact.waiting_keys]


def _withdraws(fact: Fact) -> bool:
    return fact.outcome is Outcome.STORED and Reason.WRONG_PATIENT in fact.reviews


def with_transport_charset(setting: FeedSetting, media_type: str, data: bytes) -> FeedSetting:
    """The feed's setting with the charset that the media type names, where the bytes obey it."""
    for parameter in media_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        codec = codec_of(value.strip('" ')) if name.lower() == "charset" else None
        if name.lower() == "charset":
            setting = replace(setting, transport_charset=value.strip('" '))
        if codec and decodes(data, codec):
            return setting.with_codec(codec)
    return setting
