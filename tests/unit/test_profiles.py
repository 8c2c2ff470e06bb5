"""Compiled profiles held against small resources. https://hl7.org/fhir/R4/profiling.html"""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import SsciError
from app.fhir.profiles import Rule, Surroundings, check_profile, compile_profile, evaluate

CORE = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM = "http://x.example/codes"


def element(id: str, **asked: Any) -> dict[str, Any]:
    path = ".".join(part.partition(":")[0] for part in id.split("."))
    slice_name = id.split(".")[-1].partition(":")[2]
    return {"id": id, "path": path} | ({"sliceName": slice_name} if slice_name else {}) | asked


def broken(elements: list[dict[str, Any]], **resource: Any) -> list[str]:
    """The places of the issues of an Observation."""
    definition = {
        "url": "http://x.example/profile",
        "type": "Observation",
        "baseDefinition": f"{CORE}Observation",
        "differential": {"element": elements},
    }
    around = Surroundings({"http://x.example/set": frozenset({(SYSTEM, "a"), (SYSTEM, "b")})})
    profile = compile_profile(definition, around)
    given = {"resourceType": "Observation", "status": "final", **resource}
    return [str(issue.expression) for issue in check_profile(profile, given)]


VALUE = {"valueQuantity": {"value": 1, "unit": "g"}}
CODE = {"code": {"coding": [{"system": SYSTEM, "code": "a"}, {"code": "other"}]}}
PATIENT = {"subject": {"reference": "Patient/p"}}
GROUP = {"subject": {"reference": "http://x.example/fhir/Group/g"}}
TO_PATIENT = [{"code": "Reference", "targetProfile": [f"{CORE}Patient"]}]

TABLE: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("Observation.subject", {"min": 1}, {}, ["Observation.subject"]),
    ("Observation.subject", {"min": 1}, PATIENT, []),
    ("Observation.subject", {"min": 1}, {"_subject": {"extension": []}}, []),
    ("Observation.subject.display", {"min": 1}, {}, []),
    ("Observation.subject.display", {"min": 1}, PATIENT, ["Observation.subject.display"]),
    ("Observation.subject", {"max": "0"}, PATIENT, ["Observation.subject"]),
    (
        "Observation.note",
        {"max": "1"},
        {"note": [{"text": "a"}, {"text": "b"}]},
        ["Observation.note"],
    ),
    ("Observation.status", {"fixedCode": "final"}, {}, []),
    ("Observation.status", {"fixedCode": "amended"}, {}, ["Observation.status"]),
    ("Observation.code", {"fixedCodeableConcept": CODE["code"]}, CODE, []),
    (
        "Observation.code",
        {"fixedCodeableConcept": {"coding": [{"code": "other"}]}},
        CODE,
        ["Observation.code"],
    ),
    ("Observation.code", {"patternCodeableConcept": {"coding": [{"code": "other"}]}}, CODE, []),
    (
        "Observation.code",
        {"patternCodeableConcept": {"coding": [{"code": "a", "system": "http://y"}]}},
        CODE,
        ["Observation.code"],
    ),
    ("Observation.value[x]", {"type": [{"code": "Quantity"}]}, VALUE, []),
    (
        "Observation.value[x]",
        {"type": [{"code": "Quantity"}]},
        {"valueString": "x"},
        ["Observation.valueString"],
    ),
    ("Observation.value[x]", {"type": [{"code": "string"}]}, {"valueString": "x"}, []),
    ("Observation.value[x]", {"min": 1}, {"valueString": "x"}, []),
    ("Observation.value[x]", {"min": 1}, {}, ["Observation.value"]),
    ("Observation.value[x].code", {"min": 1}, VALUE, ["Observation.valueQuantity.code"]),
    ("Observation.subject", {"type": TO_PATIENT}, PATIENT, []),
    ("Observation.subject", {"type": TO_PATIENT}, GROUP, ["Observation.subject"]),
    ("Observation.subject", {"type": TO_PATIENT}, {"subject": {"reference": "urn:uuid:1"}}, []),
    (
        "Observation.subject",
        {"type": TO_PATIENT},
        {"subject": {"type": "Group"}},
        ["Observation.subject"],
    ),
    (
        "Observation.code",
        {"binding": {"strength": "required", "valueSet": "http://x.example/set|1"}},
        CODE,
        [],
    ),
    (
        "Observation.code",
        {"binding": {"strength": "required", "valueSet": "http://x.example/set"}},
        {"code": {"text": "a"}},
        ["Observation.code"],
    ),
    (
        "Observation.code",
        {"binding": {"strength": "required", "valueSet": "http://x.example/unknown"}},
        {"code": {"text": "a"}},
        [],
    ),
]


@pytest.mark.parametrize(("id", "asked", "resource", "places"), TABLE)
def test_an_element_is_held_to_what_the_profile_asks(
    id: str, asked: dict[str, Any], resource: dict[str, Any], places: list[str]
) -> None:
    assert broken([element(id, **asked)], **resource) == places


def component(*codes: str, **more: Any) -> dict[str, Any]:
    return {"code": {"coding": [{"system": SYSTEM, "code": code} for code in codes]}} | more


