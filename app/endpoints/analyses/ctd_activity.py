"""Activity of the connective tissue disease: change from baseline per instrument and visit, with
and without its platelet item, and the steroid dose beside it.

SLEDAI-2K scores platelets below 100 itself (J Rheumatol 2002;29:288), and ESSDAI has a
haematological domain (Ann Rheum Dis 2010;69:1103): a rising count alone lowers either.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.ctd_activity_changes import Pair, build_pairs, tell_changes
from app.endpoints.analyses.ctd_activity_rows import build_listing, iterate_inputs
from app.endpoints.analyses.ctd_activity_steroids import compute_steroids
from app.endpoints.analyses.platelet_change import POLICY_RULE, name_visit
from app.endpoints.answers import Answer, build_reasons
from app.endpoints.cohort.activity import Activity, Chosen
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import NO_DOSE, Members
from app.endpoints.figures.summaries import DIGITS, EXACT_LIMIT, compute_summary

NO_DOSE_DATE = "date of the first dose not known to the day"
NO_BASELINE = "no valid baseline score"
NO_SCORE = "no score in the window"
NO_VALID_SCORE = "no valid score in the window"
RESCUED = "every valid score in the window is after rescue treatment"
NO_ITEM = "the instrument has no platelet item"

METHODS = {
    "baseline": "the last valid score at or before the first dose, within the days of the baseline "
    "count; of several at one instant the lowest",
    "visit": "the valid score closest to the target; on a tie the earlier day, on the same day the "
    "later time, at one instant the highest",
    "withoutPlateletItem": "score minus what its platelet item contributes, where that is told",
    "responders": "a fall by at least the instrument's cut, of those with both scores; interval: "
    "Clopper-Pearson; assumingNoResponse: of all with a baseline, a missing score no response",
    "quartiles": "SAS type 2 (QNTLDEF=5; Hyndman-Fan type 2)",
    "meanInterval": "Student t",
    "signedRank": "Wilcoxon, two-sided; zeros dropped, mid-ranks; exact conditional distribution "
    f"up to {EXACT_LIMIT} non-zero changes, beyond that normal approximation",
    "rescue": "hypothetical: a score after rescue treatment is not used; with it under "
    "treatmentPolicy",
    "steroids": "the sum of the prednisone equivalents of all background steroids in force on the "
    "day of the first dose, and on the day of the visit's score (of the platelet count where there "
    "is none); no record in force is 0 mg",
    "rounding": f"estimates to {DIGITS} significant digits",
}

NOTES = (
    "Missing is counted among the participants of whom the instrument has any score; the others "
    "are neverAssessed: an instrument is made for one disease.",
    "A fall is an improvement of every instrument but MMT-8, of which a rise is.",
    "Who scored less than the cut at baseline can't respond: couldRespond counts the others.",
)


@dataclass(frozen=True, slots=True)
class _Part:
    """The members of whom an instrument has any score."""

    cohort: Cohort
    activity: Activity
    places: tuple[int, ...]

    def pairs(self, chosen: Chosen, *, platelet_item: bool = True) -> list[Pair]:
        baseline = self.activity.baseline
        return build_pairs(baseline, chosen, self.places, platelet_item=platelet_item)


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    """Per instrument its visits and the treatment policy; then the steroids."""
    return {
        "confidence": cohort.confidence,
        "n": len(members),
        "instruments": [
            _instrument(cohort, members, activity) for activity in cohort.activities.values()
        ],
        "steroids": compute_steroids(cohort, members),
    }


def _instrument(cohort: Cohort, members: Members, activity: Activity) -> Answer:
    places = tuple(place for place in members.rows.tolist() if place in activity.scores)
    part = _Part(cohort, activity, places)
    visits = [
        at
        for at, visit in enumerate(cohort.protocol.visits)
        if cohort.request.parameters.get("visit") in (None, visit.code)
    ]
    decrease = activity.instrument.responder_decrease
    return {
        "instrument": activity.instrument.code,
        "title": activity.instrument.title,
        "responderDecrease": None if decrease is None else float(decrease),
        "participants": len(places),
        "neverAssessed": len(members) - len(places),
        "baseline": _baseline(part),
        "visits": [_visit(part, at) for at in visits],
        "treatmentPolicy": {"rule": POLICY_RULE, "visits": [_policy(part, at) for at in visits]},
        "scores": _scores(part),
    }


def _baseline(part: _Part) -> Answer:
    scores = [
        part.activity.baseline[each] for each in part.places if each in part.activity.baseline
    ]
    values = [float(each.value) for each in scores if each.value is not None]
    without = [each.value_without_platelets for each in scores]
    known = [float(value) for value in without if value is not None]
    confidence, has_item = part.cohort.confidence, part.activity.instrument.platelet_item
    return {
        "missing": len(part.places) - len(scores),
        "total": compute_summary(values, confidence),
        "withoutPlateletItem": compute_summary(known, confidence) if has_item else None,
        "reasons": {} if has_item else {"withoutPlateletItem": NO_ITEM},
    }


def _visit(part: _Part, visit: int) -> Answer:
    chosen = part.activity.visits[visit]
    at = part.cohort.protocol.visits[visit]
    used = [chosen[place] for place in part.places if place in chosen]
    away = [abs((score.elapsed or 0) - at.target) for score in used]
    return name_visit(at) | {
        "n": len(part.pairs(chosen)),
        "missing": _missing(part, visit),
        "outsideTolerance": sum(days > at.tolerance for days in away),
        **_both(part, chosen),
    }


def _both(part: _Part, chosen: Chosen) -> Answer:
    """The whole score, and the score without its platelet item where it has one."""
    instrument = part.activity.instrument
    whole = part.pairs(chosen)
    with_baseline = sum(place in part.activity.baseline for place in part.places)
    told = {"total": tell_changes(part.cohort, instrument, whole, with_baseline)}
    if not instrument.platelet_item:
        reasons = {"withoutPlateletItem": NO_ITEM}
        return told | {"withoutPlateletItem": None, "reasons": reasons}
    pairs = part.pairs(chosen, platelet_item=False)
    without = tell_changes(part.cohort, instrument, pairs, with_baseline)
    undefined = {"undefined": len(whole) - len(pairs)}
    return told | {"withoutPlateletItem": undefined | without, "reasons": {}}


def _policy(part: _Part, visit: int) -> Answer:
    chosen = part.activity.policy[visit]
    code = part.cohort.protocol.visits[visit].code
    return {"visit": code, "n": len(part.pairs(chosen)), **_both(part, chosen)}


def _missing(part: _Part, visit: int) -> Answer:
    numbers = part.cohort.numbers
    reasons = ((numbers[place], find_missing(part, place, visit)) for place in part.places)
    found = [(number, reason) for number, reason in reasons if reason]
    return build_reasons(found, listed=part.cohort.tables.listed)


def find_missing(part: _Part, place: int, visit: int) -> str | None:
    """Why a participant has no change at a visit; None if there is one."""
    cohort, activity = part.cohort, part.activity
    if place in activity.baseline and place in activity.visits[visit]:
        return None
    if not cohort.first_doses.taken[place]:
        return NO_DOSE
    if not cohort.first_doses.dated[place]:
        return NO_DOSE_DATE
    if place not in activity.baseline:
        return NO_BASELINE
    if place in activity.policy[visit]:
        return RESCUED
    scored = any(score.visit == visit for score in activity.scores[place])
    return NO_VALID_SCORE if scored else NO_SCORE


def _scores(part: _Part) -> Answer:
    """How many scores there are, why some can't be used, and how many rescue sets aside."""
    scores = [score for place in part.places for score in part.activity.scores[place]]
    unusable = Counter(score.reason for score in scores if score.reason)
    aside = [each for each in scores if each.usable and each.after_rescue and each.visit >= 0]
    return {
        "total": len(scores),
        "afterRescue": len(aside),
        "unusable": dict(sorted(unusable.items())),
    }


CTD_ACTIVITY = Analysis(compute_figures, build_listing, iterate_inputs, METHODS, NOTES)
