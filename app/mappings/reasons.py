"""Why a fact is where it is: outcomes, quarantine reasons and review reasons, and the HL7 error
code that tells each in an acknowledgement (HL7 table 0357)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from app.mappings.elements import Element


class Outcome(StrEnum):
    STORED = "stored"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    NOT_COLLECTED = "not-collected"
    NOT_RECORDED = "not-recorded"
    NOT_SUBJECT_DATA = "not-subject-data"
    WAITING = "waiting"
    QUARANTINED = "quarantined"
    REVIEW = "review"


class Reason(StrEnum):
    FRAME_BROKEN = "FRAME_BROKEN"
    TOO_LARGE = "TOO_LARGE"
    CHARSET_UNDECODABLE = "CHARSET_UNDECODABLE"
    CHARSET_MISMATCH = "CHARSET_MISMATCH"
    PARSE = "PARSE"
    STRUCTURE = "STRUCTURE"
    UNSUPPORTED_TYPE = "UNSUPPORTED_TYPE"
    NOT_SUBJECT_DATA = "NOT_SUBJECT_DATA"
    CONTROL_ID_REUSE = "CONTROL_ID_REUSE"
    PATIENT_UNKNOWN = "PATIENT_UNKNOWN"
    PATIENT_AMBIGUOUS = "PATIENT_AMBIGUOUS"
    PATIENT_MISMATCH = "PATIENT_MISMATCH"
    CODE_UNMAPPED = "CODE_UNMAPPED"
    UNIT_UNMAPPED = "UNIT_UNMAPPED"
    UNIT_DIMENSION = "UNIT_DIMENSION"
    UNIT_SUSPECT_SCALE = "UNIT_SUSPECT_SCALE"
    VALUE_UNPARSABLE = "VALUE_UNPARSABLE"
    VALUE_IMPLAUSIBLE = "VALUE_IMPLAUSIBLE"
    VALUE_WITHDRAWN = "VALUE_WITHDRAWN"
    ANALYTIC_SUSPECT = "ANALYTIC_SUSPECT"
    TIME_INVALID = "TIME_INVALID"
    STATUS_UNMAPPED = "STATUS_UNMAPPED"
    CORRECTION_WITHOUT_ORIGINAL = "CORRECTION_WITHOUT_ORIGINAL"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    WEAK_KEY_CONFLICT = "WEAK_KEY_CONFLICT"
    WRONG_PATIENT = "WRONG_PATIENT"
    RESULT_DELETED = "RESULT_DELETED"
    FHIR_INVALID = "FHIR_INVALID"
    POISON = "POISON"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one fact cannot be stored: the reason, a text without values, the element it lies in;
    of an unknown patient the keys under which the fact waits."""

    reason: Reason
    detail: str
    element: Element | None = None
    waiting_keys: tuple[bytes, ...] = field(default=(), repr=False)


REASON_ELEMENTS: Mapping[Reason, tuple[Element, ...]] = MappingProxyType(
    {
        Reason.PATIENT_MISMATCH: (Element.SUBJECT,),
        Reason.CORRECTION_WITHOUT_ORIGINAL: (Element.ACTION, Element.STATUS),
        Reason.RESULT_DELETED: (Element.ACTION, Element.STATUS),
        Reason.WRONG_PATIENT: (Element.STATUS,),
        Reason.WEAK_KEY_CONFLICT: (Element.VALUE, Element.AMOUNT),
        Reason.VALUE_WITHDRAWN: (Element.VALUE,),
        Reason.ANALYTIC_SUSPECT: (Element.VALUE,),
        Reason.UNIT_SUSPECT_SCALE: (Element.UNIT,),
    }
)
"""Where to look for what is found only when a fact meets what is stored, or when it is reviewed:
the first of these that the record names."""

HL7_ERRORS: dict[Reason, tuple[str, str]] = {
    Reason.FRAME_BROKEN: ("100", "Segment sequence error"),
    Reason.STRUCTURE: ("100", "Segment sequence error"),
    Reason.UNSUPPORTED_TYPE: ("200", "Unsupported message type"),
    Reason.CODE_UNMAPPED: ("103", "Table value not found"),
    Reason.UNIT_UNMAPPED: ("103", "Table value not found"),
    Reason.STATUS_UNMAPPED: ("103", "Table value not found"),
    Reason.UNIT_DIMENSION: ("102", "Data type error"),
    Reason.VALUE_UNPARSABLE: ("102", "Data type error"),
    Reason.VALUE_IMPLAUSIBLE: ("102", "Data type error"),
    Reason.TIME_INVALID: ("102", "Data type error"),
    Reason.PATIENT_UNKNOWN: ("204", "Unknown key identifier"),
    Reason.PATIENT_AMBIGUOUS: ("204", "Unknown key identifier"),
    Reason.PATIENT_MISMATCH: ("204", "Unknown key identifier"),
    Reason.CORRECTION_WITHOUT_ORIGINAL: ("204", "Unknown key identifier"),
    Reason.WEAK_KEY_CONFLICT: ("205", "Duplicate key identifier"),
    Reason.CONTROL_ID_REUSE: ("205", "Duplicate key identifier"),
    Reason.TOO_LARGE: ("104", "Value too long"),
    Reason.PARSE: ("102", "Data type error"),
    Reason.CHARSET_UNDECODABLE: ("102", "Data type error"),
    Reason.CHARSET_MISMATCH: ("102", "Data type error"),
    Reason.FHIR_INVALID: ("102", "Data type error"),
    Reason.ANALYTIC_SUSPECT: ("0", "Message accepted"),
    Reason.UNIT_SUSPECT_SCALE: ("0", "Message accepted"),
    Reason.WRONG_PATIENT: ("0", "Message accepted"),
    Reason.RESULT_DELETED: ("0", "Message accepted"),
    Reason.VALUE_WITHDRAWN: ("0", "Message accepted"),
}
INTERNAL_ERROR = ("207", "Application internal error")


def hl7_error(reason: Reason) -> tuple[str, str]:
    """Code and text of HL7 table 0357 for a reason."""
    return HL7_ERRORS.get(reason, INTERNAL_ERROR)
