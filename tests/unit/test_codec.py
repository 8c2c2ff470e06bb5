"""JSON in and out. https://hl7.org/fhir/R4/json.html"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Category, SsciError
from app.fhir.codec import (
    MAX_DEPTH,
    LosslessFloat,
    copy_json,
    decimal,
    dump_json,
    equal,
    parse_json,
)


def refused(data: bytes) -> SsciError:
    with pytest.raises(SsciError) as caught:
        parse_json(data)
    assert caught.value.category is Category.INCORRECT
    assert caught.value.http_status == 400
    return caught.value


def status_of(data: bytes) -> int:
    try:
        parse_json(data)
    except SsciError as problem:
        return problem.http_status
    return 200


NUMBERS = ["8.60", "0.0", "-0", "-0.0", "1e3", "1E+3", "12.50E-2", "9223372036854775807", "-7", "0"]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_keeps_its_text(number):
    data = b'{"value":' + number.encode() + b"}"
    assert dump_json(parse_json(data)) == data


def test_minus_zero_is_kept_beside_text_that_looks_like_it():
    data = b'{"a":"2019-01-02","b":[-0,0,-0.5],"c":"x-0,"}'
    assert dump_json(parse_json(data)) == data


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
plain_numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3).filter(
    lambda number: len(number.as_tuple().digits) <= 28 and number.adjusted() < 90
)
numbers = st.one_of(
    plain_numbers.map(lambda number: LosslessFloat(str(number).encode())),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([LosslessFloat(text) for text in (b"1e5", b"1E-05", b"0.50e+1")]),
)
trees = st.recursive(
    st.one_of(st.none(), st.booleans(), names, numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=20,
)


@given(st.dictionaries(names, trees, max_size=5))
def test_compact_json_survives_byte_for_byte(tree):
    written = dump_json(tree)
    read = parse_json(written)
    assert dump_json(read) == written
    assert equal(read, tree)
    assert equal(copy_json(read), read)


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused_with_a_400(data):
    assert status_of(data) in (200, 400)


@given(st.text('{}[]":,.\\u0-9eE+ntfalsr', max_size=40))
def test_anything_like_json_is_parsed_or_refused_with_a_400(text):
    assert status_of(b'{"a":' + text.encode() + b"}") in (200, 400)


def test_a_byte_order_mark_is_tolerated():
    assert parse_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


NOT_JSON = {
    "nothing": b"",
    "a duplicate key": b'{"a":1,"b":{"c":1,"c":2}}',
    "a duplicate key in another spelling": b'{"a":1,"\\u0061":2}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "trailing garbage": b'{"a":1} x',
    "a second object": b'{"a":1}{"a":1}',
    "Latin-1": b'{"a":"\xe9"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a lone surrogate": b'{"a":"\\ud800"}',
    "an encoded surrogate": b'{"a":"\xed\xa0\x80"}',
    "a raw NUL": b'{"a":"x\x00y"}',
    "a number with a leading zero": b'{"a":01}',
    "a number without fraction": b'{"a":1.}',
    "deep nesting": b'{"a":' * 10_000,
    "deep lists": b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "five thousand digits": b'{"a":' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_refused_with_line_and_column(data):
    issue = refused(data).issues[0]
    assert issue.code == "structure"
    assert " at line 1 column " in issue.diagnostics


@pytest.mark.parametrize("data", [b"[]", b"1", b'"text"', b"null"])
def test_a_resource_must_be_an_object(data):
    assert refused(data).issues[0].code == "structure"


UNFIT = {
    "an exponent too high": ("1e1001", "value"),
    "an exponent too low": ("1e-1001", "value"),
    "an exponent beyond all reckoning": ("1e99999999999999999999", "value"),
    "an exponent that fills memory if written out": ("1e999999999", "value"),
    "zero with an absurd exponent": ("0e5000", "value"),
    "1,001 digits": ("0." + "1" * 1001, "value"),
    "1,001 digits with an exponent": ("1." + "2" * 1000 + "e1", "value"),
    "5,000 digits": ("0." + "1" * 5000, "value"),
    "1,001 digits, most of them trailing zeros": ("8." + "0" * 1000, "value"),
    "an integer of 1,001 digits": ("1" * 1001, "value"),
    "a small integer with an exponent too high": ("9e+1000000", "value"),
    "NUL in a string": ('"x\\u0000y"', "value"),
    "NUL in a name": ('{"x\\u0000y":1}', "structure"),
    "nesting beyond the limit": ("[" * MAX_DEPTH + "]" * MAX_DEPTH, "structure"),
}


@pytest.mark.parametrize(("spelled", "code"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_be_held_is_refused_with_its_element(spelled, code):
    data = '{"resourceType":"Observation","component":[{},{"value":' + spelled + "}]}"
    issue = refused(data.encode()).issues[0]
    assert issue.code == code
    assert str(issue.expression).startswith("Observation.component[1].value")


FIT = {
    "1,000 digits": "1." + "2" * 999,
    "leading zeros": "0." + "0" * 30 + "1",
    "the highest exponent": "1e+1000",
    "the lowest exponent": "1e-1000",
    "18 digits with a large exponent": "-1.000000000000000000E+245",
    "an exponent with leading zeros": "1e+000000000000000002",
    "the longest integer of 64 bits": "9223372036854775807",
    "an integer beyond 64 bits": "9223372036854775808",
    "an integer below 64 bits": "-9223372036854775809",
    "an integer of 1,000 digits": "1" * 1000,
    "an integer beyond 64 bits beside minus zero": "[-0,18446744073709551616]",
    "zero with a small exponent": "0e0",
    "an escaped backslash before u0000": '"\\\\u0000"',
    "nesting up to the limit": "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1),
    "many lists side by side": "[" + ",".join(["[]"] * 500) + "]",
}


@pytest.mark.parametrize("spelled", FIT.values(), ids=FIT)
def test_what_can_be_held_passes_unchanged(spelled):
    data = b'{"value":' + spelled.encode() + b"}"
    assert dump_json(parse_json(data)) == data


def test_an_error_does_not_repeat_the_value():
    assert "4711" not in str(refused(b'{"a":"4711\\u0000"}'))
    assert "1.23" not in str(refused(b'{"a":1.23e9999}'))


def test_a_strange_resource_type_is_not_repeated():
    issue = refused(b'{"resourceType":"<script>","a":1e9999}').issues[0]
    assert issue.expression == "Resource.a"


@pytest.mark.parametrize("text", ["8.60", "1e3", "-0.0", "12.50E-2"])
def test_decimal_keeps_the_precision(text):
    value = parse_json(b'{"a":' + text.encode() + b"}")["a"]
    assert decimal(value).as_tuple() == Decimal(text).as_tuple()


def test_decimal_takes_integers_and_decimals():
    assert decimal(5).as_tuple() == Decimal("5").as_tuple()
    assert decimal(Decimal("5.0")).as_tuple() == Decimal("5.0").as_tuple()


@pytest.mark.parametrize("text", ["8.60", "1E+3", "0.000"])
def test_a_decimal_is_written_in_its_plain_text(text):
    assert dump_json({"a": Decimal(text)}) == b'{"a":' + text.encode() + b"}"


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), object()])
def test_what_has_no_json_is_not_written(value):
    with pytest.raises(TypeError):
        dump_json({"a": value})


SAME = [
    (b'{"a":1,"b":2}', b'{"b":2,"a":1}'),
    (b'{"a":[8.60,1e2]}', b'{"a":[8.60,1E+2]}'),
    (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode()),
]
DIFFERENT = [
    (b'{"a":8.60}', b'{"a":8.6}'),
    (b'{"a":1}', b'{"a":true}'),
    (b'{"a":1}', b'{"a":"1"}'),
    (b'{"a":[1,2]}', b'{"a":[2,1]}'),
    (b'{"a":[1,2]}', b'{"a":[1]}'),
    (b'{"a":1}', b'{"a":1,"b":1}'),
    (b'{"a":null}', b"{}"),
    (b'{"a":{}}', b'{"a":[]}'),
    (b'{"a":1}', b'{"a":1.0}'),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_order_and_spelling_are_no_content(one, other):
    assert equal(parse_json(one), parse_json(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_precision_type_and_order_of_lists_are_content(one, other):
    assert not equal(parse_json(one), parse_json(other))
    assert not equal(parse_json(other), parse_json(one))


def test_a_parsed_number_equals_the_decimal_of_the_same_text():
    assert equal(parse_json(b'{"a":8.60}'), {"a": Decimal("8.60")})
    assert not equal(parse_json(b'{"a":8.60}'), {"a": Decimal("8.6")})


def test_a_copy_shares_nothing_that_can_change():
    original = parse_json(b'{"a":{"b":[1.50,{"c":"d"}]}}')
    copied = copy_json(original)
    copied["a"]["b"][1]["c"] = "e"
    copied["a"]["b"].append(1)
    assert dump_json(original) == b'{"a":{"b":[1.50,{"c":"d"}]}}'
