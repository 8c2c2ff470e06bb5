"""The code systems and value sets that a terminology question stands on, found by canonical URL.
https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.errors import Category, SsciError, error
from app.fhir.model import Json
from app.fhir.terminology.code_systems import CodeSystem, read_code_system

Kind = Literal["CodeSystem", "ValueSet", "ConceptMap"]
Need = tuple[Kind, str]
"""A type and the canonical by which a resource of it is asked for: `url` or `url|version`."""


@dataclass(frozen=True, slots=True)
class Library:
    """What was gathered, by the canonical it was asked for. `versions`: preferred system versions
    (`system-version`), where a value set names none."""

    code_systems: Mapping[str, CodeSystem] = field(default_factory=dict)
    value_sets: Mapping[str, Json] = field(default_factory=dict)
    concept_maps: Mapping[str, Json] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def code_system(self, url: str, version: str | None = None) -> CodeSystem:
        """The system, or a 422 saying that it is not held."""
        wanted = canonical_of(url, version or self.versions.get(url))
        found = self.code_systems.get(wanted)
        if found is None:
            raise not_held("CodeSystem", wanted)
        return found

    def value_set(self, canonical: str) -> Json:
        found = self.value_sets.get(canonical)
        if found is None:
            raise not_held("ValueSet", canonical)
        return found


def build_library(resources: Mapping[Need, Json], versions: Mapping[str, str]) -> Library:
    """The library of gathered resources."""
    by_kind: dict[str, dict[str, Json]] = {"CodeSystem": {}, "ValueSet": {}, "ConceptMap": {}}
    for (kind, canonical), resource in resources.items():
        by_kind[kind][canonical] = resource
    systems = {name: read_code_system(held) for name, held in by_kind["CodeSystem"].items()}
    return Library(systems, by_kind["ValueSet"], by_kind["ConceptMap"], versions)


def needs_of(resource: Json, versions: Mapping[str, str]) -> Iterator[Need]:
    """What the resource refers to and can't be evaluated without."""
    if resource["resourceType"] == "ValueSet":
        for part in parts_of(resource):
            yield from _needs_of_part(part, versions)
    elif resource["resourceType"] == "ConceptMap":
        for group in resource.get("group", ()):
            if other := group.get("unmapped", {}).get("url"):
                yield "ConceptMap", other


def _needs_of_part(part: Json, versions: Mapping[str, str]) -> Iterator[Need]:
    for canonical in filter(None, part.get("valueSet", ())):
        yield "ValueSet", canonical
    if system := part.get("system"):
        yield "CodeSystem", canonical_of(system, part.get("version") or versions.get(system))


def parts_of(value_set: Json) -> Iterator[Json]:
    """The includes and excludes."""
    compose = value_set.get("compose", {})
    yield from compose.get("include", ())
    yield from compose.get("exclude", ())


def canonical_of(url: str, version: str | None) -> str:
    return f"{url}|{version}" if version else url


def split_canonical(canonical: str) -> tuple[str, str | None]:
    """The URL and the version; a fragment (#…) is no part of either."""
    url, _, version = canonical.partition("#")[0].partition("|")
    return url, version or None


def choose(resources: Iterable[Json], version: str | None) -> Json | None:
    """The one that a canonical means: of this version, else the newest that is not retired.

    `version` may be the beginning of one: `4.0` means 4.0.1, as the standard has it.
    """
    held: Sequence[Json] = list(resources)
    if version is not None:
        exact = [each for each in held if each.get("version") == version]
        begun = [each for each in held if each.get("version", "").startswith(f"{version}.")]
        held = exact or begun
    return max(held, key=_preference, default=None)


def _preference(resource: Json) -> tuple[bool, bool, list[tuple[bool, int, str]], str]:
    status = resource.get("status")
    version = [
        (part.isdigit(), int(part) if part.isdigit() else 0, part)
        for part in re.split(r"[.\-+]", resource.get("version", "")[:100])
        if part.isascii()
    ]
    updated = (resource.get("meta") or {}).get("lastUpdated", "")
    return status != "retired", status == "active", version, updated


def not_held(kind: Kind, canonical: str) -> SsciError:
    return error(
        Category.UNPROCESSABLE,
        f"the {kind} {canonical[:300]} is not held by this server",
        code="not-found",
    )
