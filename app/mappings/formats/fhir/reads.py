"""What the FHIR mappers read, element by element, and what becomes of it: the coverage ledger's
list of what is mapped.

A test maps Bundles of every kind with resources that record what is asked of them and compares the
record with this table. https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

CODES = ("coding.code", "text")
CONCEPT = (*CODES, "coding.system", "coding.display", "coding.userSelected")
NUMBER = ("system", "value")
TYPED = (*NUMBER, "type.coding.code", "type.text")
AMOUNT = ("value", "unit", "system", "code")
QUANTITY = (*AMOUNT, "comparator")
BARE = ("value", "comparator")
REFERRED = ("reference", "identifier.system", "identifier.value")
REFERRED_TYPED = ("reference", *(f"identifier.{part}" for part in TYPED))
PATIENT = (*REFERRED_TYPED, "type", "identifier.use")


@dataclass(frozen=True, slots=True)
class Use:
    """An element that is read: by which rule, into which element of what is stored. `carried`: as
    part of the order of versions. `referred`: also where the resource has no fact of its own and
    others refer to it. `whose`: it says whom a fact is about, whatever that comes to."""

    rule: str
    target: str
    carried: bool = False
    referred: bool = False
    whose: bool = False


Uses = Mapping[str, Use]


def _uses(use: Use, path: str, parts: tuple[str, ...] = ("",)) -> Iterator[tuple[str, Use]]:
    return ((f"{path}.{part}".rstrip("."), use) for part in parts)


def _every(made: str, *, of_subject: bool = True, dated: bool = True) -> dict[str, Use]:
    """Of every resource, by what is made of it."""
    whose = Use("identity", f"{made}.subject", whose=True)
    link = Use("link", "references within the document", referred=True)
    order = Use("order", f"{made}.extension(result-order)", carried=True)
    return {
        "resourceType": Use("decision", made, referred=True),
        "id": link,
        **({"meta.lastUpdated": order} if dated else {}),
        **(dict(_uses(whose, "subject", PATIENT)) if of_subject else {}),
    }


def _measured(prefix: str) -> dict[str, Use]:
    """Of an Observation and of a component of one."""
    value = Use("content", "Observation.value[x]")
    given = (
        (value, "valueQuantity", QUANTITY),
        (value, "valueCodeableConcept", ("text", "coding.display", "coding.code")),
        (value, "valueString", ("",)),
        (value, "valueInteger", ("",)),
        (value, "valueRange.low", BARE),
        (value, "valueRange.high", BARE),
        (value, "valueRatio.numerator", BARE),
        (value, "valueRatio.denominator", BARE),
        (
            Use("content", "Observation.dataAbsentReason"),
            "dataAbsentReason",
            ("coding.system", "coding.code", "text"),
        ),
        (Use("content", "Observation.interpretation"), "interpretation", CODES),
        (
            Use("content", "Observation.referenceRange"),
            "referenceRange",
            ("low.value", "high.value", "text"),
        ),
        (Use("content", "Observation.code"), "code", CONCEPT),
    )
    return {
        path: use for each, name, parts in given for path, use in _uses(each, prefix + name, parts)
    }


def _observation() -> dict[str, Use]:
    key = Use("key", "Observation.id, Observation.identifier")
    return {
        **_every("Observation"),
        **_measured(""),
        **_measured("component."),
        **dict(_uses(key, "identifier", NUMBER)),
        **dict(_uses(key, "basedOn", REFERRED_TYPED)),
        **dict(_uses(Use("link", "Observation.specimen"), "specimen", REFERRED)),
        "hasMember.reference": Use("link", "Observation.code", referred=True),
        "status": Use("state", "Observation.status"),
        **dict(_uses(Use("decision", "Observation.category"), "category", CODES)),
        **_at("Observation", start_only=True),
        "issued": Use("moment", "Observation.issued"),
        "note.text": Use("decision", "Observation.value[x]"),
    }


def _at(made: str, *, start_only: bool = False, referred: bool = False) -> dict[str, Use]:
    use = Use("moment", f"{made}.effective[x]", referred=referred)
    names = ("DateTime", "Instant", "Period.start", *(() if start_only else ("Period.end",)))
    return {f"effective{name}": use for name in names}


def _report() -> dict[str, Use]:
    key = Use("key", "Observation.id, DiagnosticReport.id", referred=True)
    code = Use("content", "DiagnosticReport.code", referred=True)
    specimen = Use("link", "Observation.specimen", referred=True)
    return {
        **_every("DiagnosticReport", dated=False),
        **dict(_uses(key, "identifier", TYPED)),
        **dict(_uses(key, "basedOn", REFERRED_TYPED)),
        **dict(_uses(specimen, "specimen", REFERRED)),
        "status": Use("state", "DiagnosticReport.status", referred=True),
        **dict(_uses(code, "code", CONCEPT)),
        **_at("DiagnosticReport", start_only=True, referred=True),
        "issued": Use("moment", "DiagnosticReport.issued", referred=True),
        "result.reference": Use("link", "DiagnosticReport.result", referred=True),
    }


def _specimen() -> dict[str, Use]:
    key = Use("key", "Specimen.id, Specimen.identifier", referred=True)
    taken = Use("moment", "Specimen.collection.collected[x]", referred=True)
    return {
        **_every("Specimen", dated=False),
        **dict(_uses(key, "identifier", NUMBER)),
        **dict(_uses(key, "accessionIdentifier", NUMBER)),
        "collection.collectedDateTime": taken,
        "collection.collectedPeriod.start": taken,
    }


def _request(made: str) -> dict[str, Use]:
    key = Use("key", f"{made}.id, {made}.identifier", referred=True)
    return {
        **_every(made),
        **dict(_uses(key, "identifier", TYPED)),
        "status": Use("state", f"{made}.status"),
        "intent": Use("decision", made),
        "doNotPerform": Use("decision", made),
        "authoredOn": Use("moment", f"{made}.authoredOn"),
    }


def _service() -> dict[str, Use]:
    code = Use("content", "ServiceRequest.code", referred=True)
    return {**_request("ServiceRequest"), **dict(_uses(code, "code", CONCEPT))}


def _medicine(made: str) -> dict[str, Use]:
    use = Use("content", f"{made}.medication[x]")
    return {
        **dict(_uses(use, "medicationCodeableConcept", CONCEPT)),
        "medicationReference.reference": Use("link", f"{made}.medication[x]"),
    }


def _medication() -> dict[str, Use]:
    code = Use("content", "the medication[x] of what refers to it", referred=True)
    return {
        **_every("Medication", of_subject=False, dated=False),
        **dict(_uses(code, "code", CONCEPT)),
    }


def _administration() -> dict[str, Use]:
    made = "MedicationAdministration"
    key = Use("key", f"{made}.id, {made}.identifier")
    return {
        **_every(made),
        **_medicine(made),
        **_at(made),
        **dict(_uses(key, "identifier", NUMBER)),
        **dict(_uses(key, "request", REFERRED_TYPED)),
        "status": Use("state", f"{made}.status"),
        **dict(_uses(Use("content", f"{made}.dosage.dose"), "dosage.dose", QUANTITY)),
    }


RANGE = tuple(f"{end}.{part}" for end in ("low", "high") for part in QUANTITY)
RATIO = tuple(f"{end}.{part}" for end in ("numerator", "denominator") for part in QUANTITY)
REPEAT = (
    *("count", "frequency", "frequencyMax", "period", "periodMax", "periodUnit", "dayOfWeek"),
    *("countMax", "duration", "durationMax", "durationUnit", "timeOfDay", "when", "offset"),
    *("boundsPeriod.start", "boundsPeriod.end"),
    *(f"boundsDuration.{part}" for part in QUANTITY),
    *(f"boundsRange.{part}" for part in RANGE),
)
DOSES = (
    *(f"{name}.{part}" for name in ("doseQuantity", "rateQuantity") for part in QUANTITY),
    *(f"{name}.{part}" for name in ("doseRange", "rateRange") for part in RANGE),
    *(f"rateRatio.{part}" for part in RATIO),
)
LIMITS = (
    *(f"maxDosePerPeriod.{part}" for part in RATIO),
    *(f"maxDosePerAdministration.{part}" for part in QUANTITY),
    *(f"maxDosePerLifetime.{part}" for part in QUANTITY),
)


def _prescription() -> dict[str, Use]:
    made = "MedicationRequest"
    dosage = f"{made}.dosageInstruction"
    timing = Use("content", f"{dosage}.timing")
    dose = Use("content", f"{dosage}.doseAndRate")
    source = "dosageInstruction"
    return {
        **_request(made),
        **_medicine(made),
        **dict(_uses(Use("content", f"{dosage}.route"), f"{source}.route", CODES)),
        **dict(_uses(timing, f"{source}.timing.code", CODES)),
        **dict(_uses(timing, f"{source}.timing.repeat", REPEAT)),
        f"{source}.asNeededBoolean": timing,
        **dict(_uses(timing, f"{source}.asNeededCodeableConcept", CONCEPT)),
        f"{source}.timing.event": timing,
        **dict(_uses(dose, f"{source}.doseAndRate", DOSES)),
        **dict(_uses(Use("content", dosage), source, LIMITS)),
    }


def _encounter() -> dict[str, Use]:
    key = Use("key", "Encounter.id, Encounter.identifier")
    period = Use("moment", "Encounter.period")
    return {
        **_every("Encounter"),
        **dict(_uses(key, "identifier", TYPED)),
        "status": Use("state", "Encounter.status"),
        "class.code": Use("content", "Encounter.class"),
        "period.start": period,
        "period.end": period,
    }


def _condition() -> dict[str, Use]:
    return {
        **_every("Condition"),
        "id": Use("key", "Condition.id"),
        "identifier.value": Use("key", "Condition.id"),
        **dict(_uses(Use("state", "Condition.clinicalStatus"), "clinicalStatus", CODES)),
        **dict(_uses(Use("state", "Condition.verificationStatus"), "verificationStatus", CODES)),
        **dict(_uses(Use("content", "Condition.code"), "code", CONCEPT)),
        "onsetDateTime": Use("moment", "Condition.onset[x]"),
        "onsetPeriod.start": Use("moment", "Condition.onset[x]"),
    }


def _patient() -> dict[str, Use]:
    who = Use("identity", "Patient", referred=True, whose=True)
    return {
        **_every("Patient", of_subject=False),
        **dict(_uses(who, "identifier", (*TYPED, "use"))),
        **dict(_uses(who, "name", ("text", "family", "given"))),
        "birthDate": Use("identity", "Patient.birthDate", referred=True, whose=True),
        "gender": Use("content", "Patient.gender"),
    }


@cache
def fhir_reads() -> Mapping[str, Uses]:
    """Resource type → path without positions → what becomes of it."""
    found = {
        "Patient": _patient(),
        "Observation": _observation(),
        "DiagnosticReport": _report(),
        "Specimen": _specimen(),
        "ServiceRequest": _service(),
        "Medication": _medication(),
        "MedicationAdministration": _administration(),
        "MedicationRequest": _prescription(),
        "Encounter": _encounter(),
        "Condition": _condition(),
    }
    return MappingProxyType({kind: MappingProxyType(uses) for kind, uses in found.items()})
