"""The FHIRPath subset that search parameters use, compiled to plain closures.

An expression is parsed to a small tree and resolved against the elements of the standard into paths
of JSON keys: a choice such as `value[x]` becomes one path per type. The paths of all parameters of
a type are then merged into one tree that is walked once per resource.

https://hl7.org/fhir/R4/search.html#expression · http://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from app.errors import Category, SsciError, error
from app.fhir.model import Json

if TYPE_CHECKING:
    from app.fhir.registry import Registry, SearchParameter


class Value(NamedTuple):
    """What an expression finds: its FHIR type (`Quantity`, `code`, `dateTime` …) and its JSON."""

    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class Element:
    """A child of a type. `name` has no `[x]`; a choice has one JSON key per type."""

    name: str
    types: tuple[str, ...]
    required: bool
    many: bool
    choice: bool

    def key(self, kind: str) -> str:
        """The JSON key under which a value of the type `kind` stands."""
        return f"{self.name}{kind[0].upper()}{kind[1:]}" if self.choice else self.name

    @property
    def path_name(self) -> str:
        return f"{self.name}[x]" if self.choice else self.name


Elements = Mapping[str, Mapping[str, Element]]
"""By type (`Observation`, `Quantity`, `Observation.component`) and name without `[x]`."""


# The tree of an expression


@dataclass(frozen=True, slots=True)
class Name:
    source: Node | None
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    source: Node | None
    function: str
    argument: Node | None


@dataclass(frozen=True, slots=True)
class Operation:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | bool


Node = Name | Call | Operation | Literal

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|'(?P<text>[^'\\]*)'|(?P<sign>!=|[.()|=]))\s*")
_LOWEST_FIRST = (("and",), ("=", "!="), ("|",), ("as", "is"))
_LITERALS = {"true": True, "false": False}


def parse_expression(expression: str) -> Node:
    """The tree of an expression, or an error that names what cannot be read."""
    tokens = list(_tokens(expression))
    node, rest = _parse_operation(tokens, 0)
    if rest:
        raise unusable(f"unexpected {rest[0][1]!r}")
    return node


def unusable(reason: str) -> SsciError:
    return error(Category.FAULT, reason)


_Token = tuple[str, str]


def _tokens(expression: str) -> Iterator[_Token]:
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise unusable(f"cannot read {expression[position:]!r}")
        position = match.end()
        yield match.lastgroup, match[match.lastgroup]


def _parse_operation(tokens: list[_Token], level: int) -> tuple[Node, list[_Token]]:
    if level == len(_LOWEST_FIRST):
        return _parse_chain(tokens)
    left, tokens = _parse_operation(tokens, level + 1)
    while tokens and tokens[0][0] != "text" and tokens[0][1] in _LOWEST_FIRST[level]:
        operator = tokens[0][1]
        right, tokens = _parse_operation(tokens[1:], level + 1)
        left = Operation(operator, left, right)
    return left, tokens


def _parse_chain(tokens: list[_Token]) -> tuple[Node, list[_Token]]:
    node, tokens = _parse_start(tokens)
    while tokens and tokens[0] == ("sign", "."):
        node, tokens = _parse_step(node, tokens[1:])
    return node, tokens


def _parse_start(tokens: list[_Token]) -> tuple[Node, list[_Token]]:
    if not tokens:
        raise unusable("it ends too early")
    kind, text = tokens[0]
    if (kind, text) == ("sign", "("):
        node, tokens = _parse_operation(tokens[1:], 0)
        return node, _skip_closing(tokens)
    if kind == "text":
        return Literal(text), tokens[1:]
    if text in _LITERALS:
        return Literal(_LITERALS[text]), tokens[1:]
    return _parse_step(None, tokens)


def _parse_step(source: Node | None, tokens: list[_Token]) -> tuple[Node, list[_Token]]:
    if not tokens or tokens[0][0] != "name":
        raise unusable("a name is missing")
    name, tokens = tokens[0][1], tokens[1:]
    if tokens[:1] != [("sign", "(")]:
        return Name(source, name), tokens
    if tokens[1:2] == [("sign", ")")]:
        return Call(source, name, None), tokens[2:]
    argument, tokens = _parse_operation(tokens[1:], 0)
    return Call(source, name, argument), _skip_closing(tokens)


def _skip_closing(tokens: list[_Token]) -> list[_Token]:
    if tokens[:1] != [("sign", ")")]:
        raise unusable("a closing parenthesis is missing")
    return tokens[1:]


# Paths


@dataclass(frozen=True, slots=True)
class Step:
    """Into the value or values under `key`; `element` names what a choice's keys share."""

    key: str
    element: str
    many: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """On, if `condition` holds for what has been reached, which has the type `kind`."""

    condition: Node
    kind: str


