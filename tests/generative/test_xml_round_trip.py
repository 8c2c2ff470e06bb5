"""Whatever resource there is, XML says the same as JSON. https://hl7.org/fhir/R4/xml.html"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import SsciError
from app.fhir.codec import LosslessFloat, dump_json, equal, parse_json
from app.fhir.registry import load_registry
from app.fhir.shapes import RESOURCE, Property
from app.fhir.xml import dump_xml, parse_xml
from app.fhir.xml_shapes import XHTML_TYPE, XmlShape, shapes_of

Json = dict[str, Any]

REGISTRY = load_registry()
SHAPES = shapes_of(REGISTRY)
TYPES = (*REGISTRY.types, "Bundle", "Parameters", "OperationOutcome", "CapabilityStatement")
MAX_DEEP = 5

SIGNS = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufffe\uffff")
TEXT = st.text(st.one_of(SIGNS, st.sampled_from("\t\n\r<>&\"' ")), min_size=1, max_size=12)
WHOLE = st.integers(-(2**63), 2**63 - 1)
FRACTIONS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,9})\.[0-9]{1,9}([eE][+-]?[0-9]{1,2})?", fullmatch=True
)
NUMBERS = st.one_of(WHOLE, FRACTIONS.map(lambda digits: LosslessFloat(digits.encode())))
DIVS = TEXT.filter(str.strip).map(
    lambda text: (
        '<div xmlns="http://www.w3.org/1999/xhtml"><p>'
        + text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "").replace("\r", "&#13;")
        + "x</p><br/></div>"
    )
)
VALUES = {
    "boolean": st.booleans(),
    "decimal": NUMBERS,
    "integer": WHOLE,
    "positiveInt": WHOLE,
    "unsignedInt": WHOLE,
    XHTML_TYPE: DIVS,
}
BESIDE = st.one_of(
    st.builds(lambda text: {"id": text}, TEXT),
    st.builds(lambda url, text: {"extension": [{"url": url, "valueString": text}]}, TEXT, TEXT),
)
"""What may stand beside the value of a primitive."""


@st.composite
def resources(draw: st.DrawFn, deep: int = 0) -> Json:
    name = draw(st.sampled_from(TYPES if deep < 2 else ("Basic",)))
    shape = SHAPES.resource(name)
    assert shape is not None
    return {"resourceType": name} | draw(objects(shape, deep))


@st.composite
def objects(draw: st.DrawFn, shape: XmlShape, deep: int) -> Json:
    """Some of the elements, each type of choice at most once, none of them empty."""
    made: Json = {name: draw(TEXT) for name in shape.attributes if draw(st.booleans())}
    usable = [each for each in shape.properties.values() if deep < MAX_DEEP or each.is_primitive]
    few = st.lists(st.sampled_from(usable), max_size=4, unique_by=lambda each: each.path)
    for each in draw(few) if usable else []:
        made.update(draw(properties(each, deep + 1)))
    return made


@st.composite
def properties(draw: st.DrawFn, each: Property, deep: int) -> Json:
    if each.type == XHTML_TYPE:
        return {each.name: draw(DIVS)}
    if not each.is_primitive:
        of_type = (
            resources(deep) if each.type == RESOURCE else objects(SHAPES.shape(each.type), deep)
        )
        return {
            each.name: draw(st.lists(of_type, min_size=1, max_size=2) if each.repeats else of_type)
        }
    values = VALUES.get(each.type, TEXT)
    pair = st.one_of(
        st.tuples(values, st.none()), st.tuples(values, BESIDE), st.tuples(st.none(), BESIDE)
    )
    pairs = draw(st.lists(pair, min_size=1, max_size=3 if each.repeats else 1))
    columns = zip((each.name, f"_{each.name}"), zip(*pairs, strict=True), strict=True)
    return {
        name: list(column) if each.repeats else column[0]
        for name, column in columns
        if any(item is not None for item in column)
    }


@settings(max_examples=300, deadline=None)
@given(resources(), st.booleans())
def test_json_comes_back_from_xml_as_it_was(resource: Json, pretty: bool) -> None:
    assert equal(parse_json(dump_json(resource)), resource)
    written = dump_xml(resource, REGISTRY, pretty=pretty)
    ElementTree.fromstring(written)
    assert equal(parse_xml(written, REGISTRY), resource)


@settings(max_examples=300, deadline=None)
@given(resources(), st.data())
def test_a_damaged_document_is_refused_or_read_but_never_fails(
    resource: Json, data: st.DataObject
) -> None:
    written = dump_xml(resource, REGISTRY)
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(written))] * 2)))
    damaged = written[:start] + data.draw(st.binary(max_size=3)) + written[end:]
    assert status_of(damaged) in (200, 400)


def status_of(document: bytes) -> int:
    try:
        parse_xml(document, REGISTRY)
    except SsciError as refused:
        return refused.http_status
    return 200
