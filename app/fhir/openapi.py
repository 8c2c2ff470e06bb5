"""The FHIR paths in the OpenAPI document, derived from the registry and the layout, and how every
address refuses. https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.fhir import operations
from app.fhir.binary import BINARY
from app.fhir.layout import Layout, TypeLayout
from app.fhir.media import ADVERTISED
from app.fhir.openapi_parameters import (
    CONDITIONS,
    HISTORY,
    ID,
    IF_MATCH,
    IF_NONE_EXIST,
    METADATA,
    PREFER,
    RESULT,
    TYPES,
    VALUES,
    VERSION,
    Parameter,
    Schema,
    asked_parameter,
    criteria,
    criteria_schema,
    form_schema,
    one_of_types,
    result_schema,
    search_parameters,
    special_parameters,
    special_schema,
)
from app.fhir.operations import Level, Operation
from app.fhir.patch import JSON_PATCH, MERGE_PATCH, PATCH_FORMATS
from app.fhir.registry import Registry

MEDIA_TYPE = "application/fhir+json"
MEDIA_TYPES = tuple(name for name in ADVERTISED if "/" in name)
"""The media type of each format that answers carry."""

Paths = dict[str, dict[str, Any]]
Responses = dict[str, Any]

_OUTCOME = "OperationOutcome"


def describe_fhir(
    document: dict[str, Any],
    registry: Registry,
    layout: Layout,
    others: Sequence[Operation] = (),
) -> dict[str, Any]:
    """`document` with the FHIR API's paths and schemas added, and everywhere how it refuses.
    `others` are operations beside the server's own."""
    paths: Paths = {
        "/fhir/metadata": {
            "get": _operation(
                "What the server can do",
                "server",
                METADATA,
                _bodies("CapabilityStatement", "TerminologyCapabilities"),
            )
        },
        "/fhir": {"get": _system_search(), "post": _transaction()},
        "/fhir/_search": {
            "post": _form_search("server", "Search several types", _form("SpecialCriteria"))
        },
        "/fhir/_history": {
            "get": _operation("History of everything", "server", HISTORY, _bodies("Bundle"))
        },
    }
    for name in registry.types:
        paths |= _type_paths(layout[name])
    for name in registry.compartments:
        paths |= _compartment_paths(name, layout)
    for operation in (*operations.OPERATIONS, *others):
        paths |= _operation_paths(operation, registry, layout)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {name: _schema(name) for name in _schema_names(registry)}
    schemas |= {_criteria_name(name): criteria_schema(layout[name]) for name in registry.types}
    schemas |= {"SpecialCriteria": special_schema(), "SearchResult": result_schema(), **VALUES}
    document["components"]["responses"] = _REFUSALS
    own = document.get("paths", {})
    for each in own.values():
        for operation_here in each.values():
            _tell_refusals(operation_here["responses"])
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    return document | {"paths": own | paths}


def _tell_refusals(responses: Responses) -> None:
    """Refusals of the other addresses are outcomes as well, whatever their routes declare; FastAPI
    declares a 422 of its own, which is never answered."""
    declared = {status: each for status, each in responses.items() if status[0] in "45"}
    for status, response in declared.items():
        content = response.get("content", {})
        if _is_of_the_framework(content):
            del responses[status]
            continue
        kept = {name: held for name, held in content.items() if name != "application/json"}
        response["content"] = kept | {MEDIA_TYPE: {"schema": _ref(_OUTCOME)}}
    told = {MEDIA_TYPE: {"schema": _ref(_OUTCOME)}}
    responses.setdefault("4XX", {"description": "Refused, with what and why", "content": told})
    responses.setdefault("5XX", {"description": "Failed; 503: try again", "content": told})


def _is_of_the_framework(content: dict[str, Any]) -> bool:
    schema = content.get("application/json", {}).get("schema", {})
    return bool(schema.get("$ref", "").endswith("/HTTPValidationError"))


def _schema_names(registry: Registry) -> Iterator[str]:
    yield from registry.types
    yield from ("Bundle", "CapabilityStatement", "TerminologyCapabilities", _OUTCOME, "Parameters")


