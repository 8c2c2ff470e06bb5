"""What must not change adverse events, grades and activity: order of rows, a shift of dates; and
what always holds. Generated cohorts of up to four participants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.endpoints.analyses.answering import compute_answer
from app.endpoints.reading.records import (
    ActivityScore,
    AdverseEvent,
    Dose,
    Measurement,
    Record,
    Source,
)
from tests.endpoint_support import (
    answer,
    ask,
    build_time,
    clinical_time,
    enrol_all,
    hash_text,
    read_counts,
    read_doses,
)

T0 = date(2019, 1, 1)
ENDPOINTS = ("adverse-events", "serious-adverse-events", "platelet-grade-shift", "ctd-activity")
SUBJECTS = st.sampled_from([f"SSCI-00{number}" for number in range(1, 5)])
DAYS = st.integers(-40, 450)

(DOSE,) = read_doses("taken | mg \n 2019-01-01 | 2")
(COUNT,) = read_counts("collected | value \n 2019-01-31 | 30")


def moment(elapsed: int | None) -> Any:
    return None if elapsed is None else clinical_time((T0 + timedelta(elapsed)).isoformat())


EVENTS = st.builds(
    AdverseEvent,
    subject=SUBJECTS,
    when=st.builds(moment, st.none() | DAYS),
    source=st.just(Source("AdverseEvent", "", 1)),
    status=st.sampled_from(("completed", "in-progress", "entered-in-error")),
    actuality=st.sampled_from(("actual", "actual", "potential")),
    term=st.sampled_from((None, "Anemia", "Sepsis")),
    serious=st.sampled_from((None, True, False)),
    seriousness_criteria=st.sampled_from(((), ("C83052",), ("C48275", "other"))),
    grade=st.none() | st.integers(1, 5),
    severity=st.sampled_from((None, "mild", "odd")),
    outcome=st.sampled_from((None, "fatal", "resolved")),
    causality=st.sampled_from((None, "related", "not-related")),
    expected=st.sampled_from((None, True, False)),
    recorded=st.none(),
    soc=st.sampled_from((None, "Blood")),
    grading=st.just("5.0"),
    action=st.sampled_from((None, "drug-withdrawn", "dose-reduced")),
    resolved=st.none(),
)
SCORES = st.builds(
    ActivityScore,
    subject=SUBJECTS,
    when=st.builds(moment, st.none() | DAYS),
    source=st.just(Source("Observation", "", 1)),
    kind=st.sampled_from(("SLEDAI-2K", "ESSDAI", "DAS28")),
    status=st.sampled_from(("final", "final", "preliminary")),
    value=st.none() | st.decimals(0, 20, places=0),
    platelet_item=st.sampled_from((None, Decimal(0), Decimal(1))),
    data_absent_reason=st.sampled_from((None, None, "not-performed")),
)
COUNTS = st.builds(
    lambda subject, day, value: replace(COUNT, subject=subject, when=moment(day), value=value),
    SUBJECTS,
    DAYS,
    st.decimals(0, 200, places=1),
)
DOSES = st.builds(
    lambda subject, day: replace(DOSE, subject=subject, when=moment(day)),
    SUBJECTS,
    st.integers(0, 60),
)


HOME_DOSES = st.builds(
    lambda subject, day, days, origin, amount, total, status: replace(
        DOSE,
        subject=subject,
        when=replace(moment(day), last_day=T0 + timedelta(day + days)),
        origin=origin,
        amount=None if origin == "pill-count" else amount,
        total=total if origin == "pill-count" else None,
        status=status,
    ),
    SUBJECTS,
    st.integers(-5, 60),
    st.integers(0, 40),
    st.sampled_from((None, "diary", "pill-count")),
    st.sampled_from((None, Decimal(0), Decimal(1))),
    st.sampled_from((None, Decimal(0), Decimal(28))),
    st.sampled_from(("completed", "completed", "not-done", "entered-in-error")),
)


def numbered(groups: Sequence[Sequence[Record]]) -> tuple[Record, ...]:
    rows = [row for group in groups for row in group]
    told = [replace(row, source=replace(row.source, id=str(at))) for at, row in enumerate(rows)]
    return tuple(
        replace(row, key=hash_text(row.source.id)) if isinstance(row, Dose | Measurement) else row
        for row in told
    )


RECORDS = st.builds(
    lambda *groups: numbered(groups),
    st.lists(EVENTS, max_size=8),
    st.lists(SCORES, max_size=10),
    st.lists(COUNTS, max_size=10),
    st.lists(DOSES, max_size=6),
)


def told_of(endpoint: str, records: Sequence[Record], form: str = "json") -> bytes:
    asked = ask(endpoint, (*enrol_all(records), *records))
    return compute_answer(replace(asked.request, format=form), asked.tables)


def shifted(row: Record, days: int) -> Record:
    if row.when is None:
        return row
    return replace(row, when=build_time(row.when.begin + timedelta(days), row.when.precision))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@given(records=RECORDS, seed=st.randoms())
@settings(max_examples=25, deadline=None)
def test_the_order_of_rows_changes_nothing(endpoint, records, seed):
    turned = list(records)
    seed.shuffle(turned)
    assert told_of(endpoint, turned) == told_of(endpoint, records)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@given(records=RECORDS, days=st.integers(-400, 400))
@settings(max_examples=25, deadline=None)
def test_shifting_the_dates_of_a_participant_changes_no_figure(endpoint, records, days):
    moved = [shifted(row, days) if row.subject == "SSCI-001" else row for row in records]
    assert told_of(endpoint, moved) == told_of(endpoint, records)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@given(records=RECORDS)
@settings(max_examples=25, deadline=None)
def test_every_answer_is_json_without_nan_and_has_a_table(endpoint, records):
    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(told_of(endpoint, records), parse_constant=refuse)
    assert told_of(endpoint, records, "csv").startswith(b"endpoint,")


@given(records=RECORDS)
@settings(max_examples=25, deadline=None)
def test_every_event_that_counts_stands_under_one_emergence_and_the_rest_aside(records):
    told = answer(ask("adverse-events", (*enrol_all(records), *records), population="enrolled"))
    counted = sum(each["events"] for each in told["emergence"]["by"])
    events = sum(isinstance(row, AdverseEvent) for row in records)
    assert counted + told["aside"]["n"] == events
    terms = [term for soc in told["treatmentEmergent"]["socs"] for term in soc["terms"]]
    assert sum(each["events"] for each in terms) == told["emergence"]["emergent"]


@given(doses=st.lists(HOME_DOSES, max_size=12), ended=st.none() | st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_the_last_day_with_a_dose_is_that_of_the_exposure(doses, ended):
    rows = numbered([doses])
    last = None if ended is None else T0 + timedelta(ended)
    enrolled = [replace(each, ended=last) for each in enrol_all(rows)]
    cohort = ask("exposure", (*enrolled, *rows)).cohort
    told = {place: dosing.last for place, dosing in enumerate(cohort.dosings) if dosing}
    assert cohort.last_doses == told