BY_CODE = {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "closed"}
SLICES = [
    element("Observation.component", slicing=BY_CODE),
    element("Observation.component:a", min=1, max="1"),
    element("Observation.component:a.code", patternCodeableConcept={"coding": [{"code": "a"}]}),
    element("Observation.component:a.value[x]", min=1),
    element("Observation.component:b", max="1"),
    element("Observation.component:b.code", patternCodeableConcept={"coding": [{"code": "b"}]}),
]
A, B, C = component("a", valueString="x"), component("b"), component("c")


@pytest.mark.parametrize(
    ("components", "places"),
    [
        ([A], []),
        ([A, B], []),
        ([B], ["Observation.component"]),
        ([A, B, B], ["Observation.component"]),
        ([component("a")], ["Observation.component[0].value"]),
        ([A, C], ["Observation.component[1]"]),
        ([A, A], ["Observation.component"]),
    ],
)
def test_slices_are_told_apart_by_a_pattern(components: list[Any], places: list[str]) -> None:
    assert broken(SLICES, component=components) == places


def test_slices_are_told_apart_by_a_value_deeper_down() -> None:
    slicing = {"discriminator": [{"type": "value", "path": "code.coding.code"}], "rules": "open"}
    elements = [
        element("Observation.component", slicing=slicing),
        element("Observation.component:a", min=1),
        element("Observation.component:a.code.coding.code", fixedCode="a"),
    ]
    assert broken(elements, component=[C, A]) == []
    assert broken(elements, component=[C]) == ["Observation.component"]


def test_slices_are_told_apart_by_what_is_said_higher_up() -> None:
    slicing = {"discriminator": [{"type": "value", "path": "coding.code"}], "rules": "open"}
    laboratory = {"coding": [{"system": SYSTEM, "code": "lab"}]}
    elements = [
        element("Observation.category", slicing=slicing),
        element("Observation.category:lab", min=1, patternCodeableConcept=laboratory),
    ]
    assert broken(elements, category=[{"text": "x"}, laboratory]) == []
    assert broken(elements, category=[{"coding": [{"code": "x"}]}]) == ["Observation.category"]


def test_extensions_are_sliced_by_their_url() -> None:
    profile = [{"code": "Extension", "profile": ["http://x.example/grade|2"]}]
    elements = [
        element("Observation.extension:grade", min=1, type=profile),
        element("Observation.extension:grade.value[x]", min=1, type=[{"code": "code"}]),
    ]
    good, wrong = {"url": "http://x.example/grade", "valueCode": "1"}, {"url": "http://y"}
    text = {"url": "http://x.example/grade", "valueString": "1"}
    assert broken(elements, extension=[wrong, good]) == []
    assert broken(elements, extension=[wrong]) == ["Observation.extension"]
    assert broken(elements, extension=[text]) == ["Observation.extension[0].valueString"]


def test_a_choice_is_sliced_by_its_type() -> None:
    elements = [
        element("Observation.value[x]:valueQuantity", type=[{"code": "Quantity"}]),
        element("Observation.value[x]:valueQuantity.code", min=1),
    ]
    assert broken(elements, **VALUE) == ["Observation.valueQuantity.code"]
    assert broken(elements, valueString="x") == []


def test_paths_without_ids_count_too() -> None:
    assert broken([{"path": "Observation.subject", "min": 1}]) == ["Observation.subject"]


def test_a_profile_is_for_its_type() -> None:
    definition = {"url": "http://x.example/p", "type": "Patient", "differential": {"element": []}}
    profile = compile_profile(definition, Surroundings())
    (issue,) = check_profile(profile, {"resourceType": "Observation"})
    assert "Patient" in issue.diagnostics


def test_what_is_not_checked_is_said() -> None:
    slicing = {"discriminator": [{"type": "profile", "path": "resolve()"}]}
    definition = {
        "url": "http://x.example/p",
        "type": "Observation",
        "differential": {
            "element": [
                element("Observation.component", slicing=slicing),
                element("Observation.component:a", min=1),
            ]
        },
    }
    (sentence,) = compile_profile(definition, Surroundings()).unchecked
    assert "profile" in sentence


def test_a_definition_that_cannot_be_used_is_refused() -> None:
    definition = {
        "url": "http://x.example/p",
        "type": "Observation",
        "differential": {"element": [{"id": "x"}]},
    }
    with pytest.raises(SsciError, match="can't be used"):
        compile_profile(definition, Surroundings())


OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "component": [{"valueInteger": 1}, {"valueInteger": 2}],
}


@pytest.mark.parametrize(
    ("path", "expression", "holds"),
    [
        ("Observation", "status = 'final'", True),
        ("Observation", "status = 'amended'", False),
        ("Observation", "component.value.exists() or dataAbsentReason.exists()", True),
        ("Observation.component", "value > 0", True),
        ("Observation.component", "value > 1", False),
        ("Observation.referenceRange", "false", True),
        ("Observation", "this is no expression(", None),
    ],
)
async def test_a_fhirpath_rule_holds_for_every_element_at_its_path(
    path: str, expression: str, holds: bool | None
) -> None:
    assert await evaluate(OBSERVATION, [Rule(path, expression)]) == [holds]


async def test_an_evaluation_that_takes_too_long_is_ended() -> None:
    sleep = ("sleep", "30")
    found = await evaluate(OBSERVATION, [Rule("Observation", "true")], seconds=0.2, command=sleep)
    assert found == [None]
