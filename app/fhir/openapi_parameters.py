"""What requests may say, as parameters of the OpenAPI document.
https://spec.openapis.org/oas/v3.1.0#parameter-object
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from app.fhir.including import MAX_INCLUDED
from app.fhir.layout import Home, TypeLayout
from app.fhir.metadata import MODES, SUMMARIES
from app.fhir.operations import Asked, Level
from app.fhir.parameters import SPECIAL, modifiers_of
from app.fhir.request import DEFAULT_COUNT, MAX_COUNT

Schema = dict[str, Any]
Parameter = dict[str, Any]

_YEAR = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_MONTH = "(0[1-9]|1[0-2])"
_DAY = "(0[1-9]|[12][0-9]|3[01])"
_HOUR = "([01][0-9]|2[0-3])"
_ZONE = r"(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])"
_DATE = rf"{_YEAR}(-{_MONTH}(-{_DAY}(T{_HOUR}:[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?{_ZONE}?)?)?)?"
_INSTANT = rf"{_YEAR}-{_MONTH}-{_DAY}T{_HOUR}:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?{_ZONE}"
_PREFIX = "(eq|ne|gt|lt|ge|le|sa|eb|ap)?"
_NUMBER = r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?"

TEXT: Schema = {"type": "string", "minLength": 1}
SCHEMAS: Mapping[str, Schema] = {
    "text": TEXT,
    "boolean": {"enum": ["true", "false"]},
    "positive": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "whole": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    "decimal": {"type": "number", "exclusiveMinimum": 0},
    "date": TEXT | {"pattern": f"^{_DATE}$"},
    "instant": TEXT | {"pattern": f"^{_INSTANT}$"},
    "types": TEXT | {"pattern": "^[A-Z][A-Za-z]*(,[A-Z][A-Za-z]*)*$"},
    "versioned": TEXT | {"pattern": r"^[^|]+\|[^|]+$"},
}
"""By the form of an operation's parameter."""

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


def _values(one: str) -> Schema:
    """One value or several with commas between them."""
    return TEXT | {"pattern": f"^{one}(,{one})*$"}


VALUES: Mapping[str, Schema] = {
    "DateValues": _values(_PREFIX + _DATE),
    "NumberValues": _values(_PREFIX + _NUMBER),
    "QuantityValues": _values(rf"{_PREFIX}{_NUMBER}(\|[^,|]*\|[^,|]*)?"),
}
"""The schemas of search values to which the parameters of a type refer."""


def _of_values(kind: str) -> Schema:
    name = f"{kind.capitalize()}Values"
    return {"$ref": f"#/components/schemas/{name}"} if name in VALUES else TEXT


def query(name: str, description: str, schema: Mapping[str, Any] | None = None) -> Parameter:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": dict(schema or TEXT),
    }


def header(name: str, description: str, schema: Mapping[str, Any] | None = None) -> Parameter:
    return query(name, description, schema or {"type": "string"}) | {"in": "header"}


def in_path(name: str, description: str, schema: Mapping[str, Any] | None = None) -> Parameter:
    return query(name, description, schema) | {"in": "path", "required": True}


def one_of_types(names: Iterable[str], description: str = "A resource type") -> Parameter:
    return in_path("type", description, {"enum": list(names)})


def search_parameters(place: TypeLayout) -> list[Parameter]:
    """The conditions of a search of this type, without what concerns the result."""
    return [*(_of_home(home) for _, home in sorted(place.homes.items())), *special_parameters()]


def special_parameters() -> list[Parameter]:
    return [query(name, f"{each.form}: {each.documentation}") for name, each in SPECIAL.items()]


def _of_home(home: Home) -> Parameter:
    parameter = home.parameter
    kind = "date" if home.kind == "last_updated" else parameter.type
    form = _WORDS if home.kind == "words" else _FORMS[kind]
    names = [f":{modifier}" for modifier in sorted(modifiers_of(home))]
    if parameter.type == "reference":
        names.append(":[type]")
    modifiers = f"; {', '.join(names)}" if names else ""
    return query(parameter.code, f"{parameter.type}: {form}{modifiers}", _of_values(kind))


