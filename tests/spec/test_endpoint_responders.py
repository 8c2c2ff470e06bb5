"""Aim 3: who responds. Published: Rheumatology 2021;60(6):2629-34, SLE 10 of 14, others 2 of 6."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from app.endpoints.reading.records import (
    ActivityScore,
    Demographic,
    Diagnosis,
    Record,
    Source,
    Subject,
)
from tests.endpoint_support import (
    ask,
    clinical_time,
    read_table,
    read_treatments,
    subject_answer,
    whole_answer,
)
from tests.response_support import day, read_courses, repeat_courses


def read_diagnoses(text: str) -> list[Record]:
    """Columns: subject, code, verification."""
    return [
        Diagnosis(
            row["subject"],
            None,
            Source("Condition", f"diagnosis-{number}", 1),
            row["code"],
            "active",
            row.get("verification", "confirmed"),
        )
        for number, row in enumerate(read_table(text))
    ]


def read_sexes(text: str) -> list[Record]:
    rows = read_table(text)
    return [
        Demographic(row["subject"], None, Source("Patient", row["subject"], 1), row["sex"], 1980)
        for row in rows
    ]


def read_scores(text: str) -> list[Record]:
    """Columns: subject, on (days after the first dose), value, status."""
    return [
        ActivityScore(
            row["subject"],
            clinical_time(day(int(row["on"]))),
            Source("Observation", f"score-{number}", 1),
            "SLEDAI-2K",
            row.get("status", "final"),
            Decimal(row["value"]),
            None,
            None,
        )
        for number, row in enumerate(read_table(text))
    ]


def figures(records: Any, **asked: str) -> Any:
    return whole_answer(ask("responders", records, **asked))["figures"]


def characteristic(told: Any, name: str) -> Any:
    return next(each for each in told["characteristics"] if each["name"] == name)


def levels(told: Any, name: str) -> dict[str, tuple[int, int]]:
    found = characteristic(told, name)["levels"]
    return {each["level"]: (each["responders"], each["nonResponders"]) for each in found}


def published() -> list[Record]:
    """001-010 SLE responders, 011-012 others who respond, 013-016 SLE, 017-020 others."""
    records = list(repeat_courses([(12, "20 | 120"), (8, "20 | 30")], "base | M6"))
    codes = ["SLE"] * 10 + ["RA", "MCTD"] + ["SLE"] * 4 + ["pSS"] * 4
    rows = [f"SSCI-{number:03} | {code}" for number, code in enumerate(codes, start=1)]
    return [*records, *read_diagnoses("subject | code\n" + "\n".join(rows))]


def test_responders_of_the_published_cohort_by_disease():
    """Fisher, SLE against others: 20293 / 125970 = 0.1611 (arithmetic in the unit test)."""
    told = figures(published())
    assert (told["responders"]["n"], told["responders"]["of"]) == (12, 20)
    assert levels(told, "ctd: SLE") == {"SLE": (10, 4), "not SLE": (2, 4)}
    found = characteristic(told, "ctd: SLE")
    assert found["test"]["p"] == pytest.approx(20293 / 125970)
    assert (found["oddsRatio"]["of"], found["oddsRatio"]["against"]) == ("SLE", "not SLE")
    assert found["oddsRatio"]["ciLow"] < 1 < found["oddsRatio"]["estimate"]
    first = found["levels"][0]["response"]
    assert (round(first["ciLow"], 2), round(first["ciHigh"], 2)) == (41.90, 91.61)


def test_all_diseases_at_once_and_no_odds_ratio_of_more_than_two():
    told = figures(published())
    assert levels(told, "ctd") == {"MCTD": (1, 0), "RA": (1, 0), "SLE": (10, 4), "pSS": (0, 4)}
    assert characteristic(told, "ctd")["oddsRatio"] is None
    assert 0 < characteristic(told, "ctd")["test"]["p"] < 0.05


def test_the_answer_warns_that_the_participants_are_few():
    caution = figures(published())["caution"]
    assert caution.startswith("12 responders and 8 non-responders: few participants")
    assert "not adjusted" in caution


def test_unknown_levels_stand_apart_and_are_not_tested():
    records = [*repeat_courses([(2, "20 | 120"), (2, "20 | 30")], "base | M6")]
    records += read_sexes("subject | sex \n SSCI-001|female \n SSCI-002|female \n SSCI-003|male")
    found = characteristic(figures(records), "sex")
    assert [each["level"] for each in found["levels"]] == ["female", "male", "not known"]
    assert [each["inTest"] for each in found["levels"]] == [True, True, False]
    assert found["test"]["p"] == pytest.approx(1 / 3)


def test_baseline_counts_by_stratum_and_as_numbers():
    """Responders 10, 20, 30; non-responders 40, 60: all 10 divisions, the observed and its mirror
    image lie furthest: P = 2/10. U = 0."""
    text = """
        subject  | base | M6
        SSCI-001 | 10   | 120
        SSCI-002 | 20   | 120
        SSCI-003 | 30   | 120
        SSCI-004 | 40   | 41
        SSCI-005 | 60   | 61
    """
    told = figures(read_courses(text))
    assert levels(told, "baseline") == {"< 50": (3, 1), ">= 50": (0, 1)}
    found = characteristic(told, "baseline (10*9/L)")
    assert (found["test"]["u"], found["test"]["p"]) == (0, 0.2)
    assert found["responders"]["median"] == 20
    assert found["nonResponders"]["median"] == 50


def test_age_at_consent_by_the_protocols_cut_and_as_a_number():
    records = [
        replace(each, age_at_consent=age)
        if isinstance(each, Subject) and (age := 39 + int(each.subject[-3:])) < 42
        else each
        for each in repeat_courses([(2, "20 | 120"), (1, "20 | 30")], "base | M6")
    ]
    records = [
        replace(each, age_at_consent=each.age_at_consent - 1)
        if isinstance(each, Subject) and each.age_at_consent
        else each
        for each in records
    ]
    told = figures(records)
    assert levels(told, "age") == {"< 40": (1, 0), ">= 40": (1, 0), "not known": (0, 1)}
    assert characteristic(told, "age (a)")["notKnown"] == 1


def test_activity_is_the_last_valid_score_up_to_the_first_dose():
    records = [*repeat_courses([(1, "20 | 120"), (1, "20 | 30")], "base | M6")]
    records += read_scores("""
        subject  | on  | value | status
        SSCI-001 | -20 | 12    | final
        SSCI-001 | -3  | 5     | final
        SSCI-001 | 0   | 6     | preliminary
        SSCI-001 | 1   | 7     | final
        SSCI-002 | 0   | 6     | final
    """)
    told = figures(records)
    assert levels(told, "activity") == {"SLEDAI-2K < 6": (1, 0), "SLEDAI-2K >= 6": (0, 1)}
    found = characteristic(told, "activity: SLEDAI-2K (1)")
    assert (found["responders"]["median"], found["nonResponders"]["median"]) == (5, 6)


def test_background_treatment_is_what_was_being_taken_at_the_first_dose():
    records = [*repeat_courses([(3, "20 | 120"), (1, "20 | 30")], "base | M6")]
    head = "subject | given | last | kind | group | status | prednisone"
    rows = (
        f"SSCI-001 | {day(-90)} | - | background | steroid | active | 10",
        f"SSCI-002 | {day(-90)} | {day(-1)} | background | steroid | completed | 20",
        f"SSCI-003 | {day(1)} | - | background | steroid | active | 30",
        f"SSCI-004 | {day(-90)} | - | background | steroid | not-taken | 40",
    )
    told = figures([*records, *read_treatments("\n".join((head, *rows)))])
    assert levels(told, "background: steroid") == {"yes": (1, 0), "none recorded": (2, 1)}
    found = characteristic(told, "background: prednisone equivalent (mg/d)")
    assert (found["responders"]["max"], found["nonResponders"]["max"]) == (10, 0)


def test_a_missing_count_is_a_non_responder_and_out_of_the_observed_cases():
    told = figures(repeat_courses([(2, "20 | 120"), (1, "20 | 30"), (1, "20 | ")], "base | M6"))
    assert (told["responders"]["n"], told["responders"]["of"]) == (2, 4)
    observed = told["sensitivity"]["observedCases"]
    assert (observed["responders"]["n"], observed["responders"]["of"]) == (2, 3)


def test_another_rule_decides_at_another_visit():
    records = read_courses("subject | base | M1 | M6 \n SSCI-001 | 20 | 120 | 30")
    assert figures(records, rule="REGISTRY", visit="M1")["responders"]["n"] == 1
    assert figures(records, rule="REGISTRY")["visit"] == "M6"
    told = figures(records, visit="M1")
    assert (told["visit"], told["visitReason"]) == ("M6", "the rule PAPER looks at M6 only")


def test_of_two_diagnoses_the_confirmed_one_counts():
    records = [*read_courses("subject | base | M6 \n SSCI-001 | 20 | 120")]
    records += read_diagnoses("""
        subject  | code | verification
        SSCI-001 | SLE  | provisional
        SSCI-001 | RA   | confirmed
        SSCI-001 | DM   | refuted
    """)
    assert levels(figures(records), "ctd") == {"RA": (1, 0)}
    rows = subject_answer(ask("responders", records))["rows"]
    told = {each["AVALC"]: each["notUsed"] for each in rows if each["PARAMCD"] == "DIAGNOSIS"}
    assert told == {
        "DM": "another one was chosen",
        "RA": None,
        "SLE": "another one was chosen",
    }


def test_characteristics_are_told_for_each_participant():
    (subject, *_) = subject_answer(ask("responders", published()))["subjects"]
    assert subject["characteristics"]["ctd"] == "SLE"
    assert subject["characteristics"]["baseline"] == "< 50"
    assert subject["characteristics"]["sex"] == "not known"
