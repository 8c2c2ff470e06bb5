"""FHIRPath Patch: a Parameters resource whose operations change elements found by simple paths.
https://hl7.org/fhir/R4/fhirpatch.html

Primitives too have `id` and `extension`. A replaced element is replaced as a whole, and no delete
leaves an element empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.codec import copy_json, decimal, is_number
from app.fhir.expression import Element, Elements
from app.fhir.model import Json
from app.fhir.patch_paths import Step, parse_path
from app.fhir.patch_tree import Slot, Spot, read_slots
from app.fhir.registry import Registry

MAX_OPERATIONS = 1000
MAX_PATH = 1000

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "add": ("path", "name", "value"),
    "insert": ("path", "value", "index"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}
_POSITIONS = frozenset({"index", "source", "destination"})


@dataclass(frozen=True, slots=True)
class Value:
    """`suffix` is the type as a choice spells it (`Quantity`); None for a part of a type."""

    suffix: str | None
    slot: Slot


@dataclass(frozen=True, slots=True)
class Change:
    op: str
    path: tuple[Step, ...]
    name: str
    value: Any
    positions: tuple[int, ...]
    place: str


def parse_fhirpath_patch(parameters: Json, registry: Registry) -> Callable[[Json], Json]:
    """The patch; 400 for a document that is none."""
    given = parameters.get("parameter", [])
    if parameters.get("resourceType") != "Parameters" or not isinstance(given, list):
        raise _malformed("a FHIRPath Patch is a Parameters resource with operations", "Parameters")
    if len(given) > MAX_OPERATIONS:
        raise _malformed(f"at most {MAX_OPERATIONS} operations", "Parameters.parameter")
    changes = [_parse_change(e, f"Parameters.parameter[{n}]") for n, e in enumerate(given)]

    def patched(resource: Json) -> Json:
        tree: Json = copy_json(resource)
        for change in changes:
            _Editor(tree, registry.elements, change).apply()
        return tree

    return patched


def _parse_change(given: Any, place: str) -> Change:
    if not isinstance(given, dict) or given.get("name") != "operation":
        raise _malformed("each parameter must be an 'operation'", place)
    listed = given.get("part")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _malformed("an operation has parts", place)
    parts = {each["name"]: each for each in listed if isinstance(each.get("name"), str)}
    op = _content(parts, "type", place)
    needs = _NEEDS.get(op) if isinstance(op, str) else None
    if needs is None:
        raise _malformed(f"type must be one of {', '.join(_NEEDS)}", place)
    for name in needs:
        if name not in parts:
            raise _malformed(f"{op} needs the part '{name}'", place)
    positions = tuple(_position(parts, name, place) for name in needs if name in _POSITIONS)
    path, name = _content(parts, "path", place), _content(parts, "name", place)
    if not isinstance(path, str) or len(path) > MAX_PATH:
        raise _malformed("path must be a FHIRPath", place)
    return Change(
        str(op),
        parse_path(path, place),
        name if isinstance(name, str) else "",
        parts.get("value"),
        positions,
        place,
    )


def _content(parts: Mapping[Any, Json], name: str, place: str) -> Any:
    part = parts.get(name)
    if part is None:
        return None
    found = [value for key, value in part.items() if key.startswith("value")]
    if len(found) != 1:
        raise _malformed(f"the part '{name}' needs one value", place)
    return found[0]


def _position(parts: Mapping[Any, Json], name: str, place: str) -> int:
    value = _content(parts, name, place)
    if type(value) is not int or value < 0:
        raise _malformed(f"the part '{name}' must be a position", place)
    return int(value)


# ---- changing the tree


_ELEMENT_CHILDREN = ("id", "extension")
"""What a primitive has. https://hl7.org/fhir/R4/element.html"""

_MAX_NESTING = 20


