"""What a code system says of a code, and how two of its codes relate.
https://hl7.org/fhir/R4/codesystem-operation-lookup.html
https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Literal

from app.errors import Category, SsciError, error
from app.fhir.model import Json
from app.fhir.terminology.code_systems import CodeSystem, Concept
from app.fhir.terminology.designations import display_in, wanted_designations

Outcome = Literal["equivalent", "subsumes", "subsumed-by", "not-subsumed"]


def look_up(
    system: CodeSystem, code: str, wanted: Collection[str], language: str | None
) -> list[Json]:
    """The parameters of the answer, with the `wanted` properties, all of them if none is named.

    404 if there is no such code.
    """
    concept = _found(system, code)
    display = display_in(language, concept.display, concept.designations) or concept.code
    parameters: list[Json] = [{"name": "name", "valueString": system.name}]
    if system.version:
        parameters.append({"name": "version", "valueString": system.version})
    parameters.append({"name": "display", "valueString": display})
    if _is_wanted("designation", wanted):
        parameters += map(_designation, wanted_designations(concept.designations))
    return parameters + [
        _property(name, value, description)
        for name, value, description in _properties(system, concept)
        if _is_wanted(name, wanted)
    ]


def subsumes(system: CodeSystem, one: str, other: str) -> Outcome:
    """How the concept `one` stands to `other`. 404: no such code."""
    above, below = _found(system, one).code, _found(system, other).code
    if above == below:
        return "equivalent"
    if below in system.below(above):
        return "subsumes"
    return "subsumed-by" if above in system.below(below) else "not-subsumed"


def unknown_code(system: CodeSystem, code: str) -> SsciError:
    held = "" if system.content == "complete" else f" as far as held here ({system.content})"
    return error(Category.NOT_FOUND, f"'{code[:200]}' is not a code of {system.url}{held}")


def _found(system: CodeSystem, code: str) -> Concept:
    concept = system.find(code)
    if concept is None:
        raise unknown_code(system, code)
    return concept


def _is_wanted(name: str, wanted: Collection[str]) -> bool:
    return not wanted or "*" in wanted or name in wanted


def _designation(held: Json) -> Json:
    parts: list[Json] = []
    if "language" in held:
        parts.append({"name": "language", "valueCode": held["language"]})
    if "use" in held:
        parts.append({"name": "use", "valueCoding": held["use"]})
    parts.append({"name": "value", "valueString": held["value"]})
    return {"name": "designation", "part": parts}


def _properties(system: CodeSystem, concept: Concept) -> Iterator[tuple[str, Json, str | None]]:
    """(code, value, description) of what the system says; links to other concepts come first."""
    links = [
        ("parent", system.parents.get(concept.code, ())),
        ("child", system.children.get(concept.code, ())),
    ]
    for name, codes in links:
        for code in codes:
            yield name, {"valueCode": code}, system.concepts[code].display
    if concept.definition:
        yield "definition", {"valueString": concept.definition}, None
    descriptions = dict(_descriptions(system.declared))
    for held in concept.properties:
        if held["code"] not in ("parent", "child"):
            value = {key: value for key, value in held.items() if key.startswith("value")}
            yield held["code"], value, descriptions.get(held["code"])


def _descriptions(declared: Iterable[Json]) -> Iterator[tuple[str, str]]:
    for each in declared:
        if each.get("description"):
            yield each["code"], each["description"]


def _property(name: str, value: Json, description: str | None) -> Json:
    parts: list[Json] = [{"name": "code", "valueCode": name}, {"name": "value"} | value]
    if description:
        parts.append({"name": "description", "valueString": description})
    return {"name": "property", "part": parts}
