"""Rules of the standard that tie elements together, one record each, compiled by hand.

Each belongs to a type or a part of one, and is asked only of elements whose JSON is of the right
kind. ele-1, ref-1, dom-2 to dom-5, txt-1 and txt-2 are kept where the tree is walked.
https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from app.fhir.invariants.clinical import CLINICAL
from app.fhir.invariants.conformance import CONFORMANCE, check_conformance
from app.fhir.invariants.data_types import DATA_TYPES
from app.fhir.invariants.definitions import DEFINITIONS
from app.fhir.invariants.parts import PARTS
from app.fhir.invariants.questions import Invariant

__all__ = [
    "INVARIANTS",
    "IN_THE_WALK",
    "NEVER_BROKEN",
    "Invariant",
    "check_conformance",
    "covered_keys",
    "invariants_of",
]

IN_THE_WALK = frozenset({"ele-1", "ref-1", "dom-2", "dom-3", "dom-4", "dom-5", "txt-1", "txt-2"})
"""Invariants that `structure`, `references` and `narrative` keep."""

NEVER_BROKEN = frozenset({"eld-11", "ppc-2", "ppc-3", "ppc-4", "ppc-5"})
"""The standard's expressions for these are true of every resource (`system='something'`,
`select(…).exists()`)."""

INVARIANTS: tuple[Invariant, ...] = (
    *DATA_TYPES,
    *CLINICAL,
    *DEFINITIONS,
    *PARTS,
)


def covered_keys() -> frozenset[str]:
    """The keys of all invariants that are compiled here or kept elsewhere."""
    compiled = (*INVARIANTS, *CONFORMANCE)
    return IN_THE_WALK | NEVER_BROKEN | {invariant.key for invariant in compiled}


def invariants_of(path: str) -> tuple[Invariant, ...]:
    """The invariants of a type (`Period`) or part of one (`Observation.referenceRange`)."""
    return tuple(invariant for invariant in INVARIANTS if path in invariant.paths)
