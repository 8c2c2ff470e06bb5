"""Adverse events over a cohort that can be checked on paper.

First doses on 2019-01-01 at 08:00. Last doses: 001 on 2019-12-31 (365 days), 002 on 2019-01-10
(10 days), 003 on 2019-01-01 (1 day), 004 on 2019-01-01 (1 day): 377 days in sum. Thirty days after
the last dose are 2020-01-30, 2019-02-09 and 2019-01-31.

    001  Mucositis oral G2 and G1, Anemia G3 (all on treatment)
    002  Mucositis oral G3 on day 9, on 2019-02-09 (the last day that counts) and 2019-02-10 (late)
    003  Anemia G1 before the first dose, and one entered in error
    004  nothing
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from app.endpoints.analyses.answering import compute_answer
from tests.endpoint_support import answer, ask, enrol_all, read_doses, read_subjects, subject_answer
from tests.event_support import ask_events, named, read_events, share

ENDPOINT = "adverse-events"
MUCOSITIS = "Mucositis oral | Gastrointestinal disorders"
ANEMIA = "Anemia | Blood and lymphatic system disorders"

DOSES = """
    subject  | taken            | mg
    SSCI-001 | 2019-01-01T08:00 | 2
    SSCI-001 | 2019-12-31T08:00 | 1
    SSCI-002 | 2019-01-01T08:00 | 2
    SSCI-002 | 2019-01-10T08:00 | 1
    SSCI-003 | 2019-01-01T08:00 | 2
    SSCI-004 | 2019-01-01T08:00 | 2
"""

EVENTS = f"""
    id   | subject  | onset      | term | soc  | grade | related     | action           | status
    a-1  | SSCI-001 | 2019-01-01 | {MUCOSITIS} | 2 | related     | dose-not-changed |
    a-2  | SSCI-001 | 2019-02-01 | {MUCOSITIS} | 1 | not-related | drug-interrupted |
    a-10 | SSCI-001 | 2019-02-01 | {ANEMIA}| 3 |             | drug-withdrawn   |
    b-1  | SSCI-002 | 2019-01-09 | {MUCOSITIS} | 3 | not-related |                  |
    b-2  | SSCI-002 | 2019-02-09 | {ANEMIA}| 1 | not-related |                  |
    b-3  | SSCI-002 | 2019-02-10 | {ANEMIA}| 4 | not-related |                  |
    c-1  | SSCI-003 | 2018-12-31 | {ANEMIA}| 1 | not-related |                  |
    c-2  | SSCI-003 | 2019-01-05 | {ANEMIA}| 2 | related     |                  | entered-in-error
"""


@pytest.fixture(scope="module")
def told():
    return answer(ask_events(ENDPOINT, DOSES, EVENTS))


def rows_of(doses: str, events: str) -> dict[str, dict[str, object]]:
    rows = subject_answer(ask_events(ENDPOINT, doses, events))["rows"]
    return {row["resource"].removeprefix("AdverseEvent/"): row for row in rows}


def emergence(onset: str, ended: str = "", doses: str = DOSES, given: str = "SSCI-002"):
    events = f"id | subject | onset | ended \n a | {given} | {onset} | {ended}"
    row = rows_of(doses, events)["a"]
    return row["TRTEMFL"], row["emergence"]


def test_a_participant_counts_once_however_many_events(told):
    """Five events of two of the four participants are treatment-emergent."""
    (whole, *_) = told["treatmentEmergent"]["categories"]
    assert (whole["category"], share(whole)) == ("any", (2, 4, 5))


def test_the_interval_is_that_of_clopper_and_pearson(told):
    """2 of 4: 6.76 to 93.24 %, by R's binom.test(2, 4)."""
    participants = told["treatmentEmergent"]["categories"][0]["participants"]
    assert participants["percent"] == 50.0
    assert round(participants["ciLow"], 5) == 6.75860
    assert round(participants["ciHigh"], 5) == 93.24140


def test_categories_of_treatment_emergent_events(told):
    """a-10 has no relation told: it counts as related, and apart."""
    found = named(told["treatmentEmergent"]["categories"], "category")
    assert {name: share(each)[::2] for name, each in found.items()} == {
        "any": (2, 5),
        "related": (1, 2),
        "relation not assessed": (1, 1),
        "serious": (0, 0),
        "serious and related": (0, 0),
        "grade 3 or more": (2, 2),
        "fatal": (0, 0),
        "leading to a dose change": (1, 1),
        "leading to the end of sirolimus": (1, 1),
        "seriousness not told": (2, 5),
        "onset not known to the day": (0, 0),
    }


