"""Which messages may share a transaction."""

from __future__ import annotations

import pytest

from app.mappings.facts import Fact
from app.mappings.subjects import Subject
from app.mappings.working.waves import MAX_FACTS, Wave, touched_by
from tests.feed_support import HIS, STRANGER, adt, map_bytes, oml, oru, ras

OTHER = Subject("SSCI-002", "Patient/SSCI-002", synthetic=True)


def of_other(data: bytes) -> list[Fact]:
    return map_bytes(data, subjects=(OTHER,))


def admitted(*messages: list[Fact] | None) -> list[bool]:
    wave = Wave()
    return [wave.admits(touched_by(facts)) for facts in messages]


def test_different_results_of_one_subject_go_together() -> None:
    one, two = map_bytes(oru(order="L1")), map_bytes(oru(order="L2"))
    assert admitted(one, two) == [True, True]


def test_a_correction_waits_for_its_original() -> None:
    one, two = map_bytes(oru(value="20")), map_bytes(oru(value="30", status="C"))
    assert admitted(one, two) == [True, False]


def test_what_comes_after_one_that_waits_waits_for_it_too() -> None:
    first, second = map_bytes(oru()), map_bytes(oru(status="C") + b"")
    moved = of_other(oru())
    assert admitted(first, second, moved) == [True, False, False]


def test_an_unreadable_result_counts_as_an_original() -> None:
    one, two = map_bytes(oru(value="1O2")), map_bytes(oru(value="102", status="C"))
    assert one[0].candidate is None
    assert admitted(one, two) == [True, False]


@pytest.mark.parametrize("data", [ras(), adt("A01", visit="V1"), oml()])
def test_what_is_no_result_goes_with_no_other_of_its_subject(data: bytes) -> None:
    other, result = map_bytes(data, HIS), map_bytes(oru())
    assert admitted(other, result) == [True, False]
    assert admitted(result, other) == [True, False]
    assert admitted(other, of_other(oru())) == [True, True]


def test_a_result_whose_scale_is_compared_with_the_last_one_waits_for_it() -> None:
    usual, unusual = map_bytes(oru(order="L1")), map_bytes(oru(unit="10*3/uL", order="L2"))
    assert unusual[0].measured is not None
    assert unusual[0].measured.unusual_unit
    assert admitted(usual, unusual) == [True, False]


def test_messages_about_people_who_are_no_subjects_go_together() -> None:
    nobody = map_bytes(oru(mrn=STRANGER), subjects=())
    assert admitted(nobody, nobody, nobody) == [True, True, True]


def test_a_merge_of_hospital_numbers_goes_alone() -> None:
    merge, result = map_bytes(adt("A40", merged="T2"), HIS), map_bytes(oru())
    assert merge[0].merge is not None
    assert admitted(merge, result) == [False, False]


def test_a_message_that_could_not_be_mapped_goes_alone() -> None:
    assert admitted(None, map_bytes(oru())) == [False, False]


def test_one_transaction_has_a_bound() -> None:
    fact, other = map_bytes(oru(order="L1"))[0], map_bytes(oru(order="L2"))
    assert fact.candidate is not None
    assert admitted([fact] * MAX_FACTS, other) == [True, False]
    assert admitted([fact] * (MAX_FACTS + 1)) == [False]


def test_facts_that_store_nothing_count_for_less() -> None:
    fact, other = map_bytes(oru(mrn=STRANGER), subjects=())[0], map_bytes(oru(order="L2"))
    assert admitted([fact] * MAX_FACTS, other) == [True, True]
    assert admitted(*[[fact] * MAX_FACTS] * 5) == [True, True, True, True, False]
