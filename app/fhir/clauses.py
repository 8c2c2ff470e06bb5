"""Criteria become conditions on a row `r`; chains and `_has` become sub-selects on other tables.
https://hl7.org/fhir/R4/search.html#chaining · https://hl7.org/fhir/R4/search.html#has

Sub-selects stand for themselves (they name no outer row), so that `r` is always the row at hand;
the caller's restriction holds in each of them.

Which condition leads is decided here, not by the planner, where the planner is known to err: a
patient or an id leads; beside them, and for tokens that many rows have, the index on `tokens` is
kept out by writing the condition as `(…) IS TRUE`. Where neither is there, what is rare leads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.fhir.canonicals import select_forms
from app.fhir.conditions import (
    Binder,
    every,
    is_open_type,
    patient_of,
    present,
    some,
    text_of,
    token_entries,
    value_condition,
)
from app.fhir.criteria import AllOf, AnyOf, Chain, Condition, Criterion, Has, Not, flatten
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.literals import refused
from app.fhir.model import Restriction
from app.fhir.terms import needs_terms

IsDense = Callable[[str, str], bool]
"""(resource type, token entry) → whether so many rows have it that its index is no help."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement's conditions share. `snapshot`: the SQL of the first page's, where a
    further page is read as of it."""

    bind: Binder
    restriction: Restriction
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition on the row `r`. `rare`: few rows meet it, and an index finds them."""

    sql: str
    rare: bool = False


