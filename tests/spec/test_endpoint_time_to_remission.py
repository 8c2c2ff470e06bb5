"""Time to complete remission over a cohort that can be checked on paper, and its edges.

Elapsed days from 2019-01-01: 2019-01-31 is 30, 2019-03-03 is 61, 2019-05-03 is 122, 2019-07-03
is 183, 2020-01-01 is 365.

         M1   M2   M4   M6  M12      REGISTRY (> 100)                    clear until
    001  40  120  115    –    –      remission on day 61                          30
    002  30    –  101  105    –      remission on day 122                         30
    003 100   90  150    –    –      rescue on day 78: at risk until day 425     425
    004  50   60  130    –    –      withdrawn on day 90: censored on day 61      61
    005   –    –    –    –    –      no count: censored on day 0                   0
    006  55    –    –   70    –      died on day 200: censored on day 183        183
    007  80  110   60  120  130      remission on day 61, lost later              30
    008  first dose known to the month only: not followed

    Day 61: 6 at risk, 2 remissions: S = 4/6.           Greenwood 2/(6*4) = 1/12
    Day 122: 3 at risk (002, 003, 006), 1 remission: S = 2/3 * 2/3 = 4/9.   + 1/(3*2) = 1/4
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import exp, log, sqrt

import pytest

from app.endpoints.analyses.answering import compute_answer
from app.endpoints.catalogue import CATALOGUE
from app.endpoints.reading.records import (
    ActivityScore,
    AdverseEvent,
    Bleeding,
    ClinicalTime,
    Measurement,
    Record,
    Source,
)
from tests.endpoint_support import (
    PROTOCOL,
    Asked,
    answer,
    ask,
    build_tables,
    clinical_time,
    enrol_all,
    read_counts,
    read_doses,
    read_subjects,
    read_table,
    read_treatments,
    subject_answer,
    visit_of,
)

REMISSION = "time-to-complete-remission"
CTD = "time-to-ctd-remission"

SUBJECTS = """
    subject  | consent | ended      | status    | reason
    SSCI-001 | yes     |            |           |
    SSCI-002 | yes     |            |           |
    SSCI-003 | yes     |            |           |
    SSCI-004 | yes     | 2019-04-01 | withdrawn | subject-decision
    SSCI-005 | yes     |            |           |
    SSCI-006 | yes     | 2019-07-20 | withdrawn | death
    SSCI-007 | yes     |            |           |
    SSCI-008 | yes     |            |           |
"""

DOSES = """
    subject  | taken            | mg
    SSCI-001 | 2019-01-01T08:00 | 2
    SSCI-002 | 2019-01-01T08:00 | 2
    SSCI-003 | 2019-01-01T08:00 | 2
    SSCI-004 | 2019-01-01T08:00 | 2
    SSCI-005 | 2019-01-01T08:00 | 2
    SSCI-006 | 2019-01-01T08:00 | 2
    SSCI-007 | 2019-01-01T08:00 | 2
    SSCI-008 | 2019-01          | 2
"""

COUNTS = """
    subject  | collected        | value | comparator
    SSCI-001 | 2019-01-31       | 40    |
    SSCI-001 | 2019-03-03       | 120   |
    SSCI-001 | 2019-05-03       | 115   |
    SSCI-002 | 2019-01-31       | 30    |
    SSCI-002 | 2019-05-03       | 101   |
    SSCI-002 | 2019-07-03       | 105   |
    SSCI-003 | 2019-01-31       | 100   |
    SSCI-003 | 2019-03-03       | 90    |
    SSCI-003 | 2019-05-03       | 150   |
    SSCI-004 | 2019-01-31       | 50    |
    SSCI-004 | 2019-03-03       | 60    |
    SSCI-004 | 2019-05-03       | 130   |
    SSCI-005 | 2018-12-31       | 25    |
    SSCI-005 | 2019-01-01T09:00 | 140   |
    SSCI-005 | 2019-03-03       | 1000  | >
    SSCI-006 | 2019-01-31       | 55    |
    SSCI-006 | 2019-07-03       | 70    |
    SSCI-007 | 2019-01-31       | 80    |
    SSCI-007 | 2019-03-03       | 110   |
    SSCI-007 | 2019-05-03       | 60    |
    SSCI-007 | 2019-07-03       | 120   |
    SSCI-007 | 2020-01-01       | 130   |
    SSCI-008 | 2019-03-03       | 160   |
