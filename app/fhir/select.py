"""A search request becomes one SQL statement; every value is bound.
https://hl7.org/fhir/R4/search.html

Each search column stands on the row itself, so that a row of the history answers the same
conditions: a further page reads the current rows that its first page's snapshot saw, and the
superseded ones that were current then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from app.fhir.clauses import Clause, Clauses, IsDense, Scope, source_of, superseded
from app.fhir.conditions import (
    Binder,
    every,
    interval_condition_on,
    is_open_type,
    patient_of,
    some,
)
from app.fhir.criteria import Condition, Criterion, Token
from app.fhir.including import FEW_TARGETS, MAX_INCLUDED, include_on_page, targets_of_include
from app.fhir.layout import HotToken, Layout, TypeLayout
from app.fhir.model import EVERYTHING, Restriction
from app.fhir.order import Key, after_cursor, snapshot_of, sort_keys
from app.fhir.request import Include, SearchRequest, SortKey

ESTIMATED = 10_000
"""Up to here `_total=estimate` counts; beyond, it is the planner's guess."""


@dataclass(frozen=True, slots=True)
class Query:
    sql: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Compiler:
    """What compiling needs to know of the store."""

    layout: Layout
    is_dense: IsDense

    def select_for(self, request: SearchRequest, restriction: Restriction) -> Query:
        """The statement of one page: matches in order, one more than asked, then the included.

        Columns: mode (`total`, `match`, `include`), resource_type, id, body, keys (text[], a
        match's sort keys), snapshot (of the first page), tokens and patient (of matches whose
        includes are fetched apart), place. A row `total` has the number of matches as its id.
        """
        bind = Binder()
        snapshot = snapshot_of(bind, request.cursor)
        scope = Scope(bind, restriction, snapshot if request.cursor else None)
        selects = []
        if request.total == "accurate" or request.is_count:
            count = self._count(scope, request, snapshot, None)
            selects.append(
                f"SELECT 'total' AS mode, NULL::text AS resource_type, ({count})::text AS id,"
                f" NULL::json AS body, NULL::text[] AS keys, ({snapshot})::text AS snapshot,"
                " NULL::text[] AS tokens, NULL::text AS patient, 0::bigint AS place"
            )
        if request.is_count:
            return Query(selects[0], tuple(bind.values))
        page = self._page(scope, request, snapshot)
        held = "tokens, patient" if includes_apart(self.layout, request) else _NO_REFERENCES
        selects.append(
            "SELECT 'match' AS mode, resource_type, id, body, keys,"
            f" ({snapshot})::text AS snapshot, {held}, place FROM page"
        )
        included = self._included(scope, request)
        if included:
            selects.append(
                "(SELECT DISTINCT ON (resource_type, id) * FROM"
                f" ({' UNION ALL '.join(included)}) included LIMIT {MAX_INCLUDED + 1})"
            )
        sql = (
            f"WITH page AS MATERIALIZED ({page}) {' UNION ALL '.join(selects)}"
            " ORDER BY mode DESC, place"
        )
        return Query(sql, tuple(bind.values))

    def select_count(
        self, request: SearchRequest, restriction: Restriction, limit: int | None = None
    ) -> Query:
        """The number of matches (up to `limit`), in one row and column."""
        bind = Binder()
        snapshot = snapshot_of(bind, request.cursor)
        scope = Scope(bind, restriction, snapshot if request.cursor else None)
        return Query(f"SELECT ({self._count(scope, request, snapshot, limit)})", tuple(bind.values))

    def select_matches(self, request: SearchRequest, restriction: Restriction) -> Query:
        """The current matches as empty rows, to ask the planner how many it expects."""
        bind = Binder()
        scope = Scope(bind, restriction)
        texts = [
            self._matching(scope, part, request, "pg_current_snapshot()", None)
            for part in request.parts or (request,)
        ]
        return Query(" UNION ALL ".join(texts), tuple(bind.values))

    def clauses(
        self, bind: Binder, place: TypeLayout, conditions: Iterable[Criterion], *, led: bool
    ) -> list[Clause]:
        """One condition on the row `r` per search condition. `led`: another index leads already.

        Sub-selects are not restricted: for a caller who is, give a Scope to `compile_in`.
        """
        return self.compile_in(Scope(bind, EVERYTHING), place, conditions, led=led)

    def compile_in(
        self, scope: Scope, place: TypeLayout, criteria: Iterable[Criterion], *, led: bool
    ) -> list[Clause]:
        return Clauses(self.layout, self.is_dense).compile(scope, place, criteria, led=led)

    def restricted(self, bind: Binder, place: TypeLayout, restriction: Restriction) -> list[str]:
        """What the caller's restriction adds: any of its searches of this type must match."""
        return Clauses(self.layout, self.is_dense).restricted(bind, place, restriction)

    # ---- pages

    def _page(self, scope: Scope, request: SearchRequest, snapshot: str) -> str:
        """The page's rows in order (one more than asked), with what its includes need."""
        parts = request.parts or (request,)
        keys = sort_keys(self.layout[parts[0].resource_type], request)
        texts = [self._rows(scope, part, request, snapshot) for part in parts]
        rows = texts[0] if len(texts) == 1 else " UNION ALL ".join(f"({text})" for text in texts)
        held = ", ".join(f"k{n}::text" for n in range(len(keys)))
        order = ", ".join(f"k{n} {key.direction}" for n, key in enumerate(keys))
        return (
            f"SELECT *, ARRAY[{held}] AS keys, row_number() OVER (ORDER BY {order}) AS place"
            f" FROM ({rows}) rows ORDER BY {order} LIMIT {request.count + 1}"
        )

    def _rows(
        self, scope: Scope, part: SearchRequest, request: SearchRequest, snapshot: str
    ) -> str:
        """The first rows of one type. `part` has its conditions, `request` all else."""
        bind, place = scope.bind, self.layout[part.resource_type]
        keys = sort_keys(place, request)
        hot = self._hot(scope, place, request)
        clauses = self.compile_in(scope, place, part.conditions, led=bool(hot))
        filters = self._filters(scope, place, request, snapshot)
        if request.cursor and request.cursor.keys:
            filters.append(after_cursor(bind, keys, request.cursor))
        held = _columns(place, keys, request)
        tail = f"ORDER BY {', '.join(key.order for key in keys)} LIMIT {request.count + 1}"
        source, where = _source(place, hot, clauses)
        rows = f"SELECT {held} FROM {source} WHERE {every(where + filters)} {tail}"
        if hot:
            leading = tail.replace("r.id", "h.id").replace(f"r.{_hot_date(place)}_to", "h.date_to")
            rows = rows.removesuffix(tail) + leading
        if request.cursor:
            then = [*(clause.sql for clause in clauses), *filters, *superseded(snapshot)]
            past = f"SELECT {held} FROM fhir.{place.table}_history r WHERE {every(then)} {tail}"
            rows = f"({rows}) UNION ALL ({past})"
        return rows

    def _hot(self, scope: Scope, place: TypeLayout, request: SearchRequest) -> list[str]:
        """The narrow table leads, unless a chain leaves few rows: these are found first."""
        mark = len(scope.bind.values)
        others = [each for each in request.conditions if not isinstance(each, Condition)]
        clauses = self.compile_in(scope, place, others, led=False)
        del scope.bind.values[mark:]
        if request.parts or any(clause.rare for clause in clauses):
            return []
        return _hot_conditions(scope.bind, place, request)

    def _filters(
        self, scope: Scope, place: TypeLayout, request: SearchRequest, snapshot: str
    ) -> list[str]:
        """What must hold of every row beside the conditions of the search."""
        filters = self.restricted(scope.bind, place, scope.restriction)
        if request.is_poll:
            filters.append(f"r.xid < pg_snapshot_xmin({snapshot})")
        if request.cursor:
            filters.append(f"pg_visible_in_snapshot(r.xid, {snapshot})")
        return filters

    # ---- totals

    def _count(self, scope: Scope, request: SearchRequest, snapshot: str, limit: int | None) -> str:
        texts = [
            self._matching(scope, part, request, snapshot, limit)
            for part in request.parts or (request,)
        ]
        return f"SELECT count(*) FROM ({' UNION ALL '.join(texts)}) matching"

    def _matching(
        self,
        scope: Scope,
        part: SearchRequest,
        request: SearchRequest,
        snapshot: str,
        limit: int | None,
    ) -> str:
        """A row per match of one type: read through an index wherever there is one, since all of
        them have to be read; from the narrow table where that tells enough."""
        place = self.layout[part.resource_type]
        narrow = self._narrow(scope, place, part, request)
        if narrow:
            text = f"SELECT 1 FROM fhir.{place.table}_hot h WHERE {every(narrow)}"
            return f"({text} LIMIT {limit})" if limit is not None else f"({text})"
        compiler = Clauses(self.layout, _never_dense)
        clauses = compiler.compile(scope, place, part.conditions, led=False)
        filters = self._filters(scope, place, request, snapshot)
        source, where = _source(place, [], clauses)
        text = f"SELECT 1 FROM {source} WHERE {every(where + filters)}"
        if request.cursor:
            then = [*(clause.sql for clause in clauses), *filters, *superseded(snapshot)]
            text += f" UNION ALL SELECT 1 FROM fhir.{place.table}_history r WHERE {every(then)}"
        return f"({text} LIMIT {limit})" if limit is not None else f"({text})"

    def _narrow(
        self, scope: Scope, place: TypeLayout, part: SearchRequest, request: SearchRequest
    ) -> list[str]:
        if request.cursor or request.is_poll or not scope.restriction.is_open:
            return []
        return _hot_alone(scope.bind, place, part.conditions)

    # ---- includes

    def _included(self, scope: Scope, request: SearchRequest) -> list[str]:
        """One SELECT per included target type, of the resources the page's matches refer to."""
        if not request.includes or includes_apart(self.layout, request):
            return []
        source = self.layout[request.resource_type]
        return [
            include_on_page(
                scope.bind,
                source,
                include.code,
                self.layout[target],
                self.restricted(scope.bind, self.layout[target], scope.restriction),
                request.count,
            )
            for include in request.includes
            if include.source == request.resource_type
            for target in targets_of_include(self.layout, include)
        ]


