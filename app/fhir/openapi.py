"""The FHIR paths in the OpenAPI document, derived from the registry and the layout.
https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.fhir import operations
from app.fhir.binary import BINARY
from app.fhir.including import MAX_INCLUDED
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.media import ADVERTISED
from app.fhir.metadata import MODES, SUMMARIES
from app.fhir.operations import Operation
from app.fhir.parameters import SPECIAL, modifiers_of
from app.fhir.patch import PATCH_FORMATS
from app.fhir.registry import Registry
from app.fhir.request import DEFAULT_COUNT, MAX_COUNT

MEDIA_TYPE = "application/fhir+json"
MEDIA_TYPES = tuple(name for name in ADVERTISED if "/" in name)
"""The media type of each format that answers carry."""

Paths = dict[str, dict[str, Any]]

_FORMS: Mapping[str, str] = {
    "token": "`code`, `system|code`, `|code`, `system|`",
    "reference": "`Type/id`, `id`, or an absolute address",
    "date": "`[prefix]YYYY[-MM[-DD[Thh:mm[:ss][zone]]]]`; prefixes eq ne gt lt ge le sa eb ap",
    "quantity": "`[prefix]number[|system|code]`; prefixes eq ne gt lt ge le sa eb ap",
    "number": "`[prefix]number`; prefixes eq ne gt lt ge le sa eb ap",
    "string": "begins with, without regard to case and accents",
    "uri": "the exact address",
    "composite": "one value per component, `$` between them",
}
_WORDS = "words that must all be there, `word*` for how one begins"


def describe_fhir(document: dict[str, Any], registry: Registry, layout: Layout) -> dict[str, Any]:
    """`document` with the FHIR API's paths and schemas added."""
    paths: Paths = {
        "/fhir/metadata": {
            "get": _operation(
                "What the server can do", "server", _METADATA, _bodies("CapabilityStatement")
            )
        },
        "/fhir": {"get": _system_search(), "post": _transaction()},
        "/fhir/_search": {"post": _form_search("server", "Search several types")},
        "/fhir/_history": {
            "get": _operation("History of everything", "server", _HISTORY, _bodies("Bundle"))
        },
    }
    for name in registry.types:
        paths |= _type_paths(layout[name])
    for name in registry.compartments:
        paths |= _compartment_paths(name)
    for operation in operations.OPERATIONS:
        paths |= _operation_paths(operation, registry)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {name: _schema(name) for name in _schema_names(registry)}
    return document | {"paths": document.get("paths", {}) | paths}


def _schema_names(registry: Registry) -> Iterator[str]:
    yield from registry.types
    yield from ("Bundle", "CapabilityStatement", "OperationOutcome", "Parameters")


def _schema(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "title": name,
        "required": ["resourceType"],
        "properties": {"resourceType": {"const": name}},
        "additionalProperties": True,
        "externalDocs": {"url": f"https://hl7.org/fhir/R4/{name.lower()}.html"},
    }


def _type_paths(place: TypeLayout) -> Paths:
    name = place.resource_type
    id = {"name": "id", "in": "path", "required": True, "schema": _ID}
    version = {"name": "vid", "in": "path", "required": True, "schema": {"type": "integer"}}
    if_match = _header("If-Match", 'The version to replace, W/"1": 412 if it is not current')
    body = {"requestBody": {"required": True, "content": _content(name)}}
    search = [_parameter(home) for _, home in sorted(place.homes.items())]
    search += _special() + _RESULT_PARAMETERS
    patch = {"requestBody": {"required": True, "content": _patches()}}
    removed = {"204": {"description": "Deleted"}}
    written = _bodies(name) | {"201": _response("Created", name)}
    return {
        f"/fhir/{name}": {
            "get": _operation(f"Search {name}", name, search, _bodies("Bundle")),
            "post": _operation(f"Create {name}", name, [_IF_NONE_EXIST, _PREFER], written) | body,
            "put": _operation(f"Update the {name} that matches", name, [_PREFER], written) | body,
            "patch": _operation(f"Patch the {name} that matches", name, [_PREFER], written) | patch,
            "delete": _operation(f"Delete the {name} that matches", name, [], removed),
        },
        f"/fhir/{name}/_search": {"post": _form_search(name, f"Search {name}")},
        f"/fhir/{name}/_history": {
            "get": _operation(f"History of all {name}", name, _HISTORY, _bodies("Bundle"))
        },
        f"/fhir/{name}/{{id}}": {
            "get": _operation(f"Read {name}", name, [id, *_CONDITIONS], _bodies(name)),
            "put": _operation(f"Update {name}", name, [id, if_match, _PREFER], written) | body,
            "patch": _operation(f"Patch {name}", name, [id, if_match, _PREFER], written) | patch,
            "delete": _operation(f"Delete {name}", name, [id, if_match], removed),
        },
        f"/fhir/{name}/{{id}}/_history": {
            "get": _operation(f"History of one {name}", name, [id, *_HISTORY], _bodies("Bundle"))
        },
        f"/fhir/{name}/{{id}}/_history/{{vid}}": {
            "get": _operation(f"Read a version of {name}", name, [id, version], _bodies(name))
        },
    }


def _compartment_paths(name: str) -> Paths:
    id = {"name": "id", "in": "path", "required": True, "schema": _ID}
    kind = _path("type", "A resource type, or `*`: all that are in the compartment")
    summary = f"Search the compartment of one {name}"
    return {
        f"/fhir/{name}/{{id}}/{{type}}": {
            "get": _operation(summary, name, [id, kind, *_RESULT_PARAMETERS], _bodies("Bundle"))
        }
    }


