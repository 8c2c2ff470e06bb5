"""What each field of a case report form becomes: by which rule, in which element.

A test changes every field of every form and looks where the resource differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from app.mappings.crf.forms import forms


@dataclass(frozen=True, slots=True)
class Target:
    """`carried`: as part of the order of versions."""

    rule: str
    element: str
    carried: bool = False


DOSAGE = "MedicationRequest.dosageInstruction"
ELEMENTS: Mapping[str, Mapping[str, str]] = {
    "adverse-event": {
        "term": "AdverseEvent.event",
        "ctcae_version": "AdverseEvent.event, AdverseEvent.extension(ae-grade)",
        "grade": "AdverseEvent.extension(ae-grade)",
        "onset": "AdverseEvent.date",
        "end": "AdverseEvent.extension(resolve-date)",
        "serious": "AdverseEvent.seriousness",
        "seriousness_criteria": "AdverseEvent.extension(seriousness-criteria)",
        "causality": "AdverseEvent.extension(suspect-entity)",
        "expected": "AdverseEvent.extension(expected-in-research-study)",
        "action_taken": "AdverseEvent.extension(mitigating-action)",
        "outcome": "AdverseEvent.outcome",
        "first_recorded": "AdverseEvent.recordedDate",
    },
    "activity-score": {
        "instrument": "Observation.code",
        "assessed_on": "Observation.effective[x]",
        "assessed": "Observation.dataAbsentReason",
        "total": "Observation.value[x]",
        "items": "Observation.component",
        "platelet_item": "Observation.component",
    },
    "bleeding": {
        "assessed_on": "Observation.effective[x]",
        "assessed": "Observation.dataAbsentReason",
        "grade": "Observation.value[x]",
        "sites": "Observation.component",
    },
    "rescue-treatment": {
        "treatment": "MedicationAdministration.medication[x]",
        "start": "MedicationAdministration.effective[x]",
        "end": "MedicationAdministration.effective[x]",
        "amount": "MedicationAdministration.dosage",
        "unit": "MedicationAdministration.dosage",
    },
    "concomitant-treatment": {
        "treatment": "MedicationStatement.medication[x]",
        "daily_mg": "MedicationStatement.dosage",
        "start": "MedicationStatement.effective[x]",
        "end": "MedicationStatement.effective[x]",
    },
    "prescription": {
        "treatment": "MedicationRequest.medication[x]",
        "daily_mg": f"{DOSAGE}.doseAndRate",
        "start": f"{DOSAGE}.timing, MedicationRequest.authoredOn",
        "end": f"{DOSAGE}.timing",
        "status": "MedicationRequest.status",
    },
    "home-dose": {
        "source": "MedicationAdministration.extension(dose-source)",
        "start": "MedicationAdministration.effective[x]",
        "end": "MedicationAdministration.effective[x]",
        "taken": "MedicationAdministration.status",
        "dose_mg": "MedicationAdministration.dosage",
        "dispensed": "MedicationAdministration.extension(dose-total)",
        "returned": "MedicationAdministration.extension(dose-total)",
        "tablet_mg": "MedicationAdministration.extension(dose-total)",
    },
    "visit": {
        "visit": "Encounter.type",
        "status": "Encounter.status",
        "date": "Encounter.period",
    },
    "disposition": {
        "status": "ResearchSubject.status, Consent, Group.member",
        "reason": "ResearchSubject.extension",
        "date": "ResearchSubject.period, Group.member",
    },
}
"""Form → field → element of the resource that it goes into."""


@cache
def targets_of(form: str) -> Mapping[str, Target]:
    """What becomes of the fields of a form, those of every record too."""
    made = forms()[form].resource_type
    order = Target("order", f"{made}.extension(result-order)", carried=True)
    found = {
        "form": Target("decision", made),
        "subject": Target("identity", f"{made}.subject"),
        "record": Target("key", f"{made}.id, {made}.identifier"),
        "action": Target("state", f"{made}.status"),
        "version": order,
        "recorded": order,
        **{name: Target("content", element) for name, element in ELEMENTS[form].items()},
    }
    return MappingProxyType(found)
