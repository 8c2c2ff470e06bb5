"""Canonical units against the pint registry of UCUM, and against arithmetic itself."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.fhir.ucum import canonical, parse_unit

GROUPS = (
    ("10*9/L", "10*3/uL", "/nL", "/mm3", "10*12/L", "{cells}/dL"),
    ("g/L", "ng/mL", "ug/L", "mg/dL", "mg/m3", "kg/m3", "[oz_av]/L"),
    ("mol/L", "mmol/L", "umol/dL", "mol/m3"),
    ("U/L", "umol/min/L", "nkat/mL", "kat/m3"),
    ("Pa", "kPa", "bar", "mm[Hg]", "N/m2", "atm"),
    ("s", "min", "h", "d", "wk", "ms"),
    ("m", "cm", "[in_i]", "[ft_i]"),
    ("kg/m2", "g/cm2", "mg/mm2"),
    ("%", "1", "10*-3", "[ppm]", "10*6"),
    ("mL/min", "L/h", "dl/s"),
    ("J", "cal", "kcal", "W.s"),
)
MAGNITUDES = st.decimals(
    min_value=Decimal("0.0001"), max_value=Decimal("1000000"), places=4, allow_nan=False
)


@cache
def registry() -> Any:
    ucumvert = pytest.importorskip("ucumvert")
    return ucumvert.PintUcumRegistry()


def factor_by_pint(unit: str, other: str) -> float:
    one, two = registry().from_ucum(unit), registry().from_ucum(other)
    return float((one / two).to_base_units().magnitude)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    group = draw(st.sampled_from(GROUPS))
    return draw(st.sampled_from(group)), draw(st.sampled_from(group))


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_the_ratio_of_two_units_is_that_of_the_registry(pair):
    one, other = canonical(Decimal(1), pair[0]), canonical(Decimal(1), pair[1])
    assert one is not None
    assert other is not None
    assert one[1] == other[1]
    assert float(one[0] / other[0]) == pytest.approx(factor_by_pint(*pair), rel=1e-5)


@given(pairs(), MAGNITUDES)
def test_a_converted_quantity_is_found_by_the_original(pair, value):
    one, other = parse_unit(pair[0]), parse_unit(pair[1])
    assert one is not None
    assert other is not None
    ratio = one.factor / other.factor
    converted = Decimal(ratio.numerator) * value / Decimal(ratio.denominator)
    if Fraction(converted) == Fraction(value) * ratio:
        assert canonical(value, pair[0]) == canonical(converted, pair[1])


@given(MAGNITUDES, MAGNITUDES, st.sampled_from([unit for group in GROUPS for unit in group]))
def test_order_is_kept(value, other, unit):
    one, two = canonical(value, unit), canonical(other, unit)
    assert one is not None
    assert two is not None
    assert (value < other) == (one[0] < two[0])


@given(st.one_of(st.text(max_size=30), st.text("gmLukd10*^[]{}()/.+-%3", max_size=30)))
def test_no_text_breaks_the_reader(text):
    unit = parse_unit(text)
    assert unit is None or unit.factor > 0
