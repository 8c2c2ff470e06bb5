"""Every chain of statements about one result, in every order of arrival. HL7 table 0085."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations

import pytest

from app.fhir import Json
from app.mappings.facts import Candidate
from app.mappings.working.decisions import decide
from tests.feed_support import map_one, oru

STATUSES = {
    "P": "preliminary",
    "F": "final",
    "C": "corrected",
    "D": "entered-in-error",
    "W": "entered-in-error",
    "X": "cancelled",
    "U": "final",
    "V": "final",
}
"""What the specification says of each letter (`V` is sent with its value here)."""
NEED_AN_ORIGINAL = frozenset("CDWU")
TELL_NO_VALUE = frozenset("DWU")
CHAINS = [chain for n in (1, 2, 3) for chain in permutations(STATUSES, n)]


@cache
def candidate(letter: str, hour: int, number: int) -> Candidate:
    """What is said in that hour; `number` is OBX-1, which identifies nothing."""
    sent = f"20190314{hour:02d}0000+0800"
    value = str(10 * hour) if letter not in TELL_NO_VALUE else ""
    fact = map_one(oru(value=value, status=letter, sent=sent, id=f"{hour}", f1=str(number)))
    assert fact.candidate is not None
    return fact.candidate


def stored_after(arrivals: Sequence[Candidate]) -> Json | None:
    """What is stored in the end; what lacks its original is tried again once there is one."""
    stored: Json | None = None
    waiting: list[Candidate] = []
    for arrival in arrivals:
        tried = [arrival]
        while tried:
            decision = decide(stored, tried[0])
            waiting += tried[:1] if decision.kind == "refused" else []
            tried = tried[1:]
            if decision.kind == "store":
                tried, waiting = ([*tried, *waiting], []) if stored is None else (tried, waiting)
                stored = decision.resource
    return stored


def told(resource: Json | None) -> tuple[str, str]:
    if resource is None:
        return ("nothing", "")
    return (resource["status"], str(resource.get("valueQuantity", {}).get("value", "none")))


def expected(chain: Sequence[str]) -> str:
    """The last statement counts, but what has ended never becomes preliminary."""
    if not set(chain) - NEED_AN_ORIGINAL:
        return "nothing"
    return STATUSES[([letter for letter in chain if letter != "P"] or ["P"])[-1]]


@pytest.mark.parametrize("chain", CHAINS, ids="".join)
def test_a_chain_of_statements_ends_the_same_in_every_order_of_arrival(
    chain: tuple[str, ...],
) -> None:
    said = [(letter, 10 + hour) for hour, letter in enumerate(chain)]
    ends = {
        order: told(stored_after([candidate(*each, n) for n, each in enumerate(order, start=1)]))
        for order in permutations(said)
    }
    assert {status for status, value in ends.values()} == {expected(chain)}, ends
    assert len(set(ends.values())) == 1, ends
