"""What `$lastn` and `$stats` share: which Observations, and under which search conditions.
https://hl7.org/fhir/R4/observation-operations.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.errors import Category, SsciError, error
from app.fhir.clauses import Scope
from app.fhir.conditions import Binder, every
from app.fhir.criteria import Condition
from app.fhir.exchange import Request
from app.fhir.operations.parameters import is_lenient
from app.fhir.request import SearchRequest, parse_search

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

OBSERVATION = "Observation"
IS_NO_MISTAKE = "(r.tokens @> ARRAY['status:entered-in-error']) IS NOT TRUE"
"""What was entered in error is no measurement."""

_FOREIGN = ("_sort", "_count", "_include", "_revinclude", "_cursor", "_summary", "_elements")


def parse_selection(
    app: FhirApp, request: Request, parameters: Sequence[tuple[str, str]]
) -> SearchRequest:
    """The search that chooses the Observations; result parameters have no place here."""
    lenient = is_lenient(request)
    foreign = [name for name, _ in parameters if name.partition(":")[0] in _FOREIGN]
    if foreign and not lenient:
        raise _refuse_foreign(foreign[0])
    kept = [pair for pair in parameters if pair[0].partition(":")[0] not in _FOREIGN]
    return parse_search(app.reading(request), OBSERVATION, kept, lenient=lenient)


def conditions_of(
    app: FhirApp, request: Request, search: SearchRequest, bind: Binder, *more: Condition
) -> str:
    """What the search, its restriction and common sense ask of the row `r`."""
    compiler, place = app.store.compiler, app.layout[OBSERVATION]
    scope = Scope(bind, request.caller.restriction)
    clauses = compiler.compile_in(scope, place, (*search.conditions, *more), led=False)
    allowed = compiler.restricted(bind, place, request.caller.restriction)
    return every([*(clause.sql for clause in clauses), *allowed])


def _refuse_foreign(name: str) -> SsciError:
    text = f"{name}: has no place in this operation"
    return error(Category.INCORRECT, text, expression=f"http.{name}", code="not-supported")
