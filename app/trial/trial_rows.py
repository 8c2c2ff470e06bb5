"""What a resource says to the trial, as rows: pure, and total (a resource that says nothing to it
gives no row; nothing that is legal FHIR makes it fail).

Every version gives at most one row per table. A status such as entered-in-error keeps its row:
whether a row counts is decided where figures are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from app.fhir import Json
from app.trial.clinical_time import NO_TIME, ClinicalTime, effective_time, parse_clinical_time
from app.trial.codes import (
    ACT_REASON,
    ACTIVITY,
    ADVERSE_EVENT_BACKPORT,
    AGE_AT_CONSENT,
    ANALYTIC_SUSPECT,
    ATC,
    BACKGROUND_TREATMENT,
    BLEEDING,
    CTCAE_GRADE,
    DIAGNOSES,
    DOSE_SOURCE,
    DOSE_TOTAL,
    LOINC,
    MEDICATION_ID,
    PARTICIPATION_REASON,
    PLATELET_ITEM,
    PREDNISONE,
    RESCUE_TREATMENT,
    REVIEW,
    RXNORM,
    SERIOUSNESS,
    SYNTHETIC,
    SYSTEM_ORGAN_CLASS,
    TREATMENT,
    UNIT_SUSPECT_SCALE,
    VISITS,
)
from app.trial.eligibility_rows import read_answers
from app.trial.protocol import MeasurementKind, Protocol
from app.trial.reading import (
    canonical_quantity,
    codes_of,
    codings,
    convert,
    extension,
    extensions,
    first_code,
    has_tag,
    items,
    member,
    number,
    referenced_id,
    text,
    told,
)

MASS_IN_MG: Mapping[str, Decimal] = MappingProxyType(
    {"mg": Decimal(1), "ug": Decimal("0.001"), "g": Decimal(1000)}
)
"""Exact UCUM factors; the first key is canonical."""

OUTCOMES = "http://terminology.hl7.org/CodeSystem/adverse-event-outcome"


@dataclass(frozen=True, slots=True)
class Context:
    """What the protocol and the zone tell the projection, looked up once."""

    zone: tzinfo
    kinds: Mapping[str, MeasurementKind]
    uncounted: frozenset[str]
    factors: Mapping[str, Mapping[str, Decimal]]
    medications: frozenset[tuple[str | None, str]]
    visits: frozenset[str]
    diagnoses: frozenset[str]
    instruments: frozenset[str]


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One row without its system time: values by column name."""

    table: str
    values: Mapping[str, Any]


Values = Mapping[str, Any]
Project = Callable[[Json, Context], Values | None]


def build_context(protocol: Protocol, zone: tzinfo) -> Context:
    measurements = protocol.measurements.values()
    medication = protocol.medication
    return Context(
        zone=zone,
        kinds={code: each for each in measurements for code in each.counted},
        uncounted=frozenset(
            test.code for each in measurements for test in each.codes if not test.counted
        ),
        factors={each.kind: _canonical_first(each) for each in measurements},
        medications=frozenset(
            {(RXNORM, medication.rxnorm), (ATC, medication.atc), (ATC, medication.atc_former)}
        ),
        visits=frozenset({protocol.baseline.code, *(visit.code for visit in protocol.visits)}),
        diagnoses=frozenset(protocol.diagnoses),
        instruments=frozenset(protocol.activity_instruments),
    )


def _canonical_first(kind: MeasurementKind) -> Mapping[str, Decimal]:
    return {kind.unit: Decimal(1), **kind.conversions}


def _clinical(time: ClinicalTime | None) -> Values:
    columns = NO_TIME if time is None else time.columns
    names = ("clinical_from", "clinical_to", "precision", "clinical_date")
    return dict(zip(names, columns, strict=True))


def _subject(resource: Json, key: str = "subject") -> str | None:
    return referenced_id(resource.get(key), "Patient")