@dataclass(frozen=True, slots=True)
class Test:
    """To the truth of `condition`."""

    condition: Node
    kind: str


@dataclass(frozen=True, slots=True)
class Path:
    """One way from a resource to values of one type. `element` is the last element's full path
    (`Observation.value[x]`), None where the path ends at its start or in a truth."""

    steps: tuple[Step | Filter | Test, ...]
    type: str
    element: str | None = None

    @property
    def many(self) -> bool:
        return any(isinstance(step, Step) and step.many for step in self.steps)


def resolve_paths(node: Node, start: str, elements: Elements) -> tuple[Path, ...]:
    """The paths of an expression that begins at the type `start`, or why there are none.

    Names count as relative to `start`, unless the first is `start` itself or `Resource`.
    """
    return tuple(dict.fromkeys(_paths(node, start, elements)))


def several_values(paths: Sequence[Path]) -> bool:
    """Whether one resource may have more than one value: by a repeated element or a union of
    paths that do not exclude each other (the types of one choice do)."""
    if any(path.many for path in paths):
        return True
    return any(
        not _exclude_each_other(one, other)
        for position, one in enumerate(paths)
        for other in paths[:position]
    )


def _exclude_each_other(one: Path, other: Path) -> bool:
    for left, right in zip(one.steps, other.steps, strict=False):
        if left != right:
            if isinstance(left, Step) and isinstance(right, Step):
                return left.element == right.element
            break
    return False


def _paths(node: Node, start: str, elements: Elements) -> list[Path]:
    match node:
        case Name(None, name) if name in (start, "Resource", "DomainResource"):
            return [Path((), start)]
        case Name(source, name):
            return _children(_sources(source, start, elements), name, elements)
        case Operation("|", left, right):
            return [*_paths(left, start, elements), *_paths(right, start, elements)]
        case Operation("as", left, Name(None, kind)):
            return _of_type(_paths(left, start, elements), kind)
        case Call(source, "as" | "ofType", Name(None, kind)):
            return _of_type(_sources(source, start, elements), kind)
        case Call(source, "where", condition) if condition is not None:
            return _where(_sources(source, start, elements), condition, elements)
        case Call(source, "extension", Literal(str(url))):
            return _extension(_sources(source, start, elements), url, elements)
        case Operation("and" | "=" | "!=") | Call(_, "exists", None):
            _condition(node, start, elements)
            return [Path((Test(node, start),), "boolean")]
    raise unusable(f"{_told(node)} is not in the subset of FHIRPath that is compiled")


def _told(node: Node) -> str:
    match node:
        case Call(_, function, _):
            return f"{function}()"
        case Operation(operator, _, _):
            return repr(operator)
        case Literal(value):
            return repr(value)
        case Name(_, name):
            return name


def _sources(source: Node | None, start: str, elements: Elements) -> list[Path]:
    return [Path((), start)] if source is None else _paths(source, start, elements)


def _children(sources: Iterable[Path], name: str, elements: Elements) -> list[Path]:
    found = [
        Path(
            (*source.steps, Step(element.key(kind), element.name, element.many)),
            kind,
            f"{source.type}.{element.path_name}",
        )
        for source in sources
        for element in [elements.get(source.type, {}).get(name)]
        if element is not None
        for kind in element.types
    ]
    if not found:
        raise unusable(f"there is no element {name!r} there")
    return found


_BASES: Mapping[str, str] = {
    **dict.fromkeys(("canonical", "oid", "url", "uuid"), "uri"),
    **dict.fromkeys(("code", "id", "markdown"), "string"),
    **dict.fromkeys(("positiveInt", "unsignedInt"), "integer"),
    **dict.fromkeys(("Age", "Count", "Distance", "Duration"), "Quantity"),
}
"""What a type specializes: `as uri` holds of a canonical. https://hl7.org/fhir/R4/datatypes.html"""


def _of_type(sources: Iterable[Path], kind: str) -> list[Path]:
    found = [each for each in sources if kind in (each.type, _BASES.get(each.type))]
    if not found:
        raise unusable(f"nothing there has the type {kind!r}")
    return found


def _where(sources: list[Path], condition: Node, elements: Elements) -> list[Path]:
    for source in sources:
        _condition(condition, source.type, elements)
    return [
        Path((*source.steps, Filter(condition, source.type)), source.type, source.element)
        for source in sources
    ]


def _extension(sources: list[Path], url: str, elements: Elements) -> list[Path]:
    """A search by an extension is by its value. https://hl7.org/fhir/R4/searchparameter.html"""
    extensions = _children(sources, "extension", elements)
    has_url = Operation("=", Name(None, "url"), Literal(url))
    return _children(_where(extensions, has_url, elements), "value", elements)


