"""Aim 3: the characteristics of responders against those of non-responders, with exact tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.responder_rows import build_subject_rows, iterate_inputs
from app.endpoints.analyses.responding import (
    METHODS,
    NOTES,
    Flags,
    Judged,
    build_events,
    describe_rule,
    find_definition_rule,
    find_observed,
    judge,
)
from app.endpoints.answers import Answer
from app.endpoints.cohort.characteristics import (
    BACKGROUND_GROUPS,
    find_ages,
    find_background,
    prednisone_values,
    score_values,
)
from app.endpoints.cohort.choosing import Index
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import count_unusable_counts, count_unusable_doses
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.responses import PARTIAL
from app.endpoints.cohort.subgroups import UNKNOWN, label_members
from app.endpoints.figures.contingency import compute_association, compute_odds_ratio
from app.endpoints.figures.rank_sum import compute_rank_sum
from app.endpoints.figures.summaries import compute_summary

SMALL = 30
"""Below so many in either group the answer warns of it."""

CAUTION = (
    "{responders} responders and {others} non-responders: few participants tell little. A large P "
    "is no sign that a characteristic does not matter, and the tests are many and not adjusted: "
    "read them as descriptions, and the intervals rather than P."
)

RESPONDER_METHODS = METHODS | {
    "levels": "Fisher's exact test, two-sided, of all levels at once (Freeman-Halton beyond two); "
    "participants of whom the level is not known stand apart and are not in the test",
    "oddsRatio": "conditional maximum likelihood with its exact interval: the odds of response of "
    "the first level against the second",
    "numbers": "Wilcoxon-Mann-Whitney, exact given the ties: the part of all divisions whose rank "
    "sum lies at least as far from its expectation; superiority: the probability that a "
    "responder's value exceeds a non-responder's, ties half",
    "adjustment": "none for the number of tests",
}


@dataclass(frozen=True, slots=True, eq=False)
class Divided:
    """Members, and of each whether it responds."""

    cohort: Cohort
    judged: Judged
    members: Members
    responds: Flags

    def values(self, of: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the members, from an array by participant."""
        return of[self.members.rows]


def find_visit(judged: Judged) -> int:
    """The visit that decides: the rule's own, else the one asked for, else the definition's."""
    definition = find_definition_rule(judged.cohort)
    asked = judged.cohort.request.parameters.get("visit")
    codes = (judged.rule.visit, asked, definition.visit if definition else None)
    code = next((each for each in codes if each), None)
    visits = [each.code for each in judged.cohort.protocol.visits]
    return visits.index(code) if code else len(visits) - 1


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    """Every characteristic of responders and non-responders at the deciding visit."""
    judged = judge(cohort)
    visit = find_visit(judged)
    divided = _divide(judged, members.rows, visit)
    observed = _divide(judged, find_observed(judged, members, visit), visit)
    return {
        "unit": "%",
        "confidence": cohort.confidence,
        "interval": judged.interval,
        "rule": describe_rule(judged.rule),
        "visit": cohort.protocol.visits[visit].code,
        "visitReason": _visit_reason(judged, visit),
        "n": len(members),
        "responders": judged.rate(divided.responds),
        "caution": _caution(divided),
        "characteristics": build_characteristics(divided),
        "sensitivity": {
            "observedCases": {
                "responders": judged.rate(observed.responds),
                "characteristics": build_characteristics(observed),
            }
        },
        "intercurrentEvents": build_events(judged, members),
        "doses": {"unusable": count_unusable_doses(cohort, members)},
        "counts": {"unusable": count_unusable_counts(cohort, members)},
    }


def _divide(judged: Judged, rows: Index, visit: int) -> Divided:
    responds = judged.visits.level[rows, visit] >= PARTIAL
    return Divided(judged.cohort, judged, Members(rows, ()), responds)


def _visit_reason(judged: Judged, visit: int) -> str | None:
    asked = judged.cohort.request.parameters.get("visit")
    code = judged.cohort.protocol.visits[visit].code
    differs = asked is not None and asked != code
    return f"the rule {judged.rule.id} looks at {code} only" if differs else None


def _caution(divided: Divided) -> str | None:
    responders = int(divided.responds.sum())
    others = len(divided.responds) - responders
    if min(responders, others) >= SMALL:
        return None
    return CAUTION.format(responders=responders, others=others)