def project_research_subject(resource: Json, context: Context) -> Values | None:
    subject = _subject(resource, "individual")
    study = referenced_id(resource.get("study"), "ResearchStudy")
    if subject is None or study is None:
        return None
    period = resource.get("period")
    consented = parse_clinical_time(member(period, "start"), context.zone)
    ended = parse_clinical_time(member(period, "end"), context.zone)
    age = extension(resource, AGE_AT_CONSENT, "Quantity")
    years = number(member(age, "value"))
    return {
        "subject": subject,
        "study": study,
        "status": text(resource.get("status")) or "unknown",
        "consent": referenced_id(resource.get("consent"), "Consent"),
        "arm": text(resource.get("assignedArm")),
        "age_at_consent": int(years) if years is not None and 0 <= years <= 150 else None,
        "ended": ended.day if ended else None,
        "synthetic": has_tag(resource, ACT_REASON, SYNTHETIC, "security"),
        "reason": first_code(extension(resource, PARTICIPATION_REASON, "CodeableConcept")),
        **_clinical(consented),
    }


def project_patient(resource: Json, context: Context) -> Values | None:
    year = (text(resource.get("birthDate")) or "")[:4]
    return {
        "subject": resource["id"],
        "gender": text(resource.get("gender")),
        "birth_year": int(year) if year.isdecimal() else None,
        **_clinical(None),
    }


def project_diagnosis(resource: Json, context: Context) -> Values | None:
    subject = _subject(resource)
    codes = [
        code for code in codes_of(resource.get("code"), DIAGNOSES) if code in context.diagnoses
    ]
    if subject is None or not codes:
        return None
    return {
        "subject": subject,
        "code": codes[0],
        "clinical_status": first_code(resource.get("clinicalStatus")),
        "verification": first_code(resource.get("verificationStatus")),
        **_clinical(effective_time(resource, "onset", context.zone)),
    }


def project_measurement(resource: Json, context: Context) -> Values | None:
    subject = _subject(resource)
    codes = codes_of(resource.get("code"), LOINC)
    counted = [code for code in codes if code in context.kinds]
    if subject is None or not counted or not context.uncounted.isdisjoint(codes):
        return None
    kind = context.kinds[counted[0]].kind
    quantity = canonical_quantity(resource, resource.get("valueQuantity"))
    value, unit = convert(quantity, context.factors[kind])
    return {
        "subject": subject,
        "kind": kind,
        "code": counted[0],
        "status": text(resource.get("status")) or "unknown",
        "value": value,
        "unit": unit,
        "comparator": _comparator(resource, quantity),
        "data_absent_reason": told(resource.get("dataAbsentReason")),
        "analytic_suspect": has_tag(resource, REVIEW, ANALYTIC_SUSPECT),
        "scale_suspect": has_tag(resource, REVIEW, UNIT_SUSPECT_SCALE),
        **_clinical(effective_time(resource, "effective", context.zone)),
    }


def _comparator(resource: Json, quantity: Json | None) -> str | None:
    """`<` beside a number changes its meaning: it counts wherever it stands."""
    sent = member(resource.get("valueQuantity"), "comparator")
    return text(member(quantity, "comparator")) or text(sent)


def project_activity_score(resource: Json, context: Context) -> Values | None:
    subject = _subject(resource)
    kinds = [
        code for code in codes_of(resource.get("code"), ACTIVITY) if code in context.instruments
    ]
    if subject is None or not kinds:
        return None
    platelet_items = (
        _score(each)
        for each in items(resource.get("component"))
        if PLATELET_ITEM in codes_of(each.get("code"), ACTIVITY)
    )
    return {
        "subject": subject,
        "kind": kinds[0],
        "status": text(resource.get("status")) or "unknown",
        "value": _score(resource),
        "platelet_item": next(platelet_items, None),
        "data_absent_reason": told(resource.get("dataAbsentReason")),
        **_clinical(effective_time(resource, "effective", context.zone)),
    }


