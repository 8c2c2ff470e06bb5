"""Number of participants with complete remission: at any time, and at each visit."""

from __future__ import annotations

import numpy as np

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.responding import (
    METHODS,
    NOTES,
    Judged,
    build_events,
    describe_rule,
    iterate_inputs,
    judge,
    split_by_baseline,
)
from app.endpoints.analyses.response_rate import find_asked
from app.endpoints.analyses.response_rows import build_subject_rows
from app.endpoints.answers import Answer
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import count_unusable_counts, count_unusable_doses
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.responses import COMPLETE
from app.endpoints.figures.summaries import compute_summary

REMISSION_METHODS = METHODS | {
    "everComplete": "a complete response at any usable count after the day of the first dose, "
    "before rescue and stop",
}


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    """Complete responses only; partial ones are the response rate's."""
    judged = judge(cohort)
    asked = find_asked(judged, cohort.request.parameters.get("visit"))
    strata = split_by_baseline(cohort, members)
    return {
        "unit": "%",
        "confidence": cohort.confidence,
        "interval": judged.interval,
        "rule": describe_rule(judged.rule),
        "n": len(members),
        "everComplete": _ever(judged, members),
        "visits": [_visit(judged, members, each) for each in asked],
        "strata": [
            {"name": name, "n": len(part), "everComplete": _ever(judged, part)}
            for name, part in strata
        ],
        "intercurrentEvents": build_events(judged, members),
        "doses": {"unusable": count_unusable_doses(cohort, members)},
        "counts": {"unusable": count_unusable_counts(cohort, members)},
    }


def _ever(judged: Judged, members: Members) -> Answer:
    """Over the whole set, over those with a usable count after the first dose, and the days to it
    among those who have it."""
    counts, rows = judged.cohort.counts, members.rows
    first = judged.responses.first_complete[rows]
    counted = np.zeros(len(judged.cohort), np.bool_)
    counted[counts.subject[judged.responses.order]] = True
    return {
        **judged.rate(first >= 0),
        "observedCases": judged.rate(first[counted[rows]] >= 0),
        "days": compute_summary(
            counts.elapsed[first[first >= 0]].astype(np.float64), judged.cohort.confidence
        ),
    }


def _visit(judged: Judged, members: Members, visit: int) -> Answer:
    """Who has a count at the visit is observed, with or without baseline."""
    rows, at = members.rows, judged.visits
    complete = at.level[rows, visit] == COMPLETE
    return {
        "visit": judged.cohort.protocol.visits[visit].code,
        "complete": judged.rate(complete),
        "observedCases": judged.rate(complete[at.chosen[rows, visit] >= 0]),
    }


COMPLETE_REMISSION = Analysis(
    compute_figures, build_subject_rows, iterate_inputs, REMISSION_METHODS, NOTES
)
