"""Time in range by linear interpolation: Rosendaal et al., Thromb Haemost 1993;69:236-239."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.endpoints.figures.rosendaal import compute_time_in_range

LONG = 1000.0


def days_of(points, gap=LONG):
    found = compute_time_in_range(points, 6, 15, gap)
    return found.below, found.inside, found.above, found.skipped


def test_a_rise_into_the_range_is_inside_from_its_crossing():
    """4 to 8 in 10 days crosses 6 on day 5."""
    assert days_of([(0, 4), (10, 8)]) == (5.0, 5.0, 0.0, 0.0)


def test_a_rise_through_the_range_is_inside_between_both_crossings():
    """4 to 10 crosses 6 on day 10 of 30; 10 to 20 crosses 15 on day 45: 20 + 15 of 60."""
    below, inside, above, _ = days_of([(0, 4), (30, 10), (60, 20)])
    assert (below, inside, above) == (pytest.approx(10), pytest.approx(35), pytest.approx(15))


def test_one_line_may_cross_both_ends():
    """5 to 25 in 20 days: 6 on day 1, 15 on day 10."""
    below, inside, above, _ = days_of([(0, 5), (20, 25)])
    assert (below, inside, above) == (pytest.approx(1), pytest.approx(9), pytest.approx(10))


@pytest.mark.parametrize(
    ("level", "where"),
    [(6, 1), (15, 1), (10, 1), (5.99, 0), (15.01, 2)],
)
def test_a_constant_level_is_wholly_where_it_is_and_both_ends_are_inside(level, where):
    told = days_of([(0, level), (7, level)])
    assert told[where] == 7.0
    assert sum(told) == 7.0


def test_a_line_that_touches_an_end_is_inside():
    assert days_of([(0, 6), (5, 15), (9, 6)]) == (0.0, 9.0, 0.0, 0.0)


def test_a_gap_longer_than_the_maximum_is_skipped_and_one_as_long_is_not():
    assert days_of([(0, 10), (56, 10), (113, 10)], gap=56) == (0.0, 56.0, 0.0, 57.0)


@pytest.mark.parametrize("points", [[], [(3, 10)]])
def test_less_than_two_levels_have_no_time(points):
    found = compute_time_in_range(points, 6, 15, LONG)
    assert (found.interpolated, found.fraction) == (0.0, None)


def test_two_levels_of_one_day_have_no_time_between_them():
    assert days_of([(0, 10), (5, 10), (5, 20), (10, 20)]) == (0.0, 5.0, 5.0, 0.0)


def test_levels_out_of_order_are_refused():
    with pytest.raises(ValueError, match="order"):
        compute_time_in_range([(5, 10), (0, 10)], 6, 15, LONG)


LEVELS = st.floats(0.1, 60)
POINTS = st.lists(st.tuples(st.integers(0, 400), LEVELS), max_size=12).map(
    lambda points: sorted(points, key=lambda point: point[0])
)


@given(POINTS, st.integers(1, 200))
def test_every_day_between_the_first_and_the_last_level_is_told_once(points, gap):
    told = days_of(points, gap)
    span = points[-1][0] - points[0][0] if points else 0
    assert sum(told) == pytest.approx(span)
    assert min(told) >= 0


@given(LEVELS, LEVELS)
def test_a_level_on_the_line_between_two_changes_nothing(start, end):
    """Splitting a segment in its middle."""
    whole = compute_time_in_range([(0, start), (10, end)], 6, 15, LONG)
    split = compute_time_in_range([(0, start), (5, (start + end) / 2), (10, end)], 6, 15, LONG)
    assert split.inside == pytest.approx(whole.inside, abs=1e-9)
    assert split.below == pytest.approx(whole.below, abs=1e-9)
