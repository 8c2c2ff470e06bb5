"""What must not change the platelet change: order of rows, a shift of dates; and what always holds.

Generated cohorts of up to four participants with arbitrary counts, valid or not.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from app.endpoints.derivation import compute_participants
from app.endpoints.model import ClinicalTime, Dose, Measurement, Rows, Source
from app.endpoints.platelet_change import compute_platelet_change
from tests.endpoint_support import RULES, ZONE, answer, enrol_all, request

START = datetime(2019, 1, 1, tzinfo=UTC)
SUBJECTS = st.sampled_from([f"SSCI-00{number}" for number in range(1, 5)])
Row = TypeVar("Row", Measurement, Dose)


def moments(first: int, last: int) -> st.SearchStrategy[ClinicalTime]:
    hours = st.integers(first * 24, last * 24)
    return st.builds(
        lambda hour, precision: ClinicalTime(START + timedelta(hours=hour), precision),
        hours,
        st.sampled_from(("second", "second", "second", "day", "month")),
    )


COUNTS = st.builds(
    Measurement,
    subject=SUBJECTS,
    when=st.none() | moments(-40, 450),
    value=st.none() | st.decimals(0, 400, places=1),
    unit=st.sampled_from(("10*9/L", "10*9/L", "10*9/L", None)),
    comparator=st.sampled_from((None, None, None, "<")),
    status=st.sampled_from(("final", "final", "corrected", "preliminary")),
    analytic_suspect=st.sampled_from((False, False, True)),
    scale_suspect=st.booleans(),
    data_absent_reason=st.sampled_from((None, None, None, "unknown")),
    source=st.just(Source("Observation", "", 1)),
)

DOSES = st.builds(
    Dose,
    subject=SUBJECTS,
    when=st.none() | moments(0, 3),
    amount=st.sampled_from((None, Decimal(0), Decimal(1), Decimal(2))),
    unit=st.just("mg"),
    status=st.sampled_from(("completed", "completed", "not-done")),
    source=st.just(Source("MedicationAdministration", "", 1)),
)


def numbered(rows: list[Row]) -> tuple[Row, ...]:
    return tuple(
        replace(row, source=replace(row.source, id=str(number))) for number, row in enumerate(rows)
    )


def enrolled(counts: tuple[Measurement, ...], doses: tuple[Dose, ...]) -> Rows:
    return Rows(enrol_all(counts, doses), counts, doses)


ROWS = st.builds(
    lambda counts, doses: enrolled(numbered(counts), numbered(doses)),
    st.lists(COUNTS, max_size=25),
    st.lists(DOSES, max_size=8),
)


def shifted(row: Row, subject: str, days: int) -> Row:
    if row.subject != subject or row.when is None:
        return row
    return replace(row, when=replace(row.when, begin=row.when.begin + timedelta(days=days)))


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_byte(rows, random):
    counts, doses = list(rows.measurements), list(rows.doses)
    random.shuffle(counts)
    random.shuffle(doses)
    other = Rows(rows.subjects, tuple(counts), tuple(doses))
    assert compute_platelet_change(request(), other) == compute_platelet_change(request(), rows)


@given(ROWS, SUBJECTS, st.integers(-400, 400))
def test_shifting_every_date_of_a_participant_changes_no_byte(rows, subject, days):
    other = Rows(
        rows.subjects,
        tuple(shifted(row, subject, days) for row in rows.measurements),
        tuple(shifted(row, subject, days) for row in rows.doses),
    )
    assert compute_platelet_change(request(), other) == compute_platelet_change(request(), rows)


@given(ROWS)
def test_everyone_is_either_in_the_figures_or_missing_with_a_reason(rows):
    told = answer((request(), rows))
    size = told["population"]["n"]
    for visit in told["visits"]:
        assert visit["n"] + visit["missing"]["n"] == size
        assert sum(visit["missing"]["reasons"].values()) == visit["missing"]["n"]
    assert told["baseline"]["n"] + told["baseline"]["missing"]["n"] == size
    assert sum(stratum["n"] for stratum in told["strata"]) == told["baseline"]["n"]


@given(ROWS)
def test_every_count_stays_a_candidate_and_one_at_most_is_chosen_per_visit(rows):
    participants = compute_participants(rows, RULES, ZONE)
    candidates = [candidate for each in participants for candidate in each.candidates]
    assert {c.measurement.source for c in candidates} == {m.source for m in rows.measurements}
    for each in participants:
        chosen = [c.visit or "baseline" for c in each.candidates if c.chosen]
        assert len(chosen) == len(set(chosen))
        assert not any(c.unusable for c in each.candidates if c.chosen)


@given(ROWS)
def test_no_usable_count_of_a_window_is_closer_to_its_target_than_the_chosen_one(rows):
    for each in compute_participants(rows, RULES, ZONE):
        for visit in RULES.visits:
            usable = [c for c in each.candidates if c.visit == visit and not c.unusable]
            chosen = each.at(visit)
            assert (chosen is None) == (not usable)
            if chosen:
                assert chosen.distance == min(c.distance for c in usable)


@given(ROWS)
def test_the_chosen_baseline_is_not_after_the_first_dose_nor_older_than_28_days(rows):
    for each in compute_participants(rows, RULES, ZONE):
        if each.baseline:
            assert -28 <= each.baseline.elapsed <= 0


def figures_of(told: Any) -> list[Any]:
    return [visit["change"] | visit["tests"] for visit in told["visits"]]


@given(ROWS, st.integers(1, 400))
def test_adding_a_constant_to_every_count_leaves_the_changes(rows, more):
    """Change is a difference: it does not see the level."""
    raised = tuple(
        row if row.value is None else replace(row, value=row.value + more)
        for row in rows.measurements
    )
    other = Rows(rows.subjects, raised, rows.doses)
    assert figures_of(answer((request(), other))) == figures_of(answer((request(), rows)))
