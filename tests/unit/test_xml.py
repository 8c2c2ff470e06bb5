"""FHIR XML by the standard's rules, on examples written by hand. https://hl7.org/fhir/R4/xml.html"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from app.errors import SsciError
from app.fhir.codec import MAX_DEPTH, decimal, dump_json, equal, parse_json
from app.fhir.registry import load_registry
from app.fhir.xml import dump_xml, parse_xml
from app.fhir.xml_shapes import shapes_of
from tests.legal_resources import LEAST, MOST, least

Json = dict[str, Any]

REGISTRY = load_registry()
ALL = [*(least(each) for each in LEAST), *MOST]
OPENING = b'<Observation xmlns="http://hl7.org/fhir">'


def observation(inner: str) -> Json:
    return parse_xml(OPENING + inner.encode() + b"</Observation>", REGISTRY)


def xml_of(resource: Json) -> str:
    return dump_xml(resource, REGISTRY).decode()


def refusal(data: bytes) -> tuple[str | None, str]:
    with pytest.raises(SsciError) as refused:
        parse_xml(data, REGISTRY)
    (issue,) = refused.value.issues
    assert refused.value.http_status == 400
    return issue.expression, issue.diagnostics


def refusal_of(inner: str) -> tuple[str | None, str]:
    return refusal(OPENING + inner.encode() + b"</Observation>")


@pytest.mark.parametrize("resource", ALL, ids=lambda each: str(each["resourceType"]))
def test_a_resource_comes_back_from_xml_as_it_was(resource: Json) -> None:
    written = dump_xml(resource, REGISTRY)
    ElementTree.fromstring(written)
    assert equal(parse_xml(written, REGISTRY), resource)
    assert equal(parse_xml(dump_xml(resource, REGISTRY, pretty=True), REGISTRY), resource)


# JSON → XML


def test_elements_stand_in_the_order_of_the_standard_whatever_the_json_says() -> None:
    written = xml_of(
        {
            "status": "final",
            "code": {"text": "PLT", "coding": [{"code": "777-3", "system": "http://loinc.org"}]},
            "id": "a",
            "resourceType": "Observation",
        }
    )
    assert written == (
        '<?xml version="1.0" encoding="UTF-8"?><Observation xmlns="http://hl7.org/fhir">'
        '<id value="a"/><status value="final"/><code><coding><system value="http://loinc.org"/>'
        '<code value="777-3"/></coding><text value="PLT"/></code></Observation>'
    )


def test_parts_of_an_extended_primitive_are_one_element() -> None:
    written = xml_of(
        {
            "resourceType": "Patient",
            "birthDate": "1980",
            "_birthDate": {"id": "b", "extension": [{"url": "x:y", "valueBoolean": True}]},
        }
    )
    assert (
        '<birthDate id="b" value="1980"><extension url="x:y"><valueBoolean value="true"/>'
        "</extension></birthDate>"
    ) in written


def test_nulls_hold_the_places_of_values_and_extensions() -> None:
    given = {
        "resourceType": "Patient",
        "name": [
            {"given": ["Ann", None, "Bo"], "_given": [None, {"id": "g"}, {"id": "h"}]},
        ],
    }
    written = xml_of(given)
    assert '<given value="Ann"/><given id="g"/><given id="h" value="Bo"/>' in written
    assert equal(parse_xml(written.encode(), REGISTRY), given)


def test_a_repetition_with_extensions_only_has_no_array_of_nulls() -> None:
    given = '<Patient xmlns="http://hl7.org/fhir"><name><given id="g"/></name></Patient>'
    read = parse_xml(given.encode(), REGISTRY)
    assert read == {"resourceType": "Patient", "name": [{"_given": [{"id": "g"}]}]}


def test_digits_are_kept_both_ways() -> None:
    for digits in ("8.60", "38", "-0", "1.0E+2", "1e-7", "0.00"):
        body = b'{"resourceType":"Observation","valueQuantity":{"value":%s}}' % digits.encode()
        written = dump_xml(parse_json(body), REGISTRY)
        assert f'<value value="{digits}"/>'.encode() in written
        assert dump_json(parse_xml(written, REGISTRY)) == body


def test_line_breaks_and_signs_of_markup_survive_in_strings() -> None:
    text = "a\r\nb\tc  <&>\"'  \u00a0血\U0001f600 ]]> &#10;"
    written = dump_xml({"resourceType": "Basic", "code": {"text": text}}, REGISTRY)
    root = ElementTree.fromstring(written)
    assert root[0][0].attrib["value"] == text
    assert parse_xml(written, REGISTRY)["code"]["text"] == text


@pytest.mark.parametrize("sign", ["\x01", "\x1f", "\ufffe", "\ud800"])
def test_what_xml_can_not_tell_is_a_406_that_names_the_place(sign: str) -> None:
    with pytest.raises(SsciError) as refused:
        xml_of({"resourceType": "Basic", "code": {"text": f"a{sign}"}})
    assert refused.value.http_status == 406
    assert refused.value.issues[0].expression == "Basic.code.text"
    assert sign not in refused.value.issues[0].diagnostics


def test_a_broken_narrative_can_not_leave_its_place() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a</div></text><active value="true"/><text>'
    with pytest.raises(SsciError, match="not well-formed"):
        xml_of({"resourceType": "Patient", "text": {"status": "generated", "div": div}})


def test_an_unknown_element_is_not_dropped_in_silence() -> None:
    with pytest.raises(SsciError, match=r"Patient\.colour"):
        xml_of({"resourceType": "Patient", "colour": "red"})


@pytest.mark.parametrize(
    ("type_name", "ordered"),
    [
        ("Bundle", "id meta type timestamp total link entry signature"),
        ("Bundle.entry", "link fullUrl resource search request response"),
        ("Bundle.entry.request", "method url ifNoneMatch ifModifiedSince ifMatch ifNoneExist"),
        ("OperationOutcome.issue", "severity code details diagnostics location expression"),
        ("Parameters.parameter", "name valueString resource part"),
        ("CapabilityStatement.rest", "mode documentation security resource interaction"),
        ("Observation", "id meta implicitRules language text contained extension status code"),
        ("Quantity", "extension value comparator unit system code"),
        ("Timing.repeat", "boundsRange count countMax duration dayOfWeek timeOfDay when offset"),
    ],
)
def test_the_order_is_the_one_of_the_standards_schema(type_name: str, ordered: str) -> None:
    """https://hl7.org/fhir/R4/fhir-single.xsd"""
    shapes = shapes_of(REGISTRY)
    shapes.resource(type_name.split(".")[0])
    positions = shapes.shape(type_name).positions
    found = [positions[name] for name in ordered.split()]
    assert found == sorted(set(found))


