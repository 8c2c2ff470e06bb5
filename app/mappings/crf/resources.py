"""Case report form records → FHIR R4: AdverseEvent, Observation, MedicationAdministration,
MedicationStatement, MedicationRequest, Encounter.

AdverseEvent as http://hl7.org/fhir/uv/ae-research-backport-ig has it: status as a modifier
extension, the outcome in the codes of R4 and of the NCI Thesaurus. What was taken at home is never
shown as observed: its category is community, its performer the participant, its source named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from app.fhir import Json
from app.mappings.crf.codes import (
    ACTIONS_TAKEN,
    ACTIVITY,
    ACTIVITY_ITEM,
    BACKGROUND,
    BACKPORT,
    BLEEDING,
    CAUSALITIES,
    CRF_RECORD,
    CRITERIA,
    CTCAE_GRADE,
    CTCAE_TERM,
    DOSE_SOURCE,
    DOSE_TOTAL,
    GRADES,
    NCIT,
    OUTCOME,
    OUTCOMES,
    PLATELET_ITEM,
    PREDNISONE,
    RESCUE,
    SERIOUSNESS,
    SYSTEM_ORGAN_CLASS,
    TREATMENT,
    VISITS,
    Code,
    Treatment,
    items_of,
    load_terms,
    load_treatments,
)
from app.mappings.crf.forms import CORRECT, DELETE, PILL_COUNT, SIROLIMUS, Form
from app.mappings.crf.records import Values
from app.mappings.crf.rules import PRESENT_ONLY, RECOVERED, platelet_item_of
from app.mappings.facts import ResultOrder, Source
from app.mappings.parsing.times import Time
from app.mappings.reasons import Reason
from app.mappings.resources import (
    ABSENT,
    ATC,
    CATEGORY,
    RXNORM,
    SITE,
    STUDY,
    UCUM,
    build_coding,
    build_common_extensions,
    build_concept,
    build_meta,
)
from app.mappings.subjects import Subject
from app.trial import load_protocol

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ADMINISTRATION_PLACE = "http://terminology.hl7.org/CodeSystem/medication-admin-category"
STATEMENT_PLACE = "http://terminology.hl7.org/CodeSystem/medication-statement-category"
REQUEST_PLACE = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
MEDICATION = "Medication/sirolimus"
ENTERED_IN_ERROR = "entered-in-error"
AE_STATUS = f"{BACKPORT}/status"


@dataclass(frozen=True, slots=True)
class Entry:
    """A checked record with its subject, its resource's id and its place among its versions."""

    form: Form
    id: str
    subject: Subject
    number: int
    action: str
    order: ResultOrder
    values: Values


def build_entry(entry: Entry, source: Source) -> Json:
    """The resource that a record becomes; of a deletion what identifies it, and its status."""
    if entry.action == DELETE:
        return _build_deletion(entry, source)
    return BUILDERS[entry.form.name](entry, source)


def _build_deletion(entry: Entry, source: Source) -> Json:
    status: Json = {"status": ENTERED_IN_ERROR}
    if entry.form.resource_type == "AdverseEvent":
        status = {"modifierExtension": [_code_extension(AE_STATUS, ENTERED_IN_ERROR)]}
    return {**_head(entry, source), **status, "subject": _patient(entry)}


def _head(entry: Entry, source: Source, *extensions: Json) -> Json:
    reviews = (Reason.RESULT_DELETED,) if entry.action == DELETE else ()
    common = build_common_extensions(entry.action, entry.order, source)
    if entry.form.resource_type == "AdverseEvent":
        common = common[1:]
    return {
        "resourceType": entry.form.resource_type,
        "id": entry.id,
        **build_meta(entry.subject, reviews),
        "extension": [*extensions, *common],
    }


def _identifier(entry: Entry) -> Json:
    value = f"{entry.subject.number}/{entry.form.name}/{entry.number}"
    return {"system": CRF_RECORD, "value": value}


def _patient(entry: Entry) -> Json:
    return {"reference": entry.subject.reference}


def _code_extension(url: str, code: str) -> Json:
    return {"url": url, "valueCode": code}


def _ncit(code: Code) -> Json:
    return build_coding(NCIT, *code)


def _period(values: Values, first: str = "start", last: str = "end") -> Json:
    named = {"start": first, "end": last}
    return {name: values[field].text for name, field in named.items() if field in values}


