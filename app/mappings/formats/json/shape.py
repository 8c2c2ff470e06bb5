"""The shape of a result pushed as JSON: the schema that OpenAPI shows is the one that is enforced.

A subset of JSON Schema 2020-12: type, properties, required, additionalProperties false, items,
enum, minItems, maxItems, minLength, maxLength.
https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.fhir import is_number
from app.mappings.dictionary.site import ABSENT_REASONS
from app.mappings.forms import tell_unknown

MAX_RESULTS = 10_000
Schema = Mapping[str, Any]


def _object(properties: Schema, *required: str, about: str = "") -> Schema:
    described = {"description": about} if about else {}
    return {
        "type": "object",
        **described,
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _text(about: str = "", *, least: int = 0, most: int = 200) -> Schema:
    described = {"description": about} if about else {}
    return {"type": "string", **described, "minLength": least, "maxLength": most}


def _list(items: Schema, *, least: int = 1, most: int = 50) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


_TIME = "ISO 8601 or HL7 DTM; without a zone it is read in the feed's"
_IDENTIFIER = _object(
    {
        "number": _text("the hospital's number of the patient", least=1),
        "type": _text("its kind as in HL7 table 0203: MR"),
        "authority": _text("who assigned it, as the site's data spell it"),
    },
    "number",
)
_PATIENT = _object(
    {
        "identifiers": _list(_IDENTIFIER),
        "name": _text("compared with the enrolled one"),
        "birth_date": _text("YYYY-MM-DD, compared with the enrolled one"),
    },
    "identifiers",
)
_ORDER = _object(
    {
        "filler": _text("the laboratory's order number: a result's identity"),
        "placer": _text("the order number of who asked for it"),
    }
)
_CODING = _object(
    {
        "code": _text(least=1, most=64),
        "system": _text("as the site's dictionary writes it: 99MRC, LN", most=64),
        "display": _text(),
    },
    "code",
)
RESULT: Schema = _object(
    {
        "patient": _PATIENT,
        "order": _ORDER,
        "specimen": _object({"number": _text("the specimen's number", least=1)}, "number"),
        "panel": _CODING,
        "codes": {
            **_list(_CODING, most=5),
            "description": "what was measured; the first code that the dictionary knows counts",
        },
        "sub_id": _text("tells results of the same code apart (OBX-4)"),
        "value": {
            "type": ["string", "number", "null"],
            "maxLength": 100_000,
            "description": "a number keeps its digits: 8.60 stays 8.60. Text as in HL7: <2.0, 溶血",
        },
        "absent_reason": {
            "type": "string",
            "enum": sorted(ABSENT_REASONS),
            "description": "why there is no value",
        },
        "unit": _text(),
        "reference": _text("range or limit: 100-350, <5"),
        "flags": _list(_text("HL7 table 0078, or a word of the site's data"), least=0),
        "status": _text("letter of HL7 table 0085, or a word: F, final, corrected"),
        "collected": _text(f"when the specimen was taken. {_TIME}"),
        "analysed": _text(f"when it was measured. {_TIME}"),
        "reported": _text(f"when it was released. {_TIME}"),
        "sent": _text(f"when this was sent. {_TIME}"),
        "report_status": _text(
            "of the whole report, HL7 table 0123; without it no report is stored"
        ),
        "notes": _list(_text(most=10_000), least=0),
    },
    *("patient", "codes", "status"),
    about="one result",
)
DELIVERY: Schema = {
    "oneOf": [
        RESULT,
        _object({"results": _list(RESULT, most=MAX_RESULTS)}, "results", about="several results"),
    ]
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """What does not fit the schema: where (JSON Pointer, RFC 6901, below the value looked at) and
    the rule."""

    pointer: str
    rule: str


def find_misfit(value: Any, schema: Schema, pointer: str = "") -> Misfit | None:
    """The first misfit, of an object its unknown keys first, which are never named: a key may be
    anything. None for a value of this shape."""
    return next(_misfits(value, schema, pointer), None)


def _misfits(value: Any, schema: Schema, pointer: str) -> Iterator[Misfit]:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is_a(value, kind) for kind in kinds):
        yield Misfit(pointer, f"must be {' or '.join(kinds)}")
    elif isinstance(value, dict):
        yield from _object_misfits(value, schema, pointer)
    elif isinstance(value, list):
        yield from _list_misfits(value, schema, pointer)
    elif isinstance(value, str):
        yield from _text_misfits(value, schema, pointer)


def _is_a(value: Any, kind: str) -> bool:
    if kind == "number":
        return is_number(value)
    types: dict[str, type] = {"object": dict, "array": list, "string": str, "null": type(None)}
    return isinstance(value, types[kind])


def _object_misfits(value: Mapping[str, Any], schema: Schema, pointer: str) -> Iterator[Misfit]:
    known = schema["properties"]
    if unknown := [key for key in value if key not in known]:
        yield Misfit(pointer, f"has {tell_unknown(unknown, known)}")
    for key in (key for key in value if key in known):
        yield from _misfits(value[key], known[key], f"{pointer}/{key}")
    for key in schema["required"]:
        if key not in value:
            yield Misfit(f"{pointer}/{key}", "is missing")


def _list_misfits(value: list[Any], schema: Schema, pointer: str) -> Iterator[Misfit]:
    if not schema["minItems"] <= len(value) <= schema["maxItems"]:
        yield Misfit(pointer, f"must have {schema['minItems']} to {schema['maxItems']} items")
        return
    for place, item in enumerate(value):
        yield from _misfits(item, schema["items"], f"{pointer}/{place}")


def _text_misfits(value: str, schema: Schema, pointer: str) -> Iterator[Misfit]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        least, most = schema.get("minLength", 0), schema["maxLength"]
        yield Misfit(pointer, f"must have {least} to {most} characters")
    elif "enum" in schema and value not in schema["enum"]:
        yield Misfit(pointer, "is none of the codes the schema lists")
