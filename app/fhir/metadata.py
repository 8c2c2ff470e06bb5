"""What the server can do, as a client asks it: `GET [base]/metadata`.
https://hl7.org/fhir/R4/http.html#capabilities

Like a read it takes `_summary` and `_elements`, and tells by its ETag whether anything changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from app.errors import Category, SsciError, error
from app.fhir.capability import TRIAL_USE, build_capability, build_terminology_capability
from app.fhir.codec import dump_json, parse_json
from app.fhir.exchange import Request, Response
from app.fhir.model import Json
from app.fhir.operations.terminology import EXPANSION
from app.fhir.preconditions import is_lenient
from app.fhir.queries import split_query
from app.fhir.request import parse_search
from app.fhir.summary import Tree, prune
from app.fhir.terminology import standard_resources
from app.fhir.unlisted_types import describe

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

MODES = ("full", "normative", "terminology")
SUMMARIES = ("true", "text", "data", "false")
_PARAMETERS = frozenset({"mode", "_format", "_pretty", "_summary", "_elements"})
_ALWAYS = ("resourceType", "id", "meta", "implicitRules", "implementation")
"""Beside the mandatory elements: who it is, and what a statement about an instance needs."""
_TAG = re.compile(r'(?:W/)?("[^"]*")')
_HEAD = (
    *("url", "version", "name", "title", "status", "experimental", "date", "publisher", "contact"),
    *("useContext", "jurisdiction", "kind", "software", "implementation"),
)
_IN_SUMMARY: Mapping[str, tuple[str, ...]] = {
    "CapabilityStatement": (
        *_HEAD,
        *("instantiates", "imports", "fhirVersion", "format", "patchFormat", "implementationGuide"),
        *("rest.mode", "rest.security", "rest.resource.type", "rest.resource.profile"),
        *("rest.resource.supportedProfile", "rest.resource.operation.name"),
        *("rest.resource.operation.definition", "rest.operation.name", "rest.operation.definition"),
    ),
    "TerminologyCapabilities": (*_HEAD, "copyright", "lockedDate"),
}
"""The elements that the standard keeps in a summary."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the query asks for; `elements` empty: all of them."""

    mode: str = "full"
    summary: str = "false"
    elements: tuple[str, ...] = ()


async def capabilities(app: FhirApp, request: Request) -> Response:
    """The CapabilityStatement or, as `mode=terminology`, the TerminologyCapabilities."""
    asked = parse_asked(split_query(request.query), lenient=is_lenient(request.headers))
    terminology = asked.mode == "terminology"
    statement = await (_terminology(app, request) if terminology else _statement(app, request))
    if asked.mode == "normative":
        statement = _without(statement, TRIAL_USE)
    body = cut(statement, asked)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = ((b"etag", f"W/{tag}".encode()),)
    if _is_known(request.headers.get("if-none-match", ""), tag):
        return Response(304, b"", headers)
    return Response(200, body, headers)


def parse_asked(parameters: Iterable[tuple[str, str]], *, lenient: bool = False) -> Asked:
    """400 for a parameter that is not known, or a value that it does not take."""
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in _PARAMETERS and not lenient:
            raise _refused(name, f"metadata has {', '.join(sorted(_PARAMETERS))}")
        given[name] = value
    return Asked(
        _one_of("mode", given.get("mode", "full"), MODES),
        _one_of("_summary", given.get("_summary", "false"), SUMMARIES),
        tuple(part.strip() for part in given.get("_elements", "").split(",") if part.strip()),
    )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise _refused(name, f"takes {', '.join(allowed)}")
    return value


def _refused(name: str, text: str) -> SsciError:
    return error(Category.INCORRECT, f"{name[:64]}: {text}", expression=f"http.{name[:64]}")