def _effective(values: Values) -> Json:
    """A day, or the period where it has another last day."""
    start, end = values["start"], values.get("end")
    if end is None or end.text == start.text:
        return {"effectiveDateTime": start.text}
    return {"effectivePeriod": {"start": start.text, "end": end.text}}


def _quantity(value: Decimal, unit: str, shown: str = "") -> Json:
    return {"value": value, "unit": shown or unit, "system": UCUM, "code": unit}


# Adverse events


def _build_adverse_event(entry: Entry, source: Source) -> Json:
    values = entry.values
    fatal_or_over = values["outcome"] in RECOVERED or "end" in values
    status = _code_extension(AE_STATUS, "completed" if fatal_or_over else "in-progress")
    serious = "serious" if values["serious"] else "non-serious"
    recorded: Time = values.get("first_recorded", values["recorded"])
    return {
        **_head(entry, source, *_event_extensions(entry)),
        "modifierExtension": [status],
        "identifier": _identifier(entry),
        "actuality": "actual",
        "event": _event(values),
        "subject": _patient(entry),
        "date": values["onset"].text,
        "recordedDate": recorded.text,
        "seriousness": {
            "coding": [
                build_coding(SERIOUSNESS, serious, serious.capitalize()),
                build_coding(SERIOUSNESS, serious.capitalize(), serious.capitalize()),
            ]
        },
        "outcome": _outcome(values["outcome"]),
        "study": [{"reference": STUDY}],
    }


def _event(values: Values) -> Json:
    term = load_terms()[values["term"]]
    version = {"version": values.get("ctcae_version", "5.0")}
    coding = build_coding(CTCAE_TERM, term.code, term.display) | version
    return {"coding": [coding], "text": term.display}


def _outcome(word: str) -> Json:
    code, ncit = OUTCOMES[word]
    return {"coding": [build_coding(OUTCOME, code), _ncit(ncit)]}


def _event_extensions(entry: Entry) -> Iterator[Json]:
    values = entry.values
    version = values.get("ctcae_version", "5.0")
    grade = values["grade"]
    yield _extension("research-subject-ref", Reference=_research_subject(entry))
    yield _extension(
        "ae-grade",
        CodeableConcept={
            "coding": [
                build_coding(CTCAE_GRADE, str(grade)) | {"version": version},
                _ncit(GRADES[grade]),
            ]
        },
    )
    for criterion in values.get("seriousness_criteria", ()):
        concept = {"coding": [_ncit(CRITERIA[criterion])]}
        yield _nested(
            "seriousness-criteria",
            {"url": "criterionCode", "valueCodeableConcept": concept},
            {"url": "criterionPresent", "valueBoolean": True},
        )
    if "expected" in values:
        yield _extension("expected-in-research-study", Boolean=values["expected"])
    yield _suspect(values["causality"])
    yield _nested(
        "mitigating-action",
        {
            "url": "item",
            "valueCodeableConcept": {"coding": [_ncit(ACTIONS_TAKEN[values["action_taken"]])]},
        },
    )
    if "end" in values:
        yield _extension("resolve-date", DateTime=values["end"].text)
    soc = load_terms()[values["term"]].soc
    yield {"url": SYSTEM_ORGAN_CLASS, "valueString": soc}


def _extension(name: str, **value: Any) -> Json:
    ((kind, content),) = value.items()
    return {"url": f"{BACKPORT}/{name}", f"value{kind}": content}


def _nested(name: str, *parts: Json) -> Json:
    return {"url": f"{BACKPORT}/{name}", "extension": list(parts)}


def _suspect(causality: str) -> Json:
    related = {
        "url": "entityRelatedness",
        "valueCodeableConcept": {"coding": [_ncit(CAUSALITIES[causality])]},
    }
    return _nested(
        "suspect-entity",
        {"url": "instance", "valueReference": {"reference": MEDICATION}},
        {"url": "causality", "extension": [related]},
    )


def _research_subject(entry: Entry) -> Json:
    return {"reference": f"ResearchSubject/{entry.subject.number}"}


def delete_stored(stored: Json, sent: Json) -> Json:
    """What is stored as entered in error; the status of an adverse event is an extension."""
    told = {each["url"] for each in sent["extension"]}
    kept = [each for each in stored.get("extension", []) if each["url"] not in told]
    status: Json = {key: sent[key] for key in ("status", "modifierExtension") if key in sent}
    meta = {**stored.get("meta", {}), **sent.get("meta", {})}
    return {**stored, "meta": meta, "extension": [*kept, *sent["extension"]], **status}


