"""Rules of the standard that tie elements together, one record each, compiled by hand.

Each belongs to a type or a part of one, and is asked only of elements whose JSON is of the right
kind. ele-1, ref-1, dom-2 to dom-5, txt-1 and txt-2 are kept where the tree is walked.
https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from app.fhir.invariants.clinical import CLINICAL
from app.fhir.invariants.data_types import DATA_TYPES
from app.fhir.invariants.definitions import DEFINITIONS
from app.fhir.invariants.questions import Invariant

__all__ = ["INVARIANTS", "Invariant", "invariants_of"]

INVARIANTS: tuple[Invariant, ...] = (*DATA_TYPES, *CLINICAL, *DEFINITIONS)


def invariants_of(path: str) -> tuple[Invariant, ...]:
    """The invariants of a type (`Period`) or part of one (`Observation.referenceRange`)."""
    return tuple(invariant for invariant in INVARIANTS if path in invariant.paths)
