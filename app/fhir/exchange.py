"""A request to the FHIR API and the response to it, as interactions and operations see them.
https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.fhir.model import Caller, Json


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as the interactions see it; `path` is below the FHIR base.

    `resource`: the body, where it has been read already (an entry of a Bundle).
    """

    method: str
    path: tuple[str, ...]
    query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    caller: Caller
    base_url: str
    resource: Json | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    last_updated: datetime | None = None
