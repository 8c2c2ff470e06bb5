"""A StructureDefinition becomes a profile. https://hl7.org/fhir/R4/elementdefinition.html

The differential is compiled, and the base is checked beside it where it is a profile itself; a
definition with a snapshot only is compiled from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.model import Json
from app.fhir.profiles.record import (
    CodeList,
    Constraint,
    Discriminator,
    Node,
    Profile,
    Surroundings,
)

CORE = "http://hl7.org/fhir/StructureDefinition/"
_MAX_ELEMENTS = 2000
_UNCHECKED = ("minValue", "maxValue", "maxLength")
_KINDS = frozenset({"value", "pattern", "exists", "type"})


@dataclass(slots=True)
class _Draft:
    """An element on its way to a node: its definition, children by name, slices by name."""

    name: str
    definition: Mapping[str, Any] = field(default_factory=dict)
    children: dict[str, _Draft] = field(default_factory=dict)
    slices: dict[str, _Draft] = field(default_factory=dict)


def compile_profile(definition: Json, surroundings: Surroundings) -> Profile:
    """The profile, or an error (UNPROCESSABLE) that names the element that can't be taken."""
    elements = _elements(definition)
    root = _Draft(definition["type"])
    for position, element in enumerate(elements):
        try:
            _place(root, element)
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise _refused(definition, position, str(problem)) from problem
    unchecked: list[str] = []
    base = definition.get("baseDefinition", "").partition("|")[0]
    return Profile(
        definition["url"],
        definition["type"],
        _build(root, surroundings, unchecked),
        None if base.startswith(CORE) or not base else base,
        tuple(_constraints(definition, elements)),
        tuple(dict.fromkeys(unchecked)),
    )


def references_of(definition: Json) -> tuple[set[str], set[str]]:
    """(value sets, profiles) that compiling needs to know, without those of the standard."""
    value_sets: set[str] = set()
    profiles: set[str] = set()
    for element in _elements(definition):
        binding = element.get("binding", {})
        if binding.get("strength") == "required" and "valueSet" in binding:
            value_sets.add(_bare(binding["valueSet"]))
        for kind in element.get("type", ()):
            profiles.update(_bare(url) for url in kind.get("targetProfile", ()))
    return value_sets, {url for url in profiles if not url.startswith(CORE)}


def _elements(definition: Json) -> Sequence[Json]:
    view = definition.get("differential") or definition.get("snapshot") or {}
    elements: Sequence[Json] = view.get("element", [])
    if len(elements) > _MAX_ELEMENTS:
        raise _refused(definition, _MAX_ELEMENTS, f"more than {_MAX_ELEMENTS} elements")
    return elements


def _refused(definition: Json, position: int, reason: str) -> SsciError:
    return error(
        Category.UNPROCESSABLE,
        f"the profile {definition.get('url')} can't be used: element {position}: {reason}",
        expression=f"StructureDefinition.differential.element[{position}]",
    )


# Where an element stands


def _place(root: _Draft, element: Mapping[str, Any]) -> None:
    draft = root
    for name, slice_name in _steps(element):
        draft = draft.children.setdefault(name, _Draft(name))
        if slice_name:
            draft = draft.slices.setdefault(slice_name, _Draft(name))
    draft.definition = element


