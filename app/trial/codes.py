"""The names that the trial's own resources and readers share: canonical addresses, code systems,
extensions. Own addresses live under https://ssci.example/fhir.
"""

from __future__ import annotations

BASE = "https://ssci.example/fhir"

STUDY_ID = "SSCI"
ENROLLED_GROUP_ID = "SSCI-enrolled"
ELIGIBILITY_GROUP_ID = "SSCI-eligibility"
ELIGIBILITY_QUESTIONNAIRE_ID = "SSCI-eligibility"
SCHEDULE_ID = "SSCI-schedule"
SPONSOR_ID = "sponsor"
SITE_ID = "PUMCH"
MEDICATION_ID = "sirolimus"

SUBJECT_NUMBER_FORM = r"SSCI-[0-9]{3,}"
SUBJECT_NUMBER = f"{BASE}/sid/subject-number"
ORGANIZATION_STUDY_ID = f"{BASE}/sid/organization-study-id"

VISITS = f"{BASE}/CodeSystem/visit"
DIAGNOSES = f"{BASE}/CodeSystem/ctd-diagnosis"
CRITERIA = f"{BASE}/CodeSystem/eligibility-criterion"
CRITERION_ANSWERS = f"{BASE}/CodeSystem/criterion-answer"
ENDPOINTS = f"{BASE}/CodeSystem/endpoint"
ACTIVITY = f"{BASE}/CodeSystem/ctd-activity"
REVIEW = f"{BASE}/CodeSystem/review"
CONSENTS = f"{BASE}/CodeSystem/consent"
PARTICIPATION_REASONS = f"{BASE}/CodeSystem/participation-reason"
SOURCES = f"{BASE}/CodeSystem/protocol-source"

CANONICAL_QUANTITY = f"{BASE}/StructureDefinition/canonical-quantity"
AGE_AT_CONSENT = f"{BASE}/StructureDefinition/age-at-consent"
PARTICIPATION_REASON = f"{BASE}/StructureDefinition/participation-reason"
OVERALL_STATUS = f"{BASE}/StructureDefinition/registry-overall-status"
PROTOCOL_SOURCE = f"{BASE}/StructureDefinition/protocol-source"

BLEEDING = f"{BASE}/CodeSystem/bleeding"
RESCUE_TREATMENT = f"{BASE}/CodeSystem/rescue-treatment"
BACKGROUND_TREATMENT = f"{BASE}/CodeSystem/background-treatment"
TREATMENT = f"{BASE}/CodeSystem/treatment"
CTCAE_GRADE = f"{BASE}/CodeSystem/ctcae-grade"
DOSE_SOURCE = f"{BASE}/StructureDefinition/dose-source"
DOSE_TOTAL = f"{BASE}/StructureDefinition/dose-total"
PREDNISONE = f"{BASE}/StructureDefinition/prednisone-equivalent"
SYSTEM_ORGAN_CLASS = f"{BASE}/StructureDefinition/system-organ-class"

ANALYTIC_SUSPECT = "analytic-suspect"
UNIT_SUSPECT_SCALE = "unit-suspect-scale"
PLATELET_ITEM = "platelet-item"

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
SYNTHETIC = "HTEST"

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
NCT = "https://clinicaltrials.gov/nctid"
NCT_RETIRED = "http://clinicaltrials.gov"
"""The registry's address before it changed: still what many clients search by."""

SERIOUSNESS = "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness"
ADVERSE_EVENT_BACKPORT = "http://hl7.org/fhir/uv/ae-research-backport-ig/StructureDefinition"
XVER_R5 = "http://hl7.org/fhir/5.0/StructureDefinition"


def reference(resource_type: str, id: str) -> dict[str, str]:
    return {"reference": f"{resource_type}/{id}"}


def coding(system: str, code: str, display: str | None = None) -> dict[str, str]:
    return {"system": system, "code": code} | ({"display": display} if display else {})
