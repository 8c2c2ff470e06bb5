"""`ssci subject …` and `ssci keys …` as processes of their own: nobody's identity on the command
line, in the output or in the errors."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from app import cli_subject
from app.cli import app
from tests.conftest import Dsns
from tests.integration.test_trial_enrolment import dump
from tests.trial_support import MARK, person

ROOT = Path(__file__).parents[2]
SSCI = [sys.executable, "-c", "from app.cli import main; main()"]
Result = subprocess.CompletedProcess[str]
Ssci = Callable[..., Result]


@pytest.fixture
def environment(tmp_path: Path, database_dsns: Dsns) -> Mapping[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SSCI_")}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "SSCI_DATA_DIR": str(tmp_path / "data"),
        "SSCI_DATABASE_URL": database_dsns.owner,
        "SSCI_RUNTIME_DATABASE_URL": database_dsns.runtime,
        "COLUMNS": "200",
    }


@pytest.fixture
def ssci(environment: Mapping[str, str], tmp_path: Path) -> Ssci:
    """Runs a command; no output of any may show a marked value."""

    def run(*arguments: str, input: str = "", **more: str) -> Result:
        result = subprocess.run(
            [*SSCI, *arguments],
            env={**environment, **more},
            cwd=tmp_path,
            input=input,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert MARK not in " ".join(arguments) + result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def enrolled(ssci: Ssci) -> Ssci:
    result = ssci("subject", "enrol", "-", input=json.dumps(person()))
    assert (result.returncode, result.stdout) == (0, "SSCI-001 enrolled\n"), result.stderr
    return ssci


def fetch(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(run())


# Subjects


def test_a_subject_is_enrolled_from_a_file_once(ssci: Ssci, tmp_path: Path):
    file = tmp_path / "person.json"
    file.write_text(json.dumps(person()), encoding="utf-8-sig")
    command = ("subject", "enrol", "person.json", "--idempotency-key", "k1")
    assert ssci(*command).stdout == "SSCI-001 enrolled\n"
    assert ssci(*command).stdout == "SSCI-001 was enrolled before\n"
    other = ssci("subject", "enrol", "person.json")
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr == "ssci: mrns: enrolled already as SSCI-001\n"


def test_the_list_has_numbers_and_statuses_only(enrolled: Ssci):
    assert enrolled("subject", "list").stdout == "SSCI-001 on-study\n"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (f'{{"mrn": "{MARK}", "mrn": "x"}}', "JSON"),
        (f"{MARK} is no JSON", "JSON"),
        (json.dumps({"mrn": MARK}), "gender"),
        (json.dumps(person(birthDate=f"{MARK}")), "birthDate"),
        (json.dumps(person(eligibility={})), "eligibility.age"),
        ("[]", ""),
        ("", "JSON"),
    ],
)
def test_a_refused_enrolment_is_told_in_one_line_without_values(ssci: Ssci, sent: str, told: str):
    result = ssci("subject", "enrol", "-", input=sent)
    assert result.returncode in (1, 2)
    assert told in result.stderr
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)


def test_a_subject_is_withdrawn_resumed_and_completed(enrolled: Ssci):
    withdraw = ("subject", "withdraw", "SSCI-001", "--on", "2018-03-01")
    reason = ("--reason", "consent-withdrawn")
    assert enrolled(*withdraw, *reason).stdout == "SSCI-001 withdrawn\n"
    assert enrolled(*withdraw, *reason).stdout == "SSCI-001 withdrawn, as recorded before\n"
    assert enrolled("subject", "list").stdout == "SSCI-001 withdrawn\n"
    complete = ("subject", "complete", "SSCI-001", "--on", "2018-09-01")
    refused = enrolled(*complete)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "recorded-in-error" in refused.stderr
    assert enrolled("subject", "resume", "SSCI-001", "--on", "2018-03-05").returncode == 0
    assert enrolled(*complete).stdout == "SSCI-001 completed\n"


def test_a_screen_failure_is_recorded(enrolled: Ssci):
    result = enrolled(
        *("subject", "screen-fail", "SSCI-001"),
        "--on",
        "2017-09-05",
        "--reason",
        "criteria-not-met",
    )
    assert result.stdout == "SSCI-001 screen-failed\n"


def test_a_wrong_reason_or_date_is_told_with_what_is_possible(enrolled: Ssci):
    wrong = enrolled("subject", "withdraw", "SSCI-001", "--on", "2018-03-01", "--reason", "tired")
    assert wrong.returncode == 1
    assert "reason: must be one of consent-withdrawn, " in wrong.stderr
    date = enrolled("subject", "withdraw", "SSCI-001", "--on", "1 March", "--reason", "death")
    assert (date.returncode, "YYYY-MM-DD" in date.stderr) == (2, True)
    assert "withdraw: consent-withdrawn, " in enrolled("subject", "reasons").stdout


def test_a_number_is_read_from_standard_input_or_a_file(enrolled: Ssci, tmp_path: Path):
    (tmp_path / "number.txt").write_text(f"{MARK}-NEW\n")
    add = ("subject", "mrn", "add", "SSCI-001")
    assert enrolled(*add, input=f"{MARK}-NEW\n").stdout == "SSCI-001: added; 2 now\n"
    assert enrolled(*add, "--file", "number.txt").stdout == "SSCI-001: added already; 2 now\n"
    remove = ("subject", "mrn", "remove", "SSCI-001")
    assert enrolled(*remove, "--file", "number.txt").stdout == "SSCI-001: removed; 1 now\n"
    last = enrolled(*remove, input=person()["mrn"])
    assert (last.returncode, last.stdout) == (1, "")


@pytest.mark.parametrize("sent", ["", "\n", f"{MARK}1\n{MARK}2\n"])
def test_one_number_is_needed(enrolled: Ssci, sent: str):
    result = enrolled("subject", "mrn", "add", "SSCI-001", input=sent)
    assert result.returncode == 2
    assert "one hospital number is needed" in result.stderr


# Keys


def test_keys_are_rotated_and_former_ones_retired(
    enrolled: Ssci, tmp_path: Path, database_dsns: Dsns
):
    path = tmp_path / "data" / "keys.json"
    before = json.loads(path.read_text())
    assert "identity key 1 (current): 2 ciphertexts" in enrolled("keys", "status").stdout
    result = enrolled("keys", "rotate")
    assert result.returncode == 0, result.stderr
    assert "new keys are in use\n2 of identity, 0 of messages encrypted anew\n" in result.stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    status = enrolled("keys", "status").stdout
    assert "identity key 1 (former): 0 ciphertexts" in status
    assert "identity key 2 (current): 2 ciphertexts" in status
    assert "never rotate" in status
    early = enrolled("keys", "retire")
    assert (early.returncode, "ago: wait a little" in early.stderr) == (1, True)
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | {"rotated": "2020-01-01T00:00:00+00:00"}))
    assert "2 former keys removed" in enrolled("keys", "retire").stdout
    after = json.loads(path.read_text())
    assert (set(after["encrypting"]), set(after["messages"])) == ({"2"}, {"2"})
    assert after["identity_lookup"] == before["identity_lookup"]
    assert enrolled("subject", "mrn", "add", "SSCI-001", input=person()["mrn"]).stdout == (
        "SSCI-001: added already; 1 now\n"
    )
    for key in [*before["encrypting"].values(), *after["encrypting"].values()]:
        assert key not in status + result.stdout


def test_a_rotation_that_was_broken_off_is_finished_without_new_keys(
    enrolled: Ssci, tmp_path: Path, database_dsns: Dsns
):
    path = tmp_path / "data" / "keys.json"
    assert "prepared" in enrolled("keys", "rotate", "--prepare").stdout
    held = json.loads(path.read_text())
    assert (held["current"], set(held["encrypting"])) == ("1", {"1", "2"})
    path.write_text(json.dumps(held | {"current": "2", "current_messages": "2"}))
    result = enrolled("keys", "rotate")
    assert result.stdout.startswith("finishing the rotation of None: 2 ciphertexts are left\n")
    assert set(json.loads(path.read_text())["encrypting"]) == {"1", "2"}
    keys = fetch(database_dsns.owner, "SELECT DISTINCT mrn_key FROM identity.subject_mrn")
    assert keys == [("2",)]


def test_what_no_key_opens_keeps_the_former_keys(
    enrolled: Ssci, tmp_path: Path, database_dsns: Dsns
):
    fetch(database_dsns.owner, "UPDATE identity.subject_mrn SET mrn_ciphertext = 'broken'")
    result = enrolled("keys", "rotate")
    assert (result.returncode, "1 ciphertexts can't be opened" in result.stderr) == (1, True)
    path = tmp_path / "data" / "keys.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | {"rotated": "2020-01-01T00:00:00+00:00"}))
    refused = enrolled("keys", "retire")
    assert (refused.returncode, "still in use: identity key 1" in refused.stderr) == (1, True)
    assert set(json.loads(path.read_text())["encrypting"]) == {"1", "2"}


def test_a_key_file_that_others_may_read_stops_every_command(enrolled: Ssci, tmp_path: Path):
    (tmp_path / "data" / "keys.json").chmod(0o644)
    for command in (["subject", "list"], ["keys", "status"], ["keys", "rotate"]):
        result = enrolled(*command)
        assert (result.returncode, "chmod 600" in result.stderr) == (1, True)


def test_no_table_shows_identity_in_clear(enrolled: Ssci, database_dsns: Dsns):
    enrolled("subject", "mrn", "add", "SSCI-001", input=f"{MARK}-NEW")
    enrolled("subject", "withdraw", "SSCI-001", "--on", "2018-03-01", "--reason", "death")
    dumped = asyncio.run(dump(database_dsns.owner))
    assert "withdrawn" in dumped
    assert MARK not in dumped
    assert MARK.encode().hex() not in dumped
    assert "1979-05-04" not in dumped


def test_at_a_terminal_everything_is_asked_for_and_the_number_is_not_shown(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cli_subject, "_is_terminal", lambda: True)
    number = person()["mrn"]
    typed = [number, number, "PUMCH", "", "female", "1979-05-04", "2017-09-01", "n", "SLE"]
    typed += ["met", "met", "met", "unknown", "no records", "met", "not-met", "y"]
    own = {key: value for key, value in environment.items() if key.startswith("SSCI_")}
    result = CliRunner().invoke(app, ["subject", "enrol"], input="\n".join(typed) + "\n", env=own)
    assert result.exit_code == 0, result.output
    assert result.output.endswith("SSCI-001 enrolled\n")
    assert number not in result.output
    again = ["subject", "mrn", "add", "SSCI-001"]
    added = CliRunner().invoke(app, again, input=f"{MARK}-2\n{MARK}-2\n", env=own)
    assert added.output.endswith("SSCI-001: added; 2 now\n")
    assert MARK not in added.output
