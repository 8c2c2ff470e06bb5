"""Observation, DiagnosticReport, Specimen → order and result records.

https://hl7.org/fhir/R4/observation.html · https://hl7.org/fhir/R4/diagnosticreport.html
The numbers of an order stand where the hospital's server puts them: on the report, the result, the
request; with them a result is the same as the one that came by HL7 v2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from app.fhir import Json
from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.site import ABSENT_REASONS, Site
from app.mappings.elements import Element, Elements
from app.mappings.facts import Fact
from app.mappings.formats.fhir.bundle import Document, Entry
from app.mappings.formats.fhir.patients import find_patient
from app.mappings.formats.fhir.values import (
    codes_of,
    first_coding,
    merge_numbers,
    order_numbers,
    read_codings,
    read_effective,
    read_numbers,
    read_time,
    read_unit,
    read_updated,
    write_number,
    write_quantity,
)
from app.mappings.formats.flat_results import FlatResult, map_flat_results
from app.mappings.formats.json.spans import Broken, find_items, find_members
from app.mappings.frame import Span
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import NO_CODING, Coding, OrderRecord, ResultRecord
from app.mappings.rules.results import map_orders

STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "registered": "I",
        "preliminary": "P",
        "final": "F",
        "amended": "A",
        "corrected": "C",
        "cancelled": "X",
        "entered-in-error": "D",
    }
)
"""Observation.status → HL7 table 0085; any other word is judged as it is."""

REPORT_STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "registered": "I",
        "partial": "A",
        "preliminary": "P",
        "final": "F",
        **dict.fromkeys(("amended", "corrected", "appended"), "C"),
        "cancelled": "X",
    }
)
"""DiagnosticReport.status → HL7 table 0123."""

ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
LABORATORY = frozenset({"laboratory", "LAB"})
PLACES: Elements = MappingProxyType(
    {
        Element.SUBJECT: "Observation.subject",
        Element.NAME: "Patient.name",
        Element.BIRTH_DATE: "Patient.birthDate",
        Element.ORDER: "Observation.identifier",
        Element.SPECIMEN: "Observation.specimen",
        Element.PANEL: "DiagnosticReport.code",
        Element.CODE: "Observation.code",
        Element.SYSTEM: "Observation.code",
        Element.SUB_ID: "Observation.identifier",
        Element.VALUE: "Observation.value[x]",
        Element.UNIT: "Observation.valueQuantity.unit",
        Element.REFERENCE: "Observation.referenceRange",
        Element.FLAG: "Observation.interpretation",
        Element.STATUS: "Observation.status",
        Element.TIME: "Observation.effective[x]",
        Element.ORDER_TIME: "Specimen.collection.collected[x]",
        Element.REPORTED: "Observation.issued",
        Element.NOTE: "Observation.note",
    }
)
NOT_LABORATORY = "no laboratory result: the trial collects no others from the hospital's systems"
VALUES = frozenset(
    f"value{kind}"
    for kind in (
        *("Quantity", "CodeableConcept", "String", "Boolean", "Integer", "Range", "Ratio"),
        *("SampledData", "Time", "DateTime", "Period"),
    )
)


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports of a document by the place of each entry that they name as a result."""

    by_result: Mapping[str, Entry]
    gathering: frozenset[str]

    @classmethod
    def of(cls, document: Document) -> Reports:
        found: dict[str, Entry] = {}
        gathering = set()
        for entry in document.entries:
            if entry.type in ("DiagnosticReport", "Observation") and entry.failure is None:
                key = "result" if entry.type == "DiagnosticReport" else "hasMember"
                for reference in entry.resource.get(key, []):
                    if result := document.find_entry(reference, entry):
                        found.setdefault(result.place, entry)
                        gathering.add(entry.place)
        return cls(found, frozenset(gathering))


