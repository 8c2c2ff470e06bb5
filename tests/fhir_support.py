"""What tests of the FHIR server share: its facts, loaded once, and a store for any Patient."""

from __future__ import annotations

from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from app.database import Database
from app.fhir import (
    Caller,
    Contributor,
    FhirApp,
    FhirSettings,
    Layout,
    PatientPolicy,
    Registry,
    Store,
    Validator,
    load_layout,
    load_registry,
    open_store,
)

CALLER = Caller("test")
ZONE = ZoneInfo("Asia/Shanghai")


@cache
def facts() -> tuple[Registry, Layout]:
    registry = load_registry()
    return registry, load_layout(registry)


@cache
def open_validator() -> Validator:
    return Validator(facts()[0], PatientPolicy("open"))


def store_on(database: Database, contributors: tuple[Contributor, ...] = ()) -> Store:
    registry, layout = facts()
    return open_store(
        database,
        registry,
        layout,
        open_validator().validate,
        zone=ZONE,
        contributors=contributors,
    )


BASE = "http://test/fhir"


def fhir_client(store: Store, *, max_body: int = 1_000_000, **options: Any) -> httpx.AsyncClient:
    """A client of the FHIR API over `store`, in process; no tokens asked."""

    async def authenticate(_scope: object) -> Caller:
        return CALLER

    registry, layout = facts()
    settings = FhirSettings(None, "/fhir", ZONE, max_body, "0", **options)
    app = FhirApp(store, registry, layout, settings, authenticate)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)
