"""Chains of OBX-11: what a sequence of messages about one result comes to, in any order.

https://terminology.hl7.org/ValueSet-v2-0085.html
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.fhir import Json
from app.mappings.working.decisions import Decision, decide
from tests.feed_support import map_one, oru, resource_of


@dataclass(slots=True)
class Shelf:
    """One place of the store: applies decisions and counts versions."""

    resource: Json | None = None
    version: int = 0

    def take(self, letter: str, value: str, hour: int) -> Decision:
        candidate = map_one(
            oru(value=value, status=letter, f19=f"20190314{hour:02d}0000")
        ).candidate
        assert candidate is not None
        decision = decide(self.resource, candidate)
        if decision.resource is not None:
            self.version += 1
            meta = decision.resource.get("meta", {}) | {"versionId": str(self.version)}
            self.resource = decision.resource | {"meta": meta}
        return decision

    @property
    def told(self) -> tuple[str, str | None, int]:
        assert self.resource is not None
        quantity = self.resource.get("valueQuantity")
        return self.resource["status"], str(quantity["value"]) if quantity else None, self.version


CHAINS = """
    F38                 | final            | 38 | 1
    P38 F38             | final            | 38 | 2
    F38 F38             | final            | 38 | 2
    F38 P39             | final            | 38 | 1
    F38 R39             | final            | 38 | 1
    F38 I               | final            | 38 | 1
    F38 C83             | corrected        | 83 | 2
    F38 C83 P39         | corrected        | 83 | 2
    F38 C83 C84         | corrected        | 84 | 3
    F38 A39             | amended          | 39 | 2
    F38 B39             | amended          | 39 | 2
    P38 U               | final            | 38 | 2
    F38 D38             | entered-in-error | 38 | 2
    F38 W38             | entered-in-error | 38 | 2
    F38 W38 F38         | final            | 38 | 3
    F38 X               | cancelled        | -  | 2
    X F38               | final            | 38 | 2
    I P38 F39           | final            | 39 | 3
    O S38               | preliminary      | 38 | 2
    V38                 | final            | 38 | 1
    P38 V               | final            | 38 | 2
    P38 V39             | final            | 39 | 2
    A39                 | amended          | 39 | 1
"""


@pytest.mark.parametrize("row", [row for row in CHAINS.splitlines() if row.strip()])
def test_a_chain_of_statuses_comes_to(row: str) -> None:
    chain, status, value, version = (cell.strip() for cell in row.split("|"))
    shelf = Shelf()
    for hour, step in enumerate(chain.split(), start=10):
        shelf.take(step[0], step[1:], hour)
    assert shelf.told == (status, None if value == "-" else value, int(version))


def test_an_older_message_that_comes_late_changes_nothing() -> None:
    shelf = Shelf()
    shelf.take("F", "38", 10)
    shelf.take("C", "83", 12)
    late = shelf.take("C", "50", 11)
    assert (late.kind, late.reason) == ("superseded", "OUT_OF_ORDER")
    assert shelf.told == ("corrected", "83", 2)


@pytest.mark.parametrize("letter", ["C", "D", "W", "U", "V"])
def test_what_changes_an_original_is_refused_without_one(letter: str) -> None:
    decision = Shelf().take(letter, "" if letter == "V" else "38", 10)
    assert (decision.kind, decision.reason) == ("refused", "CORRECTION_WITHOUT_ORIGINAL")


@pytest.mark.parametrize(("letter", "tag"), [("D", "result-deleted"), ("W", "wrong-patient")])
def test_a_withdrawn_result_is_tagged_for_review(letter: str, tag: str) -> None:
    shelf = Shelf()
    shelf.take("F", "38", 10)
    shelf.take(letter, "38", 11)
    assert shelf.resource is not None
    assert [each["code"] for each in shelf.resource["meta"]["tag"]] == [tag]


def test_the_letter_as_sent_is_kept() -> None:
    observation = resource_of(map_one(oru(status="B")))
    letters = [item["valueCode"] for item in observation["extension"] if "valueCode" in item]
    assert letters == ["B"]


def test_a_result_not_asked_for_makes_no_observation() -> None:
    fact = map_one(oru(status="N"))
    assert (fact.outcome, fact.candidate) == ("not-recorded", None)


def test_another_value_under_a_weak_key_is_a_conflict() -> None:
    first = map_one(oru(order="")).candidate
    second = map_one(oru(order="", value="40", sent="20190315101500+0800")).candidate
    assert first is not None
    assert second is not None
    decision = decide(first.resource | {"meta": {"versionId": "1"}}, second)
    assert (decision.kind, decision.reason) == ("refused", "WEAK_KEY_CONFLICT")
