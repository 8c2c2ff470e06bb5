"""The whole service in one process: what stands beside FHIR, and what every address answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import newest_revision
from app.errors import SsciError
from app.main import Service, create_app
from app.settings import Settings
from tests.conftest import Dsns


@pytest.fixture
async def client(database_dsns: Dsns, tmp_path: object) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        no_auth=True,
        allowed_hosts=("test",),
        body_limit_bytes=2048,
        data_dir=str(tmp_path),
        database_url=database_dsns.owner,
        runtime_database_url=database_dsns.runtime,
        read_connections=2,
        write_connections=3,
    )
    service = Service(settings)
    await service.start()
    transport = httpx.ASGITransport(service)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened
    await service.stop()


async def test_the_documentation_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "://" not in page.replace("http://test", "")
    for part in page.split('"'):
        if part.startswith("/docs/assets/"):
            assert (await client.get(part)).status_code == 200, part


async def test_the_openapi_document_has_every_part(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path in ("/fhir/Observation/{id}", "/feeds/{feed}/hl7v2", "/trial/subjects", "/endpoints"):
        assert path in paths


@pytest.mark.parametrize("path", ["/auth", "/fhir/.well-known/smart-configuration", "/nowhere"])
async def test_an_address_that_is_not_there_is_a_404_outcome(
    client: httpx.AsyncClient, path: str
) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.json()["resourceType"] == "OperationOutcome"


async def test_health_tells_version_and_revision(client: httpx.AsyncClient) -> None:
    response = await client.get("/health")
    assert response.status_code == 200
    assert response.json()["revision"] == newest_revision()


async def test_the_front_page_names_the_parts_and_each_is_there(client: httpx.AsyncClient) -> None:
    parts = (await client.get("/")).json()["parts"]
    assert "/feeds" in parts
    for path in parts:
        assert (await client.get(path)).status_code == 200, path
    page = await client.get("/", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert all(f'href="{path}"' in page.text for path in parts)


async def test_metrics_are_told_in_the_exposition_format(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE ssci_feed_lag_seconds gauge\n" in response.text


@pytest.mark.parametrize("path", ["/feeds/replays", "/feeds/pumch-lis/messages/1/dismiss"])
async def test_bodies_of_those_who_watch_have_the_general_limit(
    client: httpx.AsyncClient, path: str
) -> None:
    response = await client.post(path, content=b" " * 3000)
    assert response.status_code == 413


async def test_health_answers_head(client: httpx.AsyncClient) -> None:
    response = await client.head("/health")
    assert (response.status_code, response.content) == (200, b"")


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b" " * 1024


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/trial/subjects", "/endpoints", "/nowhere"])
async def test_a_body_above_the_limit_is_a_413_outcome(
    client: httpx.AsyncClient, path: str, chunked: bool
) -> None:
    response = await client.post(path, content=chunks() if chunked else b" " * 2049)
    assert response.status_code == 413
    assert response.json()["issue"][0]["code"] == "too-long"


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[" * 2000])
async def test_a_body_that_is_no_json_is_told_as_such(
    client: httpx.AsyncClient, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post("/trial/subjects", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["issue"][0]["code"] in {"structure", "invalid"}


@pytest.mark.parametrize("path", ["/health", "/fhir/metadata", "/nowhere"])
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("test", 200),
        ("evil.example", 400),
        ("evil.example:8000", 400),
        ("localhost.evil.example", 400),
        ("localhost:port", 400),
        ("localhost/x", 400),
        ("evil@localhost", 400),
        ("", 400),
    ],
)
async def test_only_known_hosts_are_answered_without_tokens(
    client: httpx.AsyncClient, path: str, host: str, status: int
) -> None:
    response = await client.get(path, headers={"Host": host})
    expected = 404 if (path, status) == ("/nowhere", 200) else status
    assert response.status_code == expected
    if status == 400:
        assert response.json()["issue"][0]["expression"] == ["Host"]


@pytest.mark.parametrize("options", [{}, {"no_auth": True, "host": "0.0.0.0"}])
def test_no_app_is_made_that_would_be_open_to_others(options: dict[str, Any]) -> None:
    with pytest.raises(SsciError):
        create_app(Settings(**options))


async def test_fhir_answers_beside_the_rest(client: httpx.AsyncClient) -> None:
    statement = (await client.get("/fhir/metadata")).json()
    assert statement["implementation"]["url"] == "http://test/fhir"


@pytest.mark.parametrize(
    "path", ["/feeds?x=1", "/feeds/pumch-lis/messages?sha=1", "/trial/subjects?x=1", "/health?x=1"]
)
async def test_an_unknown_parameter_is_named_not_ignored(
    client: httpx.AsyncClient, path: str
) -> None:
    response = await client.get(path)
    assert response.status_code == 400
    assert "unknown parameter" in response.text


async def test_a_raw_message_is_found_by_its_sha256(client: httpx.AsyncClient) -> None:
    message = b"MSH|^~\\&|A|B|C|D|20190314||ORU^R01|1|P|2.5.1\r"
    headers = {"content-type": "x-application/hl7-v2+er7", "accept": "application/json"}
    sent = await client.post("/feeds/pumch-lis/hl7v2", content=message, headers=headers)
    digest = sent.json()["messages"][0]["sha256"]
    found = await client.get(f"/feeds/pumch-lis/messages?sha256={digest}")
    assert [each["sha256"] for each in found.json()["messages"]] == [digest]
    other = await client.get(f"/feeds/pumch-lis/messages?sha256={'0' * 64}")
    assert other.json()["messages"] == []
