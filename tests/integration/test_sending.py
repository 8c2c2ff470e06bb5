"""Sending until it is acknowledged, over MLLP to real and odd receivers, and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import respx

from app.database import Database
from app.errors import Category, SsciError, error
from app.mappings.mllp.blocks import Block, Framing, wrap
from app.mappings.sending.links import open_link, parse_target
from app.mappings.sending.sender import Patience, Sender, Summary
from app.mappings.sending.sources import Record, read_outgoing
from tests.feed_support import LIS, hospital, message, msh, oru
from tests.mllp_support import HOST, MemoryInbox, listening, make_certificates

ADDRESS = f"http://feeds.test/feeds/{LIS}/hl7v2"
Script = Callable[[int, bytes], Sequence[bytes] | None]


def ack(id: str, code: str = "AA", *more: str) -> bytes:
    return "\r".join(["MSH|^~\\&|R", f"MSA|{code}|{id}", *more, ""]).encode()


@dataclass(slots=True)
class Receiver:
    """Answers the nth block with what its script says; None ends the connection."""

    script: Script
    port: int = 0
    got: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        framing = Framing(10_000_000)
        try:
            while chunk := await reader.read(65536):
                for event in framing.feed(chunk):
                    assert isinstance(event, Block)
                    self.got.append(event.data)
                    answers = self.script(len(self.got), event.data)
                    if answers is None:
                        return
                    for each in answers:
                        writer.write(wrap(each))
        except ConnectionError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def receiving(script: Script) -> AsyncIterator[Receiver]:
    receiver = Receiver(script)
    server = await asyncio.start_server(receiver.serve, HOST, 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()


@dataclass(slots=True)
class Naps:
    """Waits that are written down instead."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def send(
    address: str,
    messages: Sequence[bytes],
    *,
    record: Record | None = None,
    patience: float = 0.15,
    attempts: int = 4,
    naps: Naps | None = None,
) -> Summary:
    link = open_link(parse_target(address), patience)
    sender = Sender(link, Patience(attempts, 0.01, 0.05), record=record, sleep=naps or Naps())
    try:
        await sender.send([read_outgoing(each) for each in messages], lambda done: None)
    finally:
        await link.close()
    return sender.summary


async def send_to(receiver: Receiver, messages: Sequence[bytes], **more: object) -> Summary:
    return await send(f"mllp://{HOST}:{receiver.port}", messages, **more)  # type: ignore[arg-type]


def three() -> list[bytes]:
    return [oru(id=str(n)) for n in (1, 2, 3)]


# MLLP


async def test_messages_go_one_after_the_other_and_are_counted(database: Database) -> None:
    async with hospital(database) as lab, listening(lab.feeds) as listener:
        given = [*three(), oru(id="4", value="1O2")]
        summary = await send(f"mllp://{HOST}:{listener.ports[0].port}", given, patience=5.0)
    assert summary.lines() == ["4 messages: AA 4", "errors: VALUE_UNPARSABLE 1"]
    assert summary.complete
    assert listener.server.counts.connections == 1


async def test_an_acknowledgement_that_comes_too_late_is_not_the_next_ones() -> None:
    """The first message is answered when it comes again: with the late answer and its own."""

    def script(number: int, data: bytes) -> list[bytes]:
        answers = {1: [], 2: [ack("1"), ack("1")], 3: [ack("2")], 4: [ack("3")]}
        return answers[number]

    async with receiving(script) as receiver:
        summary = await send_to(receiver, three())
    assert (summary.answers["AA"], summary.retries, summary.strays.late) == (3, 1, 1)
    assert receiver.connections == 2


