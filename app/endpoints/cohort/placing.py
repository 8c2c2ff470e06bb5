"""First doses, and every platelet count in the light of them: usable or why not, how many days
after, for which visit or for the baseline.

Every count stays a row; one per visit is chosen (ANL01FL of ADaM's BDS, section 4.5 of the ADaM
Implementation Guide: https://www.cdisc.org/standards/foundational/adam).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.choosing import NONE, Index, choose_least
from app.endpoints.reading.columns import (
    ABSENT,
    ANALYTIC_SUSPECT,
    COMPARATOR,
    NO_DAY,
    NOT_TIMED,
    OTHER_UNIT,
    SCALE_SUSPECT,
    STATUS,
    Packed,
)
from app.trial import Visit

SMALLEST_COUNT = 1e-6
LARGEST_COUNT = 1e6
"""Outside these (0 is inside) a count is a slip of the pen, and ratios leave the numbers' range."""

DECIMALS = 9
"""Differences and multiples of counts are rounded to these, which takes away the noise of binary
fractions: equal decimals are equal numbers, so ties are found."""

USABLE = 0
UNUSABLE = (
    "",
    "status is not final",
    "data absent",
    "analytically suspect",
    "no numeric value",
    "a bound, not a number (comparator)",
    "unit is not {unit}",
    "not a possible count",
    "collection date not known to the day",
)
"""Why a count can't be used for any figure, in the order in which it is asked."""

UNPLACED = np.iinfo(np.int32).min
"""`elapsed` of a count whose day, or whose participant's first dose, is not known."""


@dataclass(frozen=True, eq=False)
class FirstDoses:
    """Of each participant: the position of the first dose among the doses (-1 for none), its time
    and day as the columns have them, `dated` if known to the day."""

    row: Index
    begin: NDArray[np.int64]
    day: NDArray[np.int32]
    timed: NDArray[np.bool_]

    @cached_property
    def taken(self) -> NDArray[np.bool_]:
        taken: NDArray[np.bool_] = self.row >= 0
        return taken

    @cached_property
    def dated(self) -> NDArray[np.bool_]:
        dated: NDArray[np.bool_] = self.day != NO_DAY
        return dated


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """All counts as columns. `subject` is the participant's position, `reason` an index of
    UNUSABLE, `elapsed` days since the first dose, `visit` an index of the protocol's visits or -1;
    `for_baseline` says that the count lies in the baseline's window."""

    subject: NDArray[np.int32]
    key: NDArray[np.int64]
    version: NDArray[np.int32]
    begin: NDArray[np.int64]
    day: NDArray[np.int32]
    timed: NDArray[np.bool_]
    value: NDArray[np.float64]
    reason: NDArray[np.int8]
    scale_suspect: NDArray[np.bool_]
    elapsed: NDArray[np.int32]
    visit: NDArray[np.int8]
    for_baseline: NDArray[np.bool_]

    @property
    def usable(self) -> NDArray[np.bool_]:
        usable: NDArray[np.bool_] = self.reason == USABLE
        return usable

    @property
    def after_first_dose(self) -> NDArray[np.bool_]:
        """Collected on a later day than the first dose."""
        after: NDArray[np.bool_] = self.elapsed > 0
        return after


@dataclass(frozen=True, slots=True)
class PlacingRules:
    baseline_days: int
    same_day_date_only_is_baseline: bool
    visits: tuple[Visit, ...]


