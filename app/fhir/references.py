"""What a Reference may point to: its form, and the types that the element allows.

Whether the target exists is another question, asked by whoever stores.
https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.fhir.lexical import Fault

ANY = "Resource"
"""As an allowed type: all of them."""

_LITERAL = re.compile(
    r"(?:(?P<base>https?://\S+?)/)?(?P<type>[A-Za-z]+)/[A-Za-z0-9\-.]{1,64}"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?(?:#\S+)?"
)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_UUID = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"

NO_REFERENCE = Fault(
    "value",
    "A reference is `Type/id`, an absolute URL, `urn:uuid:…`, `urn:oid:…` or `#id` of a contained"
    " resource; an id is 1 to 64 letters, digits, `-` and `.`",
)
NO_TYPE = Fault("value", "The type of the reference is no resource type of R4 (case matters)")
NOT_CONTAINED = Fault("not-found", "No contained resource of this resource has that id (ref-1)")
DISAGREES = Fault("invariant", "Reference.type must be the type that the reference points to")


@dataclass(frozen=True, slots=True)
class Scope:
    """The resource in which a reference stands: its type and its contained resources' types by id.

    `is_contained`: the reference stands in a contained resource, where `#` is the container.
    """

    resource_type: str
    contained: Mapping[str, str]
    is_contained: bool = False

    def find(self, fragment: str) -> str | None:
        """The type of the resource that `#fragment` names."""
        if not fragment:
            return self.resource_type if self.is_contained else None
        return self.contained.get(fragment)


@dataclass(frozen=True, slots=True)
class Targets:
    """The types that an element may refer to."""

    types: frozenset[str]
    resource_types: frozenset[str]
    fault: Fault

    def allow(self, resource_type: str) -> bool:
        return ANY in self.types or resource_type in self.types


def build_targets(types: Iterable[str], known: frozenset[str]) -> Targets:
    allowed = tuple(types) or (ANY,)
    fault = Fault("structure", f"The reference must be to {' | '.join(allowed)}")
    return Targets(frozenset(allowed), known, fault)


def check_reference(
    targets: Targets, reference: Mapping[str, Any], scope: Scope
) -> Iterator[tuple[str, Fault]]:
    """(element of the Reference, what is wrong with it)."""
    literal, stated = reference.get("reference"), reference.get("type")
    pointed = _find_type(literal, targets, scope) if literal and type(literal) is str else None
    if isinstance(pointed, Fault):
        yield "reference", pointed
        return
    if pointed is not None and not targets.allow(pointed):
        yield "reference", targets.fault
    if stated and type(stated) is str and (fault := _stated_fault(stated, pointed, targets)):
        yield "type", fault


def _find_type(literal: str, targets: Targets, scope: Scope) -> str | Fault | None:
    """The type that `literal` names; None where that cannot be told."""
    if literal[0] == "#":
        return scope.find(literal[1:]) or NOT_CONTAINED
    match = _LITERAL.fullmatch(literal)
    if match is not None:
        base, pointed = match.groups()
        if pointed in targets.resource_types:
            return pointed
        return NO_TYPE if base is None else None
    if literal.startswith("urn:uuid:"):
        return None if _UUID.fullmatch(literal) else NO_REFERENCE
    return None if _URI.fullmatch(literal) else NO_REFERENCE


def _stated_fault(stated: str, pointed: str | None, targets: Targets) -> Fault | None:
    name = stated.removeprefix(_STRUCTURE)
    if name not in targets.resource_types:
        return None if ":" in name else NO_TYPE
    if pointed is not None and pointed != name:
        return DISAGREES
    return None if targets.allow(name) else targets.fault
