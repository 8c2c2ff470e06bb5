"""HL7 v2.5.1 messages as the hospital's two systems write them: text first, then the bytes.

ORU^R01: https://hl7-definition.caristix.com/v2/HL7v2.5.1/TriggerEvents/ORU_R01
RAS^O17: https://hl7-definition.caristix.com/v2/HL7v2.5.1/TriggerEvents/RAS_O17
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

UTF8 = "UNICODE UTF-8"
GB18030 = "GB 18030-2000"
ENCODINGS = {UTF8: "utf-8", GB18030: "gb18030"}


@dataclass(frozen=True, slots=True)
class Header:
    """MSH: `processing` is P (production) or Q (quality control)."""

    application: str
    message_type: str
    control_id: str
    sent: datetime
    charset: str = UTF8
    processing: str = "P"

    def time(self, moment: datetime) -> str:
        """The older analyser, which writes GB 18030, leaves the zone out."""
        return moment.strftime("%Y%m%d%H%M%S%z" if self.charset == UTF8 else "%Y%m%d%H%M%S")


@dataclass(frozen=True, slots=True)
class Patient:
    """PID of a person or, for quality control, of a control material."""

    mrn: str
    name: str
    birth_date: date | None
    sex: str


@dataclass(frozen=True, slots=True)
class Result:
    """One OBX. `code` is `identifier^text^system`; `notes` become NTE segments behind it."""

    code: str
    value: str
    unit: str
    reference: str
    flag: str = ""
    status: str = "F"
    sub_id: str = "1"
    value_type: str = "NM"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One OBR with its specimen and results."""

    placer: str
    filler: str
    specimen: str
    panel: str
    collected: datetime
    reported: datetime
    results: tuple[Result, ...]
    status: str = "F"


@dataclass(frozen=True, slots=True)
class Administration:
    """One RXA: what was given, when, how much, and whether it was (CP) or was not (RE)."""

    placer: str
    filler: str
    drug: str
    given: datetime
    milligrams: str
    completion: str = "CP"


def build_oru(header: Header, patient: Patient, report: Report) -> bytes:
    segments = [
        _msh(header),
        _pid(patient),
        "PV1|1|O|RHEUM^^^PUMCH",
        f"ORC|RE|{report.placer}|{report.filler}",
        _obr(header, report),
        f"SPM|1|{report.specimen}||BLD^全血^99MRC|||||||||||||{header.time(report.collected)}",
    ]
    for place, result in enumerate(report.results, start=1):
        segments.append(_obx(header, place, result, report))
        segments.extend(f"NTE|{n}|L|{text}" for n, text in enumerate(result.notes, start=1))
    return _encode(segments, header.charset)


def build_ras(header: Header, patient: Patient, given: Administration) -> bytes:
    at = header.time(given.given)
    return _encode(
        [
            _msh(header),
            _pid(patient),
            "PV1|1|I|RHEUM^^^PUMCH",
            f"ORC|RE|{given.placer}|{given.filler}",
            f"RXE|1^QD|{given.drug}|{given.milligrams}||mg",
            "RXR|PO^口服^99PUMCH",
            f"RXA|0|1|{at}|{at}|{given.drug}|{given.milligrams}|mg|||||||||||||{given.completion}|A",
            "RXR|PO^口服^99PUMCH",
        ],
        header.charset,
    )


def _msh(header: Header) -> str:
    return "|".join(
        (
            "MSH",
            "^~\\&",
            header.application,
            "PUMCH",
            "SSCI",
            "PUMCH",
            header.time(header.sent),
            "",
            header.message_type,
            header.control_id,
            header.processing,
            "2.5.1",
            "",
            "",
            "",
            "",
            "CHN",
            header.charset,
        )
    )


def _pid(patient: Patient) -> str:
    born = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    return f"PID|1||{patient.mrn}^^^PUMCH^MR||{patient.name}||{born}|{patient.sex}"


def _obr(header: Header, report: Report) -> str:
    fields = [""] * 26
    fields[0] = "OBR"
    fields[1] = "1"
    fields[2] = report.placer
    fields[3] = report.filler
    fields[4] = report.panel
    fields[7] = header.time(report.collected)
    fields[22] = header.time(report.reported)
    fields[24] = "HM"
    fields[25] = report.status
    return "|".join(fields)


def _obx(header: Header, place: int, result: Result, report: Report) -> str:
    return "|".join(
        (
            "OBX",
            str(place),
            result.value_type,
            result.code,
            result.sub_id,
            result.value,
            result.unit,
            result.reference,
            result.flag,
            "",
            "",
            result.status,
            "",
            "",
            header.time(report.collected),
            "",
            "",
            "",
            "",
            header.time(report.reported),
        )
    )


def _encode(segments: Sequence[str], charset: str) -> bytes:
    return ("\r".join(segments) + "\r").encode(ENCODINGS[charset])
