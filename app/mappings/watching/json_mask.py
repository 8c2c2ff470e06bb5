"""Which values of a JSON message are shown: those under keys that are known to name nobody.

Two lists: of the documented results (`formats/json/shape.py`), and of FHIR resources, by the key
and the one above it. All other values, and keys that neither knows, are masked.
https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.watching.masking import (
    CODED,
    HEADING,
    LETTERS,
    LOOSE_TIME,
    NUMBER,
    Cut,
    Form,
    Piece,
    fits,
    is_plain_value,
)

TOKEN = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\.)*+"|[{}\[\]:,]|[^\s{}\[\]:,"]++|\s++', re.DOTALL)
ANY = "*"
VALUE = re.compile("")
"""Stands for: a number, a grade, or a word that the site's data knows."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Keys:
    """(key above, key) → the form that a value there may have, `*` for any key above; the pairs
    that name a person; and the keys themselves that are shown."""

    shown: Mapping[Pair, Form]
    naming: frozenset[Pair]
    known: frozenset[str]

    def form(self, above: str, key: str) -> Form | None:
        return self.shown.get((above, key)) or self.shown.get((ANY, key))


def _pairs(above: str, text: str) -> list[Pair]:
    return [(above, key) for key in text.split()]


def _keys(shown: Mapping[Pair, Form], naming: list[Pair], known: str) -> Keys:
    named = {key for _, key in (*shown, *naming)} | {above for above, _ in (*shown, *naming)}
    return Keys(
        MappingProxyType(dict(shown)), frozenset(naming), frozenset(named | set(known.split()))
    )


RESULTS = _keys(
    {
        **dict.fromkeys(_pairs("panel", "code system display"), CODED),
        **dict.fromkeys(_pairs("codes", "code system display"), CODED),
        **dict.fromkeys(_pairs("identifiers", "type"), LETTERS),
        **dict.fromkeys(_pairs(ANY, "unit reference flags status report_status sub_id"), HEADING),
        **dict.fromkeys(_pairs(ANY, "absent_reason"), HEADING),
        **dict.fromkeys(_pairs(ANY, "collected analysed reported sent"), LOOSE_TIME),
        (ANY, "value"): VALUE,
    },
    [
        ("identifiers", "number"),
        ("patient", "name"),
        ("patient", "birth_date"),
        ("order", "filler"),
        ("order", "placer"),
        ("specimen", "number"),
    ],
    "results patient identifiers authority order specimen panel codes notes",
)
FHIR = _keys(
    {
        **dict.fromkeys(_pairs("coding", "system code display version"), CODED),
        **dict.fromkeys(
            [
                pair
                for above in ("valueQuantity", "dose", "doseQuantity", "low", "high", "quantity")
                for pair in _pairs(above, "value")
            ],
            NUMBER,
        ),
        **dict.fromkeys(
            [
                pair
                for above in ("valueQuantity", "dose", "doseQuantity", "low", "high", "quantity")
                for pair in _pairs(above, "unit code system comparator")
            ],
            HEADING,
        ),
        **dict.fromkeys(_pairs(ANY, "resourceType status intent mode method use gender"), HEADING),
        **dict.fromkeys(_pairs(ANY, "effectiveDateTime issued authoredOn lastUpdated"), LOOSE_TIME),
        **dict.fromkeys(_pairs("period", "start end"), LOOSE_TIME),
        **dict.fromkeys(_pairs("effectivePeriod", "start end"), LOOSE_TIME),
        ("", "type"): HEADING,
        ("", "total"): NUMBER,
        (ANY, "valueString"): VALUE,
    },
    [
        *_pairs("identifier", "value"),
        *_pairs("name", "text family given"),
        *_pairs("telecom", "value"),
        *_pairs("address", "text line"),
        *_pairs("resource", "birthDate id"),
        *_pairs("", "birthDate id"),
        *_pairs("subject", "display"),
        *_pairs("patient", "display"),
    ],
    "entry resource meta category component referenceRange interpretation reference extension text"
    " div note contained link url fullUrl request subject patient encounter performer specimen"
    " bodySite dosage medicationCodeableConcept dataAbsentReason versionId profile security tag",
)


def cut_by(keys: Keys) -> Cut:
    """How JSON is cut by one of the lists."""

    def cut(data: bytes, setting: FeedSetting, site: Site) -> tuple[str, list[Piece]] | None:
        for codec in dict.fromkeys(("utf-8", setting.codec)):
            try:
                text = data.decode(codec)
            except UnicodeDecodeError:
                continue
            found = _cut(text, keys, lambda each: is_plain_value(each, site.words))
            return (codec, found) if found is not None else None
        return None

    return cut


@dataclass(slots=True)
class _Level:
    """An object or a list that is open: the key above, and the key read last; a list has those that
    it stands under itself."""

    is_object: bool
    above: str
    key: str = ""
    expects_key: bool = field(default=False)


def _cut(text: str, keys: Keys, is_plain: Callable[[str], bool]) -> list[Piece] | None:
    """None for what is no JSON."""
    pieces: list[Piece] = []
    shown: list[str] = []
    levels: list[_Level] = []
    position = 0
    for match in TOKEN.finditer(text):
        if match.start() != position:
            return None
        position, token = match.end(), match.group()
        if token in "{}[]:,":
            if not _follow(token, levels):
                return None
            shown.append(token)
        elif token.isspace():
            shown.append(token)
        elif not levels:
            return None
        else:
            piece = _piece(token, levels[-1], keys, is_plain)
            if piece is None:
                shown.append(token)
            else:
                pieces += [Piece("".join(shown), shown=True), piece]
                shown = []
    pieces.append(Piece("".join(shown), shown=True))
    return pieces if position == len(text) and not levels else None


def _follow(token: str, levels: list[_Level]) -> bool:
    """Opens and closes; False where that does not fit."""
    if token in "{[":
        above, key = (levels[-1].above, levels[-1].key) if levels else ("", "")
        levels.append(
            _Level(True, key, expects_key=True) if token == "{" else _Level(False, above, key)
        )
    elif token in "}]":
        return bool(levels) and levels.pop().is_object == (token == "}")
    elif not levels:
        return False
    elif token == ",":
        levels[-1].expects_key = levels[-1].is_object
    else:
        levels[-1].expects_key = False
    return True


def _piece(token: str, level: _Level, keys: Keys, is_plain: Callable[[str], bool]) -> Piece | None:
    """A key or value that is masked; None for one that is shown. One with escapes is masked,
    because what it says can't be seen."""
    content = token[1:-1] if token.startswith('"') else token
    if level.expects_key:
        level.key = content
        return None if content in keys.known else Piece(token, kept='"')
    if content in ("true", "false", "null", ""):
        return None
    form = keys.form(level.above, level.key)
    if form is None or "\\" in content:
        return Piece(token, kept='"', naming=(level.above, level.key) in keys.naming)
    if is_plain(content) if form is VALUE else fits(content, form):
        return None
    return Piece(token, kept='"')


cut_results = cut_by(RESULTS)
cut_fhir = cut_by(FHIR)
