"""The order of a search's rows, and where a page begins in it.
https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import Category, error
from app.fhir.conditions import Binder
from app.fhir.layout import TypeLayout
from app.fhir.request import Cursor, SortKey


@dataclass(frozen=True, slots=True)
class Key:
    """A sort expression on the row `r`, never null for the last one (the id)."""

    sql: str
    type: str
    descending: bool
    nullable: bool

    @property
    def direction(self) -> str:
        nulls = " NULLS LAST" if self.nullable else ""
        return ("DESC" if self.descending else "ASC") + nulls

    @property
    def order(self) -> str:
        return f"{self.sql} {self.direction}"


def sort_keys(place: TypeLayout, sort: Sequence[SortKey]) -> list[Key]:
    """The keys of the order: what was asked, then the id in the direction of the first."""
    keys = [_sort_key(place, key) for key in sort]
    if not any(key.code == "_id" for key in sort):
        keys.append(Key("r.id", "text", bool(sort) and sort[0].descending, False))
    return keys


def _sort_key(place: TypeLayout, key: SortKey) -> Key:
    home = place.homes[key.code]
    if home.kind == "id":
        return Key("r.id", "text", key.descending, False)
    if home.kind == "last_updated":
        return Key("r.last_updated", "timestamptz", key.descending, False)
    if home.kind == "interval":
        side = "to" if key.descending else "from"
        return Key(f"r.{home.column}_{side}", "timestamptz", key.descending, False)
    if home.kind == "amount":
        side = "max" if key.descending else "min"
        return Key(f"r.{home.column}_{side}", "numeric", key.descending, True)
    column, sign = ("strings", "~") if home.kind == "strings" else ("tokens", ":")
    pick = "max" if key.descending else "min"
    prefix = f"{key.code}{sign}"
    sql = f"(SELECT {pick}(t) FROM unnest(r.{column}) t WHERE starts_with(t, '{prefix}'))"
    return Key(sql, "text", key.descending, True)


def after_cursor(bind: Binder, keys: Sequence[Key], cursor: Cursor) -> str:
    """Rows behind the cursor in the order of the keys."""
    if len(cursor.keys) != len(keys) or cursor.keys[-1] is None:
        raise error(Category.INCORRECT, "_cursor: not a page link of this search", code="invalid")
    uniform = len({key.descending for key in keys}) == 1
    if uniform and not any(key.nullable for key in keys):
        sign = "<" if keys[0].descending else ">"
        left = ", ".join(key.sql for key in keys)
        right = ", ".join(
            _bound(bind, key, value) for key, value in zip(keys, cursor.keys, strict=True)
        )
        return f"({left}) {sign} ({right})"
    return _lexicographic(bind, keys, cursor.keys)


def _bound(bind: Binder, key: Key, value: str | None) -> str:
    return f"{bind(value)}::text::{key.type}"


def _lexicographic(bind: Binder, keys: Sequence[Key], values: Sequence[str | None]) -> str:
    branches: list[str] = []
    equal: list[str] = []
    for key, value in zip(keys, values, strict=True):
        if value is not None:
            held = _bound(bind, key, value)
            beyond = f"{key.sql} {'<' if key.descending else '>'} {held}"
            if key.nullable:
                beyond = f"({beyond} OR {key.sql} IS NULL)"
            branches.append(" AND ".join([*equal, beyond]))
            equal.append(f"{key.sql} = {held}")
        else:
            equal.append(f"{key.sql} IS NULL")
    return "(" + " OR ".join(f"({branch})" for branch in branches) + ")"


def snapshot_of(bind: Binder, cursor: Cursor | None) -> str:
    """The snapshot in which the search's first page was read."""
    if cursor is None:
        return "pg_current_snapshot()"
    return f"{bind(cursor.snapshot)}::text::pg_snapshot"