def _score(holder: Json) -> Decimal | None:
    quantity = holder.get("valueQuantity")
    if isinstance(quantity, dict):
        return number(quantity.get("value"))
    return number(holder.get("valueInteger"))


def project_dose(resource: Json, context: Context) -> Values | None:
    subject = _subject(resource)
    if subject is None or not _is_study_medication(resource, context):
        return None
    dosage = resource.get("dosage")
    quantity = canonical_quantity(resource, member(dosage, "dose"))
    amount, unit = convert(quantity, MASS_IN_MG)
    total, _ = convert(extension(resource, DOSE_TOTAL, "Quantity"), MASS_IN_MG)
    return {
        "subject": subject,
        "status": text(resource.get("status")) or "unknown",
        "amount": amount,
        "unit": unit,
        "source": text(extension(resource, DOSE_SOURCE, "Code")),
        "total": total,
        **_clinical(effective_time(resource, "effective", context.zone)),
    }


def _is_study_medication(resource: Json, context: Context) -> bool:
    reference = resource.get("medicationReference")
    if referenced_id(reference, "Medication") == MEDICATION_ID:
        return True
    contained = {f"#{each.get('id')}": each for each in items(resource.get("contained"))}
    within = member(contained.get(text(member(reference, "reference")) or ""), "code")
    concepts = (resource.get("medicationCodeableConcept"), within)
    return any(not context.medications.isdisjoint(codings(concept)) for concept in concepts)


def project_bleeding(resource: Json, context: Context) -> Values | None:
    subject = _subject(resource)
    if subject is None or "who-grade" not in codes_of(resource.get("code"), BLEEDING):
        return None
    grade = number(resource.get("valueInteger"))
    sites = [
        code
        for each in items(resource.get("component"))
        for code in codes_of(each.get("valueCodeableConcept"), BLEEDING)
    ]
    return {
        "subject": subject,
        "status": text(resource.get("status")) or "unknown",
        "assessed": grade is not None,
        "grade": int(grade) if grade is not None and 0 <= grade <= 4 else None,
        "sites": sites,
        **_clinical(effective_time(resource, "effective", context.zone)),
    }


def project_treatment(resource: Json, context: Context) -> Values | None:
    subject, use = _subject(resource), _use_of(resource, context)
    if subject is None or use is None:
        return None
    kind, group = use
    dosage = _dosage(resource)
    quantity = canonical_quantity(resource, dosage.get("dose") or _dose_quantity(dosage))
    milligrams, _ = convert(quantity, MASS_IN_MG)
    worth = extension(resource, PREDNISONE, "Quantity")
    return {
        "subject": subject,
        "kind": kind,
        "class": group,
        "drug": _drug(resource, context),
        "status": text(resource.get("status")) or "unknown",
        "amount": number(member(quantity, "value")),
        "unit": text(member(quantity, "code")) or text(member(quantity, "unit")),
        "daily_mg": _daily(milligrams, dosage),
        "prednisone_mg": number(member(worth, "value")),
        **_clinical(_treated(resource, dosage, context)),
    }


def _use_of(resource: Json, context: Context) -> tuple[str, str] | None:
    """(kind, class): what the treatment is for, and which it is."""
    category = resource.get("category")
    concepts = list(items(category)) if isinstance(category, list) else [category]
    prescribed = resource["resourceType"] == "MedicationRequest"
    for system, kind in ((RESCUE_TREATMENT, "rescue"), (BACKGROUND_TREATMENT, "background")):
        codes = [code for concept in concepts for code in codes_of(concept, system)]
        if codes:
            return ("prescribed" if prescribed else kind), codes[0]
    if prescribed and _is_study_medication(resource, context):
        return "prescribed", "study-medication"
    return None


def _drug(resource: Json, context: Context) -> str | None:
    if _is_study_medication(resource, context):
        return MEDICATION_ID
    return next(iter(codes_of(resource.get("medicationCodeableConcept"), TREATMENT)), None)


