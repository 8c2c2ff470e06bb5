"""Figures from numbers: published data, and every edge a defined answer.

Hollander and Wolfe's depression scores (nine patients, change after a tranquillizer) are the
example of R's `wilcox.test`: estimate -0.46, 95 % interval -0.786 to -0.010, V = 5, p = 0.0390625.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from app.endpoints.figures import signed_rank
from app.endpoints.figures.summaries import (
    compute_hodges_lehmann,
    compute_paired_t,
    compute_ratio,
    compute_signed_rank,
    compute_summary,
    quantile,
    rounded,
)

DEPRESSION = [-0.952, 0.147, -1.022, -0.43, -0.62, -0.59, -0.49, 0.08, -0.01]
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Student's sleep data, second minus first drug; R: t = 4.0621, df = 9, p = 0.002833,
95 % interval 0.7001142 to 2.4598858."""


def test_depression_scores_as_r_has_them():
    hodges_lehmann = compute_hodges_lehmann(DEPRESSION, 0.95)
    assert hodges_lehmann["estimate"] == pytest.approx(-0.46)
    assert hodges_lehmann["ciLow"] == pytest.approx(-0.786)
    assert hodges_lehmann["ciHigh"] == pytest.approx(-0.010)
    assert hodges_lehmann["attained"] == 0.9609375
    assert compute_signed_rank(DEPRESSION)["wPlus"] == 5.0
    assert compute_signed_rank(DEPRESSION)["p"] == 0.0390625


def test_students_sleep_data_as_r_has_them():
    t = compute_paired_t(SLEEP)
    summary = compute_summary(SLEEP, 0.95)
    assert (round(t["t"], 4), t["df"], round(t["p"], 6)) == (4.0621, 9, 0.002833)
    interval = round(summary["ciLow"], 7), round(summary["ciHigh"], 7)
    assert interval == (0.7001142, 2.4598858)


@pytest.mark.parametrize(
    ("values", "q1", "median", "q3"),
    [
        ([1], 1, 1, 1),
        ([1, 2], 1, 1.5, 2),
        ([1, 2, 3], 1, 2, 3),
        ([1, 2, 3, 4], 1.5, 2.5, 3.5),
        ([1, 2, 3, 4, 5], 2, 3, 4),
        ([1, 2, 3, 4, 5, 6], 2, 3.5, 5),
    ],
)
def test_quartiles_are_sas_type_2(values, q1, median, q3):
    told = tuple(quantile(values, numerator, 4) for numerator in (1, 2, 3))
    assert told == (q1, median, q3)


def test_ranks_of_tied_absolute_values_are_shared():
    assert signed_rank.doubled_midranks([3, -1, 1, -3, 2]).tolist() == [9, 3, 3, 9, 6]


def test_signings_of_three_ranks():
    assert signed_rank.count_signings((1, 2, 3)) == (1, 1, 1, 2, 1, 1, 1)


@pytest.mark.parametrize(
    ("n", "rank", "attained"),
    [(6, 1, 0.96875), (7, 3, 0.953125), (10, 9, 0.951171875), (20, 53, 0.9515591)],
)
def test_interval_ranks_as_published_in_tables_of_the_signed_rank(n, rank, attained):
    """Critical values 0, 2, 8 and 52 of the two-sided 5 % test: Wilcoxon's table."""
    found = signed_rank.exact_interval_rank(n, 0.95)
    assert found is not None
    assert found[0] == rank
    assert found[1] == pytest.approx(attained, rel=1e-6)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_five_values_cannot_attain_95_percent(n):
    assert signed_rank.exact_interval_rank(n, 0.95) is None


def test_every_change_zero_leaves_nothing_to_rank():
    figures = compute_signed_rank([0.0, 0.0])
    assert (figures["zeros"], figures["p"]) == (2, None)
    assert figures["reasons"]["p"] == "every change is zero"


def test_equal_changes_have_no_t():
    """0.1 three times: a naive variance is not exactly 0 and t is astronomical."""
    assert compute_paired_t([0.1, 0.1, 0.1])["reasons"]["t"] == "all values are equal"
    summary = compute_summary([0.1, 0.1, 0.1], 0.95)
    assert (summary["sd"], summary["ciLow"]) == (0.0, None)


def test_no_value_is_told_as_such():
    assert compute_summary([], 0.95)["reasons"]["mean"] == "no values"
    assert compute_signed_rank([])["reasons"]["p"] == "no values"
    assert compute_hodges_lehmann([], 0.95)["reasons"]["estimate"] == "no values"


def test_a_ratio_beyond_the_range_of_numbers_is_told_as_such():
    figures = compute_ratio([-700.0, 700.0], 0.95)
    assert (figures["geometricMean"], figures["ciHigh"]) == (1.0, None)
    assert figures["reasons"] == {"ciHigh": "beyond the range of numbers"}


def test_beyond_100_changes_the_normal_approximation_is_named():
    changes = [float(i - 30) for i in range(101) if i != 30] + [0.5]
    assert len(changes) == 101
    assert "normal approximation" in compute_signed_rank(changes)["method"]
    assert "normal approximation" in compute_hodges_lehmann(changes, 0.95)["method"]


def test_figures_are_rounded_to_ten_significant_digits_without_negative_zero():
    assert rounded(1 / 3) == 0.3333333333
    assert json.dumps(rounded(-0.0)) == "0.0"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="not finite"):
        rounded(value)


def test_the_web_workers_import_of_endpoints_loads_no_heavy_library():
    """Serving needs the routes; SciPy, NumPy and plots belong to the statistics process."""
    program = (
        "import sys; import app.endpoints.routes; "
        "print([name for name in ('scipy', 'numpy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
