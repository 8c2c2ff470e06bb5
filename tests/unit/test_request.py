"""The query string as a search request. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.errors import SsciError
from app.fhir import Reading, SearchRequest, parse_search
from app.fhir.queries import split_query
from app.fhir.request import (
    Amount,
    Cursor,
    DateRange,
    Reference,
    Text,
    Token,
    dump_cursor,
    parse_cursor,
)
from tests.fhir_support import ZONE, facts

READING = Reading(facts()[1], ZONE, "http://own/fhir")


def parse(
    query: str, resource_type: str = "Observation", *, lenient: bool = False
) -> SearchRequest:
    return parse_search(READING, resource_type, split_query(query), lenient=lenient)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("code=777-3", Token(None, "777-3")),
        ("code=http%3A%2F%2Floinc.org%7C777-3", Token("http://loinc.org", "777-3")),
        ("code=|777-3", Token("", "777-3")),
        ("code=http://loinc.org|", Token("http://loinc.org", None)),
        (r"code=a\|b", Token(None, "a|b")),
        (r"code=a\,b", Token(None, "a,b")),
        ("subject=Patient/1", Reference("Patient", "1")),
        ("subject=1", Reference(None, "1")),
        ("patient=1", Reference("Patient", "1")),
        ("subject:Group=1", Reference("Group", "1")),
        ("subject=http://own/fhir/Patient/1", Reference("Patient", "1")),
        ("subject=http://else/Patient/1", Reference(url="http://else/Patient/1")),
        ("subject:identifier=s|1", Token("s", "1")),
        ("_id=a", Text("a")),
        ("value-string=Ab", Text("Ab")),
        (
            "value-quantity=5.40",
            Amount("eq", Decimal("5.40"), Decimal("5.395"), Decimal("5.405"), ""),
        ),
        ("value-quantity=gt100", Amount("gt", Decimal(100), Decimal("99.5"), Decimal("100.5"), "")),
        (
            "value-quantity=1|http://u|mg",
            Amount("eq", Decimal(1), Decimal("0.5"), Decimal("1.5"), "http://u|mg"),
        ),
        (
            "value-quantity=ap10||mg",
            Amount("ap", Decimal(10), Decimal(9), Decimal(11), "|mg"),
        ),
    ],
)
def test_a_value_is_read_by_its_parameters_type(query: str, value: object) -> None:
    (condition,) = parse(query).conditions
    assert condition.values == (value,)


def test_commas_are_or_and_repeated_parameters_are_and() -> None:
    request = parse("code=a,b&code=c")
    assert [len(condition.values) for condition in request.conditions] == [2, 1]


@pytest.mark.parametrize("offset", ["%2B08:00", "+08:00"])
def test_a_plus_in_a_date_survives_also_unescaped(offset: str) -> None:
    (condition,) = parse(f"date=ge2019-03-14T08:00:00{offset}").conditions
    value = condition.values[0]
    assert isinstance(value, DateRange)
    assert value.start.isoformat() == "2019-03-14T00:00:00+00:00"


@pytest.mark.parametrize(
    "query",
    [
        "nonsense=1",
        "code:nonsense=1",
        "subject:Nonsense=1",
        "date=yesterday",
        "date=zz2019",
        "value-quantity=abc",
        "value-quantity=1|mg",
        "value-quantity=1|a|b|c",
        "code=|",
        "subject:missing=perhaps",
        "_count=1.5",
        "_count=-1",
        "_sort=nonsense",
        "_include=Observation",
        "_include=Observation:code",
        "_include=Observation:subject:Medication",
        "_cursor=%00",
        "_cursor=W10",
        "_has:Observation:patient:code=1",
    ],
)
def test_what_cannot_be_taken_is_named_and_lenient_leaves_it_out(query: str) -> None:
    name = query.partition("=")[0]
    with pytest.raises(SsciError, match=name.partition(":")[0]):
        parse(query)
    request = parse(f"{query}&status=final", lenient=True)
    assert [name for name, _ in request.used] == ["status"]
    assert len(request.ignored) == 1


def test_every_problem_of_a_query_is_told_at_once() -> None:
    with pytest.raises(SsciError) as refused:
        parse("a=1&b=2&date=x")
    assert len(refused.value.issues) == 3


def test_a_cursor_survives_its_link() -> None:
    cursor = Cursor("10:20:11,12", ("2019-03-14 00:00:00+00", None, "id"))
    assert parse_cursor(dump_cursor(cursor)) == cursor


@pytest.mark.parametrize(
    ("query", "is_poll"),
    [
        ("_lastUpdated=ge2019", True),
        ("_lastUpdated=gt2019", True),
        ("_lastUpdated=lt2019", False),
        ("_sort=_lastUpdated", True),
        ("_sort=-_lastUpdated", False),
        ("status=final", False),
    ],
)
def test_a_lower_bound_on_last_updated_makes_a_poll(query: str, is_poll: bool) -> None:
    assert parse(query).is_poll is is_poll
