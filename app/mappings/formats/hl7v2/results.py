"""ORU^R01 and its kin → order and result records. HL7 v2.5.1 7.3.1 and 7.4."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType

from app.mappings.context import Context, Resolutions
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.hl7v2.er7 import Message, Segment
from app.mappings.formats.hl7v2.fields import DELETED, read_codings, read_unit_text
from app.mappings.formats.hl7v2.groups import OrderGroup, ResultGroup, group_results
from app.mappings.formats.hl7v2.patients import name_field, patient_elements
from app.mappings.records import NO_CODING, Coding, OrderRecord, ResultRecord
from app.mappings.result_key import OrderNumbers
from app.mappings.rules.results import is_left_out, map_orders

OBX_ELEMENTS: Elements = MappingProxyType(
    {
        Element.CODE: "OBX-3",
        Element.SUB_ID: "OBX-4",
        Element.VALUE: "OBX-5",
        Element.UNIT: "OBX-6",
        Element.REFERENCE: "OBX-7",
        Element.FLAG: "OBX-8",
        Element.STATUS: "OBX-11",
        Element.TIME: "OBX-14",
        Element.ANALYSED: "OBX-19",
    }
)


def map_results(message: Message, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per OBX, and one per OBR that has none; [] if the message has neither."""

    def is_brief(codings: Sequence[Coding], panel: Coding) -> bool:
        return is_left_out(codings, panel, context)

    return map_orders(read_orders(message, is_brief), context, subjects)


IsBrief = Callable[[Sequence[Coding], Coding], bool]
"""Whether of a result with these codings in this panel no more is asked for than `_brief` reads."""


def read_orders(message: Message, is_brief: IsBrief) -> list[OrderRecord]:
    sent = message.header.text(7)
    return [_read_order(group, sent, is_brief) for group in group_results(message)]


def _read_order(group: OrderGroup, sent: str, is_brief: IsBrief) -> OrderRecord:
    obr = group.obr
    head = obr or next((each.obx for each in group.results), None) or group.specimens[0]
    collected, where = _collected(group)
    elements = {**OBX_ELEMENTS, **patient_elements(group.pid), Element.ORDER_TIME: where}
    panel = _panel(obr)
    return OrderRecord(
        head.place,
        head.span,
        group.pid,
        MappingProxyType(elements),
        _read_numbers(group),
        panel,
        tuple(_read_result(each, elements, panel, is_brief) for each in group.results),
        tuple(_text_of(note, 3) for note in group.notes),
        is_report=obr is not None,
        status=obr.text(25) if obr else "",
        observed=obr.text(7) if obr else "",
        collected=collected,
        reported=obr.text(22) if obr else "",
        sent=sent,
    )


def _panel(obr: Segment | None) -> Coding:
    if obr is None:
        return NO_CODING
    return Coding(obr.text(4) or obr.text(4, 2), obr.text(4, 3), obr.text(4, 2))


def _collected(group: OrderGroup) -> tuple[str, str]:
    """The time of collection that holds for the order, and where it stood: OBR-7, else SPM-17."""
    fields = [(group.obr, 7)] if group.obr else []
    for segment, field in [*fields, *((specimen, 17) for specimen in group.specimens)]:
        text = segment.text(field)
        if text not in ("", DELETED):
            return text, name_field(segment, field)
    return "", "OBR-7"


def _read_numbers(group: OrderGroup) -> OrderNumbers:
    obr, orc = group.obr, group.orc
    specimen = next((_entity(spm, 2) for spm in group.specimens if _entity(spm, 2)), "")
    return OrderNumbers(
        (_entity(obr, 3) if obr else "") or (_entity(orc, 3) if orc else ""),
        (_entity(obr, 2) if obr else "") or (_entity(orc, 2) if orc else ""),
        specimen,
    )


def _entity(segment: Segment, field: int) -> str:
    """Number and namespace of an entity identifier (EI, or SPM-2's pair: the filler's, else the
    placer's)."""
    raw = segment.text(field)
    if segment.name == "SPM":
        pair = (segment.text(field, 2), raw)
        return next((part for part in pair if part), "")
    namespace = segment.text(field, 2)
    return f"{raw}^{namespace}" if raw and namespace else raw


def _read_result(
    group: ResultGroup, elements: Elements, panel: Coding, is_brief: IsBrief
) -> ResultRecord:
    obx = group.obx
    codings = read_codings(obx, 3)
    if is_brief(codings, panel):
        return _brief(obx, elements, codings)
    repetitions = [item for item in obx.repetitions(5) if item.strip()]
    return ResultRecord(
        obx.place,
        obx.span,
        elements,
        codings,
        obx.text(4),
        obx.text(2),
        _components(obx, repetitions),
        _text_of(obx, 5).strip(),
        repeated=len(repetitions) > 1,
        unit=read_unit_text(obx, 6),
        reference=obx.text(7),
        flags=tuple(obx.part(repetition, 1) for repetition in obx.repetitions(8)),
        status=obx.text(11),
        collected=obx.text(14),
        analysed=obx.text(19),
        notes=tuple(_text_of(note, 3) for note in group.notes),
    )


def _brief(obx: Segment, elements: Elements, codings: tuple[Coding, ...]) -> ResultRecord:
    """What is asked of a result that is not collected: also whether it tells of clumps."""
    return ResultRecord(
        obx.place,
        obx.span,
        elements,
        codings,
        value_type=obx.text(2),
        value_text=_text_of(obx, 5).strip(),
    )


def _components(obx: Segment, repetitions: Iterable[str]) -> tuple[str, ...]:
    separator = obx.separators.component
    for repetition in repetitions:
        parts = repetition.split(separator) if separator else [repetition]
        return tuple(obx.whole(part) for part in parts)
    return ()


def _text_of(segment: Segment, field: int) -> str:
    return segment.whole(segment.raw(field))
