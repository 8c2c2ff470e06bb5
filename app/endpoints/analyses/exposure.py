"""Exposure to sirolimus: how long, how much, at which doses, with what adherence.

Days are those from the first dose to the last; each is told by one origin (`cohort.dosing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

from app.endpoints.analyses.analysis import Analysis
from app.endpoints.analyses.exposure_rows import build_subject_rows, iterate_inputs
from app.endpoints.answers import Answer, build_reasons
from app.endpoints.cohort.adherence import Adherence, measure_to_visit, measure_treatment
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.dosing import ORIGINS, Dosing, add_up, find_runs
from app.endpoints.cohort.members import NO_DOSE, Members
from app.endpoints.figures.proportions import compute_proportion
from app.endpoints.figures.summaries import DIGITS, compute_summary, rounded
from app.endpoints.reading.records import Dose

NO_DOSE_DATE = "date of the first dose not known to the day"
NOTHING_ASKED = "no dose was to be taken"

METHODS = {
    "duration": "days from the first to the last day with a dose, both included",
    "meanDaily": "cumulative mg over the duration",
    "origin": "a day's dose is that of hospital records (summed), else the diary's highest entry, "
    "else the even share of a pill count; a missed dose in the diary goes before such a share",
    "expected": "loading dose, then maintenance dose, then the prescribed dose, which holds until "
    "the next one begins or until it is stopped",
    "adherence": "100 x mg taken / mg to be taken; not cut at 100",
    "quartiles": "SAS type 2 (QNTLDEF=5; Hyndman-Fan type 2)",
    "rounding": f"estimates to {DIGITS} significant digits",
}

NOTES = (
    "A day without any record is counted as unrecorded: it adds no milligram.",
    "Adherence to the visit runs to its target day whether or not doses went on; adherence on "
    "treatment ends with the last dose.",
    "Of a dose level the days known by hospital records or the diary are counted: a pill count "
    "tells a total only.",
    "A change is one of the prescribed dose, or of the dose taken where nothing is prescribed; the "
    "planned step from loading to maintenance is none.",
)

Dosings = Sequence[Dosing]


def compute_figures(cohort: Cohort, members: Members) -> Answer:
    found = [(row, cohort.dosings[row]) for row in members.rows.tolist()]
    dosings = [dosing for _, dosing in found if dosing]
    missing = [(cohort.numbers[row], _why_missing(cohort, row)) for row, each in found if not each]
    return {
        "unit": "mg",
        "confidence": cohort.confidence,
        "n": len(dosings),
        "missing": build_reasons(missing, listed=cohort.tables.listed),
        "duration": _summary(cohort, [each.duration for each in dosings]) | {"unit": "d"},
        "cumulative": _summary(cohort, [each.cumulative for each in dosings]),
        "meanDaily": _summary(cohort, [each.cumulative / each.duration for each in dosings]),
        "days": _days(dosings),
        "origins": [_origin(dosings, origin) for origin in ORIGINS],
        "doseLevels": _levels(dosings),
        "adherence": _adherence(cohort, dosings),
        "changes": _changes(dosings),
        "interruptions": _interruptions(cohort, dosings),
        "stops": _stops(cohort, members),
        "records": _records(cohort, members, dosings),
    }


def _why_missing(cohort: Cohort, row: int) -> str:
    return NO_DOSE_DATE if cohort.first_doses.taken[row] else NO_DOSE


def _summary(cohort: Cohort, values: Sequence[Fraction | int | float]) -> Answer:
    return compute_summary([float(value) for value in values], cohort.confidence)


def _days(dosings: Dosings) -> Answer:
    """Days between first and last dose by what is known of them."""
    unrecorded = [each.unrecorded for each in dosings]
    recorded = [_within(each) for each in dosings]
    return {
        "onTreatment": sum(each.duration for each in dosings),
        "taken": sum(taken for taken, _ in recorded),
        "toldNotTaken": sum(told for _, told in recorded),
        "unrecorded": sum(len(days) for days in unrecorded),
        "unrecordedRuns": sum(len(find_runs(days)) for days in unrecorded),
        "longestUnrecordedRun": max(
            (run[1] for days in unrecorded for run in find_runs(days)), default=0
        ),
    }


def _within(dosing: Dosing) -> tuple[int, int]:
    days = [each for day, each in dosing.days.items() if day <= dosing.last]
    taken = sum(bool(each.mg) for each in days)
    return taken, len(days) - taken


def _origin(dosings: Dosings, origin: str) -> Answer:
    days = [[each for each in dosing.taken if each.origin == origin] for dosing in dosings]
    return {
        "name": origin,
        "participants": sum(bool(each) for each in days),
        "days": sum(len(each) for each in days),
        "mg": rounded(float(sum(map(add_up, days), Fraction(0)))),
    }


def _levels(dosings: Dosings) -> list[Answer]:
    """Each daily dose in mg: days at it and participants ever at it, and whose last dose it was."""
    days: Counter[Fraction] = Counter()
    participants: Counter[Fraction] = Counter()
    last: Counter[Fraction] = Counter()
    for dosing in dosings:
        levels = [each.mg for _, each in dosing.known_levels]
        days.update(levels)
        participants.update(set(levels))
        last.update(levels[-1:])
    return [
        {
            "level": f"{float(mg):g} mg",
            "mg": rounded(float(mg)),
            "participants": participants[mg],
            "days": days[mg],
            "lastKnown": last[mg],
        }
        for mg in sorted(days)
    ]


def _adherence(cohort: Cohort, dosings: Dosings) -> Answer:
    visit = cohort.protocol.per_protocol.visit
    return {
        "unit": "%",
        "unrecordedDays": cohort.protocol.exposure.unrecorded_days,
        "periods": [
            {"name": "on treatment"} | _period(cohort, dosings, measure_treatment),
            {"name": f"to {visit}"}
            | _period(cohort, dosings, lambda each: measure_to_visit(cohort, each)),
        ],
    }


def _period(cohort: Cohort, dosings: Dosings, measured: Callable[[Dosing], Adherence]) -> Answer:
    policy = cohort.protocol.exposure.unrecorded_days
    found = [measured(each) for each in dosings]
    percents = [percent for each in found if (percent := each.percent(policy)) is not None]
    recorded = [percent for each in found if (percent := each.percent("left-out")) is not None]
    return {
        "percent": _summary(cohort, percents),
        "undefined": {"n": len(found) - len(percents), "reason": NOTHING_ASKED},
        "adherent": _adherent(cohort, percents),
        "recordedDaysOnly": _summary(cohort, recorded),
        "mgTaken": rounded(float(sum((each.taken for each in found), Fraction(0)))),
        "mgExpected": rounded(float(sum((each.expected for each in found), Fraction(0)))),
        "days": sum(each.days for each in found),
        "unrecordedDays": sum(each.unrecorded for each in found),
    }


def _adherent(cohort: Cohort, percents: Sequence[float]) -> Answer:
    """Participants who reach the protocol's minimum."""
    minimum = float(cohort.protocol.per_protocol.adherence_minimum_percent)
    reached = sum(each >= minimum for each in percents)
    return {"minimum": minimum} | compute_proportion(reached, len(percents), cohort.confidence)


