"""Unit strings → canonical unit and factor: alias table first, UCUM only where it is silent.

Aliases are data (`units.csv`, keyed by analyte class and string), because UCUM alone is wrong here:
it reads `G/L` as gauss and `K/uL` as kelvin. Superscripts become `^9` before anything else, since
Unicode's compatibility form of `10⁹/L` is `109/L`. https://ucum.org/ucum
"""

from __future__ import annotations

import csv
import functools
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from types import MappingProxyType
from typing import Any

from app.mappings.elements import Element
from app.mappings.parsing.values import WIDE
from app.mappings.reasons import Failure, Reason

MAX_UNIT_LENGTH = 40

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
MICRO_AND_TIMES = str.maketrans(
    {"µ": "u", "μ": "u", "×": "x", "✕": "x", "╳": "x", "∕": "/", "⁄": "/"}
)
LITRE = re.compile(r"(?<=[/.umnpd])l(?![a-z])|(?<=[/.])l(?=-)")
LEADING_TIMES = re.compile(r"[xX*](?=10)")


@dataclass(frozen=True, slots=True)
class AnalyteClass:
    """What a class of analytes is counted in, the UCUM atoms a unit of it may be built of, and the
    powers of ten by which a unit read as UCUM may differ from the canonical one: a bare `/L` is
    UCUM, but nobody counts platelets by the litre."""

    name: str
    canonical: str
    atoms: re.Pattern[str]
    exponents: range


CLASSES: Mapping[str, AnalyteClass] = MappingProxyType(
    {
        "count": AnalyteClass(
            "count", "10*9/L", re.compile(r"[dcmunpf]?[Ll](?:-1)?|[dcmu]?m-?3"), range(-3, 4)
        ),
        "mass-concentration": AnalyteClass(
            "mass-concentration",
            "ng/mL",
            re.compile(r"[kmunpf]?g|[dcmunpf]?[Ll](?:-1)?|[dcmu]?m-?3"),
            range(-3, 7),
        ),
        "mass": AnalyteClass("mass", "mg", re.compile(r"[kmunpf]?g"), range(-6, 4)),
    }
)


@dataclass(frozen=True, slots=True)
class Unit:
    """`factor` × the value sent = the value in `canonical`. `ucum` is the sent unit's own UCUM code
    where the string is one exactly; `converted`: by molar mass, under an approval of the feed."""

    canonical: str
    factor: Decimal
    rule: str
    ucum: str | None = None
    converted: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """A unit string that a feed may use although nobody should: `factor` with a recorded reason."""

    factor: Decimal
    reason: str
    converted: bool = False


Approvals = Mapping[tuple[str, str], Approval]
"""Keyed by (analyte class, normal form of the unit)."""


def normalise(text: str) -> str:
    """One spelling for µ, ×, superscripts, full-width characters and litres; no blanks."""
    text = SUPERSCRIPT_RUN.sub(lambda run: "^" + run.group().translate(SUPERSCRIPTS), text)
    text = "".join(text.translate(WIDE).translate(MICRO_AND_TIMES).split())
    text = LEADING_TIMES.sub("x", text) if text[:1] in "xX*" else text
    return LITRE.sub("L", text)


def parse_unit(text: str, analyte_class: str, approvals: Approvals) -> Unit | Failure:
    """The unit of a class of analytes, or why not: UNIT_UNMAPPED, or UNIT_DIMENSION where the
    string is a unit of something else."""
    if len(text) > MAX_UNIT_LENGTH:
        return Failure(Reason.UNIT_UNMAPPED, "a unit longer than any known", Element.UNIT)
    approved = approvals.get((analyte_class, normalise(text)))
    if approved:
        return _unit(analyte_class, approved.factor, "approval", None, approved.converted)
    return _parse_general(text, analyte_class)


@functools.lru_cache(maxsize=4096)
def _parse_general(text: str, analyte_class: str) -> Unit | Failure:
    normal = normalise(text)
    factor = load_aliases().get((analyte_class, normal))
    if factor is not None:
        return _unit(analyte_class, factor, "alias", _exact_ucum(text.strip(), analyte_class))
    return _parse_ucum(normal, text.strip(), CLASSES[analyte_class])


def _unit(
    analyte_class: str, factor: Decimal, rule: str, ucum: str | None, converted: bool = False
) -> Unit:
    return Unit(CLASSES[analyte_class].canonical, factor, rule, ucum, converted)