def _schema(name: str) -> Schema:
    return {
        "type": "object",
        "title": name,
        "required": ["resourceType"],
        "properties": {"resourceType": {"const": name}},
        "additionalProperties": True,
        "externalDocs": {"url": f"https://hl7.org/fhir/R4/{name.lower()}.html"},
    }


def _form(criteria_name: str) -> Schema:
    return form_schema(_ref(criteria_name), _ref("SearchResult"))


def _criteria_name(name: str) -> str:
    return f"{name}Criteria"


def _type_paths(place: TypeLayout) -> Paths:
    name = place.resource_type
    body = {"requestBody": {"required": True, "content": _content(name)}}
    search = [*search_parameters(place), *RESULT]
    matching = [criteria(_ref(_criteria_name(name))), PREFER]
    patch = {"requestBody": {"required": True, "content": _patches()}}
    written = _written(name)
    created = written | {"201": _response("Created", name, _OUTCOME)}
    removed = {"204": {"description": "Deleted"}} | _bodies(_OUTCOME)
    version = _bodies(name) | _NOT_MODIFIED
    form = _form(_criteria_name(name))
    return {
        f"/fhir/{name}": {
            "get": _operation(f"Search {name}", name, search, _bodies("Bundle")),
            "post": _operation(f"Create {name}", name, [IF_NONE_EXIST, PREFER], created) | body,
            "put": _operation(f"Update the {name} that matches", name, matching, created) | body,
            "patch": _operation(f"Patch the {name} that matches", name, matching, written) | patch,
            "delete": _operation(f"Delete the {name} that matches", name, matching, removed),
        },
        f"/fhir/{name}/_search": {"post": _form_search(name, f"Search {name}", form)},
        f"/fhir/{name}/_history": {
            "get": _operation(f"History of all {name}", name, HISTORY, _bodies("Bundle"))
        },
        f"/fhir/{name}/{{id}}": {
            "get": _operation(f"Read {name}", name, [ID, *CONDITIONS], version),
            "put": _operation(f"Update {name}", name, [ID, IF_MATCH, PREFER], created) | body,
            "patch": _operation(f"Patch {name}", name, [ID, IF_MATCH, PREFER], written) | patch,
            "delete": _operation(f"Delete {name}", name, [ID, IF_MATCH, PREFER], removed),
        },
        f"/fhir/{name}/{{id}}/_history": {
            "get": _operation(f"History of one {name}", name, [ID, *HISTORY], _bodies("Bundle"))
        },
        f"/fhir/{name}/{{id}}/_history/{{vid}}": {
            "get": _operation(
                f"Read a version of {name}", name, [ID, VERSION, *CONDITIONS], version
            )
        },
    }


def _compartment_paths(name: str, layout: Layout) -> Paths:
    members = [each for each, place in layout.items() if name in place.compartments]
    kind = one_of_types([*members, "*"], "A resource type, or `*`: all that are in the compartment")
    summary = f"Search the compartment of one {name}"
    address = f"/fhir/{name}/{{id}}/{{type}}"
    form = _form("SpecialCriteria")
    return {
        address: {"get": _operation(summary, name, [ID, kind, *RESULT], _bodies("Bundle"))},
        f"{address}/_search": {"post": _form_search(name, summary, form, [ID, kind])},
    }


def _operation_paths(operation: Operation, registry: Registry, layout: Layout) -> Paths:
    """https://hl7.org/fhir/R4/operations.html"""
    types = [name for name in registry.types if name in operation.resource_types]
    owners = types or ["{type}"]
    kind = [] if types else [one_of_types(registry.types)]
    found: Paths = {}
    if "system" in operation.levels:
        found[f"/fhir/${operation.name}"] = _calls(operation, "server", "system", [])
    for owner in owners:
        tag = owner if types else "server"
        search = search_parameters(layout[owner]) if operation.is_search else []
        if "type" in operation.levels:
            address = f"/fhir/{owner}/${operation.name}"
            found[address] = _calls(operation, tag, "type", kind, search)
        if "instance" in operation.levels:
            address = f"/fhir/{owner}/{{id}}/${operation.name}"
            found[address] = _calls(operation, tag, "instance", [*kind, ID], search)
    return found


