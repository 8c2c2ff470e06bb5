"""HL7 V3-style XML as facts and its acknowledgement. WS/T 846; https://www.w3.org/TR/xml/"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mappings.facts import Fact
from app.mappings.formats.decoding import Receipt
from app.mappings.formats.v3xml.ack import acknowledge_v3
from app.mappings.formats.v3xml.decoder import EXAMPLE, read_v3
from app.mappings.formats.v3xml.elements import Malformed, XmlElement, parse_elements
from app.mappings.reasons import Outcome, Reason
from tests.feed_support import LIS, MRN, map_bytes, message, msh, obr, obx, pid, resource_of, site

VALUE = '<value xsi:type="PQ" value="38" unit="10*9/L"/>'
IDS = f'<id><item root="2.999.2.1" extension="{MRN}"/></id>'


def observation(value: str = VALUE, code: str = "PLT", more: str = "") -> str:
    return (
        f'<component><observation classCode="OBS"><code code="{code}" codeSystem="2.999.1.1"/>'
        f'<statusCode code="completed"/><effectiveTime value="20190314080000+0800"/>{value}{more}'
        "</observation></component>"
    )


def report(*observations: str, ids: str = IDS, order: str = "L1") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<POOR_IN200901UV ITSVersion="XML_1.0" xmlns="urn:hl7-org:v3"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<!-- 消息ID --><id root="2.16.156.10011.2.5.1.1" extension="M-42"/>'
        '<creationTime value="20190314101500"/><controlActProcess><subject><observationReport>'
        f'<id><item root="2.999.3.1" extension="{order}"/></id>'
        '<code code="CBC" codeSystem="2.999.1.1"/>'
        f"<recordTarget><patientRole>{ids}<patient><name>测试一</name></patient></patientRole>"
        f"</recordTarget>{''.join(observations)}</observationReport></subject></controlActProcess>"
        "</POOR_IN200901UV>"
    ).encode()


def facts_of(data: bytes) -> list[Fact]:
    return map_bytes(data, LIS, format="v3xml")


def fact_of(*parts: str) -> Fact:
    (fact,) = facts_of(report(observation(*parts)))
    return fact


def test_a_result_by_xml_has_the_identity_and_the_value_that_hl7_gives_it():
    (by_hl7,) = map_bytes(message(msh(), pid(), obr(), obx(f4="")), LIS)
    by_xml = fact_of()
    assert by_xml.resource_id == by_hl7.resource_id
    for key in ("valueQuantity", "code", "subject", "effectiveDateTime", "status"):
        assert resource_of(by_xml)[key] == resource_of(by_hl7)[key]


def test_the_example_of_the_documentation_is_read():
    (fact,) = facts_of(EXAMPLE.encode())
    assert fact.candidate is not None


def test_a_fact_points_at_the_bytes_of_its_observation():
    data = report(observation(), observation(code="WBC"))
    spans = [fact.span for fact in facts_of(data)]
    assert [data[span.start : span.end][:13] for span in spans] == [b"<observation "] * 2
    assert all(data[span.start : span.end].endswith(b"</observation>") for span in spans)
    assert b"WBC" in data[spans[1].start : spans[1].end]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (VALUE, None),
        ('<value xsi:type="PQ" value="38" unit="mg"/>', Reason.UNIT_DIMENSION),
        ('<value xsi:type="ST">38</value>', None),
        ('<value xsi:type="ST">血小板聚集</value>', None),
        ('<value xsi:type="ST" value="1O2"/>', Reason.VALUE_UNPARSABLE),
        ('<value xsi:type="CD" code="1" displayName="阳性"/>', Reason.VALUE_UNPARSABLE),
        ('<value xsi:type="IVL_PQ"><low value="1"/><high value="2"/></value>',
         Reason.VALUE_UNPARSABLE),
        ('<value xsi:type="IVL_PQ" unit="10*9/L"><high value="2"/></value>', None),
        ('<value xsi:type="PQ" unit="10*9/L"/><result><![CDATA[38]]></result>', None),
    ],
)  # fmt: skip
def test_values_obey_the_rules_of_every_feed(value, reason):
    fact = fact_of(value)
    assert fact.reason is reason, fact.detail


def test_interpretation_and_reference_range_are_carried():
    more = (
        '<interpretationCode code="L"/><referenceRange><observationRange><value xsi:type="IVL_PQ">'
        '<low value="100"/><high value="350"/></value></observationRange></referenceRange>'
    )
    stored = resource_of(fact_of(VALUE, "PLT", more))
    assert stored["interpretation"][0]["coding"][0]["code"] == "L"
    assert stored["referenceRange"][0]["low"]["value"] == 100


@pytest.mark.parametrize(("denied", "reason"), [("true", Reason.STATUS_UNMAPPED), ("false", None)])
def test_what_is_denied_is_no_result(denied, reason):
    own = report(observation()).replace(
        b"<observation ", f'<observation negationInd="{denied}" '.encode()
    )
    around = report(observation()).replace(
        b"<observationReport>", f'<observationReport negationInd="{denied}">'.encode()
    )
    assert [fact.reason for data in (own, around) for fact in facts_of(data)] == [reason] * 2


def test_two_patients_in_a_message_are_nobody():
    other = '<patientRole><id root="2.999.2.1" extension="T000000002"/></patientRole>'
    data = report(observation()).replace(b"</recordTarget>", f"{other}</recordTarget>".encode())
    (fact,) = facts_of(data)
    assert fact.reason is Reason.STRUCTURE


@pytest.mark.parametrize("code", ["T", "D"])
def test_a_message_of_training_or_debugging_is_nobodys(code):
    data = report(observation()).replace(
        b"<controlActProcess>", f'<processingCode code="{code}"/><controlActProcess>'.encode()
    )
    (fact,) = facts_of(data)
    assert (fact.outcome, fact.candidate) == (Outcome.NOT_SUBJECT_DATA, None)


def test_without_a_patient_the_facts_are_quarantined():
    (fact,) = facts_of(report(observation(), ids=""))
    assert fact.reason is Reason.STRUCTURE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.PARSE),
        (b"MSH|", Reason.PARSE),
        (b"<a/>", Reason.UNSUPPORTED_TYPE),
        (report(), Reason.STRUCTURE),
        ('<?xml version="1.0" encoding="GBK"?><a/>'.encode("gbk"), Reason.PARSE),
        (b"<a>\xff</a>", Reason.PARSE),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', Reason.PARSE),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', Reason.PARSE),
        (b"<a>&undefined;</a>", Reason.PARSE),
        (b"<a>" * 200 + b"</a>" * 200, Reason.PARSE),
    ],
)
def test_what_is_no_such_message_is_one_failure_of_the_whole(data, reason):
    (fact,) = facts_of(data)
    assert fact.reason is reason


def test_entities_that_grow_are_refused_at_once():
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 30))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "x">{lines}]><a>&e29;</a>'.encode()
    begun = time.monotonic()
    assert isinstance(parse_elements(bomb), Malformed)
    assert time.monotonic() - begun < 1


def test_a_message_cut_off_anywhere_is_one_failure():
    data = report(observation())
    for end in range(len(data)):
        (fact,) = facts_of(data[:end])
        assert fact.reason is Reason.PARSE


@given(place=st.integers(0, len(report(observation())) - 1), byte=st.integers(0, 255))
def test_any_byte_may_be_another(place, byte):
    data = report(observation())
    assert facts_of(data[:place] + bytes([byte]) + data[place + 1 :])


@pytest.mark.parametrize(
    "text",
    ["<a><b/></a>", "<a><b></b></a>", "<a><b>/></b></a>", '<a><b c="/>"/></a>',
     "<a><b c='>'> </b></a>"],
)  # fmt: skip
def test_the_bytes_of_an_element_are_those_between_its_marks(text):
    root = parse_elements(text.encode())
    assert isinstance(root, XmlElement)
    (inner,) = root.children
    assert text.encode()[inner.start : inner.end].decode() == text[3:-4]
    assert (root.start, root.end) == (0, len(text))


# The answer


def ack_of(data: bytes, verdict: str = "accept") -> XmlElement:
    read = read_v3(data, site().feeds[LIS], site())
    at = datetime(2019, 3, 14, 3, tzinfo=UTC)
    body = acknowledge_v3(Receipt(7, at, verdict, read, facts_of(data))).body  # type: ignore[arg-type]
    root = parse_elements(body)
    assert isinstance(root, XmlElement)
    return root


def test_the_answer_names_the_message_it_is_to():
    root = ack_of(report(observation()))
    acknowledgement, target = (
        root.child("acknowledgement"),
        root.child("acknowledgement", "targetMessage", "id"),
    )
    assert root.name == "MCCI_IN000002UV01"
    assert acknowledgement is not None
    assert target is not None
    assert acknowledgement.get("typeCode") == "AA"
    assert target.get("extension") == "M-42"


def test_what_failed_is_told_beside_the_acceptance():
    root = ack_of(report(observation(code="XYZ")))
    told = root.child("acknowledgement", "acknowledgementDetail", "text")
    assert told is not None
    assert "CODE_UNMAPPED" in told.get("value")


def test_what_was_not_kept_is_refused():
    acknowledgement = ack_of(b"<a", "reject").child("acknowledgement")
    assert acknowledgement is not None
    assert acknowledgement.get("typeCode") == "AE"


def test_nothing_of_an_unknown_patient_is_shown():
    (fact,) = map_bytes(report(observation()), LIS, subjects=(), format="v3xml")
    assert (fact.outcome, fact.code) == (Outcome.WAITING, "")