def keep_first_record(stored: Json, sent: Json) -> Json:
    """A corrected event was recorded first when it was recorded first."""
    first = stored.get("recordedDate")
    return {**sent, "recordedDate": first} if first else sent


# Observations


def _observation(entry: Entry, source: Source, category: str, code: Json) -> Json:
    values = entry.values
    resource: Json = {
        **_head(entry, source),
        "identifier": [_identifier(entry)],
        "status": "corrected" if entry.action == CORRECT else "final",
        "category": [build_concept(CATEGORY, category)],
        "code": {"coding": [code]},
        "subject": _patient(entry),
        "effectiveDateTime": values["assessed_on"].text,
        "performer": [{"reference": SITE}],
    }
    if not values.get("assessed", True):
        resource["dataAbsentReason"] = build_concept(ABSENT, "not-performed", "Not Performed")
    return resource


def _build_activity_score(entry: Entry, source: Source) -> Json:
    values = entry.values
    instrument = values["instrument"]
    title = load_protocol().activity_instruments[instrument].title
    resource = _observation(entry, source, "survey", build_coding(ACTIVITY, instrument, title))
    if "total" in values:
        resource["valueQuantity"] = _score(values["total"])
    if components := list(_components(instrument, values)):
        resource["component"] = components
    return resource


def _components(instrument: str, values: Values) -> Iterator[Json]:
    items, platelets = dict(values.get("items", {})), platelet_item_of(instrument)
    whole = bool(items) or values.get("total") == 0
    if platelets is not None and whole and instrument in PRESENT_ONLY:
        items.setdefault(platelets, Decimal(0))
    if platelets is not None and "platelet_item" in values:
        items[platelets] = values["platelet_item"]
    for name, item in items_of(instrument).items():
        if name in items:
            codings = [build_coding(ACTIVITY_ITEM, f"{instrument}.{name}", item.display)]
            if item.platelets:
                codings.insert(0, build_coding(ACTIVITY, PLATELET_ITEM))
            yield {"code": {"coding": codings}, "valueQuantity": _score(items[name])}


def _score(value: Decimal) -> Json:
    return _quantity(value, "{score}")


def _build_bleeding(entry: Entry, source: Source) -> Json:
    values = entry.values
    code = build_coding(BLEEDING, "who-grade", "Bleeding, WHO scale")
    resource = _observation(entry, source, "exam", code)
    if "grade" in values:
        resource["valueInteger"] = values["grade"]
    components = [
        {
            "code": build_concept(BLEEDING, "site", "Site of bleeding"),
            "valueCodeableConcept": build_concept(BLEEDING, site),
        }
        for site in values.get("sites", ())
    ]
    return resource | ({"component": components} if components else {})


# Treatment


def _medication(treatment: Treatment) -> Json:
    codings = [build_coding(TREATMENT, treatment.code, treatment.display)]
    if treatment.atc:
        codings.append(build_coding(ATC, treatment.atc))
    return {"coding": codings, "text": treatment.display}


def _sirolimus() -> Json:
    medication = load_protocol().medication
    codings = [
        build_coding(RXNORM, medication.rxnorm, SIROLIMUS),
        build_coding(ATC, medication.atc, SIROLIMUS),
    ]
    return {"coding": codings, "text": medication.title}


def _prednisone(treatment: Treatment, milligrams: Decimal | None, unit: str) -> list[Json]:
    """What a steroid's amount is worth in prednisone."""
    if treatment.factor is None or milligrams is None:
        return []
    worth = (milligrams * treatment.factor).normalize()
    return [{"url": PREDNISONE, "valueQuantity": _quantity(Decimal(f"{worth:f}"), unit)}]


def _build_rescue_treatment(entry: Entry, source: Source) -> Json:
    values = entry.values
    treatment = load_treatments()[values["treatment"]]
    amount = values.get("amount")
    dose = _quantity(amount, values["unit"]) if amount is not None else None
    milligrams = amount if values.get("unit") == "mg" else None
    return {
        **_head(entry, source, *_prednisone(treatment, milligrams, "mg")),
        "identifier": [_identifier(entry)],
        "status": "completed",
        "category": build_concept(RESCUE, treatment.kind),
        "medicationCodeableConcept": _medication(treatment),
        "subject": _patient(entry),
        **_effective(values),
        **({"dosage": {"dose": dose}} if dose else {}),
    }


