"""Prescriptions as records → facts: MedicationRequest with dose, frequency, route and period.

https://hl7.org/fhir/R4/medicationrequest.html ·
https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-rxo-to-medicationrequest.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from app.fhir import Json
from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.site import MedicationEntry
from app.mappings.elements import Element
from app.mappings.facts import Fact
from app.mappings.parsing.frequencies import Frequency, parse_frequency
from app.mappings.parsing.times import Time, parse_time
from app.mappings.parsing.values import fold_word
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import Coding
from app.mappings.resources import (
    ORDER_TOKEN,
    Quantity,
    build_concept,
    build_dose,
    build_medication_code,
)
from app.mappings.result_key import OrderNumbers
from app.mappings.rules.administrations import read_amount
from app.mappings.rules.order_links import order_tokens
from app.mappings.rules.requests import (
    NO_NUMBER,
    REPLACED,
    REPLACING,
    RequestRecord,
    begin_request,
    build_head,
    read_authored,
    read_status,
    request_id,
    request_order,
    with_request,
)
from app.mappings.subjects import Subject

ROUTE = "http://terminology.hl7.org/CodeSystem/v2-0162"
OTHER_ROUTES = ("NG", "PR", "IH", "IN", "OP", "OT", "GTT", "VG", "NS", "IT", "ID", "ET", "EP")
ROUTES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("po", "口服", "oral", "by mouth"), "PO"),
        **dict.fromkeys(("iv", "静脉", "静滴", "静脉滴注"), "IV"),
        **dict.fromkeys(("im", "肌注"), "IM"),
        **dict.fromkeys(("sc", "皮下", "皮下注射"), "SC"),
        **dict.fromkeys(("sl", "舌下"), "SL"),
        **dict.fromkeys(("tp", "外用"), "TP"),
        **{code.lower(): code for code in OTHER_ROUTES},
    }
)
"""HL7 table 0162."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What a source that speaks FHIR tells beyond a repeat pattern, in FHIR's elements: single
    times (as sent), Timing.repeat, rates, greatest doses."""

    events: tuple[str, ...] = ()
    repeat: Json = field(default_factory=dict)
    rate: Json = field(default_factory=dict, repr=False)
    limits: Json = field(default_factory=dict, repr=False)


NO_RHYTHM = Rhythm()


@dataclass(frozen=True, slots=True)
class DoseLine:
    """One line of a regimen: how much, how often, from when to when; texts as sent."""

    amount: str = field(default="", repr=False)
    most: str = field(default="", repr=False)
    unit: str = ""
    frequency: str = ""
    start: str = ""
    end: str = ""
    rhythm: Rhythm = NO_RHYTHM


@dataclass(frozen=True, slots=True)
class PrescriptionRecord:
    """An order of a medicine. `replaces`: the numbers of the order that it takes the place of."""

    request: RequestRecord
    lines: tuple[DoseLine, ...] = ()
    route: str = ""
    replaces: OrderNumbers | None = None


def map_prescriptions(
    records: Iterable[PrescriptionRecord], context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per prescription."""
    return [
        _map_prescription(ordinal, record, context, subjects[record.request.patient])
        for ordinal, record in enumerate(records)
    ]


def _map_prescription(
    ordinal: int, record: PrescriptionRecord, context: Context, subject: Subject | Failure
) -> Fact:
    request = record.request
    fact = begin_request(ordinal, request, context, subject)
    if fact.outcome is not None or isinstance(subject, Failure):
        return fact
    found = _find_medication(request, context)
    if found is None:
        detail = "the site's dictionary has no such medication"
        return fact.failed(Failure(Reason.CODE_UNMAPPED, detail, Element.CODE))
    medication, coding = found
    fact = replace(fact, code=coding.code, system=coding.system, analyte=medication.drug)
    if medication.role != "collected":
        return fact.settled(Outcome.NOT_COLLECTED, medication.reason)
    return _map_collected(fact, record, medication, subject, context)


def _find_medication(
    record: RequestRecord, context: Context
) -> tuple[MedicationEntry, Coding] | None:
    for coding in record.codings:
        medication = context.site.find_medication(context.setting.name, coding.code, coding.system)
        if medication:
            return medication, coding
    return None


def _map_collected(
    fact: Fact,
    record: PrescriptionRecord,
    medication: MedicationEntry,
    subject: Subject,
    context: Context,
) -> Fact:
    request = record.request
    status = read_status(request)
    if isinstance(status, Failure):
        return fact.failed(status)
    authored = read_authored(request, context)
    if isinstance(authored, Failure):
        return fact.failed(authored)
    id = request_id("prescription", request, (), context)
    if not id:
        return fact.failed(NO_NUMBER)
    dosage = _read_dosage(record, medication, context)
    if isinstance(dosage, Failure):
        if request.describes:
            return fact.failed(dosage)
        dosage = []
    order = request_order(request, context)
    resource = {
        **build_head("MedicationRequest", id, request, subject, order, context),
        "status": status,
        "intent": "order",
        "medicationCodeableConcept": build_medication_code(medication, fact.code),
        "subject": {"reference": subject.reference},
        **({"authoredOn": authored.text} if authored else {}),
        **({"dosageInstruction": dosage} if dosage else {}),
        **_prior(record, context),
    }
    return with_request(fact, request, resource, order)


