"""Results pushed as JSON → facts. RFC 8259, RFC 6901."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.mappings.facts import Fact
from app.mappings.formats.json.decoder import EXAMPLE, read_items
from app.mappings.formats.json.shape import DELIVERY, RESULT
from app.mappings.reasons import Outcome, Reason
from tests.feed_support import LIS, MRN, map_bytes, map_one, oru, resource_of, value_of

PUSHED: dict[str, Any] = {
    "patient": {"identifiers": [{"number": MRN, "type": "MR"}]},
    "order": {"filler": "L1"},
    "panel": {"code": "CBC", "system": "99MRC"},
    "codes": [{"code": "PLT", "system": "99MRC"}],
    "sub_id": "1",
    "value": "38",
    "unit": "10*9/L",
    "status": "F",
    "collected": "2019-03-14T08:00:00+08:00",
}


def pushed(**keys: Any) -> dict[str, Any]:
    return {**PUSHED, **keys}


def facts(*results: Any) -> list[Fact]:
    data = json.dumps({"results": results}, ensure_ascii=False).encode()
    return map_bytes(data, LIS, format="json")


def one(**keys: Any) -> Fact:
    (fact,) = facts(pushed(**keys))
    return fact


def raw(value: str) -> Fact:
    """With the value as these characters."""
    data = json.dumps(pushed(value="?")).replace('"?"', value).encode()
    (fact,) = map_bytes(data, LIS, format="json")
    return fact


def test_a_result_has_one_identity_in_json_and_in_hl7() -> None:
    fact = one()
    assert fact.resource_id == map_one(oru()).resource_id
    assert fact.place == "/results/0"


def test_one_result_stands_alone_without_a_list() -> None:
    (fact,) = map_bytes(json.dumps(pushed()).encode(), LIS, format="json")
    assert (fact.place, value_of(resource_of(fact))) == ("document", "38")


def test_the_example_of_the_documentation_is_stored() -> None:
    (fact,) = map_bytes(EXAMPLE.encode(), LIS, format="json")
    assert value_of(resource_of(fact)) == "38.0"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("38", "38"), ("38.50", "38.50"), ('"38.50"', "38.50"), ("3.850e1", "38.50"), ("1E2", "100")],
)
def test_a_number_keeps_its_digits(sent: str, stored: str) -> None:
    assert value_of(resource_of(raw(sent))) == stored


def test_a_comparator_is_kept() -> None:
    assert resource_of(raw('"<2.0"'))["valueQuantity"]["comparator"] == "<"


@pytest.mark.parametrize("sent", ["true", "[38]", '{"n": 38}'])
def test_a_value_that_is_no_text_and_no_number_is_refused(sent: str) -> None:
    fact = raw(sent)
    assert (fact.reason, fact.field) == (Reason.STRUCTURE, "/value")


def test_a_number_beyond_all_digits_spoils_its_own_result_only() -> None:
    many = json.dumps({"results": [pushed(), pushed(value="?")]}).replace('"?"', "1" * 1_001)
    first, second = map_bytes(many.encode(), LIS, format="json")
    assert (first.outcome, second.reason) == (None, Reason.PARSE)


def test_status_words_are_read_as_letters() -> None:
    assert resource_of(one(status="final"))["status"] == "final"
    assert resource_of(one(status="初步"))["status"] == "preliminary"


def test_an_unknown_key_is_refused_with_the_word_it_nearly_is_and_holds_back_no_other() -> None:
    first, second = facts(pushed(colected="2019"), pushed())
    assert (first.reason, first.detail, first.field) == (
        Reason.STRUCTURE,
        "has 1 unknown key (near collected)",
        "/results/0",
    )
    assert second.outcome is None


@pytest.mark.parametrize("key", ["王测试", "T000000001", "x13800000000", "ZHANG SAN"])
def test_an_unknown_key_is_counted_and_never_repeated(key: str) -> None:
    fact = one(**{key: 1, "patient": {"identifiers": [{"number": "1"}], key: ""}})
    assert (fact.detail, fact.field) == ("has 1 unknown key", "/results/0")
    beside = map_bytes(json.dumps({"results": [], key: 1}).encode(), LIS, format="json")
    assert [each.detail for each in beside] == ["beside /results nothing may stand"]


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"patient": {"identifiers": []}}, "/results/0/patient/identifiers"),
        ({"patient": {"identifiers": [{"type": "MR"}]}}, "/results/0/patient/identifiers/0/number"),
        ({"codes": [{"code": "PLT", "sys/tem~": ""}]}, "/results/0/codes/0"),
        ({"status": None}, "/results/0/status"),
        ({"absent_reason": "lost"}, "/results/0/absent_reason"),
        ({"unit": "x" * 300}, "/results/0/unit"),
    ],
)
def test_what_does_not_fit_the_schema_is_named_by_its_pointer(
    wrong: dict[str, Any], pointer: str
) -> None:
    fact = one(**wrong)
    assert (fact.reason, fact.field) == (Reason.STRUCTURE, pointer)


@pytest.mark.parametrize(
    ("key", "value", "pointer"),
    [
        ("value", "1O2", "/results/0/value"),
        ("unit", "furlong", "/results/0/unit"),
        ("status", "maybe", "/results/0/status"),
        ("collected", "yesterday", "/results/0/collected"),
    ],
)
def test_a_failure_names_its_pointer(key: str, value: str, pointer: str) -> None:
    fact = one(**{key: value})
    assert (fact.outcome, fact.field) == (Outcome.QUARANTINED, pointer)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"results": 3}',
        b'{"results": []}',
        b'{"results": [1,]}',
        b'{"results": [1], "more": 2}',
        b'{"results": [1], "results": [2]}',
        b'{"results": [1]} x',
        b'{"results": [{"a": 1}',
        '{"a": "聚集"}'.encode("gb18030"),
    ],
)
def test_what_is_no_delivery_is_refused_as_a_whole(data: bytes) -> None:
    (fact,) = map_bytes(data, LIS, format="json")
    assert fact.place == "document"
    assert fact.reason in (Reason.PARSE, Reason.STRUCTURE, Reason.CHARSET_UNDECODABLE)


def test_a_key_that_comes_twice_is_refused() -> None:
    data = json.dumps(pushed()).replace('"unit"', '"value": "83", "unit"').encode()
    (fact,) = map_bytes(data, LIS, format="json")
    assert fact.reason is Reason.PARSE


def test_where_json_breaks_is_told_by_line_and_column() -> None:
    (fact,) = map_bytes(b'{\n"results": [1 2]}', LIS, format="json")
    assert fact.detail.endswith("line 2, column 15")


def test_deep_nesting_is_refused() -> None:
    (fact,) = map_bytes(
        b'{"results": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}", LIS, format="json"
    )
    assert fact.reason is Reason.PARSE


def test_a_span_holds_exactly_its_result() -> None:
    given = [pushed(), pushed(order={"filler": "L2"}, notes=['"}],{[', "\\"])]
    data = b"\xef\xbb\xbf" + json.dumps({"results": given}, indent=2).encode()
    found = read_items(data)
    assert isinstance(found, list)
    assert [json.loads(data[each.span.start : each.span.end]) for each in found] == given


def test_of_a_history_in_one_push_the_newest_counts() -> None:
    first, second = facts(
        pushed(reported="2019-03-14T10:00:00+08:00", status="P"),
        pushed(reported="2019-03-14T12:00:00+08:00", value=83),
    )
    assert (first.outcome, value_of(resource_of(second))) == (Outcome.SUPERSEDED, "83")


def test_every_key_of_the_schema_is_described_or_plain() -> None:
    assert DELIVERY["oneOf"][0] is RESULT
    assert set(RESULT["required"]) <= set(RESULT["properties"])