# Conditions

Condition = Callable[[Any, Json], bool]
"""Whether something holds for a node of a resource: (node, resource)."""


def _condition(node: Node, kind: str, elements: Elements) -> Condition:
    match node:
        case Operation("and", left, right):
            return _both(_condition(left, kind, elements), _condition(right, kind, elements))
        case Operation("is", Call(None, "resolve", None), Name(None, target)):
            return _refers_to(target)
        case Operation("=", left, Literal(literal)):
            return _equals(_keys(left, kind, elements), literal)
        case Operation("!=", left, Literal(literal)):
            return _differs(_keys(left, kind, elements), literal)
        case Call(None, "hasExtension", Literal(str(url))):
            return _has_extension(url)
        case Call(source, "exists", None) if source is not None:
            return _exists(_keys(source, kind, elements))
    raise unusable(f"{_told(node)} is not a condition that is compiled")


def _keys(node: Node, kind: str, elements: Elements) -> tuple[str, ...]:
    """The JSON keys of a single element of a node of the type `kind`."""
    steps = [path.steps for path in _paths(node, kind, elements)]
    keys = [step[0].key for step in steps if len(step) == 1 and isinstance(step[0], Step)]
    if len(keys) != len(steps) or any(path.many for path in _paths(node, kind, elements)):
        raise unusable("a condition may look at one single element only")
    return tuple(keys)


def _both(left: Condition, right: Condition) -> Condition:
    return lambda item, root: left(item, root) and right(item, root)


def _refers_to(target: str) -> Condition:
    return lambda item, root: reference_type(item, root) == target


def _equals(keys: Sequence[str], literal: str | bool) -> Condition:
    return lambda item, root: any(item.get(key) == literal for key in keys)


def _differs(keys: Sequence[str], literal: str | bool) -> Condition:
    return lambda item, root: any(key in item and item[key] != literal for key in keys)


def _exists(keys: Sequence[str]) -> Condition:
    return lambda item, root: any(key in item for key in keys)


def _has_extension(url: str) -> Condition:
    return lambda item, root: any(e.get("url") == url for e in item.get("extension", ()))


_TYPE_AND_ID = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[^/]+)?$")


def reference_type(reference: Any, resource: Json) -> str | None:
    """The type of what a Reference points to, as far as the reference itself or `contained` tells.

    https://hl7.org/fhir/R4/references.html
    """
    if type(reference) is not dict:
        return None
    address = reference.get("reference")
    if isinstance(address, str):
        if address.startswith("#"):
            return _contained_type(address[1:], resource)
        match = _TYPE_AND_ID.search(address)
        if match is not None:
            return match[1]
    named = reference.get("type")
    return named if isinstance(named, str) else None


def _contained_type(id_: str, resource: Json) -> str | None:
    candidates = resource.get("contained", ()) if id_ else (resource,)
    for candidate in candidates:
        if not id_ or candidate.get("id") == id_:
            return candidate.get("resourceType")
    return None


# Closures

Found = dict[str, list[Value]]
Visit = Callable[[Any, Json, Found], None]
"""Looks at a node of a resource and adds what it finds: (node, resource, found by slot)."""

_value = partial(tuple.__new__, Value)  # a third of the time that Value() takes


@dataclass(slots=True)
class _Branch:
    """What to do at a node: the merged paths, while they are being merged. `slots` keep the node
    itself, which then has the type `kind`."""

    kind: str = ""
    slots: list[str] = field(default_factory=list)
    steps: dict[str, _Branch] = field(default_factory=dict)
    filters: dict[Filter, _Branch] = field(default_factory=dict)
    tests: dict[Test, list[str]] = field(default_factory=dict)


def compile_expression(
    expression: str, start: str, elements: Elements
) -> Callable[[Json], list[Value]]:
    """A function from a resource (or a node of the type `start`) to what the expression finds."""
    paths = resolve_paths(parse_expression(expression), start, elements)
    visit = compile_paths({"": paths}, elements)

    def find(resource: Json) -> list[Value]:
        found: Found = {}
        visit(resource, resource, found)
        return found.get("", [])

    return find


def compile_paths(paths: Mapping[str, Iterable[Path]], elements: Elements) -> Visit:
    """One function for the paths of many slots: shared steps are walked once."""
    trunk = _Branch()
    for slot, alternatives in paths.items():
        for path in alternatives:
            _graft(trunk, path, slot)
    return _visit(trunk, elements)


def _graft(branch: _Branch, path: Path, slot: str) -> None:
    for step in path.steps:
        if isinstance(step, Step):
            branch = branch.steps.setdefault(step.key, _Branch())
        elif isinstance(step, Filter):
            branch = branch.filters.setdefault(step, _Branch())
        else:
            branch.tests.setdefault(step, []).append(slot)
            return
    branch.kind = path.type
    if slot not in branch.slots:
        branch.slots.append(slot)