def test_all_types_of_a_choice_stand_at_one_place() -> None:
    positions = shapes_of(REGISTRY).shape("Observation").positions
    assert positions["valueQuantity"] == positions["valuePeriod"] > positions["issued"]


def test_resources_in_resources_are_named_elements_and_come_back() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": "http://x/Patient?_id=a&_count=1"}],
        "entry": [
            {
                "fullUrl": "http://x/Patient/a",
                "resource": {"resourceType": "Patient", "id": "a"},
                "search": {"mode": "match", "score": 1},
            },
            {
                "resource": {
                    "resourceType": "Parameters",
                    "parameter": [
                        {"name": "n", "valueDecimal": 1},
                        {"name": "r", "resource": {"resourceType": "Basic", "id": "b"}},
                    ],
                },
                "response": {"status": "201", "etag": 'W/"1"'},
            },
        ],
    }
    written = xml_of(bundle)
    assert '<resource><Patient><id value="a"/></Patient></resource>' in written
    assert '<etag value="W/&quot;1&quot;"/>' in written
    assert equal(parse_xml(written.encode(), REGISTRY), bundle)


# XML → JSON


def test_a_hand_written_document_is_read_by_the_standards_rules() -> None:
    document = """<?xml version="1.0" encoding="utf-8"?>
        <?xml-stylesheet type="text/xsl" href="x.xsl"?>
        <!-- a comment, which is no content -->
        <f:Patient xmlns:f="http://hl7.org/fhir"
                   xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
                   xsi:schemaLocation="http://hl7.org/fhir ../patient.xsd">
          <f:id value='p'/>
          <f:text>
            <f:status value="generated"/>
            <div xmlns="http://www.w3.org/1999/xhtml"><p>a &amp; b<br/> <!-- kept --></p></div>
          </f:text>
          <f:extension url="x:y"><f:valueInteger value="+5"></f:valueInteger></f:extension>
          <f:active value="true"/>
          <f:deceasedBoolean value="false"/>
          <f:multipleBirthInteger value="2"/>
        </f:Patient>"""
    assert parse_xml(document.encode(), REGISTRY) == {
        "resourceType": "Patient",
        "id": "p",
        "text": {
            "status": "generated",
            "div": '<div xmlns="http://www.w3.org/1999/xhtml">'
            "<p>a &amp; b<br/> <!-- kept --></p></div>",
        },
        "extension": [{"url": "x:y", "valueInteger": 5}],
        "active": True,
        "deceasedBoolean": False,
        "multipleBirthInteger": 2,
    }


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            '<Basic xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml">'
            '<text><h:div title="a>b"><h:p>x</h:p></h:div></text></Basic>',
            '<h:div xmlns:h="http://www.w3.org/1999/xhtml" title="a>b"><h:p>x</h:p></h:div>',
        ),
        (
            '<f:Basic xmlns:f="http://hl7.org/fhir" xmlns="http://www.w3.org/1999/xhtml">'
            "<f:text><div>x</div ></f:text></f:Basic>",
            '<div xmlns="http://www.w3.org/1999/xhtml">x</div >',
        ),
        (
            '<Basic xmlns="http://hl7.org/fhir"><text>'
            '<div xmlns="http://www.w3.org/1999/xhtml"><div>a</div><div/></div></text></Basic>',
            '<div xmlns="http://www.w3.org/1999/xhtml"><div>a</div><div/></div>',
        ),
        (
            '\ufeff<Basic xmlns="http://hl7.org/fhir"><text><status value="血"/>'
            '<div xmlns="http://www.w3.org/1999/xhtml"/></text></Basic>',
            '<div xmlns="http://www.w3.org/1999/xhtml"/>',
        ),
        (
            f'<Basic xmlns="http://hl7.org/fhir" xmlns:{"p" * 300}="http://www.w3.org/1999/xhtml">'
            f"<text><{'p' * 300}:div/></text></Basic>",
            f'<{"p" * 300}:div xmlns:{"p" * 300}="http://www.w3.org/1999/xhtml"/>',
        ),
    ],
    ids=["prefixed", "declared outside", "divs in divs", "empty, behind other letters", "long"],
)
def test_a_narrative_is_taken_as_written_with_the_namespace_it_needs(
    written: str, expected: str
) -> None:
    div = parse_xml(written.encode(), REGISTRY)["text"]["div"]
    assert div == expected
    assert ElementTree.fromstring(div).tag == "{http://www.w3.org/1999/xhtml}div"


