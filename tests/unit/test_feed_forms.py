"""What of a header or an unknown code is shown, and what is not because it may be a person's."""

from __future__ import annotations

import pytest

from app.mappings.formats.decoders import DECODERS
from app.mappings.formats.hl7v2.ack import addressee_of
from app.mappings.formats.hl7v2.er7 import Message, parse_message
from app.mappings.forms import (
    shown_charset,
    shown_code,
    shown_control,
    shown_system,
    shown_type,
    shown_word,
)
from tests.feed_support import LIS, site


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (shown_type, "ORU^R01"),
        (shown_type, "ORU"),
        (shown_type, "POOR_IN200901UV"),
        (shown_type, "POOR_IN200901UV01"),
        (shown_charset, "UNICODE UTF-8"),
        (shown_charset, "GB 18030-2000"),
        (shown_code, "PLT#2"),
        (shown_code, "0012345"),
        (shown_system, "http://loinc.org"),
        (shown_word, "2.5.1"),
        (shown_control, "1"),
        (shown_control, "MSG00001"),
        (shown_control, "AUTOMATEDTEST-003"),
        (shown_control, "20190314101500123"),
        (shown_control, "LIS-20190314101500-42"),
        (shown_control, "6f1d9a4e-1234-4c1b-8a3e-012345678901"),
    ],
)
def test_what_has_the_usual_form_is_shown(shown: object, text: str) -> None:
    assert callable(shown)
    assert shown(text) == text


@pytest.mark.parametrize("shown", [shown_type, shown_code, shown_system, shown_word, shown_control])
@pytest.mark.parametrize("text", ["测试甲", "110105194912310021", "TEST PERSON", ""])
def test_a_name_or_a_long_number_is_not_shown(shown: object, text: str) -> None:
    assert callable(shown)
    assert shown(text) == ""


def test_an_acknowledgement_does_not_repeat_what_is_no_processing_id_or_version() -> None:
    message = parse_message(
        "MSH|^~\\&|A|B|C|D|20190314||ORU^R01|1|测试甲|110105194912310021\r".encode(), "utf-8"
    )
    assert isinstance(message, Message)
    to = addressee_of(message)
    assert (to.processing_id, to.version) == ("P", "2.5.1")


@pytest.mark.parametrize(
    "text",
    ["ZHANGSAN", "20190314101", "T000000001", "19491231002", "201903141015001234567", "x 1"],
)
def test_what_may_be_a_name_or_a_patients_number_is_no_control_id(text: str) -> None:
    assert shown_control(text) == ""


@pytest.mark.parametrize("text", ["ZHANG^SAN", "Zhang", "T0000001", "ORU^R01^ZHANG", "ORU R01"])
def test_what_may_be_a_name_is_no_message_type(text: str) -> None:
    assert shown_type(text) == ""


@pytest.mark.parametrize(
    ("kind", "shown"), [("Observation", "Observation"), ("Zhang", ""), ("T0000001", "")]
)
def test_a_resource_type_that_is_none_is_not_kept_beside_the_message(kind: str, shown: str) -> None:
    data = f'{{"resourceType": "{kind}", "id": "a"}}'.encode()
    read = DECODERS["fhir"].read(data, site().feeds[LIS], site())
    assert read.head.message_type == shown
