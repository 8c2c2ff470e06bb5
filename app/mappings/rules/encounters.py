"""Encounter records → facts: the hospital's visits and stays. https://hl7.org/fhir/R4/encounter.html

Stored is what the trial asks of a stay: that there was one, of what class, from when to when; no
ward, no doctor, no diagnosis, no visit number. Messages tell its status and end, or its class and
start, or both; each part is ordered by itself, so that order of arrival decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from types import MappingProxyType
from typing import Literal

from app.fhir import Json
from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element, Elements, no_elements
from app.mappings.facts import Candidate, Fact, ResultOrder, Source
from app.mappings.frame import Span
from app.mappings.parsing.times import Time, parse_time
from app.mappings.reasons import Failure, Reason
from app.mappings.records import Patient
from app.mappings.resources import (
    RESEARCH_STUDY,
    STUDY,
    build_coding,
    build_common_extensions,
    build_meta,
)
from app.mappings.result_key import keyed_id, keyed_token
from app.mappings.rules.parts import merge_extensions, order_parts, tells_description, tells_status
from app.mappings.rules.results import AHEAD, lies_ahead, read_instant
from app.mappings.subjects import Subject

Event = Literal["admit", "update", "discharge", "cancel-admit", "cancel-discharge"]

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PATIENT_CLASS = "http://terminology.hl7.org/CodeSystem/v2-0004"
PLANNED = "P"
ACT_CODES: Mapping[str, str] = MappingProxyType(
    {"E": "EMER", "I": "IMP", "O": "AMB", PLANNED: "PRENC"}
)
CANCELLING = ("cancel-admit", "cancel-discharge")
OTHER_CLASSES = frozenset("RBCNU")
UNKNOWN = "U"


@dataclass(frozen=True, slots=True)
class EncounterRecord:
    """What a message says of one visit. `number` is the hospital's own; `letter` the event as sent;
    `happened` the event's own time, `recorded` when it was entered."""

    place: str
    span: Span
    event: Event
    patient: Patient = field(default=None, repr=False)
    elements: Elements = field(default_factory=no_elements, repr=False)
    number: str = field(default="", repr=False)
    letter: str = ""
    patient_class: str = ""
    start: str = ""
    end: str = ""
    happened: str = ""
    recorded: str = ""
    sent: str = ""


@dataclass(frozen=True, slots=True)
class _Told:
    """What a message states, as far as it states it: `status` with `end`, `letter_class`, `start`.
    The status of a visit that no message told it of is `assumed`."""

    status: str
    assumed: str
    end: Time | None
    letter_class: str
    start: Time | None


