"""OBX-2 and OBX-5 → a value: number, range, ratio, ordinal, absence with its reason, or a failure.

HL7 v2.5.1 7.4.2.5. Where a number is expected nothing else is taken for one: `1,23`, `1O2`,
`10 2` and `102.` are failures, never 123, 102, 102 and 102.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from app.mappings.elements import Element
from app.mappings.reasons import Failure, Reason

Comparator = Literal["<", "<=", ">=", ">"]


@dataclass(frozen=True, slots=True)
class Number:
    """`value` keeps its decimals; `flag` is an arrow or letter that stood beside it (H, L …)."""

    value: Decimal
    comparator: Comparator | None = None
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """No value: `code` of http://terminology.hl7.org/CodeSystem/data-absent-reason, the text that
    said so; `suspect`: the specimen clumped; `withdrawn`: the sender deleted the value (`""`)."""

    code: str
    text: str = ""
    suspect: bool = False
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Ratio:
    numerator: Decimal
    denominator: Decimal


@dataclass(frozen=True, slots=True)
class Ordinal:
    """`negative`, `trace`, `positive`, or `1+` … `4+`."""

    grade: str


Value = Number | Absent | Span | Ratio | Ordinal

WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: " ",
    0x00A0: " ",
    0x2212: "-",
    0x2264: "<=",
    0x2265: ">=",
    0x2266: "<=",
    0x2267: ">=",
    0x226F: "<=",
    0x226E: ">=",
}
"""Full-width digits and signs, and the signs that have an ASCII spelling."""

PLAIN = r"[+-]?\d{1,18}(?:\.\d{1,18})?"
GROUPED = r"[+-]?\d{1,3}(?:,\d{3}){1,5}(?:\.\d{1,18})?"
NUMBER = rf"(?:{GROUPED}|{PLAIN})"
FLAGS: Mapping[str, str] = {
    "↑": "H",
    "↓": "L",
    "⬆": "H",
    "⬇": "L",
    "↑↑": "HH",
    "↓↓": "LL",
    "H": "H",
    "L": "L",
    "HH": "HH",
    "LL": "LL",
    "N": "N",
    "*": "A",
}
FLAG = "|".join(re.escape(flag) for flag in sorted(FLAGS, key=len, reverse=True))

NUMBER_FORM = re.compile(
    rf"(?P<before>{FLAG})?\s*(?P<sign><=|>=|<|>)?\s*(?P<number>{NUMBER})\s*(?P<after>{FLAG})?",
    re.ASCII,
)
SPAN_FORM = re.compile(rf"({NUMBER})\s*(?:-{{1,2}}|~|至|到)\s*({NUMBER})", re.ASCII)
RATIO_FORM = re.compile(rf"({NUMBER})\s*[:/]\s*({NUMBER})", re.ASCII)
ORDINALS: Mapping[str, str] = {
    "-": "negative",
    "阴性": "negative",
    "阴性(-)": "negative",
    "NEG": "negative",
    "NEGATIVE": "negative",
    "±": "trace",
    "+-": "trace",
    "+/-": "trace",
    "弱阳性": "trace",
    "TRACE": "trace",
    "+": "1+",
    "++": "2+",
    "+++": "3+",
    "++++": "4+",
    "1+": "1+",
    "2+": "2+",
    "3+": "3+",
    "4+": "4+",
    "阳性": "positive",
    "阳性(+)": "positive",
    "POS": "positive",
    "POSITIVE": "positive",
}
SN_COMPARATORS = frozenset({"<", "<=", ">", ">=", "≤", "≥", "＜", "＞"})


@dataclass(frozen=True, slots=True)
class AbsenceWord:
    """A word of the site that says there is no value, and why."""

    code: str
    suspect: bool = False


Words = Mapping[str, AbsenceWord]
"""Keyed by the folded word (`fold_word`)."""


def fold(text: str) -> str:
    """Full-width characters become ASCII; outer blanks go. Superscripts are left alone."""
    return text.translate(WIDE).strip()


def fold_word(text: str) -> str:
    return fold(text).casefold()


def parse_value(value_type: str, components: tuple[str, ...], words: Words) -> Value | Failure:
    """The value of one repetition of OBX-5, its components unescaped."""
    if value_type.split("^", 1)[0].strip().upper() == "SN":
        return _parse_structured(components, words)
    if len([part for part in components if part.strip()]) > 1 and value_type.upper() in ("NM", ""):
        return _unparsable("several components where a number is expected")
    return parse_text(components[0] if components else "", words)


def parse_text(text: str, words: Words) -> Value | Failure:
    """A value written as text, as ST, TX, FT, NM and an empty OBX-2 bring it."""
    folded = fold(text)
    if not folded:
        return Absent("unknown")
    if folded == '""':
        return Absent("unknown", withdrawn=True)
    return (
        _parse_number(folded)
        or _parse_absence(folded, words)
        or _parse_span(folded)
        or _parse_ratio(folded)
        or _parse_ordinal(folded)
        or _unparsable("no number and no word that the site's data knows")
    )


def _parse_number(text: str) -> Number | Failure | None:
    match = NUMBER_FORM.fullmatch(text)
    if match is None:
        return None
    before, after = match["before"], match["after"]
    if before and after:
        return _unparsable("flags on both sides of a number")
    if before and before.isalpha():
        return None
    flag = FLAGS.get(before or after or "", "")
    comparator: Comparator | None = match["sign"]  # type: ignore[assignment]
    return Number(_read_decimal(match["number"]), comparator, flag)


def _parse_absence(text: str, words: Words) -> Absent | None:
    if re.fullmatch(r"[-—–*.·/]{2,}|[—–]", text):
        return Absent("unknown", text)
    word = words.get(text.casefold())
    return Absent(word.code, text, word.suspect) if word else None


def _parse_span(text: str) -> Span | None:
    match = SPAN_FORM.fullmatch(text)
    return Span(_read_decimal(match[1]), _read_decimal(match[2])) if match else None


def _parse_ratio(text: str) -> Ratio | None:
    match = RATIO_FORM.fullmatch(text)
    return Ratio(_read_decimal(match[1]), _read_decimal(match[2])) if match else None


def _parse_ordinal(text: str) -> Ordinal | None:
    grade = ORDINALS.get(text.upper())
    return Ordinal(grade) if grade else None


def _parse_structured(components: tuple[str, ...], words: Words) -> Value | Failure:
    """SN: comparator ^ number ^ separator or suffix ^ number (HL7 v2.5.1 2.A.69)."""
    sign, first, separator, second = (*(fold(part) for part in components), "", "", "", "")[:4]
    if sign and not first and not separator and not second:
        return parse_text(sign, words)
    if sign in ("", "=") and not separator and not second:
        return parse_text(first, words)
    if sign in SN_COMPARATORS and not separator and not second:
        return _compared(sign, parse_text(first, words))
    if sign in ("", "=") and first and second and separator in ("-", ":", "/"):
        joined = parse_text(f"{first}{separator}{second}", words)
        return (
            joined if isinstance(joined, Span | Ratio) else _unparsable("not a structured number")
        )
    if not sign and separator == "+" and not second:
        return parse_text(f"{first}+", words)
    return _unparsable("not a structured number")


def _compared(sign: str, value: Value | Failure) -> Value | Failure:
    if not isinstance(value, Number) or value.comparator:
        return _unparsable("a comparator without a number")
    return replace(value, comparator=sign)  # type: ignore[arg-type]


def _read_decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def _unparsable(detail: str) -> Failure:
    return Failure(Reason.VALUE_UNPARSABLE, detail, Element.VALUE)
