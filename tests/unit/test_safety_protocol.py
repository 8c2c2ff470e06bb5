"""What the protocol file may say of safety: grades, vague onsets, words of action and relation."""

from __future__ import annotations

import pytest

from app.errors import SsciError
from app.trial import load_protocol, parse_protocol
from app.trial.protocol_file import PROTOCOL_FILE


def problems(old: str, new: str) -> list[str]:
    text = PROTOCOL_FILE.read_text("utf-8")
    assert text.count(old) == 1
    with pytest.raises(SsciError) as raised:
        parse_protocol(text.replace(old, new))
    return [f"{issue.expression}: {issue.diagnostics}" for issue in raised.value.issues]


def test_the_lower_limit_of_normal_lies_above_the_limits_of_the_grades():
    told = problems("platelet_lower_limit = { value = 100", "platelet_lower_limit = { value = 70")
    assert told == [
        "protocol.toml: safety.platelet_grades: must fall from the lower limit of normal on"
    ]


def test_a_vague_onset_is_decided_by_one_of_two_words():
    told = problems('vague_onset = { value = "treatment-emergent"', 'vague_onset = { value = "?"')
    expected = "must be one of treatment-emergent, not-treatment-emergent"
    assert told == [f"protocol.toml: safety.vague_onset: {expected}"]


@pytest.mark.parametrize("endpoint", ["adverse-events", "serious-adverse-events"])
def test_the_assumptions_of_safety_are_told_with_the_definition(endpoint):
    told = " ".join(load_protocol().endpoints[endpoint].assumptions)
    assert "treatment_emergent = 30 d" in told
    assert "vague_onset = treatment-emergent" in told
    assert "unassessed_is_related = true" in told


def test_the_stand_in_for_the_lower_limit_of_normal_is_told_as_an_assumption():
    told = " ".join(load_protocol().endpoints["platelet-grade-shift"].assumptions)
    assert "platelet_lower_limit = 100 10*9/L" in told