async def test_an_acknowledgement_said_twice_is_not_that_of_a_message_with_the_same_id() -> None:
    """Analysers number from 1 again and again."""
    link_writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link_writers.append(writer)
        while await reader.read(65536):
            if len(link_writers) == 1:
                writer.write(wrap(ack("1")))
                link_writers.append(writer)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    link = open_link(parse_target(f"mllp://{HOST}:{server.sockets[0].getsockname()[1]}"), 0.15)
    sender = Sender(link, Patience(1))
    assert await sender.send([read_outgoing(oru(id="1"))], lambda done: None)
    link_writers[0].write(wrap(ack("1")))
    await asyncio.sleep(0.05)
    assert not await sender.send([read_outgoing(oru(id="1", value="39"))], lambda done: None)
    await link.close()
    server.close()
    assert (sender.summary.answers["AA"], sender.summary.strays.late) == (1, 1)


async def test_an_acknowledgement_of_another_message_is_passed_over() -> None:
    def script(number: int, data: bytes) -> list[bytes]:
        return [ack("77"), b"noise", ack(str(number))]

    async with receiving(script) as receiver:
        summary = await send_to(receiver, three())
    assert (summary.answers["AA"], summary.strays.foreign, summary.retries) == (3, 6, 0)


async def test_an_acceptance_without_control_id_is_none() -> None:
    async with receiving(lambda number, data: [ack("")]) as receiver:
        summary = await send_to(receiver, three(), attempts=2)
    assert not summary.complete
    assert summary.answers.total() == 0
    assert "no acknowledgement in time" in summary.stopped


async def test_a_connection_that_ends_is_opened_again() -> None:
    def script(number: int, data: bytes) -> list[bytes] | None:
        return None if number % 2 else [ack(read_outgoing(data).control_id.decode())]

    async with receiving(script) as receiver:
        summary = await send_to(receiver, three())
    assert (summary.answers["AA"], summary.retries) == (3, 3)
    assert [read_outgoing(each).control_id for each in receiver.got] == [
        *(b"1", b"1", b"2", b"2", b"3", b"3")
    ]


async def test_a_passing_refusal_is_tried_again_with_growing_waits() -> None:
    inbox = MemoryInbox(problem=error(Category.UNAVAILABLE, "down"))
    naps = Naps()
    async with listening(inbox) as listener:
        summary = await send(
            f"mllp://{HOST}:{listener.ports[0].port}", three(), patience=5.0, naps=naps
        )
    assert "refused for now (AR)" in summary.stopped
    assert summary.retries == len(naps.seconds) == 3
    assert naps.seconds == sorted(naps.seconds)
    assert inbox.received == []


@pytest.mark.parametrize("code", ["AA", "AE", "CA", "CE"])
async def test_what_was_taken_or_found_wrong_is_never_sent_again(code: str) -> None:
    def script(number: int, data: bytes) -> list[bytes]:
        return [ack(str(number), code, "ERR||OBX^1^5|102^x|E|VALUE_UNPARSABLE^x")]

    async with receiving(script) as receiver:
        summary = await send_to(receiver, three())
    assert len(receiver.got) == 3
    assert summary.reasons == {"VALUE_UNPARSABLE": 3}
    assert summary.complete is code.endswith("A")


async def test_a_refusal_of_the_message_itself_is_told_and_the_next_is_sent() -> None:
    def script(number: int, data: bytes) -> list[bytes]:
        error = ["ERR||MSH^1|207^x|E|TOO_LARGE^x"] if number == 2 else []
        return [ack(str(number), "AR" if error else "AA", *error)]

    async with receiving(script) as receiver:
        summary = await send_to(receiver, three())
    assert summary.answers == {"AA": 2, "AR": 1}
    assert not summary.complete


async def test_what_would_not_be_acknowledged_or_framed_is_not_sent() -> None:
    silent, breaking = message(msh(f15="NE", f16="NE")), oru(notes=["a\x1c\rb"])
    async with receiving(lambda number, data: [ack("M1")]) as receiver:
        summary = await send_to(receiver, [silent, breaking, oru()])
    assert summary.answers == {"AA": 1, "not sent": 2}
    assert summary.reasons == {"ASKS_NO_ACKNOWLEDGEMENT": 1, "HAS_FRAMING_BYTES": 1}
    assert receiver.got == [oru()]


