"""`ssci endpoints …` and `ssci trace` as processes of their own, over a trial that feeds filled."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.fhir import Caller
from app.main import open_services
from app.settings import read_settings
from app.trial import enrol
from app.trial.schemas import EnrolmentBody
from tests.conftest import Dsns
from tests.feed_support import HIS, LIS, PLT, oru, ras
from tests.trial_support import person

Result = subprocess.CompletedProcess[str]
Ssci = Callable[..., Result]
ROOT = str(Path(__file__).parents[2])
ER7 = "application/hl7-v2"
CALLER = Caller("test")
MRN = "T000000001"
"""Invented; what person() enrols and the messages below name."""


@pytest.fixture
def ssci(database_dsns: Dsns, tmp_path: Path) -> Ssci:
    """The command over a database with one participant: a dose, two counts, one corrected."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SSCI_")}
    environment = {
        **inherited,
        "SSCI_DATA_DIR": str(tmp_path / "data"),
        "SSCI_DATABASE_URL": database_dsns.owner,
        "SSCI_RUNTIME_DATABASE_URL": database_dsns.runtime,
        "COLUMNS": "250",
        "PYTHONPATH": ROOT,
    }

    def run(*arguments: str) -> Result:
        return subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    settings = read_settings(
        data_dir=str(tmp_path / "data"),
        database_url=database_dsns.owner,
        runtime_database_url=database_dsns.runtime,
    )
    asyncio.run(fill(settings))
    return run


async def fill(settings: Any) -> None:
    async with open_services(settings) as services:
        given = person(mrn=MRN, name=None, birthDate=None, birthYear=1979)
        body = EnrolmentBody.model_validate(given)
        await enrol(services.trial, CALLER, body.to_request(services.trial.authorities, None))
        first = {"code": PLT, "order": "L0", "id": "M0", "sent": "20190101070000+0800"}
        for feed, message in (
            (HIS, ras(start="20190101080000+0800", sent="20190101090000+0800")),
            (LIS, oru(value="20", f14="20190101063000+0800", **first)),
            (LIS, oru(value="50", f14="20190131063000+0800", sent="20190131070000+0800")),
        ):
            await services.feeds.receive(feed, message, ER7)


def read_package(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode())))


def test_two_runs_under_the_same_cut_are_the_same_byte_for_byte(ssci: Ssci, tmp_path: Path):
    done = ssci("endpoints", "run", "--out", "first")
    assert (done.returncode, done.stderr) == (0, "")
    first = read_package(tmp_path / "first")
    told = json.loads(first["manifest.json"])
    clocks = ("--cutoff", told["cutoff"], "--as-of", told["asOf"])
    assert ssci("endpoints", "run", "--out", "second", *clocks).returncode == 0
    assert read_package(tmp_path / "second") == first
    refused = ssci("endpoints", "run", "--out", "second")
    assert (refused.returncode, "not empty" in refused.stderr) == (2, True)
    assert_whole(first)


def assert_whole(package: dict[str, bytes]) -> None:
    """Every file has its checksum; every input names the message and the bytes it came from."""
    sums = dict(reversed(line.split("  ")) for line in package["SHA256SUMS"].decode().splitlines())
    assert sums == {
        name: hashlib.sha256(body).hexdigest()
        for name, body in package.items()
        if name != "SHA256SUMS"
    }
    figures = json.loads(package["platelet-change/figures.json"])["figures"]
    assert figures["visits"][0]["change"]["mean"] == 30.0
    uses = {
        (row["usedAs"], row["visit"]): row
        for row in rows_of(package["inputs.csv"])
        if row["endpoint"] == "platelet-change"
    }
    assert {use: row["place"] for use, row in uses.items()} == {
        ("first dose", ""): "RXA[1]",
        ("baseline", ""): "OBX[1]",
        ("visit", "M1"): "OBX[1]",
    }
    month = oru(value="50", f14="20190131063000+0800", sent="20190131070000+0800")
    used = uses["visit", "M1"]
    assert used["messageSha256"] == hashlib.sha256(month).hexdigest()
    assert month[int(used["start"]) : int(used["end"])].startswith(b"OBX|")


def test_a_public_package_names_nobody(ssci: Ssci, tmp_path: Path):
    done = ssci("endpoints", "run", "--out", "public", "--profile", "public")
    assert (done.returncode, done.stderr) == (0, "")
    for name, body in read_package(tmp_path / "public").items():
        assert b"SSCI-001" not in body, name
    assert rows_of((tmp_path / "public" / "inputs.csv").read_bytes()) == []
    refused = ssci("endpoints", "run", "--out", "other", "--profile", "secret")
    assert (refused.returncode, "site, public" in refused.stderr) == (2, True)


def test_a_figure_is_traced_to_the_bytes_of_its_message(ssci: Ssci):
    done = ssci("trace", "platelet-change", "--visit", "M1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (told,) = json.loads(done.stdout)["inputs"]
    assert told["use"] == "SSCI-001 visit M1"
    assert told["message"].startswith("/feeds/pumch-lis/messages/")
    assert (told["place"], told["bytes"][0] > 0) == ("OBX[1]", True)
    resource = told["resource"]
    again = ssci("trace", resource)
    assert (again.returncode, told["sha256"] in again.stdout) == (0, True)
    assert told["provenance"] in again.stdout


def test_what_cannot_be_traced_is_told(ssci: Ssci):
    assert "must be an endpoint's id" in ssci("trace", "Observation/").stderr
    assert "there is no Observation/nothing" in ssci("trace", "Observation/nothing").stderr
    assert "no such endpoint" in ssci("trace", "happiness").stderr


def test_an_answer_is_printed_as_csv(ssci: Ssci):
    done = ssci("endpoints", "show", "platelet-change")
    assert (done.returncode, done.stderr) == (0, "")
    means = {
        row["group"]: row["value"]
        for row in rows_of(done.stdout.encode())
        if row["statistic"] == "visits.change.mean"
    }
    assert means["M1"] == "30.0"
    assert "platelet-change" in ssci("endpoints", "list").stdout
