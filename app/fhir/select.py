"""A search request becomes one SQL statement; every value is bound.
https://hl7.org/fhir/R4/search.html

Each search column stands on the row itself, so that a row of the history answers the same
conditions: a further page reads the current rows that its first page's snapshot saw, and the
superseded ones that were current then.

Which condition leads is decided here, not by the planner, where the planner is known to err: a
patient or an id leads; beside them, and for tokens that many rows have, the index on `tokens` is
kept out by writing the condition as `(…) IS TRUE`. Where neither is there, a rare token leads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from app.fhir.conditions import (
    Binder,
    every,
    interval_condition_on,
    is_open_type,
    patient_of,
    present,
    some,
    text_of,
    token_entries,
    value_condition,
)
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.model import Restriction
from app.fhir.order import Key, after_cursor, snapshot_of, sort_keys
from app.fhir.request import Condition, Include, SearchRequest, SortKey, Token

MAX_INCLUDED = 1000
"""The most resources that one page includes."""

IsDense = Callable[[str, str], bool]
"""(resource type, token entry) → whether so many rows have it that its index is no help."""


@dataclass(frozen=True, slots=True)
class Query:
    sql: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition on the row `r`. `rare`: few rows meet it, and an index finds them."""

    sql: str
    rare: bool = False


