"""Time to complete remission: days from the first dose to the first complete platelet response."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.time_to_remission_figures import (
    METHODS,
    Followed,
    build_figures,
    choose_followed,
    strategy_of,
)
from app.endpoints.analyses.time_to_remission_rows import (
    NOT_FOLLOWED,
    NOT_LATER,
    OFF_STUDY,
    Looked,
    build_subjects,
    explain_observations,
    iterate_course_inputs,
)
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.bleeding import (
    BLEEDS,
    NO_BLEEDING,
    NOT_ASSESSED,
    explain_unusable_bleeding,
    find_bleeding,
)
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import count_unusable_doses, list_counts, name_reason
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.remission import Observations, follow
from app.endpoints.reading.records import Bleeding, Source
from app.trial import ResponseRule

COUNT = "count"

NOTES = (
    "Disease complete remission is read as complete platelet response; the time to remission of "
    "the connective tissue disease is the endpoint time-to-ctd-remission beside it.",
    "Every usable count after the day of the first dose and up to the last day on study is looked "
    "at, whether or not it lies in a visit's window; a complete response needs no baseline.",
    "Where the rule asks for confirmation, remission begins at the first of an unbroken run of "
    "complete responses that lasts so long; one that is not confirmed by the cut-off is none yet.",
    "A complete response that is lost later stays an event: this is the time to the first one.",
    "Who has no usable count after the day of the first dose is censored on day 0.",
    "Stopping sirolimus changes nothing here (treatment policy).",
)


def rule_of(cohort: Cohort) -> ResponseRule:
    """The response rule that was asked for."""
    asked = cohort.request.parameters["rule"]
    return next(rule for rule in cohort.protocol.response_rules if rule.id == asked)


def choose(cohort: Cohort, members: Members) -> tuple[Followed, Observations]:
    """The members' courses under the protocol's strategy, and what they rest on."""
    seen = cohort.observed(rule_of(cohort))
    courses = follow(cohort, seen, strategy_of(cohort))
    return choose_followed(cohort, members, courses), seen


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    followed, seen = choose(cohort, members)
    return {
        "rule": _rule(cohort, followed),
        **build_figures(cohort, followed, seen, COUNT),
        "doses": {"unusable": count_unusable_doses(cohort, members)},
        "counts": _counts(cohort, members, seen),
    }


def _rule(cohort: Cohort, followed: Followed) -> Answer:
    rule = rule_of(cohort)
    return {
        "id": rule.id,
        "version": rule.version,
        "title": rule.title,
        "confirmationDays": rule.response_confirmation_days,
        "bleedingExcludes": rule.bleeding_excludes,
        "remissionsWithBleedingNotAssessed": _not_assessed(cohort, followed, rule),
    }


def _not_assessed(cohort: Cohort, followed: Followed, rule: ResponseRule) -> int | None:
    """Remissions whose first count has no assessment of bleeding; None where it plays no part."""
    if not rule.bleeding_excludes:
        return None
    deciding = followed.courses.deciding[followed.rows[followed.event]]
    return int((find_bleeding(cohort)[deciding] == NOT_ASSESSED).sum())


def _counts(cohort: Cohort, members: Members, seen: Observations) -> Answer:
    """How many counts there are, how many were looked at, and why some can't be used."""
    counts, size = cohort.counts, len(cohort)
    among = members.has(counts.subject, size)
    reasons = np.bincount(counts.reason[among])
    return {
        "total": int(among.sum()),
        "lookedAt": int(members.has(seen.subject, size).sum()),
        "afterRescue": int((members.has(seen.subject, size) & seen.after_rescue).sum()),
        "unusable": {
            name_reason(cohort, reason): int(number)
            for reason, number in enumerate(reasons)
            if reason and number
        },
    }


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    """First doses, rescue treatments, deaths, and the counts up to each deciding one; where the
    rule asks for it, the assessments of bleeding."""
    followed, seen = choose(cohort, members)
    yield from iterate_course_inputs(cohort, followed, seen, _source_in(cohort))
    if rule_of(cohort).bleeding_excludes:
        inside = set(followed.rows.tolist())
        for row in cohort.tables.rows.all(Bleeding):
            known = cohort.position.get(row.subject) in inside
            if known and explain_unusable_bleeding(cohort, row) is None:
                yield Input(row.subject, "bleeding", None, row.source)


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per member, one row per count."""
    followed, seen = choose(cohort, members)
    looked = explain_observations(cohort, followed, seen)
    bleeding = find_bleeding(cohort)
    return {
        "unit": "d",
        "rule": rule_of(cohort).id,
        "subjects": build_subjects(cohort, followed, members, COUNT, _source_in(cohort)),
        "rows": [
            each
            for row in members.rows.tolist()
            for each in _rows(cohort, row, looked.get(row, {}), bleeding)
        ],
    }


def _source_in(cohort: Cohort) -> Callable[[int], Source]:
    return lambda count: cohort.measurement(count).source


def _rows(
    cohort: Cohort, row: int, looked: Mapping[int, Looked], bleeding: NDArray[np.int8]
) -> Iterator[Answer]:
    for count, told in list_counts(cohort, row):
        known = looked.get(count)
        yield told | {
            "remits": known.remits if known else None,
            "bleeding": _BLEEDING[int(bleeding[count])],
            "usedAs": known.used_as if known else None,
            "notUsed": known.why_not if known else _why_not(cohort, row, count),
            "scaleSuspect": bool(cohort.counts.scale_suspect[count]),
            **build_source(cohort.measurement(count).source),
        }


_BLEEDING = {NOT_ASSESSED: None, NO_BLEEDING: False, BLEEDS: True}


def _why_not(cohort: Cohort, row: int, count: int) -> str:
    counts = cohort.counts
    if counts.reason[count]:
        return name_reason(cohort, int(counts.reason[count]))
    if not cohort.first_doses.dated[row]:
        return NOT_FOLLOWED
    return OFF_STUDY if counts.after_first_dose[count] else NOT_LATER


TIME_TO_COMPLETE_REMISSION = Analysis(
    compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES
)
