"""What `$stats` can compute from measurements, in decimal arithmetic.
https://terminology.hl7.org/CodeSystem-observation-statistics.html

Percentiles and quartiles interpolate linearly between the measurements around them; deviation and
variance are the sample's (n - 1). Results have at most fifteen significant digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, localcontext

SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-statistics"

Values = Sequence[Decimal]
"""Measurements in ascending order, at least one."""

_WORKING = Context(prec=40)
_TOLD = Context(prec=15)


def compute(statistic: str, values: Sequence[Decimal]) -> Decimal | None:
    """The statistic of the measurements, None where there are too few. KeyError: unknown."""
    least, _, function = STATISTICS[statistic]
    if len(values) < least:
        return None
    with localcontext(_WORKING):
        return _TOLD.plus(function(sorted(values)))


def display_of(statistic: str) -> str:
    return STATISTICS[statistic][1]


def _average(values: Values) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def _variance(values: Values) -> Decimal:
    average = _average(values)
    squares = [(value - average) * (value - average) for value in values]
    return sum(squares, Decimal(0)) / (len(values) - 1)


def _percentile(share: Decimal) -> Callable[[Values], Decimal]:
    def compute_percentile(values: Values) -> Decimal:
        place = share * (len(values) - 1)
        below = int(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (values[above] - values[below]) * (place - below)

    return compute_percentile


_lower, _upper = _percentile(Decimal("0.25")), _percentile(Decimal("0.75"))

STATISTICS: Mapping[str, tuple[int, str, Callable[[Values], Decimal]]] = {
    "average": (1, "Average", _average),
    "maximum": (1, "Maximum", lambda values: values[-1]),
    "minimum": (1, "Minimum", lambda values: values[0]),
    "median": (1, "Median", _percentile(Decimal("0.5"))),
    "sum": (1, "Sum", lambda values: sum(values, Decimal(0))),
    "std-dev": (2, "Standard Deviation", lambda values: _variance(values).sqrt()),
    "variance": (2, "Variance", _variance),
    "20-percent": (1, "20th Percentile", _percentile(Decimal("0.2"))),
    "80-percent": (1, "80th Percentile", _percentile(Decimal("0.8"))),
    "4-lower": (1, "Lower Quartile", _lower),
    "4-upper": (1, "Upper Quartile", _upper),
    "4-dev": (1, "Quartile Deviation", lambda values: (_upper(values) - _lower(values)) / 2),
}
"""(fewest measurements, display, function) by code; the counts stand beside it in COUNTS."""

COUNTS: Mapping[str, str] = {"count": "Count", "total-count": "Total Count"}
"""`count`: measurements that took part; `total-count`: all observations, valueless ones too."""