def test_line_ends_of_a_narrative_are_read_as_xml_reads_them() -> None:
    """https://www.w3.org/TR/xml/#sec-line-ends"""
    read = observation(
        '<text><div xmlns="http://www.w3.org/1999/xhtml">a\r\nb\rc&#13;</div></text>'
    )
    assert read["text"]["div"].endswith(">a\nb\nc&#13;</div>")


def test_whole_numbers_are_whole_numbers_and_decimals_keep_their_precision() -> None:
    read = observation('<valueQuantity><value value="8.60"/></valueQuantity>')
    assert str(decimal(read["valueQuantity"]["value"])) == "8.60"
    assert observation('<valueInteger value="7"/>')["valueInteger"] == 7


@pytest.mark.parametrize(
    ("inner", "place", "reason"),
    [
        ('<colour value="red"/>', "Observation.colour", "no such element"),
        ('<status value="final" colour="red"/>', "Observation.status", "`colour`"),
        ('<code value="x"/>', "Observation.code", "`value`"),
        ('<status value="final"/><id value="a"/>', "Observation.id", "before `status`"),
        ('<status value="a"/><status value="b"/>', "Observation.status", "only once"),
        (
            '<valueString value="a"/><valueInteger value="1"/><valueString value="b"/>',
            "Observation.valueString",
            "only once",
        ),
        (
            '<note><text value="a"/></note><note xmlns="http://www.w3.org/1999/xhtml">b</note>',
            "Observation.note",
            "wrong namespace",
        ),
        ("<status/>", "Observation.status", "empty"),
        ('<valueBoolean value="True"/>', "Observation.valueBoolean", "true or false"),
        ('<valueInteger value="1.0"/>', "Observation.valueInteger", "whole number"),
        ('<valueInteger value=" 1"/>', "Observation.valueInteger", "whole number"),
        (
            '<component><valueQuantity><value value="NaN"/></valueQuantity></component>',
            "Observation.component[0].valueQuantity.value",
            "must be a number",
        ),
        (
            '<focus/><focus><reference value="a"><x/></reference></focus>',
            "Observation.focus[1].reference.x",
            "no such element",
        ),
        ("<contained/>", "Observation.contained[0]", "one resource"),
        ("<contained><Patient/><Patient/></contained>", "Observation.contained[0]", "one resource"),
        ("<contained><Person1/></contained>", "Observation.contained[0]", "no resource type"),
        ('<div xmlns="http://www.w3.org/1999/xhtml"/>', "Observation.div", "no such element"),
        (
            '<text><status value="x"/><div>x</div></text>',
            None,
            "Text is not allowed",
        ),
        ('<text><div value="x"/></text>', "Observation.text.div", "wrong namespace"),
        (
            '<status xmlns="http://www.w3.org/1999/xhtml" value="final"/>',
            "Observation.status",
            "wrong namespace",
        ),
    ],
)
def test_what_breaks_the_format_is_refused_with_its_place(
    inner: str, place: str | None, reason: str
) -> None:
    expression, diagnostics = refusal_of(inner)
    assert expression == place
    assert reason in diagnostics
    assert "(line 1, column " in diagnostics


