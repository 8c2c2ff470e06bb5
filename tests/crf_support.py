"""What tests of case report forms share: a record of each form, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.mappings.crf.forms import forms
from app.mappings.crf.schema import build_example
from app.mappings.facts import Fact
from tests.feed_support import map_bytes

CRF = "pumch-crf"
JSON = "crf-json"
CSV = "crf-csv"


def record(form: str, /, **changes: Any) -> dict[str, Any]:
    """The documented example of a form, changed; None removes a field."""
    found = build_example(forms()[form]) | changes
    return {name: value for name, value in found.items() if value is not None}


def as_json(*records: Mapping[str, Any]) -> bytes:
    return json.dumps({"records": records}, ensure_ascii=False).encode()


def as_csv(
    records: Sequence[Mapping[str, Any]], separator: str = ",", charset: str = "utf-8"
) -> bytes:
    """A table with the columns that the records have."""
    columns = list(dict.fromkeys(name for each in records for name in each))
    rows = [columns, *([_cell(each.get(name)) for name in columns] for each in records)]
    return "".join(separator.join(row) + "\r\n" for row in rows).encode(charset)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "|".join(f"{key}={score}" for key, score in value.items())
    return "|".join(value) if isinstance(value, list) else "" if value is None else str(value)


def map_record(form: str, /, **changes: Any) -> Fact:
    (fact,) = map_bytes(as_json(record(form, **changes)), CRF, format=JSON)
    return fact
