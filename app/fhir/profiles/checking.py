"""Whether a resource meets a profile: one walk over the profile's elements.
https://hl7.org/fhir/R4/profiling.html · https://hl7.org/fhir/R4/profiling.html#slicing

The resource is known as legal R4. Sentences tell what the profile asks, never what is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.errors import Issue
from app.fhir.codec import dump_json, equal
from app.fhir.lexical import LEXICAL
from app.fhir.model import Json
from app.fhir.profiles.record import Discriminator, Node, Profile
from app.numerous import numerous

_SHOWN = 200
_LITERAL = re.compile(r"(?:https?://\S+?/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/\S+)?")


@numerous(frozen=True, slots=True)
class Value:
    """One value of an element: `held` None where only extensions are there. `type` of a choice."""

    held: Any
    place: str
    type: str | None = None


def check_profile(profile: Profile, resource: Json) -> list[Issue]:
    """All that `resource` breaks of the profile itself (not of its base, nor constraints)."""
    if resource.get("resourceType") != profile.type:
        text = f"the profile {profile.url} is for {profile.type}"
        return [Issue("structure", text, "resourceType")]
    root = Value(resource, str(resource["resourceType"]))
    return [
        Issue(each.code, f"{each.diagnostics} (profile {profile.url})", each.expression)
        for each in _check_children(profile.root, root)
    ]


def meets_profile(profile: Profile, resource: Json) -> bool:
    """Whether `check_profile` finds nothing; it is not looked further than to the first thing."""
    if resource.get("resourceType") != profile.type:
        return False
    root = Value(resource, profile.type)
    return next(_check_children(profile.root, root), None) is None


def _check_children(node: Node, parent: Value) -> Iterator[Issue]:
    for child in node.children:
        values = _values(parent, child.name)
        place = f"{parent.place}.{child.name.removesuffix('[x]')}"
        yield from _check_count(child, len(values), place, child.name)
        for value in values:
            yield from _check_value(child, value)
        if child.slices:
            yield from _check_slices(child, values, place)


def _check_count(node: Node, count: int, place: str, called: str) -> Iterator[Issue]:
    if count < node.least:
        yield Issue("required", f"`{called}` must be there at least {node.least} time(s)", place)
    if node.most is not None and count > node.most:
        allowed = f"at most {node.most} time(s)" if node.most else "not at all"
        yield Issue("structure", f"`{called}` may be there {allowed}", place)


def _check_value(node: Node, value: Value) -> Iterator[Issue]:
    if value.type and node.types and value.type not in node.types:
        yield Issue("structure", f"the type must be {' | '.join(node.types)}", value.place)
        return
    if node.expected is not None and not _meets(node, value.held):
        word = "must be" if node.is_fixed else "must have"
        text = dump_json(node.expected).decode()
        shown = text if len(text) <= _SHOWN else "what the profile says"
        yield Issue("value", f"the value {word} {shown}", value.place)
    if node.codes is not None and not _is_coded(node, value.held):
        text = f"the code must be one of the value set {node.binding}"
        yield Issue("code-invalid", text, value.place)
    if node.targets and isinstance(value.held, dict):
        pointed = _type_of_reference(value.held)
        if pointed is not None and pointed not in node.targets:
            text = f"the reference must be to {' | '.join(sorted(node.targets))}"
            yield Issue("structure", text, value.place)
    yield from _check_children(node, value)


def _check_slices(node: Node, values: Sequence[Value], place: str) -> Iterator[Issue]:
    members: dict[str, list[Value]] = {name: [] for name, _ in node.slices}
    for value in values:
        own = [n for n, slice in node.slices if _is_of(node.discriminators, slice, value)]
        for name in own:
            members[name].append(value)
        if not own and node.closed:
            names = ", ".join(name for name, _ in node.slices)
            yield Issue("structure", f"the element must be one of the slices {names}", value.place)
    for name, slice in node.slices:
        yield from _check_count(slice, len(members[name]), place, f"{node.name}:{name}")
        for value in members[name]:
            yield from _check_value(slice, value)


# Values of an element


def _values(parent: Value, name: str) -> list[Value]:
    """The values of `name` (`value[x]`: of whatever type) in a node."""
    node = parent.held
    if not isinstance(node, dict):
        return []
    if not name.endswith("[x]"):
        return _values_of(node, name, parent.place)
    stem = name.removesuffix("[x]")
    found = []
    for key in dict.fromkeys(key.removeprefix("_") for key in node):
        rest = key.removeprefix(stem)
        if rest != key and rest[:1].isupper():
            lower = rest[0].lower() + rest[1:]
            found += _values_of(node, key, parent.place, lower if lower in LEXICAL else rest)
    return found


def _values_of(
    node: Mapping[str, Any], key: str, place: str, kind: str | None = None
) -> list[Value]:
    held, beside = node.get(key), node.get(f"_{key}")
    here = f"{place}.{key}"
    if isinstance(held, list) or isinstance(beside, list):
        count = max(len(each) for each in (held, beside) if isinstance(each, list))
        items = held if isinstance(held, list) else []
        return [
            Value(items[n] if n < len(items) else None, f"{here}[{n}]", kind) for n in range(count)
        ]
    return [Value(held, here, kind)] if held is not None or beside is not None else []


# Fixed values, patterns, codes


def _meets(node: Node, held: Any) -> bool:
    return equal(held, node.expected) if node.is_fixed else has_pattern(held, node.expected)


def has_pattern(held: Any, pattern: Any) -> bool:
    """Whether all of `pattern` is in `held`; a list holds an item for each of the pattern's."""
    if isinstance(pattern, dict):
        return isinstance(held, dict) and all(
            name in held and has_pattern(held[name], value) for name, value in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(held, list) and all(
            any(has_pattern(item, each) for item in held) for each in pattern
        )
    return held is not None and equal(held, pattern)


def _is_coded(node: Node, held: Any) -> bool:
    """Whether a code, Coding, CodeableConcept or Quantity is of the value set. A reference and an
    element that only has extensions (data absent) are not asked."""
    assert node.codes is not None
    if isinstance(held, str):
        return any(code == held for _, code in node.codes)
    if not isinstance(held, dict) or "reference" in held or "identifier" in held:
        return True
    if "code" not in held and "coding" not in held and held.keys() <= {"id", "extension"}:
        return True
    codings = held.get("coding", [held])
    return any((each.get("system", ""), each.get("code")) in node.codes for each in codings)


def _type_of_reference(reference: Mapping[str, Any]) -> str | None:
    """The type that a reference points to, None where it does not say."""
    literal, stated = reference.get("reference"), reference.get("type")
    match = _LITERAL.fullmatch(literal) if isinstance(literal, str) else None
    if match:
        return match[1]
    return stated if isinstance(stated, str) else None


# Slices


def _is_of(discriminators: Sequence[Discriminator], slice: Node, value: Value) -> bool:
    return all(_discriminates(each, slice, value) for each in discriminators)


def _discriminates(discriminator: Discriminator, slice: Node, value: Value) -> bool:
    if discriminator.kind == "type" and not discriminator.path:
        return not slice.types or value.type is None or value.type in slice.types
    found = [value]
    for name in discriminator.path:
        found = [child for each in found for child in _named(each, name)]
    if discriminator.kind == "exists":
        node = _node_at(slice, discriminator.path)
        return bool(found) == (node is None or node.most != 0)
    return any(_fits(slice, discriminator.path, each.held) for each in found)


def _named(value: Value, name: str) -> list[Value]:
    """The values of an element; a path says `value` for `value[x]`."""
    return _values(value, name) or _values(value, f"{name}[x]")


def _fits(slice: Node, path: Sequence[str], held: Any) -> bool:
    """Whether a value at the discriminator's path is what the slice says there, or higher up."""
    node = _node_at(slice, path)
    if node is not None and (node.expected is not None or node.codes or node.children):
        return next(_check_value(node, Value(held, "")), None) is None
    for depth in range(len(path) - 1, -1, -1):
        above = _node_at(slice, path[:depth])
        if above is not None and above.expected is not None:
            return any(has_pattern(held, part) for part in _parts(above.expected, path[depth:]))
    return False


def _parts(expected: Any, path: Sequence[str]) -> list[Any]:
    found = [expected]
    for name in path:
        below = [each.get(name) for each in found if isinstance(each, dict)]
        found = [item for each in below for item in (each if isinstance(each, list) else [each])]
    return [each for each in found if each is not None]


def _node_at(node: Node, path: Sequence[str]) -> Node | None:
    for name in path:
        below = [c for c in node.children if c.name in (name, f"{name}[x]")]
        if not below:
            return None
        node = below[0]
    return node
