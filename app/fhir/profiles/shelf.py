"""The profiles that the server holds, read by canonical URL and kept compiled, by version.
https://hl7.org/fhir/R4/profiling.html#resources
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.errors import Issue, SsciError
from app.fhir.codec import parse_json
from app.fhir.criteria import Condition, Text
from app.fhir.model import Caller, Json
from app.fhir.profiles.checking import check_profile
from app.fhir.profiles.compilation import compile_profile, references_of
from app.fhir.profiles.record import CodeList, Profile, Surroundings
from app.fhir.registry import Registry
from app.fhir.request import SearchRequest
from app.fhir.terminology import StoredTerminology

if TYPE_CHECKING:
    from app.fhir.store import Store

MAX_CLAIMS = 50
MAX_BASES = 8
_KEPT = 500
_STATES = 4
_PAGE = 200
_CALLER = Caller("profiles")

Found = Mapping[str, "tuple[Profile, ...] | SsciError"]
"""By canonical URL: a profile and the profiles that it derives from, or why it can't be used."""

Known = Mapping[str, "tuple[Profile, ...] | SsciError | None"]
"""The same, with None for what is known not to be there."""

State = tuple[tuple[Any, ...], ...]
"""A fingerprint of all definitions, value sets and code systems."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A compiled profile and what it was compiled with."""

    around: Surroundings
    profile: Profile | SsciError


_STATE = " UNION ALL ".join(
    f"SELECT count(*) AS n, sum(hashtextextended(id || ' ' || xid::text, version)) AS sum"
    f" FROM fhir.{table}"
    for table in ("structuredefinition", "valueset", "codesystem")
)
"""Another answer whenever a definition, or what it may refer to, was written or deleted."""


class ProfileShelf:
    """Compiled profiles. What was found counts as long as no definition, value set or code system
    changes, as one small statement tells: so a new version counts at once."""

    def __init__(self, registry: Registry, base_url: str) -> None:
        self._registry = registry
        self._base_url = base_url
        self._kept: dict[bytes, _Kept] = {}
        self._found: dict[State, Known] = {}

    async def fetch(self, store: Store, urls: Iterable[str]) -> Found:
        """The profiles that are known; an unknown url is absent."""
        wanted = list(dict.fromkeys(urls))[:MAX_CLAIMS]
        if not wanted:
            return {}
        state = await _state(store)
        known = self._found.get(state, {})
        missing = [url for url in wanted if url not in known]
        if missing:
            fetched = await self._fetch(store, missing)
            known = {**known, **{url: fetched.get(url) for url in missing}}
            if await _state(store) == state:  # else what was read may be of neither state
                self._remember(state, known)
        return {url: held for url in wanted if (held := known[url]) is not None}

    def _remember(self, state: State, known: Known) -> None:
        """What is known in this state of the definitions; of few states, and not too much."""
        self._found.pop(state, None)
        while len(self._found) >= _STATES:
            del self._found[next(iter(self._found))]
        self._found[state] = dict(list(known.items())[-_KEPT:])

    async def _fetch(self, store: Store, urls: Sequence[str]) -> Found:
        found: dict[str, tuple[Profile, ...] | SsciError] = {}
        for url, profile in (await self._read(store, urls)).items():
            if isinstance(profile, SsciError):
                found[url] = profile
            else:
                found[url] = (profile, *await self._bases(store, profile))
        return found

    async def check(self, store: Store, resources: Sequence[Json]) -> list[list[Issue]]:
        """What each resource breaks of the profiles that it claims in `meta.profile`."""
        claims = [claimed(resource) for resource in resources]
        found = await self.fetch(store, (url for urls in claims for url in urls))
        return [
            [issue for url in urls for issue in _check(found.get(url), resource)]
            for urls, resource in zip(claims, resources, strict=True)
        ]

    async def _bases(self, store: Store, profile: Profile) -> list[Profile]:
        bases: list[Profile] = []
        url = profile.base
        while url is not None and len(bases) < MAX_BASES:
            base = (await self._read(store, [url])).get(url)
            if not isinstance(base, Profile):
                break
            bases.append(base)
            url = base.base
        return bases

    async def _read(self, store: Store, urls: Sequence[str]) -> dict[str, Profile | SsciError]:
        """One profile per url; where several have it, that of the version asked for, or the last
        one written."""
        bodies = await self._bodies(store, {url.partition("|")[0] for url in urls})
        found: dict[str, Profile | SsciError] = {}
        for url in urls:
            bare, _, version = url.partition("|")
            fitting = [
                (definition, body)
                for definition, body in bodies.get(bare, ())
                if not version or definition.get("version") == version
            ]
            if fitting:
                last = max(fitting, key=lambda each: str(each[0]["meta"]["lastUpdated"]))
                found[url] = await self._compiled(store, *last)
        return found

    async def _bodies(self, store: Store, urls: set[str]) -> dict[str, list[tuple[Json, bytes]]]:
        if not urls:
            return {}
        values = tuple(Text(url) for url in sorted(urls))
        condition = Condition("url", None, values)
        request = SearchRequest("StructureDefinition", (condition,), count=_PAGE)
        found: dict[str, list[tuple[Json, bytes]]] = {}
        async for each in store.search_all(_CALLER, request):
            definition = parse_json(each.body)
            found.setdefault(definition["url"], []).append((definition, each.body))
        return found

    async def _compiled(self, store: Store, definition: Json, body: bytes) -> Profile | SsciError:
        around = await self._surroundings(store, definition)
        kept = self._kept.get(body)
        if kept is None or kept.around != around:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            kept = self._kept[body] = _Kept(around, _compile(definition, around))
        return kept.profile

    async def _surroundings(self, store: Store, definition: Json) -> Surroundings:
        sets, profiles = references_of(definition)
        terminology = StoredTerminology(store, self._registry, self._base_url, _CALLER)
        codes: dict[str, CodeList] = {}
        for url in sorted(sets):
            members = await _expanded(terminology, url)
            if members is not None:
                codes[url] = members
        targets = await self._bodies(store, profiles)
        return Surroundings(codes, {url: held[0][0]["type"] for url, held in targets.items()})


async def _state(store: Store) -> State:
    async with store.searching() as connection:
        return tuple((row["n"], row["sum"]) for row in await connection.fetch(_STATE))


def claimed(resource: Json) -> list[str]:
    """The profiles that a resource says it meets."""
    profiles = (resource.get("meta") or {}).get("profile", ())
    return [url for url in profiles if isinstance(url, str)][:MAX_CLAIMS]


async def _expanded(terminology: StoredTerminology, url: str) -> CodeList | None:
    """The codes of a value set, None where they are not known here."""
    try:
        return await terminology.expand(url)
    except SsciError:
        return None


def _compile(definition: Json, around: Surroundings) -> Profile | SsciError:
    try:
        return compile_profile(definition, around)
    except SsciError as problem:
        return problem


def _check(profiles: tuple[Profile, ...] | SsciError | None, resource: Json) -> list[Issue]:
    """Nothing for a profile that is unknown or can't be used: the claim is the client's."""
    if profiles is None or isinstance(profiles, SsciError):
        return []
    return [issue for profile in profiles for issue in check_profile(profile, resource)]
