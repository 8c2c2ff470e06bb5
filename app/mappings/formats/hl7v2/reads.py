"""What the HL7 mappers read, place by place: the coverage ledger's list of what is mapped.

A test maps messages of every type with segments that record what is asked of them and compares the
record with this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.mappings.formats.hl7v2.places import Place, parse_place


@dataclass(frozen=True, slots=True)
class Reads:
    """The places that go into a resource or a decision (`mapped`), and those that are only kept as
    they came, in the order of versions or in an extension (`carried`)."""

    mapped: tuple[Place, ...]
    carried: tuple[Place, ...] = ()


def _places(text: str) -> tuple[Place, ...]:
    return tuple(parse_place(each) for each in text.split())


HEADER = "MSH-1 MSH-2 MSH-9.1-3 MSH-10.1 MSH-11.1 MSH-18[*]"
PATIENT = "PID-3[*].1 PID-3[*].4.1-2 PID-3[*].5 PID-5[*].1-3 PID-7.1"
SENT = "MSH-7.1"

RESULTS = Reads(
    _places(
        f"{HEADER} {PATIENT} ORC-2.1-2 ORC-3.1-2"
        " OBR-2.1-2 OBR-3.1-2 OBR-4.1-3 OBR-7.1 OBR-22.1 OBR-25.1 SPM-2.1-2 SPM-17.1"
        " OBX-2.1 OBX-3.1-6 OBX-4.1 OBX-5[*] OBX-6[*].1-2 OBX-7.1 OBX-8[*].1 OBX-11.1 OBX-14.1"
        " NTE-3[*]"
    ),
    _places(f"{SENT} OBX-19.1"),
)
ADMINISTRATIONS = Reads(
    _places(
        f"{HEADER} {PATIENT} ORC-2.1-2 ORC-3.1-2"
        " RXA-2.1 RXA-3.1 RXA-4.1 RXA-5.1-6 RXA-6.1 RXA-7[*].1-2 RXA-20.1 RXA-21.1"
    ),
    _places(f"{SENT} ORC-9.1 RXA-22.1"),
)
VISITS = Reads(
    _places(
        f"{HEADER} {PATIENT} PID-8.1 EVN-6.1"
        " PV1-2.1 PV1-19.1 PV1-19.4 PV1-44.1 PV1-45.1 PV1-50.1 PV1-50.4"
    ),
    _places(f"{SENT} EVN-2.1"),
)
MERGES = Reads(
    _places(f"{HEADER} {PATIENT} MRG-1[*].1 MRG-1[*].4.1-2 MRG-1[*].5 MRG-7[*].1-3"),
)
ORDERS = Reads(
    _places(
        f"{HEADER} {PATIENT}"
        " ORC-1.1 ORC-2.1-2 ORC-3.1-2 ORC-5.1 ORC-7[*].2.1 ORC-7[*].4-5 ORC-8.1-2.1 ORC-9.1"
        " OBR-2.1-2 OBR-3.1-2 OBR-4.1-6"
        " RXE-1[*].2.1 RXE-1[*].4-5 RXE-2.1-6 RXE-3.1 RXE-4.1 RXE-5[*].1-2"
        " RXO-1.1-6 RXO-2.1 RXO-3.1 RXO-4[*].1-2"
        " TQ1-2.1 TQ1-2.2.1 TQ1-3.1.1 TQ1-7.1 TQ1-8.1 RXR-1.1-2"
    ),
    _places(SENT),
)

READS: Mapping[str, Reads] = MappingProxyType(
    {
        **dict.fromkeys(("ORU", "OUL"), RESULTS),
        "RAS": ADMINISTRATIONS,
        "ADT": VISITS,
        "ADT^A40": MERGES,
        **dict.fromkeys(("RDE", "OML", "OMP", "ORM"), ORDERS),
    }
)
"""By message code, or code^trigger where one differs."""

ALTERNATIVES: Mapping[tuple[str, int], tuple[tuple[str, int], ...]] = MappingProxyType(
    {
        ("ORC", 2): (("OBR", 2),),
        ("ORC", 3): (("OBR", 3),),
        ("SPM", 17): (("OBR", 7),),
        ("PV1", 50): (("PV1", 19),),
        ("RXE", 1): (("TQ1", 3),),
        ("ORC", 7): (("TQ1", 3), ("RXE", 1)),
        **{("RXO", n): (("RXE", 2),) for n in range(1, 5)},
    }
)
"""Fields that are read only where none of others says the same."""


def find_reads(code: str, trigger: str) -> Reads | None:
    """What is read of a message; None for one that no mapper takes."""
    return READS.get(f"{code}^{trigger}") or READS.get(code)
