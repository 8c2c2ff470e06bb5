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
from app.trial.mrns import change_mrn
from app.trial.participation import record_participation
from app.trial.schemas import (
    EnrolmentAnswer,
    EnrolmentBody,
    MrnAnswer,
    MrnChangeBody,
    ProtocolAnswer,
    StatusAnswer,
    StatusBody,
    SubjectAnswer,
    SubjectDetailAnswer,
    SubjectsAnswer,
)
from app.trial.subject_detail import fetch_detail
from app.trial.subjects import fetch_subjects

_FIELD = re.compile(r"[A-Za-z][A-Za-z_-]{0,40}")
_STEP = re.compile(rf"{_FIELD.pattern}(\[[0-9]+\])?")

CALLER = "enrolment"
MAX_PAGE = 500
NOBODY = {"description": "Nobody was enrolled under this number"}

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


def _caller(request: Request) -> Caller:
    return Caller(CALLER, request_id=getattr(request.state, "request_id", None))


def build_router(trial: Trial) -> APIRouter:
    """The routes below `/trial`."""
    router = APIRouter(prefix="/trial", tags=["trial"], route_class=SilentRoute)
    _add_enrolment(router, trial)
    _add_subjects(router, trial)
    _add_changes(router, trial)
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
        outcome = await enrol(
            trial, _caller(request), body.to_request(trial.authorities, idempotency_key)
        )
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
        response_model=SubjectDetailAnswer,
        responses={404: NOBODY},
    )
    async def read_subject(number: str, request: Request) -> SubjectDetailAnswer:
        """Its status, consent, eligibility answers and the visits that the protocol plans."""
        found = await fetch_detail(trial, _caller(request), number)
        if found is None:
            raise error(
                Category.NOT_FOUND,
                "nobody was enrolled under this number",
                expression="number",
            )
        return SubjectDetailAnswer.of_detail(found)


def _add_changes(router: APIRouter, trial: Trial) -> None:
    refused: dict[int | str, dict[str, Any]] = {
        404: NOBODY,
        409: {"description": "It stands against what is recorded"},
        422: {"description": "A field is missing or malformed, or not possible"},
    }

    @router.post(
        "/subjects/{number}/status",
        summary="Record that participation ended, or goes on",
        response_model=StatusAnswer,
        responses=refused,
    )
    async def record_status(number: str, body: StatusBody, request: Request) -> StatusAnswer:
        """Withdrawal, screen failure, completion: nothing that is collected after the day `on`
        is taken over from then on. Writes versions of ResearchSubject, Consent and the cohort; the
        same again writes nothing."""
        disposition = body.to_disposition()
        recorded = await record_participation(trial, _caller(request), number, disposition)
        return StatusAnswer.of(body.status, recorded)

    @router.post(
        "/subjects/{number}/mrns",
        summary="Add or remove a hospital number",
        response_model=MrnAnswer,
        responses=refused,
    )
    async def change_mrns(number: str, body: MrnChangeBody, request: Request) -> MrnAnswer:
        """What the hospital sent before under an added number is then processed. No answer repeats
        a number."""
        change = body.to_change(trial.authorities)
        return MrnAnswer.of(await change_mrn(trial, _caller(request), number, change))


def _add_protocol(router: APIRouter, trial: Trial) -> None:
    answer = ProtocolAnswer.of(trial.protocol)

    @router.get("/protocol", summary="The protocol's definitions", response_model=ProtocolAnswer)
    async def read_protocol() -> ProtocolAnswer:
        """Every value with its source, the versions of the endpoint definitions, and where the
        sources disagree."""
        return answer
