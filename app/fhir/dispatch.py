"""The table of interactions: which method at which kind of address does what.
https://hl7.org/fhir/R4/http.html · https://hl7.org/fhir/R4/valueset-system-restful-interaction.html
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from app.errors import Category, SsciError, error

Level = Literal["system", "type"]
"""Where the CapabilityStatement lists it."""

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Route:
    """`shape` of the address, HTTP method, name of the interaction, and the code by which the
    CapabilityStatement knows it (None: not by a code of its own)."""

    shape: str
    method: str
    name: str
    code: str | None = None
    level: Level = "type"


ANY_TYPE = "Resource"
"""In the place of a type in the address of an operation: whichever type it is."""

OPERATION = "operation"
BUNDLE = "bundle"

ROUTES: tuple[Route, ...] = (
    Route("metadata", "GET", "capabilities"),
    Route("", "POST", BUNDLE, "transaction", "system"),
    Route("", "GET", "search-system", "search-system", "system"),
    Route("_search", "POST", "search-system-form"),
    Route("_history", "GET", "history-system", "history-system", "system"),
    Route("type/id", "GET", "read", "read"),
    Route("type/id/_history/version", "GET", "vread", "vread"),
    Route("type/id", "PUT", "update", "update"),
    Route("type", "PUT", "conditional-update"),
    Route("type/id", "PATCH", "patch", "patch"),
    Route("type", "PATCH", "conditional-patch"),
    Route("type/id", "DELETE", "delete", "delete"),
    Route("type", "DELETE", "conditional-delete"),
    Route("type/id/_history", "GET", "history-instance", "history-instance"),
    Route("type/_history", "GET", "history-type", "history-type"),
    Route("type", "POST", "create", "create"),
    Route("type", "GET", "search-type", "search-type"),
    Route("type/_search", "POST", "search-type-form"),
    Route("type/id/compartment", "GET", "search-compartment"),
    Route("type/id/compartment/_search", "POST", "search-compartment-form"),
)

TYPE_INTERACTIONS = tuple(r.code for r in ROUTES if r.code and r.level == "type")
SYSTEM_INTERACTIONS = ("batch", *(r.code for r in ROUTES if r.code and r.level == "system"))
"""A Bundle of type batch comes to the same address as a transaction."""


_METHODS: Mapping[str, Mapping[str, Route]] = MappingProxyType(
    {
        shape: {route.method: route for route in ROUTES if route.shape == shape}
        for shape in {route.shape for route in ROUTES}
    }
)


def find_route(method: str, path: tuple[str, ...], types: Container[str]) -> str:
    """The name of the interaction; 404 or 405 where there is none."""
    shape = shape_of(path)
    _check_type(path, shape, types)
    if shape.endswith("$"):
        return OPERATION
    routes = _routes_at(path, shape)
    route = routes.get(method)
    if route is None:
        raise wrong_method(method, allowed(routes))
    return route.name


def methods_at(path: tuple[str, ...], types: Container[str]) -> tuple[str, ...]:
    """What can be asked at an address, nothing at an operation's; 404 where there is none."""
    shape = shape_of(path)
    _check_type(path, shape, types)
    return () if shape.endswith("$") else allowed(_routes_at(path, shape))


def allowed(methods: Iterable[str]) -> tuple[str, ...]:
    """With what goes without saying: HEAD where there is GET, and OPTIONS."""
    known = {*methods, "OPTIONS"}
    return tuple(sorted(known | {"HEAD"} if "GET" in known else known))


def wrong_method(method: str, possible: Sequence[str]) -> SsciError:
    told = ", ".join(possible)
    text = f"{method[:32]} is not possible here; possible: {told}"
    return error(Category.UNSUPPORTED, text, status=405, headers={"Allow": told})


def _routes_at(path: tuple[str, ...], shape: str) -> Mapping[str, Route]:
    routes = _METHODS.get(shape)
    if routes is None:
        raise error(Category.NOT_FOUND, f"there is no such address: /{'/'.join(path)[:200]}")
    return routes


def shape_of(path: tuple[str, ...]) -> str:
    """The kind of an address: `type/id/_history/version`, `type/id/compartment`, `type/$` …"""
    if not path or path[0] in ("metadata", "_history", "_search"):
        return "/".join(path)
    parts = ["type", "id", "compartment", "", ""]
    if path[2:3] == ("_history",):
        parts[3] = "version"
    shape = [
        "$" if part.startswith("$") else part if part.startswith("_") or not name else name
        for name, part in zip(parts, path, strict=False)
    ]
    return "/".join([*shape, *path[5:]])


def _check_type(path: tuple[str, ...], shape: str, types: Container[str]) -> None:
    if not shape.startswith("type") or (shape == "type/$" and path[0] == ANY_TYPE):
        return
    if path[0] not in types:
        raise error(
            Category.NOT_FOUND,
            f"'{path[0][:64]}' is no resource type of this server; see /metadata",
            code="not-supported",
        )
    if shape.startswith("type/id") and not ID.fullmatch(path[1]):
        raise error(
            Category.INCORRECT,
            "an id has 1 to 64 characters of A-Z, a-z, 0-9, '-' and '.'",
            expression=f"{path[0]}.id",
            code="value",
        )
