"""The `_filter` parameter. https://hl7.org/fhir/R4/search_filter.html"""

from __future__ import annotations

import pytest

from app.errors import SsciError
from app.fhir.filter import And, Not, Or, Step, parse_filter, print_filter
from app.fhir.filter import Test as Leaf


def leaf(path: str, operator: str, value: str) -> Leaf:
    return Leaf(tuple(map(Step, path.split("."))), operator, value)


A, B, C = leaf("a", "eq", "1"), leaf("b", "eq", "2"), leaf("c", "eq", "3")

CASES = {
    "name co pet": leaf("name", "co", "pet"),
    'given eq "peter" and birthdate ge 2014-10-10': And(
        (leaf("given", "eq", "peter"), leaf("birthdate", "ge", "2014-10-10"))
    ),
    "code eq http://loinc.org|1234-5": leaf("code", "eq", "http://loinc.org|1234-5"),
    "subject.name eq peter": leaf("subject.name", "eq", "peter"),
    "related[type eq has-component].target re Observation/4": Leaf(
        (Step("related", leaf("type", "eq", "has-component")), Step("target")),
        "re",
        "Observation/4",
    ),
    "_lastUpdated sa 2020-01-01T00:00:00+08:00": leaf(
        "_lastUpdated", "sa", "2020-01-01T00:00:00+08:00"
    ),
    "a eq 1 and b eq 2 and c eq 3": And((A, B, C)),
    "a eq 1 or b eq 2 and c eq 3": And((Or((A, B)), C)),
    "a eq 1 or (b eq 2 and c eq 3)": Or((A, And((B, C)))),
    "(a eq 1 and b eq 2) and c eq 3": And((And((A, B)), C)),
    "not (a eq 1)": Not(A),
    "not(a eq 1 or b eq 2) and c eq 3": And((Not(Or((A, B))), C)),
    "  ( a  eq  1 )  ": A,
    "a pr false": leaf("a", "pr", "false"),
    r'a eq "x \"y\" ) ] z"': leaf("a", "eq", 'x "y" ) ] z'),
    "and eq or": leaf("and", "eq", "or"),
    "not eq 1": leaf("not", "eq", "1"),
}


@pytest.mark.parametrize("text", CASES)
def test_a_filter_is_read_as_its_tree(text):
    assert parse_filter(text) == CASES[text]
    assert parse_filter(print_filter(CASES[text])) == CASES[text]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("a", 2),
        ("a eq", 5),
        ("a is 1", 3),
        ("a eq 1 b eq 2", 8),
        ("a eq 1 and", 11),
        ("(a eq 1", 8),
        ("a eq 1)", 7),
        ("a[b eq 1 .c eq 2", 10),
        ("a. eq 1", 3),
        ('a eq "x', 6),
        (r'a eq "\q"', 6),
        ("a pr maybe", 6),
        ("a eq x\0", 7),
        (r'a eq "x\u0000"', 6),
        ("1a eq 2", 1),
    ],
)
def test_a_refusal_names_the_position(text, position):
    with pytest.raises(SsciError, match=f"_filter: position {position}:") as refusal:
        parse_filter(text)
    assert refusal.value.http_status == 400


def test_depth_and_length_are_bounded():
    with pytest.raises(SsciError, match="deep"):
        parse_filter("(" * 50 + "a eq 1" + ")" * 50)
    with pytest.raises(SsciError, match="longer"):
        parse_filter("a eq " + "1" * 5000)
