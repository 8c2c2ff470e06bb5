"""The shapes of the answers, for the OpenAPI document; a test holds the answers against them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Number = float | None
"""A figure; null has its reason in `reasons` beside it."""

Reasons = Annotated[
    dict[str, str], Field(description="Why each figure that is null is not defined.")
]
Instant = Annotated[str, Field(examples=["2026-01-31T04:00:00.000000Z"])]


def json_name(name: str) -> str:
    """`used_as` is told as `usedAs`, ADaM's upper-case names as they are."""
    return name if name.isupper() else to_camel(name)


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=json_name)


class Definition(Shape):
    id: str
    version: str
    role: str
    title: str
    text: str
    source: Annotated[
        str,
        Field(
            description="S study record, R registry, P paper, L published standard, A assumption"
        ),
    ]
    population: str
    assumptions: list[str]


class ListedDefinition(Definition):
    default: bool
    answers: Annotated[list[str], Field(description="Addresses; empty while not answered.")]
    parameters: Annotated[
        dict[str, list[str]], Field(description="Own parameters, with what each may be.")
    ]
    plots: list[str]


class Definitions(Shape):
    protocol: str
    software: str
    populations: list[str]
    subgroups: list[str]
    endpoints: list[ListedDefinition]


class Versioned(Shape):
    resource: Annotated[str, Field(examples=["Observation/lis-4711"])]
    version: int
    url: Annotated[str, Field(examples=["/fhir/Observation/lis-4711/_history/2"])]


class Input(Versioned):
    subject: str
    used_as: str
    visit: str | None


class Summary(Shape):
    n: int
    mean: Number
    sd: Number
    median: Number
    q1: Number
    q3: Number
    min: Number
    max: Number
    ci_low: Number
    ci_high: Number
    reasons: Reasons


class PercentSummary(Summary):
    undefined: Annotated[int, Field(description="Baseline is 0.")]


class Ratio(Shape):
    n: int
    ln_mean: Number
    ln_sd: Number
    geometric_mean: Number
    ci_low: Number
    ci_high: Number
    undefined: Annotated[int, Field(description="Baseline or count is 0.")]
    reasons: Reasons


class PairedT(Shape):
    n: int
    t: Number
    df: int | None
    p: Number
    reasons: Reasons


class SignedRank(Shape):
    n: int
    zeros: int
    non_zero: int
    w_plus: Number
    s: Number
    p: Number
    method: str | None
    reasons: Reasons


class HodgesLehmann(Shape):
    n: int
    estimate: Number
    ci_low: Number
    ci_high: Number
    attained: Annotated[Number, Field(description="Confidence that the interval attains.")]
    method: str | None
    reasons: Reasons


class Tests(Shape):
    paired_t: PairedT
    signed_rank: SignedRank
    hodges_lehmann: HodgesLehmann


class SubjectReason(Shape):
    subject: str
    reason: str


class SubjectReasons(Shape):
    n: int
    reasons: dict[str, int]
    subjects: Annotated[
        list[SubjectReason] | None,
        Field(description="Who; null with more than 1,000 participants."),
    ]


class Window(Shape):
    """Elapsed days since the first dose, both ends included."""

    target: int
    low: int
    high: int
    tolerance: int
    unit: Literal["d"]


class Figures(Shape):
    change: Summary
    percent_change: PercentSummary
    ratio: Ratio


class VisitFigures(Figures):
    visit: str
    label: str
    month: int
    window: Window
    n: Annotated[int, Field(description="Participants with baseline and a count at the visit.")]
    missing: SubjectReasons
    outside_tolerance: int
    scale_suspect: int
    observed: Summary
    tests: Tests


class Stratum(Shape):
    name: str
    n: int
    visits: list[VisitFigures]


class LocfVisit(Figures):
    visit: str
    n: int
    carried_forward: int
    missing: int


class Locf(Shape):
    rule: str
    visits: list[LocfVisit]


class PolicyVisit(Figures):
    visit: str
    n: int


class TreatmentPolicy(Shape):
    rule: str
    visits: list[PolicyVisit]


class Sensitivity(Shape):
    locf: Locf
    treatment_policy: TreatmentPolicy


