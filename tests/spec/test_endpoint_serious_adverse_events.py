"""Serious adverse events of any cause over a cohort that can be checked on paper.

First doses on 2019-01-01. Last doses: 001 on 2019-12-31 (365 days), 002 on 2020-06-28 (545 days),
003 on 2019-01-01 (1 day), 004 on 2020-06-28 (545 days): 1456 days = 3.986311 years.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from tests.endpoint_support import ZONE, answer, ask, subject_answer
from tests.event_support import ask_events, named, share

ENDPOINT = "serious-adverse-events"

DOSES = """
    subject  | taken      | mg
    SSCI-001 | 2019-01-01 | 2
    SSCI-001 | 2019-12-31 | 1
    SSCI-002 | 2019-01-01 | 2
    SSCI-002 | 2020-06-28 | 1
    SSCI-003 | 2019-01-01 | 2
    SSCI-004 | 2019-01-01 | 2
    SSCI-004 | 2020-06-28 | 1
"""

EVENTS = """
    id | subject  | onset      | term   | grade | serious | criteria | related | outcome | expected
    a  | SSCI-001 | 2019-03-01 | Sepsis | 4 | yes | C84266,C83052 | related | ongoing | no
    b  | SSCI-001 | 2019-06-01 | Pneumonia | 3 | yes | C83052 | not-related | resolved | yes
    c  | SSCI-001 | 2019-07-01 | Nausea | 1 | no |        | related | resolved | yes
    d  | SSCI-002 | 2018-12-01 | Pneumonia | 3 | yes | C83052 | not-related | resolved |
    e  | SSCI-002 | 2019-02-01 | Anemia | 3 |         |        |         |         |
    f  | SSCI-003 | 2019-01-20 | Sepsis | 5 | yes | C48275 | not-related | fatal | no
    g  | SSCI-004 | 2019-05-01 | Sepsis | 3 |         | C82521 | not-related | ongoing |
"""


@pytest.fixture(scope="module")
def told():
    return answer(ask_events(ENDPOINT, DOSES, EVENTS))


def test_participants_and_events_are_counted_apart(told):
    """On treatment a, b, f and g of three participants; d began before the first dose."""
    assert share(told["treatmentEmergent"]) == (3, 4, 4)
    assert share(told["all"]) == (4, 4, 5)


def test_the_interval_is_exact(told):
    """3 of 4: 19.41 to 99.37 %, by R's binom.test(3, 4)."""
    participants = told["treatmentEmergent"]["participants"]
    assert round(participants["ciLow"], 3) == 19.412
    assert round(participants["ciHigh"], 3) == 99.369


def test_the_rate_is_events_over_the_participants_years_on_treatment(told):
    """4 / (1456 / 365.25) = 1.003434; Garwood 1.089865 and 10.24159 over 3.986311."""
    rate = told["treatmentEmergent"]["eventRate"]
    assert (rate["events"], rate["rate"]) == (4, 1.003434066)
    assert (round(rate["ciLow"], 4), round(rate["ciHigh"], 4)) == (0.2734, 2.5692)


def test_the_incidence_rate_counts_each_participant_up_to_the_first_event(told):
    """001 day 60, 002 545 days, 003 one day (the event came after the last dose), 004 day 121:
    727 days, 3 / (727 / 365.25) = 1.507221."""
    assert told["treatmentEmergent"]["incidenceRate"]["rate"] == 1.507221458


def test_categories_are_counted_in_participants_and_events(told):
    found = named(told["all"]["categories"], "category")
    assert {name: share(each)[::2] for name, each in found.items()} == {
        "related": (1, 1),
        "relation not assessed": (0, 0),
        "fatal": (1, 1),
        "leading to a dose change": (0, 0),
        "leading to the end of sirolimus": (0, 0),
        "expected": (1, 1),
        "unexpected": (2, 2),
        "expectedness not told": (2, 2),
        "related and unexpected": (1, 1),
    }


def test_each_criterion_of_ich_e2a_is_counted(told):
    found = named(told["all"]["criteria"], "category")
    assert {name: each["events"] for name, each in found.items()} == {
        "death": 1,
        "life-threatening": 1,
        "hospitalization": 3,
        "disability": 0,
        "congenital-anomaly": 0,
        "medically-important": 1,
    }


