"""The eligibility form as a trial row. https://hl7.org/fhir/R4/questionnaireresponse.html"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from app.fhir import Json
from app.trial import load_protocol
from app.trial.codes import BASE, CRITERION_ANSWERS
from app.trial.trial_rows import build_context, project_resource
from tests.trial_support import ZONE

CONTEXT = build_context(load_protocol(), ZONE)


def form(*items: Json, **elements: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "SSCI-001-eligibility",
        "questionnaire": f"{BASE}/Questionnaire/SSCI-eligibility|1.0.0",
        "status": "completed",
        "subject": {"reference": "Patient/SSCI-001"},
        "authored": "2017-09-01",
        "item": list(items),
    } | elements


def item(criterion: str, answer: str, *beside: str) -> Json:
    told: Json = {"valueCoding": {"system": CRITERION_ANSWERS, "code": answer}}
    if beside:
        told["item"] = [{"linkId": link} for link in beside]
    return {"linkId": criterion, "answer": [told]}


def row(resource: Json) -> Any:
    found = list(project_resource(resource, CONTEXT))
    return found[0].values if found else None


def answers(*items: Json) -> dict[str, str]:
    values = row(form(*items))
    return dict(zip(values["criteria"], values["answers"], strict=True))


def test_each_criterion_has_its_answer_in_order():
    values = row(form(item("ctd", "met"), item("age", "not-met"), item("consent", "unknown")))
    assert values["criteria"] == ["ctd", "age", "consent"]
    assert values["answers"] == ["met", "not-met", "unknown"]
    assert (values["subject"], values["status"]) == ("SSCI-001", "completed")
    assert values["clinical_date"] == date(2017, 9, 1)


def test_a_criterion_with_an_override_beside_its_answer_is_overridden():
    assert answers(item("age", "not-met", "age.override")) == {"age": "overridden"}


def test_something_else_beside_an_answer_overrides_nothing():
    assert answers(item("age", "met", "ctd.override")) == {"age": "met"}


@pytest.mark.parametrize(
    "given",
    [
        {"linkId": "age"},
        {"linkId": "age", "answer": []},
        {"linkId": "age", "answer": [{"valueBoolean": True}]},
        {"linkId": "age", "answer": [{"valueCoding": {"system": "http://x", "code": "met"}}]},
        {"linkId": "age", "answer": [{"valueCoding": "met"}]},
        {"linkId": "age", "answer": "met"},
    ],
)
def test_an_answer_that_is_none_of_ours_is_unknown(given):
    assert answers(given) == {"age": "unknown"}


def test_a_criterion_without_a_name_is_left_out():
    assert answers({"answer": [{"valueBoolean": True}]}, item("age", "met")) == {"age": "met"}


@pytest.mark.parametrize(
    "elements",
    [
        {"questionnaire": f"{BASE}/Questionnaire/other|1.0.0"},
        {"questionnaire": 5},
        {"questionnaire": None},
        {"subject": {"reference": "Group/g"}},
        {"subject": None},
    ],
)
def test_another_form_and_one_of_nobody_give_no_row(elements):
    assert row(form(item("age", "met"), **elements)) is None
