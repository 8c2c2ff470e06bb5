"""The records between a message and the store: a fact, its place, and what it would store.

A fact (one OBX, one RXA) is the unit of success, failure and replay.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from app.fhir import Json
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.subjects import Subject


@dataclass(frozen=True, slots=True)
class Source:
    """The message that facts come from: everything mapping may know beside its text."""

    feed: str
    sha256: str
    received: datetime
    mapping_version: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ResultOrder:
    """When a fact was analysed (OBX-19), reported (OBR-22), sent (MSH-7) and received: decides
    which of two versions is the newer."""

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


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a fact would store under `resource_type`/`id`, to be decided under the row's lock.

    `keeps_value`: only the status of what is stored changes. `needs_original`: refused if nothing
    is stored. `weak`: another value under this id is a conflict, not a correction. `said_before`:
    the earlier message that said the same of this result.
    """

    resource: Json
    order: ResultOrder
    needs_original: bool = False
    keeps_value: bool = False
    weak: bool = False
    said_before: int | None = None

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
class Fact:
    """One fact of a message. With an `outcome` it is settled; without, `candidate` is stored.

    `specimen` and `report` are resources that come with it. `code` and `system` are empty for
    patients who are no subjects.
    """

    ordinal: int
    place: str
    span: Span
    outcome: Outcome | None = None
    reason: Reason | None = None
    field_number: int | None = None
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
    candidate: Candidate | None = field(default=None, repr=False)
    specimen: Candidate | None = field(default=None, repr=False)
    report: Candidate | None = field(default=None, repr=False)

    def settled(self, outcome: Outcome, detail: str = "", reason: Reason | None = None) -> Fact:
        return replace(self, outcome=outcome, detail=detail, reason=reason, candidate=None)

    def failed(self, failure: Failure) -> Fact:
        """Quarantined for this failure."""
        return replace(
            self,
            outcome=Outcome.QUARANTINED,
            reason=failure.reason,
            detail=failure.detail,
            field_number=failure.field,
            candidate=None,
        )
