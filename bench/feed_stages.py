"""Where the time of a message goes: pure work by function, the rest by SQL statement."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from app.database import Database
from app.main import open_services
from app.mappings import Feeds
from app.mappings.context import Context
from app.mappings.facts import Source
from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.decoding import Receipt, map_message
from app.mappings.subjects import Found, Subject
from app.settings import Settings
from bench.feed_messages import blood_count

T = TypeVar("T")
R = TypeVar("R")

FEED = "pumch-lis"
MESSAGES = 320
STATEMENT = re.compile(r"(INSERT INTO|UPDATE|FROM) ((?:feeds|fhir|trial|identity)\.\w+)")


async def describe_stages(owner: str, runtime: str, data_dir: Path) -> list[str]:
    """A table: µs per message, one of 20 results collected. One connection of each kind, nothing
    else at work, so that the times add up."""
    settings = Settings(
        no_auth=True,
        data_dir=data_dir,
        database_url=owner,
        runtime_database_url=runtime,
        read_connections=1,
        write_connections=1,
    )
    async with open_services(settings) as services:
        feeds = services.feeds
        pure = _measure_pure(feeds, [blood_count(n, "p", collected=False) for n in range(200)])
        taken: Counter[str] = Counter()
        await _watch(services.database, taken)
        rows = [*pure]
        for name, work in (("keep", _keep), ("process", _process)):
            taken.clear()
            begun, used = time.perf_counter(), time.process_time()
            number = await work(feeds)
            wall, cpu = time.perf_counter() - begun, time.process_time() - used
            rows.append((f"**{name}: all**, of which this process's CPU {_us(cpu, number)}", wall))
            rows += [(f"{name}: {what}", seconds) for what, seconds in taken.most_common()]
            rows[-1 - len(taken) :] = [(what, s / number) for what, s in rows[-1 - len(taken) :]]
    return [
        "| stage | µs per message |",
        "|---|---|",
        *(f"| {n} | {1e6 * s:,.0f} |" for n, s in rows),
    ]


def _us(seconds: float, number: int) -> str:
    return f"{1e6 * seconds / number:,.0f}"


async def _keep(feeds: Feeds) -> int:
    run = f"s{time.time_ns()}"
    for n in range(MESSAGES):
        message = blood_count(n, run, collected=False)
        await feeds.receive(FEED, message, "x-application/hl7-v2+er7", wait=False)
    return MESSAGES


async def _process(feeds: Feeds) -> int:
    return await feeds.process_pending()


async def _watch(database: Database, taken: Counter[str]) -> None:
    def note(query: Any) -> None:
        found = STATEMENT.search(query.query)
        name = f"{found[1]} {found[2]}" if found else query.query.split(None, 1)[0]
        taken[name.replace("FROM", "SELECT FROM")] += query.elapsed

    async with database.reading() as reader, database.writing() as writer:
        reader.raw.add_query_logger(note)
        writer.raw.add_query_logger(note)


def _measure_pure(feeds: Feeds, messages: Sequence[bytes]) -> list[tuple[str, float]]:
    site, decoder = feeds.site, DECODERS["hl7v2"]
    setting, at = site.feeds[FEED], datetime(2019, 3, 14, tzinfo=UTC)
    context = Context(site, setting, feeds.secret, Source(FEED, "0" * 64, at, site.version))
    subject = Subject("SSCI-001", "Patient/SSCI-001", synthetic=True)
    reads, reading = _timed(lambda data: decoder.read(data, setting, site), messages)

    def map_one(read: Any) -> Any:
        known = {claim: Found((subject,)) for claim in read.claims.values()}
        return map_message(decoder, read, known, context)

    mapped, mapping = _timed(map_one, reads)
    receipts = [Receipt(1, at, "accept", *each) for each in zip(reads, mapped, strict=True)]
    _, telling = _timed(decoder.acknowledge, receipts)
    return [("pure: read", reading), ("pure: map", mapping), ("pure: acknowledge", telling)]


def _timed(function: Callable[[T], R], given: Sequence[T]) -> tuple[list[R], float]:
    """What the function makes of each, and its seconds for one."""
    function(given[0])
    begun = time.process_time()
    made = [function(each) for each in given]
    return made, (time.process_time() - begun) / len(given)
