"""HTTP addresses of the trial's endpoints."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, Path, Query, Request, Response

from app.endpoints.catalogue import CATALOGUE, PARAMETERS
from app.endpoints.schemas import Definitions, EndpointAnswer, EndpointSubjects, Problem
from app.endpoints.shell import FIGURES, SUBJECTS, Endpoints
from app.endpoints.shell import Query as EndpointQuery
from app.endpoints.timeline_schemas import Timeline
from app.errors import Category, Issue, error, errors

CLOCKS = ("cutoff", "asOf")
COMMON = (*CLOCKS, "population", "definition")
MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}

ENDPOINT = Path(
    description="One of the ids under GET /endpoints.",
    json_schema_extra={"enum": [*CATALOGUE]},
    examples=["platelet-change"],
)
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
    description="One of `populations` under GET /endpoints. Default: the definition's.",
    examples=["efficacy"],
)
SUBGROUP = Query(
    None,
    description="Figures also per level of one of `subgroups` under GET /endpoints.",
    examples=["baseline"],
)
DEFINITION = Query(None, description="Version of the definition. Default: its default version.")
FORMAT = Query("json", description="json or csv", examples=["csv"])
FORM = Path(description="svg or png", json_schema_extra={"enum": ["svg", "png"]})
AFTER = Query(None, description="Participants after this subject number; 1,000 at most are told.")
PLOT = Query(None, description="One of the endpoint's plots. Default: the first.")
RULE = Query(None, description=PARAMETERS["rule"].description, examples=["REGISTRY"])
VISIT = Query(None, description=PARAMETERS["visit"].description, examples=["M6"])
INTERVAL = Query(None, description=PARAMETERS["interval"].description, examples=["wilson"])


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
        check_parameters(request, ())
        return build_response(endpoints.list_definitions(), "json")

    @router.get(
        "/{endpoint}",
        summary="One endpoint's figures",
        response_class=Response,
        responses=_responses(EndpointAnswer),
    )
    async def figures(
        request: Request,
        endpoint: str = ENDPOINT,
        cutoff: str | None = CUTOFF,
        as_of: str | None = AS_OF,
        population: str | None = POPULATION,
        subgroup: str | None = SUBGROUP,
        rule: str | None = RULE,
        visit: str | None = VISIT,
        interval: str | None = INTERVAL,
        definition: str | None = DEFINITION,
        format: str = FORMAT,
    ) -> Response:
        query = _query(endpoints, request, endpoint, ("subgroup", "format"))
        form = _format(format, ("json", "csv"))
        return build_response(await endpoints.answer(endpoint, query, FIGURES, form), form)

    @router.get(
        "/{endpoint}/subjects",
        summary="One endpoint's participants: rows, windows, flags and inputs",
        response_class=Response,
        responses=_responses(EndpointSubjects),
    )
    async def subjects(
        request: Request,
        endpoint: str = ENDPOINT,
        cutoff: str | None = CUTOFF,
        as_of: str | None = AS_OF,
        population: str | None = POPULATION,
        rule: str | None = RULE,
        visit: str | None = VISIT,
        interval: str | None = INTERVAL,
        definition: str | None = DEFINITION,
        after: str | None = AFTER,
        format: str = FORMAT,
    ) -> Response:
        query = _query(endpoints, request, endpoint, ("after", "format"))
        form = _format(format, ("json", "csv"))
        return build_response(await endpoints.answer(endpoint, query, SUBJECTS, form), form)

    @router.get(
        "/{endpoint}/plot.{form}",
        summary="One endpoint drawn",
        response_class=Response,
        responses={
            200: {"content": {"image/svg+xml": {}, "image/png": {}}},
            400: _problem("Unknown or malformed parameter"),
        },
    )
    async def plot(
        request: Request,
        endpoint: str = ENDPOINT,
        form: str = FORM,
        plot: str | None = PLOT,
        cutoff: str | None = CUTOFF,
        as_of: str | None = AS_OF,
        population: str | None = POPULATION,
        rule: str | None = RULE,
        visit: str | None = VISIT,
        interval: str | None = INTERVAL,
        definition: str | None = DEFINITION,
    ) -> Response:
        query = _query(endpoints, request, endpoint, ("plot",))
        form = _format(form, ("svg", "png"))
        view = f"plot:{_plot(endpoint, plot)}"
        return build_response(await endpoints.answer(endpoint, query, view, form), form)

    return router


def build_timeline_router(endpoints: Endpoints) -> APIRouter:
    """`GET /trial/subjects/{number}/timeline…`: one participant, told or drawn."""
    router = APIRouter(prefix="/trial/subjects", tags=["trial"])

    @router.get(
        "/{number}/timeline",
        summary="All that is known of one subject, in order of time",
        response_class=Response,
        responses=TIMELINE_PROBLEMS | {200: {"model": Timeline}},
    )
    async def timeline(
        request: Request, number: str, cutoff: str | None = CUTOFF, as_of: str | None = AS_OF
    ) -> Response:
        query = _clocks(request)
        return build_response(await endpoints.tell_timeline(number, query), "json")

    @router.get(
        "/{number}/timeline.{form}",
        summary="One subject's platelets, doses, troughs and events on one time axis",
        response_class=Response,
        responses=TIMELINE_PROBLEMS | {200: {"content": {"image/svg+xml": {}, "image/png": {}}}},
    )
    async def draw_timeline(
        request: Request,
        number: str,
        form: str = FORM,
        cutoff: str | None = CUTOFF,
        as_of: str | None = AS_OF,
    ) -> Response:
        query, form = _clocks(request), _format(form, ("svg", "png"))
        return build_response(await endpoints.tell_timeline(number, query, form), form)

    return router


def _clocks(request: Request) -> EndpointQuery:
    check_parameters(request, CLOCKS)
    given = request.query_params
    return EndpointQuery(cutoff=given.get("cutoff"), as_of=given.get("asOf"))


def build_response(answer: bytes, form: str) -> Response:
    return Response(answer, media_type=MEDIA_TYPES[form])


def _query(
    endpoints: Endpoints, request: Request, endpoint: str, more: Collection[str]
) -> EndpointQuery:
    endpoints.find_definition(endpoint)
    own = tuple(each.name for each in CATALOGUE[endpoint].parameters)
    check_parameters(request, (*COMMON, *own, *more))
    given = request.query_params
    return EndpointQuery(
        cutoff=given.get("cutoff"),
        as_of=given.get("asOf"),
        population=given.get("population"),
        subgroup=given.get("subgroup"),
        version=given.get("definition"),
        after=given.get("after"),
        others={name: given[name] for name in own if name in given},
    )


def _plot(endpoint: str, asked: str | None) -> str:
    known = CATALOGUE[endpoint].plots
    if not known:
        raise error(Category.NOT_FOUND, f"{endpoint} has no plot")
    if asked is None or asked in known:
        return asked or known[0]
    raise error(Category.INCORRECT, f"must be one of {', '.join(known)}", expression="plot")


def _format(asked: str, known: Collection[str]) -> str:
    if asked in known:
        return asked
    raise error(Category.INCORRECT, f"must be one of {', '.join(known)}", expression="format")


def _responses(model: type[Any]) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"model": model, "content": {"text/csv": {}}},
        400: _problem("Unknown or malformed parameter, or asOf after the safe horizon"),
        404: _problem("No such endpoint"),
        501: _problem("Defined, but not answered by this release"),
        503: _problem("The statistics process is busy or took too long: see Retry-After"),
    }


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "model": Problem}


TIMELINE_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("Unknown or malformed parameter, or asOf after the safe horizon"),
    404: _problem("Nobody was enrolled under this number"),
    503: _problem("The statistics process is busy or took too long: see Retry-After"),
}


def check_parameters(request: Request, known: Collection[str]) -> None:
    """INCORRECT names each parameter that is unknown or given more than once."""
    given = [name for name, _ in request.query_params.multi_items()]
    unknown = [name for name in dict.fromkeys(given) if name not in known]
    if unknown:
        told = f"unknown parameter; known: {', '.join(known) or 'none'}"
        issues = [Issue("invalid", told, name) for name in unknown]
        raise errors(Category.INCORRECT, issues)
    for name in known:
        if given.count(name) > 1:
            raise error(Category.INCORRECT, "is given more than once", expression=name)
