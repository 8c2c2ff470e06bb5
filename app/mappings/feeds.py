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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.database import Database, ReadConnection
from app.errors import Category, SsciError, error
from app.fhir import Store, unhurried
from app.mappings.ack import NOBODY, addressee_of, build_ack, failures_of
from app.mappings.charset import codec_of, decodes
from app.mappings.decoding import ER7, WHOLE, Read, read_message
from app.mappings.facts import Fact, Source
from app.mappings.frame import Span, find_frames, has_more_headers
from app.mappings.inbox import (
    Claim,
    Content,
    FeedKeys,
    Incoming,
    Kept,
    describe,
    fetch_content,
    keep,
)
from app.mappings.processing import TRANSIENT, Job, Processor, verdict_of
from app.mappings.quarantine import Settled, fact_statements, fetch_facts
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.site import FeedSetting, Site
from app.mappings.subjects import SubjectDirectory
from app.mappings.units import load_ucum

logger = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024 * 1024
MAX_MESSAGES = 10_000
MESSAGES_AT_ONCE = 50
CLAIM = timedelta(seconds=10)
RENEWAL_SECONDS = 3.0
RETRY = timedelta(seconds=2)
IDLE_SECONDS = 1.0


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
  SELECT message_id FROM feeds.processing WHERE state = 'pending' AND claimed_until <= now()
  ORDER BY message_id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE feeds.processing p SET started = p.started + 1, claimed_until = now() + $1