class _Editor:
    """Applies one change to a tree of its own."""

    def __init__(self, tree: Json, elements: Elements, change: Change) -> None:
        self._tree = tree
        self._elements = elements
        self._change = change

    def apply(self) -> None:
        {
            "add": self._add,
            "insert": self._insert,
            "delete": self._delete,
            "replace": self._replace,
            "move": self._move,
        }[self._change.op]()

    def _add(self) -> None:
        spot = self._one(self._change.path)
        element = self._element(spot, self._change.name)
        value = self._value(element)
        if not element.many and spot.is_there(element):
            raise self._failed("the element is there already and does not repeat")
        key = _key(element, value)
        spot.write(element, key, [*read_slots(spot.node, key), value.slot])

    def _insert(self) -> None:
        spot, element = self._list()
        slots = read_slots(spot.node, element.name)
        (index,) = self._change.positions
        if index > len(slots):
            raise self._failed("there is no such position in the list")
        slots.insert(index, self._value(element).slot)
        spot.write(element, element.name, slots)

    def _move(self) -> None:
        spot, element = self._list()
        slots = read_slots(spot.node, element.name)
        source, destination = self._change.positions
        if max(source, destination) >= len(slots):
            raise self._failed("there is no such position in the list")
        slots.insert(destination, slots.pop(source))
        spot.write(element, element.name, slots)

    def _delete(self) -> None:
        spots = self._find(self._change.path)
        if len(spots) > 1:
            raise self._failed("the path leads to more than one element")
        for spot in spots:
            if spot.parent is None:
                raise self._failed("a resource can't be deleted by a patch")
            spot.change(None)

    def _replace(self) -> None:
        spot = self._one(self._change.path)
        if spot.parent is None or spot.element is None:
            raise self._failed("a resource can't be replaced by a patch")
        value = self._value(spot.element)
        key = _key(spot.element, value)
        if key == spot.key:
            spot.change(value.slot)
        else:
            spot.parent.write(spot.element, spot.key, [])
            spot.parent.write(spot.element, key, [value.slot])

    def _list(self) -> tuple[Spot, Element]:
        """Whose list the path names, and of what."""
        *before, last = self._change.path
        if last.kind != "element" or not before:
            raise self._failed("the path must lead to a repeating element")
        spot = self._one(before)
        element = self._element(spot, last.name)
        if not element.many:
            raise self._failed("the path must lead to a repeating element")
        return spot, element

    def _one(self, path: Sequence[Step]) -> Spot:
        spots = self._find(path)
        if len(spots) != 1:
            raise self._failed(f"the path leads to {len(spots)} elements instead of one")
        return spots[0]

    def _find(self, path: Sequence[Step]) -> list[Spot]:
        root = self._tree["resourceType"]
        if path[0] not in (Step("element", root), Step("element", "Resource")):
            raise self._failed(f"the path must begin with {root}")
        return self._follow([Spot(Slot(self._tree), root)], path[1:])

    def _follow(self, spots: list[Spot], path: Sequence[Step]) -> list[Spot]:
        for step in path:
            if step.kind == "element":
                spots = self._children(spots, step.name)
            elif step.kind == "[]":
                spots = spots[step.position : step.position + 1]
            elif step.kind in ("first", "last"):
                spots = spots[:1] if step.kind == "first" else spots[-1:]
            elif step.kind == "ofType":
                spots = [spot for spot in spots if spot.type == step.name]
            else:
                below = self._children(spots, step.name) if step.name else spots
                spots = [spot for spot in below if self._holds(spot, step)]
        return spots

    def _children(self, spots: list[Spot], name: str) -> list[Spot]:
        return [found for spot in spots for found in spot.children(self._element(spot, name))]

    def _element(self, spot: Spot, name: str) -> Element:
        element = self._child(spot.type, name)
        if element is None:
            raise self._failed(f"{spot.type} has no element of the name that is given")
        return element

    def _child(self, kind: str, name: str) -> Element | None:
        if kind[:1].islower():
            return self._elements["Extension"].get(name) if name in _ELEMENT_CHILDREN else None
        return self._elements.get(kind, {}).get(name)

    def _holds(self, spot: Spot, step: Step) -> bool:
        for path, sign, literal in step.conditions:
            this = path[0] == Step("element", "$this")
            found = self._follow([spot], path[1:] if this else path)
            if any(_equals(each.value, literal) for each in found) != (sign == "="):
                return False
        return True

    def _value(self, element: Element) -> Value:
        return self._part_value(self._change.value, element, 0)

    def _part_value(self, part: Any, element: Element, depth: int) -> Value:
        """What a part gives: a value of its own, or the children of a part of a type."""
        if not isinstance(part, dict) or depth > _MAX_NESTING:
            raise self._failed("the value is malformed")
        given = _value_keys(part)
        if len(given) == 1:
            return self._plain_value(part, given.pop(), element)
        nested = part.get("part")
        if given or not isinstance(nested, list) or not nested:
            raise self._failed("one value is needed")
        built: Json = {}
        for each in nested:
            self._build(built, each, element, depth + 1)
        return Value(None, Slot(None, built) if _is_primitive(element) else Slot(built))

    def _plain_value(self, part: Json, key: str, element: Element) -> Value:
        beside = part.get(f"_{key}")
        if beside is not None and not isinstance(beside, dict):
            raise self._failed("the value is malformed")
        if part.get(key) is None and beside is None:
            raise self._failed("one value is needed")
        return Value(key.removeprefix("value"), Slot(part.get(key), beside))

    def _build(self, built: Json, part: Any, element: Element, depth: int) -> None:
        """Add the child that one of the nested parts gives."""
        name = part.get("name") if isinstance(part, dict) else None
        child = self._child(element.types[0], name) if isinstance(name, str) else None
        if child is None:
            raise self._failed("the value has a part that the element does not have")
        value = self._part_value(part, child, depth)
        holder = Spot(Slot(built), element.types[0])
        key = _key(child, value)
        before = read_slots(built, key) if child.many else []
        holder.write(child, key, [*before, value.slot])

    def _failed(self, text: str) -> SsciError:
        return error(
            Category.UNPROCESSABLE, f"{self._change.op}: {text}", expression=self._change.place
        )


def _value_keys(part: Json) -> set[str]:
    """`valueString`, also where only its extensions are given."""
    plain = {key.removeprefix("_") for key in part}
    return {key for key in plain if key.startswith("value") and key != "value"}


def _is_primitive(element: Element) -> bool:
    return element.types[0][:1].islower()


def _key(element: Element, value: Value) -> str:
    return f"{element.name}{value.suffix or ''}" if element.choice else element.name


def _equals(value: Any, literal: Any) -> bool:
    if is_number(value):
        return isinstance(literal, Decimal) and decimal(value) == literal
    return type(value) is type(literal) and bool(value == literal)


def _malformed(text: str, place: str) -> SsciError:
    return error(Category.INCORRECT, text, expression=place)
