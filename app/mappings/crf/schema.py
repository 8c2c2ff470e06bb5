"""What OpenAPI shows of case report forms: the JSON Schema per form, examples, the CSV templates,
all from the same description that reads the records.
https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from app.mappings.crf.codes import items_of
from app.mappings.crf.forms import Field, Form, Kind, forms
from app.trial import load_protocol

MAX_RECORDS = 20_000
DATE_FORM = r"^\d{4}(-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?$"
SUBJECT_FORM = "^SSCI-[0-9]{3,}$"


def build_schema() -> Mapping[str, Any]:
    """One record, or `{"records": […]}`."""
    one = {"oneOf": [build_form_schema(form) for form in forms().values()]}
    several = {
        "type": "object",
        "title": "Several records",
        "properties": {
            "records": {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_RECORDS}
        },
        "required": ["records"],
        "additionalProperties": False,
    }
    return {"oneOf": [*one["oneOf"], several]}


def build_form_schema(form: Form) -> Mapping[str, Any]:
    """A record of one form. A deletion needs what names the record only."""
    needed = [each.name for each in form.all_fields if each.needed]
    head = [each.name for each in form.all_fields[:6] if each.needed]
    return {
        "type": "object",
        "title": form.title,
        "description": f"Becomes {form.resource_type}",
        "properties": {each.name: _field_schema(form, each) for each in form.all_fields},
        "required": head,
        "if": {"not": {"properties": {"action": {"const": "delete"}}, "required": ["action"]}},
        "then": {"required": needed},
        "additionalProperties": False,
        "examples": [build_example(form)],
    }


def _field_schema(form: Form, each: Field) -> Mapping[str, Any]:
    described: dict[str, Any] = {"description": each.text}
    if each.name == "form":
        return described | {"const": form.name}
    if each.name == "subject":
        return described | {"type": "string", "pattern": SUBJECT_FORM}
    return described | SHAPES[each.kind](each)


def _code_shape(each: Field) -> dict[str, Any]:
    return {"type": "string", "enum": list(each.choices)}


def _codes_shape(each: Field) -> dict[str, Any]:
    return {"type": "array", "items": _code_shape(each), "uniqueItems": True}


def _date_shape(each: Field) -> dict[str, Any]:
    return {"type": "string", "pattern": DATE_FORM}


def _number_shape(each: Field) -> dict[str, Any]:
    limits = {"minimum": each.low, "maximum": each.high}
    told = {name: float(limit) for name, limit in limits.items() if limit is not None}
    return {"type": "integer" if each.kind is Kind.WHOLE else "number", **told}


def _flag_shape(each: Field) -> dict[str, Any]:
    return {"type": "boolean"}


def _scores_shape(each: Field) -> dict[str, Any]:
    instruments = {name: list(items_of(name)) for name in load_protocol().activity_instruments}
    told = "; ".join(f"{name}: {', '.join(items)}" for name, items in instruments.items() if items)
    return {
        "type": "object",
        "description": f"{each.text}. {told}",
        "propertyNames": {"enum": list(each.choices)},
        "additionalProperties": {"type": "number"},
    }


SHAPES = {
    Kind.CODE: _code_shape,
    Kind.CODES: _codes_shape,
    Kind.DATE: _date_shape,
    Kind.NUMBER: _number_shape,
    Kind.WHOLE: _number_shape,
    Kind.FLAG: _flag_shape,
    Kind.SCORES: _scores_shape,
}


# Examples


def build_cells(form: Form) -> dict[str, str]:
    """An example record as cells."""
    cells = {each.name: each.example for each in form.all_fields if each.example}
    return {"form": form.name, **cells}


def build_example(form: Form) -> dict[str, Any]:
    """An example record as JSON."""
    cells = build_cells(form)
    return {
        each.name: _value(each, cells[each.name]) for each in form.all_fields if each.name in cells
    }


def _value(each: Field, cell: str) -> Any:
    if each.kind is Kind.CODES:
        return cell.split("|")
    if each.kind is Kind.FLAG:
        return cell == "yes"
    if each.kind is Kind.SCORES:
        return {name: int(score) for name, _, score in (p.partition("=") for p in cell.split("|"))}
    return int(cell) if each.kind in (Kind.NUMBER, Kind.WHOLE) else cell


def write_template(name: str, *, example: bool = False) -> str:
    """The header for a form's table, and an example row where it is wanted; CRLF as RFC 4180."""
    form = forms()[name]
    columns = [each.name for each in form.all_fields]
    rows = [columns]
    if example:
        cells = build_cells(form)
        rows.append([cells.get(column, "") for column in columns])
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def write_templates() -> Mapping[str, str]:
    """The header of every form's table."""
    return {name: write_template(name) for name in forms()}
