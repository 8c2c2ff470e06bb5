"""The text of one search value becomes a value: tokens, references, dates, amounts, words.
https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Context, Decimal, InvalidOperation
from typing import NamedTuple

from app.errors import Category, SsciError, error
from app.fhir.codec import MAX_DIGITS, MAX_EXPONENT
from app.fhir.criteria import (
    Amount,
    DateRange,
    Parts,
    Reference,
    Text,
    Token,
    TypedIdentifier,
    Value,
    Words,
)
from app.fhir.folding import MAX_STRING, words_of
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.times import parse_date
from app.fhir.ucum import canonical

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
UCUM = "http://unitsofmeasure.org"
CANONICAL = "~"
"""What the unit key of an amount in base units begins with."""

_NUMBER = re.compile(
    r"[+-]?([0-9]{1,1000}(\.[0-9]{0,1000})?|\.[0-9]{1,1000})([eE][+-]?[0-9]{1,4})?"
)
_LITERAL_REFERENCE = re.compile(
    r"(?:(?P<base>https?://.+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_WIDE = Context(prec=2 * MAX_DIGITS + MAX_EXPONENT)


@dataclass(frozen=True, slots=True)
class Reading:
    """What parsing needs to know: the layout, the zone of zoneless dates, our own base address."""

    layout: Layout
    zone: tzinfo
    base_url: str


def refused(
    name: str, diagnostics: str, place: TypeLayout | None = None, code: str = "invalid"
) -> SsciError:
    """A 400 that names the parameter (and those there are, where `place` is given)."""
    if place is not None:
        diagnostics += f"; it has: {', '.join(sorted(place.homes))}"
    return error(
        Category.INCORRECT,
        f"{name}: {diagnostics}",
        code=code,
        expression=f"http.{name.partition(':')[0]}" if name.isascii() else None,
    )


def parse_value(
    reading: Reading, place: TypeLayout, home: Home, name: str, modifier: str, text: str
) -> Value:
    """One of the comma-separated values; SsciError if it is none of the parameter's type."""
    if modifier == "missing":
        if text not in ("true", "false"):
            raise refused(name, "':missing' takes true or false")
        return Text(text)
    if home.kind == "id" or modifier in ("in", "not-in", "text"):
        return Text(unescape(text))
    try:
        return _parse_typed(reading, place, home, modifier, text)
    except (ValueError, InvalidOperation, OverflowError) as problem:
        raise refused(name, f"'{text}' is not a {home.parameter.type}: {problem}") from None


def _parse_typed(
    reading: Reading, place: TypeLayout, home: Home, modifier: str, text: str
) -> Value:
    kind = home.parameter.type
    if home.kind == "composite":
        return _parse_parts(reading, place, home, text)
    if home.kind == "words":
        return parse_words(unescape(text))
    if kind == "date":
        return _parse_date_range(reading, text)
    if kind in ("number", "quantity"):
        return _parse_amount(text)
    if modifier == "of-type":
        return _parse_typed_identifier(text)
    if kind == "token" or modifier == "identifier":
        return _parse_token(text)
    if kind == "reference" and not home.holds_canonicals:
        return _parse_reference(reading, home, modifier, unescape(text))
    if kind == "string":
        return _parse_string(modifier, unescape(text))
    return Text(unescape(text))


def _parse_string(modifier: str, text: str) -> Text:
    if len(text) > MAX_STRING and modifier != "exact":
        raise ValueError(f"only the first {MAX_STRING} characters of a string are compared")
    return Text(text)


def _parse_parts(reading: Reading, place: TypeLayout, home: Home, text: str) -> Parts:
    texts = split_escaped(text, "$")
    codes = home.components
    if len(texts) != len(codes):
        raise ValueError(f"the form is {'$'.join(codes)}")
    homes = [place.homes[code] for code in codes]
    return Parts(
        tuple(
            _parse_typed(reading, place, part, "", held)
            for part, held in zip(homes, texts, strict=True)
        )
    )


def parse_words(text: str) -> Words:
    """Words of which all must be there; `*` after one: how it begins."""
    found: list[str] = []
    for part in text.split():
        held = list(words_of(part, single=False))
        if held and part.endswith("*"):
            held[-1] += "*"
        found += held
    if not found:
        raise ValueError("there is no word in it")
    return Words(tuple(found))