"""

RESCUES = """
    subject  | given
    SSCI-003 | 2019-03-20
"""


def build_records() -> tuple[Record, ...]:
    return (
        *read_subjects(SUBJECTS),
        *read_doses(DOSES),
        *read_counts(COUNTS),
        *read_treatments(RESCUES),
    )


def read_bleeding(text: str) -> tuple[Bleeding, ...]:
    """Columns: subject, assessed, grade."""
    return tuple(
        Bleeding(
            subject=row["subject"],
            when=clinical_time(row["assessed"]),
            source=Source("Observation", f"bleeding-{number}", 1),
            status="final",
            assessed=True,
            grade=int(row["grade"]),
            sites=(),
        )
        for number, row in enumerate(read_table(text))
    )


def read_scores(text: str) -> tuple[ActivityScore, ...]:
    """Columns: subject, assessed, score, platelets, status, kind."""
    return tuple(
        ActivityScore(
            subject=row["subject"],
            when=clinical_time(row.get("assessed")),
            source=Source("Observation", f"score-{number}", 1),
            kind=row.get("kind", "SLEDAI-2K"),
            status=row.get("status", "final"),
            value=Decimal(row["score"]) if "score" in row else None,
            platelet_item=Decimal(row["platelets"]) if "platelets" in row else None,
            data_absent_reason=None,
        )
        for number, row in enumerate(read_table(text))
    )


def simple(counts: str, doses: str | None = None, *more: Record) -> Asked:
    """Everyone with a count enrolled, first dose on 2019-01-01 unless told."""
    found = read_counts(counts)
    numbers = sorted({row.subject for row in found})
    lines = [f"{number} | 2019-01-01 | 2" for number in numbers]
    taken = read_doses(doses or "\n".join(["subject | taken | mg", *lines]))
    return ask(REMISSION, (*enrol_all(found, taken), *found, *taken, *more))


@pytest.fixture(scope="module")
def cohort():
    return answer(ask(REMISSION, build_records()))


@pytest.fixture(scope="module")
def listing():
    return subject_answer(ask(REMISSION, build_records()))


def entry(listing, number):
    return next(each for each in listing["subjects"] if each["USUBJID"] == number)


def rows_of(listing, number):
    return [each for each in listing["rows"] if each["USUBJID"] == number]


def probabilities(figures):
    return [each["probability"] for each in figures["visits"]]


# The main analysis


def test_everyone_with_a_day_0_is_followed_and_the_rest_named_with_the_reason(cohort):
    assert (cohort["n"], cohort["events"], cohort["censored"]) == (7, 3, 4)
    assert cohort["excluded"] == {
        "n": 1,
        "reasons": {"date of the first dose not known to the day": 1},
        "subjects": [
            {"subject": "SSCI-008", "reason": "date of the first dose not known to the day"}
        ],
    }


def test_each_ending_is_counted(cohort):
    assert cohort["endings"] == {
        "remission": 3,
        "rescue treatment before remission: at risk to the administrative end": 1,
        "death: censored at the last count before it": 1,
        "end of participation: censored at the last count before it": 1,
        "no usable count after the day of the first dose: censored on that day": 1,
    }


def test_the_curve_is_the_one_worked_on_paper(cohort):
    told = [
        (each["time"], each["atRisk"], each["events"], each["censored"], each["survival"])
        for each in cohort["curve"]
    ]
    assert told == [
        (0, 7, 0, 1, 1),
        (61, 6, 2, 1, pytest.approx(4 / 6)),
        (122, 3, 1, 0, pytest.approx(4 / 9)),
        (183, 2, 0, 1, pytest.approx(4 / 9)),
        (425, 1, 0, 1, pytest.approx(4 / 9)),
    ]


def test_the_probability_of_remission_by_each_visit(cohort):
    assert probabilities(cohort) == pytest.approx([0, 1 / 3, 5 / 9, 5 / 9, 5 / 9])


def test_limits_are_log_log_with_greenwoods_error(cohort):
    """Month 4: S = 4/9, se = 4/9 * sqrt(1/4); ln(-ln S) ± 1.96 * sqrt(1/4) / -ln S."""
    month_4 = visit_of(cohort, "M4")
    spread = exp(1.959963985 * sqrt(1 / 4) / -log(4 / 9))
    assert month_4["standardError"] == pytest.approx(4 / 9 / 2)
    assert month_4["ciLow"] == pytest.approx(1 - (4 / 9) ** (1 / spread))
    assert month_4["ciHigh"] == pytest.approx(1 - (4 / 9) ** spread)
    assert "log-log" in cohort["methods"]["limits"]


def test_before_the_first_remission_there_are_no_limits(cohort):
    month_1 = visit_of(cohort, "M1")
    assert (month_1["probability"], month_1["ciLow"], month_1["ciHigh"]) == (0, None, None)
    assert set(month_1["reasons"]) == {"ciLow", "ciHigh"}


def test_quartiles_of_the_time(cohort):
    told = {each["name"]: each["estimate"] for each in cohort["quartiles"]}
    assert told == {"q1": 61, "median": 122, "q3": None}


def test_the_risk_table_stands_at_the_first_dose_and_the_visits(cohort):
    told = [
        (each["visit"], each["day"], each["atRisk"], each["events"], each["censored"])
        for each in cohort["riskTable"]
    ]
    assert told == [
        ("BL", 0, 7, 0, 1),
        ("M1", 30, 6, 0, 1),
        ("M2", 61, 6, 2, 2),
        ("M4", 122, 3, 3, 2),
        ("M6", 183, 2, 3, 3),
        ("M12", 365, 1, 3, 3),
    ]


def test_the_mean_time_without_remission_up_to_a_year(cohort):
    """61 * 1 + 61 * 2/3 + (365 - 122) * 4/9 = 61 + 40.667 + 108."""
    assert cohort["restrictedMean"]["horizon"] == 365
    assert cohort["restrictedMean"]["estimate"] == pytest.approx(61 + 61 * 2 / 3 + 243 * 4 / 9)


def test_counts_that_are_not_looked_at_are_counted(cohort):
    """Not looked at: 005 before and on the day of the first dose, its bound, 004's last, 008's."""
    assert cohort["counts"] == {
        "total": 23,
        "lookedAt": 18,
        "afterRescue": 1,
        "unusable": {"a bound, not a number (comparator)": 1},
    }


# Rescue, death and intervals


def test_rescue_keeps_a_participant_at_risk_to_the_administrative_end(listing):
    told = entry(listing, "SSCI-003")
    assert (told["AVAL"], told["CNSR"], told["rescue"]["version"]) == (425, 1, 1)
    assert rows_of(listing, "SSCI-003")[-1]["notUsed"] == "after rescue treatment"


def test_rescue_after_remission_changes_nothing():
    counts = "subject | collected | value\nSSCI-001 | 2019-01-31 | 140"
    rescue = read_treatments("subject | given\nSSCI-001 | 2019-02-10")
    told = answer(simple(counts, None, *rescue))
    assert told["endings"] == {"remission": 1}
    assert probabilities(told["sensitivity"]["censoredAtRescue"])[0] == 1
    assert told["intercurrentEvents"]["rescue"]["participants"] == 0


def test_censoring_at_rescue_takes_the_participant_out_on_that_day(cohort):
    """003 leaves on day 78: at day 122 two are at risk: S = 2/3 * 1/2 = 1/3."""
    told = cohort["sensitivity"]["censoredAtRescue"]
    assert probabilities(told) == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, None], nan_ok=True)


def test_treatment_policy_uses_the_count_after_rescue(cohort):
    """003 remits on day 122 too: S = 2/3 * 1/3 = 2/9."""
    told = cohort["sensitivity"]["treatmentPolicy"]
    assert told["events"] == 4
    assert probabilities(told)[2] == pytest.approx(7 / 9)


def test_a_participant_with_a_count_after_the_administrative_end_stays_until_that_count():
    counts = """
        subject  | collected  | value
        SSCI-001 | 2019-01-31 | 40
        SSCI-001 | 2020-04-14 | 60
    """
    rescue = read_treatments("subject | given\nSSCI-001 | 2019-02-10")
    told = subject_answer(simple(counts, None, *rescue))
    assert entry(told, "SSCI-001")["AVAL"] == 469


def test_death_competes_in_its_sensitivity_analysis(cohort):
    """006 dies on day 200, when it and 003 are left: 4/9 * 1/2 = 2/9."""
    told = cohort["sensitivity"]["deathCompeting"]
    assert (told["n"], told["events"], told["deaths"]) == (7, 3, 1)
    month_12 = visit_of(told, "M12")
    assert month_12["probability"] == pytest.approx(5 / 9)
    assert month_12["competing"] == pytest.approx(2 / 9)


def test_a_fatal_adverse_event_is_a_death_on_its_last_day():
    counts = "subject | collected | value\nSSCI-001 | 2019-01-31 | 40"
    fatal = build_fatal(resolved="2019-02-20")
    told = answer(simple(counts, None, fatal))
    assert told["sensitivity"]["deathCompeting"]["deaths"] == 1
    assert told["endings"] == {"death: censored at the last count before it": 1}
    mistaken = replace(fatal, status="entered-in-error")
    assert answer(simple(counts, None, mistaken))["sensitivity"]["deathCompeting"]["deaths"] == 0


def build_fatal(resolved: str) -> AdverseEvent:
    last = clinical_time(resolved)
    return AdverseEvent(
        subject="SSCI-001",
        when=clinical_time("2019-02-10"),
        source=Source("AdverseEvent", "fatal", 1),
        status="completed",
        actuality="actual",
        term="Sepsis",
        serious=True,
        seriousness_criteria=("death",),
        grade=5,
        severity="severe",
        outcome="fatal",
        causality=None,
        expected=None,
        recorded=None,
        soc=None,
        grading=None,
        action=None,
        resolved=last.day if last else None,
    )


def test_remission_lies_between_two_counts(listing):
    told = {
        each["USUBJID"]: (each["intervalLeft"], each["intervalRight"])
        for each in listing["subjects"]
    }
    assert told == {
        "SSCI-001": (30, 61),
        "SSCI-002": (30, 122),
        "SSCI-003": (425, None),
        "SSCI-004": (61, None),
        "SSCI-005": (0, None),
        "SSCI-006": (183, None),
        "SSCI-007": (30, 61),
        "SSCI-008": (None, None),
    }


def test_the_interval_censored_estimate_by_hand(cohort):
    """Innermost: (30, 61] a, (61, 122] b, (425, …) c. The likelihood a² (a + b)(b + c) c² is
    greatest at a = c = 1/2: there a unit moved to b would win 2 + 2 of the 6 that it loses."""
    told = cohort["sensitivity"]["intervalCensored"]
    assert [(each["left"], each["right"], each["mass"]) for each in told["masses"]] == [
        (30, 61, 0.5),
        (425, None, 0.5),
    ]
    assert told["median"] == {"low": 30, "high": 61, "reasons": {}}
    month_1, month_2 = told["visits"][:2]
    assert (month_1["probabilityLow"], month_1["probabilityHigh"]) == (0, 0)
    assert (month_2["probabilityLow"], month_2["probabilityHigh"]) == (0.5, 0.5)


# Rules


def test_iwg_takes_100_and_asks_for_confirmation():
    """003's 100 on day 30 is not confirmed (90 follows); 007's 110 is not (60 follows), its 120 on
    day 183 is, by 130 on day 365."""
    told = subject_answer(ask(REMISSION, build_records(), rule="IWG-2009"))
    times = {each["USUBJID"]: each["AVAL"] for each in told["subjects"] if each["CNSR"] == 0}
    assert times == {"SSCI-001": 61, "SSCI-002": 122, "SSCI-007": 183}
    used = [each["usedAs"] for each in rows_of(told, "SSCI-007")]
    assert used == [
        "no remission yet",
        "remission, not confirmed",
        "no remission yet",
        "remission",
        "confirms the remission",
    ]


def test_a_remission_is_confirmed_after_seven_days_not_six():
    counts = """
        subject  | collected  | value
        SSCI-001 | 2019-01-31 | 120
        SSCI-001 | 2019-02-06 | 120
        SSCI-002 | 2019-01-31 | 120
        SSCI-002 | 2019-02-07 | 120
    """
    asked = simple(counts)
    asked = replace(asked, request=replace(asked.request, parameters={"rule": "IWG-2009"}))
    told = subject_answer(asked)
    assert [each["CNSR"] for each in told["subjects"]] == [1, 0]
    assert rows_of(told, "SSCI-002")[1]["usedAs"] == "confirms the remission"


def test_counts_after_the_confirming_one_are_not_needed():
    counts = """
        subject  | collected  | value
        SSCI-001 | 2019-01-31 | 120
        SSCI-001 | 2019-02-07 | 120
        SSCI-001 | 2019-03-03 | 120
    """
    asked = simple(counts)
    asked = replace(asked, request=replace(asked.request, parameters={"rule": "IWG-2009"}))
    assert rows_of(subject_answer(asked), "SSCI-001")[2]["notUsed"] == "after the first remission"


def test_bleeding_keeps_a_count_from_being_a_remission_where_the_rule_says_so():
    bleeding = read_bleeding("""
        subject  | assessed   | grade
        SSCI-001 | 2019-03-04 | 2
        SSCI-001 | 2019-05-03 | 0
        SSCI-002 | 2019-05-03 | 0
    """)
    told = {
        rule: subject_answer(ask(REMISSION, (*build_records(), *bleeding), rule=rule))
        for rule in ("REGISTRY", "IWG-2009")
    }
    assert entry(told["REGISTRY"], "SSCI-001")["AVAL"] == 61
    assert entry(told["IWG-2009"], "SSCI-001")["CNSR"] == 1
    assert entry(told["IWG-2009"], "SSCI-002")["AVAL"] == 122


def test_remissions_whose_bleeding_was_not_assessed_are_counted(cohort):
    told = answer(ask(REMISSION, build_records(), rule="IWG-2009"))
    assert told["rule"]["remissionsWithBleedingNotAssessed"] == 3
    assert cohort["rule"]["remissionsWithBleedingNotAssessed"] is None


def test_a_rule_of_one_visit_gives_no_time():
    (rule,) = CATALOGUE[REMISSION].parameters
    assert rule.choices(PROTOCOL) == ("REGISTRY", "IWG-2009")


# Listing and inputs


def test_every_count_says_what_it_was_for_or_why_not(listing):
    told = {
        number: [each["usedAs"] or each["notUsed"] for each in rows_of(listing, number)]
        for number in ("SSCI-002", "SSCI-004", "SSCI-005", "SSCI-008")
    }
    assert told == {
        "SSCI-002": ["no remission yet", "remission", "after the first remission"],
        "SSCI-004": ["no remission yet", "no remission yet", "after the last day on study"],
        "SSCI-005": [
            "not after the day of the first dose",
            "not after the day of the first dose",
            "a bound, not a number (comparator)",
        ],
        "SSCI-008": ["the participant has no day 0"],
    }


def test_a_participant_who_is_not_followed_stands_there_with_the_reason(listing):
    told = entry(listing, "SSCI-008")
    assert (told["AVAL"], told["reason"]) == (None, "date of the first dose not known to the day")


def test_the_event_is_told_with_adams_names_and_its_source(listing):
    told = entry(listing, "SSCI-002")
    assert (told["STARTDT"], told["ADT"], told["AVAL"]) == ("2019-01-01", "2019-05-03", 122)
    assert (told["EVNTDESC"], told["CNSDTDSC"]) == ("remission", None)
    assert told["deciding"]["resource"] == "Observation/count-4"


def test_inputs_are_the_versions_that_the_figures_rest_on(cohort):
    used = [
        (each["usedAs"], each["resource"])
        for each in cohort["inputs"]["listed"]
        if each["subject"] == "SSCI-003"
    ]
    assert used == [
        ("first dose", "MedicationAdministration/dose-2"),
        ("rescue", "MedicationAdministration/treated-0"),
        ("no remission yet", "Observation/count-6"),
        ("no remission yet", "Observation/count-7"),
    ]


# Edges


def test_no_participant_gives_null_with_reasons():
    told = answer(ask(REMISSION, read_subjects("subject | consent\nSSCI-001 | yes")))
    assert (told["n"], told["events"], told["curve"]) == (0, 0, [])
    assert told["quartiles"][1]["reasons"]["estimate"] == "no participants"
    assert visit_of(told, "M6")["probability"] is None
    assert told["sensitivity"]["intervalCensored"]["reasons"]["masses"] == "no participants"


def test_zero_events_leave_the_curve_at_zero():
    told = answer(simple("subject | collected | value\nSSCI-001 | 2020-01-01 | 40"))
    assert probabilities(told) == [0, 0, 0, 0, 0]
    assert told["quartiles"][1]["estimate"] is None


def test_everyone_in_remission_on_day_1():
    counts = """
        subject  | collected  | value
        SSCI-001 | 2019-01-02 | 140
        SSCI-002 | 2019-01-02 | 140
        SSCI-003 | 2019-01-02 | 140
    """
    told = answer(simple(counts))
    assert probabilities(told) == [1, 1, 1, 1, 1]
    assert [each["estimate"] for each in told["quartiles"]] == [1, 1, 1]
    assert "survival of 0" in visit_of(told, "M1")["reasons"]["ciLow"]


def test_a_remission_and_a_lower_count_on_one_day_are_looked_at_in_order_of_time():
    """Clear until an earlier day than that of the remission, never until the same."""
    counts = """
        subject  | collected        | value
        SSCI-001 | 2019-01-31T08:00 | 90
        SSCI-001 | 2019-01-31T16:00 | 120
    """
    (told,) = subject_answer(simple(counts))["subjects"]
    assert (told["intervalLeft"], told["intervalRight"], told["AVAL"]) == (0, 30, 30)


def test_the_order_of_rows_changes_nothing(cohort):
    assert answer(ask(REMISSION, build_records()[::-1])) == cohort


def test_shifting_all_dates_of_a_participant_changes_no_figure(cohort):
    records = [_shift(each) if each.subject == "SSCI-002" else each for each in build_records()]
    told = answer(ask(REMISSION, records))
    for name in ("curve", "riskTable", "quartiles", "sensitivity"):
        assert told[name] == cohort[name]


def _shift(record: Record) -> Record:
    when, by = record.when, timedelta(days=100)
    if when is None or when.day is None:
        return record
    last = when.last_day + by if when.last_day else None
    return replace(record, when=ClinicalTime(when.begin + by, when.precision, when.day + by, last))


def test_beyond_a_thousand_participants_no_one_is_named():
    asked = ask(REMISSION, build_records())
    unlisted = build_tables(asked.records, listed=False)
    assert b"SSCI-0" not in compute_answer(asked.request, unlisted)


def test_subgroups_are_followed_alone():
    asked = ask(REMISSION, (*build_records(), *read_baselines()))
    request = replace(asked.request, subgroup="baseline")
    told = answer(replace(asked, request=request))["subgroups"]
    assert [(each["level"], each["figures"]["n"], each["figures"]["events"]) for each in told] == [
        ("< 50", 2, 1),
        (">= 50", 1, 1),
        ("not known", 4, 1),
    ]


def read_baselines() -> tuple[Measurement, ...]:
    return read_counts("""
        subject  | collected  | value | id
        SSCI-001 | 2018-12-31 | 20    | base-1
        SSCI-002 | 2018-12-31 | 60    | base-2
    """)


# Remission of the connective tissue disease

SCORES = """
    subject  | assessed   | score | platelets | kind      | status
    SSCI-001 | 2018-12-31 | 8     | 1         |           |
    SSCI-001 | 2019-03-03 | 1     | 1         |           |
    SSCI-001 | 2019-05-03 | 0     | 0         |           |
    SSCI-002 | 2018-12-31 | 6     | 1         |           |
    SSCI-002 | 2019-03-03 | 2     | 0         |           |
    SSCI-003 | 2018-12-31 | 6     | 1         |           |
    SSCI-003 | 2019-05-03 | 0     | 0         |           |
    SSCI-004 | 2019-03-03 | 0     |           | ESSDAI    |
    SSCI-006 | 2019-03-03 | 0     | 0         |           | entered-in-error
