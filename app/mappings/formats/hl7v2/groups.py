"""Which segments belong together: results, requests, administrations, each with its order.

HL7 v2.5.1 ORU^R01 7.3.1, OUL^R22 7.3.7, RAS^O17 4.13.7. Read as senders write them: any order that
can be understood is, and an NTE belongs to the OBX or OBR right before it, to nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from app.mappings.formats.hl7v2.er7 import Message, Segment


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
    code, trigger = message.message_type
    grouping = _Grouping(control_follows=code == "OUL" and trigger != "R21")
    for segment in message.segments:
        grouping.add(segment)
    return grouping.groups


SPECIMEN_DETAILS = frozenset({"SAC", "INV"})
ORDER_DETAILS = frozenset({"NTE", "TQ1", "TQ2", "CTD", "CTI", "BLG", "FT1"})


class _Grouping:
    """The groups of a message as they grow, segment by segment.

    A specimen before the first order of a patient stands for every order after it, until the next
    specimen (OUL^R22, R23); one after its order belongs to that order alone (ORU, OUL^R21, R24). An
    ORC belongs to the OBR after it, unless it comes right after an OBR and none follows (as some
    senders write), or the standard puts it there (`control_follows`: OUL).
    """

    def __init__(self, *, control_follows: bool) -> None:
        self._control_follows = control_follows
        self.groups: list[OrderGroup] = []
        self._pid: Segment | None = None
        self._orc: Segment | None = None
        self._orc_follows_obr = False
        self._noted: list[Segment] | None = None
        self._leading: list[Segment] | None = None
        self._ordered = False
        self._before = ""

    def add(self, segment: Segment) -> None:
        step = STEPS.get(segment.name)
        if step is not None:
            step(self, segment)
        if segment.name not in ORDER_DETAILS:
            self._before = segment.name

    def begin_patient(self, pid: Segment) -> None:
        self._attach()
        self._pid, self._noted = pid, None
        self._leading, self._ordered = None, False

    def take_control(self, orc: Segment) -> None:
        self._attach()
        self._orc = orc
        self._orc_follows_obr = self._before == "OBR"
        if not self._control_follows:
            self._noted = None

    def begin_order(self, obr: Segment) -> None:
        if self._orc_follows_obr and self._belongs_to_last(obr):
            self._attach()
        group = OrderGroup(self._pid, self._orc, obr, specimens=[*(self._leading or ())])
        self.groups.append(group)
        self._orc, self._orc_follows_obr, self._ordered = None, False, True
        self._noted = group.notes

    def add_result(self, obx: Segment) -> None:
        self._attach()
        group = self._current()
        group.results.append(ResultGroup(obx))
        self._noted = group.results[-1].notes

    def add_specimen(self, spm: Segment) -> None:
        self._attach()
        self._noted = None
        if self._leading is None and self._ordered:
            self._current().specimens.append(spm)
            return
        if self._leading is None or self._before not in ("SPM", *SPECIMEN_DETAILS):
            self._leading = []
        self._leading.append(spm)
        self._ordered = False

    def add_note(self, nte: Segment) -> None:
        if self._noted is not None:
            self._noted.append(nte)

    def _attach(self) -> None:
        """An ORC right after an OBR that had none is that OBR's, when no OBR follows it."""
        last = self.groups[-1] if self.groups else None
        if self._orc_follows_obr and last is not None and last.orc is None:
            last.orc, self._orc = self._orc, None
        self._orc_follows_obr = False

    def _belongs_to_last(self, obr: Segment) -> bool:
        """Whether an ORC between two OBRs is the first one's: by standard, or by its numbers."""
        last = self.groups[-1].obr
        return self._control_follows or (last is not None and _share_number(self._orc, last, obr))

    def _current(self) -> OrderGroup:
        """The group that a result or specimen belongs to: that of the order before it; results that
        stand under a specimen or a patient have one of their own."""
        last = self.groups[-1] if self.groups else None
        if last is None or last.pid is not self._pid or self._stands_under_specimen(last):
            last = OrderGroup(self._pid, self._orc, specimens=[*(self._leading or ())])
            self.groups.append(last)
        return last

    def _stands_under_specimen(self, last: OrderGroup) -> bool:
        return self._leading is not None and last.specimens != self._leading


