"""The shape of a type in JSON: its properties, what must be there, and what only R4B has.

https://hl7.org/fhir/R4/json.html · https://hl7.org/fhir/R4B/diff.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.fhir.registry import Element

RESOURCE = "Resource"
RESOURCE_TYPE = "resourceType"

_TYPES_ADDED_BY_R4B = frozenset({"CodeableReference", "RatioRange"})
_CHOICES_ADDED_BY_R4B = frozenset(
    {
        ("ActivityDefinition.subject[x]", "canonical"),
        ("PlanDefinition.subject[x]", "canonical"),
        ("PlanDefinition.action.subject[x]", "canonical"),
    }
)
_MANY_CHOICES = 40
"""Only an element open to all data types has more: in R4 that includes Meta."""


@dataclass(frozen=True, slots=True)
class Property:
    """An element as JSON names it (`valueQuantity`); `path` is the standard's (`….value[x]`),
    which is also the name of a choice."""

    name: str
    path: str
    type: str
    repeats: bool
    is_choice: bool

    @property
    def is_primitive(self) -> bool:
        return self.type[0].islower()


@dataclass(frozen=True, slots=True)
class Shape:
    """A type or part of one. `required_choices`: path → the properties of which one must be."""

    path: str
    properties: Mapping[str, Property]
    required: frozenset[str]
    required_choices: Mapping[str, tuple[str, ...]]

    @property
    def is_resource(self) -> bool:
        return RESOURCE_TYPE in self.properties


def build_shape(path: str, elements: Mapping[str, Element]) -> Shape:
    """The shape that `elements`, as R4B has them, have in R4."""
    properties: dict[str, Property] = {}
    required_choices: dict[str, tuple[str, ...]] = {}
    if "implicitRules" in elements:
        properties[RESOURCE_TYPE] = Property(RESOURCE_TYPE, path, RESOURCE_TYPE, False, False)
    for element in elements.values():
        added = {each.name: each for each in _properties(path, element)}
        properties.update(added)
        if element.required and element.choice:
            required_choices[f"{path}.{element.path_name}"] = tuple(added)
    required = (e.name for e in elements.values() if e.required and not e.choice)
    return Shape(path, properties, frozenset(required), required_choices)


def _properties(path: str, element: Element) -> Iterator[Property]:
    where = f"{path}.{element.path_name}"
    for kind in _r4_types(where, element.types):
        yield Property(element.key(kind), where, kind, element.many, element.choice)


def _r4_types(path: str, types: tuple[str, ...]) -> list[str]:
    kept = [
        kind
        for kind in types
        if kind not in _TYPES_ADDED_BY_R4B and (path, kind) not in _CHOICES_ADDED_BY_R4B
    ]
    return [*kept, "Meta"] if len(kept) > _MANY_CHOICES and "Meta" not in kept else kept
