"""MedicationAdministration and MedicationRequest → dose and prescription records.

https://hl7.org/fhir/R4/medicationadministration.html ·
https://hl7.org/fhir/R4/medicationrequest.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from app.fhir import Json, decimal
from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.fhir.bundle import Document, Entry
from app.mappings.formats.fhir.patients import find_patient
from app.mappings.formats.fhir.results import sound_entries
from app.mappings.formats.fhir.shapes import LIMITS, RATES, REPEAT, copy_told
from app.mappings.formats.fhir.values import (
    codes_of,
    merge_numbers,
    order_numbers,
    read_codings,
    read_effective,
    read_numbers,
    read_time,
    read_unit,
    read_updated,
    write_quantity,
)
from app.mappings.parsing.times import parse_time
from app.mappings.reasons import Failure
from app.mappings.records import Coding, DoseRecord
from app.mappings.rules.administrations import map_doses
from app.mappings.rules.prescriptions import (
    DoseLine,
    PrescriptionRecord,
    Rhythm,
    map_prescriptions,
)
from app.mappings.rules.requests import RequestRecord

DOSE_PLACES: Elements = MappingProxyType(
    {
        Element.SUBJECT: "MedicationAdministration.subject",
        Element.CODE: "MedicationAdministration.medication[x]",
        Element.START: "MedicationAdministration.effective[x]",
        Element.END: "MedicationAdministration.effectivePeriod.end",
        Element.AMOUNT: "MedicationAdministration.dosage.dose",
        Element.UNIT: "MedicationAdministration.dosage.dose.unit",
        Element.STATUS: "MedicationAdministration.status",
        Element.ACTION: "MedicationAdministration.status",
    }
)
REQUEST_PLACES: Elements = MappingProxyType(
    {
        Element.SUBJECT: "MedicationRequest.subject",
        Element.ORDER: "MedicationRequest.identifier",
        Element.CODE: "MedicationRequest.medication[x]",
        Element.STATUS: "MedicationRequest.status",
        Element.ACTION: "MedicationRequest.status",
        Element.ORDER_TIME: "MedicationRequest.authoredOn",
        Element.AMOUNT: "MedicationRequest.dosageInstruction.doseAndRate",
        Element.UNIT: "MedicationRequest.dosageInstruction.doseAndRate",
        Element.FREQUENCY: "MedicationRequest.dosageInstruction.timing",
        Element.ROUTE: "MedicationRequest.dosageInstruction.route",
        Element.START: "MedicationRequest.dosageInstruction.timing",
        Element.END: "MedicationRequest.dosageInstruction.timing",
    }
)
COMPLETIONS: Mapping[str, str] = MappingProxyType(
    {"completed": "CP", "stopped": "PA", "not-done": "NA"}
)
"""MedicationAdministration.status → HL7 table 0322; any other word is judged as it is."""
WITHDRAWN = "entered-in-error"
STATES: Mapping[str, str] = MappingProxyType(
    {
        "active": "IP",
        "on-hold": "HD",
        "cancelled": "CA",
        "completed": "CM",
        "entered-in-error": "ER",
        **dict.fromkeys(("stopped", "revoked"), "DC"),
    }
)
"""MedicationRequest.status and ServiceRequest.status → HL7 table 0038; an order for a test ends as
`revoked`, one for a drug as `stopped`."""
AS_IT_STANDS = "XO"
"""A resource describes its order and tells how it stands (HL7 table 0119)."""
UNITS: Mapping[str, str] = MappingProxyType(
    {"s": "s", "min": "m", "h": "h", "d": "d", "wk": "w", "mo": "l"}
)
ORAL = "26643006"
"""SNOMED CT: oral route."""


SEVERAL = "several"
"""Stands for what is told in a way that the record cannot hold, and is refused as such."""


# Administrations


def map_administrations(document: Document, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per MedicationAdministration."""
    entries = sound_entries(document, "MedicationAdministration")
    return map_doses([_read_dose(each, document, context) for each in entries], context, subjects)


def _read_dose(entry: Entry, document: Document, context: Context) -> DoseRecord:
    resource, systems = entry.resource, context.site.systems
    own = read_numbers(resource.get("identifier", []), systems, typed=False)
    request = _find_request(entry, document)
    asked = read_numbers(request.get("identifier", []), systems, typed=True)
    numbers = merge_numbers([asked, own])
    start, end = read_effective(resource)
    status, dose = resource.get("status", ""), resource.get("dosage", {}).get("dose", {})
    return DoseRecord(
        entry.place,
        entry.span,
        find_patient(entry, document, systems),
        DOSE_PLACES,
        order_numbers(numbers),
        numbers.get("counter", ""),
        _read_medication(entry, document, context),
        start,
        end,
        write_quantity(dose),
        read_unit(dose),
        COMPLETIONS.get(status, status),
        "D" if status == WITHDRAWN else "A",
        sent=read_updated(resource) or document.sent,
    )


def _find_request(entry: Entry, document: Document) -> Json:
    reference = entry.resource.get("request", {})
    found = document.find(reference, entry)
    if found is not None and found.get("resourceType") == "MedicationRequest":
        return found
    return {"identifier": [reference["identifier"]]} if "identifier" in reference else {}


def _read_medication(entry: Entry, document: Document, context: Context) -> tuple[Coding, ...]:
    """The medicine's codings: its own, or those of the Medication it refers to."""
    resource = entry.resource
    if "medicationReference" in resource:
        found = document.find(resource["medicationReference"], entry) or {}
        concept = found.get("code", {}) if found.get("resourceType") == "Medication" else {}
    else:
        concept = resource.get("medicationCodeableConcept", {})
    return read_codings(concept if isinstance(concept, dict) else {}, context.site.systems)


