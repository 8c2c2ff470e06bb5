"""Protocol deviations, each by a participant that has it and nothing else. Day 0 is 2019-01-01;
the visits' targets are days 30, 61, 122, 183, 365, which are 2019-01-31, 03-03, 05-03, 07-03 and
2020-01-01.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.deviation_support import read_attendances, read_consents, read_eligibility
from tests.endpoint_support import (
    answer,
    ask,
    read_counts,
    read_doses,
    read_treatments,
    subject_answer,
)
from tests.event_support import read_events

START = date(2019, 1, 1)

CONSENT = read_consents("subject | consent | on \n SSCI-001 | yes | 2018-12-20")
MET = read_eligibility("subject \n SSCI-001")
VISITS = """
    visit | on
    M1    | 2019-01-31
    M2    | 2019-03-03
    M4    | 2019-05-03
    M6    | 2019-07-03
    M12   | 2020-01-01
"""


def day(elapsed):
    return (START + timedelta(days=elapsed)).isoformat()


def daily(last=365, mg=lambda elapsed: 2 if elapsed < 3 else 1):
    rows = [f"{day(each)}T08:00 | {mg(each)}" for each in range(last + 1)]
    return read_doses("\n".join(["taken | mg", *rows]))


def records(*more, consent=CONSENT, eligibility=MET, doses=None, visits=VISITS):
    taken = daily() if doses is None else doses
    return (*consent, *eligibility, *taken, *read_attendances(visits), *more)


def deviations(*more, **changed):
    """(code, elapsed day, visit, detail) of each deviation of SSCI-001."""
    rows = subject_answer(ask("protocol-deviations", records(*more, **changed)))["rows"]
    found = [row for row in rows if not row["notUsed"]]
    return [(row["name"], row["elapsed"], row["visit"], row["detail"]) for row in found]


def not_assessable(*more, **changed):
    rows = subject_answer(ask("protocol-deviations", records(*more, **changed)))["rows"]
    return sorted((row["name"], row["notUsed"]) for row in rows if row["notUsed"])


def levels(*rows):
    text = "\n".join(["collected | value | id", *rows])
    return read_counts(text, "sirolimus")


def prescribed(*rows):
    kinds = "prescribed | study-medication"
    lines = [f"{row} | {kinds}" for row in rows]
    return read_treatments("\n".join(["given | last | daily | kind | group", *lines]))


def test_a_participant_treated_as_planned_has_none():
    assert (deviations(), not_assessable()) == ([], [])


# Eligibility


def test_a_criterion_that_is_not_met_or_not_known_is_major():
    told = deviations(eligibility=read_eligibility("age | ctd \n not-met | unknown"))
    assert told == [
        ("eligibility-not-met", None, None, "age: not-met"),
        ("eligibility-not-met", None, None, "ctd: unknown"),
    ]


def test_an_exclusion_criterion_that_is_met_is_a_deviation():
    told = deviations(eligibility=read_eligibility("treatment-naive \n met"))
    assert told == [("eligibility-not-met", None, None, "treatment-naive: met")]


def test_a_criterion_overridden_is_a_deviation_of_its_own():
    told = deviations(eligibility=read_eligibility("platelets \n overridden"))
    assert told == [("eligibility-overridden", None, None, "platelets: overridden")]


def test_answers_entered_in_error_are_none_and_the_last_ones_count():
    wrong = read_eligibility("age | status \n not-met | entered-in-error")
    assert not_assessable(eligibility=wrong)[0] == (
        "eligibility-not-met",
        "eligibility not recorded",
    )
    corrected = read_eligibility("age | on \n not-met | 2018-12-01 \n met | 2018-12-02")
    assert deviations(eligibility=corrected) == []


# Consent and loading


@pytest.mark.parametrize(
    ("on", "found"),
    [
        ("2019-01-01", []),
        ("2019-01-03", [("dose-before-consent", 0, None, "2 d before consent")] * 2),
    ],
)
def test_a_first_dose_before_the_day_of_consent(on, found):
    """One row per record: the dose and the consent."""
    consent = read_consents(f"subject | consent | on \n SSCI-001 | yes | {on}")
    assert deviations(consent=consent) == found


@pytest.mark.parametrize("elapsed", [0, 1, 2])
def test_a_loading_dose_other_than_planned(elapsed):
    doses = daily(mg=lambda each: 1 if each == elapsed or each > 2 else 2)
    detail = f"day {elapsed + 1}: 1 mg for 2 mg"
    assert deviations(doses=doses) == [("loading-dose", elapsed, None, detail)]


def test_a_loading_day_without_record_is_not_assessable():
    doses = [each for each in daily() if each.day != date(2019, 1, 2)]
    told = not_assessable(doses=doses)
    assert told == [("loading-dose", "the dose of a loading day is not recorded by the day")]


# Dose changes


@pytest.mark.parametrize(
    ("reason", "explained"),
    [
        ("", False),
        (f"{day(40)}T07:30 | 5 | low", True),
        (f"{day(12)}T07:30 | 5 | low", True),
        (f"{day(11)}T07:30 | 5 | low", False),
        (f"{day(41)}T07:30 | 5 | low", False),
        (f"{day(40)}T07:30 | 16 | high", False),
        (f"{day(40)}T07:30 | 10 | inside", False),
    ],
)
def test_an_increase_is_explained_by_a_level_below_the_range_within_28_days(reason, explained):
    """2 mg prescribed from day 40; day 12 is 28 days before."""
    found = deviations(
        *levels(*filter(None, [reason])),
        *prescribed(f"{day(3)} | {day(39)} | 1", f"{day(40)} | - | 2"),
    )
    expected = ("dose-change-without-reason", 40, None, "1 mg to 2 mg")
    assert (expected in found) is not explained


@pytest.mark.parametrize(
    ("event", "explained"),
    [
        ("", False),
        (f"{day(20)} | | completed", True),
        (f"{day(11)} | | completed", False),
        (f"{day(5)} | dose-reduced | completed", True),
        (f"{day(20)} | | entered-in-error", False),
    ],
)
def test_a_reduction_is_explained_by_an_adverse_event(event, explained):
    events = read_events(f"onset | action | status \n {event}") if event else ()
    found = deviations(*events, *prescribed(f"{day(3)} | {day(39)} | 1", f"{day(40)} | - | 0.5"))
    expected = ("dose-change-without-reason", 40, None, "1 mg to 0.5 mg")
    assert (expected in found) is not explained


# Troughs


LOW = f"{day(61)}T07:30 | 5 | low"
HIGH = f"{day(61)}T07:30 | 16 | high"


def test_a_trough_outside_the_range_and_no_change_by_the_next_visit():
    """Drawn at month 2, held until month 4."""
    told = deviations(*levels(LOW))
    assert told == [("trough-without-action", 61, None, "5 ng/mL, below the range")]


@pytest.mark.parametrize(
    ("level", "begins", "daily_mg", "acted"),
    [
        (LOW, 61, 2, True),
        (LOW, 122, 2, True),
        (LOW, 123, 2, False),
        (LOW, 70, 0.5, False),
        (HIGH, 70, 0.5, True),
        (HIGH, 70, 2, False),
    ],
)
def test_a_change_against_the_trough_by_the_next_visit_is_an_action(level, begins, daily_mg, acted):
    found = deviations(
        *levels(level),
        *prescribed(f"{day(3)} | {day(begins - 1)} | 1", f"{day(begins)} | - | {daily_mg}"),
    )
    assert ("trough-without-action" in [each[0] for each in found]) is not acted


def test_a_trough_inside_the_range_asks_for_nothing():
    assert deviations(*levels(f"{day(61)}T07:30 | 6 | a", f"{day(122)}T07:30 | 15 | b")) == []


def test_a_trough_of_unknown_timing_or_after_the_last_visit_is_not_assessable():
    told = not_assessable(*levels(f"{day(61)} | 5 | a", f"{day(365)}T07:30 | 5 | b"))
    assert told == [
        ("trough-without-action", "no visit comes after"),
        ("trough-without-action", "outside the range, timing unknown"),
    ]


# Visits


def test_a_visit_recorded_as_missed():
    visits = "\n".join(line for line in VISITS.splitlines() if "M4" not in line)
    missed = read_attendances("visit | on | status \n M4 | 2019-05-03 | cancelled")
    assert deviations(*missed, visits=visits) == [
        ("visit-missed", None, "M4", "recorded as missed")
    ]


def test_a_visit_without_attendance_or_count_is_missed_once_its_window_is_over():
    """Participation ended on day 190: month 6 (up to day 197 in its tolerance) was not due."""
    ended = "subject | consent | on | status | ended"
    consent = read_consents(f"{ended} \n SSCI-001 | yes | 2018-12-20 | withdrawn | {day(190)}")
    visits = "visit | on \n M1 | 2019-01-31 \n M2 | 2019-03-03"
    assert deviations(consent=consent, visits=visits, doses=daily(190)) == [
        ("visit-missed", None, "M4", "neither attendance nor valid count in the window")
    ]
    assert (
        not_assessable(consent=consent, visits=visits, doses=daily(190))
        == [("visit-missed", "not due: participation ended before, or nothing later is known")] * 2
    )


@pytest.mark.parametrize(("ended", "missed"), [(196, ["M4"]), (197, ["M4", "M6"])])
def test_a_visit_was_due_if_participation_ended_after_its_tolerance(ended, missed):
    columns = "subject | consent | on | status | ended"
    consent = read_consents(f"{columns} \n SSCI-001 | yes | 2018-12-20 | withdrawn | {day(ended)}")
    visits = "visit | on \n M1 | 2019-01-31 \n M2 | 2019-03-03"
    told = deviations(consent=consent, visits=visits, doses=daily(190))
    assert [visit for _, _, visit, _ in told] == missed


@pytest.mark.parametrize(("last", "missed"), [(151, []), (152, ["M4"])])
def test_a_visit_is_missed_once_the_participant_is_seen_after_its_window(last, missed):
    """Month 4's window ends on day 152."""
    seen = read_doses(f"taken | mg | id \n {day(last)} | 1 | last")
    visits = "visit | on \n M1 | 2019-01-31 \n M2 | 2019-03-03"
    told = deviations(visits=visits, doses=(*daily(100), *seen))
    assert [visit for _, _, visit, _ in told] == missed


