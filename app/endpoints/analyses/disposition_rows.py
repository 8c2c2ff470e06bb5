"""Disposition one by one: a participant's way through the study, and each visit as a row."""

from __future__ import annotations

from collections.abc import Iterator

from app.endpoints.analyses.deviations_rows import iterate_conduct
from app.endpoints.answers import Answer, Input, build_source
from app.endpoints.cohort.calendar import to_date
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import POPULATIONS, Members, divide
from app.endpoints.cohort.visiting import find_visit

COMPLETED = "completed"
LOST = "lost to follow-up"
WITHDRAWN = "withdrawn"
SCREEN_FAILED = "screen failure"
OTHER = "ended otherwise"
ONGOING = "ongoing"
NOT_RECORDED = "no record of participation"
ENDINGS = (COMPLETED, LOST, WITHDRAWN, SCREEN_FAILED, OTHER, ONGOING, NOT_RECORDED)

BY_STATUS = {"off-study": COMPLETED, "withdrawn": WITHDRAWN, "ineligible": SCREEN_FAILED}
"""https://hl7.org/fhir/R4/valueset-research-subject-status.html"""

LOST_REASON = "lost-to-follow-up"
NO_REASON = "reason not recorded"


def find_ending(cohort: Cohort, row: int) -> tuple[str, str]:
    """How a participant's part in the study ended, and the recorded reason."""
    subject = cohort.subjects.get(cohort.numbers[row])
    if subject is None:
        return NOT_RECORDED, NO_REASON
    ending = BY_STATUS.get(subject.status, OTHER if subject.ended else ONGOING)
    if ending == ONGOING:
        return ONGOING, "on study"
    if subject.reason == LOST_REASON:
        ending = LOST
    return ending, subject.reason or NO_REASON


def build_subject_rows(cohort: Cohort, members: Members) -> Answer:
    """One entry per participant, one row per visit of those with a dated first dose."""
    rows = members.rows.tolist()
    masks = {name: divide(cohort, name).mask(len(cohort)) for name in POPULATIONS}
    return {
        "subjects": [
            _subject(cohort, row)
            | {"populations": [name for name, mask in masks.items() if mask[row]]}
            for row in rows
        ],
        "rows": [each for row in rows if cohort.dosings[row] for each in _visits(cohort, row)],
    }


def iterate_inputs(cohort: Cohort, members: Members) -> Iterator[Input]:
    """The populations rest on all of a participant's conduct."""
    for row in members.rows.tolist():
        yield from iterate_conduct(cohort, row)


def _subject(cohort: Cohort, row: int) -> Answer:
    number = cohort.numbers[row]
    subject, answers = cohort.subjects.get(number), cohort.eligibility.get(row)
    first, stop = cohort.date_of_first_dose(row), cohort.stops.get(row)
    ending, reason = find_ending(cohort, row)
    return {
        "USUBJID": number,
        "RFICDTC": subject.day.isoformat() if subject and subject.day else None,
        "TRTSDT": first.isoformat() if first else None,
        "sirolimusStopped": to_date(stop.day).isoformat() if stop else None,
        "ending": ending,
        "DCSREAS": reason,
        "EOSDT": subject.ended.isoformat() if subject and subject.ended else None,
        "participation": build_source(subject.source) if subject else None,
        "eligibility": build_source(answers.source) if answers else None,
    }


def _visits(cohort: Cohort, row: int) -> Iterator[Answer]:
    for at, visit in enumerate(cohort.protocol.visits):
        held = find_visit(cohort, row, at)
        source = build_source(held.sources[0]) if held.sources else None
        none = {"resource": None, "version": None, "url": None}
        yield {
            "USUBJID": cohort.numbers[row],
            "visit": visit.code,
            "finding": held.finding,
            "ADT": to_date(held.day).isoformat() if held.day is not None else None,
            "distance": held.distance if held.day is not None else None,
            "detail": held.detail or None,
            **(source or none),
        }
