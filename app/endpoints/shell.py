"""Answers a request: reads rows under one cut, hands them to the statistics process.

The web worker reads and waits; it imports neither SciPy nor anything that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from types import MappingProxyType

from app import __version__
from app.database import Database
from app.endpoints.answers import build_definition, encode_answer
from app.endpoints.catalogue import (
    CATALOGUE,
    PLATELETS,
    POPULATIONS,
    SUBGROUPS,
    TIMELINE_TABLES,
    Entry,
)
from app.endpoints.process import StatisticsProcess, Write
from app.endpoints.public import Release
from app.endpoints.reading.clocks import build_cut
from app.endpoints.reading.records import Cut, Record, Request
from app.endpoints.reading.statements import LISTED, Reading, fetch_numbers
from app.errors import Category, SsciError, error
from app.trial import EndpointDefinition, Protocol, fetch_subject, measuring

SOFTWARE = f"ssci-fhir {__version__}"
QUANTILE = "SAS-2"
CHANGE_STRATEGIES = {
    "rescue": "hypothetical",
    "sirolimus-stopped": "treatment-policy",
    "missed-visit": "none",
}
"""By what strategy the change deals with each intercurrent event (ICH E9 R1)."""
FIGURES = "figures"
SUBJECTS = "subjects"
PLOT = "plot:"
TIMELINE = "timeline"
TIMELINE_DEFINITION = "platelet-change"
ENROLLED = "enrolled"

STRATIFYING = frozenset(kind for name in measuring.STRATIFIERS for kind in SUBGROUPS[name])
"""What a Measure reads for its strata."""

ALSO_READ: Mapping[str, frozenset[type[Record]]] = MappingProxyType(
    {"measure": STRATIFYING, "timeline": TIMELINE_TABLES}
)
"""What a job reads beyond what its request needs."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asks of an endpoint, as sent; None is the default. `others` are the endpoint's
    own parameters; `after` a subject number: the listing goes on behind it."""

    cutoff: str | None = None
    as_of: str | None = None
    population: str | None = None
    subgroup: str | None = None
    version: str | None = None
    after: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)


class Endpoints:
    """The trial's endpoints over a database. `stop` ends the statistics process."""

    def __init__(
        self,
        database: Database,
        protocol: Protocol,
        zone: tzinfo,
        process: StatisticsProcess | None = None,
    ) -> None:
        if protocol.statistics.quantile != QUANTILE:
            reason = f"only {QUANTILE} is implemented"
            raise error(Category.FAULT, reason, expression="protocol: statistics.quantile")
        check_strategies(protocol)
        self._database = database
        self.protocol = protocol
        self._zone = zone
        self._process = process or StatisticsProcess()

    async def stop(self) -> None:
        await self._process.stop()

    def list_definitions(self) -> bytes:
        """Every version of every definition, and where it is answered, if it is."""
        versions = self.protocol.endpoint_versions
        return encode_answer(
            {
                "protocol": self.protocol.version,
                "software": SOFTWARE,
                "populations": list(POPULATIONS),
                "subgroups": list(SUBGROUPS),
                "endpoints": [_listed(each, self.protocol) for each in versions],
            }
        )

    async def answer(
        self, endpoint: str, query: Query, view: str = FIGURES, form: str = "json"
    ) -> bytes:
        """One view of an endpoint (`figures`, `subjects`, `plot:<name>`) in a format (`json`,
        `csv`, `svg`, `png`). NOT_FOUND, UNSUPPORTED or INCORRECT name what can't be answered."""
        definition = self.find_definition(endpoint, query.version)
        request = self._build_request(definition, query, await self._build_cut(query))
        return await self.compute("endpoint", replace(request, view=view, format=form))

    async def tell_timeline(self, number: str, query: Query, form: str = "json") -> bytes:
        """All that is known of one participant under the two clocks, as `json`, `svg` or `png`.
        NOT_FOUND if nobody was enrolled under this number."""
        if await fetch_subject(self._database, number) is None:
            reason = "nobody was enrolled under this number"
            raise error(Category.NOT_FOUND, reason, expression="number")
        cut = await self._build_cut(query)
        asked = self.build_request(TIMELINE_DEFINITION, replace(query, population=ENROLLED), cut)
        view = f"{TIMELINE}:{number}"
        return await self.compute(TIMELINE, replace(asked, view=view, format=form), (number,))

    async def compute(
        self, job: str, request: Request, subjects: tuple[str, ...] | None = None
    ) -> bytes:
        """What a job of the statistics process makes of a request and the rows that it needs, of
        all participants or of the named ones."""

        needs = needs_of(request) | ALSO_READ.get(job, frozenset())

        async def send(write: Write) -> None:
            async with self._database.reading() as connection:
                among = subjects
                if among is None and request.view == SUBJECTS:
                    page = await fetch_numbers(connection, request.cut, request.after, LISTED)
                    among = tuple(page)
                reading = Reading(request.cut, self._zone, self.protocol, PLATELETS, needs, among)
                await reading.send(connection, write)

        return await self._process.compute(job, request, send)

    def find_definition(self, endpoint: str, version: str | None = None) -> EndpointDefinition:
        """A version of an endpoint's definition, the default one if none is named."""
        versions = [each for each in self.protocol.endpoint_versions if each.id == endpoint]
        if endpoint not in CATALOGUE or not versions:
            raise self._explain_unanswered(endpoint)
        if version is None:
            return self.protocol.endpoints[endpoint]
        found = next((each for each in versions if each.version == version), None)
        if found is None:
            known = ", ".join(each.version for each in versions)
            raise _not_one_of("definition", known)
        return found

    def build_request(self, endpoint: str, query: Query, cut: Cut) -> Request:
        """A request under a cut that is known already."""
        return self._build_request(self.find_definition(endpoint, query.version), query, cut)

    async def build_requests(self, query: Query, release: Release | None = None) -> list[Request]:
        """A request of every endpoint under one cut, as a package holds them."""
        asked = await self.build_requests_of(CATALOGUE, query)
        return [replace(each, release=release) for each in asked]

    async def build_requests_of(self, endpoints: Iterable[str], query: Query) -> list[Request]:
        """A request of each of these under one cut."""
        cut = await self._build_cut(query)
        return [self.build_request(endpoint, query, cut) for endpoint in endpoints]

    async def _build_cut(self, query: Query) -> Cut:
        return build_cut(query.cutoff, query.as_of, await self.fetch_horizon(), self._zone)

    async def fetch_horizon(self) -> datetime:
        """Before it nothing can become visible any more. On a writing connection: only the primary
        knows which transactions are under way."""
        async with self._database.writing() as connection:
            horizon: datetime = await connection.fetchval("select fhir.safe_horizon()")
        return horizon

    def _build_request(self, definition: EndpointDefinition, query: Query, cut: Cut) -> Request:
        population = _chosen("population", query.population, POPULATIONS)
        return Request(
            definition,
            self.protocol,
            self._zone,
            cut,
            SOFTWARE,
            population or definition.population,
            subgroup=_chosen("subgroup", query.subgroup, SUBGROUPS),
            parameters=self._parameters(definition, query.others),
            after=query.after,
        )

    def _parameters(
        self, definition: EndpointDefinition, given: Mapping[str, str]
    ) -> dict[str, str]:
        found: dict[str, str] = {}
        for parameter in CATALOGUE[definition.id].parameters:
            choices = parameter.choices(self.protocol)
            value = _chosen(parameter.name, given.get(parameter.name), choices)
            value = value if value is not None else parameter.default(definition)
            if value is not None:
                found[parameter.name] = value
        return found

    def _explain_unanswered(self, endpoint: str) -> SsciError:
        """Why there is no answer under this name."""
        known = ", ".join(CATALOGUE)
        if endpoint in self.protocol.endpoints:
            reason = f"is defined, but not answered by {SOFTWARE}; answered: {known}"
            return error(Category.UNSUPPORTED, reason, expression="endpoint")
        return error(Category.NOT_FOUND, f"no such endpoint; answered: {known}")


