"""Which segments belong together: orders with their results, notes and specimens; administrations.

HL7 v2.5.1 ORU^R01 7.3.1, RAS^O17 4.13.7. Read as senders write them: any order that can be
understood is, and an NTE belongs to the OBX or OBR right before it, to nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.mappings.er7 import Message, Segment


@dataclass(slots=True)
class ResultGroup:
    """One OBX and its notes."""

    obx: Segment
    notes: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class OrderGroup:
    """One OBR with what belongs to it; `obr` is None for results that stand under no order."""

    pid: Segment | None
    orc: Segment | None = None
    obr: Segment | None = None
    notes: list[Segment] = field(default_factory=list)
    results: list[ResultGroup] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class AdministrationGroup:
    """One RXA with the order it was given under."""

    pid: Segment | None
    orc: Segment | None
    rxa: Segment


def group_results(message: Message) -> list[OrderGroup]:
    """The order groups of a result message, in the order sent."""
    groups: list[OrderGroup] = []
    pid = orc = None
    noted: list[Segment] | None = None
    for segment in message.segments:
        if segment.name == "PID":
            pid, orc, noted = segment, None, None
        elif segment.name == "ORC":
            orc, noted = segment, None
        elif segment.name == "OBR":
            groups.append(OrderGroup(pid, orc, segment))
            orc, noted = None, groups[-1].notes
        elif segment.name == "OBX":
            group = _group_for_result(groups, pid, orc)
            group.results.append(ResultGroup(segment))
            noted = group.results[-1].notes
        elif segment.name == "SPM":
            _group_for_result(groups, pid, orc).specimens.append(segment)
            noted = None
        elif segment.name == "NTE" and noted is not None:
            noted.append(segment)
    return groups


def _group_for_result(
    groups: list[OrderGroup], pid: Segment | None, orc: Segment | None
) -> OrderGroup:
    if not groups or groups[-1].pid is not pid:
        groups.append(OrderGroup(pid, orc))
    return groups[-1]


def group_administrations(message: Message) -> Iterator[AdministrationGroup]:
    """The administrations of a message, each with the PID and ORC before it."""
    pid = orc = None
    for segment in message.segments:
        if segment.name == "PID":
            pid, orc = segment, None
        elif segment.name == "ORC":
            orc = segment
        elif segment.name == "RXA":
            yield AdministrationGroup(pid, orc, segment)


def find_patients(message: Message) -> Sequence[Segment]:
    return [segment for segment in message.segments if segment.name == "PID"]
