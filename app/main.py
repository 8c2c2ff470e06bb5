"""The composition root: settings in, a running service out. Only the `ssci` command imports it.

`/fhir` is an ASGI application of its own in front of FastAPI, which carries everything else.
"""

from __future__ import annotations

import gc
import hmac
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from app import __version__
from app.database import (
    Database,
    Limits,
    Source,
    migrate,
    newest_revision,
    open_database,
    reached_server,
)
from app.endpoints import Endpoints, MeasureOperations, Release
from app.endpoints.routes import build_router as build_endpoint_router
from app.endpoints.routes import build_timeline_router
from app.errors import Category, Issue, SsciError, error, errors
from app.fhir import (
    Caller,
    FhirApp,
    FhirSettings,
    Layout,
    PatientPolicy,
    Registry,
    Store,
    Transport,
    TransportSettings,
    Validator,
    build_outcome,
    dump_json,
    load_layout,
    load_registry,
    open_store,
)
from app.fhir.openapi import describe_fhir
from app.keys import KeyFile, Keys, ensure_keys
from app.mappings import FeedKeys, Feeds, Site, TrialDirectory, load_site
from app.mappings.activation.following import MappingFollower
from app.mappings.activation.store import MappingStore
from app.mappings.dictionary.terminology import load_mapping_terminology
from app.mappings.mllp.server import (
    MllpLimits,
    MllpPlan,
    MllpPort,
    MllpServer,
    MllpTls,
    describe_counts,
)
from app.mappings.polling.plan import PollPlan, read_plans
from app.mappings.polling.poller import Pollers
from app.mappings.routes import build_router as build_feed_router
from app.mappings.watching.routes import build_metrics_router, is_watching
from app.mappings.watching.watcher import Watching
from app.settings import Settings, export_settings, read_settings
from app.trial import (
    IdentityKeys,
    Protocol,
    Trial,
    build_projection,
    load_protocol,
    rebuild,
    replay_enrolled,
)
from app.trial.codes import SUBJECT_NUMBER, SUBJECT_NUMBER_FORM
from app.trial.routes import build_router as build_trial_router

FHIR_MOUNT = "/fhir"
SITE = "pumch"
RESERVED = ("/auth", "/fhir/.well-known/smart-configuration")
"""Addresses of access control, which is not there yet: 404."""

HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("app")


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running service."""

    settings: Settings
    database: Database
    registry: Registry
    layout: Layout
    store: Store
    trial: Trial
    feeds: Feeds
    watching: Watching
    endpoints: Endpoints

    def build_release(self) -> Release:
        """What makes an answer public: shifts and pseudonyms of this installation's own."""
        lookup = KeyFile(self.settings.effective_key_file).read().identity_lookup
        small = self.trial.protocol.safety.small_cell
        return Release(hmac.digest(lookup, b"public release", "sha256"), small)


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Database reached and migrated, parts wired; all of it is closed at the end.

    The background work of the feeds is started by the web service, not here.
    """
    keys = KeyFile(settings.effective_key_file)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(source_of(settings), _limits(settings), _tell)
        )
        services = _wire(settings, keys, database)
        stack.push_async_callback(services.endpoints.stop)
        yield services


async def rebuild_trial(settings: Settings, advance: Callable[[int], None]) -> dict[str, int]:
    """Fill the trial tables anew, as the owner of the database; the number of rows per table."""
    async with open_as_owner(settings) as database:
        return await rebuild(database, load_protocol(), settings.zone_info, advance)


@asynccontextmanager
async def open_as_owner(settings: Settings) -> AsyncIterator[Database]:
    """The database as its owner, migrated: for what the service itself has no right to do."""
    async with reached_server(source_of(settings), _tell) as addresses:
        await migrate(addresses.owner_dsn)
        async with await Database.open(addresses.owner_dsn, _limits(settings)) as database:
            yield database


def identity_keys(keys: Keys) -> IdentityKeys:
    return IdentityKeys(keys.encrypting, keys.current, keys.identity_lookup)


def feed_keys(keys: Keys) -> FeedKeys:
    return FeedKeys(keys.messages, keys.results, keys.former_messages)


def _wire(settings: Settings, keys: KeyFile, database: Database) -> Services:
    registry = load_registry()
    layout = load_layout(registry)
    protocol = load_protocol()
    zone = settings.zone_info
    policy = PatientPolicy(
        settings.effective_patient_policy,
        frozenset({SUBJECT_NUMBER}),
        re.compile(SUBJECT_NUMBER_FORM),
    )
    store = open_store(
        database,
        registry,
        layout,
        Validator(registry, policy).validate,
        zone=zone,
        base_url=_fhir_base(settings),
        contributors=(build_projection(protocol, zone),),
    )
    identity = identity_keys(keys.read())
    site = mapping_store(settings).load()
    feeds = build_feeds(settings, keys, database, store, site)
    replay = feeds.replay_waiting
    trial = Trial(
        *(database, store, protocol, identity, replay, zone, site.authorities),
        read_keys=keys.follow(identity_keys),
    )
    endpoints = Endpoints(database, protocol, zone)
    watching = Watching(feeds)
    return Services(settings, database, registry, layout, store, trial, feeds, watching, endpoints)


def mapping_store(settings: Settings) -> MappingStore:
    """The mappings of this installation: the active one is what its feeds are read by."""
    return MappingStore(settings.data_dir, SITE)


def build_feeds(
    settings: Settings, keys: KeyFile, database: Database, store: Store, site: Site
) -> Feeds:
    """The feeds of a site; of a candidate that is tried as well as of the active one."""
    return Feeds(
        database,
        store,
        site,
        keys.follow(feed_keys),
        TrialDirectory(identity_keys(keys.read()), keys.follow(identity_keys)),
        service=f"ssci-fhir {__version__}",
        max_bytes=settings.body_limit_bytes,
    )


def _fhir_base(settings: Settings) -> str | None:
    return settings.base_url + FHIR_MOUNT if settings.base_url else None


def source_of(settings: Settings) -> Source:
    owner, runtime = settings.database_url, settings.runtime_database_url
    return Source(
        settings.data_dir,
        owner.get_secret_value() if owner else None,
        runtime.get_secret_value() if runtime else None,
        settings.postgres_major,
        settings.connect_patience_seconds,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.read_connections,
        settings.write_connections,
        settings.pool_wait_seconds,
        settings.read_timeout_seconds,
        settings.write_timeout_seconds,
    )


def _tell(message: str) -> None:
    _log.info("%s", message)


class Service:
    """The ASGI application: FHIR in front, FastAPI behind, opened and closed by the lifespan."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._fhir: Transport | None = None
        self._api: LimitedBody | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif problem := _host_problem(scope, self._settings):
            await _answer(problem)(scope, receive, send)
        elif self._fhir is not None and _is_fhir(scope):
            await self._fhir(scope, receive, send)
        elif self._api is not None:
            await self._api(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as problem:
            await self.stop()
            _log.error("the service can't start: %s", problem)
            await send({"type": "lifespan.startup.failed", "message": str(problem)})
            return
        _spare_the_collector()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> Services:
        """Open the parts and begin to work."""
        services = await self._stack.enter_async_context(open_services(self._settings))
        await services.feeds.start()
        self._stack.push_async_callback(services.feeds.stop)
        await services.watching.start()
        self._stack.push_async_callback(services.watching.stop)
        await replay_enrolled(services.trial)
        await load_mapping_terminology(services.store, services.feeds.site)
        await self._listen_for_mllp(services.feeds, services.watching)
        self._poll(services.feeds)
        self._follow_mapping(services)
        self._fhir = Transport(
            build_fhir(services),
            TransportSettings(self._settings.cors_origins, self._settings.body_limit_bytes),
        )
        self._api = LimitedBody(build_api(services), self._settings.body_limit_bytes)
        return services

    async def _listen_for_mllp(self, feeds: Feeds, watching: Watching) -> None:
        """Stopped before the feeds are, so that messages in work are answered."""
        if self._settings.mllp:
            server = MllpServer(feeds, plan_mllp(self._settings, next(iter(feeds.site.feeds))))
            await server.start()
            watching.count_mllp = lambda: describe_counts(server.counts)
            self._stack.push_async_callback(server.stop)

    def _follow_mapping(self, services: Services) -> None:
        """What `ssci mapping activate` makes the active one is taken over without a restart."""
        follower = MappingFollower(mapping_store(self._settings), services.feeds)
        follower.start()
        self._stack.push_async_callback(follower.stop)

    def _poll(self, feeds: Feeds) -> None:
        """Stopped before the feeds are; the servers' state stays in the database."""
        if plans := read_polling(self._settings, feeds.site):
            pollers = Pollers(feeds, plans)
            pollers.start()
            self._stack.push_async_callback(pollers.stop)

    async def stop(self) -> None:
        await self._stack.aclose()


def read_polling(settings: Settings, site: Site) -> list[PollPlan]:
    """The servers that are set to be polled; none where nothing is set."""
    secrets = settings.polling_secrets
    if settings.polling is None:
        return []
    return read_plans(settings.polling, secrets.get_secret_value() if secrets else "", site)


def plan_mllp(settings: Settings, first_feed: str) -> MllpPlan:
    """Where and how to listen; a port without a feed is for `first_feed`."""
    named = [each.rpartition("=") for each in settings.mllp]
    cert = settings.mllp_tls_cert
    tls = MllpTls(cert, settings.mllp_tls_key or cert, settings.mllp_client_ca) if cert else None
    return MllpPlan(
        settings.effective_mllp_host,
        [MllpPort(feed or first_feed, int(port)) for feed, _, port in named],
        tls,
        MllpLimits(
            settings.mllp_connections,
            settings.mllp_in_work,
            settings.mllp_idle_seconds,
            settings.mllp_block_seconds,
        ),
        wait=settings.mllp_wait,
        unanswered=frozenset(settings.mllp_unanswered),
        share_ports=settings.workers > 1,
    )


def _spare_the_collector() -> None:
    """What is there after the start stays, so the garbage collector need not walk it; and a Bundle
    makes so many objects that it would begin again and again. See docs/performance.md."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _is_fhir(scope: Scope) -> bool:
    path: str = scope.get("path", "")
    inside = path == FHIR_MOUNT or path.startswith(FHIR_MOUNT + "/")
    return scope["type"] == "http" and inside and path not in RESERVED


def _host_problem(scope: Scope, settings: Settings) -> SsciError | None:
    """What is wrong with the host that a request is addressed to.

    https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    """
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    match = HOST.fullmatch(sent[0]) if len(sent) == 1 else None
    if match is None:
        reason = "must be there once, as a host name or address with an optional port"
        return error(Category.INCORRECT, reason, expression="Host")
    if settings.accepts_host(match[1] or match[2]):
        return None
    reason = (
        "without access control, only loopback hosts are answered, the host of SSCI_BASE_URL and"
        " those of SSCI_ALLOWED_HOSTS"
    )
    return error(Category.INCORRECT, reason, expression="Host")


def _is_delivery(path: str) -> bool:
    return path.startswith("/feeds") and not is_watching(path)


class LimitedBody:
    """Refuses a request body above the limit with 413 before anything is done with it. Feeds have
    the same limit and answer with an acknowledgement."""

    def __init__(self, app: FastAPI, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_delivery(scope["path"]):
            await self._app(scope, receive, send)
            return
        messages = await self._receive_all(receive)
        if messages is None:
            reason = f"the body is larger than {self._limit} bytes"
            problem = error(Category.INCORRECT, reason, code="too-long", status=413)
            await _answer(problem)(scope, receive, send)
            return
        left = iter(messages)

        async def again() -> Message:
            message = next(left, None)
            return await receive() if message is None else message

        await self._app(scope, again, send)

    async def _receive_all(self, receive: Receive) -> list[Message] | None:
        """The body's messages; None as soon as they are more than the limit."""
        messages: list[Message] = []
        size = 0
        while not messages or messages[-1].get("more_body"):
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
            if size > self._limit:
                return None
        return messages


def build_fhir(services: Services) -> FhirApp:
    settings = services.settings
    fhir = FhirSettings(
        _fhir_base(settings),
        FHIR_MOUNT,
        settings.zone_info,
        settings.body_limit_bytes,
        __version__,
        settings.check_references,
        settings.conditional_delete,
    )
    operations = MeasureOperations(services.endpoints).operations()
    parts = (services.store, services.registry, services.layout)
    return FhirApp(*parts, fhir, _anyone, operations)


async def _anyone(_scope: Scope) -> Caller:
    """Who calls while no tokens are asked."""
    return Caller("anonymous")


def build_api(services: Services) -> FastAPI:
    """Everything beside FHIR, and the OpenAPI document of all of it."""
    api = FastAPI(
        title="SSCI interoperability service",
        version=__version__,
        description="Hospital feeds in, FHIR R4 and the endpoints of NCT03688191 out.",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(_known_parameters)],
    )
    _add_docs(api)
    api.include_router(build_feed_router(services.feeds))
    api.include_router(build_trial_router(services.trial))
    api.include_router(build_endpoint_router(services.endpoints))
    api.include_router(build_timeline_router(services.endpoints))
    api.include_router(build_metrics_router(services.watching))
    api.include_router(_health_router(services.database))
    _add_front(api)
    api.add_exception_handler(SsciError, _refused)
    api.add_exception_handler(RequestValidationError, _malformed)
    api.add_exception_handler(HTTPException, _no_such_address)
    api.add_exception_handler(Exception, _failed)
    written = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            operations = MeasureOperations(services.endpoints).operations()
            facts = (services.registry, services.layout)
            api.openapi_schema = describe_fhir(written(), *facts, operations)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return api