def check_strategies(protocol: Protocol) -> None:
    """FAULT for a strategy of an intercurrent event that the change is not computed by: a protocol
    must not say one thing while the figures do another."""
    for event, known in CHANGE_STRATEGIES.items():
        strategy = protocol.intercurrent_events[event].strategies["change"]
        if strategy != known:
            place = f"protocol: intercurrent_events.{event}.change"
            raise error(Category.FAULT, f"only {known} is implemented", expression=place)


def needs_of(request: Request) -> frozenset[type[Record]]:
    """The tables that a request reads beside subjects, counts and doses."""
    entry = CATALOGUE.get(request.definition.id)
    own = entry.needs if entry else frozenset()
    plot = request.view.removeprefix(PLOT) if request.view.startswith(PLOT) else None
    if entry and plot is not None:
        own |= entry.plot_needs.get(plot, frozenset())
    subgroup = SUBGROUPS[request.subgroup] if request.subgroup else frozenset()
    return own | POPULATIONS[request.population] | subgroup


def _listed(definition: EndpointDefinition, protocol: Protocol) -> dict[str, object]:
    entry = CATALOGUE.get(definition.id)
    told: dict[str, object] = {**build_definition(definition), "default": definition.default}
    if entry is None:
        return told | {"answers": [], "parameters": {}, "plots": []}
    return told | {
        "answers": _addresses(definition, entry),
        "parameters": {each.name: list(each.choices(protocol)) for each in entry.parameters},
        "plots": list(entry.plots),
    }


def _addresses(definition: EndpointDefinition, entry: Entry) -> list[str]:
    address = f"/endpoints/{definition.id}"
    plots = [f"{address}/plot.svg?plot={name}" for name in entry.plots]
    return [address, f"{address}/subjects", *plots]


def _chosen(name: str, asked: str | None, choices: Iterable[str]) -> str | None:
    if asked is None or asked in choices:
        return asked
    raise _not_one_of(name, ", ".join(choices))


def _not_one_of(name: str, known: str) -> SsciError:
    return error(Category.INCORRECT, f"must be one of {known}", expression=name)