def includes_apart(layout: Layout, request: SearchRequest) -> bool:
    """Whether what is included is fetched by statements of its own: where it is followed further,
    or backwards, or may be of so many types that one statement would grow too large."""
    if not request.includes:
        return False
    plain = not request.parts and all(
        not include.reverse and not include.iterate and not _is_indirect(layout, include)
        for include in request.includes
    )
    return (
        not plain
        or sum(len(targets_of_include(layout, include)) for include in request.includes)
        > FEW_TARGETS
    )


def _is_indirect(layout: Layout, include: Include) -> bool:
    """Whether the references do not name what they lead to: many of them, or canonicals."""
    return include.code == "*" or layout[include.source].homes[include.code].holds_canonicals


_NO_REFERENCES = "NULL::text[] AS tokens, NULL::text AS patient"


def _never_dense(_resource_type: str, _entry: str) -> bool:
    return False


def _columns(place: TypeLayout, keys: Sequence[Key], request: SearchRequest) -> str:
    """Id, body and sort keys of a row; its references only where the page includes any."""
    columns = [f"'{place.resource_type}'::text AS resource_type", "r.id", "r.body"]
    columns += [f"{key.sql} AS k{n}" for n, key in enumerate(keys)]
    if request.includes:
        columns.append("r.tokens")
        columns.append("r.patient" if place.has_patient else "NULL::text AS patient")
    return ", ".join(columns)


