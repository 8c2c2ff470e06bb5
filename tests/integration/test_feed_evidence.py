"""What senders may rely on: said twice changes nothing, acknowledged is stored, also when the
service or its database dies under load."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.database import Database, EmbeddedServer, migrate, start_embedded
from app.fhir import dump_json
from app.mappings import Feeds, TrialDirectory
from app.mappings.formats.json.decoder import JSON as JSON_RESULTS
from app.mappings.formats.v3xml.decoder import V3XML
from app.mappings.mllp.blocks import wrap
from tests.conftest import SMALL, Dsns
from tests.crf_support import CRF, as_csv, as_json, record
from tests.feed_support import (
    ER7,
    FEED_KEYS,
    HIS,
    LIS,
    MRN,
    SIROLIMUS,
    STRANGER,
    Clock,
    Hospital,
    adt,
    hospital,
    message,
    msh,
    obr,
    obx,
    oml,
    oru,
    pid,
    ras,
    rde,
    segment,
    site,
)
from tests.fhir_feed_support import observation, patient, report
from tests.integration.test_mllp_cli import ROOT, SSCI, await_health, free_port
from tests.table_support import dose, result, table
from tests.trial_support import KEYS, open_trial, person, trial_client, trial_store


@pytest.fixture
async def lab(database: Database) -> AsyncIterator[Hospital]:
    """The service with one enrolled subject, found as in production."""
    async with trial_client(open_trial(database)) as client:
        answer = await client.post("/trial/subjects", json=person(mrn=MRN, name="测试一"))
        assert answer.status_code == 201, answer.text
    store = trial_store(database)
    feeds = Feeds(database, store, site(), FEED_KEYS, TrialDirectory(KEYS), now=Clock())
    async with hospital(database, feeds, store) as opened:
        yield opened


# Said twice

BUNDLE = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {"resource": each} for each in (patient(), report("L9", ("9",)), observation(value="57"))
    ],
}
OUL = message(
    msh("OUL^R22^OUL_R22", f10="OUL1"),
    pid(),
    "SPM|1|S7||BLD^全血^99MRC",
    obr("L7"),
    obx(value="64"),
)
TWO = message(
    *(msh(f10="TWO"), pid(), obr("L8"), obx(value="71"), obx("ZZZ^?^99MRC", "1", f4="2")),
    segment("OBX", f1="3", f2="NM", f3="WBC^白细胞^99MRC", f5="5.1", f6="10*9/L", f11="F"),
)
Sent = tuple[str, str, bytes, str]
CORPUS: Sequence[Sent] = [
    (LIS, "hl7v2", oru(), ER7),
    (LIS, "hl7v2", oru(value="83", status="C", id="M2", sent="20190314111500+0800"), ER7),
    (LIS, "hl7v2", oru(value="", status="W", id="M3", sent="20190314121500+0800"), ER7),
    (LIS, "hl7v2", oru(SIROLIMUS, "8.60", "ng/mL", id="M4", order="L2"), ER7),
    (LIS, "hl7v2", oru(value="55", status="C", id="M5", order="L3"), ER7),
    (LIS, "hl7v2", oru(value="54", id="M6", order="L3", sent="20190314081500+0800"), ER7),
    (LIS, "hl7v2", oru(value="44", unit="109/L", id="M7", order="L4"), ER7),
    (LIS, "hl7v2", oru(value="45", id="M8", order="L5", mrn=STRANGER), ER7),
    (LIS, "hl7v2", oru(value="46", id="M9", order=""), ER7),
    (LIS, "hl7v2", oru(value="31", id="MA", order="L6", notes=["见聚集"]), ER7),
    (LIS, "hl7v2", message(msh(f11="Q", f10="QC"), pid(), obr("LQ"), obx()), ER7),
    (LIS, "hl7v2", OUL, ER7),
    (LIS, "hl7v2", TWO, ER7),
    (LIS, "hl7v2", b"no message", ER7),
    (HIS, "hl7v2", ras(), ER7),
    (HIS, "hl7v2", ras("3", action="U", id="R2", sent="20190314100000+0800"), ER7),
    (HIS, "hl7v2", ras(action="D", id="R3", order="A2"), ER7),
    (HIS, "hl7v2", adt("A03", end="20190312080000+0800"), ER7),
    (HIS, "hl7v2", adt("A01", id="A2", sent="20190310130000+0800"), ER7),
    (HIS, "hl7v2", adt("A08", id="A3", sex="F", born="19790504"), ER7),
    (HIS, "hl7v2", adt("A40", id="A4", merged="T000000002"), ER7),
    (HIS, "hl7v2", rde(), ER7),
    (HIS, "hl7v2", rde(control="DC", id="E2", ordered="20190315073000+0800"), ER7),
    (HIS, "hl7v2", oml(), ER7),
    (
        LIS,
        "csv",
        table(result(检验单号="C1", 结果="92"), result(检验单号="C2", 结果="x")),
        "text/csv",
    ),
    (HIS, "csv", table(dose(医嘱号="D1")), "text/csv"),
    (LIS, "json", JSON_RESULTS.example.replace('"L1"', '"J1"').encode(), "application/json"),
    (LIS, "fhir", dump_json(BUNDLE), "application/fhir+json"),
    (LIS, "v3xml", V3XML.example.replace("L1", "V1").encode(), "application/xml"),
    (CRF, "json", as_json(record("adverse-event"), record("bleeding")), "application/json"),
    (CRF, "csv", as_csv([record("activity-score"), record("home-dose")]), "text/csv"),
]


async def deliver(lab: Hospital, given: Sequence[Sent]) -> None:
    for feed, format, data, media_type in given:
        answer = await lab.post(data, feed, format, content_type=media_type)
        assert answer.status_code in (200, 400), (feed, format, answer.text)


async def versions(lab: Hospital) -> dict[str, int]:
    """Stored versions by table of the FHIR store, superseded ones and Provenance included."""
    sql = "SELECT tablename FROM pg_tables WHERE schemaname = 'fhir'"
    async with lab.database.reading() as connection:
        names = [row["tablename"] for row in await connection.fetch(sql)]
        counted = [await connection.fetchval(f"SELECT count(*) FROM fhir.{name}") for name in names]
    found = dict(zip(names, counted, strict=True))
    return {name: n for name, n in found.items() if n and not name.startswith("transaction")}


async def outcomes(lab: Hospital) -> set[tuple[str, str]]:
    """Format and outcome of every fact."""
    sql = """SELECT DISTINCT format, outcome FROM feeds.fact JOIN feeds.message
        ON message.id = fact.message_id"""
    async with lab.database.reading() as connection:
        return {(row["format"], row["outcome"]) for row in await connection.fetch(sql)}


async def test_everything_of_every_format_sent_and_replayed_again_writes_nothing(
    lab: Hospital,
) -> None:
    await deliver(lab, CORPUS)
    stored = {format for format, outcome in await outcomes(lab) if outcome == "stored"}
    assert stored >= {"hl7v2", "csv", "json", "fhir", "v3xml", "crf-json", "crf-csv"}
    once = await versions(lab)
    assert {"observation", "medicationadministration", "encounter", "servicerequest"} <= set(once)
    await deliver(lab, CORPUS)
    assert await versions(lab) == once
    async with lab.database.reading() as connection:
        kept = [row["id"] for row in await connection.fetch("SELECT id FROM feeds.message")]
    await lab.feeds.process_again(sorted(kept))
    assert await versions(lab) == once


@pytest.mark.parametrize("letters", ["FP", "PF", "XPF", "PFX", "DPF", "PCF", "PUF"])
async def test_a_result_that_was_final_or_withdrawn_is_not_preliminary_in_the_end(
    lab: Hospital, letters: str
) -> None:
    """Said in the order of the letters, and for a second result in the opposite order."""
    for order, hours in (("N", "345"), ("O", "543")):
        for hour, letter in zip(hours, letters, strict=False):
            sent, value = f"201903141{hour}0000+0800", "" if letter in "DU" else f"3{hour}"
            await lab.send(
                oru(value=value, status=letter, sent=sent, id=f"{order}{hour}", order=order)
            )
    statuses = await stored_statuses(lab)
    assert "preliminary" not in statuses
    assert len(statuses) == 2


async def stored_statuses(lab: Hospital) -> list[str]:
    async with lab.database.reading() as connection:
        rows = await connection.fetch("SELECT id FROM fhir.observation")
    found = [await lab.read(f"Observation/{row['id']}") for row in rows]
    return [str(each["status"]) for each in found]


# Acknowledged is stored


async def open_lab(server: EmbeddedServer) -> Database:
    await migrate(server.owner_dsn)
    return await Database.open(server.runtime_dsn, SMALL)


@dataclass(slots=True)
class Sender:
    """Sends its messages one after the other, each until it is acknowledged."""

    lab: Hospital
    acknowledged: list[bytes] = field(default_factory=list)
    refusals: int = 0

    async def send(self, messages: Sequence[bytes]) -> None:
        for data in messages:
            while (answer := await self.lab.post(data)).status_code == 503:
                assert answer.headers["retry-after"]
                assert b"\rMSA|AR" in answer.content
                self.refusals += 1
                await asyncio.sleep(0.02)
            assert answer.status_code == 200, answer.text
            self.acknowledged.append(data)


async def test_a_database_that_stops_under_load_costs_nothing_that_was_acknowledged(
    reachable_folder: Path, pg_major: int
) -> None:
    messages = [oru(id=f"S{n}", order=f"S{n}", value=str(20 + n)) for n in range(120)]
    first = await start_embedded(reachable_folder, pg_major)
    async with await open_lab(first) as database, hospital(database) as lab:
        sender = Sender(lab)
        async with asyncio.TaskGroup() as senders:
            for n in range(6):
                senders.create_task(sender.send(messages[n::6]))
            await reaches(lambda: len(sender.acknowledged), 20)
            await first.stop()
            before = len(sender.acknowledged)
            await reaches(lambda: sender.refusals, 6)
            second = await start_embedded(reachable_folder, pg_major)
        async with second:
            assert before < len(sender.acknowledged) == len(messages)
            await free_claims(second)
            await lab.feeds.process_pending()
            assert await lab.count("Observation") == len(messages)
            listed = "SELECT sha256, state FROM feeds.message JOIN feeds.processing"
            async with database.reading() as connection:
                kept = await connection.fetch(f"{listed} ON message_id = id")
            hashes = [hashlib.sha256(data).digest() for data in messages]
            assert sorted(row["sha256"] for row in kept) == sorted(hashes)
            assert {row["state"] for row in kept} == {"done"}


async def free_claims(server: EmbeddedServer) -> None:
    """What was worked at when the database stopped is claimed for ten seconds: they are over."""
    connection = await asyncpg.connect(server.owner_dsn)
    await connection.execute("UPDATE feeds.processing SET claimed_until = now()")
    await connection.close()


async def reaches(count: Callable[[], int], wanted: int) -> None:
    async with asyncio.timeout(20):
        while count() < wanted:  # noqa: ASYNC110 – what is waited for is not ours to signal
            await asyncio.sleep(0.005)


# Killed under load


@dataclass(slots=True)
class Service:
    """`ssci serve` as a process of its own, which may be killed and started again."""

    environment: dict[str, str]
    folder: Path
    web: int = field(default_factory=free_port)
    mllp: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.web}"

    def start(self) -> None:
        options = ["--no-auth", "--port", str(self.web), "--mllp", str(self.mllp)]
        self.process = subprocess.Popen(
            [*SSCI, "serve", *options], env=self.environment, cwd=self.folder
        )
        await_health(self.address)

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(timeout=30)


@pytest.fixture
def environment(database_dsns: Dsns, tmp_path: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SSCI_")}
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "SSCI_DATA_DIR": str(tmp_path / "data"),
        "SSCI_DATABASE_URL": database_dsns.owner,
        "SSCI_RUNTIME_DATABASE_URL": database_dsns.runtime,
    }


@pytest.fixture
def service(environment: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    found = Service(environment, tmp_path)
    found.start()
    yield found
    found.end(signal.SIGTERM)


def send_until_it_dies(port: int, messages: Sequence[bytes], acknowledged: list[bytes]) -> None:
    """One MLLP connection; a message counts as acknowledged by AA alone."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            for data in messages:
                line.sendall(wrap(data))
                answer = b""
                while not answer.endswith(b"\x1c\r"):
                    if not (more := line.recv(65536)):
                        return
                    answer += more
                if b"\rMSA|AA|" in answer:
                    acknowledged.append(data)
    except OSError:
        return


