"""The study as FHIR: ResearchStudy, Groups, organizations, medication, definitions, codes, built
from the protocol and the small files in `study/`, and loaded so that loading twice changes nothing.

https://hl7.org/fhir/R4/researchstudy.html · outcome measures and recruitment as R5 has them:
https://hl7.org/fhir/R5/versions.html#extensions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.errors import Category, error
from app.fhir import Caller, Change, Json, Revise, Store, copy_json, parse_json
from app.trial.codes import (
    ATC,
    CRITERIA,
    DIAGNOSES,
    ELIGIBILITY_GROUP_ID,
    ENROLLED_GROUP_ID,
    LOINC,
    MEDICATION_ID,
    NCT,
    NCT_RETIRED,
    ORGANIZATION_STUDY_ID,
    OVERALL_STATUS,
    RXNORM,
    SCHEDULE_ID,
    SITE_ID,
    SNOMED,
    SPONSOR_ID,
    STUDY_ID,
    UCUM,
    XVER_R5,
    coding,
    reference,
)
from app.trial.definitions import TERMINOLOGY, build_definitions
from app.trial.extensions import build_extensions
from app.trial.profile_codes import build_profile_value_sets
from app.trial.protocol import Contradiction, Criterion, EndpointDefinition, Objective, Protocol
from app.trial.sourced import SOURCES
from app.trial.terminology import build_terminology, build_value_set

STUDY_FILES = Path(__file__).with_name("study")
AGE = coding(LOINC, "30525-0", "Age")
PLATELETS = coding(LOINC, "777-3", "Platelets [#/volume] in Blood by Automated count")
THROMBOCYTOPENIA = coding(SNOMED, "302215000", "Thrombocytopenic disorder")


def build_study(protocol: Protocol) -> list[Json]:
    """Every resource of the study, each with its id."""
    resources = [
        *_read_files(STUDY_FILES),
        *build_organizations(protocol),
        build_medication(protocol),
        build_eligibility_group(protocol),
        build_enrolled_group(protocol),
        *build_definitions(protocol),
        *build_terminology(protocol),
        *build_profile_value_sets(protocol),
        *build_extensions(protocol.version),
        build_research_study(protocol),
    ]
    systems = [each for each in resources if each["resourceType"] == "CodeSystem"]
    return [*resources, *(build_value_set(system) for system in systems)]


def _read_files(folder: Path) -> list[Json]:
    files = sorted(folder.glob("*.json"))
    return [_read_file(file) for file in files]


def _read_file(file: Path) -> Json:
    resource = parse_json(file.read_bytes())
    named = f"{resource.get('resourceType')}-{resource.get('id')}"
    if file.stem != named:
        raise error(Category.FAULT, f"holds {named}", expression=f"study/{file.name}")
    return resource


async def load_study(store: Store, caller: Caller, protocol: Protocol) -> list[Change]:
    """Store the study in one transaction; what is stored already stays as it is, and the enrolled
    cohort keeps its members."""
    operations = [
        Revise(resource["resourceType"], resource["id"], _keeping_members(resource))
        for resource in build_study(protocol)
    ]
    return await store.write(caller, operations)


def _keeping_members(resource: Json) -> Callable[[Json | None], Json]:
    def revise(stored: Json | None) -> Json:
        built: Json = copy_json(resource)
        if stored is not None and stored.get("member"):
            built["member"] = stored["member"]
        return built

    return revise


def concept(text: str, *codings: Mapping[str, str]) -> dict[str, Any]:
    return ({"coding": list(codings)} if codings else {}) | {"text": text}


def build_organizations(protocol: Protocol) -> list[Json]:
    names = {SPONSOR_ID: protocol.study.sponsor, SITE_ID: protocol.study.site}
    return [
        {"resourceType": "Organization", "id": id, "active": True, "name": name}
        for id, name in names.items()
    ]


def build_medication(protocol: Protocol) -> Json:
    return {
        "resourceType": "Medication",
        "id": MEDICATION_ID,
        "code": medication_concept(protocol),
        "status": "active",
    }


def medication_concept(protocol: Protocol) -> dict[str, Any]:
    medication = protocol.medication
    return concept(
        medication.title,
        coding(RXNORM, medication.rxnorm, medication.code),
        coding(ATC, medication.atc, medication.code),
    )


# Groups


def build_eligibility_group(protocol: Protocol) -> Json:
    return {
        "resourceType": "Group",
        "id": ELIGIBILITY_GROUP_ID,
        "active": True,
        "type": "person",
        "actual": False,
        "name": f"{protocol.study.acronym}: who may take part",
        "characteristic": [
            _characteristic(each, protocol) for each in protocol.eligibility.criteria
        ],
    }


def build_enrolled_group(protocol: Protocol) -> Json:
    """The cohort; enrolment adds its members."""
    return {
        "resourceType": "Group",
        "id": ENROLLED_GROUP_ID,
        "active": True,
        "type": "person",
        "actual": True,
        "name": f"{protocol.study.acronym}: enrolled participants",
    }


def _characteristic(criterion: Criterion, protocol: Protocol) -> dict[str, Any]:
    own = coding(CRITERIA, criterion.code)
    build = _CHARACTERISTICS.get(criterion.code, _attested)
    codings, value = build(protocol)
    return {
        "code": concept(criterion.text, *codings, own),
        **value,
        "exclude": criterion.kind == "exclusion",
    }


Characteristic = tuple[tuple[Mapping[str, str], ...], dict[str, Any]]


def _attested(protocol: Protocol) -> Characteristic:
    return (), {"valueBoolean": True}


def _age(protocol: Protocol) -> Characteristic:
    def years(value: int) -> dict[str, Any]:
        return {"value": value, "unit": "a", "system": UCUM, "code": "a"}

    eligibility = protocol.eligibility
    low, high = years(eligibility.age_minimum), years(eligibility.age_maximum)
    return (AGE,), {"valueRange": {"low": low, "high": high}}


def _platelets(protocol: Protocol) -> Characteristic:
    unit = protocol.measurements["platelets"].unit
    below = {
        "value": protocol.eligibility.platelets_below,
        "comparator": "<",
        "unit": unit,
        "system": UCUM,
        "code": unit,
    }
    return (PLATELETS,), {"valueQuantity": below}


def _diseases(protocol: Protocol) -> Characteristic:
    listed = [each for each in protocol.diagnoses.values() if each.listed]
    codings = [coding(DIAGNOSES, each.code, each.display) for each in listed]
    return (), {"valueCodeableConcept": concept("One of these", *codings)}


_CHARACTERISTICS: Mapping[str, Callable[[Protocol], Characteristic]] = {
    "age": _age,
    "platelets": _platelets,
    "ctd": _diseases,
}
"""Criteria that say more than "attested"."""


# ResearchStudy


def build_research_study(protocol: Protocol) -> Json:
    """The investigator is not known and left out. R4 has no status for the registry's word: it
    stands in an extension and a note."""
    study = protocol.study
    return {
        "resourceType": "ResearchStudy",
        "id": STUDY_ID,
        "extension": [
            {"url": OVERALL_STATUS, "valueString": study.overall_status},
            *(_outcome_measure(each) for each in protocol.endpoints.values()),
            _recruitment(protocol),
        ],
        "identifier": [
            {"use": "official", "system": NCT, "value": study.nct},
            {"use": "old", "system": NCT_RETIRED, "value": study.nct},
            {"use": "secondary", "system": ORGANIZATION_STUDY_ID, "value": study.organization_id},
        ],
        "title": study.title,
        "protocol": [reference("PlanDefinition", SCHEDULE_ID)],
        "status": study.fhir_status,
        "primaryPurposeType": {
            "coding": [coding(f"{TERMINOLOGY}/research-study-prim-purp-type", study.purpose)]
        },
        "phase": {"coding": [coding(f"{TERMINOLOGY}/research-study-phase", study.phase)]},
        "category": [
            {"text": each} for each in (study.study_type, study.intervention_model, study.masking)
        ],
        "focus": [medication_concept(protocol)],
        "condition": [_condition(each) for each in study.conditions],
        "keyword": [{"text": each} for each in study.keywords],
        "description": study.description,
        "enrollment": [reference("Group", ELIGIBILITY_GROUP_ID)],
        "sponsor": reference("Organization", SPONSOR_ID),
        "site": [reference("Location", SITE_ID)],
        "note": [{"text": text} for text in _notes(protocol)],
        "arm": [
            {
                "name": study.arm_name,
                "type": concept(
                    study.arm_type,
                    coding(f"{TERMINOLOGY}/research-study-arm-type", study.arm_type),
                ),
                "description": study.arm_description,
            }
        ],
        "objective": [_objective(each) for each in protocol.objectives],
    }


def _condition(name: str) -> dict[str, Any]:
    return concept(name, THROMBOCYTOPENIA) if name == "thrombocytopenia" else concept(name)


def _objective(objective: Objective) -> dict[str, Any]:
    kind = coding(f"{TERMINOLOGY}/research-study-objective-type", objective.type)
    return {"name": objective.text, "type": {"coding": [kind]}}


def _outcome_measure(definition: EndpointDefinition) -> dict[str, Any]:
    kind = "primary" if definition.role == "primary" else "secondary"
    system = f"{TERMINOLOGY}/research-study-objective-type"
    source = SOURCES[definition.source]
    return {
        "url": f"{XVER_R5}/extension-ResearchStudy.outcomeMeasure",
        "extension": [
            {"url": "name", "valueString": definition.title},
            {"url": "type", "valueCodeableConcept": {"coding": [coding(system, kind)]}},
            {"url": "description", "valueMarkdown": f"{definition.text} (source: {source})"},
        ],
    }


def _recruitment(protocol: Protocol) -> dict[str, Any]:
    return {
        "url": f"{XVER_R5}/extension-ResearchStudy.recruitment",
        "extension": [
            {"url": "targetNumber", "valueUnsignedInt": protocol.study.target_number},
            {"url": "eligibility", "valueReference": reference("Group", ELIGIBILITY_GROUP_ID)},
            {"url": "actualGroup", "valueReference": reference("Group", ENROLLED_GROUP_ID)},
        ],
    }


def _notes(protocol: Protocol) -> list[str]:
    study = protocol.study
    status = (
        f"Overall status in the registry: {study.overall_status}. FHIR R4 has no such status, so "
        f"{study.fhir_status} stands here by assumption."
    )
    design = f"Allocation: {study.allocation}. Sexes: {study.sexes}."
    published = [f"Published: {each.text} ({each.citation})" for each in protocol.published]
    return [status, design, *published, *(_told(each) for each in protocol.contradictions)]


def _told(contradiction: Contradiction) -> str:
    said = "; ".join(f"{each.text} ({SOURCES[each.source]})" for each in contradiction.statements)
    return f"The sources differ. {contradiction.topic}: {said}. Here: {contradiction.used}."