def map_observations(
    data: bytes, document: Document, context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per result, and one per Observation or report that only gathers others."""
    reports = Reports.of(document)
    flat: list[FlatResult] = []
    facts: list[Fact] = []
    for entry in sound_entries(document, "Observation"):
        settled = _settle_early(entry, document, reports, context, subjects)
        if settled is not None:
            facts.append(settled)
        else:
            flat += _read_observation(data, entry, document, reports, context.site, context)
    for entry in sound_entries(document, "DiagnosticReport"):
        facts.append(_map_report(entry, document, reports, context, subjects))
    return [*facts, *(_complete(each) for each in map_flat_results(flat, context, subjects))]


def sound_entries(document: Document, kind: str) -> Iterator[Entry]:
    return (each for each in document.entries if each.type == kind and each.failure is None)


def _complete(fact: Fact) -> Fact:
    """A corrected Observation is the whole result as it now stands, not a change to another that
    must have been seen: a server that is asked has no earlier version to tell."""
    candidate = fact.candidate
    if candidate is None or candidate.keeps_value:
        return fact
    return replace(fact, candidate=replace(candidate, needs_original=False))


# What makes no result


def _settle_early(
    entry: Entry,
    document: Document,
    reports: Reports,
    context: Context,
    subjects: Resolutions,
) -> Fact | None:
    resource = entry.resource
    fact = Fact(0, entry.place, entry.span, elements=PLACES)
    if not _tells_value(resource) and not resource.get("component") and "hasMember" in resource:
        return fact.settled(Outcome.NOT_RECORDED, "a panel: its results stand by themselves")
    if _is_laboratory(resource) or _is_known(resource, context):
        return _contradiction(fact, resource)
    subject = subjects[find_patient(entry, document, context.site.systems)]
    if isinstance(subject, Failure):
        return fact.failed(subject)
    return replace(fact, subject=subject).settled(Outcome.NOT_COLLECTED, NOT_LABORATORY)


def _contradiction(fact: Fact, resource: Json) -> Fact | None:
    values = [key for key in resource if key in VALUES]
    if len(values) > 1 or (values and "dataAbsentReason" in resource):
        detail = "more than one value, or a value and why there is none"
        return fact.failed(Failure(Reason.FHIR_INVALID, detail, Element.VALUE))
    return None


def _is_laboratory(resource: Json) -> bool:
    categories = codes_of(resource.get("category", []))
    return not categories or not LABORATORY.isdisjoint(categories)


def _is_known(resource: Json, context: Context) -> bool:
    """Whether the dictionary collects it, whatever category the server gave it."""
    site, feed = context.site, context.setting.name
    for coding in read_codings(resource.get("code", {}), site.systems):
        test = site.find_test(feed, "", coding.code, coding.system)
        if test is not None and test.role == "collected":
            return True
    return False


def _map_report(
    entry: Entry,
    document: Document,
    reports: Reports,
    context: Context,
    subjects: Resolutions,
) -> Fact:
    fact = Fact(0, entry.place, entry.span, elements=PLACES)
    if entry.place in reports.gathering:
        return fact.settled(Outcome.NOT_RECORDED, "carried with its results")
    patient = find_patient(entry, document, context.site.systems)
    order = OrderRecord(entry.place, entry.span, patient, PLACES)
    return map_orders([order], context, subjects)[0]


def _tells_value(resource: Json) -> bool:
    return "dataAbsentReason" in resource or any(key in VALUES for key in resource)


# Orders


def _read_observation(
    data: bytes,
    entry: Entry,
    document: Document,
    reports: Reports,
    site: Site,
    context: Context,
) -> Iterator[FlatResult]:
    """The result, or those of its components; of both, each."""
    order, sub_id = _read_order(entry, document, reports, context)
    components = entry.resource.get("component", [])
    if _tells_value(entry.resource) or not components:
        yield order, _read_result(entry.resource, entry.place, entry.span, sub_id, entry, site)
    if components and order.panel == NO_CODING:
        order = replace(order, panel=_panel(entry.resource.get("code", {}), context))
    spans = _component_spans(data, entry)
    for number, component in enumerate(components):
        place = f"{entry.place}.component[{number}]"
        span = spans[number] if number < len(spans) else entry.span
        yield order, _read_result(component, place, span, sub_id, entry, site)


def _component_spans(data: bytes, entry: Entry) -> Sequence[Span]:
    start = entry.span.start
    members = find_members(data[start : entry.span.end])
    if isinstance(members, Broken):
        return ()
    at = next((span for key, span in members if key == "component"), None)
    found = find_items(data, Span(start + at.start, start + at.end)) if at else ()
    return () if isinstance(found, Broken) else found


def _read_order(
    entry: Entry, document: Document, reports: Reports, context: Context
) -> tuple[OrderRecord, str]:
    """The order of a result and the result's sub-id, gathered from what the result refers to."""
    systems, resource = context.site.systems, entry.resource
    above = reports.by_result.get(entry.place)
    report = above if above and above.type == "DiagnosticReport" else None
    around = above.resource if above else {}
    requests = [
        *_find_requests(resource, entry, document),
        *(_find_requests(around, above, document) if above else ()),
    ]
    specimen = _find_specimen(entry, above, document)
    numbers = merge_numbers(
        [
            read_numbers(around.get("identifier", []), systems, typed=report is not None),
            read_numbers(resource.get("identifier", []), systems, typed=False),
            *(read_numbers(each.get("identifier", []), systems, typed=True) for each in requests),
            _specimen_numbers(specimen, context),
        ]
    )
    concepts = [around.get("code", {}), *(each.get("code", {}) for each in requests)]
    panel = next((found for each in concepts if (found := _panel(each, context)).code), NO_CODING)
    order = OrderRecord(
        entry.place,
        entry.span,
        find_patient(entry, document, systems),
        PLACES,
        order_numbers(numbers),
        panel,
        is_report=report is not None,
        status=REPORT_STATUSES.get(around.get("status", ""), "") if report else "",
        observed=read_effective(around)[0] if report else "",
        collected=_collected(specimen),
        reported=around.get("issued", "") if report else "",
        sent=read_updated(resource) or document.sent,
    )
    return order, numbers.get("sub_id", "")


def _find_requests(resource: Json, entry: Entry, document: Document) -> list[Json]:
    """The requests that something is based on; of one outside the document its number."""
    found = []
    for reference in resource.get("basedOn", []):
        request = document.find(reference, entry)
        if request is not None and request.get("resourceType") == "ServiceRequest":
            found.append(request)
        elif "identifier" in reference:
            found.append({"identifier": [reference["identifier"]]})
    return found


def _find_specimen(entry: Entry, above: Entry | None, document: Document) -> Json:
    told = [(entry.resource["specimen"], entry)] if "specimen" in entry.resource else []
    if above is not None and above.type == "DiagnosticReport":
        of_report = above.resource.get("specimen", [])
        told += [(each, above) for each in of_report] if len(of_report) == 1 else []
    for reference, referrer in told:
        specimen = document.find(reference, referrer)
        if specimen is not None and specimen.get("resourceType") == "Specimen":
            return specimen
        if "identifier" in reference:
            return {"identifier": [reference["identifier"]]}
    return {}


def _specimen_numbers(specimen: Json, context: Context) -> dict[str, str]:
    """The number that the site's data name, else the accession number, else the first."""
    identifiers: list[Json] = specimen.get("identifier", [])
    accession = specimen.get("accessionIdentifier", {})
    found = read_numbers([*identifiers, accession], context.site.systems, typed=False)
    others = [each.get("value", "").strip() for each in (accession, *identifiers)]
    number = found.get("specimen") or next(filter(None, others), "")
    return {"specimen": number} if number else {}


def _collected(specimen: Json) -> str:
    collection = specimen.get("collection", {})
    period = collection.get("collectedPeriod", {})
    return read_time(collection.get("collectedDateTime") or period.get("start", ""))


def _panel(concept: Json, context: Context) -> Coding:
    """The first coding that the dictionary knows as a panel, else the first."""
    site, feed = context.site, context.setting.name
    codings = read_codings(concept, site.systems)
    known = (each for each in codings if site.panel(feed, each.code, each.system))
    return next(known, first_coding(codings))


# Results


def _read_result(
    told: Json, place: str, span: Span, sub_id: str, entry: Entry, site: Site
) -> ResultRecord:
    """The result that an Observation or one of its components tells."""
    resource = entry.resource
    kind, components, text = _read_value(told)
    status = resource.get("status", "")
    return ResultRecord(
        place,
        span,
        PLACES,
        read_codings(told.get("code", {}), site.systems),
        sub_id,
        kind,
        components,
        text,
        absent_reason=_absent_reason(told),
        unit=read_unit(told.get("valueQuantity", {})),
        reference=_reference(told),
        flags=codes_of(told.get("interpretation", [])),
        status=STATUSES.get(status, status),
        collected=read_effective(resource)[0],
        reported=resource.get("issued", ""),
        notes=tuple(note.get("text", "") for note in resource.get("note", [])),
    )


def _read_value(told: Json) -> tuple[str, tuple[str, ...], str]:
    """Value type, components and text; of a value that could be no number its type's name."""
    key = next((key for key in told if key in VALUES), "")
    if not key:
        return "", (), _absent_text(told)
    value: Any = told[key]
    if key == "valueQuantity":
        return _read_quantity(value)
    text = _write_value(key, value)
    return "", (text,), text


def _read_quantity(quantity: Json) -> tuple[str, tuple[str, ...], str]:
    number, comparator = write_number(quantity.get("value")), quantity.get("comparator", "")
    if comparator:
        return "SN", (comparator, number), f"{comparator}{number}"
    return "NM", (number,), number


def _write_value(key: str, value: Any) -> str:
    if key == "valueString":
        return str(value).strip()
    if key == "valueInteger":
        return write_number(value)
    if key == "valueCodeableConcept":
        displays = [each.get("display") or each.get("code", "") for each in value.get("coding", [])]
        return str(value.get("text") or next(filter(None, displays), ""))
    if key == "valueRange":
        return "-".join(write_quantity(value.get(end, {})) for end in ("low", "high"))
    if key == "valueRatio":
        return ":".join(write_quantity(value.get(end, {})) for end in ("numerator", "denominator"))
    return key


def _absent_reason(told: Json) -> str:
    """The code of the reason; one that R4 does not know is `unknown`."""
    if "dataAbsentReason" not in told:
        return ""
    codings = told["dataAbsentReason"].get("coding", [])
    codes = [each.get("code", "") for each in codings if each.get("system") == ABSENT]
    return next((code for code in codes if code in ABSENT_REASONS), "unknown")


def _absent_text(told: Json) -> str:
    return str(told.get("dataAbsentReason", {}).get("text", ""))


def _reference(told: Json) -> str:
    """The reference range as text, where there is one range."""
    ranges = told.get("referenceRange", [])
    if len(ranges) != 1:
        return ""
    low, high = (write_number(ranges[0].get(end, {}).get("value")) for end in ("low", "high"))
    if low and high:
        return f"{low}-{high}"
    limit = f">={low}" if low else f"<={high}" if high else ""
    return limit or str(ranges[0].get("text", ""))
