"""Exact Poisson limits against published tables, and rates at their edges.

The 95 % limits of Garwood, Biometrika 1936;28:437, which tables of Poisson limits and R's
`poisson.test` give.
"""

from __future__ import annotations

import pytest

from app.endpoints.figures.rates import NO_TIME, compute_rate, poisson_interval

PUBLISHED_95 = [
    (0, 0.0, 3.689),
    (1, 0.0253, 5.572),
    (2, 0.242, 7.225),
    (3, 0.619, 8.767),
    (4, 1.090, 10.242),
    (5, 1.623, 11.668),
    (10, 4.795, 18.390),
    (20, 12.217, 30.888),
    (50, 37.111, 65.919),
    (100, 81.364, 121.627),
]


@pytest.mark.parametrize(("events", "low", "high"), PUBLISHED_95)
def test_limits_are_those_of_the_published_table(events, low, high):
    found = poisson_interval(events, 0.95)
    assert found == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))


def test_the_upper_limit_of_no_event_is_the_logarithm_of_the_tail():
    """exp(-u) = 0.025 has the solution u = 3.6888794541."""
    assert poisson_interval(0, 0.95)[1] == pytest.approx(3.6888794541139363, rel=1e-13)


def test_a_rate_is_events_over_years_and_so_are_its_limits():
    """R: poisson.test(10, 4) gives 1.198847 and 4.597589."""
    told = compute_rate(10, 4.0, 0.95)
    assert (told["events"], told["participantYears"], told["rate"]) == (10, 4.0, 2.5)
    assert (round(told["ciLow"], 6), round(told["ciHigh"], 6)) == (1.198847, 4.597589)
    assert told["reasons"] == {}


def test_no_event_is_a_rate_of_zero_with_an_upper_limit():
    told = compute_rate(0, 2.0, 0.95)
    assert (told["rate"], told["ciLow"], told["ciHigh"]) == (0.0, 0.0, 1.844439727)


def test_without_person_time_there_is_no_rate():
    told = compute_rate(3, 0.0, 0.95)
    assert (told["rate"], told["ciLow"], told["ciHigh"]) == (None, None, None)
    assert told["reasons"] == dict.fromkeys(("rate", "ciLow", "ciHigh"), NO_TIME)
