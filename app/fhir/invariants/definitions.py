"""Invariants of questionnaires, measures and conformance resources."""

from __future__ import annotations

from collections.abc import Callable

from app.fhir.invariants.questions import (
    Invariant,
    Node,
    apart,
    descendants,
    distinct,
    has,
    needs,
    nodes,
)

_OPTIONS = frozenset(
    {
        "choice",
        "date",
        "dateTime",
        "decimal",
        "integer",
        "open-choice",
        "quantity",
        "string",
        "time",
    }
)
_WITH_LENGTH = frozenset({"boolean", "decimal", "integer", "open-choice", "string", "text", "url"})


def _item(*types: str) -> Callable[[Node], bool]:
    return lambda node: node.get("type") in types


def _group_has_items(node: Node) -> bool:
    if node.get("type") == "group":
        return has(node, "item")
    return node.get("type") != "display" or not has(node, "item")


def _exists_is_answered_by_boolean(node: Node) -> bool:
    return node.get("operator") != "exists" or "answerBoolean" in node


def _stratifiers_are_simple_or_composed(node: Node) -> bool:
    return all(
        has(stratifier, "code", "description", "criteria") != has(stratifier, "component")
        for stratifier in nodes(node, "group", "stratifier")
    )


def _strata_are_simple_or_composed(node: Node) -> bool:
    return all(
        has(stratum, "value") != has(stratum, "component")
        for stratum in nodes(node, "group", "stratifier", "stratum")
    )


DEFINITIONS: tuple[Invariant, ...] = (
    Invariant(
        "que-1",
        ("Questionnaire.item",),
        "A group has items, a display has none",
        _group_has_items,
    ),
    Invariant(
        "que-2",
        ("Questionnaire",),
        "Every linkId stands only once in a questionnaire",
        lambda node: distinct(item.get("linkId") for item in descendants(node, "item")),
    ),
    Invariant(
        "que-3",
        ("Questionnaire.item",),
        "A display has no `code`",
        lambda node: not (_item("display")(node) and has(node, "code")),
    ),
    Invariant(
        "que-4",
        ("Questionnaire.item",),
        "`answerOption` and `answerValueSet` exclude each other",
        apart("answerOption", "answerValueSet"),
    ),
    Invariant(
        "que-5",
        ("Questionnaire.item",),
        f"Answer options are for items of type {', '.join(sorted(_OPTIONS))}",
        lambda node: (
            node.get("type") in _OPTIONS or not has(node, "answerOption", "answerValueSet")
        ),
    ),
    Invariant(
        "que-6",
        ("Questionnaire.item",),
        "A display has no `required` and no `repeats`",
        lambda node: not (_item("display")(node) and has(node, "required", "repeats")),
    ),
    Invariant(
        "que-7",
        ("Questionnaire.item.enableWhen",),
        "The operator `exists` needs `answerBoolean`",
        _exists_is_answered_by_boolean,
    ),
    Invariant(
        "que-8",
        ("Questionnaire.item",),
        "A group or display has no `initial`",
        lambda node: not (_item("group", "display")(node) and has(node, "initial")),
    ),
    Invariant(
        "que-9",
        ("Questionnaire.item",),
        "A display has no `readOnly`",
        lambda node: not (_item("display")(node) and has(node, "readOnly")),
    ),
    Invariant(
        "que-10",
        ("Questionnaire.item",),
        f"`maxLength` is for items of type {', '.join(sorted(_WITH_LENGTH))}",
        lambda node: node.get("type") in _WITH_LENGTH or not has(node, "maxLength"),
    ),
    Invariant(
        "que-11",
        ("Questionnaire.item",),
        "`answerOption` and `initial` exclude each other",
        apart("answerOption", "initial"),
    ),
    Invariant(
        "que-12",
        ("Questionnaire.item",),
        "More than two `enableWhen` need `enableBehavior`",
        lambda node: len(node.get("enableWhen", ())) <= 2 or has(node, "enableBehavior"),
    ),
    Invariant(
        "que-13",
        ("Questionnaire.item",),
        "More than one `initial` only where `repeats` is true",
        lambda node: node.get("repeats") is True or len(node.get("initial", ())) <= 1,
    ),
    Invariant(
        "mea-1",
        ("Measure",),
        "A stratifier has either `code`, `description` or `criteria`, or components",
        _stratifiers_are_simple_or_composed,
    ),
    Invariant(
        "mrp-1",
        ("MeasureReport",),
        "A report of type `data-collection` has no groups",
        lambda node: node.get("type") != "data-collection" or not has(node, "group"),
    ),
    Invariant(
        "mrp-2",
        ("MeasureReport",),
        "A stratum has either a value or components",
        _strata_are_simple_or_composed,
    ),
    Invariant(
        "csd-1",
        ("CodeSystem",),
        "Every code stands only once in a code system",
        lambda node: distinct(concept.get("code") for concept in descendants(node, "concept")),
    ),
    Invariant(
        "nsd-1",
        ("NamingSystem",),
        "A naming system of kind `root` has no uuids",
        lambda node: (
            node.get("kind") != "root"
            or all(each.get("type") != "uuid" for each in nodes(node, "uniqueId"))
        ),
    ),
    Invariant(
        "nsd-2",
        ("NamingSystem",),
        "Of each type of id only one is preferred",
        lambda node: distinct(
            each.get("type") for each in nodes(node, "uniqueId") if each.get("preferred") is True
        ),
    ),
    Invariant(
        "spd-1",
        ("SearchParameter",),
        "`xpath` needs `xpathUsage`",
        needs("xpath", "xpathUsage"),
    ),
    Invariant(
        "spd-2",
        ("SearchParameter",),
        "`chain` is for parameters of type reference",
        lambda node: node.get("type") == "reference" or not has(node, "chain"),
    ),
    Invariant(
        "sdf-4",
        ("StructureDefinition",),
        "A structure that is not abstract needs `baseDefinition`",
        lambda node: node.get("abstract") is True or has(node, "baseDefinition"),
    ),
    Invariant(
        "sdf-6",
        ("StructureDefinition",),
        "A structure needs `snapshot` or `differential`",
        lambda node: has(node, "snapshot", "differential"),
    ),
)
