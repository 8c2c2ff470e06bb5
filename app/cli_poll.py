"""`ssci feed poll`: asks the hospital's FHIR server of a feed, once or until stopped.

Servers and secrets are those of the settings: SSCI_POLLING, SSCI_POLLING_SECRETS.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from app.settings import Settings
from app.terminal import FAILED, REFUSED, DatabaseUrl, DataDir, settings_of, stop

if TYPE_CHECKING:
    from app.mappings.polling.poller import Round


def poll(
    feed: Annotated[str, typer.Argument(help="The feed whose server is asked.")],
    once: Annotated[
        bool, typer.Option("--once", help="One round of each type now, then stop.")
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Ask the FHIR server of FEED for what has changed, and keep every page.

    0: all was kept · 1: a round failed; the next one begins where it began · 2: asked wrongly.
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    if settings.polling is None:
        stop("no server is set: SSCI_POLLING names the file (docs/feeds.md)", REFUSED)
    rounds = asyncio.run(_poll(settings, feed, once))
    for each in rounds:
        typer.echo(_tell(each))
    sys.exit(FAILED if any(each.problem for each in rounds) else 0)


def _tell(told: Round) -> str:
    if told.skipped:
        return f"{told.resource_type}: another process is asking now"
    line = f"{told.resource_type}: {told.matches} resources on {told.pages} pages, {told.kept} kept"
    return f"{line}; {told.problem}" if told.problem else line


async def _poll(settings: Settings, feed: str, once: bool) -> Sequence[Round]:
    from app.main import open_services, read_polling
    from app.mappings.polling.plan import find_plan
    from app.mappings.polling.poller import Poller

    async with open_services(settings) as services:
        plan = find_plan(read_polling(settings, services.feeds.site), feed)
        poller = Poller(services.feeds, plan, wait=True)
        try:
            if not once:
                await poller.run()
            return await poller.poll(at_once=True)
        finally:
            await poller.close()