def _prior(record: PrescriptionRecord, context: Context) -> Json:
    """The order that this one replaces, by its number: it may never have been sent."""
    if record.replaces is None:
        return {}
    tokens = order_tokens(context, record.replaces)
    if not tokens:
        return {}
    identifier = {"system": ORDER_TOKEN, "value": tokens[0]}
    return {"priorPrescription": {"type": "MedicationRequest", "identifier": identifier}}


def find_replaced(records: Iterable[RequestRecord]) -> list[OrderNumbers | None]:
    """For each order of a message the one before it that it replaces (RP … RO)."""
    found: list[OrderNumbers | None] = []
    replaced: OrderNumbers | None = None
    for record in records:
        control = record.control.upper()
        found.append(replaced if control == REPLACING else None)
        if control in REPLACED:
            replaced = record.numbers
        elif control != REPLACING:
            replaced = None
    return found


# Dosage


def _read_dosage(
    record: PrescriptionRecord, medication: MedicationEntry, context: Context
) -> list[Json] | Failure:
    route = _read_route(record.route)
    if isinstance(route, Failure):
        return route
    found = []
    for line in record.lines:
        instruction = _read_line(line, medication, context)
        if isinstance(instruction, Failure):
            return instruction
        instruction |= route
        if instruction:
            found.append(instruction)
    if len(found) > 1:
        return [{"sequence": n, **each} for n, each in enumerate(found, start=1)]
    return found


def _read_route(text: str) -> Json | Failure:
    word = fold_word(text)
    if not word or word == '""':
        return {}
    if word not in ROUTES:
        return Failure(Reason.CODE_UNMAPPED, "no route of HL7 table 0162", Element.ROUTE)
    return {"route": build_concept(ROUTE, ROUTES[word])}


def _read_line(line: DoseLine, medication: MedicationEntry, context: Context) -> Json | Failure:
    frequency = parse_frequency(line.frequency)
    if isinstance(frequency, Failure):
        return frequency
    bounds = _read_bounds(line, context)
    if isinstance(bounds, Failure):
        return bounds
    dose = _read_dose(line, medication, context)
    if isinstance(dose, Failure):
        return dose
    events = _read_events(line, context)
    if isinstance(events, Failure):
        return events
    repeat = {**bounds, **line.rhythm.repeat, **_repeat(frequency)}
    timing = {**events, **({"repeat": repeat} if repeat else {})}
    told: Json = {"timing": timing} if timing else {}
    if frequency is not None and frequency.as_needed:
        told["asNeededBoolean"] = True
    rates = {**dose, **line.rhythm.rate}
    return {**told, **({"doseAndRate": [rates]} if rates else {}), **line.rhythm.limits}


def _read_events(line: DoseLine, context: Context) -> Json | Failure:
    """The single times at which it is to be taken."""
    found = []
    for text in line.rhythm.events:
        time = parse_time(text, context.setting.zone, Element.START)
        if isinstance(time, Failure):
            return time
        found += [time.text] if time else []
    return {"event": found} if found else {}


def _repeat(frequency: Frequency | None) -> Json:
    if frequency is None or frequency.as_needed:
        return {}
    if frequency.count:
        return {"count": frequency.count}
    return {
        "frequency": frequency.times,
        "period": frequency.period,
        "periodUnit": frequency.unit,
    }


def _read_bounds(line: DoseLine, context: Context) -> Json | Failure:
    zone = context.setting.zone
    start = parse_time(line.start, zone, Element.START)
    end = parse_time(line.end, zone, Element.END)
    if isinstance(start, Failure):
        return start
    if isinstance(end, Failure):
        return end
    if start and end and end.instant < start.instant:
        return Failure(Reason.TIME_INVALID, "the end lies before the start", Element.END)
    return _bounds(start, end)


def _bounds(start: Time | None, end: Time | None) -> Json:
    period = {key: time.text for key, time in (("start", start), ("end", end)) if time}
    return {"boundsPeriod": period} if period else {}


def _read_dose(line: DoseLine, medication: MedicationEntry, context: Context) -> Json | Failure:
    """The amount, or from the least to the most; {} where the prescription names none."""
    told = [text for text in dict.fromkeys((line.amount, line.most)) if text not in ("", '""')]
    amounts: list[Quantity] = []
    for text in told:
        amount = read_amount(text, line.unit, medication, context)
        if isinstance(amount, Failure):
            return amount
        amounts.append(amount)
    if not amounts:
        return {}
    if len(amounts) == 1 or amounts[0].canonical == amounts[1].canonical:
        return {"doseQuantity": build_dose(amounts[0])}
    low, high = sorted(amounts, key=lambda each: each.canonical)
    return {"doseRange": {"low": build_dose(low), "high": build_dose(high)}}
