"""Adherence: what was taken over what was to be taken, in mg, over a run of days."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from app.endpoints.cohort.dosing import Dosing, add_up

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

LEFT_OUT = "left-out"
"""What the protocol may say of days that nothing is recorded of."""


@dataclass(frozen=True, slots=True)
class Adherence:
    """Sums in mg over `days`; `recorded_expected` is of those days only that something is recorded
    of."""

    days: int
    unrecorded: int
    taken: Fraction
    expected: Fraction
    recorded_expected: Fraction

    def percent(self, unrecorded_days: str) -> float | None:
        """By the protocol's word for days without a record; None where nothing was to be taken."""
        left_out = unrecorded_days == LEFT_OUT
        asked = self.recorded_expected if left_out else self.expected
        return float(100 * self.taken / asked) if asked else None


def measure(dosing: Dosing, first: int, last: int) -> Adherence:
    """Over the days `first`-`last`, both included."""
    days, told = dosing.recorded
    start, stop = bisect_left(days, first), bisect_right(days, last)
    asked = recorded_asked = Fraction(0)
    for begin, end, mg in dosing.plan.runs(first, last):
        asked += mg * (end - begin + 1)
        recorded_asked += mg * (bisect_right(days, end) - bisect_left(days, begin))
    number = max(0, last - first + 1)
    taken = add_up(told[start:stop])
    return Adherence(number, number - (stop - start), taken, asked, recorded_asked)


def measure_treatment(dosing: Dosing) -> Adherence:
    """From the first dose to the last."""
    return measure(dosing, dosing.first, dosing.last)


def measure_to_visit(cohort: Cohort, dosing: Dosing) -> Adherence:
    """From the first dose to the day before the target of the per-protocol visit, whether or not
    doses went on so long; no further than the participant is observed."""
    asked = cohort.protocol.per_protocol.visit
    target = next(visit.target for visit in cohort.protocol.visits if visit.code == asked)
    return measure(dosing, dosing.first, min(dosing.first + target - 1, dosing.observed))
