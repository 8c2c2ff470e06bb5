"""The primary endpoint: change of the platelet count from baseline, per visit.

Estimand (ICH E9 R1, protocol.toml): counts after rescue treatment are set aside (hypothetical
strategy); with them it is a sensitivity analysis (treatment policy).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.platelet_change_rows import build_subject_rows
from app.endpoints.answers import Answer, Input, build_reasons
from app.endpoints.cohort.choosing import Index, take
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import count_unusable_doses, name_reason
from app.endpoints.cohort.members import NO_DOSE, Members
from app.endpoints.cohort.placing import exactly
from app.endpoints.figures.summaries import (
    DIGITS,
    EXACT_LIMIT,
    compute_hodges_lehmann,
    compute_paired_t,
    compute_ratio,
    compute_signed_rank,
    compute_summary,
)
from app.trial import Visit

NO_DOSE_DATE = "date of the first dose not known to the day"
NO_BASELINE = "no valid baseline count"
NO_COUNT = "no count in the window"
NO_VALID_COUNT = "no valid count in the window"
RESCUED = "every valid count in the window is after rescue treatment"

METHODS = {
    "quartiles": "SAS type 2 (QNTLDEF=5; Hyndman-Fan type 2)",
    "meanInterval": "Student t",
    "pairedT": "two-sided, change against 0",
    "signedRank": "Wilcoxon, two-sided; zeros dropped, mid-ranks; exact conditional distribution "
    f"up to {EXACT_LIMIT} non-zero changes, beyond that normal approximation corrected for ties "
    "and continuity; s = W+ - n(n+1)/4",
    "hodgesLehmann": "median of Walsh averages of all changes, zeros included; interval from the "
    "signed-rank distribution without ties, which is conservative under ties",
    "ratio": "natural logarithm of count / baseline, mean and t interval taken back by exp",
    "rescue": "hypothetical: a count after rescue treatment is not used; with it under "
    "sensitivity.treatmentPolicy",
    "rounding": f"estimates to {DIGITS} significant digits",
}

NOTES = (
    "A count reported as a bound (<2, >1000) is not a number: it is listed as unusable and "
    "never enters a figure.",
    "A count collected on the day of the first dose, but after it, is neither baseline nor visit.",
    "A count whose unit's scale is in review (scaleSuspect) is used: the flag withholds nothing.",
    "Missing includes participants whose window was still open, or not yet reached, at the cutoff.",
)

LOCF_RULE = (
    "Sensitivity only: the last valid count after the first dose and before the window stands "
    "for a missing one; baseline is never carried forward."
)
POLICY_RULE = "Sensitivity only: every valid count is used, also after rescue treatment."


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Baseline and the count at a visit, of the participants who have both."""

    baseline: NDArray[np.float64]
    count: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.baseline)

    @property
    def changes(self) -> NDArray[np.float64]:
        return exactly(self.count - self.baseline)

    @property
    def percent_changes(self) -> NDArray[np.float64]:
        """Of those whose baseline is not 0."""
        defined = self.baseline != 0
        percents: NDArray[np.float64] = 100 * self.changes[defined] / self.baseline[defined]
        return percents

    @property
    def log_ratios(self) -> NDArray[np.float64]:
        """Of those with neither count 0."""
        defined = (self.baseline != 0) & (self.count != 0)
        ratios: NDArray[np.float64] = np.log(self.count[defined] / self.baseline[defined])
        return ratios


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    """Per visit, by baseline stratum, with LOCF and treatment policy as sensitivity."""
    return {
        "unit": cohort.protocol.measurements["platelets"].unit,
        "confidence": cohort.confidence,
        "baseline": _baseline(cohort, members),
        "visits": [_visit(cohort, members, each) for each in list_asked(cohort)],
        "strata": [_stratum(cohort, name, part) for name, part in _strata(cohort, members)],
        "sensitivity": {
            "locf": _locf(cohort, members),
            "treatmentPolicy": _treatment_policy(cohort, members),
        },
        "intercurrentEvents": build_events(cohort, members),
        "doses": {"unusable": count_unusable_doses(cohort, members)},
        "counts": build_counts(cohort, members),
    }


