"""`ssci serve --mllp` and `ssci send` as processes of their own."""

from __future__ import annotations

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

from app.mappings.mllp.blocks import wrap
from tests.conftest import Dsns
from tests.feed_support import oru, ras

ROOT = Path(__file__).parents[2]
SSCI = [sys.executable, "-c", "from app.cli import main; main()"]


@pytest.fixture
def environment(database_dsns: Dsns, tmp_path: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SSCI_")}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
        "SSCI_DATA_DIR": str(tmp_path / "data"),
        "SSCI_DATABASE_URL": database_dsns.owner,
        "SSCI_RUNTIME_DATABASE_URL": database_dsns.runtime,
    }


@pytest.fixture
def ssci(
    environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, given: bytes = b"", **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*SSCI, *arguments],
            env=environment | more,
            cwd=tmp_path,
            input=given,
            capture_output=True,
            timeout=120,
        )
        texts = (done.stdout.decode(), done.stderr.decode())
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    return run


@pytest.fixture
def serving(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., list[int]]]:
    """Starts `ssci serve`; its ports: HTTP, and MLLP for each feed asked for."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*feeds: str, **more: str) -> list[int]:
        ports = [free_port() for _ in range(1 + len(feeds))]
        named = [f"{feed}{port}" for feed, port in zip(feeds, ports[1:], strict=True)]
        options = [part for each in named for part in ("--mllp", each)]
        command = [*SSCI, "serve", "--no-auth", "--port", str(ports[0]), *options]
        running.append(subprocess.Popen(command, env=environment | more, cwd=tmp_path))
        await_health(f"http://127.0.0.1:{ports[0]}")
        return ports

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in {0, -signal.SIGTERM}


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


def test_files_are_sent_to_the_feed_of_the_port_and_once(serving, ssci, tmp_path):
    web, lis, his = serving("", "pumch-his=")
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "1.hl7").write_bytes(oru(id="1", order="A") + oru(id="2", order="B"))
    (tmp_path / "night" / "2.hl7").write_bytes(wrap(oru(id="3", order="C")))
    to = f"mllp://127.0.0.1:{lis}"
    first = ssci("send", "night", "--to", to, "--resume", "sent")
    second = ssci("send", "night", "--to", to, "--resume", "sent")
    assert first.stdout == "3 messages: AA 3\nerrors: PATIENT_UNKNOWN 3\n", first.stderr
    assert second.stdout == "0 messages: none\nacknowledged in an earlier run: 3\n"
    assert (first.returncode, second.returncode) == (0, 0)
    dose = ssci("send", "-", "--to", f"mllp://127.0.0.1:{his}", given=ras())
    assert dose.stdout.startswith("1 messages: AA 1\n"), dose.stderr
    http = f"http://127.0.0.1:{web}/feeds/pumch-lis/hl7v2"
    again = ssci("send", "night", "--to", http)
    assert again.stdout == first.stdout
    listed = httpx.get(f"http://127.0.0.1:{web}/feeds/pumch-lis/messages").json()["messages"]
    assert len(listed) == 3


def test_two_worker_processes_share_the_port(serving, ssci, tmp_path):
    _, lis = serving("pumch-lis=", SSCI_WORKERS="2")
    (tmp_path / "a.hl7").write_bytes(oru())
    assert ssci("send", "a.hl7", "--to", f"mllp://127.0.0.1:{lis}").returncode == 0


def test_what_could_not_be_sent_is_told_by_the_exit_code(ssci, tmp_path):
    (tmp_path / "a.hl7").write_bytes(oru(id="SECRET"))
    (tmp_path / "b.txt").write_bytes(b"notes")
    to = f"mllp://127.0.0.1:{free_port()}"
    result = ssci("send", "a.hl7", "--to", to, "--attempts", "1")
    assert result.returncode == 1
    assert "a.hl7: no acceptance after 1 attempts: " in result.stderr
    assert "SECRET" not in result.stdout + result.stderr
    assert ssci("send", "b.txt", "--to", to).returncode == 1
    assert ssci("send", "nowhere.hl7", "--to", to).returncode == 2
    assert ssci("send", "a.hl7", "--to", "lis:2575").returncode == 2


@pytest.mark.parametrize(
    ("options", "settings", "told"),
    [
        (["--mllp", "lis"], {}, "SSCI_MLLP: "),
        (["--mllp", "pumch-lis=70000"], {}, "SSCI_MLLP: "),
        (["--mllp", "2575"], {"SSCI_MLLP_HOST": "0.0.0.0"}, "set SSCI_MLLP_CLIENT_CA"),
        (["--mllp", "2575"], {"SSCI_MLLP_CLIENT_CA": "ca.pem"}, "without SSCI_MLLP_TLS_CERT"),
    ],
)
def test_serve_refuses_in_one_line_an_mllp_listener_that_cannot_be(ssci, options, settings, told):
    result = ssci("serve", "--no-auth", *options, **settings)
    assert result.returncode == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
