"""A CodeSystem resource as concepts by code, with what lies above and below each.
https://hl7.org/fhir/R4/codesystem.html · https://hl7.org/fhir/R4/codesystem-concept-properties.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.fhir.model import Json
from app.fhir.terminology.designations import designations_of
from app.fhir.ucum import is_unit

UCUM = "http://unitsofmeasure.org"
"""The one system whose codes are a grammar: it has more than any list of them."""

_INACTIVE_STATUSES = frozenset({"inactive", "retired"})


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept; `properties` and `designations` are as the resource has them, less those that
    have no value but only say why."""

    code: str
    display: str | None
    definition: str | None
    designations: tuple[Json, ...]
    properties: tuple[Json, ...]

    def values_of(self, name: str) -> Iterator[Any]:
        return (value_of(held) for held in self.properties if held["code"] == name)

    @property
    def inactive(self) -> bool:
        return True in self.values_of("inactive") or not _INACTIVE_STATUSES.isdisjoint(
            value for value in self.values_of("status") if isinstance(value, str)
        )

    @property
    def abstract(self) -> bool:
        return True in self.values_of("notSelectable")


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """`concepts` in the order of the resource; `parents` and `children` are is-a links."""

    url: str
    version: str | None
    name: str
    content: str
    language: str | None
    case_sensitive: bool
    concepts: Mapping[str, Concept] = field(repr=False)
    parents: Mapping[str, tuple[str, ...]] = field(repr=False)
    children: Mapping[str, tuple[str, ...]] = field(repr=False)
    declared: tuple[Json, ...] = field(repr=False)
    """The properties that the system declares, as the resource has them."""
    folded: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Codes by their folded form, where case does not count."""

    def find(self, code: str) -> Concept | None:
        """The concept, by the letter; without regard to case where the system says so."""
        found = self.concepts.get(code) or self.concepts.get(self.folded.get(code.casefold(), ""))
        if found is None and self.url == UCUM and is_unit(code):
            return Concept(code, None, None, (), ())
        return found

    def below(self, code: str) -> frozenset[str]:
        """The code and all that is a kind of it; nothing if it is unknown."""
        return self._reached(code, self.children)

    def above(self, code: str) -> frozenset[str]:
        """The code and all that it is a kind of; nothing if it is unknown."""
        return self._reached(code, self.parents)

    def _reached(self, code: str, links: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
        start = self.find(code)
        pending, seen = [start.code] if start else [], set[str]()
        while pending:
            current = pending.pop()
            if current not in seen:
                seen.add(current)
                pending += links.get(current, ())
        return frozenset(seen)

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url


def read_code_system(resource: Json) -> CodeSystem:
    """The concepts of a valid CodeSystem resource.

    Nesting is taken as "is a", unless hierarchyMeaning says otherwise; the properties `parent` and
    `child` add to it.
    """
    nested = list(_walk(resource.get("concept", ()), None))
    concepts = {concept.code: concept for concept, _ in nested}
    known = [link for link in _links(resource, nested) if concepts.keys() >= {*link}]
    case_sensitive = resource.get("caseSensitive", True)
    return CodeSystem(
        url=resource.get("url", ""),
        version=resource.get("version"),
        name=resource.get("name") or resource.get("title") or resource.get("url", ""),
        content=resource.get("content", "not-present"),
        language=resource.get("language"),
        case_sensitive=case_sensitive,
        concepts=concepts,
        parents=_grouped(known),
        children=_grouped((parent, child) for child, parent in known),
        declared=tuple(each for each in resource.get("property", ()) if "code" in each),
        folded={} if case_sensitive else {code.casefold(): code for code in reversed(concepts)},
    )


def _links(resource: Json, nested: list[tuple[Concept, str | None]]) -> Iterable[tuple[str, str]]:
    """(child, parent), each once, in the order of the resource."""
    links = list(_property_links(concept for concept, _ in nested))
    if resource.get("hierarchyMeaning", "is-a") == "is-a":
        links = [(c.code, parent) for c, parent in nested if parent is not None] + links
    return dict.fromkeys(links)


def value_of(held: Json) -> Any:
    """The value[x] of a concept's property, whatever its type."""
    return next((value for key, value in held.items() if key.startswith("value")), None)


def _walk(concepts: Iterable[Json], parent: str | None) -> Iterator[tuple[Concept, str | None]]:
    for held in concepts:
        code = held.get("code", parent)
        if "code" in held:
            yield _read_concept(held), parent
        yield from _walk(held.get("concept", ()), code)


def _read_concept(held: Json) -> Concept:
    properties = (
        each for each in held.get("property", ()) if "code" in each and value_of(each) is not None
    )
    return Concept(
        held["code"],
        held.get("display"),
        held.get("definition"),
        designations_of(held),
        tuple(properties),
    )


def _property_links(concepts: Iterable[Concept]) -> Iterator[tuple[str, str]]:
    """(child, parent) from the standard properties."""
    for concept in concepts:
        for parent in concept.values_of("parent"):
            yield concept.code, _code_in(parent)
        for child in concept.values_of("child"):
            yield _code_in(child), concept.code


def _code_in(value: Any) -> str:
    """A property that names a concept holds its code, or a Coding."""
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)


def _grouped(pairs: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for one, other in pairs:
        groups.setdefault(one, []).append(other)
    return {one: tuple(others) for one, others in groups.items()}
