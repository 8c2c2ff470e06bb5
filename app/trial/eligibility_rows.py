"""The answers to the eligibility criteria as a row of the trial database: one per version of the
form that was filled in. https://hl7.org/fhir/R4/questionnaireresponse.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.fhir import Json
from app.trial.codes import BASE, CRITERION_ANSWERS, ELIGIBILITY_QUESTIONNAIRE_ID
from app.trial.reading import codes_of, items, text

FORM = f"{BASE}/Questionnaire/{ELIGIBILITY_QUESTIONNAIRE_ID}"
OVERRIDDEN = "overridden"
UNKNOWN = "unknown"


def read_answers(resource: Json) -> Mapping[str, str] | None:
    """Criterion → met, not-met, unknown or overridden; None where it is another form."""
    form = (text(resource.get("questionnaire")) or "").partition("|")[0]
    return dict(_answers(resource)) if form == FORM else None


def _answers(resource: Json) -> Iterator[tuple[str, str]]:
    for item in items(resource.get("item")):
        criterion = text(item.get("linkId"))
        if criterion is not None:
            yield criterion, _answer(criterion, next(items(item.get("answer")), {}))


def _answer(criterion: str, answer: Json) -> str:
    beside = (text(each.get("linkId")) for each in items(answer.get("item")))
    if f"{criterion}.override" in beside:
        return OVERRIDDEN
    concept: dict[str, Any] = {"coding": [answer.get("valueCoding")]}
    return next(iter(codes_of(concept, CRITERION_ANSWERS)), UNKNOWN)
