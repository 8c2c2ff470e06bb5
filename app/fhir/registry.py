"""What the server knows of FHIR R4: types, elements, search parameters, bindings, compartments.

The facts are data in `spec/`, checked here at start: an entry that does not fit stops it with an
error that names file, key and reason. https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.expression import (
    Element,
    Elements,
    Path,
    Value,
    parse_expression,
    resolve_paths,
    several_values,
)

__all__ = [
    "CodeSet",
    "Component",
    "Element",
    "Elements",
    "Invariant",
    "Path",
    "Registry",
    "SearchParameter",
    "Value",
    "load_registry",
]

COMMON = "Resource"
"""Where the parameters stand that every type has."""

PARAMETER_TYPES = frozenset(
    {"number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"}
)
_RESOURCE_TYPES = "http://hl7.org/fhir/ValueSet/resource-types"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a composite: the parameter whose values it takes and where, from the base node."""

    code: str
    expression: str
    type: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """`targets` empty: any type. `many`: a resource may have more than one value.

    `values` are the FHIR types of what the expression finds; `systems` the code systems that values
    of the type `code` imply, by code. Both are made from `paths`, the resolved expression.
    """

    code: str
    type: str
    resource_type: str
    url: str
    expression: str
    targets: tuple[str, ...]
    components: tuple[Component, ...]
    many: bool
    values: tuple[str, ...] = ()
    systems: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    paths: tuple[Path, ...] = field(default=(), hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class CodeSet:
    """The codes of a required binding. `systems`: code → its (first) system."""

    url: str
    systems: Mapping[str, str] = field(hash=False, repr=False)
    codings: frozenset[tuple[str, str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Invariant:
    key: str
    path: str
    severity: str
    expression: str


@dataclass(frozen=True, slots=True)
class Registry:
    """Paths are spelled as the standard does: `Observation.value[x]`, `Quantity.comparator`.

    `elements` describes every listed resource type, the data types and parts of types
    (`Observation.component`); `known_types` names all resource types of R4, listed or not.
    """

    types: tuple[str, ...]
    known_types: frozenset[str] = field(hash=False, repr=False)
    elements: Elements = field(hash=False, repr=False)
    _parameters: Mapping[str, Mapping[str, SearchParameter]] = field(hash=False, repr=False)
    _codes: Mapping[str, CodeSet] = field(hash=False, repr=False)
    _targets: Mapping[str, tuple[str, ...]] = field(hash=False, repr=False)
    _summaries: Mapping[str, tuple[str, ...]] = field(hash=False, repr=False)
    _compartments: Mapping[str, Mapping[str, tuple[str, ...]]] = field(hash=False, repr=False)
    _invariants: Mapping[str, tuple[Invariant, ...]] = field(hash=False, repr=False)

    def parameters(self, resource_type: str) -> Mapping[str, SearchParameter]:
        """By code, those that every type has included; empty for a type that is not listed."""
        return self._parameters.get(resource_type, _NOTHING)

    def required_codes(self, path: str) -> CodeSet | None:
        """The codes to which the element is bound, None if it may hold any."""
        return self._codes.get(path)

    def code_system_of(self, path: str, code: str) -> str | None:
        """The system that `code` implies in an element of type `code`."""
        bound = self._codes.get(path)
        return bound.systems.get(code) if bound else None

    def reference_targets(self, path: str) -> tuple[str, ...]:
        """The types to which the element may refer; empty: any."""
        return self._targets.get(path, ())

    def summary(self, type_name: str) -> tuple[str, ...]:
        """The paths of the elements that `_summary=true` keeps."""
        return self._summaries.get(type_name, ())

    @property
    def compartments(self) -> tuple[str, ...]:
        return tuple(self._compartments)

    def compartment(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """{type: parameters that put a resource into the compartment}; `_id`: it is the focus."""
        return self._compartments.get(name, _NOTHING)

    def invariants(self, type_name: str) -> tuple[Invariant, ...]:
        return self._invariants.get(type_name, ())


def load_registry(folder: Traversable | None = None) -> Registry:
    """The registry from `folder` (default: the package's own data), or an error saying what is
    wrong with which entry. Takes about 0.1 s: call it once."""
    folder = folder or files("app.fhir") / "spec"
    elements = {
        owner: dict(_read_elements(owner, facts))
        for owner, facts in _load(folder, "elements.json").items()
    }
    _check_elements(elements)
    types = _read_types(_load(folder, "types.json"), elements)
    bindings = _load(folder, "required-bindings.json")
    codes = _read_codes(bindings, elements)
    known = frozenset(code for code in _code_set(bindings, _RESOURCE_TYPES).systems)
    grounds = _Grounds(known, elements, codes)
    parameters = _read_parameters(_load(folder, "search-parameters.json"), types, grounds)
    return Registry(
        types=types,
        known_types=known,
        elements=elements,
        _parameters=parameters,
        _codes=codes,
        _targets=_read_targets(_load(folder, "reference-targets.json"), known, elements),
        _summaries=_read_summaries(_load(folder, "summary-elements.json"), elements),
        _compartments=_read_compartments(_load(folder, "compartments.json"), parameters),
        _invariants=_read_invariants(_load(folder, "invariants.json"), elements),
    )


# Files and defects


def _load(folder: Traversable, name: str) -> Any:
    with _entry(name, "the file"):
        return json.loads(
            (folder / name).read_text(encoding="utf-8"), object_pairs_hook=_without_duplicates
        )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} stands there twice")
    return found


def _defect(file: str, key: str, reason: str) -> SsciError:
    return error(Category.FAULT, f"app/fhir/spec/{file}: {key}: {reason}")


@contextmanager
def _entry(file: str, key: str) -> Iterator[None]:
    """Whatever is wrong with an entry is told with its file and key."""
    try:
        yield
    except KeyError as missing:
        raise _defect(file, key, f"{missing} is missing or unknown") from missing
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        raise _defect(file, key, str(problem)) from problem
    except SsciError as problem:
        raise _defect(file, key, str(problem)) from problem


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


# Types and elements


def _read_elements(owner: str, facts: Mapping[str, str]) -> Iterator[tuple[str, Element]]:
    for spelled, description in facts.items():
        with _entry("elements.json", f"{owner}.{spelled}"):
            names, cardinality = description.split(" ")
            _require(cardinality in _CARDINALITIES, f"{cardinality!r} is no cardinality")
            name = spelled.removesuffix("[x]")
            yield (
                name,
                Element(
                    name=name,
                    types=tuple(names.split("|")),
                    required=cardinality.startswith("1"),
                    many=cardinality.endswith("*"),
                    choice=name != spelled,
                ),
            )


_CARDINALITIES = frozenset({"0..1", "1..1", "0..*", "1..*"})


def _check_elements(elements: Elements) -> None:
    for owner, children in elements.items():
        for element in children.values():
            with _entry("elements.json", f"{owner}.{element.path_name}"):
                for kind in element.types:
                    _require(_is_type(kind, elements), f"the type {kind!r} is unknown")


def _is_type(name: str, elements: Elements) -> bool:
    return name in elements or name[:1].islower()


def _read_types(facts: list[str], elements: Elements) -> tuple[str, ...]:
    for position, name in enumerate(facts):
        with _entry("types.json", name):
            _require(name in elements, "elements.json does not describe this type")
            _require(name not in facts[:position], "it is listed twice")
    return tuple(facts)


def _check_path(path: str, elements: Elements) -> None:
    """A path is spelled as its owner (a type or a part of one) and the element's name."""
    owner, _, spelled = path.rpartition(".")
    _require(owner in elements, f"the type {owner!r} is unknown")
    element = elements[owner].get(spelled.removesuffix("[x]"))
    _require(element is not None and element.path_name == spelled, f"{path!r} is no element")


# Search parameters


@dataclass(frozen=True, slots=True)
class _Grounds:
    """What search parameters stand on."""

    known_types: frozenset[str]
    elements: Elements
    codes: Mapping[str, CodeSet]


def _read_parameters(
    facts: Mapping[str, Any], types: tuple[str, ...], grounds: _Grounds
) -> Mapping[str, Mapping[str, SearchParameter]]:
    for name in facts:
        with _entry("search-parameters.json", name):
            _require(name == COMMON or name in types, "the type is not listed in types.json")
    found = {}
    for name in types:
        with _entry("search-parameters.json", name):
            merged = {**facts[COMMON], **facts[name]}
            is_own = len(merged) == len(facts[COMMON]) + len(facts[name])
            _require(is_own, "a common code is redefined")
        found[name] = {code: _read_parameter(name, code, merged, grounds) for code in merged}
    return found


def _read_parameter(
    resource_type: str, code: str, facts: Mapping[str, Any], grounds: _Grounds
) -> SearchParameter:
    with _entry("search-parameters.json", f"{resource_type}.{code}"):
        fact = facts[code]
        _require(fact["type"] in PARAMETER_TYPES, f"the type {fact['type']!r} is unknown")
        targets = tuple(fact.get("target", ()))
        unknown = sorted({*targets} - grounds.known_types)
        _require(not unknown, f"unknown targets {unknown}")
        paths = resolve_paths(parse_expression(fact["expression"]), resource_type, grounds.elements)
        return SearchParameter(
            code=code,
            type=fact["type"],
            resource_type=resource_type,
            url=fact["url"],
            expression=fact["expression"],
            targets=targets,
            components=_read_components(fact, facts, paths, grounds.elements),
            many=several_values(paths),
            values=tuple(dict.fromkeys(path.type for path in paths)),
            systems=_implied_systems(paths, grounds.codes),
            paths=paths,
        )


def _read_components(
    fact: Mapping[str, Any], facts: Mapping[str, Any], paths: Iterable[Path], elements: Elements
) -> tuple[Component, ...]:
    is_composite = fact["type"] == "composite"
    _require(("component" in fact) == is_composite, "components belong to composites")
    components = []
    for component in fact.get("component", ()):
        code, expression = component["code"], component["expression"]
        _require(code in facts, f"there is no parameter {code!r} to be a component")
        for path in paths:
            resolve_paths(parse_expression(expression), path.type, elements)
        components.append(Component(code, expression, facts[code]["type"]))
    return tuple(components)


def _implied_systems(paths: Iterable[Path], codes: Mapping[str, CodeSet]) -> Mapping[str, str]:
    systems: dict[str, str] = {}
    for path in paths:
        bound = codes.get(path.element or "")
        if bound and path.type == "code":
            systems.update(bound.systems)
    return systems


# Bindings, targets, summaries, compartments, invariants


def _read_codes(facts: Mapping[str, Any], elements: Elements) -> Mapping[str, CodeSet]:
    """By path. A binding to a value set whose codes are not enumerable (languages) has no entry."""
    found = {}
    sets = {url: _code_set(facts, url) for url in facts["valueSets"]}
    for path, url in facts["bindings"].items():
        with _entry("required-bindings.json", path):
            _check_path(path, elements)
            if url in sets:
                found[path] = sets[url]
    return found


def _code_set(facts: Mapping[str, Any], url: str) -> CodeSet:
    with _entry("required-bindings.json", url):
        by_system = facts["valueSets"][url]
        codings = [(system, code) for system, codes in by_system.items() for code in codes]
        systems = {code: system for system, code in reversed(codings)}
        return CodeSet(url, systems, frozenset(codings))


def _read_targets(
    facts: Mapping[str, Any], known: frozenset[str], elements: Elements
) -> Mapping[str, tuple[str, ...]]:
    found = {}
    for owner in facts.values():
        for path, targets in owner.items():
            with _entry("reference-targets.json", path):
                _check_path(path, elements)
                wrong = sorted({*targets} - known - {COMMON})
                _require(not wrong, f"unknown targets {wrong}")
                found[path] = () if COMMON in targets else tuple(targets)
    return found


def _read_summaries(facts: Mapping[str, Any], elements: Elements) -> Mapping[str, tuple[str, ...]]:
    for paths in facts.values():
        for path in paths:
            with _entry("summary-elements.json", path):
                _check_path(path, elements)
    return {name: tuple(paths) for name, paths in facts.items()}


def _read_compartments(
    facts: Mapping[str, Any], parameters: Mapping[str, Mapping[str, SearchParameter]]
) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    for name, members in facts.items():
        for kind, codes in members.items():
            with _entry("compartments.json", f"{name}.{kind}"):
                _require(name in parameters, "the compartment's type is not listed")
                unknown = sorted({*codes} - parameters[kind].keys())
                _require(not unknown, f"there are no parameters {unknown}")
    return {
        name: {kind: tuple(codes) for kind, codes in members.items()}
        for name, members in facts.items()
    }


def _read_invariants(
    facts: Mapping[str, Any], elements: Elements
) -> Mapping[str, tuple[Invariant, ...]]:
    found = {}
    for name, invariants in facts.items():
        with _entry("invariants.json", name):
            _require(name in elements, "the type is unknown")
            found[name] = tuple(Invariant(key=key, **fact) for key, fact in invariants.items())
    return found
