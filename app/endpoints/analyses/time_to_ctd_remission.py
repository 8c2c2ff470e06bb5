"""Time to remission of the connective tissue disease: days from the first dose to the first score
of the protocol's instrument at or below its threshold, among participants with that instrument."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.time_to_remission_figures import (
    METHODS,
    Followed,
    build_curve,
    build_figures,
    choose_followed,
    strategy_of,
)
from app.endpoints.analyses.time_to_remission_rows import (
    NOT_FOLLOWED,
    NOT_LATER,
    OFF_STUDY,
    build_subjects,
    explain_observations,
    iterate_course_inputs,
)
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.calendar import to_day
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import count_unusable_doses, format_day, study_day
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.remission import Observations, follow, last_days_on_study
from app.endpoints.figures.summaries import rounded
from app.endpoints.reading.records import ActivityScore, Source

SCORE = "score"

NO_STATUS = "status is not final"
NO_VALUE = "no numeric value"
NO_DATE = "date not known to the day"
WITHOUT_RULE = "Sensitivity only: the score without what its platelet item contributes."

NOTES = (
    "Stands beside the time to complete remission, which is of the platelets.",
    "A score after rescue treatment is dealt with as a count is.",
    "Participants without any usable score of the instrument are not followed here.",
)


@dataclass(frozen=True, slots=True)
class Scores:
    """The instrument's scores of everyone, in order of participant and time, and why some can't be
    used (None: usable)."""

    records: Sequence[ActivityScore]
    reasons: Sequence[str | None]

    def usable(self) -> Iterator[tuple[int, ActivityScore, date]]:
        for place, (row, reason) in enumerate(zip(self.records, self.reasons, strict=True)):
            if reason is None and row.day is not None:
                yield place, row, row.day


def find_scores(cohort: Cohort) -> Scores:
    instrument = cohort.protocol.time_to_remission.ctd_instrument
    rows = [row for row in cohort.tables.rows.all(ActivityScore) if row.kind == instrument]
    return Scores(rows, [_why_unusable(cohort, row) for row in rows])


def _why_unusable(cohort: Cohort, row: ActivityScore) -> str | None:
    if row.status not in cohort.protocol.measurements["platelets"].valid_statuses:
        return NO_STATUS
    if row.value is None or row.data_absent_reason is not None:
        return NO_VALUE
    return None if row.day else NO_DATE


def value_of(row: ActivityScore, *, platelet_item: bool) -> Decimal | None:
    """The score; without its platelet item where that is asked for and known."""
    if row.value is None or platelet_item:
        return row.value
    return None if row.platelet_item is None else row.value - row.platelet_item


def observe_scores(cohort: Cohort, scores: Scores, *, platelet_item: bool = True) -> Observations:
    """Usable scores after the day of the first dose, up to the last day on study."""
    limit = cohort.protocol.time_to_remission.ctd_threshold
    last = last_days_on_study(cohort)
    found: list[tuple[int, int, int, bool, bool]] = []
    for place, row, day in scores.usable():
        value = value_of(row, platelet_item=platelet_item)
        subject = cohort.position[row.subject]
        if value is None or not cohort.first_doses.dated[subject]:
            continue
        elapsed = to_day(day) - int(cohort.first_doses.day[subject])
        if elapsed > 0 and to_day(day) <= last[subject]:
            after = _is_after_rescue(cohort, subject, row, to_day(day))
            found.append((place, subject, elapsed, value <= limit, after))
    columns = np.array(found, np.int64).reshape(-1, 5)
    return Observations(
        place=columns[:, 0].astype(np.intp),
        subject=columns[:, 1].astype(np.int32),
        elapsed=columns[:, 2].astype(np.int32),
        remits=columns[:, 3].astype(np.bool_),
        after_rescue=columns[:, 4].astype(np.bool_),
    )


def _is_after_rescue(cohort: Cohort, subject: int, row: ActivityScore, day: int) -> bool:
    """As `Cohort.after_rescue` has it of counts."""
    rescue = cohort.rescues.get(subject)
    given = cohort.day_of(rescue) if rescue else None
    if rescue is None or rescue.when is None or row.when is None or given is None:
        return False
    both_timed = rescue.when.has_time and row.when.has_time
    earlier = both_timed and row.when.begin < rescue.when.begin
    return day > given or (day == given and not earlier)


def choose(
    cohort: Cohort, members: Members, *, platelet_item: bool = True
) -> tuple[Followed, Observations]:
    scores = find_scores(cohort)
    seen = observe_scores(cohort, scores, platelet_item=platelet_item)
    courses = follow(cohort, seen, strategy_of(cohort))
    having = {
        row.subject
        for _, row, _ in scores.usable()
        if value_of(row, platelet_item=platelet_item) is not None
    }
    instrument = cohort.protocol.time_to_remission.ctd_instrument
    lacking = [row for row in members.rows.tolist() if cohort.numbers[row] not in having]
    without = dict.fromkeys(lacking, f"no usable {instrument} score")
    return choose_followed(cohort, members, courses, without), seen


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    followed, seen = choose(cohort, members)
    figures = build_figures(cohort, followed, seen, SCORE)
    other, _ = choose(cohort, members, platelet_item=False)
    without = {"rule": WITHOUT_RULE} | build_curve(cohort, other.curve)
    remission = cohort.protocol.time_to_remission
    return {
        "instrument": remission.ctd_instrument,
        "threshold": rounded(float(remission.ctd_threshold)),
        **figures,
        "sensitivity": figures["sensitivity"] | {"withoutPlateletItem": without},
        "doses": {"unusable": count_unusable_doses(cohort, members)},
        "scores": _scores(cohort, members, seen),
    }


def _scores(cohort: Cohort, members: Members, seen: Observations) -> Answer:
    """How many scores of the instrument there are, how many were looked at, why some can't be."""
    inside = {cohort.numbers[row] for row in members.rows.tolist()}
    scores = find_scores(cohort)
    reasons = [
        reason
        for row, reason in zip(scores.records, scores.reasons, strict=True)
        if row.subject in inside
    ]
    among = members.has(seen.subject, len(cohort))
    return {
        "total": len(reasons),
        "lookedAt": int(among.sum()),
        "afterRescue": int((among & seen.after_rescue).sum()),
        "unusable": dict(sorted(Counter(each for each in reasons if each).items())),
    }


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per member, one row per score of the instrument."""
    followed, seen = choose(cohort, members)
    return {
        "unit": "d",
        "instrument": cohort.protocol.time_to_remission.ctd_instrument,
        "subjects": build_subjects(cohort, followed, members, SCORE, _source_in(cohort)),
        "rows": list(_rows(cohort, members, followed, seen)),
    }


def _rows(
    cohort: Cohort, members: Members, followed: Followed, seen: Observations
) -> Iterator[Answer]:
    looked = explain_observations(cohort, followed, seen)
    scores, inside = find_scores(cohort), members.mask(len(cohort))
    for place, row in enumerate(scores.records):
        subject = cohort.position[row.subject]
        if not inside[subject]:
            continue
        known = looked.get(subject, {}).get(place)
        yield _row(cohort, subject, row) | {
            "remits": known.remits if known else None,
            "usedAs": known.used_as if known else None,
            "notUsed": known.why_not if known else _why_not(cohort, subject, scores, place),
            **build_source(row.source),
        }


def _row(cohort: Cohort, subject: int, row: ActivityScore) -> Answer:
    timed = row.day is not None and bool(cohort.first_doses.dated[subject])
    first = int(cohort.first_doses.day[subject])
    elapsed = to_day(row.day) - first if timed and row.day else None
    without = value_of(row, platelet_item=False)
    return {
        "USUBJID": row.subject,
        "PARAMCD": row.kind,
        "ADT": format_day(row.when),
        "ADY": study_day(elapsed),
        "elapsed": elapsed,
        "AVAL": None if row.value is None else rounded(float(row.value)),
        "withoutPlateletItem": None if without is None else rounded(float(without)),
    }


def _why_not(cohort: Cohort, subject: int, scores: Scores, place: int) -> str:
    row, reason = scores.records[place], scores.reasons[place]
    if reason or row.day is None:
        return reason or NO_DATE
    if not cohort.first_doses.dated[subject]:
        return NOT_FOLLOWED
    later = to_day(row.day) > int(cohort.first_doses.day[subject])
    return OFF_STUDY if later else NOT_LATER


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    followed, seen = choose(cohort, members)
    yield from iterate_course_inputs(cohort, followed, seen, _source_in(cohort))


def _source_in(cohort: Cohort) -> Callable[[int], Source]:
    scores = find_scores(cohort)
    return lambda place: scores.records[place].source


TIME_TO_CTD_REMISSION = Analysis(
    compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES
)
