"""Reads protocol.toml into the records of `protocol`, checking each entry as it is read: a start
with a bad file ends with every problem told by file, key and reason."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app.errors import Category, error
from app.trial.protocol import (
    ActivityInstrument,
    Baseline,
    ChangeModel,
    CodedTest,
    Contradiction,
    Criterion,
    DeviationLimits,
    DeviationRule,
    Diagnosis,
    Dosing,
    Eligibility,
    EndpointDefinition,
    Exposure,
    IntercurrentEvent,
    MeasurementKind,
    MedicationCodes,
    Objective,
    PerProtocol,
    Population,
    Protocol,
    Publication,
    Response,
    ResponseRule,
    Safety,
    Statement,
    Statistics,
    Study,
    Subgroups,
    TimeToRemission,
    Trough,
    Visit,
)
from app.trial.sourced import Findings, Mark, Reader

PROTOCOL_FILE = Path(__file__).with_name("protocol.toml")

STRATEGIES = ("hypothetical", "composite", "treatment-policy", "none")
ROLES = ("primary", "primary-model", "primary-elsewhere", "secondary")
ESTIMANDS = ("change", "response", "time-to-remission", "safety", "exposure", "description")
COVARIANCES = (
    "unstructured",
    "toeplitz-heterogeneous",
    "ar1-heterogeneous",
    "compound-symmetry-heterogeneous",
    "compound-symmetry",
    "per-visit-ancova",
)
DEGREES_OF_FREEDOM = ("kenward-roger", "satterthwaite")
REFERENCES = ("participants", "observations")
LEAST_OBSERVATIONS = 3
UNRECORDED_DAYS = ("not-taken", "left-out")
SEVERITIES = ("major", "minor")
VAGUE_ONSETS = ("treatment-emergent", "not-treatment-emergent")
DEVIATIONS = (
    "eligibility-not-met",
    "eligibility-overridden",
    "dose-before-consent",
    "loading-dose",
    "dose-change-without-reason",
    "trough-without-action",
    "visit-missed",
    "visit-outside-tolerance",
)
KINDS = ("inclusion", "exclusion")
OBJECTIVE_TYPES = ("primary", "secondary", "exploratory")
QUANTILES = ("SAS-1", "SAS-2", "SAS-3", "SAS-4", "SAS-5")
PLATELET_UNIT = "10*9/L"
SIROLIMUS_UNIT = "ng/mL"


def load_protocol(file: Path = PROTOCOL_FILE) -> Protocol:
    """The checked protocol. Raises FAULT with one issue per problem (file, key, reason)."""
    return parse_protocol(file.read_text("utf-8"), file.name)


def parse_protocol(text: str, file: str = PROTOCOL_FILE.name) -> Protocol:
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as reason:
        raise error(Category.FAULT, str(reason), expression=file) from reason
    findings = Findings(file)
    protocol = _protocol(Reader(data, "", findings), findings)
    findings.check()
    return protocol


def _protocol(root: Reader, findings: Findings) -> Protocol:
    visits = _visits(root)
    known_visits = tuple(visit.code for visit in visits)
    populations = {each.code: each for each in _populations(root)}
    rules = _response_rules(root, known_visits)
    diagnoses = {each.code: each for each in _diagnoses(root)}
    instruments = {each.code: each for each in _instruments(root)}
    protocol = Protocol(
        version=root.name("version"),
        study=_study(root.table("study")),
        objectives=_objectives(root),
        published=_publications(root),
        contradictions=_contradictions(root),
        eligibility=_eligibility(root.table("eligibility")),
        diagnoses=diagnoses,
        dosing=_dosing(root.table("dosing")),
        **_time(root.table("time")),
        baseline=_baseline(root.table("baseline")),
        visits=visits,
        measurements={each.kind: each for each in _measurements(root)},
        medication=_medication(root.table("medication")),
        populations=populations,
        per_protocol=_per_protocol(root.table("per_protocol"), known_visits),
        response_rules=rules,
        response=_response(root.table("response"), known_visits),
        subgroups=_subgroups(root.table("subgroups"), list(diagnoses), list(instruments)),
        change_model=_change_model(root.table("change_model")),
        time_to_remission=_time_to_remission(root.table("time_to_remission"), list(instruments)),
        trough=_trough(root.table("trough")),
        exposure=_exposure(root.table("exposure")),
        deviations={each.code: each for each in _deviations(root)},
        deviation_limits=_deviation_limits(root.table("deviation_limits")),
        safety=_safety(root.table("safety")),
        statistics=_statistics(root.table("statistics")),
        activity_instruments=instruments,
        intercurrent_events={each.code: each for each in _intercurrent_events(root)},
        endpoint_versions=_endpoints(root, populations, rules, findings),
        marks=MappingProxyType(dict(findings.marks)),
    )
    root.finish()
    return protocol


def _study(table: Reader) -> Study:
    study = Study(
        nct=table.text("nct"),
        organization_id=table.text("organization_id"),
        acronym=table.text("acronym"),
        title=table.text("title"),
        description=table.text("description"),
        sponsor=table.text("sponsor"),
        site=table.text("site"),
        study_type=table.text("study_type"),
        phase=table.text("phase"),
        allocation=table.text("allocation"),
        intervention_model=table.text("intervention_model"),
        masking=table.text("masking"),
        purpose=table.text("purpose"),
        target_number=table.whole("target_number", "1"),
        sexes=table.text("sexes"),
        healthy_volunteers=table.flag("healthy_volunteers"),
        overall_status=table.text("overall_status"),
        fhir_status=table.text("fhir_status"),
        conditions=table.texts("conditions"),
        keywords=table.texts("keywords"),
        arm_name=table.text("arm_name"),
        arm_type=table.text("arm_type"),
        arm_description=table.text("arm_description"),
    )
    table.finish()
    return study


def _objective(table: Reader) -> Objective:
    objective = Objective(
        table.name("code"), table.word("type", OBJECTIVE_TYPES), table.text("text")
    )
    table.finish()
    return objective


def _objectives(root: Reader) -> tuple[Objective, ...]:
    return tuple(_objective(table) for table in root.tables("objectives"))


def _publication(table: Reader) -> Publication:
    publication = Publication(table.name("citation"), table.text("text"))
    table.finish()
    return publication


def _publications(root: Reader) -> tuple[Publication, ...]:
    return tuple(_publication(table) for table in root.tables("published", label="citation"))


def _statement(table: Reader) -> Statement:
    text = table.name("text")
    mark = table.row_mark(text)
    table.finish()
    return Statement(text, mark.source)


def _contradiction(table: Reader) -> Contradiction:
    contradiction = Contradiction(
        code=table.name("code"),
        topic=table.name("topic"),
        used=table.text("used"),
        statements=tuple(_statement(each) for each in table.tables("statements", label="#")),
    )
    if len(contradiction.statements) < 2:
        table.problem("statements", "a contradiction needs two statements")
    table.finish()
    return contradiction


def _contradictions(root: Reader) -> tuple[Contradiction, ...]:
    return tuple(_contradiction(table) for table in root.tables("contradictions"))


def _criterion(table: Reader) -> Criterion:
    criterion = Criterion(
        code=table.name("code"),
        kind=table.word("kind", KINDS),
        overridable=table.switch("overridable"),
        text=table.text("text"),
    )
    table.finish()
    return criterion


def _eligibility(table: Reader) -> Eligibility:
    eligibility = Eligibility(
        age_minimum=table.whole("age_minimum", "a"),
        age_maximum=table.whole("age_maximum", "a"),
        age_of_majority=table.whole("age_of_majority", "a"),
        platelets_below=table.number("platelets_below", PLATELET_UNIT),
        criteria=tuple(_criterion(each) for each in table.tables("criteria")),
    )
    if eligibility.age_minimum > eligibility.age_maximum:
        table.problem("age_minimum", "must not be above age_maximum")
    table.finish()
    return eligibility


def _diagnosis(table: Reader) -> Diagnosis:
    diagnosis = Diagnosis(
        code=table.name("code"),
        display=table.name("display"),
        listed=table.flag("listed"),
        snomed=table.optional("snomed", table.text),
    )
    table.finish()
    return diagnosis


def _diagnoses(root: Reader) -> tuple[Diagnosis, ...]:
    return tuple(_diagnosis(table) for table in root.tables("diagnoses"))


def _dosing(table: Reader) -> Dosing:
    dosing = Dosing(
        loading_dose=table.number("loading_dose", "mg/d"),
        loading_days=table.whole("loading_days", "d"),
        maintenance_dose=table.number("maintenance_dose", "mg/d"),
        follow_up_months=table.whole("follow_up", "mo"),
        first_dose_statuses=table.texts("first_dose_statuses"),
    )
    table.finish()
    return dosing


def _time(table: Reader) -> dict[str, Any]:
    time = {
        "month_days": table.number("month", "d"),
        "first_study_day": table.whole("first_study_day", "1"),
    }
    table.finish()
    return time


def _baseline(table: Reader) -> Baseline:
    baseline = Baseline(
        code=table.name("code"),
        label=table.name("label"),
        window_days=table.whole("window", "d"),
        same_day_date_only_is_baseline=table.flag("same_day_date_only_is_baseline"),
        transfusion_washout_days=table.whole("transfusion_washout", "d"),
        ivig_washout_days=table.whole("ivig_washout", "d"),
    )
    table.finish()
    return baseline


def _visit(table: Reader) -> Visit:
    visit = Visit(
        code=table.name("code"),
        label=table.name("label"),
        month=table.whole("month", "mo"),
        target=table.whole("target", "d"),
        low=table.whole("low", "d"),
        high=table.whole("high", "d"),
        tolerance=table.whole("tolerance", "d"),
    )
    if not visit.low <= visit.target <= visit.high:
        table.problem("target", f"must lie in the window {visit.low}-{visit.high}")
    table.finish()
    return visit


def _visits(root: Reader) -> tuple[Visit, ...]:
    visits = tuple(_visit(table) for table in root.tables("visits"))
    if not visits:
        root.problem("visits", "must not be empty")
    for before, after in pairwise(visits):
        if after.low <= before.high:
            root.problem(
                f"visits.{after.code}.low",
                f"the window {after.low}-{after.high} overlaps or precedes that of {before.code}, "
                f"{before.low}-{before.high}",
            )
    return visits


def _coded_test(table: Reader) -> CodedTest:
    test = CodedTest(table.name("code"), table.name("display"), table.switch("counted"))
    table.row_mark(test.counted)
    table.finish()
    return test


def _conversion(table: Reader) -> tuple[str, Decimal]:
    unit, factor = table.name("unit"), table.factor("factor")
    table.row_mark(factor)
    table.finish()
    return unit, factor


def _measurement(kind: str, table: Reader) -> MeasurementKind:
    measurement = MeasurementKind(
        kind=kind,
        title=table.name("title"),
        unit=table.text("unit"),
        valid_statuses=table.texts("valid_statuses"),
        codes=tuple(_coded_test(each) for each in table.tables("codes")),
        conversions=dict(_conversion(each) for each in table.tables("conversions", label="unit")),
    )
    if measurement.conversions.get(measurement.unit) != 1:
        table.problem("conversions", f"the canonical unit {measurement.unit} must have factor 1")
    table.finish()
    return measurement


def _measurements(root: Reader) -> tuple[MeasurementKind, ...]:
    tables = root.keyed("measurements")
    for kind in ("platelets", "sirolimus"):
        if kind not in tables:
            root.problem(f"measurements.{kind}", "is missing")
    measurements = tuple(_measurement(kind, table) for kind, table in tables.items())
    counted = [code for each in measurements for code in each.counted]
    for code in sorted({code for code in counted if counted.count(code) > 1}):
        root.problem("measurements", f"LOINC {code} counts as more than one kind")
    return measurements


def _medication(table: Reader) -> MedicationCodes:
    medication = MedicationCodes(
        code=table.name("code"),
        title=table.name("title"),
        rxnorm=table.text("rxnorm"),
        atc=table.text("atc"),
        atc_former=table.text("atc_former"),
    )
    table.finish()
    return medication


def _population(table: Reader) -> Population:
    population = Population(table.name("code"), table.name("title"), table.text("text"))
    table.finish()
    return population


def _populations(root: Reader) -> tuple[Population, ...]:
    return tuple(_population(table) for table in root.tables("populations"))


def _per_protocol(table: Reader, visits: Sequence[str]) -> PerProtocol:
    per_protocol = PerProtocol(
        table.number("adherence_minimum", "%"), table.choice("visit", visits)
    )
    table.finish()
    return per_protocol


def _response_rule(table: Reader, visits: Sequence[str]) -> ResponseRule:
    rule = ResponseRule(
        id=table.name("id"),
        version=table.name("version"),
        title=table.name("title"),
        default=table.switch("default"),
        source=table.text("source"),
        complete_threshold=table.number("complete_threshold", PLATELET_UNIT),
        complete_inclusive=table.flag("complete_inclusive"),
        partial_minimum=table.optional(
            "partial_minimum", lambda key: table.number(key, PLATELET_UNIT)
        ),
        partial_below=table.optional("partial_below", lambda key: table.number(key, PLATELET_UNIT)),
        partial_multiple=table.number("partial_multiple", "1"),
        partial_inclusive=table.flag("partial_inclusive"),
        bleeding_excludes=table.flag("bleeding_excludes"),
        response_confirmation_days=table.optional(
            "response_confirmation", lambda key: table.whole(key, "d")
        ),
        loss_confirmation_days=table.optional(
            "loss_confirmation", lambda key: table.whole(key, "d")
        ),
        visit=table.optional("visit", lambda key: table.choice(key, visits)),
        partial_code=table.optional("partial_code", table.name) or "PR",
    )
    table.finish()
    return rule


def _response_rules(root: Reader, visits: Sequence[str]) -> tuple[ResponseRule, ...]:
    rules = tuple(
        _response_rule(table, visits) for table in root.tables("response_rules", label="id")
    )
    if sum(rule.default for rule in rules) != 1:
        root.problem("response_rules", "exactly one rule must be the default")
    return rules


def _response(table: Reader, visits: Sequence[str]) -> Response:
    response = Response(
        baseline_stratum=table.number("baseline_stratum", PLATELET_UNIT),
        thresholds=table.numbers("thresholds", PLATELET_UNIT),
        sustained_visits=table.texts("sustained_visits"),
        bleeding_days=table.whole("bleeding_window", "d"),
        bleeding_grade=table.whole("bleeding_grade", "1"),
        stopped_prescription_statuses=table.texts("stopped_prescription_statuses"),
        stopped_subject_statuses=table.texts("stopped_subject_statuses"),
    )
    for visit in response.sustained_visits:
        if visit not in visits:
            table.problem("sustained_visits", f"{visit} is not a visit")
    table.finish()
    return response


def _subgroups(table: Reader, diagnoses: Sequence[str], instruments: Sequence[str]) -> Subgroups:
    subgroups = Subgroups(
        age_cut=table.whole("age_cut", "a"),
        activity_instrument=table.choice("activity_instrument", instruments),
        activity_cut=table.number("activity_cut", "1"),
        ctd_reference=table.choice("ctd_reference", diagnoses),
    )
    table.finish()
    return subgroups


def _change_model(table: Reader) -> ChangeModel:
    model = ChangeModel(
        covariances=table.texts("covariances"),
        degrees_of_freedom=table.choice("degrees_of_freedom", DEGREES_OF_FREEDOM),
        least_observations=table.whole("least_observations", "1"),
        reference=table.choice("reference", REFERENCES),
    )
    for name in model.covariances:
        if name not in COVARIANCES:
            table.problem("covariances", f"{name} is not one of {', '.join(COVARIANCES)}")
    if model.least_observations < LEAST_OBSERVATIONS:
        table.problem("least_observations", f"must not be below {LEAST_OBSERVATIONS}")
    table.finish()
    return model


def _time_to_remission(table: Reader, instruments: Sequence[str]) -> TimeToRemission:
    remission = TimeToRemission(
        administrative_end=table.whole("administrative_end", "d"),
        ctd_instrument=table.choice("ctd_instrument", instruments),
        ctd_threshold=table.number("ctd_threshold", "1"),
    )
    table.finish()
    return remission


def _trough(table: Reader) -> Trough:
    trough = Trough(
        low=table.number("low", SIROLIMUS_UNIT),
        high=table.number("high", SIROLIMUS_UNIT),
        hours_after_dose_minimum=table.whole("hours_after_dose_minimum", "h"),
        hours_after_dose_maximum=table.whole("hours_after_dose_maximum", "h"),
        before_the_days_dose=table.flag("before_the_days_dose"),
        steady_state_days=table.whole("steady_state", "d"),
        maximum_gap_days=table.whole("maximum_gap", "d"),
    )
    if trough.low >= trough.high:
        table.problem("low", "must be below high")
    if trough.hours_after_dose_minimum >= trough.hours_after_dose_maximum:
        table.problem("hours_after_dose_minimum", "must be below hours_after_dose_maximum")
    table.finish()
    return trough


def _exposure(table: Reader) -> Exposure:
    exposure = Exposure(
        unrecorded_days=table.choice("unrecorded_days", UNRECORDED_DAYS),
        interruption_days=table.whole("interruption", "d"),
    )
    table.finish()
    return exposure


def _deviation(table: Reader) -> DeviationRule:
    rule = DeviationRule(
        code=table.word("code", DEVIATIONS),
        title=table.name("title"),
        severity=table.choice("severity", SEVERITIES),
    )
    table.finish()
    return rule


def _deviations(root: Reader) -> tuple[DeviationRule, ...]:
    """A kind that is not listed is not looked for."""
    return tuple(_deviation(table) for table in root.tables("deviations"))


def _deviation_limits(table: Reader) -> DeviationLimits:
    limits = DeviationLimits(change_reason_days=table.whole("change_reason", "d"))
    table.finish()
    return limits


def _safety(table: Reader) -> Safety:
    safety = Safety(
        treatment_emergent_days=table.whole("treatment_emergent", "d"),
        grading=table.text("grading"),
        platelet_grades=table.numbers("platelet_grades", PLATELET_UNIT),
        small_cell=table.whole("small_cell", "1"),
        platelet_lower_limit=table.number("platelet_lower_limit", PLATELET_UNIT),
        vague_onset=table.choice("vague_onset", VAGUE_ONSETS),
        related_causalities=table.texts("related_causalities"),
        unassessed_is_related=table.flag("unassessed_is_related"),
        dose_change_actions=table.texts("dose_change_actions"),
        stop_actions=table.texts("stop_actions"),
        severe_grade=table.whole("severe_grade", "1"),
    )
    limits = [safety.platelet_lower_limit, *safety.platelet_grades]
    if limits != sorted(limits, reverse=True):
        table.problem("platelet_grades", "must fall from the lower limit of normal on")
    table.finish()
    return safety


def _statistics(table: Reader) -> Statistics:
    statistics = Statistics(
        table.number("confidence_level", "%"), table.choice("quantile", QUANTILES)
    )
    if not 0 < statistics.confidence_level < 100:
        table.problem("confidence_level", "must lie between 0 and 100")
    table.finish()
    return statistics


def _instrument(table: Reader) -> ActivityInstrument:
    instrument = ActivityInstrument(
        code=table.name("code"),
        title=table.name("title"),
        responder_decrease=table.optional("responder_decrease", lambda key: table.number(key, "1")),
        platelet_item=table.flag("platelet_item"),
    )
    table.finish()
    return instrument


def _instruments(root: Reader) -> tuple[ActivityInstrument, ...]:
    return tuple(_instrument(table) for table in root.tables("activity_instruments"))


def _intercurrent_event(table: Reader) -> IntercurrentEvent:
    event = IntercurrentEvent(
        code=table.name("code"),
        title=table.name("title"),
        includes=table.optional("includes", table.texts) or (),
        strategies={
            "change": table.choice("change", STRATEGIES),
            "response": table.choice("response", STRATEGIES),
            "time-to-remission": table.choice("time_to_remission", STRATEGIES),
        },
    )
    table.finish()
    return event


def _intercurrent_events(root: Reader) -> tuple[IntercurrentEvent, ...]:
    return tuple(_intercurrent_event(table) for table in root.tables("intercurrent_events"))


def _endpoint(
    table: Reader,
    populations: Sequence[str],
    rules: Sequence[str],
    findings: Findings,
) -> EndpointDefinition:
    reads = table.names("reads")
    for part in reads:
        if not any(_is_under(path, part) for path in findings.marks):
            table.problem("reads", f"{part} is no part of the protocol")
    definition = EndpointDefinition(
        id=table.name("id"),
        version=table.name("version"),
        default=table.switch("default"),
        role=table.word("role", ROLES),
        title=table.name("title"),
        population=table.word("population", populations),
        estimand=table.word("estimand", ESTIMANDS),
        response_rule=table.optional("response_rule", lambda key: table.word(key, rules)),
        reads=reads,
        text=table.text("text"),
        source=_source_of(table, findings),
        assumptions=(*table.names("assumptions"), *_assumed(findings.marks.values(), reads)),
    )
    table.finish()
    return definition


def _source_of(table: Reader, findings: Findings) -> str:
    mark = findings.marks.get(f"{table.path}.text")
    return mark.source if mark else "?"


def _endpoints(
    root: Reader,
    populations: Mapping[str, Population],
    rules: Sequence[ResponseRule],
    findings: Findings,
) -> tuple[EndpointDefinition, ...]:
    rule_ids = [rule.id for rule in rules]
    definitions = tuple(
        _endpoint(table, list(populations), rule_ids, findings)
        for table in root.tables("endpoints", label="id")
    )
    for endpoint in sorted({each.id for each in definitions}):
        if sum(each.default for each in definitions if each.id == endpoint) != 1:
            root.problem(f"endpoints.{endpoint}", "exactly one version must be the default")
    if sum(each.role == "primary" for each in definitions if each.default) != 1:
        root.problem("endpoints", "exactly one default definition must be primary")
    return definitions


def _is_under(path: str, part: str) -> bool:
    return path == part or path.startswith((f"{part}.", f"{part}|"))


def _assumed(marks: Iterable[Mark], reads: Sequence[str]) -> tuple[str, ...]:
    """The assumed values under the parts read, one sentence per table."""
    by_table: dict[str, list[str]] = {}
    for mark in marks:
        if mark.source == "A" and any(_is_under(mark.path, part) for part in reads):
            table, _, key = mark.path.rpartition(".")
            by_table.setdefault(table, []).append(_told(key, mark))
    return tuple(f"{table}: {', '.join(values)}" for table, values in by_table.items())


def _told(key: str, mark: Mark) -> str:
    value = ", ".join(map(str, mark.value)) if isinstance(mark.value, list) else str(mark.value)
    unit = f" {mark.unit}" if mark.unit not in (None, "1") else ""
    note = f" ({mark.note})" if mark.note else ""
    return f"{key} = {value.lower() if isinstance(mark.value, bool) else value}{unit}{note}"
