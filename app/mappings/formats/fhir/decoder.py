"""The hospital's own FHIR R4 as a decoder: a Bundle or a single resource, each entry by itself.

https://hl7.org/fhir/R4/bundle.html · https://hl7.org/fhir/R4/json.html
Nothing is stored as it came: resources are read into the same records as every other format, so
that the same result by HL7 v2 and by FHIR is one result. A resource tells how things stand, not
what happened: its `meta.lastUpdated` is when it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.elements import Element
from app.mappings.facts import Fact
from app.mappings.formats.decoding import Decoder, Head, Read, header_text
from app.mappings.formats.fhir.bundle import Document, Entry, FhirContent, read_document
from app.mappings.formats.fhir.conditions import map_conditions
from app.mappings.formats.fhir.medications import map_administrations, map_medication_requests
from app.mappings.formats.fhir.patients import NO_PATIENT, find_patient
from app.mappings.formats.fhir.results import map_observations
from app.mappings.formats.fhir.visits import map_patients, map_services, map_visits
from app.mappings.formats.flat_results import settle_mentions
from app.mappings.formats.summary import summarise
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import PatientRecord
from app.mappings.subjects import read_claim

Mapper = Callable[[Document, Context, Resolutions], list[Fact]]
MAPPERS: Mapping[str, Mapper] = MappingProxyType(
    {
        "Patient": map_patients,
        "MedicationAdministration": map_administrations,
        "MedicationRequest": map_medication_requests,
        "ServiceRequest": map_services,
        "Encounter": map_visits,
        "Condition": map_conditions,
    }
)
"""Resource type → how its facts are mapped; results and reports are mapped together."""

RESULTS = frozenset({"Observation", "DiagnosticReport"})
CARRIED = frozenset({"Specimen", "Medication", "MessageHeader", "OperationOutcome", "Provenance"})
"""Tell something of others, or of the delivery."""

NOT_COLLECTED_TYPES = """
Account AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary
BodyStructure CarePlan CareTeam ChargeItem Claim ClaimResponse ClinicalImpression Communication
CommunicationRequest Composition Consent Coverage DetectedIssue Device DeviceRequest
DeviceUseStatement DocumentReference EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory Flag
Goal Group HealthcareService ImagingStudy Immunization Invoice List Location Media
MedicationDispense MedicationStatement NutritionOrder Organization Person Practitioner
PractitionerRole Procedure Questionnaire QuestionnaireResponse RelatedPerson RiskAssessment
Schedule Slot Task VisionPrescription
"""
NOT_COLLECTED = frozenset(NOT_COLLECTED_TYPES.split())
NOT_WANTED = "not collected by the protocol from the hospital's systems"
WRITING = frozenset({"", "POST", "PUT"})
ORDERS = frozenset(
    {"", "order", "original-order", "reflex-order", "filler-order", "instance-order"}
)
MEDIA_TYPES = frozenset({"application/fhir+json", "application/json"})
EXAMPLE = """{"resourceType": "Bundle", "type": "collection", "entry": [
 {"fullUrl": "https://his.pumch.example/fhir/Patient/17", "resource": {
  "resourceType": "Patient", "id": "17",
  "identifier": [{"system": "https://his.pumch.example/patient", "value": "T000000001"}]}},
 {"fullUrl": "https://his.pumch.example/fhir/Observation/9", "resource": {
  "resourceType": "Observation", "id": "9", "status": "final",
  "identifier": [{"system": "https://lis.pumch.example/order", "value": "L1"}],
  "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
  "subject": {"reference": "Patient/17"}, "effectiveDateTime": "2019-03-14T08:00:00+08:00",
  "valueQuantity": {"value": 38, "system": "http://unitsofmeasure.org", "code": "10*9/L"}}}
]}
"""


def read_fhir(data: bytes, setting: FeedSetting, site: Site) -> Read:
    """Finds the resources, and whom they are about."""
    whole = Span(0, len(data))
    declared = header_text(setting.transport_charset)
    mismatch = declared.lower() not in ("", "utf-8", "utf8")
    head = Head("FHIR", "", declared, "utf-8", mismatch)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        failure = Failure(Reason.CHARSET_UNDECODABLE, "FHIR is UTF-8", Element.CHARSET)
        return Read(None, whole, head, failure)
    document = read_document(data)
    if isinstance(document, Failure):
        content = None if document.reason is Reason.PARSE else FhirContent(data)
        return Read(content, whole, head, document)
    head = replace(
        head,
        message_type=_shown_kind(document.kind),
        control_id=header_text(document.identifier),
    )
    if not document.entries:
        failure = Failure(Reason.STRUCTURE, "a Bundle without entries")
        return Read(FhirContent(data), whole, head, failure)
    patients = {
        find_patient(entry, document, site.systems)
        for entry in document.entries
        if entry.failure is None
    }
    claims = {
        each: read_claim(each, setting, site)
        for each in patients
        if isinstance(each, PatientRecord)
    }
    return Read(FhirContent(data, document), whole, head, claims=claims, controls=(NO_PATIENT,))


def map_fhir(read: Read, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per entry, of an Observation with components one per component."""
    content: FhirContent = read.content
    document = content.document
    assert document is not None  # of a message without failure
    settled = [_settle_early(entry) for entry in document.entries]
    facts = [fact for fact in settled if fact is not None]
    kept = [entry for entry, fact in zip(document.entries, settled, strict=True) if fact is None]
    rest = replace(document, entries=tuple(kept))
    facts += map_observations(content.data, rest, context, subjects)
    for mapper in MAPPERS.values():
        facts += mapper(rest, context, subjects)
    return settle_mentions(facts)


