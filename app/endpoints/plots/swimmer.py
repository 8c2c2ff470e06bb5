"""One line per participant along study time: daily dose as the bar's shade, responses, events,
rescue treatment and the end of participation as markers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes

from app.endpoints.analyses.responding import find_rule
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.dosing import Dosing, build_dosing
from app.endpoints.cohort.events import Event
from app.endpoints.cohort.horizon import find_end
from app.endpoints.cohort.members import Members
from app.endpoints.plots.framing import describe, mark_visits, open_frame, place_key
from app.endpoints.plots.style import INK, SOFT, render, say_nothing_to_draw, styled

NO_ONE = "No participant of this population has a first dose known to the day"

FEWEST, LANES = 8, 100
"""Room for so many participants at least; so many at most are drawn."""

LANE = 0.16
"""Inches of a participant's line."""

FAR_ABOVE, ABOVE, PLANNED, BELOW, NOT_TAKEN = "far above", "above", "planned", "below", "not taken"
"""A daily dose beside the protocol's maintenance dose; far is more than twice."""

LOOKS: dict[str, dict[str, Any]] = {
    FAR_ABOVE: {"facecolor": "0.45"},
    ABOVE: {"facecolor": "0.62"},
    PLANNED: {"facecolor": "0.85"},
    BELOW: {"facecolor": "1.0", "hatch": "//////"},
    NOT_TAKEN: {"facecolor": "1.0"},
}

_RIM = {"markeredgecolor": "1.0", "markeredgewidth": 0.8}
"""So that a black marker stands out from a dark bar."""