async def test_what_mllp_acknowledged_before_kill_9_is_stored_and_nothing_twice(
    service: Service, owner: asyncpg.Connection
) -> None:
    body = person(mrn=MRN, name="测试一")
    enrolled = await asyncio.to_thread(httpx.post, f"{service.address}/trial/subjects", json=body)
    assert enrolled.status_code == 201, enrolled.text
    messages = [oru(id=f"K{n}", order=f"K{n}", value=str(20 + n)) for n in range(200)]
    acknowledged: list[bytes] = []
    parts = [messages[n::8] for n in range(8)]
    for wanted in (40, 200):
        with ThreadPoolExecutor(8) as pool:
            left = [[each for each in part if each not in acknowledged] for part in parts]
            for part in left:
                pool.submit(send_until_it_dies, service.mllp, part, acknowledged)
            await reaches(lambda: len(acknowledged), wanted)
            if wanted < len(messages):
                service.end(signal.SIGKILL)
        kept = {row["sha256"] for row in await owner.fetch("SELECT sha256 FROM feeds.message")}
        assert {hashlib.sha256(data).digest() for data in acknowledged} <= kept
        if wanted < len(messages):
            assert len(acknowledged) < len(messages)
            await asyncio.to_thread(service.start)
    unfinished = "SELECT count(*) FROM feeds.processing WHERE state <> 'done'"
    async with asyncio.timeout(30):
        while await owner.fetchval(unfinished):  # noqa: ASYNC110 – another process works
            await asyncio.sleep(0.2)
    assert await owner.fetchval("SELECT count(*) FROM fhir.observation") == len(messages)
    assert await owner.fetchval("SELECT count(*) FROM fhir.observation_history") == 0
    assert len(kept) == len(messages)


async def test_a_body_shorter_than_its_length_says_is_not_kept(
    service: Service, owner: asyncpg.Connection
) -> None:
    data = oru(value="120")
    for cut in (len(data) - 1, data.index(b"120") + 2):
        with socket.create_connection(("127.0.0.1", service.web), timeout=10) as line:
            line.sendall(head(f"Content-Length: {len(data)}") + data[:cut])
        with socket.create_connection(("127.0.0.1", service.web), timeout=10) as line:
            chunk = b"%x\r\n%s\r\n" % (cut, data[:cut])
            line.sendall(head("Transfer-Encoding: chunked") + chunk)
    to = f"{service.address}{ADDRESS}"
    whole = await asyncio.to_thread(httpx.post, to, content=data, headers=SENT)
    assert whole.status_code == 200
    (kept,) = await owner.fetch("SELECT sha256 FROM feeds.message")
    assert kept["sha256"] == hashlib.sha256(data).digest()


ADDRESS = "/feeds/pumch-lis/hl7v2"
SENT = {"content-type": ER7}


def head(length: str) -> bytes:
    lines = [f"POST {ADDRESS} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {ER7}", length]
    return "\r\n".join([*lines, "", ""]).encode()
