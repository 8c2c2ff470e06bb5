"""Subgroups: what participants are divided by, and the label of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.endpoints.cohort.characteristics import (
    find_ages,
    find_background,
    find_demographics,
    find_diagnoses,
    score_values,
)

if TYPE_CHECKING:
    from app.endpoints.cohort.cohort import Cohort
    from app.endpoints.cohort.members import Members

UNKNOWN = "not known"
NO_BACKGROUND = "none recorded"
Labels = Sequence[str]


def label_baseline(cohort: Cohort, members: Members) -> Labels:
    """Below, or from, the protocol's threshold."""
    limit = cohort.protocol.response.baseline_stratum
    return _cut(cohort.baseline_value[members.rows], float(limit), f"{limit}")


def label_ctd(cohort: Cohort, members: Members) -> Labels:
    """The protocol's code of the connective tissue disease."""
    found = find_diagnoses(cohort)
    return [found[row].code if row in found else UNKNOWN for row in members.rows.tolist()]


def label_sex(cohort: Cohort, members: Members) -> Labels:
    found = find_demographics(cohort)
    genders = (found[row].gender if row in found else None for row in members.rows.tolist())
    return [gender or UNKNOWN for gender in genders]


def label_age(cohort: Cohort, members: Members) -> Labels:
    """Years at consent below, or from, the protocol's cut."""
    cut = cohort.protocol.subgroups.age_cut
    return _cut(find_ages(cohort)[members.rows], cut, f"{cut}")


def label_activity(cohort: Cohort, members: Members) -> Labels:
    """The baseline score of the protocol's instrument, below or from its cut."""
    rules = cohort.protocol.subgroups
    values = score_values(cohort, rules.activity_instrument)[members.rows]
    name, cut = rules.activity_instrument, float(rules.activity_cut)
    return _cut(values, cut, f"{rules.activity_cut}", f"{name} ")


def label_background(cohort: Cohort, members: Members) -> Labels:
    """The kinds of background treatment at the first dose, joined."""
    found = find_background(cohort)
    kinds = (sorted({each.group for each in found.get(row, ())}) for row in members.rows.tolist())
    return [" + ".join(each) or NO_BACKGROUND for each in kinds]


def _cut(values: NDArray[np.float64], cut: float, told: str, prefix: str = "") -> Labels:
    below = np.where(values < cut, f"{prefix}< {told}", f"{prefix}>= {told}")
    labels: list[str] = np.where(np.isnan(values), UNKNOWN, below).tolist()
    return labels


SUBGROUPS: dict[str, Callable[[Cohort, Members], Labels]] = {
    "baseline": label_baseline,
    "ctd": label_ctd,
    "sex": label_sex,
    "age": label_age,
    "activity": label_activity,
    "background": label_background,
}


def label_members(cohort: Cohort, name: str, members: Members) -> Labels:
    """One label for each member, in their order."""
    return SUBGROUPS[name](cohort, members)
