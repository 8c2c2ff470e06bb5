"""The change of the platelet count from baseline by a mixed model for repeated measures:
change ~ visit + visit:baseline, and the same for the ln ratio and the ln baseline.

Counts are those of the platelet change: a count after rescue treatment is set aside (hypothetical
strategy), and used in a sensitivity analysis (treatment policy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.endpoints.analyses import platelet_change_rows as listed
from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.platelet_change import (
    NO_BASELINE,
    NO_DOSE_DATE,
    POLICY_RULE,
    build_counts,
    build_events,
    build_missing,
    iterate_inputs,
    list_asked,
)
from app.endpoints.analyses.platelet_change_model_figures import (
    CHANGE,
    SCALES,
    Scale,
    build_model,
)
from app.endpoints.answers import Answer, build_reasons
from app.endpoints.cohort.choosing import Index, take
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.listing import count_unusable_doses
from app.endpoints.cohort.members import NO_DOSE, Members
from app.endpoints.figures.mmrm_visits import Observations, VisitModel, fit_visits
from app.endpoints.figures.summaries import DIGITS

NO_VISIT_COUNT = "no usable count at any visit"
ONLY_RESCUED = "every usable count at a visit is after rescue treatment"
NO_LOGARITHM = "no logarithm: the baseline, or every count at a visit, is 0"
NOT_IN_MODEL = "counts only at visits that are left out of the model"

METHODS = {
    "model": "response ~ visit + visit:baseline, no intercept; covariance within participants as "
    "told under covariance, restricted maximum likelihood by Newton's method with exact "
    "derivatives; visits by their order, not by their distance in time",
    "ladder": "the first covariance of the protocol's list that converges, is not singular and is "
    "determined by the data; each step that was tried is told with the reason why it was left; "
    "per-visit-ancova is least squares at each visit by itself",
    "lsMean": "mean change at the reference baseline",
    "degreesOfFreedom": "Satterthwaite from the observed information; for one mean Kenward-Roger "
    "has the same",
    "kenwardRoger": "standard error adjusted without second derivatives of the covariance: for "
    "unstructured that is SAS DDFM=KR, for others DDFM=KR(FIRSTORDER)",
    "test": "two-sided t test of mean change = 0",
    "ratio": "mean ln(count / baseline) at the mean ln baseline, taken back by exp",
    "informationCriteria": "-2 restricted log likelihood with its constant; AIC and BIC count "
    "covariance parameters, BIC participants, as SAS PROC MIXED has them",
    "rescue": "hypothetical: a count after rescue treatment is not used; with it under "
    "sensitivity.treatmentPolicy",
    "rounding": f"estimates to {DIGITS} significant digits",
}

NOTES = (
    "The model rests on every visit, also when only one is asked for.",
    "SAS LSMEANS and R's emmeans take the covariate's mean over observations; the means at the "
    "other reference stand under atOtherReference.",
    "A visit with too few counts, or with one baseline only, is left out of the model, and its "
    "counts do not inform the other visits.",
    "A participant with a baseline and a count at one visit at least is in the model; who is not "
    "is told with the reason.",
    "A count reported as a bound (<2, >1000) is not a number and never enters a figure.",
)


@dataclass(frozen=True, slots=True)
class Modelled:
    """A model on one scale, of the counts chosen for each participant of the cohort and visit, and
    how many of them had no value on it."""

    scale: Scale
    chosen: Index
    model: VisitModel
    undefined: int


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    main = _model_all(cohort, members, cohort.visits_before_rescue)
    policy = main
    if not _same(cohort, members):
        policy = _model_all(cohort, members, cohort.visits)
    return {
        "unit": cohort.protocol.measurements["platelets"].unit,
        "confidence": cohort.confidence,
        "degreesOfFreedom": cohort.protocol.change_model.degrees_of_freedom,
        "models": [_tell(cohort, members, each) for each in main],
        "missing": [_missing(cohort, members, visit) for visit in list_asked(cohort)],
        "sensitivity": {
            "treatmentPolicy": {
                "rule": POLICY_RULE,
                "models": [_tell(cohort, members, each) for each in policy],
            }
        },
        "intercurrentEvents": build_events(cohort, members),
        "doses": {"unusable": count_unusable_doses(cohort, members)},
        "counts": build_counts(cohort, members),
    }


def observe(cohort: Cohort, members: Members, chosen: Index, scale: Scale) -> Observations:
    """The chosen counts of the members with a baseline, on a scale; NaN where it has no value."""
    baseline = np.repeat(
        cohort.baseline_value[members.rows][:, None], len(cohort.protocol.visits), 1
    )
    counts = take(cohort.counts.value, chosen[members.rows])
    row, visit = np.nonzero(~np.isnan(baseline) & ~np.isnan(counts))
    with np.errstate(divide="ignore", invalid="ignore"):
        response, covariate = scale.compute(baseline[row, visit], counts[row, visit])
    return Observations(members.rows[row].astype(np.int64), visit, response, covariate)


def _model_all(cohort: Cohort, members: Members, chosen: Index) -> list[Modelled]:
    return [_model(cohort, members, chosen, scale) for scale in SCALES]


def _model(cohort: Cohort, members: Members, chosen: Index, scale: Scale) -> Modelled:
    found = observe(cohort, members, chosen, scale)
    defined = np.isfinite(found.response) & np.isfinite(found.covariate)
    rules = cohort.protocol.change_model
    width = len(cohort.protocol.visits)
    model = fit_visits(found.keep(defined), width, rules.covariances, rules.least_observations)
    return Modelled(scale, chosen, model, int((~defined).sum()))


def _same(cohort: Cohort, members: Members) -> bool:
    before, all_ = cohort.visits_before_rescue[members.rows], cohort.visits[members.rows]
    return bool(np.array_equal(before, all_))


def _tell(cohort: Cohort, members: Members, modelled: Modelled) -> Answer:
    scale, model = modelled.scale, modelled.model
    left_out = explain_left_out(cohort, members, modelled)
    return {
        "name": scale.name,
        "response": scale.response,
        "covariate": scale.covariate,
        "participants": model.observations.participants,
        "observations": len(model.observations),
        "undefined": modelled.undefined,
        "leftOut": build_reasons(
            [(cohort.numbers[row], reason) for row, reason in left_out],
            listed=cohort.tables.listed,
        ),
        **build_model(cohort, scale, model, list_asked(cohort)),
    }


def explain_left_out(
    cohort: Cohort, members: Members, modelled: Modelled
) -> Sequence[tuple[int, str]]:
    """The members who are not in the model, by position, and why not."""
    inside = np.isin(members.rows, modelled.model.observations.subject)
    rows = members.rows[~inside].tolist()
    return [(row, _why_left_out(cohort, row, modelled.chosen[row])) for row in rows]


def _why_left_out(cohort: Cohort, row: int, chosen: Index) -> str:
    if not cohort.first_doses.taken[row]:
        return NO_DOSE
    if not cohort.first_doses.dated[row]:
        return NO_DOSE_DATE
    if cohort.baseline[row] < 0:
        return NO_BASELINE
    counts = cohort.counts.value[chosen[chosen >= 0]]
    if not len(counts):
        return ONLY_RESCUED if (cohort.visits[row] >= 0).any() else NO_VISIT_COUNT
    return NOT_IN_MODEL if cohort.baseline_value[row] and counts.any() else NO_LOGARITHM


def _missing(cohort: Cohort, members: Members, visit: int) -> Answer:
    code = cohort.protocol.visits[visit].code
    return {"visit": code, **build_missing(cohort, members, visit)}


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """The platelet change's rows; of each participant also whether it is in the model of the
    change."""
    told = listed.build_subject_rows(cohort, members)
    modelled = _model(cohort, members, cohort.visits_before_rescue, CHANGE)
    reasons = {
        cohort.numbers[row]: reason for row, reason in explain_left_out(cohort, members, modelled)
    }
    subjects = [
        {
            **each,
            "inModel": each["USUBJID"] not in reasons,
            "notInModel": reasons.get(each["USUBJID"]),
        }
        for each in told["subjects"]
    ]
    return told | {"subjects": subjects}


PLATELET_CHANGE_MODEL = Analysis(
    compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES
)
