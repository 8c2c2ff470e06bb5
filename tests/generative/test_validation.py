"""Validation against whatever JSON there is, and against fhir.resources as the oracle of structure.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.errors import SsciError
from app.fhir.codec import MAX_DEPTH, copy_json, parse_json
from app.fhir.outcome import ISSUE_TYPES
from app.fhir.patient_policy import PatientPolicy
from app.fhir.registry import load_registry
from app.fhir.shapes import build_shape
from app.fhir.validate import Validator
from tests.legal_resources import LEAST, MOST, least

Json = dict[str, Any]
Steps = tuple[str | int, ...]

REGISTRY = load_registry()
OPEN = Validator(REGISTRY, PatientPolicy("open"))
CODED = Validator(REGISTRY, PatientPolicy("coded", frozenset({"x:y"}), re.compile("S-[0-9]+")))
ALL = [*(least(each) for each in LEAST), *MOST]
SECRET = "Zhang-Secret"


def issues_of(resource: Json, validator: Validator = OPEN) -> dict[str | None, SsciError]:
    """By place, the error in which it is told; empty if the resource is legal."""
    try:
        validator.validate(resource, resource["resourceType"])
    except SsciError as problem:
        return {issue.expression: problem for issue in problem.issues}
    return {}


def nodes(value: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Every value below `value` with the way to it, resource types left out."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if key != "resourceType" and item is not None:
                yield (*steps, key), item
                yield from nodes(item, (*steps, key))


def replaced(resource: Json, steps: Steps, change: Callable[[Any, Any], None]) -> Json:
    changed = copy_json(resource)
    node = changed
    for step in steps[:-1]:
        node = node[step]
    change(node, steps[-1])
    return changed


def with_value(value: Any) -> Callable[[Any, Any], None]:
    def change(node: Any, key: Any) -> None:
        node[key] = value

    return change


def remove(node: Any, key: Any) -> None:
    del node[key]


def place(resource: Json, steps: Steps) -> str:
    text = resource["resourceType"]
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step.removeprefix('_')}"
    return text


@pytest.mark.parametrize("resource", ALL, ids=lambda each: each["resourceType"])
def test_a_wrong_kind_of_json_is_told_at_its_place_wherever_it_is(resource):
    for steps, value in nodes(resource):
        wrong = {"a": 1} if not isinstance(value, dict) else "text"
        found = issues_of(replaced(resource, steps, with_value(wrong)))
        assert place(resource, steps) in found, steps
        assert {each.http_status for each in found.values()} == {400}


@pytest.mark.parametrize("resource", ALL, ids=lambda each: each["resourceType"])
def test_an_empty_value_is_told_at_its_place_wherever_it_is(resource):
    for steps, value in nodes(resource):
        if isinstance(value, str | list | dict) and not (value and "resourceType" in value):
            found = issues_of(replaced(resource, steps, with_value(type(value)())))
            assert place(resource, steps) in found, steps


@pytest.mark.parametrize("resource", ALL, ids=lambda each: each["resourceType"])
def test_an_unknown_element_is_told_at_its_place_wherever_it_is(resource):
    for steps, value in [((), resource), *nodes(resource)]:
        if isinstance(value, dict):
            found = issues_of(replaced(resource, (*steps, "unheardOf"), with_value(1)))
            assert place(resource, (*steps, "unheardOf")) in found


@pytest.mark.parametrize("resource", ALL, ids=lambda each: each["resourceType"])
def test_no_diagnostics_repeat_a_value(resource):
    for steps, value in nodes(resource):
        if isinstance(value, str):
            for validator in (OPEN, CODED):
                changed = replaced(resource, steps, with_value(SECRET))
                found = issues_of(changed, validator)
                assert not any(SECRET in str(problem) for problem in found.values())


# fhir.resources as the oracle: what it refuses, we refuse

SCALARS: tuple[Any, ...] = ("x", "", " ", -1, 0, 1, 2**31, True, None, "2019-02-30", "a  b", [], {})


def model(resource_type: str) -> type[BaseModel]:
    module = importlib.import_module(f"fhir.resources.R4B.{resource_type.lower()}")
    found: type[BaseModel] = getattr(module, resource_type)
    return found


def changes(resource: Json) -> Iterator[Json]:
    for steps, _ in nodes(resource):
        yield replaced(resource, steps, remove)
        for value in SCALARS:
            yield replaced(resource, steps, with_value(value))


def is_refused_by_models(resource: Json) -> bool:
    try:
        model(resource["resourceType"]).model_validate(copy_json(resource))
    except (ValidationError, ValueError, TypeError, AttributeError, KeyError):
        return True
    return False


@pytest.mark.parametrize("resource", ALL, ids=lambda each: each["resourceType"])
def test_what_the_models_refuse_is_refused(resource):
    if "valueMeta" in str(resource):  # legal in R4, unknown to R4B
        resource = copy_json(resource)
        del resource["extension"][1]["extension"][1]
    assert not is_refused_by_models(resource)
    for changed in changes(resource):
        assert issues_of(changed) or not is_refused_by_models(changed), changed


# Arbitrary JSON

SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["2019-03-14", "Patient/1", "#a", "#", "final", "x:y", "2019-03-14T00:00:00Z"]
    )
)


def names_of(path: str) -> list[str]:
    names = build_shape(path, REGISTRY.elements[path]).properties
    return [*names, *(f"_{name}" for name in names)]


NAMES = st.sampled_from(
    sorted({name for path in REGISTRY.elements for name in names_of(path)})
) | st.text(max_size=8)
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


@st.composite
def resources(draw: st.DrawFn) -> Json:
    resource_type = draw(st.sampled_from(REGISTRY.types))
    names = st.sampled_from(names_of(resource_type))
    elements = draw(st.dictionaries(names, JSON, max_size=8))
    base = least(resource_type) if draw(st.booleans()) else {}
    return {**base, **elements, "resourceType": resource_type}


@settings(max_examples=400, deadline=None)
@given(resources())
def test_any_json_is_accepted_or_refused_in_the_standards_words(resource):
    for validator in (OPEN, CODED):
        for problem in issues_of(resource, validator).values():
            assert problem.http_status in (400, 422)
            assert all(issue.code in ISSUE_TYPES for issue in problem.issues)


@st.composite
def changed_resources(draw: st.DrawFn) -> Json:
    """A legal resource with one value replaced by any JSON."""
    resource = draw(st.sampled_from(ALL))
    steps = draw(st.sampled_from([steps for steps, _ in nodes(resource)] or [("id",)]))
    return replaced(resource, steps, with_value(draw(JSON)))


@settings(max_examples=400, deadline=None)
@given(changed_resources())
def test_a_legal_resource_with_anything_in_it_is_accepted_or_refused(resource):
    for problem in issues_of(resource).values():
        assert problem.http_status in (400, 422)


def test_the_deepest_nesting_that_the_codec_lets_pass_is_walked():
    value = b'{"url":"x:y","valueCode":"z"}'
    for _ in range((MAX_DEPTH - 3) // 2):
        value = b'{"url":"x:y","extension":[%b]}' % value
    deep = parse_json(b'{"resourceType":"Basic","code":{"text":"x"},"extension":[%b]}' % value)
    assert issues_of(deep) == {}
    too_deep = b'{"resourceType":"Basic","extension":[%b]}' % (b'{"extension":[%b]}' % value)
    with pytest.raises(SsciError):
        parse_json(too_deep)


def test_a_narrative_of_any_depth_is_read():
    inner = "<p>" * 50_000 + "x" + "</p>" * 50_000
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'
    assert issues_of({"resourceType": "Device", "text": {"status": "generated", "div": div}}) == {}
