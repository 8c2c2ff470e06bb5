"""Sustained response: at months 6 and 12 with no loss, rescue or stop between; and the course of
responses: best, first, lost, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.responding import (
    METHODS,
    NOTES,
    Flags,
    Judged,
    build_events,
    count_unusable_bleeding,
    describe_rule,
    iterate_inputs,
    judge,
    split_by_baseline,
)
from app.endpoints.analyses.response_rows import build_subject_rows
from app.endpoints.answers import Answer, build_reasons
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import count_unusable_counts, count_unusable_doses
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.placing import exactly
from app.endpoints.cohort.response_course import Course, Days, find_course
from app.endpoints.cohort.responses import COMPLETE, NO_RESPONSE, PARTIAL, UNJUDGED
from app.endpoints.cohort.visit_responses import RESPONDS, WHY
from app.endpoints.figures.summaries import compute_summary
from app.endpoints.figures.survival import compute_quartiles, estimate_survival

LOST = "response lost between the visits"

COURSE_METHODS = METHODS | {
    "sustained": "response at every one of the protocol's visits for it, no confirmed loss at any "
    "count between them, no rescue or stop before the last",
    "first": "days from the first dose to the first (confirmed) response, of those who have one",
    "loss": "first count of a confirmed run without response, or an intercurrent event, whichever "
    "comes first; denominator: who responded at any time",
    "duration": "Kaplan-Meier from the first response to its loss; censored at the last usable "
    "count; log-log limits",
}
COURSE_NOTES = (
    *NOTES,
    "Leaving the study early ends a response (composite strategy): loss.by says how many.",
)


@dataclass(frozen=True, slots=True, eq=False)
class Spell:
    """One kind of response of the members, in days: NaN of who never had it."""

    first: Days
    loss: Days
    duration: Days
    event: Days


Tell = Callable[[Judged, Spell], Answer]


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    """Sustained response, and the course of responses under the rule."""
    judged = judge(cohort)
    course = find_course(cohort, judged.responses)
    strata = split_by_baseline(cohort, members)
    return {
        "unit": "%",
        "confidence": cohort.confidence,
        "interval": judged.interval,
        "rule": describe_rule(judged.rule),
        "n": len(members),
        "sustainedVisits": list(cohort.protocol.response.sustained_visits),
        **_sustained(judged, members),
        "strata": [_stratum(judged, name, part) for name, part in strata],
        "best": _best(judged, course, members),
        "first": _both(judged, course, members, _first),
        "loss": _both(judged, course, members, _loss),
        "duration": _both(judged, course, members, _duration),
        "thresholds": _thresholds(judged, members),
        "intercurrentEvents": build_events(judged, members),
        "doses": {"unusable": count_unusable_doses(cohort, members)},
        "counts": {"unusable": count_unusable_counts(cohort, members)},
        "bleedingAssessments": {"unusable": count_unusable_bleeding(cohort, members)},
    }


def find_sustained(judged: Judged) -> Flags:
    """Of each participant of the cohort whether the response was sustained."""
    at = _positions(judged)
    responds = (judged.visits.why[:, at] == RESPONDS).all(axis=1)
    sustained: Flags = responds & ~_lost_between(judged, at)
    return sustained


def _positions(judged: Judged) -> list[int]:
    codes = judged.cohort.protocol.response.sustained_visits
    return [row for row, each in enumerate(judged.cohort.protocol.visits) if each.code in codes]


def _lost_between(judged: Judged, at: list[int]) -> Flags:
    """Whether a count of a confirmed loss lies between the counts of the first and last visit."""
    counts, order = judged.cohort.counts, judged.responses.order
    found = np.zeros(len(judged.cohort), np.bool_)
    if not at or not len(order):
        return found
    place = np.full(len(counts.day) + 1, -1, np.intp)
    place[order] = np.arange(len(order))
    begin, end = (place[judged.visits.chosen[:, each]] for each in (at[0], at[-1]))
    subject, position = counts.subject[order], np.arange(len(order))
    between = (begin[subject] >= 0) & (position > begin[subject]) & (position < end[subject])
    found[subject[between & judged.responses.lost[order]]] = True
    return found


def _sustained(judged: Judged, members: Members) -> Answer:
    rows, sustained = members.rows, find_sustained(judged)
    unknown = _unknown(judged)[rows]
    cohort = judged.cohort
    reasons = [(cohort.numbers[row], _why_not(judged, row)) for row in rows[~sustained[rows]]]
    return {
        "sustained": judged.rate(sustained[rows]),
        "notSustained": build_reasons(reasons, listed=cohort.tables.listed)
        | {"missing": int(unknown.sum())},
        "sensitivity": {"observedCases": judged.rate(sustained[rows[~unknown]])},
    }


def _unknown(judged: Judged) -> Flags:
    """Missing at a visit, with no failure observed at another."""
    at = _positions(judged)
    missing = judged.visits.missing[:, at]
    failed = ~missing & (judged.visits.why[:, at] != RESPONDS)
    unknown: Flags = missing.any(axis=1) & ~failed.any(axis=1) & ~_lost_between(judged, at)
    return unknown


def _why_not(judged: Judged, row: int) -> str:
    visits = judged.cohort.protocol.visits
    for each in _positions(judged):
        why = judged.visits.why[row, each]
        if why != RESPONDS:
            return f"{visits[each].code}: {WHY[why]}"
    return LOST


def _stratum(judged: Judged, name: str, members: Members) -> Answer:
    sustained = find_sustained(judged)[members.rows]
    return {"name": name, "n": len(members), "sustained": judged.rate(sustained)}


def _best(judged: Judged, course: Course, members: Members) -> Answer:
    """The best level of any count after the first dose."""
    best = course.best[members.rows]
    return {
        "response": judged.rate(best >= PARTIAL),
        "complete": judged.rate(best == COMPLETE),
        "partial": judged.rate(best == PARTIAL),
        "none": judged.rate(best == NO_RESPONSE),
        "notJudged": judged.rate(best == UNJUDGED),
    }


def _both(judged: Judged, course: Course, members: Members, tell: Tell) -> Answer:
    """Of any response and of complete ones."""
    rows, event = members.rows, course.event[members.rows]
    any_kind = Spell(course.first[rows], course.loss[rows], course.duration[rows], event)
    complete = Spell(
        course.first_complete[rows],
        course.loss_complete[rows],
        course.duration_complete[rows],
        event,
    )
    return {"response": tell(judged, any_kind), "complete": tell(judged, complete)}


def _first(judged: Judged, spell: Spell) -> Answer:
    there = ~np.isnan(spell.first)
    return {
        **judged.rate(there),
        "days": compute_summary(spell.first[there], judged.cohort.confidence),
    }


def _loss(judged: Judged, spell: Spell) -> Answer:
    began = ~np.isnan(spell.first)
    lost = ~np.isnan(spell.loss[began])
    by_event = int(np.count_nonzero(spell.loss[began] == spell.event[began]))
    by = {"count": int(lost.sum()) - by_event, "intercurrentEvent": by_event}
    return {**judged.rate(lost), "by": by}


def _duration(judged: Judged, spell: Spell) -> Answer:
    began = ~np.isnan(spell.first)
    lost = ~np.isnan(spell.loss[began])
    curve = estimate_survival(spell.duration[began], lost)
    return {
        "unit": "d",
        "n": int(began.sum()),
        "events": int(lost.sum()),
        "censored": int((~lost).sum()),
        "quartiles": compute_quartiles(curve, judged.cohort.confidence),
        "observed": compute_summary(spell.duration[began], judged.cohort.confidence),
    }


def _thresholds(judged: Judged, members: Members) -> list[Answer]:
    """Who had a count at or above each threshold at any time after the first dose, before rescue or
    stop."""
    counts, order = judged.cohort.counts, judged.responses.order
    highest = np.full(len(judged.cohort), -1.0)
    used = order[~judged.responses.failed[order]]
    np.maximum.at(highest, counts.subject[used], counts.value[used])
    values = exactly(highest[members.rows])
    limits = judged.cohort.protocol.response.thresholds
    return [{"name": f">= {each}", **judged.rate(values >= float(each))} for each in limits]


SUSTAINED_RESPONSE = Analysis(
    compute_figures, build_subject_rows, iterate_inputs, COURSE_METHODS, COURSE_NOTES
)
