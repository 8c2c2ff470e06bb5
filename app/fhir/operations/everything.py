"""`Patient/[id]/$everything`: the patient's compartment, page by page, and what it refers to;
`Patient/$everything`: the same of all patients whom the caller may see, none twice.
https://hl7.org/fhir/R4/patient-operation-everything.html

A page holds the snapshot of the first one. What refers to the patient only as a member of a group
brings no other patient along: of the resources referred to, those of other patients stay out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.errors import Category, error
from app.fhir.clauses import Scope, superseded
from app.fhir.codec import parse_json
from app.fhir.conditions import Binder, every, some
from app.fhir.criteria import AllOf, Chain, Condition, Criterion, Reference
from app.fhir.exchange import Request, Response
from app.fhir.layout import Layout, TypeLayout
from app.fhir.model import Caller
from app.fhir.operations.parameters import (
    Parameters,
    listed,
    positive,
    read_known,
    refused,
    text,
)
from app.fhir.operations.record import Asked, Operation
from app.fhir.operations.searchsets import Found, answer_searchset, link_to
from app.fhir.order import snapshot_of
from app.fhir.registry import Registry
from app.fhir.request import Cursor, dump_cursor, parse_cursor
from app.fhir.select import Compiler
from app.fhir.times import parse_date

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

DEFAULT_COUNT = 1000
MAX_COUNT = 1000
PATIENT = "Patient"

CARE_DATES: Mapping[str, str] = {
    "AdverseEvent": "date",
    "AuditEvent": "date",
    "CarePlan": "date",
    "Condition": "onset-date",
    "Consent": "date",
    "DiagnosticReport": "date",
    "DocumentReference": "period",
    "Encounter": "date",
    "List": "date",
    "MeasureReport": "period",
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon",
    "MedicationStatement": "effective",
    "Observation": "date",
    "Procedure": "date",
    "Provenance": "recorded",
    "QuestionnaireResponse": "authored",
    "ResearchSubject": "date",
    "ServiceRequest": "occurrence",
    "Specimen": "collected",
    "Task": "period",
}
"""The parameter that tells when the care took place. Types without one, and resources that give no
such date, belong to every period."""

_REFERENCE = re.compile(
    r"(?:(?P<base>https?://.+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?(?:#.*)?"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the client asked for. `patient` None: all patients; `types` empty: all; `start` and
    `end` limit the care dates."""

    patient: str | None
    types: frozenset[str]
    start: datetime | None
    end: datetime | None
    since: datetime | None
    count: int
    cursor: Cursor | None


async def tell_everything(app: FhirApp, request: Request) -> Response:
    """One page of the compartment, ordered by type and id."""
    parameters = read_known(request, _PARAMETERS)
    patient = request.path[1] if len(request.path) == 3 else None
    wish = _parse_wish(app, patient, parameters)
    if patient is not None:
        await _check_patient(app, request.caller, patient)
    members = list(_members(app.registry, app.layout, wish))
    sql, args = select_members(app.store.compiler, members, wish, request.caller)
    async with app.store.searching() as connection:
        rows = await connection.fetch(sql, *args) if members else []
        matches = [Found(r["resource_type"], r["id"], r["body"]) for r in rows[: wish.count]]
        wanted = _references(matches, request.base_url)
        query = select_referred(app.store.compiler, wanted, wish, request.caller)
        found = await connection.fetch(*query) if query else []
    included = [Found(r["resource_type"], r["id"], r["body"]) for r in found]
    following = None
    if len(rows) > wish.count:
        last = rows[wish.count - 1]
        following = Cursor(last["snapshot"], (str(last["place"]), last["id"]))
    links = _links(request, parameters, following)
    is_all = following is None and wish.cursor is None
    total = len(matches) if is_all else None
    return answer_searchset(matches, included, request=request, links=links, total=total)


_PARAMETERS = ("start", "end", "_since", "_type", "_count", "_cursor")


def _links(
    request: Request, parameters: Parameters, following: Cursor | None
) -> list[tuple[str, str]]:
    given = [(name, str(value)) for name, values in parameters.items() for value in values]
    links = [("self", link_to(request, given))]
    if following is not None:
        kept = [(name, value) for name, value in given if name != "_cursor"]
        links.append(("next", link_to(request, [*kept, ("_cursor", dump_cursor(following))])))
    return links