def _source(
    place: TypeLayout, hot: Sequence[str], clauses: Sequence[Clause]
) -> tuple[str, list[str]]:
    """Where rows come from, and what is left to ask of them: the narrow table where it leads."""
    if hot:
        where = [*hot, *(clause.sql for clause in clauses)]
        return f"fhir.{place.table}_hot h JOIN fhir.{place.table} r ON r.id = h.id", where
    return source_of(place, clauses)


def _hot_date(place: TypeLayout) -> str:
    return place.homes[place.hot.date].column if place.hot else ""


def _hot_conditions(bind: Binder, place: TypeLayout, request: SearchRequest) -> list[str]:
    """Conditions on the narrow table `h` where it can lead: one code, newest first."""
    if place.hot is None or request.sort != (SortKey(place.hot.date, True),):
        return []
    conditions = [each for each in request.conditions if isinstance(each, Condition)]
    where = _hot_token(bind, place, conditions)
    if not where:
        return []
    for condition in conditions:
        where += _hot_condition(bind, place, condition)
    if request.cursor is not None and request.cursor.keys:
        where.append(_hot_cursor(bind, place, request))
    return where


def _hot_token(bind: Binder, place: TypeLayout, conditions: Sequence[Condition]) -> list[str]:
    """The one code that is asked for, if it is one."""
    found = [each for each in conditions if place.hot and _is_hot(place.hot, each)]
    if len(found) != 1 or len(found[0].values) != 1:
        return []
    token = found[0].values[0]
    if not isinstance(token, Token) or token.code is None:
        return []
    where = [f"h.code = {bind(token.code)}"]
    if token.system is not None:
        where.append(f"{bind(token.system)} = ANY(h.systems)")
    return where


def _is_hot(hot: HotToken, condition: Condition) -> bool:
    return condition.code == hot.token and not condition.modifier


def _hot_alone(bind: Binder, place: TypeLayout, criteria: Sequence[Criterion]) -> list[str]:
    """The criteria as conditions on the narrow table alone; none where it can't tell all."""
    conditions = [each for each in criteria if isinstance(each, Condition)]
    if place.hot is None or len(conditions) < len(criteria):
        return []
    mark = len(bind.values)
    where = _hot_token(bind, place, conditions)
    others = [each for each in conditions if not _is_hot(place.hot, each)]
    parts = [_hot_condition(bind, place, each) for each in others]
    if where and all(parts):
        return [*where, *(text for part in parts for text in part)]
    del bind.values[mark:]
    return []


def _hot_condition(bind: Binder, place: TypeLayout, condition: Condition) -> list[str]:
    """What the narrow table itself can tell of a condition; the row is asked all of it anyway."""
    home = place.homes[condition.code]
    if condition.modifier or place.hot is None:
        return []
    if condition.code == place.hot.date:
        dates = (
            interval_condition_on(bind, "h.date_from", "h.date_to", v) for v in condition.values
        )
        return [some(dates)]
    if len(condition.values) == 1 and home.on_patient:
        patient = patient_of(condition.values[0])
        if patient is not None and not is_open_type(condition.values[0]):
            return [f"h.patient = {bind(patient)}"]
    return []


def _hot_cursor(bind: Binder, place: TypeLayout, request: SearchRequest) -> str:
    assert request.cursor is not None  # asked where there is one
    keys = sort_keys(place, request)
    text = after_cursor(bind, keys, request.cursor)
    return text.replace("r.id", "h.id").replace(f"r.{_hot_date(place)}_to", "h.date_to")
