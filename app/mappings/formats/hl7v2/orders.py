"""OML^O21, OMP^O09, ORM^O01, RDE^O11 → order and prescription records.

HL7 v2.5.1 4.4.3, 4.4.6, 4.13.3, 4.13.5; segments ORC 4.5.1, OBR 4.5.3, TQ1 4.5.4, RXO 4.14.1, RXR
4.14.2, RXE 4.14.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.hl7v2.er7 import Message, Segment
from app.mappings.formats.hl7v2.fields import read_codings, read_unit_text
from app.mappings.formats.hl7v2.groups import RequestGroup, group_requests
from app.mappings.formats.hl7v2.patients import name_field, patient_elements
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import Coding
from app.mappings.result_key import OrderNumbers
from app.mappings.rules.prescriptions import (
    DoseLine,
    PrescriptionRecord,
    find_replaced,
    map_prescriptions,
)
from app.mappings.rules.requests import RequestRecord, map_requests
from app.mappings.rules.twins import settle_twins

CODES: Mapping[str, int] = MappingProxyType({"OBR": 4, "RXE": 2, "RXO": 1})
"""Where each detail segment says what is ordered."""
AMOUNTS: Mapping[str, tuple[int, int, int]] = MappingProxyType({"RXE": (3, 4, 5), "RXO": (2, 3, 4)})
"""Least, most, unit of a dose."""


def map_hl7_orders(message: Message, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per order, in the order sent; one per observation that comes with an order."""
    groups = group_requests(message)
    sent = message.header.text(7)
    requests = [_read_request(group, sent) for group in groups]
    replaced = find_replaced(requests)
    facts: list[Fact] = []
    for group, request, numbers in zip(groups, requests, replaced, strict=True):
        facts += _map_group(group, request, numbers, context, subjects)
    return settle_twins(replace(fact, ordinal=n) for n, fact in enumerate(facts))


def _map_group(
    group: RequestGroup,
    request: RequestRecord,
    replaced: OrderNumbers | None,
    context: Context,
    subjects: Resolutions,
) -> list[Fact]:
    detail = group.detail
    if detail is None:
        facts = [_without_detail(request, subjects)]
    elif detail.name == "OBR":
        facts = map_requests([request], context, subjects)
    else:
        record = _read_prescription(group, detail, request, replaced)
        facts = map_prescriptions([record], context, subjects)
    return [*facts, *(_accompanying(obx, group.pid, subjects) for obx in group.observations)]


def _without_detail(request: RequestRecord, subjects: Resolutions) -> Fact:
    fact = Fact(0, request.place, request.span, elements=request.elements)
    subject = subjects[request.patient]
    if isinstance(subject, Failure):
        return fact.failed(subject)
    detail = "no OBR, RXE or RXO says what this is an order of"
    failure = Failure(Reason.STRUCTURE, detail, Element.ORDER)
    return replace(fact, subject=subject).failed(failure)


def _accompanying(obx: Segment, pid: Segment | None, subjects: Resolutions) -> Fact:
    fact = Fact(0, obx.place, obx.span, elements=patient_elements(pid))
    subject = subjects[pid]
    if isinstance(subject, Failure):
        return fact.failed(subject)
    detail = "an observation beside an order is no result of it"
    return replace(fact, subject=subject).settled(Outcome.NOT_COLLECTED, detail)


# Reading


def _read_request(group: RequestGroup, sent: str) -> RequestRecord:
    orc, detail, head = group.orc, group.detail, group.head
    return RequestRecord(
        head.place,
        head.span,
        group.pid,
        _elements(group),
        _read_numbers(group),
        control=orc.text(1) if orc else "",
        state=orc.text(5) if orc else "",
        codings=_read_codings(detail),
        ordered=orc.text(9) if orc else "",
        sent=sent,
    )


def _read_codings(detail: Segment | None) -> tuple[Coding, ...]:
    if detail is None:
        return ()
    found = read_codings(detail, CODES[detail.name])
    return tuple(each if each.code else replace(each, code=each.display) for each in found)


def _read_numbers(group: RequestGroup) -> OrderNumbers:
    """The detail's own numbers where it has them (OBR-2 and -3), else those of ORC."""
    obr = group.detail if group.detail and group.detail.name == "OBR" else None
    placer, filler = (
        (_entity(obr, field) if obr else "") or (_entity(group.orc, field) if group.orc else "")
        for field in (2, 3)
    )
    return OrderNumbers(filler, placer)


