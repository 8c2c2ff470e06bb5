"""Response rates by visit over the whole set, and the published paper's at month 6.

Denominator: every member; missing is no response (main), observed cases as sensitivity. Estimand:
composite strategies for rescue, stopping and missed visits (ICH E9 R1, protocol.toml).
"""

from __future__ import annotations

import numpy as np

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.platelet_change import name_visit
from app.endpoints.analyses.responding import (
    METHODS,
    NOTES,
    Judged,
    build_bleeding,
    build_events,
    build_main_rates,
    build_sensitivity,
    build_thresholds,
    count_unusable_bleeding,
    describe_rule,
    find_definition_rule,
    iterate_inputs,
    judge,
    split_by_baseline,
)
from app.endpoints.analyses.response_rows import build_subject_rows
from app.endpoints.answers import Answer, build_reasons
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import count_unusable_counts, count_unusable_doses
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.visit_responses import MISSING, RESPONDS, UNCONFIRMED, WHY


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    """Every visit that was asked for, and that the rule looks at."""
    judged = judge(cohort)
    asked = find_asked(judged, cohort.request.parameters.get("visit"))
    return _figures(judged, members, asked)


def compute_month_6(cohort: Cohort, members: Members) -> Answer:
    """The visit of the definition's own rule, whichever rule was asked for."""
    judged, rule = judge(cohort), find_definition_rule(cohort)
    return _figures(judged, members, find_asked(judged, rule.visit if rule else None))


def find_asked(judged: Judged, only: str | None) -> list[int]:
    """Positions of the visits: those asked for, as far as the rule looks at them."""
    visits = enumerate(judged.cohort.protocol.visits)
    return [
        row
        for row, visit in visits
        if only in (None, visit.code) and judged.rule.visit in (None, visit.code)
    ]


def _figures(judged: Judged, members: Members, asked: list[int]) -> Answer:
    cohort = judged.cohort
    strata = split_by_baseline(cohort, members)
    return {
        "unit": "%",
        "confidence": cohort.confidence,
        "interval": judged.interval,
        "rule": describe_rule(judged.rule),
        "n": len(members),
        "visits": [_visit(judged, members, each) for each in asked],
        "notJudged": _not_judged(judged, asked),
        "strata": [_stratum(judged, name, part, asked) for name, part in strata],
        "intercurrentEvents": build_events(judged, members),
        "doses": {"unusable": count_unusable_doses(cohort, members)},
        "counts": {"unusable": count_unusable_counts(cohort, members)},
        "bleedingAssessments": {"unusable": count_unusable_bleeding(cohort, members)},
    }


def _visit(judged: Judged, members: Members, visit: int) -> Answer:
    at = judged.cohort.protocol.visits[visit]
    return name_visit(at) | {
        "n": len(members),
        **build_main_rates(judged, members, visit),
        "thresholds": build_thresholds(judged, members, visit),
        "noResponse": _no_response(judged, members, visit),
        "unconfirmed": _count_why(judged, members, visit, UNCONFIRMED),
        **_flags(judged, members, visit),
        "bleeding": build_bleeding(judged, members, visit),
        "sensitivity": build_sensitivity(judged, members, visit),
    }


def _no_response(judged: Judged, members: Members, visit: int) -> Answer:
    """Who does not respond, by reason; `missing` of them have no judgement at all."""
    why = judged.visits.why[members.rows, visit]
    cohort, listed = judged.cohort, judged.cohort.tables.listed
    missing = int(np.isin(why, MISSING).sum())
    if listed:
        rows = members.rows[why != RESPONDS].tolist()
        named = [(cohort.numbers[row], WHY[judged.visits.why[row, visit]]) for row in rows]
        return build_reasons(named) | {"missing": missing}
    numbers = np.bincount(why, minlength=len(WHY)).tolist()
    reasons = {WHY[each]: n for each, n in enumerate(numbers) if n and each != RESPONDS}
    told = dict(sorted(reasons.items()))
    return {"n": sum(reasons.values()), "reasons": told, "subjects": None, "missing": missing}


def _count_why(judged: Judged, members: Members, visit: int, reason: int) -> int:
    return int(np.count_nonzero(judged.visits.why[members.rows, visit] == reason))


def _flags(judged: Judged, members: Members, visit: int) -> Answer:
    counts, at = judged.cohort.counts, judged.cohort.protocol.visits[visit]
    chosen = judged.visits.chosen[members.rows, visit]
    chosen = chosen[chosen >= 0]
    outside = np.abs(counts.elapsed[chosen] - at.target) > at.tolerance
    return {
        "outsideTolerance": int(outside.sum()),
        "scaleSuspect": int(counts.scale_suspect[chosen].sum()),
    }


def _not_judged(judged: Judged, asked: list[int]) -> list[Answer]:
    """Visits that the rule does not look at."""
    only, visits = judged.rule.visit, judged.cohort.protocol.visits
    reason = f"the rule {judged.rule.id} looks at {only} only"
    others = [visit for row, visit in enumerate(visits) if row not in asked]
    return [
        {"visit": each.code, "reason": reason} for each in others if only not in (None, each.code)
    ]


def _stratum(judged: Judged, name: str, members: Members, asked: list[int]) -> Answer:
    visits = judged.cohort.protocol.visits
    rates = [
        {"visit": visits[each].code, **build_main_rates(judged, members, each)} for each in asked
    ]
    return {"name": name, "n": len(members), "visits": rates}


RESPONSE_RATE = Analysis(compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES)
RESPONSE_MONTH_6 = Analysis(compute_month_6, build_subject_rows, iterate_inputs, METHODS, NOTES)
