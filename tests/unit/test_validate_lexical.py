"""Forms of primitive values, by type. https://hl7.org/fhir/R4/datatypes.html#primitive"""

from __future__ import annotations

import pytest

from app.fhir.codec import parse_json
from app.fhir.lexical import LEXICAL

# type | legal, in JSON | illegal, in JSON
PRIMITIVES = {
    "boolean": ("true false", '"true" 1 0 null'),
    "integer": ("0 1 -1 2147483647 -2147483648", '2147483648 -2147483649 1.0 1e2 -0 "1" true'),
    "unsignedInt": ("0 2147483647", "-1 2147483648 1.5"),
    "positiveInt": ("1 2147483647", "0 -1 1.0"),
    "decimal": ("0 -0 1 1.50 1E-3 -3.2e+4 12345678901234567890.5", '"1" true null'),
    "string": (r'"x" " " "甲" "\t\n"', '"" 1 null'),
    "markdown": (r'"x" "*a*\n"', '"" 1'),
    "code": (r'"a" "a b" "10*9/L"', r'"" " a" "a " "a  b" "a\tb" "a\n" 1'),
    "id": (
        f'"a" "A-1.b" "{"x" * 64}"',
        f'"" "a_b" "a/b" "a b" "甲" "a\\n" "{"x" * 65}"',
    ),
    "uri": ('"urn:oid:1.2" "http://x.example/a?b#c" "relative" "#x"', r'"" "a b" "a\n" 1'),
    "url": ('"https://x.example" "mailto:a@b.example"', '"a b" ""'),
    "canonical": ('"http://x.example/a|1.0#b"', '"a b" ""'),
    "oid": ('"urn:oid:1.2.3" "urn:oid:2.16.840.1"', '"1.2.3" "urn:oid:3.1" "urn:oid:1.02"'),
    "uuid": (
        '"urn:uuid:c757873d-ec9a-4326-a141-556f43239520" '
        '"urn:uuid:c757873d-ec9a-1326-a141-556f43239520"',
        '"c757873d-ec9a-4326-a141-556f43239520" '
        '"urn:uuid:C757873D-EC9A-4326-A141-556F43239520" "urn:uuid:1"',
    ),
    "date": (
        '"2019" "2019-02" "2019-02-28" "2020-02-29" "0001-01-01" "9999-12-31"',
        '"2019-02-29" "2019-04-31" "2019-13" "0000" "19" "2019-1-1" "2019-02-28T00:00:00Z" '
        '"2019/02/28" "1900-02-29" 2019',
    ),
    "dateTime": (
        '"2019" "2019-02" "2019-02-28" "2019-02-28T23:59:60Z" "2019-02-28T08:00:00+08:00" '
        '"2019-02-28T08:00:00.123456789-12:00" "2019-02-28T08:00:00+14:00"',
        '"2019-02-29T08:00:00Z" "2019-02-28T08:00:00" "2019-02-28T08:00Z" "2019-02-28T24:00:00Z" '
        '"2019-02-28T08:00:00+15:00" "2019-02-28T08:60:00Z" "2019-02-28 08:00:00Z" '
        '"2019-02-28T08:00:00.Z" "2019-02-28T08:00:00z" "２019"',
    ),
    "instant": (
        '"2019-02-28T08:00:00Z" "2019-02-28T08:00:00.1+08:00" "2016-12-31T23:59:60Z"',
        '"2019-02-28" "2019-02-28T08:00:00" "2019-02-30T08:00:00Z" "2019"',
    ),
    "time": ('"08:00:00" "23:59:60" "08:00:00.5"', '"8:00:00" "08:00" "24:00:00" "08:00:00Z"'),
    "base64Binary": (
        r'"aGVsbG8=" "aGVs\r\nbG8=" " aGVsbG8= "',
        r'"" "a" "aGVsbG8" "a===" "aGVs!" " " "甲" "aGVsbG8=aGVs" "____"',
    ),
}


def cases(side: int) -> list[tuple[str, str]]:
    return [(kind, text) for kind, texts in PRIMITIVES.items() for text in _split(texts[side])]


def _split(text: str) -> list[str]:
    """At spaces that are not inside a JSON string."""
    parts, in_string, start = [], False, 0
    for position, character in enumerate(text):
        if character == '"':
            in_string = not in_string
        elif character == " " and not in_string:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def read(text: str) -> object:
    return parse_json(b'{"x":%b}' % text.encode())["x"]


@pytest.mark.parametrize(("kind", "text"), cases(0))
def test_a_legal_value_is_accepted(kind, text):
    assert LEXICAL[kind](read(text)) is None


@pytest.mark.parametrize(("kind", "text"), cases(1))
def test_an_illegal_value_is_refused(kind, text):
    fault = LEXICAL[kind](read(text))
    assert fault is not None
    assert fault.sentence


def test_a_string_has_at_most_a_mebi_of_characters():
    assert LEXICAL["string"]("甲" * 2**20) is None
    fault = LEXICAL["markdown"]("甲" * (2**20 + 1))
    assert fault is not None
    assert fault.code == "too-long"


@pytest.mark.parametrize("kind", LEXICAL)
@pytest.mark.parametrize("value", [None, [], {}, [1], {"a": 1}])
def test_another_kind_of_json_is_malformed(kind, value):
    fault = LEXICAL[kind](value)
    assert fault is not None
    assert fault.malformed


# Narrative. https://hl7.org/fhir/R4/narrative.html

XMLNS = 'xmlns="http://www.w3.org/1999/xhtml"'


@pytest.mark.parametrize(
    "inner",
    [
        "plain",
        "a &amp; b &#160; c",
        '<table class="x"><tr><td colspan="2" style="color: red">1</td></tr></table>',
        '<a href="https://x.example" title="t">x</a>',
        '<img src="#i" alt="a"/>',
        "<!-- a comment --><p>x</p>",
        '<p xml:lang="zh">甲</p>',
    ],
)
def test_formatting_is_a_legal_narrative(inner):
    assert LEXICAL["xhtml"](f"<div {XMLNS}>{inner}</div>") is None


@pytest.mark.parametrize(
    ("div", "words"),
    [
        ("plain", "not well-formed"),
        (f"<div {XMLNS}>a & b</div>", "not well-formed"),
        (f"<div {XMLNS}>a&nbsp;b</div>", "not well-formed"),
        (f"<div {XMLNS}><p>x</div>", "not well-formed"),
        (f"<div {XMLNS}>x</div><div {XMLNS}>y</div>", "not well-formed"),
        ("<div>x</div>", "xmlns"),
        (f"<p {XMLNS}>x</p>", "must be one <div"),
        (f"<div {XMLNS}><script>x</script></div>", "txt-1"),
        (f"<div {XMLNS}><form>x</form></div>", "txt-1"),
        (f"<div {XMLNS}><object/>x</div>", "txt-1"),
        (f'<div {XMLNS}><p xmlns="x:y">x</p></div>', "txt-1"),
        (f'<div {XMLNS} onclick="x()">x</div>', "txt-1"),
        (f'<div {XMLNS}><a href=" javascript:x()">x</a></div>', "txt-1"),
        (f'<div {XMLNS}><a href="java&#10;script:x()">x</a></div>', "txt-1"),
        (f"<div {XMLNS}> <p/> </div>", "txt-2"),
        (f'<!DOCTYPE x [<!ENTITY a "b">]><div {XMLNS}>&a;</div>', "document type"),
        ("", "empty"),
    ],
)
def test_anything_else_is_no_legal_narrative(div, words):
    fault = LEXICAL["xhtml"](div)
    assert fault is not None
    assert words in fault.sentence
