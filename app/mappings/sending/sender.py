"""Sending messages one after the other, each until it is acknowledged: for tests, and for what a
down-time left behind.

A message is sent again after a silence or a passing refusal, never after an acceptance, whatever
errors that names. When a message stays unanswered, sending stops: nothing overtakes it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.mappings.sending.links import Link, Reply, Strays, Target, Unanswered, open_link
from app.mappings.sending.sources import (
    STDIN,
    Outgoing,
    Record,
    find_files,
    read_file,
    read_messages,
)

ACCEPTED = frozenset({"AA", "CA"})
UNSENT = "not sent"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a message is tried, and how long is waited in between: twice as long each time,
    varied by a quarter, so that many senders do not come back at once."""

    attempts: int = 10
    first_seconds: float = 0.5
    most_seconds: float = 60.0

    def wait(self, attempt: int) -> float:
        grown = self.first_seconds * 2.0 ** min(attempt, 30)
        return min(grown, self.most_seconds) * random.uniform(0.75, 1.25)


@dataclass(slots=True)
class Summary:
    """What became of the messages, without anything of them: `answers` by MSA-1, `reasons` by ERR
    segment. `stopped` says why not all were sent."""

    answers: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    before: int = 0
    retries: int = 0
    strays: Strays = field(default_factory=Strays)
    broken: int = 0
    stopped: str = ""

    @property
    def complete(self) -> bool:
        """Whether every message is accepted."""
        return not (self.stopped or self.broken or self.answers.keys() - ACCEPTED)

    def lines(self) -> list[str]:
        counted = ", ".join(f"{code} {n}" for code, n in sorted(self.answers.items()))
        told = [f"{self.answers.total()} messages: {counted or 'none'}"]
        if self.reasons:
            named = ", ".join(f"{reason} {n}" for reason, n in sorted(self.reasons.items()))
            told.append(f"errors: {named}")
        for number, words in (
            (self.before, "acknowledged in an earlier run"),
            (self.retries, "repeated attempts"),
            (self.strays.late, "late acknowledgements"),
            (self.strays.foreign, "acknowledgements of other messages"),
            (self.broken, "parts of files that are no whole message, not sent"),
        ):
            if number:
                told.append(f"{words}: {number}")
        return told


@dataclass(frozen=True, slots=True)
class Order:
    """What to send, where to, and how."""

    paths: Sequence[Path]
    target: Target
    patience: Patience
    timeout: float
    rate: float | None = None
    record: Path | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all files; None where some come from standard input."""
        files = find_files(self.paths)
        known = all(str(path) != STDIN for path in files)
        return sum(path.stat().st_size for path in files) if known else None


async def send_files(
    order: Order, advance: Callable[[int], None], complain: Callable[[str], None]
) -> Summary:
    """Sends the messages of all files in their order, until one stays unanswered."""
    files = find_files(order.paths)
    link = open_link(order.target, order.timeout)
    record = Record(order.record, order.target.address) if order.record else None
    sender = Sender(link, order.patience, rate=order.rate, record=record)
    try:
        for path in files:
            messages, broken = read_messages(read_file(path))
            if broken:
                sender.summary.broken += broken
                complain(f"{path}: {broken} parts are no whole message and are not sent")
            if not await sender.send(messages, advance):
                complain(f"{path}: {sender.summary.stopped}; stopped")
                break
    finally:
        await link.close()
        if record is not None:
            record.close()
    return sender.summary


class Sender:
    """Sends over one link. `rate` is messages a second at most; `sleep` and `now` are the clock."""

    def __init__(
        self,
        link: Link,
        patience: Patience,
        *,
        rate: float | None = None,
        record: Record | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.summary = Summary(strays=link.strays)
        self._link = link
        self._patience = patience
        self._interval = 1.0 / rate if rate else 0.0
        self._record = record
        self._sleep = sleep
        self._now = now or asyncio.get_running_loop().time
        self._due = 0.0

    async def send(self, messages: Iterable[Outgoing], advance: Callable[[int], None]) -> bool:
        """Sends them in this order, telling the bytes done; False once one stayed unanswered."""
        for message in messages:
            if self._record is not None and message.digest in self._record:
                self.summary.before += 1
            elif not await self._send_one(message):
                return False
            advance(len(message.data))
        return True

    async def _send_one(self, message: Outgoing) -> bool:
        await self._keep_rate()
        why = ""
        for attempt in range(self._patience.attempts):
            if attempt:
                self.summary.retries += 1
            wait = self._patience.wait(attempt)
            try:
                reply = await self._link.exchange(message)
            except Unanswered as problem:
                why = str(problem)
            else:
                if not reply.passing:
                    self._settle(message, reply)
                    return True
                why, wait = f"refused for now ({reply.code})", max(wait, reply.wait)
            if attempt + 1 < self._patience.attempts:
                await self._sleep(wait)
        self.summary.stopped = f"no acceptance after {self._patience.attempts} attempts: {why}"
        return False

    def _settle(self, message: Outgoing, reply: Reply) -> None:
        self.summary.answers[reply.code or UNSENT] += 1
        self.summary.reasons.update(reply.reasons)
        if self._record is not None and reply.code in ACCEPTED:
            self._record.add(message.digest)

    async def _keep_rate(self) -> None:
        now = self._now()
        if self._due > now:
            await self._sleep(self._due - now)
        self._due = max(self._due, now) + self._interval
