"""What must not change the platelet change: order of rows, a shift of dates; and what always holds.

Generated cohorts of up to four participants with arbitrary counts, valid or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from app.endpoints.analyses.answering import compute_answer
from app.endpoints.cohort.placing import UNPLACED
from app.endpoints.reading.records import (
    ClinicalTime,
    Dose,
    Measurement,
    Record,
    Source,
    Treatment,
)
from tests.endpoint_support import (
    PROTOCOL,
    answer,
    ask,
    build_time,
    enrol_all,
    hash_text,
    read_treatments,
    subject_answer,
)

START = datetime(2019, 1, 1, tzinfo=UTC)
SUBJECTS = st.sampled_from([f"SSCI-00{number}" for number in range(1, 5)])
R = TypeVar("R", bound=Record)


def moments(first: int, last: int) -> st.SearchStrategy[ClinicalTime]:
    hours = st.integers(first * 24, last * 24)
    return st.builds(
        lambda hour, precision: build_time(START + timedelta(hours=hour), precision),
        hours,
        st.sampled_from(("second", "second", "second", "day", "month")),
    )


COUNTS = st.builds(
    Measurement,
    subject=SUBJECTS,
    when=st.none() | moments(-40, 450),
    source=st.just(Source("Observation", "", 1)),
    key=st.just(0),
    kind=st.just("platelets"),
    code=st.just("777-3"),
    status=st.sampled_from(("final", "final", "corrected", "preliminary")),
    value=st.none() | st.decimals(0, 400, places=1),
    unit=st.sampled_from(("10*9/L", "10*9/L", "10*9/L", None)),
    comparator=st.sampled_from((None, None, None, "<")),
    data_absent_reason=st.sampled_from((None, None, None, "unknown")),
    analytic_suspect=st.sampled_from((False, False, True)),
    scale_suspect=st.booleans(),
)

DOSES = st.builds(
    Dose,
    subject=SUBJECTS,
    when=st.none() | moments(0, 3),
    source=st.just(Source("MedicationAdministration", "", 1)),
    key=st.just(0),
    status=st.sampled_from(("completed", "completed", "not-done")),
    amount=st.sampled_from((None, Decimal(0), Decimal(1), Decimal(2))),
    unit=st.just("mg"),
    origin=st.none(),
    total=st.none(),
)

(RESCUE,) = read_treatments("given \n 2019-01-01")
RESCUES = st.builds(
    lambda subject, when: replace(RESCUE, subject=subject, when=when), SUBJECTS, moments(-5, 400)
)


def numbered(rows: Sequence[R]) -> list[R]:
    named = (replace(row.source, id=str(number)) for number, row in enumerate(rows))
    told = [replace(row, source=source) for row, source in zip(rows, named, strict=True)]
    return [
        replace(row, key=hash_text(row.source.id)) if isinstance(row, Measurement | Dose) else row
        for row in told
    ]


RECORDS = st.builds(
    lambda counts, doses, rescues: (*numbered(counts), *numbered(doses), *numbered(rescues)),
    st.lists(COUNTS, max_size=25),
    st.lists(DOSES, max_size=8),
    st.lists(RESCUES, max_size=3),
)


def computed(records: Sequence[Record]) -> bytes:
    asked = ask("platelet-change", (*enrol_all(records), *records))
    return compute_answer(asked.request, asked.tables)


def told_of(records: Sequence[Record]) -> Any:
    return answer(ask("platelet-change", (*enrol_all(records), *records)))


def shifted(row: R, subject: str, days: int) -> R:
    if row.subject != subject or row.when is None:
        return row
    begin = row.when.begin + timedelta(days=days)
    return replace(row, when=build_time(begin, row.when.precision))


@given(RECORDS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_byte(records, random):
    other = list(records)
    random.shuffle(other)
    assert computed(other) == computed(records)


@given(RECORDS, SUBJECTS, st.integers(-400, 400))
def test_shifting_every_date_of_a_participant_changes_no_byte(records, subject, days):
    """But for what is known to the month only: it has no date that could be shifted by days."""
    dated = [row for row in records if row.when is None or row.when.has_date]
    other = [shifted(row, subject, days) for row in dated]
    assert computed(other) == computed(dated)


@given(RECORDS)
def test_everyone_is_either_in_the_figures_or_missing_with_a_reason(records):
    told = told_of(records)
    size = told["population"]["n"]
    for visit in told["visits"]:
        assert visit["n"] + visit["missing"]["n"] == size
        assert sum(visit["missing"]["reasons"].values()) == visit["missing"]["n"]
    assert told["baseline"]["n"] + told["baseline"]["missing"]["n"] == size
    assert sum(stratum["n"] for stratum in told["strata"]) == told["baseline"]["n"]


@given(RECORDS)
def test_every_count_stays_a_row_and_one_at_most_is_chosen_per_visit(records):
    asked = ask("platelet-change", (*enrol_all(records), *records), population="enrolled")
    rows = subject_answer(asked)["rows"]
    counts = [row for row in records if isinstance(row, Measurement)]
    assert sorted(row["resource"] for row in rows) == sorted(c.source.reference for c in counts)
    chosen = [(row["USUBJID"], row["AVISIT"]) for row in rows if row["ANL01FL"]]
    assert len(chosen) == len(set(chosen))
    assert all((row["notUsed"] is None) == (row["ANL01FL"] == "Y") for row in rows)
    assert not any(row["ANL01FL"] and row["AVAL"] is None for row in rows)


@given(RECORDS)
def test_no_usable_count_of_a_window_is_closer_to_its_target_than_the_chosen_one(records):
    cohort = ask("platelet-change", (*enrol_all(records), *records)).cohort
    counts = cohort.counts
    for row in range(len(cohort)):
        for position, visit in enumerate(PROTOCOL.visits):
            inside = (counts.subject == row) & (counts.visit == position) & counts.usable
            distances = abs(counts.elapsed[inside] - visit.target)
            chosen = cohort.visits[row, position]
            assert (chosen < 0) == (not inside.any())
            if chosen >= 0:
                assert abs(counts.elapsed[chosen] - visit.target) == distances.min()


@given(RECORDS)
def test_the_chosen_baseline_is_not_after_the_first_dose_nor_older_than_28_days(records):
    cohort = ask("platelet-change", (*enrol_all(records), *records)).cohort
    elapsed = cohort.counts.elapsed[cohort.baseline[cohort.baseline >= 0]]
    assert all(-28 <= each <= 0 and each != UNPLACED for each in elapsed.tolist())


@given(RECORDS)
def test_a_rescue_only_takes_counts_away(records):
    without = [row for row in records if not isinstance(row, Treatment)]
    for less, more in zip(told_of(records)["visits"], told_of(without)["visits"], strict=True):
        assert less["n"] <= more["n"]


def figures_of(told: Any) -> list[Any]:
    return [visit["change"] | visit["tests"] for visit in told["visits"]]


@given(RECORDS, st.integers(1, 400))
def test_adding_a_constant_to_every_count_leaves_the_changes(records, more):
    """Change is a difference: it does not see the level."""
    raised = [
        replace(row, value=row.value + more)
        if isinstance(row, Measurement) and row.value is not None
        else row
        for row in records
    ]
    assert figures_of(told_of(raised)) == figures_of(told_of(records))
