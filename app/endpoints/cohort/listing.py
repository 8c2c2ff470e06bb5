"""Counts and doses told one by one, with ADaM's names: which was used for what, and why not.

ADaM Implementation Guide, BDS: https://www.cdisc.org/standards/foundational/adam. Windows and
AWTARGET are in elapsed days (day 0 is the day of the first dose); ADY is SDTM's study day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np

from app.endpoints.answers import Answer, build_source
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.placing import UNPLACED, UNUSABLE
from app.endpoints.figures.summaries import rounded
from app.endpoints.reading.columns import NO_DAY, STATUS
from app.endpoints.reading.records import ClinicalTime, Dose

BASELINE = "Baseline"
OUTSIDE = "outside every window"
NOT_CHOSEN = "another count was chosen"
AFTER_RESCUE = "after rescue treatment"

NOT_TAKEN = "status does not say that it was taken"
NO_AMOUNT = "no amount in mg"
NOTHING = "amount is not above 0"
NO_DATE = "date not known to the day"


def name_reason(cohort: Cohort, reason: int) -> str:
    """The words of one of `placing.UNUSABLE`."""
    return UNUSABLE[reason].format(unit=cohort.protocol.measurements["platelets"].unit)


def explain_unusable_dose(dose: Dose, statuses: Collection[str]) -> str | None:
    """Why a dose can't be the first that counts are placed by; None if it can."""
    checks = (
        (dose.status not in statuses, NOT_TAKEN),
        (dose.amount is None, NO_AMOUNT),
        (dose.amount is not None and dose.amount <= 0, NOTHING),
        (dose.day is None, NO_DATE),
    )
    return next((reason for fails, reason in checks if fails), None)


def count_unusable_doses(cohort: Cohort, members: Members) -> dict[str, int]:
    """Doses of the members that can't be the first, by reason."""
    packed = cohort.tables.doses
    value = packed["value"]
    checks = (
        (packed["flags"] & STATUS != 0, NOT_TAKEN),
        (np.isnan(value), NO_AMOUNT),
        (value <= 0, NOTHING),
        (packed["day"] == NO_DAY, NO_DATE),
    )
    left = members.has(cohort.subjects_of(packed), len(cohort))
    found: Counter[str] = Counter()
    for fails, reason in checks:
        found[reason] = int((left & fails).sum())
        left &= ~fails
    return dict(sorted((+found).items()))


def count_unusable_counts(cohort: Cohort, members: Members) -> dict[str, int]:
    """Counts of the members that can't be used for any figure, by reason."""
    counts = cohort.counts
    among = members.has(counts.subject, len(cohort))
    numbers = np.bincount(counts.reason[among]).tolist()
    return {name_reason(cohort, each): n for each, n in enumerate(numbers) if each and n}


def list_unusable_doses(cohort: Cohort, number: str) -> list[Answer]:
    statuses = cohort.protocol.dosing.first_dose_statuses
    rows = cohort.tables.rows.of(Dose, number)
    reasons = [(dose, explain_unusable_dose(dose, statuses)) for dose in rows]
    return [{"reason": why, **build_source(dose.source)} for dose, why in reasons if why]


def list_counts(cohort: Cohort, row: int) -> Iterator[tuple[int, Answer]]:
    """A participant's counts in order of time: position in the columns, and what each is."""
    for count in cohort.counts_of(row):
        yield count, _timing(cohort, count) | _window(cohort, count) | _values(cohort, row, count)


def explain_choice(cohort: Cohort, row: int, count: int) -> Answer:
    """ANL01FL and ABLFL are Y or null, as ADaM has them; `notUsed` says why they are null."""
    counts = cohort.counts
    is_baseline = cohort.baseline[row] == count
    chosen = is_baseline or count in cohort.visits_before_rescue[row]
    return {
        "ABLFL": "Y" if is_baseline else None,
        "ANL01FL": "Y" if chosen else None,
        "notUsed": None if chosen else _why_not(cohort, count),
        "scaleSuspect": bool(counts.scale_suspect[count]),
        **build_source(cohort.measurement(count).source),
    }


def _why_not(cohort: Cohort, count: int) -> str:
    counts = cohort.counts
    if counts.reason[count]:
        return name_reason(cohort, int(counts.reason[count]))
    if counts.visit[count] < 0 and not counts.for_baseline[count]:
        return OUTSIDE
    return AFTER_RESCUE if cohort.after_rescue[count] else NOT_CHOSEN


def study_day(elapsed: int | None) -> int | None:
    """SDTM's: the day of the first dose is 1, the day before it -1."""
    return None if elapsed is None else elapsed + 1 if elapsed >= 0 else elapsed


def elapsed_of(cohort: Cohort, count: int) -> int | None:
    elapsed = int(cohort.counts.elapsed[count])
    return None if elapsed == UNPLACED else elapsed


def _timing(cohort: Cohort, count: int) -> Answer:
    record = cohort.measurement(count)
    elapsed = elapsed_of(cohort, count)
    return {
        "USUBJID": record.subject,
        "SUBJID": record.subject,
        "PARAMCD": "PLAT",
        "ADT": format_day(record.when),
        "ADTM": format_moment(cohort, record.when),
        "ADY": study_day(elapsed),
        "elapsed": elapsed,
    }


def _window(cohort: Cohort, count: int) -> Answer:
    counts, visits = cohort.counts, cohort.protocol.visits
    visit = visits[counts.visit[count]] if counts.visit[count] >= 0 else None
    baseline = bool(counts.for_baseline[count])
    distance = abs(int(counts.elapsed[count]) - visit.target) if visit else None
    return {
        "AVISIT": visit.label if visit else BASELINE if baseline else None,
        "AVISITN": visit.month if visit else 0 if baseline else None,
        "AWTARGET": visit.target if visit else None,
        "AWTDIFF": distance,
        "AWLO": visit.low if visit else None,
        "AWHI": visit.high if visit else None,
        "AWU": "DAYS" if visit else None,
        "inTolerance": distance <= visit.tolerance if visit and distance is not None else None,
    }


def _values(cohort: Cohort, row: int, count: int) -> Answer:
    record = cohort.measurement(count)
    usable = not cohort.counts.reason[count]
    written = None if record.value is None else f"{record.comparator or ''}{record.value:f}"
    return {
        "AVAL": rounded(float(cohort.counts.value[count])) if usable else None,
        "AVALC": written,
        "AVALU": record.unit,
        "BASE": number_or_none(cohort.baseline_value[row]),
    }


def number_or_none(value: float) -> float | None:
    return None if np.isnan(value) else rounded(float(value))


def format_day(when: ClinicalTime | None) -> str | None:
    return when.day.isoformat() if when and when.day else None


def format_moment(cohort: Cohort, when: ClinicalTime | None) -> str | None:
    if when is None or not when.has_time:
        return None
    return when.begin.astimezone(cohort.request.zone).isoformat()