@dataclass(frozen=True, slots=True)
class Compiler:
    """What compiling needs to know of the store."""

    layout: Layout
    is_dense: IsDense

    def select_for(self, request: SearchRequest, restriction: Restriction) -> Query:
        """The statement of one page: matches in order, one more than asked, then the included.

        Columns: mode (`match`, `include`), resource_type, id, body, keys (text[], a match's sort
        keys), snapshot (of the first page).
        """
        bind = Binder()
        place = self.layout[request.resource_type]
        snapshot = snapshot_of(bind, request.cursor)
        page = self._page(bind, place, request, restriction, snapshot)
        matches = (
            f"SELECT 'match' AS mode, '{place.resource_type}' AS resource_type, id, body, keys,"
            f" ({snapshot})::text AS snapshot, place FROM page"
        )
        includes = self._includes(bind, request, restriction)
        if includes:
            matches += (
                " UNION ALL (SELECT DISTINCT ON (resource_type, id) * FROM"
                f" ({' UNION ALL '.join(includes)}) included LIMIT {MAX_INCLUDED + 1})"
            )
        sql = f"WITH page AS MATERIALIZED ({page}) {matches} ORDER BY mode DESC, place"
        return Query(sql, tuple(bind.values))

    def _page(
        self,
        bind: Binder,
        place: TypeLayout,
        request: SearchRequest,
        restriction: Restriction,
        snapshot: str,
    ) -> str:
        """The page's rows in order (one more than asked), with what its includes need."""
        hot = _hot_conditions(bind, place, request)
        clauses = self.clauses(bind, place, request.conditions, led=bool(hot))
        filters = self.restricted(bind, place, restriction)
        if request.is_poll:
            filters.append(f"r.xid < pg_snapshot_xmin({snapshot})")
        keys = sort_keys(place, request.sort)
        if request.cursor:
            filters.append(after_cursor(bind, keys, request.cursor))
            filters.append(f"pg_visible_in_snapshot(r.xid, {snapshot})")
        held = _columns(place, keys, request)
        tail = f"ORDER BY {', '.join(key.order for key in keys)} LIMIT {request.count + 1}"
        source, where = _source(place, hot, clauses)
        rows = f"SELECT {held} FROM {source} WHERE {every(where + filters)} {tail}"
        if hot:
            leading = tail.replace("r.id", "h.id").replace(f"r.{_hot_date(place)}_to", "h.date_to")
            rows = rows.removesuffix(tail) + leading
        if request.cursor:
            then = [
                *(clause.sql for clause in clauses),
                *filters,
                f"r.superseded_xid >= pg_snapshot_xmin({snapshot})",
                f"NOT pg_visible_in_snapshot(r.superseded_xid, {snapshot})",
            ]
            past = f"SELECT {held} FROM fhir.{place.table}_history r WHERE {every(then)} {tail}"
            rows = f"({rows}) UNION ALL ({past})"
        text = ", ".join(f"k{n}::text" for n in range(len(keys)))
        order = ", ".join(f"k{n} {key.direction}" for n, key in enumerate(keys))
        return (
            f"SELECT *, ARRAY[{text}] AS keys, row_number() OVER (ORDER BY {order}) AS place"
            f" FROM ({rows}) rows ORDER BY {order} LIMIT {request.count + 1}"
        )

    def clauses(
        self, bind: Binder, place: TypeLayout, conditions: Iterable[Condition], *, led: bool
    ) -> list[Clause]:
        """One condition on the row `r` per search condition. `led`: another index leads already."""
        conditions = tuple(conditions)
        led = led or any(_leads(place, condition) for condition in conditions)
        return [self._condition(bind, place, condition, led) for condition in conditions]

    def restricted(self, bind: Binder, place: TypeLayout, restriction: Restriction) -> list[str]:
        """What the caller's restriction adds: any of its searches of this type must match."""
        if restriction.searches is None:
            return []
        allowed = [
            f"({every(c.sql for c in self.clauses(bind, place, search.conditions, led=True))})"
            for search in restriction.searches.get(place.resource_type, ())
        ]
        return [f"({' OR '.join(allowed)})" if allowed else "FALSE"]

    def _condition(
        self, bind: Binder, place: TypeLayout, condition: Condition, led: bool
    ) -> Clause:
        home = place.homes[condition.code]
        if condition.modifier == "missing":
            held = present(bind, place, home)
            return Clause(f"NOT {held}" if text_of(condition.values[0]) == "true" else held)
        if home.kind == "id":
            ids = [text_of(value) for value in condition.values]
            return Clause(f"r.id = ANY({bind(ids)}::text[])")
        if condition.modifier == "not":
            return Clause(f"NOT {self._tokens(bind, place, home, condition, led=True).sql}")
        if home.parameter.type in _TOKEN_TYPES:
            return self._tokens(bind, place, home, condition, led)
        values = (
            value_condition(bind, place, home, condition.modifier, value)
            for value in condition.values
        )
        indexed = home.kind == "strings" and condition.modifier != "contains"
        return Clause(some(values), rare=indexed and not led)

    def _tokens(
        self, bind: Binder, place: TypeLayout, home: Home, condition: Condition, led: bool
    ) -> Clause:
        entries: list[str] = []
        patients: list[str] = []
        for value in condition.values:
            if home.on_patient and condition.modifier != "identifier":
                held = patient_of(value)
                if held is not None:
                    patients.append(held)
                    if condition.code == "patient" or not is_open_type(value):
                        continue
            for part in home.parts or (home.parameter.code,):
                entries += token_entries(part, condition.modifier, value)
        if patients:
            wanted = bind(patients if len(patients) > 1 else patients[0])
            held = f"r.patient = {'ANY' if len(patients) > 1 else ''}({wanted})"
            return Clause(some([held, *self._overlaps(bind, place, entries, led=True)]))
        rare = not led and not any(self.is_dense(place.resource_type, entry) for entry in entries)
        return Clause(some(self._overlaps(bind, place, entries, led=not rare)), rare)

    def _overlaps(
        self, bind: Binder, place: TypeLayout, entries: Sequence[str], *, led: bool
    ) -> list[str]:
        if not entries:
            return []
        sql = f"r.tokens && {bind(list(entries))}::text[]"
        return [f"({sql}) IS TRUE" if led else sql]

    def _includes(
        self, bind: Binder, request: SearchRequest, restriction: Restriction
    ) -> list[str]:
        """One SELECT per included target type, of the resources the page's matches refer to."""
        return [
            self._include(
                bind, self.layout[include.source], include, target, restriction, request.count
            )
            for include in request.includes
            if include.source == request.resource_type
            for target in self._targets(include)
        ]

    def _targets(self, include: Include) -> list[str]:
        targets = self.layout[include.source].homes[include.code].parameter.targets
        wanted = (include.target,) if include.target else targets or tuple(self.layout)
        return [target for target in wanted if target in self.layout]

    def _include(
        self,
        bind: Binder,
        source: TypeLayout,
        include: Include,
        target: str,
        restriction: Restriction,
        count: int,
    ) -> str:
        home = source.homes[include.code]
        place = self.layout[target]
        where = self.restricted(bind, place, restriction)
        on_page = f"p.place <= {count}"
        if home.on_patient and target == "Patient":
            ids = f"SELECT p.patient FROM page p WHERE {on_page}"
        else:
            prefix = bind(f"{include.code}={target}/")
            ids = (
                f"SELECT substr(t, length({prefix}::text) + 1) FROM page p, unnest(p.tokens) t"
                f" WHERE {on_page} AND starts_with(t, {prefix}::text)"
            )
        where.append(f"r.id IN ({ids})")
        if target == include.source:
            where.append(f"r.id NOT IN (SELECT p.id FROM page p WHERE {on_page})")
        return (
            f"SELECT 'include' AS mode, '{target}' AS resource_type, r.id, r.body,"
            f" NULL::text[], NULL::text, 0 FROM fhir.{place.table} r WHERE {every(where)}"
        )


