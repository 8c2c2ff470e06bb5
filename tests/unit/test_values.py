"""OBX-5 as it is sent: numbers and what is none. HL7 v2.5.1 7.4.2.5."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.mappings.parsing.values import (
    Absent,
    Number,
    Ordinal,
    Ratio,
    Span,
    parse_text,
    parse_value,
)
from app.mappings.reasons import Failure, Reason
from tests.feed_support import site

WORDS = site().words.absent


@pytest.mark.parametrize(
    ("text", "value", "comparator", "flag"),
    [
        ("102", "102", None, ""),
        ("8.60", "8.60", None, ""),
        ("0038", "38", None, ""),
        ("-1.5", "-1.5", None, ""),
        ("+5", "5", None, ""),
        ("102 ↑", "102", None, "H"),
        ("15↓", "15", None, "L"),
        ("102 H", "102", None, "H"),
        ("102H", "102", None, "H"),
        ("9 LL", "9", None, "LL"),
        ("*102", "102", None, "A"),
        ("↓15", "15", None, "L"),
        ("<2.0", "2.0", "<", ""),
        ("＜2.0", "2.0", "<", ""),
        ("≤2.0", "2.0", "<=", ""),
        ("≥ 1000", "1000", ">=", ""),
        (">1,000", "1000", ">", ""),
        ("1,234", "1234", None, ""),
        ("1,234,567.8", "1234567.8", None, ""),
        ("１０２．５", "102.5", None, ""),
        (" 38 ", "38", None, ""),
    ],
)
def test_a_number_is_read_with_its_decimals_its_comparator_and_its_flag(
    text: str, value: str, comparator: str | None, flag: str
) -> None:
    found = parse_text(text, WORDS)
    assert isinstance(found, Number)
    assert (str(found.value), found.comparator, found.flag) == (value, comparator, flag)


@pytest.mark.parametrize(
    "text",
    [
        *("1,23", "1O2", "10 2", "102.", ".5", "1e5", "1.2.3", "12,34,567", "1，23", "H102"),
        *("102 HIGH", "<", "<<2", "< >2", "↑102↓", "abc", "NaN", "inf", "0x10", "1_000", "٣٨"),
        *("38 10*9/L", "见 备注 38", "--5", "1/2/3"),
    ],
)
def test_what_is_no_number_is_never_taken_for_one(text: str) -> None:
    found = parse_text(text, WORDS)
    assert isinstance(found, Failure)
    assert found.reason is Reason.VALUE_UNPARSABLE


@pytest.mark.parametrize(
    ("text", "code", "suspect"),
    [
        ("----", "unknown", False),
        ("N/A", "unknown", False),
        ("n/a", "unknown", False),
        ("", "unknown", False),
        ("溶血", "error", False),
        ("凝集", "error", True),
        ("血小板聚集", "error", True),
        ("标本量不足", "not-performed", False),
        ("见备注", "as-text", False),
    ],
)
def test_an_absent_value_says_why(text: str, code: str, suspect: bool) -> None:
    found = parse_text(text, WORDS)
    assert isinstance(found, Absent)
    assert (found.code, found.suspect) == (code, suspect)


def test_a_deleted_value_is_withdrawn() -> None:
    assert parse_text('""', WORDS) == Absent("unknown", withdrawn=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10-20", Span(Decimal(10), Decimal(20))),
        ("3.5--9.5", Span(Decimal("3.5"), Decimal("9.5"))),
        ("10~20", Span(Decimal(10), Decimal(20))),
        ("1:128", Ratio(Decimal(1), Decimal(128))),
        ("+", Ordinal("1+")),
        ("++", Ordinal("2+")),
        ("3+", Ordinal("3+")),
        ("±", Ordinal("trace")),
        ("阳性", Ordinal("positive")),
        ("阴性", Ordinal("negative")),
    ],
)
def test_other_forms_are_known_and_are_no_numbers(text: str, found: object) -> None:
    assert parse_text(text, WORDS) == found


@pytest.mark.parametrize(
    ("components", "found"),
    [
        (("<", "2.0"), Number(Decimal("2.0"), "<")),
        (("≤", "2.0"), Number(Decimal("2.0"), "<=")),
        (("", "182"), Number(Decimal(182))),
        (("=", "182"), Number(Decimal(182))),
        (("182",), Number(Decimal(182))),
        (("", "1", ":", "128"), Ratio(Decimal(1), Decimal(128))),
        (("", "10", "-", "20"), Span(Decimal(10), Decimal(20))),
        (("", "2", "+"), Ordinal("2+")),
    ],
)
def test_a_structured_number_is_read_by_its_components(
    components: tuple[str, ...], found: object
) -> None:
    assert parse_value("SN", components, WORDS) == found


@pytest.mark.parametrize("components", [("<>", "5"), ("<", "x"), ("<", ""), ("", "1", "?", "2")])
def test_a_structured_number_that_says_something_else_is_refused(
    components: tuple[str, ...],
) -> None:
    assert isinstance(parse_value("SN", components, WORDS), Failure)


def test_components_where_a_number_is_expected_are_refused() -> None:
    assert isinstance(parse_value("NM", ("1", "10"), WORDS), Failure)