class MissingBaseline(Shape):
    n: int
    subjects: list[str] | None


class Baseline(Shape):
    n: int
    missing: MissingBaseline
    observed: Summary


class Doses(Shape):
    unusable: Annotated[
        dict[str, int], Field(description="Doses that can't be the first, by reason.")
    ]


class Counts(Shape):
    total: int
    chosen: int
    unusable: dict[str, int]


class Population(Shape):
    name: str
    n: int
    subjects: list[str] | None
    excluded: Annotated[
        SubjectReasons,
        Field(description="Everyone else with a dose, count or enrolment on record, with why."),
    ]


class Header(Shape):
    endpoint: str
    definition: Definition
    cutoff: Annotated[
        str,
        Field(
            description="Clinical: what began until then. Without the parameter, asOf.",
            examples=["2025-12-31"],
        ),
    ]
    as_of: Annotated[Instant, Field(description="System time: what was known then.")]
    software: str
    parameters: dict[str, str]
    population: Population


class Inputs(Shape):
    """Every resource version that a figure rests on; with more than 1,000 participants they stand
    under `/subjects` only, as `reason` says."""

    listed: list[Input] | None
    reason: str | None


class Subgroup(Shape):
    subgroup: str
    level: str
    n: int
    figures: dict[str, Any]


class EndpointAnswer(Header):
    """Every endpoint's answer; docs/endpoints.md tells the figures of each."""

    figures: dict[str, Any]
    subgroups: list[Subgroup]
    inputs: Inputs
    methods: dict[str, str]
    notes: list[str]


class Rescue(Shape):
    strategy: str
    participants: int
    first_by: dict[str, int]
    counts_set_aside: int


class Events(Shape):
    rescue: Rescue


class PlateletChangeFigures(Shape):
    unit: str
    confidence: float
    baseline: Baseline
    visits: list[VisitFigures]
    strata: list[Stratum]
    sensitivity: Sensitivity
    intercurrent_events: Events
    doses: Doses
    counts: Counts


class PlateletChange(EndpointAnswer):
    figures: PlateletChangeFigures  # type: ignore[assignment]


class ListedPage(Shape):
    """A listing tells of 1,000 participants at most; `population` is then that of the page."""

    after: Annotated[str | None, Field(description="As asked for.")]
    next: Annotated[str | None, Field(description="What `after` is to be for the next page.")]


class EndpointSubjects(Header):
    """One entry per participant, and one row per resource that a figure may rest on."""

    model_config = ConfigDict(extra="allow", strict=True, alias_generator=json_name)

    page: ListedPage
    subjects: list[dict[str, Any]]
    rows: list[dict[str, Any]]


class MissingVisit(Shape):
    visit: str
    reason: str


class UnusableDose(Versioned):
    reason: str


class ChangeSubject(Shape):
    USUBJID: str
    TRTSDT: str | None
    TRTSDTM: str | None
    BASE: Number
    first_dose: Versioned | None
    baseline: Versioned | None
    rescue: Versioned | None
    unusable_doses: list[UnusableDose]
    missing: list[MissingVisit]


class ChangeRow(Versioned):
    """One count as ADaM's BDS has it; windows in elapsed days."""

    USUBJID: str
    SUBJID: str
    PARAMCD: str
    ADT: str | None
    ADTM: str | None
    ADY: int | None
    elapsed: int | None
    AVISIT: str | None
    AVISITN: int | None
    AWTARGET: int | None
    AWTDIFF: int | None
    AWLO: int | None
    AWHI: int | None
    AWU: str | None
    in_tolerance: bool | None
    AVAL: Number
    AVALC: str | None
    AVALU: str | None
    BASE: Number
    CHG: Number
    PCHG: Number
    LNRATIO: Number
    ABLFL: Literal["Y"] | None
    ANL01FL: Literal["Y"] | None
    not_used: str | None
    scale_suspect: bool


class PlateletChangeSubjects(Header):
    page: ListedPage
    unit: str
    subjects: list[ChangeSubject]
    rows: list[ChangeRow]


class Problem(Shape):
    """An OperationOutcome. https://hl7.org/fhir/R4/operationoutcome.html"""

    resource_type: Literal["OperationOutcome"]
    issue: list[dict[str, Any]]
