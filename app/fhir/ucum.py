"""UCUM units: the canonical value and unit of a quantity, so that equivalent quantities are equal.
https://ucum.org/ucum · https://hl7.org/fhir/R4/search.html#quantity

Arithmetic is rational and rounded once, at the end: 30/min and 0.5/s become the same Decimal. The
atoms in daily use are in ucum.csv; any other is looked up in UCUM's own table. Amounts of substance
(mol), charge equivalents (eq) and osmoles stay apart, though UCUM makes plain numbers of them all.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree

DIGITS = 40
"""Significant digits of a canonical value, unless the value itself has more."""

MAX_CODE = 100
_MAX_MAGNITUDE = 20_000
_EXTREME = Fraction(10**100)
_EXACT = Context(prec=3000)
_ROUNDED = Context(prec=DIGITS)

Dimension = tuple[tuple[str, int], ...]
"""Base units and their powers, by name."""


@dataclass(frozen=True, slots=True)
class Unit:
    """`factor` of the base units; `offset` is added before (temperature scales)."""

    factor: Fraction
    dimension: Dimension = ()
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class _Atom:
    """As a table has it: a base unit (`factor` None), or a factor of another unit."""

    metric: bool
    factor: Fraction | None
    unit: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """How a number becomes canonical: (number + offset) · numerator / denominator, as `key`."""

    offset: Decimal
    numerator: Decimal
    denominator: Decimal
    key: str


def canonical(value: Decimal, code: str) -> tuple[Decimal, str] | None:
    """The value in base units and their key (`g.m-3`), equal for equivalent quantities.

    None where `code` is no UCUM unit, or one without a ratio to base units (pH, bel, …).
    """
    scale = _scale_of(code)
    if scale is None or not value.is_finite() or abs(value.adjusted()) > _MAX_MAGNITUDE:
        return None
    shifted = _EXACT.add(value, scale.offset)
    product = _EXACT.multiply(shifted, scale.numerator)
    return _rounded_for(value).divide(product, scale.denominator), scale.key


def _rounded_for(value: Decimal) -> Context:
    """A context in which values that differ stay apart."""
    digits = len(value.as_tuple().digits)
    return _ROUNDED if digits < DIGITS - 10 else Context(prec=digits + DIGITS)


@lru_cache(maxsize=4096)
def _scale_of(code: str) -> _Scale | None:
    unit = parse_unit(code)
    if unit is None:
        return None
    return _Scale(
        _EXACT.divide(Decimal(unit.offset.numerator), Decimal(unit.offset.denominator)),
        Decimal(unit.factor.numerator),
        Decimal(unit.factor.denominator),
        _key_of(unit.dimension),
    )


def _key_of(dimension: Dimension) -> str:
    parts = (name if power == 1 else f"{name}{power}" for name, power in dimension)
    return ".".join(parts) or "1"


_TEMPERATURES: Final[Mapping[str, Unit]] = MappingProxyType(
    {
        "Cel": Unit(Fraction(1), (("K", 1),), Fraction("273.15")),
        "[degF]": Unit(Fraction(5, 9), (("K", 1),), Fraction("459.67")),
    }
)


def parse_unit(code: str) -> Unit | None:
    """The unit that `code` spells (case-sensitive), None if it spells none that has a ratio."""
    if code in _TEMPERATURES:
        return _TEMPERATURES[code]
    if not 0 < len(code) <= MAX_CODE:
        return None
    try:
        unit = _Reader(code).read()
    except _NoUnitError:
        return None
    return unit if 1 / _EXTREME < unit.factor < _EXTREME else None


def is_unit(code: str) -> bool:
    """Whether `code` is a UCUM code, with or without a ratio to base units."""
    special = any(
        atom in _special_atoms() and (not prefix or _special_atoms()[atom])
        for prefix, atom in _divisions(code)
    )
    return special or parse_unit(code) is not None


class _NoUnitError(Exception):
    """The code is no unit, or none with a ratio to base units."""


_ANNOTATION = re.compile(r"\{[!-z|~]*\}")
_NUMBER = re.compile(r"[0-9]{1,20}(?![0-9])")
_SIMPLE = re.compile(
    r"(10[*^]|(?:[^\s()\[\]{}./+\-0-9]|\[[^\[\]\s]*\])+)([+-]?[0-9]{1,2}(?![0-9]))?"
)


class _Reader:
    """UCUM's grammar: ["/"] component (("." | "/") component)*, from left to right."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._at = 0

    def read(self) -> Unit:
        unit = self._term()
        if self._at != len(self._code):
            raise _NoUnitError(self._code)
        return unit

    def _term(self) -> Unit:
        divides = self._takes("/")
        unit = _power(self._component(), -1 if divides else 1)
        while True:
            if self._takes("."):
                unit = _product(unit, self._component())
            elif self._takes("/"):
                unit = _product(unit, _power(self._component(), -1))
            else:
                return unit

    def _component(self) -> Unit:
        if self._takes("("):
            unit = self._term()
            if not self._takes(")"):
                raise _NoUnitError(self._code)
            self._match(_ANNOTATION)
            return unit
        if self._match(_ANNOTATION):
            return Unit(Fraction(1))
        unit = self._simple()
        self._match(_ANNOTATION)
        return unit

    def _simple(self) -> Unit:
        if simple := self._match(_SIMPLE):
            return _power(_unit_of_symbol(simple[1]), int(simple[2] or 1))
        number = self._match(_NUMBER)
        if number is None or int(number[0]) == 0:
            raise _NoUnitError(self._code)
        return Unit(Fraction(int(number[0])))

    def _takes(self, sign: str) -> bool:
        found = self._code.startswith(sign, self._at)
        self._at += found
        return found

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._code, self._at)
        if match:
            self._at = match.end()
        return match


