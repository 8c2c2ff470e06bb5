"""What is particular to a site, read from its folder and checked at start: feeds, panels, tests,
orders, medications, words, approved units. A mistake stops the start with file, line (or key) and
reason.
"""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from app.mappings.dictionary.code_systems import (
    CONDITIONS,
    ConditionEntry,
    SystemRow,
    Systems,
    build_systems,
)
from app.mappings.dictionary.code_systems import FILE as SYSTEMS_FILE
from app.mappings.dictionary.code_systems import KINDS as SYSTEM_KINDS
from app.mappings.dictionary.columns import FILE as COLUMNS_FILE
from app.mappings.dictionary.columns import Columns, read_columns
from app.mappings.formats.charset import codec_of
from app.mappings.ledger.rules import FILE as LEDGER_FILE
from app.mappings.ledger.rules import NO_RULES, LedgerRow, LedgerRules, build_rules
from app.mappings.parsing.statuses import COMPLETION_STATUSES, NOT_ASKED, RESULT_STATUSES, VERIFIED
from app.mappings.parsing.units import CLASSES, Approval, Unit, normalise, parse_unit
from app.mappings.parsing.values import AbsenceWord, fold_word

Role = Literal["collected", "not-collected", "suspicion"]
ROLES = ("collected", "not-collected", "suspicion")
ANY_PANEL = "*"
HL7 = "hl7v2"

ABSENT_REASON_CODES = """
unknown asked-unknown temp-unknown not-asked asked-declined masked not-applicable unsupported
as-text error not-a-number negative-infinity positive-infinity not-performed not-permitted
"""
ABSENT_REASONS = frozenset(ABSENT_REASON_CODES.split())
STATUS_LETTERS = frozenset({*RESULT_STATUSES, NOT_ASKED, VERIFIED, *COMPLETION_STATUSES})


class SiteError(ValueError):
    """A site's data is wrong; the text names file, line or key, and the reason."""


SegmentEnd = Literal["required", "optional"]


TEST_PROCESSING_IDS = ("D", "N", "T")
"""Debugging, non-production testing, training (HL7 table 0103)."""


@dataclass(frozen=True, slots=True)
class FeedSetting:
    """One feed: how to read it and what to accept (site.toml, `[feeds.<name>]`).
    `transport_charset` is what a delivery's media type names, as sent; `ledger` what the site
    leaves out of messages on purpose; `segment_end` whether the last segment of a message and the
    last row of a table count without a line end; `test_processing_ids` which messages beside
    those of quality control are nobody's (MSH-11)."""

    name: str
    title: str
    key_authority: str
    codec: str
    zone: ZoneInfo
    message_types: frozenset[str]
    identifier_types: frozenset[str]
    accepted_statuses: frozenset[str]
    empty_status: str
    order_numbers_restart: bool
    quality_control_suffixes: tuple[str, ...]
    counter_distinguishes: bool
    formats: tuple[str, ...] = ("hl7v2",)
    transport_charset: str = ""
    ledger: LedgerRules = NO_RULES
    segment_end: SegmentEnd = "optional"
    test_processing_ids: frozenset[str] = frozenset(TEST_PROCESSING_IDS)

    def with_codec(self, codec: str) -> FeedSetting:
        return replace(self, codec=codec)


@dataclass(frozen=True, slots=True)
class TestEntry:
    """One line of the test dictionary: what a local code at one feed and panel means."""

    __test__ = False  # no pytest class

    analyte: str
    loinc: str
    display: str
    more_loinc: str
    more_display: str
    local_display: str
    analyte_class: str
    empty_unit: str
    usual_unit: str
    low: Decimal | None
    high: Decimal | None
    specimen: str
    role: Role
    reason: str


@dataclass(frozen=True, slots=True)
class MedicationEntry:
    drug: str
    display: str
    rxnorm: str
    atc: str
    atc_retired: str
    tablet_mg: Decimal | None
    low: Decimal | None
    high: Decimal | None
    role: Role
    reason: str


@dataclass(frozen=True, slots=True)
class OrderEntry:
    """What an ordered service is; `service` is the panel that its results come in."""

    service: str
    loinc: str
    display: str
    role: Role
    reason: str


