"""`ssci demo`: the service on this machine, a synthetic cohort enrolled and fed over HTTP, figures.

The service runs in this process; everything else goes over its socket, as a hospital would. What is
acknowledged already is asked of the service, so that a second run, also after a crash, feeds the
rest and nothing twice.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.demo_text import (
    HL7_V2,
    Enrolled,
    fetch,
    show_addresses,
    show_figures,
    show_open_facts,
    show_requests,
)
from app.errors import Category, SsciError, error
from app.fhir import Caller
from app.main import create_app, open_services
from app.settings import Settings
from app.simulation import (
    CRF,
    LIS,
    PHARMACY,
    Message,
    Participant,
    build_case_report_forms,
    build_enrolment,
    build_messages,
    simulate_participants,
)
from app.trial import load_study

FED_AT_ONCE = 4
MEDIA_TYPES = {"hl7v2": HL7_V2, "json": "application/json"}
PAGE_SIZE = 200
ATTEMPTS = 8
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """Which cohort; `exit_after` seconds to go on serving (None: until stopped)."""

    participants: int
    seed: int
    exit_after: float | None = None


async def run_demo(settings: Settings, plan: DemoPlan, console: Console) -> None:
    """Serve, feed, show. Raises SsciError: port taken, service can't start, request refused."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    with _listen(settings) as listener:
        address = f"http://{settings.host}:{listener.getsockname()[1]}"
        console.print(f"Starting the service with its data in {settings.data_dir} …")
        async with open_services(settings) as services:
            await load_study(services.store, Caller("ssci demo"), services.trial.protocol)
            await _serve_and_show(settings, plan, console, listener, address)


