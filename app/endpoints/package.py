"""A reproducible package of all answers under one cut: the same two clocks give the same bytes.

Holds of every endpoint the figures (JSON, CSV), the listing (JSON, CSV) and the plots (SVG, PNG);
all inputs with resource version, raw message and place; the definitions as they were used; and a
manifest with the clocks, the software and a SHA-256 of every file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.resources import files
from typing import Any

import orjson

from app.endpoints.catalogue import CATALOGUE
from app.endpoints.origins import Origin, Origins, Version, parse_version
from app.endpoints.public import PROFILES, PUBLIC
from app.endpoints.reading.records import Request
from app.endpoints.shell import FIGURES, SOFTWARE, SUBJECTS, Endpoints
from app.fhir import Caller

INPUTS = "inputs.csv"
MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
WITHOUT_PLOTS = "withheld: they show single participants"

COLUMNS = (
    *("endpoint", "subject", "usedAs", "visit", "resource", "version"),
    *("provenance", "messageSha256", "place", "start", "end", "mapping", "received"),
)


@dataclass(frozen=True, slots=True)
class File:
    """A file of the package; `name` may have folders."""

    name: str
    body: bytes


class Packager:
    """Makes the files of a package, one by one."""

    def __init__(self, endpoints: Endpoints, origins: Origins, caller: Caller) -> None:
        self._endpoints = endpoints
        self._origins = origins
        self._caller = caller

    async def files(self, requests: Iterable[Request]) -> AsyncIterator[File]:
        """All files, the manifest and the checksums last. The requests share one cut."""
        made: list[File] = []
        inputs: list[Mapping[str, Any]] = []
        asked = list(requests)
        for request in asked:
            async for each in self._answers(request):
                made.append(each)
                if each.name.endswith(f"/{FIGURES}.json"):
                    inputs += _inputs(json.loads(each.body))
                yield each
        known = asked[0].cut.as_of
        for each in (await self._traced(inputs, known), *_definitions()):
            made.append(each)
            yield each
        manifest = File(MANIFEST, _manifest(asked, made))
        yield manifest
        yield File(CHECKSUMS, _checksums([*made, manifest]))

    async def _answers(self, request: Request) -> AsyncIterator[File]:
        folder = request.definition.id
        for form in ("json", "csv"):
            yield File(f"{folder}/{FIGURES}.{form}", await self._compute(request, FIGURES, form))
        async for each in self._listings(request):
            yield each
        if request.release is not None:
            return
        for plot in CATALOGUE[request.definition.id].plots:
            for form in ("svg", "png"):
                body = await self._compute(request, f"plot:{plot}", form)
                yield File(f"{folder}/{plot}.{form}", body)

    async def _listings(self, request: Request) -> AsyncIterator[File]:
        """Of more than a page of participants the second page is `subjects-2`, and so on."""
        folder, page, after = request.definition.id, 1, request.after
        while page == 1 or after is not None:
            asked = replace(request, after=after)
            name = f"{folder}/{SUBJECTS}" + (f"-{page}" if page > 1 else "")
            body = await self._compute(asked, SUBJECTS, "json")
            yield File(f"{name}.json", body)
            yield File(f"{name}.csv", await self._compute(asked, SUBJECTS, "csv"))
            if asked.release is not None:  # its own number would be told
                body = await self._compute(replace(asked, release=None), SUBJECTS, "json")
            page, after = page + 1, json.loads(body)["page"]["next"]

    async def _compute(self, request: Request, view: str, form: str) -> bytes:
        return await self._endpoints.compute("endpoint", replace(request, view=view, format=form))

    async def _traced(self, inputs: list[Mapping[str, Any]], known: datetime) -> File:
        """Every input with the message behind it."""
        versions = {_version(each) for each in inputs}
        ordered = sorted(versions, key=_reference)
        found = await self._origins.find(self._caller, ordered, known)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(each, found.get(_version(each))) for each in inputs)
        return File(INPUTS, text.getvalue().encode())


def _inputs(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = answer["inputs"]["listed"] or []
    return [{"endpoint": answer["endpoint"], **each} for each in listed]


def _version(each: Mapping[str, Any]) -> Version:
    return parse_version(each["resource"], each["version"])


def _reference(version: Version) -> str:
    return version.reference


def _row(each: Mapping[str, Any], origin: Origin | None) -> list[Any]:
    own = [each[name] for name in COLUMNS[:6]]
    if origin is None:
        return [*own, *[None] * (len(COLUMNS) - 6)]
    place = (origin.place, origin.start, origin.end)
    return [*own, origin.provenance, origin.sha256, *place, origin.mapping, origin.recorded]


def _definitions() -> list[File]:
    """The protocol as it was used, with every source and assumption."""
    text = files("app.trial").joinpath("protocol.toml").read_bytes()
    return [File("protocol.toml", text)]


def _manifest(requests: list[Request], made: Iterable[File]) -> bytes:
    cut = requests[0].cut
    told = {
        "software": SOFTWARE,
        "protocol": requests[0].protocol.version,
        "cutoff": cut.cutoff,
        "asOf": cut.as_of.isoformat(),
        "zone": str(requests[0].zone),
        "profile": PUBLIC if requests[0].release else PROFILES[0],
        "plots": WITHOUT_PLOTS if requests[0].release else None,
        "endpoints": [
            {
                "id": each.definition.id,
                "version": each.definition.version,
                "population": each.population,
                "parameters": dict(each.parameters),
            }
            for each in requests
        ],
        "files": {each.name: _digest(each) for each in made},
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2)


def _digest(file: File) -> str:
    return hashlib.sha256(file.body).hexdigest()


def _checksums(made: Iterable[File]) -> bytes:
    """As `sha256sum --check` reads them."""
    lines = (f"{_digest(each)}  {each.name}\n" for each in made)
    return "".join(sorted(lines, key=lambda line: line[66:])).encode()