def exactly(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the noise of binary fractions."""
    rounded: NDArray[np.float64] = np.round(values, DECIMALS)
    return rounded


def find_first_doses(doses: Packed, subject: NDArray[np.int32], size: int) -> FirstDoses:
    """The earliest dose with an amount above 0 that was taken at least in part; one dated to the
    day goes before all that are not: a year alone can't place any count."""
    value = doses["value"]
    taken = (value > 0) & (doses["flags"] & STATUS == 0) & (subject >= 0)
    undated = (doses["day"] == NO_DAY).astype(np.int8)
    keys = (undated, doses["begin"], doses["key"])
    row = choose_least(np.flatnonzero(taken), subject, size, keys)
    found = np.maximum(row, 0)
    none = row == NONE
    if not len(doses):
        return _no_doses(size)
    return FirstDoses(
        row,
        np.where(none, np.iinfo(np.int64).max, doses["begin"][found]),
        np.where(none, NO_DAY, doses["day"][found]).astype(np.int32),
        ~none & (doses["flags"][found] & NOT_TIMED == 0),
    )


def _no_doses(size: int) -> FirstDoses:
    return FirstDoses(
        np.full(size, NONE, np.intp),
        np.full(size, np.iinfo(np.int64).max),
        np.full(size, NO_DAY, np.int32),
        np.zeros(size, np.bool_),
    )


def place_counts(
    packed: Packed, subject: NDArray[np.int32], doses: FirstDoses, rules: PlacingRules
) -> Counts:
    """Every count of a known participant (`subject` >= 0), placed by the first dose."""
    elapsed = _elapsed(packed, subject, doses)
    placed = elapsed != UNPLACED
    before = placed & _is_before(packed, subject, doses, elapsed, rules)
    return Counts(
        subject=subject,
        key=packed["key"],
        version=packed["version"],
        begin=packed["begin"],
        day=packed["day"],
        timed=packed["flags"] & NOT_TIMED == 0,
        value=packed["value"],
        reason=_reasons(packed),
        scale_suspect=packed["flags"] & SCALE_SUSPECT != 0,
        elapsed=elapsed,
        visit=_visits(elapsed, placed & ~before, rules.visits),
        for_baseline=before & (elapsed >= -rules.baseline_days),
    )


def _elapsed(packed: Packed, subject: NDArray[np.int32], doses: FirstDoses) -> NDArray[np.int32]:
    day, first = packed["day"], doses.day[subject]
    known = (day != NO_DAY) & (first != NO_DAY)
    return np.where(known, day - np.where(known, first, 0), UNPLACED).astype(np.int32)


def _is_before(
    packed: Packed,
    subject: NDArray[np.int32],
    doses: FirstDoses,
    elapsed: NDArray[np.int32],
    rules: PlacingRules,
) -> NDArray[np.bool_]:
    """At or before the first dose; on the same day without both times, as the protocol decides."""
    both_timed = (packed["flags"] & NOT_TIMED == 0) & doses.timed[subject]
    not_later = packed["begin"] <= doses.begin[subject]
    same_day = np.where(both_timed, not_later, rules.same_day_date_only_is_baseline)
    before: NDArray[np.bool_] = (elapsed < 0) | ((elapsed == 0) & same_day)
    return before


def _visits(
    elapsed: NDArray[np.int32], after: NDArray[np.bool_], visits: Sequence[Visit]
) -> NDArray[np.int8]:
    """The visit whose window holds a count, of overlapping ones the first."""
    table = np.full(max((visit.high for visit in visits), default=0) + 2, NONE, np.int8)
    for position, visit in reversed(list(enumerate(visits))):
        table[visit.low : visit.high + 1] = position
    inside = after & (elapsed >= 0) & (elapsed < len(table))
    return np.where(inside, table[np.where(inside, elapsed, 0)], NONE).astype(np.int8)


def _reasons(packed: Packed) -> NDArray[np.int8]:
    flags, value = packed["flags"], packed["value"]
    possible = (value == 0) | ((value >= SMALLEST_COUNT) & (value <= LARGEST_COUNT))
    checks: tuple[NDArray[Any], ...] = (
        flags & STATUS != 0,
        flags & ABSENT != 0,
        flags & ANALYTIC_SUSPECT != 0,
        np.isnan(value),
        flags & COMPARATOR != 0,
        flags & OTHER_UNIT != 0,
        ~possible,
        packed["day"] == NO_DAY,
    )
    reason = np.zeros(len(packed), np.int8)
    for number, fails in reversed(list(enumerate(checks, start=1))):
        reason[fails] = number
    return reason


def choose_baseline(counts: Counts, size: int) -> Index:
    """Of each participant the last usable count at or before the first dose; of several at the same
    instant the highest: the choice must not favour a response."""
    rows = np.flatnonzero(counts.usable & counts.for_baseline)
    keys = (-counts.begin, -counts.value, counts.scale_suspect.view(np.int8), counts.key)
    return choose_least(rows, counts.subject, size, keys)


def choose_visits(
    counts: Counts, size: int, visits: Sequence[Visit], among: NDArray[np.bool_] | None = None
) -> Index:
    """Of each participant and visit (two dimensions) the usable count closest to the target; on a
    tie the earlier day, on the same day the later time, at the same instant the lower count."""
    usable = counts.usable & (counts.visit >= 0)
    rows = np.flatnonzero(usable if among is None else usable & among)
    targets = np.array([visit.target for visit in visits] or [0], np.int32)
    distance = np.abs(counts.elapsed - targets[np.maximum(counts.visit, 0)])
    group = counts.subject.astype(np.intp) * len(visits) + counts.visit
    same = (counts.value, counts.scale_suspect.view(np.int8), counts.key)
    keys = (distance, counts.elapsed, -counts.begin, *same)
    return choose_least(rows, group, size * len(visits), keys).reshape(size, len(visits))