Mark = tuple[str, dict[str, Any]]
MARKS: dict[str, Mark] = {
    "response": ("first response", {"marker": "^", "markerfacecolor": "1.0", "markersize": 6}),
    "complete": ("first complete response", {"marker": "^", "markersize": 7, **_RIM}),
    "event": ("adverse event", {"marker": "|", "markersize": 8, "markeredgewidth": 1.2}),
    "serious": ("serious adverse event", {"marker": "X", "markersize": 7, **_RIM}),
    "rescue": ("first rescue treatment", {"marker": "D", "markersize": 6, **_RIM}),
    "ended": ("end of participation", {"marker": "s", "markersize": 6, "markerfacecolor": "1.0"}),
    "goes on": ("last data, still on study", {"marker": ">", "markersize": 5}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """Days are elapsed; `bars` are (first day, days, look), `marks` (day, name)."""

    number: str
    last: int
    bars: tuple[tuple[int, int, str], ...]
    marks: tuple[tuple[int, str], ...]


def draw_swimmer(cohort: Cohort, members: Members, form: str) -> bytes:
    """As `svg` or `png`; of more participants than LANES the first by number."""
    rows = [row for row in members.rows.tolist() if cohort.first_doses.dated[row]]
    lanes = list(_lanes(cohort, rows[:LANES]))
    lanes.sort(key=lambda each: (each.last, each.number))
    rule = f"responses: {find_rule(cohort).id}"
    cut = f"the first {LANES} by number drawn, {len(rows) - LANES} left out"
    with styled():
        told = (rule, cut if len(rows) > LANES else "", "line: observed, without a dose record")
        caption = describe(cohort, members, len(rows), *told)
        title = f"{cohort.request.definition.title}, by participant"
        height = 2.3 + LANE * max(len(lanes), FEWEST)
        figure, axes = open_frame(title, caption, height, key_lines=3)
        _prepare(cohort, axes, lanes)
        if not lanes:
            say_nothing_to_draw(axes, NO_ONE)
        _draw_lanes(cohort, axes, lanes)
        place_key(axes, 4)
        return render(figure, form)


def _lanes(cohort: Cohort, rows: Sequence[int]) -> Iterator[Lane]:
    drawn = set(rows)
    events: dict[int, list[Event]] = {}
    for event in cohort.events:
        if event.place in drawn:
            events.setdefault(event.place, []).append(event)
    for row in rows:
        dosing = build_dosing(cohort, row)
        if dosing is not None:
            yield _lane(cohort, row, dosing, events.get(row, ()))


def _lane(cohort: Cohort, row: int, dosing: Dosing, events: Sequence[Event]) -> Lane:
    ended = find_end(cohort, row)
    last = max(dosing.observed, dosing.last) - dosing.first
    marks = [(day, name) for day, name in _marks(cohort, row, dosing, events) if day <= last]
    end = (last, "goes on") if ended is None else (ended - dosing.first, "ended")
    return Lane(cohort.numbers[row], last, tuple(_bars(dosing)), (*marks, end))


def _bars(dosing: Dosing) -> Iterator[tuple[int, int, str]]:
    """Runs of days whose doses look the same; days without record have none."""
    told = [(day, _look(each.mg, dosing.plan.maintenance)) for day, each in dosing.days.items()]
    for (_, look), run in groupby(enumerate(told), lambda at: (at[1][0] - at[0], at[1][1])):
        days = [day for _, (day, _) in run]
        yield days[0] - dosing.first, len(days), look


def _look(mg: Fraction, planned: Fraction) -> str:
    if not mg:
        return NOT_TAKEN
    if mg > planned:
        return FAR_ABOVE if mg > 2 * planned else ABOVE
    return PLANNED if mg == planned else BELOW


def _marks(
    cohort: Cohort, row: int, dosing: Dosing, events: Sequence[Event]
) -> Iterator[tuple[int, str]]:
    responses = cohort.responses(find_rule(cohort))
    complete, first = int(responses.first_complete[row]), int(responses.first[row])
    if first >= 0 and first != complete:
        yield int(cohort.counts.elapsed[first]), "response"
    if complete >= 0:
        yield int(cohort.counts.elapsed[complete]), "complete"
    if row in cohort.rescues:
        day = cohort.day_of(cohort.rescues[row])
        assert day is not None
        yield day - dosing.first, "rescue"
    for event in events:
        if event.counts and event.start is not None:
            yield event.start - dosing.first, "serious" if event.serious else "event"


def _prepare(cohort: Cohort, axes: Axes, lanes: Sequence[Lane]) -> None:
    visits = cohort.protocol.visits
    mark_visits(axes, visits)
    first = min([0, *(day for lane in lanes for day, _ in lane.marks)])
    last = max([visits[-1].target, *(lane.last for lane in lanes)])
    axes.set_xlim(first - 0.02 * last, 1.03 * last)
    axes.set_ylim(-0.8, max(len(lanes), FEWEST) - 0.2)
    axes.set_yticks(range(len(lanes)))
    axes.set_yticklabels([each.number for each in lanes], fontsize=6)
    axes.tick_params(axis="y", length=0)


def _draw_lanes(cohort: Cohort, axes: Axes, lanes: Sequence[Lane]) -> None:
    for at, lane in enumerate(lanes):
        axes.plot([0, lane.last], [at, at], color=SOFT, linewidth=0.6, zorder=1)
    names = _name_looks(float(cohort.protocol.dosing.maintenance_dose))
    for look in LOOKS:
        label = names.get(look, look)
        for at, lane in enumerate(lanes):
            spans = [(start - 0.5, days) for start, days, each in lane.bars if each == look]
            if spans:
                _draw_spans(axes, spans, at, label, LOOKS[look])
                label = "_"
    _draw_marks(axes, lanes)


def _draw_marks(axes: Axes, lanes: Sequence[Lane]) -> None:
    for name, (label, look) in MARKS.items():
        marks = [
            (day, at) for at, lane in enumerate(lanes) for day, each in lane.marks if each == name
        ]
        if marks:
            days, heights = [day for day, _ in marks], [at for _, at in marks]
            axes.plot(days, heights, linestyle="none", color=INK, label=label, zorder=4, **look)


def _name_looks(planned: float) -> dict[str, str]:
    twice = 2 * planned
    return {
        FAR_ABOVE: f"> {twice:g} mg a day",
        ABOVE: f"> {planned:g} to {twice:g} mg",
        PLANNED: f"{planned:g} mg",
        BELOW: f"< {planned:g} mg",
    }


def _draw_spans(
    axes: Axes, spans: Sequence[tuple[float, float]], at: int, label: str, look: dict[str, Any]
) -> None:
    edge: dict[str, Any] = {"edgecolor": INK, "linewidth": 0.4, "zorder": 2}
    axes.broken_barh(spans, (at - 0.3, 0.6), label=label, **edge, **look)
