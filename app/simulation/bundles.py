"""A participant's facts as a FHIR transaction Bundle: what the messages say once dirt is gone.

For load runs and `ssci load`, instead of the messages: the resources have ids of their own, so
loading both gives every fact twice. Everything is tagged synthetic (HTEST).
https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from app.simulation.participant import Count, Dose, Level, Participant
from app.simulation.person import Person

Json = dict[str, Any]

SYNTHETIC = {
    "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]
}
SUSPECT = {
    **SYNTHETIC,
    "tag": [{"system": "https://ssci.example/fhir/CodeSystem/review", "code": "analytic-suspect"}],
}
SUBJECT_NUMBERS = "https://ssci.example/fhir/sid/subject-number"
UCUM = "http://unitsofmeasure.org"
LABORATORY = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "laboratory",
        }
    ]
}
PLATELETS = {"coding": [{"system": "http://loinc.org", "code": "777-3"}]}
SIROLIMUS_LEVEL = {"coding": [{"system": "http://loinc.org", "code": "29247-4"}]}
SIROLIMUS = {
    "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "35302"}],
    "text": "Sirolimus",
}


def build_bundle(participant: Participant) -> Json:
    """PUTs with fixed ids: loading it twice changes nothing."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(resource) for resource in _resources(participant)],
    }


def _resources(participant: Participant) -> Iterator[Json]:
    person = participant.person
    yield _patient(person)
    yield _research_subject(participant)
    yield _condition(person)
    for number, count in enumerate(participant.counts, start=1):
        yield _platelets(person, number, count)
    for number, level in enumerate(participant.levels, start=1):
        yield _level(person, number, level)
    for number, dose in enumerate(participant.doses, start=1):
        yield _administration(person, number, dose)


def _entry(resource: Json) -> Json:
    address = f"{resource['resourceType']}/{resource['id']}"
    return {
        "fullUrl": f"https://ssci.example/fhir/{address}",
        "resource": resource,
        "request": {"method": "PUT", "url": address},
    }


def _patient(person: Person) -> Json:
    return {
        "resourceType": "Patient",
        "id": person.subject_number,
        "meta": SYNTHETIC,
        "identifier": [{"system": SUBJECT_NUMBERS, "value": person.subject_number}],
        "gender": "female" if person.female else "male",
        "birthDate": str(person.birth_date.year),
    }


def _research_subject(participant: Participant) -> Json:
    person, left = participant.person, participant.left_on
    return {
        "resourceType": "ResearchSubject",
        "id": person.subject_number,
        "meta": SYNTHETIC,
        "identifier": [{"system": SUBJECT_NUMBERS, "value": person.subject_number}],
        "status": "off-study" if left is None else "withdrawn",
        "period": _period(person.consented, left),
        "study": {"reference": "ResearchStudy/SSCI"},
        "individual": _subject(person),
    }


def _condition(person: Person) -> Json:
    disease = person.profile.disease
    code: Json = {"text": disease.text}
    if disease.snomed:
        code["coding"] = [{"system": "http://snomed.info/sct", "code": disease.snomed}]
    return {
        "resourceType": "Condition",
        "id": f"{person.subject_number}-ctd",
        "meta": SYNTHETIC,
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                    "code": "active",
                }
            ]
        },
        "code": code,
        "subject": _subject(person),
    }


def _platelets(person: Person, number: int, count: Count) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"{person.subject_number}-platelets-{number}",
        "meta": SUSPECT if count.clumped else SYNTHETIC,
        "status": "final",
        "category": [LABORATORY],
        "code": PLATELETS,
        "subject": _subject(person),
        "effectiveDateTime": _moment(count.drawn),
        "valueQuantity": _quantity(count.platelets, "10*9/L"),
    }


def _level(person: Person, number: int, level: Level) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"{person.subject_number}-sirolimus-{number}",
        "meta": SYNTHETIC,
        "status": "final",
        "category": [LABORATORY],
        "code": SIROLIMUS_LEVEL,
        "subject": _subject(person),
        "effectiveDateTime": _moment(level.drawn),
        "valueQuantity": _quantity(level.ng_ml, "ng/mL"),
    }


def _administration(person: Person, number: int, dose: Dose) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "id": f"{person.subject_number}-dose-{number}",
        "meta": SYNTHETIC,
        "status": "completed" if dose.taken else "not-done",
        "medicationCodeableConcept": SIROLIMUS,
        "subject": _subject(person),
        "effectiveDateTime": _moment(dose.given),
        "dosage": {"dose": _quantity(dose.mg if dose.taken else 0, "mg")},
    }


def _subject(person: Person) -> Json:
    return {"reference": f"Patient/{person.subject_number}"}


def _quantity(value: float, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _period(start: date, end: date | None) -> Json:
    period = {"start": start.isoformat()}
    if end is not None:
        period["end"] = end.isoformat()
    return period


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
