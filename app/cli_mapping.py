"""`ssci mapping …`: check a site's folder, try it on the inbox, make it the active one; and
`ssci feed ledger`: what became of every part of a message.

A running service takes over what is activated within seconds; other feeds or formats at its start.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import MofNCompleteColumn

from app.errors import Category, SsciError, error
from app.settings import Settings
from app.terminal import FAILED, DatabaseUrl, DataDir, complain, progress, settings_of

if TYPE_CHECKING:
    from app.mappings import Site
    from app.mappings.activation.diff import Comparison
    from app.mappings.activation.store import MappingStore
    from app.mappings.ledger.routes import LedgerAnswer

mapping = typer.Typer(help="The mapping of the hospital's codes, as data.", no_args_is_help=True)

Folder = Annotated[
    str, typer.Argument(help="A folder, a version that is kept, or `shipped`.", metavar="FOLDER")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of lines.")]


@mapping.command("list")
def list_versions(data_dir: DataDir = None) -> None:
    """The mappings that are kept; `*` marks the active one."""
    store = _store(settings_of(data_dir=data_dir))
    for version in store.versions():
        typer.echo(f"{'*' if version == store.active else ' '} {version}")
    typer.echo(f"{' ' if store.active else '*'} shipped")


@mapping.command()
def check(folder: Folder = "shipped", data_dir: DataDir = None) -> None:
    """Say all that is wrong with a site's folder. 0: nothing · 1: something."""
    store = _store(settings_of(data_dir=data_dir))
    site = _check(store, store.find(folder))
    typer.echo(f"{site.version}: nothing is wrong")


@mapping.command()
def diff(
    folder: Folder,
    lines: Annotated[int, typer.Option(min=0, max=1000, help="How many facts to list.")] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Map every message of the inbox with FOLDER too, and say which facts would change. Nothing is
    written but that it was done."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    store = _store(settings)
    candidate = _check(store, store.find(folder))
    active, found = asyncio.run(_compare(settings, candidate))
    told = describe(found, active, candidate.version, lines)
    store.note_diff(candidate.version, active, {k: told[k] for k in ("messages", "changed")})
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for line in write_lines(told):
        typer.echo(line)


@mapping.command()
def activate(
    folder: Folder,
    without_diff: Annotated[
        bool, typer.Option("--without-diff", help="Although it was not compared before.")
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Keep FOLDER under its version and read the feeds by it from now on."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    store = _store(settings)
    source = store.find(folder)
    candidate = _check(store, source)
    active = _active_version(store)
    if not without_diff and not store.was_compared(candidate.version, active):
        raise error(
            Category.CONFLICT,
            f"{candidate.version} was not compared with {active}: `ssci mapping diff` does it",
            expression="FOLDER",
        )
    store.activate(source, candidate.version)
    typer.echo(
        f"{candidate.version} is active: a running service reads the feeds by it within seconds"
    )
    written = asyncio.run(_load_terminology(settings, candidate))
    typer.echo(f"  {written} resources of its terminology were written")


def ledger(
    message: Annotated[int, typer.Argument(help="The message's inbox id.")],
    kind: Annotated[
        str | None, typer.Option(help="mapped, carried, ignored or unexplained.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """What became of every part of a message: paths and rules, never values."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    told = asyncio.run(_read_ledger(settings, message, kind))
    if as_json:
        typer.echo(told.model_dump_json(indent=2))
        return
    for leaf in told.leaves:
        typer.echo(f"{leaf.path}\t{leaf.kind}\t{leaf.rule or ''}".rstrip())
    typer.echo(
        f"{told.mapped} mapped, {told.carried} carried, {told.ignored} ignored by a rule,"
        f" {told.unexplained} unexplained"
    )


# Shared


def _store(settings: Settings) -> MappingStore:
    from app.main import mapping_store

    return mapping_store(settings)


def _check(store: MappingStore, folder: Traversable) -> Site:
    """The folder's site; ends the command where something is wrong with it."""
    from app.mappings.activation.check import check_folder

    try:
        active = store.load()
    except SsciError as problem:
        complain(f"the active mapping cannot be read, and nothing is compared with it: {problem}")
        active = None
    found = check_folder(store.name, folder, active)
    for each in found.findings:
        complain(str(each))
    if found.site is None or found.findings:
        sys.exit(FAILED)
    return found.site


def _active_version(store: MappingStore) -> str:
    """Also of one that cannot be read any more, so that another can take its place."""
    try:
        return store.load().version
    except SsciError:
        return store.active


async def _compare(settings: Settings, candidate: Site) -> tuple[str, Comparison]:
    """The active mapping's version and the difference to it."""
    from app.keys import KeyFile
    from app.main import build_feeds, open_services
    from app.mappings.activation.diff import Comparison, compare_inbox, count_messages

    async with open_services(settings) as services:
        keys = KeyFile(settings.effective_key_file)
        tried = build_feeds(settings, keys, services.database, services.store, candidate)
        found = Comparison()
        total = await count_messages(services.database)
        with progress("Comparing", total, MofNCompleteColumn()) as advance:
            async for _ in compare_inbox(services.feeds, tried, found):
                advance(1)
        return services.feeds.site.version, found


async def _load_terminology(settings: Settings, site: Site) -> int:
    from app.main import open_services
    from app.mappings.dictionary.terminology import load_mapping_terminology

    async with open_services(settings) as services:
        changes = await load_mapping_terminology(services.store, site)
    return sum(change.kind != "unchanged" for change in changes)


async def _read_ledger(settings: Settings, message: int, kind: Any) -> LedgerAnswer:
    from app.main import open_services
    from app.mappings.ledger.routes import describe_ledger
    from app.mappings.ledger.view import Ledgers

    kinds = ("mapped", "carried", "ignored", "unexplained")
    if kind is not None and kind not in kinds:
        raise error(Category.INCORRECT, f"one of {', '.join(kinds)}", expression="kind")
    async with open_services(settings) as services:
        async with services.database.reading() as connection:
            feed = await connection.fetchval(
                "SELECT feed FROM feeds.message WHERE id = $1", message
            )
        return await describe_ledger(Ledgers(services.feeds), str(feed), message, kind)


# What is told of a comparison


def describe(found: Comparison, active: str, candidate: str, lines: int) -> dict[str, Any]:
    """Counts and the first facts that would change; nothing of whom they are about."""
    return {
        "active": active,
        "candidate": candidate,
        "messages": found.messages,
        "without_bytes": found.not_there,
        "facts": found.facts,
        "changed": found.changed,
        "outcomes": [
            {"before": before, "after": after, "facts": number}
            for (before, after), number in found.outcomes.most_common()
        ],
        "elements": dict(found.elements.most_common()),
        "list": [
            {
                "message": each.message,
                "place": each.place,
                "code": each.code,
                "before": each.before,
                "after": each.after,
                "elements": list(each.elements),
            }
            for each in found.lines[:lines]
        ],
    }


def write_lines(told: dict[str, Any]) -> list[str]:
    lines = [
        f"{told['candidate']} against {told['active']}: nothing was written",
        f"  {told['messages']} messages with {told['facts']} facts,"
        f" {told['changed']} of them would change",
    ]
    for each in told["outcomes"]:
        lines.append(f"  {each['facts']} × {each['before']} → {each['after']}")
    for name, number in told["elements"].items():
        lines.append(f"  {number} × {name}")
    for each in told["list"]:
        changed = ", ".join(each["elements"]) or f"{each['before']} → {each['after']}"
        lines.append(f"  {each['message']} {each['place']} {each['code']}: {changed}")
    return lines