def _calls(
    operation: Operation,
    tag: str,
    level: Level,
    place: list[Parameter],
    search: Sequence[Parameter] = (),
) -> dict[str, Any]:
    """GET with the parameters that fit into a query string, POST with all in a body."""
    summary, answers = f"${operation.name}", _bodies(operation.answers)
    asked = [asked_parameter(each, level) for each in operation.asked if level not in each.not_at]
    body = {"required": operation.affects_state, "content": _content("Parameters")}
    calls = {
        "get": _operation(summary, tag, [*place, *asked, *search], answers),
        "post": _operation(summary, tag, place, answers) | {"requestBody": body},
    }
    return {method.lower(): calls[method.lower()] for method in operation.methods}


def _system_search() -> dict[str, Any]:
    parameters = [TYPES, *special_parameters(), *RESULT]
    return _operation("Search several types", "server", parameters, _bodies("Bundle"))


def _patches() -> dict[str, Any]:
    return {kind: {"schema": _PATCHES.get(kind, _ref("Parameters"))} for kind in PATCH_FORMATS}


def _form_search(
    tag: str, summary: str, schema: Schema, parameters: list[Parameter] | None = None
) -> dict[str, Any]:
    form = {"application/x-www-form-urlencoded": {"schema": schema}}
    told = f"{summary}, parameters in a form"
    return _operation(told, tag, parameters or [], _bodies("Bundle")) | {
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
    content = _content("Bundle")
    content[MEDIA_TYPE] = content[MEDIA_TYPE] | {"example": example}
    return _operation(
        "Carry out a transaction or batch Bundle", "server", [PREFER], _bodies("Bundle")
    ) | {"requestBody": {"required": True, "content": content}}


def _operation(
    summary: str, tag: str, parameters: list[Parameter], responses: Responses
) -> dict[str, Any]:
    refusals = {
        status: {"$ref": f"#/components/responses/{name}"} for status, name in _REFUSED.items()
    }
    operation: dict[str, Any] = {
        "summary": summary,
        "tags": [f"FHIR {tag}"],
        "responses": responses | refusals,
    }
    if parameters:
        operation["parameters"] = parameters
    return operation


def _bodies(*names: str) -> Responses:
    return {"200": _response("OK", *names)}


def _written(name: str) -> Responses:
    """The resource, an outcome, or nothing: as `Prefer` has it."""
    return _bodies(name, _OUTCOME)


def _response(description: str, *names: str) -> dict[str, Any]:
    return {"description": description, "content": _content(*names)}


def _content(*names: str) -> dict[str, Any]:
    schema = _ref(names[0]) if len(names) == 1 else {"anyOf": [_ref(name) for name in names]}
    content = {name: {"schema": schema} for name in MEDIA_TYPES}
    return content | {"*/*": _RAW} if names == (BINARY,) else content


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json_patch_step(needed: str, *names: str) -> Schema:
    pointer = {"type": "string", "pattern": "^(/([^~/]|~[01])*)*$"}
    return {
        "type": "object",
        "required": sorted({"op", "path", needed}),
        "properties": {"op": {"enum": list(names)}, "path": pointer, "from": pointer, "value": {}},
    }


_REFUSED = {"4XX": "Refused", "5XX": "Failed"}
_REFUSALS: Responses = {
    "Refused": _response("Refused, with what and why", _OUTCOME),
    "Failed": _response("Not supported (501), busy (503), or failed", _OUTCOME),
}
_RAW = {"schema": {"description": "The content itself, in its own media type"}}
_NOT_MODIFIED: Responses = {"304": {"description": "The client has this version already"}}
_PATCHES: dict[str, Schema] = {
    JSON_PATCH: {
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                _json_patch_step("value", "add", "replace", "test"),
                _json_patch_step("from", "move", "copy"),
                _json_patch_step("path", "remove"),
            ]
        },
    },
    MERGE_PATCH: {"type": "object", "minProperties": 1},
}