def _operation_paths(operation: Operation, registry: Registry) -> Paths:
    """https://hl7.org/fhir/R4/operations.html"""
    types = [name for name in registry.types if name in operation.resource_types]
    owners = types or ["{type}"]
    addresses: dict[str, str] = {}
    if "system" in operation.levels:
        addresses[f"/fhir/${operation.name}"] = "server"
    for owner in owners:
        tag = owner if types else "server"
        if "type" in operation.levels:
            addresses[f"/fhir/{owner}/${operation.name}"] = tag
        if "instance" in operation.levels:
            addresses[f"/fhir/{owner}/{{id}}/${operation.name}"] = tag
    return {
        address: {
            method.lower(): _operation(
                f"${operation.name}", tag, _path_parameters(address), _bodies("Parameters")
            )
            for method in operation.methods
        }
        for address, tag in addresses.items()
    }


def _path_parameters(address: str) -> list[dict[str, Any]]:
    id = {"name": "id", "in": "path", "required": True, "schema": _ID}
    held = [_path("type", "A resource type")] if "{type}" in address else []
    return [*held, id] if "{id}" in address else held


def _path(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
    }


def _system_search() -> dict[str, Any]:
    types = _query("_type", "The types to search, separated by commas; default: all")
    parameters = [types, *_special(), *_RESULT_PARAMETERS]
    return _operation("Search several types", "server", parameters, _bodies("Bundle"))


def _patches() -> dict[str, Any]:
    return {kind: {"schema": {}} for kind in PATCH_FORMATS}


def _special() -> list[dict[str, Any]]:
    return [_query(name, f"{each.form}: {each.documentation}") for name, each in SPECIAL.items()]


def _query(name: str, description: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": dict(schema or {"type": "string"}),
    }


def _form_search(tag: str, summary: str) -> dict[str, Any]:
    form = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
    return _operation(f"{summary}, parameters in a form", tag, [], _bodies("Bundle")) | {
        "requestBody": {"content": form}
    }


def _transaction() -> dict[str, Any]:
    example = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": {"resourceType": "Organization", "id": "a", "name": "Ward 1"},
                "request": {"method": "PUT", "url": "Organization/a"},
            }
        ],
    }
    content = {MEDIA_TYPE: {"schema": _ref("Bundle"), "example": example}}
    return _operation(
        "Carry out a transaction or batch Bundle", "server", [], _bodies("Bundle")
    ) | {"requestBody": {"required": True, "content": content}}


def _operation(
    summary: str, tag: str, parameters: list[dict[str, Any]], responses: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "tags": [f"FHIR {tag}"],
        "responses": responses | {"4XX": _response("Refused, with what and why", _OUTCOME)},
    }
    if parameters:
        operation["parameters"] = parameters
    return operation


def _bodies(schema: str) -> dict[str, Any]:
    return {"200": _response("OK", schema)}


def _response(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": _content(schema)}


def _content(schema: str) -> dict[str, Any]:
    content = {name: {"schema": _ref(schema)} for name in MEDIA_TYPES}
    return content | {"*/*": _RAW} if schema == BINARY else content


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameter(home: Home) -> dict[str, Any]:
    parameter = home.parameter
    form = _FORMS["date" if home.kind == "last_updated" else parameter.type]
    if home.kind == "words":
        form = _WORDS
    names = [f":{modifier}" for modifier in sorted(modifiers_of(home))]
    if parameter.type == "reference":
        names.append(":[type]")
    modifiers = f"; {', '.join(names)}" if names else ""
    return _query(parameter.code, f"{parameter.type}: {form}{modifiers}")


def _header(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string"},
    }


_OUTCOME = "OperationOutcome"
_RAW = {"schema": {"description": "The content itself, in its own media type"}}
_ID = {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
_PREFER = _header("Prefer", "return=minimal, return=representation or return=OperationOutcome")
_IF_NONE_EXIST = _header("If-None-Exist", "Criteria of a search: created only if nothing matches")
_CONDITIONS = [
    _header("If-None-Match", '304 if this is the current version, W/"1"'),
    _header("If-Modified-Since", "304 if it has not changed since"),
]
_COUNT = _query(
    "_count",
    f"Matches per page, at most {MAX_COUNT}; 0: only their number",
    {"type": "integer", "minimum": 0, "default": DEFAULT_COUNT},
)
_METADATA = [
    _query(
        "mode",
        "normative: without what is for trial use; terminology: the TerminologyCapabilities",
        {"type": "string", "enum": list(MODES), "default": "full"},
    ),
    _query(
        "_summary",
        "Less of the statement, or only its text",
        {"type": "string", "enum": list(SUMMARIES), "default": "false"},
    ),
    _query("_elements", "The top-level elements to show, separated by commas"),
]
_HISTORY = [
    _query("_since", "Versions written at or after this instant"),
    _query("_at", "Versions current at some time in this period"),
    _query("_before", "Versions written before this instant"),
    _COUNT,
]
_INCLUDED = f"at most {MAX_INCLUDED} resources per page; also `:iterate`"
_RESULT_PARAMETERS: list[dict[str, Any]] = [
    _COUNT,
    _query("_sort", "Search parameters, separated by commas; '-' before one: descending"),
    _query("_include", f"`Type:parameter[:Target]` or `*`: what matches refer to; {_INCLUDED}"),
    _query("_revinclude", f"`Type:parameter[:Target]` or `*`: what refers to them; {_INCLUDED}"),
    _query("_total", "Whether to count the matches", {"enum": ["none", "estimate", "accurate"]}),
    _query(
        "_summary",
        "A part of each resource, or only the number of matches",
        {"enum": ["true", "text", "data", "count", "false"]},
    ),
    _query("_elements", "Names of top-level elements, separated by commas"),
]
