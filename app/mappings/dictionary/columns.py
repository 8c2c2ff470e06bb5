"""What a site's tables name their columns, and the words that stand for coded elements: the site's
`columns.toml`, checked at start, and a header read by it.

A column means an element of a record: never by its place, always by its name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any

from app.mappings.forms import MAX_NEAR, near_word
from app.mappings.parsing.statuses import COMPLETION_STATUSES, NOT_ASKED, RESULT_STATUSES, VERIFIED
from app.mappings.parsing.values import fold_word

FILE = "columns.toml"
PATIENT = ("subject", "subject_type", "authority", "name", "birth_date")
ORDER = ("order", "order_namespace", "placer", "specimen")
CODED = ("code", "system", "display", "loinc")
ELEMENTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "result": frozenset(
            (
                *(*PATIENT, *ORDER, *CODED, "panel", "panel_system", "panel_display", "sub_id"),
                *("value", "unit", "reference", "flag", "status", "report_status"),
                *("time", "analysed", "reported", "sent", "note"),
            )
        ),
        "dose": frozenset(
            (
                *(*PATIENT, *ORDER, *CODED, "counter", "start", "end", "amount", "unit"),
                *("status", "action", "entered", "ordered", "sent"),
            )
        ),
    }
)
"""Kind of record → what a column may mean (docs/feeds.md)."""

WORDED: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(
    {
        ("result", "status"): frozenset({*RESULT_STATUSES, NOT_ASKED, VERIFIED}),
        ("result", "flag"): frozenset({"L", "LL", "H", "HH", "N", "A"}),
        ("dose", "status"): frozenset(COMPLETION_STATUSES),
        ("dose", "action"): frozenset("AUD"),
    }
)
"""(kind, element) → the letters that words may stand for."""

UNKNOWN, UNNAMED = "unknown-column", "unnamed-column"
SHOWN_NAME = 40
BLANKS = re.compile(r"[\s_\-*:.]+")
DIGITS = re.compile(r"\d{4,}")


@dataclass(frozen=True, slots=True)
class IgnoredColumn:
    """A column that means no element, by its place in the table. `told`: its name where the site's
    data list it; of any other, which may be anything, its number and the spelling that it nearly
    is."""

    place: int
    told: str
    rule: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header read: `places` of the elements it names, `names` as sent, '' of unknown columns;
    `ignored` ones with the rule by which they are, `doubled` elements that several columns name,
    `missing` needed ones."""

    names: tuple[str, ...]
    places: Mapping[str, int]
    ignored: tuple[IgnoredColumn, ...]
    doubled: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        return not (self.doubled or self.missing)


@dataclass(frozen=True, slots=True)
class Columns:
    """How one feed's tables are read. `needed` elements must be there, as a column or by
    `constants`, which stand for a cell that is empty or not there."""

    kind: str
    spellings: Mapping[str, tuple[str, ...]]
    meanings: Mapping[str, str]
    ignored: Mapping[str, str]
    needed: tuple[str, ...]
    constants: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]]

    def read_header(self, names: Sequence[str]) -> Header:
        """What the columns of a table mean."""
        found: dict[str, list[int]] = {}
        ignored: list[IgnoredColumn] = []
        for place, name in enumerate(names):
            element = self.meanings.get(fold_name(name))
            if element:
                found.setdefault(element, []).append(place)
            else:
                ignored.append(self._ignore(place, name, compared=len(ignored) < MAX_NEAR))
        return Header(
            tuple(show_name(name) if fold_name(name) in self.meanings else "" for name in names),
            {element: places[0] for element, places in found.items()},
            tuple(each for each in ignored if each.rule != UNNAMED),
            tuple(element for element, places in found.items() if len(places) > 1),
            tuple(each for each in self.needed if each not in found and each not in self.constants),
        )

    def _ignore(self, place: int, name: str, *, compared: bool) -> IgnoredColumn:
        if rule := self.ignored.get(fold_name(name)):
            return IgnoredColumn(place, show_name(name), rule)
        spellings = [each for names in self.spellings.values() for each in names]
        near, told = near_word(name, spellings) if compared else "", f"column {place + 1}"
        told = f"{told} (near {near})" if near else told
        return IgnoredColumn(place, told, UNKNOWN if name.strip() else UNNAMED)

    def letter(self, element: str, text: str) -> str:
        """The letter that a word stands for; a text that is no such word as it is."""
        return self.words.get(element, {}).get(fold_word(text), text)

    def template(self, *, ascii_only: bool) -> list[str]:
        """A header for this feed, the needed columns first: the first spelling of each, or the
        first one in ASCII."""
        order = dict.fromkeys((*(n for n in self.needed if n in self.spellings), *self.spellings))
        wanted = [self.spellings[element] for element in order if element not in self.constants]
        return [
            next((each for each in names if each.isascii() or not ascii_only), names[0])
            for names in wanted
        ]


