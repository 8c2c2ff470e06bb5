"""Populations: who belongs to each, and why everyone else does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.adherence import measure_to_visit
from app.endpoints.cohort.choosing import Index
from app.endpoints.cohort.deviating import is_major
from app.endpoints.cohort.eligibility import judge_eligibility

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

NOT_OURS = "not enrolled in the study"
NO_CONSENT = "consent not recorded"
NO_DOSE = "no sirolimus dose with an amount above 0"
NO_DOSE_DATE = "date of the first dose not known to the day"

Reasons = Sequence[str | None]
"""Of each participant why not; None for a member."""


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """A population: positions of its participants in the cohort, in order, and everyone else of
    whom anything is known, by position, with the reason."""

    rows: Index
    excluded: tuple[tuple[int, str], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def mask(self, size: int) -> NDArray[np.bool_]:
        """Of each of `size` participants whether it is a member."""
        inside = np.zeros(size, np.bool_)
        inside[self.rows] = True
        return inside

    def has(self, subject: NDArray[np.int32], size: int) -> NDArray[np.bool_]:
        """Of each row (by its participant's position, -1 for none) whether it is a member's."""
        if not size:
            return np.zeros(len(subject), np.bool_)
        inside: NDArray[np.bool_] = (subject >= 0) & self.mask(size)[subject]
        return inside

    @property
    def reasons(self) -> Mapping[str, int]:
        return dict(sorted(Counter(reason for _, reason in self.excluded).items()))


def judge_enrolled(cohort: Cohort) -> Reasons:
    return cohort.not_enrolled


def judge_treated(cohort: Cohort) -> Reasons:
    """Enrolled with a first dose: the safety and the efficacy set."""
    taken = cohort.first_doses.taken
    return [
        reason or (None if dosed else NO_DOSE)
        for reason, dosed in zip(cohort.not_enrolled, taken.tolist(), strict=True)
    ]


def judge_eligible(cohort: Cohort) -> Reasons:
    """Enrolled, with every criterion answered as it lets a participant in."""
    eligible = judge_eligibility(cohort)
    return [why or not_met for why, not_met in zip(cohort.not_enrolled, eligible, strict=True)]


def judge_per_protocol(cohort: Cohort) -> Reasons:
    """Treated, adherent up to the protocol's visit, with a valid count in its window, and without
    a major deviation."""
    reasons = judge_treated(cohort)
    return [why or _why_not_per_protocol(cohort, row) for row, why in enumerate(reasons)]


def _why_not_per_protocol(cohort: Cohort, row: int) -> str | None:
    rules, dosing = cohort.protocol.per_protocol, cohort.dosings[row]
    if dosing is None:
        return NO_DOSE_DATE
    minimum = rules.adherence_minimum_percent
    percent = measure_to_visit(cohort, dosing).percent(cohort.protocol.exposure.unrecorded_days)
    if percent is not None and percent < minimum:
        return f"adherence to {rules.visit} below {minimum} %"
    at = [visit.code for visit in cohort.protocol.visits].index(rules.visit)
    if cohort.visits[row, at] < 0:
        return f"no valid count in the window of {rules.visit}"
    major = next((each for each in cohort.deviations[row] if is_major(cohort, each)), None)
    return f"major deviation: {major.code}" if major else None


POPULATIONS: dict[str, Callable[[Cohort], Reasons]] = {
    "enrolled": judge_enrolled,
    "safety": judge_treated,
    "efficacy": judge_treated,
    "eligible": judge_eligible,
    "per-protocol": judge_per_protocol,
}
"""Only who is enrolled in the study can be in any of its populations."""


def divide(cohort: Cohort, population: str) -> Members:
    reasons = POPULATIONS[population](cohort)
    inside = np.array([reason is None for reason in reasons], np.bool_)
    excluded = tuple((row, reason) for row, reason in enumerate(reasons) if reason is not None)
    return Members(np.flatnonzero(inside), excluded)
