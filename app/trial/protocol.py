"""The protocol as frozen records: what protocol.toml says, checked (see `protocol_file`).

The records hold plain values; where each came from is in `Protocol.marks`, by its path in the
file (`visits.M1.target`). Days are elapsed days since the first dose (e = date − t0.date).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from app.trial.sourced import Mark


@dataclass(frozen=True, slots=True)
class Study:
    nct: str
    organization_id: str
    acronym: str
    title: str
    description: str
    sponsor: str
    site: str
    study_type: str
    phase: str
    allocation: str
    intervention_model: str
    masking: str
    purpose: str
    target_number: int
    sexes: str
    healthy_volunteers: bool
    overall_status: str
    fhir_status: str
    conditions: tuple[str, ...]
    keywords: tuple[str, ...]
    arm_name: str
    arm_type: str
    arm_description: str


@dataclass(frozen=True, slots=True)
class Objective:
    code: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Publication:
    citation: str
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What one source says where the sources disagree."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    code: str
    topic: str
    used: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Criterion:
    """`kind` is `inclusion` (must be met) or `exclusion` (must not be met); where `overridable`, a
    participant may be enrolled against it for a recorded reason."""

    code: str
    kind: str
    overridable: bool
    text: str

    @property
    def wanted(self) -> str:
        """The answer that lets a participant in."""
        return "met" if self.kind == "inclusion" else "not-met"


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Ages in completed years at consent, platelets in 10*9/L."""

    age_minimum: int
    age_maximum: int
    age_of_majority: int
    platelets_below: Decimal
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A connective tissue disease; `snomed` only where the code is verified."""

    code: str
    display: str
    listed: bool
    snomed: str | None


@dataclass(frozen=True, slots=True)
class Dosing:
    """Doses in mg a day."""

    loading_dose: Decimal
    loading_days: int
    maintenance_dose: Decimal
    follow_up_months: int
    first_dose_statuses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    code: str
    label: str
    window_days: int
    same_day_date_only_is_baseline: bool
    transfusion_washout_days: int
    ivig_washout_days: int


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit after baseline: its window `low`–`high` is inclusive, in elapsed days."""

    code: str
    label: str
    month: int
    target: int
    low: int
    high: int
    tolerance: int


@dataclass(frozen=True, slots=True)
class CodedTest:
    """A LOINC code and whether its results count as this measurement."""

    code: str
    display: str
    counted: bool


@dataclass(frozen=True, slots=True)
class MeasurementKind:
    """What the trial reads as one kind of measurement; `conversions` are exact factors from a UCUM
    code to the canonical `unit`."""

    kind: str
    title: str
    unit: str
    valid_statuses: tuple[str, ...]
    codes: tuple[CodedTest, ...]
    conversions: Mapping[str, Decimal]

    @property
    def counted(self) -> frozenset[str]:
        return frozenset(test.code for test in self.codes if test.counted)


@dataclass(frozen=True, slots=True)
class MedicationCodes:
    code: str
    title: str
    rxnorm: str
    atc: str
    atc_former: str


@dataclass(frozen=True, slots=True)
class Population:
    code: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class PerProtocol:
    adherence_minimum_percent: Decimal
    visit: str


@dataclass(frozen=True, slots=True)
class ResponseRule:
    """Counts in 10*9/L. Complete: above `complete_threshold` (or at it, if inclusive). Partial:
    above `partial_multiple` times baseline (or at it), at least `partial_minimum`, and below
    `partial_below`, where these are set. `visit`: the rule looks at that visit only. `partial_code`
    is the rule's short name of a partial response."""

    id: str
    version: str
    title: str
    default: bool
    source: str
    complete_threshold: Decimal
    complete_inclusive: bool
    partial_minimum: Decimal | None
    partial_below: Decimal | None
    partial_multiple: Decimal
    partial_inclusive: bool
    bleeding_excludes: bool
    response_confirmation_days: int | None
    loss_confirmation_days: int | None
    visit: str | None
    partial_code: str = "PR"


@dataclass(frozen=True, slots=True)
class Response:
    """`bleeding_days`: an assessment of bleeding speaks for counts at most this far away;
    `stopped_*_statuses` say that sirolimus was stopped for good."""

    baseline_stratum: Decimal
    thresholds: tuple[Decimal, ...]
    sustained_visits: tuple[str, ...]
    bleeding_days: int
    bleeding_grade: int
    stopped_prescription_statuses: tuple[str, ...]
    stopped_subject_statuses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subgroups:
    """What participants are divided by: `age_cut` in years, `activity_cut` in points of the
    `activity_instrument`; `ctd_reference` is set against all other diagnoses."""

    age_cut: int
    activity_instrument: str
    activity_cut: Decimal
    ctd_reference: str


