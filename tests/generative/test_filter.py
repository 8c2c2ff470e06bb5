"""What is printed is read back; no text breaks the reader of `_filter`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.errors import SsciError
from app.fhir.filter import OPERATORS, And, Not, Or, Step, parse_filter, print_filter
from app.fhir.filter import Test as Leaf

NAMES = st.from_regex(r"[a-z_][a-zA-Z0-9_\-]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def leaves_of(inner: st.SearchStrategy) -> st.SearchStrategy:
    steps = st.lists(st.builds(Step, NAMES, st.none() | inner), min_size=1, max_size=3)
    operators = st.sampled_from(sorted(OPERATORS - {"pr"}))
    return st.builds(Leaf, steps.map(tuple), operators, VALUES)


def compounds_of(inner: st.SearchStrategy) -> st.SearchStrategy:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(And, parts), st.builds(Or, parts), st.builds(Not, inner), leaves_of(inner)
    )


FILTERS = st.recursive(leaves_of(st.nothing()), compounds_of, max_leaves=8)


@given(FILTERS)
def test_a_printed_filter_is_read_back(tree):
    assert parse_filter(print_filter(tree)) == tree


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from([*'()[]."\\ ', "and", "or", "not", "eq", "pr", "a", "1", "true"]),
            max_size=25,
        ).map(" ".join),
    )
)
def test_no_text_does_worse_than_a_refusal(text):
    try:
        tree = parse_filter(text)
    except SsciError as refusal:
        status = refusal.http_status
    else:
        status = 400 if parse_filter(print_filter(tree)) == tree else 0
    assert status == 400
