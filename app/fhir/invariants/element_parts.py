"""Invariants on inner parts of structure definitions: slicing, types and bindings of an element,
and views as wholes. https://hl7.org/fhir/R4/elementdefinition.html#invs
"""

from __future__ import annotations

from app.fhir.invariants.questions import Invariant, Node, has, nodes

_POINTING = ("Reference", "canonical")
_ADDRESSES = ("http:", "https", "urn:")
_ELEMENT = ("ElementDefinition",)
_STRUCTURE = ("StructureDefinition",)


def _types_that_have(node: Node, name: str) -> list[Node]:
    return [each for each in nodes(node, "type") if has(each, name)]


def _max_is_a_number(node: Node) -> bool:
    most = node.get("max")
    return not isinstance(most, str) or most == "*" or (most.isascii() and most.isdigit())


def _is_at_address(binding: Node) -> bool:
    url = binding.get("valueSet")
    return not isinstance(url, str) or url.startswith(_ADDRESSES)


def _paths(node: Node, view: str) -> list[str]:
    return [str(each.get("path", "")) for each in nodes(node, view, "element")]


def _snapshot_is_below_its_type(node: Node) -> bool:
    first, *others = _paths(node, "snapshot") or [""]
    begins = node.get("kind") == "logical" or not first or first == node.get("type")
    return begins and all(path.startswith(f"{first}.") for path in others)


def _differential_is_below_its_type(node: Node) -> bool:
    first, *others = _paths(node, "differential") or [""]
    begins = node.get("kind") == "logical" or first.startswith(str(node.get("type"))) or not first
    root = first.partition(".")[0]
    return begins and all(path.startswith(f"{root}.") for path in others)


ELEMENT_PARTS: tuple[Invariant, ...] = (
    Invariant(
        "eld-1",
        _ELEMENT,
        "Slicing without a discriminator needs a description",
        lambda node: all(has(e, "discriminator", "description") for e in nodes(node, "slicing")),
    ),
    Invariant("eld-3", _ELEMENT, "`max` must be a number or `*`", _max_is_a_number),
    Invariant(
        "eld-4",
        _ELEMENT,
        "`aggregation` is only for the types Reference and canonical",
        lambda node: all(e.get("code") in _POINTING for e in _types_that_have(node, "aggregation")),
    ),
    Invariant(
        "eld-12",
        _ELEMENT,
        "The `valueSet` of a binding starts with http:, https or urn:",
        lambda node: all(map(_is_at_address, nodes(node, "binding"))),
    ),
    Invariant(
        "eld-17",
        _ELEMENT,
        "`targetProfile` is only for the types Reference and canonical",
        lambda node: all(
            e.get("code") in _POINTING for e in _types_that_have(node, "targetProfile")
        ),
    ),
)

STRUCTURE_PARTS: tuple[Invariant, ...] = (
    Invariant(
        "sdf-3",
        _STRUCTURE,
        "In the snapshot every element has `definition`, `min` and `max`",
        lambda node: all(
            has(each, "definition") and has(each, "min") and has(each, "max")
            for each in nodes(node, "snapshot", "element")
        ),
    ),
    Invariant(
        "sdf-8",
        _STRUCTURE,
        "The snapshot's elements are those of the type",
        _snapshot_is_below_its_type,
    ),
    Invariant(
        "sdf-8a",
        _STRUCTURE,
        "The differential's elements are those of the type",
        _differential_is_below_its_type,
    ),
    Invariant(
        "sdf-8b",
        _STRUCTURE,
        "In the snapshot every element has `base`",
        lambda node: all(has(each, "base") for each in nodes(node, "snapshot", "element")),
    ),
    Invariant(
        "sdf-10",
        _STRUCTURE,
        "In the snapshot a binding needs `valueSet` or `description`",
        lambda node: all(
            has(each, "valueSet", "description")
            for each in nodes(node, "snapshot", "element", "binding")
        ),
    ),
    Invariant(
        "sdf-20",
        _STRUCTURE,
        "The differential's root is not sliced",
        lambda node: (
            not any(
                has(each, "slicing")
                for each in nodes(node, "differential", "element")
                if "." not in str(each.get("path", ""))
            )
        ),
    ),
)
