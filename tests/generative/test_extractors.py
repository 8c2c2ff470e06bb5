"""The compiled extractors against a general FHIRPath engine, for every search parameter.
https://hl7.org/fhir/R4/search.html#expression
"""

from __future__ import annotations

import copy
import datetime
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models
from hypothesis import given, settings
from hypothesis import strategies as st

from app.fhir.expression import Extractor
from app.fhir.registry import Element, SearchParameter, load_registry

REGISTRY = load_registry()
FULL_VARIANTS = 12
ANY_TARGET = ("Patient", "Practitioner", "Group", "Location", "Medication")


# The oracle


def rewritten(expression: str, resource_type: str) -> str:
    """The expression as fhirpathpy can evaluate it with what the search specification means."""
    rewrites = [
        (r"\bResource\.", f"{resource_type}."),
        (r"resolve\(\) is (\w+)", r"type = '\1'"),  # references are told their type beforehand
        (  # a canonical is a uri; ofType() does not know that there
            r"\(([\w.]+) as uri\)",
            r"(\1.ofType(uri) | \1.ofType(canonical))",
        ),
        (r"\(([\w.]+) as (\w+)\)", r"\1.ofType(\2)"),  # `as` refuses collections there
        (r"\.as\((\w+)\)", r".ofType(\1)"),
        (r"hasExtension\(('[^']*')\)", r"extension.where(url = \1).exists()"),
        (
            r"\.extension\(('[^']*')\)$",
            r".extension.where(url = \1).value",
        ),  # extension() there stops early
    ]
    for pattern, replacement in rewrites:
        expression = re.sub(pattern, replacement, expression)
    return expression


@cache
def oracle(expression: str, resource_type: str) -> Callable[[Any], list[Any]]:
    found: Callable[[Any], list[Any]] = fhirpathpy.compile(
        rewritten(expression, resource_type), models["r4"]
    )
    return found


def identity(value: Any) -> str:
    """Generated objects have an id of their own; primitives stand for themselves."""
    return str(value["id"]) if isinstance(value, dict) and "id" in value else json.dumps(value)


def identities(values: Sequence[Any]) -> set[str]:
    return {identity(value) for value in values}


# Resources made from the elements that the expressions mention


@dataclass
class Draft:
    """A resource, the true type of each reference and the FHIR type of each object in it."""

    resource: dict[str, Any] = field(default_factory=dict)
    referred: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    contained: list[dict[str, Any]] = field(default_factory=list)

    def with_told_references(self) -> dict[str, Any]:
        told = copy.deepcopy(self.resource)
        for node in objects_of(told):
            if node.get("id") in self.referred:
                node["type"] = self.referred[node["id"]]
        return told


