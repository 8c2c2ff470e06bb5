"""Facts → FHIR R4 resources: Observation, MedicationAdministration, Specimen, DiagnosticReport,
Provenance. https://hl7.org/fhir/R4/observation.html · https://build.fhir.org/ig/HL7/v2-to-fhir

What was sent is kept beside what it means: status letter, value and unit verbatim. Order and
specimen numbers appear as keyed tokens only, free text of the message not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from app.fhir import Json
from app.mappings.dictionary.site import MedicationEntry, TestEntry
from app.mappings.facts import ResultOrder, Source
from app.mappings.parsing.times import Time
from app.mappings.parsing.units import Unit
from app.mappings.parsing.values import Absent, Number
from app.mappings.reasons import Reason
from app.mappings.subjects import Subject

BASE = "https://ssci.example/fhir"
EXTENSIONS = f"{BASE}/StructureDefinition"
CANONICAL_QUANTITY = f"{EXTENSIONS}/canonical-quantity"
RESULT_STATUS = f"{EXTENSIONS}/source-status"
RESULT_ORDER = f"{EXTENSIONS}/source-order"
VALUE_ORDER = f"{EXTENSIONS}/source-value-order"
DESCRIPTION_ORDER = f"{EXTENSIONS}/source-description-order"
SOURCE_VALUE = f"{EXTENSIONS}/source-value"
SOURCE_PLACE = f"{EXTENSIONS}/source-place"
UNIT_CONVERTED = f"{EXTENSIONS}/unit-converted"
MAPPING_VERSION = f"{EXTENSIONS}/mapping-version"
RESEARCH_STUDY = "http://hl7.org/fhir/StructureDefinition/workflow-researchStudy"

REVIEW = f"{BASE}/CodeSystem/review"
LOCAL_TESTS = f"{BASE}/CodeSystem/pumch-lis-test"
LOCAL_MEDICATIONS = f"{BASE}/CodeSystem/pumch-his-medication"
ORDER_TOKEN = f"{BASE}/sid/order-token"
SPECIMEN_TOKEN = f"{BASE}/sid/specimen-token"
RAW_MESSAGE = f"{BASE}/sid/raw-message"

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
SPECIMEN_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0487"
DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
DATA_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

STUDY = "ResearchStudy/SSCI"
SITE = "Organization/PUMCH"
DEVICE = "Device/ssci-service"

UNIT_SUSPECT_SCALE = "unit-suspect-scale"
REVIEW_CODES = {
    Reason.ANALYTIC_SUSPECT: "analytic-suspect",
    Reason.UNIT_SUSPECT_SCALE: UNIT_SUSPECT_SCALE,
    Reason.WRONG_PATIENT: "wrong-patient",
    Reason.RESULT_DELETED: "result-deleted",
    Reason.VALUE_WITHDRAWN: "value-withdrawn",
}
STATUS_REVIEWS = frozenset({"wrong-patient", "result-deleted"})
"""The reviews that a status calls for, not a value."""
REPORT_STATUSES = {
    "A": "partial",
    "C": "corrected",
    "F": "final",
    "I": "registered",
    "O": "registered",
    "P": "preliminary",
    "R": "partial",
    "S": "registered",
    "X": "cancelled",
}
"""OBR-25 (HL7 table 0123) → DiagnosticReport.status, as HL7's v2-to-FHIR maps it, and A, which it
leaves open; anything else is unknown."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as sent with what its unit means; `unit_text` is OBX-6 or RXA-7 as sent."""

    number: Number
    unit: Unit
    unit_text: str

    @property
    def canonical(self) -> Decimal:
        value = self.number.value
        return value if self.unit.factor == 1 else value * self.unit.factor


