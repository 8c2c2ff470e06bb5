"""Statistics of measurements, and how measurements come onto one scale.
https://hl7.org/fhir/R4/observation-operation-stats.html
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.errors import SsciError
from app.fhir.operations.measurements import build_series
from app.fhir.operations.statistics import STATISTICS, compute

UCUM = "http://unitsofmeasure.org"
VALUES = [Decimal(text) for text in ("2", "4", "4", "4", "5", "5", "7", "9")]


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("average", "5"),
        ("maximum", "9"),
        ("minimum", "2"),
        ("median", "4.5"),
        ("sum", "40"),
        ("variance", "4.57142857142857"),
        ("std-dev", "2.13808993529940"),
        ("20-percent", "4"),
        ("80-percent", "6.2"),
        ("4-lower", "4"),
        ("4-upper", "5.5"),
        ("4-dev", "0.75"),
    ],
)
def test_each_statistic_of_a_known_sample(statistic: str, expected: str) -> None:
    assert compute(statistic, VALUES) == Decimal(expected)


def test_every_statistic_of_too_few_values_is_none() -> None:
    assert {compute(name, []) for name in STATISTICS} == {None}
    assert compute("std-dev", [Decimal(1)]) is None
    assert compute("median", [Decimal(1)]) == 1


def test_decimals_stay_decimal() -> None:
    assert compute("sum", [Decimal("0.1"), Decimal("0.2")]) == Decimal("0.3")


def measured(value: Any, code: str, **more: Any) -> dict[str, Any]:
    quantity = {"value": value, "unit": code, "system": UCUM, "code": code}
    return {"valueQuantity": quantity | more}


def test_measurements_are_converted_to_the_unit_of_the_newest() -> None:
    (series,) = build_series([measured(1, "g/L"), measured(2000, "mg/L")])
    assert (series.values, series.unit["code"]) == ((1, 2), "g/L")
    (degrees,) = build_series([measured(37, "Cel"), measured(Decimal("98.6"), "[degF]")])
    assert [round(value, 6) for value in degrees.values] == [37, 37]


def test_what_is_no_exact_number_counts_only_in_the_total() -> None:
    below = measured(2, "g/L", comparator="<")
    (series,) = build_series([measured(1, "g/L"), below, {"valueString": "x"}])
    assert (series.values, series.total) == ((1,), 3)


def test_what_cannot_be_converted_is_refused() -> None:
    with pytest.raises(SsciError, match="can't be converted"):
        build_series([measured(1, "g/L"), measured(1, "mmol/L")])
    with pytest.raises(SsciError, match="can't be converted"):
        build_series([measured(1, "g/L"), {"valueInteger": 1}])
