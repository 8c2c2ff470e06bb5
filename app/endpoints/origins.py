"""Where a resource version came from: its Provenance, and in it the raw message and the place.

Every version that a feed wrote has a Provenance whose target is that version
(https://hl7.org/fhir/R4/provenance.html); its target says from which bytes of which message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from app.fhir import Caller, Json, Layout, Reading, Store, parse_json, parse_search

BATCH = 50
"""Versions asked for at once."""

PLACE = "source-place"
MAPPING = "mapping-version"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a resource."""

    resource_type: str
    id: str
    number: int

    @property
    def reference(self) -> str:
        return f"{self.resource_type}/{self.id}/_history/{self.number}"


def parse_version(reference: str, number: int) -> Version:
    """A version of `TYPE/ID`."""
    resource_type, _, id_ = reference.partition("/")
    return Version(resource_type, id_, number)


@dataclass(frozen=True, slots=True)
class Origin:
    """The message that a version was written from: `sha256` of its bytes, the `place` in it (such
    as `OBX[3]-5` or `row 7`), the bytes from `start` to before `end`; `mapping` is the version of
    the site's mapping that read it, `recorded` when it was received."""

    provenance: str
    sha256: str
    place: str | None
    start: int | None
    end: int | None
    mapping: str | None
    recorded: str


class Origins:
    """Finds origins in a FHIR store."""

    def __init__(self, store: Store, layout: Layout, zone: tzinfo) -> None:
        self._store = store
        self._reading = Reading(layout, zone, "")

    async def find(
        self, caller: Caller, versions: Sequence[Version], as_of: datetime | None = None
    ) -> Mapping[Version, Origin]:
        """Of each version that a feed wrote, as it was known at an instant; of several the first
        that was recorded. Others (a client's own) have none."""
        wanted = {each.reference: each for each in versions}
        found: dict[Version, Origin] = {}
        ordered = sorted(wanted)
        for start in range(0, len(ordered), BATCH):
            references = ordered[start : start + BATCH]
            async for provenance in self._search(caller, references):
                for reference, origin in read_origins(provenance):
                    version = wanted.get(reference)
                    if version is None or not _was_known(origin, as_of):
                        continue
                    held = found.get(version)
                    if held is None or _order(origin) < _order(held):
                        found[version] = origin
        return found

    async def _search(self, caller: Caller, references: Sequence[str]) -> AsyncIterator[Json]:
        criteria = [("target", ",".join(references)), ("_sort", "_id"), ("_count", "1000")]
        request = parse_search(self._reading, "Provenance", criteria)
        async for each in self._store.search_all(caller, request):
            yield parse_json(each.body)


def _was_known(origin: Origin, as_of: datetime | None) -> bool:
    return as_of is None or datetime.fromisoformat(origin.recorded) <= as_of


def _order(origin: Origin) -> tuple[datetime, str]:
    return datetime.fromisoformat(origin.recorded), origin.provenance


def read_origins(provenance: Json) -> Iterator[tuple[str, Origin]]:
    """Each target's version with its origin; of a Provenance that names no message none."""
    sha256 = _sha256(provenance)
    if sha256 is None:
        return
    mapping = _extension(provenance, MAPPING)
    for target in provenance.get("target", []):
        place = _extension(target, PLACE) or {}
        parts = {each["url"]: _value(each) for each in place.get("extension", [])}
        yield (
            target.get("reference", ""),
            Origin(
                f"Provenance/{provenance['id']}",
                sha256,
                parts.get("place"),
                parts.get("start"),
                parts.get("end"),
                _value(mapping) if mapping else None,
                provenance["recorded"],
            ),
        )


def _sha256(provenance: Json) -> str | None:
    for entity in provenance.get("entity", []):
        identifier = entity.get("what", {}).get("identifier", {})
        if entity.get("role") == "source" and "value" in identifier:
            value: str = identifier["value"]
            return value
    return None


def _extension(element: Json, name: str) -> Json | None:
    """The extension whose address ends in `name`."""
    for each in element.get("extension", []):
        if each.get("url", "").rpartition("/")[2] == name:
            found: Json = each
            return found
    return None


def _value(extension: Json) -> Any:
    return next((value for key, value in extension.items() if key.startswith("value")), None)