@dataclass(frozen=True, slots=True)
class Words:
    """`absent`: texts that say why there is no value; `clump`: parts of a text that tell of
    clumped platelets unless a `negation` stands before them."""

    absent: Mapping[str, AbsenceWord]
    clump: tuple[str, ...]
    negation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """A site's data; `version` names it on every resource mapped with it."""

    name: str
    version: str
    authorities: Mapping[str, str]
    feeds: Mapping[str, FeedSetting]
    panels: Mapping[tuple[str, str, str], str]
    tests: Mapping[tuple[str, str, str, str], TestEntry]
    medications: Mapping[tuple[str, str, str], MedicationEntry]
    words: Words
    approvals: Mapping[str, Mapping[tuple[str, str], Approval]]
    orders: Mapping[tuple[str, str, str], OrderEntry]
    columns: Mapping[str, Columns]
    systems: Systems
    conditions: Mapping[tuple[str, str, str], ConditionEntry]

    def panel(self, feed: str, code: str, system: str) -> str:
        """The panel an OBR-4 belongs to; '' for one that is not in the data."""
        return self.panels.get((feed, code, system), "")

    def find_test(self, feed: str, panel: str, code: str, system: str) -> TestEntry | None:
        """The entry for exactly this panel, else the one that holds for every panel of the feed."""
        return self.tests.get((feed, panel, code, system)) or self.tests.get(
            (feed, ANY_PANEL, code, system)
        )

    def find_medication(self, feed: str, code: str, system: str) -> MedicationEntry | None:
        return self.medications.get((feed, code, system))

    def find_order(self, feed: str, code: str, system: str) -> OrderEntry | None:
        """What a service ordered in this feed is; None for one that is not in the data."""
        return self.orders.get((feed, code, system))

    def find_condition(self, feed: str, code: str, system: str) -> ConditionEntry | None:
        """A diagnosis that is collected, by the longest listed beginning of its code."""
        starts = (code[:end] for end in range(len(code), 2, -1))
        found = (self.conditions.get((feed, start, system)) for start in starts)
        return next((entry for entry in found if entry), None)

    def authority(self, sent: str) -> str:
        """The trial's name of an assigning authority; one that is not listed stays as sent."""
        return self.authorities.get(sent, sent)


def load_site(name: str) -> Site:
    """The site shipped as `sites/<name>`, checked. Raises SiteError."""
    return read_site(name, resources.files("app.mappings").joinpath("sites", name))


def read_site(name: str, folder: Traversable) -> Site:
    """A site's folder, checked. Raises SiteError naming file, line or key, and the reason."""
    table = _read_toml(folder)
    ledger = _build_ledger(folder)
    feeds = {
        key: replace(_build_feed(key, value), ledger=ledger)
        for key, value in _table(table, "feeds").items()
    }
    if not feeds:
        raise SiteError("site.toml: feeds: at least one feed is needed")
    tests = _keyed(folder, "tests.csv", feeds, ("feed", "panel", "code", "system"), _build_test)
    panels = _keyed(folder, "panels.csv", feeds, ("feed", "code", "system"), _build_panel)
    _check_panels(tests, panels)
    medications = _keyed(
        folder, "medications.csv", feeds, ("feed", "code", "system"), _build_medication
    )
    return Site(
        name,
        f"{_text(table, 'version')}+{_digest(folder)}",
        MappingProxyType(_build_authorities(_table(table, "authorities"))),
        MappingProxyType(feeds),
        MappingProxyType(panels),
        MappingProxyType(tests),
        MappingProxyType(medications),
        _build_words(folder),
        _build_approvals(folder, feeds),
        MappingProxyType(
            _keyed(folder, "orders.csv", feeds, ("feed", "code", "system"), _build_order)
        ),
        _build_columns(folder, feeds),
        _build_systems(folder),
        MappingProxyType(
            _keyed(folder, CONDITIONS, feeds, ("feed", "code", "system"), _build_condition)
        ),
    )


# Files