def find_missing(cohort: Cohort, row: int, visit: int) -> str | None:
    """Why a participant has no change at a visit; None if there is one."""
    if cohort.visits_before_rescue[row, visit] >= 0 and cohort.baseline[row] >= 0:
        return None
    if not cohort.first_doses.taken[row]:
        return NO_DOSE
    if not cohort.first_doses.dated[row]:
        return NO_DOSE_DATE
    if cohort.baseline[row] < 0:
        return NO_BASELINE
    if cohort.visits[row, visit] >= 0:
        return RESCUED
    return NO_VALID_COUNT if cohort.has_count_in_window[row, visit] else NO_COUNT


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    visits = cohort.protocol.visits
    for row in members.rows.tolist():
        number = cohort.numbers[row]
        if dose := cohort.first_dose(row):
            yield Input(number, "first dose", None, dose.source)
        if rescue := cohort.rescues.get(row):
            yield Input(number, "rescue", None, rescue.source)
        if cohort.baseline[row] >= 0:
            source = cohort.measurement(cohort.baseline[row]).source
            yield Input(number, "baseline", None, source)
        for position, count in enumerate(cohort.visits_before_rescue[row].tolist()):
            if count >= 0:
                source = cohort.measurement(count).source
                yield Input(number, "visit", visits[position].code, source)


def list_asked(cohort: Cohort) -> list[int]:
    """Positions of the visits that were asked for."""
    only = cohort.request.parameters.get("visit")
    visits = cohort.protocol.visits
    return [row for row, visit in enumerate(visits) if only in (None, visit.code)]


def build_pairs(cohort: Cohort, members: Members, chosen: Index) -> Pairs:
    """Baselines and the chosen counts (by participant of the cohort) of the members with both."""
    baseline = cohort.baseline_value[members.rows]
    count = take(cohort.counts.value, chosen[members.rows])
    both = ~np.isnan(baseline) & ~np.isnan(count)
    return Pairs(baseline[both], count[both])


def _baseline(cohort: Cohort, members: Members) -> Answer:
    values = cohort.baseline_value[members.rows]
    missing = members.rows[np.isnan(values)].tolist()
    who = [cohort.numbers[row] for row in missing] if cohort.tables.listed else None
    return {
        "n": len(values) - len(missing),
        "missing": {"n": len(missing), "subjects": who},
        "observed": compute_summary(values[~np.isnan(values)], cohort.confidence),
    }


def _visit(cohort: Cohort, members: Members, visit: int) -> Answer:
    chosen = cohort.visits_before_rescue[:, visit]
    observed = chosen[members.rows]
    observed = observed[observed >= 0]
    counts, at = cohort.counts, cohort.protocol.visits[visit]
    outside = np.abs(counts.elapsed[observed] - at.target) > at.tolerance
    pairs = build_pairs(cohort, members, chosen)
    return name_visit(at) | {
        "n": len(pairs),
        "missing": build_missing(cohort, members, visit),
        "outsideTolerance": int(outside.sum()),
        "scaleSuspect": int(counts.scale_suspect[observed].sum()),
        "observed": compute_summary(counts.value[observed], cohort.confidence),
        **_figures(cohort, pairs),
        "tests": _tests(cohort, pairs),
    }


def name_visit(visit: Visit) -> Answer:
    return {
        "visit": visit.code,
        "label": visit.label,
        "month": visit.month,
        "window": {
            "target": visit.target,
            "low": visit.low,
            "high": visit.high,
            "tolerance": visit.tolerance,
            "unit": "d",
        },
    }


def _figures(cohort: Cohort, pairs: Pairs) -> Answer:
    percents, logs = pairs.percent_changes, pairs.log_ratios
    return {
        "change": compute_summary(pairs.changes, cohort.confidence),
        "percentChange": compute_summary(percents, cohort.confidence)
        | {"undefined": len(pairs) - len(percents)},
        "ratio": compute_ratio(logs, cohort.confidence) | {"undefined": len(pairs) - len(logs)},
    }


