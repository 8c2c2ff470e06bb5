"""Unit strings as hospitals write them, and the traps of UCUM. https://ucum.org/ucum"""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.mappings.parsing.units import Approval, Unit, normalise, parse_unit
from app.mappings.reasons import Failure, Reason

SAME_TEXTS = "ng/mL ug/L µg/L μg/l mcg/L pg/uL ng/cc 纳克/毫升 ng/ml"
SAME = SAME_TEXTS.split()

FACTORS = {
    "1": "10*9/L 10^9/L 10E9/L x10^9/L ×10^9/L ×10⁹/L 10⁹/L 10~9/L 10**9/L 10^9／L 10*3/uL "
    "10^3/µL 10^3/μL x10E3/uL 10*3/mm3 /nL G/L GPt/l Giga/L Tsd/µl THOU/uL K/uL k/uL 10*9/l "
    "１０^９/L *10^9/L giga.l-1",
    "10": "万/μL 万/µL 10*4/uL 10^4/μL",
    "0.001": "/uL /μL /mm3 cells/uL {cells}/uL",
    "100": "10*11/L",
}


@pytest.mark.parametrize(
    ("text", "factor"), [(text, f) for f, texts in FACTORS.items() for text in texts.split()]
)
def test_a_unit_of_platelets_has_its_factor(text: str, factor: str) -> None:
    found = parse_unit(text, "count", {})
    assert isinstance(found, Unit)
    assert (found.canonical, found.factor) == ("10*9/L", Decimal(factor))


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        *(
            (text, "1")
            for text in [
                "ng/mL",
                "ug/L",
                "µg/L",
                "μg/l",
                "mcg/L",
                "pg/uL",
                "ng/cc",
                "纳克/毫升",
                "ng/ml",
            ]
        ),
        ("ug/dL", "10"),
        ("mg/L", "1000"),
        ("ng/dL", "0.01"),
    ],
)
def test_a_unit_of_sirolimus_has_its_factor(text: str, factor: str) -> None:
    found = parse_unit(text, "mass-concentration", {})
    assert isinstance(found, Unit)
    assert (found.canonical, found.factor) == ("ng/mL", Decimal(factor))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("109/L", Reason.UNIT_UNMAPPED),
        ("103/uL", Reason.UNIT_UNMAPPED),
        ("10.9/L", Reason.UNIT_UNMAPPED),
        ("1/uL", Reason.UNIT_UNMAPPED),
        ("%/L", Reason.UNIT_UNMAPPED),
        ("foo", Reason.UNIT_UNMAPPED),
        ("x" * 500, Reason.UNIT_UNMAPPED),
        ("g/L", Reason.UNIT_DIMENSION),
        ("ng/mL", Reason.UNIT_DIMENSION),
        ("mmol/L", Reason.UNIT_DIMENSION),
        ("%", Reason.UNIT_DIMENSION),
        ("K/L", Reason.UNIT_DIMENSION),
        ("fL", Reason.UNIT_DIMENSION),
    ],
)
def test_a_string_that_is_no_unit_of_platelets_is_refused(text: str, reason: Reason) -> None:
    found = parse_unit(text, "count", {})
    assert isinstance(found, Failure)
    assert found.reason is reason


def test_molar_units_of_sirolimus_need_an_approval_and_are_marked() -> None:
    refused = parse_unit("nmol/L", "mass-concentration", {})
    assert isinstance(refused, Failure)
    assert refused.reason is Reason.UNIT_DIMENSION
    approved = {("mass-concentration", "nmol/L"): Approval(Decimal("0.91417"), "test", True)}
    found = parse_unit("nmol/L", "mass-concentration", approved)
    assert isinstance(found, Unit)
    assert (found.factor, found.converted) == (Decimal("0.91417"), True)


def test_a_literal_109_needs_an_approval_of_the_feed() -> None:
    approved = {("count", normalise("109/L")): Approval(Decimal(1), "test")}
    found = parse_unit("109/L", "count", approved)
    assert isinstance(found, Unit)
    assert found.factor == 1


def test_only_a_string_that_is_ucum_as_sent_is_called_ucum() -> None:
    codes = [parse_unit(text, "count", {}) for text in ("10*9/L", "10^9/L", "K/uL", "10*3/uL")]
    assert [unit.ucum for unit in codes if isinstance(unit, Unit)] == [
        *("10*9/L", None),
        *(None, "10*3/uL"),
    ]
