"""FHIRPath Patch. https://hl7.org/fhir/R4/fhirpatch.html"""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import SsciError
from app.fhir.codec import copy_json
from app.fhir.fhirpath_patch import parse_fhirpath_patch
from tests.fhir_support import facts

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "birthDate": "1990",
    "_birthDate": {"id": "x"},
    "name": [
        {"use": "official", "family": "A", "given": ["one", "two"]},
        {"use": "usual", "family": "B"},
    ],
    "contact": [{"gender": "male"}],
    "multipleBirthInteger": 2,
    "extension": [{"url": "http://x.example/e", "valueString": "y"}],
}


def operation(kind: str, path: str, *parts: dict[str, Any], **values: Any) -> dict[str, Any]:
    given = [
        {"name": "type", "valueCode": kind},
        {"name": "path", "valueString": path},
        *({"name": name, "valueInteger": value} for name, value in values.items()),
        *parts,
    ]
    return {"name": "operation", "part": given}


def patched(*operations: dict[str, Any]) -> dict[str, Any]:
    patch = {"resourceType": "Parameters", "parameter": list(operations)}
    before = copy_json(PATIENT)
    after = parse_fhirpath_patch(patch, facts()[0])(before)
    assert before == PATIENT
    return after


def name(text: str) -> dict[str, Any]:
    return {"name": "name", "valueString": text}


def value(**held: Any) -> dict[str, Any]:
    return {"name": "value", **held}


def test_add_appends_to_a_list_and_sets_what_was_not_there() -> None:
    after = patched(
        operation("add", "Patient.name[1]", name("given"), value(valueString="three")),
        operation("add", "Patient", name("gender"), value(valueCode="female")),
        operation("add", "Patient", name("name"), value(valueHumanName={"family": "C"})),
        operation("add", "Patient", name("deceased"), value(valueBoolean=True)),
    )
    assert after["name"][1]["given"] == ["three"]
    assert after["name"][2] == {"family": "C"}
    assert (after["gender"], after["deceasedBoolean"]) == ("female", True)


def test_add_takes_a_part_of_a_type_piece_by_piece() -> None:
    nested = [
        {"name": "gender", "valueCode": "female"},
        {"name": "relationship", "valueCodeableConcept": {"text": "sister"}},
        {"name": "name", "valueHumanName": {"family": "D"}},
    ]
    after = patched(operation("add", "Patient", name("contact"), {"name": "value", "part": nested}))
    assert after["contact"][1] == {
        "gender": "female",
        "relationship": [{"text": "sister"}],
        "name": {"family": "D"},
    }


def test_insert_and_move_keep_the_order_of_the_others() -> None:
    path = "Patient.name[0].given"
    inserted = patched(operation("insert", path, value(valueString="zero"), index=1))
    assert inserted["name"][0]["given"] == ["one", "zero", "two"]
    moved = patched(operation("move", path, source=1, destination=0))
    assert moved["name"][0]["given"] == ["two", "one"]


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("Patient.birthDate", "birthDate"),
        ("Patient.multipleBirth", "multipleBirthInteger"),
        ("Patient.contact[0]", "contact"),
        ("Patient.extension('http://x.example/e')", "extension"),
    ],
)
def test_delete_leaves_nothing_empty_behind(path: str, gone: str) -> None:
    after = patched(operation("delete", path))
    assert gone not in after
    assert f"_{gone}" not in after


def test_delete_of_nothing_is_no_error() -> None:
    assert patched(operation("delete", "Patient.photo")) == PATIENT


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("Patient.name.where(use = 'usual').family", 1),
        ("Patient.name.where(use != 'usual').family", 0),
        ("Patient.name.where(use='official' and family='A').family", 0),
        ("Patient.name.last().family", 1),
        ("Patient.name.first().family", 0),
        ("Patient.name.where(given = 'two').family", 0),
    ],
)
def test_replace_finds_its_element(path: str, found: int) -> None:
    after = patched(operation("replace", path, value(valueString="Z")))
    assert [each["family"] for each in after["name"]] == (["Z", "B"] if found == 0 else ["A", "Z"])


def test_replace_may_change_the_type_of_a_choice() -> None:
    after = patched(operation("replace", "Patient.multipleBirth", value(valueBoolean=True)))
    assert after["multipleBirthBoolean"] is True
    assert "multipleBirthInteger" not in after


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (operation("add", "Patient", name("birthDate"), value(valueDate="1991")), 422),
        (operation("add", "Patient", name("colour"), value(valueString="x")), 422),
        (operation("replace", "Patient.gender", value(valueCode="male")), 422),
        (operation("replace", "Patient.name.family", value(valueString="x")), 422),
        (operation("delete", "Patient.name"), 422),
        (operation("delete", "Patient"), 422),
        (operation("delete", "Observation.status"), 422),
        (operation("insert", "Patient.birthDate", value(valueString="x"), index=0), 422),
        (operation("insert", "Patient.name", value(valueHumanName={}), index=9), 422),
        (operation("move", "Patient.name", source=0, destination=2), 422),
        (operation("move", "Patient.name", source=0), 400),
        (operation("delete", "Patient.name.where(family ~ 'x')"), 400),
        (operation("delete", "Patient.name.repeat(x)"), 400),
        (operation("delete", "Patient..name"), 400),
        (operation("delete", "Patient.name["), 400),
        (operation("explode", "Patient.name"), 400),
        ({"name": "operation"}, 400),
        ({"name": "operation", "part": [{"name": []}, {}]}, 400),
        (operation("add", "Patient", name("contact"), value(part=[{"name": {}}])), 422),
        (operation("add", "Patient", name("contact"), value(part=[7])), 422),
        ({"name": "other", "part": []}, 400),
    ],
)
def test_what_can_not_be_done_is_refused_with_its_place(
    change: dict[str, Any], status: int
) -> None:
    with pytest.raises(SsciError) as refused:
        patched(change)
    assert refused.value.http_status == status
    assert refused.value.issues[0].expression == "Parameters.parameter[0]"
