"""What tests of the trial share: the protocol, keys that are none, a store with the projection, and
enrolment bodies whose identifying values carry a mark that must never be seen elsewhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app.database import Database
from app.errors import SsciError
from app.fhir import Caller, PatientPolicy, Store, Validator, open_store
from app.trial import (
    HashedMrn,
    IdentityKeys,
    Protocol,
    Trial,
    build_projection,
    load_protocol,
    load_study,
)
from app.trial.codes import SUBJECT_NUMBER, SUBJECT_NUMBER_FORM
from app.trial.routes import build_router
from tests.fhir_support import facts

CALLER = Caller("test")
ZONE = ZoneInfo("Asia/Shanghai")
KEYS = IdentityKeys({"k1": b"1" * 32}, "k1", b"h" * 32)
AUTHORITIES = {"PUMCH": "PUMCH", "HIS": "PUMCH", "OTHER": "OTHER"}
MARK = "ZQXMARK"


@cache
def protocol() -> Protocol:
    return load_protocol()


@cache
def coded_validator() -> Validator:
    form = re.compile(SUBJECT_NUMBER_FORM)
    policy = PatientPolicy("coded", frozenset({SUBJECT_NUMBER}), form)
    return Validator(facts()[0], policy)


def trial_store(database: Database) -> Store:
    registry, layout = facts()
    return open_store(
        database,
        registry,
        layout,
        coded_validator().validate,
        zone=ZONE,
        contributors=(build_projection(protocol(), ZONE),),
    )


class Replayed:
    """Stands for the feeds: remembers for whom waiting messages were asked for."""

    def __init__(self) -> None:
        self.asked: list[HashedMrn] = []

    async def __call__(self, hashes: Sequence[HashedMrn]) -> None:
        self.asked.extend(hashes)


def open_trial(database: Database, replay: Replayed | None = None) -> Trial:
    store = trial_store(database)
    return Trial(database, store, protocol(), KEYS, replay or Replayed(), ZONE, AUTHORITIES)


@asynccontextmanager
async def trial_client(trial: Trial) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the trial's routes over a store that has the study."""
    await load_study(trial.store, CALLER, trial.protocol)
    async with routes_client(trial) as client:
        yield client


@asynccontextmanager
async def routes_client(trial: Trial) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the trial's routes alone, with errors told by place and reason."""
    app = FastAPI()
    app.include_router(build_router(trial))

    @app.exception_handler(SsciError)
    async def tell(request: Request, problem: SsciError) -> JSONResponse:
        issues = [{"place": each.expression, "reason": each.diagnostics} for each in problem.issues]
        return JSONResponse({"issues": issues}, problem.http_status)

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://trial") as client:
        yield client


MET = {
    "age": {"answer": "met"},
    "platelets": {"answer": "met"},
    "ctd": {"answer": "met"},
    "refractory": {"answer": "met"},
    "consent": {"answer": "met"},
    "treatment-naive": {"answer": "not-met"},
}


def person(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A body of `POST /trial/subjects`; None removes a field."""
    body = {
        "mrn": f"{MARK}{number:06d}",
        "name": f"{MARK}某{number}",
        "gender": "female",
        "birthDate": "1979-05-04",
        "consentDate": "2017-09-01",
        "diagnosis": "SLE",
        "eligibility": MET,
        "synthetic": True,
    }
    return {key: value for key, value in (body | changes).items() if value is not None}


def answered(**answers: Any) -> dict[str, Any]:
    """The eligibility answers with some of them changed (`treatment_naive` for the hyphened)."""
    return MET | {code.replace("_", "-"): answer for code, answer in answers.items()}


def sirolimus(day: str, subject: str = "SSCI-001", amount: int = 2) -> dict[str, Any]:
    """A dose taken."""
    return {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "medicationReference": {"reference": "Medication/sirolimus"},
        "subject": {"reference": f"Patient/{subject}"},
        "effectiveDateTime": f"{day}T08:00:00+08:00",
        "dosage": {
            "dose": {
                "value": amount,
                "unit": "mg",
                "system": "http://unitsofmeasure.org",
                "code": "mg",
            }
        },
    }