def test_a_valid_count_in_the_window_shows_that_the_participant_came():
    visits = (
        "visit | on \n M1 | 2019-01-31 \n M2 | 2019-03-03 \n M6 | 2019-07-03 \n M12 | 2020-01-01"
    )
    count = read_counts(f"collected | value \n {day(125)} | 50")
    assert deviations(*count, visits=visits) == []


@pytest.mark.parametrize(("on", "found"), [(108, False), (136, False), (107, True), (137, True)])
def test_a_visit_outside_its_tolerance_of_14_days(on, found):
    visits = VISITS.replace("2019-05-03", day(on))
    told = deviations(visits=visits)
    assert bool(told) is found
    if found:
        detail = "15 d from the target, 14 d allowed"
        assert told == [("visit-outside-tolerance", on, "M4", detail)]


# Figures


def test_participants_and_events_are_counted_by_severity():
    """001: overridden (major) and two visits out of tolerance (minor); 002: nothing recorded but
    consent."""
    two = read_consents(
        "subject | consent | on \n SSCI-001 | yes | 2018-12-20 \n SSCI-002 | yes | 2018-12-20"
    )
    visits = VISITS.replace("2019-05-03", day(140)).replace("2019-01-31", day(40))
    overridden = read_eligibility("subject | age \n SSCI-001 | overridden")
    whole = records(consent=two, eligibility=overridden, visits=visits)
    told = answer(ask("protocol-deviations", whole))
    shares = [(each["name"], each["n"], each["percent"]) for each in told["participants"]]
    assert shares == [("any", 1, 50.0), ("major", 1, 50.0), ("minor", 1, 50.0)]
    by_name = {each["name"]: each for each in told["deviations"]}
    outside = by_name["visit-outside-tolerance"]
    assert (outside["severity"], outside["events"], outside["participants"]["n"]) == ("minor", 2, 1)
    assert by_name["eligibility-not-met"]["notAssessable"] == {
        "n": 1,
        "byReason": {"eligibility not recorded": 1},
    }
    assert [each["outsideTolerance"] for each in told["visits"]] == [1, 0, 1, 0, 0]


