"""The endpoints over FHIR: `Measure/$evaluate-measure` and `ResearchStudy/$endpoints`.

https://hl7.org/fhir/R4/measure-operation-evaluate-measure.html ·
https://hl7.org/fhir/R4/measurereport.html

`periodEnd` is the clinical data cut, `periodStart` leaves out whose first dose is before it, `asOf`
(ours) is what was known then. A report is computed from the rows as they are and not stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from app.endpoints.catalogue import CATALOGUE
from app.endpoints.reading.records import Request
from app.endpoints.shell import Endpoints, Query
from app.errors import Category, error
from app.fhir import (
    ApiOperation,
    ApiRequest,
    ApiResponse,
    Asked,
    Json,
    answer_parameters,
    answer_resource,
    read_known,
    refused,
    required_text,
    text,
)
from app.trial import BASE, STUDY_ID, TERMINOLOGY, UCUM, coding, group_coding

if TYPE_CHECKING:
    from app.fhir import FhirApp
    from app.trial import EndpointDefinition

INDIVIDUAL = "individual"
SUBJECT_LIST = "subject-list"
SUMMARY = "summary"
REPORT_TYPES: Mapping[str, str] = {
    "subject": INDIVIDUAL,
    "subject-list": SUBJECT_LIST,
    "population": SUMMARY,
}
"""What is asked for → MeasureReport.type."""

PERIOD_START = "periodStart"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SUBJECT = re.compile(r"(?:Patient/)?([A-Za-z0-9.-]{1,64})")

ASKED = (
    Asked(
        PERIOD_START,
        "First day: who began treatment before it is left out",
        "date",
        needed_at=frozenset({"type", "instance"}),
    ),
    Asked(
        "periodEnd",
        "Last day: the clinical data cut",
        "date",
        needed_at=frozenset({"type", "instance"}),
    ),
    Asked(
        "measure",
        "Canonical URL of the Measure, with |version or without, or its id",
        needed_at=frozenset({"type"}),
        not_at=frozenset({"instance"}),
    ),
    Asked("reportType", "subject, subject-list or population"),
    Asked("subject", "Patient/[id]: a report of this participant"),
    Asked("asOf", "System time: what was known then", "instant"),
)
STUDY_ASKED = (
    Asked("cutoff", "Clinical data cut: a date or an instant"),
    Asked("asOf", "System time: what was known then", "instant"),
    Asked("population", "A population of the protocol"),
)


class MeasureOperations:
    """The operations, over the endpoints."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def operations(self) -> tuple[ApiOperation, ...]:
        return (
            ApiOperation(
                "evaluate-measure",
                frozenset({"Measure"}),
                frozenset({"type", "instance"}),
                self.evaluate,
                affects_state=False,
                definition="http://hl7.org/fhir/OperationDefinition/Measure-evaluate-measure",
                answers="MeasureReport",
                asked=ASKED,
            ),
            ApiOperation(
                "endpoints",
                frozenset({"ResearchStudy"}),
                frozenset({"instance"}),
                self.tell_all,
                affects_state=False,
                definition=f"{BASE}/OperationDefinition/endpoints",
                asked=STUDY_ASKED,
            ),
        )

    async def evaluate(self, _app: FhirApp, request: ApiRequest) -> ApiResponse:
        """A MeasureReport; 400 for what is missing or malformed, 404 for a Measure not ours."""
        given = read_known(request, [each.name for each in ASKED])
        start = _day(PERIOD_START, required_text(given, PERIOD_START))
        end = _day("periodEnd", required_text(given, "periodEnd"))
        if end < start:
            raise refused("periodEnd", "must not be before periodStart")
        definition = self._measure(request, text(given, "measure"))
        subject = _subject(text(given, "subject"))
        kind = _report_type(text(given, "reportType"), subject)
        query = Query(cutoff=end, as_of=text(given, "asOf"), version=definition.version)
        [asked] = await self._endpoints.build_requests_of([definition.id], query)
        asked = replace(asked, parameters={**asked.parameters, PERIOD_START: start})
        answer = await self._compute(asked, subject)
        return answer_resource(build_report(answer, definition, kind, (start, end), subject))

    async def tell_all(self, _app: FhirApp, request: ApiRequest) -> ApiResponse:
        """A summary report of every endpoint under one cut, named by its id."""
        if request.path[1] != STUDY_ID:
            raise error(Category.NOT_FOUND, f"has endpoints of {STUDY_ID} only", expression="id")
        given = read_known(request, [each.name for each in STUDY_ASKED])
        query = Query(text(given, "cutoff"), text(given, "asOf"), text(given, "population"))
        told: list[Json] = []
        for asked in await self._endpoints.build_requests_of(CATALOGUE, query):
            answer = await self._compute(asked, None)
            period = (None, answer["cutoff"])
            report = build_report(answer, asked.definition, SUMMARY, period, None)
            told.append({"name": asked.definition.id, "resource": report})
        return answer_parameters(told)

    async def _compute(self, asked: Request, subject: str | None) -> dict[str, Any]:
        among = None if subject is None else (subject,)
        answer: dict[str, Any] = json.loads(await self._endpoints.compute("measure", asked, among))
        return answer

    def _measure(self, request: ApiRequest, named: str | None) -> EndpointDefinition:
        """The definition behind `Measure/[id]` or the parameter `measure`."""
        at_instance = len(request.path) > 2
        if at_instance and named is not None:
            raise refused("measure", "has no place where the address names the Measure")
        wanted = request.path[1] if at_instance else named
        if wanted is None:
            raise error(Category.INCORRECT, "measure: the parameter is missing", code="required")
        found = [each for each in self._endpoints.protocol.endpoint_versions if _is(each, wanted)]
        if not found:
            raise error(Category.NOT_FOUND, f"no Measure of this study is {wanted[:200]}")
        definition = next((each for each in found if each.default), found[0])
        return self._endpoints.find_definition(definition.id, definition.version)