def _shown_kind(kind: str) -> str:
    """A kind of Bundle, or a type that is known here: any other text may be anything."""
    known = RESULTS | MAPPERS.keys() | CARRIED | NOT_COLLECTED
    return kind if kind.startswith("Bundle/") or kind in known else ""


def _settle_early(entry: Entry) -> Fact | None:
    """The fact of an entry that is not mapped; None for one that is."""
    fact = Fact(0, entry.place, entry.span)
    if entry.failure is not None:
        return replace(fact.failed(entry.failure), field=entry.wrong)
    if entry.method not in WRITING:
        detail = f"{_show(entry.method)}: only POST and PUT bring data"
        return fact.failed(Failure(Reason.UNSUPPORTED_TYPE, detail))
    if not entry.resource:
        return fact.failed(Failure(Reason.STRUCTURE, "an entry without a resource"))
    if entry.type in CARRIED:
        return fact.settled(Outcome.NOT_RECORDED, f"{entry.type}: carried with what refers to it")
    if entry.type in NOT_COLLECTED:
        return fact.settled(Outcome.NOT_COLLECTED, f"{entry.type}: {NOT_WANTED}")
    if entry.type not in RESULTS and entry.type not in MAPPERS:
        failure = Failure(Reason.UNSUPPORTED_TYPE, "no resource type that this feed takes")
        return replace(fact.failed(failure), field="resourceType")
    return _settle_unwanted(fact, entry)


def _show(method: str) -> str:
    return method if method in ("GET", "HEAD", "DELETE", "PATCH") else "this method"


def _settle_unwanted(fact: Fact, entry: Entry) -> Fact | None:
    """Orders that are none, or are none yet."""
    resource = entry.resource
    if entry.type in ("MedicationRequest", "ServiceRequest"):
        if resource.get("doNotPerform"):
            return fact.settled(Outcome.NOT_RECORDED, "an order not to do something")
        if resource.get("intent", "") not in ORDERS:
            return fact.settled(Outcome.NOT_RECORDED, "a plan, no order")
    return None


FHIR = Decoder(
    format="fhir",
    title="FHIR R4",
    media_types=MEDIA_TYPES,
    whole="document",
    read=read_fhir,
    map=map_fhir,
    acknowledge=lambda receipt: summarise(receipt, {}),
    elements={Element.CHARSET: "charset"},
    example=EXAMPLE,
)
