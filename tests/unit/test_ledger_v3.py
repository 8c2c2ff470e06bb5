"""The coverage ledger of V3 XML: each attribute and text by its path, what became of it and why."""

from __future__ import annotations

import re

import pytest

from app.mappings.formats.v3xml.decoder import EXAMPLE
from app.mappings.formats.v3xml.elements import XmlElement, parse_elements
from app.mappings.ledger.rules import LedgerRow, build_rules
from tests.feed_support import LIS
from tests.ledger_support import leaves_of, told, unexplained
from tests.unit.test_v3_xml import VALUE, observation, report

RICH = (
    '<interpretationCode code="L"/><referenceRange><observationRange><value xsi:type="IVL_PQ">'
    '<low value="100"/><high value="350"/></value></observationRange></referenceRange>'
    "<text>溶血</text><methodCode code='X'/>"
)
SOAP = '<soap:Envelope xmlns:soap="urn:s" kind="x"><soap:Body>{}</soap:Body></soap:Envelope>'
CLINICAL = """<ClinicalDocument xmlns="urn:hl7-org:v3"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><realmCode code="CN"/>
<id root="2.999.9" extension="D-1"/><code code="HSD" codeSystem="2.999.8"/><title>检验报告</title>
<effectiveTime value="20190314"/><recordTarget><patientRole>
<id root="2.999.2.1" extension="T000000001"/><addr>某街</addr><patient><name>测试一</name>
<administrativeGenderCode code="2"/><birthTime value="19790504"/></patient>
<providerOrganization><name>某院</name></providerOrganization></patientRole></recordTarget>
<author><assignedAuthor><id extension="77"/></assignedAuthor></author>
<component><section><text>血小板 38</text><entry><organizer classCode="BATTERY">
<id root="2.999.3.1" extension="L1"/><code code="CBC" codeSystem="2.999.1.1" displayName="血常规"/>
<statusCode code="completed"/><specimen><specimenRole><id root="2.999.3.9" extension="S1"/>
<effectiveTime value="20190314075500"/></specimenRole></specimen>
<component><observation classCode="OBS"><code code="PLT" codeSystem="2.999.1.1"
 codeSystemName="院内"><translation code="777-3" codeSystem="2.16.840.1.113883.6.1"/></code>
<effectiveTime><low value="20190314080000"/></effectiveTime>
<value xsi:type="ST"><!-- 说明 --><![CDATA[38]]></value></observation></component></organizer>
</entry></section></component></ClinicalDocument>"""
MESSAGES = (
    EXAMPLE.encode(),
    report(observation(), observation(code="WBC")),
    report(observation(VALUE, "PLT", RICH)),
    report(observation('<value xsi:type="CD" code="1" displayName="阳性" codeSystem="2.999.7"/>')),
    report(observation('<value xsi:type="IVL_PQ" unit="10*9/L"><high value="2"/></value>')),
    report(observation('<value xsi:type="PQ" unit="10*9/L"/><result><![CDATA[38]]></result>')),
    report(observation(), ids=""),
    report(),
    b"<a b='c'>d</a>",
    SOAP.format(EXAMPLE).encode(),
    CLINICAL.encode(),
)


def count(data: bytes) -> int:
    """Attributes and elements with text, counted on the tree."""
    root = parse_elements(data)
    assert isinstance(root, XmlElement)
    return sum(
        len([value for value in each.attributes.values() if value.strip()])
        + bool(each.text.strip())
        for each in root.walk()
    )


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("data", MESSAGES)
def test_every_attribute_and_text_stands_once_in_the_ledger_and_none_is_unexplained(
    data: bytes, known: bool
) -> None:
    leaves = leaves_of(data, "v3xml", LIS, known=known)
    assert unexplained(leaves) == []
    assert len(leaves) == len({each.path for each in leaves}) == count(data)


@pytest.mark.parametrize("data", MESSAGES)
def test_a_leaf_has_the_bytes_of_its_value(data: bytes) -> None:
    for each in leaves_of(data, "v3xml"):
        assert each.span is not None
        value = data[each.span.start : each.span.end]
        assert value.strip() == value != b""
        name = each.path.rpartition("/")[2]
        if name.startswith("@"):
            before = data[: each.span.start]
            assert re.search(rb"[ :\n]" + name[1:].encode() + rb"=[\"']$", before)


DOCUMENT = "ClinicalDocument"
BATTERY = f"{DOCUMENT}/component/section/entry/organizer"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (f"{DOCUMENT}/id/@extension", "the message's control id"),
        (f"{DOCUMENT}/realmCode/@code", "transport"),
        (f"{DOCUMENT}/recordTarget/patientRole/id/@extension", "Observation.subject"),
        (f"{DOCUMENT}/recordTarget/patientRole/patient/birthTime/@value", "Observation.subject"),
        (f"{DOCUMENT}/recordTarget/patientRole/addr/text()", "direct-identifier"),
        (f"{DOCUMENT}/author/assignedAuthor/id/@extension", "staff"),
        (f"{DOCUMENT}/component/section/text/text()", "narrative"),
        (f"{BATTERY}/code/@code", "Observation.id, Observation.identifier"),
        (f"{BATTERY}/specimen/specimenRole/effectiveTime/@value", "Observation.effective[x]"),
        (f"{BATTERY}/component/observation/value/text()", "Observation.value[x]"),
        (f"{BATTERY}/component/observation/code/@codeSystemName", "label"),
    ],
)
def test_what_became_of_a_value_and_why_is_told(path: str, what: str) -> None:
    assert told(leaves_of(CLINICAL.encode(), "v3xml"))[path] == what


def test_each_result_has_the_end_of_its_own_fact() -> None:
    leaves = leaves_of(report(observation(), observation(code="ZZZ")), "v3xml")
    rules = {each.fact: set() for each in leaves if each.fact}  # type: dict[str, set[str]]
    for each in leaves:
        if each.fact:
            rules[each.fact].add(each.verdict.kind)
    assert rules == {"observation[0]": {"mapped", "ignored"}, "observation[1]": {"ignored"}}


def test_of_a_stranger_only_who_it_is_counts() -> None:
    leaves = leaves_of(EXAMPLE.encode(), "v3xml", known=False)
    found = {each.verdict.rule for each in leaves if each.verdict.kind == "mapped"}
    assert found == {"identity", "decision"}


def test_an_element_and_an_attribute_that_no_row_names_are_unexplained_and_not_shown() -> None:
    more = '<mood T000000009="x">y</mood><T000000009>z</T000000009>'
    leaves = leaves_of(report(observation(VALUE, "PLT", more)), "v3xml")
    place = "POOR_IN200901UV/controlActProcess/subject/observationReport/component/observation"
    assert unexplained(leaves) == [f"{place}/mood/@*", f"{place}/mood/text()", f"{place}/*/text()"]


def test_a_message_of_training_is_ignored_as_such() -> None:
    told_so = b'<processingCode code="T"/><controlActProcess>'
    leaves = leaves_of(EXAMPLE.encode().replace(b"<controlActProcess>", told_so), "v3xml")
    assert {each.verdict.rule for each in leaves} == {"not-subject-data", "decision", "order"}


def test_a_row_about_v3_names_its_line_where_it_is_wrong() -> None:
    explained = LedgerRow(2, "rule", "not-needed", "nobody needs it")
    with pytest.raises(ValueError, match="line 3: place: 'a b' is no element of V3 XML"):
        build_rules([explained, LedgerRow(3, "v3", "a b", "not-needed")])