def _visit(branch: _Branch, elements: Elements) -> Visit:
    visits: list[Visit] = []
    if branch.slots:
        visits.append(_keep(branch.kind, tuple(branch.slots)))
    for test, slots in branch.tests.items():
        visits.append(_keep_truth(_holds(test, elements), tuple(slots)))
    for filter_, inner in branch.filters.items():
        visits.append(_if_true(_holds(filter_, elements), _visit(inner, elements)))
    if branch.steps:
        visits.append(_descend({k: _visit(inner, elements) for k, inner in branch.steps.items()}))
    return visits[0] if len(visits) == 1 else _all_of(tuple(visits))


def _holds(step: Filter | Test, elements: Elements) -> Condition:
    return _condition(step.condition, step.kind, elements)


def _keep(kind: str, slots: tuple[str, ...]) -> Visit:
    def keep(item: Any, root: Json, found: Found) -> None:
        value = _value((kind, item))
        for slot in slots:
            if slot in found:
                found[slot].append(value)
            else:
                found[slot] = [value]

    return keep


def _keep_truth(condition: Condition, slots: tuple[str, ...]) -> Visit:
    keep = _keep("boolean", slots)
    return lambda item, root, found: keep(condition(item, root), root, found)


def _if_true(condition: Condition, visit: Visit) -> Visit:
    def visit_if_true(item: Any, root: Json, found: Found) -> None:
        if type(item) is dict and condition(item, root):
            visit(item, root, found)

    return visit_if_true


def _all_of(visits: tuple[Visit, ...]) -> Visit:
    def visit_all(item: Any, root: Json, found: Found) -> None:
        for visit in visits:
            visit(item, root, found)

    return visit_all


def _descend(visits: Mapping[str, Visit]) -> Visit:
    def descend(item: Any, root: Json, found: Found) -> None:
        if type(item) is not dict:
            return
        for key, value in item.items():
            visit = visits.get(key)
            if visit is None:
                continue
            if type(value) is list:
                for part in value:
                    if part is not None:
                        visit(part, root, found)
            elif value is not None:
                visit(value, root, found)

    return descend


class Extractor:
    """Finds the values of all search parameters of one resource type in one walk."""

    __slots__ = ("_composites", "_visit")

    def __init__(self, registry: Registry, resource_type: str) -> None:
        parameters = registry.parameters(resource_type).values()
        plain = {each.code: each.paths for each in parameters if each.type != "composite"}
        composites = [each for each in parameters if each.type == "composite"]
        self._visit = compile_paths(plain, registry.elements)
        self._composites = _Composites(composites, registry.elements)

    def extract(self, resource: Json) -> Found:
        """{code: values}: no composites, and only the parameters that have a value."""
        found: Found = {}
        self._visit(resource, resource, found)
        return found

    def extract_composites(self, resource: Json) -> Rows:
        """{code: one tuple per node that has a value for every component, in their order}."""
        return self._composites.extract(resource)


Rows = dict[str, list[tuple[list[Value], ...]]]
"""By composite: for each node the values of each component."""


class _Composites:
    """Two walks: to the nodes that hold the components, then through each of them.

    The slots of the first are the paths to the nodes, of the second the components' expressions.
    """

    __slots__ = ("_at_nodes", "_composites", "_to_nodes")

    def __init__(self, parameters: Iterable[SearchParameter], elements: Elements) -> None:
        nodes: dict[str, tuple[Path, ...]] = {}
        inner: dict[str, dict[str, tuple[Path, ...]]] = {}
        self._composites: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for parameter in parameters:
            slots = tuple(component.expression for component in parameter.components)
            for path in parameter.paths:
                place = str(path)
                nodes[place] = (path,)
                paths = inner.setdefault(place, {})
                for slot in slots:
                    paths[slot] = resolve_paths(parse_expression(slot), path.type, elements)
                self._composites.setdefault(place, []).append((parameter.code, slots))
        self._to_nodes = compile_paths(nodes, elements)
        self._at_nodes = {place: compile_paths(paths, elements) for place, paths in inner.items()}

    def extract(self, resource: Json) -> Rows:
        nodes: Found = {}
        rows: Rows = {}
        self._to_nodes(resource, resource, nodes)
        for place, values in nodes.items():
            for value in values:
                found: Found = {}
                self._at_nodes[place](value.value, resource, found)
                for code, slots in self._composites[place]:
                    if all(slot in found for slot in slots):
                        rows.setdefault(code, []).append(tuple(found[slot] for slot in slots))
        return rows