@dataclass(frozen=True, slots=True)
class Result:
    """Everything an Observation is built from; `value` None where the status brings none."""

    id: str
    test: TestEntry
    local: tuple[str, str]
    subject: Subject
    status: str
    letter: str
    effective: Time
    issued: Time | None
    value: Quantity | Absent | None
    value_text: str
    interpretations: tuple[str, ...]
    reference: tuple[Decimal | None, Decimal | None] | None
    order: ResultOrder
    order_token: str
    specimen_id: str
    reviews: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Administration:
    """Everything a MedicationAdministration is built from."""

    id: str
    medication: MedicationEntry
    local: tuple[str, str]
    subject: Subject
    status: str
    letter: str
    start: Time
    end: Time | None
    dose: Quantity | None
    order: ResultOrder
    order_token: str


def build_observation(result: Result, source: Source) -> Json:
    resource: Json = {
        "resourceType": "Observation",
        "id": result.id,
        **build_meta(result.subject, result.reviews),
        "extension": [
            *_canonical(result.value),
            *_source_value(result.value, result.value_text),
            *build_common_extensions(result.letter, result.order, source),
        ],
        **build_identifiers(ORDER_TOKEN, result.order_token),
        "status": result.status,
        "category": [build_concept(CATEGORY, "laboratory", "Laboratory")],
        "code": _test_code(result),
        "subject": {"reference": result.subject.reference},
        "effectiveDateTime": result.effective.text,
    }
    if result.issued is not None and result.issued.is_instant:
        resource["issued"] = result.issued.text
    resource["performer"] = [{"reference": SITE}]
    resource |= _value(result.value)
    if result.interpretations:
        resource["interpretation"] = [
            {"coding": [build_coding(INTERPRETATION, code) for code in result.interpretations]}
        ]
    if result.specimen_id:
        resource["specimen"] = {"reference": f"Specimen/{result.specimen_id}"}
    return resource | _reference_range(result)


def build_administration(given: Administration, source: Source) -> Json:
    resource: Json = {
        "resourceType": "MedicationAdministration",
        "id": given.id,
        **build_meta(given.subject, ()),
        "extension": build_common_extensions(given.letter, given.order, source),
        **build_identifiers(ORDER_TOKEN, given.order_token),
        "status": given.status,
        "medicationCodeableConcept": build_medication_code(given.medication, given.local[0]),
        "subject": {"reference": given.subject.reference},
        **_effective(given.start, given.end),
    }
    if given.dose is not None:
        resource["dosage"] = {"dose": build_dose(given.dose)}
    return resource


def build_dose(dose: Quantity) -> Json:
    """An amount as sent, with the canonical one beside it where that is another."""
    extension = _canonical(dose)
    return {**({"extension": extension} if extension else {}), **build_quantity(dose)}


def build_specimen(
    id: str,
    subject: Subject,
    kind: str,
    collected: Time,
    token: str,
    order: ResultOrder,
    source: Source,
) -> Json:
    return {
        "resourceType": "Specimen",
        "id": id,
        **build_meta(subject, ()),
        "extension": build_common_extensions("", order, source)[1:],
        **build_identifiers(SPECIMEN_TOKEN, token),
        "status": "available",
        **({"type": build_concept(SPECIMEN_TYPE, kind)} if kind else {}),
        "subject": {"reference": subject.reference},
        "collection": {"collectedDateTime": collected.text},
    }


def build_report(
    id: str,
    subject: Subject,
    letter: str,
    panel: tuple[str, str],
    effective: Time,
    issued: Time | None,
    token: str,
    specimen_id: str,
    order: ResultOrder,
    source: Source,
) -> Json:
    """Without its results: these are known when the transaction has decided."""
    code, system = panel
    coding = build_coding(LOINC if system == "LN" else LOCAL_TESTS, code) if code else None
    return {
        "resourceType": "DiagnosticReport",
        "id": id,
        **build_meta(subject, ()),
        "extension": build_common_extensions(letter, order, source),
        **build_identifiers(ORDER_TOKEN, token),
        "status": REPORT_STATUSES.get(letter, "unknown"),
        "category": [build_concept(DIAGNOSTIC_SERVICE, "LAB", "Laboratory")],
        "code": {"coding": [coding]} if coding else {"text": "laboratory report"},
        "subject": {"reference": subject.reference},
        "effectiveDateTime": effective.text,
        **({"issued": issued.text} if issued is not None and issued.is_instant else {}),
        "performer": [{"reference": SITE}],
        **({"specimen": [{"reference": f"Specimen/{specimen_id}"}]} if specimen_id else {}),
    }