def _tests(cohort: Cohort, pairs: Pairs) -> Answer:
    changes = pairs.changes
    return {
        "pairedT": compute_paired_t(changes),
        "signedRank": compute_signed_rank(changes),
        "hodgesLehmann": compute_hodges_lehmann(changes, cohort.confidence),
    }


def build_missing(cohort: Cohort, members: Members, visit: int) -> Answer:
    without = (cohort.visits_before_rescue[:, visit] < 0) | (cohort.baseline < 0)
    rows = members.rows[without[members.rows]].tolist()
    reasons = [(cohort.numbers[row], find_missing(cohort, row, visit) or "") for row in rows]
    return build_reasons(reasons, listed=cohort.tables.listed)


def _strata(cohort: Cohort, members: Members) -> tuple[tuple[str, Members], ...]:
    limit = cohort.protocol.response.baseline_stratum
    values = cohort.baseline_value[members.rows]
    return (
        (f"baseline < {limit}", Members(members.rows[values < float(limit)], ())),
        (f"baseline >= {limit}", Members(members.rows[values >= float(limit)], ())),
    )


def _stratum(cohort: Cohort, name: str, members: Members) -> Answer:
    visits = [_visit(cohort, members, each) for each in list_asked(cohort)]
    return {"name": name, "n": len(members), "visits": visits}


def _locf(cohort: Cohort, members: Members) -> Answer:
    visits = [_locf_visit(cohort, members, each) for each in list_asked(cohort)]
    return {"rule": LOCF_RULE, "visits": visits}


def _locf_visit(cohort: Cohort, members: Members, visit: int) -> Answer:
    observed = cohort.visits_before_rescue[:, visit]
    carried = np.where(observed >= 0, observed, cohort.last_before[:, visit])
    pairs = build_pairs(cohort, members, carried)
    return {
        "visit": cohort.protocol.visits[visit].code,
        "n": len(pairs),
        "carriedForward": len(pairs) - len(build_pairs(cohort, members, observed)),
        "missing": len(members) - len(pairs),
        **_figures(cohort, pairs),
    }


def _treatment_policy(cohort: Cohort, members: Members) -> Answer:
    visits = []
    for each in list_asked(cohort):
        pairs = build_pairs(cohort, members, cohort.visits[:, each])
        code = cohort.protocol.visits[each].code
        visits.append({"visit": code, "n": len(pairs), **_figures(cohort, pairs)})
    return {"rule": POLICY_RULE, "visits": visits}


def build_events(cohort: Cohort, members: Members) -> Answer:
    """How many members had each kind of rescue treatment first; counts set aside because of it."""
    inside = set(members.rows.tolist())
    groups = Counter(row.group for place, row in cohort.rescues.items() if place in inside)
    aside = cohort.after_rescue & cohort.counts.usable & (cohort.counts.visit >= 0)
    return {
        "rescue": {
            "strategy": cohort.protocol.intercurrent_events["rescue"].strategies["change"],
            "participants": sum(groups.values()),
            "firstBy": dict(sorted(groups.items())),
            "countsSetAside": int((aside & members.has(cohort.counts.subject, len(cohort))).sum()),
        }
    }


def build_counts(cohort: Cohort, members: Members) -> Answer:
    """How many counts there are, and why some can't be used."""
    counts = cohort.counts
    among = members.has(counts.subject, len(cohort))
    reasons = np.bincount(counts.reason[among])
    chosen = cohort.visits_before_rescue[members.rows]
    return {
        "total": int(among.sum()),
        "chosen": int((chosen >= 0).sum() + (cohort.baseline[members.rows] >= 0).sum()),
        "unusable": {
            name_reason(cohort, reason): int(number)
            for reason, number in enumerate(reasons)
            if reason and number
        },
    }


PLATELET_CHANGE = Analysis(compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES)
