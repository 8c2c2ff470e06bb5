"""What tests of MLLP share: a listener on a free port, a sender on a real socket, an inbox in
memory that can be slow or broken, certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.errors import SsciError
from app.mappings.dictionary.site import FeedSetting
from app.mappings.formats.hl7v2.ack import NOBODY, build_ack
from app.mappings.mllp.answers import code_of, read_reply_to
from app.mappings.mllp.blocks import Block, Framing, wrap
from app.mappings.mllp.server import MllpLimits, MllpPlan, MllpPort, MllpServer, MllpTls
from tests.feed_support import HIS, LIS, site

HOST = "127.0.0.1"
AT = datetime(2019, 3, 14, 3, tzinfo=UTC)
QUICK = MllpLimits(
    connections=150,
    idle_seconds=5.0,
    block_seconds=5.0,
    write_seconds=5.0,
    slot_seconds=5.0,
    end_seconds=0.05,
    grace_seconds=5.0,
)


@dataclass(frozen=True, slots=True)
class Receipt:
    ack: bytes


@dataclass(slots=True)
class MemoryInbox:
    """Acknowledges whatever comes. `problem` is raised instead; `gate` is waited for."""

    max_bytes: int = 100_000
    problem: SsciError | Exception | None = None
    gate: asyncio.Event | None = None
    received: list[tuple[str, bytes]] = field(default_factory=list)
    oversized: list[bytes] = field(default_factory=list)
    in_work: int = 0
    most_in_work: int = 0

    def setting(self, feed: str) -> FeedSetting:
        return site().feeds[feed]

    def limit_broken(self, body: bytes) -> str | None:
        return "too large" if len(body) > self.max_bytes else None

    async def reject_oversize(self, feed: str, head: bytes, media_type: str, rule: str) -> bytes:
        self.oversized.append(head)
        return build_ack(NOBODY, "reject", "SSCI1", AT)

    async def receive(
        self, feed: str, body: bytes, media_type: str, *, wait: bool = True
    ) -> Sequence[Receipt]:
        self.in_work += 1
        self.most_in_work = max(self.most_in_work, self.in_work)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.problem is not None:
                raise self.problem
        finally:
            self.in_work -= 1
        self.received.append((feed, body))
        to = read_reply_to(body, "utf-8").addressee
        return [Receipt(build_ack(to, "accept", "SSCI1", AT))]


@dataclass(slots=True)
class Line:
    """One connection of a sender."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    framing: Framing = field(default_factory=lambda: Framing(10_000_000))
    came: list[bytes] = field(default_factory=list)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, patience: float = 5.0) -> bytes:
        """The next acknowledgement; EOFError if the service ends the connection instead."""
        async with asyncio.timeout(patience):
            while not self.came:
                chunk = await self.reader.read(65536)
                if not chunk:
                    raise EOFError
                events = self.framing.feed(chunk)
                self.came += [event.data for event in events if isinstance(event, Block)]
        return self.came.pop(0)

    async def ask(self, message: bytes) -> bytes:
        await self.write(wrap(message))
        return await self.answer()

    async def is_ended(self, patience: float = 5.0) -> bool:
        """Whether the service ends the connection without a further byte."""
        async with asyncio.timeout(patience):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


@dataclass(slots=True)
class Listener:
    server: MllpServer
    ports: list[MllpPort]

    @asynccontextmanager
    async def line(
        self, feed: str = LIS, secure: ssl.SSLContext | None = None
    ) -> AsyncIterator[Line]:
        (port,) = [each.port for each in self.ports if each.feed == feed]
        more: dict[str, Any] = {"ssl": secure, "server_hostname": HOST} if secure else {}
        reader, writer = await asyncio.open_connection(HOST, port, **more)
        opened = Line(reader, writer)
        try:
            yield opened
        finally:
            await opened.close()


@asynccontextmanager
async def listening(
    feeds: Any,
    *,
    tls: MllpTls | None = None,
    unanswered: frozenset[str] = frozenset(),
    wait: bool = True,
    **limits: Any,
) -> AsyncIterator[Listener]:
    ports = [MllpPort(LIS, 0), MllpPort(HIS, 0)]
    plan = MllpPlan(HOST, ports, tls, replace(QUICK, **limits), wait, unanswered)
    server = MllpServer(feeds, plan, lambda: AT)
    listener = Listener(server, await server.start())
    try:
        yield listener
    finally:
        await server.stop()


def code_and_id(ack: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    (msa,) = [line for line in ack.split(b"\r") if line.startswith(b"MSA")]
    fields = [*msa.split(b"|"), b"", b""]
    return code_of(ack), fields[2].decode()


async def until(condition: Callable[[], bool]) -> None:
    """Returns when it holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 – what is waited for is not ours to signal
            await asyncio.sleep(0.005)


# Certificates


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority in `folder` with a server's and a client's certificate."""

    folder: Path

    @property
    def server(self) -> MllpTls:
        return MllpTls(self.folder / "server.pem", self.folder / "server.key")

    @property
    def mutual(self) -> MllpTls:
        return replace(self.server, client_ca=self.folder / "ca.pem")

    def client(self, name: str | None = "client") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


def make_certificates(folder: Path) -> Certificates:
    """`ca` signs `server` and `client`; `stranger` signs itself."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    _write(folder, "ca", ca_key, _certificate("ca", ca_key, "ca", ca_key))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, name, key, _certificate(name, key, "ca", ca_key))
    key = ec.generate_private_key(ec.SECP256R1())
    _write(folder, "stranger", key, _certificate("stranger", key, "stranger", key))
    return Certificates(folder)


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.now(UTC)
    authority = subject == issuer
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
        .sign(by, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
