"""The Kaplan-Meier plot: share in remission with its band, censorings as ticks, and the risk table
under it.

The curve rises (1 - S), as the event is a good one: Pocock, Clayton, Altman: Lancet 2002;359:1686.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from app.endpoints.analyses import time_to_ctd_remission, time_to_remission
from app.endpoints.analyses.time_to_remission_figures import Followed
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.subgroups import label_members
from app.endpoints.figures.survival import Curve, compute_quantile, count_at
from app.endpoints.plots.style import (
    INK,
    LINES,
    SHADE,
    SOFT,
    build_caption,
    new_figure,
    place_caption,
    place_title,
    render,
    say_nothing_to_draw,
    styled,
)

NO_ONE = "No participant of this population can be followed"

CENSORED = "Censored"

FRAME = 4.2
ROW = 0.19
KEY = 0.17
LETTER = 0.065
"""Inches: of the plot without these, of a row of the risk table, a line of the key, a letter."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A curve with its name; one of the whole population has none."""

    name: str | None
    curve: Curve


@dataclass(frozen=True, slots=True)
class Wording:
    event: str
    events: str


def draw_complete_remission(cohort: Cohort, members: Members, form: str) -> bytes:
    """The time to complete remission under the rule that was asked for, as `svg` or `png`."""
    rule = time_to_remission.rule_of(cohort).id
    wording = Wording(f"complete remission ({rule})", "Remissions")
    return _draw(cohort, members, form, _complete, wording)


def draw_ctd_remission(cohort: Cohort, members: Members, form: str) -> bytes:
    """The time to remission of the connective tissue disease, as `svg` or `png`."""
    remission = cohort.protocol.time_to_remission
    event = f"{remission.ctd_instrument} ≤ {remission.ctd_threshold:f}"
    return _draw(cohort, members, form, _ctd, Wording(event, "Remissions"))


def _complete(cohort: Cohort, members: Members) -> Followed:
    return time_to_remission.choose(cohort, members)[0]


def _ctd(cohort: Cohort, members: Members) -> Followed:
    return time_to_ctd_remission.choose(cohort, members)[0]


Choose = Callable[[Cohort, Members], Followed]


def _groups(cohort: Cohort, members: Members, choose: Choose) -> list[Group]:
    name = cohort.request.subgroup
    if name is None:
        return [Group(None, choose(cohort, members).curve)]
    labels = np.array(label_members(cohort, name, members))
    return [
        Group(label, choose(cohort, Members(members.rows[labels == label], ())).curve)
        for label in sorted(set(labels.tolist()))
    ]


def _draw(cohort: Cohort, members: Members, form: str, choose: Choose, wording: Wording) -> bytes:
    groups = _groups(cohort, members, choose)
    rows = _table_rows(groups, wording)
    with styled():
        figure = new_figure(FRAME + KEY * (len(groups) + 2) + ROW * (len(rows) + 1))
        height, width = figure.get_figheight(), figure.get_figwidth()
        left = (0.45 + LETTER * max(len(label) for label, _, _ in rows)) / width
        foot = place_caption(figure, _caption(cohort, groups, wording)) + 0.1 / height
        table_height = ROW * (len(rows) + 1) / height
        table = figure.add_axes((left, foot, 0.97 - left, table_height))
        bottom = foot + table_height + 0.62 / height
        top = 1 - (0.34 + KEY * (len(groups) + 2)) / height
        axes = figure.add_axes((left, bottom, 0.97 - left, top - bottom))
        place_title(figure, _title(cohort), left)
        _draw_curves(cohort, axes, groups)
        _draw_table(cohort, table, axes, rows)
        return render(figure, form)


def _title(cohort: Cohort) -> str:
    title, subgroup = cohort.request.definition.title, cohort.request.subgroup
    return f"{title}, by {subgroup}" if subgroup else title


def _draw_curves(cohort: Cohort, axes: Axes, groups: Sequence[Group]) -> None:
    visits = cohort.protocol.visits
    last = max([visits[-1].target, *(float(each.curve.times[-1]) for each in _drawn(groups))])
    axes.set_xlim(-0.02 * last, 1.03 * last)
    axes.set_ylim(0, 100)
    axes.set_xticks([0, *(each.target for each in visits)])
    axes.set_xticklabels(["0", *(f"{each.target}\n{each.code}" for each in visits)])
    axes.set_xlabel("Days since the first dose (day 0), with the visits' target days")
    axes.set_ylabel("Remission reached, 1 - S (%)")
    if not _drawn(groups):
        say_nothing_to_draw(axes, NO_ONE)
        return
    axes.axhline(50, color=SOFT, linewidth=0.6, linestyle=":", zorder=1)
    for number, group in enumerate(groups):
        if group.curve.n:
            _draw_curve(cohort, axes, group, number, banded=len(groups) == 1)
    _draw_key(axes)


