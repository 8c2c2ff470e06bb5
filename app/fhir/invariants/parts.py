"""Invariants that the standard puts on inner parts of resources, where lists of rules by type leave
them out. https://hl7.org/fhir/R4/valueset.html#invs · medicationadministration.html#invs …
"""

from __future__ import annotations

from app.fhir.invariants.questions import Invariant, Node, apart, has, has_choice, needs, nodes

_UNCERTAIN = ("narrower", "inexact")
_POINTING = ("Reference", "canonical")
_GROUPED = "A `groupingId` must be that of a grouping of the guide"


def _is_only_for(name: str, node: Node, kinds: tuple[str, ...]) -> bool:
    return not has(node, name) or node.get("type") in kinds


def _groupings_are_known(node: Node) -> bool:
    known = {each.get("id") for each in nodes(node, "grouping")}
    return all(each.get("groupingId", None) in {*known, None} for each in nodes(node, "resource"))


def _one_way(node: Node) -> bool:
    return has(node, "path") != has(node, "searchParam")


PARTS: tuple[Invariant, ...] = (
    Invariant(
        "mad-1",
        ("MedicationAdministration.dosage",),
        "A dosage needs `dose` or `rate[x]`",
        lambda node: has(node, "dose") or has_choice(node, "rate"),
    ),
    Invariant(
        "sev-1",
        ("AuditEvent.entity",),
        "`name` and `query` exclude each other",
        apart("name", "query"),
    ),
    Invariant(
        "cpl-3",
        ("CarePlan.activity",),
        "`detail` and `reference` exclude each other",
        apart("detail", "reference"),
    ),
    Invariant(
        "qrs-1",
        ("QuestionnaireResponse.item",),
        "Items stand below `item` or below `answer`, not below both",
        apart("answer", "item"),
    ),
    Invariant(
        "cmd-1",
        ("ConceptMap.group.element.target",),
        "A target that is narrower or inexact needs a `comment`",
        lambda node: node.get("equivalence") not in _UNCERTAIN or has(node, "comment"),
    ),
    Invariant(
        "cmd-2",
        ("ConceptMap.group.unmapped",),
        "With the mode `fixed` a `code` is needed",
        lambda node: node.get("mode") != "fixed" or has(node, "code"),
    ),
    Invariant(
        "cmd-3",
        ("ConceptMap.group.unmapped",),
        "With the mode `other-map` a `url` is needed",
        lambda node: node.get("mode") != "other-map" or has(node, "url"),
    ),
    Invariant(
        "vsd-1",
        ("ValueSet.compose.include",),
        "An include needs `system` or `valueSet`",
        lambda node: has(node, "system", "valueSet"),
    ),
    Invariant(
        "vsd-2",
        ("ValueSet.compose.include",),
        "An include with concepts or filters needs a `system`",
        lambda node: needs("concept", "system")(node) and needs("filter", "system")(node),
    ),
    Invariant(
        "vsd-3",
        ("ValueSet.compose.include",),
        "`concept` and `filter` exclude each other",
        apart("concept", "filter"),
    ),
    Invariant(
        "vsd-6",
        ("ValueSet.expansion.contains",),
        "A concept of an expansion needs `code` or `display`",
        lambda node: has(node, "code", "display"),
    ),
    Invariant(
        "vsd-9",
        ("ValueSet.expansion.contains",),
        "A concept of an expansion that is not abstract needs a `code`",
        lambda node: has(node, "code") or node.get("abstract") is True,
    ),
    Invariant(
        "vsd-10",
        ("ValueSet.expansion.contains",),
        "A `code` needs a `system`",
        needs("code", "system"),
    ),
    Invariant(
        "opd-1",
        ("OperationDefinition.parameter",),
        "A parameter needs `type` or `part`",
        lambda node: has(node, "type", "part"),
    ),
    Invariant(
        "opd-2",
        ("OperationDefinition.parameter",),
        "`searchType` is only for parameters of type string",
        lambda node: _is_only_for("searchType", node, ("string",)),
    ),
    Invariant(
        "opd-3",
        ("OperationDefinition.parameter",),
        "`targetProfile` is only for parameters of type Reference or canonical",
        lambda node: _is_only_for("targetProfile", node, _POINTING),
    ),
    Invariant(
        "drq-1",
        ("DataRequirement.codeFilter",),
        "One of `path` and `searchParam` is needed",
        _one_way,
    ),
    Invariant(
        "drq-2",
        ("DataRequirement.dateFilter",),
        "One of `path` and `searchParam` is needed",
        _one_way,
    ),
    Invariant(
        "sdf-2",
        ("StructureDefinition.mapping",),
        "A mapping needs `name` or `uri`",
        lambda node: has(node, "name", "uri"),
    ),
    Invariant("ig-1", ("ImplementationGuide.definition",), _GROUPED, _groupings_are_known),
)
