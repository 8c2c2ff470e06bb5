"""Background steroids as a day's prednisone equivalent, and the day on which each visit looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import to_day
from app.endpoints.reading.columns import NO_DAY
from app.endpoints.reading.records import Treatment

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

BACKGROUND = "background"
STEROID = "steroid"
NOT_TAKEN = frozenset({"entered-in-error", "not-taken", "not-done", "cancelled"})

NO_STATUS = "status says that it was not taken"
NO_DATE = "first day not known"
NOT_TOLD = "prednisone equivalent not known"
NOT_THEN = "not taken on any day that is looked at"


@dataclass(frozen=True, slots=True)
class SteroidDose:
    """`mg` of prednisone on a day: 0 without a record in force, None where one in force does not
    tell its dose. `doubled`: one drug has two records in force."""

    mg: Decimal | None
    records: tuple[Treatment, ...]

    @property
    def doubled(self) -> bool:
        drugs = Counter(row.drug for row in self.records)
        return any(number > 1 for number in drugs.values())


def list_steroids(cohort: Cohort, place: int) -> list[Treatment]:
    """A participant's background steroids, usable or not."""
    rows = cohort.tables.rows.of(Treatment, cohort.numbers[place])
    return [row for row in rows if row.kind == BACKGROUND and row.group == STEROID]


def has_background(cohort: Cohort, place: int) -> bool:
    """Whether any background treatment is recorded, so that no steroid can be told from no form."""
    rows = cohort.tables.rows.of(Treatment, cohort.numbers[place])
    return any(row.kind == BACKGROUND and row.status not in NOT_TAKEN for row in rows)


def explain_unusable_steroid(row: Treatment) -> str | None:
    """Why a steroid is in force on no day; None if it may be."""
    if row.status in NOT_TAKEN:
        return NO_STATUS
    return NO_DATE if row.when is None else None


def find_steroid_dose(cohort: Cohort, place: int, day: int) -> SteroidDose:
    """The sum of the steroids in force on a day; a first day known to the month is its first."""
    rows = tuple(row for row in list_steroids(cohort, place) if _in_force(cohort, row, day))
    doses = [row.prednisone_mg for row in rows]
    known = [dose for dose in doses if dose is not None]
    return SteroidDose(sum(known, Decimal(0)) if len(known) == len(doses) else None, rows)


def _in_force(cohort: Cohort, row: Treatment, day: int) -> bool:
    if explain_unusable_steroid(row) or row.when is None:
        return False
    first, last = cohort.day_of(row), row.when.last_day
    return first is not None and first <= day and (last is None or day <= to_day(last))


def find_baseline_day(cohort: Cohort, place: int) -> int | None:
    """The day of the first dose."""
    day = int(cohort.first_doses.day[place])
    return None if day == NO_DAY else day


def find_assessment_day(cohort: Cohort, place: int, visit: int) -> int | None:
    """The day of the visit's activity score that is closest to the target, of whatever instrument;
    without any that of the visit's platelet count."""
    first = find_baseline_day(cohort, place)
    if first is None:
        return None
    target = cohort.protocol.visits[visit].target
    elapsed = sorted(_assessed(cohort, place, visit), key=lambda each: (abs(each - target), each))
    if elapsed:
        return first + elapsed[0]
    count = int(cohort.visits_before_rescue[place, visit])
    return int(cohort.counts.day[count]) if count >= 0 else None


def _assessed(cohort: Cohort, place: int, visit: int) -> Iterator[int]:
    for activity in cohort.activities.values():
        score = activity.visits[visit].get(place)
        if score is not None and score.elapsed is not None:
            yield score.elapsed
