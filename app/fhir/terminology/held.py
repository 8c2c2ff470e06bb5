"""The terminology that this server holds: what is stored, then what the standard itself brings.
https://hl7.org/fhir/R4/terminology-service.html

The shell of this folder: it fetches all that a question stands on; the rest is pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from app.errors import Category, error
from app.fhir.codec import parse_json
from app.fhir.criteria import Condition, Text
from app.fhir.model import Caller, Json
from app.fhir.registry import Registry
from app.fhir.request import SearchRequest
from app.fhir.terminology.code_systems import CodeSystem, read_code_system
from app.fhir.terminology.expansion import expand, too_costly
from app.fhir.terminology.library import (
    Kind,
    Library,
    Need,
    build_library,
    choose,
    needs_of,
    not_held,
    split_canonical,
)
from app.fhir.terminology.standard import standard_resources

if TYPE_CHECKING:
    from app.fhir.store import Store

MAX_GATHERED = 200
MAX_SEARCHED = 10_000
"""Codes that one search may stand for."""

_PAGE = 200
_KEPT = ("version", "name", "status")
_OF_INCLUDE = (("system", "url"), ("version", "version"))
_LITERAL = re.compile(r"(CodeSystem|ValueSet|ConceptMap)/([A-Za-z0-9\-.]{1,64})")


class StoredTerminology:
    """Answers by canonical URL; a caller finds only what it may see."""

    def __init__(
        self, store: Store, registry: Registry, base_url: str, caller: Caller | None = None
    ) -> None:
        self._store = store
        self._registry = registry
        self._base_url = base_url
        self._caller = caller or Caller("terminology")

    # ---- what searches ask: `:in`, `:not-in`, `:above`, `:below`

    async def expand(self, url: str) -> frozenset[tuple[str, str]]:
        """(system, code) of every member of the value set: a canonical, or `ValueSet/[id]`."""
        value_set = await self._searched("ValueSet", url)
        members = expand(value_set, await self.gather([value_set]))
        if len(members.concepts) > MAX_SEARCHED:
            raise too_costly(f"the value set has more than {MAX_SEARCHED} codes to search for")
        return frozenset(members.concepts)

    async def below(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        """The code and all that it subsumes; the code alone if the system does not have it."""
        held = read_code_system(await self._searched("CodeSystem", system))
        return frozenset((held.url, each) for each in held.below(code) or {code})

    async def above(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        """The code and all that subsumes it; the code alone if the system does not have it."""
        held = read_code_system(await self._searched("CodeSystem", system))
        return frozenset((held.url, each) for each in held.above(code) or {code})

    async def _searched(self, kind: Kind, canonical: str) -> Json:
        """The resource, or a 400: a search is not an address that could be missing."""
        found = await self.find(kind, canonical)
        if found is None:
            raise error(Category.INCORRECT, str(not_held(kind, canonical)), code="not-found")
        return found

    # ---- resources

    async def code_system(self, canonical: str, version: str | None = None) -> CodeSystem:
        return read_code_system(await self.require("CodeSystem", canonical, version))

    async def require(self, kind: Kind, canonical: str, version: str | None = None) -> Json:
        """The resource, or a 404 that names it."""
        found = await self.find(kind, canonical, version)
        if found is None:
            wanted = f"{canonical}|{version}" if version else canonical
            raise error(Category.NOT_FOUND, str(not_held(kind, wanted)))
        return found

    async def find(self, kind: Kind, canonical: str, version: str | None = None) -> Json | None:
        """By `url`, `url|version` or a literal reference; the newest if no version is named."""
        literal = _LITERAL.fullmatch(canonical.removeprefix(f"{self._base_url}/"))
        if literal and literal[1] == kind:
            return await self._read(kind, literal[2])
        url, named = split_canonical(canonical)
        wanted = named or version
        stored = choose(await self.search(kind, "url", url), wanted)
        if stored is not None:
            return stored
        standard = standard_resources(self._registry).get((kind, url))
        if standard is not None:
            return choose([standard], wanted)
        return await self._implied(url, wanted) if kind == "ValueSet" else None

    async def _implied(self, url: str, version: str | None) -> Json | None:
        """The value set of all codes of a system, where a system says that this is its address.
        https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.valueSet"""
        page = await self._store.search(self._caller, SearchRequest("CodeSystem", count=_PAGE))
        systems = (parse_json(found.body) for found in page.matches)
        implying = (each for each in systems if _url_of(each.get("valueSet")) == url)
        system = choose(implying, version)
        if system is None:
            return None
        include = {key: system[name] for key, name in _OF_INCLUDE if name in system}
        kept: Json = {name: system[name] for name in _KEPT if name in system}
        compose = {"include": [include]}
        return {"resourceType": "ValueSet", "url": url, **kept, "compose": compose}

    async def _read(self, kind: Kind, id: str) -> Json | None:
        stored = await self._store.read(self._caller, kind, id)
        return parse_json(stored.body) if stored and stored.body else None

    async def search(self, kind: Kind, code: str, value: str) -> Sequence[Json]:
        """The stored resources of which the uri parameter `code` has this value."""
        if not value or "\0" in value:
            return []
        request = SearchRequest(kind, (Condition(code, None, (Text(value),)),), count=_PAGE)
        page = await self._store.search(self._caller, request)
        return [parse_json(found.body) for found in page.matches]

    async def gather(
        self, resources: Iterable[Json], versions: Mapping[str, str] | None = None
    ) -> Library:
        """All that the resources refer to, directly or not, as far as it is held."""
        preferred = versions or {}
        held: dict[Need, Json] = {}
        asked: set[Need] = set()
        pending = [need for each in resources for need in needs_of(each, preferred)]
        while pending:
            need = pending.pop()
            if need in asked:
                continue
            asked.add(need)
            if len(asked) > MAX_GATHERED:
                raise too_costly(f"it refers to more than {MAX_GATHERED} value sets and systems")
            found = await self.find(*need)
            if found is not None:
                held[need] = found
                pending += needs_of(found, preferred)
        return build_library(held, preferred)


def _url_of(canonical: str | None) -> str | None:
    return split_canonical(canonical)[0] if canonical else None
