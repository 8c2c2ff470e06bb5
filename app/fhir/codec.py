"""JSON in and out that loses nothing: `8.60` stays `8.60`, keys keep their order.

What FHIR, PostgreSQL or the search columns could not hold is refused here, with its place.
https://hl7.org/fhir/R4/json.html · https://hl7.org/fhir/R4/datatypes.html#decimal
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import jiter
import orjson

from app.errors import Category, SsciError, error
from app.fhir.model import Json

MAX_DEPTH = 100
MAX_DIGITS = 1000
MAX_EXPONENT = 1000
"""Far beyond a double, which bounds decimals with an exponent in XML Schema; and what any number
may cost here. https://www.w3.org/TR/xmlschema-2/#double"""

MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)
"""What is a Python int here; a longer whole number is a `LosslessFloat`."""

LosslessFloat = jiter.LosslessFloat
"""A number with fraction or exponent, as it was written: compared by identity, use `equal`."""

_NUL_ESCAPE = b"\\u0000"
_NEGATIVE_ZERO = re.compile(rb"-0(?=[,\]}\s])")
_TYPE_NAME = re.compile(r"[A-Za-z]{1,64}")


def parse_json(data: bytes) -> Json:
    """The object that `data` spells, or a 400 that names line and column or the element.

    Numbers with a fraction or exponent, and whole ones beyond 64 bits, become `LosslessFloat`
    (`decimal` turns one into a number).
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    value = _parse(data)
    if not isinstance(value, dict):
        raise _refused("A resource must be a JSON object", code="structure")
    if _NUL_ESCAPE in data or not _is_plain(value):
        return _checked(_parse_slowly(data))
    return value


def dump_json(value: Any) -> bytes:
    """Compact UTF-8 JSON; numbers in the digits they came with, Decimals in their plain text."""
    return orjson.dumps(value, default=_number_text)


def decimal(value: int | Decimal | LosslessFloat) -> Decimal:
    """The number with its precision: `8.60` has two decimals."""
    if isinstance(value, LosslessFloat):
        return value.as_decimal()
    return Decimal(value)


def is_number(value: Any) -> bool:
    """Whether `value` is a JSON number as `parse_json` gives it or `dump_json` takes it."""
    return isinstance(value, int | Decimal | LosslessFloat) and not isinstance(value, bool)


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values mean the same. Key order is no content; precision is: 8.6 ≠ 8.60."""
    return _sorted_text(one) == _sorted_text(other) or _equal(one, other)


def copy_json(value: Any) -> Any:
    """A copy that shares no object or list with `value`; `copy.deepcopy` fails on our numbers."""
    if isinstance(value, dict):
        return {key: copy_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_json(item) for item in value]
    return value


