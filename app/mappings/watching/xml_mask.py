"""Which parts of a V3-style XML message are shown: elements and attributes that are known to name
nobody, and values that are numbers, codes or words of the site's data.

All text, comments and instructions are masked, and every element and attribute that is not listed.
https://www.w3.org/TR/xml/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from app.mappings.dictionary.site import FeedSetting, Site, Words
from app.mappings.formats.v3xml.elements import Malformed, parse_elements
from app.mappings.watching.masking import (
    CODED,
    HEADING,
    LETTERS,
    LOOSE_TIME,
    Form,
    Piece,
    fits,
    is_plain_value,
)

NAME = r"[^\s<>/\"'=]++"
ATTRIBUTE = re.compile(rf"(\s++)({NAME})(\s*+=\s*+)(\"[^\"<]*+\"|'[^'<]*+')")
TAG = re.compile(rf"<(/?)({NAME})((?:{ATTRIBUTE.pattern})*+)(\s*+/?>)")
OTHER = re.compile(r"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>|[^<]++|<", re.DOTALL)
DECLARATION = re.compile(
    r"<\?xml version=[\"']1\.[01][\"'](?: encoding=[\"'][A-Za-z0-9-]{1,20}[\"'])?\s*\?>"
)
INTERACTION = re.compile(r"[A-Z]{4}_[A-Z]{2}\d{6}[A-Z]{2}\d{0,2}")
OID = re.compile(r"[0-2](?:\.\d{1,7}){1,20}")
ADDRESS = re.compile(r"(?:urn:|https?://)[!-~]{1,100}")
VALUE = re.compile("")
"""Stands for: a number, a grade, or a word that the site's data knows."""

PREFIXES = frozenset(
    {"", "soap", "soapenv", "env", "v3", "hl7", "cda", "xsi", "xs", "xsd", "xmlns"}
)
ELEMENT_NAMES = """
Envelope Header Body clinicalDocument ClinicalDocument id item part code translation name value
low high text title statusCode effectiveTime creationTime interactionId processingCode
processingModeCode acceptAckCode receiver sender device controlActProcess subject registration
observationReport observationRequest observation organizer act section component component1
component2 structuredBody entry entryRelationship sourceOf recordTarget patientRole patient
patientPerson birthTime administrativeGenderCode specimen specimenRole specimenNatural
specimenPlayingEntity order inFulfillmentOf interpretationCode referenceRange observationRange
interpretationRange result author assignedAuthor assignedPerson assignedEntity
representedOrganization custodian participant performer methodCode targetSiteCode addr telecom
given family versionCode versionNumber confidentialityCode languageCode realmCode typeId
templateId
"""
ELEMENTS = frozenset(ELEMENT_NAMES.split())
CODES = "code interpretationCode statusCode translation methodCode administrativeGenderCode"
_ANY: Mapping[str, Form] = MappingProxyType(
    {
        **dict.fromkeys(("classCode", "moodCode", "typeCode", "determinerCode"), LETTERS),
        **dict.fromkeys(("nullFlavor", "ITSVersion", "inclusive", "type"), LETTERS),
        **dict.fromkeys(("root", "codeSystem"), OID),
    }
)
SHOWN: Mapping[tuple[str, str], Form] = MappingProxyType(
    {
        **{(each, "code"): CODED for each in (*CODES.split(), "value", "processingCode")},
        **{(each, "codeSystemName"): HEADING for each in (*CODES.split(), "value")},
        **{(each, "displayName"): CODED for each in ("code", "translation", "interpretationCode")},
        ("value", "displayName"): VALUE,
        **{(each, "value"): VALUE for each in ("value", "low", "high")},
        **{(each, "unit"): HEADING for each in ("value", "low", "high")},
        **{(each, "value"): LOOSE_TIME for each in ("effectiveTime", "creationTime")},
        ("interactionId", "extension"): INTERACTION,
    }
)
"""(element, attribute) → the form that its value may have."""
NAMING = frozenset(
    {("id", "extension"), ("item", "extension"), ("birthTime", "value"), ("part", "value")}
    | {("telecom", "value")}
)
NAMING_TEXT = frozenset({"name", "given", "family", "addr", "telecom", "part"})
MEASURED = frozenset({"value", "result"})


def cut_xml(data: bytes, setting: FeedSetting, site: Site) -> tuple[str, list[Piece]] | None:
    """A message in pieces; None for what is not read as XML."""
    if isinstance(parse_elements(data), Malformed):
        return None
    try:
        return "utf-8", list(_pieces(data.decode("utf-8"), site.words))
    except UnicodeDecodeError:
        return None


def _pieces(text: str, words: Words) -> Iterator[Piece]:
    around: list[str] = []
    position = 0
    while position < len(text):
        tag = TAG.match(text, position)
        if tag is not None:
            yield from _tag(tag, around, words)
            position = tag.end()
        elif other := OTHER.match(text, position):
            yield _other(other.group(), around[-1] if around else "", words)
            position = other.end()


def _other(text: str, inside: str, words: Words) -> Piece:
    """Text, or a comment or an instruction."""
    plain = text.strip()
    if not plain or DECLARATION.fullmatch(plain):
        return Piece(text, shown=True)
    shown = inside in MEASURED and "&" not in text and is_plain_value(plain, words)
    return Piece(text, shown=shown, naming=inside in NAMING_TEXT)


def _tag(tag: re.Match[str], around: list[str], words: Words) -> Iterator[Piece]:
    closing, name, attributes = tag[1], tag[2], tag[3]
    yield Piece(f"<{closing}", shown=True)
    element = name.rpartition(":")[2]
    yield _named(name, element in ELEMENTS or INTERACTION.fullmatch(element) is not None)
    inside = around[-1] if around else ""
    for match in ATTRIBUTE.finditer(attributes):
        yield from _attribute(match, element, inside, words)
    yield Piece(tag[8], shown=True)
    if closing and around:
        around.pop()
    elif not closing and not tag[8].strip().startswith("/"):
        around.append(element)


def _named(name: str, is_known: bool) -> Piece:
    return Piece(name, shown=is_known and name.rpartition(":")[0] in PREFIXES)


def _attribute(match: re.Match[str], element: str, inside: str, words: Words) -> Iterator[Piece]:
    space, name, equals, quoted = match.groups()
    local = name.rpartition(":")[2]
    is_namespace = name == "xmlns" or name.startswith("xmlns:")
    form = ADDRESS if is_namespace else _form(element, local, inside)
    known = form is not None and (not is_namespace or name == "xmlns" or local in PREFIXES)
    yield Piece(space, shown=True)
    yield Piece(name, shown=known or (local == "extension"))
    yield Piece(f"{equals}{quoted[0]}", shown=True)
    yield _value(quoted[1:-1], form, words, naming=(element, local) in NAMING)
    yield Piece(quoted[-1], shown=True)


def _form(element: str, attribute: str, inside: str) -> Form | None:
    if attribute == "value" and inside == "effectiveTime":
        return LOOSE_TIME
    return SHOWN.get((element, attribute)) or _ANY.get(attribute)


def _value(content: str, form: Form | None, words: Words, *, naming: bool) -> Piece:
    if not content or form is None or "&" in content:
        return Piece(content, shown=not content, naming=naming)
    shown = is_plain_value(content, words) if form is VALUE else fits(content, form)
    return Piece(content, shown=shown, naming=naming and not shown)
