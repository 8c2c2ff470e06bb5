"""Invariants of structure definitions and their elements, and of implementation guides.
https://hl7.org/fhir/R4/structuredefinition.html#invs · elementdefinition.html#invs

Asked by `$validate` only: definitions written by hand (without element ids …) are stored as they
are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from app.errors import Issue
from app.fhir.invariants.element_parts import ELEMENT_PARTS, STRUCTURE_PARTS
from app.fhir.invariants.questions import Invariant, Node, distinct, has, has_choice, nodes

_SLICE_NAME = re.compile(r"[a-zA-Z0-9/\-_\[\]@]+")
_STEP = r"[^\s.,:;'\"/|?!@#$%&*()\[\]{}]{1,64}"
_PATH = re.compile(rf"{_STEP}(\.{_STEP}(\[x\])?(:[^\s.]+)?)*")
_DESCRIBED = ("binding", "maxLength", "type")
_DESCRIBED_CHOICES = ("defaultValue", "fixed", "pattern", "minValue", "maxValue")
_STANDARD = "http://hl7.org/fhir/StructureDefinition"


# Elements


def _min_is_within_max(node: Node) -> bool:
    least, most = node.get("min"), node.get("max")
    if not isinstance(least, int) or not isinstance(most, str) or not most.isascii():
        return True
    return not most.isdigit() or least <= int(most)


def _reference_stands_alone(node: Node) -> bool:
    if not has(node, "contentReference"):
        return True
    return not has(node, *_DESCRIBED, "example") and not any(
        has_choice(node, stem) for stem in _DESCRIBED_CHOICES
    )


def _has_one_type_if(node: Node, stem: str) -> bool:
    return not has_choice(node, stem) or len(node.get("type", ())) <= 1


def _slice_name_is_plain(node: Node) -> bool:
    name = node.get("sliceName")
    return not isinstance(name, str) or _SLICE_NAME.fullmatch(name) is not None


ELEMENTS: tuple[Invariant, ...] = (
    Invariant("eld-2", ("ElementDefinition",), "`min` must not be above `max`", _min_is_within_max),
    Invariant(
        "eld-5",
        ("ElementDefinition",),
        "With `contentReference` there is no type, binding, example or constraint on the value",
        _reference_stands_alone,
    ),
    Invariant(
        "eld-6",
        ("ElementDefinition",),
        "`fixed[x]` is only for elements of one type",
        lambda node: _has_one_type_if(node, "fixed"),
    ),
    Invariant(
        "eld-7",
        ("ElementDefinition",),
        "`pattern[x]` is only for elements of one type",
        lambda node: _has_one_type_if(node, "pattern"),
    ),
    Invariant(
        "eld-8",
        ("ElementDefinition",),
        "`pattern[x]` and `fixed[x]` exclude each other",
        lambda node: not (has_choice(node, "pattern") and has_choice(node, "fixed")),
    ),
    Invariant(
        "eld-13",
        ("ElementDefinition",),
        "Each type stands only once",
        lambda node: distinct(each.get("code") for each in nodes(node, "type")),
    ),
    Invariant(
        "eld-14",
        ("ElementDefinition",),
        "Each constraint has a key of its own",
        lambda node: distinct(each.get("key") for each in nodes(node, "constraint")),
    ),
    Invariant(
        "eld-15",
        ("ElementDefinition",),
        "`defaultValue[x]` and `meaningWhenMissing` exclude each other",
        lambda node: not (has_choice(node, "defaultValue") and has(node, "meaningWhenMissing")),
    ),
    Invariant(
        "eld-16",
        ("ElementDefinition",),
        "A slice name has only letters, digits and / - _ [ ] @",
        _slice_name_is_plain,
    ),
    Invariant(
        "eld-18",
        ("ElementDefinition",),
        "An element that modifies needs `isModifierReason`",
        lambda node: node.get("isModifier") is not True or has(node, "isModifierReason"),
    ),
    Invariant(
        "eld-19",
        ("ElementDefinition",),
        "A path is names of at most 64 letters, joined by dots",
        lambda node: _PATH.fullmatch(str(node.get("path", "x"))) is not None,
    ),
    Invariant(
        "eld-22",
        ("ElementDefinition",),
        "`sliceIsConstraining` needs `sliceName`",
        lambda node: not has(node, "sliceIsConstraining") or has(node, "sliceName"),
    ),
    *ELEMENT_PARTS,
)


# Structures


def _elements(node: Node, view: str) -> list[Node]:
    return list(nodes(node, view, "element"))


def _all_elements(node: Node) -> list[Node]:
    return [*_elements(node, "snapshot"), *_elements(node, "differential")]


def _roots(node: Node) -> Iterator[Node]:
    return (each for each in _all_elements(node) if "." not in each.get("path", ""))


def _snapshot_paths_differ(node: Node) -> bool:
    is_constraint = node.get("derivation") == "constraint"
    return is_constraint or distinct(each.get("path") for each in _elements(node, "snapshot"))


def _extension_has_context(node: Node) -> bool:
    is_own = node.get("type") != "Extension" or node.get("derivation") == "specialization"
    return is_own or has(node, "context")


def _first(node: Node, view: str) -> Node:
    found = _elements(node, view)
    return found[0] if found else {}


def _snapshot_begins_with_type(node: Node) -> bool:
    first = _first(node, "snapshot")
    return node.get("kind") == "logical" or not first or first.get("path") == node.get("type")


def _root_has_no_type(node: Node, view: str) -> bool:
    first = _first(node, view)
    is_root = view == "snapshot" or "." not in first.get("path", "")
    return node.get("kind") == "logical" or not is_root or not has(first, "type")


def _ids_differ(node: Node, view: str) -> bool:
    found = _elements(node, view)
    ids: list[Any] = [each.get("id") for each in found]
    return None not in ids and distinct(iter(ids))


def _guide_versions_fit(node: Node) -> bool:
    versions = node.get("fhirVersion", ())
    stated = (each.get("fhirVersion", ()) for each in nodes(node, "definition", "resource"))
    return all(version in versions for each in stated for version in each)


_STRUCTURE = ("StructureDefinition",)

STRUCTURES: tuple[Invariant, ...] = (
    Invariant(
        "sdf-1",
        _STRUCTURE,
        "In the snapshot of a type every path stands once",
        _snapshot_paths_differ,
    ),
    Invariant(
        "sdf-5", _STRUCTURE, "An extension's definition needs `context`", _extension_has_context
    ),
    Invariant(
        "sdf-9",
        _STRUCTURE,
        "The root element has no `label`, `code` or `requirements`",
        lambda node: not any(has(each, "label", "code", "requirements") for each in _roots(node)),
    ),
    Invariant(
        "sdf-11",
        _STRUCTURE,
        "The snapshot's first path is the type",
        _snapshot_begins_with_type,
    ),
    Invariant(
        "sdf-14",
        _STRUCTURE,
        "Every element needs an `id`",
        lambda node: all(has(each, "id") for each in _all_elements(node)),
    ),
    Invariant(
        "sdf-15",
        _STRUCTURE,
        "The snapshot's first element has no type",
        lambda node: _root_has_no_type(node, "snapshot"),
    ),
    Invariant(
        "sdf-15a",
        _STRUCTURE,
        "The differential's root element has no type",
        lambda node: _root_has_no_type(node, "differential"),
    ),
    Invariant(
        "sdf-16",
        _STRUCTURE,
        "In the snapshot every element has an id of its own",
        lambda node: _ids_differ(node, "snapshot"),
    ),
    Invariant(
        "sdf-17",
        _STRUCTURE,
        "In the differential every element has an id of its own",
        lambda node: _ids_differ(node, "differential"),
    ),
    Invariant(
        "sdf-18",
        _STRUCTURE,
        "`contextInvariant` is for extensions",
        lambda node: not has(node, "contextInvariant") or node.get("type") == "Extension",
    ),
    Invariant(
        "sdf-21",
        _STRUCTURE,
        "Only a specialization gives default values",
        lambda node: (
            node.get("derivation") == "specialization"
            or not any(has_choice(e, "defaultValue") for e in _elements(node, "differential"))
        ),
    ),
    Invariant(
        "sdf-22",
        _STRUCTURE,
        "The standard's own structures give no default values",
        lambda node: (
            not str(node.get("url", "")).startswith(_STANDARD)
            or not any(has_choice(each, "defaultValue") for each in _all_elements(node))
        ),
    ),
    Invariant(
        "sdf-23",
        _STRUCTURE,
        "The root element is no slice",
        lambda node: not any(has(each, "sliceName") for each in _roots(node)),
    ),
)

CONFORMANCE: tuple[Invariant, ...] = (
    *ELEMENTS,
    *STRUCTURES,
    *STRUCTURE_PARTS,
    Invariant(
        "ig-2",
        ("ImplementationGuide",),
        "A resource's `fhirVersion` must be one of the guide's",
        _guide_versions_fit,
    ),
)


def check_conformance(resource: Node) -> Iterator[Issue]:
    """What a legal StructureDefinition or ImplementationGuide breaks of these invariants."""
    resource_type = resource["resourceType"]
    for invariant in CONFORMANCE:
        if resource_type in invariant.paths and not invariant.holds(resource):
            yield _issue(invariant, resource_type)
    if resource_type != "StructureDefinition":
        return
    for view in ("snapshot", "differential"):
        for position, element in enumerate(_elements(resource, view)):
            for invariant in ELEMENTS:
                if not invariant.holds(element):
                    yield _issue(invariant, f"{resource_type}.{view}.element[{position}]")


def _issue(invariant: Invariant, place: str) -> Issue:
    return Issue("invariant", f"{invariant.sentence} ({invariant.key})", place)
