"""Baseline characteristics of four participants, checked on paper; all dosed on 2019-01-01.

     age  sex     CTD   baseline  SLEDAI-2K  background at the first dose
001  20   female  SLE   20        8          prednisone 10 mg, hydroxychloroquine
002  30   female  SLE   40        4          prednisone 5 mg and dexamethasone worth 15 mg
003  40   male    pSS   60        –          none recorded (prednisone ended in December)
004  –    –       –     –         –          azathioprine
"""

from __future__ import annotations

import pytest

from app.endpoints.reading.records import Demographic, Diagnosis, Source
from tests.activity_support import read_scores
from tests.endpoint_support import (
    answer,
    ask,
    clinical_time,
    read_counts,
    read_doses,
    read_subjects,
    read_table,
    read_treatments,
    subject_answer,
)

SUBJECTS = read_subjects(
    """
    subject  | consent | age
    SSCI-001 | yes     | 20
    SSCI-002 | yes     | 30
    SSCI-003 | yes     | 40
    SSCI-004 | yes     |
    """
)
DOSES = read_doses(
    """
    subject  | taken      | mg
    SSCI-001 | 2019-01-01 | 2
    SSCI-002 | 2019-01-01 | 2
    SSCI-003 | 2019-01-01 | 2
    SSCI-004 | 2019-01-01 | 2
    """
)
COUNTS = read_counts(
    """
    subject  | collected  | value
    SSCI-001 | 2018-12-31 | 20
    SSCI-002 | 2018-12-31 | 40
    SSCI-003 | 2018-12-31 | 60
    """
)
TREATMENTS = read_treatments(
    """
    subject  | given      | last       | kind       | group                | drug       | prednisone
    SSCI-001 | 2018-06-01 | -          | background | steroid              | prednisone | 10
    SSCI-001 | 2018-01-01 | -          | background | hydroxychloroquine   | quinoline  |
    SSCI-002 | 2018-06-01 | 2019-01-01 | background | steroid              | prednisone | 5
    SSCI-002 | 2019-01-01 | 2019-01-05 | background | steroid              | dexametha  | 15
    SSCI-003 | 2018-06-01 | 2018-12-31 | background | steroid              | prednisone | 30
    SSCI-004 | 2018-06-01 | -          | background | immunosuppressant    | azathiopri |
    SSCI-002 | 2018-12-29 | 2018-12-29 | rescue     | platelet-transfusion |            |
    SSCI-003 | 2018-12-17 | 2018-12-17 | rescue     | ivig                 |            |
    SSCI-001 | 2018-12-27 | 2018-12-27 | rescue     | platelet-transfusion |            |
    """
)
SCORES = read_scores(
    """
    subject  | assessed   | kind      | value
    SSCI-001 | 2018-12-10 | SLEDAI-2K | 12
    SSCI-001 | 2018-12-31 | SLEDAI-2K | 8
    SSCI-001 | 2019-01-31 | SLEDAI-2K | 2
    SSCI-002 | 2019-01-01 | SLEDAI-2K | 4
    SSCI-003 | 2018-11-01 | SLEDAI-2K | 6
    """
)


def people(text):
    for row in read_table(text):
        number = row["subject"]
        if "gender" in row:
            source = Source("Patient", number, 1)
            yield Demographic(number, None, source, row["gender"], 1980)
        if "ctd" in row:
            source = Source("Condition", f"{number}-ctd", 1)
            onset = clinical_time("2010")
            yield Diagnosis(number, onset, source, row["ctd"], "active", "confirmed")


PEOPLE = tuple(
    people(
        """
        subject  | gender | ctd
        SSCI-001 | female | SLE
        SSCI-002 | female | SLE
        SSCI-003 | male   | pSS
        """
    )
)
RECORDS = (*SUBJECTS, *DOSES, *COUNTS, *TREATMENTS, *SCORES, *PEOPLE)


@pytest.fixture(scope="module")
def told():
    return answer(ask("baseline-characteristics", RECORDS))


def named(entries, name):
    return next(each for each in entries if each["name"] == name)


def summary(told, name):
    figures = named(told["continuous"], name)
    return figures["n"], figures["missing"], figures["mean"], figures["min"], figures["max"]


def levels(told, name):
    found = named(told["categorical"], name)
    return {each["level"]: (each["n"], each["percent"]) for each in found["levels"] if each["n"]}


