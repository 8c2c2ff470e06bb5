"""What sources that name things by URI (FHIR) or OID (HL7 V3) mean by them: the site's
`systems.csv`, which leads them to the words that the dictionaries use.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

FILE = "systems.csv"
CONDITIONS = "conditions.csv"
KINDS = ("code", "patient", "number")
ROLES = ("filler", "placer", "specimen", "sub_id", "counter", "visit")
OID = "urn:oid:"


@dataclass(frozen=True, slots=True)
class SystemRow:
    """One line: a system, and what it means (`detail`: of patients the kind of number, of order
    numbers the namespace that HL7 v2 sends beside them)."""

    kind: str
    system: str
    meaning: str
    detail: str


@dataclass(frozen=True, slots=True)
class Systems:
    """By system: `codes` as the dictionaries write them, `patients` (authority, kind of number),
    `numbers` (role, namespace)."""

    codes: Mapping[str, str]
    patients: Mapping[str, tuple[str, str]]
    numbers: Mapping[str, tuple[str, str]]

    def code(self, system: str) -> str:
        """The dictionaries' name of a code system; one that is not listed stays as sent."""
        return self.codes.get(plain(system), system)

    def patient(self, system: str) -> tuple[str, str] | None:
        """Authority and kind of patient numbers of a system; None for one that is not listed."""
        return self.patients.get(plain(system))

    def number(self, system: str) -> tuple[str, str] | None:
        """Role and namespace of an order's numbers of a system; None for one not listed."""
        return self.numbers.get(plain(system))


@dataclass(frozen=True, slots=True)
class ConditionEntry:
    """A diagnosis that the trial collects from the hospital's systems."""

    condition: str
    display: str


def plain(system: str) -> str:
    """An OID is the same system with and without `urn:oid:`."""
    return system.strip().removeprefix(OID)


def build_systems(rows: Iterable[SystemRow]) -> Systems:
    """The table by kind; ValueError names what stands twice or means nothing."""
    found: dict[str, dict[str, tuple[str, str]]] = {kind: {} for kind in KINDS}
    for row in rows:
        system = plain(row.system)
        if not system or not row.meaning:
            raise ValueError("system and meaning: both are needed")
        if row.kind == "number" and row.meaning not in ROLES:
            raise ValueError(f"meaning: {row.meaning!r} is none of {', '.join(ROLES)}")
        if system in found[row.kind]:
            raise ValueError(f"{row.kind}|{row.system} stands twice")
        found[row.kind][system] = (row.meaning, row.detail)
    return Systems(
        MappingProxyType({key: meaning for key, (meaning, _) in found["code"].items()}),
        MappingProxyType(found["patient"]),
        MappingProxyType(found["number"]),
    )