FROM next WHERE p.message_id = next.message_id
RETURNING p.message_id, p.started, p.finished
"""
CLAIM_ONE = """
UPDATE feeds.processing SET started = started + 1, claimed_until = now() + $2
WHERE message_id = $1 AND state = 'pending' AND claimed_until <= now()
RETURNING message_id, started, finished
"""
CLAIM_FIRST = """
UPDATE feeds.processing SET started = started + 1, claimed_until = now() + $2
WHERE message_id = $1 AND state = 'pending' AND started = 0
RETURNING message_id, started, finished
"""
RENEW = """
UPDATE feeds.processing SET claimed_until = now() + $2 WHERE message_id = $1 AND state = 'pending'
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
        keys: FeedKeys,
        directory: SubjectDirectory,
        *,
        service: str = "ssci",
        max_bytes: int = MAX_BYTES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.database = database
        self.site = site
        self.max_bytes = max_bytes
        self._keys = keys
        self._directory = directory
        self._now = now
        self._processor = Processor(database, store, site, keys.result_hmac, directory, service)
        self._workers: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._unreleased: set[int] = set()

    # Life

    async def start(self, workers: int = 1) -> None:
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

    def setting(self, feed: str) -> FeedSetting:
        """A feed's setting; NOT_FOUND for a name that is none."""
        found = self.site.feeds.get(feed)
        if found is None:
            raise error(Category.NOT_FOUND, "no feed of this name", expression="feed")
        return found

    # Receiving

    async def receive(
        self, feed: str, body: bytes, media_type: str, *, wait: bool = True
    ) -> list[Answer]:
        """Keeps a delivery, then (if `wait`) processes it; an answer per message, in order.

        Raises SsciError UNAVAILABLE: nothing was kept.
        """
        setting = self.setting(feed)
        arrivals = await unhurried(len(body), self._take_apart, setting, body, media_type)
        claims = [_claim(n, wait) for n in range(len(arrivals))]
        async with self.database.writing() as connection:
            incoming = [each for each, _ in arrivals]
            kept = await keep(connection, self._keys, incoming, claims)
        known = await self._acknowledged([each.id for each in kept if each.duplicate])
        answers = [
            await self._answer(setting, each, read, place, claim, known)
            for (each, read), place, claim in zip(arrivals, kept, claims, strict=True)
            if each.kind != "envelope"
        ]
        if any(answer.facts is None for answer in answers):
            self._wake.set()
        return answers

    def limit_broken(self, body: bytes) -> str | None:
        """Which limit of a delivery its body breaks, if any."""
        if len(body) > self.max_bytes:
            return f"a delivery may have {self.max_bytes} bytes"
        if has_more_headers(body, MAX_MESSAGES):
            return f"a delivery may have {MAX_MESSAGES} messages and envelope segments"
        return None

    async def reject_oversize(self, feed: str, head: bytes, media_type: str, rule: str) -> bytes:
        """Records a delivery that breaks a limit, without its bytes; the answer to it."""
        setting, now = self.setting(feed), self._now()
        digest = hashlib.sha256(head).digest()
        incoming = Incoming(
            setting.name, "too-large", ER7, media_type, digest, len(head), now, None
        )
        failure = Failure(Reason.TOO_LARGE, rule)
        fact = Fact(0, WHOLE, Span(0, 0)).failed(failure)
        source = Source(feed, digest.hex(), now, self.site.version)
        async with self.database.writing() as connection:
            (kept,) = await keep(connection, self._keys, [incoming], [Claim()])
            if not kept.duplicate:
                rows = [Settled(fact)]
                secret = self._keys.result_hmac
                for statement in fact_statements(kept.id, rows, source, now, secret):
                    await connection.executemany(statement.sql, statement.rows)
        return build_ack(NOBODY, "reject", f"SSCI{kept.id}", kept.received, failures_of([fact]))

    def _take_apart(
        self, setting: FeedSetting, body: bytes, media_type: str
    ) -> list[tuple[Incoming, Read]]:
        """The messages of a delivery, and its envelope if it is a batch."""
        frames = find_frames(body)
        if not frames.messages:
            return [self._incoming(setting, body, media_type, None)]
        if len(frames.messages) == 1 and not frames.envelope:
            return [self._incoming(setting, body, media_type, None)]
        batch = hashlib.sha256(body).digest()
        found = [
            self._incoming(setting, body[span.start : span.end], media_type, batch)
            for span in frames.messages
        ]
        envelope = b"".join(body[span.start : span.end] for span in frames.envelope)
        if envelope:
            incoming = Incoming(
                *(setting.name, "envelope", ER7, media_type, batch, len(envelope)),
                self._now(),
                envelope,
                batch=batch,
            )
            found.append((incoming, Read(None, None)))
        return found

    def _incoming(
        self, setting: FeedSetting, data: bytes, media_type: str, batch: bytes | None
    ) -> tuple[Incoming, Read]:
        read = read_message(data, with_transport_charset(setting, media_type, data), self.site)
        head = describe(read.message)
        incoming = Incoming(
            setting.name,
            "message",
            ER7,
            media_type,
            hashlib.sha256(data).digest(),
            len(data),
            self._now(),
            data,
            head.message_type,
            head.control_id,
            head.charset_declared,
            head.charset_used,
            head.charset_mismatch,
            batch,
        )
        return incoming, read

    async def _answer(
        self,
        setting: FeedSetting,
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
            incoming.sha256,
            kept.received,
            incoming.media_type,
            kept.control_id_reused,
            incoming.data or b"",
        )
        job = _job(content, setting, read, attempt=1)
        facts = None
        if claim.seconds:
            facts = await self._settle(job, kept, claim)
            known = known if kept.id in known else await self._acknowledged([kept.id])
        ack = known.get(kept.id) or _acceptance(job)
        rejected = verdict_of(job) == "reject"
        return Answer(kept.id, incoming.sha256.hex(), kept.duplicate, rejected, ack, facts)

    async def _settle(self, job: Job, kept: Kept, claim: Claim) -> Sequence[object] | None:
        """Processes a message whose turn has come; its facts, None while it is pending."""
        if not kept.duplicate and (claim.started or await self._claim(CLAIM_FIRST, kept.id)):
            await self._attempt(job)
        facts = await self._facts_if_done(kept.id)
        if facts is None and kept.duplicate:
            await self._process_one(kept.id)
            facts = await self._facts_if_done(kept.id)
        return facts

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
        return {row["message_id"]: bytes(row["body"]) for row in rows}

    # Processing

    async def _attempt(self, job: Job) -> None:
        """One attempt; a passing trouble leaves the message pending."""
        try:
            async with self._holding(job.content.id):
                settled = await self._processor.process(job)
        except SsciError as problem:
            if problem.category not in TRANSIENT:
                raise
            await self._release(job.content.id)
            return
        await self._follow(job, settled)

    @contextlib.asynccontextmanager
    async def _holding(self, message_id: int) -> AsyncIterator[None]:
        """Renews the claim while the message is worked at. A claim is short, so that what a killed
        process leaves behind is soon taken up."""
        renewing = asyncio.create_task(self._renew(message_id))
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self, message_id: int) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            with contextlib.suppress(SsciError):
                async with self.database.writing() as connection:
                    await connection.execute(RENEW, message_id, CLAIM)

    async def _follow(self, job: Job, settled: Sequence[Settled]) -> None:
        """Takes up what this message made possible, or what changed while it was processed:
        corrections that came before their original, the right patient's result after the wrong
        one's was withdrawn, enrolment of a patient just looked for."""
        created = [each.fact for each in settled if _is_created(each)]
        lacking = [each.fact for each in settled if _lacks_original(each.fact)]
        withdrawn = [each.fact.resource_id for each in settled if _withdraws(each.fact)]
        again: set[int] = set()
        async with self.database.reading() as connection:
            again |= await _corrections_of(connection, created)
            again |= await _select(connection, MISPLACED, withdrawn)
            if job.attempt == 1:
                again |= await _corrections_of(connection, lacking) & {job.content.id}
            if any(each.fact.reason is Reason.PATIENT_UNKNOWN for each in settled):
                claims = list(dict.fromkeys(job.read.claims.values()))
                found = await self._directory.find(connection, claims)
                if claims and all(each.subjects for each in found.values()):
                    again.add(job.content.id)
        if again:
            await self.process_again(sorted(again))

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
            await self._process_claimed(row["message_id"], row["started"], row["finished"])

    async def process_pending(self) -> int:
        """Works through everything that is pending now; how many messages that were."""
        number = 0
        while await self._process_next():
            number += 1
        return number

    async def _process_next(self) -> bool:
        async with self.database.writing() as connection:
            row = await connection.fetchrow(CLAIM_NEXT, CLAIM)
        if row is None:
            return False
        await self._process_claimed(row["message_id"], row["started"], row["finished"])
        return True

    async def _process_claimed(self, message_id: int, started: int, finished: int) -> None:
        async with self.database.reading() as connection:
            content = await fetch_content(connection, self._keys, message_id)
        if content is None:
            return
        setting = self.site.feeds.get(content.feed)
        if setting is None:
            return
        setting = with_transport_charset(setting, content.media_type, content.data)
        read = await unhurried(len(content.data), read_message, content.data, setting, self.site)
        if started - finished > 2:
            detail = "two attempts at this message did not come to an end"
            read = Read(read.message, Failure(Reason.POISON, detail))
        await self._attempt(_job(content, setting, read, attempt=started))

    async def _release(self, message_id: int) -> None:
        """Gives a claimed message back; if even that fails, a worker does it later."""
        try:
            async with self.database.writing() as connection:
                await connection.execute(RELEASE, message_id, RETRY)
        except SsciError:
            self._unreleased.add(message_id)
        self._wake.set()

    async def _work(self) -> None:
        while True:
            try:
                for message_id in list(self._unreleased):
                    self._unreleased.discard(message_id)
                    await self._release(message_id)
                busy = await self._process_next()
            except SsciError as problem:
                logger.warning("feeds: %s", problem.category)
                busy = False
            except Exception as problem:
                logger.error("feeds: a worker met %s", type(problem).__name__)
                busy = False
            if not busy:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)


