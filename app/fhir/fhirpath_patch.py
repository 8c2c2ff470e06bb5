"""FHIRPath Patch: a Parameters resource whose operations change elements found by simple paths.
https://hl7.org/fhir/R4/fhirpatch.html

Paths are the simple ones that the standard asks for: elements, `[n]`, `first()`, `last()`,
`where(element = literal and …)`, `extension('url')` and `ofType(Type)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.codec import copy_json, is_number
from app.fhir.expression import Element, Elements
from app.fhir.model import Json
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
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>\$this|[A-Za-z_]\w*)"
    r"|`(?P<quoted>[^`]+)`|(?P<sign>!=|[.()\[\]=]))"
)
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Step:
    """An element by `name`, or a function: `[]` with a position, `where` with conditions …"""

    kind: str
    name: str = ""
    position: int = 0
    conditions: tuple[tuple[tuple[Step, ...], str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Spot:
    """A value in the tree: where it stands (`holder[key]`) and its type."""

    value: Any
    type: str
    holder: Any = None
    key: Any = None
    element: Element | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """`suffix` is the type as a choice spells it (`Quantity`); None for a part of a type."""

    suffix: str | None
    content: Any


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
    given = parameters.get("parameter")
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
    positions = tuple(
        _position(parts, name, place)
        for name in needs
        if name in ("index", "source", "destination")
    )
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


# ---- paths


def parse_path(text: str, place: str) -> tuple[Step, ...]:
    """The steps of a simple path; 400 for what this language does not have."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _malformed("the path is no simple FHIRPath", place)
        kind = "name" if match.lastgroup == "quoted" else match.lastgroup
        tokens.append((kind, match[match.lastgroup]))
        position = match.end()
    reader = _PathReader(tokens, place)
    steps = reader.steps()
    reader.expect_end()
    return steps