def criteria_schema(place: TypeLayout) -> Schema:
    """The parameters of a search as the members of an object, with modifiers and chains."""
    return _as_object(search_parameters(place))


def result_schema() -> Schema:
    """What concerns the result of a search, as members of an object."""
    return _as_object([TYPES, *RESULT])


def form_schema(criteria: Schema, result: Schema) -> Schema:
    """The fields of a form: of both schemas and no others."""
    return {"allOf": [criteria, result], "type": "object", "unevaluatedProperties": False}


def special_schema() -> Schema:
    return _as_object(special_parameters())


def _as_object(parameters: Iterable[Parameter]) -> Schema:
    members = {each["name"]: each["schema"] for each in parameters}
    names = "|".join(re.escape(name).replace(r"\-", "-") for name in members)
    return {
        "type": "object",
        "properties": {name: schema for name, schema in members.items() if name != "_has"},
        "patternProperties": {f"^({names})[:.].+$": TEXT},
    }


def criteria(schema: Mapping[str, Any]) -> Parameter:
    """The query string of a conditional write: one condition at least."""
    told = "Search parameters that find the one resource; at least one"
    held = {"allOf": [schema], "type": "object", "minProperties": 1}
    held |= {"unevaluatedProperties": False}
    return query("criteria", told, held) | {"required": True, "style": "form", "explode": True}


def asked_parameter(asked: Asked, level: Level) -> Parameter:
    found = query(asked.name, asked.documentation, SCHEMAS[asked.form])
    return found | {"required": True} if level in asked.needed_at else found


ID = in_path(
    "id", "The id of the resource", {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
)
VERSION = in_path("vid", "The number of the version", {"type": "integer", "minimum": 1})
PREFER = header("Prefer", "return=minimal, return=representation or return=OperationOutcome")
IF_MATCH = header(
    "If-Match",
    'The version to replace, W/"1": 412 if it is not current',
    {"type": "string", "pattern": r'^(\*|W/"[1-9][0-9]{0,8}")$'},
)
IF_NONE_EXIST = header(
    "If-None-Exist", "Criteria of a search: created only if nothing matches", TEXT
)
CONDITIONS = [
    header("If-None-Match", '304 if this is the current version, W/"1"'),
    header("If-Modified-Since", "304 if it has not changed since"),
]
_COUNT = query(
    "_count",
    f"Matches per page, at most {MAX_COUNT}; 0: only their number",
    {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": DEFAULT_COUNT},
)
METADATA = [
    query(
        "mode",
        "normative: without what is for trial use; terminology: the TerminologyCapabilities",
        {"type": "string", "enum": list(MODES), "default": "full"},
    ),
    query(
        "_summary",
        "Less of the statement, or only its text",
        {"type": "string", "enum": list(SUMMARIES), "default": "false"},
    ),
    query("_elements", "The top-level elements to show, separated by commas"),
]
HISTORY = [
    query("_since", "Versions written at or after this instant", SCHEMAS["date"]),
    query("_at", "Versions current at some time in this period", SCHEMAS["date"]),
    query("_before", "Versions written before this instant", SCHEMAS["date"]),
    _COUNT,
]
_INCLUDED = f"at most {MAX_INCLUDED} resources per page; also `:iterate`"
RESULT = [
    _COUNT,
    query("_sort", "Search parameters, separated by commas; '-' before one: descending"),
    query("_include", f"`Type:parameter[:Target]` or `*`: what matches refer to; {_INCLUDED}"),
    query("_revinclude", f"`Type:parameter[:Target]` or `*`: what refers to them; {_INCLUDED}"),
    query("_total", "Whether to count the matches", {"enum": ["none", "estimate", "accurate"]}),
    query(
        "_summary",
        "A part of each resource, or only the number of matches",
        {"enum": ["true", "text", "data", "count", "false"]},
    ),
    query("_elements", "Names of top-level elements, separated by commas"),
]
TYPES = query("_type", "The types to search, separated by commas; default: all", SCHEMAS["types"])
