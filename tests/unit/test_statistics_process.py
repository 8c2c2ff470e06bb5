"""The statistics process: jobs out, answers in, and every way it can end."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from app.endpoints import StatisticsProcess, worker
from app.endpoints.analyses.answering import compute_answer
from app.endpoints.process import Send, Write, encode_job
from app.endpoints.reading.columns import FIELDS, Packed
from app.endpoints.reading.records import Record, Subject, Treatment
from app.endpoints.reading.statements import own_fields
from app.errors import Category, SsciError
from tests.endpoint_support import Asked, build_request

JOB = "endpoint"


def asked(value: int = 30) -> Asked:
    """One participant of baseline 20."""
    return build_request(f"collected | value \n 2018-12-31 | 20 \n 2019-01-31 | {value}")


ASKED = asked()
REQUEST = ASKED.request


def frames(whole: Asked = ASKED) -> list[bytes]:
    """What the web worker writes after the job: records, then counts and doses as COPY has them."""
    kinds = sorted({type(each) for each in whole.records}, key=lambda kind: kind.__name__)
    rows = {kind: [row_of(each) for each in whole.records if type(each) is kind] for kind in kinds}
    rows.setdefault(Treatment, [])
    tables = whole.tables
    told = (True, rows, tables.numbers, tables.hashes.tolist())
    return [pickle.dumps(told), copied(tables.counts), b"", copied(tables.doses), b""]


def row_of(record: Record) -> tuple[object, ...]:
    when, source = record.when, record.source
    times = (when.begin, when.precision, when.day, when.last_day) if when else (None,) * 4
    head = (record.subject, *times, source.resource_type, source.id, source.version)
    return (*head, *(getattr(record, name) for name in own_fields(type(record))))


def copied(packed: Packed) -> bytes:
    """COPY's binary format: a header, per row its fields with their lengths, a trailer."""
    sizes = {"i4": 4, "i8": 8, "f8": 8}
    letters = {"i4": "i", "i8": "q", "f8": "d"}
    rows = b"".join(
        struct.pack(">h", len(FIELDS))
        + b"".join(
            struct.pack(f">i{letters[kind]}", sizes[kind], row[name].item())
            for name, kind in FIELDS
        )
        for row in packed
    )
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows + b"\xff\xff"


def sending(whole: Asked) -> Send:
    async def send(write: Write) -> None:
        for frame in frames(whole):
            await write(frame)

    return send


send = sending(ASKED)


def expected(whole: Asked = ASKED) -> bytes:
    return compute_answer(whole.request, whole.tables)


SILENT = (sys.executable, "-c", "import sys; sys.stdin.read()")
"""A process that takes a job and never answers."""


@pytest.fixture
async def process() -> AsyncIterator[StatisticsProcess]:
    statistics = StatisticsProcess()
    yield statistics
    await statistics.stop()


async def refusal(process: StatisticsProcess, job: str = JOB) -> SsciError:
    with pytest.raises(SsciError) as refused:
        await process.compute(job, REQUEST, send)
    return refused.value


async def test_it_answers_what_the_pure_function_answers(process):
    assert await process.compute(JOB, REQUEST, send) == expected()


async def test_it_starts_with_the_first_job_and_stays(process):
    assert process.process_id is None
    await process.compute(JOB, REQUEST, send)
    first = process.process_id
    await process.compute(JOB, REQUEST, send)
    assert first is not None
    assert process.process_id == first


async def test_it_starts_again_after_dying(process):
    answer = await process.compute(JOB, REQUEST, send)
    os.kill(process.process_id, signal.SIGKILL)
    await asyncio.sleep(0.2)
    assert await process.compute(JOB, REQUEST, send) == answer


async def test_dying_during_a_job_is_told_as_unavailable():
    process = StatisticsProcess(command=(sys.executable, "-c", "input()"))
    refused = await refusal(process)
    assert (refused.http_status, refused.issues[0].code) == (503, "transient")