@dataclass(frozen=True, slots=True)
class Clauses:
    """Compiles criteria on rows of the layout's tables."""

    layout: Layout
    is_dense: IsDense

    def compile(
        self, scope: Scope, place: TypeLayout, criteria: Iterable[Criterion], *, led: bool
    ) -> list[Clause]:
        """One condition on the row `r` per criterion. `led`: another index leads already."""
        held = tuple(flatten(criteria))
        led = led or any(leads(place, criterion) for criterion in held)
        return [self._clause(scope, place, criterion, led) for criterion in held]

    def restricted(self, bind: Binder, place: TypeLayout, restriction: Restriction) -> list[str]:
        """What the caller's restriction adds: any of its searches of this type must match.

        What its own chains pass through is not restricted again: it says what may be seen.
        """
        if restriction.searches is None:
            return []
        scope = Scope(bind, Restriction())
        allowed = [
            f"({every(c.sql for c in self.compile(scope, place, search.conditions, led=True))})"
            for search in restriction.searches.get(place.resource_type, ())
        ]
        return [f"({' OR '.join(allowed)})" if allowed else "FALSE"]

    def _clause(self, scope: Scope, place: TypeLayout, criterion: Criterion, led: bool) -> Clause:
        match criterion:
            case Chain():
                return self._chain(scope, place, criterion, led)
            case Has():
                return self._has(scope, place, criterion, led)
            case AnyOf():
                return self._any(scope, place, criterion, led)
            case AllOf():
                held = self.compile(scope, place, criterion.criteria, led=led)
                return Clause(f"({every(clause.sql for clause in held)})")
            case Not():
                inner = self._clause(scope, place, criterion.criterion, led=True)
                return Clause(f"(({inner.sql}) IS NOT TRUE)")
            case Condition():
                return self._condition(scope.bind, place, criterion, led)

    def _any(self, scope: Scope, place: TypeLayout, criterion: AnyOf, led: bool) -> Clause:
        """Every way through its own index, or none through any."""
        if not led:
            mark = len(scope.bind.values)
            ways = [
                (self.compile(scope, place, (each,), led=False), leads(place, each))
                for each in criterion.criteria
            ]
            if all(leading or any(clause.rare for clause in way) for way, leading in ways):
                texts = (f"({every(clause.sql for clause in way)})" for way, _ in ways)
                return Clause(some(texts), rare=True)
            del scope.bind.values[mark:]
        held = (self.compile(scope, place, (each,), led=True) for each in criterion.criteria)
        return Clause(some(f"({every(clause.sql for clause in way)})" for way in held))

    # ---- sub-selects

    def _chain(self, scope: Scope, place: TypeLayout, chain: Chain, led: bool) -> Clause:
        home = place.homes[chain.code]
        target = self.layout[chain.target]
        if home.holds_canonicals:
            return self._canonical_chain(scope, target, chain, led)
        if home.on_patient and chain.target == "Patient":
            ids, few = self._select(scope, target, "r.id", (chain.criterion,))
            return _among("r.patient", ids, few, led)
        prefix = f"{chain.code}={chain.target}/"
        entries, few = self._select(scope, target, f"'{prefix}' || r.id", (chain.criterion,))
        return _sharing(entries, few and not led)

    def _canonical_chain(self, scope: Scope, target: TypeLayout, chain: Chain, led: bool) -> Clause:
        ids, few = self._select(scope, target, "r.id", (chain.criterion,))
        forms = self._forms(scope, target)
        entries = f"SELECT '{chain.code}' || n.form FROM ({forms}) n WHERE n.id IN ({ids})"
        return _sharing(entries, few and not led)

    def _has(self, scope: Scope, place: TypeLayout, has: Has, led: bool) -> Clause:
        source = self.layout[has.source]
        if source.homes[has.code].on_patient and place.resource_type == "Patient":
            ids, few = self._select(scope, source, "r.patient", (has.criterion,))
            return _among("r.id", ids, few, led)
        if source.homes[has.code].holds_canonicals:
            return self._canonical_has(scope, place, has, led)
        prefix = f"{has.code}={place.resource_type}/"
        ids, few = self._select(
            scope,
            source,
            f"substr(t, {len(prefix) + 1})",
            (has.criterion,),
            entries=prefix,
        )
        return _among("r.id", ids, few, led)

    def _canonical_has(self, scope: Scope, place: TypeLayout, has: Has, led: bool) -> Clause:
        source, sent = self.layout[has.source], f"substr(t, {len(has.code) + 1})"
        named, few = self._select(scope, source, sent, (has.criterion,), entries=has.code)
        forms = self._forms(scope, place)
        return _among("r.id", f"SELECT n.id FROM ({forms}) n WHERE n.form IN ({named})", few, led)

    def _forms(self, scope: Scope, place: TypeLayout) -> str:
        """Rows (id, form) of what the caller may see of this type."""
        restricted = self.restricted(scope.bind, place, scope.restriction)
        if scope.snapshot is None:
            return select_forms(place, restricted)
        current = f"pg_visible_in_snapshot(r.xid, {scope.snapshot})"
        return select_forms(place, [*restricted, current], superseded(scope.snapshot))

    def _select(
        self,
        scope: Scope,
        place: TypeLayout,
        what: str,
        criteria: Sequence[Criterion],
        entries: str | None = None,
    ) -> tuple[str, bool]:
        """`what` of the rows that meet the criteria, and whether an index finds them.

        `entries`: once per entry `t` of the row's tokens that begins so.
        """
        clauses = self.compile(scope, place, criteria, led=False)
        table, where = source_of(place, clauses)
        where += self.restricted(scope.bind, place, scope.restriction)
        few = any(clause.rare for clause in clauses)
        few = few or any(leads(place, criterion) for criterion in flatten(criteria))
        each, current, past = "", "", ""
        if entries is not None:
            each = ", unnest(r.tokens) t"
            where.append(f"starts_with(t, '{entries}')")
        if scope.snapshot is None:
            return f"SELECT {what} FROM {table}{each} WHERE {every(where)}", few
        current = f"pg_visible_in_snapshot(r.xid, {scope.snapshot})"
        past = every([*(clause.sql for clause in clauses), *superseded(scope.snapshot)])
        return (
            f"SELECT {what} FROM {table}{each} WHERE {every([*where, current])}"
            f" UNION ALL SELECT {what} FROM fhir.{place.table}_history r{each}"
            f" WHERE {every([*where, current, past])}"
        ), few

    # ---- conditions on the row itself

    def _condition(
        self, bind: Binder, place: TypeLayout, condition: Condition, led: bool
    ) -> Clause:
        home = place.homes[condition.code]
        if condition.modifier == "missing":
            held = present(bind, place, home)
            return Clause(f"NOT {held}" if text_of(condition.values[0]) == "true" else held)
        if home.kind == "id":
            ids = bind([text_of(value) for value in condition.values])
            negate = "NOT " if condition.modifier == "not" else ""
            return Clause(f"{negate}r.id = ANY({ids}::text[])")
        if needs_terms(condition):
            name = f"{condition.code}:{condition.modifier}"
            raise refused(name, "no terminology is at hand here", code="not-supported")
        if condition.modifier == "not":
            return Clause(f"NOT {self._tokens(bind, place, home, condition, led=True).sql}")
        if home.parameter.type in _TOKEN_TYPES and not _is_scan(home, condition):
            return self._tokens(bind, place, home, condition, led)
        return self._other(bind, place, home, condition, led)

    def _other(
        self, bind: Binder, place: TypeLayout, home: Home, condition: Condition, led: bool
    ) -> Clause:
        values = (
            value_condition(bind, place, home, condition.modifier, value)
            for value in condition.values
        )
        by_text = home.kind == "tokens" and condition.modifier == "text"
        by_string = home.kind == "strings" and condition.modifier in _INDEXED
        indexed = by_text or by_string or home.kind == "words"
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
        rare = not led and not any(self.is_dense(place.resource_type, entry) for entry in entries)
        if patients:
            wanted = bind(patients if len(patients) > 1 else patients[0])
            held = f"r.patient = {'ANY' if len(patients) > 1 else ''}({wanted})"
            either = some([held, *_overlaps(bind, entries, led=not rare)])
            return Clause(either, rare and bool(entries))
        return Clause(some(_overlaps(bind, entries, led=not rare)) if entries else "FALSE", rare)


