"""FHIR data types → the texts and codes that records hold. https://hl7.org/fhir/R4/datatypes.html

Local codes stand before LOINC, as HL7 v2 has them: the first that the dictionary knows is part of
the identity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.fhir import Json, decimal, dump_json
from app.mappings.dictionary.code_systems import Systems
from app.mappings.records import NO_CODING, Coding
from app.mappings.result_key import OrderNumbers
from app.mappings.rules.results import MAX_CODE_LENGTH

UCUM = "http://unitsofmeasure.org"
LOINC = "LN"
MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
KINDS: Mapping[str, str] = {"FILL": "filler", "PLAC": "placer", "VN": "visit"}
"""Identifier.type (HL7 table 0203) → role of the number."""


def read_codings(concept: Json, systems: Systems) -> tuple[Coding, ...]:
    """The codings: the user's choice, then local ones, then LOINC; a text alone is a display."""
    sent: list[Json] = concept.get("coding", [])
    ordered = sorted(sent, key=lambda each: not each.get("userSelected", False))
    codings = [_read_coding(each, concept, systems) for each in ordered]
    if not codings:
        return (Coding(display=str(concept.get("text", ""))),)
    return tuple(sorted(codings, key=lambda each: each.system == LOINC))


def _read_coding(coding: Json, concept: Json, systems: Systems) -> Coding:
    display = coding.get("display") or concept.get("text", "")
    system = systems.code(coding.get("system", ""))
    return Coding(_cut(coding.get("code", "")), _cut(system), display)


def _cut(text: str) -> str:
    return text.strip()[:MAX_CODE_LENGTH]


def first_coding(codings: Sequence[Coding]) -> Coding:
    return codings[0] if codings else NO_CODING


def codes_of(concepts: Iterable[Json]) -> tuple[str, ...]:
    """All codes of some concepts, or their texts where they have none."""
    found: list[str] = []
    for concept in concepts:
        codes = [each["code"] for each in concept.get("coding", []) if each.get("code")]
        found += codes or [text for text in (concept.get("text", ""),) if text]
    return tuple(found)


# Identifiers


def read_numbers(identifiers: Iterable[Json], systems: Systems, *, typed: bool) -> dict[str, str]:
    """Numbers by role, the first of each: by the identifier's system; with `typed` also by its type
    (HL7 table 0203)."""
    found: dict[str, str] = {}
    for each in identifiers:
        role, namespace = systems.number(each.get("system", "")) or (_kind(each, typed), "")
        number = each.get("value", "").strip()
        if role and number:
            found.setdefault(role, f"{number}^{namespace}" if namespace else number)
    return found


def _kind(identifier: Json, typed: bool) -> str:
    codes = codes_of([identifier.get("type", {})]) if typed else ()
    return next((KINDS[code] for code in codes if code in KINDS), "")


def merge_numbers(sources: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Numbers by role, of several places the first that tells."""
    found: dict[str, str] = {}
    for each in sources:
        found = {**each, **found}
    return found


def order_numbers(numbers: Mapping[str, str]) -> OrderNumbers:
    return OrderNumbers(
        numbers.get("filler", ""), numbers.get("placer", ""), numbers.get("specimen", "")
    )


# Quantities and times


def write_number(value: Any) -> str:
    """The digits as sent; without an exponent."""
    if value is None:
        return ""
    sent = dump_json(value).decode()
    return f"{decimal(value):f}" if "e" in sent.lower() else sent


def read_unit(quantity: Json) -> str:
    """The UCUM code; else the unit as people read it."""
    code, unit = quantity.get("code", ""), quantity.get("unit", "")
    ucum = code if quantity.get("system") == UCUM else ""
    return str(ucum or unit or code)


def write_quantity(quantity: Json) -> str:
    return f"{quantity.get('comparator', '')}{write_number(quantity.get('value'))}"


def read_effective(resource: Json) -> tuple[str, str]:
    """Start and end of what a resource is about."""
    period = resource.get("effectivePeriod", {})
    at = resource.get("effectiveDateTime") or resource.get("effectiveInstant") or ""
    return read_time(at or period.get("start", "")), read_time(period.get("end", ""))


def read_time(text: str) -> str:
    """`2019-03` as HL7 v2 writes a month; any other dateTime as it is."""
    return text.replace("-", "") if MONTH.fullmatch(text) else text


def read_updated(resource: Json) -> str:
    return str(resource.get("meta", {}).get("lastUpdated", ""))
