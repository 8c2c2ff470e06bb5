"""The FHIR paths in the OpenAPI document, derived from the registry and the layout.
https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.registry import Registry
from app.fhir.request import DEFAULT_COUNT, MAX_COUNT, modifiers_of

MEDIA_TYPE = "application/fhir+json"
Paths = dict[str, dict[str, Any]]

_FORMS: Mapping[str, str] = {
    "token": "`code`, `system|code`, `|code`, `system|`",
    "reference": "`Type/id`, `id`, or an absolute address",
    "date": "`[prefix]YYYY[-MM[-DD[Thh:mm[:ss][zone]]]]`; prefixes eq ne gt lt ge le sa eb ap",
    "quantity": "`[prefix]number[|system|code]`; prefixes eq ne gt lt ge le sa eb ap",
    "number": "`[prefix]number`; prefixes eq ne gt lt ge le sa eb ap",
    "string": "begins with, without regard to case and accents",
    "uri": "the exact address",
}


def describe_fhir(document: dict[str, Any], registry: Registry, layout: Layout) -> dict[str, Any]:
    """`document` with the FHIR API's paths and schemas added."""
    paths: Paths = {
        "/fhir/metadata": {
            "get": _operation("CapabilityStatement", "server", [], _bodies("CapabilityStatement"))
        },
        "/fhir": {"post": _transaction()},
    }
    for name in registry.types:
        paths |= _type_paths(layout[name])
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {name: _schema(name) for name in _schema_names(registry)}
    return document | {"paths": document.get("paths", {}) | paths}


def _schema_names(registry: Registry) -> Iterator[str]:
    yield from registry.types
    yield from ("Bundle", "CapabilityStatement", "OperationOutcome")


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
    search = [_parameter(home) for _, home in sorted(place.homes.items())] + _RESULT_PARAMETERS
    written = _bodies(name) | {"201": _response("Created", name)}
    return {
        f"/fhir/{name}": {
            "get": _operation(f"Search {name}", name, search, _bodies("Bundle")),
            "post": _operation(f"Create {name}", name, [_PREFER], written) | body,
        },
        f"/fhir/{name}/_search": {"post": _form_search(name)},
        f"/fhir/{name}/{{id}}": {
            "get": _operation(f"Read {name}", name, [id], _bodies(name)),
            "put": _operation(f"Update {name}", name, [id, if_match, _PREFER], written) | body,
            "delete": _operation(
                f"Delete {name}", name, [id, if_match], {"204": {"description": "Deleted"}}
            ),
        },
        f"/fhir/{name}/{{id}}/_history": {
            "get": _operation(f"History of one {name}", name, [id], _bodies("Bundle"))
        },
        f"/fhir/{name}/{{id}}/_history/{{vid}}": {
            "get": _operation(f"Read a version of {name}", name, [id, version], _bodies(name))
        },
    }


def _form_search(name: str) -> dict[str, Any]:
    form = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
    return _operation(f"Search {name}, parameters in a form", name, [], _bodies("Bundle")) | {
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
    return _operation("Carry out a transaction Bundle", "server", [], _bodies("Bundle")) | {
        "requestBody": {"required": True, "content": content}
    }


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
    return {MEDIA_TYPE: {"schema": _ref(schema)}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameter(home: Home) -> dict[str, Any]:
    parameter = home.parameter
    form = _FORMS["date" if home.kind == "last_updated" else parameter.type]
    modifiers = ", ".join(f":{modifier}" for modifier in sorted(modifiers_of(home)))
    return {
        "name": parameter.code,
        "in": "query",
        "description": f"{parameter.type}: {form}" + (f"; {modifiers}" if modifiers else ""),
        "schema": {"type": "string"},
    }


def _header(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string"},
    }


_OUTCOME = "OperationOutcome"
_ID = {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
_PREFER = _header("Prefer", "return=minimal, return=representation or return=OperationOutcome")
_RESULT_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "_count",
        "in": "query",
        "description": f"Matches per page, at most {MAX_COUNT}",
        "schema": {"type": "integer", "minimum": 1, "default": DEFAULT_COUNT},
    },
    {
        "name": "_sort",
        "in": "query",
        "description": "Search parameters, separated by commas; '-' before one: descending",
        "schema": {"type": "string"},
    },
    {
        "name": "_include",
        "in": "query",
        "description": "`Type:parameter[:Target]`: bring what the matches refer to",
        "schema": {"type": "string"},
    },
]
