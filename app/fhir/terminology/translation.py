"""Codes of one system as codes of another. https://hl7.org/fhir/R4/conceptmap-operation-translate.html"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.fhir.model import Json
from app.fhir.terminology.validation import Coded

_NO_TRANSLATION = frozenset({"unmatched", "disjoint"})
_REVERSED: Mapping[str, str] = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
MAX_MATCHES = 200


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another element (by its URI) and the codes that it has, of which one counts."""

    element: str
    codes: tuple[Coded, ...]

    def meets(self, wanted: Json) -> bool:
        """Whether it is what an item of `dependsOn` asks for."""
        system = wanted.get("system")
        return self.element == wanted.get("property") and any(
            each.code == wanted.get("value") and each.system in (None, system or each.system)
            for each in self.codes
        )


@dataclass(frozen=True, slots=True)
class Direction:
    """`target`: only into this code system; `reverse`: from a map's targets to its sources;
    `given`: what is known beside the code, for targets that depend on it."""

    target: str | None = None
    reverse: bool = False
    given: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    equivalence: str
    concept: Json | None
    products: tuple[Json, ...]
    source: str | None
    comment: str | None = None

    @property
    def is_translation(self) -> bool:
        return self.concept is not None and self.equivalence not in _NO_TRANSLATION

    @property
    def parameter(self) -> Json:
        parts: list[Json] = [{"name": "equivalence", "valueCode": self.equivalence}]
        if self.concept is not None:
            parts.append({"name": "concept", "valueCoding": self.concept})
        parts += ({"name": "product", "part": _product(each)} for each in self.products)
        if self.source:
            parts.append({"name": "source", "valueUri": self.source})
        return {"name": "match", "part": parts}


def translate(
    codes: Iterable[Coded],
    maps: Iterable[Json],
    others: Mapping[str, Json],
    direction: Direction,
) -> list[Json]:
    """The parameters of the answer. `others` are the maps to which `unmapped` may lead, by URL."""
    found: list[Match] = []
    for match in _all_matches(codes, list(maps), others, direction):
        if match not in found:
            found.append(match)
        if len(found) == MAX_MATCHES:
            break
    result = any(match.is_translation for match in found)
    parameters: list[Json] = [{"name": "result", "valueBoolean": result}]
    if message := _message(found, result):
        parameters.append({"name": "message", "valueString": message})
    return [*parameters, *(match.parameter for match in found)]


def _all_matches(
    codes: Iterable[Coded], maps: list[Json], others: Mapping[str, Json], direction: Direction
) -> Iterator[Match]:
    for coded in codes:
        seen: set[str] = set()
        for concept_map in maps:
            yield from _matches(coded, concept_map, others, direction, seen)


def _message(found: list[Match], result: bool) -> str | None:
    comments = [match.comment for match in found if match.comment]
    if comments:
        return "; ".join(comments)
    if result:
        return None
    return "there is no translation" if found else "no map that is held here has this code"


def _matches(
    coded: Coded,
    concept_map: Json,
    others: Mapping[str, Json],
    direction: Direction,
    seen: set[str],
) -> Iterator[Match]:
    """`seen` are the maps that were asked already: to ask again adds nothing, and may never end."""
    source = concept_map.get("url")
    if source in seen:
        return
    seen.update([source] if source else ())
    for group in concept_map.get("group", ()):
        if not _fits(coded, group, direction):
            continue
        found = list(_of_group(coded, group, source, direction))
        yield from found
        if not found and not direction.reverse and "unmapped" in group:
            yield from _unmapped(coded, group, source, others, direction, seen)


def _fits(coded: Coded, group: Json, direction: Direction) -> bool:
    """Whether the group leads from the code's system to the wanted one."""
    start, end = group.get("source"), group.get("target")
    if direction.reverse:
        start, end = end, start
    return coded.system in (None, start) and direction.target in (None, end)


def _of_group(
    coded: Coded, group: Json, source: str | None, direction: Direction
) -> Iterator[Match]:
    """The targets that depend on what is given stand first: they say more."""
    held = [
        (element, target)
        for element in group.get("element", ())
        for target in element.get("target", ())
        if _is_met(target, direction.given)
    ]
    for element, target in sorted(held, key=lambda each: not each[1].get("dependsOn")):
        if direction.reverse:
            if target.get("code") == coded.code and "code" in element:
                yield _backward(element, target, group, source)
        elif element.get("code") == coded.code:
            yield _forward(target, group, source)


def _is_met(target: Json, given: tuple[Dependency, ...]) -> bool:
    wanted = target.get("dependsOn", ())
    return all(any(each.meets(one) for each in given) for one in wanted)


def _forward(target: Json, group: Json, source: str | None) -> Match:
    coding = _coding(group.get("target"), group.get("targetVersion"), target)
    held = target.get("product", ())
    products = tuple(each for each in held if "value" in each and "property" in each)
    return Match(_equivalence(target), coding, products, source, target.get("comment"))


def _backward(element: Json, target: Json, group: Json, source: str | None) -> Match:
    coding = _coding(group.get("source"), group.get("sourceVersion"), element)
    told = _equivalence(target)
    return Match(_REVERSED.get(told, told), coding, (), source, target.get("comment"))


def _equivalence(target: Json) -> str:
    """It may be absent for a reason; then the codes are related, and no more is known."""
    return str(target.get("equivalence", "relatedto"))


def _coding(system: str | None, version: str | None, held: Json) -> Json | None:
    if "code" not in held:
        return None
    parts = {
        "system": system,
        "version": version,
        "code": held["code"],
        "display": held.get("display"),
    }
    return {name: value for name, value in parts.items() if value is not None}


def _unmapped(
    coded: Coded,
    group: Json,
    source: str | None,
    others: Mapping[str, Json],
    direction: Direction,
    seen: set[str],
) -> Iterator[Match]:
    """What the group says of codes that it does not have."""
    unmapped = group["unmapped"]
    mode = unmapped.get("mode")
    if mode == "other-map":
        other = others.get(unmapped.get("url", ""))
        if other is not None:
            yield from _matches(coded, other, others, direction, seen)
        return
    if mode not in ("fixed", "provided"):
        return
    held = unmapped if mode == "fixed" else {"code": coded.code}
    equivalence = "relatedto" if mode == "fixed" else "equal"
    coding = _coding(group.get("target"), group.get("targetVersion"), held)
    yield Match(equivalence, coding, (), source)


def _product(held: Json) -> list[Json]:
    parts = {"system": held.get("system"), "code": held["value"], "display": held.get("display")}
    coding = {name: value for name, value in parts.items() if value is not None}
    return [
        {"name": "element", "valueUri": held["property"]},
        {"name": "concept", "valueCoding": coding},
    ]
