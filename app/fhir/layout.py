"""Where each search parameter lives in the type's table: a record, not a branch.

The rule by parameter type and the exceptions are in `spec/layout.toml`. Tables, index values and
SQL are all derived from the records made here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from app.errors import Category, SsciError, error
from app.fhir.registry import Registry, SearchParameter

_FILE = "app/fhir/spec/layout.toml"

HomeKind = Literal[
    "id",
    "last_updated",
    "tokens",
    "strings",
    "interval",
    "amount",
    "union",
    "words",
    "composite",
]

_KIND_OF_TYPE: Mapping[str, HomeKind] = {
    "token": "tokens",
    "reference": "tokens",
    "uri": "tokens",
    "string": "strings",
    "date": "interval",
    "number": "amount",
    "quantity": "amount",
    "composite": "composite",
}
_KIND_OF_CODE: Mapping[str, HomeKind] = {"_id": "id", "_lastUpdated": "last_updated"}

NARRATIVE, CONTENT = "_text", "_content"
_FULL_TEXT: Mapping[str, str] = {
    NARRATIVE: "http://hl7.org/fhir/SearchParameter/DomainResource-text",
    CONTENT: "http://hl7.org/fhir/SearchParameter/Resource-content",
}


@dataclass(frozen=True, slots=True)
class Home:
    """One search parameter and its place.

    `column` is the prefix of its columns (interval, amount); `on_patient` says that a search for a
    Patient runs on the column `patient`; `parts` are the parameters a union consists of; `many`
    says that one resource may have several values. `components` are a composite's parameters;
    `at_root`: they are elements of the resource itself, so that the composite needs no place.
    """

    parameter: SearchParameter
    kind: HomeKind
    column: str
    on_patient: bool
    parts: tuple[str, ...]
    many: bool
    components: tuple[str, ...] = ()
    at_root: bool = False
    measured: bool = False
    """A composite whose second component is a quantity, in columns of its own."""

    @property
    def holds_canonicals(self) -> bool:
        """Whether the references are canonical addresses, which name a resource by its `url`."""
        held = self.parameter.values
        return self.parameter.type == "reference" and not set(held) - {"canonical", "uri"}

    @property
    def sortable(self) -> bool:
        return self.kind not in ("union", "words", "composite")


@dataclass(frozen=True, slots=True)
class HotToken:
    """A narrow table beside the type's own: (code, systems, patient, date, id)."""

    token: str
    date: str


@dataclass(frozen=True, slots=True)
class TypeLayout:
    resource_type: str
    table: str
    homes: Mapping[str, Home]
    hot: HotToken | None
    compartments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """{compartment: parameters that put a resource into it}; `_id`: it is the focus."""
    elements: Mapping[str, str] = field(default_factory=dict)
    """The type's own elements, without `[x]`, by each name a client may call them:
    `valueQuantity` is a way to say `value`."""

    @property
    def is_canonical(self) -> bool:
        """Whether canonical references may mean resources of this type."""
        return "url" in self.homes and "version" in self.homes

    @property
    def has_patient(self) -> bool:
        return any(home.on_patient for home in self.homes.values())

    def intervals(self) -> Iterable[Home]:
        return (home for home in self.homes.values() if home.kind == "interval")

    def amounts(self) -> Iterable[Home]:
        return (home for home in self.homes.values() if home.kind == "amount")

    def composites(self) -> Iterable[Home]:
        """Those that have a place of their own."""
        return (
            home
            for home in self.homes.values()
            if home.kind == "composite" and not home.at_root and not home.parts
        )


Layout = Mapping[str, TypeLayout]


def load_layout(registry: Registry) -> Layout:
    """The layout of every type; SsciError (FAULT) names file, key and reason of a bad entry."""
    text = (files("app.fhir") / "spec" / "layout.toml").read_text("utf-8")
    return build_layout(registry, tomllib.loads(text))


def build_layout(registry: Registry, exceptions: Mapping[str, Any]) -> Layout:
    on_patient = _known(registry, "columns.patient", exceptions["columns"]["patient"])
    unions: Mapping[str, list[str]] = exceptions["unions"]
    _known(registry, "unions", unions)
    without_content = frozenset(exceptions["fulltext"]["without_content"])
    unlisted = sorted(without_content - set(registry.types))
    if unlisted:
        raise _defect("fulltext.without_content", f"{unlisted} are no listed resource types")
    hot = {name: HotToken(**record) for name, record in exceptions["hot"].items()}
    _known(registry, "hot", [f"{name}.{place.token}" for name, place in hot.items()])
    return {
        name: TypeLayout(
            name,
            name.lower(),
            {
                code: _home(parameter, on_patient, unions)
                for code, parameter in registry.parameters(name).items()
                if parameter.type in _KIND_OF_TYPE
            }
            | {code: _words(name, code) for code in _full_text(registry, name, without_content)},
            hot.get(name),
            _compartments(registry, name),
            _element_names(registry, name),
        )
        for name in registry.types
    }


def _full_text(registry: Registry, name: str, without_content: frozenset[str]) -> list[str]:
    """A type without narrative (Binary) has no `_text`."""
    absent = {
        NARRATIVE: "text" not in registry.elements[name],
        CONTENT: name in without_content,
    }
    return [code for code in _FULL_TEXT if not absent[code]]


def _compartments(registry: Registry, resource_type: str) -> Mapping[str, tuple[str, ...]]:
    """A compartment's own resource is in it, whatever else puts others of its type there."""
    found: dict[str, tuple[str, ...]] = {}
    for name in registry.compartments:
        codes = registry.compartment(name).get(resource_type, ())
        own = ("_id",) if name == resource_type and "_id" not in codes else ()
        if own + codes:
            found[name] = own + codes
    return found


def _words(resource_type: str, code: str) -> Home:
    """The place of a search of whole texts: it has an expression only in words."""
    parameter = SearchParameter(
        code=code,
        type="string",
        resource_type=resource_type,
        url=_FULL_TEXT[code],
        expression="",
        targets=(),
        components=(),
        many=True,
    )
    return Home(parameter, "words", code, False, (), True)


def _element_names(registry: Registry, resource_type: str) -> dict[str, str]:
    return {
        name: element.name
        for element in registry.elements[resource_type].values()
        for name in (element.name, *(element.key(kind) for kind in element.types))
    }


def _home(
    parameter: SearchParameter, on_patient: frozenset[str], unions: Mapping[str, list[str]]
) -> Home:
    key = f"{parameter.resource_type}.{parameter.code}"
    parts = tuple(unions.get(key, ()))
    is_union = parts and parameter.type != "composite"
    kind: HomeKind = "union" if is_union else _KIND_OF_TYPE[parameter.type]
    return Home(
        parameter=parameter,
        kind=_KIND_OF_CODE.get(parameter.code, kind),
        column=parameter.code.replace("-", "_").lower(),
        on_patient=key in on_patient,
        parts=parts,
        many=parameter.many,
        components=tuple(component.code for component in parameter.components),
        at_root=all(not path.steps for path in parameter.paths),
        measured=any(component.type == "quantity" for component in parameter.components),
    )


def _defect(key: str, reason: str) -> SsciError:
    return error(Category.FAULT, f"{_FILE}: {key}: {reason}")


def _known(registry: Registry, key: str, entries: Iterable[str]) -> frozenset[str]:
    for entry in entries:
        resource_type, _, code = entry.partition(".")
        if resource_type not in registry.types or code not in registry.parameters(resource_type):
            raise _defect(key, f"{entry} is not a search parameter of a listed resource type")
    return frozenset(entries)
