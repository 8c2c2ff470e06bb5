"""The `ssci` command as a process of its own: output, exit codes, one line per error."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.database import newest_revision
from tests.conftest import Dsns

SSCI = str(Path(sys.executable).with_name("ssci"))
NO_DATABASE = {
    "SSCI_DATABASE_URL": "postgresql://ssci:geheim@127.0.0.1:9/ssci",
    "SSCI_CONNECT_PATIENCE_SECONDS": "0.2",
}
"""Nothing listens there: a service that should not have started does not get far."""
Result = subprocess.CompletedProcess[str]
Ssci = Callable[..., Result]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No settings of the developer's own; state in the test's folder."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SSCI_")}
    return {**inherited, "SSCI_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200"}


@pytest.fixture
def ssci(environment: dict[str, str], tmp_path: Path) -> Ssci:
    def run(*arguments: str, **more: str) -> Result:
        return subprocess.run(
            [SSCI, *arguments],
            env=environment | more,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def on_database(environment: dict[str, str], database_dsns: Dsns) -> dict[str, str]:
    environment["SSCI_DATABASE_URL"] = database_dsns.owner
    environment["SSCI_RUNTIME_DATABASE_URL"] = database_dsns.runtime
    return environment


def test_version_is_told(ssci):
    assert ssci("--version").stdout == f"ssci {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["demo"],
        ["simulate"],
        ["load"],
        ["study", "load"],
        ["db", "migrate"],
        ["db", "rebuild-trial"],
    ],
)
def test_every_command_explains_itself(ssci, command):
    result = ssci(*command, "--help")
    assert result.returncode == 0
    assert "Usage: ssci" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "access control is not there yet"),
        (["--no-auth", "--host", "0.0.0.0"], "0.0.0.0 can be reached from others"),
        (["--no-auth", "--host", "::"], ":: can be reached from others"),
        (["--no-auth", "--host", "example.org"], "example.org can be reached from others"),
        (["--no-auth", "--port", "70000"], "SSCI_PORT: "),
        (["--no-auth", "--database-url", "mysql://x"], "SSCI_DATABASE_URL: "),
    ],
)
def test_serve_refuses_in_one_line_what_it_must_not_do(ssci, arguments, told):
    result = ssci("serve", *arguments, **NO_DATABASE)
    assert result.returncode == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_misspelled_setting_is_not_lost(ssci):
    result = ssci("serve", "--no-auth", SSCI_PROT="9000")
    assert result.returncode == 2
    assert "SSCI_PROT" in result.stderr


def test_simulate_writes_the_cohort_and_says_how_much(ssci, tmp_path):
    result = ssci("simulate", "--participants", "2", "--seed", "3", "--out", "cohort")
    written = len([p for p in (tmp_path / "cohort").glob("messages/*/*") if p.is_file()])
    assert result.stdout == f"cohort: 2 participants, {written} messages\n"
    assert result.stderr == ""


def test_simulate_does_not_overwrite_other_files(ssci, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    result = ssci("simulate", "--out", ".")
    assert result.returncode == 2
    assert "empty or new folder" in result.stderr


def test_load_tells_failures_by_line_and_can_be_run_again(ssci, on_database, tmp_path):
    good = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}}
    bad = {**good, "id": "b", "status": "wonderful"}
    (tmp_path / "a.ndjson").write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    first, second = ssci("load", "a.ndjson"), ssci("load", "a.ndjson")
    assert first.returncode == second.returncode == 1
    assert first.stdout == "1 created, 0 updated, 0 unchanged, 1 refused\n"
    assert second.stdout == "0 created, 0 updated, 1 unchanged, 1 refused\n"
    assert first.stderr.startswith("ssci: a.ndjson:2: ")


def test_load_of_a_file_that_is_not_there_is_refused(ssci):
    result = ssci("load", "nowhere.ndjson")
    assert result.returncode == 2
    assert "does not exist" in result.stderr


def test_the_study_is_loaded_once(ssci, on_database):
    first, second = ssci("study", "load"), ssci("study", "load")
    assert first.returncode == 0, first.stderr
    assert not first.stdout.startswith("0 ")
    assert second.stdout.startswith("0 of the study's ")


def test_migrate_tells_the_revision(ssci, on_database):
    assert ssci("db", "migrate").stdout == f"database at revision {newest_revision()}\n"


def test_rebuilding_the_trial_tables_tells_the_rows(ssci, on_database, tmp_path):
    subject = {
        "resourceType": "ResearchSubject",
        "id": "SSCI-001",
        "status": "on-study",
        "study": {"reference": "ResearchStudy/SSCI"},
        "individual": {"reference": "Patient/SSCI-001"},
    }
    (tmp_path / "a.ndjson").write_text(json.dumps(subject))
    assert ssci("load", "a.ndjson").returncode == 0
    result = ssci("db", "rebuild-trial")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("subject: 1 rows\ndemographic: 0 rows\n")


def test_a_database_out_of_reach_is_told_in_one_line_without_the_password(ssci):
    result = ssci("study", "load", **NO_DATABASE)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "geheim" not in result.stderr + result.stdout


@pytest.fixture
def serve(on_database: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts `ssci serve` and gives its address; stopped by SIGTERM at the end."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> str:
        port = free_port()
        command = [SSCI, "serve", "--no-auth", "--port", str(port), *arguments]
        running.append(subprocess.Popen(command, env=on_database, cwd=tmp_path))
        address = f"http://127.0.0.1:{port}"
        await_health(address)
        return address

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in {0, -signal.SIGTERM}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_answers_until_it_is_stopped(serve, workers):
    address = serve("--workers", workers)
    assert httpx.get(f"{address}/health").json()["status"] == "ok"
    assert httpx.get(f"{address}/fhir/metadata").json()["fhirVersion"] == "4.0.1"
    assert httpx.get(f"{address}/auth").status_code == 404


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def await_health(address: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the service did not become healthy")
