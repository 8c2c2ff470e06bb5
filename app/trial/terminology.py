"""The trial's own code systems, their value sets and concept maps, as far as they follow from the
protocol. https://hl7.org/fhir/R4/terminology-module.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.fhir import Json
from app.trial.codes import (
    ACTIVITY,
    BASE,
    CRITERIA,
    DIAGNOSES,
    ENDPOINTS,
    PLATELET_ITEM,
    SNOMED,
    VISITS,
)
from app.trial.protocol import Protocol

Concept = tuple[str, str]
"""(code, display)"""


def build_terminology(protocol: Protocol) -> list[Json]:
    """The code systems whose codes are the protocol's, and the map of diagnoses to SNOMED CT."""
    return [*build_code_systems(protocol), build_diagnosis_map(protocol)]


def build_code_systems(protocol: Protocol) -> list[Json]:
    visits = [(visit.code, visit.label) for visit in protocol.visits]
    visits.insert(0, (protocol.baseline.code, protocol.baseline.label))
    endpoints = [(each.id, each.title) for each in protocol.endpoints.values()]
    diagnoses = [(each.code, each.display) for each in protocol.diagnoses.values()]
    criteria = [(each.code, each.text) for each in protocol.eligibility.criteria]
    instruments = [(each.code, each.title) for each in protocol.activity_instruments.values()]
    platelet_item = (PLATELET_ITEM, "Item of the instrument that scores platelets")
    version = protocol.version
    return [
        _code_system(VISITS, "Visit", "Visits of the trial", version, visits),
        _code_system(ENDPOINTS, "Endpoint", "Endpoints of the trial", version, endpoints),
        _code_system(
            DIAGNOSES, "CtdDiagnosis", "Connective tissue diseases of the trial", version, diagnoses
        ),
        _code_system(
            CRITERIA, "EligibilityCriterion", "Eligibility criteria of the trial", version, criteria
        ),
        _code_system(
            ACTIVITY,
            "CtdActivity",
            "Activity instruments of connective tissue diseases",
            version,
            [*instruments, platelet_item],
        ),
    ]


def _code_system(
    url: str, name: str, title: str, version: str, concepts: Iterable[Concept]
) -> Json:
    id = url.rpartition("/")[2]
    listed = [{"code": code, "display": display} for code, display in concepts]
    return {
        "resourceType": "CodeSystem",
        "id": id,
        "url": url,
        "version": version,
        "name": name,
        "title": title,
        "status": "active",
        "experimental": False,
        "caseSensitive": True,
        "valueSet": f"{BASE}/ValueSet/{id}",
        "content": "complete",
        "count": len(listed),
        "concept": listed,
    }


def build_value_set(code_system: Json) -> Json:
    """All codes of a code system of ours."""
    return {
        "resourceType": "ValueSet",
        "id": code_system["id"],
        "url": code_system["valueSet"],
        "version": code_system["version"],
        "name": code_system["name"],
        "title": code_system["title"],
        "status": "active",
        "experimental": False,
        "immutable": True,
        "compose": {"include": [{"system": code_system["url"]}]},
    }


def build_diagnosis_map(protocol: Protocol) -> Json:
    elements: list[dict[str, Any]] = []
    for each in protocol.diagnoses.values():
        matched = {"code": each.snomed, "equivalence": "equivalent"}
        unmatched = {"equivalence": "unmatched", "comment": "no verified code: text only"}
        elements.append({"code": each.code, "target": [matched if each.snomed else unmatched]})
    return {
        "resourceType": "ConceptMap",
        "id": "ctd-diagnosis-snomed",
        "url": f"{BASE}/ConceptMap/ctd-diagnosis-snomed",
        "version": protocol.version,
        "name": "CtdDiagnosisSnomed",
        "title": "Connective tissue diseases of the trial in SNOMED CT",
        "status": "active",
        "experimental": False,
        "sourceUri": f"{BASE}/ValueSet/ctd-diagnosis",
        "targetUri": f"{SNOMED}?fhir_vs",
        "group": [{"source": DIAGNOSES, "target": SNOMED, "element": elements}],
    }
