"""Links of a sender to a receiver, over MLLP or HTTP: one message out, its acknowledgement in.

An acknowledgement belongs to the message whose MSH-10 its MSA-2 repeats. After a silence the MLLP
connection is given up, so that a late acknowledgement cannot meet the next message.
"""

from __future__ import annotations

import asyncio
import email.utils
import re
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

import httpx

from app.errors import Category, error
from app.mappings.mllp.blocks import FRAMING_BYTES, Block, Framing, wrap
from app.mappings.sending.sources import Outgoing, read_fields

ER7_MEDIA_TYPE = "x-application/hl7-v2+er7"
MAX_ACK_BYTES = 16 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
REASON = re.compile(r"[A-Za-z0-9_.-]{1,40}")
PASSING_REASONS = frozenset({"INTERNAL", "206", "207"})
"""Reasons of a refusal that says nothing against the message. HL7 table 0357: record locked,
application error."""

RETRIED_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
TLS_SCHEMES = ("mllps", "https")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send."""

    kind: Literal["mllp", "http"]
    address: str
    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An acknowledgement: MSA-1, the reasons of its ERR segments, and whether the message should
    be sent again."""

    code: str
    reasons: tuple[str, ...] = ()
    passing: bool = False
    wait: float = 0.0


class Unanswered(Exception):  # noqa: N818 – no error: the message is sent again
    """No acknowledgement came; the text says why, without anything of the message."""


@dataclass(slots=True)
class Strays:
    """Acknowledgements that belonged to no message waiting: of one sent before, or of none."""

    late: int = 0
    foreign: int = 0


class Link(Protocol):
    strays: Strays

    async def exchange(self, message: Outgoing) -> Reply: ...

    async def close(self) -> None: ...


def parse_target(
    text: str, ca: Path | None = None, cert: Path | None = None, key: Path | None = None
) -> Target:
    """INCORRECT for what is no address, or certificates that can't be used."""
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = None
    kind = parts.scheme.removesuffix("s")
    if kind not in ("mllp", "http") or not parts.hostname or parts.username:
        form = "mllp://host:port or http://host:port/feeds/pumch-lis/hl7v2 (mllps, https for TLS)"
        raise error(Category.INCORRECT, f"must be {form}", expression="--to")
    if kind == "mllp" and (port is None or parts.path.strip("/")):
        raise error(Category.INCORRECT, "MLLP needs a port and has no path", expression="--to")
    secure = parts.scheme in TLS_SCHEMES or (kind == "mllp" and bool(ca or cert or key))
    tls = build_client_tls(ca, cert, key) if secure else None
    if kind == "mllp":
        return Target("mllp", text, parts.hostname, port or 0, tls)
    return Target("http", text, parts.hostname, port or 0, tls)


