"""Disposition: who was enrolled, eligible and treated, who came to each visit, how participation
ended, and how large each population is. In the order of CONSORT's flow: Schulz et al., BMJ
2010;340:c332.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.disposition_rows import (
    ENDINGS,
    build_subject_rows,
    find_ending,
    iterate_inputs,
)
from app.endpoints.answers import Answer
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.eligibility import judge_eligibility
from app.endpoints.cohort.members import (
    NO_CONSENT,
    POPULATIONS,
    Members,
    divide,
    judge_enrolled,
    judge_treated,
)
from app.endpoints.cohort.visiting import ABSENT, OPEN, find_visit
from app.endpoints.figures.proportions import compute_proportion

METHODS = {
    "screened": "everyone with a record of participation, with or without consent",
    "present": "an attendance on record, or a valid count in the visit's window",
    "notDue": "participation ended before the visit's target and tolerance, or nothing is known of "
    "the participant from the end of its window on",
    "endings": "an end of participation after the data cut has not happened",
    "interval": "Clopper-Pearson",
}

NOTES = (
    "Percentages of visits are of the treated whose visit was due.",
    "Lost to follow-up is counted apart from the other withdrawals.",
)


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    return {
        "confidence": cohort.confidence,
        "n": len(members),
        "flow": _flow(cohort, members),
        "visits": [_visit(cohort, members, at) for at in range(len(cohort.protocol.visits))],
        "treatment": _treatment(cohort, members),
        "endings": _endings(cohort, members),
        "populations": [_population(cohort, members, name) for name in POPULATIONS],
    }


def _flow(cohort: Cohort, members: Members) -> list[Answer]:
    rows = members.rows.tolist()
    without = sum(reason == NO_CONSENT for _, reason in members.excluded)
    enrolled, treated = judge_enrolled(cohort), judge_treated(cohort)
    eligible = judge_eligibility(cohort)
    not_met = Counter(why for row in rows if (why := eligible[row]))
    return [
        {"name": "screened", "n": len(rows) + without},
        {"name": "enrolled", "n": sum(enrolled[row] is None for row in rows)},
        {
            "name": "eligible",
            "n": sum(eligible[row] is None and enrolled[row] is None for row in rows),
            "notEligible": dict(sorted(not_met.items())),
        },
        {"name": "treated", "n": sum(treated[row] is None for row in rows)},
    ]


def _visit(cohort: Cohort, members: Members, at: int) -> Answer:
    """Of the treated; those without a dated first dose can't have visits placed."""
    placed = [row for row in members.rows.tolist() if cohort.dosings[row]]
    found = Counter(find_visit(cohort, row, at).finding for row in placed)
    due = len(placed) - found[OPEN]
    return {
        "visit": cohort.protocol.visits[at].code,
        "present": compute_proportion(due - found[ABSENT], due, cohort.confidence),
        "missed": found[ABSENT],
        "notDue": found[OPEN],
        "notPlaced": len(members) - len(placed),
    }


def _treatment(cohort: Cohort, members: Members) -> Answer:
    """Of the treated how many stopped sirolimus, by the first sign of it."""
    treated = cohort.first_doses.taken
    rows = [row for row in members.rows.tolist() if treated[row]]
    stops = Counter(cohort.stops[row].why for row in rows if row in cohort.stops)
    return {
        "treated": len(rows),
        "stopped": sum(stops.values()),
        "notStopped": len(rows) - sum(stops.values()),
        "firstSign": dict(sorted(stops.items())),
    }


def _endings(cohort: Cohort, members: Members) -> list[Answer]:
    """Everyone once: how participation ended, and why."""
    found = [find_ending(cohort, row) for row in members.rows.tolist()]
    return [_ending(cohort, name, list(_reasons(found, name)), len(found)) for name in ENDINGS]


def _reasons(found: list[tuple[str, str]], name: str) -> Iterator[str]:
    return (reason for ending, reason in found if ending == name)


def _ending(cohort: Cohort, name: str, reasons: list[str], of: int) -> Answer:
    return {
        "name": name,
        **compute_proportion(len(reasons), of, cohort.confidence),
        "byReason": dict(sorted(Counter(reasons).items())),
    }


def _population(cohort: Cohort, members: Members, name: str) -> Answer:
    """Its size among the members, and why the others are not in it."""
    whole, among = divide(cohort, name), members.mask(len(cohort))
    excluded = Counter(reason for row, reason in whole.excluded if among[row])
    return {
        "name": name,
        **compute_proportion(int(among[whole.rows].sum()), len(members), cohort.confidence),
        "excluded": dict(sorted(excluded.items())),
    }


DISPOSITION = Analysis(compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES)