def _steps(element: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """(name, slice) below the type: by the id, which alone tells a slice's children apart."""
    path: str = element["path"]
    id = element.get("id")
    if isinstance(id, str) and _bare_id(id) == path:
        for part in id.split(".")[1:]:
            name, _, slice_name = part.partition(":")
            yield name, slice_name or None
        return
    names = path.split(".")[1:]
    yield from ((name, None) for name in names[:-1])
    if names:
        yield names[-1], element.get("sliceName")


def _bare_id(id: str) -> str:
    return ".".join(part.partition(":")[0] for part in id.split("."))


# Nodes


def _build(draft: _Draft, around: Surroundings, unchecked: list[str]) -> Node:
    definition = draft.definition
    _note_unchecked(definition, unchecked)
    expected, is_fixed = _expected(definition)
    binding, codes = _binding(definition, around, unchecked)
    slicing = definition.get("slicing", {})
    discriminators = _discriminators(draft, slicing, unchecked)
    can_slice = bool(discriminators) or not draft.slices
    return Node(
        name=draft.name,
        least=int(definition.get("min", 0)),
        most=_most(definition.get("max")),
        expected=expected,
        is_fixed=is_fixed,
        types=tuple(str(kind.get("code")) for kind in definition.get("type", ())),
        targets=_targets(definition, around, unchecked),
        binding=binding,
        codes=codes,
        children=tuple(_build(each, around, unchecked) for each in draft.children.values()),
        discriminators=discriminators,
        slices=tuple(
            (name, _build(_with_url(each), around, unchecked))
            for name, each in draft.slices.items()
            if can_slice
        ),
        closed=can_slice and slicing.get("rules") == "closed",
    )


def _most(text: Any) -> int | None:
    return None if text in (None, "*") else int(text)


def _expected(definition: Mapping[str, Any]) -> tuple[Any, bool]:
    for name, value in definition.items():
        if name.startswith("fixed"):
            return value, True
        if name.startswith("pattern"):
            return value, False
    return None, False


def _note_unchecked(definition: Mapping[str, Any], unchecked: list[str]) -> None:
    for name in definition:
        if name.startswith(_UNCHECKED):
            unchecked.append(f"`{name}` of {definition['path']}")


def _binding(
    definition: Mapping[str, Any], around: Surroundings, unchecked: list[str]
) -> tuple[str | None, CodeList | None]:
    binding = definition.get("binding", {})
    if binding.get("strength") != "required" or "valueSet" not in binding:
        return None, None
    url = _bare(binding["valueSet"])
    codes = around.value_sets.get(url)
    if codes is None:
        unchecked.append(f"the codes of the value set {url} are not known here")
    return url, codes


def _targets(
    definition: Mapping[str, Any], around: Surroundings, unchecked: list[str]
) -> frozenset[str]:
    """The types that a reference may point to; empty: any."""
    urls = [_bare(u) for kind in definition.get("type", ()) for u in kind.get("targetProfile", ())]
    types = set()
    for url in urls:
        name = url.removeprefix(CORE) if url.startswith(CORE) else around.types.get(url)
        if name is None:
            unchecked.append(f"the target profile {url} is not known here")
            return frozenset()
        types.add(name)
    return frozenset() if "Resource" in types else frozenset(types)


def _discriminators(
    draft: _Draft, slicing: Mapping[str, Any], unchecked: list[str]
) -> tuple[Discriminator, ...]:
    if not draft.slices:
        return ()
    if "discriminator" not in slicing:
        return _implied(draft, unchecked)
    found = []
    for each in slicing["discriminator"]:
        kind, path = each.get("type"), each.get("path", "$this")
        if kind not in _KINDS or "(" in path:
            unchecked.append(f"slices of {draft.name} by {kind} of {path}")
            return ()
        names = tuple(name for name in path.split(".") if name != "$this")
        found.append(Discriminator(kind, names))
    return tuple(found)


def _implied(draft: _Draft, unchecked: list[str]) -> tuple[Discriminator, ...]:
    """Extensions are sliced by url and choices by type, also where no slicing says so."""
    if draft.name in ("extension", "modifierExtension"):
        return (Discriminator("value", ("url",)),)
    if draft.name.endswith("[x]"):
        return (Discriminator("type", ()),)
    unchecked.append(f"slices of {draft.name} without a discriminator")
    return ()


def _with_url(draft: _Draft) -> _Draft:
    """A slice of an extension is told by the url that its type's profile names."""
    profiles = [p for kind in draft.definition.get("type", ()) for p in kind.get("profile", ())]
    if draft.name not in ("extension", "modifierExtension") or not profiles:
        return draft
    url = _Draft("url", {"fixedUri": _bare(profiles[0])})
    return _Draft(draft.name, draft.definition, {"url": url} | draft.children, draft.slices)


def _bare(url: str) -> str:
    return url.partition("|")[0]


# Constraints


def _constraints(definition: Json, elements: Sequence[Json]) -> Iterator[Constraint]:
    """The profile's own: those that a snapshot repeats from the standard are checked anyway."""
    for element in elements:
        for each in element.get("constraint", ()):
            source = each.get("source", definition["url"])
            if "expression" in each and not source.startswith(CORE):
                yield Constraint(
                    each["key"],
                    each.get("severity", "error"),
                    each.get("human", each["key"]),
                    each["expression"],
                    element["path"],
                )
