"""Answers a request: gather rows under one cut, hand them to the statistics process.

The web worker reads and waits; it imports neither SciPy nor anything that does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from app import __version__
from app.database import Database
from app.endpoints.answers import build_definition, encode_answer
from app.endpoints.cuts import build_cut
from app.endpoints.definitions import (
    PLATELET_CHANGE,
    PLATELETS,
    build_change_rules,
    find_definition,
)
from app.endpoints.derivation import POPULATIONS
from app.endpoints.model import ChangeRequest
from app.endpoints.process import StatisticsProcess
from app.endpoints.rows import fetch_rows
from app.errors import Category, SsciError, error
from app.trial import Protocol

SOFTWARE = f"ssci-fhir {__version__}"

ANSWERS = {PLATELET_CHANGE: ("/endpoints/platelet-change", "/endpoints/platelet-change/subjects")}
"""Where each endpoint that is answered is answered."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asks of an endpoint, as sent; None is the default."""

    cutoff: str | None = None
    as_of: str | None = None
    population: str | None = None


class Endpoints:
    """The trial's endpoints over a database. `stop` ends the statistics process."""

    def __init__(
        self,
        database: Database,
        protocol: Protocol,
        zone: tzinfo,
        process: StatisticsProcess | None = None,
    ) -> None:
        self._database = database
        self._protocol = protocol
        self._zone = zone
        self._process = process or StatisticsProcess()
        self._definition = find_definition(protocol, PLATELET_CHANGE)
        self._rules = build_change_rules(protocol)

    async def stop(self) -> None:
        await self._process.stop()

    def list_definitions(self) -> bytes:
        """Every version of every definition, and where it is answered, if it is."""
        return encode_answer(
            {
                "protocol": self._protocol.version,
                "software": SOFTWARE,
                "endpoints": [
                    build_definition(each)
                    | {
                        "default": each.default,
                        "answers": list(ANSWERS.get(each.id, ()) if each.default else ()),
                    }
                    for each in self._protocol.endpoint_versions
                ],
            }
        )

    def explain_unanswered(self, endpoint: str) -> SsciError:
        """Why there is no answer under this name."""
        known = ", ".join(ANSWERS)
        if endpoint in self._protocol.endpoints:
            reason = f"is defined, but not answered by {SOFTWARE}; answered: {known}"
            return error(Category.UNSUPPORTED, reason, expression="endpoint")
        return error(Category.NOT_FOUND, f"no such endpoint; answered: {known}")

    async def answer_platelet_change(self, query: Query) -> bytes:
        """The figures per visit, as JSON."""
        return await self._answer("platelet-change", query)

    async def answer_platelet_change_subjects(self, query: Query) -> bytes:
        """The participants and their counts, as JSON."""
        return await self._answer("platelet-change/subjects", query)

    async def _answer(self, job: str, query: Query) -> bytes:
        population = self._population(query.population)
        cut = build_cut(query.cutoff, query.as_of, await self._fetch_horizon(), self._zone)
        async with self._database.reading() as connection:
            rows = await fetch_rows(connection, cut, PLATELETS)
        request = ChangeRequest(
            self._definition, self._rules, self._zone, cut, population, SOFTWARE
        )
        return await self._process.compute(job, request, rows)

    def _population(self, asked: str | None) -> str:
        population = self._definition.population if asked is None else asked
        if population in POPULATIONS:
            return population
        known = ", ".join(POPULATIONS)
        raise error(Category.INCORRECT, f"must be one of {known}", expression="population")

    async def _fetch_horizon(self) -> datetime:
        """On a writing connection: only the primary knows which transactions are under way."""
        async with self._database.writing() as connection:
            horizon: datetime = await connection.fetchval("select fhir.safe_horizon()")
        return horizon
