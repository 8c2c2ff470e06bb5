"""Transaction 2 for several messages at once: what each costs beside its own facts, the round trips
and the fsync, is paid once.

It is a short cut, never another way: what cannot go together goes one by one (`waves`), and if the
transaction of several fails, its halves are tried, down to the single message, which
`Processor.process` carries out as ever. So one sick message harms no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.errors import Category, SsciError
from app.fhir import Change, Copy, Moment, Operation, Statement, run_statement
from app.mappings.facts import Fact, Source
from app.mappings.formats.decoding import Acknowledgement
from app.mappings.ledger.rows import ledger_statements
from app.mappings.subjects import Found, PatientClaim
from app.mappings.working.processing import (
    CALLER,
    Job,
    Processor,
    Run,
    acknowledge,
    build_operations,
    check_run,
    end_messages,
    ledger_of,
    provenance_id,
    reviews_of,
    settle_fact,
)
from app.mappings.working.quarantine import (
    FreshRows,
    Settled,
    build_fact_rows,
    write_fact_rows,
)
from app.mappings.working.turns import Turns
from app.mappings.working.waves import Wave, touched_by

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an attempt, committed. `facts` and `ack` as they were stored; None where they are
    to be read back."""

    settled: Sequence[Settled]
    facts: Sequence[Mapping[str, Any]] | None = None
    ack: bytes | None = field(default=None, repr=False)


End = Ended | Exception


@dataclass(slots=True)
class Part:
    """One message of a transaction; its end is filled anew when the transaction is repeated."""

    job: Job
    source: Source
    facts: Sequence[Fact]
    settled: list[Settled] = field(default_factory=list)
    rows: Sequence[Mapping[str, Any]] = ()
    told: Acknowledgement | None = None

    @property
    def ended(self) -> Ended:
        facts, ack = None, None
        if self.job.attempt == 1 and self.told is not None:
            facts, ack = self.rows, self.told.body
        return Ended(self.settled, facts, ack)


async def process_in_waves(
    processor: Processor, jobs: Sequence[Job], turns: Turns
) -> AsyncIterator[list[tuple[Job, End]]]:
    """The ends of the messages, wave by wave; a failure where one stays pending."""
    waiting = list(jobs)
    while waiting:
        async with turns.together():
            wave, waiting = await _process_wave(processor, waiting, joint=len(jobs) > 1)
        yield wave


async def _process_wave(
    processor: Processor, jobs: Sequence[Job], *, joint: bool
) -> tuple[list[tuple[Job, End]], list[Job]]:
    """What one transaction carried, and what waits for the next."""
    parts, later = await _gather(processor, jobs) if joint else ([], [])
    if parts:
        ends = await _write(processor, parts)
        return list(zip([part.job for part in parts], ends, strict=True)), later
    first, *later = jobs
    return [(first, await _process_alone(processor, first))], later


async def _process_alone(processor: Processor, job: Job) -> End:
    try:
        return Ended(await processor.process(job))
    except Exception as problem:
        return problem


async def _gather(processor: Processor, jobs: Sequence[Job]) -> tuple[list[Part], list[Job]]:
    """Those of the messages that the next transaction carries, mapped, and those that wait. None,
    where the first of them has to go alone."""
    try:
        return await _map(processor, jobs)
    except Exception as problem:
        logger.info("messages could not be mapped together: %s", type(problem).__name__)
        return [], []


async def _map(processor: Processor, jobs: Sequence[Job]) -> tuple[list[Part], list[Job]]:
    wave, parts, later = Wave(), list[Part](), list[Job]()
    async with processor.database.reading() as connection:
        found = await processor.find(connection, jobs)
        for place, job in enumerate(jobs):
            await asyncio.sleep(0)  # let others have their turn
            source = processor.source(job)
            facts = _map_facts(processor, job, source, found)
            if wave.admits(touched_by(facts)) and facts is not None:
                parts.append(Part(job, source, facts))
            else:
                later.append(job)
            if wave.closed:
                later += jobs[place + 1 :]
                break
        compared = await processor.compare(connection, [(each.job, each.facts) for each in parts])
    for part, facts in zip(parts, compared, strict=True):
        part.facts = facts
    return parts, later


def _map_facts(
    processor: Processor, job: Job, source: Source, found: Mapping[PatientClaim, Found]
) -> list[Fact] | None:
    """None for a message that can't be mapped, of which more is made when it goes alone."""
    try:
        return processor.map_facts(job, source, found)
    except Exception:
        return None


async def _write(processor: Processor, parts: Sequence[Part]) -> list[End]:
    if not parts:
        return []
    try:
        await _store(processor, parts)
    except Exception as problem:
        if isinstance(problem, SsciError) and problem.category is Category.UNAVAILABLE:
            return [problem] * len(parts)
        return await _write_apart(processor, parts)
    return [part.ended for part in parts]


async def _write_apart(processor: Processor, parts: Sequence[Part]) -> list[End]:
    if len(parts) == 1:
        return [await _process_alone(processor, parts[0].job)]
    half = len(parts) // 2
    return [*await _write(processor, parts[:half]), *await _write(processor, parts[half:])]


async def _store(processor: Processor, parts: Sequence[Part]) -> None:
    """One transaction, committed."""
    runs = [Run() for _ in parts]
    operations: list[Operation] = []
    for part, run in zip(parts, runs, strict=True):
        if any(fact.candidate for fact in part.facts):
            name = provenance_id(processor.secret, part.source, part.facts)
            operations += build_operations(part.facts, run, part.source, name, processor.service)

    def also(changes: Sequence[Change], moment: Moment) -> Sequence[Statement | Copy]:
        by_key = {(change.resource_type, change.id): change for change in changes}
        for part, run in zip(parts, runs, strict=True):
            check_run(run, by_key)
            part.settled = [settle_fact(fact, run, by_key) for fact in part.facts]
        return _end(parts, moment.last_updated, processor.secret)

    if operations:
        await processor.store.write(CALLER, operations, also)
        return
    for part in parts:
        part.settled = [Settled(fact, fact.version) for fact in part.facts]
    async with processor.database.writing() as connection:
        for statement in _end(parts, datetime.now(UTC), processor.secret):
            await run_statement(connection, statement)


def _end(parts: Sequence[Part], at: datetime, secret: bytes) -> list[Statement | Copy]:
    """The rows of all facts, and the messages' ends."""
    told, found = [], []
    for part in parts:
        job = part.job
        part.settled += reviews_of(job, len(part.settled))
        given = job.content.id, part.settled, part.source, at, secret
        found.append(build_fact_rows(*given))
        part.rows = FreshRows(*given)
        part.told = acknowledge(job, [each.fact for each in part.settled])
        told.append(part.told)
    rows = write_fact_rows(found)
    ledgers = ledger_statements([ledger_of(part.job, part.source, part.settled) for part in parts])
    return [*rows, *end_messages([part.job for part in parts], told, secret), *ledgers]
