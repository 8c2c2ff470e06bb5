"""A subject's first resources: coded Patient, ResearchSubject, Consent, Condition, the eligibility
answers, and the place in the enrolled Group. Pure.

Nothing here identifies: Patient has the subject number, the gender and the birth year; that a
criterion was overridden is told, the reason is free text and stays with the identity. The age at
consent stands in ResearchSubject, so that the trial database can be rebuilt from FHIR alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.fhir import Create, Json, Operation, Revise, copy_json
from app.trial.claims import claiming
from app.trial.codes import (
    ACT_REASON,
    AGE_AT_CONSENT,
    BASE,
    CONSENTS,
    CRITERION_ANSWERS,
    DIAGNOSES,
    ELIGIBILITY_QUESTIONNAIRE_ID,
    ENROLLED_GROUP_ID,
    LOINC,
    SNOMED,
    STUDY_ID,
    SUBJECT_NUMBER,
    SYNTHETIC,
    UCUM,
    coding,
    reference,
)
from app.trial.definitions import ANSWERS, OVERRIDDEN
from app.trial.eligibility import Answer, Enrolment
from app.trial.protocol import Protocol
from app.trial.study import build_enrolled_group

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


def build_operations(number: str, enrolment: Enrolment, protocol: Protocol) -> list[Operation]:
    """What to write in one transaction to enrol a subject under this number."""
    resources = [
        build_patient(number, enrolment),
        build_research_subject(number, enrolment, protocol),
        build_consent(number, enrolment),
        build_condition(number, enrolment, protocol),
        build_eligibility_answers(number, enrolment, protocol),
    ]
    creations = [Create(claiming(_labelled(each, enrolment)), each["id"]) for each in resources]
    return [*creations, add_to_cohort(number, enrolment, protocol)]


def _labelled(resource: Json, enrolment: Enrolment) -> Json:
    if not enrolment.synthetic:
        return resource
    return resource | {"meta": {"security": [coding(ACT_REASON, SYNTHETIC)]}}


def _patient(number: str) -> dict[str, str]:
    return reference("Patient", number)


def _identifier(number: str) -> list[dict[str, str]]:
    return [{"system": SUBJECT_NUMBER, "value": number}]


def build_patient(number: str, enrolment: Enrolment) -> Json:
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": _identifier(number),
        "gender": enrolment.gender,
        "birthDate": f"{enrolment.birth_year:04d}",
    }


def build_research_subject(number: str, enrolment: Enrolment, protocol: Protocol) -> Json:
    return {
        "resourceType": "ResearchSubject",
        "id": number,
        **_age(enrolment),
        "identifier": _identifier(number),
        "status": "on-study",
        "period": {"start": enrolment.consent_date.isoformat()},
        "study": reference("ResearchStudy", STUDY_ID),
        "individual": _patient(number),
        "assignedArm": protocol.study.arm_name,
        "consent": reference("Consent", f"{number}-consent"),
    }


def _age(enrolment: Enrolment) -> dict[str, Any]:
    age = enrolment.age_at_consent
    if age is None:
        return {}
    quantity = {"value": age, "unit": "a", "system": UCUM, "code": "a"}
    return {"extension": [{"url": AGE_AT_CONSENT, "valueQuantity": quantity}]}


def build_consent(number: str, enrolment: Enrolment) -> Json:
    who = [coding(CONSENTS, "participant")]
    if enrolment.guardian_consent:
        who.append(coding(CONSENTS, "guardian"))
    return {
        "resourceType": "Consent",
        "id": f"{number}-consent",
        "status": "active",
        "scope": {"coding": [coding(f"{TERMINOLOGY}/consentscope", "research")]},
        "category": [
            {"coding": [coding(LOINC, "59284-0", "Patient Consent")]},
            {"coding": who},
        ],
        "patient": _patient(number),
        "dateTime": enrolment.consent_date.isoformat(),
        "policyRule": {"text": "Informed consent to take part in the study"},
    }


def build_condition(number: str, enrolment: Enrolment, protocol: Protocol) -> Json:
    diagnosis = protocol.diagnoses[enrolment.diagnosis]
    codings = [coding(DIAGNOSES, diagnosis.code, diagnosis.display)]
    if diagnosis.snomed is not None:
        codings.insert(0, coding(SNOMED, diagnosis.snomed, diagnosis.display))
    return {
        "resourceType": "Condition",
        "id": f"{number}-ctd",
        "clinicalStatus": {"coding": [coding(f"{TERMINOLOGY}/condition-clinical", "active")]},
        "verificationStatus": {
            "coding": [coding(f"{TERMINOLOGY}/condition-ver-status", "confirmed")]
        },
        "code": {"coding": codings, "text": diagnosis.display},
        "subject": _patient(number),
    }


def build_eligibility_answers(number: str, enrolment: Enrolment, protocol: Protocol) -> Json:
    """https://hl7.org/fhir/R4/questionnaireresponse.html"""
    form = f"{BASE}/Questionnaire/{ELIGIBILITY_QUESTIONNAIRE_ID}|{protocol.version}"
    return {
        "resourceType": "QuestionnaireResponse",
        "id": f"{number}-eligibility",
        "questionnaire": form,
        "status": "completed",
        "subject": _patient(number),
        "authored": enrolment.consent_date.isoformat(),
        "item": list(_answer_items(enrolment.answers, protocol)),
    }


def _answer_items(answers: Mapping[str, Answer], protocol: Protocol) -> Iterator[dict[str, Any]]:
    for criterion in protocol.eligibility.criteria:
        given = answers[criterion.code]
        answer: dict[str, Any] = {
            "valueCoding": coding(CRITERION_ANSWERS, given.answer, ANSWERS[given.answer])
        }
        if given.override is not None:
            reason = {
                "linkId": f"{criterion.code}.override",
                "answer": [{"valueCoding": coding(CRITERION_ANSWERS, *OVERRIDDEN)}],
            }
            answer["item"] = [reason]
        yield {"linkId": criterion.code, "answer": [answer]}


def add_to_cohort(number: str, enrolment: Enrolment, protocol: Protocol) -> Revise:
    member = {
        "entity": _patient(number),
        "period": {"start": enrolment.consent_date.isoformat()},
    }

    def revise(stored: Json | None) -> Json:
        group: Json = copy_json(stored) if stored is not None else build_enrolled_group(protocol)
        return group | {"member": [*group.get("member", []), member]}

    return Revise("Group", ENROLLED_GROUP_ID, revise)
