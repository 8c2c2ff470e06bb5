"""The public release: dates shifted per participant, no subject number, no small cell; and what
the shifted listing gives are the published figures."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.endpoints.analyses.answering import compute_answer
from app.endpoints.public import Release, publish, withhold
from tests.endpoint_support import (
    Asked,
    build_request,
    read_counts,
    read_doses,
    subject_answer,
    visit_of,
    whole_answer,
)

RELEASE = Release(b"k" * 32, 5)

SUBJECTS = [f"SSCI-{number:03}" for number in range(1, 8)]
DOSES = "subject | taken | mg \n" + "\n".join(f"{each} | 2019-01-01T08:00 | 2" for each in SUBJECTS)
COUNTS = "subject | collected | value \n" + "\n".join(
    f"{each} | 2018-12-31 | {20 + at} \n {each} | 2019-01-31T09:00 | {30 + 3 * at}"
    for at, each in enumerate(SUBJECTS)
)


def published(asked: Asked, view: str = "figures") -> Any:
    request = replace(asked.request, view=view, release=RELEASE)
    return json.loads(compute_answer(request, asked.tables))


@pytest.fixture(scope="module")
def asked() -> Asked:
    return build_request(COUNTS, DOSES)


def test_no_subject_number_and_no_link_to_a_resource_is_left(asked):
    for view in ("figures", "subjects"):
        text = json.dumps(published(asked, view))
        assert "SSCI-0" not in text
        assert "/fhir/" not in text
        assert '"Observation/' not in text


def test_dates_are_shifted_by_the_same_days_within_a_participant(asked):
    ours = subject_answer(asked)["rows"]
    shifts = {each: RELEASE.shift_of(each) for each in SUBJECTS}
    expected = sorted(
        (RELEASE.pseudonym_of(row["USUBJID"]), str(day + shifts[row["USUBJID"]]), row["elapsed"])
        for row in ours
        for day in (date.fromisoformat(row["ADT"]),)
    )
    told = published(asked, "subjects")["rows"]
    assert sorted((row["USUBJID"], row["ADT"], row["elapsed"]) for row in told) == expected
    assert all(timedelta(days=-364) <= each <= timedelta(days=-1) for each in shifts.values())
    assert len(set(shifts.values())) > 1


def test_the_shifted_listing_gives_the_published_figures(asked):
    """Recomputed from nothing but the listing: same changes, same visits."""
    listing = published(asked, "subjects")
    counts = "subject | collected | value \n" + "\n".join(
        f"{row['USUBJID']} | {row['ADT']} | {row['AVAL']}" for row in listing["rows"]
    )
    doses = "subject | taken | mg \n" + "\n".join(
        f"{each['USUBJID']} | {each['TRTSDT']} | 2" for each in listing["subjects"]
    )
    again = build_request(counts, doses)
    assert len(read_counts(counts)) == 14
    assert len(read_doses(doses)) == 7
    ours, theirs = (whole_answer(each)["figures"] for each in (asked, again))
    assert visit_of(theirs, "M1")["change"] == visit_of(ours, "M1")["change"]
    assert theirs["baseline"]["observed"] == ours["baseline"]["observed"]


def test_the_order_of_the_listing_does_not_tell_the_numbers(asked):
    told = [each["USUBJID"] for each in published(asked, "subjects")["subjects"]]
    assert told == sorted(told)
    assert told != [RELEASE.pseudonym_of(each) for each in SUBJECTS]


def test_a_small_cell_takes_its_group_with_it():
    figures = {"rate": {"n": 20, "events": 3, "estimate": 0.15, "month": 4, "label": "M4"}}
    assert withhold(figures, 5) == {
        "rate": {
            "n": None,
            "events": None,
            "estimate": None,
            "month": 4,
            "label": "M4",
            "reasons": {"*": "withheld: fewer than 5 participants or events"},
        }
    }


def test_of_a_small_group_nothing_is_told_below_it_either():
    figures = {"name": "x", "n": 3, "change": {"n": 3, "mean": 1.5}, "values": [1.5, 2.5]}
    told = withhold(figures, 5)
    assert told["change"] == {"n": None, "mean": None}
    assert told["values"] == []


@pytest.mark.parametrize("count", [0, 5, 20])
def test_a_cell_of_none_or_of_enough_is_told(count):
    assert withhold({"n": 20, "events": count}, 5) == {"n": 20, "events": count}


TREES = st.recursive(
    st.integers(0, 12) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["n", "events", "mean", "visits", "label"]), inner)
    ),
    max_leaves=25,
)


@given(TREES)
def test_no_whole_number_of_one_to_four_is_ever_left(tree):
    def leaves(node: Any) -> list[Any]:
        if isinstance(node, dict):
            return [leaf for each in node.values() for leaf in leaves(each)]
        return (
            [leaf for each in node for leaf in leaves(each)] if isinstance(node, list) else [node]
        )

    told = withhold({"figures": tree}, 5)
    whole = [leaf for leaf in leaves(told) if isinstance(leaf, int)]
    assert not [leaf for leaf in whole if 0 < leaf < 5]


def test_clocks_and_definition_are_told_as_they_are(asked):
    whole = whole_answer(asked)
    told = publish(whole, RELEASE)
    for name in ("endpoint", "definition", "cutoff", "asOf", "software"):
        assert told[name] == whole[name]
    assert told["inputs"] == {"listed": None, "reason": "withheld from the public release"}


def test_what_is_withheld_is_told_as_withheld_in_csv_too(asked):
    few = build_request(
        "subject | collected | value \n SSCI-001 | 2018-12-31 | 20 \n SSCI-001 | 2019-01-31 | 30",
        "subject | taken | mg \n SSCI-001 | 2019-01-01T08:00 | 2",
    )
    request = replace(few.request, release=RELEASE, format="csv")
    rows = list(csv.DictReader(io.StringIO(compute_answer(request, few.tables).decode())))
    (size,) = (row for row in rows if row["statistic"] == "baseline.n")
    assert (size["value"], size["reason"]) == ("", "withheld: fewer than 5 participants or events")


def test_times_of_day_are_left_out_and_nobody_is_listed_beside_figures(asked):
    assert "T09:00" not in json.dumps(published(asked, "subjects"))
    figures = published(asked)
    assert figures["population"]["subjects"] is None
    assert figures["figures"]["visits"][0]["missing"]["subjects"] is None
