"""The records of the endpoints: rows of the trial database, rules as data, one request.

Dates follow the study's zone; `elapsed` days count from the date of the first dose (day 0).
ADaM names: https://www.cdisc.org/standards/foundational/adam
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal

from app.trial import EndpointDefinition, Visit


@dataclass(frozen=True, slots=True)
class Source:
    """The version of a resource that a row was read from."""

    resource_type: str
    id: str
    version: int

    @property
    def reference(self) -> str:
        return f"{self.resource_type}/{self.id}"

    @property
    def url(self) -> str:
        return f"/fhir/{self.resource_type}/{self.id}/_history/{self.version}"


@dataclass(frozen=True, slots=True)
class ClinicalTime:
    """When something happened: where the recorded time begins, and its precision."""

    begin: datetime
    precision: str

    @property
    def has_date(self) -> bool:
        return self.precision not in ("year", "month")

    @property
    def has_time(self) -> bool:
        return self.precision not in ("year", "month", "day")

    def date(self, zone: tzinfo) -> date:
        return self.begin.astimezone(zone).date()


@dataclass(frozen=True, slots=True)
class Subject:
    """A participant of the study; `consented` says whether enrolment (consent) is recorded."""

    subject: str
    consented: bool
    source: Source


@dataclass(frozen=True, slots=True)
class Measurement:
    """A count in the protocol's unit. `scale_suspect`: flagged for review, used all the same."""

    subject: str
    when: ClinicalTime | None
    value: Decimal | None
    unit: str | None
    comparator: str | None
    status: str
    analytic_suspect: bool
    scale_suspect: bool
    data_absent_reason: str | None
    source: Source


@dataclass(frozen=True, slots=True)
class Dose:
    subject: str
    when: ClinicalTime | None
    amount: Decimal | None
    unit: str | None
    status: str
    source: Source


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """The figures of the protocol that the change of platelet count depends on."""

    unit: str
    baseline_days: int
    same_day_date_only_is_baseline: bool
    visits: tuple[Visit, ...]
    measurement_statuses: tuple[str, ...]
    dose_statuses: tuple[str, ...]
    stratum_below: Decimal
    confidence: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Two clocks: events that began before `before` (clinical), as known at `as_of` (system).

    `cutoff` is how the clinical cut was asked for and is told in the answer.
    """

    cutoff: str
    before: datetime
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Rows:
    """What was read of the trial database under one cut."""

    subjects: tuple[Subject, ...]
    measurements: tuple[Measurement, ...]
    doses: tuple[Dose, ...]


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """All that an answer of the platelet change depends on beside the rows."""

    definition: EndpointDefinition
    rules: ChangeRules
    zone: tzinfo
    cut: Cut
    population: str
    software: str
