"""Where each search parameter lives in the type's table: a record, not a branch.

The rule by parameter type and the exceptions are in `spec/layout.toml`. Tables, index values and
SQL are all derived from the records made here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from app.errors import Category, error
from app.fhir.registry import Registry, SearchParameter

_FILE = "app/fhir/spec/layout.toml"

HomeKind = Literal["id", "last_updated", "tokens", "strings", "interval", "amount", "union"]

_KIND_OF_TYPE: Mapping[str, HomeKind] = {
    "token": "tokens",
    "reference": "tokens",
    "uri": "tokens",
    "string": "strings",
    "date": "interval",
    "number": "amount",
    "quantity": "amount",
}
_KIND_OF_CODE: Mapping[str, HomeKind] = {"_id": "id", "_lastUpdated": "last_updated"}


@dataclass(frozen=True, slots=True)
class Home:
    """One search parameter and its place.

    `column` is the prefix of its columns (interval, amount); `on_patient` says that a search for a
    Patient runs on the column `patient`; `parts` are the parameters a union consists of; `many`
    says that one resource may have several values.
    """

    parameter: SearchParameter
    kind: HomeKind
    column: str
    on_patient: bool
    parts: tuple[str, ...]
    many: bool


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

    @property
    def has_patient(self) -> bool:
        return any(home.on_patient for home in self.homes.values())

    def intervals(self) -> Iterable[Home]:
        return (home for home in self.homes.values() if home.kind == "interval")

    def amounts(self) -> Iterable[Home]:
        return (home for home in self.homes.values() if home.kind == "amount")


Layout = Mapping[str, TypeLayout]


def load_layout(registry: Registry) -> Layout:
    """The layout of every type; SsciError (FAULT) names file, key and reason of a bad entry."""
    text = (files("app.fhir") / "spec" / "layout.toml").read_text("utf-8")
    return build_layout(registry, tomllib.loads(text))


def build_layout(registry: Registry, exceptions: Mapping[str, Any]) -> Layout:
    on_patient = _known(registry, "columns.patient", exceptions["columns"]["patient"])
    unions: Mapping[str, list[str]] = exceptions["unions"]
    _known(registry, "unions", unions)
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
            },
            hot.get(name),
        )
        for name in registry.types
    }


def _home(
    parameter: SearchParameter, on_patient: frozenset[str], unions: Mapping[str, list[str]]
) -> Home:
    key = f"{parameter.resource_type}.{parameter.code}"
    parts = tuple(unions.get(key, ()))
    kind: HomeKind = "union" if parts else _KIND_OF_TYPE[parameter.type]
    return Home(
        parameter=parameter,
        kind=_KIND_OF_CODE.get(parameter.code, kind),
        column=parameter.code.replace("-", "_").lower(),
        on_patient=key in on_patient,
        parts=parts,
        many=parameter.many,
    )


def _known(registry: Registry, key: str, entries: Iterable[str]) -> frozenset[str]:
    for entry in entries:
        resource_type, _, code = entry.partition(".")
        if resource_type not in registry.types or code not in registry.parameters(resource_type):
            raise error(
                Category.FAULT,
                f"{_FILE}: {key}: {entry} is not a search parameter of a listed resource type",
            )
    return frozenset(entries)
