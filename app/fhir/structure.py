"""One walk over a resource that finds everything that breaks the standard or the patient policy.

Asked of every element: is it known, of the right JSON kind and form, not empty, from its value set,
pointing to an allowed type, once where it may be once, one of a choice, there where it must be, and
do its invariants hold. https://hl7.org/fhir/R4/validation.html · https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import Issue
from app.fhir.codec import dump_json
from app.fhir.lexical import EMPTY, Fault, check_string, wrong_kind
from app.fhir.patient_policy import PatientPolicy, check_patient_reference, check_person
from app.fhir.places import Place, render_place
from app.fhir.references import Scope
from app.fhir.rules import Rule, RuleBook, TypeRules
from app.fhir.shapes import RESOURCE, RESOURCE_TYPE

MAX_ISSUES = 50

MAX_ACCEPTED = 1000
MAX_TEXT = 400
"""Of values that are remembered: how many of one element, and the bytes of each."""
_DEPENDS = re.compile(rb"[Rr]eference")
"""What a reference may be to depends on what the resource contains."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_LINK = re.compile(r"""(?:src|href)\s*=\s*["'](#[^"']*)["']""")
_EXTENDED = "Coding"
"""Extensions of a primitive are those of any data type, not parts of another extension."""
_EXTENSION_ONLY = frozenset({"id", "extension"})


@dataclass(slots=True)
class Findings:
    """What a walk has found so far: up to MAX_ISSUES issues, and how many there were."""

    issues: list[Issue] = field(default_factory=list)
    count: int = 0
    malformed: int = 0

    def add(self, place: Place, fault: Fault) -> None:
        self.count += 1
        self.malformed += fault.malformed
        if self.count <= MAX_ISSUES:
            self.issues.append(Issue(fault.code, fault.sentence, render_place(place)))


@dataclass(frozen=True, slots=True)
class Walk:
    """What stays the same from the root to the leaves of one resource."""

    book: RuleBook
    policy: PatientPolicy
    scope: Scope
    found: Findings


def walk_resource(
    book: RuleBook,
    policy: PatientPolicy,
    found: Findings,
    resource: Mapping[str, Any],
    place: Place,
) -> None:
    """Everything about a resource that stands by itself; its type must be one of R4's."""
    scope = Scope(resource[RESOURCE_TYPE], _contained_types(resource))
    walk = Walk(book, policy, scope, found)
    _walk_as_resource(walk, resource, place)
    if "contained" in resource and not found.malformed:
        _check_contained_are_used(walk, resource, place)


def _contained_types(resource: Mapping[str, Any]) -> dict[str, str]:
    contained = resource.get("contained")
    if not isinstance(contained, list):
        return {}
    found = (each for each in contained if isinstance(each, dict))
    return {
        each["id"]: each[RESOURCE_TYPE]
        for each in found
        if isinstance(each.get("id"), str) and isinstance(each.get(RESOURCE_TYPE), str)
    }


def _walk_as_resource(walk: Walk, resource: Mapping[str, Any], place: Place) -> None:
    resource_type = resource[RESOURCE_TYPE]
    of_type = walk.book.rules(resource_type)
    _walk_node(walk, of_type, resource, place)
    if walk.policy.concerns(resource_type):
        for below, fault in check_person(walk.policy, resource, of_type.rules):
            walk.found.add(_extend(place, below), fault)


def _extend(place: Place, below: tuple[tuple[str, int | None], ...]) -> Place:
    for name, position in below:
        place = (place, name, position)
    return place


# Elements


def _walk_node(walk: Walk, of_type: TypeRules, node: Mapping[str, Any], place: Place) -> None:
    found, rules = walk.found, of_type.rules
    malformed_before = found.malformed
    chosen: dict[str, str] | None = None
    for name, value in node.items():
        rule = rules.get(name)
        if rule is None:
            rule = _walk_other(walk, rules, node, name, place)
        elif rule.repeats:
            _walk_list(walk, rule, node, name, value, place)
        elif rule.lexical is None:
            _walk_complex(walk, rule, value, (place, name, None))
        elif (fault := rule.lexical(value)) is not None:
            found.add((place, name, None), fault)
        if rule is not None and rule.choice is not None:
            chosen = _note_choice(walk, chosen or {}, rule, place)
    _check_presence(walk, of_type, node, chosen, place)
    if found.malformed == malformed_before:
        for invariant in of_type.invariants:
            if not invariant.holds(node):
                found.add(place, Fault("invariant", f"{invariant.sentence} ({invariant.key})"))