def _parse_token(text: str) -> Token:
    parts = split_escaped(text, "|")
    if len(parts) == 1:
        return Token(None, unescape(text))
    if len(parts) > 2:
        raise ValueError("more than one unescaped '|'")
    system, code = unescape(parts[0]), unescape(parts[1])
    if not system and not code:
        raise ValueError("neither a system nor a code")
    return Token(system, code or None)


def _parse_typed_identifier(text: str) -> TypedIdentifier:
    parts = [unescape(part) for part in split_escaped(text, "|")]
    if len(parts) != 3 or not all(parts[1:]):
        raise ValueError("the form is [system]|[code]|[value]")
    return TypedIdentifier(*parts)


def _parse_reference(reading: Reading, home: Home, modifier: str, text: str) -> Reference:
    match = _LITERAL_REFERENCE.fullmatch(text)
    if match is None:
        if "/" in text or ":" in text:
            return Reference(url=text)
        return Reference(modifier or only_target(home), text)
    if modifier and match["type"] != modifier:
        raise ValueError(f"the type is not {modifier}")
    if match["base"] and match["base"] != reading.base_url:
        return Reference(url=text)
    return Reference(match["type"], match["id"])


class Local(NamedTuple):
    """An address of this server."""

    type: str
    id: str


def parse_local(reading: Reading, text: str) -> Local | None:
    """`Type/id`, with or without this server's base; None for any other text."""
    match = _LITERAL_REFERENCE.fullmatch(text)
    if match is None or match["base"] not in (None, reading.base_url):
        return None
    return Local(match["type"], match["id"])


def only_target(home: Home) -> str | None:
    """The type an id must be of: a parameter `patient` finds patients, whatever its targets."""
    if home.parameter.code == "patient":
        return "Patient"
    targets = home.parameter.targets
    return targets[0] if len(targets) == 1 else None


def _parse_date_range(reading: Reading, text: str) -> DateRange:
    prefix, rest = _split_prefix(text)
    interval = parse_date(rest, reading.zone)
    return DateRange(prefix, interval.start, interval.end)


def _parse_amount(text: str) -> Amount:
    parts = [unescape(part) for part in split_escaped(text, "|")]
    if len(parts) not in (1, 2, 3):
        raise ValueError("the form is [prefix][number]|[system]|[code]")
    prefix, number = _split_prefix(parts[0])
    if not _NUMBER.fullmatch(number):
        raise ValueError("no number")
    value = Decimal(number)
    half = _half_unit(value) if prefix != "ap" else abs(value) / 10
    low, high = _WIDE.subtract(value, half), _WIDE.add(value, half)
    unit = _unit_key(parts[1:])
    return Amount(prefix, value, low, high, unit, _canonical(prefix, value, low, high, unit))


def _canonical(
    prefix: str, value: Decimal, low: Decimal, high: Decimal, unit: str
) -> Amount | None:
    """The same in base units, where the unit is a UCUM code or may be one."""
    system, _, code = unit.partition("|")
    if not code or system not in ("", UCUM):
        return None
    held = [canonical(number, code) for number in (value, low, high)]
    known = [each for each in held if each is not None]
    if len(known) < len(held):
        return None
    (middle, key), (start, _), (end, _) = known
    return Amount(prefix, middle, start, end, CANONICAL + key)


def _half_unit(value: Decimal) -> Decimal:
    """Half a unit of the last digit given: 5.40 is 5.395 up to 5.405."""
    return Decimal(5).scaleb(int(value.as_tuple().exponent) - 1)


def _unit_key(parts: Sequence[str]) -> str:
    if not parts or not any(parts):
        return ""
    if len(parts) == 1:
        raise ValueError("the form is [prefix][number]|[system]|[code]")
    system, code = parts
    if system and not code:
        raise ValueError("a system without a code")
    return f"{system}|{code}"


def _split_prefix(text: str) -> tuple[str, str]:
    if text[:2] in PREFIXES:
        return text[:2], text[2:]
    return "eq", text


def split_escaped(text: str, separator: str) -> list[str]:
    """Split at the separators that no backslash precedes; escapes stay."""
    parts, current, escaped = [], "", False
    for character in text:
        if character == separator and not escaped:
            parts.append(current)
            current = ""
            continue
        escaped = character == "\\" and not escaped
        current += character
    return [*parts, current]


def escape(text: str) -> str:
    r"""The opposite of `unescape`."""
    return re.sub(r"([,|$\\])", r"\\\1", text)


def unescape(text: str) -> str:
    r"""Resolve `\,` `\|` `\$` and `\\`."""
    return re.sub(r"\\([,|$\\])", r"\1", text)
