"""Counts in the order of participant and time, held against a plain sort by every key."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.endpoints.cohort.ordering import order_in_time
from tests.endpoint_support import ask, enrol_all, read_counts, read_doses

cells = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2), st.integers(1, 3)),
    min_size=1,
    max_size=25,
)


@given(cells)
def test_the_order_is_that_of_participant_day_instant_value_and_key(rows):
    lines = [
        f"SSCI-00{subject} | 2019-01-0{day}T{8 + hour:02}:00 | {value}"
        for subject, day, hour, value in rows
    ]
    found = read_counts("\n".join(["subject | collected | value", *lines]))
    doses = read_doses("subject | taken | mg\nSSCI-001 | 2018-12-31 | 2")
    counts = ask("platelet-change", (*enrol_all(found), *found, *doses)).cohort.counts
    keys = (counts.key, counts.value, counts.begin, counts.day, counts.subject)
    told = order_in_time(counts, np.arange(len(counts.day)))
    assert told.tolist() == np.lexsort(keys).tolist()
