"""The statistics process: jobs out, answers in, and every way it can end."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.endpoints import StatisticsProcess, worker
from app.endpoints.platelet_change import compute_platelet_change
from app.endpoints.rows import RawRows, map_rows
from app.errors import Category, SsciError
from tests.endpoint_support import request

JOB = "platelet-change"
REQUEST = request()


def raw_rows(value: int = 30) -> RawRows:
    """One participant of baseline 20, as rows come from the database."""
    begin = [datetime(2018, 12, 31, tzinfo=UTC), datetime(2019, 1, 31, tzinfo=UTC)]
    counts = [
        (
            *("SSCI-001", when, "day", Decimal(count), "10*9/L", None, "final"),
            *(False, False, None, "Observation", str(count), 1),
        )
        for when, count in zip(begin, (20, value), strict=True)
    ]
    taken = datetime(2019, 1, 1, tzinfo=UTC)
    dose = ("SSCI-001", taken, "second", Decimal(2), "mg", "completed")
    return RawRows([], counts, [(*dose, "MedicationAdministration", "dose", 1)])


ROWS = raw_rows()


def expected(rows: RawRows = ROWS) -> bytes:
    return compute_platelet_change(REQUEST, map_rows(rows))


SILENT = (sys.executable, "-c", "import sys; sys.stdin.read()")
"""A process that takes a job and never answers."""


@pytest.fixture
async def process() -> AsyncIterator[StatisticsProcess]:
    statistics = StatisticsProcess()
    yield statistics
    await statistics.stop()


async def refusal(process: StatisticsProcess, job: str = JOB) -> SsciError:
    with pytest.raises(SsciError) as refused:
        await process.compute(job, REQUEST, ROWS)
    return refused.value


async def test_it_answers_what_the_pure_function_answers(process):
    assert await process.compute(JOB, REQUEST, ROWS) == expected()


async def test_it_starts_with_the_first_job_and_stays(process):
    assert process.process_id is None
    await process.compute(JOB, REQUEST, ROWS)
    first = process.process_id
    await process.compute(JOB, REQUEST, ROWS)
    assert first is not None
    assert process.process_id == first


async def test_it_starts_again_after_dying(process):
    answer = await process.compute(JOB, REQUEST, ROWS)
    os.kill(process.process_id, signal.SIGKILL)
    await asyncio.sleep(0.2)
    assert await process.compute(JOB, REQUEST, ROWS) == answer


async def test_dying_during_a_job_is_told_as_unavailable():
    process = StatisticsProcess(command=(sys.executable, "-c", "input()"))
    refused = await refusal(process)
    assert (refused.http_status, refused.issues[0].code) == (503, "transient")


async def test_a_failing_job_is_a_fault_and_the_process_lives_on(process):
    refused = await refusal(process, "no-such-job")
    assert (refused.category, "KeyError" in str(refused)) == (Category.FAULT, True)
    before = process.process_id
    await process.compute(JOB, REQUEST, ROWS)
    assert process.process_id == before


def test_a_failure_tells_its_place_and_never_a_value():
    rows = raw_rows()
    rows.measurements.append(("SSCI-001 has a secret",))
    status, told = worker.run(pickle.dumps((JOB, REQUEST, rows)))
    assert status == worker.FAILED
    assert told.startswith(b"ValueError in map_measurement, line ")
    assert b"secret" not in told


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
    leaver = asyncio.create_task(process.compute(JOB, REQUEST, ROWS))
    await asyncio.sleep(0.05)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert await process.compute(JOB, REQUEST, raw_rows(40)) == expected(raw_rows(40))


async def test_jobs_sent_at_once_each_get_their_own_answer(process):
    cohorts = [raw_rows(value) for value in (30, 40, 50)]
    answers = await asyncio.gather(*(process.compute(JOB, REQUEST, each) for each in cohorts))
    assert answers == [expected(each) for each in cohorts]


def test_the_worker_serves_until_its_input_ends():
    payload = pickle.dumps((JOB, REQUEST, ROWS))
    jobs = io.BytesIO(2 * (worker.LENGTH.pack(len(payload)) + payload))
    answers = io.BytesIO()
    worker.serve(jobs, answers)
    body = expected()
    assert answers.getvalue() == 2 * (worker.DONE + worker.LENGTH.pack(len(body)) + body)


def test_computing_in_the_process_keeps_scipy_out_of_the_caller():
    program = """
import asyncio, pickle, sys
from app.endpoints import StatisticsProcess
from app.errors import SsciError

async def main():
    process = StatisticsProcess()
    answer = await process.compute(*pickle.load(sys.stdin.buffer))
    await process.stop()
    print(len(answer), [name for name in ("scipy", "numpy") if name in sys.modules])

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((JOB, REQUEST, ROWS)),
        capture_output=True,
    )
    assert (done.stdout.decode(), done.stderr) == (f"{len(expected())} []\n", b"")