def _walk_other(
    walk: Walk, rules: Mapping[str, Rule], node: Mapping[str, Any], name: str, place: Place
) -> Rule | None:
    """A name that is no element: the extensions of a primitive (`_birthDate`), or unknown."""
    rule = rules.get(name[1:]) if name.startswith("_") else None
    if rule is None or rule.lexical is None or rule.type in ("xhtml", RESOURCE_TYPE):
        walk.found.add(*_unknown(name, place))
        return None
    _walk_primitive_extensions(walk, rule, node, name, place)
    return rule


def _unknown(name: str, place: Place) -> tuple[Place, Fault]:
    if _NAME.fullmatch(name.removeprefix("_")):
        return (place, name, None), Fault("structure", "There is no such element in FHIR R4 here")
    return place, Fault("structure", "A name here is no name of a FHIR element")


def _note_choice(walk: Walk, chosen: dict[str, str], rule: Rule, place: Place) -> dict[str, str]:
    name, choice = rule.property.name, rule.property.path
    earlier = chosen.setdefault(choice, name)
    if earlier != name:
        sentence = f"Only one of `{earlier}` and `{name}` may be there ({choice.split('.')[-1]})"
        walk.found.add((place, name, None), Fault("structure", sentence))
    return chosen


def _check_presence(
    walk: Walk,
    of_type: TypeRules,
    node: Mapping[str, Any],
    chosen: dict[str, str] | None,
    place: Place,
) -> None:
    if not of_type.required <= node.keys():
        for name in sorted(of_type.required - node.keys()):
            if f"_{name}" not in node:
                walk.found.add((place, name, None), _missing(f"`{name}`"))
    for choice, names in of_type.shape.required_choices.items():
        if not chosen or choice not in chosen:
            walk.found.add(place, _missing(f"one of {', '.join(f'`{name}`' for name in names)}"))


def _missing(what: str) -> Fault:
    return Fault("required", f"The element must have {what}")


def _walk_list(
    walk: Walk, rule: Rule, node: Mapping[str, Any], name: str, value: Any, place: Place
) -> None:
    if type(value) is not list:
        walk.found.add((place, name, None), wrong_kind("an array", value))
    elif not value:
        walk.found.add((place, name, None), EMPTY)
    elif rule.lexical is None:
        for position, item in enumerate(value):
            _walk_complex(walk, rule, item, (place, name, position))
    else:
        _walk_primitives(walk, rule, value, node.get(f"_{name}"), place)


def _walk_primitives(
    walk: Walk, rule: Rule, values: list[Any], extensions: Any, place: Place
) -> None:
    """The items of a repeating primitive; null only where extensions stand in its place."""
    assert rule.lexical is not None
    beside = extensions if isinstance(extensions, list) else []
    for position, value in enumerate(values):
        if value is None and position < len(beside) and beside[position]:
            continue
        if (fault := rule.lexical(value)) is not None:
            walk.found.add((place, rule.property.name, position), fault)


def _walk_complex(walk: Walk, rule: Rule, value: Any, place: Place) -> None:
    if type(value) is not dict:
        walk.found.add(place, wrong_kind("an object", value))
        return
    if rule.type == RESOURCE:
        _walk_inner_resource(walk, rule, value, place)
        return
    if not value or (len(value) == 1 and "id" in value):
        walk.found.add(place, EMPTY)
        return
    if rule.accepted is None:
        _walk_parts(walk, rule, value, place)
    else:
        _walk_remembered(walk, rule, rule.accepted, value, place)


def _walk_remembered(
    walk: Walk, rule: Rule, accepted: set[bytes], value: dict[str, Any], place: Place
) -> None:
    """What was found right once is right again, unless it depends on the resource around it."""
    text = _text_of(value)
    if text in accepted:
        return
    before = walk.found.count
    _walk_parts(walk, rule, value, place)
    if text is not None and before == walk.found.count and not _DEPENDS.search(text):
        if len(accepted) >= MAX_ACCEPTED:
            accepted.clear()
        accepted.add(text)


def _text_of(value: dict[str, Any]) -> bytes | None:
    """As it would be stored; None for what is nested or too long to be remembered, or can't be
    written."""
    if "extension" in value:
        return None
    try:
        text = dump_json(value)
    except TypeError:
        return None
    return text if len(text) <= MAX_TEXT else None


def _walk_parts(walk: Walk, rule: Rule, value: dict[str, Any], place: Place) -> None:
    _walk_node(walk, walk.book.rules(rule.type), value, place)
    if rule.extra is not None:
        for child, fault in rule.extra(value, walk.scope):
            walk.found.add((place, child, None) if child else place, fault)
    if rule.type == "Reference":
        _walk_reference(walk, rule, value, place)


