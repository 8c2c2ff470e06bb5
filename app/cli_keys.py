"""`ssci keys …`: which keys there are, and their rotation while the service goes on.

Rotation: new keys are put into the key file and used from then on; running services read the file
again. Then everything under a former key is encrypted anew, in batches. The former keys stay in the
file until they are retired: a backup of the database may still need them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.progress import MofNCompleteColumn

from app.errors import Category, error
from app.keys import Keys, changing, ensure_keys, read_keys, write_keys
from app.settings import Settings
from app.terminal import FAILED, DatabaseUrl, DataDir, complain, progress, settings_of

if TYPE_CHECKING:
    from app.database import Database

Made = TypeVar("Made")

keys = typer.Typer(help="The installation's keys.", no_args_is_help=True)

READING_SECONDS = 2.0
"""Time for requests that read the former file to end, before anything is under the new keys."""

Counts = tuple[Mapping[str, int], Mapping[str, int]]
"""How many ciphertexts are under each key, by its id: of identity, of raw messages."""

Advance = Callable[[int], None]


@keys.command()
def status(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Which keys there are, and how much is encrypted under each."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    path = settings.effective_key_file
    held = ensure_keys(path)
    identity, messages = asyncio.run(_as_owner(settings, lambda it: _count(it, held)))
    typer.echo(f"{path}: mode 0600, last rotation {held.rotated or 'never'}")
    for title, ring, counts in (
        ("identity", held.identity, identity),
        ("messages", held.wrapping, messages),
    ):
        for id in sorted(ring.keys, key=int):
            role = _role(id, ring.current)
            typer.echo(f"{title} key {id} ({role}): {counts.get(id, 0)} ciphertexts")
        for id in counts.keys() - ring.keys.keys():
            typer.echo(f"{title} key {id} (MISSING): {counts[id]} ciphertexts can't be opened")
    typer.echo("identity lookup, results: never rotate (nothing would be found under other keys)")


def _role(id: str, current: str) -> str:
    if id == current:
        return "current"
    return "prepared" if int(id) > int(current) else "former"


@keys.command()
def rotate(
    prepare: Annotated[
        bool,
        typer.Option(
            "--prepare",
            help="Only put new keys into the file, unused: where several hosts have copies of it, "
            "copy it to all of them before you rotate.",
        ),
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Use new keys for identity and messages, and encrypt anew what is under former ones.

    The service may go on. Broken off, it is to be run again and goes on where it ended.
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    path = settings.effective_key_file
    ensure_keys(path)
    with changing(path):
        if prepare:
            write_keys(path, _with_new_keys(read_keys(path)))
            typer.echo(f"{path}: new keys are prepared; `ssci keys rotate` begins to use them")
            return
        begun = asyncio.run(_as_owner(settings, lambda it: _begin(it, path)))
        typer.echo(begun)
        failed = asyncio.run(_as_owner(settings, lambda it: _rewrap(it, read_keys(path))))
    if failed:
        complain(f"{failed} ciphertexts can't be opened with any key in {path}")
        raise typer.Exit(FAILED)
    typer.echo("Former keys stay in the file: `ssci keys retire` removes them. Back the file up.")


@keys.command()
def retire(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Remove former keys from the file, where nothing is under them any more.

    Backups of the database from before the rotation can't be opened then, but with a copy of the
    key file from that time.
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    path = settings.effective_key_file
    ensure_keys(path)
    with changing(path):
        _check_age(read_keys(path), timedelta(seconds=2 * settings.write_timeout_seconds))
        retired = asyncio.run(_as_owner(settings, lambda it: _retire(it, path)))
    typer.echo(f"{retired} former keys removed from {path}")


def _check_age(held: Keys, wanted: timedelta) -> None:
    """A transaction that began before the rotation may still write under a former key."""
    if held.rotated is not None and datetime.now(UTC) - held.rotated < wanted:
        reason = f"the last rotation was less than {int(wanted.total_seconds())} seconds ago"
        raise error(Category.CONFLICT, f"{reason}: wait a little, then retire its keys")


def _with_new_keys(held: Keys) -> Keys:
    identity, wrapping = held.identity.with_new_key(), held.wrapping.with_new_key()
    return replace(held, identity=identity, wrapping=wrapping)


def _using_new_keys(held: Keys) -> Keys:
    identity, wrapping = held.identity.using_newest(), held.wrapping.using_newest()
    return replace(held, identity=identity, wrapping=wrapping, rotated=datetime.now(UTC))


async def _as_owner(settings: Settings, work: Callable[[Database], Awaitable[Made]]) -> Made:
    from app.main import open_as_owner

    async with open_as_owner(settings) as opened:
        return await work(opened)


async def _count(opened: Database, held: Keys) -> Counts:
    from app.mappings.intake.inbox import kek_id
    from app.mappings.intake.rewrapping import count_by_message_key
    from app.trial.rewrapping import count_by_identity_key

    names = {kek_id(key): id for id, key in held.wrapping.keys.items()}
    async with opened.reading() as connection:
        messages = await count_by_message_key(connection)
        identity = await count_by_identity_key(connection)
    return identity, {names.get(id, id): number for id, number in messages.items()}


async def _stale(opened: Database, held: Keys) -> int:
    """How many ciphertexts are not under the current keys."""
    identity, messages = await _count(opened, held)
    return sum(
        number
        for ring, counts in ((held.identity, identity), (held.wrapping, messages))
        for id, number in counts.items()
        if id != ring.current
    )


async def _begin(opened: Database, path: Path) -> str:
    """New keys come into use, unless the last rotation is still to be finished; what is done."""
    held = read_keys(path)
    if stale := await _stale(opened, held):
        return f"finishing the rotation of {held.rotated}: {stale} ciphertexts are left"
    write_keys(path, _using_new_keys(_with_new_keys(held)))
    await asyncio.sleep(READING_SECONDS)
    return "new keys are in use"


async def _rewrap(opened: Database, held: Keys) -> int:
    """Encrypts everything under the current keys; how many ciphertexts can't be opened."""
    from app.main import feed_keys, identity_keys
    from app.mappings.intake.rewrapping import rewrap_messages
    from app.trial.rewrapping import rewrap_identity

    total = await _stale(opened, held)
    with progress("Encrypting anew", total, MofNCompleteColumn()) as advance:
        identity = await rewrap_identity(opened, identity_keys(held), advance)
        messages = await rewrap_messages(opened, feed_keys(held), advance)
    typer.echo(f"{identity.done} of identity, {messages.done} of messages encrypted anew")
    return identity.failed + messages.failed


async def _retire(opened: Database, path: Path) -> int:
    """CONFLICT where something is under a former key that can't be encrypted anew."""
    held = read_keys(path)
    await _rewrap(opened, held)
    identity, messages = await _count(opened, held)
    used = [
        *(f"identity key {id}" for id in held.identity.former if identity.get(id)),
        *(f"messages key {id}" for id in held.wrapping.former if messages.get(id)),
    ]
    if used:
        told = f"still in use: {', '.join(used)}; nothing was removed"
        raise error(Category.CONFLICT, told)
    former = (frozenset(held.identity.former), frozenset(held.wrapping.former))
    identity_ring, wrapping = held.identity.without(former[0]), held.wrapping.without(former[1])
    write_keys(path, replace(held, identity=identity_ring, wrapping=wrapping))
    return sum(map(len, former))
