"""ADT → visits, study fields of the patient, merges. HL7 v2.5.1 3.3, 3.4.8 (PV1), 3.4.10 (MRG);
https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pv1-to-encounter.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.hl7v2.er7 import Message, Segment
from app.mappings.formats.hl7v2.fields import DELETED
from app.mappings.formats.hl7v2.patients import name_field, patient_elements, read_merged
from app.mappings.records import Patient
from app.mappings.rules.demographics import DemographicRecord, map_demographics
from app.mappings.rules.encounters import EncounterRecord, Event, map_encounters
from app.mappings.rules.merges import MergeRecord, map_merges
from app.mappings.rules.twins import settle_twins
from app.mappings.subjects import PatientClaim, read_claim

EVENTS: Mapping[str, Event] = MappingProxyType(
    {
        "A01": "admit",
        "A03": "discharge",
        "A04": "admit",
        "A08": "update",
        "A11": "cancel-admit",
        "A13": "cancel-discharge",
    }
)
MERGE = "A40"


@dataclass(frozen=True, slots=True)
class _Times:
    """MSH-7 and the times of EVN that hold for the whole message."""

    sent: str
    recorded: str
    happened: str


def map_visits(message: Message, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per PID and one per PV1; of a merge one per MRG."""
    if message.message_type[1] == MERGE:
        return _map_merges(message, context, subjects)
    facts = [
        *map_demographics(read_demographics(message), context, subjects),
        *map_encounters(read_encounters(message), context, subjects),
    ]
    return settle_twins(replace(fact, ordinal=ordinal) for ordinal, fact in enumerate(facts))


def read_demographics(message: Message) -> list[DemographicRecord]:
    times = _read_times(message)
    return [
        DemographicRecord(
            pid.place,
            pid.span,
            pid,
            _pid_elements(pid),
            sex=pid.text(8),
            birth_date=pid.text(7),
            recorded=times.recorded,
            sent=times.sent,
        )
        for pid in message.segments
        if pid.name == "PID"
    ]


def read_encounters(message: Message) -> list[EncounterRecord]:
    times, trigger = _read_times(message), message.message_type[1]
    event = EVENTS.get(trigger, "update")
    return [
        EncounterRecord(
            pv1.place,
            pv1.span,
            event,
            pid,
            _pv1_elements(pv1, pid),
            number=_visit_number(pv1),
            letter=trigger,
            patient_class=_told(pv1.text(2)),
            start=pv1.text(44),
            end=pv1.text(45),
            happened=times.happened,
            recorded=times.recorded,
            sent=times.sent,
        )
        for pid, pv1 in _visits(message)
    ]


def _visits(message: Message) -> Iterator[tuple[Segment | None, Segment]]:
    pid = None
    for segment in message.segments:
        if segment.name == "PID":
            pid = segment
        elif segment.name == "PV1":
            yield pid, segment


def _read_times(message: Message) -> _Times:
    evn = next((each for each in message.segments if each.name == "EVN"), None)
    recorded, happened = (evn.text(2), evn.text(6)) if evn else ("", "")
    return _Times(message.header.text(7), recorded, happened)


def _visit_number(pv1: Segment) -> str:
    """PV1-19, else the alternate PV1-50, with the authority that gave it."""
    for field in (19, 50):
        number = _told(pv1.text(field))
        if number:
            return "^".join(filter(None, (number, pv1.text(field, 4))))
    return ""


def _told(text: str) -> str:
    return "" if text == DELETED else text


def _pid_elements(pid: Segment) -> Elements:
    """A difference to what was enrolled lies in sex or birth date."""
    return {
        **patient_elements(pid),
        Element.CODE: name_field(pid, 8),
        Element.BIRTH_DATE: name_field(pid, 7),
    }


def _pv1_elements(pv1: Segment, pid: Segment | None) -> Elements:
    return {
        **patient_elements(pid),
        Element.CODE: name_field(pv1, 2),
        Element.ORDER: name_field(pv1, 19),
        Element.START: name_field(pv1, 44),
        Element.END: name_field(pv1, 45),
    }


# Merges


def _map_merges(message: Message, context: Context, subjects: Resolutions) -> list[Fact]:
    records = list(read_merges(message))
    claims: dict[Patient, PatientClaim] = {
        key: read_claim(read_merged(key, pid), context.setting, context.site)
        for pid, mrg in _merged(message)
        for key in (mrg, pid)
        if key is not None
    }
    return map_merges(records, claims, subjects)


def read_merges(message: Message) -> Iterator[MergeRecord]:
    for pid, mrg in _merged(message):
        elements = {**patient_elements(pid), Element.SUBJECT: name_field(mrg, 1)}
        yield MergeRecord(mrg.place, mrg.span, mrg, pid, elements)


def _merged(message: Message) -> Iterator[tuple[Segment | None, Segment]]:
    """Each MRG with the PID before it."""
    pid = None
    for segment in message.segments:
        if segment.name == "PID":
            pid = segment
        elif segment.name == "MRG":
            yield pid, segment
