"""How every plot looks and is written: one face, told apart by line and marker instead of colour,
with a caption that says of whom and as of when; the same request gives the same bytes.

Only matplotlib's object interface is used: `pyplot` keeps figures in a global state.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import wrap
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.endpoints.answers import format_instant
from app.endpoints.cohort.cohort import Cohort

WIDTH = 7.5
"""Inches; heights are each plot's own."""

DPI = 144

INK = "0.0"
SOFT = "0.45"
SHADE = "0.86"
"""Greys: lines and text, second-rank lines, areas."""

LINES = ("-", "--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "x")
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
"""In this order for the groups of a plot, so that they differ without colour."""

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "1.0",
    "savefig.facecolor": "1.0",
    "svg.hashsalt": "ssci",
    "svg.fonttype": "path",
    "path.simplify": False,
}

CAPTION_SIZE = 7
CAPTION_CHARACTERS = 128
CAPTION_LINE = 0.15
"""Inches of one line of the caption."""


@contextmanager
def styled() -> Iterator[None]:
    """Everything is drawn and written inside this, whatever the machine's own settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), dpi=DPI)


def build_caption(cohort: Cohort, n: int, *more: str) -> str:
    """Number of participants, population, both clocks and the definition, then `more`."""
    request = cohort.request
    definition = request.definition
    population = cohort.protocol.populations[request.population].title
    parts = (
        f"n = {n}",
        population,
        f"data cut {request.cut.cutoff}",
        f"as known at {format_instant(request.cut.as_of)}",
        f"{definition.id} {definition.version}",
        *more,
    )
    return " · ".join(part for part in parts if part)


def place_title(figure: Figure, text: str, left: float) -> None:
    """At the head, beginning at `left` (0 to 1 of the width)."""
    top = 1 - 0.1 / float(figure.get_figheight())
    figure.text(left, top, text, ha="left", va="top", fontsize=10, fontweight="bold", color=INK)


def place_caption(figure: Figure, text: str) -> float:
    """Writes the caption at the foot; how much of the figure's height it takes (0 to 1)."""
    lines = wrap(text, CAPTION_CHARACTERS)
    height = float(figure.get_figheight())
    figure.text(
        0.012,
        0.06 / height,
        "\n".join(lines),
        ha="left",
        va="bottom",
        fontsize=CAPTION_SIZE,
        color=INK,
        linespacing=1.35,
    )
    return (0.12 + CAPTION_LINE * len(lines)) / height


def say_nothing_to_draw(axes: Axes, why: str) -> None:
    """An empty plot that says why it is empty."""
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes, color=INK)


def render(figure: Figure, form: str) -> bytes:
    """The figure as `svg` or `png`, without date or software in it."""
    written = io.BytesIO()
    nothing = {"svg": ("Date", "Creator"), "png": ("Software",)}[form]
    figure.savefig(written, format=form, metadata=dict.fromkeys(nothing))
    return written.getvalue()