def _draw_key(axes: Axes) -> None:
    """Above the axes, curves first: no curve runs through it."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda at: labels[at] == CENSORED)
    axes.legend(
        [handles[at] for at in order],
        [labels[at] for at in order],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        handlelength=3.2,
        borderaxespad=0.2,
        labelspacing=0.35,
    )


def _drawn(groups: Sequence[Group]) -> list[Group]:
    return [each for each in groups if each.curve.n]


def _draw_curve(cohort: Cohort, axes: Axes, group: Group, number: int, *, banded: bool) -> None:
    curve, line = group.curve, LINES[number % len(LINES)]
    times = np.concatenate(([0.0], curve.times))
    share = 100 * (1 - np.concatenate(([1.0], curve.survival)))
    if banded:
        _draw_band(axes, curve, cohort.confidence)
    label = _median(cohort, group)
    axes.plot(times, share, drawstyle="steps-post", color=INK, linestyle=line, label=label)
    ticks = curve.censored > 0
    axes.plot(
        curve.times[ticks],
        100 * (1 - curve.survival[ticks]),
        linestyle="none",
        marker="|",
        markersize=8,
        markeredgewidth=1.1,
        color=INK,
        clip_on=False,
        label=CENSORED if not number else None,
    )


def _draw_band(axes: Axes, curve: Curve, confidence: float) -> None:
    low, high = curve.band(confidence)
    known = ~np.isnan(low)
    if not known.any():
        return
    label = f"{100 * confidence:g} % confidence band, pointwise, log-log"
    edges: dict[str, Any] = {"step": "post", "linewidth": 0.6, "edgecolor": SOFT}
    shown = (curve.times[known], 100 * (1 - high[known]), 100 * (1 - low[known]))
    axes.fill_between(*shown, facecolor=SHADE, label=label, zorder=0, **edges)


def _median(cohort: Cohort, group: Group) -> str:
    found = compute_quantile(group.curve, 0.5, cohort.confidence)
    median, low, high = (
        "not reached" if found[name] is None else f"{found[name]:g}"
        for name in ("estimate", "ciLow", "ciHigh")
    )
    name = f"{group.name}: median" if group.name else "Kaplan-Meier: median"
    told = median if median == "not reached" else f"{median} d"
    interval = "not defined" if low == high == "not reached" else f"{low} to {high}"
    return f"{name} {told} ({100 * cohort.confidence:g} % CI {interval})"


Row = tuple[str, Curve, str]


def _table_rows(groups: Sequence[Group], wording: Wording) -> list[Row]:
    """Label, curve and which number: of one group all three, of several those at risk."""
    if len(groups) == 1:
        names = (("At risk", "atRisk"), (wording.events, "events"), ("Censored", "censored"))
        return [(label, groups[0].curve, key) for label, key in names]
    return [(each.name or "", each.curve, "atRisk") for each in groups]


def _draw_table(cohort: Cohort, table: Axes, axes: Axes, rows: Sequence[Row]) -> None:
    table.set_axis_off()
    table.set_xlim(axes.get_xlim())
    table.set_ylim(len(rows), -1)
    several = len(rows) and all(key == "atRisk" for _, _, key in rows)
    by = f"At risk, by {cohort.request.subgroup}"
    heading = by if several else "At risk just before the day; remissions and censorings so far"
    table.text(0, -0.5, heading, fontsize=7, va="center", ha="left", style="italic")
    beside = table.get_yaxis_transform()
    days = [0, *(each.target for each in cohort.protocol.visits)]
    for number, (label, curve, key) in enumerate(rows):
        place: dict[str, Any] = {"fontsize": 8, "va": "center"}
        table.text(-0.035, number + 0.5, label, ha="right", **place, transform=beside)
        for day in days:
            table.text(day, number + 0.5, str(count_at(curve, day)[key]), ha="center", **place)


def _caption(cohort: Cohort, groups: Sequence[Group], wording: Wording) -> str:
    n = sum(each.curve.n for each in groups)
    events = sum(int(each.curve.events.sum()) for each in groups)
    told = f"event: {wording.event}, {events}; censored: {n - events}"
    return build_caption(cohort, n, told, "Kaplan-Meier")
