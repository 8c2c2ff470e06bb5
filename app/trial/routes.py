"""`/trial`: enrolment, the subjects, the protocol's definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.errors import Category, Issue, SsciError, error, errors
from app.fhir import Caller, parse_json
from app.trial.enrolment import Trial, enrol
from app.trial.schemas import (
    EnrolmentAnswer,
    EnrolmentBody,
    ProtocolAnswer,
    SubjectAnswer,
    SubjectsAnswer,
)
from app.trial.subjects import fetch_subject, fetch_subjects

_FIELD = re.compile(r"[A-Za-z][A-Za-z_-]{0,40}")
_STEP = re.compile(rf"{_FIELD.pattern}(\[[0-9]+\])?")

CALLER = "enrolment"
MAX_PAGE = 500

ENROLMENT_EXAMPLE = {
    "mrn": "T000000001",
    "authority": "PUMCH",
    "name": "测试001",
    "gender": "female",
    "birthDate": "1979-05-04",
    "consentDate": "2017-09-01",
    "diagnosis": "SLE",
    "eligibility": {
        "age": {"answer": "met"},
        "platelets": {"answer": "met"},
        "ctd": {"answer": "met"},
        "refractory": {"answer": "met"},
        "consent": {"answer": "met"},
        "treatment-naive": {"answer": "not-met"},
    },
    "synthetic": True,
}


class SilentRoute(APIRoute):
    """Reads a body as strictly as FHIR is read (no name twice, no NaN, no endless nesting), and
    tells a refused request by field and rule: FastAPI's own answer would repeat the values."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_silently(request: Request) -> Response:
            if self.body_field is not None and (body := await request.body()):
                _check_json(body)
            try:
                return await handle(request)
            except RequestValidationError as refused:
                raise _told(refused) from None

        return handle_silently


def _check_json(body: bytes) -> None:
    """As FHIR bodies are checked; names that no field of ours could have are not repeated."""
    try:
        parse_json(body)
    except SsciError as refused:
        found = [
            Issue(each.code, each.diagnostics.partition('"')[0].strip(), _shown(each.expression))
            for each in refused.issues
        ]
        raise errors(refused.category, found) from None


def _shown(expression: str | None) -> str | None:
    """`Resource.mrns[0].mrn`, as the reader of FHIR names it, → `mrns[0].mrn`."""
    parts = (expression or "").split(".")[1:]
    return ".".join(part if _STEP.fullmatch(part) else "?" for part in parts) or None


def _told(refused: RequestValidationError) -> SsciError:
    found = refused.errors()
    malformed = any(each["type"] == "json_invalid" for each in found)
    issues = [Issue("invalid", str(each["msg"]), _place(each["loc"])) for each in found]
    return errors(Category.INCORRECT if malformed else Category.UNPROCESSABLE, issues)


def _place(location: tuple[int | str, ...]) -> str:
    """`body.mrns.0.mrn` → `mrns[0].mrn`. A key that no field of ours could have is not repeated."""
    place = ""
    for part in location[1:] or location:
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            name = part if _FIELD.fullmatch(part) else "?"
            place += f".{name}" if place else name
    return place


def build_router(trial: Trial) -> APIRouter:
    """The routes below `/trial`."""
    router = APIRouter(prefix="/trial", tags=["trial"], route_class=SilentRoute)
    _add_enrolment(router, trial)
    _add_subjects(router, trial)
    _add_protocol(router, trial)
    return router


def _add_enrolment(router: APIRouter, trial: Trial) -> None:
    body_docs = {
        "requestBody": {"content": {"application/json": {"example": ENROLMENT_EXAMPLE}}},
    }

    @router.post(
        "/subjects",
        status_code=201,
        summary="Enrol a subject",
        response_model=EnrolmentAnswer,
        openapi_extra=body_docs,
        responses={
            200: {"model": EnrolmentAnswer, "description": "The same request enrolled it before"},
            409: {"description": "Enrolled already, or the key was used for another request"},
            422: {"description": "A field is missing or malformed, or the protocol forbids it"},
        },
    )
    async def enrol_subject(
        body: EnrolmentBody,
        request: Request,
        response: Response,
        idempotency_key: Annotated[
            str | None,
            Header(
                min_length=1,
                max_length=255,
                description="The same request under the same key answers 200 with its subject",
            ),
        ] = None,
    ) -> EnrolmentAnswer:
        """Assigns the next subject number and writes Patient, ResearchSubject, Consent, Condition,
        the eligibility answers and the place in the cohort in one transaction. What the hospital
        sent before for these numbers is then processed."""
        caller = Caller(CALLER, request_id=getattr(request.state, "request_id", None))
        outcome = await enrol(trial, caller, body.to_request(trial.authorities, idempotency_key))
        response.status_code = 201 if outcome.created else 200
        response.headers["Location"] = f"/trial/subjects/{outcome.number}"
        return EnrolmentAnswer(
            number=outcome.number,
            created=outcome.created,
            patient=f"/fhir/Patient/{outcome.number}",
            research_subject=f"/fhir/ResearchSubject/{outcome.number}",
        )


def _add_subjects(router: APIRouter, trial: Trial) -> None:
    @router.get("/subjects", summary="The subjects", response_model=SubjectsAnswer)
    async def list_subjects(
        after: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9.-]*$")] = "",
        count: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    ) -> SubjectsAnswer:
        """In the order of their numbers, as the trial database has them now."""
        found = await fetch_subjects(trial.database, after, count + 1)
        page = found[:count]
        more = len(found) > count
        return SubjectsAnswer(
            subjects=[SubjectAnswer.of(each) for each in page],
            next=f"/trial/subjects?after={page[-1].number}&count={count}" if more else None,
        )

    @router.get(
        "/subjects/{number}",
        summary="One subject",
        response_model=SubjectAnswer,
        responses={404: {"description": "Nobody was enrolled under this number"}},
    )
    async def read_subject(number: str) -> SubjectAnswer:
        found = await fetch_subject(trial.database, number)
        if found is None:
            raise error(
                Category.NOT_FOUND,
                "nobody was enrolled under this number",
                expression="number",
            )
        return SubjectAnswer.of(found)


def _add_protocol(router: APIRouter, trial: Trial) -> None:
    answer = ProtocolAnswer.of(trial.protocol)

    @router.get("/protocol", summary="The protocol's definitions", response_model=ProtocolAnswer)
    async def read_protocol() -> ProtocolAnswer:
        """Every value with its source, the versions of the endpoint definitions, and where the
        sources disagree."""
        return answer