def _build_concomitant_treatment(entry: Entry, source: Source) -> Json:
    values = entry.values
    treatment = load_treatments()[values["treatment"]]
    daily = values.get("daily_mg")
    return {
        **_head(entry, source, *_prednisone(treatment, daily, "mg/d")),
        "identifier": [_identifier(entry)],
        "status": "completed" if "end" in values else "active",
        "category": {
            "coding": [
                build_coding(STATEMENT_PLACE, "community"),
                build_coding(BACKGROUND, treatment.kind),
            ]
        },
        "medicationCodeableConcept": _medication(treatment),
        "subject": _patient(entry),
        "effectivePeriod": _period(values),
        "dateAsserted": values["recorded"].text,
        **({"dosage": [_daily(daily)]} if daily is not None else {}),
    }


def _daily(milligrams: Decimal) -> Json:
    return {
        "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": _quantity(milligrams, "mg")}],
    }


def _build_prescription(entry: Entry, source: Source) -> Json:
    values, name = entry.values, entry.values["treatment"]
    treatment = load_treatments().get(name)
    daily = values["daily_mg"]
    place = build_concept(REQUEST_PLACE, "community")
    bounds = {"boundsPeriod": _period(values)}
    dosage = _daily(daily)
    dosage["timing"]["repeat"] |= bounds
    return {
        **_head(entry, source, *(_prednisone(treatment, daily, "mg/d") if treatment else ())),
        "identifier": [_identifier(entry)],
        "status": values.get("status", "active"),
        "intent": "order",
        "category": [place, *([build_concept(BACKGROUND, treatment.kind)] if treatment else [])],
        "medicationCodeableConcept": _medication(treatment) if treatment else _sirolimus(),
        "subject": _patient(entry),
        "authoredOn": values["start"].text,
        "dosageInstruction": [dosage],
    }


def _build_home_dose(entry: Entry, source: Source) -> Json:
    values = entry.values
    counted = values["source"] == PILL_COUNT
    taken = counted or values.get("taken", True)
    extensions = [_code_extension(DOSE_SOURCE, values["source"])]
    dosage: Json = {}
    if counted:
        total = (values["dispensed"] - values["returned"]) * values["tablet_mg"]
        extensions.append({"url": DOSE_TOTAL, "valueQuantity": _quantity(total, "mg")})
    elif taken:
        dosage = {"dosage": {"dose": _quantity(values["dose_mg"], "mg")}}
    return {
        **_head(entry, source, *extensions),
        "identifier": [_identifier(entry)],
        "status": "completed" if taken else "not-done",
        "category": build_concept(ADMINISTRATION_PLACE, "community", "Community"),
        "medicationCodeableConcept": _sirolimus(),
        "subject": _patient(entry),
        **_effective(values),
        "performer": [{"actor": _patient(entry)}],
        **dosage,
    }


# Visits

VISIT_STATUSES: Mapping[str, str] = MappingProxyType(
    {"done": "finished", "missed": "cancelled", "planned": "planned"}
)


def _build_visit(entry: Entry, source: Source) -> Json:
    values = entry.values
    date = values.get("date")
    period = {"period": {"start": date.text, "end": date.text}} if date else {}
    return {
        **_head(entry, source),
        "identifier": [_identifier(entry)],
        "status": VISIT_STATUSES[values["status"]],
        "class": build_coding(ACT_CODE, "AMB", "ambulatory"),
        "type": [build_concept(VISITS, values["visit"])],
        "subject": _patient(entry),
        **period,
        "serviceProvider": {"reference": SITE},
    }


Builder = Callable[[Entry, Source], Json]
BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "adverse-event": _build_adverse_event,
        "activity-score": _build_activity_score,
        "bleeding": _build_bleeding,
        "rescue-treatment": _build_rescue_treatment,
        "concomitant-treatment": _build_concomitant_treatment,
        "prescription": _build_prescription,
        "home-dose": _build_home_dose,
        "visit": _build_visit,
    }
)
"""Form → resource; what ends participation changes resources that are there (`disposition.py`)."""
