"""Small total readers of FHIR elements for the projection: what is absent or of an unexpected
shape is None, never an error, because a projection must not make a legal resource unwritable.
https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from app.fhir import Json, decimal, is_number
from app.trial.codes import CANONICAL_QUANTITY, UCUM

_LOCAL_REFERENCE = re.compile(r"([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?")


def items(value: object) -> Iterator[Json]:
    """The objects of a list element."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def member(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def referenced_id(value: object, resource_type: str) -> str | None:
    """The id in a relative reference to that type (this server's own resource)."""
    match = _LOCAL_REFERENCE.fullmatch(text(member(value, "reference")) or "")
    return match[2] if match and match[1] == resource_type else None


def codings(concept: object) -> Iterator[tuple[str | None, str]]:
    """(system, code) of a CodeableConcept."""
    for each in items(member(concept, "coding")):
        code = text(each.get("code"))
        if code is not None:
            yield text(each.get("system")), code


def codes_of(concept: object, system: str) -> list[str]:
    return [code for of, code in codings(concept) if of == system]


def first_code(concept: object, system: str | None = None) -> str | None:
    """The first code, of `system` if it has one there."""
    found = list(codings(concept))
    preferred = [code for of, code in found if of == system]
    return next(iter((*preferred, *(code for _, code in found))), None)


def told(concept: object) -> str | None:
    """A concept's code, or `text-only` where it is told in words that are not repeated here."""
    if not isinstance(concept, dict):
        return None
    return first_code(concept) or "text-only"


def extensions(value: object, url: str, key: str = "extension") -> Iterator[Json]:
    yield from (each for each in items(member(value, key)) if each.get("url") == url)


def extension(value: object, url: str, kind: str, key: str = "extension") -> Any:
    """The `value[kind]` of the first extension with that url."""
    return next((each.get(f"value{kind}") for each in extensions(value, url, key)), None)


def number(value: Any) -> Decimal | None:
    return decimal(value) if is_number(value) else None


def canonical_quantity(holder: Json, quantity: object) -> Json | None:
    """The canonical quantity that stands beside the one as sent, else the one as sent."""
    beside = extension(holder, CANONICAL_QUANTITY, "Quantity")
    beside = beside or extension(quantity, CANONICAL_QUANTITY, "Quantity")
    found = beside or quantity
    return found if isinstance(found, dict) else None


def convert(
    quantity: Mapping[str, Any] | None, factors: Mapping[str, Decimal]
) -> tuple[Decimal | None, str | None]:
    """(value, canonical unit) by exact UCUM factors; (None, unit as sent) where there is none.

    The canonical unit is the one with which `factors` begins to say 1 for itself: its first key.
    """
    if quantity is None:
        return None, None
    sent = text(quantity.get("code")) or text(quantity.get("unit"))
    value = number(quantity.get("value"))
    factor = factors.get(text(quantity.get("code")) or "")
    if quantity.get("system") != UCUM or factor is None or value is None:
        return None, sent
    return value * factor if factor != 1 else value, next(iter(factors))


def has_tag(resource: Json, system: str, code: str, key: str = "tag") -> bool:
    tags = items(member(resource.get("meta"), key))
    return any(tag.get("system") == system and tag.get("code") == code for tag in tags)
