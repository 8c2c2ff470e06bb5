"""The parts of the protocol that exposure and deviations rest on: what a bad file is told."""

from __future__ import annotations

import pytest

from app.errors import SsciError
from app.trial import load_protocol, parse_protocol
from app.trial.protocol_file import DEVIATIONS, PROTOCOL_FILE

TEXT = PROTOCOL_FILE.read_text("utf-8")


def problems(old: str, new: str) -> list[tuple[str | None, str]]:
    assert old in TEXT
    with pytest.raises(SsciError) as caught:
        parse_protocol(TEXT.replace(old, new, 1))
    return [(issue.expression, issue.diagnostics) for issue in caught.value.issues]


def test_every_deviation_that_can_be_found_is_looked_for_and_has_a_severity():
    rules = load_protocol().deviations
    assert set(rules) == set(DEVIATIONS)
    assert {rule.severity for rule in rules.values()} == {"major", "minor"}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('code = "loading-dose"', 'code = "loading"', "deviations.loading.code"),
        ('severity = { value = "minor"', 'severity = { value = "small"', ".severity"),
        (
            'unrecorded_days = { value = "not-taken"',
            'unrecorded_days = { value = "guessed"',
            "exposure.unrecorded_days",
        ),
        ('interruption = { value = 3, unit = "d"', 'interruption = { value = 3, unit = "h"', ""),
        (
            'change_reason = { value = 28, unit = "d"',
            'change_reason = { value = -1, unit = "d"',
            "deviation_limits.change_reason",
        ),
    ],
)
def test_what_the_code_does_not_know_is_refused_with_its_place(old, new, place):
    found = problems(old, new)
    assert any(place in (where or "") for where, _ in found)


def test_an_assumed_severity_is_told_in_the_answer():
    assumptions = load_protocol().endpoints["protocol-deviations"].assumptions
    assert any("severity = major" in each for each in assumptions)
