"""Within-participant covariance structures of repeated measures, with exact first and second
derivatives by their parameters.

Structures as SAS PROC MIXED and the R package mmrm have them (TYPE=UN, TOEPH, ARH(1), CSH, CS);
visits count by their order, not by their distance in time. The unstructured covariance is L·Lᵀ
with the logarithms of L's diagonal as parameters, so that every parameter vector gives a positive
definite matrix; the others are standard deviations (as logarithms) times a correlation that is
rational in its parameters, and positive definite in a part of their space only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNSTRUCTURED = "unstructured"


@dataclass(frozen=True, slots=True, eq=False)
class Covariance:
    """A covariance matrix (visits x visits) at one parameter vector of length q: `first` (q x
    visits x visits) are its derivatives, `second` (q x q x visits x visits) those of `first`."""

    matrix: Array
    first: Array
    second: Array


@dataclass(frozen=True, slots=True)
class Structure:
    """`start` gives the parameters nearest to any covariance matrix; `compute` the covariance
    matrix of a number of visits at parameters, `build` the same with its derivatives."""

    name: str
    start: Callable[[Array], Array]
    compute: Callable[[Array, int], Array]
    build: Callable[[Array, int], Covariance]


@cache
def _triangle(width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.tril_indices(width)
    return rows, columns


def _start_unstructured(matrix: Array) -> Array:
    root: Array = np.linalg.cholesky(matrix).astype(np.float64)
    np.fill_diagonal(root, np.log(np.diag(root)))
    return root[_triangle(len(root))]


def _build_root(theta: Array, width: int) -> Array:
    """L: parameters stand row by row in its lower triangle."""
    root = np.zeros((width, width))
    root[_triangle(width)] = theta
    np.fill_diagonal(root, np.exp(np.diag(root)))
    return root


def _compute_unstructured(theta: Array, width: int) -> Array:
    root = _build_root(theta, width)
    return root @ root.T


def _build_unstructured(theta: Array, width: int) -> Covariance:
    root, own = _build_root(theta, width), np.arange(len(theta))
    rows, columns = _triangle(width)
    diagonal = rows == columns
    change = np.zeros((len(theta), width, width))
    change[own, rows, columns] = np.where(diagonal, root[rows, columns], 1.0)
    half = change @ root.T
    first = half + half.transpose(0, 2, 1)
    cross = np.tensordot(change, change, ((2,), (2,))).transpose(0, 2, 1, 3)
    second = cross + cross.transpose(0, 1, 3, 2)
    second[own[diagonal], own[diagonal]] += first[diagonal]
    return Covariance(root @ root.T, first, second)


@dataclass(frozen=True, slots=True, eq=False)
class _Correlation:
    matrix: Array
    first: Array
    second: Array


def _lags(width: int) -> NDArray[np.intp]:
    places = np.arange(width)
    distances: NDArray[np.intp] = np.abs(places[:, None] - places)
    return distances


def _exchangeable(rho: Array, width: int) -> _Correlation:
    apart = (_lags(width) > 0).astype(float)
    return _Correlation(np.eye(width) + rho[0] * apart, apart[None], np.zeros((1, 1, width, width)))


def _banded(rho: Array, width: int) -> _Correlation:
    bands = np.stack([_lags(width) == lag for lag in range(1, width)]).astype(float)
    matrix = np.eye(width) + np.tensordot(rho, bands, 1)
    return _Correlation(matrix, bands, np.zeros((width - 1, width - 1, width, width)))


def _autoregressive(rho: Array, width: int) -> _Correlation:
    lag = _lags(width)
    powers: list[Array] = [np.power(rho[0], np.maximum(lag - each, 0)) for each in range(3)]
    first, second = lag * powers[1], lag * (lag - 1) * powers[2]
    return _Correlation(powers[0], first[None], second[None, None])


def _scaled(
    correlate: Callable[[Array, int], _Correlation],
    farthest: Callable[[int], int],
    heterogeneous: bool,
) -> tuple[
    Callable[[Array], Array],
    Callable[[Array, int], Array],
    Callable[[Array, int], Covariance],
]:
    """Standard deviations (one, or one per visit) around a correlation, which starts from the mean
    correlation at each lag, of all lags from the `farthest` parameter's on."""

    def start(matrix: Array) -> Array:
        variances, lags = np.diag(matrix), _lags(len(matrix))
        logs = np.log(variances) / 2 if heterogeneous else [np.log(np.mean(variances)) / 2]
        correlation = matrix / np.sqrt(np.outer(variances, variances))
        last = farthest(len(matrix))
        rho = [np.mean(correlation[lags == lag]) for lag in range(1, last)]
        return np.array([*logs, *rho, np.mean(correlation[lags >= last])])

    def compute(theta: Array, width: int) -> Array:
        return build(theta, width).matrix

    def build(theta: Array, width: int) -> Covariance:
        scales = width if heterogeneous else 1
        logs = theta[:scales] if heterogeneous else np.repeat(theta[:1], width)
        own = np.eye(width) if heterogeneous else np.ones((1, width))
        twice = own[:, :, None] + own[:, None, :]
        return _combine(np.exp(logs), twice, correlate(theta[scales:], width))

    return start, compute, build


def _combine(sd: Array, twice: Array, correlation: _Correlation) -> Covariance:
    """`twice` says how often each log standard deviation enters each element (0, 1 or 2 times)."""
    spread = np.outer(sd, sd)
    matrix, by_rho = spread * correlation.matrix, spread * correlation.first
    scales, width = len(twice), len(sd)
    size = scales + len(by_rho)
    second = np.empty((size, size, width, width))
    second[:scales, :scales] = twice[:, None] * twice * matrix
    second[:scales, scales:] = twice[:, None] * by_rho
    second[scales:, :scales] = second[:scales, scales:].transpose(1, 0, 2, 3)
    second[scales:, scales:] = spread * correlation.second
    return Covariance(matrix, np.concatenate([twice * matrix, by_rho]), second)


def _build_structures() -> dict[str, Structure]:
    scaled = {
        "toeplitz-heterogeneous": _scaled(_banded, lambda width: width - 1, True),
        "ar1-heterogeneous": _scaled(_autoregressive, lambda _: 1, True),
        "compound-symmetry-heterogeneous": _scaled(_exchangeable, lambda _: 1, True),
        "compound-symmetry": _scaled(_exchangeable, lambda _: 1, False),
    }
    unstructured = Structure(
        UNSTRUCTURED, _start_unstructured, _compute_unstructured, _build_unstructured
    )
    return {
        UNSTRUCTURED: unstructured,
        **{name: Structure(name, *parts) for name, parts in scaled.items()},
    }


STRUCTURES: Mapping[str, Structure] = MappingProxyType(_build_structures())