def _is_known(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in _TAG.findall(header)


# ---- the two statements


async def _statement(app: FhirApp, request: Request) -> Json:
    return build_capability(
        app.registry,
        app.layout,
        request.base_url,
        app.settings.software_version,
        app.started,
        app.settings.conditional_delete,
        await _profiles(app, request),
        app.operations,
    )


async def _profiles(app: FhirApp, request: Request) -> Mapping[str, list[str]]:
    """By type, the profiles that are held and not retired."""
    criteria = [("derivation", "constraint"), ("kind", "resource"), ("status:not", "retired")]
    found: dict[str, set[str]] = {}
    for each in await _stored(app, request, "StructureDefinition", criteria):
        found.setdefault(each["type"], set()).add(each["url"])
    return {resource_type: sorted(urls) for resource_type, urls in found.items()}


async def _terminology(app: FhirApp, request: Request) -> Json:
    systems = await _stored(app, request, "CodeSystem", [("status:not", "retired")])
    urls = {each["url"] for each in systems if "url" in each}
    standard = (
        resource
        for (kind, url), resource in standard_resources(app.registry).items()
        if kind == "CodeSystem" and url not in urls
    )
    return build_terminology_capability(
        [*systems, *standard],
        EXPANSION,
        request.base_url,
        app.settings.software_version,
        app.started,
    )


async def _stored(
    app: FhirApp, request: Request, resource_type: str, criteria: list[tuple[str, str]]
) -> list[Json]:
    search = parse_search(app.reading(request), resource_type, [*criteria, ("_count", "1000")])
    return [parse_json(each.body) async for each in app.store.search_all(request.caller, search)]


# ---- parts of a statement


def cut(statement: Json, asked: Asked) -> bytes:
    """What `_summary` and `_elements` leave of it, tagged if that is not all."""
    if asked.summary == "false" and not asked.elements:
        return dump_json(statement)
    resource_type = statement["resourceType"]
    known = describe_elements(resource_type)
    for name in asked.elements:
        if name not in known:
            raise _refused("_elements", f"{resource_type} has no element '{name[:64]}'")
    wanted = {*(asked.elements or known), *_required(resource_type)}
    kept = {name: tree for name, tree in _shown(resource_type, asked.summary) if name in wanted}
    return prune(statement, kept)


@lru_cache(maxsize=4)
def describe_elements(resource_type: str) -> Mapping[str, bool]:
    """The elements at the top of the type, and whether each must be there."""
    return {name: each.required for name, each in describe(resource_type)[resource_type].items()}


def _required(resource_type: str) -> set[str]:
    elements = describe_elements(resource_type).items()
    return {*_ALWAYS, *(name for name, required in elements if required)}


def _shown(resource_type: str, summary: str) -> Iterable[tuple[str, Tree | None]]:
    """The elements that `_summary` keeps, with what it keeps of each."""
    if summary == "true":
        return _tree({*_required(resource_type), *_IN_SUMMARY[resource_type]}).items()
    names = {*_required(resource_type), *describe_elements(resource_type)}
    if summary == "text":
        names = {*_required(resource_type), "text"}
    return ((name, None) for name in names if summary != "data" or name != "text")


def _tree(paths: Iterable[str]) -> Tree:
    """Dotted paths as a tree: what a path ends in stays whole."""
    tree: dict[str, Tree | None] = {}
    below: dict[str, list[str]] = {}
    for path in paths:
        head, _, rest = path.partition(".")
        if rest:
            below.setdefault(head, []).append(rest)
        else:
            tree[head] = None
    return tree | {head: _tree(rests) for head, rests in below.items()}


def _without(statement: Json, paths: Iterable[str]) -> Json:
    """The statement less the elements at these dotted paths."""
    for path in paths:
        statement = _less(statement, path.split("."))
    return statement


def _less(node: Json, path: list[str]) -> Json:
    head, *rest = path
    if head not in node:
        return node
    if not rest:
        return {name: value for name, value in node.items() if name != head}
    value = node[head]
    held = [_less(each, rest) for each in value] if isinstance(value, list) else _less(value, rest)
    return node | {head: held}