STEPS: Mapping[str, Callable[[_Grouping, Segment], None]] = MappingProxyType(
    {
        "PID": _Grouping.begin_patient,
        "ORC": _Grouping.take_control,
        "OBR": _Grouping.begin_order,
        "OBX": _Grouping.add_result,
        "SPM": _Grouping.add_specimen,
        "NTE": _Grouping.add_note,
    }
)


def _share_number(orc: Segment | None, last: Segment, following: Segment) -> bool:
    """Whether ORC-2 or ORC-3 is the number of the OBR before it, and not of the one after it."""
    if orc is None:
        return False
    sent = [(field, orc.text(field)) for field in (2, 3) if orc.text(field)]
    return any(last.text(field) == number for field, number in sent) and not any(
        following.text(field) == number for field, number in sent
    )


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


@dataclass(slots=True)
class RequestGroup:
    """One order: ORC, what is ordered (OBR, or RXE before RXO), its timings, routes and the
    observations sent with it. One of `orc` and `detail` is there. `stale`: segments of the order
    as it was asked for, which those of the order as it was encoded replace."""

    pid: Segment | None
    orc: Segment | None = None
    detail: Segment | None = None
    timings: list[Segment] = field(default_factory=list)
    routes: list[Segment] = field(default_factory=list)
    observations: list[Segment] = field(default_factory=list)
    stale: set[str] = field(default_factory=set)

    @property
    def head(self) -> Segment:
        """The segment that stands for the order."""
        found = self.detail or self.orc
        assert found is not None
        return found


DETAILS = frozenset({"OBR", "RXE", "RXO"})


def group_requests(message: Message) -> list[RequestGroup]:
    """The orders of a message. A detail segment after another of its kind is a further order under
    the same ORC; an ORC right after a detail that has none belongs to it."""
    groups: list[RequestGroup] = []
    pid = None
    for segment in message.segments:
        if segment.name == "PID":
            pid = segment
        elif segment.name == "ORC":
            _take_orc(groups, pid, segment)
        elif segment.name in DETAILS:
            _take_detail(groups, pid, segment)
        elif groups and groups[-1].pid is pid:
            _take_rest(groups[-1], segment)
    return groups


def _take_orc(groups: list[RequestGroup], pid: Segment | None, orc: Segment) -> None:
    last = groups[-1] if groups else None
    if last is not None and last.pid is pid and last.orc is None:
        last.orc = orc
    else:
        groups.append(RequestGroup(pid, orc))


def _take_detail(groups: list[RequestGroup], pid: Segment | None, detail: Segment) -> None:
    last = groups[-1] if groups else None
    if last is None or last.pid is not pid:
        groups.append(RequestGroup(pid, detail=detail))
    elif last.detail is None:
        last.detail = detail
    elif last.detail.name == "RXO" and detail.name == "RXE":
        last.detail, last.stale = detail, {"TQ1", "RXR"}
    else:
        groups.append(RequestGroup(pid, last.orc, detail))


def _take_rest(group: RequestGroup, segment: Segment) -> None:
    kept = {"TQ1": group.timings, "RXR": group.routes, "OBX": group.observations}
    if segment.name in group.stale:
        kept[segment.name].clear()
        group.stale.discard(segment.name)
    if segment.name in kept:
        kept[segment.name].append(segment)


def find_people(message: Message) -> Iterator[tuple[Segment | None, Segment]]:
    """The segments that name a person, PID and MRG, each with the PID that it stands under."""
    pid = None
    for segment in message.segments:
        if segment.name == "PID":
            pid = segment
        if segment.name in ("PID", "MRG"):
            yield pid, segment