@dataclass(frozen=True, slots=True)
class Target:
    """A version written from a place in the message."""

    resource_type: str
    id: str
    version: int
    place: str
    start: int
    end: int


def build_provenance(
    id: str, targets: Sequence[Target], source: Source, synthetic: bool, service: str
) -> Json:
    """https://hl7.org/fhir/R4/provenance.html – its times are the message's, not the clock's."""
    operation = "CREATE" if all(target.version == 1 for target in targets) else "UPDATE"
    return {
        "resourceType": "Provenance",
        "id": id,
        **({"meta": {"security": [build_coding(ACT_REASON, "HTEST")]}} if synthetic else {}),
        "extension": [{"url": MAPPING_VERSION, "valueString": source.mapping_version}],
        "target": [_target(target) for target in targets],
        "recorded": _instant(source.received),
        "activity": {"coding": [build_coding(DATA_OPERATION, operation)]},
        "agent": [
            {
                "type": build_concept(PARTICIPANT, "assembler", "Assembler"),
                "who": {
                    "reference": DEVICE,
                    "display": f"{service}, mapping {source.mapping_version}",
                },
            }
        ],
        "entity": [
            {
                "role": "source",
                "what": {"identifier": {"system": RAW_MESSAGE, "value": source.sha256}},
            }
        ],
    }


def with_review(resource: Json, reason: Reason) -> Json:
    """The resource with one more review tag."""
    meta = resource.get("meta", {})
    tag = build_coding(REVIEW, REVIEW_CODES[reason])
    head = {key: resource[key] for key in ("resourceType", "id")}
    return {**head, "meta": {**meta, "tag": [*meta.get("tag", []), tag]}, **_without_meta(resource)}


def _without_meta(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key not in ("id", "meta")}


def read_order(resource: Json, url: str = RESULT_ORDER) -> ResultOrder | None:
    """The order kept on a resource; None on one that no feed wrote. VALUE_ORDER is that of the
    value, where a later message changed the status alone; DESCRIPTION_ORDER that of all but the
    status, where messages tell the two apart."""
    for extension in resource.get("extension", []):
        if extension.get("url") == url:
            times = {
                item["url"]: datetime.fromisoformat(item["valueInstant"])
                for item in extension.get("extension", [])
                if "valueInstant" in item
            }
            return ResultOrder(
                times.get("analysed"), times.get("reported"), times.get("sent"), times["received"]
            )
    return None


# Parts


def build_coding(system: str, code: str, display: str = "") -> Json:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def build_concept(system: str, code: str, display: str = "") -> Json:
    return {"coding": [build_coding(system, code, display)]}


def build_meta(subject: Subject, reviews: tuple[Reason, ...]) -> Json:
    meta: Json = {}
    codes = [REVIEW_CODES[reason] for reason in reviews if reason in REVIEW_CODES]
    if codes:
        meta["tag"] = [build_coding(REVIEW, code) for code in codes]
    if subject.synthetic:
        meta["security"] = [build_coding(ACT_REASON, "HTEST")]
    return {"meta": meta} if meta else {}


def build_common_extensions(letter: str, order: ResultOrder, source: Source) -> list[Json]:
    return [
        {"url": RESEARCH_STUDY, "valueReference": {"reference": STUDY}},
        *([{"url": RESULT_STATUS, "valueCode": letter}] if letter else []),
        {"url": RESULT_ORDER, "extension": _order_parts(order)},
        {"url": MAPPING_VERSION, "valueString": source.mapping_version},
    ]