def _changes(dosings: Dosings) -> list[Answer]:
    kinds: Mapping[str, list[int]] = {"increase": [], "reduction": [], "to no dose": []}
    for dosing in dosings:
        found = Counter(name_change(each.before, each.after) for each in dosing.changes)
        for kind, events in kinds.items():
            events.append(found[kind])
    return [
        {"name": kind, "participants": sum(map(bool, events)), "events": sum(events)}
        for kind, events in kinds.items()
    ]


def name_change(before: Fraction, after: Fraction) -> str:
    if after == 0:
        return "to no dose"
    return "increase" if after > before else "reduction"


def _interruptions(cohort: Cohort, dosings: Dosings) -> Answer:
    minimum = cohort.protocol.exposure.interruption_days
    found = [each.interruptions(minimum) for each in dosings]
    return {
        "minimumDays": minimum,
        "participants": sum(map(bool, found)),
        "events": sum(map(len, found)),
        "days": sum(days for each in found for _, days in each),
    }


def _stops(cohort: Cohort, members: Members) -> Answer:
    stops = Counter(
        stop.why for row in members.rows.tolist() if (stop := cohort.stops.get(row)) is not None
    )
    return {"participants": sum(stops.values()), "firstSign": dict(sorted(stops.items()))}


def _records(cohort: Cohort, members: Members, dosings: Dosings) -> Answer:
    """Every record of sirolimus taken or prescribed, and why some tell of no day."""
    unused = Counter(reason for each in dosings for reason in each.unused.values())
    regimens = Counter(reason for each in dosings for _, reason in each.unused_regimens)
    rows = [cohort.tables.rows.of(Dose, cohort.numbers[row]) for row in members.rows.tolist()]
    return {
        "doses": sum(map(len, rows)),
        "unused": dict(sorted(unused.items())),
        "ofNobodyDosed": _not_placed(cohort, members),
        "prescriptions": sum(len(each.regimens) for each in dosings),
        "unusedPrescriptions": dict(sorted(regimens.items())),
        "mgOfPillCountsToldOtherwise": rounded(
            float(sum((each.not_counted for each in dosings), Fraction(0)))
        ),
    }


def _not_placed(cohort: Cohort, members: Members) -> int:
    """Dose records of those without a first dose that is known to the day."""
    rows: Iterator[int] = (row for row in members.rows.tolist() if not cohort.dosings[row])
    return sum(len(cohort.tables.rows.of(Dose, cohort.numbers[row])) for row in rows)


EXPOSURE = Analysis(compute_figures, build_subject_rows, iterate_inputs, METHODS, NOTES)
