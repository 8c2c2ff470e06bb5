"""The platelet change along the visits: mean with its interval, median, and everyone's own line
while they are few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from app.endpoints.analyses.platelet_change import list_asked
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.placing import exactly
from app.endpoints.figures.summaries import Figures, compute_summary
from app.endpoints.plots.framing import FEW, describe, mark_visits, open_frame, place_key
from app.endpoints.plots.style import INK, SOFT, render, say_nothing_to_draw, styled
from app.trial import Visit

NO_ONE = "No participant of this population has a baseline and a count at a visit"

Changes = NDArray[np.float64]


def find_changes(cohort: Cohort, members: Members) -> Changes:
    """By member and visit of the protocol, in 10*9/L: the change that the figures have, so without
    counts after rescue treatment; NaN where there is none."""
    counts = cohort.values_of(cohort.visits_before_rescue)[members.rows]
    return exactly(counts - cohort.baseline_value[members.rows][:, None])


def draw_change(cohort: Cohort, members: Members, form: str) -> bytes:
    """Mean and median change per visit, as `svg` or `png`."""
    asked = list_asked(cohort)
    visits = [cohort.protocol.visits[each] for each in asked]
    changes = find_changes(cohort, members)[:, asked]
    changes = changes[~np.isnan(changes).all(axis=1)]
    few = len(changes) <= FEW
    thin = "thin lines: participants" if few else f"more than {FEW}: participants' lines left out"
    rescue = "counts after rescue treatment set aside"
    with styled():
        caption = describe(cohort, members, len(changes), thin if len(changes) else "", rescue)
        figure, axes = open_frame(cohort.request.definition.title, caption, 5.0)
        _prepare(cohort, axes, visits, changes)
        if len(changes):
            if few:
                _draw_participants(axes, visits, changes)
            _draw_summaries(cohort, axes, visits, changes)
            place_key(axes, 3)
        else:
            say_nothing_to_draw(axes, NO_ONE)
        return render(figure, form)


def _prepare(cohort: Cohort, axes: Axes, visits: Sequence[Visit], changes: Changes) -> None:
    numbers = np.count_nonzero(~np.isnan(changes), axis=0).tolist()
    mark_visits(axes, visits, numbers)
    last = visits[-1].target if visits else 1
    axes.set_xlim(-0.03 * last, 1.03 * last)
    axes.set_ylabel(f"Change from baseline ({cohort.protocol.measurements['platelets'].unit})")
    axes.axhline(0, color=SOFT, linewidth=0.6, linestyle=":", zorder=1)


def _draw_participants(axes: Axes, visits: Sequence[Visit], changes: Changes) -> None:
    targets = np.array([each.target for each in visits], np.float64)
    for row in changes:
        known = ~np.isnan(row)
        days, values = np.append(0.0, targets[known]), np.append(0.0, row[known])
        axes.plot(days, values, color="0.65", linewidth=0.5, zorder=1)


def _draw_summaries(cohort: Cohort, axes: Axes, visits: Sequence[Visit], changes: Changes) -> None:
    found = [_summary(cohort, column) for column in changes.T]
    told = [(each.target, figures) for each, figures in zip(visits, found, strict=True)]
    told = [(day, figures) for day, figures in told if figures["n"]]
    days = [0, *(day for day, _ in told)]
    means = [0.0, *(figures["mean"] for _, figures in told)]
    medians = [0.0, *(figures["median"] for _, figures in told)]
    axes.plot(days, means, color=INK, marker="o", label="Mean")
    _draw_intervals(cohort, axes, told)
    open_square: dict[str, Any] = {"marker": "s", "markerfacecolor": "none", "markersize": 8}
    axes.plot(
        days, medians, color=INK, linestyle="--", linewidth=1.0, label="Median", **open_square
    )


def _summary(cohort: Cohort, column: Changes) -> Figures:
    return compute_summary(column[~np.isnan(column)], cohort.confidence)


def _draw_intervals(cohort: Cohort, axes: Axes, told: Sequence[tuple[int, Figures]]) -> None:
    """Of visits with two participants or more."""
    known = [(day, each) for day, each in told if each["ciLow"] is not None]
    if not known:
        return
    days, means = [day for day, _ in known], [each["mean"] for _, each in known]
    lows = [each["mean"] - each["ciLow"] for _, each in known]
    highs = [each["ciHigh"] - each["mean"] for _, each in known]
    label = f"{100 * cohort.confidence:g} % CI of the mean"
    axes.errorbar(
        days,
        means,
        yerr=[lows, highs],
        fmt="none",
        ecolor=INK,
        elinewidth=1.1,
        capsize=4,
        label=label,
    )
