"""HTTP addresses of the trial's endpoints."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, Query, Request, Response

from app.endpoints.schemas import Definitions, PlateletChange, PlateletChangeSubjects, Problem
from app.endpoints.shell import Endpoints
from app.endpoints.shell import Query as EndpointQuery
from app.errors import Category, Issue, error, errors

PARAMETERS = ("cutoff", "asOf", "population")

CUTOFF = Query(
    None,
    description="Clinical data cut: a date (to its end, in the study's zone) or an instant. "
    "Default: asOf.",
    examples=["2025-12-31"],
)
AS_OF = Query(
    None,
    alias="asOf",
    description="System time: what was known then. Default and latest: the safe horizon.",
    examples=["2026-01-31T12:00:00+08:00"],
)
POPULATION = Query(
    None,
    description="enrolled, safety or efficacy. Default: the definition's.",
    examples=["efficacy"],
)


def build_router(endpoints: Endpoints) -> APIRouter:
    """`GET /endpoints…`; a parameter that is unknown or given twice is a 400 that names it."""
    router = APIRouter(prefix="/endpoints", tags=["endpoints"])

    @router.get(
        "",
        summary="Definitions of the trial's endpoints",
        response_class=Response,
        responses={200: {"model": Definitions}, 400: _problem("Unknown parameter")},
    )
    async def list_definitions(request: Request) -> Response:
        _check_parameters(request, ())
        return _json(endpoints.list_definitions())

    @router.get(
        "/platelet-change",
        summary="Change of the platelet count from baseline, per visit",
        response_class=Response,
        responses=_responses(PlateletChange),
    )
    async def platelet_change(
        request: Request,
        cutoff: str | None = CUTOFF,
        as_of: str | None = AS_OF,
        population: str | None = POPULATION,
    ) -> Response:
        _check_parameters(request, PARAMETERS)
        query = EndpointQuery(cutoff, as_of, population)
        return _json(await endpoints.answer_platelet_change(query))

    @router.get(
        "/platelet-change/subjects",
        summary="Each participant's counts with window, flags and inputs",
        response_class=Response,
        responses=_responses(PlateletChangeSubjects),
    )
    async def platelet_change_subjects(
        request: Request,
        cutoff: str | None = CUTOFF,
        as_of: str | None = AS_OF,
        population: str | None = POPULATION,
    ) -> Response:
        _check_parameters(request, PARAMETERS)
        query = EndpointQuery(cutoff, as_of, population)
        return _json(await endpoints.answer_platelet_change_subjects(query))

    @router.get("/{endpoint}", include_in_schema=False)
    async def unanswered(endpoint: str) -> Response:
        raise endpoints.explain_unanswered(endpoint)

    return router


def _json(answer: bytes) -> Response:
    return Response(answer, media_type="application/json")


def _responses(model: type[Any]) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"model": model},
        400: _problem("Unknown or malformed parameter, or asOf after the safe horizon"),
        503: _problem("The statistics process is busy or took too long: see Retry-After"),
    }


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "model": Problem}


def _check_parameters(request: Request, known: Collection[str]) -> None:
    given = [name for name, _ in request.query_params.multi_items()]
    unknown = [name for name in dict.fromkeys(given) if name not in known]
    if unknown:
        told = f"unknown parameter; known: {', '.join(known) or 'none'}"
        issues = [Issue("invalid", told, name) for name in unknown]
        raise errors(Category.INCORRECT, issues)
    for name in known:
        if given.count(name) > 1:
            raise error(Category.INCORRECT, "is given more than once", expression=name)