def test_terms_stand_under_their_system_organ_class_with_the_worst_grade_once(told):
    socs = told["treatmentEmergent"]["socs"]
    assert [each["soc"].split()[0] for each in socs] == ["Blood", "Gastrointestinal"]
    (mucositis,) = socs[1]["terms"]
    assert share(mucositis) == (2, 4, 3)
    found = {each["level"]: each for each in mucositis["worstGrade"] if each["events"]}
    assert {level: each["participants"] for level, each in found.items()} == {
        "grade 1": 0,
        "grade 2": 1,
        "grade 3": 1,
    }


def test_by_severity_everyone_stands_once_with_the_worst_grade(told):
    """001: 2, 1, 3; 002: 3, 1."""
    found = {each["level"]: each for each in told["treatmentEmergent"]["bySeverity"]}
    assert {level: (each["participants"], each["events"]) for level, each in found.items()} == {
        "grade 1": (0, 2),
        "grade 2": (0, 1),
        "grade 3": (2, 2),
        "grade 4": (0, 0),
        "grade 5": (0, 0),
        "not graded": (0, 0),
    }


def test_all_events_are_counted_beside_the_treatment_emergent_ones(told):
    assert share(told["all"]["categories"][0]) == (3, 4, 7)
    assert told["aside"] == {"n": 1, "reasons": {"status does not say that it happened": 1}}


def test_the_rate_is_adjusted_for_exposure(told):
    """5 events in 377 days: 5 / (377 / 365.25) = 4.8441645 a year; Garwood 1.623486 and 11.66833
    over 1.032170 years."""
    rate = told["treatmentEmergent"]["eventRate"]
    assert rate["participantYears"] == 1.032169747
    assert round(rate["rate"], 5) == 4.84416
    assert (round(rate["ciLow"], 4), round(rate["ciHigh"], 4)) == (1.5729, 11.3047)


def test_the_incidence_rate_ends_with_the_first_event(told):
    """001 falls ill on day 1, 002 on day 9 of 10, 003 and 004 never in 1 day: 12 days, 2 people:
    2 / (12 / 365.25) = 60.875."""
    assert told["treatmentEmergent"]["incidenceRate"]["rate"] == 60.875


def test_what_lies_outside_treatment_is_told(told):
    assert told["emergence"] == {
        "emergent": 5,
        "vague": 0,
        "worsened": 0,
        "afterWithoutStop": 1,
        "by": [
            {"name": "onset before the first dose", "events": 1},
            {"name": "onset later than the days after the last dose", "events": 1},
            {"name": "onset on treatment", "events": 5},
        ],
    }


@pytest.mark.parametrize(
    ("onset", "flag"),
    [
        ("2018-12-31", None),
        ("2019-01-01", "Y"),
        ("2019-01-01T07:59", None),
        ("2019-01-01T08:00", "Y"),
        ("2019-02-09", "Y"),
        ("2019-02-10", None),
    ],
)
def test_treatment_emergent_is_from_the_first_dose_to_30_days_after_the_last(onset, flag):
    assert emergence(onset)[0] == flag


@pytest.mark.parametrize(
    ("onset", "ended", "flag", "why"),
    [
        ("2018-12", "", None, "onset before the first dose"),
        ("2019-01", "", "Y", "onset on treatment"),
        ("2019-02", "", "Y", "onset not known to the day: on treatment or outside"),
        ("2019-03", "", None, "onset later than the days after the last dose"),
        ("2018", "", None, "onset before the first dose"),
        ("2019", "", "Y", "onset not known to the day: on treatment or outside"),
        ("", "", "Y", "onset not known to the day: on treatment or outside"),
        ("", "2018-12-31", None, "onset before the first dose"),
        ("", "2019-01-01", "Y", "onset not known to the day: on treatment or outside"),
    ],
)
def test_a_vague_onset_is_treatment_emergent_unless_certainly_outside(onset, ended, flag, why):
    assert emergence(onset, ended) == (flag, why)


def test_an_onset_in_the_month_of_the_first_dose_may_be_before_it_unless_it_ended_before():
    doses = "subject | taken | mg \n SSCI-002 | 2019-01-15T08:00 | 2"
    vague = "onset not known to the day: on treatment or outside"
    assert emergence("2019-01", doses=doses) == ("Y", vague)
    ended = emergence("2019-01", "2019-01-14", doses=doses)
    assert ended == (None, "onset before the first dose")