_INDEXED = frozenset({None, "exact", "equals"})
_TOKEN_TYPES = frozenset({"token", "reference", "uri"})


def _is_scan(home: Home, condition: Condition) -> bool:
    """Whether it is not a matter of whole entries of `tokens`."""
    if condition.modifier == "below":
        return home.parameter.type == "uri" or home.holds_canonicals
    return condition.modifier == "text" and home.kind == "tokens"


def _overlaps(bind: Binder, entries: Sequence[str], *, led: bool) -> list[str]:
    if not entries:
        return []
    sql = f"r.tokens && {bind(list(entries))}::text[]"
    return [f"({sql}) IS TRUE" if led else sql]


def _sharing(entries: str, leads: bool) -> Clause:
    """One of the row's tokens is among the entries."""
    if leads:
        return Clause(f"r.tokens && ARRAY({entries})", rare=True)
    return Clause(f"EXISTS (SELECT FROM unnest(r.tokens) t WHERE t IN ({entries}))")


def _among(column: str, ids: str, few: bool, led: bool) -> Clause:
    if led:
        return Clause(f"({column} IN ({ids})) IS TRUE")
    if few:
        return Clause(f"{column} = ANY(ARRAY({ids}))", rare=True)
    return Clause(f"{column} IN ({ids})")


def leads(place: TypeLayout, criterion: Criterion) -> bool:
    """Whether this criterion alone leaves few rows: an id, or one patient."""
    if isinstance(criterion, AllOf):
        return any(leads(place, each) for each in criterion.criteria)
    if not isinstance(criterion, Condition):
        return False
    if criterion.modifier is not None and criterion.modifier not in place.homes:
        return criterion.modifier == "Patient" and place.homes[criterion.code].on_patient
    home = place.homes[criterion.code]
    if home.kind == "id":
        return True
    return home.on_patient and all(
        patient_of(value) is not None and not (is_open_type(value) and criterion.code != "patient")
        for value in criterion.values
    )


def superseded(snapshot: str) -> list[str]:
    """Rows of the history that were current in the snapshot."""
    return [
        f"r.superseded_xid >= pg_snapshot_xmin({snapshot})",
        f"NOT pg_visible_in_snapshot(r.superseded_xid, {snapshot})",
    ]


def source_of(place: TypeLayout, clauses: Sequence[Clause]) -> tuple[str, list[str]]:
    """Where rows come from, and what is left to ask of them.

    What is rare is fenced off (OFFSET 0): with a LIMIT the planner would rather walk the whole
    table in the wanted order, in the hope of meeting enough of them soon.
    """
    table = f"fhir.{place.table} r"
    rare = [clause.sql for clause in clauses if clause.rare]
    others = [clause.sql for clause in clauses if not clause.rare]
    if rare:
        table = f"(SELECT * FROM {table} WHERE {every(rare)} OFFSET 0) r"
    return table, others
