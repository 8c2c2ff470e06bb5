"""Numbers of Observations on one scale: what `$stats` computes on.
https://hl7.org/fhir/R4/observation.html · https://ucum.org/ucum

The first (newest) measurement gives the unit; others are converted to it. Where a Quantity says its
amount in a comparable unit too, that one counts, as in searches. A value with a comparator
is no number to compute with: it counts as an observation without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir.codec import decimal, is_number
from app.fhir.model import Json
from app.fhir.quantities import comparable
from app.fhir.ucum import canonical

UCUM = "http://unitsofmeasure.org"
_EXACT = Context(prec=60)
_OF_UNIT = ("unit", "system", "code")


@dataclass(frozen=True, slots=True)
class Measured:
    """One number with its Quantity (value left out)."""

    value: Decimal
    unit: Json = field(hash=False)


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of one code, in one unit. `code` None: the observations' own value; else that of
    the components so coded. `total` counts those without a number too."""

    code: Json | None = field(hash=False)
    unit: Json = field(hash=False)
    values: tuple[Decimal, ...]
    total: int


def build_series(observations: Sequence[Json]) -> list[Series]:
    """The series of the values and of each component code; newest observation first."""
    own = [_measured(observation) for observation in observations]
    coded: dict[str, tuple[Json, list[Measured | None]]] = {}
    for observation in observations:
        for component in observation.get("component", ()):
            key = _code_key(component.get("code", {}))
            coded.setdefault(key, (component["code"], []))[1].append(_measured(component))
    parts = [_series(code, found) for code, found in coded.values()]
    if parts and not any(own):
        return parts
    return [_series(None, own), *parts]


def _series(code: Json | None, found: Sequence[Measured | None]) -> Series:
    measured = [each for each in found if each is not None]
    unit = measured[0].unit if measured else {}
    values = tuple(_in_unit(each, unit) for each in measured)
    return Series(code, unit, values, len(found))


def _code_key(code: Json) -> str:
    codings = sorted(f"{c.get('system', '')}|{c.get('code', '')}" for c in code.get("coding", ()))
    return " ".join(codings) or f"text {code.get('text', '')}"


def _measured(node: Json) -> Measured | None:
    quantity = node.get("valueQuantity")
    if isinstance(quantity, dict):
        quantity = comparable(quantity)
        if "comparator" in quantity or not is_number(quantity.get("value")):
            return None
        kept: Json = {name: quantity[name] for name in _OF_UNIT if name in quantity}
        return Measured(decimal(quantity["value"]), kept)
    number: Any = node.get("valueInteger")
    return Measured(decimal(number), {}) if is_number(number) else None


def _in_unit(measured: Measured, unit: Json) -> Decimal:
    if _name(measured.unit) == _name(unit):
        return measured.value
    zero, one = _canonical(Decimal(0), unit), _canonical(Decimal(1), unit)
    own = _canonical(measured.value, measured.unit)
    if zero is None or one is None or own is None or own[1] != one[1]:
        raise _incommensurable([measured.unit, unit])
    return _EXACT.divide(_EXACT.subtract(own[0], zero[0]), _EXACT.subtract(one[0], zero[0]))


def _name(unit: Json) -> tuple[str | None, str | None]:
    """What makes two units the same: system and code, or else the text."""
    return (unit.get("system"), unit["code"]) if "code" in unit else (None, unit.get("unit"))


def _canonical(value: Decimal, unit: Json) -> tuple[Decimal, str] | None:
    if unit.get("system") != UCUM or "code" not in unit:
        return None
    return canonical(value, unit["code"])


def _incommensurable(units: Iterable[Json]) -> SsciError:
    names = " and ".join(sorted(_shown(units)))
    return error(
        Category.UNPROCESSABLE,
        f"the measurements are in {names}, which can't be converted into each other",
        code="business-rule",
    )


def _shown(units: Iterable[Json]) -> Iterator[str]:
    for unit in units:
        yield f"'{unit.get('code') or unit.get('unit') or 'no unit'}'"
