"""The mixed model for repeated measures against published fits of public data.

`fev_data.csv` holds the example data of the R package mmrm (forced expiratory volume of 197 made-up
participants at four visits, https://github.com/openpharma/mmrm, Apache-2.0), one row each. Expected
figures: the package's README, its tests (tests/testthat/test-kenwardroger.R), and SAS PROC MIXED's
output kept in its folder design/SAS, whose last printed digits hang on where SAS stops: its
criterion leaves the fourth digit of a covariance open, so those are held to 5e-4.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app.endpoints.figures.mmrm import Fit, fit_model
from app.endpoints.figures.mmrm_contrasts import (
    KENWARD_ROGER,
    NO_VARIANCE,
    SATTERTHWAITE,
    Contrast,
    adjust_spread,
    build_test,
    estimate_contrast,
)
from app.endpoints.figures.mmrm_covariance import STRUCTURES
from app.endpoints.figures.mmrm_likelihood import differentiate, weigh
from app.endpoints.figures.mmrm_moments import Moments, build_moments

SAS = 5e-4


@dataclass(frozen=True, slots=True)
class Fev:
    """Observed values, one row per participant and visit."""

    y: np.ndarray
    subject: np.ndarray
    visit: np.ndarray
    arm: np.ndarray
    sex: np.ndarray
    race: np.ndarray

    def fit(self, columns, structure="unstructured") -> Fit:
        design = np.column_stack([np.ones(len(self.y)), *columns]).astype(float)
        moments = build_moments(self.y, design, self.subject, self.visit, 4)
        assert isinstance(moments, Moments)
        fit = fit_model(moments, STRUCTURES[structure])
        assert isinstance(fit, Fit), fit
        return fit


@pytest.fixture(scope="module")
def fev():
    with Path(__file__).with_name("fev_data.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seen = [(row, visit) for row in rows for visit in range(4) if row[f"vis{visit + 1}"]]
    return Fev(
        np.array([float(row[f"vis{visit + 1}"]) for row, visit in seen]),
        np.array([int(row["participant"]) for row, _ in seen]),
        np.array([visit for _, visit in seen]),
        *(np.array([row[name] for row, _ in seen]) for name in ("arm", "sex", "race")),
    )


@pytest.fixture(scope="module")
def example(fev):
    """FEV1 ~ RACE + SEX + ARMCD * AVISIT, unstructured: the README's example."""
    visits = [fev.visit == each for each in (1, 2, 3)]
    treated = fev.arm == "TRT"
    main = [fev.race == "B", fev.race == "W", fev.sex == "F", treated]
    return fev.fit([*main, *visits, *(visit & treated for visit in visits)])


README = """
    30.77748 0.88656 218.80
     1.53050 0.62448 168.67
     5.64357 0.66561 157.14
     0.32606 0.53195 166.13
     3.77423 1.07415 145.55
     4.83959 0.80172 143.88
    10.34211 0.82269 155.56
    15.05390 1.31281 138.47
    -0.04193 1.12932 138.56
    -0.69369 1.18765 158.17
     0.62423 1.85085 129.72
"""
"""Estimate, standard error, Satterthwaite degrees of freedom."""


def numbers(text):
    return np.array([[float(cell) for cell in line.split()] for line in text.strip().splitlines()])


def contrasts(fit, method=SATTERTHWAITE):
    adjusted = adjust_spread(fit) if method == KENWARD_ROGER else None
    found = [estimate_contrast(fit, row, adjusted) for row in np.eye(len(fit.beta))]
    assert all(isinstance(each, Contrast) for each in found)
    return np.array([(each.estimate, each.se, each.df) for each in found])


def test_coefficients_standard_errors_and_df_are_those_of_r_mmrm(example):
    expected, found = numbers(README), contrasts(example)
    assert np.abs(found[:, 0] - expected[:, 0]).max() < 2e-4
    assert np.abs(found[:, 1] / expected[:, 1] - 1).max() < 1e-4
    assert np.abs(found[:, 2] / expected[:, 2] - 1).max() < 1e-4


