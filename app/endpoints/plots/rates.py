"""Response rates per visit as stacked bars, with the interval of the overall response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from app.endpoints.analyses.responding import Judged, build_main_rates, judge
from app.endpoints.analyses.response_rate import find_asked
from app.endpoints.answers import Answer
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.plots.framing import describe, open_frame, place_key
from app.endpoints.plots.style import INK, render, say_nothing_to_draw, styled

NO_ONE = "No participant in this population"

LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Complete response", {"facecolor": "0.55"}),
    ("Partial response", {"facecolor": "1.0", "hatch": "/////"}),
    ("No response", {"facecolor": "1.0"}),
    ("Not known: counted as no response", {"facecolor": "1.0", "hatch": "..."}),
)


@dataclass(frozen=True, slots=True)
class Column:
    """A visit: participants by part, in the order of LOOKS, and the rate of response."""

    label: str
    parts: tuple[int, ...]
    rate: Answer


def draw_rates(cohort: Cohort, members: Members, form: str) -> bytes:
    """As `svg` or `png`."""
    judged = judge(cohort)
    asked = find_asked(judged, cohort.request.parameters.get("visit"))
    columns = [_column(judged, members, each) for each in asked]
    bars = f"whiskers: {100 * cohort.confidence:g} % CI of the response ({judged.interval})"
    with styled():
        told = (f"rule {judged.rule.id}", bars)
        caption = describe(cohort, members, len(members), *told)
        figure, axes = open_frame(cohort.request.definition.title, caption, 4.8, key_lines=2)
        _prepare(axes, columns)
        if len(members):
            _draw_columns(axes, columns)
            place_key(axes, 3)
        else:
            say_nothing_to_draw(axes, NO_ONE)
        return render(figure, form)


def _column(judged: Judged, members: Members, visit: int) -> Column:
    rates = build_main_rates(judged, members, visit)
    response = rates["response"]
    missing = int(np.count_nonzero(judged.visits.missing[members.rows, visit]))
    missing = min(missing, response["of"] - response["n"]) if response["of"] == len(members) else 0
    none = response["of"] - response["n"] - missing
    parts = (rates["complete"]["n"], rates["partial"]["n"], none, missing)
    return Column(judged.cohort.protocol.visits[visit].code, parts, response)


def _prepare(axes: Axes, columns: Sequence[Column]) -> None:
    axes.set_xlim(-0.6, max(len(columns), 1) - 0.4)
    axes.set_ylim(0, 100)
    axes.set_xticks(range(len(columns)))
    axes.set_xticklabels([f"{each.label}\nn = {each.rate['of']}" for each in columns])
    axes.set_xlabel("Visit")
    axes.set_ylabel("Participants (%)")


def _draw_columns(axes: Axes, columns: Sequence[Column]) -> None:
    floor = np.zeros(len(columns))
    of = np.array([max(each.rate["of"], 1) for each in columns])
    for part, (name, look) in enumerate(LOOKS):
        numbers = np.array([each.parts[part] for each in columns])
        share = 100 * numbers / of
        place: dict[str, Any] = {"bottom": floor, "width": 0.62, "edgecolor": INK}
        axes.bar(range(len(columns)), share, linewidth=0.7, label=name, **place, **look)
        _write_numbers(axes, numbers, floor + share / 2, share)
        floor = floor + share
    _draw_whiskers(axes, columns)


def _write_numbers(axes: Axes, numbers: Any, heights: Any, share: Any) -> None:
    """Where there is room for them; on white, so that no pattern runs through."""
    box = {"boxstyle": "square,pad=0.15", "facecolor": "1.0", "edgecolor": "none"}
    for at, (n, height, percent) in enumerate(zip(numbers, heights, share, strict=True)):
        if percent >= 5:
            axes.text(at - 0.16, height, str(n), fontsize=7, ha="center", va="center", bbox=box)


def _draw_whiskers(axes: Axes, columns: Sequence[Column]) -> None:
    known = [(at, each.rate) for at, each in enumerate(columns) if each.rate["percent"] is not None]
    if not known:
        return
    rates = [rate["percent"] for _, rate in known]
    lows = [rate["percent"] - rate["ciLow"] for _, rate in known]
    highs = [rate["ciHigh"] - rate["percent"] for _, rate in known]
    at = [place + 0.14 for place, _ in known]
    look: dict[str, Any] = {"color": INK, "markersize": 4, "markerfacecolor": "1.0"}
    line: dict[str, Any] = {"elinewidth": 1.3, "capsize": 4, "clip_on": False}
    label = "Response, with its interval"
    axes.errorbar(at, rates, yerr=[lows, highs], fmt="o", label=label, **look, **line)
