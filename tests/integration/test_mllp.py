"""The MLLP listener on real sockets: framing, order, bounds, TLS, the end.

HL7 v2.5.1 2.9 and 2.10.3.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from ssl import SSLContext, SSLError

import pytest

from app.database import Database
from app.errors import Category, SsciError, error
from app.mappings.mllp import server as mllp_server
from app.mappings.mllp.blocks import wrap
from app.mappings.mllp.server import MllpPlan, MllpPort, MllpServer, MllpTls, describe_counts
from tests.feed_support import HIS, LIS, Hospital, hospital, message, msh, obr, obx, oru, pid, ras
from tests.mllp_support import (
    HOST,
    Certificates,
    Listener,
    MemoryInbox,
    code_and_id,
    listening,
    make_certificates,
    until,
)

DOWN = error(Category.UNAVAILABLE, "the database can't be reached")


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    async with hospital(database) as opened:
        yield opened


@pytest.fixture
def inbox() -> MemoryInbox:
    return MemoryInbox()


@pytest.fixture
async def listener(inbox: MemoryInbox) -> AsyncIterator[Listener]:
    async with listening(inbox) as opened:
        yield opened


# What is kept


async def test_a_message_is_kept_mapped_and_acknowledged(lab: Hospital) -> None:
    async with listening(lab.feeds) as listener, listener.line() as line:
        assert code_and_id(await line.ask(oru(id="A1"))) == ("AA", "A1")
    assert await lab.count("Observation") == 1


async def test_the_port_decides_the_feed(lab: Hospital) -> None:
    async with listening(lab.feeds) as listener, listener.line(HIS) as line:
        assert code_and_id(await line.ask(ras(id="R9"))) == ("AA", "R9")
    assert await lab.count("MedicationAdministration") == 1


async def test_the_answer_names_what_is_wrong_with_a_fact(lab: Hospital) -> None:
    async with listening(lab.feeds) as listener, listener.line() as line:
        ack = await line.ask(oru(value="1O2"))
    assert b"VALUE_UNPARSABLE" in ack
    assert code_and_id(ack)[0] == "AA"


async def test_a_connection_lost_before_the_answer_costs_nothing(lab: Hospital) -> None:
    data = oru(value="1O2", id="LOST")
    async with listening(lab.feeds) as listener:
        async with listener.line() as line:
            await line.write(wrap(data))
            line.writer.transport.abort()
        await until(lambda: listener.server.counts.blocks == 1)
        await until(lambda: listener.server.counts.open == 0)
        async with listener.line() as line:
            first, second = await line.ask(data), await line.ask(data)
    assert first == second
    assert code_and_id(first) == ("AA", "LOST")
    listed = (await lab.client.get(f"/feeds/{LIS}/messages")).json()["messages"]
    assert len(listed) == 1


async def test_the_same_message_on_many_connections_at_once_is_one(lab: Hospital) -> None:
    data = oru(id="RACE")
    async with listening(lab.feeds) as listener:

        async def send() -> tuple[str, str]:
            async with listener.line() as line:
                return code_and_id(await line.ask(data))

        assert set(await asyncio.gather(*(send() for _ in range(6)))) == {("AA", "RACE")}
    assert await lab.count("Observation") == 1


async def test_a_batch_in_a_block_is_answered_by_a_batch(lab: Hospital) -> None:
    batch = b"FHS|^~\\&|LIS\rBHS|^~\\&|LIS|P|||2019||||B77\r" + oru(id="1")
    batch += oru(id="2", order="L2") + b"BTS|2\rFTS|1\r"
    async with listening(lab.feeds) as listener, listener.line() as line:
        ack = await line.ask(batch)
    names = [segment[:3] for segment in ack.split(b"\r")[:-1]]
    assert names == [b"FHS", b"BHS", *[b"MSH", b"MSA"] * 2, b"BTS", b"FTS"]
    assert b"MSA|AA|1\r" in ack
    assert b"MSA|AA|2\rBTS|2\r" in ack
    assert ack.split(b"\r")[1].split(b"|")[11] == b"B77"


async def test_the_answer_is_in_the_senders_charset(lab: Hospital) -> None:
    data = message(msh(f3="检验科", f18="GB 18030-2000"), pid(), obr(), obx(), charset="gb18030")
    async with listening(lab.feeds) as listener, listener.line() as line:
        assert "检验科".encode("gb18030") in await line.ask(data)


async def test_what_cannot_be_decoded_is_kept_and_answered_by_its_control_id(
    lab: Hospital,
) -> None:
    data = message(msh(f10="BROKEN7"), pid(), obr()) + b"OBX|1|ST|X||\xff\xfe\xfa\x80\r"
    async with listening(lab.feeds) as listener, listener.line() as line:
        assert code_and_id(await line.ask(data)) == ("AR", "BROKEN7")
    (listed,) = (await lab.client.get(f"/feeds/{LIS}/quarantine")).json()["facts"]
    assert listed["reason"] == "CHARSET_UNDECODABLE"


async def test_a_block_without_msh_is_answered(lab: Hospital) -> None:
    async with listening(lab.feeds) as listener, listener.line() as line:
        assert code_and_id(await line.ask(b"hello")) == ("AR", "")


async def test_a_block_above_the_limit_is_recorded_and_answered_before_its_end(
    lab: Hospital,
) -> None:
    lab.feeds.max_bytes = 5000
    async with listening(lab.feeds) as listener, listener.line() as line:
        await line.write(b"\x0b" + oru(id="BIG") + b"NTE|1||" + b"x" * 5000)
        assert code_and_id(await line.answer()) == ("AR", "BIG")
        await line.write(b"x" * 100_000 + b"\x1c\r")
        assert code_and_id(await line.ask(oru(id="NEXT"))) == ("AA", "NEXT")
    (listed,) = (await lab.client.get(f"/feeds/{LIS}/quarantine")).json()["facts"]
    assert listed["reason"] == "TOO_LARGE"


async def test_while_the_database_is_down_nothing_is_acknowledged(
    lab: Hospital, database: Database
) -> None:
    data = oru(id="LATER")
    async with listening(lab.feeds) as listener, listener.line() as line:
        await database.close()
        assert code_and_id(await line.ask(data)) == ("AR", "LATER")
        assert listener.server.counts.not_kept == 1


# Framing on the wire


async def test_every_cut_of_two_messages_gives_both_answers(
    listener: Listener, inbox: MemoryInbox
) -> None:
    stream = wrap(oru(id="1")) + wrap(oru(id="2"))
    async with listener.line() as line:
        for cut in range(1, len(stream)):
            await line.write(stream[:cut])
            await asyncio.sleep(0)
            await line.write(stream[cut:])
            found = [code_and_id(await line.answer()) for _ in range(2)]
            assert found == [("AA", "1"), ("AA", "2")]
    assert len(inbox.received) == 2 * (len(stream) - 1)


async def test_pipelined_messages_are_answered_in_their_order(listener: Listener) -> None:
    ids = [str(n) for n in range(200)]
    async with listener.line() as line:
        await line.write(b"".join(wrap(oru(id=id)) for id in ids))
        assert [code_and_id(await line.answer())[1] for _ in ids] == ids


async def test_heartbeats_and_junk_between_messages_are_tolerated(listener: Listener) -> None:
    async with listener.line() as line:
        for between in (b"", b"\0" * 10, b"PING\r\n", b"MSH|without a frame\r", b"\x1c\r"):
            await line.write(between)
            assert (await line.ask(oru(id="J"))).count(b"MSA|AA|J") == 1


async def test_an_end_without_cr_is_answered_after_a_short_wait(listener: Listener) -> None:
    async with listener.line() as line:
        await line.write(b"\x0b" + oru(id="N") + b"\x1c")
        assert code_and_id(await line.answer()) == ("AA", "N")
        await line.write(b"\r")
        assert code_and_id(await line.ask(oru(id="M"))) == ("AA", "M")


async def test_a_half_message_is_followed_by_a_whole_one(
    listener: Listener, inbox: MemoryInbox
) -> None:
    async with listener.line() as line:
        await line.write(b"\x0b" + oru(id="HALF")[:-40])
        assert code_and_id(await line.ask(oru(id="WHOLE"))) == ("AA", "WHOLE")
    assert [body for _, body in inbox.received] == [oru(id="WHOLE")]
    assert listener.server.counts.half_blocks == 1


async def test_the_end_of_a_stream_in_a_message_is_refused(
    listener: Listener, inbox: MemoryInbox
) -> None:
    async with listener.line() as line:
        await line.write(b"\x0b" + oru(id="HALF")[:-40])
        line.writer.write_eof()
        assert code_and_id(await line.answer()) == ("AR", "HALF")
        assert await line.is_ended()
    assert inbox.received == []


async def test_an_empty_block_is_refused_and_not_kept(
    listener: Listener, inbox: MemoryInbox
) -> None:
    async with listener.line() as line:
        assert code_and_id(await line.ask(b"\r\n")) == ("AR", "")
    assert inbox.received == []


# Whether an answer is sent


@pytest.mark.parametrize(
    ("accept", "application", "code"),
    [("AL", "NE", "CA"), ("SU", "NE", "CA"), ("NE", "AL", "AA"), ("XX", "", "CA")],
)
async def test_enhanced_mode_chooses_the_answer(
    lab: Hospital, accept: str, application: str, code: str
) -> None:
    data = message(msh(f10="E", f15=accept, f16=application), pid(), obr(), obx())
    async with listening(lab.feeds) as listener, listener.line() as line:
        assert code_and_id(await line.ask(data)) == (code, "E")


@pytest.mark.parametrize(("accept", "application"), [("NE", "NE"), ("NE", ""), ("ER", "NE")])
async def test_who_wants_no_answer_to_a_success_gets_none(
    lab: Hospital, accept: str, application: str
) -> None:
    data = message(msh(f10="E", f15=accept, f16=application), pid(), obr(), obx())
    async with listening(lab.feeds) as listener, listener.line() as line:
        await line.write(wrap(data))
        assert code_and_id(await line.ask(oru(id="AFTER"))) == ("AA", "AFTER")
    listed = (await lab.client.get(f"/feeds/{LIS}/messages")).json()["messages"]
    assert len(listed) == 2


async def test_who_wants_no_answer_sees_the_end_when_nothing_is_kept(
    listener: Listener, inbox: MemoryInbox
) -> None:
    inbox.problem = DOWN
    async with listener.line() as line:
        await line.write(wrap(message(msh(f15="NE", f16="NE"))))
        assert await line.is_ended()


# Not kept


@pytest.mark.parametrize("problem", [DOWN, error(Category.FAULT, "x"), RuntimeError("NAME")])
async def test_what_is_not_kept_is_rejected_and_can_be_sent_again(
    listener: Listener,
    inbox: MemoryInbox,
    problem: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox.problem = problem
    async with listener.line() as line:
        ack = await line.ask(oru(id="AGAIN"))
        assert code_and_id(ack) == ("AR", "AGAIN")
        assert b"not kept" in ack
        inbox.problem = None
        assert code_and_id(await line.ask(oru(id="AGAIN"))) == ("AA", "AGAIN")
    assert "NAME" not in caplog.text


async def test_a_message_that_comes_on_two_connections_at_once_is_looked_at_again(
    listener: Listener, inbox: MemoryInbox
) -> None:
    inbox.problem = error(Category.CONFLICT, "the same message is being received at this moment")
    asyncio.get_running_loop().call_later(0.08, setattr, inbox, "problem", None)
    async with listener.line() as line:
        assert code_and_id(await line.ask(oru(id="BOTH"))) == ("AA", "BOTH")


async def test_a_feed_may_be_left_unanswered_instead(inbox: MemoryInbox) -> None:
    inbox.problem = DOWN
    async with listening(inbox, unanswered=frozenset({HIS})) as listener:
        async with listener.line(HIS) as line:
            await line.write(wrap(ras()))
            assert await line.is_ended()
        async with listener.line(LIS) as line:
            assert code_and_id(await line.ask(oru()))[0] == "AR"


async def test_a_message_waits_for_its_turn_no_longer_than_set(inbox: MemoryInbox) -> None:
    inbox.gate = asyncio.Event()
    async with (
        listening(inbox, in_work=1, slot_seconds=0.1) as listener,
        listener.line() as busy,
        listener.line(HIS) as other,
    ):
        await busy.write(wrap(oru(id="SLOW")))
        await until(lambda: inbox.in_work == 1)
        assert code_and_id(await other.ask(ras(id="FULL"))) == ("AR", "FULL")
        inbox.gate.set()
        assert code_and_id(await busy.answer()) == ("AA", "SLOW")


# Bounds


async def test_a_hundred_connections_are_served_with_few_messages_in_work(
    inbox: MemoryInbox,
) -> None:
    async with listening(inbox, in_work=4) as listener:

        async def send(number: int) -> list[str]:
            async with listener.line() as line:
                return [code_and_id(await line.ask(oru(id=f"{number}.{n}")))[1] for n in range(5)]

        found = await asyncio.gather(*(send(number) for number in range(100)))
    assert found == [[f"{number}.{n}" for n in range(5)] for number in range(100)]
    assert len(inbox.received) == 500
    assert inbox.most_in_work <= 4


async def test_one_connection_too_many_is_refused_and_the_others_go_on(
    inbox: MemoryInbox,
) -> None:
    async with listening(inbox, connections=2) as listener:
        async with listener.line() as one, listener.line() as two:
            await one.ask(oru())
            await two.ask(oru())
            async with listener.line() as three:
                assert await three.is_ended()
            assert code_and_id(await one.ask(oru(id="ON"))) == ("AA", "ON")
        await until(lambda: listener.server.counts.open == 0)
        async with listener.line() as four:
            assert code_and_id(await four.ask(oru(id="IN"))) == ("AA", "IN")


async def test_a_sender_that_trickles_is_refused_and_holds_up_nobody(inbox: MemoryInbox) -> None:
    async with listening(inbox, block_seconds=0.4) as listener:
        async with listener.line() as slow, listener.line() as other:

            async def trickle() -> None:
                for byte in b"\x0b" + oru(id="SLOW"):
                    await slow.write(bytes([byte]))
                    await asyncio.sleep(0.02)

            trickling = asyncio.create_task(trickle())
            for _ in range(20):
                assert code_and_id(await other.ask(oru(id="OK"))) == ("AA", "OK")
            assert code_and_id(await slow.answer())[0] == "AR"
            assert await slow.is_ended()
            trickling.cancel()
            await asyncio.gather(trickling, return_exceptions=True)
        assert listener.server.counts.timeouts == 1


async def test_a_silent_connection_is_ended(inbox: MemoryInbox) -> None:
    async with listening(inbox, idle_seconds=0.1) as listener, listener.line() as line:
        assert await line.is_ended()


async def test_a_sender_that_never_reads_its_answers_is_ended(inbox: MemoryInbox) -> None:
    async with listening(inbox, write_seconds=0.3) as listener, listener.line() as line:
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]
        data = wrap(message(msh(f10="x" * 190, f3="y" * 5000)))

        async def flood() -> None:
            while True:
                await line.write(data * 50)

        with pytest.raises(OSError):  # noqa: PT011 – reset or broken pipe, as the kernel likes
            await asyncio.wait_for(flood(), 20)
        assert listener.server.counts.open == 0


async def test_blocks_without_an_end_are_dropped_before_they_fill_the_memory(
    inbox: MemoryInbox,
) -> None:
    inbox.max_bytes = 50_000_000
    half = b"\x0b" + oru(id="HUGE") + b"x" * 2_000_000
    async with (
        listening(inbox, held_bytes=3_000_000) as listener,
        listener.line() as one,
        listener.line() as two,
    ):
        await one.write(half)
        await two.write(half)
        waiting = {asyncio.create_task(each.answer()) for each in (one, two)}
        done, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert code_and_id(done.pop().result()) == ("AR", "HUGE")
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


async def is_answered(listener: Listener, secure: SSLContext) -> bool:
    try:
        async with listener.line(secure=secure) as line:
            return code_and_id(await line.ask(oru(id="T"))) == ("AA", "T")
    except (SSLError, OSError, EOFError):
        return False


async def test_tls_is_served_to_who_trusts_the_certificate(
    inbox: MemoryInbox, certificates: Certificates
) -> None:
    async with listening(inbox, tls=certificates.server) as listener:
        assert await is_answered(listener, certificates.client(None))
        async with listener.line() as plain:
            await plain.write(wrap(oru()))
            with pytest.raises((EOFError, ConnectionError)):
                await plain.answer()


@pytest.mark.parametrize(("name", "served"), [("client", True), ("stranger", False), (None, False)])
async def test_with_a_client_ca_only_its_certificates_are_served(
    inbox: MemoryInbox, certificates: Certificates, name: str | None, served: bool
) -> None:
    async with listening(inbox, tls=certificates.mutual) as listener:
        assert await is_answered(listener, certificates.client(name)) is served
    assert len(inbox.received) == served


async def test_a_certificate_that_is_none_is_told_at_the_start(
    inbox: MemoryInbox, tmp_path: Path
) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    plan = MllpPlan(HOST, [MllpPort(LIS, 0)], MllpTls(tmp_path / "x.pem", tmp_path / "x.pem"))
    with pytest.raises(SsciError, match="certificate, key or client CA"):
        await MllpServer(inbox, plan).start()


# Start and end


async def test_an_unknown_feed_or_a_taken_port_is_told_at_the_start(
    inbox: MemoryInbox, lab: Hospital, listener: Listener
) -> None:
    unknown = MllpPlan(HOST, [MllpPort("nobody", 0)])
    with pytest.raises(SsciError, match="there is no feed nobody"):
        await MllpServer(lab.feeds, unknown).start()
    taken = MllpPlan(HOST, [MllpPort(HIS, 0), MllpPort(LIS, listener.ports[0].port)])
    with pytest.raises(SsciError, match="can't listen on"):
        await MllpServer(inbox, taken).start()


async def test_at_the_end_the_message_in_work_is_answered_and_none_begun(
    inbox: MemoryInbox,
) -> None:
    inbox.gate = asyncio.Event()
    async with listening(inbox) as listener, listener.line() as busy, listener.line() as idle:
        await idle.write(b"\x0bMSH|half")
        await busy.write(wrap(oru(id="IN WORK")) + wrap(oru(id="NOT BEGUN")))
        await until(lambda: inbox.in_work == 1)
        stopping = asyncio.create_task(listener.server.stop())
        assert await idle.is_ended()
        inbox.gate.set()
        assert code_and_id(await busy.answer()) == ("AA", "IN WORK")
        assert busy.came == []
        assert await busy.is_ended()
        await stopping
    assert len(inbox.received) == 1


async def test_who_waits_for_a_turn_at_the_end_is_told_that_nothing_is_kept(
    inbox: MemoryInbox,
) -> None:
    inbox.gate = asyncio.Event()
    async with (
        listening(inbox, in_work=1) as listener,
        listener.line() as busy,
        listener.line() as next,
    ):
        await busy.write(wrap(oru(id="1")))
        await until(lambda: inbox.in_work == 1)
        await next.write(wrap(oru(id="2")))
        await until(lambda: listener.server.counts.blocks == 2)
        stopping = asyncio.create_task(listener.server.stop())
        await asyncio.sleep(0.01)
        inbox.gate.set()
        assert code_and_id(await busy.answer()) == ("AA", "1")
        assert code_and_id(await next.answer()) == ("AR", "2")
        await stopping


async def test_the_end_does_not_wait_for_ever(inbox: MemoryInbox) -> None:
    inbox.gate = asyncio.Event()
    async with listening(inbox, grace_seconds=0.1) as listener, listener.line() as line:
        await line.write(wrap(oru()))
        await until(lambda: inbox.in_work == 1)
        async with asyncio.timeout(3):
            await listener.server.stop()
        assert await line.is_ended()


async def test_the_log_and_the_counts_name_no_patient_and_no_message(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, mllp_server.__name__):
        async with listener.line() as line:
            await line.ask(oru(id="SECRET-ID"))
            await line.write(b"\x0b" + oru(id="SECRET-ID")[:-9])
        await until(lambda: listener.server.counts.open == 0)
    assert "closed by the sender after 1 blocks (AA 1" in caplog.text
    assert not [word for word in ("SECRET", "T000000001", "测试", "|38|") if word in caplog.text]
    counts = describe_counts(listener.server.counts)
    assert (counts["answers_AA"], counts["half_blocks"], counts["open"]) == (1, 1, 0)
