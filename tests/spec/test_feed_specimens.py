"""OUL^R21–R24, and results out of their usual order. HL7 v2.5.1 7.3.7 (OUL^R22), 7.4.3 (SPM)."""

from __future__ import annotations

import pytest

from app.mappings.facts import Fact
from tests.feed_support import (
    HIS,
    LIS,
    PLT,
    SIROLIMUS,
    adt,
    map_bytes,
    message,
    msh,
    obr,
    obx,
    oml,
    pid,
    ras,
    rde,
    resource_of,
    segment,
)

R22 = "OUL^R22^OUL_R22"


def spm(number: str, collected: str = "20190314075500+0800") -> str:
    return segment("SPM", f1="1", f2=f"{number}&LIS", f4="BLD", f17=collected)


def specimens_of(facts: list[Fact]) -> list[str]:
    return [resource_of(fact)["specimen"]["reference"] for fact in facts]


def test_a_specimen_before_its_orders_is_that_of_all_their_results() -> None:
    facts = map_bytes(
        message(
            msh(R22),
            pid(),
            spm("S1"),
            *(obr("L1"), "ORC|RE|P-L1|L1", obx(PLT, "38")),
            *(obr("L2", "SIRO^雷帕霉素^99PUMCH"), "ORC|RE|P-L2|L2", obx(SIROLIMUS, "8.6", "ng/mL")),
            spm("S2"),
            *(obr("L3"), obx(PLT, "40")),
        )
    )
    first, second, third = specimens_of(facts)
    assert first == second != third


def test_the_specimens_time_of_collection_holds_where_no_other_was_sent() -> None:
    data = message(msh(R22), pid(), spm("S1"), obr(f7=""), obx(f14=""))
    (fact,) = map_bytes(data)
    assert resource_of(fact)["effectiveDateTime"] == "2019-03-14T07:55:00+08:00"


def test_a_specimen_after_its_order_is_that_orders_alone() -> None:
    facts = map_bytes(
        message(
            msh("OUL^R24^OUL_R24"),
            pid(),
            *(obr("L1"), obx(PLT, "38"), spm("S1")),
            *(obr("L2"), obx(PLT, "40"), spm("S2")),
        )
    )
    first, second = specimens_of(facts)
    assert first != second


@pytest.mark.parametrize("trigger", ["R21", "R22", "R23", "R24"])
def test_every_shape_of_the_kind_is_taken(trigger: str) -> None:
    data = message(
        msh(f"OUL^{trigger}"),
        pid(),
        *(spm("S1"), "SAC|1", obr(), "ORC|RE|P-L1|L1", "TCD|PLT", obx()),
    )
    (fact,) = map_bytes(data)
    assert resource_of(fact)["resourceType"] == "Observation"


def test_an_order_control_after_its_order_numbers_that_order() -> None:
    """In OUL^R22 an ORC stands behind its OBR; taken for the next one's, it would give its number
    away."""
    plain = "OBR|1|||CBC^血常规^99MRC|||20190314080000+0800"
    data = message(
        msh(R22),
        pid(),
        spm("S1"),
        *(plain, "ORC|RE|P1|L1", obx(PLT, "38")),
        *(plain, "ORC|RE|P2|L2", obx(PLT, "40")),
    )
    both = [fact.resource_id for fact in map_bytes(data)]
    alone = message(msh(R22), pid(), spm("S1"), plain, "ORC|RE|P1|L1", obx(PLT, "38"))
    assert both[0] == map_bytes(alone)[0].resource_id != both[1]


@pytest.mark.parametrize("swapped", [False, True], ids=["ORC OBR", "OBR ORC"])
def test_orc_and_obr_may_change_places_in_an_oru(swapped: bool) -> None:
    plain = "OBR|1|||CBC^血常规^99MRC|||20190314080000+0800"
    pairs = [("ORC|RE|P1|L1", plain), ("ORC|RE|P2|L2", plain)]
    orders = [list(reversed(pair)) if swapped else list(pair) for pair in pairs]
    data = message(msh(), pid(), *orders[0], obx(PLT, "38"), *orders[1], obx(PLT, "40"))
    usual = message(msh(), pid(), *pairs[0], obx(PLT, "38"), *pairs[1], obx(PLT, "40"))
    assert [fact.resource_id for fact in map_bytes(data)] == [
        fact.resource_id for fact in map_bytes(usual)
    ]


def test_an_observation_of_the_specimen_itself_is_in_no_panel() -> None:
    data = message(
        msh(R22), pid(), spm("S1"), obx("QXX^性状^99MRC", "好"), obr("L1"), obx(PLT, "38")
    )
    specimen, count = map_bytes(data)
    assert (specimen.reason, specimen.field) == ("CODE_UNMAPPED", "OBX-3")
    assert resource_of(count)["identifier"]


