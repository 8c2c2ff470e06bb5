"""Activity scores of the connective tissue disease: of each instrument the baseline and the score
chosen for each visit, by the rules of the platelet counts.

Baseline is the last valid score at or before the first dose, within the days of the baseline
count; a visit's score is the one closest to its target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from app.endpoints.cohort.calendar import to_day, to_microseconds
from app.endpoints.cohort.choosing import NONE
from app.endpoints.reading.records import ActivityScore, ClinicalTime
from app.trial import ActivityInstrument

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort

NO_STATUS = "status is not final"
NOT_ASSESSED = "not assessed"
NO_VALUE = "no numeric value"
NO_DATE = "date not known to the day"


@dataclass(frozen=True, slots=True)
class Score:
    """A score in the light of its participant (`place`): `reason` why it can't be used, `elapsed`
    days since the first dose where both days are known, `visit` an index of the protocol's visits
    or -1."""

    record: ActivityScore
    place: int
    reason: str | None
    elapsed: int | None
    visit: int
    for_baseline: bool
    after_rescue: bool

    @property
    def usable(self) -> bool:
        return self.reason is None

    @property
    def value(self) -> Decimal | None:
        return self.record.value if self.usable else None

    @property
    def value_without_platelets(self) -> Decimal | None:
        """None where it is not told what platelets contribute."""
        if self.value is None or self.record.platelet_item is None:
            return None
        return self.value - self.record.platelet_item


Chosen = Mapping[int, Score]
"""By participant (position)."""


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """One instrument. `scores` are all there are, usable or not, by participant (position);
    `visits`, by visit, those chosen among the ones that no rescue treatment came before, `policy`
    among all."""

    instrument: ActivityInstrument
    scores: Mapping[int, Sequence[Score]]
    baseline: Chosen
    visits: Sequence[Chosen]
    policy: Sequence[Chosen]


def find_activities(cohort: Cohort) -> dict[str, Activity]:
    """Of each of the protocol's instruments, in its order."""
    instruments = cohort.protocol.activity_instruments
    by_kind: dict[str, dict[int, list[Score]]] = {code: {} for code in instruments}
    for row in cohort.tables.rows.all(ActivityScore):
        place = cohort.position.get(row.subject)
        if place is not None and row.kind in by_kind:
            by_kind[row.kind].setdefault(place, []).append(_place(cohort, place, row))
    return {code: _choose(cohort, instruments[code], scores) for code, scores in by_kind.items()}


def explain_unusable_score(cohort: Cohort, row: ActivityScore) -> str | None:
    if row.status not in cohort.protocol.measurements["platelets"].valid_statuses:
        return NO_STATUS
    if row.data_absent_reason is not None:
        return NOT_ASSESSED
    if row.value is None:
        return NO_VALUE
    return None if row.day else NO_DATE


def is_after_rescue(cohort: Cohort, place: int, when: ClinicalTime | None) -> bool:
    """Whether rescue treatment came before: on an earlier day, or on the same day unless both
    times are known and rescue is the later, as for counts."""
    rescue = cohort.rescues.get(place)
    if rescue is None or rescue.when is None or when is None or when.day is None:
        return False
    given, day = cohort.day_of(rescue), to_day(when.day)
    earlier = rescue.when.has_time and when.has_time and when.begin < rescue.when.begin
    return given is not None and (day > given or (day == given and not earlier))


def _place(cohort: Cohort, place: int, row: ActivityScore) -> Score:
    elapsed = _elapsed(cohort, place, row)
    before = elapsed is not None and _is_before(cohort, place, row, elapsed)
    visits = enumerate(cohort.protocol.visits)
    within = (at for at, visit in visits if elapsed and visit.low <= elapsed <= visit.high)
    window = cohort.protocol.baseline.window_days
    return Score(
        record=row,
        place=place,
        reason=explain_unusable_score(cohort, row),
        elapsed=elapsed,
        visit=next(within, NONE),
        for_baseline=before and elapsed is not None and elapsed >= -window,
        after_rescue=is_after_rescue(cohort, place, row.when),
    )


def _elapsed(cohort: Cohort, place: int, row: ActivityScore) -> int | None:
    if row.day is None or not cohort.first_doses.dated[place]:
        return None
    return to_day(row.day) - int(cohort.first_doses.day[place])


def _is_before(cohort: Cohort, place: int, row: ActivityScore, elapsed: int) -> bool:
    """At or before the first dose; on the same day without both times, as the protocol decides."""
    if elapsed != 0:
        return elapsed < 0
    doses = cohort.first_doses
    if row.when is None or not row.when.has_time or not doses.timed[place]:
        return cohort.protocol.baseline.same_day_date_only_is_baseline
    begin = to_microseconds(row.when.begin)
    return begin <= int(doses.begin[place])


def _choose(
    cohort: Cohort, instrument: ActivityInstrument, scores: Mapping[int, Sequence[Score]]
) -> Activity:
    usable = [score for each in scores.values() for score in each if score.usable]
    baseline = _best((score for score in usable if score.for_baseline), _latest_first)
    visits, policy = [], []
    for at, visit in enumerate(cohort.protocol.visits):
        nearest = _nearest_first(visit.target)
        inside = [score for score in usable if score.visit == at]
        policy.append(_best(inside, nearest))
        visits.append(_best((score for score in inside if not score.after_rescue), nearest))
    return Activity(instrument, scores, baseline, visits, policy)


Order = Callable[[Score], tuple[object, ...]]


def _best(scores: Iterable[Score], order: Order) -> dict[int, Score]:
    best: dict[int, Score] = {}
    for score in sorted(scores, key=order):
        best.setdefault(score.place, score)
    return best


def _latest_first(score: Score) -> tuple[object, ...]:
    """Of several at the same instant the lowest: the choice must not favour a decrease."""
    return -_begin(score), score.value, score.record.source.id


def _nearest_first(target: int) -> Order:
    """On a tie the earlier day, on the same day the later time, at the same instant the highest."""

    def order(score: Score) -> tuple[object, ...]:
        elapsed, value = score.elapsed or 0, score.value or Decimal(0)
        distance = abs(elapsed - target)
        return distance, elapsed, -_begin(score), -value, score.record.source.id

    return order


def _begin(score: Score) -> float:
    return score.record.when.begin.timestamp() if score.record.when else 0.0