def _order_parts(order: ResultOrder) -> list[Json]:
    times = {
        "analysed": order.analysed,
        "reported": order.reported,
        "sent": order.sent,
        "received": order.received,
    }
    return [{"url": name, "valueInstant": _instant(at)} for name, at in times.items() if at]


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def build_identifiers(system: str, token: str) -> Json:
    return {"identifier": [{"system": system, "value": token}]} if token else {}


def _test_code(result: Result) -> Json:
    test, (code, system) = result.test, result.local
    codings = [build_coding(LOINC, test.loinc, test.display)]
    if test.more_loinc:
        codings.append(build_coding(LOINC, test.more_loinc, test.more_display))
    if system != "LN":
        codings.append(build_coding(LOCAL_TESTS, code, test.local_display))
    return {"coding": codings}


def build_medication_code(medication: MedicationEntry, code: str) -> Json:
    """A medication by its international codes and the `code` sent."""
    codings = [
        build_coding(RXNORM, medication.rxnorm, medication.drug),
        build_coding(ATC, medication.atc, medication.drug),
    ]
    if code not in (medication.rxnorm, medication.atc, medication.atc_retired):
        codings.append(build_coding(LOCAL_MEDICATIONS, code, medication.display))
    elif code == medication.atc_retired:
        codings.append(build_coding(ATC, code, medication.drug))
    return {"coding": codings}


def _effective(start: Time, end: Time | None) -> Json:
    if end is None or end.text == start.text:
        return {"effectiveDateTime": start.text}
    return {"effectivePeriod": {"start": start.text, "end": end.text}}


def _value(value: Quantity | Absent | None) -> Json:
    if isinstance(value, Quantity):
        return {"valueQuantity": build_quantity(value)}
    if isinstance(value, Absent):
        text = {"text": value.text} if value.text else {}
        return {"dataAbsentReason": {**build_concept(ABSENT, value.code), **text}}
    return {}


def build_quantity(quantity: Quantity) -> Json:
    found: dict[str, Any] = {"value": quantity.number.value}
    if quantity.number.comparator:
        found["comparator"] = quantity.number.comparator
    found["unit"] = quantity.unit_text or quantity.unit.canonical
    if quantity.unit.ucum:
        found |= {"system": UCUM, "code": quantity.unit.ucum}
    return found


def _canonical(value: Quantity | Absent | None) -> list[Json]:
    """The canonical quantity, wherever the sent unit is not exactly the canonical code."""
    if not isinstance(value, Quantity) or value.unit.ucum == value.unit.canonical:
        return []
    quantity: dict[str, Any] = {"value": value.canonical}
    if value.number.comparator:
        quantity["comparator"] = value.number.comparator
    quantity |= {"unit": value.unit.canonical, "system": UCUM, "code": value.unit.canonical}
    found: list[Json] = [{"url": CANONICAL_QUANTITY, "valueQuantity": quantity}]
    if value.unit.converted:
        found.append({"url": UNIT_CONVERTED, "valueBoolean": True})
    return found


def _source_value(value: Quantity | Absent | None, text: str) -> list[Json]:
    """The value's text, where the number alone does not show it as it was sent."""
    if not isinstance(value, Quantity) or text == format(value.number.value, "f"):
        return []
    return [{"url": SOURCE_VALUE, "valueString": text}]


def _reference_range(result: Result) -> Json:
    if result.reference is None or not isinstance(result.value, Quantity):
        return {}
    low, high = result.reference
    limits = {
        name: {"value": limit, "unit": result.value.unit_text or result.value.unit.canonical}
        for name, limit in (("low", low), ("high", high))
        if limit is not None
    }
    return {"referenceRange": [limits]} if limits else {}


def _target(target: Target) -> Json:
    place = [
        {"url": "place", "valueString": target.place},
        {"url": "start", "valueInteger": target.start},
        {"url": "end", "valueInteger": target.end},
    ]
    return {
        "extension": [{"url": SOURCE_PLACE, "extension": place}],
        "reference": f"{target.resource_type}/{target.id}/_history/{target.version}",
    }
