"""Condition → facts: of the hospital's diagnoses those of the trial, connective tissue diseases and
thrombocytopenia. https://hl7.org/fhir/R4/condition.html

They stand beside the diagnosis that enrolment recorded and never change it.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from app.fhir import Json
from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.code_systems import ConditionEntry
from app.mappings.elements import Element, Elements
from app.mappings.facts import Candidate, Fact, ResultOrder
from app.mappings.formats.fhir.bundle import Document, Entry
from app.mappings.formats.fhir.patients import find_patient
from app.mappings.formats.fhir.results import sound_entries
from app.mappings.formats.fhir.values import codes_of, read_codings, read_time, read_updated
from app.mappings.parsing.times import Time, parse_time
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import Coding
from app.mappings.resources import build_coding, build_common_extensions, build_concept, build_meta
from app.mappings.result_key import keyed_id
from app.mappings.rules.results import AHEAD, lies_ahead, read_instant
from app.mappings.subjects import Subject

PLACES: Elements = MappingProxyType(
    {
        Element.SUBJECT: "Condition.subject",
        Element.CODE: "Condition.code",
        Element.STATUS: "Condition.verificationStatus",
        Element.START: "Condition.onset[x]",
        Element.ORDER_TIME: "Condition.recordedDate",
    }
)
ICD10 = "http://hl7.org/fhir/sid/icd-10"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
CLINICAL = frozenset({"active", "recurrence", "relapse", "inactive", "remission", "resolved"})
VERIFICATIONS = frozenset(
    {
        *("unconfirmed", "provisional", "differential", "confirmed", "refuted"),
        "entered-in-error",
    }
)
NOT_WANTED = (
    "not collected by the protocol: neither a connective tissue disease nor thrombocytopenia"
)


def map_conditions(document: Document, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per Condition."""
    found = []
    for entry in sound_entries(document, "Condition"):
        patient = find_patient(entry, document, context.site.systems)
        found.append(_map_condition(entry, document, context, subjects[patient]))
    return found


def _map_condition(
    entry: Entry, document: Document, context: Context, subject: Subject | Failure
) -> Fact:
    fact = Fact(0, entry.place, entry.span, elements=PLACES)
    if isinstance(subject, Failure):
        return fact.failed(subject)
    fact = replace(fact, subject=subject)
    found = _find(entry.resource, context)
    if found is None:
        return fact.settled(Outcome.NOT_COLLECTED, NOT_WANTED)
    coding, wanted = found
    fact = replace(fact, code=coding.code, system=coding.system, analyte="condition")
    statuses = _read_statuses(entry.resource)
    if isinstance(statuses, Failure):
        return fact.failed(statuses)
    onset = _read_onset(entry.resource, document, context)
    if isinstance(onset, Failure):
        return fact.failed(onset)
    return _with_candidate(fact, entry, document, context, subject, coding, wanted, statuses, onset)


def _find(resource: Json, context: Context) -> tuple[Coding, ConditionEntry] | None:
    for coding in read_codings(resource.get("code", {}), context.site.systems):
        found = context.site.find_condition(context.setting.name, coding.code, coding.system)
        if found:
            return coding, found
    return None


def _read_statuses(resource: Json) -> Json | Failure:
    """Clinical status and verification, of R4's own codes."""
    told: Json = {}
    for key, system, known in (
        ("clinicalStatus", "condition-clinical", CLINICAL),
        ("verificationStatus", "condition-ver-status", VERIFICATIONS),
    ):
        codes = codes_of([resource.get(key, {})])
        code = next((each for each in codes if each in known), "")
        if codes and not code:
            return Failure(Reason.STATUS_UNMAPPED, f"{key} is no code of R4", Element.STATUS)
        if code:
            told[key] = build_concept(f"{TERMINOLOGY}/{system}", code)
    return told


def _read_onset(resource: Json, document: Document, context: Context) -> Time | Failure | None:
    text = resource.get("onsetDateTime") or resource.get("onsetPeriod", {}).get("start", "")
    onset = parse_time(read_time(text), context.setting.zone, Element.START)
    sent = read_updated(resource) or document.sent
    if isinstance(onset, Time) and lies_ahead(onset, sent, context):
        return Failure(Reason.TIME_INVALID, AHEAD, Element.START)
    return onset


def _with_candidate(
    fact: Fact,
    entry: Entry,
    document: Document,
    context: Context,
    subject: Subject,
    coding: Coding,
    wanted: ConditionEntry,
    statuses: Json,
    onset: Time | None,
) -> Fact:
    updated = read_instant(read_updated(entry.resource), context)
    sent = read_instant(document.sent, context)
    order = ResultOrder(None, updated, sent, context.source.received)
    resource = {
        "resourceType": "Condition",
        "id": _id(entry.resource, coding, subject, context),
        **build_meta(subject, ()),
        "extension": build_common_extensions("", order, context.source),
        **statuses,
        "code": {"coding": [build_coding(ICD10, coding.code, wanted.display)]},
        "subject": {"reference": subject.reference},
        **({"onsetDateTime": onset.text} if onset else {}),
    }
    return replace(
        fact,
        resource_type="Condition",
        resource_id=resource["id"],
        effective=onset.instant if onset else None,
        order=order,
        candidate=Candidate(resource, order),
    )


def _id(resource: Json, coding: Coding, subject: Subject, context: Context) -> str:
    """By the hospital's own number of it or its id there; else by subject and code."""
    authority = context.setting.key_authority
    told = [each.get("value", "") for each in resource.get("identifier", [])]
    number = next(filter(None, (*told, resource.get("id", ""))), "")
    parts = ("condition", authority, number) if number else ("condition-of", authority)
    return keyed_id(context.secret, *parts, subject.number, coding.code, coding.system)