def _dosage(resource: Json) -> Json:
    """The first dosage, under whichever name and number its type has for it."""
    found = resource.get("dosage") or resource.get("dosageInstruction")
    first = next(items(found), None) if isinstance(found, list) else found
    return first if isinstance(first, dict) else {}


def _dose_quantity(dosage: Json) -> Any:
    rates = items(dosage.get("doseAndRate"))
    return next((each["doseQuantity"] for each in rates if "doseQuantity" in each), None)


def _daily(milligrams: Decimal | None, dosage: Json) -> Decimal | None:
    """mg a day of a dose that is repeated; None where its rhythm is not told in days, and of one
    that is taken as needed or a number of times."""
    repeat = member(dosage.get("timing"), "repeat")
    if dosage.get("asNeededBoolean") or member(repeat, "count") is not None:
        return None
    frequency, period = number(member(repeat, "frequency")), number(member(repeat, "period"))
    if milligrams is None or frequency is None or not period or period < 0:
        return None
    return milligrams * frequency / period if member(repeat, "periodUnit") == "d" else None


def _treated(resource: Json, dosage: Json, context: Context) -> ClinicalTime | None:
    bounds = member(member(dosage.get("timing"), "repeat"), "boundsPeriod")
    if isinstance(bounds, dict):
        return effective_time({"boundsPeriod": bounds}, "bounds", context.zone)
    authored = parse_clinical_time(resource.get("authoredOn"), context.zone)
    return effective_time(resource, "effective", context.zone) or authored


def project_visit(resource: Json, context: Context) -> Values | None:
    subject = _subject(resource)
    found = [code for kind in items(resource.get("type")) for code in codes_of(kind, VISITS)]
    known = [code for code in found if code in context.visits]
    if subject is None or not known:
        return None
    period = effective_time({"onPeriod": resource.get("period")}, "on", context.zone)
    return {
        "subject": subject,
        "visit": known[0],
        "status": text(resource.get("status")) or "unknown",
        **_clinical(period),
    }


def project_adverse_event(resource: Json, context: Context) -> Values | None:
    """https://hl7.org/fhir/uv/ae-research-backport-ig/ where its extensions are present."""
    subject = _subject(resource)
    if subject is None:
        return None
    backport = ADVERSE_EVENT_BACKPORT
    status = extension(resource, f"{backport}/status", "Code", "modifierExtension")
    recorded = parse_clinical_time(resource.get("recordedDate"), context.zone)
    grade = extension(resource, f"{backport}/ae-grade", "CodeableConcept")
    end = extension(resource, f"{backport}/resolve-date", "DateTime")
    resolved = parse_clinical_time(end, context.zone)
    return {
        "subject": subject,
        "status": text(status) or "unknown",
        "actuality": text(resource.get("actuality")) or "unknown",
        "term": _term(resource.get("event")),
        "serious": _serious(resource),
        "seriousness_criteria": _seriousness_criteria(resource),
        "grade": _grade(grade),
        "severity": first_code(resource.get("severity")),
        "outcome": first_code(resource.get("outcome"), OUTCOMES),
        "causality": _causality(resource),
        "expected": _flag(extension(resource, f"{backport}/expected-in-research-study", "Boolean")),
        "recorded": recorded.begin if recorded else None,
        "soc": text(extension(resource, SYSTEM_ORGAN_CLASS, "String")),
        "grading": _grading(grade),
        "action": _action(resource),
        "resolved": resolved.day if resolved else None,
        **_clinical(parse_clinical_time(resource.get("date"), context.zone)),
    }


def _term(event: object) -> str | None:
    displays = (text(each.get("display")) for each in items(member(event, "coding")))
    return next((each for each in displays if each), None) or text(member(event, "text"))


def _serious(resource: Json) -> bool | None:
    codes = [code.lower() for code in codes_of(resource.get("seriousness"), SERIOUSNESS)]
    if "serious" in codes:
        return True
    return False if "non-serious" in codes else None


