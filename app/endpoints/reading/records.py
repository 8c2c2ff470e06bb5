"""The records of the endpoints: rows of the trial database, and what is asked of them.

Dates follow the study's zone; `elapsed` days count from the date of the first dose (day 0).
ADaM names: https://www.cdisc.org/standards/foundational/adam
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import TypeVar

from app.endpoints.public import Release
from app.numerous import numerous
from app.trial import EndpointDefinition, Protocol


@numerous(frozen=True, slots=True)
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


@numerous(frozen=True, slots=True)
class ClinicalTime:
    """When something happened: the recorded time begins at `begin`, with its precision. `day` and
    `last_day` are calendar days in the study's zone; None where they are not known, and for a
    `last_day` of what goes on."""

    begin: datetime
    precision: str
    day: date | None
    last_day: date | None

    @property
    def has_date(self) -> bool:
        return self.day is not None

    @property
    def has_time(self) -> bool:
        return self.precision not in ("year", "month", "day")


@numerous(frozen=True, slots=True)
class Record:
    """A row of the trial database. `when` is its clinical time."""

    subject: str
    when: ClinicalTime | None
    source: Source

    @property
    def day(self) -> date | None:
        return self.when.day if self.when else None


@numerous(frozen=True, slots=True)
class Subject(Record):
    """A ResearchSubject of this study; `when` is the consent. `ended` is the last day on study."""

    status: str
    consent: str | None
    arm: str | None
    age_at_consent: int | None
    ended: date | None
    synthetic: bool
    reason: str | None

    @property
    def consented(self) -> bool:
        """Consent is recorded if it has a date or a document."""
        return self.when is not None or self.consent is not None


@numerous(frozen=True, slots=True)
class Demographic(Record):
    gender: str | None
    birth_year: int | None


@numerous(frozen=True, slots=True)
class Diagnosis(Record):
    """`code` is one of the protocol's connective tissue diseases; `when` its onset."""

    code: str
    clinical_status: str | None
    verification: str | None


@numerous(frozen=True, slots=True)
class Measurement(Record):
    """A value in the protocol's unit. `scale_suspect`: flagged for review, used all the same.
    `key` stands for it in the columns."""

    key: int
    kind: str
    code: str
    status: str
    value: Decimal | None
    unit: str | None
    comparator: str | None
    data_absent_reason: str | None
    analytic_suspect: bool
    scale_suspect: bool


@numerous(frozen=True, slots=True)
class Dose(Record):
    """Sirolimus, `amount` in mg. `origin`: `diary` or `pill-count` at home, None in hospital.
    `total`: mg taken over the whole period of `when`, as a pill count gives it. `key` stands for it
    in the columns."""

    key: int
    status: str
    amount: Decimal | None
    unit: str | None
    origin: str | None
    total: Decimal | None


@numerous(frozen=True, slots=True)
class Attendance(Record):
    """An Encounter that is a visit of the protocol (`visit` is its code)."""

    visit: str
    status: str


@numerous(frozen=True, slots=True)
class AdverseEvent(Record):
    """`when` is the onset. `grade` of CTCAE 1-5 by the version `grading`; `soc` its system organ
    class; `action` with sirolimus; `resolved` the last day."""

    status: str
    actuality: str
    term: str | None
    serious: bool | None
    seriousness_criteria: tuple[str, ...]
    grade: int | None
    severity: str | None
    outcome: str | None
    causality: str | None
    expected: bool | None
    recorded: datetime | None
    soc: str | None
    grading: str | None
    action: str | None
    resolved: date | None


@numerous(frozen=True, slots=True)
class ActivityScore(Record):
    """`kind` is the instrument; `platelet_item` what platelets contribute to `value`."""

    kind: str
    status: str
    value: Decimal | None
    platelet_item: Decimal | None
    data_absent_reason: str | None


@numerous(frozen=True, slots=True)
class Bleeding(Record):
    """`grade` of the WHO scale (0 none - 4) where it was assessed."""

    status: str
    assessed: bool
    grade: int | None
    sites: tuple[str, ...]


@numerous(frozen=True, slots=True)
class Treatment(Record):
    """Other than sirolimus: `kind` is rescue, background or prescribed (also of sirolimus, whose
    `group` is study-medication). `prednisone_mg`: a day's prednisone equivalent of a steroid."""

    kind: str
    group: str
    drug: str | None
    status: str
    amount: Decimal | None
    unit: str | None
    daily_mg: Decimal | None
    prednisone_mg: Decimal | None


@numerous(frozen=True, slots=True)
class Eligibility(Record):
    """`answers` (met, not-met, unknown, overridden) stand in the order of `criteria`; `when`: the
    time of the answers."""

    status: str
    criteria: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """Two clocks: events that began before `before` (clinical), as known at `as_of` (system).

    `cutoff` is how the clinical cut was asked for and is told in the answer.
    """

    cutoff: str
    before: datetime
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """All that an answer depends on beside the rows. `view` is what is asked for: `figures`,
    `subjects`, or the name of a plot; `format` how it is told; `release` how it is made public, if
    it is. `parameters` are those beyond population and subgroup, by name, defaults filled in.
    """

    definition: EndpointDefinition
    protocol: Protocol
    zone: tzinfo
    cut: Cut
    software: str
    population: str
    view: str = "figures"
    format: str = "json"
    subgroup: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None
    release: Release | None = None


R = TypeVar("R", bound=Record)


class Rows:
    """Records by table and participant, in the order of time within a participant."""

    __slots__ = ("_by_subject", "_tables")

    def __init__(self, tables: Mapping[type[Record], Sequence[Record]]) -> None:
        self._tables = {kind: sorted(rows, key=_time_order) for kind, rows in tables.items()}
        self._by_subject: dict[type[Record], dict[str, list[Record]]] = {}

    def changed(self, changes: Mapping[type[Record], Callable[..., Record]]) -> Rows:
        """The same rows in the same order, those of some tables changed one by one."""
        other = Rows({})
        other._tables = {
            kind: [changes[kind](row) for row in rows] if kind in changes else rows
            for kind, rows in self._tables.items()
        }
        return other

    def has(self, kind: type[Record]) -> bool:
        """Whether this table was read at all."""
        return kind in self._tables

    def all(self, kind: type[R]) -> Sequence[R]:
        """KeyError if the endpoint's entry in the catalogue does not name the table."""
        return self._tables[kind]  # type: ignore[return-value]

    def of(self, kind: type[R], subject: str) -> Sequence[R]:
        """One participant's records of a table."""
        if kind not in self._by_subject:
            grouped: dict[str, list[Record]] = {}
            for row in self._tables[kind]:
                grouped.setdefault(row.subject, []).append(row)
            self._by_subject[kind] = grouped
        return self._by_subject[kind].get(subject, ())  # type: ignore[return-value]


_NO_TIME = datetime.max.replace(tzinfo=UTC)


def _time_order(row: Record) -> tuple[object, ...]:
    when, source = row.when, row.source
    begin = when.begin if when is not None else _NO_TIME
    return row.subject, begin, source.id, source.version
