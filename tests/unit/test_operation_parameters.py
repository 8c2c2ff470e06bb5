"""Parameters of operations, however they come. https://hl7.org/fhir/R4/operations.html#request"""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import SsciError
from app.fhir import Caller
from app.fhir.exchange import Request
from app.fhir.operations import describe, find_operation
from app.fhir.operations.lastn import join_kinds
from app.fhir.operations.meta import add_labels, build_labels, remove_labels
from app.fhir.operations.parameters import (
    Parameters,
    boolean,
    listed,
    positive,
    read_known,
    read_parameters,
    structure,
    text,
)


def request(query: str = "", body: Any = None, prefer: str = "") -> Request:
    method = "GET" if body is None else "POST"
    return Request(method, (), query, {"prefer": prefer}, b"", Caller("test"), "http://x", body)


def parameters(*given: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(given)}


def test_values_come_from_the_query_and_the_body() -> None:
    body = parameters({"name": "a", "valueCode": "2"}, {"name": "b", "valueBoolean": False})
    assert read_parameters(request("a=1&_format=json", body)) == {"a": ("1", "2"), "b": (False,)}


def test_a_bare_resource_is_the_parameter_it_is_taken_for() -> None:
    patient = {"resourceType": "Patient"}
    assert read_parameters(request("mode=create", patient)) == {
        "mode": ("create",),
        "resource": (patient,),
    }
    assert structure(read_parameters(request(body=patient), bare="x"), "x") == patient


@pytest.mark.parametrize(
    "wrong",
    [
        {"parameter": {}},
        {"parameter": ["x"]},
        {"parameter": [{"valueCode": "x"}]},
        {"parameter": [{"name": 1, "valueCode": "x"}]},
        {"parameter": [{"name": "x"}]},
        {"parameter": [{"name": "x", "valueCode": "x", "valueString": "x"}]},
    ],
)
def test_a_malformed_body_is_refused_with_its_place(wrong: dict[str, Any]) -> None:
    with pytest.raises(SsciError) as refusal:
        read_parameters(request(body={"resourceType": "Parameters"} | wrong))
    assert refusal.value.http_status == 400
    assert str(refusal.value.issues[0].expression).startswith("Parameters.parameter")


def test_unknown_names_are_refused_unless_handling_is_lenient() -> None:
    with pytest.raises(SsciError, match="colour"):
        read_known(request("colour=red&a=1"), ("a",))
    assert read_known(request("colour=red&a=1", prefer="handling=lenient"), ("a",)) == {"a": ("1",)}


def test_getters_take_text_and_json_alike() -> None:
    given: Parameters = {"t": ("true",), "f": (False,), "n": ("5",), "m": (5,), "l": ("a,b", "c")}
    assert (boolean(given, "t", False), boolean(given, "f", True)) == (True, False)
    assert (boolean(given, "none", True), positive(given, "none", 9)) == (True, 9)
    assert (positive(given, "n", 1), positive(given, "m", 1)) == (5, 5)
    assert listed(given, "l") == ("a", "b", "c")


@pytest.mark.parametrize(
    ("getter", "value"),
    [
        (lambda given: boolean(given, "x", True), "yes"),
        (lambda given: boolean(given, "x", True), 1),
        (lambda given: positive(given, "x", 1), "0"),
        (lambda given: positive(given, "x", 1), "-1"),
        (lambda given: positive(given, "x", 1), "1.5"),
        (lambda given: positive(given, "x", 1), "9" * 10),
        (lambda given: positive(given, "x", 1), True),
        (lambda given: positive(given, "x", 1), {}),
        (lambda given: text(given, "x"), 1),
        (lambda given: structure(given, "x"), "x"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(getter: Any, value: Any) -> None:
    with pytest.raises(SsciError, match="x: must be"):
        getter({"x": (value,)})


def test_operations_are_found_by_level_type_and_name() -> None:
    everything = find_operation("instance", "Patient", "$everything")
    assert everything is not None
    assert everything.methods == ("GET", "POST")
    assert find_operation("instance", "Device", "everything") is None
    assert find_operation("type", "Patient", "everything") is everything
    assert find_operation("system", "Patient", "everything") is None
    assert {each["name"] for each in describe("system")} >= {"meta", "versions"}


def test_labels_are_joined_and_taken_away_by_their_code() -> None:
    red, blue = {"system": "http://x", "code": "red"}, {"code": "blue"}
    held = {"tag": [red], "versionId": "1", "profile": ["http://a"]}
    named = red | {"display": "Red"}
    added = add_labels(held, {"tag": [named, blue], "profile": ["http://a", "http://b"]})
    assert added == held | {"tag": [red, blue], "profile": ["http://a", "http://b"]}
    assert remove_labels(added, {"tag": [named], "security": [red]})["tag"] == [blue]
    assert "tag" not in remove_labels(held, {"tag": [red]})
    assert build_labels(["_profile=http://a|1", "_tag=http://x|red", "_tag=|blue"]) == {
        "profile": ["http://a|1"],
        "tag": [red, blue],
    }


def test_codes_that_share_a_coding_are_one_kind() -> None:
    groups = join_kinds([["a", "b"], ["b", "c"], ["d"], ["e", "d"]])
    assert groups["a"] == groups["b"] == groups["c"] != groups["d"] == groups["e"]
