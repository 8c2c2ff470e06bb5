"""Figures of the time to remission, whatever remission is: Kaplan-Meier, risk table, sensitivity.

Estimand (ICH E9 R1, protocol.toml): rescue treatment before remission is a failure (composite), so
that who had it stays at risk to the administrative end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.endpoints.answers import Answer, build_reasons
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import NO_DOSE, Members
from app.endpoints.cohort.remission import (
    ENDINGS,
    HYPOTHETICAL,
    TREATMENT_POLICY,
    Courses,
    Observations,
    follow,
)
from app.endpoints.figures.competing_risks import (
    CENSORED,
    COMPETING,
    EVENT,
    compute_incidence_at,
    estimate_incidence,
)
from app.endpoints.figures.interval_censored import (
    LARGEST,
    build_masses,
    compute_bounds_at,
    compute_median_interval,
    estimate_masses,
)
from app.endpoints.figures.summaries import DIGITS
from app.endpoints.figures.survival import (
    Curve,
    build_steps,
    compute_event_probability,
    compute_quartiles,
    compute_restricted_mean,
    count_at,
    estimate_survival,
)
from app.trial import Visit

NO_DOSE_DATE = "date of the first dose not known to the day"

METHODS = {
    "time": "days from the date of the first dose (day 0) to the date of the deciding observation; "
    "no day is added",
    "curve": "Kaplan-Meier (product limit); at a tie remissions go before censorings",
    "standardError": "Greenwood",
    "limits": "log-log (complementary log-log of the survival), pointwise: the default of SAS; R's "
    "survfit has `log` unless told otherwise. Not defined at a survival of 1 or 0",
    "quartiles": "the first time at which the survival is at or below 1 - p; where the curve lies "
    "on 1 - p, the middle of that stretch; limits by Brookmeyer and Crowley from the log-log band",
    "probability": "1 - survival at the visit's target day; null beyond the last follow-up",
    "riskTable": "at risk just before the day; remissions and censorings up to and with it",
    "restrictedMean": "mean days without remission up to the last visit's target day: area under "
    "the curve, normal interval",
    "intervalCensored": "Turnbull's NPMLE: remission lies after the last observation without it "
    "and not after the first with it; constrained Newton, proved by the gradient condition; up to "
    f"{LARGEST} distinct intervals; six significant digits",
    "deathCompeting": "Aalen-Johansen cumulative incidence, delta-method variance, log-log limits",
    "rounding": f"estimates to {DIGITS} significant digits",
}

RULES = {
    "intervalCensored": "Sensitivity only: visits are months apart, so the day of remission is "
    "only known to lie between two observations.",
    "censoredAtRescue": "Sensitivity only: who had rescue treatment before remission is censored "
    "on its day (hypothetical strategy).",
    "treatmentPolicy": "Sensitivity only: every observation is used, also after rescue treatment.",
    "deathCompeting": "Sensitivity only: death before remission is a competing event on its day.",
}

Days = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """The courses of those members who can be followed, and everyone else with the reason."""

    rows: NDArray[np.intp]
    courses: Courses
    excluded: tuple[tuple[str, str], ...]

    @property
    def time(self) -> Days:
        return self.courses.time[self.rows]

    @property
    def event(self) -> NDArray[np.bool_]:
        return self.courses.event[self.rows]

    @property
    def curve(self) -> Curve:
        return estimate_survival(self.time, self.event)


def choose_followed(
    cohort: Cohort, members: Members, courses: Courses, without: dict[int, str] | None = None
) -> Followed:
    """Members with a day 0, but those in `without` (position → reason)."""
    reasons = dict(without or {})
    untimed = members.rows[~courses.timed[members.rows]].tolist()
    taken = cohort.first_doses.taken
    reasons |= {row: NO_DOSE_DATE if taken[row] else NO_DOSE for row in untimed}
    inside = [row for row in members.rows.tolist() if row in reasons]
    excluded = tuple((cohort.numbers[row], reasons[row]) for row in inside)
    kept = members.rows[~np.isin(members.rows, inside)] if inside else members.rows
    return Followed(kept, courses, excluded)


def strategy_of(cohort: Cohort) -> str:
    """The protocol's, of rescue treatment."""
    return cohort.protocol.intercurrent_events["rescue"].strategies["time-to-remission"]


