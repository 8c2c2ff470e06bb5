"""OperationOutcome. https://hl7.org/fhir/R4/operationoutcome.html"""

from __future__ import annotations

import pytest

from app.errors import ANSWERS, Category, Issue, SsciError, error, errors
from app.fhir.outcome import ISSUE_TYPES, build_information, build_outcome, build_warnings
from app.fhir.patient_policy import PatientPolicy
from app.fhir.registry import load_registry
from app.fhir.validate import Validator


def test_an_error_becomes_an_outcome_with_place_and_rule():
    problem = error(Category.UNPROCESSABLE, "It is so", expression="Patient.name", code="required")
    assert build_outcome(problem) == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "required",
                "diagnostics": "It is so",
                "expression": ["Patient.name"],
            }
        ],
    }


def test_every_issue_is_told_in_order():
    issues = [Issue("value", "one"), Issue("structure", "two", severity="warning")]
    outcome = build_outcome(errors(Category.INCORRECT, issues))
    assert [each["diagnostics"] for each in outcome["issue"]] == ["one", "two"]
    assert [each["severity"] for each in outcome["issue"]] == ["error", "warning"]


@pytest.mark.parametrize("category", Category)
def test_every_category_is_told_with_a_code_of_the_standard(category):
    assert ANSWERS[category].issue_code in ISSUE_TYPES
    (issue,) = build_outcome(SsciError(category, ()))["issue"]
    assert issue["code"] == ANSWERS[category].issue_code


def test_a_code_or_severity_that_r4_does_not_have_is_never_told():
    problem = errors(Category.CONFLICT, [Issue("made-up", "x", severity="awful")])
    (issue,) = build_outcome(problem)["issue"]
    assert (issue["severity"], issue["code"]) == ("error", "conflict")


@pytest.mark.parametrize(
    "outcome",
    [
        build_outcome(error(Category.NOT_FOUND, "x", expression="Patient.id")),
        build_information("All went well"),
        build_warnings([Issue("not-supported", "x", severity="warning")]),
    ],
)
def test_an_outcome_is_itself_a_legal_resource(outcome):
    Validator(load_registry(), PatientPolicy("open")).validate(outcome, "OperationOutcome")


def test_a_good_outcome_is_no_error():
    (issue,) = build_information("All went well")["issue"]
    assert (issue["severity"], issue["code"]) == ("information", "informational")
