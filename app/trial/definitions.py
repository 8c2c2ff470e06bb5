"""The protocol's definitions as FHIR: the visit schedule (PlanDefinition), one Measure per endpoint
definition version, and the eligibility form (Questionnaire).

https://hl7.org/fhir/R4/plandefinition.html · https://hl7.org/fhir/R4/measure.html ·
https://hl7.org/fhir/R4/questionnaire.html
"""

from __future__ import annotations

from typing import Any

from app.fhir import Json
from app.trial.codes import (
    BASE,
    CRITERIA,
    CRITERION_ANSWERS,
    ELIGIBILITY_QUESTIONNAIRE_ID,
    ENDPOINTS,
    PROTOCOL_SOURCE,
    SCHEDULE_ID,
    UCUM,
    VISITS,
    coding,
)
from app.trial.measuring import ALL, POPULATIONS, STRATIFIERS, groups_of, scoring_of
from app.trial.protocol import EndpointDefinition, Protocol, Visit

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
FIRST_DOSE = "first-dose"

ANSWERS = {"met": "Met", "not-met": "Not met", "unknown": "Unknown"}
OVERRIDDEN = ("overridden", "Overridden, reason on file")


def build_definitions(protocol: Protocol) -> list[Json]:
    return [
        build_schedule(protocol),
        build_eligibility_form(protocol),
        *(build_measure(each, protocol) for each in protocol.endpoint_versions),
    ]


def days(value: int) -> dict[str, Any]:
    return {"value": value, "unit": "d", "system": UCUM, "code": "d"}


def build_schedule(protocol: Protocol) -> Json:
    """Visits with their offset from the first dose (target) and their window (timing)."""
    dosing = protocol.dosing
    first_dose = {
        "id": FIRST_DOSE,
        "title": "First dose of sirolimus",
        "description": (
            f"{dosing.loading_dose} mg a day for {dosing.loading_days} days, then "
            f"{dosing.maintenance_dose} mg a day, adjusted to tolerance and a trough of "
            f"{protocol.trough.low}-{protocol.trough.high} ng/mL"
        ),
    }
    return {
        "resourceType": "PlanDefinition",
        "id": SCHEDULE_ID,
        "url": f"{BASE}/PlanDefinition/{SCHEDULE_ID}",
        "version": protocol.version,
        "name": "SSCISchedule",
        "title": f"{protocol.study.acronym}: schedule of visits",
        "type": {
            "coding": [coding(f"{TERMINOLOGY}/plan-definition-type", "clinical-protocol")],
        },
        "status": "active",
        "experimental": False,
        "action": [
            _baseline_action(protocol),
            first_dose,
            *(_visit_action(visit) for visit in protocol.visits),
        ],
    }


def _baseline_action(protocol: Protocol) -> dict[str, Any]:
    baseline = protocol.baseline
    return {
        "id": baseline.code,
        "title": baseline.label,
        "description": f"At most {baseline.window_days} days before the first dose",
        "code": [{"coding": [coding(VISITS, baseline.code, baseline.label)]}],
        "relatedAction": [
            {
                "actionId": FIRST_DOSE,
                "relationship": "before",
                "offsetRange": {"low": days(0), "high": days(baseline.window_days)},
            }
        ],
    }


def _visit_action(visit: Visit) -> dict[str, Any]:
    return {
        "id": visit.code,
        "title": visit.label,
        "description": (
            f"Day {visit.target} after the first dose, tolerance {visit.tolerance} days; "
            f"analysis window {visit.low}-{visit.high} days"
        ),
        "code": [{"coding": [coding(VISITS, visit.code, visit.label)]}],
        "relatedAction": [
            {
                "actionId": FIRST_DOSE,
                "relationship": "after",
                "offsetDuration": days(visit.target),
            }
        ],
        "timingRange": {"low": days(visit.low), "high": days(visit.high)},
    }


def build_measure(definition: EndpointDefinition, protocol: Protocol) -> Json:
    return {
        "resourceType": "Measure",
        "id": f"{definition.id}-{definition.version}",
        "extension": [{"url": PROTOCOL_SOURCE, "valueCode": definition.source}],
        "url": f"{BASE}/Measure/{definition.id}",
        "version": definition.version,
        "name": "".join(word.capitalize() for word in definition.id.split("-")),
        "title": definition.title,
        "status": "active",
        "experimental": False,
        "subjectCodeableConcept": {
            "coding": [coding("http://hl7.org/fhir/resource-types", "Patient")]
        },
        "description": definition.text,
        "topic": [{"coding": [coding(ENDPOINTS, definition.id, definition.title)]}],
        "scoring": {"coding": [coding(f"{TERMINOLOGY}/measure-scoring", scoring_of(definition))]},
        "type": [{"coding": [coding(f"{TERMINOLOGY}/measure-type", "outcome")]}],
        "definition": [f"Assumption: {each}" for each in definition.assumptions],
        "group": [_measured_group(definition, code) for code in groups_of(definition, protocol)],
    }


def _measured_group(definition: EndpointDefinition, code: str) -> Json:
    """Populations and stratifiers; their criteria are the endpoint's own definition."""
    criteria = {
        "language": "text/plain",
        "expression": f"{definition.id} {definition.version}: {definition.text}",
    }
    return {
        "code": {"coding": [group_coding(code)]},
        "population": [
            {
                "code": {"coding": [coding(f"{TERMINOLOGY}/measure-population", each)]},
                "criteria": criteria,
            }
            for each in POPULATIONS[scoring_of(definition)]
        ],
        "stratifier": [{"code": {"text": each}, "criteria": criteria} for each in STRATIFIERS],
    }


def group_coding(code: str) -> Json:
    """The code of a Measure's group: a visit, or the whole endpoint."""
    return coding(ENDPOINTS if code == ALL else VISITS, code)


def build_eligibility_form(protocol: Protocol) -> Json:
    options = [
        {"valueCoding": coding(CRITERION_ANSWERS, code, display)}
        for code, display in ANSWERS.items()
    ]
    return {
        "resourceType": "Questionnaire",
        "id": ELIGIBILITY_QUESTIONNAIRE_ID,
        "url": f"{BASE}/Questionnaire/{ELIGIBILITY_QUESTIONNAIRE_ID}",
        "version": protocol.version,
        "name": "SSCIEligibility",
        "title": f"{protocol.study.acronym}: eligibility",
        "status": "active",
        "experimental": False,
        "subjectType": ["Patient"],
        "item": [
            {
                "linkId": criterion.code,
                "code": [coding(CRITERIA, criterion.code)],
                "prefix": criterion.kind,
                "text": criterion.text,
                "type": "choice",
                "required": True,
                "answerOption": options,
                "item": [
                    {
                        "linkId": f"{criterion.code}.override",
                        "text": "The participant is enrolled all the same",
                        "type": "choice",
                        "answerOption": [{"valueCoding": coding(CRITERION_ANSWERS, *OVERRIDDEN)}],
                    }
                ],
            }
            for criterion in protocol.eligibility.criteria
        ],
    }
