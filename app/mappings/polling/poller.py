"""Asks FHIR servers of the hospital for what has changed, and keeps every page as it came.

    claim → page by page: fetch → keep (feeds.receive) → next → watermark

The watermark is the server's own time of the newest resource seen, and moves only when all pages
of a round are kept; a round that fails begins again where it began. What was kept in the round
before, and stands in the overlap, is not kept again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from app.database import Database
from app.errors import SsciError
from app.mappings.polling.http import HisClient
from app.mappings.polling.pages import (
    Page,
    PageTooLarge,
    PollFailure,
    build_first_url,
    read_page,
)
from app.mappings.polling.plan import FORMAT, PollPlan
from app.mappings.polling.state import Held, Place, claim, fail, release, renew, succeed

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/fhir+json"
MAX_PAGES = 10_000
TICK_SECONDS = 1.0


class Inbox(Protocol):
    """What the poller needs of the feeds."""

    database: Database
    max_bytes: int

    async def receive(
        self, feed: str, body: bytes, media_type: str, *, format: str, wait: bool
    ) -> Sequence[object]: ...


class Client(Protocol):
    """A server that is asked."""

    async def fetch(self, url: str) -> bytes: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to: pages seen and kept; `problem` is why it failed, '' if it did not."""

    resource_type: str
    pages: int = 0
    kept: int = 0
    matches: int = 0
    problem: str = ""
    skipped: bool = False


@dataclass(slots=True)
class _Progress:
    """Of a round that goes on."""

    pages: int = 0
    kept: int = 0
    matches: int = 0
    newest: datetime | None = None
    served: datetime | None = None


class Poller:
    """One feed's server. `wait`: each page's facts are decided before the next is fetched."""

    def __init__(
        self,
        inbox: Inbox,
        plan: PollPlan,
        client: Client | None = None,
        *,
        wait: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.plan = plan
        self._inbox = inbox
        self._client = client or HisClient(plan, inbox.max_bytes)
        self._wait = wait
        self._now = now
        self._size = dict.fromkeys(plan.types, plan.page_size)
        self._seen: dict[str, frozenset[bytes]] = {}

    async def poll(self, *, at_once: bool = False) -> list[Round]:
        """A round of each type that is due."""
        return [await self._poll_type(kind, at_once) for kind in self.plan.types]

    async def run(self) -> None:
        """Polls whatever is due, until cancelled."""
        while True:
            try:
                await self.poll()
            except SsciError as problem:
                logger.warning("polling %s: %s", self.plan.feed, problem.category)
            except Exception as problem:
                logger.error("polling %s: %s", self.plan.feed, type(problem).__name__)
            await asyncio.sleep(min(TICK_SECONDS, self.plan.interval))

    async def close(self) -> None:
        await self._client.close()

    # One round

    async def _poll_type(self, kind: str, at_once: bool) -> Round:
        place = Place(self.plan.feed, self.plan.base_url, kind)
        held = await claim(self._inbox.database, place, at_once=at_once)
        if held is None:
            return Round(kind, skipped=True)
        try:
            return await self._hold(place, held)
        except BaseException:
            with contextlib.suppress(SsciError):
                await asyncio.shield(release(self._inbox.database, place))
            raise

    async def _hold(self, place: Place, held: Held) -> Round:
        progress, kind = _Progress(), place.resource_type
        database, interval = self._inbox.database, self.plan.interval
        try:
            await self._read_all(place, held, progress)
        except (PollFailure, SsciError) as problem:
            told = str(problem) if isinstance(problem, PollFailure) else "nothing can be kept"
            logger.warning("polling %s %s: %s", place.feed, kind, told)
            await fail(database, place, interval, told, progress.kept)
            return Round(kind, progress.pages, progress.kept, progress.matches, told)
        await succeed(database, place, interval, self._watermark(progress), progress.kept)
        return Round(kind, progress.pages, progress.kept, progress.matches)

    async def _read_all(self, place: Place, held: Held, progress: _Progress) -> None:
        """Every page of a round; with smaller ones where one is too large."""
        kind = place.resource_type
        while True:
            url = build_first_url(self.plan, kind, held.watermark, self._size[kind])
            try:
                return await self._read_pages(place, url, progress)
            except PageTooLarge:
                if self._size[kind] == 1:
                    raise
                self._size[kind] //= 2

    async def _read_pages(self, place: Place, url: str, progress: _Progress) -> None:
        kind = place.resource_type
        before, found = self._seen.get(kind, frozenset()), frozenset[bytes]()
        asked: set[str] = set()
        while url:
            if url in asked or len(asked) >= MAX_PAGES:
                raise PollFailure("the links to the next page have no end")
            asked.add(url)
            body = await self._client.fetch(url)
            page = read_page(body, url, self.plan)
            await self._keep(body, page, before | found, progress)
            found |= page.digests
            url = page.next_url
            await renew(self._inbox.database, place)
        self._seen[kind] = found

    async def _keep(
        self, body: bytes, page: Page, known: frozenset[bytes], progress: _Progress
    ) -> None:
        progress.pages += 1
        progress.served = progress.served or page.served
        if page.matches and not page.digests <= known:
            await self._inbox.receive(
                self.plan.feed, body, MEDIA_TYPE, format=FORMAT, wait=self._wait
            )
            progress.kept += 1
        progress.matches += page.matches
        progress.newest = max(filter(None, (progress.newest, page.newest)), default=None)

    def _watermark(self, progress: _Progress) -> datetime | None:
        """The newest change seen; where resources do not tell theirs, when the server answered. A
        time that lies ahead is no reason to leave out what comes until then."""
        told = progress.newest or (progress.served if progress.matches else None)
        return min(told, self._now()) if told else None


class Pollers:
    """The pollers of a running service."""

    def __init__(self, inbox: Inbox, plans: Sequence[PollPlan]) -> None:
        self._pollers = [Poller(inbox, plan) for plan in plans]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(each.run()) for each in self._pollers]

    async def stop(self) -> None:
        """Breaks off what is under way; a page that is being kept is kept, or was never there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._pollers:
            await each.close()
        self._tasks = []