"""


@pytest.fixture(scope="module")
def ctd():
    return ask(CTD, (*build_records(), *read_scores(SCORES)))


def test_only_participants_with_the_instrument_are_followed(ctd):
    told = answer(ctd)
    assert (told["instrument"], told["threshold"]) == ("SLEDAI-2K", 0)
    assert (told["n"], told["events"]) == (3, 1)
    assert told["excluded"]["reasons"] == {
        "no usable SLEDAI-2K score": 4,
        "date of the first dose not known to the day": 1,
    }


def test_a_score_of_0_after_rescue_is_no_remission(ctd):
    told = subject_answer(ctd)
    assert [entry(told, f"SSCI-00{n}")["AVAL"] for n in (1, 2, 3)] == [122, 61, 425]
    assert [each["usedAs"] or each["notUsed"] for each in told["rows"]] == [
        *("not after the day of the first dose", "no remission yet", "remission"),
        *("not after the day of the first dose", "no remission yet"),
        *("not after the day of the first dose", "after rescue treatment"),
        "status is not final",
    ]


def test_without_the_platelet_item_a_score_of_1_can_be_a_remission(ctd):
    """001: 1 - 1 = 0 on day 61, with three at risk: 1/3."""
    told = answer(ctd)["sensitivity"]["withoutPlateletItem"]
    assert visit_of(told, "M2")["probability"] == pytest.approx(1 / 3)
    assert visit_of(answer(ctd), "M2")["probability"] == 0


def test_no_score_at_all_is_an_answer_too():
    told = answer(ask(CTD, build_records()))
    assert (told["n"], told["scores"]["total"]) == (0, 0)


# The plot


@pytest.mark.parametrize("form", ["svg", "png"])
@pytest.mark.parametrize("subgroup", [None, "baseline"])
def test_the_plot_is_the_same_to_the_byte(form, subgroup):
    first, second = (draw(REMISSION, build_records(), form, subgroup) for _ in range(2))
    assert first == second
    assert first.startswith(b"\x89PNG" if form == "png" else b"<?xml")
    assert b"Matplotlib" not in first


@pytest.mark.parametrize("endpoint", [REMISSION, CTD])
def test_a_plot_of_no_one_is_drawn_too(endpoint):
    records = read_subjects("subject | consent\nSSCI-001 | yes")
    assert "No participant of this population can be followed" in written(endpoint, records)


def test_the_caption_says_of_how_many_and_as_of_when():
    told = written(REMISSION, build_records())
    assert "n = 7 · Efficacy set · data cut 2030-01-01" in told
    assert "complete remission (REGISTRY), 3; censored: 4" in told


def test_the_plot_tells_the_median_and_the_numbers_at_risk():
    told = written(REMISSION, build_records())
    assert "median 122 d (95 % CI" in told
    assert all(f"<!-- {text} -->" in told for text in ("At risk", "Remissions", "Censored"))


def written(endpoint, records):
    """The texts of the SVG, which stand in comments beside their outlines."""
    return draw(endpoint, records, "svg").decode()


def draw(endpoint, records, form, subgroup=None):
    asked = ask(endpoint, records, view="plot:kaplan-meier")
    request = replace(asked.request, format=form, subgroup=subgroup)
    return compute_answer(request, asked.tables)