def test_a_vague_onset_is_imputed_as_the_first_dose_where_it_may_lie_on_it():
    doses = "subject | taken | mg \n SSCI-001 | 2019-01-15T08:00 | 2"
    events = "id | onset \n a | 2019-01 \n b | 2019 \n c | \n d | 2019-02"
    rows = rows_of(doses, events)
    told = {name: (row["ASTDT"], row["ASTDTF"], row["ASTDY"]) for name, row in rows.items()}
    assert told == {
        "c": (None, "Y", None),
        "a": ("2019-01-15", "D", 1),
        "b": ("2019-01-15", "M", 1),
        "d": ("2019-02-01", "D", 18),
    }


def test_what_becomes_of_a_vague_onset_is_the_protocols_decision():
    asked = ask_events(ENDPOINT, DOSES, "subject | onset \n SSCI-002 | 2019-02")
    rules = replace(asked.request.protocol.safety, vague_onset="not-treatment-emergent")
    protocol = replace(asked.request.protocol, safety=rules)
    strict = replace(asked, request=replace(asked.request, protocol=protocol))
    counts = [answer(each)["emergence"] for each in (asked, strict)]
    assert [(each["emergent"], each["vague"]) for each in counts] == [(1, 1), (0, 1)]


def test_a_first_dose_known_to_the_month_leaves_what_is_not_certain_to_the_protocol():
    doses = "subject | taken | mg \n SSCI-002 | 2019-01 | 2"
    assert emergence("2018-12-31", doses=doses)[0] is None
    assert emergence("2019-01-20", doses=doses)[1].startswith("onset not known")
    told = answer(ask_events(ENDPOINT, doses, "subject | onset \n SSCI-002 | 2019-01-20"))
    assert told["treatmentEmergent"]["withoutPersonTime"] == 1
    assert told["treatmentEmergent"]["eventRate"]["rate"] is None


def test_a_pill_count_at_home_prolongs_treatment():
    doses = """
        subject  | taken            | last       | mg | origin     | total
        SSCI-002 | 2019-01-01T08:00 |            | 2  |            |
        SSCI-002 | 2019-01-02       | 2019-06-30 |    | pill-count | 180
    """
    assert emergence("2019-07-30", doses=doses)[0] == "Y"
    assert emergence("2019-07-31", doses=doses)[0] is None


def test_a_worsening_is_told_by_an_event_of_its_own():
    events = f"""
        id | onset      | ended      | term | soc | grade
        a  | 2018-12-20 |            | {ANEMIA} | 1
        b  | 2019-01-20 |            | {ANEMIA} | 3
        c  | 2018-12-01 | 2018-12-10 | {MUCOSITIS} | 1
        d  | 2019-01-20 |            | {MUCOSITIS} | 2
    """
    rows = rows_of(DOSES, events)
    assert {name: row["worsened"] for name, row in rows.items()} == {
        "c": False,
        "a": False,
        "b": True,
        "d": False,
    }


def test_occurrence_flags_stand_at_the_first_and_the_first_worst_of_each_level():
    """Emergent in order: a-1 (Mucositis 2), a-2 (Mucositis 1), a-10 (Anemia 3); then b-1, b-2."""
    rows = rows_of(DOSES, EVENTS)
    names = ("AOCCFL", "AOCCSFL", "AOCCPFL", "AOCCIFL", "AOCCSIFL", "AOCCPIFL")
    flags = {name: [each for each in rows if rows[each][name] == "Y"] for name in names}
    assert flags == {
        "AOCCFL": ["a-1", "b-1"],
        "AOCCSFL": ["a-1", "a-10", "b-1", "b-2"],
        "AOCCPFL": ["a-1", "a-10", "b-1", "b-2"],
        "AOCCIFL": ["a-10", "b-1"],
        "AOCCSIFL": ["a-1", "a-10", "b-1", "b-2"],
        "AOCCPIFL": ["a-1", "a-10", "b-1", "b-2"],
    }


def test_of_equal_grades_the_first_is_the_first_worst():
    events = f"""
        id | onset      | term | soc | grade
        a  | 2019-01-05 | {ANEMIA} | 1
        b  | 2019-01-06 | {ANEMIA} | 2
        c  | 2019-01-07 | {ANEMIA} | 2
    """
    rows = rows_of(DOSES, events)
    assert [rows[each]["AOCCPIFL"] for each in "abc"] == [None, "Y", None]
    assert [rows[each]["AOCCPFL"] for each in "abc"] == ["Y", None, None]


