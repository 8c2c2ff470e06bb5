"""The JSON of `/trial`: what enrolment takes, and what the trial's routes answer.

A refused body is told by field and rule; its values are never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    model_validator,
)
from pydantic.alias_generators import to_camel

from app.errors import Category, Issue, errors
from app.trial.codes import SITE_ID
from app.trial.eligibility import Answer, Enrolment
from app.trial.enrolment import Request
from app.trial.identity import Mrn, distinct_mrns, normal_mrn
from app.trial.mrns import MrnChange, MrnOutcome
from app.trial.participation import Disposition, Recorded
from app.trial.protocol import Protocol
from app.trial.sourced import SOURCES
from app.trial.subject_detail import SubjectDetail
from app.trial.subjects import SubjectSummary

Authority = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
PRINTABLE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
"""No control characters, and something other than white space."""


def _visible(mrn: str) -> str:
    if not normal_mrn(mrn):
        raise ValueError("must hold visible characters")
    return mrn


MrnText = Annotated[str, Field(max_length=64, pattern=PRINTABLE), AfterValidator(_visible)]
Line = Annotated[str, Field(max_length=500, pattern=PRINTABLE)]


def _iso_day(value: object) -> object:
    """pydantic alone would take seconds since 1970 for a date."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return value
    raise ValueError("must be a date of the form YYYY-MM-DD")


Day = Annotated[date, BeforeValidator(_iso_day)]


class _Body(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )


class MrnBody(_Body):
    """A medical record number and who assigned it."""

    mrn: MrnText
    authority: Authority = SITE_ID


class AnswerBody(_Body):
    """Whether the criterion's statement holds; a reason where the subject is enrolled all the same.
    The reason is kept encrypted, beside the identity: FHIR says only that there is one."""

    answer: Literal["met", "not-met", "unknown"]
    override_reason: Line | None = None


def name_authorities(
    given: Sequence[tuple[str, str, str]], authorities: Mapping[str, str]
) -> list[Mrn]:
    """Numbers given as (place, authority, number), with their authorities by the trial's names.

    UNPROCESSABLE for an authority that is none of `authorities` (name by spelling).
    """
    told = f"must be one of {', '.join(sorted(set(authorities.values())))}"
    unknown = [place for place, authority, _ in given if authority not in authorities]
    if unknown:
        issues = [Issue("business-rule", told, place) for place in unknown]
        raise errors(Category.UNPROCESSABLE, issues)
    return [(authorities[authority], mrn) for _, authority, mrn in given]


class StatusBody(_Body):
    """The end of a subject's participation: `on` is its last day; or `on-study`, where the end was
    recorded in error. The reasons are those of the CodeSystem participation-reason."""

    status: Literal["withdrawn", "screen-failed", "completed", "on-study"]
    on: Day
    reason: Annotated[str, Field(max_length=64)]

    def to_disposition(self) -> Disposition:
        return Disposition(self.status, self.on, self.reason)


class MrnChangeBody(MrnBody):
    """A hospital number to add to a subject or to take from it. No answer repeats it."""

    action: Literal["add", "remove"]

    def to_change(self, authorities: Mapping[str, str]) -> MrnChange:
        """UNPROCESSABLE for an authority that is none of `authorities` (name by spelling)."""
        given = [("authority", self.authority, self.mrn)]
        return MrnChange(self.action, *name_authorities(given, authorities))


class EnrolmentBody(_Body):
    """One person to enrol. `mrn` (with `authority`) or `mrns`; `birthDate` or `birthYear`.

    MRNs and birth date are kept encrypted, of the name only a keyed hash; none of them leaves the
    service.
    """

    mrn: MrnText | None = None
    authority: Authority = SITE_ID
    mrns: Annotated[list[MrnBody], Field(max_length=10)] = Field(default_factory=list)
    name: Annotated[str, Field(max_length=200, pattern=PRINTABLE)] | None = None
    gender: Literal["female", "male", "other", "unknown"]
    birth_date: Day | None = None
    birth_year: Annotated[int, Field(ge=1850, le=9999)] | None = None
    consent_date: Day
    guardian_consent: StrictBool = False
    diagnosis: Annotated[str, Field(max_length=64)]
    screening_platelets: Annotated[Decimal, Field(ge=0, le=10_000)] | None = None
    eligibility: dict[str, AnswerBody]
    synthetic: StrictBool = False

    @model_validator(mode="after")
    def _has_mrn(self) -> EnrolmentBody:
        if (self.mrn is None) == (not self.mrns):
            raise ValueError("give either mrn or mrns")
        return self

    @model_validator(mode="after")
    def _has_birth(self) -> EnrolmentBody:
        if self.birth_date is None and self.birth_year is None:
            raise ValueError("give birthDate or birthYear")
        given, known = self.birth_year, self.birth_date
        if given is not None and known is not None and known.year != given:
            raise ValueError("birthDate and birthYear do not agree")
        return self

    def to_request(
        self, authorities: Mapping[str, str], idempotency_key: str | None = None
    ) -> Request:
        """The enrolment as the trial's own record, authorities by their names there.

        UNPROCESSABLE for an authority that is none of `authorities` (name by spelling).
        """
        answers = {
            code: Answer(each.answer, each.override_reason)
            for code, each in self.eligibility.items()
        }
        enrolment = Enrolment(
            mrns=self._all_mrns(authorities),
            name=self.name,
            gender=self.gender,
            birth_date=self.birth_date,
            birth_year=self._year(),
            consent_date=self.consent_date,
            guardian_consent=self.guardian_consent,
            diagnosis=self.diagnosis,
            screening_platelets=self.screening_platelets,
            answers=answers,
            synthetic=self.synthetic,
        )
        return Request(enrolment, self.model_dump(mode="json"), idempotency_key)

    def _all_mrns(self, authorities: Mapping[str, str]) -> tuple[Mrn, ...]:
        given = [("authority", self.authority, self.mrn)] if self.mrn is not None else []
        given += [
            (f"mrns[{position}].authority", each.authority, each.mrn)
            for position, each in enumerate(self.mrns)
        ]
        return distinct_mrns(name_authorities(given, authorities))

    def _year(self) -> int:
        return self.birth_date.year if self.birth_date is not None else self.birth_year or 0


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class EnrolmentAnswer(_Answer):
    """`created` is false where the same request had enrolled the subject before."""

    number: str
    created: bool
    patient: str
    research_subject: str


