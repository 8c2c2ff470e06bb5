"""Required bindings: codes that must come from a value set.

Value sets that cannot be listed (MIME types, languages, currencies, all of UCUM) are not in the
spec data: of the first three the form is checked (`lexical.check_of`).
https://hl7.org/fhir/R4/terminologies.html#required
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.fhir.lexical import EMPTY, Fault, Lexical, wrong_kind
from app.fhir.registry import CodeSet

_SHOWN = 24
"""A longer value set is told by its URL only."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A value set that an element must take its codes from, and the fault when it does not."""

    codes: frozenset[str]
    codings: frozenset[tuple[str, str]]
    fault: Fault


def build_binding(values: CodeSet) -> Binding:
    allowed = sorted(values.systems)
    shown = f": {' | '.join(allowed)}" if len(allowed) <= _SHOWN else ""
    sentence = f"The code must be one of the value set {values.url}{shown}"
    return Binding(frozenset(allowed), values.codings, Fault("code-invalid", sentence))


def check_code_in(binding: Binding) -> Lexical:
    """The check of a primitive that is bound to a value set."""
    codes, fault = binding.codes, binding.fault

    def check(value: Any) -> Fault | None:
        if type(value) is not str:
            return wrong_kind("a string", value)
        if value in codes:
            return None
        return fault if value else EMPTY

    return check


def check_coding_in(binding: Binding, coding: Mapping[str, Any]) -> Fault | None:
    """A Coding bound to a value set."""
    return None if _is_in(binding, coding) or _is_only_extended(coding) else binding.fault


def check_concept_in(binding: Binding, concept: Mapping[str, Any]) -> Fault | None:
    """A CodeableConcept bound to a value set: one of its codings must be of the set; text alone
    is not enough, an extension alone (data absent) is."""
    codings = concept.get("coding")
    if not isinstance(codings, list):
        return None if _is_only_extended(concept) else binding.fault
    return None if any(_is_in(binding, coding) for coding in codings) else binding.fault


def _is_in(binding: Binding, coding: Any) -> bool:
    if not isinstance(coding, dict):
        return False
    system, code = coding.get("system"), coding.get("code")
    return isinstance(system, str) and isinstance(code, str) and (system, code) in binding.codings


def _is_only_extended(element: Mapping[str, Any]) -> bool:
    return "extension" in element and element.keys() <= {"id", "extension"}
