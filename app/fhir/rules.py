"""The rules of each type, compiled once, when a resource first needs them.

A rule holds what is asked of one JSON property: its primitive check, its binding, its targets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.fhir.bindings import build_binding, check_code_in, check_coding_in, check_concept_in
from app.fhir.invariants import Invariant, invariants_of
from app.fhir.lexical import Fault, Lexical, check_of
from app.fhir.references import Scope, build_targets, check_reference
from app.fhir.registry import Registry
from app.fhir.shapes import RESOURCE_TYPE, Property, Shape, build_shape
from app.fhir.unlisted_types import describe

Extra = Callable[[Mapping[str, Any], Scope], Iterator[tuple[str | None, Fault]]]
"""Asked of a complex element: (its child or None for itself, what is wrong)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is asked of one property. `lexical` is None where the value is an object. `accepted`:
    values that were found right, as the text that is stored; None where they are not remembered.
    """

    property: Property
    type: str
    repeats: bool
    choice: str | None
    lexical: Lexical | None
    extra: Extra | None
    accepted: set[bytes] | None = field(default=None, compare=False, repr=False)


REMEMBERED = frozenset({"CodeableConcept", "Coding", "Extension", "Meta"})
"""Types whose values are the same in many resources."""


@dataclass(frozen=True, slots=True)
class TypeRules:
    """What is asked of a type or a part of one."""

    shape: Shape
    rules: Mapping[str, Rule]
    required: frozenset[str]
    invariants: tuple[Invariant, ...]


class RuleBook:
    """The rules by type or path, compiled on demand. KeyError for a type that R4 does not have."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._elements = dict(registry.elements)
        self._compiled: dict[str, TypeRules] = {}

    def rules(self, path: str) -> TypeRules:
        found = self._compiled.get(path)
        return found if found is not None else self._compile(path)

    def is_resource_type(self, name: Any) -> bool:
        """Whether R4 has the resource type and its structure is known here."""
        if not isinstance(name, str) or name not in self._registry.known_types:
            return False
        try:
            return self.rules(name).shape.is_resource
        except KeyError:
            return False

    def _compile(self, path: str) -> TypeRules:
        if path not in self._elements:
            self._elements.update(describe(path))
        shape = build_shape(path, self._elements[path])
        compiled = TypeRules(
            shape,
            {name: self._compile_rule(each) for name, each in shape.properties.items()},
            shape.required,
            invariants_of(path),
        )
        self._compiled[path] = compiled
        return compiled

    def _compile_rule(self, each: Property) -> Rule:
        return Rule(
            property=each,
            type=each.type,
            repeats=each.repeats,
            choice=each.path if each.is_choice else None,
            lexical=self._compile_lexical(each) if each.is_primitive else None,
            extra=None if each.is_primitive else self._compile_extra(each),
            accepted=set() if each.type in REMEMBERED else None,
        )

    def _compile_lexical(self, each: Property) -> Lexical:
        if each.type == RESOURCE_TYPE:
            return _accept
        codes = self._registry.required_codes(each.path)
        if codes is not None:
            return check_code_in(build_binding(codes))
        return check_of(each.path, each.type)

    def _compile_extra(self, each: Property) -> Extra | None:
        if each.type == "Reference":
            allowed = self._registry.reference_targets(each.path)
            targets = build_targets(allowed, self._registry.known_types)
            return lambda reference, scope: check_reference(targets, reference, scope)
        if each.type == "Extension" and each.path != "Extension.extension":
            return lambda extension, _scope: _check_absolute(extension)
        codes = self._registry.required_codes(each.path)
        check = _BOUND_TYPES.get(each.type)
        if codes is None or check is None:
            return None
        binding = build_binding(codes)
        return lambda node, scope: _on_itself(check(binding, node))


_BOUND_TYPES = {"Coding": check_coding_in, "CodeableConcept": check_concept_in}


def _check_absolute(extension: Mapping[str, Any]) -> Iterator[tuple[str, Fault]]:
    """https://hl7.org/fhir/R4/extensibility.html#Extension"""
    url = extension.get("url")
    if isinstance(url, str) and not _ABSOLUTE.match(url):
        yield "url", _RELATIVE


_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|$")
_RELATIVE = Fault("value", "Only inside another extension may the URL of one be relative")


def _on_itself(fault: Fault | None) -> Iterator[tuple[None, Fault]]:
    if fault is not None:
        yield None, fault


def _accept(value: Any) -> None:
    """`resourceType` has been looked at before the rules were found by it."""
