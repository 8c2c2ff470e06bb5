"""The concepts of a value set. https://hl7.org/fhir/R4/valueset.html#compositions

Within an include all conditions hold together (a system's concepts, each of the value sets);
includes are joined, then excludes are taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from app.errors import Category, SsciError, error
from app.fhir.model import Json
from app.fhir.terminology.code_systems import CodeSystem, Concept
from app.fhir.terminology.designations import designations_of
from app.fhir.terminology.filters import filtered, needed
from app.fhir.terminology.library import Library, canonical_of

MAX_CONCEPTS = 50_000
"""Concepts that are looked at for one value set."""

MAX_DEPTH = 50

Key = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Member:
    """A concept of a value set. `designations` are those of the system, or the value set's own."""

    system: str
    code: str
    version: str | None = None
    display: str | None = None
    designations: tuple[Json, ...] = ()
    inactive: bool = False
    abstract: bool = False

    @property
    def key(self) -> Key:
        return self.system, self.code


@dataclass(frozen=True, slots=True)
class Members:
    """In the order of the includes. `unclosed`: a system of which only a fragment is held."""

    concepts: Mapping[Key, Member] = field(default_factory=dict)
    unclosed: bool = False
    systems: frozenset[str] = frozenset()


def expand(value_set: Json, library: Library, only: str | None = None) -> Members:
    """All members; with `only`, those of one code system, whatever else may be missing.

    Raises 422: a code system or value set is not held, imports go round in circles, too costly.
    """
    return _Expander(library, only).members(value_set, ())


class _Expander:
    def __init__(self, library: Library, only: str | None) -> None:
        self._library = library
        self._only = only
        self._seen = 0
        self._known: dict[str, Members] = {}

    def members(self, value_set: Json, path: tuple[str, ...]) -> Members:
        name = canonical_of(value_set.get("url", ""), value_set.get("version"))
        if name and name in path:
            raise _unprocessable(f"value sets include each other in a circle: {name}")
        if len(path) > MAX_DEPTH:
            raise _unprocessable(f"value sets include each other more than {MAX_DEPTH} deep")
        compose = value_set.get("compose")
        if compose is None:
            return self._expanded(value_set)
        path = (*path, name)
        found = [self._part(part, path) for part in compose.get("include", ())]
        gone = [self._part(part, path).concepts.keys() for part in compose.get("exclude", ())]
        excluded = frozenset(key for keys in gone for key in keys)
        joined = _joined(found)
        keeps_inactive = compose.get("inactive", True)
        concepts = {
            key: member
            for key, member in joined.concepts.items()
            if key not in excluded and (keeps_inactive or not member.inactive)
        }
        return replace(joined, concepts=concepts)

    def _expanded(self, value_set: Json) -> Members:
        """A value set without a definition: its stored expansion is all there is to say."""
        if "expansion" not in value_set:
            raise _unprocessable("the value set has neither a compose nor an expansion")
        members = _contained(value_set["expansion"].get("contains", ()))
        kept = (m for m in members if self._only in (None, m.system))
        return Members({member.key: self._counted(member) for member in kept})

    def _part(self, part: Json, path: tuple[str, ...]) -> Members:
        sets = [self._imported(canonical, path) for canonical in part.get("valueSet", ())]
        system = part.get("system")
        if system is not None:
            if self._only not in (None, system):
                return Members()
            sets.insert(0, self._of_system(part, system))
        return _intersected(sets)

    def _imported(self, canonical: str | None, path: tuple[str, ...]) -> Members:
        """Each import is looked at once, however often it is named."""
        if canonical is None:
            raise _unprocessable("an include names a value set without a value")
        if canonical not in self._known:
            value_set = self._library.value_set(canonical)
            self._known[canonical] = self.members(value_set, path)
        return self._known[canonical]

    def _of_system(self, part: Json, system: str) -> Members:
        if "concept" in part:
            held = self._library.code_systems.get(self._wanted(part, system))
            version = part.get("version")
            listed = map(self._counted, part["concept"])
            members = [_listed(system, version, each, held) for each in listed]
            unclosed = False
        else:
            held = self._enumerable(system, part.get("version"))
            concepts = filtered(held, part.get("filter", ()))
            members = [_member(held, self._counted(concept)) for concept in concepts]
            unclosed = held.content == "fragment"
        used = frozenset({held.canonical} if held else ())
        return Members({member.key: member for member in members}, unclosed, used)

    def _wanted(self, part: Json, system: str) -> str:
        return canonical_of(system, part.get("version") or self._library.versions.get(system))

    def _enumerable(self, url: str, version: str | None) -> CodeSystem:
        system = self._library.code_system(url, version)
        if system.content not in ("complete", "fragment"):
            raise _unprocessable(f"the concepts of {url[:300]} are not held by this server")
        return system

    def _counted(self, one: T) -> T:
        self._seen += 1
        if self._seen > MAX_CONCEPTS:
            raise too_costly(f"the value set has more than {MAX_CONCEPTS} concepts to look at")
        return one


def _member(system: CodeSystem, concept: Concept) -> Member:
    return Member(
        system.url,
        concept.code,
        system.version,
        concept.display,
        concept.designations,
        concept.inactive,
        concept.abstract,
    )


def _listed(system: str, version: str | None, listed: Json, held: CodeSystem | None) -> Member:
    """A concept that the value set names: its own words go before those of the system."""
    code = needed(listed, "code", "ValueSet.compose.include.concept")
    concept = held.find(code) if held else None
    known = _member(held, concept) if held and concept else Member(system, code, version)
    return replace(
        known,
        system=system,
        code=code,
        display=listed.get("display") or known.display,
        designations=(*designations_of(listed), *known.designations),
    )


def _contained(contains: Iterable[Json]) -> Iterator[Member]:
    for each in contains:
        if "code" in each:
            yield Member(
                each.get("system", ""),
                each["code"],
                each.get("version"),
                each.get("display"),
                designations_of(each),
                each.get("inactive", False),
                each.get("abstract", False),
            )
        yield from _contained(each.get("contains", ()))


def _joined(sets: Iterable[Members]) -> Members:
    concepts: dict[Key, Member] = {}
    unclosed, systems = False, frozenset[str]()
    for each in sets:
        for key, member in each.concepts.items():
            concepts.setdefault(key, member)
        unclosed, systems = unclosed or each.unclosed, systems | each.systems
    return Members(concepts, unclosed, systems)


def _intersected(sets: list[Members]) -> Members:
    if not sets:
        raise _unprocessable("an include names neither a system nor a value set")
    first, *others = sets
    kept = {
        key: member
        for key, member in first.concepts.items()
        if all(key in other.concepts for other in others)
    }
    systems = frozenset(name for each in sets for name in each.systems)
    return Members(kept, any(each.unclosed for each in sets), systems)


def _unprocessable(text: str) -> SsciError:
    return error(Category.UNPROCESSABLE, text, expression="ValueSet.compose")


def too_costly(text: str) -> SsciError:
    return error(Category.UNPROCESSABLE, text, code="too-costly")