def test_a_visit_beside_results_changes_nothing() -> None:
    with_visit = message(msh(), pid(), "PV1|1|I|||||||||||||||||V1", obr(), obx())
    without = message(msh(), pid(), obr(), obx())
    (one,), (other,) = map_bytes(with_visit), map_bytes(without)
    assert resource_of(one) == resource_of(other)


def test_several_patients_keep_their_own_specimens_and_orders() -> None:
    data = message(
        msh(R22),
        *(pid(), spm("S1"), obr("L1"), obx(PLT, "38")),
        *(pid(), obr("L2"), obx(PLT, "40"), spm("S2")),
    )
    first, second = specimens_of(map_bytes(data))
    assert first != second


def test_control_material_in_a_specimen_message_is_nobodys() -> None:
    (fact,) = map_bytes(message(msh(R22, f11="Q"), spm("QC1"), obr(), obx()))
    assert fact.outcome == "not-subject-data"


@pytest.mark.parametrize(
    ("processing", "detail"),
    [("T", "sent for training"), ("D", "sent for debugging"), ("N", "sent for testing"),
     ("t", "sent for training"), ("T^A", "sent for training"), ("Q", "quality control")],
)  # fmt: skip
def test_what_is_sent_for_training_or_a_test_is_nobodys(processing: str, detail: str) -> None:
    data = message(msh(f11=processing), pid(), obr(), obx())
    (fact,) = map_bytes(data)
    assert (fact.outcome, fact.reason, fact.detail) == (
        "not-subject-data", "NOT_SUBJECT_DATA", detail
    )  # fmt: skip
    assert (fact.candidate, fact.subject) == (None, None)


@pytest.mark.parametrize("data", [ras(), adt("A01"), adt("A40", merged="T000000002"), rde(), oml()])
@pytest.mark.parametrize("letter", [b"T", b"D", b"Q"])
def test_nothing_of_any_type_of_message_is_mapped_that_is_not_of_production(
    data: bytes, letter: bytes
) -> None:
    facts = map_bytes(data.replace(b"|P|2.5.1", b"|" + letter + b"|2.5.1"), HIS)
    assert {fact.outcome for fact in facts} == {"not-subject-data"}
    assert [fact.candidate for fact in facts] == [None] * len(facts)


@pytest.mark.parametrize(("processing", "stored"), [("P", 1), ("", 1), ("T", 1), ("Q", 0)])
def test_a_site_may_take_training_for_the_real_thing_but_never_quality_control(
    processing: str, stored: int
) -> None:
    data = message(msh(f11=processing), pid(), obr(), obx())
    facts = map_bytes(data, test_processing_ids=frozenset())
    assert len([each for each in facts if each.candidate is not None]) == stored


def test_a_segment_that_goes_on_elsewhere_is_not_read_half() -> None:
    (fact,) = map_bytes(message(msh(), pid(), obr(), obx(value="12"), "ADD|", "DSC|17"))
    assert (fact.outcome, fact.reason, fact.place) == ("quarantined", "STRUCTURE", "MSH[1]")
    assert fact.detail.startswith("ADD")


def test_a_message_that_goes_on_at_a_segments_end_is_read() -> None:
    (fact,) = map_bytes(message(msh(), pid(), obr(), obx(value="38"), "DSC|17"))
    assert fact.candidate is not None


def test_what_goes_on_without_saying_of_whom_is_quarantined() -> None:
    (fact,) = map_bytes(message(msh(f14="17"), obr(), obx()))
    assert (fact.reason, fact.field) == ("STRUCTURE", "PID-3")


def test_a_message_without_the_segments_of_its_kind_says_which() -> None:
    (fact,) = map_bytes(message(msh(), pid()), LIS)
    assert (fact.reason, fact.field) == ("STRUCTURE", "MSH-9")
    assert "OBR or OBX" in fact.detail


def test_an_order_without_results_keeps_the_control_behind_it() -> None:
    plain = "OBR|1|||CBC^血常规^99MRC|||20190314080000+0800"
    head = (msh(R22), pid(), spm("S1"))
    data = message(*head, plain, "ORC|RE|P1|L1", plain, "ORC|RE|P2|L2", obx(PLT, "40"))
    alone = message(*head, plain, "ORC|RE|P2|L2", obx(PLT, "40"))
    empty, count = map_bytes(data)
    assert (empty.outcome, empty.place) == ("not-recorded", "OBR[1]")
    assert count.resource_id == map_bytes(alone)[0].resource_id


def test_a_note_behind_the_control_of_an_order_is_the_orders() -> None:
    noted = "NTE|1|L|血小板聚集"
    data = message(msh(R22), pid(), spm("S1"), obr(), "ORC|RE|P-L1|L1", noted, obx(PLT, "38"))
    (fact,) = map_bytes(data)
    assert [reason.value for reason in fact.reviews] == ["ANALYTIC_SUSPECT"]
