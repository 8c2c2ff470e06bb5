"""The records between a message and the store: a fact, its place, and what it would store.

A fact (one OBX, one RXA) is the unit of success, failure and replay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as _field
from datetime import UTC, datetime
from typing import Any

from app.fhir import Json
from app.mappings.elements import Element, Elements, no_elements
from app.mappings.frame import Span
from app.mappings.reasons import REASON_ELEMENTS, Failure, Outcome, Reason
from app.mappings.subjects import NumberMerge, Subject
from app.numerous import numerous


@dataclass(frozen=True, slots=True)
class Source:
    """The message that facts come from: everything mapping may know beside its text."""

    feed: str
    sha256: str
    received: datetime
    mapping_version: str
    attempt: int = 1
    format: str = "hl7v2"


@numerous(frozen=True, slots=True)
class ResultOrder:
    """When a fact was analysed, reported, sent and received: decides which of two versions is the
    newer. In HL7 v2: OBX-19, OBR-22, MSH-7."""

    analysed: datetime | None
    reported: datetime | None
    sent: datetime | None
    received: datetime

    def is_older_than(self, other: ResultOrder) -> bool:
        """The first of the four that both have and that differs decides."""
        mine = (self.analysed, self.reported, self.sent, self.received)
        theirs = (other.analysed, other.reported, other.sent, other.received)
        for one, two in zip(mine, theirs, strict=True):
            if one is not None and two is not None and one != two:
                return one < two
        return False

    @property
    def of_result(self) -> ResultOrder:
        """The result's own times alone: not when a message about it was sent and received."""
        return replace(self, sent=None, received=datetime.min.replace(tzinfo=UTC))

    @property
    def instant(self) -> datetime:
        return self.analysed or self.reported or self.sent or self.received


@numerous(frozen=True, slots=True)
class Candidate:
    """What a fact would store under `resource_type`/`id`, to be decided under the row's lock.

    `keeps_value`: only the status of what is stored changes. `needs_original`: refused if nothing
    is stored. `weak`: another value under this id is a conflict, not a correction. `said_before`:
    the earlier message that said the same of this result. `merge` makes what is to be written of
    what is stored and `resource`, where the source knows a part of the resource only, or says why
    it may not; `orders_itself`: it looks at the order of each part, and is asked about older
    messages too.
    `is_first`: it begins something; said again with no later time of its own, it begins nothing.
    """

    resource: Json
    order: ResultOrder
    needs_original: bool = False
    keeps_value: bool = False
    weak: bool = False
    said_before: int | None = None
    merge: Callable[[Json, Json], Json | Failure] | None = None
    orders_itself: bool = False
    is_first: bool = False

    @property
    def resource_type(self) -> str:
        return str(self.resource["resourceType"])

    @property
    def id(self) -> str:
        return str(self.resource["id"])


@dataclass(frozen=True, slots=True)
class Measured:
    """What the scale check needs of a number in an unusual unit."""

    analyte: str
    canonical: Any
    unusual_unit: bool


@dataclass(frozen=True, slots=True)
class AskedBy:
    """Tokens of the order that may have asked for a result, and the panel that it came in."""

    tokens: tuple[str, ...]
    panel: str


@numerous(frozen=True, slots=True)
class Fact:
    """One fact of a message. With an `outcome` it is settled; without, `candidate` is stored.

    `companions` are resources that come with it (specimen, report, encounter): looked at only if
    the candidate is not refused, once for all facts of a message that bring them. `field` is the
    source's own name of where a failure lies, `elements` are its names of them all. `code` and
    `system` are empty for patients who are no subjects. `asked_by`: the order that may have
    asked for a result. `merge`: numbers to link to one subject before anything is written.
    """

    ordinal: int
    place: str
    span: Span
    outcome: Outcome | None = None
    reason: Reason | None = None
    field: str = ""
    detail: str = ""
    code: str = ""
    system: str = ""
    analyte: str = ""
    order_token: str = ""
    reviews: tuple[Reason, ...] = ()
    subject: Subject | None = None
    waiting_keys: tuple[bytes, ...] = ()
    effective: datetime | None = None
    resource_type: str = ""
    resource_id: str = ""
    version: int | None = None
    order: ResultOrder | None = None
    measured: Measured | None = None
    candidate: Candidate | None = _field(default=None, repr=False)
    companions: tuple[Candidate, ...] = _field(default=(), repr=False)
    asked_by: AskedBy | None = None
    merge: NumberMerge | None = _field(default=None, repr=False)
    elements: Elements = _field(default_factory=no_elements, repr=False)

    def settled(self, outcome: Outcome, detail: str = "", reason: Reason | None = None) -> Fact:
        return replace(self, outcome=outcome, detail=detail, reason=reason, candidate=None)

    def failed(self, failure: Failure) -> Fact:
        """Quarantined for this failure."""
        return replace(
            self,
            outcome=Outcome.QUARANTINED,
            reason=failure.reason,
            detail=failure.detail,
            field=self._named(failure),
            waiting_keys=failure.waiting_keys,
            candidate=None,
        )

    def nameless(self) -> Fact:
        """Without what could be found again under an order number."""
        return replace(self, order_token="")

    def _named(self, failure: Failure) -> str:
        if failure.element is not None:
            return self.elements.get(failure.element, "")
        return self.field_of(failure.reason)

    def field_of(self, reason: Reason) -> str:
        """The source's name of where this reason has its cause; '' for the fact as a whole."""
        wanted: Sequence[Element] = REASON_ELEMENTS.get(reason, ())
        return next((self.elements[each] for each in wanted if each in self.elements), "")
