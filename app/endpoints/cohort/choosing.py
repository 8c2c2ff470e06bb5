"""One row per group, chosen by keys in turn: the vector form of `min(group, key=…)`."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Index: TypeAlias = NDArray[np.intp]
"""Positions of rows; -1 where there is none."""

Key: TypeAlias = NDArray[Any]

NONE = -1


def choose_least(rows: Index, groups: NDArray[Any], size: int, keys: tuple[Key, ...]) -> Index:
    """Of each group 0…size-1 the row with the least keys, the first key first; -1 of empty ones.

    `rows` are positions in `groups` and in each of `keys`; what the keys leave equal is decided by
    position.
    """
    for key in keys:
        rows = _keep_least(rows, groups, size, key)
    chosen = np.full(size, NONE, np.intp)
    chosen[groups[rows[::-1]]] = rows[::-1]
    return chosen


def _keep_least(rows: Index, groups: NDArray[Any], size: int, key: Key) -> Index:
    values = key[rows]
    if not len(rows):
        return rows
    least = np.full(size, _greatest(values), values.dtype)
    np.minimum.at(least, groups[rows], values)
    kept: Index = rows[values == least[groups[rows]]]
    return kept


def _greatest(values: Key) -> Any:
    return np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max


def take(values: NDArray[Any], rows: Index) -> NDArray[np.float64]:
    """The values of rows, NaN where there is no row."""
    found = np.full(rows.shape, np.nan)
    present = rows >= 0
    found[present] = values[rows[present]]
    return found