async def _known_parameters(request: Request) -> None:
    """A misspelled filter must not be taken for none: an unknown parameter is a 400."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = {each.alias for each in route.dependant.query_params}
    told = f"unknown parameter; known: {', '.join(sorted(known)) or 'none'}"
    issues = [
        Issue("invalid", told, name)
        for name in dict.fromkeys(request.query_params)
        if name not in known
    ]
    if issues:
        raise errors(Category.INCORRECT, issues)


def _add_docs(api: FastAPI) -> None:
    """`/docs` in a browser; its program comes from here, as a hospital's network may be closed."""
    assets = StaticFiles(packages=[("fastapi_swagger", "resources")])
    api.mount("/docs/assets", assets, name="docs-assets")

    @api.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=api.title,
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon-32x32.png",
            swagger_ui_parameters={
                "docExpansion": "none",
                "filter": True,
                "defaultModelsExpandDepth": -1,
            },
        )


PARTS = {
    "/docs": "the whole interface, to be tried out",
    "/fhir/metadata": "FHIR R4: what the server can do",
    "/feeds": "hospital feeds: what came, what is open",
    "/endpoints": "the trial's endpoints",
    "/trial/subjects": "enrolled subjects",
    "/metrics": "metrics for Prometheus",
    "/health": "whether the service can answer",
}