_TOKEN_TYPES = frozenset({"token", "reference", "uri"})


def _leads(place: TypeLayout, condition: Condition) -> bool:
    """Whether this condition alone leaves few rows: an id, or one patient."""
    if condition.modifier is not None and condition.modifier not in place.homes:
        return condition.modifier == "Patient" and place.homes[condition.code].on_patient
    home = place.homes[condition.code]
    if home.kind == "id":
        return True
    return home.on_patient and all(patient_of(value) is not None for value in condition.values)


def _columns(place: TypeLayout, keys: Sequence[Key], request: SearchRequest) -> str:
    """Id, body and sort keys of a row; its references only where the page includes any."""
    columns = ["r.id", "r.body", *(f"{key.sql} AS k{n}" for n, key in enumerate(keys))]
    if request.includes:
        columns += ["r.tokens", "r.patient"] if place.has_patient else ["r.tokens"]
    return ", ".join(columns)


def _source(
    place: TypeLayout, hot: Sequence[str], clauses: Sequence[Clause]
) -> tuple[str, list[str]]:
    """Where rows come from, and what is left to ask of them.

    Rare terms are fenced off (OFFSET 0): with a LIMIT the planner would rather walk the whole
    table in the wanted order, in the hope of meeting enough of them soon.
    """
    table = f"fhir.{place.table} r"
    if hot:
        where = [*hot, *(clause.sql for clause in clauses)]
        return f"fhir.{place.table}_hot h JOIN {table} ON r.id = h.id", where
    rare = [clause.sql for clause in clauses if clause.rare]
    others = [clause.sql for clause in clauses if not clause.rare]
    if rare:
        table = f"(SELECT * FROM {table} WHERE {every(rare)} OFFSET 0) r"
    return table, others


def _hot_date(place: TypeLayout) -> str:
    return place.homes[place.hot.date].column if place.hot else ""


def _hot_conditions(bind: Binder, place: TypeLayout, request: SearchRequest) -> list[str]:
    """Conditions on the narrow table `h` where it can lead: one code, newest first."""
    if place.hot is None or request.sort != (SortKey(place.hot.date, True),):
        return []
    found = [c for c in request.conditions if c.code == place.hot.token and not c.modifier]
    if len(found) != 1 or len(found[0].values) != 1:
        return []
    token = found[0].values[0]
    if not isinstance(token, Token) or token.code is None:
        return []
    where = [f"h.code = {bind(token.code)}"]
    if token.system is not None:
        where.append(f"{bind(token.system)} = ANY(h.systems)")
    for condition in request.conditions:
        home = place.homes[condition.code]
        if len(condition.values) == 1 and home.on_patient and not condition.modifier:
            patient = patient_of(condition.values[0])
            if patient is not None and not is_open_type(condition.values[0]):
                where.append(f"h.patient = {bind(patient)}")
        if condition.code == place.hot.date and not condition.modifier:
            dates = (
                interval_condition_on(bind, "h.date_from", "h.date_to", v) for v in condition.values
            )
            where.append(some(dates))
    if request.cursor is not None:
        at, last = request.cursor.keys
        where.append(f"(h.date_to, h.id) < ({bind(at)}::text::timestamptz, {bind(last)}::text)")
    return where
