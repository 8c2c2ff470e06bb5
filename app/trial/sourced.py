"""Reads TOML tables whose every value carries its source, and collects all that is wrong.

A value is written `{ value = 28, unit = "d", source = "A", note = "…" }`. A reader takes each key
once, notes what is missing or malformed and goes on with a harmless stand-in, so that one start
shows every problem; `Findings.check()` raises them together, each with file, key and reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from app.errors import Category, Issue, errors

SOURCES: Mapping[str, str] = {
    "S": "study record",
    "R": "trial registry",
    "P": "published paper",
    "L": "published standard or method",
    "A": "assumption, to be signed off by the trial's statistician",
}
VALUE_KEYS = frozenset({"value", "unit", "source", "note"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mark:
    """A value of the protocol with where it comes from."""

    path: str
    value: Any
    unit: str | None
    source: str
    note: str | None


@dataclass(slots=True)
class Findings:
    """What one file held: the marks of its values, and its problems."""

    file: str
    marks: dict[str, Mark] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def problem(self, path: str, reason: str) -> None:
        self.problems.append((path, reason))

    def check(self) -> None:
        """Raises one FAULT with an issue per problem: the service must not start."""
        if self.problems:
            issues = [
                Issue("invalid", reason, f"{self.file}: {path}") for path, reason in self.problems
            ]
            raise errors(Category.FAULT, issues)


class Reader:
    """One table being read; `finish()` reports the keys that nobody asked for."""

    def __init__(self, table: Mapping[str, Any], path: str, findings: Findings) -> None:
        self._table = table
        self._left = set(table)
        self._findings = findings
        self.path = path

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def problem(self, key: str, reason: str) -> None:
        self._findings.problem(self._at(key), reason)

    def has(self, key: str) -> bool:
        return key in self._table

    def _take(self, key: str, kind: type | tuple[type, ...], expected: str, default: T) -> Any | T:
        self._left.discard(key)
        if key not in self._table:
            self.problem(key, "is missing")
            return default
        return self._typed(key, self._table[key], kind, expected, default)

    def _typed(
        self, key: str, value: Any, kind: type | tuple[type, ...], expected: str, default: T
    ) -> Any | T:
        is_bool = isinstance(value, bool)
        if not isinstance(value, kind) or (is_bool and kind is not bool):
            self.problem(key, f"must be {expected}")
            return default
        return value

    # Names and switches of the file itself: no source mark

    def name(self, key: str) -> str:
        value = self._take(key, str, "a text", "?")
        if not value.strip():
            self.problem(key, "must not be empty")
        return str(value)

    def word(self, key: str, allowed: Sequence[str]) -> str:
        value = self.name(key)
        if value not in allowed:
            self.problem(key, f"must be one of {', '.join(allowed)}")
        return value

    def switch(self, key: str) -> bool:
        return bool(self._take(key, bool, "true or false", False))

    def names(self, key: str) -> tuple[str, ...]:
        found: Any = self._take(key, list, "a list of texts", [])
        return tuple(str(self._typed(key, item, str, "a list of texts", "?")) for item in found)

    # Sourced values

    def _sourced(self, key: str, kind: type | tuple[type, ...], expected: str, default: T) -> Any:
        table: Any = self._take(key, dict, "a table with value and source", {})
        if not table:
            return default
        for extra in sorted(set(table) - VALUE_KEYS):
            self.problem(f"{key}.{extra}", "is not a known key")
        if "value" not in table:
            self.problem(f"{key}.value", "is missing")
            return default
        value = self._typed(key, table["value"], kind, expected, default)
        self._mark(key, table, value)
        return value

    def _mark(self, key: str, table: Mapping[str, Any], value: Any) -> None:
        path = self._at(key) if key else self.path
        source, note = table.get("source"), table.get("note")
        if source is None:
            self._findings.problem(path, "has no source mark")
        elif source not in SOURCES:
            self._findings.problem(path, f"source must be one of {', '.join(SOURCES)}")
        elif source == "L" and not note:
            self._findings.problem(path, "names no standard or method in its note")
        unit = table.get("unit")
        self._findings.marks[path] = Mark(path, value, unit, str(source), note)

    def text(self, key: str) -> str:
        return str(self._sourced(key, str, "a text", "?"))

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        value = self.text(key)
        if value not in allowed:
            self.problem(key, f"must be one of {', '.join(allowed)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        found: Any = self._sourced(key, list, "a list of texts", [])
        return tuple(str(self._typed(key, item, str, "a list of texts", "?")) for item in found)

    def flag(self, key: str) -> bool:
        return bool(self._sourced(key, bool, "true or false", False))

    def _in_unit(self, key: str, unit: str) -> None:
        table = self._table.get(key)
        if isinstance(table, dict) and table.get("unit") != unit:
            self.problem(key, f"must have the unit {unit}")

    def whole(self, key: str, unit: str) -> int:
        self._in_unit(key, unit)
        value = int(self._sourced(key, int, "a whole number", 0))
        if value < 0:
            self.problem(key, "must not be negative")
        return value

    def number(self, key: str, unit: str) -> Decimal:
        self._in_unit(key, unit)
        value = self._finite(key, self._sourced(key, (int, Decimal), "a number", 0))
        if value < 0:
            self.problem(key, "must not be negative")
        return value

    def numbers(self, key: str, unit: str) -> tuple[Decimal, ...]:
        self._in_unit(key, unit)
        found: Any = self._sourced(key, list, "a list of numbers", [])
        return tuple(
            self._finite(key, self._typed(key, item, (int, Decimal), "a list of numbers", 0))
            for item in found
        )

    def factor(self, key: str) -> Decimal:
        """A bare positive number of a row that carries its mark itself."""
        value = self._finite(key, self._take(key, (int, Decimal), "a number", 1))
        if value <= 0:
            self.problem(key, "must be above 0")
        return value

    def _finite(self, key: str, value: int | Decimal) -> Decimal:
        number = Decimal(value)
        if number.is_finite():
            return number
        self.problem(key, "must be a finite number")
        return Decimal(0)

    def optional(self, key: str, read: Callable[[str], T]) -> T | None:
        return read(key) if self.has(key) else None

    # Tables within

    def table(self, key: str) -> Reader:
        found: Any = self._take(key, dict, "a table", {})
        return Reader(found, self._at(key), self._findings)

    def tables(self, key: str, label: str = "code") -> tuple[Reader, ...]:
        """The tables of a list, each named by its `label`, which must differ."""
        found: Any = self._take(key, list, "a list of tables", [])
        readers = [self._labelled(key, label, i, item) for i, item in enumerate(found)]
        paths = [reader.path for reader in readers]
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            self._findings.problem(path, f"is there twice: {label} must be unique")
        return tuple(readers)

    def _labelled(self, key: str, label: str, index: int, item: Any) -> Reader:
        if not isinstance(item, dict):
            self.problem(f"{key}[{index}]", "must be a table")
            item = {}
        name = item.get(label, index)
        version = f"|{item['version']}" if "version" in item else ""
        return Reader(item, f"{self._at(key)}.{name}{version}", self._findings)

    def keyed(self, key: str) -> Mapping[str, Reader]:
        """The tables under a table, by their keys."""
        outer = self.table(key)
        return {name: outer.table(name) for name in outer._table}

    def row_mark(self, value: Any) -> Mark:
        """The source mark of a row that carries `source` and `note` beside its values."""
        self._left -= {"source", "note"}
        self._mark("", self._table, value)
        return self._findings.marks[self.path]

    def finish(self) -> None:
        for key in sorted(self._left):
            self.problem(key, "is not a known key")