def _is(definition: EndpointDefinition, wanted: str) -> bool:
    url = f"{BASE}/Measure/{definition.id}"
    id_ = f"{definition.id}-{definition.version}"
    return wanted in (id_, f"Measure/{id_}", url, f"{url}|{definition.version}")


def _day(name: str, given: str) -> str:
    if not _DATE.fullmatch(given):
        raise refused(name, "must be a date such as 2019-03-14")
    try:
        date.fromisoformat(given)
    except ValueError:
        raise refused(name, "must be a date that exists") from None
    return given


def _subject(given: str | None) -> str | None:
    if given is None:
        return None
    found = _SUBJECT.fullmatch(given)
    if found is None:
        raise refused("subject", "must be Patient/[id]")
    return found[1]


def _report_type(asked: str | None, subject: str | None) -> str:
    """By default a report of the one participant who is named, else a summary."""
    if asked is None:
        return INDIVIDUAL if subject else SUMMARY
    if asked not in REPORT_TYPES:
        raise refused("reportType", f"must be one of {', '.join(REPORT_TYPES)}")
    if (asked == "subject") != (subject is not None):
        raise refused("subject", "goes with reportType subject, and only with it")
    return REPORT_TYPES[asked]


def build_report(
    answer: Mapping[str, Any],
    definition: EndpointDefinition,
    kind: str,
    period: tuple[str | None, str],
    subject: str | None,
) -> Json:
    """A MeasureReport of what the statistics process computed."""
    lists = _Lists(kind == SUBJECT_LIST)
    groups = [_group(each, lists) for each in answer["groups"]]
    start, end = period
    report: Json = {
        "resourceType": "MeasureReport",
        **({"contained": lists.contained} if lists.contained else {}),
        "status": "complete",
        "type": kind,
        "measure": f"{BASE}/Measure/{definition.id}|{definition.version}",
        **({"subject": {"reference": f"Patient/{subject}"}} if subject else {}),
        "date": answer["asOf"],
        "period": {**({"start": start} if start else {}), "end": end},
        "group": groups,
    }
    evaluated = _evaluated(answer["inputs"])
    return report | ({"evaluatedResource": evaluated} if evaluated else {})


class _Lists:
    """Contained Lists of participants, as a report of type subject-list has them."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self.contained: list[Json] = []

    def refer(self, subjects: Sequence[str]) -> Json:
        """The element that refers to a List of these; empty where none is wanted."""
        if not self._wanted:
            return {}
        id_ = f"subjects-{len(self.contained) + 1}"
        entries = [{"item": {"reference": f"Patient/{each}"}} for each in subjects]
        held: Json = {"resourceType": "List", "id": id_, "status": "current", "mode": "snapshot"}
        self.contained.append(held | ({"entry": entries} if entries else {}))
        return {"subjectResults": {"reference": f"#{id_}"}}


def _group(group: Mapping[str, Any], lists: _Lists) -> Json:
    stratifiers = [_stratifier(each, lists) for each in group["stratifiers"] if each["strata"]]
    return {
        "code": {"coding": [group_coding(group["code"])]},
        "population": list(_populations(group["populations"], lists)),
        **_score(group),
        **({"stratifier": stratifiers} if stratifiers else {}),
    }


def _stratifier(stratifier: Mapping[str, Any], lists: _Lists) -> Json:
    strata = [
        {
            "value": {"text": stratum["value"]},
            "population": list(_populations(stratum["populations"], lists)),
            **_score(stratum),
        }
        for stratum in stratifier["strata"]
    ]
    return {"code": [{"text": stratifier["code"]}], "stratum": strata}


def _populations(populations: Sequence[Mapping[str, Any]], lists: _Lists) -> Iterator[Json]:
    for each in populations:
        yield {
            "code": {"coding": [coding(f"{TERMINOLOGY}/measure-population", each["code"])]},
            "count": each["count"],
            **lists.refer(each["subjects"]),
        }


def _score(group: Mapping[str, Any]) -> Json:
    if group["score"] is None:
        return {}
    unit = group["unit"] or "1"
    return {"measureScore": {"value": group["score"], "unit": unit, "system": UCUM, "code": unit}}


def _evaluated(inputs: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Each version once, in order."""
    versions = {f"{each['resource']}/_history/{each['version']}" for each in inputs}
    return [{"reference": each} for each in sorted(versions)]