async def test_a_failing_job_is_a_fault_and_the_process_lives_on(process):
    refused = await refusal(process, "no-such-job")
    assert (refused.category, "KeyError" in str(refused)) == (Category.FAULT, True)
    before = process.process_id
    await process.compute(JOB, REQUEST, send)
    assert process.process_id == before


def test_a_failure_tells_its_place_and_never_a_value():
    records, *columns = frames()
    listed, rows, numbers, hashes = pickle.loads(records)
    rows[Subject].append(("SSCI-001 has a secret",))
    told = pickle.dumps((listed, rows, numbers, hashes))
    status, body = worker.run(encode_job(JOB, REQUEST), framed([told, *columns]))
    assert status == worker.FAILED
    assert body.startswith(b"TypeError in ")
    assert b"secret" not in body


def framed(several: list[bytes]) -> io.BytesIO:
    return io.BytesIO(b"".join(worker.LENGTH.pack(len(each)) + each for each in several))


async def test_a_job_that_takes_too_long_is_ended_and_refused():
    process = StatisticsProcess(timeout=0.2, command=SILENT)
    refused = await refusal(process)
    assert (refused.http_status, refused.issues[0].code) == (503, "too-costly")
    assert "Retry-After" in refused.headers
    assert process.process_id is None


async def test_a_full_queue_is_refused_with_retry_after():
    process = StatisticsProcess(timeout=0.5, queue=1, command=SILENT)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(refusal(process))
        await asyncio.sleep(0)
        refused = await refusal(process)
    assert (refused.http_status, refused.issues[0].code) == (503, "transient")
    assert int(refused.headers["Retry-After"]) > 0
    assert waiting.result().issues[0].code == "too-costly"


async def test_a_process_that_cannot_start_is_unavailable():
    refused = await refusal(StatisticsProcess(command=("/no/such/program",)))
    assert refused.http_status == 503


async def test_a_caller_that_leaves_does_not_confuse_the_next(process):
    leaver = asyncio.create_task(process.compute(JOB, REQUEST, send))
    await asyncio.sleep(0.05)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    other = asked(40)
    assert await process.compute(JOB, REQUEST, sending(other)) == expected(other)


async def test_rows_that_cannot_be_read_leave_the_next_job_unharmed(process):
    async def fail(write: Write) -> None:
        await write(frames()[0])
        raise ConnectionResetError

    with pytest.raises(SsciError) as refused:
        await process.compute(JOB, REQUEST, fail)
    assert refused.value.http_status == 503
    assert await process.compute(JOB, REQUEST, send) == expected()


async def test_jobs_sent_at_once_each_get_their_own_answer(process):
    cohorts = [asked(value) for value in (30, 40, 50)]
    told = (process.compute(JOB, REQUEST, sending(each)) for each in cohorts)
    assert await asyncio.gather(*told) == [expected(each) for each in cohorts]


def test_the_worker_serves_until_its_input_ends():
    job = encode_job(JOB, REQUEST)
    answers = io.BytesIO()
    worker.serve(framed([job, *frames(), job, *frames()]), answers)
    body = expected()
    assert answers.getvalue() == 2 * (worker.DONE + worker.LENGTH.pack(len(body)) + body)


def test_computing_in_the_process_keeps_scipy_out_of_the_caller():
    program = """
import asyncio, pickle, sys
from app.endpoints import StatisticsProcess
from app.errors import SsciError

async def main():
    request, frames = pickle.load(sys.stdin.buffer)
    async def send(write):
        for frame in frames:
            await write(frame)
    process = StatisticsProcess()
    answer = await process.compute('endpoint', request, send)
    await process.stop()
    print(len(answer), [name for name in ("scipy", "numpy") if name in sys.modules])

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=encode_job(REQUEST, frames()),
        capture_output=True,
    )
    assert (done.stdout.decode(), done.stderr) == (f"{len(expected())} []\n", b"")
