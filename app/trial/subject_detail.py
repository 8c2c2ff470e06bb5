"""One subject in full, as the site asks for it: status, consent, eligibility answers, visits that
the protocol plans. Nothing identifies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from app.fhir import Caller, Json, parse_json
from app.trial.enrolment import Trial
from app.trial.participation import reason_of
from app.trial.protocol import Protocol
from app.trial.reading import first_code, items, text
from app.trial.subjects import SubjectSummary, fetch_subject

FIRST_DOSE = """
SELECT min(clinical_date) FROM trial.dose
WHERE subject = $1 AND upper_inf(system) AND amount > 0 AND status = ANY($2)
"""


@dataclass(frozen=True, slots=True)
class ConsentSummary:
    status: str
    given: str | None
    ended: str | None


@dataclass(frozen=True, slots=True)
class CriterionAnswer:
    """`answer` is met, not-met or unknown."""

    criterion: str
    answer: str
    overridden: bool


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """`target`, `earliest` and `latest` once the first dose is known (earliest and latest are the
    tolerance around the target; of the baseline: the days before the first dose)."""

    code: str
    label: str
    target: date | None
    earliest: date | None
    latest: date | None


@dataclass(frozen=True, slots=True)
class SubjectDetail:
    summary: SubjectSummary
    reason: str | None
    first_dose: date | None
    consent: ConsentSummary | None
    eligibility: tuple[CriterionAnswer, ...]
    visits: tuple[PlannedVisit, ...]


async def fetch_detail(trial: Trial, caller: Caller, number: str) -> SubjectDetail | None:
    """The subject of this number now; None if there is none."""
    summary = await fetch_subject(trial.database, number)
    if summary is None:
        return None
    async with trial.database.reading() as connection:
        statuses = list(trial.protocol.dosing.first_dose_statuses)
        first_dose = await connection.fetchval(FIRST_DOSE, number, statuses)
    research_subject = await _read(trial, caller, "ResearchSubject", number)
    consent = await _read(trial, caller, "Consent", f"{number}-consent")
    answers = await _read(trial, caller, "QuestionnaireResponse", f"{number}-eligibility")
    return SubjectDetail(
        summary,
        reason_of(research_subject) if research_subject else None,
        first_dose,
        _consent(consent) if consent else None,
        tuple(_answers(answers)) if answers else (),
        tuple(plan_visits(trial.protocol, first_dose)),
    )


async def _read(trial: Trial, caller: Caller, resource_type: str, id: str) -> Json | None:
    stored = await trial.store.read(caller, resource_type, id)
    return parse_json(stored.body) if stored is not None and stored.body is not None else None


def _consent(resource: Json) -> ConsentSummary:
    provision: Any = resource.get("provision") or {}
    period: Any = provision.get("period") or {}
    return ConsentSummary(
        text(resource.get("status")) or "unknown",
        text(resource.get("dateTime")),
        text(period.get("end")),
    )


def _answers(resource: Json) -> Iterator[CriterionAnswer]:
    for item in items(resource.get("item")):
        answer = next(items(item.get("answer")), {})
        code = first_code({"coding": [answer.get("valueCoding")]})
        overridden = any(items(answer.get("item")))
        yield CriterionAnswer(str(item.get("linkId")), code or "unknown", overridden)


def plan_visits(protocol: Protocol, first_dose: date | None) -> Iterator[PlannedVisit]:
    """The baseline and every visit after it, with their days where the first dose is known."""
    baseline = protocol.baseline
    if first_dose is None:
        yield PlannedVisit(baseline.code, baseline.label, None, None, None)
    else:
        start = first_dose - timedelta(days=baseline.window_days)
        yield PlannedVisit(baseline.code, baseline.label, first_dose, start, first_dose)
    for visit in protocol.visits:
        days = [visit.target, visit.target - visit.tolerance, visit.target + visit.tolerance]
        planned = [first_dose + timedelta(days=each) if first_dose else None for each in days]
        yield PlannedVisit(visit.code, visit.label, *planned)