def test_events_of_one_day_stand_in_the_order_of_their_numbers():
    events = f"""
        id   | onset      | term | soc | grade
        a-10 | 2019-01-05 | {ANEMIA} | 1
        a-2  | 2019-01-05 | {ANEMIA} | 1
    """
    assert [name for name, row in rows_of(DOSES, events).items() if row["AOCCFL"]] == ["a-2"]


def test_every_row_says_why_it_was_not_used():
    unused = {name: row["notUsed"] for name, row in rows_of(DOSES, EVENTS).items()}
    assert {name: why for name, why in unused.items() if why} == {
        "b-3": "onset later than the days after the last dose",
        "c-1": "onset before the first dose",
        "c-2": "status does not say that it happened",
    }


def test_a_potential_event_counts_nowhere():
    asked = ask_events(ENDPOINT, DOSES, "onset | actuality \n 2019-01-05 | potential")
    told = answer(asked)
    assert share(told["all"]["categories"][0]) == (0, 4, 0)
    assert told["aside"] == {"n": 1, "reasons": {"potential, not actual": 1}}


def test_an_event_without_grade_takes_that_of_its_severity():
    events = "id | onset | severity \n a | 2019-01-05 | severe \n b | 2019-01-06 |"
    asked = ask_events(ENDPOINT, DOSES, events)
    levels = {each["level"]: each["events"] for each in answer(asked)["all"]["bySeverity"]}
    assert (levels["grade 3"], levels["not graded"]) == (1, 1)


def test_an_event_without_code_is_counted_as_not_coded():
    (soc,) = answer(ask_events(ENDPOINT, DOSES, "onset \n 2019-01-05"))["treatmentEmergent"]["socs"]
    assert (soc["soc"], soc["terms"][0]["term"]) == ("not coded", "not coded")


def test_of_nobody_every_figure_is_null_with_its_reason():
    told = answer(ask(ENDPOINT, ()))
    any_ = told["treatmentEmergent"]["categories"][0]["participants"]
    assert (any_["n"], any_["percent"], any_["reasons"]["percent"]) == (0, None, "no participants")
    rate = told["treatmentEmergent"]["eventRate"]
    assert (rate["events"], rate["rate"], rate["reasons"]["rate"]) == (0, None, "no person-time")


def test_without_any_event_the_rate_is_zero_with_an_upper_limit():
    """3.688879 / (377 / 365.25)."""
    told = answer(ask_events(ENDPOINT, DOSES, "onset"))["treatmentEmergent"]
    assert (told["eventRate"]["rate"], told["socs"]) == (0.0, [])
    assert round(told["eventRate"]["ciHigh"], 4) == 3.5739


def test_someone_without_a_dose_has_no_treatment_emergent_event():
    subjects = read_subjects("subject | consent \n SSCI-009 | yes")
    events = read_events("subject | onset \n SSCI-009 | 2019-01-05")
    told = answer(ask(ENDPOINT, (*subjects, *events), population="enrolled"))
    assert share(told["all"]["categories"][0]) == (1, 1, 1)
    assert told["emergence"]["by"] == [{"name": "no first dose", "events": 1}]


def test_the_inputs_are_the_events_and_the_doses_that_treatment_begins_and_ends_with(told):
    listed = told["inputs"]["listed"]
    used = [each for each in listed if each["subject"] == "SSCI-002"]
    assert [(each["usedAs"], each["resource"]) for each in used] == [
        ("first dose", "MedicationAdministration/dose-2"),
        ("last dose", "MedicationAdministration/dose-3"),
        ("adverse event", "AdverseEvent/b-1"),
        ("adverse event", "AdverseEvent/b-2"),
        ("adverse event", "AdverseEvent/b-3"),
    ]


def test_the_order_of_rows_changes_nothing():
    doses, events = read_doses(DOSES), read_events(EVENTS)
    asked = ask(ENDPOINT, (*enrol_all(doses), *doses, *events))
    first = compute_answer(asked.request, asked.tables)
    for some in list(permutations(events[:4]))[1::5]:
        shuffled = replace(asked, records=(*some, *events[4:], *reversed(doses), *enrol_all(doses)))
        assert compute_answer(shuffled.request, shuffled.tables) == first
