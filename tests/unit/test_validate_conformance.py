"""Invariants of structure definitions, each broken and kept.
https://hl7.org/fhir/R4/structuredefinition.html#invs
"""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir.invariants import NEVER_BROKEN, check_conformance, covered_keys
from app.fhir.invariants.conformance import CONFORMANCE
from app.fhir.invariants.element_parts import ELEMENT_PARTS, STRUCTURE_PARTS
from tests.fhir_support import facts

ROOT = {"id": "Patient", "path": "Patient"}
NAME = {"id": "Patient.name", "path": "Patient.name"}


def snapshot(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"snapshot": {"element": list(elements)}}


def differential(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"differential": {"element": list(elements)}}


def element(**asked: Any) -> dict[str, Any]:
    return differential(ROOT, NAME | asked)


A_RULE = {"key": "a"}
CODE = [{"code": "code"}]
TWO = [{"code": "code"}, {"code": "string"}]
STANDARD = {"url": "http://hl7.org/fhir/StructureDefinition/x", "derivation": "specialization"}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("eld-2", element(min=2, max="1"), element(min=2, max="*")),
    ("eld-5", element(contentReference="#x", type=CODE), element(contentReference="#x")),
    ("eld-6", element(fixedCode="x", type=TWO), element(fixedCode="x", type=CODE)),
    ("eld-7", element(patternCode="x", type=TWO), element(patternCode="x", type=CODE)),
    ("eld-8", element(patternCode="x", fixedCode="x"), element(patternCode="x")),
    ("eld-13", element(type=[*CODE, *CODE]), element(type=TWO)),
    (
        "eld-14",
        element(constraint=[{"key": "a"}, {"key": "a"}]),
        element(constraint=[{"key": "a"}]),
    ),
    (
        "eld-15",
        element(defaultValueCode="x", meaningWhenMissing="x") | STANDARD | {"url": "http://x"},
        element(meaningWhenMissing="x"),
    ),
    ("eld-16", element(sliceName="a b"), element(sliceName="a/b")),
    ("eld-18", element(isModifier=True), element(isModifier=True, isModifierReason="x")),
    ("eld-19", element(path="Patient.na me"), element(path="Patient.name[x]")),
    ("eld-22", element(sliceIsConstraining=True), element(sliceIsConstraining=True, sliceName="a")),
    ("sdf-1", snapshot(ROOT, NAME, NAME | {"id": "x"}), snapshot(ROOT, NAME)),
    ("sdf-5", {"type": "Extension"}, {"type": "Extension", "context": [{}]}),
    ("sdf-9", differential(ROOT | {"label": "x"}), element(label="x")),
    ("sdf-11", snapshot({"id": "x", "path": "Group"}), snapshot(ROOT)),
    ("sdf-14", differential({"path": "Patient"}), differential(ROOT)),
    ("sdf-15", snapshot(ROOT | {"type": CODE}), snapshot(ROOT, NAME | {"type": CODE})),
    ("sdf-15a", differential(ROOT | {"type": CODE}), differential(NAME | {"type": CODE})),
    ("sdf-16", {"derivation": "constraint"} | snapshot(ROOT, NAME, NAME), snapshot(ROOT, NAME)),
    ("sdf-17", differential(ROOT, NAME, NAME), differential(ROOT, NAME)),
    ("sdf-18", {"contextInvariant": ["x"]}, {"type": "Extension", "contextInvariant": ["x"]}),
    ("sdf-21", element(defaultValueCode="x"), element(fixedCode="x")),
    ("sdf-22", element(defaultValueCode="x") | STANDARD, element(fixedCode="x") | STANDARD),
    ("sdf-23", differential(ROOT | {"sliceName": "x"}), element(sliceName="x")),
    (
        "ig-2",
        {"fhirVersion": ["4.0.1"], "definition": {"resource": [{"fhirVersion": ["4.0.0"]}]}},
        {"fhirVersion": ["4.0.1"], "definition": {"resource": [{"fhirVersion": ["4.0.1"]}]}},
    ),
]


def broken_keys(key: str, content: dict[str, Any]) -> set[str]:
    is_guide = key == "ig-2"
    given = {
        "resourceType": "ImplementationGuide" if is_guide else "StructureDefinition",
        "kind": "resource",
        "type": "Patient",
        **content,
    }
    found = check_conformance(given)
    return {issue.diagnostics.rpartition("(")[2].rstrip(")") for issue in found}


@pytest.mark.parametrize(("key", "broken", "kept"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_tells_what_breaks_it_from_what_keeps_it(
    key: str, broken: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert key in broken_keys(key, broken)
    assert key not in broken_keys(key, kept)


def test_every_rule_has_a_case() -> None:
    of_parts = {invariant.key for invariant in (*ELEMENT_PARTS, *STRUCTURE_PARTS)}
    assert {case[0] for case in CASES} | of_parts == {each.key for each in CONFORMANCE}


def test_what_is_left_to_fhirpath_is_known() -> None:
    registry, _ = facts()
    owners = [*registry.types, *registry.elements]
    errors = {
        invariant.key
        for owner in owners
        for invariant in registry.invariants(owner)
        if invariant.severity == "error"
    }
    assert errors - covered_keys() == {"sdf-19"}
    assert errors >= NEVER_BROKEN
