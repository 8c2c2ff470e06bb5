"""`ssci load`: files of FHIR resources into the store, in bounded memory, again without effect.

NDJSON is read line by line (a line is a resource or a Bundle); any other file is one JSON document.
A resource keeps its id; one without an id gets one from its content, so that a second run, after an
interruption or by mistake, finds everything unchanged. A Bundle is stored wholly or not at all.
https://hl7.org/fhir/R4/nd-json.html
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir import Caller, Json, Store, Update, dump_json, parse_json

CALLER = Caller("ssci load")
BATCH_SIZE = 200
LINE_SUFFIXES = frozenset({".ndjson", ".jsonl"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A line or a document: where it stands and its bytes (`size` with the line's end)."""

    place: str
    data: bytes = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class Unit:
    """What must be stored together: one resource, or all of a Bundle."""

    place: str
    updates: tuple[Update, ...] = field(repr=False)


@dataclass(slots=True)
class Loaded:
    """The outcome: how many resources were created, updated, left unchanged; how many places
    failed."""

    kinds: Counter[str] = field(default_factory=Counter)
    failures: int = 0


Advance = Callable[[int], None]
Complain = Callable[[str], None]


async def load_files(
    store: Store, files: Sequence[Path], advance: Advance, complain: Complain
) -> Loaded:
    """Store what the files hold. `advance` gets the bytes done, `complain` one line per failure."""
    loaded = Loaded()
    batch: list[Unit] = []
    for path in files:
        for piece in read_pieces(path):
            try:
                batch.append(parse_unit(piece))
            except SsciError as problem:
                loaded.failures += 1
                complain(f"{piece.place}: {problem}")
            if sum(len(unit.updates) for unit in batch) >= BATCH_SIZE:
                await _store_batch(store, batch, loaded, complain)
                batch = []
            advance(piece.size)
    await _store_batch(store, batch, loaded, complain)
    return loaded


def read_pieces(path: Path) -> Iterator[Piece]:
    """The pieces of a file, one in memory at a time; blank lines are passed over."""
    if path.suffix.lower() not in LINE_SUFFIXES:
        data = path.read_bytes()
        yield Piece(str(path), data, len(data))
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield Piece(f"{path}:{number}", line, len(line))


def parse_unit(piece: Piece) -> Unit:
    """The updates that a piece asks for; INCORRECT where it is none that can be loaded."""
    resource = parse_json(piece.data)
    if resource.get("resourceType") != "Bundle":
        return Unit(piece.place, (_update(resource, piece.data),))
    entries = resource.get("entry", [])
    if not isinstance(entries, list):
        raise error(Category.INCORRECT, "must be a list", expression="Bundle.entry")
    updates = [_entry_update(entry, place) for place, entry in enumerate(entries)]
    addresses = {
        entry["fullUrl"]: f"{update.resource['resourceType']}/{update.id}"
        for entry, update in zip(entries, updates, strict=True)
        if "fullUrl" in entry
    }
    return Unit(piece.place, tuple(_resolved(update, addresses) for update in updates))


def _update(resource: Json, data: bytes) -> Update:
    id = resource.get("id")
    if id is None:
        id = hashlib.sha256(data.strip()).hexdigest()[:32]
    if not isinstance(id, str):
        raise error(Category.INCORRECT, "must be a string", expression="id")
    return Update({**resource, "id": id}, id)


def _entry_update(entry: Any, place: int) -> Update:
    expression = f"Bundle.entry[{place}]"
    resource = entry.get("resource") if isinstance(entry, dict) else None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise error(Category.INCORRECT, "must hold a resource", expression=f"{expression}.resource")
    request = entry.get("request") or {}
    if not isinstance(request, dict) or request.get("method", "PUT") not in {"PUT", "POST"}:
        raise error(
            Category.INCORRECT, "only PUT and POST are loaded", expression=f"{expression}.request"
        )
    if "ifNoneExist" in request or "?" in str(request.get("url", "")):
        raise error(
            Category.INCORRECT,
            "conditional requests are not loaded: give the resource an id, or POST the Bundle",
            expression=f"{expression}.request",
        )
    return _update(resource, dump_json([entry.get("fullUrl"), resource]))


def _resolved(update: Update, addresses: dict[str, str]) -> Update:
    """References to a `fullUrl` of the same Bundle become `Type/id`."""
    return Update(_with_addresses(update.resource, addresses), update.id)


def _with_addresses(value: Any, addresses: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_addresses(item, addresses) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: addresses.get(item, item)
        if key == "reference" and isinstance(item, str)
        else _with_addresses(item, addresses)
        for key, item in value.items()
    }


async def _store_batch(
    store: Store, batch: Sequence[Unit], loaded: Loaded, complain: Complain
) -> None:
    """All units in one transaction; if one is refused, each in a transaction of its own."""
    if not batch:
        return
    try:
        await _store_units(store, batch, loaded)
    except SsciError as problem:
        if problem.category is Category.UNAVAILABLE:
            raise
        if len(batch) == 1:
            loaded.failures += 1
            complain(f"{batch[0].place}: {problem}")
            return
        for unit in batch:
            await _store_batch(store, [unit], loaded, complain)


async def _store_units(store: Store, units: Sequence[Unit], loaded: Loaded) -> None:
    changes = await store.write(CALLER, [update for unit in units for update in unit.updates])
    loaded.kinds.update(change.kind for change in changes)
