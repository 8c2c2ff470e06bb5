"""The primary endpoint: change of the platelet count from baseline, per visit.

Runs in the statistics process. One request record in, the answer's bytes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from math import log

from app.endpoints.answers import (
    NOT_RECORDED,
    Answer,
    Input,
    build_header,
    build_inputs,
    build_reasons,
    encode_answer,
)
from app.endpoints.derivation import (
    NO_DOSE,
    Candidate,
    Membership,
    Participant,
    compute_participants,
    divide,
)
from app.endpoints.model import ChangeRequest, ChangeRules, Rows
from app.endpoints.statistics import (
    DIGITS,
    EXACT_LIMIT,
    compute_hodges_lehmann,
    compute_paired_t,
    compute_ratio,
    compute_signed_rank,
    compute_summary,
)
from app.trial import Visit

Choice = Callable[[Participant], Candidate | None]
"""Which count of a participant stands for a visit."""

Pair = tuple[Decimal, Decimal]
"""Baseline and the count at a visit."""

NO_DOSE_DATE = "date of the first dose not known to the day"
NO_BASELINE = "no valid baseline count"
NO_COUNT = "no count in the window"
NO_VALID_COUNT = "no valid count in the window"

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
    "rounding": f"estimates to {DIGITS} significant digits",
}

NOTES = (
    "A count reported as a bound (<2, >1000) is not a number: it is listed as unusable and "
    "never enters a figure.",
    "A count collected on the day of the first dose, but after it, is neither baseline nor visit.",
    "A count whose unit's scale is in review (scaleSuspect) is used: the flag withholds nothing.",
    "Missing includes participants whose window was still open, or not yet reached, at the cutoff.",
    "Rescue treatment is not recorded yet, so no count is left out because of it, and baseline "
    "counts carry no flag for a preceding transfusion or IVIG.",
)

LOCF_RULE = (
    "Sensitivity only: the last valid count after the first dose and before the window stands "
    "for a missing one; baseline is never carried forward."
)


def compute_platelet_change(request: ChangeRequest, rows: Rows) -> bytes:
    """The summary answer: per visit, by baseline stratum, with LOCF as sensitivity, and inputs."""
    everyone = compute_participants(rows, request.rules, request.zone)
    population = divide(everyone, request.population)
    members = population.members
    rules = request.rules
    answer = build_header(request.definition, request.cut, request.software) | {
        "population": _population(request.population, population),
        "unit": rules.unit,
        "confidence": rules.confidence,
        "methods": METHODS,
        "baseline": _baseline(members, rules),
        "visits": [_visit(members, visit, rules) for visit in rules.visits],
        "strata": [_stratum(name, part, rules) for name, part in _strata(members, rules)],
        "sensitivity": {"locf": _locf(members, rules)},
        "intercurrentEvents": dict.fromkeys(
            ("rescue", "plateletTransfusion", "ivig"), NOT_RECORDED
        ),
        "doses": _doses(members),
        "counts": _counts(members),
        "inputs": build_inputs(_inputs(members, rules)),
        "notes": list(NOTES),
    }
    return encode_answer(answer)


def find_missing(participant: Participant, visit: Visit) -> str | None:
    """Why a participant has no change at a visit; None if there is one."""
    dose = participant.first_dose
    in_window = [c for c in participant.candidates if c.visit == visit]
    checks = (
        (dose is None, NO_DOSE),
        (dose is not None and not (dose.when and dose.when.has_date), NO_DOSE_DATE),
        (participant.baseline is None, NO_BASELINE),
        (not in_window, NO_COUNT),
        (participant.at(visit) is None, NO_VALID_COUNT),
    )
    return next((reason for fails, reason in checks if fails), None)


def compute_change(pair: Pair) -> float:
    return float(pair[1] - pair[0])


def compute_percent_change(pair: Pair) -> float | None:
    """None if the baseline is 0."""
    return float(100 * (pair[1] - pair[0]) / pair[0]) if pair[0] else None


def compute_log_ratio(pair: Pair) -> float | None:
    """None if either count is 0."""
    return log(pair[1] / pair[0]) if pair[0] and pair[1] else None


def _population(name: str, population: Membership) -> Answer:
    return {
        "name": name,
        "n": len(population.members),
        "subjects": [each.subject for each in population.members],
        "excluded": build_reasons(population.excluded),
    }


def _baseline(members: Sequence[Participant], rules: ChangeRules) -> Answer:
    values = [float(each.baseline.value) for each in members if each.baseline]
    missing = [each.subject for each in members if not each.baseline]
    return {
        "n": len(values),
        "missing": {"n": len(missing), "subjects": missing},
        "observed": compute_summary(values, rules.confidence),
    }


def _visit(members: Sequence[Participant], visit: Visit, rules: ChangeRules) -> Answer:
    observed = [chosen for each in members if (chosen := each.at(visit))]
    pairs = _pairs(members, lambda participant: participant.at(visit))
    return _visit_names(visit) | {
        "n": len(pairs),
        "missing": _missing(members, visit),
        "outsideTolerance": sum(chosen.in_tolerance is False for chosen in observed),
        "scaleSuspect": sum(chosen.measurement.scale_suspect for chosen in observed),
        "observed": compute_summary([float(c.value) for c in observed], rules.confidence),
        **_figures(pairs, rules),
        "tests": _tests([compute_change(pair) for pair in pairs], rules),
    }


def _visit_names(visit: Visit) -> Answer:
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


def _pairs(members: Sequence[Participant], choice: Choice) -> list[Pair]:
    return [
        (each.baseline.value, chosen.value)
        for each in members
        if each.baseline and (chosen := choice(each))
    ]


def _figures(pairs: Sequence[Pair], rules: ChangeRules) -> Answer:
    changes = [compute_change(pair) for pair in pairs]
    percents = [percent for pair in pairs if (percent := compute_percent_change(pair)) is not None]
    logs = [ratio for pair in pairs if (ratio := compute_log_ratio(pair)) is not None]
    return {
        "change": compute_summary(changes, rules.confidence),
        "percentChange": compute_summary(percents, rules.confidence)
        | {"undefined": len(pairs) - len(percents)},
        "ratio": compute_ratio(logs, rules.confidence) | {"undefined": len(pairs) - len(logs)},
    }


def _tests(changes: Sequence[float], rules: ChangeRules) -> Answer:
    return {
        "pairedT": compute_paired_t(changes),
        "signedRank": compute_signed_rank(changes),
        "hodgesLehmann": compute_hodges_lehmann(changes, rules.confidence),
    }


def _missing(members: Sequence[Participant], visit: Visit) -> Answer:
    reasons = [(each.subject, find_missing(each, visit)) for each in members]
    return build_reasons([(subject, why) for subject, why in reasons if why])


def _strata(
    members: Sequence[Participant], rules: ChangeRules
) -> tuple[tuple[str, list[Participant]], ...]:
    limit = rules.stratum_below
    with_baseline = [(each, each.baseline.value) for each in members if each.baseline]
    return (
        (f"baseline < {limit}", [each for each, value in with_baseline if value < limit]),
        (f"baseline >= {limit}", [each for each, value in with_baseline if value >= limit]),
    )


def _stratum(name: str, members: Sequence[Participant], rules: ChangeRules) -> Answer:
    visits = [_visit(members, visit, rules) for visit in rules.visits]
    return {"name": name, "n": len(members), "visits": visits}


def _locf(members: Sequence[Participant], rules: ChangeRules) -> Answer:
    return {"rule": LOCF_RULE, "visits": [_locf_visit(members, v, rules) for v in rules.visits]}


def _locf_visit(members: Sequence[Participant], visit: Visit, rules: ChangeRules) -> Answer:
    pairs = _pairs(members, lambda participant: participant.at(visit) or participant.before(visit))
    observed = _pairs(members, lambda participant: participant.at(visit))
    return {
        "visit": visit.code,
        "n": len(pairs),
        "carriedForward": len(pairs) - len(observed),
        "missing": len(members) - len(pairs),
        **_figures(pairs, rules),
    }


def _doses(members: Sequence[Participant]) -> Answer:
    """Doses that can't be the first, by reason; each is listed with its participant."""
    reasons = Counter(each.reason for member in members for each in member.unusable_doses)
    return {"unusable": dict(sorted(reasons.items()))}


def _counts(members: Sequence[Participant]) -> Answer:
    """How many counts there are, and why some can't be used."""
    candidates = [candidate for each in members for candidate in each.candidates]
    unusable = Counter(c.unusable for c in candidates if c.unusable)
    return {
        "total": len(candidates),
        "chosen": sum(c.chosen for c in candidates),
        "unusable": dict(sorted(unusable.items())),
    }


def _inputs(members: Sequence[Participant], rules: ChangeRules) -> Iterator[Input]:
    for each in members:
        if each.first_dose:
            yield Input(each.subject, "first dose", None, each.first_dose.source)
        if each.baseline:
            yield Input(each.subject, "baseline", None, each.baseline.measurement.source)
        for visit in rules.visits:
            if chosen := each.at(visit):
                yield Input(each.subject, "visit", visit.code, chosen.measurement.source)
