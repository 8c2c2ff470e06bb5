"""`ssci trace …`: from a figure to its inputs, their Provenance, the raw message and its bytes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.errors import Category, error
from app.settings import Settings
from app.terminal import DatabaseUrl, DataDir, settings_of

if TYPE_CHECKING:
    from app.endpoints import Query
    from app.endpoints.origins import Origin, Version
    from app.main import Services
    from app.mappings.watching.tracing import TracedMessage

_VERSION = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/([1-9][0-9]*))?")


@dataclass(frozen=True, slots=True)
class Step:
    """One input: how it is used, the version, and the message it came from, if from one."""

    use: str
    version: Version
    origin: Origin | None
    message: TracedMessage | None

    def tell(self) -> Mapping[str, Any]:
        origin, message = self.origin, self.message
        return {
            "use": self.use,
            "resource": self.version.reference,
            "provenance": origin.provenance if origin else None,
            "mapping": origin.mapping if origin else None,
            "message": message.address if message else None,
            "feed": message.feed if message else None,
            "received": message.received.isoformat() if message else None,
            "sha256": origin.sha256 if origin else None,
            "place": origin.place if origin else None,
            "bytes": [origin.start, origin.end] if origin else None,
        }


def trace(
    what: Annotated[
        str,
        typer.Argument(help="An endpoint (platelet-change) or a resource (Observation/ID)."),
    ],
    subject: Annotated[str | None, typer.Option(help="Inputs of one subject only.")] = None,
    visit: Annotated[str | None, typer.Option(help="Inputs of one visit only: M1 … M12.")] = None,
    cutoff: Annotated[str | None, typer.Option(help="Clinical data cut.")] = None,
    as_of: Annotated[str | None, typer.Option(help="What was known then.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Tell where a figure, or a resource, comes from: version, Provenance, message, bytes."""
    from app.endpoints import Query

    settings = settings_of(data_dir=data_dir, database_url=database_url)
    head, steps = asyncio.run(_trace(settings, what, Query(cutoff, as_of), subject, visit))
    if as_json:
        typer.echo(json.dumps({**head, "inputs": [step.tell() for step in steps]}, indent=2))
        return
    for line in (*(f"{name}: {value}" for name, value in head.items()), ""):
        typer.echo(line)
    for step in steps:
        typer.echo("\n".join(_lines(step)))


def _lines(step: Step) -> list[str]:
    lines = [f"{step.use}  {step.version.reference}"]
    origin, message = step.origin, step.message
    if origin is None:
        return [*lines, "    no Provenance: not written by a feed"]
    lines.append(f"    {origin.provenance}, mapping {origin.mapping}")
    if message is None:
        lines.append(f"    message {origin.sha256}: not stored here")
    else:
        kind = f"{message.format} {message.message_type}".strip()
        lines.append(f"    {message.address} ({kind}), received {message.received.isoformat()}")
    lines.append(f"    {origin.place or 'no place'}, bytes {origin.start} to {origin.end}")
    return [*lines, f"    sha256 {origin.sha256}"]


async def _trace(
    settings: Settings, what: str, query: Query, subject: str | None, visit: str | None
) -> tuple[dict[str, Any], Sequence[Step]]:
    from app.main import open_services

    async with open_services(settings) as services:
        if "/" in what:
            return await _trace_resource(services, what)
        return await _trace_endpoint(services, what, query, subject, visit)


async def _trace_resource(services: Services, what: str) -> tuple[dict[str, Any], Sequence[Step]]:
    from app.endpoints.origins import Version
    from app.fhir import Caller

    found = _VERSION.fullmatch(what)
    if found is None:
        reason = "must be an endpoint's id, TYPE/ID or TYPE/ID/_history/VERSION"
        raise error(Category.INCORRECT, reason, expression="what")
    kind, id_, number = found[1], found[2], found[3]
    if number is None:
        stored = await services.store.read(Caller("ssci trace"), kind, id_)
        if stored is None:
            raise error(Category.NOT_FOUND, f"there is no {kind}/{id_}", expression="what")
        number = str(stored.version)
    version = Version(kind, id_, int(number))
    return {"resource": version.reference}, await _steps(services, [("", version)])


async def _trace_endpoint(
    services: Services, endpoint: str, query: Query, subject: str | None, visit: str | None
) -> tuple[dict[str, Any], Sequence[Step]]:
    from app.endpoints.origins import parse_version

    answer = json.loads(await services.endpoints.answer(endpoint, query))
    head = {name: answer[name] for name in ("endpoint", "cutoff", "asOf", "software")}
    uses = [
        (_use(each), parse_version(each["resource"], each["version"]))
        for each in answer["inputs"]["listed"] or ()
        if subject in (None, each["subject"]) and visit in (None, each["visit"])
    ]
    return head, await _steps(services, uses)


def _use(each: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (each["subject"], each["usedAs"], each["visit"])))


async def _steps(services: Services, uses: Sequence[tuple[str, Version]]) -> list[Step]:
    from app.endpoints.origins import Origins
    from app.fhir import Caller
    from app.mappings.watching.tracing import fetch_messages_by_hash

    origins = Origins(services.store, services.layout, services.settings.zone_info)
    found = await origins.find(Caller("ssci trace"), [version for _, version in uses])
    hashes = {origin.sha256 for origin in found.values()}
    async with services.database.reading() as connection:
        messages = await fetch_messages_by_hash(connection, hashes)
    return [
        Step(use, version, origin, messages.get(origin.sha256) if origin else None)
        for use, version in uses
        for origin in (found.get(version),)
    ]
