"""What watches in a running service: it counts outcomes, tells of what fails, and works through
replays, also those that an earlier process left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from app.errors import SsciError
from app.mappings.feeds import Feeds
from app.mappings.reasons import Outcome
from app.mappings.watching.alerts import Alerts
from app.mappings.watching.metrics import build_exposition
from app.mappings.watching.replays import Replayer
from app.mappings.watching.status import FeedStatus, fetch_status
from app.mappings.working.quarantine import Settled

logger = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
LOOK_SECONDS = 2.0


class Watching:
    """The watcher of one process. Its counters begin with the process. `count_mllp` tells what the
    process's MLLP listener has counted, if it has one."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._alerts = Alerts(logger.warning, time.monotonic)
        self._messages: Counter[tuple[str, str]] = Counter()
        self._facts: Counter[tuple[str, str]] = Counter()
        self._status: tuple[float, list[FeedStatus]] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.count_mllp: Callable[[], Mapping[str, int]] | None = None
        feeds.observers.append(self.observe)

    async def start(self) -> None:
        """Begins to digest alerts and to work through replays, also those of an earlier process."""
        self._tasks = [asyncio.create_task(self._digest()), asyncio.create_task(self._replay())]

    async def stop(self) -> None:
        """What is being replayed is taken up again at the next start."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def observe(self, feed: str, settled: Sequence[Settled]) -> None:
        """Told by the feeds of each message that was processed."""
        if not settled:
            return
        outcomes = [_outcome(each) for each in settled]
        self._messages[feed, _of_message(outcomes)] += 1
        self._facts.update((feed, outcome) for outcome in outcomes)
        self._alerts.note(feed, settled)

    async def _digest(self) -> None:
        while True:
            await asyncio.sleep(self._alerts.seconds_left)
            self._alerts.digest()

    async def _replay(self) -> None:
        replayer = Replayer(self._feeds)
        while True:
            try:
                busy = await replayer.run_left_behind()
            except SsciError as problem:
                logger.warning("replays: %s", problem.category)
                busy = False
            except Exception as problem:
                logger.error("replays: met %s", type(problem).__name__)
                busy = False
            if not busy:
                await asyncio.sleep(LOOK_SECONDS)

    async def exposition(self) -> str:
        """All metrics as text. What the database counts is at most some seconds old."""
        status = await self._current_status()
        mllp = self.count_mllp() if self.count_mllp is not None else None
        return build_exposition(
            status, self._messages, self._facts, datetime.now(UTC), str(os.getpid()), mllp
        )

    async def _current_status(self) -> list[FeedStatus]:
        if self._status is None or time.monotonic() - self._status[0] > FRESH_SECONDS:
            async with self._feeds.database.searching() as connection:
                found = await fetch_status(connection, list(self._feeds.site.feeds))
            self._status = (time.monotonic(), found)
        return self._status[1]


def _outcome(settled: Settled) -> str:
    return (settled.fact.outcome or Outcome.QUARANTINED).value


def _of_message(outcomes: Iterable[str]) -> str:
    """The worst of its facts: `quarantined`, `waiting`, else `settled`."""
    found = set(outcomes)
    worst = (Outcome.QUARANTINED.value, Outcome.WAITING.value)
    return next((each for each in worst if each in found), "settled")
