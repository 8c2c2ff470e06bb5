"""What enrolment refuses, by field and rule, before the database is asked for anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any, NoReturn

import httpx
import pytest

from app.trial import Trial
from app.trial.eligibility import check_enrolment, years_between
from app.trial.schemas import EnrolmentBody
from tests.trial_support import (
    AUTHORITIES,
    KEYS,
    MARK,
    MET,
    ZONE,
    Replayed,
    answered,
    person,
    protocol,
    routes_client,
)

SUBJECTS = "/trial/subjects"


class Untouched:
    """Stands where the database and the store would be."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"the database was asked: {name}")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    nothing: Any = Untouched()
    trial = Trial(nothing, nothing, protocol(), KEYS, Replayed(), ZONE, AUTHORITIES)
    async with routes_client(trial) as opened:
        yield opened


def places(answer: httpx.Response) -> list[str]:
    return [issue["place"] for issue in answer.json()["issues"]]


@pytest.mark.parametrize(
    ("change", "status", "place"),
    [
        ({"mrn": None}, 422, "body"),
        ({"mrns": [{"mrn": "X1"}]}, 422, "body"),
        ({"mrn": "  "}, 422, "mrn"),
        ({"mrn": "9" * 65}, 422, "mrn"),
        ({"mrn": 12345}, 422, "mrn"),
        ({"authority": "PUMCH\x00"}, 400, "authority"),
        ({"authority": "ZQXMARKHOSPITAL"}, 422, "authority"),
        (
            {"mrn": None, "mrns": [{"mrn": "1"}, {"mrn": "2", "authority": "NOBODY"}]},
            422,
            "mrns[1].authority",
        ),
        ({"gender": None}, 422, "gender"),
        ({"gender": "F"}, 422, "gender"),
        ({"birthDate": None}, 422, "body"),
        ({"birthDate": "1979-02-30"}, 422, "birthDate"),
        ({"birthDate": 0}, 422, "birthDate"),
        ({"birthDate": "19790504"}, 422, "birthDate"),
        ({"birthYear": 1980}, 422, "body"),
        ({"birthDate": "2017-09-02"}, 422, "birthDate"),
        ({"birthDate": "1850-01-01"}, 422, "birthDate"),
        ({"consentDate": None}, 422, "consentDate"),
        ({"consentDate": "2999-01-01"}, 422, "consentDate"),
        ({"diagnosis": "flu"}, 422, "diagnosis"),
        ({"eligibility": None}, 422, "eligibility"),
        ({"eligibility": {}}, 422, "eligibility.age"),
        ({"eligibility": answered(age={"answer": "yes"})}, 422, "eligibility.age.answer"),
        (
            {"eligibility": answered(age={"answer": "not-met"})},
            422,
            "eligibility.age.overrideReason",
        ),
        ({"eligibility": answered(consent={"answer": "unknown"})}, 422, "eligibility.consent"),
        (
            {"eligibility": answered(consent={"answer": "not-met", "overrideReason": "later"})},
            422,
            "eligibility.consent",
        ),
        (
            {"eligibility": answered(treatment_naive={"answer": "met"})},
            422,
            "eligibility.treatment-naive.overrideReason",
        ),
        ({"eligibility": MET | {"luck": {"answer": "met"}}}, 422, "eligibility"),
        (
            {"eligibility": answered(ctd={"answer": "unknown", "overrideReason": " "})},
            422,
            "eligibility.ctd.overrideReason",
        ),
        (
            {"eligibility": answered(ctd={"answer": "unknown", "overrideReason": "a\x00b"})},
            400,
            "eligibility.ctd.overrideReason",
        ),
        ({"screeningPlatelets": 100}, 422, "eligibility.platelets"),
        ({"screeningPlatelets": "many"}, 422, "screeningPlatelets"),
        ({"birthDate": "2002-09-02", "guardianConsent": True}, 422, "eligibility.age"),
        ({"birthDate": "1936-09-01"}, 422, "eligibility.age"),
        ({"birthDate": "2001-01-01"}, 422, "guardianConsent"),
        ({"birthDate": None, "birthYear": 1999}, 422, "guardianConsent"),
        ({"synthetic": "yes"}, 422, "synthetic"),
        ({"nickname": "x"}, 422, "nickname"),
    ],
)
async def test_a_refusal_names_the_field(
    client: httpx.AsyncClient, change: dict[str, Any], status: int, place: str
):
    answer = await client.post(SUBJECTS, json=person(**change))
    assert answer.status_code == status
    assert place in places(answer)
    assert MARK not in answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"screeningPlatelets": 99.5},
        {"birthDate": "2001-09-01", "guardianConsent": True},
        {"birthDate": "1999-09-01"},
        {"birthDate": "1936-09-02"},
        {"birthDate": "1979-05-04", "birthYear": 1979},
        {"diagnosis": "UCTD"},
    ],
)
def test_what_the_protocol_allows_passes(change: dict[str, Any]):
    enrolment = EnrolmentBody.model_validate(person(**change)).to_request(AUTHORITIES).enrolment
    assert check_enrolment(enrolment, protocol(), date(2026, 1, 1)) is None


@pytest.mark.parametrize(
    ("born", "consented", "age"),
    [
        ("1979-09-01", "2017-09-01", 38),
        ("1979-09-02", "2017-09-01", 37),
        ("2000-02-29", "2018-02-28", 17),
        ("2000-02-29", "2018-03-01", 18),
    ],
)
def test_age_is_in_completed_years(born: str, consented: str, age: int):
    assert years_between(date.fromisoformat(born), date.fromisoformat(consented)) == age


def test_the_body_tells_nobody_in_its_repr_of_the_request():
    assert MARK not in repr(EnrolmentBody.model_validate(person()).to_request(AUTHORITIES, "key"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 422),
        (b"[]", 400),
        (b"null", 400),
        (b'{"mrn": NaN}', 400),
        (b'{"gender": "male", "gender": "female"}', 400),
        (b'{"mrn": "\\ud800"}', 400),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400),
        (b"\xff\xfe", 400),
    ],
)
async def test_what_is_no_enrolment_is_refused(client: httpx.AsyncClient, body: bytes, status: int):
    headers = {"Content-Type": "application/json"}
    answer = await client.post(SUBJECTS, content=body, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize("body", ['{"某 ZQX": "\\u0000"}', '{"某 ZQX": 1, "某 ZQX": 2}'])
async def test_a_name_that_is_no_field_is_not_repeated(client: httpx.AsyncClient, body: str):
    answer = await client.post(SUBJECTS, content=body.encode())
    assert answer.status_code == 400
    assert "ZQX" not in answer.text


@pytest.mark.parametrize("query", ["count=0", "count=501", "count=x", "after=%00"])
async def test_a_bad_page_is_refused(client: httpx.AsyncClient, query: str):
    assert (await client.get(f"{SUBJECTS}?{query}")).status_code == 422


async def test_the_protocol_is_told_with_its_sources(client: httpx.AsyncClient):
    told = (await client.get("/trial/protocol")).json()
    values = {
        each["path"]: (each["value"], each["unit"], each["source"]) for each in told["values"]
    }
    assert values["visits.M6.target"] == (183, "d", "A")
    assert values["trough.low"] == (6, "ng/mL", "S")
    assert [each["id"] for each in told["endpoints"] if each["role"] == "primary"] == [
        "platelet-change"
    ]
    assert "primary-endpoint" in [each["code"] for each in told["contradictions"]]