@dataclass(frozen=True, slots=True)
class ChangeModel:
    """The mixed model for repeated measures: `covariances` in the order in which they are tried; a
    visit needs `least_observations`; means are told at the baseline's mean over `reference`,
    `participants` or `observations`."""

    covariances: tuple[str, ...]
    degrees_of_freedom: str
    least_observations: int
    reference: str


@dataclass(frozen=True, slots=True)
class TimeToRemission:
    """`administrative_end` in elapsed days; remission of the connective tissue disease is a score
    of `ctd_instrument` at or below `ctd_threshold`."""

    administrative_end: int
    ctd_instrument: str
    ctd_threshold: Decimal


@dataclass(frozen=True, slots=True)
class Trough:
    """Range in ng/mL, both ends inclusive."""

    low: Decimal
    high: Decimal
    hours_after_dose_minimum: int
    hours_after_dose_maximum: int
    before_the_days_dose: bool
    steady_state_days: int
    maximum_gap_days: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """`unrecorded_days`: what adherence makes of a day that nothing is recorded of, `not-taken` or
    `left-out`. `interruption_days` in a row told as not taken are an interruption."""

    unrecorded_days: str
    interruption_days: int


@dataclass(frozen=True, slots=True)
class DeviationRule:
    """`code` is one that the code knows; `severity` is `major` or `minor`."""

    code: str
    title: str
    severity: str


@dataclass(frozen=True, slots=True)
class DeviationLimits:
    """A dose change is explained by what happened within `change_reason_days` before it."""

    change_reason_days: int


@dataclass(frozen=True, slots=True)
class Safety:
    """Adverse events and platelet grades. `platelet_grades` are the limits below which grades 2, 3
    and 4 lie, `platelet_lower_limit` that of grade 1 (10*9/L). `vague_onset` tells what becomes of
    an onset that may lie on treatment or outside; `severe_grade` is the first of severe events."""

    treatment_emergent_days: int
    grading: str
    platelet_grades: tuple[Decimal, ...]
    small_cell: int
    platelet_lower_limit: Decimal
    vague_onset: str
    related_causalities: tuple[str, ...]
    unassessed_is_related: bool
    dose_change_actions: tuple[str, ...]
    stop_actions: tuple[str, ...]
    severe_grade: int


@dataclass(frozen=True, slots=True)
class Statistics:
    confidence_level: Decimal
    quantile: str


@dataclass(frozen=True, slots=True)
class ActivityInstrument:
    code: str
    title: str
    responder_decrease: Decimal | None
    platelet_item: bool


@dataclass(frozen=True, slots=True)
class IntercurrentEvent:
    code: str
    title: str
    includes: tuple[str, ...]
    strategies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EndpointDefinition:
    """One version of one endpoint. `assumptions` are told in every answer: the definition's own,
    and the assumed values [A] of the parts of the protocol that it `reads`."""

    id: str
    version: str
    default: bool
    role: str
    title: str
    population: str
    estimand: str
    response_rule: str | None
    reads: tuple[str, ...]
    text: str
    source: str
    assumptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Protocol:
    version: str
    study: Study
    objectives: tuple[Objective, ...]
    published: tuple[Publication, ...]
    contradictions: tuple[Contradiction, ...]
    eligibility: Eligibility
    diagnoses: Mapping[str, Diagnosis]
    dosing: Dosing
    month_days: Decimal
    first_study_day: int
    baseline: Baseline
    visits: tuple[Visit, ...]
    measurements: Mapping[str, MeasurementKind]
    medication: MedicationCodes
    populations: Mapping[str, Population]
    per_protocol: PerProtocol
    response_rules: tuple[ResponseRule, ...]
    response: Response
    subgroups: Subgroups
    change_model: ChangeModel
    time_to_remission: TimeToRemission
    trough: Trough
    exposure: Exposure
    deviations: Mapping[str, DeviationRule]
    deviation_limits: DeviationLimits
    safety: Safety
    statistics: Statistics
    activity_instruments: Mapping[str, ActivityInstrument]
    intercurrent_events: Mapping[str, IntercurrentEvent]
    endpoint_versions: tuple[EndpointDefinition, ...]
    marks: Mapping[str, Mark]

    @property
    def endpoints(self) -> Mapping[str, EndpointDefinition]:
        """The default version of each endpoint, by its id."""
        return {each.id: each for each in self.endpoint_versions if each.default}