def test_the_fit_is_at_the_published_likelihood_and_covariance(example):
    covariance = """
        40.5537 14.3960  4.9747 13.3867
        14.3960 26.5715  2.7855  7.4745
         4.9747  2.7855 14.8979  0.9082
        13.3867  7.4745  0.9082 95.5568
    """
    assert example.moments.observations == 537
    assert example.moments.participants.sum() == 197
    assert round(example.minus_two_log_likelihood, 1) == 3386.4
    assert np.abs(example.covariance - numbers(covariance)).max() < 0.01


def test_the_likelihood_is_higher_than_at_the_published_estimates(example):
    """What differs from R in the fourth digit is how far each has climbed."""
    published = np.array([[40.5537, 14.396, 4.9747, 13.3867], [0, 26.5715, 2.7855, 7.4745]])
    published = np.vstack([published, [0, 0, 14.8979, 0.9082], [0, 0, 0, 95.5568]])
    published = np.triu(published) + np.triu(published, 1).T
    scale = example.moments.scale
    theirs = weigh(example.moments, published / scale**2)
    ours = weigh(example.moments, example.covariance / scale**2)
    assert 0 < theirs.value - ours.value < 1e-5


def test_least_squares_means_are_those_of_sas(example):
    """design/SAS/sas_log_reml.txt, VIS4 TRT − VIS1 TRT: 15.6778 (1.3047) on 121 degrees."""
    weights = np.zeros(11)
    weights[[7, 10]] = 1
    found = estimate_contrast(example, weights)
    assert (found.estimate, found.se) == pytest.approx((15.6778, 1.3047), rel=SAS)
    assert round(found.df) == 121
    told = build_test(found, 0.95)
    assert (told["ciLow"], told["ciHigh"]) == pytest.approx((13.0949, 18.2607), rel=SAS)
    assert told["t"] == pytest.approx(12.02, rel=SAS)


@pytest.mark.parametrize(
    ("structure", "estimate", "se", "df", "likelihood", "variances"),
    [
        ("unstructured", 42.8338, 0.3509, 171, 3700.9, (113.63, 44.0193, 27.2643, 158.17)),
        ("toeplitz-heterogeneous", 41.6726, 0.3822, 185, 3722.4, (90.4041, 38.593, 36.152, 175.78)),
        ("ar1-heterogeneous", 41.6955, 0.3947, 191, 3740.0, (92.3009, 38.5178, 35.2148, 176.37)),
        ("compound-symmetry", 42.2896, 0.4285, 187, 3918.0, (86.8968,) * 4),
    ],
)  # fmt: skip
def test_every_structure_fits_as_in_sas(fev, structure, estimate, se, df, likelihood, variances):
    """FEV1 ~ 1: design/SAS/sas_log_simple_reml.txt, sas_toeph_reml, sas_ar1h_reml, sas_cs_reml."""
    fit = fev.fit([], structure)
    (found,) = contrasts(fit)
    assert found[:2] == pytest.approx((estimate, se), rel=SAS)
    assert round(found[2]) == df
    assert fit.minus_two_log_likelihood == pytest.approx(likelihood, abs=0.051)
    assert np.diag(fit.covariance) == pytest.approx(variances, rel=SAS)


@pytest.mark.parametrize(
    ("structure", "se", "df"),
    [
        ("unstructured", 0.66124382270307, 160.733266403768),
        ("toeplitz-heterogeneous", 0.72537324518435, 180.062730071701),
        ("ar1-heterogeneous", 0.75924807546934, 188.225339095373),
        ("compound-symmetry-heterogeneous", 0.67403858183242, 190.737701349941),
        ("compound-symmetry", 0.7964696053595, 177.038485931223),
    ],
)
def test_kenward_roger_is_that_of_sas(fev, structure, se, df):
    """The effect of ARMCD in FEV1 ~ ARMCD, SAS's figures in test-kenwardroger.R."""
    found = contrasts(fev.fit([fev.arm == "TRT"], structure), KENWARD_ROGER)[1]
    assert found[1:] == pytest.approx((se, df), rel=SAS)


