"""A mixed model's means by visit, told as figures: each a value, or null with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from app.endpoints.analyses.platelet_change import name_visit
from app.endpoints.answers import Answer
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.placing import exactly
from app.endpoints.figures.mmrm import Fit
from app.endpoints.figures.mmrm_contrasts import METHODS, NAMES, Contrast, build_test
from app.endpoints.figures.mmrm_moments import Array
from app.endpoints.figures.mmrm_visits import PER_VISIT, Solution, VisitModel
from app.endpoints.figures.summaries import BEYOND, rounded
from app.trial import Visit

REFERENCES = ("participants", "observations")
NOT_FITTED = "no model was fitted"
EACH_ALONE = "each visit was fitted by itself"
ONE_BASELINE = "the baseline is the same for everyone"

LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What is modelled, from baselines and counts; `has_ratio` if e to it is a ratio."""

    name: str
    response: str
    covariate: str
    has_ratio: bool
    compute: Callable[[Array, Array], tuple[Array, Array]]


def _change(baseline: Array, count: Array) -> tuple[Array, Array]:
    return exactly(count - baseline), baseline


def _log_ratio(baseline: Array, count: Array) -> tuple[Array, Array]:
    return np.log(count / baseline), np.log(baseline)


CHANGE = Scale("change", "count - baseline", "baseline", False, _change)
LOG_RATIO = Scale("ln ratio", "ln(count / baseline)", "ln(baseline)", True, _log_ratio)
SCALES = (CHANGE, LOG_RATIO)


def build_model(cohort: Cohort, scale: Scale, model: VisitModel, asked: Sequence[int]) -> Answer:
    """Reference, covariance, fit, and the visits that were asked for."""
    return {
        "baselineTerm": {"used": model.has_slope, "reason": _why_no_slope(model)},
        "reference": [_reference(cohort, scale, model, name) for name in REFERENCES],
        "covariance": _covariance(cohort, model),
        "fit": _fit(model),
        "visits": [_visit(cohort, scale, model, visit) for visit in asked],
    }


def _why_no_slope(model: VisitModel) -> str | None:
    if model.has_slope:
        return None
    return ONE_BASELINE if len(model.observations) else NOT_FITTED


def _centre(model: VisitModel, name: str) -> float | None:
    return model.centre if name == REFERENCES[0] else model.weighted_centre


def _reference(cohort: Cohort, scale: Scale, model: VisitModel, name: str) -> Answer:
    centre = _centre(model, name)
    if centre is None:
        names = ("covariate", "baseline")
        told: Answer = dict.fromkeys(names) | {"reasons": dict.fromkeys(names, NOT_FITTED)}
    else:
        baseline = exp(centre) if scale.has_ratio else centre
        told = {"covariate": rounded(centre), "baseline": rounded(baseline), "reasons": {}}
    return {"name": name, "used": name == cohort.protocol.change_model.reference, **told}


def _covariance(cohort: Cohort, model: VisitModel) -> Answer:
    visits = cohort.protocol.visits
    steps = [
        {"name": each.name, "used": each.reason is None, "iterations": each.iterations}
        | {"reason": each.reason}
        for each in model.steps
    ]
    if model.joint:
        rows = _matrix_rows([visits[each] for each in model.fitted], model.joint.covariance)
    else:
        alone = [(visits[at], model.solutions[at]) for at in model.fitted]
        rows = [
            row
            for visit, each in alone
            if isinstance(each, Solution)
            for row in _matrix_rows([visit], each.fit.covariance)
        ]
    return {"used": model.used, "steps": steps, "matrix": rows}


def _matrix_rows(visits: Sequence[Visit], matrix: Array) -> list[Answer]:
    sd = np.sqrt(np.diag(matrix))
    return [
        {
            "visit": visit.code,
            "sd": rounded(float(sd[row])),
            "covariance": _by_visit(visits, matrix[row]),
            "correlation": _by_visit(visits, matrix[row] / sd[row] / sd),
        }
        for row, visit in enumerate(visits)
    ]


def _by_visit(visits: Sequence[Visit], values: Array) -> Answer:
    pairs = zip(visits, values.tolist(), strict=True)
    return {visit.code: rounded(value) for visit, value in pairs}


def _fit(model: VisitModel) -> Answer:
    if model.joint is None:
        names = ("minus2RestrictedLogLikelihood", "covarianceParameters", "aic", "bic")
        reason = EACH_ALONE if model.used == PER_VISIT else NOT_FITTED
        return dict.fromkeys(names) | {"reasons": dict.fromkeys(names, reason)}
    return _criteria(model.joint, model.observations.participants)


def _criteria(fit: Fit, participants: int) -> Answer:
    value = fit.minus_two_log_likelihood
    return {
        "minus2RestrictedLogLikelihood": rounded(value),
        "covarianceParameters": fit.parameters,
        "aic": rounded(value + 2 * fit.parameters),
        "bic": rounded(value + fit.parameters * log(participants)),
        "reasons": {},
    }


def _visit(cohort: Cohort, scale: Scale, model: VisitModel, visit: int) -> Answer:
    rules, solution = cohort.protocol.change_model, model.solutions[visit]
    method, own = rules.degrees_of_freedom, rules.reference
    other = next(name for name in REFERENCES if name != own)
    mean = _mean(cohort, model, solution, own, method)
    told = name_visit(cohort.protocol.visits[visit]) | {
        "n": int((model.observations.visit == visit).sum()),
        "lsMean": mean,
    }
    if scale.has_ratio:
        told["ratio"] = _ratio(mean)
    return told | {
        "byMethod": [
            {"name": each, **_mean(cohort, model, solution, own, each)} for each in METHODS
        ],
        "atOtherReference": _mean(cohort, model, solution, other, method),
        "atBaselineZero": _mean(cohort, model, solution, None, method),
        "slope": _slope(cohort, solution, method),
    }


def _mean(
    cohort: Cohort, model: VisitModel, solution: Solution | str, reference: str | None, method: str
) -> Answer:
    """The mean at a reference; without one at covariate 0, as software prints coefficients."""
    at = _centre(model, reference) if reference else 0.0
    if isinstance(solution, str) or at is None:
        return _undefined(solution if isinstance(solution, str) else NOT_FITTED)
    if reference is None and solution.slope is None:
        return _undefined(ONE_BASELINE)
    return _estimate(cohort, *solution.estimate_mean(at, method))


def _slope(cohort: Cohort, solution: Solution | str, method: str) -> Answer:
    if isinstance(solution, str):
        return _undefined(solution)
    estimated = solution.estimate_slope(method)
    return _estimate(cohort, *estimated) if estimated else _undefined(ONE_BASELINE)


def _estimate(cohort: Cohort, estimate: float, contrast: Contrast | str) -> Answer:
    return {"estimate": rounded(estimate), **build_test(contrast, cohort.confidence)}


def _undefined(reason: str) -> Answer:
    names = ("estimate", *NAMES)
    return dict.fromkeys(names) | {"reasons": dict.fromkeys(names, reason)}


def _ratio(mean: Answer) -> Answer:
    names = ("estimate", "ciLow", "ciHigh")
    values = {name: mean[name] for name in names}
    reasons = {
        name: mean["reasons"].get(name, BEYOND)
        for name, value in values.items()
        if value is None or abs(value) > LARGEST_EXPONENT
    }
    told = {
        name: None if name in reasons else rounded(exp(value)) for name, value in values.items()
    }
    return told | {"reasons": reasons}