def map_encounters(
    records: Iterable[EncounterRecord], context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per visit."""
    return [
        _map_encounter(ordinal, record, context, subjects[record.patient])
        for ordinal, record in enumerate(records)
    ]


def _map_encounter(
    ordinal: int, record: EncounterRecord, context: Context, subject: Subject | Failure
) -> Fact:
    fact = Fact(ordinal, record.place, record.span, elements=record.elements)
    if isinstance(subject, Failure):
        return fact.failed(subject)
    authority = context.setting.key_authority
    token = keyed_token(context.secret, authority, "visit", record.number) if record.number else ""
    fact = replace(
        fact, subject=subject, code=record.letter, analyte="encounter", order_token=token
    )
    told = _read(record, context)
    if isinstance(told, Failure):
        return fact.failed(told)
    id = _id(record, told, subject, context)
    if isinstance(id, Failure):
        return fact.failed(id)
    order = _order(record, context)
    resource = _build(id, told, subject, record.letter, order, context.source)
    candidate = Candidate(
        resource,
        order,
        merge=partial(_merge, told=told, order=order, subject=subject),
        orders_itself=True,
        is_first=record.event == "admit",
    )
    return replace(
        fact,
        resource_type="Encounter",
        resource_id=id,
        effective=_latest(record, told, order),
        order=order,
        candidate=candidate,
    )


def _id(record: EncounterRecord, told: _Told, subject: Subject, context: Context) -> str | Failure:
    """By the hospital's number of the visit; else by subject and start, which a corrected start
    makes another."""
    secret, authority = context.secret, context.setting.key_authority
    if record.number:
        return keyed_id(secret, "encounter", authority, record.number)
    if told.start is None:
        detail = "neither a visit number nor a time of admission"
        return Failure(Reason.STRUCTURE, detail, Element.ORDER)
    at = told.start.instant.isoformat()
    return keyed_id(secret, "weak-encounter", authority, subject.number, at)


def _order(record: EncounterRecord, context: Context) -> ResultOrder:
    """When the event happened and was entered, sent and received (EVN-6, else EVN-2; MSH-7)."""
    happened = read_instant(record.happened, context) or read_instant(record.recorded, context)
    sent = read_instant(record.sent, context)
    return ResultOrder(None, happened, sent, context.source.received)


def _latest(record: EncounterRecord, told: _Told, order: ResultOrder) -> datetime | None:
    """The latest moment of the visit that the message tells of, which has to lie within the
    subject's participation: its end, else its start, else that of the event. What cancels tells of
    no later moment: it takes back what was told before."""
    if told.end is not None:
        return told.end.instant
    if record.event == "discharge":
        return order.reported or order.sent
    if told.start is not None:
        return told.start.instant
    return None if record.event in CANCELLING else order.reported or order.sent


# What is told


def _read(record: EncounterRecord, context: Context) -> _Told | Failure:
    letter = record.patient_class.upper()
    if letter and letter not in ACT_CODES and letter not in OTHER_CLASSES:
        return Failure(Reason.CODE_UNMAPPED, "no patient class of HL7 table 0004", Element.CODE)
    times = _read_times(record, context)
    if isinstance(times, Failure):
        return times
    start, end = times
    assumed = "planned" if letter == PLANNED else "in-progress"
    return _Told(_status(record.event, assumed, end), assumed, end, letter, start)


def _status(event: Event, assumed: str, end: Time | None) -> str:
    """The status that an event states; '' for an update of a visit that has not ended."""
    if event == "cancel-admit":
        return "cancelled"
    if event == "cancel-discharge":
        return "in-progress"
    if event == "discharge" or end is not None:
        return "finished"
    return "" if event == "update" else assumed


def _read_times(
    record: EncounterRecord, context: Context
) -> tuple[Time | None, Time | None] | Failure:
    """Start and end; of a discharge without an end the time of the event."""
    start = parse_time(record.start, context.setting.zone, Element.START)
    end = _read_end(record, context)
    if isinstance(start, Failure):
        return start
    if isinstance(end, Failure):
        return end
    if record.patient_class.upper() != PLANNED:
        for element, time in ((Element.START, start), (Element.END, end)):
            if time is not None and lies_ahead(time, record.sent, context):
                return Failure(Reason.TIME_INVALID, AHEAD, element)
    if start is not None and end is not None and end.instant < start.instant:
        return Failure(Reason.TIME_INVALID, "the end lies before the start", Element.END)
    return start, end


def _read_end(record: EncounterRecord, context: Context) -> Time | Failure | None:
    if record.event in CANCELLING:
        return None
    end = parse_time(record.end, context.setting.zone, Element.END)
    if end is None and record.event == "discharge":
        happened = parse_time(record.happened, context.setting.zone)
        return happened if isinstance(happened, Time) else None
    return end


# Resource


def _build(
    id: str, told: _Told, subject: Subject, letter: str, order: ResultOrder, source: Source
) -> Json:
    """The visit as this message alone tells it."""
    common = build_common_extensions(letter, order, source)[1:]
    parts = order_parts(common, status=bool(told.status), description=_describes(told))
    resource: Json = {
        "resourceType": "Encounter",
        "id": id,
        **build_meta(subject, ()),
        "extension": parts,
        "status": told.status or told.assumed,
        "class": _class(told.letter_class or UNKNOWN),
        "subject": {"reference": subject.reference},
        **_period(told.start.text if told.start else "", told.end.text if told.end else ""),
    }
    return _of_study(resource, subject)


def _describes(told: _Told) -> bool:
    return bool(told.letter_class) or told.start is not None


def _class(letter: str) -> Json:
    code = ACT_CODES.get(letter)
    return build_coding(ACT_CODE, code) if code else build_coding(PATIENT_CLASS, letter)


def _period(start: str, end: str) -> Json:
    period = {key: text for key, text in (("start", start), ("end", end)) if text}
    return {"period": period} if period else {}


def _merge(stored: Json, sent: Json, *, told: _Told, order: ResultOrder, subject: Subject) -> Json:
    """What is stored with what the message states newer than it, part by part."""
    ends = bool(told.status) and tells_status(stored, order)
    describes = _describes(told) and tells_description(stored, order)
    known, new = stored.get("period", {}), sent.get("period", {})
    start = new.get("start", "") if describes or "start" not in known else ""
    end = new.get("end", "") if ends else known.get("end", "")
    takes_class = told.letter_class and (describes or _is_unknown(stored["class"]))
    merged = {
        **{key: value for key, value in stored.items() if key != "period"},
        "extension": merge_extensions(stored, sent, status=ends, description=describes),
        "status": sent["status"] if ends else stored["status"],
        "class": sent["class"] if takes_class else stored["class"],
        **_period(start or known.get("start", ""), end),
    }
    return _of_study(merged, subject)


def _is_unknown(stored_class: Json) -> bool:
    return stored_class == _class(UNKNOWN)


# The study's part of it


def _of_study(resource: Json, subject: Subject) -> Json:
    """The study is named on a visit that touches the subject's participation, on no other."""
    others = [item for item in resource.get("extension", []) if item["url"] != RESEARCH_STUDY]
    if _touches(resource.get("period", {}), subject):
        others.insert(0, STUDY_EXTENSION)
    return {**resource, "extension": others}


STUDY_EXTENSION: Json = {
    "url": RESEARCH_STUDY,
    "valueReference": {"reference": STUDY},
}


def _touches(period: Mapping[str, str], subject: Subject) -> bool:
    since, until = subject.since, subject.until
    if since is None or not (period.get("start") or period.get("end")):
        return False
    if _is_before(period.get("end", ""), since):
        return False
    return until is None or not _is_after(period.get("start", ""), until)


def _is_before(text: str, day: date) -> bool:
    """Whether a FHIR dateTime lies before a day, as far as it is known: to the year, month, day."""
    return bool(text) and text[:10] < day.isoformat()[: len(text[:10])]


def _is_after(text: str, day: date) -> bool:
    return bool(text) and text[:10] > day.isoformat()[: len(text[:10])]
