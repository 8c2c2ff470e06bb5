"""What may be shown of a header, a code or a key as it was sent. Something else in its place – a
name, a citizen's number, because the columns of a table were shifted – is not shown. Of a key or a
column that we do not know only our own word is told that it nearly is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_LONG_NUMBER = re.compile(r"\d{8}")
_TYPE = re.compile(
    r"[A-Z][A-Z0-9]{2}\^?(?:(?<=\^)[A-Z]\d{2})?"  # HL7 v2
    r"|[A-Z]{4}_[A-Z]{2}\d{6}[A-Z]{2}\d{0,2}|[Cc]linicalDocument"  # V3
)
_CHARSET = re.compile(r"[\x20-\x7e]{1,100}")
_CODE = re.compile(r"[A-Za-z0-9][\x21-\x7e]{0,63}")
_SYSTEM = re.compile(r"[\x21-\x7e]{1,200}")
_WORD = re.compile(r"[\x21-\x7e]{1,20}")
_CONTROL = re.compile(r"[A-Za-z0-9._:/+\-]{1,60}", re.ASCII)
_APPLICATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._^&\-]{0,99}", re.ASCII)
_MOMENT = re.compile(
    r"(?<!\d)20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d"
    r"\d{0,6}(?!\d)"
)
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}\Z")
NEAR = ((4, 1), (7, 2))
"""(letters of our word, at least; edits that a word may be away from it)."""

MAX_NEAR = 3
"""As many unknown words as are compared with ours."""


def shown_type(text: str) -> str:
    """A message type, as `ORU^R01` or `POOR_IN200901UV`; '' for what is not of that form."""
    return _shown(_TYPE, text)


def shown_charset(text: str) -> str:
    return _shown(_CHARSET, text)


def shown_code(text: str) -> str:
    """A code that no dictionary knows."""
    return _shown(_CODE, text)


def shown_system(text: str) -> str:
    return _shown(_SYSTEM, text)


def shown_word(text: str) -> str:
    """A short header field, as MSH-11 or MSH-12."""
    return _shown(_WORD, text)


def shown_control(text: str) -> str:
    """A control id (MSH-10): a counter of up to seven digits, also with letters and signs around
    it, a moment to the second, a UUID. Analysers count; what else is there may be a person's
    number, and a word without a digit a name."""
    parts = _UUID.sub("0", _MOMENT.sub("0", text))
    known = _CONTROL.fullmatch(text) and any(each.isdigit() for each in text)
    return text if known and not _LONG_NUMBER.search(parts) else ""


def shown_application(text: str) -> str:
    """What names a system or a place, as MSH-3 to MSH-6."""
    return _shown(_APPLICATION, text)


def _shown(form: re.Pattern[str], text: str) -> str:
    return text if form.fullmatch(text) and not _LONG_NUMBER.search(text) else ""


def tell_unknown(names: Iterable[str], ours: Collection[str], what: str = "key") -> str:
    """`2 unknown keys (near grade)`: how many, and the words of ours that they nearly are."""
    sent = list(names)
    near = dict.fromkeys(filter(None, (near_word(each, ours) for each in sent[:MAX_NEAR])))
    count = f"{len(sent)} unknown {what}{'' if len(sent) == 1 else 's'}"
    return f"{count} (near {', '.join(near)})" if near else count


def near_word(text: str, ours: Collection[str]) -> str:
    """The word of ours that a text misspells by a letter, or two of a long one; '' without one."""
    folded = text.strip().lower()
    for word in ours:
        edits = max((most for least, most in NEAR if len(word) >= least), default=0)
        if edits and _is_within(folded, word.lower(), edits):
            return word
    return ""


def _is_within(one: str, other: str, edits: int) -> bool:
    """Whether the Levenshtein distance of two words is at most `edits`."""
    if abs(len(one) - len(other)) > edits:
        return False
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        above, row = row, [number]
        for place, wanted in enumerate(other, start=1):
            row.append(min(above[place] + 1, row[-1] + 1, above[place - 1] + (letter != wanted)))
        if min(row) > edits:
            return False
    return row[-1] <= edits