async def _serve_and_show(
    settings: Settings, plan: DemoPlan, console: Console, listener: socket.socket, address: str
) -> None:
    """Until the service is stopped, or the figures are shown and `exit_after` has passed."""
    server = _build_server(settings)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    showing = asyncio.create_task(_show(plan, console, address))
    try:
        await asyncio.wait({serving, showing}, return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            showing.result()
            await asyncio.wait({serving}, timeout=plan.exit_after)
    finally:
        showing.cancel()
        server.should_exit = True
        await asyncio.gather(showing, return_exceptions=True)
        await serving
    if not server.started:
        raise error(Category.UNAVAILABLE, "the service did not start; the reason stands above")


async def _show(plan: DemoPlan, console: Console, address: str) -> None:
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        await _await_health(client)
        cohort = list(simulate_participants(plan.participants, plan.seed))
        console.print(f"Enrolling {len(cohort)} synthetic participants …")
        enrolled = await _enrol(client, cohort)
        await _feed(client, console, enrolled)
        await _await_processing(client, console)
        await show_open_facts(client, console)
        await show_figures(client, console)
        show_addresses(console, address)
        stayed = [each for each in enrolled if each.participant.left_on is None]
        await show_requests(client, console, (stayed or enrolled)[0])
        if plan.exit_after is None:
            console.print("\nServing until Ctrl-C.")


def _listen(settings: Settings) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as problem:
        listener.close()
        if problem.errno != errno.EADDRINUSE:
            raise
        raise error(
            Category.CONFLICT,
            f"port {settings.port} is taken: stop what listens there (perhaps an earlier demo), or"
            " choose another one with --port",
        ) from None
    return listener


def _build_server(settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        create_app(settings),
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    return uvicorn.Server(config)


async def _await_health(client: httpx.AsyncClient) -> None:
    """The socket is bound but not listening until the service has started."""
    while True:
        try:
            (await client.get("/health")).raise_for_status()
        except (httpx.ConnectError, httpx.ReadError, httpx.HTTPStatusError):
            await asyncio.sleep(0.1)
        else:
            return


async def _enrol(client: httpx.AsyncClient, cohort: Sequence[Participant]) -> list[Enrolled]:
    """In turn, so that subject numbers are the cohort's; a second time finds them enrolled."""
    enrolled = []
    for participant in cohort:
        key = {"Idempotency-Key": f"demo-{participant.seed}-{participant.person.number}"}
        body = build_enrolment(participant)
        answer = await client.post("/trial/subjects", json=body, headers=key)
        if answer.status_code not in {200, 201}:
            raise _refused("POST /trial/subjects", answer)
        enrolled.append(Enrolled(participant, answer.json()["number"]))
    return enrolled


async def _feed(client: httpx.AsyncClient, console: Console, cohort: Sequence[Enrolled]) -> None:
    """Every message that is not yet acknowledged."""
    known = {feed: await _acknowledged(client, feed) for feed in (LIS, PHARMACY, CRF)}
    messages = [_messages_of(each) for each in cohort]
    streams = [[each for each in stream if not _is_known(each, known)] for stream in messages]
    remaining = sum(map(len, streams))
    acknowledged = sum(map(len, messages)) - remaining
    if acknowledged:
        console.print(f"{acknowledged} of their messages were acknowledged before, {remaining} not")
    if remaining:
        with _progress(console, remaining) as advance:
            await _feed_streams(client, streams, advance)


def _messages_of(enrolled: Enrolled) -> list[Message]:
    """What hospital and site send about a participant, in the order of sending."""
    forms = build_case_report_forms(enrolled.participant, enrolled.number)
    return sorted((*build_messages(enrolled.participant), *forms), key=lambda each: each.sent)


async def _acknowledged(client: httpx.AsyncClient, feed: str) -> frozenset[str]:
    """The sha256 of every message that the service keeps of a feed."""
    found: set[str] = set()
    following: str | None = f"/feeds/{feed}/messages?count={PAGE_SIZE}"
    while following:
        page = await fetch(client, following)
        found.update(message["sha256"] for message in page["messages"])
        following = page["next"]
    return frozenset(found)


def _is_known(message: Message, known: Mapping[str, frozenset[str]]) -> bool:
    return hashlib.sha256(message.payload).hexdigest() in known[message.feed]


async def _feed_streams(
    client: httpx.AsyncClient, streams: Sequence[Sequence[Message]], advance: Callable[[], None]
) -> None:
    """A few participants at once, each one's messages in order."""
    at_once = asyncio.Semaphore(FED_AT_ONCE)

    async def feed_stream(stream: Sequence[Message]) -> None:
        async with at_once:
            for message in stream:
                await _send(client, message)
                advance()

    try:
        async with asyncio.TaskGroup() as group:
            for stream in streams:
                group.create_task(feed_stream(stream))
    except* SsciError as problems:
        raise problems.exceptions[0] from None


async def _send(client: httpx.AsyncClient, message: Message) -> None:
    """Until it is acknowledged, as a hospital system does; 503 means: not kept, send again."""
    path = f"/feeds/{message.feed}/{message.format}"
    headers = {"Content-Type": MEDIA_TYPES[message.format]}
    for attempt in range(ATTEMPTS):
        answer = await client.post(path, content=message.payload, headers=headers)
        if answer.status_code == 200:
            return
        if answer.status_code != 503:
            break
        await asyncio.sleep(min(2**attempt, float(answer.headers.get("Retry-After", "1"))))
    raise _refused(f"POST {path}", answer)


async def _await_processing(client: httpx.AsyncClient, console: Console) -> None:
    """Facts of messages that an interrupted run left behind are mapped by the service itself."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    with console.status("Waiting for what an earlier run left to be mapped"):
        while any(feed["pending"] for feed in (await fetch(client, "/feeds"))["feeds"]):
            if asyncio.get_running_loop().time() > deadline:
                console.print("Some messages are still being mapped: the figures may lack them.")
                return
            await asyncio.sleep(0.5)


def _refused(what: str, answer: httpx.Response) -> SsciError:
    return error(
        Category.UNAVAILABLE if answer.status_code == 503 else Category.FAULT,
        f"{what} was answered {answer.status_code}: {answer.text[:500]}",
    )


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[], None]]:
    columns = (
        TextColumn("Feeding their messages"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("feeding", total=total)
        yield lambda: progress.advance(task)
