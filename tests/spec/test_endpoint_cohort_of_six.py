"""Every endpoint over one cohort of six participants, worked by hand.

Days count from the first dose; counts in 10*9/L at the visits' target days (SSCI-001's month 2 is a
corrected result). Nothing else happens; tests/cohort_of_six.py has the rows:

| subject | who       | base | 30 | 61  | 122 | 183 | 365 | what happens                           |
|---------|-----------|------|----|-----|-----|-----|-----|----------------------------------------|
| 001     | F 35 SLE  | 20   | 60 | 110 | 120 | 150 | 160 | completes on 365; stomatitis on 40     |
| 002     | F 50 pSS  | 40   | 90 | 130 | 95  | 50  |     | criterion overridden; rescue (IVIG) on |
|         |           |      |    |     |     |     |     | 50; pneumonia, serious, on 200         |
| 003     | M 28 SLE  | 10   | 15 |     |     | 30  | 45  | misses two visits and half his pills   |
| 004     | F 62 SLE  | 30   | 70 | 80  |     |     |     | withdraws on 75                        |
| 005     | F 45 SLE  | 50   | 40 | 45  |     |     |     | sepsis on 95, of which she dies on 100 |
| 006     | F 33 RA   | 25   |    |     |     |     |     | is never dosed                         |

Doses: 2 mg on days 0, 1, 2 in hospital, then a pill count: 001 362 mg on days 3-364 (with 1 mg in
hospital on 59, 60, 119, 120), 002 180 mg and 003 90 mg on 3-182, 004 72 mg on 3-74, 005 97 mg on
3-99. Troughs of 001: 8 on day 60, 18 on day 120, half an hour before the dose; of 003: 5 on day 30
at a time that the pill count does not tell. SLEDAI-2K (platelet item): 001 8 (1), 2 (0) on 183,
0 (0) on 365; 003 6 (1), 5 (1) on 183; 004 10 (1), 6 (1) on 30; 005 4 (1). ESSDAI of 002: 10, then
6 after the rescue. Prednisone: 001 10 mg, 003 20 mg until day 100.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from app.endpoints.analyses.answering import compute_answer
from app.endpoints.catalogue import CATALOGUE
from app.endpoints.reading.records import Record
from tests.cohort_of_six import T0, build_six
from tests.endpoint_support import CUT, ZONE, ask, subject_answer, whole_answer

Told = Mapping[tuple[str, str], float]
Expected = Sequence[tuple[str, str, float]]
"""(group, statistic, value), as the CSV names them."""

GREENWOOD = (0.2 * 0.8 / 5) ** 0.5
"""Standard error of 1 event of 5 at risk."""

ONE_OF_FIVE_LOW = 100 * (1 - 0.975 ** (1 / 5))
"""Clopper-Pearson: the p with P(at least 1 of 5) = 2.5 %, in percent."""

YEAR = 365.25

EXPECTED: Mapping[str, Expected] = {
    "platelet-change": [
        ("", "baseline.observed.mean", 30),  # (20 + 40 + 10 + 30 + 50) / 5
        ("M1", "visits.change.mean", 25),  # (40 + 50 + 5 + 40 - 10) / 5
        ("M1", "visits.change.median", 40),
        # deviations 15, 25, -20, 15, -35: squares 2700, SD = sqrt(2700 / 4)
        ("M1", "visits.change.sd", 675**0.5),
        ("M1", "visits.tests.pairedT.t", 25 / (675 / 5) ** 0.5),
        # ranks of 5, 10, 40, 40, 50: 1, 2, 3.5, 3.5, 5; all but that of -10 are positive
        ("M1", "visits.tests.signedRank.wPlus", 13),
        # sums of at most 2 among the 32 choices: none, {1}, {2}: 2 * 3 / 32
        ("M1", "visits.tests.signedRank.p", 6 / 32),
        # eighth of the 15 Walsh averages: -10 -2.5 5 15 15 20 22.5 | 22.5 | 27.5 40 40 40 45 45 50
        ("M1", "visits.tests.hodgesLehmann.estimate", 22.5),
        ("M2", "visits.change.n", 3),  # 002 is after rescue, 003 was not there
        ("M2", "visits.change.mean", 45),  # (90 + 50 - 5) / 3
        ("M4", "visits.change.mean", 100),  # 001 alone
        ("M6", "visits.change.mean", 75),  # (130 + 20) / 2
        ("M12", "visits.change.mean", 87.5),  # (140 + 35) / 2
        ("", "intercurrentEvents.rescue.countsSetAside", 3),  # of 002: days 61, 122, 183
        ("M2", "sensitivity.treatmentPolicy.visits.change.mean", 56.25),  # (3 * 45 + 90) / 4
        # 001 130, 002 50 (month 1), 003 20, 004 50 and 005 -5 (month 2)
        ("M6", "sensitivity.locf.visits.change.mean", 49),  # 245 / 5
    ],
    "platelet-change-model": [
        ("change", "models.participants", 5),
        ("change", "models.observations", 8),  # 5 at month 1, 3 at month 2; later fewer than 3
        ("change / participants", "models.reference.baseline", 30),
        ("change / observations", "models.reference.baseline", 31.25),  # (150 + 20 + 30 + 50) / 8
        # Whoever has month 2 has month 1, so month 1 is least squares: products of the deviations
        # of baseline (-10 10 -20 0 20) and change (15 25 -20 15 -35) are -200, squares 1000.
        ("change / M1", "models.visits.slope.estimate", -0.2),
        ("change / M1", "models.visits.lsMean.estimate", 25),
        ("change / M1", "models.visits.atBaselineZero.estimate", 31),  # 25 + 0.2 * 30
        ("change / M1", "models.visits.atOtherReference.estimate", 24.75),  # 25 - 0.2 * 1.25
        ("change / M4", "models.visits.n", 0),
        ("M2", "missing.n", 2),
    ],
    "response-rate": [
        ("M1", "visits.response.n", 3),  # 60 > 40, 90 > 80, 70 > 60; not 15 > 20
        ("M1", "visits.partial.percent", 60),
        ("M2", "visits.complete.n", 1),  # 001; 130 of 002 is after rescue
        ("M2", "visits.partial.n", 1),  # 80 > 60
        ("M2", "visits.noResponse.missing", 1),  # 003
        ("M4", "visits.response.n", 1),
        ("M4", "visits.complete.ciLow", ONE_OF_FIVE_LOW),
        ("M4", "visits.noResponse.missing", 1),  # 003; 004 and 005 had stopped
        ("M6", "visits.response.percent", 40),  # 001 complete, 003 partial: 30 > 20
        ("M6", "visits.sensitivity.treatmentPolicy.response.n", 2),  # 50 > 80 does not hold either
        ("M2", "visits.sensitivity.treatmentPolicy.response.n", 3),  # and 130
        ("M12", "visits.response.n", 2),
        ("M2", "visits.bleeding.noBleeding", 1),
    ],
    "response-month-6": [
        ("M6", "visits.response.n", 2),
        ("M6", "visits.complete.n", 1),
        ("M6", "visits.partial.n", 1),
        ("M6", "visits.complete.ciLow", ONE_OF_FIVE_LOW),
        ("M6", "visits.noResponse.missing", 0),
        ("", "intercurrentEvents.sirolimusStopped.participants", 2),  # 004 and 005
    ],
    "complete-remission": [
        ("", "everComplete.n", 1),
        ("", "everComplete.percent", 20),
        ("", "everComplete.ciLow", ONE_OF_FIVE_LOW),
        ("", "everComplete.days.mean", 61),
        ("M1", "visits.complete.n", 0),
        ("M12", "visits.complete.n", 1),
    ],
    "sustained-response": [
        ("", "sustained.n", 2),  # 001 and 003
        ("", "best.complete.n", 1),
        ("", "best.partial.n", 3),  # 002, 003, 004
        ("", "best.none.n", 1),
        ("", "first.response.days.mean", 68.25),  # (30 + 30 + 183 + 30) / 4
        ("", "loss.response.by.intercurrentEvent", 2),  # rescue of 002, end of 004
        ("", "duration.response.events", 2),
        # 001 365 - 30, 002 50 - 30, 003 365 - 183, 004 75 - 30: 582 / 4
        ("", "duration.response.observed.mean", 145.5),
        ("", "duration.complete.observed.mean", 304),  # 365 - 61, censored
    ],
    "responders": [
        ("", "responders.n", 2),  # 001 and 003
        ("sex", "characteristics.test.p", 0.4),  # the one man is one of 2 responders of 5
        ("age", "characteristics.test.p", 0.1),  # both below 40 respond: 1 of 10 choices of 2
        ("ctd: SLE", "characteristics.test.p", 1),
        ("ctd / SLE", "characteristics.levels.response.percent", 50),
        ("baseline (10*9/L)", "characteristics.responders.mean", 15),
        ("baseline (10*9/L)", "characteristics.nonResponders.mean", 40),
        ("baseline (10*9/L)", "characteristics.test.u", 0),
        (
            "baseline (10*9/L)",
            "characteristics.test.p",
            0.2,
        ),  # the lowest or highest 2 of 5: 2 / 10
    ],
    "time-to-complete-remission": [
        ("", "events", 1),
        ("", "censored", 4),
        ("M1", "visits.probability", 0),
        ("M2", "visits.probability", 0.2),  # 001 of 5; 004 and 005 are censored that day, after it
        ("M2", "visits.standardError", GREENWOOD),
        ("M12", "visits.probability", 0.2),
        ("M4", "riskTable.atRisk", 2),
        ("M12", "riskTable.atRisk", 2),  # 002 to day 425, 003 to day 365
        ("", "restrictedMean.estimate", 61 + 0.8 * 304),
        # the area after 61, 243.2, times sqrt(1 / (5 * 4))
        ("", "restrictedMean.standardError", 243.2 / 20**0.5),
        ("", "intercurrentEvents.rescue.participants", 1),
        # with the death of day 100 at risk are 002, 003 and 005: 0.8 / 3
        ("M4", "sensitivity.deathCompeting.visits.competing", 0.8 / 3),
        ("0", "sensitivity.intervalCensored.masses.left", 30),
        ("0", "sensitivity.intervalCensored.masses.right", 61),
        ("0", "sensitivity.intervalCensored.masses.mass", 0.2),
        # 130 of 002 counts too: 2 of 5
        ("M2", "sensitivity.treatmentPolicy.visits.probability", 0.4),
    ],
    "time-to-ctd-remission": [
        ("", "n", 4),  # 002 has no SLEDAI-2K
        ("", "events", 1),  # 001 on day 365, then alone at risk
        ("M6", "visits.probability", 0),
        ("M12", "visits.probability", 1),
        ("M1", "riskTable.atRisk", 3),  # 005 was never scored again: censored on day 0
        ("M2", "riskTable.atRisk", 2),  # 004 on day 30
        ("", "restrictedMean.estimate", 365),
    ],
    "ctd-activity": [
        ("SLEDAI-2K", "instruments.participants", 4),
        ("SLEDAI-2K", "instruments.baseline.total.mean", 7),  # (8 + 6 + 10 + 4) / 4
        ("SLEDAI-2K", "instruments.baseline.withoutPlateletItem.mean", 6),
        ("SLEDAI-2K / M1", "instruments.visits.total.change.mean", -4),  # 004 alone
        ("SLEDAI-2K / M6", "instruments.visits.total.change.mean", -3.5),  # (-6 - 1) / 2
        # 7 to 2, 5 to 4
        ("SLEDAI-2K / M6", "instruments.visits.withoutPlateletItem.change.mean", -3),
        (
            "SLEDAI-2K / M6",
            "instruments.visits.total.responders.observed.n",
            1,
        ),  # falls by 4 or more
        ("SLEDAI-2K / M12", "instruments.visits.total.change.mean", -8),
        ("ESSDAI / M6", "instruments.visits.n", 0),  # after rescue
        ("ESSDAI", "instruments.scores.afterRescue", 1),
        ("", "steroids.baseline.mean", 6),  # (10 + 0 + 20 + 0 + 0) / 5
        ("", "steroids.withoutBackgroundRecord", 3),
    ],
    "adverse-events": [
        ("any", "treatmentEmergent.categories.participants.n", 3),
        ("any", "treatmentEmergent.categories.events", 3),
        ("any", "all.categories.events", 4),  # with the headache before the first dose
        ("related", "treatmentEmergent.categories.events", 1),
        ("grade 3 or more", "treatmentEmergent.categories.events", 2),
        ("fatal", "treatmentEmergent.categories.participants.percent", 20),
        ("Inf", "treatmentEmergent.socs.participants.n", 2),
        ("Inf / grade 5", "treatmentEmergent.socs.worstGrade.participants", 1),
        ("", "treatmentEmergent.eventRate.rate", 3 * YEAR / 906),  # days as under exposure
        # up to the first event, its day included: 41 + 183 (the last dose) + 183 + 75 + 96
        ("", "treatmentEmergent.incidenceRate.rate", 3 * YEAR / 578),
    ],
    "serious-adverse-events": [
        # day 200 is within 30 days of the last dose, day 182
        ("", "treatmentEmergent.participants.n", 2),
        ("", "treatmentEmergent.events", 2),
        ("death", "treatmentEmergent.criteria.events", 1),
        ("hospitalization", "treatmentEmergent.criteria.events", 1),
        ("", "treatmentEmergent.eventRate.participantYears", 906 / YEAR),
        ("", "treatmentEmergent.eventRate.rate", 2 * YEAR / 906),
        # 365 + 183 + 183 + 75 + 96
        ("", "treatmentEmergent.incidenceRate.rate", 2 * YEAR / 902),
    ],
    "platelet-grade-shift": [
        ("grade 2", "baseline.participants", 1),  # 50 is not below 50
        ("grade 3", "baseline.participants", 2),  # 40, 30
        ("grade 4", "baseline.participants", 2),  # 20, 10
        ("", "worst.improved.n", 3),  # 001 60: 4 to 2; 002 50: 3 to 2; 004 70: 3 to 2
        ("", "worst.unchanged.n", 1),  # 003 15
        ("", "worst.worsened.n", 1),  # 005 40: 2 to 3
        ("baseline grade 4 / grade 2", "worst.shifts.to.participants", 1),
        ("M2", "visits.worsened.n", 1),  # 005 45: 2 to 3
        ("M6", "visits.improved.n", 3),  # 4 to 0, 3 to 2, 4 to 3
    ],
    "exposure": [
        ("", "duration.mean", 906 / 5),  # 365 + 183 + 183 + 75 + 100
        ("", "cumulative.mean", 831 / 5),  # 368 + 186 + 96 + 78 + 103
        ("", "meanDaily.mean", (368 / 365 + 186 / 183 + 96 / 183 + 78 / 75 + 103 / 100) / 5),
        ("hospital", "origins.mg", 34),  # 5 * 3 * 2 + 4 * 1
        ("pill-count", "origins.mg", 797),  # 831 - 34
        ("", "records.mgOfPillCountsToldOtherwise", 4),
        # 003: 96 of 6 + 180
        ("on treatment", "adherence.periods.percent.mean", (400 + 9600 / 186) / 5),
        # 004 was there until day 75, 005 until day 100: one day each without a dose
        (
            "to M6",
            "adherence.periods.percent.mean",
            (200 + 9600 / 186 + 7800 / 79 + 10300 / 104) / 5,
        ),
        ("on treatment", "adherence.periods.adherent.n", 4),
        ("", "stops.participants", 2),
    ],
    "trough-in-range": [
        ("", "levels.total", 3),
        ("", "levels.valid", 2),
        ("", "levels.timingUnknown", 1),  # of 003: doses of the pill count have no hour
        ("", "pooled.insidePercent", 50),
        ("", "pooled.above", 1),
        # from 8 to 18 in 60 days: 15 is reached after 42
        ("", "timeInRange.inside", 42),
        ("", "timeInRange.above", 18),
        ("", "timeInRange.percentInside", 70),
        ("", "timeInRange.coverage.percent", 6000 / 906),
        ("M2", "visits.inside.n", 1),
        ("M4", "visits.above.n", 1),
    ],
    "protocol-deviations": [
        ("any", "participants.n", 3),
        ("major", "participants.n", 1),  # 002
        ("minor", "participants.n", 2),
        ("eligibility-overridden", "deviations.events", 1),
        ("trough-without-action", "deviations.events", 1),  # 001: 18 on day 120, next visit 122
        ("trough-without-action", "deviations.notAssessable.n", 1),  # 003
        ("visit-missed", "deviations.events", 2),  # 003: months 2 and 4
        # month 12 of 002, months 4, 6 and 12 of 004 and 005
        ("visit-missed", "deviations.notAssessable.n", 7),
        ("loading-dose", "deviations.events", 0),
    ],
    "disposition": [
        ("enrolled", "flow.n", 6),
        ("eligible", "flow.n", 5),
        ("treated", "flow.n", 5),
        ("M2", "visits.present.n", 4),
        ("M4", "visits.present.of", 3),
        ("M12", "visits.present.n", 2),
        ("completed", "endings.n", 1),
        ("withdrawn", "endings.byReason.death", 1),
        ("withdrawn", "endings.byReason.withdrawal-by-subject", 1),
        ("ongoing", "endings.n", 3),
        ("", "treatment.stopped", 2),
        # 001: 003 took too little, 002 was overridden, 004 and 005 have no month 6
        ("per-protocol", "populations.n", 1),
    ],
    "baseline-characteristics": [
        ("age", "continuous.mean", 44),  # (35 + 50 + 28 + 62 + 45) / 5
        ("age", "continuous.median", 45),
        ("baseline platelet count", "continuous.sd", 250**0.5),  # squares 1000 / 4
        ("SLEDAI-2K at baseline", "continuous.missing", 1),
        ("prednisone equivalent of those on it", "continuous.mean", 15),
        ("sex / female", "categorical.levels.percent", 80),
        ("connective tissue disease / SLE", "categorical.levels.n", 4),
        ("baseline platelet count / >= 50", "categorical.levels.n", 1),
    ],
}

EVERY = pytest.mark.parametrize("endpoint", CATALOGUE)
SUBJECTS = tuple(f"SSCI-00{number}" for number in range(1, 7))


def figures_of(endpoint: str, records: Sequence[Record]) -> Told:
    asked = ask(endpoint, records)
    request = replace(asked.request, format="csv")
    rows = csv.DictReader(io.StringIO(compute_answer(request, asked.tables).decode()))
    return {
        (row["group"], row["statistic"]): float(row["value"])
        for row in rows
        if row["value"].replace(".", "").replace("-", "").replace("e", "").isdigit()
    }


def test_every_endpoint_has_figures_worked_by_hand() -> None:
    assert EXPECTED.keys() == CATALOGUE.keys()
    assert min(len(each) for each in EXPECTED.values()) >= 5


@EVERY
def test_the_figures_are_those_worked_by_hand(endpoint: str) -> None:
    told = figures_of(endpoint, build_six())
    found = {(group, name): told.get((group, name)) for group, name, _ in EXPECTED[endpoint]}
    expected = {(group, name): value for group, name, value in EXPECTED[endpoint]}
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@EVERY
@pytest.mark.parametrize("subject", SUBJECTS)
def test_shifting_all_dates_of_a_participant_changes_nothing(endpoint: str, subject: str) -> None:
    """Also across the end of a leap February; no date is among the figures."""
    whole = compute_bytes(endpoint, build_six())
    assert compute_bytes(endpoint, build_six({subject: 447})) == whole
    assert compute_bytes(endpoint, build_six({subject: -17})) == whole


def compute_bytes(endpoint: str, records: Sequence[Record]) -> bytes:
    asked = ask(endpoint, records)
    return compute_answer(asked.request, asked.tables)


@EVERY
def test_shifting_all_participants_differently_changes_only_dates_of_the_rows(
    endpoint: str,
) -> None:
    shifts = {subject: 31 * place for place, subject in enumerate(SUBJECTS)}
    original = subject_answer(ask(endpoint, build_six()))
    shifted = subject_answer(ask(endpoint, build_six(shifts)))
    assert without_dates(shifted) == without_dates(original)


def without_dates(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_dates(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_dates(each) for each in value]
    return "a date" if isinstance(value, str) and _is_date(value) else value


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


@EVERY
def test_the_order_of_the_rows_changes_no_byte(endpoint: str) -> None:
    records = list(build_six())
    whole = compute_bytes(endpoint, records)
    for seed in range(3):
        random.Random(seed).shuffle(records)
        assert compute_bytes(endpoint, records) == whole


@EVERY
def test_a_cut_after_the_last_event_equals_no_cut(endpoint: str) -> None:
    """The last of all is the count of day 365."""
    asked = ask(endpoint, build_six())
    last = T0 + timedelta(days=365)
    before = datetime.combine(last + timedelta(days=1), datetime.min.time(), ZONE)
    cut = replace(CUT, cutoff=last.isoformat(), before=before)
    at_once = whole_answer(replace(asked, request=replace(asked.request, cut=cut)))
    later = whole_answer(asked)
    assert (at_once.pop("cutoff"), later.pop("cutoff")) == ("2020-01-01", CUT.cutoff)
    assert date.fromisoformat("2020-01-01") == last
    assert at_once == later
