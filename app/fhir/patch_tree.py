"""The elements of a resource as FHIRPath Patch sees them: primitives too have `id` and `extension`.

JSON keeps those of `birthDate` beside it in `_birthDate`, for lists position by position; here an
element is one slot that holds both. https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from app.fhir.expression import Element
from app.fhir.model import Json


@dataclass(frozen=True, slots=True)
class Slot:
    """One element in JSON: its value, and what stands beside a primitive's."""

    value: Any
    beside: Json | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A slot in the tree: the one at `position` of what its parent holds under `key`."""

    slot: Slot
    type: str
    parent: Spot | None = None
    key: str = ""
    position: int = 0
    element: Element | None = None

    @property
    def value(self) -> Any:
        return self.slot.value

    @property
    def node(self) -> Json:
        """The object with the children, to be read."""
        if isinstance(self.value, dict):
            return self.value
        return self.slot.beside or {}

    def children(self, element: Element) -> Iterator[Spot]:
        node = self.node
        for kind in element.types:
            key = element.key(kind)
            for position, slot in enumerate(read_slots(node, key)):
                yield Spot(slot, _kind(slot.value, kind), self, key, position, element)

    def is_there(self, element: Element) -> bool:
        return any(True for _ in self.children(element))

    def write(self, element: Element, key: str, slots: list[Slot]) -> None:
        """Make `slots` all that this element holds under `key`, in the tree as well."""
        node = self.node
        _write_slots(node, key, slots, element.many)
        if self.parent is not None and node is not self.value:
            self._replace_in_parent(Slot(self.value, node or None))

    def change(self, changed: Slot | None) -> None:
        """Put another slot in the place of this one; None removes it, and what then is empty."""
        if changed is not None:
            self._replace_in_parent(changed)
            return
        parent, element = self._place()
        slots = read_slots(parent.node, self.key)
        parent.write(element, self.key, slots[: self.position] + slots[self.position + 1 :])
        if parent.parent is not None and not parent.node and parent.value in (None, {}):
            parent.change(None)

    def _place(self) -> tuple[Spot, Element]:
        assert self.parent is not None, "a resource stays what it is"
        assert self.element is not None, "what has a parent is an element of it"
        return self.parent, self.element

    def _replace_in_parent(self, changed: Slot) -> None:
        parent, element = self._place()
        slots = read_slots(parent.node, self.key)
        slots[self.position] = changed
        parent.write(element, self.key, slots)


def read_slots(node: Json, key: str) -> list[Slot]:
    """What the node holds under `key` and `_key`."""
    value, beside = node.get(key), node.get(f"_{key}")
    if isinstance(value, list) or isinstance(beside, list):
        return [Slot(*pair) for pair in zip_longest(value or [], beside or [])]
    return [] if value is None and beside is None else [Slot(value, beside)]


def _write_slots(node: Json, key: str, slots: list[Slot], many: bool) -> None:
    values, besides = [slot.value for slot in slots], [slot.beside or None for slot in slots]
    for name, column in ((key, values), (f"_{key}", besides)):
        if all(item is None for item in column):
            node.pop(name, None)
        else:
            node[name] = column if many else column[0]


def _kind(value: Any, kind: str) -> str:
    """The type of a value; of a contained resource its own."""
    own = value.get("resourceType") if isinstance(value, dict) else None
    return own if isinstance(own, str) else kind