class SubjectAnswer(_Answer):
    number: str
    study: str
    status: str
    arm: str | None
    consent_date: date | None
    ended: date | None
    age_at_consent: int | None
    gender: str | None
    birth_year: int | None
    diagnosis: str | None
    synthetic: bool
    patient: str

    @classmethod
    def of(cls, summary: SubjectSummary) -> SubjectAnswer:
        return cls(
            number=summary.number,
            study=summary.study,
            status=summary.status,
            arm=summary.arm,
            consent_date=summary.consent_date,
            ended=summary.ended,
            age_at_consent=summary.age_at_consent,
            gender=summary.gender,
            birth_year=summary.birth_year,
            diagnosis=summary.diagnosis,
            synthetic=summary.synthetic,
            patient=f"/fhir/Patient/{summary.number}",
        )


class ConsentAnswer(_Answer):
    """`status` as FHIR has it: active, or inactive once it was withdrawn. `ended`: the last day
    whose data it covers."""

    status: str
    given: str | None
    ended: str | None


class CriterionAnswered(_Answer):
    criterion: str
    answer: str
    overridden: bool


class PlannedVisitAnswer(_Answer):
    """The days are known once the first dose is."""

    code: str
    label: str
    target: date | None
    earliest: date | None
    latest: date | None


class SubjectDetailAnswer(SubjectAnswer):
    """A subject with consent, eligibility answers and planned visits. `reason`: of the latest
    change of participation."""

    reason: str | None
    first_dose: date | None
    consent: ConsentAnswer | None
    eligibility: list[CriterionAnswered]
    visits: list[PlannedVisitAnswer]

    @classmethod
    def of_detail(cls, detail: SubjectDetail) -> SubjectDetailAnswer:
        consent = detail.consent
        return cls(
            **SubjectAnswer.of(detail.summary).model_dump(),
            reason=detail.reason,
            first_dose=detail.first_dose,
            consent=ConsentAnswer(**asdict(consent)) if consent else None,
            eligibility=[CriterionAnswered(**asdict(each)) for each in detail.eligibility],
            visits=[PlannedVisitAnswer(**asdict(each)) for each in detail.visits],
        )


class StatusAnswer(_Answer):
    """`changed` is false where it was recorded so already. `storedAfter`: how many values stored
    were collected after the last day, before the end was known: to be reviewed."""

    number: str
    status: str
    changed: bool
    stored_after: int

    @classmethod
    def of(cls, status: str, recorded: Recorded) -> StatusAnswer:
        return cls(
            number=recorded.number,
            status=status,
            changed=recorded.changed,
            stored_after=recorded.stored_after,
        )


class MrnAnswer(_Answer):
    """`changed` is false where it was so already; `mrns`: how many numbers the subject has now."""

    number: str
    changed: bool
    mrns: int

    @classmethod
    def of(cls, outcome: MrnOutcome) -> MrnAnswer:
        return cls(number=outcome.number, changed=outcome.changed, mrns=outcome.count)


class SubjectsAnswer(_Answer):
    """`next`: the address of the following page, absent on the last."""

    subjects: list[SubjectAnswer]
    next: str | None = None


class SourcedValue(_Answer):
    """One value of the protocol with its source mark."""

    path: str
    value: Any
    unit: str | None
    source: str
    note: str | None


class EndpointAnswer(_Answer):
    id: str
    version: str
    default: bool
    role: str
    title: str
    population: str
    source: str
    text: str
    assumptions: list[str]
    measure: str


class StatementAnswer(_Answer):
    text: str
    source: str


class ContradictionAnswer(_Answer):
    code: str
    topic: str
    used: str
    statements: list[StatementAnswer]


class ProtocolAnswer(_Answer):
    """The definitions that figures rest on, each with its source; what the sources disagree on."""

    version: str
    sources: dict[str, str]
    values: list[SourcedValue]
    endpoints: list[EndpointAnswer]
    contradictions: list[ContradictionAnswer]

    @classmethod
    def of(cls, protocol: Protocol) -> ProtocolAnswer:
        return cls(
            version=protocol.version,
            sources=dict(SOURCES),
            values=[
                SourcedValue(
                    path=mark.path,
                    value=mark.value,
                    unit=mark.unit,
                    source=mark.source,
                    note=mark.note,
                )
                for mark in protocol.marks.values()
            ],
            endpoints=[
                EndpointAnswer(
                    id=each.id,
                    version=each.version,
                    default=each.default,
                    role=each.role,
                    title=each.title,
                    population=each.population,
                    source=each.source,
                    text=each.text,
                    assumptions=list(each.assumptions),
                    measure=f"/fhir/Measure/{each.id}-{each.version}",
                )
                for each in protocol.endpoint_versions
            ],
            contradictions=[
                ContradictionAnswer(
                    code=each.code,
                    topic=each.topic,
                    used=each.used,
                    statements=[
                        StatementAnswer(text=said.text, source=said.source)
                        for said in each.statements
                    ],
                )
                for each in protocol.contradictions
            ],
        )
