"""A running service follows what is activated: each of its processes looks every few seconds which
mapping is the active one, and reads the feeds by it from then on.

Taken over alive is what the feeds alone hold. Other feeds, formats of a feed or authorities are
also held by routes, pollers and the trial's identity: they wait for a restart, which is told.
"""

from __future__ import annotations

import asyncio
import logging

from app.errors import SsciError
from app.mappings.activation.store import MappingStore
from app.mappings.dictionary.site import Site
from app.mappings.feeds import Feeds

SECONDS = 2.0

logger = logging.getLogger(__name__)


class MappingFollower:
    """Follows the active mapping of `store` with the feeds of this process. Its terminology is
    written by who activates it."""

    def __init__(self, store: MappingStore, feeds: Feeds) -> None:
        self._store = store
        self._feeds = feeds
        self._seen: str | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Takes the active mapping over if it is another than the last time. FAULT: it can't be
        loaded; the one before stays."""
        active = self._store.active
        if active == self._seen:
            return
        self._seen = active
        site = await asyncio.to_thread(self._store.load)
        if site.version == self._feeds.site.version:
            return
        if reason := needs_restart(self._feeds.site, site):
            logger.warning("mapping %s is active after a restart: %s", site.version, reason)
            return
        await self._feeds.use_site(site)
        logger.info("mapping %s is active", site.version)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            try:
                await self.look()
            except (SsciError, OSError) as problem:
                logger.error("the mapping stays %s: %s", self._feeds.site.version, problem)


def needs_restart(current: Site, wanted: Site) -> str:
    """What of a mapping can't be taken over by a running service; '' for nothing."""
    if current.authorities != wanted.authorities:
        return "the authorities differ"
    if _formats(current) != _formats(wanted):
        return "the feeds or their formats differ"
    return ""


def _formats(site: Site) -> dict[str, tuple[str, ...]]:
    return {name: each.formats for name, each in site.feeds.items()}
