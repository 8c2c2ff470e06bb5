"""Linear functions of a mixed model's coefficients with standard error, degrees of freedom, t test
and interval: by Satterthwaite, and by Kenward and Roger.

Satterthwaite, Biometrics Bulletin 1946;2:110; Kenward and Roger, Biometrics 1997;53:983. For one
linear function both have the same degrees of freedom, Kenward and Roger a larger standard error.
Derivatives of second order are left out of their adjustment: for an unstructured covariance,
which is linear in its elements, they are zero, so it is SAS's DDFM=KR; for the other structures it
is DDFM=KR(FIRSTORDER), in R's mmrm `vcov = "Kenward-Roger-Linear"`, and unlike the full adjustment
it does not depend on how the covariance is parametrised.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from scipy import special

from app.endpoints.figures.mmrm import Fit
from app.endpoints.figures.mmrm_moments import Array
from app.endpoints.figures.summaries import Figures, rounded

SATTERTHWAITE = "satterthwaite"
KENWARD_ROGER = "kenward-roger"
METHODS = (KENWARD_ROGER, SATTERTHWAITE)

NAMES = ("se", "df", "t", "p", "ciLow", "ciHigh")
NO_VARIANCE = "the adjusted variance is not above 0"
NO_DEGREES = "the degrees of freedom are beyond the range of numbers"


@dataclass(frozen=True, slots=True)
class Contrast:
    """An estimate with its standard error and degrees of freedom."""

    estimate: float
    se: float
    df: float


def adjust_spread(fit: Fit) -> Array:
    """The coefficients' covariance as Kenward and Roger adjust it for the covariance's being
    estimated: C + 2·C·(Σᵢⱼ Wᵢⱼ (Qᵢⱼ − PᵢCPⱼ))·C."""
    spread = fit.spread / fit.moments.scale**2
    bent = fit.inverse[:, None] @ fit.covariance_first
    doubted = np.tensordot(fit.information, bent, ((1,), (1,))).transpose(1, 0, 2, 3)
    quadratic = fit.moments.total((bent @ doubted).sum(1) @ fit.inverse)[:-1, :-1]
    linear = (fit.precision @ spread @ np.tensordot(fit.information, fit.precision, 1)).sum(0)
    adjusted = spread + 2 * spread @ (quadratic - linear) @ spread
    whole: Array = (adjusted + adjusted.T) / 2 * fit.moments.scale**2
    return whole


def estimate_contrast(fit: Fit, weights: Array, adjusted: Array | None = None) -> Contrast | str:
    """Σ weights·β; with `adjusted` (see `adjust_spread`) by Kenward and Roger, else by
    Satterthwaite. Or the reason why it has no standard error."""
    spread = fit.spread / fit.moments.scale**2
    variance = float(weights @ spread @ weights)
    bent = spread @ weights
    gradient = -(fit.precision @ bent) @ bent
    doubt = float(gradient @ fit.information @ gradient)
    if not doubt > 0 or not isfinite(variance**2 / doubt):
        return NO_DEGREES
    own = (
        variance * fit.moments.scale**2 if adjusted is None else float(weights @ adjusted @ weights)
    )
    if not own > 0:
        return NO_VARIANCE
    return Contrast(float(weights @ fit.beta), sqrt(own), 2 * variance**2 / doubt)


def build_test(contrast: Contrast | str, confidence: float) -> Figures:
    """se, df, t against 0, its two-sided p, and the interval; nulls with their reason."""
    if isinstance(contrast, str):
        return dict.fromkeys(NAMES) | {"reasons": dict.fromkeys(NAMES, contrast)}
    t = contrast.estimate / contrast.se
    half = float(special.stdtrit(contrast.df, (1 + confidence) / 2)) * contrast.se
    values = {
        "se": contrast.se,
        "df": contrast.df,
        "t": t,
        "p": 2 * float(special.stdtr(contrast.df, -abs(t))),
        "ciLow": contrast.estimate - half,
        "ciHigh": contrast.estimate + half,
    }
    missing = {name: NO_DEGREES for name, value in values.items() if not isfinite(value)}
    told = {name: None if name in missing else rounded(value) for name, value in values.items()}
    return told | {"reasons": missing}
