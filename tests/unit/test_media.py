"""What clients ask for and send: media types, `_format`, `_pretty`.

https://hl7.org/fhir/R4/http.html#mime-type · https://www.rfc-editor.org/rfc/rfc9110#name-accept
"""

from __future__ import annotations

import pytest

from app.errors import SsciError
from app.fhir.codec import parse_json
from app.fhir.media import FORMATS, Rendering, negotiate, parse_body
from app.fhir.registry import load_registry

REGISTRY = load_registry()
BODY = b'{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"u","valueDecimal":8.60}]}'
XML = b'<Basic xmlns="http://hl7.org/fhir"><code><text value="x"/></code></Basic>'


def asked(accept: str | None = None, *parameters: tuple[str, str]) -> Rendering:
    headers = {} if accept is None else {"accept": accept}
    return negotiate(headers, parameters, REGISTRY)


def status_of_refusal(accept: str | None, *parameters: tuple[str, str]) -> tuple[int, str | None]:
    with pytest.raises(SsciError) as refused:
        asked(accept, *parameters)
    return refused.value.http_status, refused.value.issues[0].expression


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        *FORMATS.items(),
        ("Application/FHIR+XML", "xml"),
        ("application/*", "json"),
        ("text/*", "json"),
        ("application/fhir+xml, application/fhir+json", "json"),
        ("application/fhir+xml;q=1.0, application/fhir+json;q=0.9", "xml"),
        ("application/fhir+json;q=0.1,application/xml;q=0.2,*/*;q=0.9", "xml"),
        ("application/fhir+json;q=0, */*", "xml"),
        ("application/*;q=0.3, application/fhir+json;q=0.2", "xml"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "xml"),
        ("application/fhir+json;fhirVersion=4.0", "json"),
        ('application/fhir+xml; fhirVersion="4.0"; charset=utf-8', "xml"),
        ("application/fhir+json;fhirVersion=3.0, application/fhir+xml;fhirVersion=4.0", "xml"),
        ('text/turtle;x="a,b", application/fhir+xml', "xml"),
        ("application/fhir+json;q=2, application/fhir+xml;q=0.1", "xml"),
    ],
)
def test_accept_is_answered_in_what_it_likes_best(accept: str | None, format: str) -> None:
    assert asked(accept).format == format


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "text/turtle, image/*",
        "application/fhir+json;fhirVersion=3.0",
        "*/*;q=0",
        "application/fhir+json;q=0",
        "nonsense",
        ",;=",
        "a" * 5000,
    ],
)
def test_what_is_not_spoken_is_a_406(accept: str) -> None:
    assert status_of_refusal(accept) == (406, "http.Accept")


@pytest.mark.parametrize(
    ("wanted", "format"),
    [
        ("json", "json"),
        ("xml", "xml"),
        ("text/xml", "xml"),
        ("application/fhir+xml", "xml"),
        ("application/fhir xml", "xml"),
        ("application/fhir+xml; fhirVersion=4.0", "xml"),
        ("application/fhir json;fhirVersion=4.0", "json"),
    ],
)
def test_format_overrides_accept(wanted: str, format: str) -> None:
    assert asked("text/html", ("_format", wanted)).format == format


@pytest.mark.parametrize(
    "wanted", ["html", "ttl", "text/html", "application/fhir+xml;fhirVersion=5.0"]
)
def test_an_unknown_format_is_a_406_even_if_accept_would_do(wanted: str) -> None:
    assert status_of_refusal("*/*", ("_format", wanted)) == (406, "http._format")


def test_pretty_is_true_or_false() -> None:
    assert asked(None, ("_pretty", "true")).pretty
    assert not asked(None, ("_pretty", "false")).pretty
    assert not asked(None).pretty
    assert status_of_refusal(None, ("_pretty", "yes")) == (400, "http._pretty")


def test_compact_json_goes_out_untouched() -> None:
    assert asked().render(BODY) is BODY
    assert asked().content_type == b"application/fhir+json;charset=utf-8"


def test_pretty_json_is_indented_and_keeps_its_digits() -> None:
    body = b'{"resourceType":"Basic","x":[8.60,-0,1.0E+2,38]}'
    pretty = asked(None, ("_pretty", "true")).render(body)
    assert pretty.splitlines() == [
        b"{",
        b'  "resourceType": "Basic",',
        b'  "x": [',
        *(b"    8.60,", b"    -0,", b"    1.0E+2,", b"    38"),
        b"  ]",
        b"}",
    ]


def test_xml_is_rendered_from_the_json_text() -> None:
    rendering = asked("application/fhir+xml")
    assert rendering.content_type == b"application/fhir+xml;charset=utf-8"
    assert b'<valueDecimal value="8.60"/>' in rendering.render(BODY)
    pretty = asked("application/fhir+xml", ("_pretty", "true")).render(BODY)
    assert b'\n  <code>\n    <text value="x"/>\n  </code>' in pretty


@pytest.mark.parametrize("format", ["json", "xml"])
def test_no_body_stays_no_body(format: str) -> None:
    assert asked(None, ("_format", format), ("_pretty", "true")).render(b"") == b""


def test_a_bundle_of_the_deepest_resource_can_still_be_rendered() -> None:
    inner = b'{"resourceType":"Basic","extension":[' + b'{"url":"u","extension":[' * 48
    deepest = inner + b'{"url":"v","valueCode":"c"}' + b"]}" * 48 + b"]}"
    parse_json(deepest)
    bundle = b'{"resourceType":"Bundle","entry":[{"resource":' + deepest + b"}]}"
    for format in ("json", "xml"):
        pretty = asked(None, ("_format", format), ("_pretty", "true")).render(bundle)
        assert pretty.count(b"url") == 49


# Bodies


@pytest.mark.parametrize("media_type", FORMATS)
@pytest.mark.parametrize("rest", ["", ";charset=UTF-8", '; charset="utf-8"; fhirVersion=4.0'])
def test_bodies_of_each_media_type_are_read(media_type: str, rest: str) -> None:
    body = XML if FORMATS[media_type] == "xml" else b'{"resourceType":"Basic","code":{"text":"x"}}'
    read = parse_body(media_type.upper() + rest, body, REGISTRY)
    assert read == {"resourceType": "Basic", "code": {"text": "x"}}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/fhir+json;charset=iso-8859-1",
        "application/fhir+xml;fhirVersion=3.0",
        "application/fhir+json, application/fhir+xml",
        "application/*",
    ],
)
def test_bodies_of_other_media_types_are_a_415(content_type: str) -> None:
    with pytest.raises(SsciError) as refused:
        parse_body(content_type, BODY, REGISTRY)
    assert refused.value.http_status == 415


def test_xml_sent_as_json_is_a_400() -> None:
    for content_type, body in (("application/fhir+json", XML), ("application/fhir+xml", BODY)):
        with pytest.raises(SsciError) as refused:
            parse_body(content_type, body, REGISTRY)
        assert refused.value.http_status == 400
