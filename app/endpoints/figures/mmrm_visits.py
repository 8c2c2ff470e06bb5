"""Means by visit of one group, adjusted for a covariate: response ~ visit + visit:covariate, with
the first covariance of a ladder that can be fitted, at last each visit by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.endpoints.figures.mmrm import Fit, fit_model
from app.endpoints.figures.mmrm_contrasts import (
    KENWARD_ROGER,
    Contrast,
    adjust_spread,
    estimate_contrast,
)
from app.endpoints.figures.mmrm_covariance import STRUCTURES, UNSTRUCTURED
from app.endpoints.figures.mmrm_moments import Array, build_moments

PER_VISIT = "per-visit-ancova"
"""The last step of a ladder: least squares at each visit by itself, no covariance at all."""

ONE_VISIT = "one visit only: nothing is repeated"
NO_OBSERVATION = "no observation"
TOO_FEW = "fewer than {least} observations"
SAME_COVARIATE = "every baseline at this visit is the same"
NO_VISIT = "no visit has enough observations"
NO_STRUCTURE = "no step of the ladder could be fitted"


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """One row per participant and visit: participant, visit (0 …), response and covariate."""

    subject: NDArray[np.int64]
    visit: NDArray[np.int64]
    response: Array
    covariate: Array

    def __len__(self) -> int:
        return len(self.response)

    def keep(self, which: NDArray[np.bool_ | np.intp]) -> Observations:
        """The rows of a mask, or at positions in their order."""
        return Observations(
            self.subject[which], self.visit[which], self.response[which], self.covariate[which]
        )

    @property
    def participants(self) -> int:
        return len(np.unique(self.subject))


@dataclass(frozen=True, slots=True)
class Step:
    """One covariance of the ladder: why it was not used (None: it was) and how many steps its fit
    took."""

    name: str
    reason: str | None
    iterations: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """One visit's part of a fit: the places of its mean (at covariate `centre`) and of its slope
    (None where the covariate is the same for all) among the coefficients. `adjusted` is the
    coefficients' covariance by Kenward and Roger."""

    fit: Fit
    adjusted: Array
    mean: int
    slope: int | None
    centre: float

    def estimate_mean(self, at: float, method: str) -> tuple[float, Contrast | str]:
        """The mean at a covariate, with what is known of its error."""
        weights = np.zeros(len(self.fit.beta))
        weights[self.mean] = 1.0
        if self.slope is not None:
            weights[self.slope] = at - self.centre
        return self._estimate(weights, method)

    def estimate_slope(self, method: str) -> tuple[float, Contrast | str] | None:
        """The change of the mean by one unit of the covariate; None without a slope."""
        if self.slope is None:
            return None
        return self._estimate(np.eye(len(self.fit.beta))[self.slope], method)

    def _estimate(self, weights: Array, method: str) -> tuple[float, Contrast | str]:
        adjusted = self.adjusted if method == KENWARD_ROGER else None
        return float(weights @ self.fit.beta), estimate_contrast(self.fit, weights, adjusted)


@dataclass(frozen=True, slots=True, eq=False)
class VisitModel:
    """What was fitted. `observations` entered; `centre` is the covariate's mean over their
    participants, `weighted_centre` over the observations (None: there are none). `solutions`: by
    visit, or why there is none. `joint` is the fit of all `fitted` visits together, None where each
    was fitted by itself, or none at all."""

    observations: Observations
    centre: float | None
    weighted_centre: float | None
    has_slope: bool
    steps: tuple[Step, ...]
    used: str | None
    joint: Fit | None
    fitted: tuple[int, ...]
    solutions: tuple[Solution | str, ...]


