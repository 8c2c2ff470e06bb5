"""Order of arrival decides nothing: what is stored in the end depends on what was said and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir import Json
from app.mappings.facts import Candidate
from app.mappings.working.decisions import decide
from tests.feed_support import map_one, oru, resource_of, value_of


@dataclass(frozen=True)
class Said:
    """A statement about one result: OBX-11, OBX-5, and the hour of MSH-7."""

    letter: str
    value: str
    hour: int

    @property
    def candidate(self) -> Candidate:
        sent = f"20190314{self.hour:02d}0000+0800"
        fact = map_one(oru(value=self.value, status=self.letter, sent=sent))
        assert resource_of(fact)
        assert fact.candidate is not None
        return fact.candidate


def end_of(arrivals: Sequence[Candidate]) -> tuple[str, str]:
    """Status and value after these arrived; what lacks its original is tried again."""
    stored: Json | None = None
    waiting: list[Candidate] = []
    for arrival in arrivals:
        tried = [arrival]
        while tried:
            candidate = tried.pop(0)
            decision = decide(stored, candidate)
            if decision.kind == "refused":
                waiting.append(candidate)
            if decision.kind == "store":
                if stored is None:
                    tried, waiting = [*tried, *waiting], []
                stored = decision.resource
    assert stored is not None
    return stored["status"], value_of(stored)


def ends(said: Sequence[Said]) -> set[tuple[str, str]]:
    candidates = [each.candidate for each in said]
    return {end_of(arrivals) for arrivals in permutations(candidates)}


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ([Said("F", "20", 10), Said("C", "30", 11), Said("W", "30", 12)], "entered-in-error 30"),
        ([Said("F", "20", 10), Said("W", "30", 11), Said("C", "30", 12)], "corrected 30"),
        ([Said("F", "20", 10), Said("C", "30", 11), Said("D", "", 12)], "entered-in-error 30"),
        (
            [Said("F", "20", 10), Said("A", "25", 11), Said("C", "30", 12), Said("W", "", 13)],
            "entered-in-error 30",
        ),
    ],
)
def test_a_withdrawn_result_ends_the_same_in_any_order_of_arrival(
    said: list[Said], end: str
) -> None:
    assert {" ".join(each) for each in ends(said)} == {end}


def content(said: tuple[str, str]) -> tuple[str, str]:
    """D, W and U say nothing of the value. The same said again is a re-send: it writes no version
    and so leaves the order of the first."""
    return (said[0], "") if said[0] in "DWU" else said


@given(
    st.lists(
        st.tuples(st.sampled_from("FCAWDU"), st.sampled_from(["20", "30", "40"])).filter(
            lambda said: said != ("F", "20")
        ),
        max_size=3,
        unique_by=content,
    ),
    st.permutations([10, 11, 12, 13]),
)
def test_any_statements_about_one_result_end_the_same_in_any_order_of_arrival(
    others: list[tuple[str, str]], hours: list[int]
) -> None:
    letters = [("F", "20"), *others]
    said = [Said(*each, hour) for each, hour in zip(letters, hours, strict=False)]
    assert len(ends(said)) == 1