def _walk_reference(walk: Walk, rule: Rule, value: Mapping[str, Any], place: Place) -> None:
    element = rule.property
    faults = check_patient_reference(walk.policy, value, element.path, element.name, walk.scope)
    for child, fault in faults:
        walk.found.add((place, child, None), fault)


# Extensions of primitives


def _walk_primitive_extensions(
    walk: Walk, rule: Rule, node: Mapping[str, Any], name: str, place: Place
) -> None:
    value, plain = node[name], rule.property.name
    if not rule.repeats:
        _walk_primitive_extension(walk, value, plain in node, (place, plain, None))
    elif type(value) is not list:
        walk.found.add((place, plain, None), wrong_kind("an array", value))
    elif not any(value):
        walk.found.add((place, plain, None), EMPTY)
    else:
        beside = node.get(plain)
        values = beside if type(beside) is list else [None] * len(value)
        _walk_aligned(walk, value, values, place, plain)


def _walk_aligned(
    walk: Walk, extensions: list[Any], values: list[Any], place: Place, name: str
) -> None:
    """The extensions of a repeating primitive, each at the position of its value."""
    if len(values) != len(extensions):
        walk.found.add((place, name, None), _NOT_ALIGNED)
        return
    for position, (extension, value) in enumerate(zip(extensions, values, strict=True)):
        if extension is not None:
            has_value = value is not None
            _walk_primitive_extension(walk, extension, has_value, (place, name, position))


_NOT_ALIGNED = Fault(
    "structure", "The array of values and the array of their extensions must be of equal length"
)


def _walk_primitive_extension(walk: Walk, value: Any, has_value: bool, place: Place) -> None:
    if type(value) is not dict:
        walk.found.add(place, wrong_kind("an object beside its value", value))
        return
    for name in value.keys() - _EXTENSION_ONLY:
        walk.found.add(*_unknown(name, place))
    if not value or ("extension" not in value and not has_value):
        walk.found.add(place, EMPTY)
    if "id" in value and (fault := check_string(value["id"])):
        walk.found.add((place, "id", None), fault)
    if "extension" in value:
        rule = walk.book.rules(_EXTENDED).rules["extension"]
        _walk_list(walk, rule, value, "extension", value["extension"], place)


# Resources in resources


def _walk_inner_resource(walk: Walk, rule: Rule, value: dict[str, Any], place: Place) -> None:
    resource_type = value.get(RESOURCE_TYPE)
    if not walk.book.is_resource_type(resource_type):
        walk.found.add((place, RESOURCE_TYPE, None), NO_RESOURCE_TYPE)
    elif rule.property.name == "contained":
        _walk_contained(walk, value, place)
    else:
        walk_resource(walk.book, walk.policy, walk.found, value, place)


NO_RESOURCE_TYPE = Fault(
    "structure",
    "`resourceType` must name a resource type of R4 that this server can check",
    malformed=True,
)


def _walk_contained(walk: Walk, value: dict[str, Any], place: Place) -> None:
    if walk.scope.is_contained:
        walk.found.add(place, Fault("invariant", "A contained resource contains no others (dom-2)"))
        return
    meta = value.get("meta")
    for name in ("versionId", "lastUpdated", "security"):
        if isinstance(meta, dict) and name in meta:
            key = "dom-5" if name == "security" else "dom-4"
            sentence = f"A contained resource has no `meta.{name}` ({key})"
            walk.found.add(((place, "meta", None), name, None), Fault("invariant", sentence))
    if "id" not in value:
        walk.found.add(place, Fault("required", "A contained resource needs an `id` (dom-3)"))
    scope = Scope(walk.scope.resource_type, walk.scope.contained, is_contained=True)
    _walk_as_resource(Walk(walk.book, walk.policy, scope, walk.found), value, place)


def _check_contained_are_used(walk: Walk, resource: Mapping[str, Any], place: Place) -> None:
    """dom-3: each contained resource is referred to, or refers to its container."""
    used = set(_fragments(resource))
    for position, each in enumerate(resource["contained"]):
        own = each.get("id")
        if own is None or f"#{own}" in used or "#" in _fragments(each):
            continue
        sentence = "A contained resource must be referred to from elsewhere in its resource (dom-3)"
        walk.found.add((place, "contained", position), Fault("invariant", sentence))


def _fragments(node: Any) -> Iterator[str]:
    """All strings that could refer to a contained resource, links of a narrative among them."""
    if isinstance(node, str):
        if node.startswith("#"):
            yield node
        elif node.startswith("<"):
            yield from _LINK.findall(node)
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _fragments(child)
