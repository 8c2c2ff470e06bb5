"""The whole service in one process: what stands beside FHIR, and what every address answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from app.main import Service
from app.settings import Settings
from tests.conftest import Dsns


@pytest.fixture
async def client(database_dsns: Dsns, tmp_path: object) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        no_auth=True,
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
    assert response.json()["revision"] == "0004"


async def test_fhir_answers_beside_the_rest(client: httpx.AsyncClient) -> None:
    statement = (await client.get("/fhir/metadata")).json()
    assert statement["implementation"]["url"] == "http://test/fhir"
