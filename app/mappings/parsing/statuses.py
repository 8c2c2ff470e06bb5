"""OBX-11 → Observation.status, RXA-20/21 → MedicationAdministration.status.

https://terminology.hl7.org/ValueSet-v2-0085.html · http://hl7.org/fhir/R4/valueset-observation-status.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from app.mappings.reasons import Reason

ValueUse = Literal["sent", "none", "kept"]


@dataclass(frozen=True, slots=True)
class StatusRule:
    """What a status letter means.

    `value`: the value as sent, no value, or the value of the stored version (only the status
    changes). `needs_original`: without a stored or received original the fact is quarantined.
    """

    status: str
    value: ValueUse = "sent"
    needs_original: bool = False
    review: Reason | None = None
    absent_reason: str | None = None


RESULT_STATUSES: Mapping[str, StatusRule] = MappingProxyType(
    {
        "F": StatusRule("final"),
        "P": StatusRule("preliminary"),
        "R": StatusRule("preliminary"),
        "S": StatusRule("preliminary"),
        "C": StatusRule("corrected", needs_original=True),
        "A": StatusRule("amended"),
        "B": StatusRule("amended"),
        "D": StatusRule("entered-in-error", "kept", True, Reason.RESULT_DELETED),
        "W": StatusRule("entered-in-error", "kept", True, Reason.WRONG_PATIENT),
        "X": StatusRule("cancelled", "none", absent_reason="not-performed"),
        "I": StatusRule("registered", "none"),
        "O": StatusRule("registered", "none"),
        "U": StatusRule("final", "kept", True),
    }
)
"""FEEDS 4. `V` is F or U by whether OBX-5 was sent; `N` makes no Observation."""

NOT_ASKED = "N"
VERIFIED = "V"
WRONG_PATIENT = "W"

COMPLETION_STATUSES: Mapping[str, str] = MappingProxyType(
    {"CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"}
)
"""RXA-20 (HL7 table 0322)."""

RANKS: Mapping[str, int] = MappingProxyType({"registered": 0, "preliminary": 1})
"""How far a result has come; whatever is not listed is final or beyond."""


def result_rule(letter: str, has_value: bool) -> StatusRule | None:
    """The rule of an OBX-11 letter other than `N`; None for a letter HL7 does not know."""
    if letter == VERIFIED:
        letter = "F" if has_value else "U"
    return RESULT_STATUSES.get(letter)


def rank(status: str) -> int:
    return RANKS.get(status, 2)
