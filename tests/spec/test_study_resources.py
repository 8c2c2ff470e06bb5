"""The study as FHIR R4: valid, complete as far as the facts go, and loaded once.
https://hl7.org/fhir/R4/researchstudy.html
"""

from __future__ import annotations

import importlib
from typing import Any

import orjson
import pytest

from app.database import Database
from app.fhir import Json, Store, Update, dump_json
from app.trial import build_study, load_study
from app.trial.codes import ENROLLED_GROUP_ID, STUDY_ID
from tests.trial_support import CALLER, coded_validator, protocol, trial_store

STUDY = build_study(protocol())
IDS = [f"{each['resourceType']}/{each['id']}" for each in STUDY]


def resource(reference: str) -> Any:
    return orjson.loads(dump_json(STUDY[IDS.index(reference)]))


@pytest.fixture
def store(database: Database) -> Store:
    return trial_store(database)


async def read(store: Store, reference: str) -> Json:
    stored = await store.read(CALLER, *reference.split("/"))
    assert stored is not None
    assert stored.body is not None
    return orjson.loads(stored.body)


@pytest.mark.parametrize("reference", IDS)
def test_each_resource_is_valid_r4(reference: str):
    """Held against a model library that the service did not write."""
    resource_type = reference.partition("/")[0]
    module = importlib.import_module(f"fhir.resources.R4B.{resource_type.lower()}")
    given = resource(reference)
    dumped = getattr(module, resource_type).model_validate(given).model_dump_json()
    assert orjson.loads(dumped)["id"] == given["id"]


@pytest.mark.parametrize("reference", IDS)
def test_each_resource_passes_the_service_itself(reference: str):
    given = STUDY[IDS.index(reference)]
    assert coded_validator().validate(given, given["resourceType"]) is None


def test_every_local_reference_leads_to_a_resource_of_the_study():
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["reference"]] if isinstance(value.get("reference"), str) else []
            return own + [each for item in value.values() for each in references(item)]
        if isinstance(value, list):
            return [each for item in value for each in references(item)]
        return []

    assert {each for given in STUDY for each in references(given)} - set(IDS) == set()


def test_the_study_has_its_identifiers_and_no_investigator():
    study = resource(f"ResearchStudy/{STUDY_ID}")
    assert [(each["system"], each["value"]) for each in study["identifier"]] == [
        ("https://clinicaltrials.gov/nctid", "NCT03688191"),
        ("http://clinicaltrials.gov", "NCT03688191"),
        ("https://ssci.example/fhir/sid/organization-study-id", "SirolimusforCTD-IP"),
    ]
    assert "principalInvestigator" not in study


def test_the_registrys_unknown_status_is_told_beside_the_assumed_one():
    study = resource(f"ResearchStudy/{STUDY_ID}")
    assert study["status"] == "active"
    assert study["extension"][0]["valueString"] == "Unknown"
    assert "Unknown" in study["note"][0]["text"]


def test_every_contradiction_of_the_sources_is_told_in_a_note():
    notes = " ".join(note["text"] for note in resource(f"ResearchStudy/{STUDY_ID}")["note"])
    said = [text for each in protocol().contradictions for text in each.statements]
    assert [each.text for each in said if each.text not in notes] == []


def test_outcome_measures_and_target_number_stand_in_the_r5_extensions():
    extensions = resource(f"ResearchStudy/{STUDY_ID}")["extension"]
    base = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ResearchStudy."
    measures = [each for each in extensions if each["url"] == f"{base}outcomeMeasure"]
    primary = [
        {part["url"]: part for part in each["extension"]}["name"]["valueString"]
        for each in measures
        if "primary" in orjson.dumps(each["extension"][1]).decode()
    ]
    recruitment = next(each for each in extensions if each["url"] == f"{base}recruitment")
    assert len(measures) == len(protocol().endpoints)
    assert primary == ["Change of the platelet count from baseline"]
    assert recruitment["extension"][0] == {"url": "targetNumber", "valueUnsignedInt": 20}


def test_eligibility_excludes_only_by_the_exclusion_criterion():
    group = resource("Group/SSCI-eligibility")
    excluded = [
        each["code"]["coding"][-1]["code"] for each in group["characteristic"] if each["exclude"]
    ]
    assert group["actual"] is False
    assert excluded == ["treatment-naive"]


def test_the_schedule_has_each_visit_at_its_offset_from_the_first_dose():
    actions = resource("PlanDefinition/SSCI-schedule")["action"]
    offsets = {
        action["id"]: related["offsetDuration"]["value"]
        for action in actions
        for related in action.get("relatedAction", [])
        if "offsetDuration" in related
    }
    assert offsets == {"M1": 30, "M2": 61, "M4": 122, "M6": 183, "M12": 365}


def test_each_endpoint_version_is_a_measure():
    measures = [each for each in IDS if each.startswith("Measure/")]
    assert measures == [
        f"Measure/{each.id}-{each.version}" for each in protocol().endpoint_versions
    ]


async def test_loading_twice_changes_nothing(store: Store):
    first = await load_study(store, CALLER, protocol())
    second = await load_study(store, CALLER, protocol())
    assert {change.kind for change in first} == {"create"}
    assert {change.kind for change in second} == {"unchanged"}


async def test_loading_again_repairs_what_was_altered(store: Store):
    await load_study(store, CALLER, protocol())
    altered = resource("Organization/sponsor") | {"name": "Another"}
    await store.write(CALLER, [Update(altered, "sponsor")])
    await load_study(store, CALLER, protocol())
    assert (await read(store, "Organization/sponsor"))["name"] == protocol().study.sponsor


async def test_loading_again_keeps_the_enrolled_members(store: Store):
    await load_study(store, CALLER, protocol())
    group = resource(f"Group/{ENROLLED_GROUP_ID}")
    members = [{"entity": {"reference": "Patient/SSCI-001"}}]
    await store.write(CALLER, [Update(group | {"member": members}, ENROLLED_GROUP_ID)])
    changes = await load_study(store, CALLER, protocol())
    assert {change.kind for change in changes} == {"unchanged"}
    assert (await read(store, f"Group/{ENROLLED_GROUP_ID}"))["member"] == members
