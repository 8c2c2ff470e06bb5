"""The frame that the plots along study time share: title, one pair of axes, a key above, a caption
at the foot, and the visits' target days below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.plots.style import build_caption, new_figure, place_caption, place_title
from app.trial import Visit

FEW = 40
"""Up to so many participants each has a line of its own."""

MANY = 1000
"""Beyond so many nobody is drawn one by one."""

KEY_LINE = 0.18
"""Inches of a line of the key."""

BELOW = 0.75
"""Inches for ticks and label under the axes."""

DAYS = "Days since the first dose (day 0)"


def open_frame(
    title: str, caption: str, height: float, *, key_lines: int = 1, left: float = 0.75
) -> tuple[Figure, Axes]:
    """A figure and its axes, `height` and `left` in inches; drawn inside `style.styled`."""
    figure = new_figure(height)
    width = float(figure.get_figwidth())
    foot = place_caption(figure, caption) + BELOW / height
    top = 1 - (0.42 + KEY_LINE * key_lines) / height
    axes = figure.add_axes((left / width, foot, 0.97 - left / width, top - foot))
    place_title(figure, title, 0.012)
    return figure, axes


def place_key(axes: Axes, columns: int, **options: Any) -> None:
    """Above the axes, where no line runs through it."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0)}
    spacing: dict[str, Any] = {"borderaxespad": 0.2, "columnspacing": 1.4, "labelspacing": 0.35}
    axes.legend(handles, labels, ncols=columns, handlelength=2.2, **place, **spacing, **options)


def mark_visits(axes: Axes, visits: Sequence[Visit], numbers: Sequence[int] | None = None) -> None:
    """Ticks at day 0 and the targets, with the visits' codes and, if given, how many there are."""
    more = [f"\nn = {n}" for n in numbers] if numbers is not None else [""] * len(visits)
    axes.set_xticks([0, *(each.target for each in visits)])
    labels = [f"{each.target}\n{each.code}{n}" for each, n in zip(visits, more, strict=True)]
    axes.set_xticklabels(["0", *labels])
    axes.set_xlabel(f"{DAYS}, with the visits' target days")


def describe(cohort: Cohort, members: Members, n: int, *more: str) -> str:
    """The caption of a plot that draws `n` of the members."""
    left_out = f"without data for this plot: {len(members) - n}" if n < len(members) else ""
    return build_caption(cohort, n, left_out, *more)