def test_what_nobody_called_serious_is_serious_by_its_criteria_or_else_counted_apart(told):
    """e has neither word nor criterion."""
    assert told["seriousnessNotTold"] == 1
    assert [each["resource"][-1] for each in told["listing"]["subjects"]] == list("abdfg")


def test_the_listing_tells_each_serious_event(told):
    first = told["listing"]["subjects"][0]
    assert "ASTDT" not in first
    names = ("USUBJID", "AEDECOD", "ASTDY", "criteria", "related", "expected", "TRTEMFL")
    assert {name: first[name] for name in names} == {
        "USUBJID": "SSCI-001",
        "AEDECOD": "Sepsis",
        "ASTDY": 60,
        "criteria": ["life-threatening", "hospitalization"],
        "related": True,
        "expected": False,
        "TRTEMFL": "Y",
    }
    assert first["url"] == "/fhir/AdverseEvent/a/_history/1"


def test_every_event_is_a_row_that_says_why_it_is_not_counted():
    rows = subject_answer(ask_events(ENDPOINT, DOSES, EVENTS))["rows"]
    assert {row["resource"][-1]: row["notUsed"] for row in rows if row["notUsed"]} == {
        "c": "not serious",
        "d": "onset before the first dose",
        "e": "seriousness not told, and no criterion",
    }


def test_an_event_entered_in_error_is_left_aside():
    events = "onset | serious | status \n 2019-02-01 | yes | entered-in-error"
    told = answer(ask_events(ENDPOINT, DOSES, events))
    assert (share(told["all"]), told["aside"]["n"]) == ((0, 4, 0), 1)


def test_without_a_serious_event_the_interval_starts_at_zero():
    """0 of 4: up to 60.24 %; no event: up to 3.688879 / 3.986311 a year."""
    told = answer(ask_events(ENDPOINT, DOSES, "onset"))["treatmentEmergent"]
    assert (told["participants"]["ciLow"], round(told["participants"]["ciHigh"], 2)) == (0.0, 60.24)
    rate = told["eventRate"]
    assert (rate["rate"], rate["ciLow"], round(rate["ciHigh"], 6)) == (0.0, 0.0, 0.925387)


def test_when_everyone_has_one_the_interval_ends_at_100():
    events = "\n".join(f"SSCI-00{n} | 2019-01-02 | yes" for n in range(1, 5))
    told = answer(ask_events(ENDPOINT, DOSES, f"subject | onset | serious \n {events}"))
    participants = told["treatmentEmergent"]["participants"]
    assert (participants["percent"], participants["ciHigh"]) == (100.0, 100.0)


def test_of_nobody_there_is_no_share_and_no_rate():
    told = answer(ask(ENDPOINT, ()))["treatmentEmergent"]
    assert (told["participants"]["percent"], told["eventRate"]["rate"]) == (None, None)


@pytest.mark.parametrize(("cutoff", "fatal"), [("2019-02-20", 1), ("2019-02-19", 0)])
def test_what_ended_after_the_cutoff_went_on_at_the_cutoff(cutoff, fatal):
    """Sepsis from 19 January, of which the participant died on 20 February."""
    events = """
        subject  | onset      | ended      | grade | serious | criteria | outcome
        SSCI-003 | 2019-01-19 | 2019-02-20 | 5     | yes     | C48275   | fatal
    """
    asked = ask_events(ENDPOINT, DOSES, events)
    cut = replace(asked.request.cut, cutoff=cutoff, before=day_after(cutoff))
    told = answer(replace(asked, request=replace(asked.request, cut=cut)))
    assert named(told["all"]["categories"], "category")["fatal"]["events"] == fatal
    (listed,) = told["listing"]["subjects"]
    assert (listed["AEOUT"], listed["AENDY"]) == (("fatal", 51) if fatal else (None, None))


def day_after(cutoff: str) -> datetime:
    return datetime.combine(date.fromisoformat(cutoff) + timedelta(days=1), time(), ZONE)
