"""Which parts of HL7 messages a site leaves out on purpose, by named rules (`ledger.csv`).

A row is (messages, place, rule); rules are explained by the rows of the message `rule`, whose place
is the rule's name. Fields that no row names stay unexplained, also in segments that are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from app.mappings.formats.hl7v2.places import Place, parse_place

FILE = "ledger.csv"
ANY_MESSAGE = "*"
NAMED = "rule"
NAME = re.compile(r"[a-z][a-z-]{2,39}")
MESSAGE = re.compile(r"[A-Z]{3}(?:\^[A-Z][0-9]{2})?")


@dataclass(frozen=True, slots=True)
class IgnoredPlace:
    """One row: a place of these messages (codes, or code^trigger; `*` any) and the rule."""

    messages: frozenset[str]
    place: Place
    rule: str

    def holds_for(self, code: str, trigger: str) -> bool:
        return bool(self.messages & {ANY_MESSAGE, code, f"{code}^{trigger}"})


@dataclass(frozen=True, eq=False)
class LedgerRules:
    """The rows of a site, and what each rule means."""

    rows: tuple[IgnoredPlace, ...] = ()
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


NO_RULES = LedgerRules()


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A line of the file with its number."""

    line: int
    message: str
    place: str
    rule: str


def build_rules(rows: Iterable[LedgerRow]) -> LedgerRules:
    """Raises ValueError naming line and reason."""
    given = list(rows)
    texts = dict(_read_text(row) for row in given if row.message == NAMED)
    found: list[IgnoredPlace] = []
    for row in given:
        if row.message != NAMED:
            ignored = _read_row(row, texts)
            _check_overlap(row, ignored, found)
            found.append(ignored)
    return LedgerRules(tuple(found), MappingProxyType(texts))


def _read_text(row: LedgerRow) -> tuple[str, str]:
    if not NAME.fullmatch(row.place) or not row.rule:
        raise ValueError(f"line {row.line}: a rule needs a name in small letters and a text")
    return row.place, row.rule


def _read_row(row: LedgerRow, texts: Mapping[str, str]) -> IgnoredPlace:
    messages = frozenset(row.message.split())
    wrong = [each for each in messages if each != ANY_MESSAGE and not MESSAGE.fullmatch(each)]
    if wrong or not messages:
        raise ValueError(f"line {row.line}: message: {row.message!r} is no message code")
    if row.rule not in texts:
        raise ValueError(f"line {row.line}: rule: {row.rule!r} is not explained by a row")
    try:
        return IgnoredPlace(messages, parse_place(row.place), row.rule)
    except ValueError as problem:
        raise ValueError(f"line {row.line}: place: {problem}") from problem


def _check_overlap(row: LedgerRow, ignored: IgnoredPlace, before: Iterable[IgnoredPlace]) -> None:
    for other in before:
        if not _share_messages(ignored.messages, other.messages):
            continue
        if ignored.place.overlaps(other.place):
            raise ValueError(f"line {row.line}: place: {row.place} is named by another row too")


def _share_messages(one: frozenset[str], other: frozenset[str]) -> bool:
    if ANY_MESSAGE in one | other:
        return True
    codes = {each.partition("^")[0] for each in one & other}
    return bool(codes) or any(
        a.partition("^")[0] == b or b.partition("^")[0] == a for a in one for b in other
    )