def build_characteristics(divided: Divided) -> list[Answer]:
    """Levels first, then numbers, each with its test."""
    cohort, members = divided.cohort, divided.members
    named = [
        (name, label_members(cohort, name, members))
        for name in ("ctd", "sex", "age", "baseline", "activity")
    ]
    reference = cohort.protocol.subgroups.ctd_reference
    named.insert(1, (f"ctd: {reference}", _against(named[0][1], reference)))
    named += [(f"background: {kind}", _has(divided, kind)) for kind in BACKGROUND_GROUPS]
    return [
        *(_by_level(divided, name, labels) for name, labels in named),
        *_numbers(divided),
    ]


def _against(labels: Sequence[str], reference: str) -> list[str]:
    """The reference against all others together."""
    other = f"not {reference}"
    return [each if each in (reference, UNKNOWN) else other for each in labels]


def _has(divided: Divided, kind: str) -> list[str]:
    """Whether a kind of background treatment is recorded at the first dose."""
    found = find_background(divided.cohort)
    groups = ({each.group for each in found.get(row, ())} for row in divided.members.rows.tolist())
    return ["yes" if kind in each else "none recorded" for each in groups]


def _numbers(divided: Divided) -> list[Answer]:
    cohort = divided.cohort
    unit = cohort.protocol.measurements["platelets"].unit
    named = [
        ("age", "a", find_ages(cohort)),
        ("baseline", unit, cohort.baseline_value),
        *((f"activity: {each}", "1", score_values(cohort, each)) for each in _instruments(cohort)),
        ("background: prednisone equivalent", "mg/d", prednisone_values(cohort)),
    ]
    return [_by_number(divided, name, unit, divided.values(of)) for name, unit, of in named]


def _instruments(cohort: Cohort) -> list[str]:
    return list(cohort.protocol.activity_instruments)


def _by_level(divided: Divided, name: str, labels: Sequence[str]) -> Answer:
    """Responders and non-responders per level; who is not known last and out of the test."""
    found = np.array(labels, dtype=object)
    known = sorted(set(labels) - {UNKNOWN}, key=_level_key)
    counts = [_count(divided, found == each) for each in known]
    unknown = [UNKNOWN] if UNKNOWN in labels else []
    first, second = [each[0] for each in counts], [each[1] for each in counts]
    return {
        "name": name,
        "kind": "levels",
        "levels": [_level(divided, each, found == each) for each in [*known, *unknown]],
        "test": compute_association(first, second),
        "oddsRatio": _odds_ratio(divided, known, counts),
    }


def _level_key(level: str) -> tuple[bool, bool, str]:
    """Those named against others, and `yes`, first; below a cut before from it."""
    return level.startswith("not ") or level == "none recorded", ">=" in level, level


def _count(divided: Divided, inside: NDArray[np.bool_]) -> tuple[int, int]:
    responders = int((divided.responds & inside).sum())
    return responders, int(inside.sum()) - responders


def _level(divided: Divided, level: str, inside: NDArray[np.bool_]) -> Answer:
    responders, others = _count(divided, inside)
    return {
        "level": level,
        "n": responders + others,
        "responders": responders,
        "nonResponders": others,
        "response": divided.judged.rate(divided.responds[inside]),
        "inTest": level != UNKNOWN,
    }


def _odds_ratio(
    divided: Divided, levels: Sequence[str], counts: Sequence[tuple[int, int]]
) -> Answer | None:
    """Of two levels; None of any other number."""
    if len(levels) != 2:
        return None
    told = compute_odds_ratio(counts[0], counts[1], divided.cohort.confidence)
    return {"of": levels[0], "against": levels[1], **told}


def _by_number(divided: Divided, name: str, unit: str, values: NDArray[np.float64]) -> Answer:
    known, confidence = ~np.isnan(values), divided.cohort.confidence
    responders = values[known & divided.responds]
    others = values[known & ~divided.responds]
    return {
        "name": f"{name} ({unit})",
        "kind": "numbers",
        "unit": unit,
        "notKnown": int((~known).sum()),
        "responders": compute_summary(responders, confidence),
        "nonResponders": compute_summary(others, confidence),
        "test": compute_rank_sum(responders, others),
    }


RESPONDERS = Analysis(compute_figures, build_subject_rows, iterate_inputs, RESPONDER_METHODS, NOTES)
