"""An expansion as a ValueSet resource. https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.fhir.model import Json
from app.fhir.terminology.designations import display_in, wanted_designations
from app.fhir.terminology.expansion import Member, Members, too_costly

MAX_RETURNED = 10_000
_UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"


@dataclass(frozen=True, slots=True)
class View:
    """What of an expansion is wanted, and how. `count` None: all of it."""

    text: str | None = None
    offset: int = 0
    count: int | None = None
    active_only: bool = False
    selectable_only: bool = False
    designations: bool = False
    definition: bool = False
    language: str | None = None

    @property
    def parameters(self) -> list[Json]:
        """As the expansion tells them, so that a reader knows what it is a part of."""
        given = [
            ("filter", "String", self.text),
            ("offset", "Integer", self.offset or None),
            ("count", "Integer", self.count),
            ("activeOnly", "Boolean", self.active_only or None),
            ("excludeNotForUI", "Boolean", self.selectable_only or None),
            ("includeDesignations", "Boolean", self.designations or None),
            ("displayLanguage", "Code", self.language),
        ]
        return [
            {"name": name, f"value{kind}": value}
            for name, kind, value in given
            if value is not None
        ]


def build_expansion(value_set: Json, members: Members, view: View, at: datetime) -> Json:
    """The value set with the wanted part of its expansion, or a 422 if that is too large."""
    chosen = select_members(members.concepts.values(), view)
    shown = chosen[view.offset :]
    if view.count is not None:
        shown = shown[: min(view.count, MAX_RETURNED)]
    if len(shown) > MAX_RETURNED:
        raise too_costly(f"the expansion has more than {MAX_RETURNED} concepts; ask with a count")
    expansion: Json = {
        "identifier": f"urn:uuid:{uuid.uuid4()}",
        "timestamp": at.isoformat(timespec="seconds"),
        "total": len(chosen),
        "offset": view.offset,
        "parameter": [
            *view.parameters,
            *({"name": "used-codesystem", "valueUri": name} for name in sorted(members.systems)),
        ],
        "contains": [_contains(member, view) for member in shown],
    }
    if members.unclosed:
        expansion = {"extension": [{"url": _UNCLOSED, "valueBoolean": True}]} | expansion
    hidden = ("expansion", "text") if view.definition else ("expansion", "text", "compose")
    kept = {name: value for name, value in value_set.items() if name not in hidden}
    return kept | {"expansion": {k: v for k, v in expansion.items() if v != []}}


def select_members(members: Iterable[Member], view: View) -> Sequence[Member]:
    """Those that the view does not hide; every word of its text must occur in some name."""
    words = (view.text or "").casefold().split()
    return [
        member
        for member in members
        if not (view.active_only and member.inactive)
        and not (view.selectable_only and member.abstract)
        and all(word in _names(member) for word in words)
    ]


def _names(member: Member) -> str:
    values = (each.get("value", "") for each in member.designations)
    return "\n".join((member.code, member.display or "", *values)).casefold()


def _contains(member: Member, view: View) -> Json:
    designations = wanted_designations(member.designations) if view.designations else []
    parts = {
        "system": member.system,
        "abstract": member.abstract or None,
        "inactive": member.inactive or None,
        "version": member.version,
        "code": member.code,
        "display": display_in(view.language, member.display, member.designations),
        "designation": designations,
    }
    return {name: value for name, value in parts.items() if value not in (None, [], "")}