def test_no_participant_gives_a_defined_answer():
    told = answer(ask("protocol-deviations", ()))
    assert told["participants"][0]["percent"] is None
    assert {each["events"] for each in told["deviations"]} == {0}


def test_the_order_of_records_changes_nothing():
    whole = records(*levels(LOW, f"{day(122)}T07:30 | 17 | high"))
    assert answer(ask("protocol-deviations", whole[::-1])) == answer(
        ask("protocol-deviations", whole)
    )


def test_all_that_was_looked_at_is_an_input():
    events = read_events(f"onset | id \n {day(20)} | rash")
    count = read_counts(f"collected | value | id \n {day(30)} | 50 | seen")
    whole = records(*levels(LOW), *events, *count, doses=daily(2))
    listed = answer(ask("protocol-deviations", whole))["inputs"]["listed"]
    assert [each["resource"] for each in listed] == [
        "ResearchSubject/SSCI-001",
        "QuestionnaireResponse/eligibility-0",
        *(f"MedicationAdministration/dose-{n}" for n in range(3)),
        "Observation/low",
        "AdverseEvent/rash",
        *(f"Encounter/visit-{n}" for n in range(5)),
        "Observation/seen",
    ]


# Populations


def per_protocol(*more, **changed):
    counts = read_counts(f"collected | value \n {day(183)} | 50")
    whole = records(*more, *counts, **changed)
    return answer(ask("protocol-deviations", whole, population="per-protocol"))["population"]