def test_kenward_roger_has_satterthwaites_df_and_a_larger_error(example):
    plain, adjusted = contrasts(example), contrasts(example, KENWARD_ROGER)
    assert (plain[:, 2] == adjusted[:, 2]).all()
    assert (plain[:, 1] < adjusted[:, 1]).all()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_gradient_and_hessian_are_those_of_finite_differences(fev, structure):
    moments = fev.fit([fev.arm == "TRT"]).moments
    built = STRUCTURES[structure]
    theta = built.start(np.diag([1.0, 0.36, 0.25, 2.0]) + 0.1)
    theta = theta + 0.05 * np.cos(np.arange(len(theta)))

    def differentiated(at):
        covariance = built.build(at, 4)
        return differentiate(moments, weigh(moments, covariance.matrix), covariance)

    def value(at):
        return weigh(moments, built.build(at, 4).matrix).value

    here, step = differentiated(theta), 1e-5
    moves = np.eye(len(theta)) * step
    gradient = [(value(theta + each) - value(theta - each)) / step / 2 for each in moves]
    curved = [
        (differentiated(theta + each).gradient - differentiated(theta - each).gradient) / step / 2
        for each in moves
    ]
    assert here.gradient == pytest.approx(np.array(gradient), rel=1e-6, abs=1e-4)
    assert here.hessian == pytest.approx(np.array(curved), rel=1e-6, abs=1e-4)


def test_the_likelihood_is_the_textbook_s(fev):
    """Participant by participant, without sums over patterns."""
    design = np.column_stack([np.ones(len(fev.y)), fev.arm == "TRT"]).astype(float)
    fit = fev.fit([fev.arm == "TRT"])
    sizes, whole, cross, square = 0.0, np.zeros((2, 2)), np.zeros(2), 0.0
    for number in np.unique(fev.subject):
        own = fev.subject == number
        matrix = fit.covariance[np.ix_(fev.visit[own], fev.visit[own])]
        x, y = design[own], fev.y[own]
        inverse = np.linalg.inv(matrix)
        sizes += np.linalg.slogdet(matrix)[1]
        whole, cross = whole + x.T @ inverse @ x, cross + x.T @ inverse @ y
        square += y @ inverse @ y
    beta = np.linalg.solve(whole, cross)
    constant = (len(fev.y) - 2) * np.log(2 * np.pi)
    value = constant + sizes + np.linalg.slogdet(whole)[1] + square - cross @ beta
    assert fit.minus_two_log_likelihood == pytest.approx(value, rel=1e-12)
    assert fit.beta == pytest.approx(beta)
    assert fit.spread == pytest.approx(np.linalg.inv(whole))


def test_the_order_of_rows_changes_no_bit(fev):
    columns = [fev.arm == "TRT"]
    order = np.random.default_rng(5).permutation(len(fev.y))
    parts = (fev.y, fev.subject, fev.visit, fev.arm, fev.sex, fev.race)
    mixed = Fev(*(part[order] for part in parts))
    one, other = fev.fit(columns), mixed.fit([mixed.arm == "TRT"])
    assert one.minus_two_log_likelihood == other.minus_two_log_likelihood
    assert (one.covariance == other.covariance).all()
    assert (contrasts(one, KENWARD_ROGER) == contrasts(other, KENWARD_ROGER)).all()


def test_other_units_give_the_same_tests(fev):
    def fit(factor):
        parts = (fev.subject, fev.visit, fev.arm, fev.sex, fev.race)
        return contrasts(Fev(fev.y * factor, *parts).fit([fev.arm == "TRT"]), KENWARD_ROGER)

    one, other = fit(1.0), fit(1e-7)
    assert other[:, :2] * 1e7 == pytest.approx(one[:, :2], rel=1e-8)
    assert other[:, 2] == pytest.approx(one[:, 2], rel=1e-8)


def test_an_adjusted_variance_that_is_not_above_0_is_no_error(example):
    found = estimate_contrast(example, np.eye(11)[0], -np.eye(11))
    assert found == NO_VARIANCE
    told = build_test(found, 0.95)
    assert told["p"] is None
    assert told["reasons"]["p"] == NO_VARIANCE
