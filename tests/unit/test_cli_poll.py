"""`ssci feed poll` where nothing can be asked, and what it tells of a round."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli_poll import _tell
from app.mappings.polling.poller import Round


def test_without_a_file_of_servers_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSCI_POLLING", raising=False)
    found = CliRunner().invoke(app, ["feed", "poll", "pumch-lis", "--once"])
    assert found.exit_code == 2
    assert "SSCI_POLLING" in found.output


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (Round("Observation", 2, 1, 30), "Observation: 30 resources on 2 pages, 1 kept"),
        (Round("Observation", problem="x"), "Observation: 0 resources on 0 pages, 0 kept; x"),
        (Round("Observation", skipped=True), "Observation: another process is asking now"),
    ],
)
def test_a_round_is_one_line(told: Round, line: str) -> None:
    assert _tell(told) == line
