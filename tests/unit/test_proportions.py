"""Intervals of proportions. Fixtures: the trial's own (to two decimals) and closed forms."""

from __future__ import annotations

import pytest

from app.endpoints.figures.proportions import compute_proportion


@pytest.mark.parametrize(
    ("events", "of", "low", "high"),
    [
        (12, 20, 36.05, 80.88),
        (10, 20, 27.20, 72.80),
        (10, 14, 41.90, 91.61),
        (9, 14, 35.14, 87.24),
        (0, 20, 0.0, 16.84),
        (20, 20, 83.16, 100.0),
    ],
)
def test_clopper_pearson(events, of, low, high):
    told = compute_proportion(events, of, 0.95)
    assert (round(told["ciLow"], 2), round(told["ciHigh"], 2)) == (low, high)


def test_wilson():
    told = compute_proportion(12, 20, 0.95, "wilson")
    assert (round(told["ciLow"], 2), round(told["ciHigh"], 2)) == (38.66, 78.12)


def test_wilson_of_none_begins_at_0_and_ends_at_z2_over_n_plus_z2():
    """z^2 / (n + z^2) = 3.841459 / 23.841459 = 16.11 %"""
    told = compute_proportion(0, 20, 0.95, "wilson")
    assert (told["ciLow"], round(told["ciHigh"], 2)) == (0.0, 16.11)
    whole = compute_proportion(20, 20, 0.95, "wilson")
    assert (round(whole["ciLow"], 2), whole["ciHigh"]) == (83.89, 100.0)


def test_one_participant():
    """Clopper-Pearson of 1 of 1: 0.025 to 1."""
    told = compute_proportion(1, 1, 0.95)
    assert (told["percent"], told["ciLow"], told["ciHigh"]) == (100.0, 2.5, 100.0)


def test_no_participant_gives_no_percentage_and_says_why():
    told = compute_proportion(0, 0, 0.95)
    assert (told["n"], told["of"], told["percent"]) == (0, 0, None)
    assert told["reasons"]["percent"] == "no participants"