def test_continuous_characteristics_are_summarised_and_the_missing_counted(told):
    """Ages 20, 30, 40: mean 30, SD 10. Baselines 20, 40, 60."""
    assert summary(told, "age") == (3, 1, 30.0, 20.0, 40.0)
    assert named(told["continuous"], "age")["sd"] == 10.0
    assert summary(told, "baseline platelet count") == (3, 1, 40.0, 20.0, 60.0)


def test_activity_is_the_last_score_before_the_first_dose_within_28_days(told):
    """001: 8 (of 12, 8 and the later 2), 002: 4 on the day; 003's is two months old."""
    assert summary(told, "SLEDAI-2K at baseline") == (2, 2, 6.0, 4.0, 8.0)


def test_the_steroid_dose_adds_up_what_is_in_force_on_the_day_of_the_first_dose(told):
    """10, 5 + 15, 0 and 0 mg: mean 7.5; of the two on steroids 15."""
    assert summary(told, "prednisone equivalent") == (4, 0, 7.5, 0.0, 20.0)
    assert summary(told, "prednisone equivalent of those on it")[:3] == (2, 2, 15.0)


def test_categorical_characteristics_are_percentages_of_those_known(told):
    """2 of 3 are 66.67 %."""
    assert levels(told, "sex") == {"female": (2, 66.66666667), "male": (1, 33.33333333)}
    assert levels(told, "connective tissue disease") == {
        "SLE": (2, 66.66666667),
        "pSS": (1, 33.33333333),
    }
    assert named(told["categorical"], "sex")["missing"] == 1
    assert levels(told, "baseline platelet count") == {
        "< 50": (2, 66.66666667),
        ">= 50": (1, 33.33333333),
    }


def test_every_disease_of_the_protocol_is_told_also_where_nobody_has_it(told):
    found = named(told["categorical"], "connective tissue disease")["levels"]
    assert [each["level"] for each in found][:3] == ["SLE", "pSS", "RA"]
    assert found[2] == {"level": "RA", "n": 0, "percent": 0.0, "reasons": {}}


def test_background_treatments_do_not_exclude_each_other(told):
    assert levels(told, "background treatment") == {
        "steroid": (2, 50.0),
        "hydroxychloroquine": (1, 25.0),
        "immunosuppressant": (1, 25.0),
        "none recorded": (1, 25.0),
    }


def test_a_baseline_count_soon_after_transfusion_or_immunoglobulin_is_flagged(told):
    """Counted on 31 December: transfusion 2 days before (002) but not 4 (001), IVIG 14 (003)."""
    assert told["baselineAfterTreatment"] == [
        {"name": "platelet-transfusion", "withinDays": 3, "n": 1},
        {"name": "ivig", "withinDays": 14, "n": 1},
    ]


def test_weight_is_told_as_not_recorded(told):
    assert told["notRecorded"] == ["weight", "height"]


def test_each_participant_and_each_record_that_was_not_used():
    whole = subject_answer(ask("baseline-characteristics", RECORDS))
    first = whole["subjects"][0]
    assert (first["AGE"], first["SEX"], first["CTD"], first["BASE"]) == (
        20.0,
        "female",
        "SLE",
        20.0,
    )
    assert first["activity"] == {"SLEDAI-2K": 8.0}
    reasons = [row["notUsed"] for row in whole["rows"] if row["USUBJID"] == "SSCI-001"]
    assert sorted(filter(None, reasons)) == [
        "another score is the last before the first dose",
        "not in the baseline's window",
    ]


def test_the_records_of_each_characteristic_are_inputs(told):
    mine = [each for each in told["inputs"]["listed"] if each["subject"] == "SSCI-002"]
    assert [each["usedAs"] for each in mine] == [
        "age",
        "sex",
        "connective tissue disease",
        "SLEDAI-2K",
        "background treatment",
        "background treatment",
        "baseline platelet count",
    ]


def test_no_participant_gives_a_defined_answer():
    told = answer(ask("baseline-characteristics", ()))
    assert told["n"] == 0
    assert named(told["continuous"], "age")["reasons"]["mean"] == "no values"
    sex = named(told["categorical"], "sex")["levels"][0]
    assert (sex["percent"], sex["reasons"]["percent"]) == (None, "nobody of whom it is known")


def test_the_order_of_records_changes_nothing(told):
    assert answer(ask("baseline-characteristics", RECORDS[::-1])) == told