def build_client_tls(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise error(
            Category.INCORRECT, f"can't be used: {reason}", expression="--tls-ca, --cert or --key"
        ) from None
    return context


def open_link(target: Target, timeout: float) -> Link:
    """Nothing is sent or connected before the first exchange."""
    return MllpLink(target, timeout) if target.kind == "mllp" else HttpLink(target, timeout)


def read_reply(ack: bytes) -> tuple[Reply, bytes] | None:
    """What an acknowledgement says, and MSA-2; None if it is none."""
    msa = [*read_fields(ack, b"MSA"), b"", b""]
    code = msa[1].strip().decode("ascii", "replace").upper()
    if not re.fullmatch("[AC][AER]", code):
        return None
    reasons = _reasons_of(ack)
    passing = code[1] == "R" and PASSING_REASONS.issuperset(reasons)
    return Reply(code, reasons, passing), msa[2].strip()


def _reasons_of(ack: bytes) -> tuple[str, ...]:
    """ERR-5 (the receiver's own), else ERR-3, of each ERR; what is no code is not repeated."""
    found = []
    for line in ack.replace(b"\n", b"\r").split(b"\r"):
        if line.startswith(b"ERR"):
            fields = [*line.split(line[3:4] or b"|"), *[b""] * 6]
            text = (fields[5] or fields[3]).partition(b"^")[0].decode("latin-1")
            found.append(text if REASON.fullmatch(text) else "other")
    return tuple(found)


def is_answer(reply: Reply, id: bytes, message: Outgoing) -> bool:
    """Whether an acknowledgement is this message's. A refusal may not know which one it refuses;
    an acceptance has to."""
    return id == message.control_id or (not id and reply.code[1] == "R")


class MllpLink:
    """One connection, opened when needed."""

    def __init__(self, target: Target, timeout: float) -> None:
        self.strays = Strays()
        self._target = target
        self._timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._framing = Framing(MAX_ACK_BYTES)
        self._sent: set[bytes] = set()

    async def exchange(self, message: Outgoing) -> Reply:
        """Sends, and waits for the acknowledgement. Unanswered: the connection is given up."""
        if not message.tells_success:
            return Reply("", ("ASKS_NO_ACKNOWLEDGEMENT",))
        if any(byte in message.data.rstrip(b"\x1c\r\n") for byte in FRAMING_BYTES):
            return Reply("", ("HAS_FRAMING_BYTES",))
        try:
            return await self._exchange(message)
        except TimeoutError:
            await self.close()
            raise Unanswered("no acknowledgement in time") from None
        except (OSError, EOFError) as problem:
            await self.close()
            raise Unanswered(_told(problem)) from None

    async def _exchange(self, message: Outgoing) -> Reply:
        await self._take_strays(message)
        reader, writer = await self._open()
        self._sent.add(message.control_id)
        async with asyncio.timeout(self._timeout):
            writer.write(wrap(message.data))
            await writer.drain()
            while True:
                if (reply := self._pick(await _read(reader), message)) is not None:
                    return reply

    async def _take_strays(self, message: Outgoing) -> None:
        """What came since the last acknowledgement is of no message to come."""
        if self._streams is None:
            return
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(0):
                while True:
                    self._count(await _read(self._streams[0]))
        except TimeoutError:
            return
        except (OSError, EOFError):
            await self.close()

    def _pick(self, chunk: bytes, message: Outgoing) -> Reply | None:
        """The message's acknowledgement, if it is there now; others are counted."""
        found = None
        for event in self._framing.feed(chunk) or self._framing.settle():
            read = read_reply(event.data) if isinstance(event, Block) else None
            if found is None and read is not None and is_answer(*read, message):
                found = read[0]
            else:
                self._stray(read)
        return found

    def _count(self, chunk: bytes) -> None:
        for event in self._framing.feed(chunk):
            self._stray(read_reply(event.data) if isinstance(event, Block) else None)

    def _stray(self, read: tuple[Reply, bytes] | None) -> None:
        if read is not None and read[1] in self._sent:
            self.strays.late += 1
        else:
            self.strays.foreign += 1

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            target = self._target
            name = target.host if target.tls else None
            async with asyncio.timeout(self._timeout):
                self._streams = await asyncio.open_connection(
                    target.host, target.port, ssl=target.tls, server_hostname=name
                )
            self._framing = Framing(MAX_ACK_BYTES)
        return self._streams

    async def close(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.transport.abort()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> bytes:
    chunk = await reader.read(CHUNK_BYTES)
    if not chunk:
        raise EOFError
    return chunk


def _told(problem: Exception) -> str:
    if isinstance(problem, EOFError):
        return "the receiver ended the connection"
    if isinstance(problem, ssl.SSLError):
        return f"TLS: {problem.reason or 'failed'}"
    return getattr(problem, "strerror", None) or type(problem).__name__


class HttpLink:
    """POST of one message; the answer is its acknowledgement."""

    def __init__(self, target: Target, timeout: float) -> None:
        self.strays = Strays()
        self._target = target
        self._client = httpx.AsyncClient(
            timeout=timeout, verify=target.tls or True, trust_env=False, follow_redirects=False
        )

    async def exchange(self, message: Outgoing) -> Reply:
        """INCORRECT where the address takes no messages."""
        headers = {"content-type": ER7_MEDIA_TYPE, "accept": ER7_MEDIA_TYPE}
        try:
            answer = await self._client.post(
                self._target.address, content=message.data, headers=headers
            )
        except httpx.TransportError as problem:
            raise Unanswered(type(problem).__name__) from None
        read = read_reply(answer.content)
        if answer.status_code in RETRIED_STATUSES:
            code = read[0].code if read else "AR"
            return Reply(code, read[0].reasons if read else (), True, _retry_after(answer))
        if read is None and answer.is_success:
            raise Unanswered("the answer is no acknowledgement")
        if read is None:
            reason = f"answers {answer.status_code}, not an acknowledgement"
            raise error(Category.INCORRECT, reason, expression="--to")
        return self._match(message, *read)

    def _match(self, message: Outgoing, reply: Reply, id: bytes) -> Reply:
        if not is_answer(reply, id, message):
            self.strays.foreign += 1
            raise Unanswered("the acknowledgement is another message's")
        return Reply(reply.code, reply.reasons)

    async def close(self) -> None:
        await self._client.aclose()


def _retry_after(answer: httpx.Response) -> float:
    """Seconds. https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"""
    text = answer.headers.get("retry-after", "")
    if text.isdigit():
        return float(text[:6])
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max((at.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)