class _PathReader:
    """Reads a path from its tokens."""

    def __init__(self, tokens: Sequence[tuple[str, str]], place: str) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._at = 0
        self._place = place

    def steps(self) -> tuple[Step, ...]:
        found = [self._named()]
        while True:
            if self._skip("["):
                found.append(Step("[]", position=int(self._take("number"))))
                self._need("]")
            elif self._skip("."):
                found.append(self._named())
            else:
                return tuple(found)

    def expect_end(self) -> None:
        if self._tokens[self._at][0] != "end":
            raise self._refused()

    def _named(self) -> Step:
        name = self._take("name")
        if not self._skip("("):
            return Step("element", name)
        step = self._function(name)
        self._need(")")
        return step

    def _function(self, name: str) -> Step:
        if name in ("first", "last"):
            return Step(name)
        if name == "where":
            conditions = [self._condition()]
            while self._tokens[self._at] == ("name", "and"):
                self._at += 1
                conditions.append(self._condition())
            return Step("where", conditions=tuple(conditions))
        if name == "extension":
            url = _unquoted(self._take("text"))
            return Step("where", "extension", 0, (((Step("element", "url"),), "=", url),))
        if name == "ofType":
            return Step("ofType", self._take("name"))
        raise self._refused()

    def _condition(self) -> tuple[tuple[Step, ...], str, Any]:
        path = self.steps()
        kind, sign = self._tokens[self._at]
        if kind != "sign" or sign not in ("=", "!="):
            raise self._refused()
        self._at += 1
        return path, sign, self._literal()

    def _literal(self) -> Any:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return _unquoted(text)
        if kind == "number":
            return text
        if kind == "name" and text in ("true", "false"):
            return text == "true"
        raise self._refused()

    def _skip(self, sign: str) -> bool:
        if self._tokens[self._at] != ("sign", sign):
            return False
        self._at += 1
        return True

    def _need(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._refused()

    def _take(self, kind: str) -> str:
        found, text = self._tokens[self._at]
        if found != kind or len(text) > 100 or (kind == "number" and not text.isdigit()):
            raise self._refused()
        self._at += 1
        return text

    def _refused(self) -> SsciError:
        return _malformed("the path is no simple FHIRPath", self._place)


def _unquoted(text: str) -> str:
    return _ESCAPE.sub(r"\1", text[1:-1])


# ---- changing the tree


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
        key = _key(element, value)
        if element.many:
            spot.value.setdefault(key, []).append(value.content)
        elif any(True for _ in _present(spot.value, element)):
            raise self._failed("the element is there already and does not repeat")
        else:
            spot.value[key] = value.content

    def _insert(self) -> None:
        held, element = self._list()
        (index,) = self._change.positions
        if index > len(held):
            raise self._failed("there is no such position in the list")
        held.insert(index, self._value(element).content)

    def _move(self) -> None:
        held, _ = self._list()
        source, destination = self._change.positions
        if max(source, destination) >= len(held):
            raise self._failed("there is no such position in the list")
        held.insert(destination, held.pop(source))

    def _delete(self) -> None:
        spots = self._find(self._change.path)
        if len(spots) > 1:
            raise self._failed("the path leads to more than one element")
        for spot in spots:
            self._remove(spot)

    def _remove(self, spot: Spot) -> None:
        if spot.holder is None:
            raise self._failed("a resource can't be deleted by a patch")
        if isinstance(spot.key, tuple):
            name, number = spot.key
            del spot.holder[name][number]
            if not spot.holder[name]:
                del spot.holder[name]
        else:
            del spot.holder[spot.key]
            spot.holder.pop(f"_{spot.key}", None)

    def _replace(self) -> None:
        spot = self._one(self._change.path)
        if spot.holder is None or spot.element is None:
            raise self._failed("a resource can't be replaced by a patch")
        value = self._value(spot.element)
        if isinstance(spot.key, tuple):
            name, number = spot.key
            spot.holder[name][number] = value.content
            return
        key = _key(spot.element, value)
        if key != spot.key:
            self._remove(spot)
        spot.holder[key] = value.content

    def _list(self) -> tuple[list[Any], Element]:
        """The list that the path names, all of it."""
        *before, last = self._change.path
        if last.kind != "element" or not before:
            raise self._failed("the path must lead to a repeating element")
        spot = self._one(before)
        element = self._element(spot, last.name)
        if not element.many:
            raise self._failed("the path must lead to a repeating element")
        held: list[Any] = spot.value.setdefault(element.name, [])
        return held, element

    def _one(self, path: Sequence[Step]) -> Spot:
        spots = self._find(path)
        if len(spots) != 1:
            raise self._failed(f"the path leads to {len(spots)} elements instead of one")
        return spots[0]

    def _find(self, path: Sequence[Step]) -> list[Spot]:
        root = self._tree["resourceType"]
        if path[0] not in (Step("element", root), Step("element", "Resource")):
            raise self._failed(f"the path must begin with {root}")
        return self._follow([Spot(self._tree, root)], path[1:])

    def _follow(self, spots: list[Spot], path: Sequence[Step]) -> list[Spot]:
        for step in path:
            if step.kind == "element":
                spots = [found for spot in spots for found in self._children(spot, step.name)]
            elif step.kind == "[]":
                spots = spots[step.position : step.position + 1]
            elif step.kind in ("first", "last"):
                spots = spots[:1] if step.kind == "first" else spots[-1:]
            elif step.kind == "ofType":
                spots = [spot for spot in spots if spot.type == step.name]
            else:
                if step.name:
                    spots = [found for spot in spots for found in self._children(spot, step.name)]
                spots = [spot for spot in spots if self._holds(spot, step)]
        return spots

    def _children(self, spot: Spot, name: str) -> Iterator[Spot]:
        if not isinstance(spot.value, dict):
            return
        element = self._element(spot, name)
        for key, kind in _present(spot.value, element):
            held = spot.value[key]
            if isinstance(held, list):
                for number, item in enumerate(held):
                    yield Spot(item, _kind(item, kind), spot.value, (key, number), element)
            else:
                yield Spot(held, _kind(held, kind), spot.value, key, element)

    def _element(self, spot: Spot, name: str) -> Element:
        element = self._elements.get(spot.type, {}).get(name)
        if element is None or not isinstance(spot.value, dict):
            raise self._failed(f"{spot.type} has no element of the name that is given")
        return element

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
        if not isinstance(part, dict) or depth > 20:
            raise self._failed("the value is malformed")
        given = [key for key in part if key.startswith("value") and key != "value"]
        if len(given) == 1:
            return Value(given[0].removeprefix("value"), part[given[0]])
        nested = part.get("part")
        if given or not isinstance(nested, list) or not nested:
            raise self._failed("one value is needed")
        built: Json = {}
        for each in nested:
            name = each.get("name") if isinstance(each, dict) else None
            known = self._elements.get(element.types[0], {})
            child = known.get(name) if isinstance(name, str) else None
            if child is None:
                raise self._failed("the value has a part that the element does not have")
            value = self._part_value(each, child, depth + 1)
            if child.many:
                built.setdefault(_key(child, value), []).append(value.content)
            else:
                built[_key(child, value)] = value.content
        return Value(None, built)

    def _failed(self, text: str) -> SsciError:
        return error(
            Category.UNPROCESSABLE, f"{self._change.op}: {text}", expression=self._change.place
        )


def _present(node: Json, element: Element) -> Iterator[tuple[str, str]]:
    """(JSON key, type) of what the node has of an element."""
    for kind in element.types:
        key = element.key(kind)
        if key in node:
            yield key, kind


def _kind(value: Any, kind: str) -> str:
    """The type of a value; of a contained resource its own."""
    own = value.get("resourceType") if isinstance(value, dict) else None
    return own if isinstance(own, str) else kind


def _key(element: Element, value: Value) -> str:
    return f"{element.name}{value.suffix or ''}" if element.choice else element.name


def _equals(value: Any, literal: Any) -> bool:
    if is_number(value):
        return bool(str(value) == literal)
    return type(value) is type(literal) and bool(value == literal)


def _malformed(text: str, place: str) -> SsciError:
    return error(Category.INCORRECT, text, expression=place)