def objects_of(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            yield from objects_of(child)


class Everything:
    """Every element is there; choices are taken in turn, beginning at `variant`."""

    def __init__(self, variant: int) -> None:
        self._turns = itertools.count(variant)
        self._variant = variant

    def has(self) -> bool:
        return True

    def length(self) -> int:
        return 3

    def one_of(self, options: Sequence[Any], position: int) -> Any:
        return options[(self._variant + position) % len(options)]


class Chance:
    """Elements come and go as Hypothesis wants."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def has(self) -> bool:
        return self._random.random() < 0.7

    def length(self) -> int:
        return self._random.randint(0, 3)

    def one_of(self, options: Sequence[Any], position: int) -> Any:
        return options[self._random.randrange(len(options))]


class Builder:
    def __init__(self, resource_type: str, picks: Everything | Chance) -> None:
        text = " ".join(
            f"{parameter.expression} {' '.join(c.expression for c in parameter.components)}"
            for parameter in REGISTRY.parameters(resource_type).values()
        )
        self._type = resource_type
        self._names = set(re.findall(r"\w+", text)) | {"url"}
        self._urls = [*re.findall(r"extension\('([^']*)'\)", text, re.IGNORECASE), "http://other"]
        self._picks = picks
        self._numbers = itertools.count(1)
        self._draft = Draft()

    def build(self) -> Draft:
        draft = self._draft
        draft.resource = {"resourceType": self._type, **self._object(self._type, ())}
        if draft.contained:
            draft.resource["contained"] = draft.contained
        return draft

    def _object(self, kind: str, outer: tuple[str, ...]) -> dict[str, Any]:
        made: dict[str, Any] = {"id": f"{kind}-{next(self._numbers)}"}
        self._draft.types[made["id"]] = kind
        for element in REGISTRY.elements[kind].values():
            if element.name == "id" or not self._wanted(element.name, kind, outer):
                continue
            values = []
            for position in range(self._count(element)):
                target = self._picks.one_of(element.types, position)
                path = f"{kind}.{element.path_name}"
                values.append((target, self._value(target, path, (*outer, kind), position)))
            if values:
                key = element.key(values[0][0])
                made[key] = [value for _, value in values] if element.many else values[0][1]
        return made

    def _count(self, element: Element) -> int:
        count = self._picks.length() if element.many else int(self._picks.has())
        return max(count, int(element.required))

    def _wanted(self, name: str, kind: str, outer: tuple[str, ...]) -> bool:
        if kind == "Extension":
            return name in ("url", "value")
        if name == "extension":
            return len(outer) <= 1
        return name in self._names and outer.count(kind) < 2 and name != "contained"

    def _value(self, kind: str, path: str, outer: tuple[str, ...], position: int) -> Any:
        if kind == "Reference":
            return self._reference(path, position)
        if kind[0].isupper():
            return self._object(kind, outer)
        if path == "Extension.url":
            return self._picks.one_of(self._urls, position + len(outer))
        bound = REGISTRY.required_codes(path)
        if bound is not None and kind == "code":
            return self._picks.one_of(sorted(bound.systems), position)
        return self._primitive(kind)

    def _primitive(self, kind: str) -> Any:
        number = next(self._numbers)
        day = datetime.date(2001, 1, 1) + datetime.timedelta(days=number)
        if kind == "boolean":
            return self._picks.one_of((True, False), number)
        if kind in ("integer", "positiveInt", "unsignedInt", "decimal"):
            return number
        if kind == "date":
            return day.isoformat()
        if kind in ("dateTime", "instant"):
            return f"{day.isoformat()}T00:00:00Z"
        return f"12:00:{number % 60:02}" if kind == "time" else f"{kind}-{number}"

    def _reference(self, path: str, position: int) -> dict[str, Any]:
        number = next(self._numbers)
        target = self._picks.one_of(REGISTRY.reference_targets(path) or ANY_TARGET, position)
        forms: list[dict[str, Any]] = [
            {"reference": f"{target}/r{number}"},
            {"reference": f"https://other.example/fhir/{target}/r{number}"},
            {"reference": f"{target}/r{number}/_history/2"},
            {"type": target, "identifier": {"value": f"r{number}"}},
            {"reference": f"#c{number}"},
            {"reference": "urn:uuid:9b2d4a6e-58a7-4f3c-8d1b-0123456789ab", "type": target},
        ]
        made = {"id": f"Reference-{number}", **self._picks.one_of(forms, number)}
        if str(made.get("reference")).startswith("#"):
            self._draft.contained.append({"resourceType": target, "id": f"c{number}"})
        self._draft.referred[made["id"]] = target
        self._draft.types[made["id"]] = "Reference"
        return made


def full_drafts(resource_type: str) -> list[Draft]:
    return [Builder(resource_type, Everything(k)).build() for k in range(FULL_VARIANTS)]


# What is compared


def assert_same(draft: Draft, resource_type: str) -> set[str]:
    """The codes for which the oracle, and hence the extractor, found something."""
    found = EXTRACTORS[resource_type].extract(draft.resource)
    told = draft.with_told_references()
    codes = set()
    for code, parameter in REGISTRY.parameters(resource_type).items():
        if parameter.type == "composite":
            continue
        values = oracle(parameter.expression, resource_type)(told)
        assert identities([v.value for v in found.get(code, [])]) == identities(values), code
        assert parameter.many or len(identities(values)) <= 1, code
        codes |= {code} if values else set()
    assert_types(found, draft, resource_type)
    return codes


def assert_types(found: Any, draft: Draft, resource_type: str) -> None:
    for code, values in found.items():
        for kind, value in values:
            assert kind in REGISTRY.parameters(resource_type)[code].values, code
            if isinstance(value, dict):
                assert kind == draft.types[value["id"]], code
            elif isinstance(value, str) and value.startswith(("uri-", "canonical-", "string-")):
                assert value.startswith(f"{kind}-"), code


def expected_rows(parameter: SearchParameter, told: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows = []
    for path in parameter.paths:
        for node in oracle_nodes(parameter, path.type, told):
            row = tuple(
                frozenset(identities(oracle(c.expression, path.type)(typed(node, path.type))))
                for c in parameter.components
            )
            rows += [row] if all(row) else []
    return rows


def oracle_nodes(parameter: SearchParameter, base: str, told: dict[str, Any]) -> list[Any]:
    """`parameter`'s base nodes of the type `base`, which is spelled as the path to them."""
    path = {"UsageContext": "useContext"}.get(base)
    expression = f"{parameter.resource_type}.{path}" if path else base
    assert expression in parameter.expression
    return list(oracle(expression, parameter.resource_type)(told))


def assert_same_composites(draft: Draft, resource_type: str) -> set[str]:
    found = EXTRACTORS[resource_type].extract_composites(draft.resource)
    told = draft.with_told_references()
    codes = set()
    for code, parameter in REGISTRY.parameters(resource_type).items():
        if parameter.type != "composite":
            assert code not in found
            continue
        rows = [
            tuple(frozenset(identities([v.value for v in part])) for part in row)
            for row in found.get(code, [])
        ]
        assert sorted(map(str, map(sorted_row, rows))) == sorted(
            map(str, map(sorted_row, expected_rows(parameter, told)))
        ), code
        codes |= {code} if rows else set()
    return codes


def typed(node: Any, kind: str) -> Any:
    return ResourceNode.create_node(node, kind)


def sorted_row(row: tuple[frozenset[str], ...]) -> list[list[str]]:
    return [sorted(part) for part in row]


EXTRACTORS = {name: Extractor(REGISTRY, name) for name in REGISTRY.types}


@pytest.mark.parametrize("resource_type", REGISTRY.types)
def test_every_parameter_finds_on_full_resources_what_the_oracle_finds(resource_type):
    plain = {
        code for code, p in REGISTRY.parameters(resource_type).items() if p.type != "composite"
    }
    found = [assert_same(draft, resource_type) for draft in full_drafts(resource_type)]
    assert set().union(*found) == plain


@pytest.mark.parametrize("resource_type", REGISTRY.types)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(random=st.randoms(use_true_random=False))
def test_the_oracle_agrees_whatever_elements_are_present(resource_type, random):
    assert_same(Builder(resource_type, Chance(random)).build(), resource_type)


WITH_COMPOSITES = [
    name
    for name in REGISTRY.types
    if any(p.type == "composite" for p in REGISTRY.parameters(name).values())
]


@pytest.mark.parametrize("resource_type", WITH_COMPOSITES)
def test_every_composite_pairs_on_full_resources_what_the_oracle_pairs(resource_type):
    composites = {
        code for code, p in REGISTRY.parameters(resource_type).items() if p.type == "composite"
    }
    found = [assert_same_composites(draft, resource_type) for draft in full_drafts(resource_type)]
    assert set().union(*found) == composites


@pytest.mark.parametrize("resource_type", WITH_COMPOSITES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(random=st.randoms(use_true_random=False))
def test_the_oracle_pairs_alike_whatever_elements_are_present(resource_type, random):
    assert_same_composites(Builder(resource_type, Chance(random)).build(), resource_type)
