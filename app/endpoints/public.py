"""The release profile `public`: what may leave the study's circle.

Dates are shifted by a number of days of each participant's own, subject numbers become pseudonyms,
links to resources go, and small cells are withheld. Figures are computed before, from the dates as
they are: every interval within a participant is kept, so the listing gives the same figures again.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

PROFILES = ("site", "public")
PUBLIC = "public"

WITHHELD = "withheld: fewer than {} participants or events"
NO_DATE = "withheld: a date that is nobody's"

NOTE = (
    "Public release: dates are shifted by a constant number of days per participant, subject "
    "numbers are pseudonyms, cells of 1 to {} are withheld with all that stands in the same cell "
    "group. Cells that could be told from totals by subtraction are not withheld beyond that, and "
    "a listing tells of single participants: its owner decides whether it is released."
)

LONGEST_SHIFT = 364
Answer = dict[str, Any]

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(T.*)?")
_SUBJECT_KEYS = ("USUBJID", "SUBJID", "subject")
_EXACT = frozenset({"ADTM", "TRTSDTM"})
"""Times of day, which a laboratory's own list would recognise, whatever the day."""

_LINKS = frozenset({"resource", "version", "url", "provenance"})
_DAYS = ("month", "target", "low", "high", "tolerance", "day", "elapsed", "gap", "horizon")
_LIMITS = ("minimum", "maximum", "threshold", "limit", "withinDays", "minimumDays")
_OTHERS = ("grade", "level", "confidence", "version", "confirmationDays", "AVISITN")
_NO_COUNTS = frozenset((*_DAYS, *_LIMITS, *_OTHERS))
"""Whole numbers that count nobody."""


@dataclass(frozen=True, slots=True)
class Release:
    """`key` makes shifts and pseudonyms; `small` is the least count that is told."""

    key: bytes = field(repr=False)
    small: int

    def shift_of(self, subject: str) -> timedelta:
        """1 to 364 days back, the same in every release under this key."""
        days = int.from_bytes(self._digest("shift", subject)[:8], "big") % LONGEST_SHIFT
        return -timedelta(days=days + 1)

    def pseudonym_of(self, subject: str) -> str:
        return f"P-{self._digest('pseudonym', subject).hex()[:10]}"

    def _digest(self, use: str, subject: str) -> bytes:
        return hmac.digest(self.key, f"{use}:{subject}".encode(), "sha256")


def publish(answer: Answer, release: Release) -> Answer:
    """An answer as it may be published; what it says of clocks and definition stays."""
    told = {**answer}
    for name in ("figures", "subgroups", "population"):
        if name in told:
            told[name] = _unlisted(told[name])
    for name in ("figures", "subgroups", "population"):
        if name in told:
            told[name] = withhold(_coded(told[name], release, None), release.small)
    for name in ("subjects", "rows"):
        if name in told:
            told[name] = sorted(_coded(told[name], release, None), key=_whose)
    if "page" in told:
        told["page"] = {"after": None, "next": None}
    if "inputs" in told:
        told["inputs"] = {"listed": None, "reason": "withheld from the public release"}
    if "notes" in told:
        told["notes"] = [*told["notes"], NOTE.format(release.small - 1)]
    return told


def _unlisted(node: Any) -> Any:
    """Without the lists of who: they could be counted, and who is told in the listings."""
    if isinstance(node, Mapping):
        return {key: None if key == "subjects" else _unlisted(value) for key, value in node.items()}
    return [_unlisted(each) for each in node] if isinstance(node, list) else node


def _whose(row: Mapping[str, Any]) -> str:
    """Listings stand in the order of pseudonyms: that of the numbers would tell them."""
    return next((str(row[key]) for key in _SUBJECT_KEYS if key in row), "")


def _coded(node: Any, release: Release, subject: str | None) -> Any:
    """With pseudonyms, without links, every date shifted by the days of whose it is."""
    if isinstance(node, Mapping):
        own = next((node[key] for key in _SUBJECT_KEYS if isinstance(node.get(key), str)), subject)
        linked = "resource" in node
        return {
            key: release.pseudonym_of(value)
            if key in _SUBJECT_KEYS and isinstance(value, str)
            else _banded(value)
            if key == "AGE"
            else _coded(value, release, own)
            for key, value in node.items()
            if not (linked and key in _LINKS) and key not in _EXACT
        }
    if isinstance(node, (list, tuple)):
        return [_coded(each, release, subject) for each in node]
    return _shifted(node, release, subject) if isinstance(node, str) else node


def _banded(age: Any) -> Any:
    """Ten years of age, as `30-39`."""
    if not isinstance(age, (int, float)):
        return age
    first = int(age) // 10 * 10
    return f"{first}-{first + 9}"


def _shifted(text: str, release: Release, subject: str | None) -> str:
    found = _DATE.fullmatch(text)
    if found is None:
        return text
    if subject is None:
        return NO_DATE
    day = date.fromisoformat(found[1]) + release.shift_of(subject)
    return f"{day}{found[2] or ''}"


def withhold(node: Any, small: int) -> Any:
    """Figures without small cells: where a group holds one, all its numbers go."""
    if isinstance(node, list):
        return [None if _is_small(each, small) else withhold(each, small) for each in node]
    if not isinstance(node, Mapping):
        return node
    counts = {key: value for key, value in node.items() if key not in _NO_COUNTS}
    if not any(_is_small(value, small) for value in counts.values()):
        return {key: withhold(value, small) for key, value in node.items()}
    whole = any(_is_small(node.get(key), small) for key in ("n", "of", "events", "participants"))
    told = {key: _emptied(key, value, small, whole) for key, value in node.items()}
    return told | {"reasons": {"*": WITHHELD.format(small)}}


def _emptied(key: str, value: Any, small: int, whole: bool) -> Any:
    """A member of a group that holds a small cell; of a small group (`whole`) all below it too."""
    if key in _NO_COUNTS:
        return value
    if isinstance(value, Mapping):
        return _blank(value) if whole else withhold(value, small)
    if isinstance(value, list):
        return [] if whole else withhold(value, small)
    return None if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _blank(node: Mapping[str, Any]) -> Any:
    """The same shape without a number."""
    return {key: _emptied(key, value, 0, True) for key, value in node.items()}


def _is_small(value: Any, small: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < small
