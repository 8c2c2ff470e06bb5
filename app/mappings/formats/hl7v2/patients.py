"""PID and MRG → patient records. HL7 v2.5.1 3.4.2, 3.4.10."""

from __future__ import annotations

from app.mappings.elements import Element, Elements
from app.mappings.formats.hl7v2.er7 import Segment
from app.mappings.records import Identifier, PatientRecord


def read_patient(pid: Segment) -> PatientRecord:
    """PID-3, PID-5 and PID-7; `""` says that the sender deleted it."""
    return PatientRecord(tuple(_identifiers(pid, 3)), tuple(_names(pid, 5)), _birth_date(pid))


def read_merged(segment: Segment, pid: Segment | None) -> PatientRecord:
    """Who a merge names: by MRG-1 the number that goes, of the person that its PID tells of."""
    if segment.name == "PID":
        return read_patient(segment)
    names = [*_names(segment, 7), *(_names(pid, 5) if pid else ())]
    birth_date = _birth_date(pid) if pid else ""
    return PatientRecord(tuple(_identifiers(segment, 1)), tuple(names), birth_date)


def name_field(segment: Segment, field: int) -> str:
    """`PID-3`, and `PID[2]-3` of a further segment of the name."""
    return f"{segment.name if segment.number == 1 else segment.place}-{field}"


def patient_elements(pid: Segment | None) -> Elements:
    """Where a message says whom it is about; PID-3 also of one that does not say."""
    if pid is None:
        return {Element.SUBJECT: "PID-3", Element.NAME: "PID-5"}
    return {Element.SUBJECT: name_field(pid, 3), Element.NAME: name_field(pid, 5)}


def _identifiers(segment: Segment, field: int) -> list[Identifier]:
    found = []
    for repetition in segment.repetitions(field):
        number, kind = segment.part(repetition, 1), segment.part(repetition, 5)
        if number and number != '""':
            sent = segment.part(repetition, 4, 1) or segment.part(repetition, 4, 2)
            found.append(Identifier(number, kind, sent))
    return found


def _names(segment: Segment, field: int) -> list[str]:
    """Each name with and without its middle part, and the family name where it stands alone."""
    names = []
    for repetition in segment.repetitions(field):
        family, given, middle = (segment.part(repetition, n) for n in (1, 2, 3))
        if family == '""':
            continue
        names += [f"{family} {given}".strip(), f"{family} {given} {middle}".strip()]
    return [name for name in names if name]


def _birth_date(pid: Segment) -> str:
    digits = pid.text(7)[:8]
    return digits if len(digits) == 8 and digits.isdecimal() and digits != "00000000" else ""