def test_the_eligible_are_those_with_every_criterion_as_wanted():
    two = read_consents("subject | consent \n SSCI-001 | yes \n SSCI-002 | yes \n SSCI-003 | yes")
    answers = read_eligibility("subject | age \n SSCI-001 | met \n SSCI-002 | overridden")
    told = answer(ask("protocol-deviations", (*two, *answers), population="eligible"))["population"]
    assert told["subjects"] == ["SSCI-001"]
    assert told["excluded"]["reasons"] == {
        "criterion age: overridden": 1,
        "eligibility not recorded": 1,
    }


def test_who_keeps_to_the_protocol_is_per_protocol():
    assert per_protocol()["n"] == 1


@pytest.mark.parametrize(("last", "member"), [(145, True), (144, False)])
def test_adherence_to_month_6_of_80_percent_is_enough(last, member):
    """To be taken on days 0-182: 6 + 180 = 186 mg; 80 % are 148.8. Day 145 makes 6 + 143 = 149."""
    told = per_protocol(doses=daily(last))
    assert told["n"] == member
    if not member:
        assert told["excluded"]["reasons"] == {"adherence to M6 below 80 %": 1}


def test_without_a_count_in_month_6s_window_nobody_is_per_protocol():
    told = answer(ask("protocol-deviations", records(), population="per-protocol"))["population"]
    assert told["excluded"]["reasons"] == {"no valid count in the window of M6": 1}


def test_a_major_deviation_takes_out_of_the_per_protocol_set_and_a_minor_one_does_not():
    overridden = per_protocol(eligibility=read_eligibility("age \n overridden"))
    assert overridden["excluded"]["reasons"] == {"major deviation: eligibility-overridden": 1}
    assert per_protocol(visits=VISITS.replace("2019-05-03", day(140)))["n"] == 1
