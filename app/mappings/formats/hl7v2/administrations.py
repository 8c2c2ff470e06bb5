"""RAS^O17 → dose records. HL7 v2.5.1 4.13.7 and 4.14.7."""

from __future__ import annotations

from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element
from app.mappings.facts import Fact
from app.mappings.formats.hl7v2.er7 import Message, Segment
from app.mappings.formats.hl7v2.fields import read_codings, read_unit_text
from app.mappings.formats.hl7v2.groups import AdministrationGroup, group_administrations
from app.mappings.formats.hl7v2.patients import patient_elements
from app.mappings.records import DoseRecord
from app.mappings.result_key import OrderNumbers
from app.mappings.rules.administrations import map_doses

RXA_ELEMENTS = {
    Element.START: "RXA-3",
    Element.END: "RXA-4",
    Element.CODE: "RXA-5",
    Element.AMOUNT: "RXA-6",
    Element.UNIT: "RXA-7",
    Element.STATUS: "RXA-20",
    Element.ACTION: "RXA-21",
}


def map_administrations(message: Message, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per RXA."""
    return map_doses(read_doses(message), context, subjects)


def read_doses(message: Message) -> list[DoseRecord]:
    sent = message.header.text(7)
    return [_read_dose(group, sent) for group in group_administrations(message)]


def _read_dose(group: AdministrationGroup, sent: str) -> DoseRecord:
    rxa, orc = group.rxa, group.orc
    return DoseRecord(
        rxa.place,
        rxa.span,
        group.pid,
        {**RXA_ELEMENTS, **patient_elements(group.pid)},
        OrderNumbers(_number(orc, 3), _number(orc, 2)) if orc else OrderNumbers(),
        rxa.text(2),
        read_codings(rxa, 5),
        start=rxa.text(3),
        end=rxa.text(4),
        amount=rxa.text(6),
        unit=read_unit_text(rxa, 7),
        status=rxa.text(20),
        action=rxa.text(21),
        entered=rxa.text(22),
        ordered=orc.text(9) if orc else "",
        sent=sent,
    )


def _number(orc: Segment, field: int) -> str:
    return "^".join(filter(None, (orc.text(field), orc.text(field, 2))))
