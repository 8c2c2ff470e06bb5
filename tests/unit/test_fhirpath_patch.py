"""FHIRPath Patch. https://hl7.org/fhir/R4/fhirpatch.html"""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import SsciError
from app.fhir.codec import LosslessFloat, copy_json
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


PRIMITIVES: dict[str, Any] = {
    "resourceType": "Patient",
    "birthDate": "1990",
    "_gender": {"extension": [{"url": "http://x.example/why", "valueCode": "unknown"}]},
    "contact": [{"gender": "male", "name": {"text": "only this"}}],
    "name": [
        {
            "given": ["one", "two", None],
            "_given": [None, {"id": "second"}, {"extension": [{"url": "u", "valueCode": "c"}]}],
        }
    ],
}
MASKED = {"url": "http://x.example/why", "valueCode": "masked"}


def changed(*operations: dict[str, Any]) -> dict[str, Any]:
    patch = {"resourceType": "Parameters", "parameter": list(operations)}
    return parse_fhirpath_patch(patch, facts()[0])(copy_json(PRIMITIVES))


def url_and_code(code: str) -> dict[str, Any]:
    """An extension spelt as parts, as Parameters has no `valueExtension`."""
    parts = [{"name": "url", "valueUri": MASKED["url"]}, {"name": "value", "valueCode": code}]
    return {"name": "value", "part": parts}


@pytest.mark.parametrize("given", [url_and_code("masked"), value(valueExtension=MASKED)])
def test_an_extension_can_be_added_to_a_primitive(given: dict[str, Any]) -> None:
    after = changed(operation("add", "Patient.birthDate", name("extension"), given))
    assert (after["birthDate"], after["_birthDate"]) == ("1990", {"extension": [MASKED]})


def test_an_extension_can_be_added_to_one_of_several_primitives() -> None:
    after = changed(operation("add", "Patient.name.given[0]", name("extension"), url_and_code("x")))
    assert after["name"][0]["given"] == ["one", "two", None]
    first, *others = after["name"][0]["_given"]
    assert first == {"extension": [MASKED | {"valueCode": "x"}]}
    assert others == PRIMITIVES["name"][0]["_given"][1:]


def test_an_extension_that_stands_for_a_value_can_be_changed_and_deleted() -> None:
    path = "Patient.gender.extension('http://x.example/why')"
    after = changed(operation("replace", f"{path}.value", value(valueCode="masked")))
    assert after["_gender"] == {"extension": [MASKED]}
    assert "_gender" not in changed(operation("delete", path))


def test_a_replaced_primitive_loses_the_extensions_of_the_old_value() -> None:
    after = changed(operation("replace", "Patient.gender", value(valueCode="female")))
    assert after["gender"] == "female"
    assert "_gender" not in after


def test_a_value_may_be_an_extension_alone() -> None:
    after = changed(operation("replace", "Patient.birthDate", value(_valueDate={"id": "x"})))
    assert "birthDate" not in after
    assert after["_birthDate"] == {"id": "x"}


@pytest.mark.parametrize(
    ("change", "given", "beside"),
    [
        (operation("delete", "Patient.name.given[0]"), ["two", None], [1, 2]),
        (operation("delete", "Patient.name.given[2]"), ["one", "two"], [None, 1]),
        (
            operation("move", "Patient.name.given", source=1, destination=0),
            ["two", "one", None],
            [1, None, 2],
        ),
        (
            operation("insert", "Patient.name.given", value(valueString="new"), index=1),
            ["one", "new", "two", None],
            [None, None, 1, 2],
        ),
        (
            operation("add", "Patient.name", name("given"), value(valueString="new")),
            ["one", "two", None, "new"],
            [None, 1, 2, None],
        ),
    ],
)
def test_primitives_in_a_list_keep_their_extensions(
    change: dict[str, Any], given: list[Any], beside: list[int | None]
) -> None:
    held = PRIMITIVES["name"][0]["_given"]
    after = changed(change)["name"][0]
    assert after["given"] == given
    assert after["_given"] == [None if n is None else held[n] for n in beside]


@pytest.mark.parametrize(
    ("path", "contact"),
    [
        ("Patient.contact.name.text", [{"gender": "male"}]),
        ("Patient.contact.gender", [{"name": {"text": "only this"}}]),
    ],
)
def test_delete_removes_what_it_leaves_empty(path: str, contact: list[Any]) -> None:
    assert changed(operation("delete", path))["contact"] == contact
    both = changed(
        operation("delete", path),
        operation("delete", "Patient.contact.gender"),
        operation("delete", "Patient.contact.name.text"),
    )
    assert "contact" not in both


def test_the_last_extension_of_the_last_primitive_goes_with_its_list() -> None:
    deletions = [operation("delete", "Patient.name.given[0]")] * 2
    last = operation("delete", "Patient.name.given.extension('u')")
    assert "name" not in changed(*deletions, last)


def test_a_patch_without_operations_changes_nothing() -> None:
    assert patched() == PATIENT
    assert parse_fhirpath_patch({"resourceType": "Parameters"}, facts()[0])(PATIENT) == PATIENT


def test_numbers_are_compared_as_numbers() -> None:
    dosage = {"text": "x", "maxDosePerAdministration": {"value": LosslessFloat(b"1.50")}}
    held = {"resourceType": "MedicationRequest", "dosageInstruction": [dosage]}
    path = "MedicationRequest.dosageInstruction.where(maxDosePerAdministration.value = 1.5).text"
    change = operation("replace", path, value(valueString="y"))
    patch = {"resourceType": "Parameters", "parameter": [change]}
    after = parse_fhirpath_patch(patch, facts()[0])(held)
    assert after["dosageInstruction"][0]["text"] == "y"


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
        (operation("add", "Patient.birthDate", name("value"), value(valueString="x")), 422),
        (operation("add", "Patient.gender", name("extension"), value(_valueString=7)), 422),
        (operation("add", "Patient", name("gender"), value(valueCode=None)), 422),
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