def test_the_same_limits_hold_as_for_json() -> None:
    digits = "1" * 1001
    expression, _ = refusal_of(f'<valueQuantity><value value="{digits}.5"/></valueQuantity>')
    assert expression == "Observation.valueQuantity.value"
    assert refusal_of(f'<valueInteger value="{digits}"/>')[0] == "Observation.valueInteger"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "no element found"),
        (b"{}", "(line 1, column 1)"),
        (b"<Observation/>", "namespace"),
        (b'<Observation xmlns="urn:other"/>', "namespace"),
        (b'<div xmlns="http://www.w3.org/1999/xhtml"/>', "namespace"),
        (b'<Unknown xmlns="http://hl7.org/fhir"/>', "no resource type"),
        (b'<Quantity xmlns="http://hl7.org/fhir"/>', "no resource type"),
        (OPENING + b"<status></Observation>", "mismatched tag"),
        (OPENING + b"free text</Observation>", "Text is not allowed"),
        (OPENING + b"</Observation><x/>", "junk after document element"),
        (b"<!DOCTYPE x>" + OPENING + b"</Observation>", "document type"),
        (
            b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + OPENING + b"</Observation>",
            "document type",
        ),
        (OPENING + b'<status value="&e;"/></Observation>', "undefined entity"),
        (OPENING + b'<status value="\xff"/></Observation>', "not well-formed"),
        (OPENING + b'<status value="&#1;"/></Observation>', "invalid character"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?>' + OPENING + b"</Observation>", "UTF-8"),
        ((OPENING + b"</Observation>").decode().encode("utf-16"), "UTF-8"),
        (OPENING + b"<a>" * 100_000, f"more than {MAX_DEPTH} deep"),
        (
            OPENING + b'<text><div xmlns="http://www.w3.org/1999/xhtml">' + b"<p>" * 100_000,
            f"more than {MAX_DEPTH} deep",
        ),
    ],
)
def test_a_document_that_is_no_fhir_is_refused(document: bytes, reason: str) -> None:
    assert reason in refusal(document)[1]


def test_names_that_are_no_names_are_not_repeated() -> None:
    secret = "Zhang-San" * 20
    for inner in (f"<{secret}/>", f'<status value="x" {secret}="1"/>'):
        place, diagnostics = refusal_of(inner)
        assert secret not in f"{place} {diagnostics}"
