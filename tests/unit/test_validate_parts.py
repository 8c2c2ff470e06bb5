"""Invariants on inner parts of resources, each broken and kept.
https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import SsciError
from app.fhir.invariants import check_conformance
from app.fhir.invariants.element_parts import ELEMENT_PARTS, STRUCTURE_PARTS
from app.fhir.invariants.parts import PARTS
from app.fhir.registry import load_registry
from tests.fhir_support import open_validator

Node = dict[str, Any]

# key, elements that break it, elements that keep it
CASES: list[tuple[str, list[Node], list[Node]]] = [
    ("mad-1", [{}, {"text": "x"}], [{"dose": {"value": 1}}, {"rateRatio": {}}]),
    ("sev-1", [{"name": "x", "query": "eA=="}], [{"name": "x"}, {"query": "eA=="}, {}]),
    ("cpl-3", [{"detail": {}, "reference": {}}], [{"detail": {}}, {"reference": {}}]),
    ("qrs-1", [{"answer": [{}], "item": [{}]}], [{"answer": [{}]}, {"item": [{}]}, {}]),
    ("cmd-1", [{"equivalence": "inexact"}, {"equivalence": "narrower"}],
     [{"equivalence": "narrower", "comment": "x"}, {"equivalence": "equal"}, {}]),
    ("cmd-2", [{"mode": "fixed"}], [{"mode": "fixed", "code": "x"}, {"mode": "provided"}]),
    ("cmd-3", [{"mode": "other-map"}], [{"mode": "other-map", "url": "x:y"}, {"mode": "fixed"}]),
    ("vsd-1", [{}, {"version": "1"}], [{"system": "x:y"}, {"valueSet": ["x:y"]}]),
    ("vsd-2", [{"concept": [{}]}, {"filter": [{}], "valueSet": ["x:y"]}],
     [{"concept": [{}], "system": "x:y"}, {"valueSet": ["x:y"]}]),
    ("vsd-3", [{"concept": [{}], "filter": [{}]}], [{"concept": [{}]}, {"filter": [{}]}]),
    ("vsd-6", [{"system": "x:y"}], [{"code": "x"}, {"display": "x"}]),
    ("vsd-9", [{"display": "x"}, {"abstract": False}], [{"code": "x"}, {"abstract": True}]),
    ("vsd-10", [{"code": "x"}], [{"code": "x", "system": "x:y"}, {"display": "x"}]),
    ("opd-1", [{"name": "x"}], [{"type": "string"}, {"part": [{}]}]),
    ("opd-2", [{"type": "code", "searchType": "token"}],
     [{"type": "string", "searchType": "token"}, {"type": "code"}]),
    ("opd-3", [{"type": "string", "targetProfile": ["x:y"]}],
     [{"type": "canonical", "targetProfile": ["x:y"]}, {"type": "string"}]),
    ("drq-1", [{}, {"path": "x", "searchParam": "x"}], [{"path": "x"}, {"searchParam": "x"}]),
    ("drq-2", [{}, {"path": "x", "searchParam": "x"}], [{"path": "x"}, {"searchParam": "x"}]),
    ("sdf-2", [{"identity": "x"}], [{"name": "x"}, {"uri": "x:y"}]),
    ("ig-1", [{"resource": [{"groupingId": "a"}]},
              {"resource": [{"groupingId": "a"}], "grouping": [{"id": "b"}]}],
     [{"resource": [{"groupingId": "a"}], "grouping": [{"id": "a"}]}, {"resource": [{}]}]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "broken", "kept"), CASES, ids=[case[0] for case in CASES])
def test_an_invariant_of_a_part_tells_what_breaks_it_from_what_keeps_it(
    key: str, broken: list[Node], kept: list[Node]
) -> None:
    (holds,) = (each.holds for each in PARTS if each.key == key)
    assert not any(holds(each) for each in broken)
    assert all(holds(each) for each in kept)


def test_every_invariant_of_a_part_has_a_case() -> None:
    assert [case[0] for case in CASES] == [each.key for each in PARTS]


def test_every_part_is_one_of_the_standard() -> None:
    elements = load_registry().elements
    assert all(path in elements for each in PARTS for path in each.paths)


ROOT = {"id": "Patient", "path": "Patient"}
WHOLE = {"definition": "x", "min": 0, "max": "1", "base": {}}
NAME = {"id": "Patient.name", "path": "Patient.name"}


def element(**asked: Any) -> Node:
    return {"differential": {"element": [ROOT, NAME | asked]}}


def snapshot(*elements: Node) -> Node:
    return {"snapshot": {"element": list(elements)}}


OF_ELEMENTS: list[tuple[str, Node, Node]] = [
    ("eld-1", element(slicing={"rules": "open"}), element(slicing={"description": "x"})),
    ("eld-3", element(max="many"), element(max="*")),
    ("eld-4", element(type=[{"code": "code", "aggregation": ["contained"]}]),
     element(type=[{"code": "Reference", "aggregation": ["contained"]}])),
    ("eld-12", element(binding={"valueSet": "ValueSet/x"}),
     element(binding={"valueSet": "urn:oid:1.2"})),
    ("eld-17", element(type=[{"code": "code", "targetProfile": ["x:y"]}]),
     element(type=[{"code": "canonical", "targetProfile": ["x:y"]}])),
    ("sdf-3", snapshot(ROOT | {"min": 0, "max": "1"}), snapshot(ROOT | WHOLE)),
    ("sdf-8", snapshot(ROOT, {"path": "Group.name"}), snapshot(ROOT, NAME)),
    ("sdf-8a", {"differential": {"element": [ROOT, {"path": "Group.name"}]}}, element()),
    ("sdf-8b", snapshot(ROOT), snapshot(ROOT | WHOLE)),
    ("sdf-10", snapshot(ROOT, NAME | {"binding": {"strength": "required"}}),
     snapshot(ROOT, NAME | {"binding": {"description": "x"}})),
    ("sdf-20", {"differential": {"element": [ROOT | {"slicing": {"description": "x"}}]}},
     element(slicing={"description": "x"})),
]  # fmt: skip


def broken_keys(content: Node) -> set[str]:
    given = {"resourceType": "StructureDefinition", "kind": "resource", "type": "Patient"}
    found = check_conformance(given | content)
    return {issue.diagnostics.rpartition("(")[2].rstrip(")") for issue in found}


@pytest.mark.parametrize(("key", "broken", "kept"), OF_ELEMENTS, ids=[c[0] for c in OF_ELEMENTS])
def test_a_rule_of_an_element_tells_what_breaks_it_from_what_keeps_it(
    key: str, broken: Node, kept: Node
) -> None:
    assert key in broken_keys(broken)
    assert key not in broken_keys(kept)


def test_every_rule_of_an_element_has_a_case() -> None:
    rules = (*ELEMENT_PARTS, *STRUCTURE_PARTS)
    assert [case[0] for case in OF_ELEMENTS] == [each.key for each in rules]


def test_a_nested_part_is_asked_too() -> None:
    inner = {"name": "b", "use": "in", "min": 0, "max": "1"}
    outer = inner | {"name": "a", "part": [inner]}
    definition = {
        "resourceType": "OperationDefinition",
        "name": "X",
        "status": "draft",
        "kind": "query",
        "code": "x",
        "system": True,
        "type": False,
        "instance": False,
        "parameter": [outer],
    }
    with pytest.raises(SsciError, match=r"part\[0\].*opd-1") as refused:
        open_validator().validate(definition, "OperationDefinition")
    assert len(refused.value.issues) == 1