FILES = (
    *("site.toml", "tests.csv", "panels.csv", "words.csv", "units.csv", "medications.csv"),
    *("orders.csv", COLUMNS_FILE, SYSTEMS_FILE, CONDITIONS, LEDGER_FILE),
)


def _read_toml(folder: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(folder.joinpath("site.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise SiteError(f"site.toml: {problem}") from problem


def _digest(folder: Traversable) -> str:
    """Eight digits that change with any byte of the site's data."""
    digest = hashlib.sha256()
    for name in FILES:
        try:
            digest.update(folder.joinpath(name).read_bytes())
        except OSError as problem:
            raise SiteError(f"{name}: {problem.strerror}") from problem
    return digest.hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a CSV file, with its place for error texts."""

    file: str
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        if column not in self.cells:
            raise SiteError(f"{self.file}: column {column} is missing")
        return self.cells[column]

    def problem(self, reason: str) -> SiteError:
        return SiteError(f"{self.file} line {self.line}: {reason}")

    def number(self, column: str) -> Decimal | None:
        text = self[column]
        try:
            return Decimal(text) if text else None
        except InvalidOperation as problem:
            raise self.problem(f"{column}: {text!r} is no number") from problem

    def one_of(self, column: str, allowed: tuple[str, ...] | frozenset[str]) -> str:
        if self[column] not in allowed:
            raise self.problem(
                f"{column}: {self[column]!r} is none of {', '.join(sorted(allowed))}"
            )
        return self[column]


def read_rows(folder: Traversable, file: str) -> Iterator[Row]:
    """The lines of one of a site's tables. Raises SiteError where it cannot be read."""
    try:
        text = folder.joinpath(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise SiteError(f"{file}: {problem}") from problem
    for line, cells in enumerate(csv.DictReader(text.splitlines()), start=2):
        if None in cells or None in cells.values():
            raise SiteError(f"{file} line {line}: not as many cells as the header names")
        yield Row(file, line, {key: value.strip() for key, value in cells.items()})


Entry = TypeVar("Entry")


def _keyed(
    folder: Traversable,
    file: str,
    feeds: Mapping[str, FeedSetting],
    columns: tuple[str, ...],
    build: Callable[[Row], Entry],
) -> dict[Any, Entry]:
    found: dict[Any, Entry] = {}
    for row in read_rows(folder, file):
        row.one_of("feed", frozenset(feeds))
        key = tuple(row[column] for column in columns)
        if key in found:
            raise row.problem(f"{'|'.join(key)} stands twice")
        found[key] = build(row)
    return found


# Records


def _build_feed(name: str, table: Any) -> FeedSetting:
    where = f"feeds.{name}"
    if not isinstance(table, dict):
        raise SiteError(f"site.toml: {where}: must be a table")
    codec = codec_of(_text(table, "charset", where))
    if not codec:
        raise SiteError(f"site.toml: {where}.charset: {table['charset']!r} is no known charset")
    formats = _formats(table, where)
    accepted = _texts(table, "accepted_statuses", where)
    empty = _text(table, "empty_status", where)
    for letter in (*accepted, *filter(None, (empty,))):
        if letter not in STATUS_LETTERS:
            raise SiteError(f"site.toml: {where}.accepted_statuses: {letter!r} is no status")
    return FeedSetting(
        name=name,
        title=_text(table, "title", where),
        key_authority=_text(table, "key_authority", where),
        codec=codec,
        zone=_zone(table, where),
        message_types=frozenset(_texts(table, "message_types", where, needed=HL7 in formats)),
        identifier_types=frozenset(_texts(table, "identifier_types", where)),
        accepted_statuses=frozenset(accepted),
        empty_status=empty,
        order_numbers_restart=bool(table.get("order_numbers_restart", False)),
        quality_control_suffixes=_texts(
            table, "quality_control_suffixes", where, needed=HL7 in formats
        ),
        counter_distinguishes=bool(table.get("counter_distinguishes", True)),
        formats=formats,
        segment_end=_segment_end(table, where),
        test_processing_ids=_test_processing_ids(table, where),
    )


def _test_processing_ids(table: Mapping[str, Any], where: str) -> frozenset[str]:
    """Production can't be among them: nothing would be stored any more."""
    name = "test_processing_ids"
    told = _texts(table, name, where) if name in table else TEST_PROCESSING_IDS
    for letter in told:
        if letter not in TEST_PROCESSING_IDS:
            known = ", ".join(TEST_PROCESSING_IDS)
            raise SiteError(f"site.toml: {where}.{name}: {letter!r} is none of {known}")
    return frozenset(told)


def _segment_end(table: Mapping[str, Any], where: str) -> SegmentEnd:
    told = table.get("segment_end", "optional")
    if told not in ("required", "optional"):
        raise SiteError(f"site.toml: {where}.segment_end: {told!r} is none of required, optional")
    return "required" if told == "required" else "optional"


def _build_authorities(table: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, spellings in table.items():
        if not isinstance(spellings, list):
            raise SiteError(f"site.toml: authorities.{name}: must be a list of spellings")
        for spelling in (name, *spellings):
            if found.setdefault(spelling, name) != name:
                raise SiteError(f"site.toml: authorities.{name}: {spelling!r} has two meanings")
    return found


def _build_panel(row: Row) -> str:
    if not row["panel"]:
        raise row.problem("panel: is empty")
    return row["panel"]


def _build_test(row: Row) -> TestEntry:
    entry = TestEntry(
        analyte=row["analyte"],
        loinc=row["loinc"],
        display=row["display"],
        more_loinc=row["more_loinc"],
        more_display=row["more_display"],
        local_display=row["local_display"],
        analyte_class=row["class"],
        empty_unit=row["empty_unit"],
        usual_unit=row["usual_unit"],
        low=row.number("low"),
        high=row.number("high"),
        specimen=row["specimen"],
        role=row.one_of("role", ROLES),  # type: ignore[arg-type]
        reason=row["reason"],
    )
    if entry.role == "collected":
        _check_collected(row, entry)
    elif not entry.reason:
        raise row.problem(f"reason: a test that is {entry.role} needs one")
    return entry


def _check_collected(row: Row, entry: TestEntry) -> None:
    row.one_of("class", frozenset(CLASSES))
    if not entry.loinc or not entry.analyte:
        raise row.problem("loinc and analyte: a collected test needs both")
    if entry.low is None or entry.high is None or entry.low >= entry.high:
        raise row.problem("low and high: a collected test needs a plausible range")
    for column in ("empty_unit", "usual_unit"):
        if row[column] and not isinstance(parse_unit(row[column], entry.analyte_class, {}), Unit):
            raise row.problem(f"{column}: {row[column]!r} is no unit of {entry.analyte_class}")


def _build_medication(row: Row) -> MedicationEntry:
    entry = MedicationEntry(
        drug=row["drug"],
        display=row["display"],
        rxnorm=row["rxnorm"],
        atc=row["atc"],
        atc_retired=row["atc_retired"],
        tablet_mg=row.number("tablet_mg"),
        low=row.number("low"),
        high=row.number("high"),
        role=row.one_of("role", ROLES),  # type: ignore[arg-type]
        reason=row["reason"],
    )
    if entry.role == "collected" and (entry.low is None or entry.high is None or not entry.rxnorm):
        raise row.problem("rxnorm, low and high: a collected medication needs them")
    if entry.role != "collected" and not entry.reason:
        raise row.problem("reason: a medication that is not collected needs one")
    return entry


def _build_order(row: Row) -> OrderEntry:
    role = row.one_of("role", ("collected", "not-collected"))
    entry = OrderEntry(row["service"], row["loinc"], row["display"], role, row["reason"])  # type: ignore[arg-type]
    if entry.role == "collected" and not entry.service:
        raise row.problem("service: a collected order needs the panel of its results")
    if entry.role != "collected" and not entry.reason:
        raise row.problem("reason: an order that is not collected needs one")
    return entry


def _build_words(folder: Traversable) -> Words:
    absent: dict[str, AbsenceWord] = {}
    parts: dict[str, list[str]] = {"clump": [], "negation": []}
    for row in read_rows(folder, "words.csv"):
        kind = row.one_of("kind", ("absent", "clump", "negation"))
        word = fold_word(row["word"])
        if kind == "absent":
            row.one_of("code", ABSENT_REASONS)
            absent[word] = AbsenceWord(row["code"], row["suspect"] == "yes")
        else:
            parts[kind].append(word)
    return Words(MappingProxyType(absent), tuple(parts["clump"]), tuple(parts["negation"]))


def _build_columns(folder: Traversable, feeds: Mapping[str, FeedSetting]) -> Mapping[str, Columns]:
    try:
        return read_columns(folder, {name: setting.formats for name, setting in feeds.items()})
    except ValueError as problem:
        raise SiteError(str(problem)) from problem


def _build_systems(folder: Traversable) -> Systems:
    rows = [
        SystemRow(row.one_of("kind", SYSTEM_KINDS), row["system"], row["meaning"], row["detail"])
        for row in read_rows(folder, SYSTEMS_FILE)
    ]
    try:
        return build_systems(rows)
    except ValueError as problem:
        raise SiteError(f"{SYSTEMS_FILE}: {problem}") from problem


def _build_ledger(folder: Traversable) -> LedgerRules:
    rows = read_rows(folder, LEDGER_FILE)
    try:
        return build_rules(
            LedgerRow(row.line, row["message"], row["place"], row["rule"]) for row in rows
        )
    except SiteError:
        raise
    except ValueError as problem:
        raise SiteError(f"{LEDGER_FILE} {problem}") from problem


def _build_condition(row: Row) -> ConditionEntry:
    if not (row["code"] and row["condition"]):
        raise row.problem("code and condition: both are needed")
    return ConditionEntry(row["condition"], row["display"])


def _build_approvals(
    folder: Traversable, feeds: Mapping[str, FeedSetting]
) -> Mapping[str, Mapping[tuple[str, str], Approval]]:
    found: dict[str, dict[tuple[str, str], Approval]] = {name: {} for name in feeds}
    for row in read_rows(folder, "units.csv"):
        feed, analyte_class = row.one_of("feed", frozenset(feeds)), row["class"]
        row.one_of("class", frozenset(CLASSES))
        factor = row.number("factor")
        if factor is None or factor <= 0:
            raise row.problem("factor: must be a positive number")
        if not (row["approved_by"] and row["approved_on"] and row["reason"]):
            raise row.problem("approved_by, approved_on and reason: an approval needs all three")
        key = (analyte_class, normalise(row["unit"]))
        found[feed][key] = Approval(factor, row["reason"], row["converted"] == "yes")
    return MappingProxyType(found)


def _check_panels(tests: Mapping[Any, TestEntry], panels: Mapping[Any, str]) -> None:
    known = {ANY_PANEL, *panels.values()}
    for feed, panel, code, system in tests:
        if panel not in known:
            raise SiteError(f"tests.csv: {feed}|{panel}|{code}|{system}: panels.csv has no {panel}")


# Keys of site.toml


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    if not isinstance(value, dict):
        raise SiteError(f"site.toml: {key}: must be a table")
    return value


def _text(table: Mapping[str, Any], key: str, where: str = "") -> str:
    value = table.get(key)
    if not isinstance(value, str):
        raise SiteError(f"site.toml: {where}{'.' if where else ''}{key}: must be a text")
    return value


def _formats(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The formats a feed takes, HL7 v2 where it does not say; that each has a decoder is checked
    when the feeds are set up."""
    found = _texts(table, "formats", where) if "formats" in table else (HL7,)
    if not found or len(set(found)) < len(found):
        raise SiteError(f"site.toml: {where}.formats: at least one, and each once")
    return found


def _texts(
    table: Mapping[str, Any], key: str, where: str, *, needed: bool = True
) -> tuple[str, ...]:
    value = table.get(key, None if needed else [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SiteError(f"site.toml: {where}.{key}: must be a list of texts")
    return tuple(value)


def _zone(table: Mapping[str, Any], where: str) -> ZoneInfo:
    name = _text(table, "zone", where)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as problem:
        raise SiteError(f"site.toml: {where}.zone: {name!r} is no time zone") from problem
