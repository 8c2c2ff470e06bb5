"""The MLLP listener: connections of the hospital's systems in, acknowledgements out.

One task per connection works block by block, so that answers keep the order of their messages and
TCP slows a sender down that is faster than the inbox. What is common to all connections has a
bound: their number, the messages in work, the bytes held for blocks without an end yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from app.errors import Category, SsciError, error
from app.fhir import unhurried
from app.mappings.dictionary.site import HL7, FeedSetting
from app.mappings.frame import BOM
from app.mappings.mllp.answers import (
    EMPTY,
    NOT_KEPT,
    UNFINISHED,
    ReplyTo,
    build_refusal,
    code_of,
    is_batch,
    join_batch,
    name_message,
    read_reply_to,
)
from app.mappings.mllp.blocks import Block, Event, Framing, HalfBlock, TooLarge, wrap

logger = logging.getLogger(__name__)

ER7_MEDIA_TYPE = "x-application/hl7-v2+er7"
CHUNK_BYTES = 64 * 1024
SMALL_BYTES = 1024 * 1024
CONFLICT_ATTEMPTS = 5
CONFLICT_SECONDS = 0.05
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A sender that lost its power is noticed after two minutes."""


class Answered(Protocol):
    """What became of one message, as far as its sender is told."""

    @property
    def ack(self) -> bytes: ...


class Inbox(Protocol):
    """The feeds as a transport needs them."""

    @property
    def max_bytes(self) -> int: ...

    def setting(self, feed: str) -> FeedSetting: ...

    async def receive(
        self, feed: str, body: bytes, media_type: str, *, wait: bool = True
    ) -> Sequence[Answered]: ...

    def limit_broken(self, body: bytes) -> str | None: ...

    async def reject_oversize(
        self, feed: str, head: bytes, media_type: str, rule: str
    ) -> bytes: ...


@dataclass(frozen=True, slots=True)
class MllpPort:
    """A port and the feed whose messages come there; port 0 takes a free one."""

    feed: str
    port: int


