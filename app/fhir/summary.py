"""Resources cut down to what `_summary` and `_elements` ask for.
https://hl7.org/fhir/R4/search.html#summary · https://hl7.org/fhir/R4/search.html#elements

What is left is a valid resource as far as cardinality goes: mandatory elements stay. The tag
SUBSETTED says that something may be missing, so that nobody stores the part over the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal

from app.fhir.codec import dump_json, parse_json
from app.fhir.model import Json
from app.fhir.registry import Element, Registry

Mode = Literal["true", "text", "data"]
"""`_summary=false` leaves resources alone, `_summary=count` has none."""

MODES: Final = frozenset({"true", "text", "data"})

Tree = Mapping[str, "Tree | None"]
"""The JSON names that stay, each with what stays below it; None: everything."""

SUBSETTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
        "display": "subsetted",
    }
)

_IDENTITY = ("id", "meta", "implicitRules", "modifierExtension")
"""Elements that every part of a resource keeps: who it is, and what changes its meaning."""

_INSIDE_PARTS = frozenset({"id", "modifierExtension"})
_INSIDE_DATA_TYPES = frozenset({"id", "extension"})
_GENERIC = frozenset({"id", "extension", "modifierExtension"})


def summarise(registry: Registry, body: bytes, mode: Mode) -> bytes:
    """The stored resource as `_summary` wants it, tagged SUBSETTED; decimals keep their digits."""
    resource = parse_json(body)
    if mode == "data":
        return _tagged({name: value for name, value in resource.items() if name != "text"})
    tree = _tree_of(registry, resource["resourceType"], mode)
    return _tagged(_pruned(resource, tree))


def elements(registry: Registry, body: bytes, names: Collection[str]) -> bytes:
    """The stored resource with the top-level elements `names` and the mandatory ones, tagged."""
    resource = parse_json(body)
    tree = _elements_tree(registry, resource["resourceType"], frozenset(names))
    return _tagged(_pruned(resource, tree))


def prune(resource: Json, tree: Tree) -> bytes:
    """The resource with what is in the tree, tagged."""
    return _tagged(_pruned(resource, tree))


def _tagged(resource: Json) -> bytes:
    meta = dict(resource.get("meta") or {})
    tags = meta.get("tag", [])
    if not any(_is_subsetted(tag) for tag in tags):
        meta["tag"] = [*tags, dict(SUBSETTED)]
    head = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return dump_json(head | {"meta": meta} | {k: v for k, v in resource.items() if k != "meta"})


def _is_subsetted(tag: Json) -> bool:
    return all(tag.get(key) == SUBSETTED[key] for key in ("system", "code"))


def _pruned(node: Json, tree: Tree) -> Json:
    """What of `node` is in the tree; parts of which nothing is left go altogether."""
    kept: Json = {}
    for name, value in node.items():
        if name not in tree:
            continue
        below = tree[name]
        if below is not None:
            value = _pruned_value(value, below)
        if value not in ({}, []):
            kept[name] = value
    return kept


def _pruned_value(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [part for part in (_pruned_value(item, tree) for item in value) if part != {}]
    return _pruned(value, tree) if isinstance(value, dict) else value


# ---- trees


@lru_cache(maxsize=512)
def _tree_of(registry: Registry, resource_type: str, mode: Mode) -> Tree:
    if mode == "text":
        return _elements_tree(registry, resource_type, frozenset({"text"}))
    return _Summaries(registry).of_resource(resource_type)


@lru_cache(maxsize=512)
def _elements_tree(registry: Registry, resource_type: str, names: frozenset[str]) -> Tree:
    tree: dict[str, Tree | None] = {"resourceType": None}
    for name, element in registry.elements[resource_type].items():
        if name in names or name in _IDENTITY or element.required:
            tree.update((key, None) for key, _ in _json_names(element))
    return tree


class _Summaries:
    """The trees of `_summary=true`; a type that contains itself leads back to its own tree."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._trees: dict[str, dict[str, Tree | None]] = {}

    def of_resource(self, resource_type: str) -> Tree:
        listed = frozenset(self._registry.summary(resource_type))
        return {"resourceType": None} | self._tree(resource_type, listed, frozenset(_IDENTITY))

    def _tree(
        self, owner: str, listed: frozenset[str], always: frozenset[str]
    ) -> dict[str, Tree | None]:
        if owner not in self._trees:
            tree = self._trees[owner] = {}
            for name, element in self._registry.elements[owner].items():
                if name in always or element.required or f"{owner}.{element.path_name}" in listed:
                    for key, kind in _json_names(element):
                        tree[key] = self._below(kind, listed)
        return self._trees[owner]

    def _below(self, kind: str, listed: frozenset[str]) -> Tree | None:
        """What stays of a value of this type: all of it, unless the standard marks parts of it."""
        is_part = "." in kind
        marked = listed if is_part else frozenset(self._registry.summary(kind))
        if not marked or not self._has_marks(kind, marked):
            return None
        return self._tree(kind, marked, _INSIDE_PARTS if is_part else _INSIDE_DATA_TYPES)

    def _has_marks(self, owner: str, marked: frozenset[str]) -> bool:
        return any(
            element.required or f"{owner}.{element.path_name}" in marked
            for name, element in self._registry.elements.get(owner, {}).items()
            if name not in _GENERIC
        )


def _json_names(element: Element) -> Iterator[tuple[str, str]]:
    """The names in JSON with the type of each: `valueQuantity`; `_status` holds extensions."""
    for kind in element.types:
        name = f"{element.name}{kind[0].upper()}{kind[1:]}" if element.choice else element.name
        yield name, kind
        if kind[0].islower():
            yield f"_{name}", "Element"
