"""Acknowledgements in original and enhanced mode. HL7 v2.5.1 2.9, 2.15.5, 2.15.8."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.mappings.formats.hl7v2.ack import _location, addressee_of, build_ack, failures_of
from app.mappings.formats.hl7v2.er7 import Message, parse_message
from app.mappings.reasons import Failure, Outcome, Reason, hl7_error
from app.mappings.subjects import Subject
from tests.feed_support import SUBJECT, map_bytes, message, msh, obr, obx, oru, pid

AT = datetime(2019, 3, 14, 3, tzinfo=UTC)


def ack_of(data: bytes, codec: str = "utf-8") -> Message:
    read = parse_message(data, codec)
    assert isinstance(read, Message)
    body = build_ack(addressee_of(read), "accept", "SSCI7", AT, failures_of(map_bytes(data)))
    answered = parse_message(body, codec)
    assert isinstance(answered, Message)
    return answered


@pytest.mark.parametrize(
    ("accept", "application", "code"),
    [
        ("", "", "AA"),
        ("AL", "NE", "CA"),
        ("AL", "AL", "CA"),
        ("ER", "", "CA"),
        ("NE", "AL", "AA"),
        ("", "AL", "AA"),
        ("NE", "NE", "CA"),
    ],
)
def test_msh_15_and_16_choose_the_mode(accept: str, application: str, code: str) -> None:
    header = msh() if not (accept or application) else msh(f15=accept, f16=application)
    assert ack_of(message(header, pid(), obr(), obx())).segments[1].text(1) == code


def test_sender_and_receiver_change_places_and_the_control_id_is_repeated() -> None:
    header = ack_of(oru(id="77")).header
    assert [header.text(n) for n in (3, 4, 5, 6, 10)] == ["SSCI", "PUMCH", "LIS", "PUMCH", "SSCI7"]
    assert ack_of(oru(id="77")).segments[1].text(2) == "77"


def test_each_failure_has_an_error_segment_with_its_place_and_reason() -> None:
    answer = ack_of(message(msh(), pid(), obr(), obx(), obx(value="1O2", f4="2")))
    (told,) = answer.segments[2:]
    assert [told.text(2, n) for n in (1, 2, 3)] == ["OBX", "2", "5"]
    assert (told.text(4), told.text(5)) == ("E", "VALUE_UNPARSABLE")


def errors_of(data: bytes, subjects: tuple[Subject, ...] = (SUBJECT,)) -> list[list[str]]:
    """Per ERR segment: ERR-2 with its parts, code, severity and reason."""
    read = parse_message(data, "utf-8")
    assert isinstance(read, Message)
    told = failures_of(map_bytes(data, subjects=subjects))
    answer = parse_message(build_ack(addressee_of(read), "accept", "SSCI7", AT, told), "utf-8")
    assert isinstance(answer, Message)
    return [
        [err.raw(2), err.text(3), err.text(4), err.text(5)]
        for err in answer.segments
        if err.name == "ERR"
    ]


def test_an_unknown_patient_is_pointed_at_in_pid_3() -> None:
    assert errors_of(oru(), ()) == [["PID^1^3", "204", "W", "PATIENT_UNKNOWN"]]


def test_another_name_is_pointed_at_in_pid_5() -> None:
    other = Subject("SSCI-001", "Patient/SSCI-001", mismatch=True)
    assert errors_of(oru(), (other,)) == [["PID^1^5", "204", "E", "PATIENT_MISMATCH"]]


def test_of_two_patients_the_second_pid_is_pointed_at() -> None:
    data = message(msh(), pid(), obr(), obx(), pid("T2^^^PUMCH^ZZ"), obr("L2"), obx())
    assert [place for place, *_ in errors_of(data)] == ["PID^2^3"]


def test_a_time_of_the_order_is_pointed_at_in_the_order() -> None:
    data = message(msh(), pid(), obr(f7="20300101"), obx(f14=""))
    assert errors_of(data) == [["OBR^1^7", "102", "E", "TIME_INVALID"]]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"f8": "A"}, ["OBX^1^5", "0", "W", "ANALYTIC_SUSPECT"]),
        ({"status": "W"}, ["OBX^1^11", "0", "W", "WRONG_PATIENT"]),
    ],
)
def test_what_is_stored_and_wants_a_review_is_told_as_a_warning(
    fields: dict[str, str], expected: list[str]
) -> None:
    (fact,) = map_bytes(oru(**fields))
    (told,) = failures_of([replace(fact, outcome=Outcome.STORED)])
    code, _ = hl7_error(told.reason)
    place = "^".join(_location(told.place, told.field or ""))
    assert [place, code, told.severity, told.reason] == expected


def test_a_correction_without_its_original_is_an_unknown_key_not_our_own_error() -> None:
    (fact,) = map_bytes(oru(status="C"))
    failed = fact.failed(Failure(Reason.CORRECTION_WITHOUT_ORIGINAL, "nothing is stored"))
    (told,) = failures_of([failed])
    assert (hl7_error(told.reason)[0], told.field) == ("204", "OBX-11")


def test_no_value_of_the_message_is_repeated_in_an_error() -> None:
    read = parse_message(oru(value="SECRET9"), "utf-8")
    assert isinstance(read, Message)
    failures = failures_of(map_bytes(oru(value="SECRET9")))
    assert b"SECRET9" not in build_ack(addressee_of(read), "accept", "1", AT, failures)


def test_the_answer_is_in_the_senders_charset_and_separators() -> None:
    data = "MSH#*!?%#检验科#PUMCH###20190314##ORU*R01#9#P#2.4######GB 18030-2000\r".encode(
        "gb18030"
    )
    read = parse_message(data, "utf-8")
    assert isinstance(read, Message)
    body = build_ack(addressee_of(read), "accept", "SSCI7", AT)
    assert body.startswith("MSH#*!?%#SSCI#PUMCH#检验科#PUMCH#".encode("gb18030"))
    assert b"\rMSA#AA#9\r" in body


def test_an_unknown_patient_is_told_once() -> None:
    data = message(msh(), pid(), obr(), obx(), obx(f4="2"))
    assert [told.place for told in failures_of(map_bytes(data, subjects=()))] == ["PID[1]"]


def test_equal_arguments_give_equal_bytes() -> None:
    read = parse_message(oru(), "utf-8")
    assert isinstance(read, Message)
    one, two = (build_ack(addressee_of(read), "accept", "SSCI7", AT) for _ in range(2))
    assert one == two
