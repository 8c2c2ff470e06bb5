"""`Observation/$lastn`: of every kind of observation the latest, per subject.
https://hl7.org/fhir/R4/observation-operation-lastn.html

Observations are of one kind where a coding joins their codes: LOINC beside a local code is the
same kind as LOINC alone. Those coded by text only are grouped by the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from app.fhir.conditions import Binder
from app.fhir.exchange import Request, Response
from app.fhir.operations.observations import (
    IS_NO_MISTAKE,
    OBSERVATION,
    conditions_of,
    parse_selection,
)
from app.fhir.operations.parameters import positive, read_parameters, refused
from app.fhir.operations.record import Asked, Operation
from app.fhir.operations.searchsets import Found, answer_searchset, link_to

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

MAX_LATEST = 1000
MAX_KINDS = 2000

_KIND = (
    "COALESCE((SELECT array_agg(t ORDER BY t) FROM unnest(r.tokens) t"
    " WHERE starts_with(t, 'code=')),"
    " ARRAY[COALESCE('text=' || (r.body->'code'->>'text'), 'none')])"
)
_SUBJECT = "(SELECT min(t) FROM unnest(r.tokens) t WHERE starts_with(t, 'subject='))"


async def tell_latest(app: FhirApp, request: Request) -> Response:
    """A searchset: kind by kind, each newest first."""
    parameters = read_parameters(request)
    latest = min(positive(parameters, "max", 1), MAX_LATEST)
    given = [
        (name, _as_text(name, value))
        for name, values in parameters.items()
        if name != "max"
        for value in values
    ]
    search = parse_selection(app, request, given)
    bind = Binder()
    where = f"{conditions_of(app, request, search, bind)} AND {IS_NO_MISTAKE}"
    async with app.store.searching() as connection:
        rows = await connection.fetch(
            f"SELECT DISTINCT {_KIND} AS kind FROM fhir.observation r WHERE {where}"
            f" LIMIT {MAX_KINDS}",
            *bind.values,
        )
        groups = join_kinds([row["kind"] for row in rows])
        sql = select_latest(bind, where, groups, latest)
        found = await connection.fetch(sql, *bind.values)
    matches = [Found(OBSERVATION, row["id"], row["body"]) for row in found]
    used = [("max", str(latest)), *search.used]
    return answer_searchset(
        matches, request=request, links=[("self", link_to(request, used))], total=len(matches)
    )


def join_kinds(kinds: Iterable[Sequence[str]]) -> dict[str, int]:
    """The number of its group for every coding; codings that stand together are one group."""
    leader: dict[str, str] = {}

    def find(coding: str) -> str:
        while leader.setdefault(coding, coding) != coding:
            coding = leader[coding]
        return coding

    for first, *others in kinds:
        for other in others:
            leader[find(other)] = find(first)
        find(first)
    numbers = {root: number for number, root in enumerate(sorted({find(c) for c in leader}))}
    return {coding: numbers[find(coding)] for coding in leader}


def select_latest(bind: Binder, where: str, groups: dict[str, int], latest: int) -> str:
    """The newest rows of every group and subject, by group."""
    codings, numbers = bind(list(groups)), bind(list(groups.values()))
    group = (
        f"(SELECT min(g.n) FROM unnest({codings}::text[], {numbers}::int[]) g(c, n)"
        f" WHERE g.c = ANY({_KIND}))"
    )
    ranked = (
        f"SELECT id, body, kind, subject, date_to, row_number() OVER"
        " (PARTITION BY kind, subject ORDER BY date_to DESC, id DESC) AS place"
        f" FROM (SELECT r.id, r.body, r.date_to, {group} AS kind, {_SUBJECT} AS subject"
        f" FROM fhir.observation r WHERE {where}) rows"
    )
    return (
        f"SELECT id, body FROM ({ranked}) ranked WHERE place <= {bind(latest)}"
        " ORDER BY kind, subject, place"
    )


def _as_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise refused(name, "must be text")
    return value


OPERATIONS = (
    Operation(
        "lastn",
        frozenset({OBSERVATION}),
        frozenset({"type"}),
        tell_latest,
        affects_state=False,
        definition="http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        answers="Bundle",
        asked=(Asked("max", "How many of each kind; at most 1000, by default 1", "positive"),),
        is_search=True,
    ),
)