def _entity(segment: Segment, field: int) -> str:
    number, namespace = segment.text(field), segment.text(field, 2)
    return f"{number}^{namespace}" if number and namespace else number


def _elements(group: RequestGroup) -> Elements:
    found = {
        **patient_elements(group.pid),
        Element.ACTION: _name(group.orc, "ORC", 1),
        Element.ORDER: _name(group.orc, "ORC", 2),
        Element.STATUS: _name(group.orc, "ORC", 5),
        Element.ORDER_TIME: _name(group.orc, "ORC", 9),
        Element.ROUTE: _name(next(iter(group.routes), None), "RXR", 1),
    }
    detail = group.detail
    if detail is None:
        return found
    found[Element.CODE] = name_field(detail, CODES[detail.name])
    if detail.name in AMOUNTS:
        least, _, unit = AMOUNTS[detail.name]
        found |= {Element.AMOUNT: name_field(detail, least), Element.UNIT: name_field(detail, unit)}
        found |= _timing_elements(group)
    return found


def _timing_elements(group: RequestGroup) -> Elements:
    timing, start, end = (3, 7, 8)
    segment = next(iter(group.timings), None)
    if segment is None:
        segment, timing = _quantity_timing(group)
        start = end = timing
    return {
        Element.FREQUENCY: _name(segment, "TQ1", timing),
        Element.START: _name(segment, "TQ1", start),
        Element.END: _name(segment, "TQ1", end),
    }


def _name(segment: Segment | None, name: str, field: int) -> str:
    return name_field(segment, field) if segment else f"{name}-{field}"


def _read_prescription(
    group: RequestGroup, detail: Segment, request: RequestRecord, replaced: OrderNumbers | None
) -> PrescriptionRecord:
    least, most, unit = AMOUNTS[detail.name]
    dose = DoseLine(detail.text(least), detail.text(most), read_unit_text(detail, unit))
    route = next(iter(group.routes), None)
    return PrescriptionRecord(
        request,
        tuple(_read_lines(group, dose)),
        route=(route.text(1) or route.text(1, 2)) if route else "",
        replaces=replaced or _read_parent(group),
    )


def _read_parent(group: RequestGroup) -> OrderNumbers | None:
    """ORC-8 of a replacement: placer's and filler's number of the order it replaces."""
    orc = group.orc
    if orc is None or orc.text(1).upper() != "RO":
        return None
    placer, filler = orc.text(8, 1, 1, 1), orc.text(8, 2, 1, 1)
    return OrderNumbers(filler, placer) if placer or filler else None


def _read_lines(group: RequestGroup, dose: DoseLine) -> list[DoseLine]:
    """A line per TQ1; the older timing field holds one, in its repetitions several."""
    if group.timings:
        return [_read_tq1(tq1, dose, len(group.timings)) for tq1 in group.timings]
    segment, field = _quantity_timing(group)
    if segment is None:
        return [dose]
    lines = []
    for repetition in segment.repetitions(field):
        frequency = segment.part(repetition, 2, 1)
        start, end = segment.part(repetition, 4), segment.part(repetition, 5)
        lines.append(replace(dose, frequency=frequency, start=start, end=end))
    return lines


def _read_tq1(tq1: Segment, dose: DoseLine, number: int) -> DoseLine:
    """TQ1-2 is the dose where it names a unit and the order's own dose is none, or one of many."""
    amount, unit = tq1.text(2, 1), tq1.text(2, 2, 1, 1)
    if amount and unit and (number > 1 or not dose.amount):
        dose = DoseLine(amount, "", unit)
    return replace(dose, frequency=tq1.text(3, 1, 1, 1), start=tq1.text(7), end=tq1.text(8))


def _quantity_timing(group: RequestGroup) -> tuple[Segment | None, int]:
    """Where messages before 2.5 tell the timing: RXE-1, else ORC-7."""
    detail, orc = group.detail, group.orc
    if detail is not None and detail.name == "RXE" and detail.raw(1):
        return detail, 1
    if orc is not None and orc.raw(7):
        return orc, 7
    return None, 3
