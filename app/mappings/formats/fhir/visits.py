"""Patient, Encounter and ServiceRequest → demographic, encounter and order records.

https://hl7.org/fhir/R4/encounter.html · https://hl7.org/fhir/R4/patient.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from app.fhir import Json
from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.fhir.bundle import Document, Entry
from app.mappings.formats.fhir.medications import REQUEST_PLACES, read_request, with_authored
from app.mappings.formats.fhir.patients import find_patient
from app.mappings.formats.fhir.results import sound_entries
from app.mappings.formats.fhir.values import read_codings, read_numbers, read_time, read_updated
from app.mappings.reasons import Outcome
from app.mappings.rules.demographics import DemographicRecord, map_demographics
from app.mappings.rules.encounters import EncounterRecord, Event, map_encounters
from app.mappings.rules.requests import map_requests

PATIENT_PLACES: Elements = MappingProxyType(
    {
        Element.SUBJECT: "Patient.identifier",
        Element.NAME: "Patient.name",
        Element.BIRTH_DATE: "Patient.birthDate",
        Element.CODE: "Patient.gender",
    }
)
VISIT_PLACES: Elements = MappingProxyType(
    {
        Element.SUBJECT: "Encounter.subject",
        Element.CODE: "Encounter.class",
        Element.ORDER: "Encounter.identifier",
        Element.STATUS: "Encounter.status",
        Element.START: "Encounter.period.start",
        Element.END: "Encounter.period.end",
    }
)
SERVICE_PLACES: Elements = MappingProxyType(
    {
        element: name.replace("MedicationRequest", "ServiceRequest")
        for element, name in REQUEST_PLACES.items()
    }
    | {Element.CODE: "ServiceRequest.code"}
)
EVENTS: Mapping[str, Event] = MappingProxyType(
    {
        **dict.fromkeys(("planned", "arrived", "triaged", "in-progress", "onleave"), "admit"),
        "finished": "discharge",
        **dict.fromkeys(("cancelled", "entered-in-error"), "cancel-admit"),
    }
)
"""Encounter.status → what it makes of the visit; any other changes no status."""
CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "EMER": "E",
        **dict.fromkeys(("IMP", "ACUTE", "NONAC"), "I"),
        **dict.fromkeys(("AMB", "VR", "HH", "FLD"), "O"),
        "PRENC": "P",
        **dict.fromkeys(("OBSENC", "SS"), "U"),
    }
)
"""v3 ActCode → HL7 table 0004."""
CARRIED = "carried with its results"


def map_patients(document: Document, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per Patient."""
    systems = context.site.systems
    records = [
        DemographicRecord(
            entry.place,
            entry.span,
            find_patient(entry, document, systems),
            PATIENT_PLACES,
            sex=entry.resource.get("gender", ""),
            birth_date=entry.resource.get("birthDate", ""),
            recorded=read_updated(entry.resource),
            sent=document.sent,
        )
        for entry in sound_entries(document, "Patient")
    ]
    return map_demographics(records, context, subjects)


def map_visits(document: Document, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per Encounter."""
    entries = sound_entries(document, "Encounter")
    records = [_read_encounter(each, document, context) for each in entries]
    return map_encounters(records, context, subjects)


def _read_encounter(entry: Entry, document: Document, context: Context) -> EncounterRecord:
    resource, systems = entry.resource, context.site.systems
    status, period = resource.get("status", ""), resource.get("period", {})
    numbers = read_numbers(resource.get("identifier", []), systems, typed=True)
    updated = read_updated(resource)
    return EncounterRecord(
        entry.place,
        entry.span,
        EVENTS.get(status, "update"),
        find_patient(entry, document, systems),
        VISIT_PLACES,
        number=numbers.get("visit", ""),
        letter=status,
        patient_class=_patient_class(resource, status),
        start=read_time(period.get("start", "")),
        end=read_time(period.get("end", "")),
        recorded=updated,
        sent=updated or document.sent,
    )


def _patient_class(resource: Json, status: str) -> str:
    code = resource.get("class", {}).get("code", "")
    return "P" if status == "planned" else CLASSES.get(code, code)


# Laboratory orders


def map_services(document: Document, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per ServiceRequest; one that stands beside its results to tell their order's number is
    no order of this feed."""
    wanted = _referred(document)
    facts = []
    for entry in sound_entries(document, "ServiceRequest"):
        if entry.place in wanted:
            fact = Fact(0, entry.place, entry.span, elements=SERVICE_PLACES)
            facts.append(fact.settled(Outcome.NOT_RECORDED, CARRIED))
        else:
            facts.append(_map_service(entry, document, context, subjects))
    return facts


def _map_service(entry: Entry, document: Document, context: Context, subjects: Resolutions) -> Fact:
    codings = read_codings(entry.resource.get("code", {}), context.site.systems)
    record = read_request(entry, document, context)
    record = replace(record, elements=SERVICE_PLACES, codings=codings)
    return with_authored(map_requests([record], context, subjects)[0], entry.resource, context)


def _referred(document: Document) -> frozenset[str]:
    """The places of what results and reports are based on."""
    found = [
        document.find_entry(reference, entry)
        for kind in ("Observation", "DiagnosticReport")
        for entry in sound_entries(document, kind)
        for reference in entry.resource.get("basedOn", [])
    ]
    return frozenset(each.place for each in found if each)
