"""What a coordinator types to enrol a synthetic participant: the body of `POST /trial/subjects`."""

from __future__ import annotations

from typing import Any

from app.simulation.participant import Participant

AGE_OF_MAJORITY = 18
AUTHORITY = "PUMCH"
INCLUSION = ("age", "platelets", "ctd", "refractory", "consent")
EXCLUSION = ("treatment-naive",)


def build_enrolment(participant: Participant) -> dict[str, Any]:
    """All criteria met; marked synthetic, so that whatever is stored is tagged HTEST."""
    person = participant.person
    answers = dict.fromkeys(INCLUSION, "met") | dict.fromkeys(EXCLUSION, "not-met")
    return {
        "mrn": person.mrn,
        "authority": AUTHORITY,
        "name": person.name,
        "gender": "female" if person.female else "male",
        "birthDate": person.birth_date.isoformat(),
        "consentDate": person.consented.isoformat(),
        "guardianConsent": person.age_at_consent < AGE_OF_MAJORITY,
        "diagnosis": person.profile.disease.code,
        "screeningPlatelets": participant.counts[0].platelets,
        "eligibility": {code: {"answer": answer} for code, answer in answers.items()},
        "synthetic": True,
    }
