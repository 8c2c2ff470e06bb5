"""What the clients in use send (HAPI, fhir-kit, fhirpy, SMART), and what they can follow.
https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.database import Database
from tests.fhir_support import BASE, fhir_client, store_on

JSON = {"content-type": "application/fhir+json"}
SYSTEM = "https://lab.example/people"


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with fhir_client(store_on(database)) as opened:
        yield opened


async def enrol(client: httpx.AsyncClient, number: str) -> Any:
    answer = await client.post("/Patient", json=_patient(number), headers=JSON)
    assert answer.status_code == 201
    return answer.json()


def _patient(number: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": number}]}


def _unique() -> str:
    return uuid4().hex


@pytest.mark.parametrize(
    "form",
    [
        "identifier={system}%7C{number}",
        "?identifier={system}|{number}",
        "Patient?identifier={system}%7C{number}",
        "{base}/Patient?_format=json&identifier={system}%7C{number}",
        "{base}/Patient?_format=xml&_pretty=true&identifier={system}%7C{number}",
    ],
)
async def test_each_form_of_if_none_exist_finds_what_is_there(
    client: httpx.AsyncClient, form: str
) -> None:
    number = _unique()
    there = await enrol(client, number)
    criteria = form.format(base=BASE, system=SYSTEM, number=number)
    answer = await client.post(
        "/Patient", json=_patient(number), headers={**JSON, "if-none-exist": criteria}
    )
    assert (answer.status_code, answer.json()["id"]) == (200, there["id"])


async def test_pages_walk_forth_and_back_over_xml(client: httpx.AsyncClient) -> None:
    numbers = [_unique() for _ in range(5)]
    for number in numbers:
        await enrol(client, number)
    wanted = ",".join(f"{SYSTEM}|{number}" for number in numbers)
    parameters = {"identifier": wanted, "_count": "2", "_format": "xml"}
    first = await client.get("/Patient", params=parameters)
    second = await client.get(_link(first, "next"))
    third = await client.get(_link(second, "next"))
    back = await client.get(_link(third, "previous"))
    assert _ids(back) == _ids(second)
    assert len({*_ids(first), *_ids(second), *_ids(third)}) == 5


async def test_a_link_that_was_written_is_followed_without_escaping_it_again(
    client: httpx.AsyncClient,
) -> None:
    parameters = {
        "_lastUpdated": "ge2019-03-14T08:00:00+08:00",
        "name": 'a b&c"<|欧',
        "_count": "1",
    }
    answer = await client.get("/Patient", params=parameters)
    again = await client.get(answer.json()["link"][0]["url"])
    assert again.json()["link"][0]["url"] == answer.json()["link"][0]["url"]


def _link(answer: httpx.Response, relation: str) -> str:
    pattern = rf'<relation value="{relation}"/><url value="([^"]*)"'
    found = re.search(pattern, answer.text)
    assert found is not None, answer.text
    return found[1].replace("&amp;", "&")


def _ids(answer: httpx.Response) -> list[str]:
    return re.findall(r'<fullUrl value="[^"]*/([^"/]*)"', answer.text)


LEGAL_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-F]{2})+")


@pytest.mark.parametrize(
    "path",
    [
        "/Patient?identifier=a%7Cb",
        "/Patient/_search?identifier=a%7Cb",
        "/Observation/$lastn?code=a%7Cb",
    ],
)
async def test_links_hold_only_what_a_uri_may(client: httpx.AsyncClient, path: str) -> None:
    """Java's URI refuses a bare `|`: HAPI's client could follow no page of such a search."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    send = client.post(path, headers=form) if "_search" in path else client.get(path)
    answer = await send
    assert answer.status_code == 200, answer.text
    assert all(LEGAL_URI.fullmatch(link["url"]) for link in answer.json()["link"])


async def test_a_plus_that_meant_an_offset_is_repeated_as_one(client: httpx.AsyncClient) -> None:
    answer = await client.get("/Observation?date=ge2019-03-14T08:00:00+08:00")
    assert "%2B08:00" in answer.json()["link"][0]["url"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_write_refuses_an_unknown_parameter(client: httpx.AsyncClient, method: str) -> None:
    """A client that means a conditional create (`POST /Patient?identifier=…`) must not be given a
    duplicate instead."""
    there = await enrol(client, _unique())
    address = "/Patient" if method == "POST" else f"/Patient/{there['id']}"
    kind = "application/json-patch+json" if method == "PATCH" else JSON["content-type"]
    body = None if method == "DELETE" else ([] if method == "PATCH" else there)
    answer = await client.request(
        method, f"{address}?identifier=x", json=body, headers={"content-type": kind}
    )
    assert answer.status_code == 400, answer.text


async def test_a_search_posted_without_a_body_uses_the_address(client: httpx.AsyncClient) -> None:
    answer = await client.post("/Patient/_search?identifier=nobody")
    assert answer.status_code == 200, answer.text


async def test_a_first_page_that_holds_everything_tells_its_total(
    client: httpx.AsyncClient,
) -> None:
    mark = _unique()
    await enrol(client, mark)
    found = (await client.get(f"/Patient?identifier={mark}")).json()
    hidden = (await client.get(f"/Patient?identifier={mark}&_total=none")).json()
    assert found["total"] == len(found["entry"]) == 1
    assert "total" not in hidden


async def test_a_type_level_history_of_binaries_is_a_bundle_for_any_accept(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/Binary/_history", headers={"accept": "*/*"})
    assert answer.json()["type"] == "history"