def _add_front(api: FastAPI) -> None:
    """`/` for a person who opens the address in a browser, and for a program."""

    @api.get("/", include_in_schema=False)
    async def front(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"service": api.title, "version": api.version, "parts": PARTS})
        items = "".join(
            f'<li><a href="{path}">{path}</a>: {what}</li>' for path, what in PARTS.items()
        )
        return HTMLResponse(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{api.title}</title>'
            f"<h1>{api.title}</h1><p>{api.description}</p><ul>{items}</ul></html>"
        )


def _health_router(database: Database) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.head("/health", include_in_schema=False)
    @router.get("/health", summary="Whether the service can answer")
    async def health() -> dict[str, str]:
        """200 if the database answers, 503 otherwise."""
        async with database.reading() as connection:
            await connection.fetchval("SELECT 1")
        return {
            "status": "ok",
            "version": __version__,
            "revision": newest_revision() or "",
        }

    return router


def _answer(problem: SsciError) -> Response:
    return Response(
        dump_json(build_outcome(problem)),
        problem.http_status,
        dict(problem.headers),
        "application/fhir+json",
    )


async def _refused(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, SsciError)
    return _answer(problem)


async def _malformed(_request: Request, problem: Exception) -> Response:
    """By field and rule: the values sent are not repeated."""
    assert isinstance(problem, RequestValidationError)
    issues = [
        Issue("invalid", str(each["msg"]), ".".join(str(part) for part in each["loc"]))
        for each in problem.errors()
    ]
    return _answer(errors(Category.INCORRECT, issues))


async def _no_such_address(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    if problem.status_code == 404:
        return _answer(error(Category.NOT_FOUND, "there is no such address; see /docs"))
    not_here = problem.status_code == 405
    category = Category.UNSUPPORTED if not_here else Category.INCORRECT
    told = error(category, str(problem.detail), status=problem.status_code)
    told.headers = dict(problem.headers or {})
    return _answer(told)


async def _failed(_request: Request, problem: Exception) -> Response:
    _log.error("unexpected failure", exc_info=problem)
    return _answer(error(Category.FAULT, "the server failed to answer"))


def create_app(settings: Settings) -> Service:
    """INCORRECT for settings that would open the service to those who may not see everything."""
    if problem := settings.access_problem:
        raise error(Category.INCORRECT, problem)
    return Service(settings)


def create_app_from_environment() -> Service:
    """For worker processes, which find their settings in the environment."""
    settings = read_settings()
    _configure_logging(settings)
    return create_app(settings)


def serve(settings: Settings) -> None:
    """Serve until stopped. Worker processes share the embedded database of the data folder."""
    export_settings(settings)
    ensure_keys(settings.effective_key_file)
    uvicorn.run(
        f"{__name__}:{create_app_from_environment.__name__}",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop" if os.name == "posix" else "auto",
        http="httptools" if os.name == "posix" else "auto",
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )


def _configure_logging(settings: Settings) -> None:
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )


def describe_api() -> dict[str, Any]:
    """The OpenAPI document, without a database: handlers are described, not called."""
    protocol: Protocol = load_protocol()
    registry = load_registry()
    return build_api(_described(protocol, registry)).openapi()


def _described(protocol: Protocol, registry: Registry) -> Services:
    settings = read_settings(no_auth=True)
    nothing: Any = None
    keys = IdentityKeys({"1": bytes(32)}, "1", bytes(32))
    zone = settings.zone_info
    feeds = Feeds(
        nothing, nothing, load_site(SITE), FeedKeys(bytes(32), bytes(32)), TrialDirectory(keys)
    )
    return Services(
        settings,
        nothing,
        registry,
        load_layout(registry),
        nothing,
        Trial(nothing, nothing, protocol, keys, nothing, zone),
        feeds,
        Watching(feeds),
        Endpoints(nothing, protocol, zone),
    )