def _power(unit: Unit, power: int) -> Unit:
    if power == 1:
        return unit
    dimension = tuple((name, old * power) for name, old in unit.dimension if power)
    return Unit(unit.factor**power, dimension)


def _product(one: Unit, other: Unit) -> Unit:
    powers = dict(one.dimension)
    for name, power in other.dimension:
        powers[name] = powers.get(name, 0) + power
    dimension = tuple(sorted((name, power) for name, power in powers.items() if power))
    return Unit(one.factor * other.factor, dimension)


_POWERS_OF_TEN: Final[Mapping[str, int]] = MappingProxyType(
    {"Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1}
    | {
        "d": -1,
        "c": -2,
        "m": -3,
        "u": -6,
        "n": -9,
        "p": -12,
        "f": -15,
        "a": -18,
        "z": -21,
        "y": -24,
    }
)
_PREFIXES: Final[Mapping[str, Fraction]] = MappingProxyType(
    {prefix: Fraction(10) ** power for prefix, power in _POWERS_OF_TEN.items()}
    | {prefix: Fraction(1024) ** power for power, prefix in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)}
)


@cache
def _daily_atoms() -> Mapping[str, _Atom]:
    text = (files("app.fhir") / "ucum.csv").read_text(encoding="utf-8")
    return {
        row["atom"]: _Atom(
            row["metric"] == "yes", Fraction(row["factor"]) if row["factor"] else None, row["unit"]
        )
        for row in csv.DictReader(text.splitlines())
    }


_NAMESPACE = "{http://unitsofmeasure.org/ucum-essence}"


@cache
def _rare_atoms() -> Mapping[str, _Atom]:
    """UCUM's own table, as the package ucumvert carries it; the package itself is not imported.

    Special units (logarithms, tangents) have no ratio and are left out.
    """
    return {
        unit.attrib["Code"]: _atom(unit)
        for unit in _table_of_ucum()
        if "isSpecial" not in unit.attrib
    }


@cache
def _special_atoms() -> Mapping[str, bool]:
    """Whether each takes prefixes."""
    return {
        unit.attrib["Code"]: unit.attrib["isMetric"] == "yes"
        for unit in _table_of_ucum()
        if "isSpecial" in unit.attrib
    }


def _table_of_ucum() -> list[ElementTree.Element]:
    package = find_spec("ucumvert")
    if package is None or package.origin is None:
        return []
    table = Path(package.origin).parent / "vendor" / "ucum-essence.xml"
    return list(ElementTree.parse(table).getroot().iter(f"{_NAMESPACE}unit"))


def _atom(unit: ElementTree.Element) -> _Atom:
    value = unit.find(f"{_NAMESPACE}value")
    assert value is not None  # every unit of the table has one
    metric, refers = unit.attrib["isMetric"] == "yes", value.attrib["Unit"]
    if "isArbitrary" in unit.attrib and refers == "1":
        return _Atom(metric, None, "")
    return _Atom(metric, Fraction(value.attrib["value"]), refers)


@lru_cache(maxsize=4096)
def _unit_of_symbol(symbol: str) -> Unit:
    """An atom, or a metric atom with its prefix; the daily ones first."""
    for atoms in (_daily_atoms, _rare_atoms):
        for prefix, name in _divisions(symbol):
            atom = atoms().get(name)
            if atom is not None and (atom.metric or not prefix):
                return _prefixed(_unit_of_atom(name, atom), prefix)
    raise _NoUnitError(symbol)


def _divisions(symbol: str) -> list[tuple[str, str]]:
    """The whole symbol first, then its divisions into prefix and rest."""
    parts = [("", symbol)]
    for length in (1, 2):
        if symbol[:length] in _PREFIXES and len(symbol) > length:
            parts.append((symbol[:length], symbol[length:]))
    return parts


def _prefixed(unit: Unit, prefix: str) -> Unit:
    return Unit(unit.factor * _PREFIXES[prefix], unit.dimension) if prefix else unit


def _unit_of_atom(name: str, atom: _Atom) -> Unit:
    if atom.factor is None:
        return Unit(Fraction(1), ((name, 1),))
    base = _Reader(atom.unit).read()
    return Unit(base.factor * atom.factor, base.dimension)
