"""Every count as an analysis row with ADaM's names, so that each choice can be checked.

ADaM Implementation Guide, BDS: https://www.cdisc.org/standards/foundational/adam. Windows and
AWTARGET are in elapsed days (day 0 is the day of the first dose); ADY is SDTM's study day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from app.endpoints.answers import (
    Answer,
    build_header,
    build_reasons,
    build_source,
    encode_answer,
)
from app.endpoints.derivation import Candidate, Participant, compute_participants, divide
from app.endpoints.model import ChangeRequest, ChangeRules, ClinicalTime, Rows
from app.endpoints.platelet_change import (
    compute_change,
    compute_log_ratio,
    compute_percent_change,
    find_missing,
)
from app.endpoints.statistics import rounded

BASELINE = "Baseline"
OUTSIDE = "outside every window"
NOT_CHOSEN = "another count was chosen"


def compute_platelet_change_subjects(request: ChangeRequest, rows: Rows) -> bytes:
    """One entry per participant of the population, one row per count."""
    everyone = compute_participants(rows, request.rules, request.zone)
    population = divide(everyone, request.population)
    members = population.members
    answer = build_header(request.definition, request.cut, request.software) | {
        "population": {
            "name": request.population,
            "n": len(members),
            "excluded": build_reasons(population.excluded),
        },
        "unit": request.rules.unit,
        "subjects": [_subject(each, request.rules, request.zone) for each in members],
        "rows": _rows(members, request.rules, request.zone),
    }
    return encode_answer(answer)


def _subject(participant: Participant, rules: ChangeRules, zone: tzinfo) -> Answer:
    dose, baseline = participant.first_dose, participant.baseline
    taken = dose.when if dose else None
    reasons = [(visit.code, find_missing(participant, visit)) for visit in rules.visits]
    return {
        "USUBJID": participant.subject,
        "TRTSDT": _date(taken, zone),
        "TRTSDTM": _instant(taken, zone),
        "BASE": _number(baseline),
        "firstDose": build_source(dose.source) if dose else None,
        "baseline": build_source(baseline.measurement.source) if baseline else None,
        "unusableDoses": [
            {"reason": each.reason, **build_source(each.dose.source)}
            for each in participant.unusable_doses
        ],
        "missing": [{"visit": visit, "reason": reason} for visit, reason in reasons if reason],
    }


def _rows(members: Sequence[Participant], rules: ChangeRules, zone: tzinfo) -> list[Answer]:
    return [
        _timing(each, candidate, zone)
        | _window(candidate)
        | _values(each, candidate)
        | _choice(candidate)
        for each in members
        for candidate in each.candidates
    ]


def _timing(participant: Participant, candidate: Candidate, zone: tzinfo) -> Answer:
    when = candidate.measurement.when
    return {
        "USUBJID": participant.subject,
        "SUBJID": participant.subject,
        "PARAMCD": "PLAT",
        "ADT": _date(when, zone),
        "ADTM": _instant(when, zone),
        "ADY": candidate.study_day,
        "elapsed": candidate.elapsed,
    }


def _window(candidate: Candidate) -> Answer:
    visit = candidate.visit
    return {
        "AVISIT": visit.label if visit else BASELINE if candidate.for_baseline else None,
        "AVISITN": visit.month if visit else 0 if candidate.for_baseline else None,
        "AWTARGET": visit.target if visit else None,
        "AWTDIFF": candidate.distance,
        "AWLO": visit.low if visit else None,
        "AWHI": visit.high if visit else None,
        "AWU": "DAYS" if visit else None,
        "inTolerance": candidate.in_tolerance,
    }


def _values(participant: Participant, candidate: Candidate) -> Answer:
    count = candidate.measurement
    return {
        "AVAL": _number(candidate),
        "AVALC": None if count.value is None else f"{count.comparator or ''}{count.value:f}",
        "AVALU": count.unit,
        "BASE": _number(participant.baseline),
        **_changes(participant, candidate),
    }


def _changes(participant: Participant, candidate: Candidate) -> Answer:
    baseline = participant.baseline
    if baseline is None or candidate.visit is None or candidate.unusable:
        return dict.fromkeys(("CHG", "PCHG", "LNRATIO"))
    pair = (baseline.value, candidate.value)
    return {
        "CHG": rounded(compute_change(pair)),
        "PCHG": _rounded(compute_percent_change(pair)),
        "LNRATIO": _rounded(compute_log_ratio(pair)),
    }


def _choice(candidate: Candidate) -> Answer:
    """ANL01FL and ABLFL are Y or null, as ADaM has them; `notUsed` says why they are null."""
    placed = candidate.visit is not None or candidate.for_baseline
    left_out = None if candidate.chosen else NOT_CHOSEN if placed else OUTSIDE
    return {
        "ABLFL": "Y" if candidate.chosen and candidate.for_baseline else None,
        "ANL01FL": "Y" if candidate.chosen else None,
        "notUsed": candidate.unusable or left_out,
        "scaleSuspect": candidate.measurement.scale_suspect,
        **build_source(candidate.measurement.source),
    }


def _number(candidate: Candidate | None) -> float | None:
    """AVAL of a count that can be used; a bound, or a count of another unit, has none."""
    return None if candidate is None or candidate.unusable else rounded(float(candidate.value))


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def _date(when: ClinicalTime | None, zone: tzinfo) -> str | None:
    return when.date(zone).isoformat() if when and when.has_date else None


def _instant(when: ClinicalTime | None, zone: tzinfo) -> str | None:
    return when.begin.astimezone(zone).isoformat() if when and when.has_time else None