def build_figures(
    cohort: Cohort, followed: Followed, seen: Observations, observation: str
) -> Answer:
    """All figures of one way to remission; `observation` is what is looked at, for the reasons."""
    curve = followed.curve
    return {
        "unit": "d",
        "confidence": cohort.confidence,
        **build_curve(cohort, curve),
        "excluded": build_reasons(followed.excluded, listed=cohort.tables.listed),
        "endings": _endings(followed, observation),
        "riskTable": build_risk_table(cohort, curve),
        "curve": build_steps(curve, cohort.confidence),
        "sensitivity": {
            "intervalCensored": _interval_censored(cohort, followed),
            "censoredAtRescue": _other(cohort, followed, seen, HYPOTHETICAL, "censoredAtRescue"),
            "treatmentPolicy": _other(cohort, followed, seen, TREATMENT_POLICY, "treatmentPolicy"),
            "deathCompeting": _death_competing(cohort, followed),
        },
        "intercurrentEvents": _events(cohort, followed),
    }


def build_curve(cohort: Cohort, curve: Curve) -> Answer:
    """Numbers, quartiles, the probability of remission by each visit, and the restricted mean."""
    visits, confidence = cohort.protocol.visits, cohort.confidence
    return {
        "n": curve.n,
        "events": int(curve.events.sum()),
        "censored": int(curve.censored.sum()),
        "quartiles": compute_quartiles(curve, confidence),
        "visits": [
            _name(visit) | compute_event_probability(curve, visit.target, confidence)
            for visit in visits
        ],
        "restrictedMean": compute_restricted_mean(curve, visits[-1].target, confidence),
    }


def build_risk_table(cohort: Cohort, curve: Curve) -> list[Answer]:
    """At risk, remissions and censorings at the first dose and at each visit's target day."""
    baseline = cohort.protocol.baseline
    start = {"visit": baseline.code, "label": baseline.label, "day": 0}
    days = [start, *(_name(visit) for visit in cohort.protocol.visits)]
    return [each | count_at(curve, each["day"]) for each in days]


def _name(visit: Visit) -> Answer:
    return {"visit": visit.code, "label": visit.label, "day": visit.target}


def _endings(followed: Followed, observation: str) -> Answer:
    numbers = Counter(followed.courses.ending[followed.rows].tolist())
    return {
        ENDINGS[ending].format(observation=observation): numbers[ending]
        for ending in sorted(numbers)
    }


def _interval_censored(cohort: Cohort, followed: Followed) -> Answer:
    clear = followed.courses.clear[followed.rows].astype(np.float64)
    until = np.where(followed.event, followed.time, np.inf)
    rule = {"rule": RULES["intervalCensored"], "n": len(followed.rows)}
    masses = estimate_masses(clear, until)
    if isinstance(masses, str):
        empty = {"median": None, "visits": None, "masses": None}
        return {**rule, **empty, "reasons": dict.fromkeys(empty, masses)}
    return {
        **rule,
        "median": compute_median_interval(masses),
        "visits": [
            _name(visit) | compute_bounds_at(masses, visit.target)
            for visit in cohort.protocol.visits
        ],
        "masses": build_masses(masses),
        "reasons": {},
    }


def _other(
    cohort: Cohort, followed: Followed, seen: Observations, strategy: str, name: str
) -> Answer:
    courses = follow(cohort, seen, strategy)
    curve = Followed(followed.rows, courses, ()).curve
    return {"rule": RULES[name]} | build_curve(cohort, curve)


def _death_competing(cohort: Cohort, followed: Followed) -> Answer:
    death = followed.courses.death[followed.rows]
    died = death >= 0
    kind = np.where(followed.event, EVENT, np.where(died, COMPETING, CENSORED))
    curve = estimate_incidence(np.where(died, death, followed.time), kind)
    return {
        "rule": RULES["deathCompeting"],
        "n": curve.n,
        "events": int(followed.event.sum()),
        "deaths": int(died.sum()),
        "visits": [
            _name(visit) | compute_incidence_at(curve, visit.target, cohort.confidence)
            for visit in cohort.protocol.visits
        ],
    }


def _events(cohort: Cohort, followed: Followed) -> Answer:
    """How many had rescue treatment before remission, by what came first."""
    without = set(followed.rows[~followed.event].tolist())
    groups = Counter(row.group for place, row in cohort.rescues.items() if place in without)
    return {
        "rescue": {
            "strategy": strategy_of(cohort),
            "participants": sum(groups.values()),
            "firstBy": dict(sorted(groups.items())),
        }
    }
