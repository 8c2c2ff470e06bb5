"""The filters of a value set: which concepts of a code system it takes by their properties.
https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, core_schema

from app.errors import Category, error
from app.fhir.codec import decimal, is_number
from app.fhir.model import Json
from app.fhir.terminology.code_systems import CodeSystem, Concept

MAX_PATTERN = 500

Matches = Callable[[Concept], bool]


def filtered(system: CodeSystem, filters: Collection[Json]) -> Iterator[Concept]:
    """The concepts that pass all filters, in the system's order; 422 for an unknown operator."""
    tests = [_matcher(system, *_parts(each)) for each in filters]
    return (c for c in system.concepts.values() if all(matches(c) for matches in tests))


def needed(held: Json, name: str, place: str) -> str:
    """The value of an element that a definition can't do without, or a 422: it may lawfully hold
    nothing but an extension that says why it is absent."""
    value = held.get(name)
    if value is None:
        raise error(
            Category.UNPROCESSABLE,
            "the value set can't be evaluated: this element has no value",
            expression=f"{place}.{name}",
            code="required",
        )
    return str(value)


def _parts(held: Json) -> list[str]:
    place = "ValueSet.compose.include.filter"
    return [needed(held, name, place) for name in ("property", "op", "value")]


def _matcher(system: CodeSystem, name: str, op: str, value: str) -> Matches:
    if op in _HIERARCHY:
        chosen = _HIERARCHY[op](system, value)
        return lambda concept: concept.code in chosen
    if op == "is-not-a":
        below = system.below(value)
        return lambda concept: concept.code not in below
    compile_test = _TESTS.get(op)
    if compile_test is None:
        raise error(
            Category.UNPROCESSABLE,
            f"the filter operator '{op}' is not known",
            expression="ValueSet.compose.include.filter.op",
            code="not-supported",
        )
    test = compile_test(value)
    return lambda concept: test(list(_texts(system, concept, name)))


def _descendants(system: CodeSystem, code: str) -> frozenset[str]:
    found = system.find(code)
    return system.below(code) - {found.code} if found else frozenset()


_HIERARCHY: Mapping[str, Callable[[CodeSystem, str], frozenset[str]]] = {
    "is-a": CodeSystem.below,
    "descendent-of": _descendants,
    "generalizes": CodeSystem.above,
}


def _texts(system: CodeSystem, concept: Concept, name: str) -> Iterator[str]:
    """The values of a property as text; the concept's own parts count as properties."""
    if name in ("code", "concept"):
        yield concept.code
    elif name == "display":
        yield from filter(None, [concept.display])
    elif name == "definition":
        yield from filter(None, [concept.definition])
    elif name == "parent":
        yield from system.parents.get(concept.code, ())
    elif name == "child":
        yield from system.children.get(concept.code, ())
    else:
        yield from (_text(value) for value in concept.values_of(name))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        return str(decimal(value))
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)


Test = Callable[[list[str]], bool]


def _equal(value: str) -> Test:
    return lambda texts: value in texts


def _in(value: str) -> Test:
    chosen = _listed(value)
    return lambda texts: not chosen.isdisjoint(texts)


def _not_in(value: str) -> Test:
    chosen = _listed(value)
    return lambda texts: chosen.isdisjoint(texts)


def _exists(value: str) -> Test:
    return lambda texts: bool(texts) == (value == "true")


def _regex(value: str) -> Test:
    pattern = _pattern(value)
    return lambda texts: any(pattern.isinstance_python(text) for text in texts)


def _listed(value: str) -> frozenset[str]:
    return frozenset(part.strip() for part in value.split(","))


_TESTS: Mapping[str, Callable[[str], Test]] = {
    "=": _equal,
    "in": _in,
    "not-in": _not_in,
    "exists": _exists,
    "regex": _regex,
}


HIERARCHY_OPERATORS: tuple[str, ...] = (*_HIERARCHY, "is-not-a")
PROPERTY_OPERATORS: tuple[str, ...] = tuple(_TESTS)
"""The operators of a filter: by place in the hierarchy, and by the values of a property."""


@lru_cache(maxsize=256)
def _pattern(text: str) -> SchemaValidator:
    """The whole value must match. pydantic's engine takes linear time, whatever the pattern; the
    one of Python could be made to run for years."""
    try:
        if len(text) > MAX_PATTERN:
            raise ValueError(f"longer than {MAX_PATTERN} characters")
        schema = core_schema.str_schema(pattern=f"^(?:{text})$", regex_engine="rust-regex")
        return SchemaValidator(schema)
    except (SchemaError, ValueError):
        raise error(
            Category.UNPROCESSABLE,
            f"no regular expression of at most {MAX_PATTERN} characters (without look-around)",
            expression="ValueSet.compose.include.filter.value",
            code="value",
        ) from None