def _parse_wish(app: FhirApp, patient: str | None, parameters: Parameters) -> Wish:
    types = frozenset(listed(parameters, "_type"))
    for name in sorted(types - app.layout.keys()):
        raise refused("_type", f"'{name[:64]}' is no resource type of this server")
    cursor = text(parameters, "_cursor")
    return Wish(
        patient,
        types,
        _instant(app, parameters, "start", at_end=False),
        _instant(app, parameters, "end", at_end=True),
        _instant(app, parameters, "_since", at_end=False),
        min(positive(parameters, "_count", DEFAULT_COUNT), MAX_COUNT),
        _place_of(cursor) if cursor else None,
    )


def _is_number(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit() and len(text) < 10


def _place_of(cursor: str) -> Cursor:
    place = parse_cursor(cursor)
    if len(place.keys) != 2 or not _is_number(place.keys[0]) or place.keys[1] is None:
        raise refused("_cursor", "not a page link of this operation; start anew")
    return place


def _instant(app: FhirApp, parameters: Parameters, name: str, *, at_end: bool) -> datetime | None:
    value = text(parameters, name)
    if value is None:
        return None
    try:
        interval = parse_date(value.replace(" ", "+"), app.settings.zone)
    except (ValueError, OverflowError):
        raise refused(name, "must be a date or an instant") from None
    return interval.end if at_end else interval.start


async def _check_patient(app: FhirApp, caller: Caller, id: str) -> None:
    stored = await app.store.read(caller, PATIENT, id)
    if stored is None:
        raise error(Category.NOT_FOUND, f"{PATIENT}/{id} is not known")
    if stored.body is None:
        raise error(Category.NOT_FOUND, f"{PATIENT}/{id} was deleted", code="deleted", status=410)


# The compartment


Member = tuple[int, TypeLayout, tuple[str, ...]]
"""(place in the order, the type, the parameters that put it into the compartment)."""


def _members(registry: Registry, layout: Layout, wish: Wish) -> Iterator[Member]:
    """The types of the compartment that the server holds, the patient first."""
    compartment = registry.compartment(PATIENT)
    names = [PATIENT, *sorted(name for name in compartment if name != PATIENT)]
    for number, name in enumerate(names):
        if name in layout and (not wish.types or name in wish.types):
            codes = tuple(c for c in compartment.get(name, ()) if c in layout[name].homes)
            if codes or name == PATIENT:
                yield number, layout[name], codes


def select_members(
    compiler: Compiler, members: Sequence[Member], wish: Wish, caller: Caller
) -> tuple[str, tuple[Any, ...]]:
    """One statement for the page: a branch per type, one row more than asked for."""
    bind = Binder()
    snapshot = snapshot_of(bind, wish.cursor)
    branches = [
        branch
        for member in members
        for branch in _branches(bind, compiler, member, wish, caller, snapshot)
    ]
    limit = bind(wish.count + 1)
    sql = (
        f"SELECT *, ({snapshot})::text AS snapshot FROM ({' UNION ALL '.join(branches)}) found"
        f" ORDER BY place, id LIMIT {limit}"
    )
    return sql, tuple(bind.values)


def _branches(
    bind: Binder, compiler: Compiler, member: Member, wish: Wish, caller: Caller, snapshot: str
) -> Iterator[str]:
    """The current rows of a type and, on a further page, those that were current on the first."""
    number, place, codes = member
    if wish.cursor is not None and number < int(wish.cursor.keys[0] or 0):
        return
    scope = Scope(bind, caller.restriction, snapshot if wish.cursor else None)
    belongs = _is_member(scope, compiler, place, codes, wish)
    where = [*_limits(bind, place, wish), *compiler.restricted(bind, place, caller.restriction)]
    if wish.cursor is not None:
        where.append(f"pg_visible_in_snapshot(r.xid, {snapshot})")
        if number == int(wish.cursor.keys[0] or 0):
            where.append(f"r.id > {bind(wish.cursor.keys[1])}::text")
    columns = f"{number} AS place, '{place.resource_type}' AS resource_type, r.id, r.body"
    tail = f"ORDER BY r.id LIMIT {wish.count + 1}"
    table = f"fhir.{place.table}"
    rows = f"{table} r" if wish.patient is None else _fenced(table, belongs)
    held = every([belongs, *where] if wish.patient is None else where)
    yield f"(SELECT {columns} FROM {rows} WHERE {held} {tail})"
    if wish.cursor is not None:
        rows = _fenced(f"fhir.{place.table}_history", every([belongs, *superseded(snapshot)]))
        yield f"(SELECT {columns} FROM {rows} WHERE {every(where)} {tail})"


def _fenced(table: str, condition: str) -> str:
    """The rows that meet the condition, found first: with a LIMIT the planner might rather walk the
    whole table in the order of ids."""
    return f"(SELECT * FROM {table} r WHERE {condition} OFFSET 0) r"


def _is_member(
    scope: Scope, compiler: Compiler, place: TypeLayout, codes: Sequence[str], wish: Wish
) -> str:
    if place.resource_type == PATIENT and wish.patient is None:
        return "TRUE"
    ways = [_refers(code, wish.patient) for code in codes]
    clauses = [compiler.compile_in(scope, place, [each], led=False)[0] for each in ways]
    own = [f"r.id = {scope.bind(wish.patient)}::text"] if place.resource_type == PATIENT else []
    return some([*own, *(f"({clause.sql})" for clause in clauses)])


def _refers(code: str, patient: str | None) -> Criterion:
    """To the patient, or to any whom the caller may see."""
    if patient is None:
        return Chain(code, PATIENT, AllOf(()))
    return Condition(code, None, (Reference(PATIENT, patient),))


def _limits(bind: Binder, place: TypeLayout, wish: Wish) -> Iterator[str]:
    """When it was stored and when the care took place; no date belongs to every period."""
    if wish.since is not None:
        yield f"r.last_updated >= {bind(wish.since)}::timestamptz"
    home = place.homes.get(CARE_DATES.get(place.resource_type, ""))
    if home is None:
        return
    begins, ends = f"r.{home.column}_from", f"r.{home.column}_to"
    if wish.start is not None:
        yield f"({ends} > {bind(wish.start)}::timestamptz OR {begins} > {ends})"
    if wish.end is not None:
        yield f"({begins} < {bind(wish.end)}::timestamptz OR {begins} > {ends})"


# What it refers to


def _references(matches: Iterable[Found], base_url: str) -> dict[str, set[str]]:
    """The ids that the resources refer to, by type, without the resources themselves."""
    here = {(found.resource_type, found.id) for found in matches}
    wanted: dict[str, set[str]] = {}
    for found in matches:
        for literal in _literals(parse_json(found.body)):
            match = _REFERENCE.fullmatch(literal)
            if match is None or match["base"] not in (None, base_url):
                continue
            if (match["type"], match["id"]) not in here:
                wanted.setdefault(match["type"], set()).add(match["id"])
    return wanted


def _literals(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node["reference"]
        for child in node.values():
            yield from _literals(child)
    elif isinstance(node, list):
        for child in node:
            yield from _literals(child)


def select_referred(
    compiler: Compiler, wanted: Mapping[str, set[str]], wish: Wish, caller: Caller
) -> tuple[Any, ...] | None:
    """The statement (and its values) that reads what is referred to; None: nothing to read."""
    bind = Binder()
    selects = []
    for name in sorted(wanted.keys() & compiler.layout.keys() - {PATIENT}):
        if wish.types and name not in wish.types:
            continue
        place = compiler.layout[name]
        where = [
            f"r.id = ANY({bind(sorted(wanted[name]))}::text[])",
            *_limits(bind, place, wish),
            *compiler.restricted(bind, place, caller.restriction),
        ]
        if place.has_patient:
            where.append("r.patient IS NULL")
        table = f"fhir.{place.table} r WHERE {every(where)}"
        selects.append(f"SELECT '{name}' AS resource_type, r.id, r.body FROM {table}")
    return (" UNION ALL ".join(selects), *bind.values) if selects else None


_ASKED = (
    Asked("start", "Care at or after this date", "date"),
    Asked("end", "Care at or before this date", "date"),
    Asked("_since", "Resources written at or after this instant", "instant"),
    Asked("_type", "Resource types, separated by commas", "types"),
    Asked("_count", f"Resources per page, at most {MAX_COUNT}", "positive"),
)

OPERATIONS = (
    Operation(
        "everything",
        frozenset({PATIENT}),
        frozenset({"instance", "type"}),
        tell_everything,
        affects_state=False,
        definition="http://hl7.org/fhir/OperationDefinition/Patient-everything",
        answers="Bundle",
        asked=_ASKED,
    ),
)
