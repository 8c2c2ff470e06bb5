"""Laws of hierarchies and value sets, for any code system."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.fhir.terminology import (
    Coded,
    Wish,
    check_in_value_set,
    expand,
    read_code_system,
    subsumes,
)
from tests.terminology_support import ANIMALS, library, value_set

CODES = "abcdefgh"


@st.composite
def systems(draw: st.DrawFn) -> dict[str, Any]:
    """Any parents, circles among them too."""
    links = draw(st.lists(st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)), max_size=12))
    concepts = [
        {
            "code": code,
            "property": [{"code": "parent", "valueCode": p} for c, p in links if c == code],
        }
        for code in CODES
    ]
    return {
        "resourceType": "CodeSystem",
        "url": ANIMALS,
        "status": "active",
        "content": "complete",
        "concept": concepts,
    }


def filters_of(code: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    operators = st.sampled_from(["is-a", "is-not-a", "descendent-of", "generalizes"])
    one = st.builds(
        lambda op, value: {"property": "concept", "op": op, "value": value}, operators, code
    )
    return st.lists(one, max_size=2)


INCLUDES = st.one_of(
    filters_of(st.sampled_from(CODES)).map(
        lambda held: {"system": ANIMALS} | ({"filter": held} if held else {})
    ),
    st.lists(st.sampled_from(CODES), min_size=1, max_size=4).map(
        lambda codes: {"system": ANIMALS, "concept": [{"code": code} for code in codes]}
    ),
)


@given(systems(), st.sampled_from(CODES), st.sampled_from(CODES))
def test_above_and_below_are_two_sides_of_one_relation(resource, one, other):
    system = read_code_system(resource)
    assert (other in system.below(one)) == (one in system.above(other))
    mirrored = {"subsumes": "subsumed-by", "subsumed-by": "subsumes"}
    both_ways = other in system.below(one) and one in system.below(other)
    outcome = subsumes(system, one, other)
    if not both_ways:
        assert subsumes(system, other, one) == mirrored.get(outcome, outcome)


@given(systems(), st.sampled_from(CODES))
def test_a_kind_and_its_negation_share_nothing_and_miss_nothing(resource, code):
    held = library(resource)
    sides = [
        set(expand(value_set([_filtered(op, code)]), held).concepts) for op in ("is-a", "is-not-a")
    ]
    assert sides[0] & sides[1] == set()
    assert {each for _, each in sides[0] | sides[1]} == set(CODES)


def _filtered(op: str, code: str) -> dict[str, Any]:
    return {"system": ANIMALS, "filter": [{"property": "concept", "op": op, "value": code}]}


@given(systems(), st.lists(INCLUDES, min_size=1, max_size=3), st.lists(INCLUDES, max_size=2))
def test_includes_are_joined_and_excludes_taken_away(resource, include, exclude):
    held = library(resource)
    whole = set(expand(value_set(include, exclude), held).concepts)
    joined = {key for each in include for key in expand(value_set([each]), held).concepts}
    gone = {key for each in exclude for key in expand(value_set([each]), held).concepts}
    assert whole == joined - gone


@given(systems(), st.lists(INCLUDES, min_size=1, max_size=3), st.lists(INCLUDES, max_size=2))
def test_a_code_is_valid_if_and_only_if_it_is_in_the_expansion(resource, include, exclude):
    held, definition = library(resource), value_set(include, exclude)
    check = check_in_value_set(definition, held, Wish())
    expansion = expand(definition, held).concepts
    assert {code for code in CODES if check(Coded(code, ANIMALS)).result} == {
        code for _, code in expansion
    }
