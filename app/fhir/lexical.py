"""What a primitive value may look like, by type: a table of checks that give a fault or None.

The standard's own patterns, and what it says in words: days exist, base64 decodes, codes have
single spaces. No fault repeats the value: it may be a participant's.
https://hl7.org/fhir/R4/datatypes.html#primitive · https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import binascii
import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from app.fhir.codec import is_number
from app.fhir.narrative import find_trouble

MAX_STRING = 1024 * 1024
"""Characters in a string or markdown. https://hl7.org/fhir/R4/datatypes.html#string"""

MAX_INTEGER = 2**31 - 1
MIN_INTEGER = -(2**31)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one element: a FHIR issue type and a sentence without values.

    `malformed`: it is not even the kind of JSON that the element has.
    """

    code: str
    sentence: str
    malformed: bool = False


Lexical = Callable[[Any], Fault | None]

EMPTY = Fault("structure", "The value is empty: leave the element out instead (ele-1)")

_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}


def wrong_kind(expected: str, value: Any) -> Fault:
    """`value` is another kind of JSON than the element has."""
    given = "null" if value is None else _KINDS.get(type(value), "a number")
    return Fault("structure", f"The element must be {expected}, not {given}", malformed=True)


def check_boolean(value: Any) -> Fault | None:
    if value is True or value is False:
        return None
    return wrong_kind("true or false", value)


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CONTROLS = Fault("value", "Of control characters a string may have tab, CR and LF only")


def check_string(value: Any) -> Fault | None:
    if type(value) is not str:
        return wrong_kind("a string", value)
    if not value:
        return EMPTY
    if len(value) > MAX_STRING:
        return Fault("too-long", f"A string has at most {MAX_STRING} characters")
    return None if value.isprintable() or not _CONTROL.search(value) else _CONTROLS


def check_decimal(value: Any) -> Fault | None:
    return None if is_number(value) else wrong_kind("a number", value)


def check_base64(value: Any) -> Fault | None:
    if type(value) is not str:
        return wrong_kind("a string", value)
    if not value:
        return EMPTY
    if not value.isascii():
        return _NOT_BASE64
    try:
        decoded = binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except binascii.Error:
        return _NOT_BASE64
    return None if decoded else _NOT_BASE64


_NOT_BASE64 = Fault("value", "The value must be base64 (RFC 4648) of at least one byte")


def check_xhtml(value: Any) -> Fault | None:
    if type(value) is not str:
        return wrong_kind("a string", value)
    if not value:
        return EMPTY
    trouble = find_trouble(value)
    return Fault("invalid", trouble) if trouble else None


def _whole_number(lowest: int, sentence: str) -> Lexical:
    fault = Fault("value", sentence)

    def check(value: Any) -> Fault | None:
        if type(value) is int:
            return None if lowest <= value <= MAX_INTEGER else fault
        return fault if is_number(value) else wrong_kind("a whole number", value)

    return check


def _text(pattern: str, sentence: str) -> Lexical:
    matches = re.compile(pattern, re.ASCII).fullmatch  # white space as XML Schema has it
    fault = Fault("value", sentence)

    def check(value: Any) -> Fault | None:
        if type(value) is not str:
            return wrong_kind("a string", value)
        if matches(value):
            return None
        return fault if value else EMPTY

    return check


def _calendar(pattern: str, sentence: str) -> Lexical:
    """As `_text`, and the day, where there is one, is in the calendar."""
    check_text = _text(pattern, sentence)

    def check(value: Any) -> Fault | None:
        return check_text(value) or (None if _day_exists(value) else _NO_SUCH_DAY)

    return check


_NO_SUCH_DAY = Fault("value", "There is no such day in the calendar")


def _day_exists(text: str) -> bool:
    day = text[8:10]
    return day <= "28" or int(day) <= monthrange(int(text[:4]), int(text[5:7]))[1]


_YEAR = r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_MONTH = r"(0[1-9]|1[0-2])"
_DAY = r"(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

check_uri = _text(r"\S+", "A URI has no spaces")

LEXICAL: Mapping[str, Lexical] = MappingProxyType(
    {
        "boolean": check_boolean,
        "integer": _whole_number(
            MIN_INTEGER, f"An integer is written without fraction, {MIN_INTEGER} to {MAX_INTEGER}"
        ),
        "unsignedInt": _whole_number(
            0, f"An unsignedInt is written without fraction, 0 to {MAX_INTEGER}"
        ),
        "positiveInt": _whole_number(
            1, f"A positiveInt is written without fraction, 1 to {MAX_INTEGER}"
        ),
        "decimal": check_decimal,
        "string": check_string,
        "markdown": check_string,
        "code": _text(
            r"\S+( \S+)*", "A code has no spaces around it and only single spaces inside"
        ),
        "id": _text(r"[A-Za-z0-9\-.]{1,64}", "An id is 1 to 64 letters, digits, `-` and `.`"),
        "uri": check_uri,
        "url": check_uri,
        "canonical": check_uri,
        "oid": _text(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+", "An oid is written `urn:oid:1.2.3`"),
        "uuid": _text(rf"urn:uuid:{_UUID}", "A uuid is written `urn:uuid:` and lower-case digits"),
        "date": _calendar(
            rf"{_YEAR}(-{_MONTH}(-{_DAY})?)?", "A date is written YYYY, YYYY-MM or YYYY-MM-DD"
        ),
        "dateTime": _calendar(
            rf"{_YEAR}(-{_MONTH}(-{_DAY}(T{_TIME}{_ZONE})?)?)?",
            "A dateTime is written YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss[.fff] with Z"
            " or ±hh:mm",
        ),
        "instant": _calendar(
            rf"{_YEAR}-{_MONTH}-{_DAY}T{_TIME}{_ZONE}",
            "An instant is written YYYY-MM-DDThh:mm:ss[.fff] with Z or ±hh:mm",
        ),
        "time": _text(_TIME, "A time is written hh:mm:ss[.fff], without a zone"),
        "base64Binary": check_base64,
        "xhtml": check_xhtml,
    }
)

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = _text(
    rf'{_TOKEN}/{_TOKEN}( ?; ?{_TOKEN}=({_TOKEN}|"[ !#-\[\]-~]*"))*',
    "A media type is written `type/subtype`, with parameters after `;` (RFC 2045, BCP 13)",
)
_LANGUAGE = _text(
    r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", "A language is written as a tag of BCP 47: `zh-CN`"
)

SYNTAXES: Mapping[str, Lexical] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("Attachment.contentType", "Binary.contentType", "Subscription.channel.payload"),
                *("Signature.sigFormat", "Signature.targetFormat"),
            ),
            _MEDIA_TYPE,
        ),
        "Money.currency": _text(r"[A-Z]{3}", "A currency is a code of ISO 4217: `CNY`"),
    }
)
"""By path: codes bound to a standard that is not listed here, but has a form.
https://hl7.org/fhir/R4/valueset-mimetypes.html · https://hl7.org/fhir/R4/valueset-currencies.html
"""


_PROGRAMMED = frozenset({"Expression.language"})
"""The language of a computer, not of people: `text/cql`."""


def check_of(path: str, type_name: str) -> Lexical:
    """What a primitive at `path` must look like: as its type, and in the form of its standard."""
    by_type = LEXICAL[type_name]
    is_language = type_name == "code" and path.endswith(".language") and path not in _PROGRAMMED
    form = _LANGUAGE if is_language else SYNTAXES.get(path)
    return by_type if form is None else lambda value: by_type(value) or form(value)