def fit_visits(given: Observations, width: int, ladder: Sequence[str], least: int) -> VisitModel:
    """Fits `width` visits by the ladder (names of STRUCTURES, and PER_VISIT), those left out that
    have fewer than `least` observations (3 or more) or, beside others that differ, one covariate
    only. Where the covariate is the same for everyone the model has no slope."""
    given = given.keep(np.lexsort((given.visit, given.subject)))
    has_slope = len(given) > 0 and bool(np.ptp(given.covariate) > 0)
    reasons = [_why_left_out(given, visit, least, has_slope) for visit in range(width)]
    fitted = tuple(visit for visit, reason in enumerate(reasons) if reason is None)
    kept = given.keep(np.isin(given.visit, fitted))
    if not fitted:
        told = tuple(reason or NO_VISIT for reason in reasons)
        return VisitModel(kept, None, None, has_slope, (), None, None, (), told)
    centre = _mean_over_participants(kept)
    joint, steps = _climb(kept, fitted, ladder, centre, has_slope)
    found = _solve(kept, fitted, steps, joint, centre, has_slope)
    used = next((step.name for step in steps if step.reason is None), None)
    return VisitModel(
        observations=kept,
        centre=centre,
        weighted_centre=float(np.mean(kept.covariate)),
        has_slope=has_slope,
        steps=steps,
        used=used,
        joint=joint,
        fitted=fitted,
        solutions=tuple(reason or found[visit] for visit, reason in enumerate(reasons)),
    )


def _why_left_out(given: Observations, visit: int, least: int, has_slope: bool) -> str | None:
    covariates = given.covariate[given.visit == visit]
    if len(covariates) < least:
        return TOO_FEW.format(least=least) if len(covariates) else NO_OBSERVATION
    return SAME_COVARIATE if has_slope and not np.ptp(covariates) else None


def _mean_over_participants(given: Observations) -> float:
    first = np.unique(given.subject, return_index=True)[1]
    return float(np.mean(given.covariate[first]))


def _climb(
    given: Observations,
    fitted: Sequence[int],
    ladder: Sequence[str],
    centre: float,
    has_slope: bool,
) -> tuple[Fit | None, tuple[Step, ...]]:
    """Steps down the ladder until one holds; the joint fit, if it is one."""
    steps: list[Step] = []
    for name in ladder:
        if name == PER_VISIT:
            return None, (*steps, Step(name, None, None))
        found = _fit(given, fitted, name, centre, has_slope)
        if isinstance(found, Fit):
            return found, (*steps, Step(name, None, found.steps))
        steps.append(Step(name, found, None))
    return None, tuple(steps)


def _fit(
    given: Observations, fitted: Sequence[int], name: str, centre: float, has_slope: bool
) -> Fit | str:
    if len(fitted) == 1 and name != UNSTRUCTURED:
        return ONE_VISIT
    place = np.searchsorted(fitted, given.visit)
    means = np.eye(len(fitted))[place]
    slopes = means * (given.covariate - centre)[:, None]
    design = np.hstack([means, slopes]) if has_slope else means
    moments = build_moments(given.response, design, given.subject, place, len(fitted))
    return moments if isinstance(moments, str) else fit_model(moments, STRUCTURES[name])


def _solve(
    given: Observations,
    fitted: Sequence[int],
    steps: Sequence[Step],
    joint: Fit | None,
    centre: float,
    has_slope: bool,
) -> dict[int, Solution | str]:
    if joint:
        return _share(joint, fitted, centre, has_slope)
    if steps and steps[-1].reason is None:
        alone = (given.keep(given.visit == visit) for visit in fitted)
        return {
            visit: _solve_alone(each, visit, centre, has_slope)
            for visit, each in zip(fitted, alone, strict=True)
        }
    return dict.fromkeys(fitted, NO_STRUCTURE)


def _solve_alone(given: Observations, visit: int, centre: float, has_slope: bool) -> Solution | str:
    fit = _fit(given, (visit,), UNSTRUCTURED, centre, has_slope)
    return fit if isinstance(fit, str) else _share(fit, (visit,), centre, has_slope)[visit]


def _share(
    fit: Fit, fitted: Sequence[int], centre: float, has_slope: bool
) -> dict[int, Solution | str]:
    adjusted, size = adjust_spread(fit), len(fitted)
    return {
        visit: Solution(fit, adjusted, place, place + size if has_slope else None, centre)
        for place, visit in enumerate(fitted)
    }
