"""What XML needs to know of a type: its elements in the standard's order, and its attributes.

JSON needs no order, XML does. Types that the registry does not list (Bundle, OperationOutcome) are
read from the models of fhir.resources when first met. https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from app.fhir.registry import Element, Elements, Registry
from app.fhir.shapes import RESOURCE_TYPE, Property, build_shape
from app.fhir.unlisted_types import describe

VALUE = "value"
XHTML_TYPE = "xhtml"

_ATTRIBUTES = {"Extension": ("id", "url")}
"""The elements that XML writes as attributes where it is not only `id`."""


@dataclass(frozen=True, slots=True)
class XmlShape:
    """A type or part of one. `properties`: by JSON name, in order, those written as elements.

    `positions` tells the order; the types of a choice share one. `attributes` are JSON names too.
    """

    path: str
    is_resource: bool
    properties: Mapping[str, Property]
    positions: Mapping[str, int]
    attributes: tuple[str, ...]


PRIMITIVE = XmlShape(
    "Element",
    is_resource=False,
    properties={"extension": Property("extension", "Element.extension", "Extension", True, False)},
    positions={"extension": 0},
    attributes=("id", VALUE),
)
"""What every primitive is in XML: its value an attribute, its extensions elements."""


class XmlShapes:
    """The shapes by type or path, built on demand."""

    def __init__(self, registry: Registry) -> None:
        self._known_types = registry.known_types
        self._elements: dict[str, Mapping[str, Element]] = dict(registry.elements)
        self._built: dict[str, XmlShape] = {}

    def shape(self, path: str) -> XmlShape:
        """KeyError for a type that R4 does not have."""
        found = self._built.get(path)
        return found if found is not None else self._build(path)

    def resource(self, name: object) -> XmlShape | None:
        """The shape of a resource type; None for any other name."""
        if not isinstance(name, str) or name not in self._known_types:
            return None
        try:
            shape = self.shape(name)
        except KeyError:
            return None
        return shape if shape.is_resource else None

    def _build(self, path: str) -> XmlShape:
        if path not in self._elements:
            self._elements.update(_ordered(path, describe(path)))
        shape = build_shape(path, self._elements[path])
        attributes = () if shape.is_resource else _ATTRIBUTES.get(path, ("id",))
        left_out = {RESOURCE_TYPE, *attributes}
        properties = {n: each for n, each in shape.properties.items() if n not in left_out}
        self._built[path] = built = XmlShape(
            path, shape.is_resource, properties, _positions(properties), attributes
        )
        return built


@lru_cache(maxsize=4)
def shapes_of(registry: Registry) -> XmlShapes:
    """The one book of shapes of a registry."""
    return XmlShapes(registry)


def _positions(properties: Mapping[str, Property]) -> dict[str, int]:
    by_path = {path: n for n, path in enumerate(dict.fromkeys(p.path for p in properties.values()))}
    return {name: by_path[each.path] for name, each in properties.items()}


def _ordered(name: str, described: Mapping[str, Mapping[str, Element]]) -> Elements:
    """The elements of a type and its parts in the standard's order, which the models know."""
    module = importlib.import_module(f"fhir.resources.R4B.{name.lower()}")
    return {
        path: _in_sequence(elements, getattr(module, _model_name(path)).elements_sequence())
        for path, elements in described.items()
    }


def _model_name(path: str) -> str:
    """`Bundle.entry.request` is the model BundleEntryRequest."""
    return "".join(part[0].upper() + part[1:] for part in path.split("."))


def _in_sequence(elements: Mapping[str, Element], sequence: list[str]) -> dict[str, Element]:
    def place(element: Element) -> int:
        return sequence.index(element.key(element.types[0]))

    return {element.name: element for element in sorted(elements.values(), key=place)}
