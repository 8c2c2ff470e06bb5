"""All that is wrong with a site's `columns.toml`, each with its line: what the start tells first of
each feed, names that stand twice, and what nothing reads. https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from typing import Any

from app.mappings.dictionary.columns import (
    ELEMENTS,
    FILE,
    WORDED,
    build_columns,
    fold_name,
)
from app.mappings.parsing.values import fold_word

READ = {"feeds", "ignored", "words", *ELEMENTS}
OF_FEED = {"kind", "needed", "constants"}
TABLE = re.compile(r"\s*\[([^\[\]]+)\]")
KEY = re.compile(r"""\s*["']?([^="']+?)["']?\s*=""")

Found = tuple[int, str]
Path = tuple[str, ...]


def check_columns(folder: Traversable) -> list[Found]:
    """(line, reason) of each; a file that is no TOML was told before."""
    try:
        text = folder.joinpath(FILE).read_text(encoding="utf-8")
        table = tomllib.loads(text)
        site = tomllib.loads(folder.joinpath("site.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return []
    lines = _lines_of(text)
    feeds = set(_table(site.get("feeds")))
    problems = [*_check_feeds(table, feeds), *_check_unread(table), *_check_twice(table)]
    return sorted({(_line_of(path, lines), f"{'.'.join(path)}: {why}") for path, why in problems})


def _lines_of(text: str) -> Mapping[Path, int]:
    """The line of each table and key."""
    found: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if match := TABLE.match(line):
            table = tuple(part.strip(" \"'") for part in match[1].split("."))
            found.setdefault(table, number)
        elif match := KEY.match(line):
            found.setdefault((*table, match[1]), number)
    return found


def _line_of(path: Path, lines: Mapping[Path, int]) -> int:
    """That of the nearest part of a path that the file names; the first line without one."""
    parts = (path[:end] for end in range(len(path), 0, -1))
    return next((lines[part] for part in parts if part in lines), 1)


Problem = tuple[Path, str]


def _check_feeds(table: Mapping[str, Any], feeds: set[str]) -> Iterator[Problem]:
    named = _table(table.get("feeds"))
    for name in named:
        if name not in feeds:
            yield ("feeds", name), "site.toml has no feed of this name"
        try:
            build_columns(table, name)
        except ValueError as problem:
            where, _, why = str(problem).removeprefix(f"{FILE}: ").partition(": ")
            yield tuple(where.split(".")), why
        for key in _table(named[name]).keys() - OF_FEED:
            yield ("feeds", name, key), "nothing reads it"


def _check_unread(table: Mapping[str, Any]) -> Iterator[Problem]:
    for key in table.keys() - READ:
        yield (key,), "nothing reads it"
    kinds = {str(_table(each).get("kind")) for each in _table(table.get("feeds")).values()}
    for kind in ELEMENTS.keys() & table.keys() - kinds:
        yield (kind,), "no feed has tables of this kind"
    for kind, elements in _table(table.get("words")).items():
        for element in _table(elements):
            if (kind, element) not in WORDED:
                yield ("words", kind, element), "no words stand for this element"


def _check_twice(table: Mapping[str, Any]) -> Iterator[Problem]:
    for kind in (*ELEMENTS, "ignored"):
        for element, names in _table(table.get(kind)).items():
            yield from _twice((kind, element), names, fold_name)
    for kind, elements in _table(table.get("words")).items():
        for element, letters in _table(elements).items():
            for letter, words in _table(letters).items():
                yield from _twice(("words", kind, element, letter), words, fold_word)


def _twice(path: Path, names: Any, fold: Any) -> Iterator[Problem]:
    seen: set[str] = set()
    for name in names if isinstance(names, list) else ():
        if isinstance(name, str):
            if fold(name) in seen:
                yield path, f"{name!r} stands twice"
            seen.add(fold(name))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
