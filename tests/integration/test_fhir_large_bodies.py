"""Large bodies are read, checked and rendered beside the event loop, small ones on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.database import Database
from app.fhir import binary, media
from app.fhir.unhurried import LARGE_BYTES
from app.fhir.validate import Validator
from tests.fhir_support import fhir_client, store_on

Json = dict[str, Any]
Seen = dict[str, bool]


def watched(seen: Seen, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which notes whether the last call of it was made beside the loop."""

    def call(*given: Any, **named: Any) -> Any:
        seen[name] = threading.current_thread() is not threading.main_thread()
        return function(*given, **named)

    return call


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found: Seen = {}
    for owner, name in (
        (media, "parse_body"),
        (Validator, "validate"),
        (media.Rendering, "render"),
        (binary, "answer_content"),
    ):
        monkeypatch.setattr(owner, name, watched(found, name, getattr(owner, name)))
    return found


async def send(client: httpx.AsyncClient, case: str, size: int) -> httpx.Response:
    resource: Json = {"resourceType": "Basic", "id": "a", "code": {"text": "x" * size}}
    entry = {"resource": resource, "request": {"method": "PUT", "url": "Basic/a"}}
    name = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": resource}]}
    asked: dict[str, tuple[str, str, Json]] = {
        "PUT": ("PUT", "Basic/a", resource),
        "POST": ("POST", "Basic", resource),
        "$validate": ("POST", "Basic/$validate", name),
        "transaction": ("POST", "", {"resourceType": "Bundle", "type": case, "entry": [entry]}),
        "batch": ("POST", "", {"resourceType": "Bundle", "type": case, "entry": [entry]}),
    }
    method, path, body = asked[case]
    return await client.request(
        method, path, json=body, headers={"content-type": "application/fhir+json"}
    )


@pytest.mark.parametrize("case", ["PUT", "POST", "$validate", "transaction"])
async def test_what_is_written_is_read_and_checked_beside_the_loop_if_it_is_large(
    database: Database, seen: Seen, case: str
) -> None:
    async with fhir_client(store_on(database)) as client:
        assert (await send(client, case, 10)).status_code < 300
        assert seen == {"parse_body": False, "validate": False, "render": False}
        assert (await send(client, case, LARGE_BYTES)).status_code < 300
        assert (seen["parse_body"], seen["validate"]) == (True, True)


async def test_what_is_read_is_rendered_beside_the_loop_if_it_is_large(
    database: Database, seen: Seen
) -> None:
    async with fhir_client(store_on(database)) as client:
        for size, beside in ((10, False), (LARGE_BYTES, True)):
            await send(client, "PUT", size)
            await client.get("Basic/a?_format=xml")
            assert seen["render"] is beside
            content = {"content-type": "application/pdf"}
            await client.put("Binary/a", content=b"x" * size, headers=content)
            await client.get("Binary/a")
            assert seen["answer_content"] is beside