@functools.cache
def load_aliases() -> Mapping[tuple[str, str], Decimal]:
    """The alias table by (class, normal form). Raises ValueError naming line and reason."""
    text = resources.files("app.mappings.parsing").joinpath("units.csv").read_text(encoding="utf-8")
    table: dict[tuple[str, str], Decimal] = {}
    for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        key = (row["class"], normalise(row["unit"]))
        if row["class"] not in CLASSES:
            raise ValueError(f"units.csv line {line}: unknown class {row['class']}")
        if table.setdefault(key, Decimal(row["factor"])) != Decimal(row["factor"]):
            raise ValueError(f"units.csv line {line}: {row['unit']} has two factors")
    return MappingProxyType(table)


# UCUM, for what the table does not know

EXPONENT_TERM = re.compile(r"10[*^](\d{1,2})(?!\d)")
UCUM_TERM = r"(?:10\*\d{1,2}|[A-Za-z%\[\]_']{1,12}(?:[+-]?\d)?)"
UCUM_NOTE = r"\{[A-Za-z]{0,20}\}"
UCUM_PART = rf"(?:{UCUM_TERM}(?:{UCUM_NOTE})?|{UCUM_NOTE})"
UCUM_EXPRESSION = re.compile(rf"/?{UCUM_PART}(?:[./]{UCUM_PART}){{0,5}}", re.ASCII)
"""What is given to the UCUM reader at all. It computes what it reads, so a power of ten has at
most two digits, every other exponent one, and there are no further numbers."""
PRODUCT_BELOW = re.compile(r"/[^/]*\.")
"""`/a.b` is b/a in UCUM, but its parsers and its writers disagree: refused."""
ANNOTATION = re.compile(r"\{[A-Za-z ]{0,20}\}")


def _parse_ucum(normal: str, sent: str, wanted: AnalyteClass) -> Unit | Failure:
    """Only expressions of the class's own atoms and powers of ten, with an exact factor."""
    code = EXPONENT_TERM.sub(r"10*\1", normal)
    readable = UCUM_EXPRESSION.fullmatch(code) and not PRODUCT_BELOW.search(code)
    found = _read_ucum(code) if readable else None
    if found is None:
        return Failure(Reason.UNIT_UNMAPPED, "no known unit", Element.UNIT)
    factor = _factor(found, _read_ucum(wanted.canonical))
    if factor is None:
        return Failure(Reason.UNIT_DIMENSION, f"no unit of {wanted.name}", Element.UNIT)
    if not _only_atoms(code, wanted) or (exact := _power_of_ten(factor, wanted.exponents)) is None:
        return Failure(Reason.UNIT_UNMAPPED, "no known unit", Element.UNIT)
    return Unit(wanted.canonical, exact, "ucum", sent if sent == code else None)


def _only_atoms(code: str, wanted: AnalyteClass) -> bool:
    bare = EXPONENT_TERM.sub("", ANNOTATION.sub("", code))
    atoms = [atom for atom in re.split(r"[./]", bare) if atom]
    return bool(atoms) and all(wanted.atoms.fullmatch(atom) for atom in atoms)


def _power_of_ten(factor: float, exponents: range) -> Decimal | None:
    for exponent in exponents:
        if abs(factor / 10.0**exponent - 1) < 1e-9:
            return Decimal(1).scaleb(exponent) if exponent < 0 else Decimal(10**exponent)
    return None


_UCUM_LOCK = threading.Lock()


@functools.cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry  # half a second to import, and rarely needed

    return PintUcumRegistry()


def load_ucum() -> None:
    """Loads the UCUM reader, so that no message has to wait for it."""
    _registry()


@functools.lru_cache(maxsize=4096)
def _read_ucum(code: str) -> Any | None:
    """The quantity that UCUM reads, or None; the parser's own exceptions are of many kinds.

    Messages may be mapped in a thread: the reader is used by one at a time.
    """
    try:
        with _UCUM_LOCK:
            found = _registry().from_ucum(code)
    except Exception:
        return None
    return found if hasattr(found, "dimensionality") else None


def _factor(found: Any, canonical: Any) -> float | None:
    if found.dimensionality != canonical.dimensionality:
        return None
    try:
        return float((found / canonical).to_base_units().magnitude)
    except (ArithmeticError, ValueError, TypeError):
        return None


UCUM_CODE_LIST = """
10*9/L 10*3/uL 10*4/uL 10*11/L 10*6/L 10*6/mL 10*3/mm3 /uL /nL /mm3 {cells}/uL ng/mL ng/ml ug/L
ug/l pg/uL ug/dL mg/L ug/mL mg ug g
"""
UCUM_CODES = frozenset(UCUM_CODE_LIST.split())


def _exact_ucum(text: str, analyte_class: str) -> str | None:
    """The string itself, where as sent it is a UCUM code of the right meaning."""
    return text if text in UCUM_CODES and analyte_class in CLASSES else None
