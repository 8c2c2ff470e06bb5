"""Sirolimus levels along study time against the trough range, told apart by what each is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from app.endpoints.analyses.trough_time import choose_for_visit
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.troughs import NOT_STEADY, SIROLIMUS, TIMING_UNKNOWN, VALID, Level
from app.endpoints.figures.summaries import compute_summary
from app.endpoints.plots.framing import FEW, MANY, describe, mark_visits, open_frame, place_key
from app.endpoints.plots.style import INK, SHADE, SOFT, render, say_nothing_to_draw, styled
from app.trial import Visit

NO_ONE = "No sirolimus level of this population can be drawn"

OTHER = "other"
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    OTHER: ("no trough for another reason", {"marker": "+", "markersize": 6, "zorder": 2}),
    NOT_STEADY: ("not steady state", {"marker": "x", "markersize": 5, "zorder": 3}),
    TIMING_UNKNOWN: (
        "timing unknown",
        {"marker": "^", "markersize": 5, "markerfacecolor": "1.0", "zorder": 3},
    ),
    VALID: ("valid trough", {"marker": "o", "markersize": 4, "zorder": 4}),
}
"""In the order in which they are drawn: what counts most lies on top."""


def kind_of(level: Level) -> str:
    return level.finding if level.finding in LOOKS else OTHER


def is_drawn(level: Level) -> bool:
    """It has a place in study time and against the range."""
    return level.elapsed is not None and level.place is not None


def draw_trough(cohort: Cohort, members: Members, form: str) -> bytes:
    """Levels over time, as `svg` or `png`."""
    found = [cohort.levels[row] for row in members.rows.tolist()]
    drawn = [[each for each in levels if is_drawn(each)] for levels in found]
    drawn = [levels for levels in drawn if levels]
    left_out = sum(map(len, found)) - sum(map(len, drawn))
    unplaced = f"levels without day or usable value, not drawn: {left_out}" if left_out else ""
    with styled():
        caption = describe(cohort, members, len(drawn), _how(drawn), unplaced)
        title = cohort.request.definition.title
        figure, axes = open_frame(title, caption, 4.8, key_lines=_key_lines(drawn))
        _prepare(cohort, axes, drawn)
        if not drawn:
            say_nothing_to_draw(axes, NO_ONE)
        elif len(drawn) > MANY:
            _draw_quartiles(axes, cohort.protocol.visits, drawn)
        else:
            _draw_levels(axes, drawn)
        place_key(axes, 3)
        return render(figure, form)


def _how(drawn: Sequence[Sequence[Level]]) -> str:
    if len(drawn) > MANY:
        return f"more than {MANY}: median and quartiles per visit instead of levels"
    if len(drawn) > FEW:
        return f"more than {FEW}: participants' lines left out"
    joined = any(sum(each.is_valid for each in levels) > 1 for levels in drawn)
    return "lines: one participant's valid troughs" if joined else ""


def _key_lines(drawn: Sequence[Sequence[Level]]) -> int:
    kinds = {kind_of(each) for levels in drawn for each in levels}
    return 2 if len(kinds) > 2 and len(drawn) <= MANY else 1


def _prepare(cohort: Cohort, axes: Axes, drawn: Sequence[Sequence[Level]]) -> None:
    visits = cohort.protocol.visits
    mark_visits(axes, visits)
    days = [each.elapsed or 0 for levels in drawn for each in levels]
    first, last = min([0, *days]), max([visits[-1].target, *days])
    axes.set_xlim(first - 0.02 * last, 1.03 * last)
    highest = max([float(cohort.protocol.trough.high), *_values(drawn)])
    axes.set_ylim(0, 1.08 * highest)
    axes.set_ylabel(f"Sirolimus ({cohort.protocol.measurements[SIROLIMUS].unit})")
    draw_range(cohort, axes)


def draw_range(cohort: Cohort, axes: Axes) -> None:
    """The band of the protocol's trough range, both ends drawn."""
    low, high = float(cohort.protocol.trough.low), float(cohort.protocol.trough.high)
    axes.axhspan(low, high, facecolor=SHADE, zorder=0, label=f"range {low:g} to {high:g}")
    for edge in (low, high):
        axes.axhline(edge, color=SOFT, linewidth=0.8, linestyle="--", zorder=1)


def _values(drawn: Sequence[Sequence[Level]]) -> list[float]:
    return [each.value for levels in drawn for each in levels]


def _draw_levels(axes: Axes, drawn: Sequence[Sequence[Level]]) -> None:
    if len(drawn) <= FEW:
        for levels in drawn:
            valid = [each for each in levels if each.is_valid and not each.bound]
            days, values = [each.elapsed or 0 for each in valid], [each.value for each in valid]
            axes.plot(days, values, color="0.55", linewidth=0.5, zorder=1)
    draw_markers(axes, [each for levels in drawn for each in levels])


def draw_markers(axes: Axes, levels: Sequence[Level]) -> None:
    """Each kind of level by its marker, with its number in the key; bounds at their value."""
    for kind, (name, look) in LOOKS.items():
        of_kind = [each for each in levels if kind_of(each) == kind]
        if of_kind:
            days, values = [each.elapsed or 0 for each in of_kind], [each.value for each in of_kind]
            marker: dict[str, Any] = {"linestyle": "none", "color": INK, "markeredgewidth": 0.9}
            axes.plot(days, values, label=f"{name} ({len(of_kind)})", **marker, **look)


def _draw_quartiles(axes: Axes, visits: Sequence[Visit], drawn: Sequence[Sequence[Level]]) -> None:
    told = []
    for visit in visits:
        chosen = (choose_for_visit(levels, visit) for levels in drawn)
        values = [each.value for each in chosen if each is not None and not each.bound]
        if values:
            told.append((visit.target, compute_summary(values, 0.95)))
    days, medians = [day for day, _ in told], [each["median"] for _, each in told]
    lows = [each["median"] - each["q1"] for _, each in told]
    highs = [each["q3"] - each["median"] for _, each in told]
    look: dict[str, Any] = {"fmt": "o-", "color": INK, "capsize": 4}
    if told:
        label = "valid trough: median, quartiles"
        axes.errorbar(days, medians, yerr=[lows, highs], label=label, **look)
