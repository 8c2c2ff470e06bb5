"""Which parts of HL7 messages and FHIR resources a site leaves out on purpose, by named rules
(`ledger.csv`).

A row is (messages, place, rule); rules are explained by the rows of the message `rule`, whose place
is the rule's name. Fields that no row names stay unexplained, also in segments that are read. A row
of the message `fhir` names an element and all below it: `Observation.method`; `*.text` of every
resource; `**.extension` wherever a path ends with it or goes through it. A row of the message `v3`
names an element of V3 XML and all below it, or an attribute (`@classCode`), in up to two others:
`ClinicalDocument/code`, `value/@codeSystem`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.mappings.formats.hl7v2.places import Place, parse_place

FILE = "ledger.csv"
ANY_MESSAGE = "*"
NAMED = "rule"
FHIR = "fhir"
ANYWHERE = "**"
NAME = re.compile(r"[a-z][a-z-]{2,39}")
MESSAGE = re.compile(r"[A-Z]{3}(?:\^[A-Z][0-9]{2})?")
V3 = "v3"
MAX_STEPS = 3
MARK = re.compile(r"(?:[A-Za-z][A-Za-z0-9_]*/){0,2}(?:[A-Za-z][A-Za-z0-9_]*|@[A-Za-z]+|#)")
ELEMENT = re.compile(r"(?:[A-Z][A-Za-z]+|\*\*?)(?:\._?[a-z][A-Za-z0-9]*)+")


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
    """The rows of a site, and what each rule means; `elements`: the rules of FHIR elements,
    `marks`: of elements and attributes of V3 XML."""

    rows: tuple[IgnoredPlace, ...] = ()
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    elements: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    marks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def rule_of_v3(self, steps: Sequence[str]) -> str:
        """The rule of a leaf of V3 XML by the row that names it or what it stands in, from the
        inside outwards, longer ones first. '' where there is none."""
        names = (
            "/".join(steps[max(last - length, 0) : last])
            for last in range(len(steps), 0, -1)
            for length in range(MAX_STEPS, 0, -1)
        )
        return next((self.marks[name] for name in names if name in self.marks), "")

    def rule_of_element(self, kind: str, path: str) -> str:
        """The rule of an element by the longest row that names it or what it stands in: of its
        type, then of every type, then by the parts of its path. '' where there is none."""
        steps = path.split(".")
        heads = [".".join(steps[:n]) for n in range(len(steps), 0, -1)]
        parts = [step for step in reversed(steps) if not step.startswith("_")]
        extended = ["extension"] if len(parts) < len(steps) else []
        names = (
            *(f"{kind}.{head}" for head in heads),
            *(f"{ANY_MESSAGE}.{head}" for head in heads),
            *(f"{ANYWHERE}.{part}" for part in (*extended, *parts)),
        )
        return next((self.elements[name] for name in names if name in self.elements), "")


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
    elements: dict[str, str] = {}
    marks: dict[str, str] = {}
    for row in given:
        if row.message == FHIR:
            _add_element(row, texts, elements, ELEMENT)
        elif row.message == V3:
            _add_element(row, texts, marks, MARK)
        elif row.message != NAMED:
            ignored = _read_row(row, texts)
            _check_overlap(row, ignored, found)
            found.append(ignored)
    kinds = (MappingProxyType(each) for each in (texts, elements, marks))
    return LedgerRules(tuple(found), *kinds)


def _add_element(
    row: LedgerRow, texts: Mapping[str, str], found: dict[str, str], form: re.Pattern[str]
) -> None:
    _check_rule(row, texts)
    if not form.fullmatch(row.place):
        kind = "a resource" if form is ELEMENT else "V3 XML"
        raise ValueError(f"line {row.line}: place: {row.place!r} is no element of {kind}")
    if row.place in found:
        raise ValueError(f"line {row.line}: place: {row.place} is named by another row too")
    found[row.place] = row.rule


def _read_text(row: LedgerRow) -> tuple[str, str]:
    if not NAME.fullmatch(row.place) or not row.rule:
        raise ValueError(f"line {row.line}: a rule needs a name in small letters and a text")
    return row.place, row.rule


def _read_row(row: LedgerRow, texts: Mapping[str, str]) -> IgnoredPlace:
    messages = frozenset(row.message.split())
    wrong = [each for each in messages if each != ANY_MESSAGE and not MESSAGE.fullmatch(each)]
    if wrong or not messages:
        raise ValueError(f"line {row.line}: message: {row.message!r} is no message code")
    _check_rule(row, texts)
    try:
        return IgnoredPlace(messages, parse_place(row.place), row.rule)
    except ValueError as problem:
        raise ValueError(f"line {row.line}: place: {problem}") from problem


def _check_rule(row: LedgerRow, texts: Mapping[str, str]) -> None:
    if row.rule not in texts:
        raise ValueError(f"line {row.line}: rule: {row.rule!r} is not explained by a row")


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