# Prescriptions


def map_medication_requests(
    document: Document, context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per MedicationRequest."""
    entries = list(sound_entries(document, "MedicationRequest"))
    records = [_read_prescription(each, document, context) for each in entries]
    facts = map_prescriptions(records, context, subjects)
    return [
        with_authored(fact, entry.resource, context)
        for fact, entry in zip(facts, entries, strict=True)
    ]


def with_authored(fact: Fact, resource: Json, context: Context) -> Fact:
    """With the time when it was ordered, which is not that of its present state."""
    authored = parse_time(
        read_time(resource.get("authoredOn", "")), context.setting.zone, Element.ORDER_TIME
    )
    if fact.candidate is None or authored is None:
        return fact
    if isinstance(authored, Failure):
        return fact.failed(authored)
    told = {**fact.candidate.resource, "authoredOn": authored.text}
    return replace(fact, candidate=replace(fact.candidate, resource=told))


def read_request(entry: Entry, document: Document, context: Context) -> RequestRecord:
    """What all requests tell: patient, numbers, state."""
    resource, systems = entry.resource, context.site.systems
    status, updated = resource.get("status", ""), read_updated(resource) or document.sent
    numbers = read_numbers(resource.get("identifier", []), systems, typed=True)
    return RequestRecord(
        entry.place,
        entry.span,
        find_patient(entry, document, systems),
        REQUEST_PLACES,
        order_numbers(numbers),
        AS_IT_STANDS,
        STATES.get(status, status or "unknown"),
        ordered=updated,
        sent=updated,
    )


def _read_prescription(entry: Entry, document: Document, context: Context) -> PrescriptionRecord:
    request = read_request(entry, document, context)
    codings = _read_medication(entry, document, context)
    dosages = entry.resource.get("dosageInstruction", [])
    routes = {_route(each.get("route", {})) for each in dosages}
    return PrescriptionRecord(
        replace(request, codings=codings),
        tuple(_read_line(each) for each in dosages),
        route=SEVERAL if len(routes) > 1 else next(iter(routes), ""),
    )


def _route(concept: Json) -> str:
    codes = codes_of([concept])
    return "PO" if ORAL in codes else next(iter(codes), "")


def _read_line(dosage: Json) -> DoseLine:
    bounds = dosage.get("timing", {}).get("repeat", {}).get("boundsPeriod", {})
    amount, most, unit = _read_amount(dosage)
    start, end = (read_time(bounds.get(key, "")) for key in ("start", "end"))
    told = (_frequency(dosage), start, end)
    return DoseLine(amount, most, unit, *told, _read_rhythm(dosage))


def _read_rhythm(dosage: Json) -> Rhythm:
    timing, rates = dosage.get("timing", {}), dosage.get("doseAndRate", [])
    events = tuple(read_time(each) for each in timing.get("event", []))
    repeat = copy_told(timing.get("repeat", {}), REPEAT)
    rate = copy_told(rates[0], RATES) if rates else {}
    return Rhythm(events, repeat, rate, copy_told(dosage, LIMITS))


def _read_amount(dosage: Json) -> tuple[str, str, str]:
    rates = dosage.get("doseAndRate", [])
    rate = rates[0] if rates else {}
    if len(rates) > 1 or ("doseQuantity" in rate and "doseRange" in rate):
        return SEVERAL, "", ""
    if "doseQuantity" in rate:
        quantity = rate["doseQuantity"]
        return write_quantity(quantity), "", read_unit(quantity)
    return _read_range(rate.get("doseRange", {}))


def _read_range(told: Json) -> tuple[str, str, str]:
    """From the least to the most in one unit; with one end alone it is a bound, as `<=2`."""
    low, high = (told.get(end, {}) for end in ("low", "high"))
    units = {unit for unit in (read_unit(low), read_unit(high)) if unit}
    least, most = write_quantity(low), write_quantity(high)
    if len(units) > 1:
        return SEVERAL, "", ""
    if bool(least) != bool(most):
        least, most = f">={least}" if least else f"<={most}", ""
    return least, most, next(iter(units), "")


def _frequency(dosage: Json) -> str:
    """As a repeat pattern of HL7 v2 (table 0335); what has none keeps a word that is none."""
    if dosage.get("asNeededBoolean") or "asNeededCodeableConcept" in dosage:
        return "prn"
    timing = dosage.get("timing", {})
    repeat = timing.get("repeat", {})
    if not any(key in repeat for key in ("frequency", "period", "count")):
        return next(iter(codes_of([timing.get("code", {})])), "")
    return _pattern(repeat)


UNTOLD = "a timing without a repeat pattern"


def _pattern(repeat: Json) -> str:
    if "frequencyMax" in repeat or "periodMax" in repeat or "dayOfWeek" in repeat:
        return UNTOLD
    if "count" in repeat:
        return "once" if _whole(repeat, "count") == 1 else UNTOLD
    times, period = _whole(repeat, "frequency"), _whole(repeat, "period")
    unit = repeat.get("periodUnit", "")
    if times == 1 and period > 0 and unit in UNITS:
        return f"q{period}{UNITS[unit]}"
    return f"{times}id" if times > 0 and period == 1 and unit == "d" else UNTOLD


def _whole(repeat: Json, key: str) -> int:
    """A whole number; 1 where it is not told, 0 for what is none."""
    value = decimal(repeat[key]) if key in repeat else 1
    return int(value) if 0 < value < 1000 and value == int(value) else 0
