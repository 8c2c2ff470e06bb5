"""The best platelet change of every participant as a bar, the best response as its pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from app.endpoints.analyses.platelet_change import list_asked
from app.endpoints.analyses.responding import find_rule
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.members import Members
from app.endpoints.cohort.responses import COMPLETE, NO_RESPONSE, PARTIAL, UNJUDGED
from app.endpoints.plots.change import NO_ONE, find_changes
from app.endpoints.plots.framing import FEW, MANY, describe, open_frame, place_key
from app.endpoints.plots.style import INK, SHADE, SOFT, render, say_nothing_to_draw, styled

PATTERNED = 100
"""Up to so many bars are wide enough for a pattern; beyond they are grey."""

POINTS = 500
"""Of the curve that stands for more bars than can be drawn."""

KINDS = (
    (COMPLETE, "Complete response", {"facecolor": "0.25"}, "0.0"),
    (PARTIAL, "Partial response", {"facecolor": "1.0", "hatch": "/////"}, "0.45"),
    (NO_RESPONSE, "No response", {"facecolor": "1.0"}, "0.72"),
    (UNJUDGED, "Not judged", {"facecolor": "1.0", "hatch": "....."}, "0.9"),
)
"""Level, its name, how a wide bar and in which grey a narrow one is filled."""


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """By participant, the greatest change first: subject number, change, best response."""

    numbers: tuple[str, ...]
    changes: NDArray[np.float64]
    levels: NDArray[np.int8]


def draw_waterfall(cohort: Cohort, members: Members, form: str) -> bytes:
    """As `svg` or `png`."""
    best = _find_best(cohort, members)
    n = len(best.changes)
    rule = f"best response of any count under {find_rule(cohort).id}"
    curve = f"more than {MANY}: sorted changes as a line, responses left out"
    kind = "best change: the greatest at any visit, counts after rescue treatment set aside"
    with styled():
        caption = describe(cohort, members, n, kind, rule if n <= MANY else curve)
        figure, axes = open_frame(f"{cohort.request.definition.title}: best change", caption, 4.6)
        axes.set_ylabel(f"Best change ({cohort.protocol.measurements['platelets'].unit})")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlim(-1, max(n, 1))
        if not n:
            say_nothing_to_draw(axes, NO_ONE)
        elif n > MANY:
            _draw_curve(axes, best)
        else:
            _draw_bars(axes, best)
        _label(axes, best)
        return render(figure, form)


def _find_best(cohort: Cohort, members: Members) -> Best:
    changes = find_changes(cohort, members)[:, list_asked(cohort)]
    known = ~np.isnan(changes).all(axis=1)
    rows, greatest = members.rows[known], np.nanmax(changes[known], axis=1, initial=-np.inf)
    levels = cohort.responses(find_rule(cohort)).best(cohort.counts.subject, len(cohort))
    order = np.argsort(-greatest, kind="stable")
    numbers = tuple(cohort.numbers[row] for row in rows[order].tolist())
    return Best(numbers, greatest[order], levels[rows[order]])


def _draw_bars(axes: Axes, best: Best) -> None:
    wide = len(best.changes) <= PATTERNED
    for level, name, filled, grey in KINDS:
        at = np.flatnonzero(best.levels == level)
        if not len(at):
            continue
        look: dict[str, Any] = {"edgecolor": INK, "linewidth": 0.7, **filled}
        if not wide:
            look = {"facecolor": grey, "linewidth": 0}
        label = f"{name} ({len(at)})"
        axes.bar(at, best.changes[at], width=0.8 if wide else 1.0, label=label, **look)
    place_key(axes, len(KINDS))


def _draw_curve(axes: Axes, best: Best) -> None:
    at = np.unique(np.linspace(0, len(best.changes) - 1, POINTS).astype(np.intp))
    axes.fill_between(at, best.changes[at], step="mid", facecolor=SHADE, edgecolor=SOFT)
    axes.plot(at, best.changes[at], color=INK, drawstyle="steps-mid")


def _label(axes: Axes, best: Best) -> None:
    """Subject numbers while they are few."""
    axes.set_xticks([])
    axes.set_xlabel("Participants, the greatest change first")
    if 0 < len(best.numbers) <= FEW:
        axes.set_xticks(range(len(best.numbers)))
        axes.set_xticklabels(best.numbers, rotation=90, fontsize=6)
        axes.tick_params(axis="x", length=0)