@dataclass(frozen=True, slots=True)
class MllpLimits:
    """`end_seconds`: how long an end of a block waits for its CR. `slot_seconds`: how long a
    message waits while as many as may be are in work. `grace_seconds`: how long the end of the
    service waits for them."""

    connections: int = 256
    in_work: int = 16
    idle_seconds: float = 3600.0
    block_seconds: float = 60.0
    write_seconds: float = 30.0
    slot_seconds: float = 5.0
    end_seconds: float = 0.25
    grace_seconds: float = 10.0
    held_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MllpTls:
    """Certificate and key of the service; with `client_ca`, senders must show a certificate that
    it signed."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class MllpPlan:
    """Where to listen and how. `wait`: acknowledge when the facts are decided, so that the answer
    has their errors, else as soon as the bytes are durable. `unanswered`: feeds whose senders take
    AR for an end, so that the connection is closed instead."""

    host: str
    ports: Sequence[MllpPort]
    tls: MllpTls | None = None
    limits: MllpLimits = field(default_factory=MllpLimits)
    wait: bool = True
    unanswered: frozenset[str] = frozenset()
    share_ports: bool = False


@dataclass(slots=True)
class MllpCounts:
    """What the listener has seen since its start; `answers` by MSA-1, '' for none."""

    open: int = 0
    connections: int = 0
    refused: int = 0
    blocks: int = 0
    too_large: int = 0
    half_blocks: int = 0
    outside_bytes: int = 0
    not_kept: int = 0
    timeouts: int = 0
    answers: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    feed: str
    framing: Framing
    peer: str
    task: asyncio.Task[None] | None = None
    handling: bool = False
    ending: str = ""
    held: int = 0
    opened: int = 0
    since: float = 0.0
    blocks: int = 0
    answers: Counter[str] = field(default_factory=Counter)


class MllpServer:
    """Listens on every port of its plan between `start` and `stop`."""

    def __init__(
        self,
        feeds: Inbox,
        plan: MllpPlan,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.counts = MllpCounts()
        self._feeds = feeds
        self._plan = plan
        self._limits = plan.limits
        self._now = now
        self._slots = asyncio.Semaphore(plan.limits.in_work)
        self._servers: list[asyncio.Server] = []
        self._connections: set[_Connection] = set()
        self._held = 0
        self._closing = False

    # Life

    async def start(self) -> list[MllpPort]:
        """Listens; the ports as they are. INCORRECT: unknown feed or unusable certificate;
        CONFLICT: a port is taken."""
        context = build_server_tls(self._plan.tls) if self._plan.tls else None
        for each in self._plan.ports:
            self._check_feed(each.feed)
        try:
            for each in self._plan.ports:
                self._servers.append(await self._listen(each, context))
        except BaseException:
            await self.stop()
            raise
        found = [
            MllpPort(each.feed, server.sockets[0].getsockname()[1])
            for each, server in zip(self._plan.ports, self._servers, strict=True)
        ]
        for each in found:
            logger.info("mllp: %s listens on %s:%d", each.feed, self._plan.host, each.port)
        return found

    async def stop(self) -> None:
        """Takes no further message; those in work are answered, within the grace period."""
        self._closing = True
        for server in self._servers:
            server.close()
        tasks = {each.task for each in self._connections if each.task is not None}
        for each in self._connections:
            if not each.handling and each.task is not None:
                each.task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._limits.grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _check_feed(self, name: str) -> None:
        try:
            formats = self._feeds.setting(name).formats
        except SsciError:
            reason = f"there is no feed {name}"
            raise error(Category.INCORRECT, reason, expression="SSCI_MLLP") from None
        if HL7 not in formats:
            reason = f"the feed {name} takes no HL7 v2"
            raise error(Category.INCORRECT, reason, expression="SSCI_MLLP")

    async def _listen(self, each: MllpPort, context: ssl.SSLContext | None) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._welcome(each.feed, reader, writer)

        secure: dict[str, Any] = {"ssl": context, "ssl_handshake_timeout": 10.0} if context else {}
        try:
            return await asyncio.start_server(
                serve,
                self._plan.host,
                each.port,
                limit=CHUNK_BYTES,
                backlog=self._limits.connections,
                reuse_port=self._plan.share_ports or None,
                **secure,
            )
        except OSError as problem:
            reason = f"can't listen on {self._plan.host}:{each.port}: {problem.strerror}"
            raise error(Category.CONFLICT, reason, expression="SSCI_MLLP") from None

    # A connection

    async def _welcome(
        self, feed: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = _Connection(
            *(reader, writer, feed, Framing(self._feeds.max_bytes), _peer(writer)),
            task=asyncio.current_task(),
        )
        if self._closing or len(self._connections) >= self._limits.connections:
            self.counts.refused += 1
            logger.warning("mllp: %s: refused, too many connections", connection.peer)
            writer.transport.abort()
            return
        _keep_alive(writer)
        self._connections.add(connection)
        self.counts.connections += 1
        self.counts.open += 1
        try:
            await self._serve(connection)
        except (OSError, TimeoutError) as problem:
            connection.ending = connection.ending or f"broken ({type(problem).__name__})"
        finally:
            await self._farewell(connection)

    async def _farewell(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self.counts.open -= 1
        self.counts.outside_bytes += connection.framing.outside
        self._held -= connection.held
        level = logging.INFO if connection.blocks else logging.DEBUG
        logger.log(
            level,
            "mllp: %s to %s: %s after %d blocks (%s), %d bytes outside of blocks",
            connection.peer,
            connection.feed,
            connection.ending or "stopped",
            connection.blocks,
            ", ".join(f"{code or 'none'} {n}" for code, n in sorted(connection.answers.items())),
            connection.framing.outside,
        )
        await _close(connection.writer)

    async def _serve(self, connection: _Connection) -> None:
        """Block after block, until the sender or the service ends it."""
        while not (self._closing or connection.ending):
            events = await self._read(connection)
            self._account(connection, sum(len(_bytes_of(event)) for event in events))
            for event in events:
                if self._closing:
                    return
                await self._handle(connection, event)
            if self._held > self._limits.held_bytes and connection.framing.held > SMALL_BYTES:
                for event in connection.framing.give_up():
                    await self._answer(connection, self._refuse(connection, event))
            self._account(connection, 0)

    def _account(self, connection: _Connection, in_work: int) -> None:
        held = connection.framing.held + in_work
        self._held += held - connection.held
        connection.held = held

    async def _read(self, connection: _Connection) -> list[Event]:
        """What comes next; after the end, or too long a silence, what that makes of the rest."""
        framing = connection.framing
        try:
            async with asyncio.timeout(self._patience(connection)):
                chunk = await connection.reader.read(CHUNK_BYTES)
        except TimeoutError:
            if framing.awaits_last_byte:
                return framing.settle()
            self.counts.timeouts += 1
            connection.ending = "too slow" if framing.in_block else "idle for too long"
            return framing.close()
        if not chunk:
            connection.ending = "closed by the sender"
            return framing.close()
        return framing.feed(chunk)

    def _patience(self, connection: _Connection) -> float:
        framing = connection.framing
        if framing.awaits_last_byte:
            return self._limits.end_seconds
        if not framing.in_block:
            return self._limits.idle_seconds
        now = asyncio.get_running_loop().time()
        if framing.opened != connection.opened:
            connection.opened, connection.since = framing.opened, now
        return max(connection.since + self._limits.block_seconds - now, 0.0)

    async def _handle(self, connection: _Connection, event: Event) -> None:
        connection.handling = True
        try:
            await self._answer(connection, await self._reply(connection, event))
        finally:
            connection.handling = False

    async def _answer(self, connection: _Connection, ack: bytes | None) -> None:
        """Sends; TimeoutError for a sender that does not read."""
        code = code_of(ack) if ack else ""
        self.counts.answers[code] += 1
        connection.answers[code] += 1
        if not ack:
            return
        connection.writer.write(wrap(ack))
        async with asyncio.timeout(self._limits.write_seconds):
            await connection.writer.drain()

    # A block

    async def _reply(self, connection: _Connection, event: Event) -> bytes | None:
        """The answer to a block; None where there is to be none."""
        if isinstance(event, HalfBlock):
            return self._reply_to_half(connection, event)
        connection.blocks += 1
        self.counts.blocks += 1
        data = _bytes_of(event)
        to = self._reply_to(connection, data)
        if not data.strip(b" \t\r\n\0" + BOM):
            return build_refusal(to, EMPTY, self._now())
        try:
            acks = await self._keep(connection.feed, event)
        except SsciError as problem:
            logger.warning("mllp: %s: not kept: %s", connection.feed, problem.category)
            return self._not_kept(connection, to)
        except Exception as problem:
            logger.error("mllp: %s: not kept: %s", connection.feed, type(problem).__name__)
            return self._not_kept(connection, to)
        if is_batch(data) and isinstance(event, Block):
            return join_batch(data, acks)
        wanted = [name_message(ack, to) for ack in acks]
        return b"".join(ack for ack in wanted if to.wants(code_of(ack))) or None

    def _reply_to_half(self, connection: _Connection, event: HalfBlock) -> bytes | None:
        """Only where the stream ended: else the answer could be taken for the next block's."""
        self.counts.half_blocks += 1
        logger.warning("mllp: %s to %s: half a block", connection.peer, connection.feed)
        if not connection.ending:
            return None
        return build_refusal(self._reply_to(connection, event.head), UNFINISHED, self._now())

    async def _keep(self, feed: str, event: Event) -> list[bytes]:
        """The acknowledgements of what is durable now. SsciError: nothing is."""
        async with self._slot():
            data = _bytes_of(event)
            rule = await unhurried(len(data), self._feeds.limit_broken, data)
            if rule or isinstance(event, TooLarge):
                self.counts.too_large += 1
                limit = f"a delivery may have {self._feeds.max_bytes} bytes"
                return [
                    await self._feeds.reject_oversize(feed, data, ER7_MEDIA_TYPE, rule or limit)
                ]
            answers = await _past_conflicts(
                lambda: self._feeds.receive(feed, data, ER7_MEDIA_TYPE, wait=self._plan.wait)
            )
            return [answer.ack for answer in answers]

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """A place among the messages in work. UNAVAILABLE: too long a wait, or the service ends."""
        try:
            async with asyncio.timeout(self._limits.slot_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise error(Category.UNAVAILABLE, "too many messages in work") from None
        try:
            if self._closing:
                raise error(Category.UNAVAILABLE, "the service is being stopped")
            yield
        finally:
            self._slots.release()

    def _refuse(self, connection: _Connection, event: Event) -> bytes | None:
        return self._not_kept(connection, self._reply_to(connection, _bytes_of(event)))

    def _not_kept(self, connection: _Connection, to: ReplyTo) -> bytes | None:
        """AR, or the end of the connection where the sender would not understand or see it."""
        self.counts.not_kept += 1
        ack = build_refusal(to, NOT_KEPT, self._now())
        if connection.feed in self._plan.unanswered or not to.wants(code_of(ack)):
            connection.ending = "closed unanswered"
            raise ConnectionAbortedError
        return ack

    def _reply_to(self, connection: _Connection, data: bytes) -> ReplyTo:
        return read_reply_to(data, self._feeds.setting(connection.feed).codec)


async def _past_conflicts(
    receive: Callable[[], Awaitable[Sequence[Answered]]],
) -> Sequence[Answered]:
    """The same message may be coming in on another connection at this moment: then it is known at
    the next look."""
    for _ in range(CONFLICT_ATTEMPTS - 1):
        try:
            return await receive()
        except SsciError as problem:
            if problem.category is not Category.CONFLICT:
                raise
            await asyncio.sleep(CONFLICT_SECONDS)
    return await receive()


def _bytes_of(event: Event) -> bytes:
    return event.data if isinstance(event, Block) else event.head


def _peer(writer: asyncio.StreamWriter) -> str:
    address = writer.get_extra_info("peername")
    return f"{address[0]}:{address[1]}" if address else "unknown"


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is None:
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _close(writer: asyncio.StreamWriter) -> None:
    """What was written is sent, unless the sender does not take it."""
    writer.close()
    try:
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


def build_server_tls(tls: MllpTls) -> ssl.SSLContext:
    """INCORRECT where a file can't be read or does not hold what it should."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise error(
            Category.INCORRECT,
            f"certificate, key or client CA can't be used: {reason}",
            expression="SSCI_MLLP_TLS_…",
        ) from None
    return context


def describe_counts(counts: MllpCounts) -> Mapping[str, int]:
    """The counts by name, for metrics: nothing of a message or a sender."""
    names = (
        *("open", "connections", "refused", "blocks", "too_large", "half_blocks"),
        *("outside_bytes", "not_kept", "timeouts"),
    )
    answers = {f"answers_{code or 'none'}": n for code, n in counts.answers.items()}
    return {**{name: getattr(counts, name) for name in names}, **answers}
