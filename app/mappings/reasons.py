"""Why a fact is where it is: outcomes, quarantine reasons and review reasons, and the HL7 error
code that tells each in an acknowledgement (HL7 table 0357)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    """Why one fact cannot be stored: the reason, the field it lies in, a text without values."""

    reason: Reason
    detail: str
    field: int | None = None


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
}
INTERNAL_ERROR = ("207", "Application internal error")


def hl7_error(reason: Reason) -> tuple[str, str]:
    """Code and text of HL7 table 0357 for a reason."""
    return HL7_ERRORS.get(reason, INTERNAL_ERROR)