def fold_name(name: str) -> str:
    """What spellings of a column's name have in common: width, case, blanks and `_ - * : .` do not
    count."""
    return BLANKS.sub("", fold_word(name))


def show_name(name: str) -> str:
    """A column's name for receipts: short, printable, without long numbers."""
    printable = "".join(each for each in name.strip() if each.isprintable())
    shown = printable.encode("utf-8", "replace").decode()
    return DIGITS.sub("…", shown)[:SHOWN_NAME]


# Reading the site's file


def read_columns(
    folder: Traversable, formats: Mapping[str, Iterable[str]]
) -> Mapping[str, Columns]:
    """The columns of each feed, by its name; `formats` of the site's feeds. Raises ValueError
    naming file, key and reason."""
    try:
        table = tomllib.loads(folder.joinpath(FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise ValueError(f"{FILE}: {problem}") from problem
    feeds = _table(table, "feeds")
    for name in feeds:
        _one_of(name, formats, "feeds")
    for name, taken in formats.items():
        if {"csv", "json"} & set(taken) and name not in feeds:
            raise ValueError(f"{FILE}: feeds.{name}: is missing, and the feed takes tables or JSON")
    return MappingProxyType({name: build_columns(table, name) for name in feeds})


def build_columns(table: Mapping[str, Any], feed: str) -> Columns:
    """One feed's columns by the file's table. Raises ValueError naming file, key and reason."""
    where, given = f"feeds.{feed}", _table(_table(table, "feeds"), feed, "feeds")
    kind = _one_of(given.get("kind"), ELEMENTS, f"{where}.kind")
    spellings = _spellings(_table(table, kind), kind)
    needed = _texts(given.get("needed"), f"{where}.needed")
    constants = _table(given, "constants", where) if "constants" in given else {}
    for element in (*needed, *constants):
        _one_of(element, ELEMENTS[kind], where)
    for element in needed:
        if element not in constants and element not in spellings:
            raise ValueError(f"{FILE}: {where}.needed: no column is spelled {element}")
    for element, text in constants.items():
        if not isinstance(text, str) or not text:
            raise ValueError(f"{FILE}: {where}.constants.{element}: must be a text")
    meanings = _invert(spellings, kind)
    ignored = _invert(_listed(table.get("ignored", {}), "ignored"), "ignored")
    for name in ignored.keys() & meanings.keys():
        raise ValueError(f"{FILE}: ignored.{ignored[name]}: {name!r} is a column of {kind}")
    words = _words(table.get("words", {}), kind)
    return Columns(kind, spellings, meanings, ignored, needed, constants, words)


def _spellings(table: Mapping[str, Any], kind: str) -> Mapping[str, tuple[str, ...]]:
    for element in table:
        _one_of(element, ELEMENTS[kind], kind)
    return _listed(table, kind)


def _words(table: Mapping[str, Any], kind: str) -> Mapping[str, Mapping[str, str]]:
    found = {}
    for element, letters in table.get(kind, {}).items():
        where = f"words.{kind}.{element}"
        if (kind, element) not in WORDED:
            raise ValueError(f"{FILE}: {where}: no words stand for this element")
        for letter in letters:
            _one_of(letter, WORDED[kind, element], where)
        found[element] = _invert(_listed(letters, where), where, fold_word)
    return MappingProxyType(found)


def _listed(table: Mapping[str, Any], where: str) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({key: _texts(value, f"{where}.{key}") for key, value in table.items()})


def _invert(lists: Mapping[str, tuple[str, ...]], where: str, fold: Any = fold_name) -> Any:
    found: dict[str, str] = {}
    for key, texts in lists.items():
        for text in texts:
            if not fold(text):
                raise ValueError(f"{FILE}: {where}.{key}: {text!r} is no name")
            if found.setdefault(fold(text), key) != key:
                raise ValueError(f"{FILE}: {where}.{key}: {text!r} has two meanings")
    return MappingProxyType(found)


def _table(table: Mapping[str, Any], key: str, where: str = "") -> Mapping[str, Any]:
    value = table.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"{FILE}: {where}{'.' if where else ''}{key}: must be a table")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{FILE}: {where}: must be a list of texts")
    return tuple(value)


def _one_of(value: Any, known: Iterable[str], where: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{FILE}: {where}: {value!r} is none of {', '.join(sorted(known))}")
    return value
