"""Nothing that happened after the clinical cut is in a figure at the cut, although it is known.

First dose 2019-01-01, cut at the end of 2019-03-10.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from app.endpoints.catalogue import CATALOGUE
from app.endpoints.cohort.deaths import find_deaths
from app.endpoints.cohort.stopping import find_stops
from app.endpoints.reading.records import Cut, Record
from tests.endpoint_support import (
    ZONE,
    Asked,
    answer,
    ask,
    enrol_all,
    read_counts,
    read_doses,
    read_subjects,
    read_treatments,
    subject_answer,
)
from tests.event_support import read_events

CUT = Cut("2019-03-10", datetime(2019, 3, 11, tzinfo=ZONE), datetime(2030, 1, 2, tzinfo=ZONE))
DOSES = read_doses("subject | taken | mg \n SSCI-001 | 2019-01-01 | 2 \n SSCI-002 | 2019-01-01 | 2")
COUNTS = read_counts(
    "subject | collected | value \n SSCI-001 | 2018-12-31 | 20 \n SSCI-001 | 2019-01-31 | 120"
    "\n SSCI-002 | 2018-12-31 | 20 \n SSCI-002 | 2019-03-03 | 50"
)
LATER = (
    *read_subjects(
        "subject | consent | status | ended | reason \n"
        "SSCI-001 | yes | withdrawn | 2019-03-17 | own"
        "\n SSCI-002 | yes | withdrawn | 2019-04-11 | death"
    ),
    *read_treatments(
        "subject | given | last | kind | group | status \n"
        "SSCI-001 | 2019-01-01 | 2019-05-01 | prescribed | study-medication | stopped"
    ),
)
NOTHING_LATER = (
    *enrol_all(DOSES),
    *read_treatments(
        "subject | given | last | kind | group | status \n"
        "SSCI-001 | 2019-01-01 | - | prescribed | study-medication | stopped"
    ),
)


def at_cut(endpoint: str, records: tuple[Record, ...]) -> Asked:
    asked = ask(endpoint, (*records, *DOSES, *COUNTS))
    return replace(asked, request=replace(asked.request, cut=CUT))


def without_numbers(told: Any) -> Any:
    return {name: value for name, value in told.items() if name != "inputs"}


@pytest.mark.parametrize("endpoint", CATALOGUE)
def test_ends_after_the_cut_change_no_figure(endpoint):
    ours, theirs = (answer(at_cut(endpoint, each)) for each in (LATER, NOTHING_LATER))
    assert without_numbers(ours) == without_numbers(theirs)


@pytest.mark.parametrize("endpoint", CATALOGUE)
def test_no_day_after_the_cut_is_told_in_a_listing(endpoint):
    text = str(subject_answer(at_cut(endpoint, LATER)))
    for day in ("2019-03-17", "2019-04-11", "2019-05-01"):
        assert day not in text


def test_nobody_has_stopped_or_died_before_it_happened():
    cohort = at_cut("disposition", LATER).cohort
    assert (find_stops(cohort), find_deaths(cohort)) == ({}, {})


def test_a_death_after_the_cut_is_neither_outcome_nor_grade_nor_criterion():
    event = read_events(
        "subject | onset | ended | term | grade | serious | criteria | outcome \n"
        "SSCI-002 | 2019-02-01 | 2019-04-11 | Sepsis | 5 | yes | death | fatal"
    )
    (row,) = subject_answer(at_cut("adverse-events", (*LATER, *event)))["rows"]
    assert (row["ATOXGR"], row["AEOUT"], row["AESDTH"]) == (None, None, None)
    assert row["AESER"] == "Y"


def test_a_fatal_event_without_an_end_is_not_fatal_before_participation_ended_by_death():
    event = read_events(
        "subject | onset | term | serious | outcome \n SSCI-002 | 2019-02-01 | Sepsis | yes | fatal"
    )
    cohort = at_cut("adverse-events", (*LATER, *event)).cohort
    assert [each.fatal for each in cohort.events] == [False]