def _sorted_text(value: Any) -> bytes:
    return orjson.dumps(value, default=_number_text, option=orjson.OPT_SORT_KEYS)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(_equal(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        same_length = isinstance(other, list) and len(one) == len(other)
        return same_length and all(map(_equal, one, other))
    if is_number(one) and is_number(other):
        return decimal(one).as_tuple() == decimal(other).as_tuple()
    return type(one) is type(other) and bool(one == other)


def _parse(data: bytes) -> Any:
    try:
        value = jiter.from_json(
            data, float_mode="lossless-float", catch_duplicate_keys=True, allow_inf_nan=False
        )
    except ValueError as problem:
        raise _refused(_parse_trouble(str(problem)), code="structure") from None
    return _parse_slowly(data) if _NEGATIVE_ZERO.search(data) else value


_TOO_DEEP = f"Elements nest more than {MAX_DEPTH} deep"


def _parse_trouble(problem: str) -> str:
    if problem.startswith("number out of range"):
        return f"{_TOO_PRECISE}: {problem}"
    if problem.startswith("recursion limit"):
        return f"{_TOO_DEEP} at {problem.partition(' at ')[2]}"
    return f"Not valid JSON: {problem}"


def _parse_slowly(data: bytes) -> Any:
    """As jiter, but the legal decimal `-0` keeps its sign and long integers stay lossless.

    `data` is known as valid.
    """
    return json.loads(data, parse_float=_lossless, parse_int=_integer)


def _lossless(text: str) -> LosslessFloat:
    return LosslessFloat(text.encode())


def _integer(text: str) -> int | Decimal | LosslessFloat:
    if text == "-0":
        return Decimal(text)
    return int(text) if len(text) < _SHORT_INTEGER else _lossless(text)


_SHORT_INTEGER = len(str(MAX_INTEGER))


def _checked(value: Json) -> Json:
    for path, diagnostics, code in _troubles(value, _root_name(value), depth=1):
        raise _refused(diagnostics, expression=path, code=code)
    return value


def _number_text(value: Any) -> orjson.Fragment:
    if isinstance(value, LosslessFloat):
        return orjson.Fragment(bytes(value))
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"no JSON for {type(value).__name__}")


def _is_plain(value: Json) -> bool:
    """A quick look, right for almost all input: nothing deep, no number out of the ordinary."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH - 1):
        below: list[Any] = []
        for node in level:
            for item in node.values() if type(node) is dict else node:
                kind = type(item)
                if kind is str or kind is bool or item is None:
                    continue
                if kind is dict or kind is list:
                    below.append(item)
                elif not _is_plain_number(item):
                    return False
        if not below:
            return True
        level = below
    return False


def _is_plain_number(value: Any) -> bool:
    if isinstance(value, int):
        return MIN_INTEGER <= value <= MAX_INTEGER
    return isinstance(value, Decimal) or _number_trouble(value) is None


_TOO_PRECISE = f"A number may have at most {MAX_DIGITS} significant digits"
_TOO_EXTREME = f"A number must lie between 1E-{MAX_EXPONENT} and 1E+{MAX_EXPONENT}"
_MAX_LENGTH = MAX_EXPONENT + MAX_DIGITS + len("-0.E+1000")
_ORDINARY_LENGTH = 100


def _number_trouble(value: Any) -> str | None:
    if not isinstance(value, LosslessFloat):
        return None
    text = bytes(value)
    if len(text) <= _ORDINARY_LENGTH and b"e" not in text and b"E" not in text:
        return None
    return _decimal_trouble(text)


def _decimal_trouble(text: bytes) -> str | None:
    """What is wrong with a long number or one with an exponent; cheap, however hostile."""
    mantissa, _, exponent = text.lower().partition(b"e")
    if len(text) > _MAX_LENGTH or len(mantissa.replace(b".", b"").lstrip(b"-0")) > MAX_DIGITS:
        return _TOO_PRECISE
    if len(exponent.lstrip(b"+-0")) > len(str(MAX_EXPONENT)):
        return _TOO_EXTREME
    number = Decimal(text.decode())
    exponents = number.as_tuple().exponent, number.adjusted()
    within = all(-MAX_EXPONENT <= int(e) <= MAX_EXPONENT for e in exponents)
    return None if within else _TOO_EXTREME


def _troubles(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """(place, what is wrong, issue code), in document order."""
    if depth > MAX_DEPTH:
        yield path, _TOO_DEEP, "structure"
    elif isinstance(value, dict):
        for key, item in value.items():
            if "\0" in key:
                yield path, "An element name holds a NUL character", "structure"
            yield from _troubles(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _troubles(item, f"{path}[{position}]", depth + 1)
    elif isinstance(value, str):
        if "\0" in value:
            yield path, "A string holds a NUL character", "value"
    elif is_number(value) and (trouble := _number_trouble(value)):
        yield path, trouble, "value"


def _root_name(value: Json) -> str:
    name = value.get("resourceType")
    return name if isinstance(name, str) and _TYPE_NAME.fullmatch(name) else "Resource"


def _refused(diagnostics: str, *, code: str, expression: str | None = None) -> SsciError:
    return error(Category.INCORRECT, diagnostics, expression=expression, code=code)
