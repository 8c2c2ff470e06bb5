"""The order of a search's rows, and where a page begins in it.
https://hl7.org/fhir/R4/search.html#sort

Resources without a value come last in both directions. Quantities are sorted in base units; behind
them those whose unit has no such form, by their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation

from app.errors import Category, SsciError, error
from app.fhir.conditions import Binder
from app.fhir.layout import TypeLayout
from app.fhir.request import Cursor, SearchRequest, SortKey


@dataclass(frozen=True, slots=True)
class Key:
    """A sort expression on the row `r`, never null for the last one (the id)."""

    sql: str
    type: str
    descending: bool
    nullable: bool
    nulls_first: bool = False

    @property
    def direction(self) -> str:
        nulls = f" NULLS {'FIRST' if self.nulls_first else 'LAST'}" if self.nullable else ""
        return ("DESC" if self.descending else "ASC") + nulls

    @property
    def order(self) -> str:
        return f"{self.sql} {self.direction}"

    @property
    def reversed(self) -> Key:
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)


def sort_keys(place: TypeLayout, request: SearchRequest) -> list[Key]:
    """The keys in which a page is read: what was asked, then the type (of several), then the id in
    the direction of the first; all of them reversed for a page before a cursor."""
    sort = request.sort
    keys = [key for each in sort for key in _sort_keys(place, each)]
    descending = bool(sort) and sort[0].descending
    if request.parts:
        keys.append(Key(f"'{place.resource_type}'::text", "text", descending, False))
    if not any(key.code == "_id" for key in sort) or request.parts:
        keys.append(Key("r.id", "text", descending, False))
    if request.cursor is not None and request.cursor.backward:
        return [key.reversed for key in keys]
    return keys


def _sort_keys(place: TypeLayout, key: SortKey) -> list[Key]:
    home = place.homes[key.code]
    if home.kind != "amount":
        return [_sort_key(place, key)]
    side = "max" if key.descending else "min"
    kinds = ("_canonical", "") if home.parameter.type == "quantity" else ("",)
    return [Key(f"r.{home.column}{kind}_{side}", "numeric", key.descending, True) for kind in kinds]


def _sort_key(place: TypeLayout, key: SortKey) -> Key:
    home = place.homes[key.code]
    if home.kind == "id":
        return Key("r.id", "text", key.descending, False)
    if home.kind == "last_updated":
        return Key("r.last_updated", "timestamptz", key.descending, False)
    if home.kind == "interval":
        side = "to" if key.descending else "from"
        return Key(f"r.{home.column}_{side}", "timestamptz", key.descending, False)
    if home.on_patient and key.code == "patient":
        return Key("r.patient", "text", key.descending, True)
    column, sign = ("strings", "~") if home.kind == "strings" else ("tokens", ":")
    if home.parameter.type == "uri" or home.holds_canonicals:
        sign = "="
    pick = "max" if key.descending else "min"
    prefix = f"{key.code}{sign}"
    sql = f"(SELECT {pick}(t) FROM unnest(r.{column}) t WHERE starts_with(t, '{prefix}'))"
    return Key(sql, "text", key.descending, True)


def after_cursor(bind: Binder, keys: Sequence[Key], cursor: Cursor) -> str:
    """Rows behind the cursor in the order of the keys; 400 if it is of another search."""
    if len(cursor.keys) != len(keys) or cursor.keys[-1] is None:
        raise _foreign()
    for key, value in zip(keys, cursor.keys, strict=True):
        _check(key, value)
    uniform = len({key.descending for key in keys}) == 1
    if uniform and not any(key.nullable for key in keys):
        sign = "<" if keys[0].descending else ">"
        left = ", ".join(key.sql for key in keys)
        right = ", ".join(
            _bound(bind, key, value) for key, value in zip(keys, cursor.keys, strict=True)
        )
        return f"({left}) {sign} ({right})"
    return _lexicographic(bind, keys, cursor.keys)


def _check(key: Key, value: str | None) -> None:
    if value is None and not key.nullable:
        raise _foreign()
    try:
        if value is not None and key.type == "timestamptz":
            _check_instant(value)
        elif value is not None and key.type == "numeric":
            Decimal(value.replace("_", "?"))
    except (ValueError, InvalidOperation):
        raise _foreign() from None


_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?)[+-](?:0\d|1[0-5])(?::[0-5]\d){0,2}",
    re.ASCII,
)
_MISSING = frozenset({"infinity", "-infinity"})
"""How PostgreSQL writes the bounds that stand for a missing date."""


def _check_instant(text: str) -> None:
    """ValueError unless PostgreSQL may have written it."""
    match = _INSTANT.fullmatch(text)
    if match is not None:
        datetime.fromisoformat(match[1])
    elif text not in _MISSING:
        raise ValueError(text)


def _foreign() -> SsciError:
    return error(Category.INCORRECT, "_cursor: not a page link of this search", code="invalid")


def _bound(bind: Binder, key: Key, value: str | None) -> str:
    return f"{bind(value)}::text::{key.type}"


def _lexicographic(bind: Binder, keys: Sequence[Key], values: Sequence[str | None]) -> str:
    branches: list[str] = []
    equal: list[str] = []
    for key, value in zip(keys, values, strict=True):
        if value is not None:
            held = _bound(bind, key, value)
            beyond = f"{key.sql} {'<' if key.descending else '>'} {held}"
            if key.nullable and not key.nulls_first:
                beyond = f"({beyond} OR {key.sql} IS NULL)"
            branches.append(" AND ".join([*equal, beyond]))
            equal.append(f"{key.sql} = {held}")
        else:
            if key.nulls_first:
                branches.append(" AND ".join([*equal, f"{key.sql} IS NOT NULL"]))
            equal.append(f"{key.sql} IS NULL")
    return "(" + " OR ".join(f"({branch})" for branch in branches) + ")"


def snapshot_of(bind: Binder, cursor: Cursor | None) -> str:
    """The snapshot in which the search's first page was read."""
    if cursor is None:
        return "pg_current_snapshot()"
    return f"{bind(cursor.snapshot)}::text::pg_snapshot"
