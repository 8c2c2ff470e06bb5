"""Valid sirolimus troughs against their range, and the time in range between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.platelet_change import name_visit
from app.endpoints.analyses.trough_rows import build_subject_rows, iterate_inputs
from app.endpoints.analyses.trough_time import (
    choose_for_visit,
    describe_coverage,
    measure_time,
    why_no_time,
)
from app.endpoints.answers import Answer, build_reasons
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.troughs import NOT_STEADY, PLACES, TIMING_UNKNOWN, Level
from app.endpoints.figures.proportions import compute_proportion
from app.endpoints.figures.summaries import DIGITS, compute_summary, rounded
from app.trial import Visit

NO_LEVEL = "no level in the window"
NO_VALID = "no valid trough in the window"
NO_DOSE = "no first dose known to the day"
NO_TROUGH = "no valid trough"
NO_TIME = "no two troughs that time can be interpolated between"

METHODS = {
    "trough": "drawn within the protocol's hours after the last dose, before the day's dose, and "
    "so many days after the dose changed; both ends of the range are inside",
    "visit": "the valid trough closest to the target; on a tie the earlier day, then later time",
    "timeInRange": "Rosendaal et al., Thromb Haemost 1993;69:236: linear between troughs, exact "
    "crossings, days; nothing across a gap longer than the maximum",
    "coverage": "interpolated days over the days from the first dose to the last",
    "interval": "Clopper-Pearson, per visit, one trough per participant",
    "rounding": f"estimates to {DIGITS} significant digits",
}

NOTES = (
    "Where the hour of the last dose is not known (a dose at home, a day without record), neither "
    "is the timing: such a level is listed, and counted in the sensitivity analysis only.",
    "Pooled percentages are of troughs, several of one participant: no interval is given.",
    "A level reported as a bound is counted where it lies wholly below or above the range; time is "
    "never interpolated from it.",
)

TIMING_RULE = (
    "Sensitivity only: levels of unknown timing are taken as troughs where the dose was steady."
)

Levels = Sequence[Level]
Chosen = Callable[[Level], bool]


def is_valid(level: Level) -> bool:
    return level.is_valid


def may_be_trough(level: Level) -> bool:
    """Valid, or of unknown timing."""
    return level.may_be_trough


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    return {
        "unit": cohort.protocol.measurements["sirolimus"].unit,
        "confidence": cohort.confidence,
        "range": _range(cohort),
        "levels": _levels(cohort, members),
        **_troughs(cohort, members, is_valid),
        "visits": [_visit(cohort, members, visit) for visit in cohort.protocol.visits],
        "sensitivity": {
            "unknownTiming": {"rule": TIMING_RULE} | _troughs(cohort, members, may_be_trough)
        },
    }


def _range(cohort: Cohort) -> Answer:
    rules = cohort.protocol.trough
    return {
        "low": float(rules.low),
        "high": float(rules.high),
        "hoursAfterDose": {
            "low": rules.hours_after_dose_minimum,
            "high": rules.hours_after_dose_maximum,
        },
        "steadyAfterDays": rules.steady_state_days,
    }


def _all_levels(cohort: Cohort, members: Members) -> list[Level]:
    return [level for row in members.rows.tolist() for level in cohort.levels[row]]


def _levels(cohort: Cohort, members: Members) -> Answer:
    """Every level by what it is as a trough."""
    found = Counter(level.finding for level in _all_levels(cohort, members))
    total = sum(found.values())
    valid = found.pop("valid", 0)
    return {
        "total": total,
        "valid": valid,
        "timingUnknown": found[TIMING_UNKNOWN],
        "notSteadyState": found[NOT_STEADY],
        "notUsed": dict(sorted((+found).items())),
    }


def _troughs(cohort: Cohort, members: Members, chosen: Chosen) -> Answer:
    by_participant = [
        [level for level in cohort.levels[row] if chosen(level)] for row in members.rows.tolist()
    ]
    return {
        "pooled": _pooled(by_participant),
        "participants": _participants(cohort, by_participant),
        "timeInRange": _time(cohort, members, chosen),
    }


def count_places(levels: Levels) -> dict[str, int]:
    found = Counter(level.place for level in levels)
    return {place: found[place] for place in PLACES}


def _pooled(by_participant: Sequence[Levels]) -> Answer:
    places = Counter[str]()
    for levels in by_participant:
        places.update(count_places(levels))
    n = sum(places.values())
    names = {place: f"{place}Percent" for place in PLACES}
    percents = {names[each]: rounded(100 * places[each] / n) if n else None for each in PLACES}
    return {
        "n": n,
        **{place: places[place] for place in PLACES},
        **percents,
        "reasons": {} if n else dict.fromkeys(percents, NO_TROUGH),
    }


def _participants(cohort: Cohort, by_participant: Sequence[Levels]) -> Answer:
    """Of each participant with a trough the percentage inside."""
    shares = [
        100 * count_places(levels)["inside"] / len(levels) for levels in by_participant if levels
    ]
    return {
        "n": len(shares),
        "withoutTrough": len(by_participant) - len(shares),
        "everInside": sum(share > 0 for share in shares),
        "alwaysInside": sum(share == 100 for share in shares),
        "percentInside": compute_summary(shares, cohort.confidence),
    }


def _visit(cohort: Cohort, members: Members, visit: Visit) -> Answer:
    rows = members.rows.tolist()
    chosen = {row: choose_for_visit(cohort.levels[row], visit) for row in rows}
    levels = [level for level in chosen.values() if level]
    missing = [
        (cohort.numbers[row], _why_missing(cohort, row, visit))
        for row, level in chosen.items()
        if level is None
    ]
    places = count_places(levels)
    return name_visit(visit) | {
        "n": len(levels),
        "missing": build_reasons(missing, listed=cohort.tables.listed),
        **{
            place: compute_proportion(places[place], len(levels), cohort.confidence)
            for place in PLACES
        },
        "observed": compute_summary(
            [level.value for level in levels if not level.bound], cohort.confidence
        ),
    }


def _why_missing(cohort: Cohort, row: int, visit: Visit) -> str:
    if cohort.dosings[row] is None:
        return NO_DOSE
    inside = [
        level
        for level in cohort.levels[row]
        if level.elapsed is not None and visit.low <= level.elapsed <= visit.high
    ]
    return NO_VALID if inside else NO_LEVEL


def _time(cohort: Cohort, members: Members, chosen: Chosen) -> Answer:
    rows = members.rows.tolist()
    times = [measure_time(cohort, row, chosen) for row in rows]
    fractions = [each.fraction for each in times if each.fraction is not None]
    inside, interpolated = sum(e.inside for e in times), sum(e.interpolated for e in times)
    undefined = [
        (cohort.numbers[row], why_no_time(cohort, row, chosen))
        for row, each in zip(rows, times, strict=True)
        if each.fraction is None
    ]
    return {
        "maximumGap": {"value": cohort.protocol.trough.maximum_gap_days, "unit": "d"},
        "n": len(fractions),
        "undefined": build_reasons(undefined, listed=cohort.tables.listed),
        "below": rounded(sum(each.below for each in times)),
        "inside": rounded(inside),
        "above": rounded(sum(each.above for each in times)),
        "interpolated": rounded(interpolated),
        "skipped": rounded(sum(each.skipped for each in times)),
        "percentInside": rounded(100 * inside / interpolated) if interpolated else None,
        "reasons": {} if interpolated else {"percentInside": NO_TIME},
        "ofParticipants": compute_summary([100 * each for each in fractions], cohort.confidence),
        "coverage": describe_coverage(cohort, rows, interpolated),
    }


TROUGH_IN_RANGE = Analysis(compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES)