def _seriousness_criteria(resource: Json) -> list[str]:
    present: list[str] = []
    for each in extensions(resource, f"{ADVERSE_EVENT_BACKPORT}/seriousness-criteria"):
        code = first_code(extension(each, "criterionCode", "CodeableConcept"))
        if code is not None and extension(each, "criterionPresent", "Boolean") is not False:
            present.append(code)
    return present


NCIT_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "C53256": "not-related",
        "C53257": "unlikely-related",
        "C53258": "possibly-related",
        "C53260": "related",
        "C49504": "dose-not-changed",
        "C49505": "dose-reduced",
        "C49503": "dose-increased",
        "C49501": "drug-interrupted",
        "C49502": "drug-withdrawn",
        "C48660": "not-applicable",
        "C17998": "unknown",
    }
)
"""Codes of the NCI Thesaurus that the research backport uses → the words of the trial database."""

NCIT_GRADES: Mapping[str, int] = MappingProxyType(
    {"C41338": 1, "C41339": 2, "C41340": 3, "C41337": 4, "C48275": 5}
)


def _grade(concept: object) -> int | None:
    code = first_code(concept, CTCAE_GRADE) or ""
    if code in NCIT_GRADES:
        return NCIT_GRADES[code]
    return int(code[-1]) if code[-1:] in {"1", "2", "3", "4", "5"} else None


def _grading(concept: object) -> str | None:
    """The version of CTCAE by which an event was graded."""
    versions = (
        text(each.get("version"))
        for each in items(member(concept, "coding"))
        if each.get("system") == CTCAE_GRADE
    )
    return next(versions, None)


def _action(resource: Json) -> str | None:
    for taken in extensions(resource, f"{ADVERSE_EVENT_BACKPORT}/mitigating-action"):
        code = first_code(extension(taken, "item", "CodeableConcept"))
        if code is not None:
            return NCIT_WORDS.get(code, code)
    return None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _causality(resource: Json) -> str | None:
    for entity in extensions(resource, f"{ADVERSE_EVENT_BACKPORT}/suspect-entity"):
        for causality in extensions(entity, "causality"):
            code = first_code(extension(causality, "entityRelatedness", "CodeableConcept"))
            if code is not None:
                return NCIT_WORDS.get(code, code)
    for entity in items(resource.get("suspectEntity")):
        for causality in items(entity.get("causality")):
            code = first_code(causality.get("assessment"))
            if code is not None:
                return code
    return None


def project_eligibility(resource: Json, context: Context) -> Values | None:
    subject, answers = _subject(resource), read_answers(resource)
    if subject is None or answers is None:
        return None
    return {
        "subject": subject,
        "status": text(resource.get("status")) or "unknown",
        "criteria": list(answers),
        "answers": list(answers.values()),
        **_clinical(parse_clinical_time(resource.get("authored"), context.zone)),
    }


PROJECTIONS: Mapping[str, Mapping[str, Project]] = MappingProxyType(
    {
        "ResearchSubject": {"subject": project_research_subject},
        "Patient": {"demographic": project_patient},
        "Condition": {"diagnosis": project_diagnosis},
        "Observation": {
            "measurement": project_measurement,
            "activity_score": project_activity_score,
            "bleeding": project_bleeding,
        },
        "MedicationAdministration": {"dose": project_dose, "treatment": project_treatment},
        "MedicationStatement": {"treatment": project_treatment},
        "MedicationRequest": {"treatment": project_treatment},
        "Encounter": {"visit": project_visit},
        "AdverseEvent": {"adverse_event": project_adverse_event},
        "QuestionnaireResponse": {"eligibility": project_eligibility},
    }
)
"""Resource type → table → how a resource becomes a row of it."""


def project_resource(resource: Json, context: Context) -> Iterator[TrialRow]:
    """The trial rows that a resource gives, whatever their number."""
    for table, project in PROJECTIONS.get(resource["resourceType"], {}).items():
        values = project(resource, context)
        if values is not None:
            yield TrialRow(table, values)
