"""A raw message with everything masked that may tell who it is about, byte for byte as long.

Nothing is shown because it looks harmless: a format's own file lists the places that are known to
hold no identity, and what such a place may look like; all other characters become asterisks. So
the byte offsets of facts still point at the right place. What a message names its patient by is
masked wherever else it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from app.mappings.dictionary.site import FeedSetting, Site, Words
from app.mappings.forms import shown_control
from app.mappings.parsing.values import ORDINALS, fold, fold_word

MASK = "*"
LINE_ENDS = "\r\n"
MIN_LATIN, MIN_OTHER = 4, 2


@dataclass(frozen=True, slots=True)
class Masked:
    """The bytes as they may be shown, in the charset that they are text of; as many as there
    were. `hidden` counts those that became asterisks."""

    data: bytes = field(repr=False)
    codec: str
    hidden: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: `shown` as it is, or masked but for the characters in `kept`. `naming`: it
    names a person, and is masked wherever it stands."""

    text: str = field(repr=False)
    shown: bool = False
    kept: str = ""
    naming: bool = False


Cut = Callable[[bytes, FeedSetting, Site], tuple[str, list[Piece]] | None]
"""(codec, the message's text in pieces, in order); None for what is nothing of the format."""


def mask(data: bytes, cut: Cut | None, setting: FeedSetting, site: Site) -> Masked:
    """The message masked by a format's rules; without rules, or where they can't be applied, all of
    it but its line ends."""
    found = cut(data, setting, site) if cut is not None else None
    if found is None:
        return _mask_all(data)
    codec, pieces = found
    known = _known_in(pieces)
    try:
        masked = b"".join(_mask_piece(piece, codec, known) for piece in pieces)
        original = "".join(piece.text for piece in pieces).encode(codec)
    except UnicodeEncodeError:
        return _mask_all(data)
    if original != data or len(masked) != len(data):
        return _mask_all(data)
    return Masked(masked, codec, _count_hidden(data, masked))


def _mask_all(data: bytes) -> Masked:
    masked = re.sub(rb"[^\r\n]", MASK.encode(), data)
    return Masked(masked, "ascii", _count_hidden(data, masked))


def _count_hidden(data: bytes, masked: bytes) -> int:
    if data == masked:
        return 0
    return sum(one != two for one, two in zip(data, masked, strict=True))


def _mask_piece(piece: Piece, codec: str, known: Known | None) -> bytes:
    if not piece.shown:
        return hide(piece.text, codec, piece.kept)
    if known is None:
        return piece.text.encode(codec)
    parts, position = [], 0
    for match in known.pattern.finditer(piece.text):
        if known.words is None or match.group().lower() in known.words:
            parts.append(piece.text[position : match.start()].encode(codec))
            parts.append(hide(match.group(), codec))
            position = match.end()
    parts.append(piece.text[position:].encode(codec))
    return b"".join(parts)


def hide(text: str, codec: str, kept: str = "") -> bytes:
    """An asterisk for each byte of each character but those `kept` and line ends."""
    shown = kept + LINE_ENDS
    if text.isascii():
        return re.sub(f"[^{re.escape(shown)}]", MASK, text).encode(codec)
    pieces = (
        each.encode(codec) if each in shown else MASK.encode() * len(each.encode(codec))
        for each in text
    )
    return b"".join(pieces)


WORD = re.compile(r"[^\W_]+")
MAX_NAMING = 300
MAX_SOUGHT = 200


@dataclass(frozen=True, slots=True)
class Known:
    """What is masked wherever it stands: all that matches and, if `words` are given, is one."""

    pattern: re.Pattern[str] = field(repr=False)
    words: frozenset[str] | None = field(default=None, repr=False)


def _known_in(pieces: Iterable[Piece]) -> Known | None:
    """What names a person, long enough to mean something: words of at least four Latin letters or
    digits, or two characters of other scripts. Few (of one patient) are looked for also within
    words, many (of a table) as words."""
    found = {
        word.lower()
        for piece in pieces
        if piece.naming and len(piece.text) <= MAX_NAMING
        for word in WORD.findall(piece.text)
        if len(word) >= (MIN_LATIN if word.isascii() else MIN_OTHER)
    }
    if not found:
        return None
    if len(found) > MAX_SOUGHT:
        return Known(WORD, frozenset(found))
    longest = sorted(found, key=len, reverse=True)
    return Known(re.compile("|".join(map(re.escape, longest)), re.IGNORECASE))


# What a shown place may look like

_DATE = r"(?:19|20)\d\d(?:-?(?:0[1-9]|1[0-2])(?:-?(?:0[1-9]|[12]\d|3[01])"
TIME = re.compile(
    rf"{_DATE}(?:[T ]?\d\d:?(?:\d\d(?::?\d\d(?:\.\d{{1,6}})?)?)?)?)?)?(?:Z|[+-]\d\d:?\d\d)?"
)
NUMBER = re.compile(r"[+-]?\d{1,7}(?:\.\d{1,9})?")
LETTERS = re.compile(r"[A-Za-z0-9+\-<>*↑↓_.^~&]{0,12}")
CONTROL = re.compile(r"[^\r\n]{0,60}")
CODED = re.compile(r"[^\r\n]{0,250}")
HEADING = re.compile(r"[^\r\n]{0,200}")
LONG_NUMBER = re.compile(r"\d{8,}")
AMOUNT = re.compile(
    r"[<>=≤≥＜＞]{0,2}\s*[+-]?\d{1,7}(?:,\d{3})*(?:\.\d{1,9})?"
    r"(?:\s*[-~:/至到]\s*\d{1,7}(?:\.\d{1,9})?)?\s*(?:[↑↓HLN*⬆⬇]{1,2})?"
)

LOOSE_TIME = re.compile(rf"{TIME.pattern}|(?:19|20)\d\d[-/.年][0-9:/年月日时分秒TZ.+\- ]{{3,30}}")
"""Also as spreadsheets and people write it."""

Form = re.Pattern[str]
Forms = Mapping[str, Form]


def fits(text: str, form: Form) -> bool:
    """Whether a text may be shown at a place of this form: nothing else than times and short
    numbers is, so that a telephone or identity card number at a wrong place is not."""
    if form.fullmatch(text) is None:
        return False
    if form is CONTROL:
        return not text or shown_control(text) == text
    return form in EXACT or TIME.fullmatch(text) is not None or LONG_NUMBER.search(text) is None


EXACT = frozenset({TIME, NUMBER, AMOUNT})
COMPARATORS = frozenset({"<", ">", "<=", ">=", "=", "-", "--", "----", "/", ":", '""'})


def is_plain_value(text: str, words: Words) -> bool:
    """A number, a grade, or a word that the site's data knows: no other text of a result is known
    to be safe."""
    folded = fold(text)
    return (
        not folded
        or AMOUNT.fullmatch(folded) is not None
        or folded.upper() in ORDINALS
        or folded in COMPARATORS
        or fold_word(text) in words.absent
    )