async def test_nobody_there_stops_the_sending_with_the_reason() -> None:
    async with receiving(lambda number, data: []) as receiver:
        port = receiver.port
    summary = await send(f"mllp://{HOST}:{port}", three(), attempts=2)
    assert summary.stopped.startswith("no acceptance after 2 attempts: ")
    assert summary.answers.total() == 0


async def test_an_interrupted_sending_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def script(number: int, data: bytes) -> list[bytes]:
        return [ack(read_outgoing(data).control_id.decode())] if number != 2 else []

    async with receiving(script) as receiver:
        for _ in range(2):
            record = Record(tmp_path / "sent", "mllp://a:1")
            summary = await send_to(receiver, three(), record=record, attempts=1)
            record.close()
    assert [read_outgoing(each).control_id for each in receiver.got] == [b"1", b"2", b"2", b"3"]
    assert (summary.before, summary.answers["AA"], summary.complete) == (1, 2, True)


async def test_the_rate_is_kept() -> None:
    naps, clock = Naps(), iter(range(100))
    async with receiving(lambda number, data: [ack(str(number))]) as receiver:
        link = open_link(parse_target(f"mllp://{HOST}:{receiver.port}"), 1.0)
        sender = Sender(link, Patience(), rate=0.1, sleep=naps, now=lambda: float(next(clock)))
        await sender.send([read_outgoing(each) for each in three()], lambda done: None)
        await link.close()
    assert naps.seconds == [9.0, 18.0]


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    async with listening(MemoryInbox(), tls=certificates.mutual) as listener:
        address = f"mllps://{HOST}:{listener.ports[0].port}"
        for name, accepted in (("client", 1), ("stranger", 0)):
            target = parse_target(
                address, tmp_path / "ca.pem", tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
            )
            link = open_link(target, 2.0)
            sender = Sender(link, Patience(1))
            await sender.send([read_outgoing(oru())], lambda done: None)
            await link.close()
            assert sender.summary.answers["AA"] == accepted


# HTTP


@respx.mock
async def test_over_http_503_waits_as_long_as_it_says() -> None:
    route = respx.post(ADDRESS)
    route.side_effect = [
        httpx.Response(503, headers={"Retry-After": "7"}, content=ack("", "AR")),
        httpx.ConnectError("refused"),
        httpx.Response(200, content=ack("1")),
    ]
    naps = Naps()
    summary = await send(ADDRESS, [oru(id="1")], naps=naps)
    assert (summary.answers["AA"], summary.retries) == (1, 2)
    assert naps.seconds[0] == 7.0
    assert naps.seconds[1] < 1.0


@respx.mock
async def test_over_http_a_date_to_come_back_at_is_obeyed() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    respx.post(ADDRESS).side_effect = [
        httpx.Response(503, headers={"Retry-After": at}),
        httpx.Response(200, content=ack("1")),
    ]
    naps = Naps()
    await send(ADDRESS, [oru(id="1")], naps=naps)
    assert 80 < naps.seconds[0] <= 90


@respx.mock
@pytest.mark.parametrize("status", [400, 413])
async def test_over_http_a_refused_message_is_not_sent_again(status: int) -> None:
    route = respx.post(ADDRESS).respond(status, content=ack("", "AR"))
    summary = await send(ADDRESS, three())
    assert route.call_count == 3
    assert summary.answers == {"AR": 3}


@respx.mock
@pytest.mark.parametrize("status", [301, 401, 404, 415])
async def test_over_http_an_address_that_takes_no_messages_is_told(status: int) -> None:
    respx.post(ADDRESS).respond(status, json={"resourceType": "OperationOutcome"})
    with pytest.raises(SsciError, match=f"--to: answers {status}"):
        await send(ADDRESS, three())


@respx.mock
async def test_over_http_another_messages_acknowledgement_is_none() -> None:
    respx.post(ADDRESS).side_effect = [
        httpx.Response(200, content=ack("9")),
        httpx.Response(200, content=ack("1")),
    ]
    summary = await send(ADDRESS, [oru(id="1")])
    assert (summary.answers["AA"], summary.strays.foreign, summary.retries) == (1, 1, 1)