async def _corrections_of(connection: ReadConnection, facts: Sequence[Fact]) -> set[int]:
    """The messages with corrections that lacked an original these results may be."""
    ids = [fact.resource_id for fact in facts]
    doses = [fact.order_token for fact in facts if _is_dose(fact)]
    found = await _select(connection, CORRECTIONS, ids)
    return found | await _select(connection, DOSE_CORRECTIONS, doses)


async def _select(connection: ReadConnection, sql: str, values: Sequence[str]) -> set[int]:
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


def _acceptance(job: Job) -> bytes:
    """The acknowledgement of a message that is kept and not yet processed."""
    id, at = f"SSCI{job.content.id}", job.content.received
    return build_ack(job.addressee, verdict_of(job), id, at)


def _is_dose(fact: Fact) -> bool:
    return fact.resource_type == "MedicationAdministration"


def _withdraws(fact: Fact) -> bool:
    return fact.outcome is Outcome.STORED and Reason.WRONG_PATIENT in fact.reviews


def _job(content: Content, setting: FeedSetting, read: Read, attempt: int) -> Job:
    to = addressee_of(read.message) if read.message is not None else NOBODY
    return Job(content, setting, read, to, attempt)


def with_transport_charset(setting: FeedSetting, media_type: str, data: bytes) -> FeedSetting:
    """The feed's setting with the charset that the media type names, where the bytes obey it."""
    for parameter in media_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        codec = codec_of(value.strip('" ')) if name.lower() == "charset" else None
        if codec and decodes(data, codec):
            return setting.with_codec(codec)
    return setting
