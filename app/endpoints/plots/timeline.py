"""One participant's platelets, doses, troughs and events on one time axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.endpoints.analyses.timeline import build_timeline
from app.endpoints.answers import Answer
from app.endpoints.cohort.cohort import Cohort
from app.endpoints.cohort.troughs import SIROLIMUS
from app.endpoints.plots.framing import mark_visits
from app.endpoints.plots.style import (
    INK,
    SHADE,
    SOFT,
    new_figure,
    place_caption,
    place_title,
    render,
    say_nothing_to_draw,
    styled,
)
from app.endpoints.plots.trough import LOOKS, OTHER, draw_range

NOTHING = "Nothing that has a place in study time is known under this cut"

HEIGHTS = (1.9, 0.9, 1.4)
"""Inches of platelets, doses and troughs."""

EARLIEST = -60
"""Elapsed days: what began earlier begins at the edge, with an arrow."""

LANE = 0.17
LANES = 40
GAP = 0.3
LEFT = 1.75
LETTERS = 28
"""Inches of a lane of events, how many at most, between panels, left of them; letters of a name."""


@dataclass(frozen=True, slots=True)
class Span:
    """Elapsed days; `last` is None of what goes on, and `first` of a moment."""

    first: int
    last: int | None
    goes_on: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """`marker` of a moment; without one the spans' texts are written, or bars drawn."""

    name: str
    marker: str | None
    spans: tuple[Span, ...]


def draw_timeline(cohort: Cohort, number: str, form: str) -> bytes:
    """As `svg` or `png`; an empty plot says why it is empty."""
    told = build_timeline(cohort, number)
    lanes = list(_lanes(told))
    with styled():
        figure, panels = _open(told, lanes[:LANES], _caption(told, len(lanes)))
        platelets, doses, troughs, events = panels
        last = _prepare(cohort, panels, told)
        _draw_platelets(cohort, platelets, told)
        _draw_doses(doses, told)
        _draw_troughs(cohort, troughs, told)
        _draw_lanes(events, lanes[:LANES], last)
        if not any(_all_days(told)):
            say_nothing_to_draw(platelets, NOTHING)
        return render(figure, form)


def _caption(told: Answer, lanes: int) -> str:
    lists = ("platelets", "levels", "adverseEvents", "treatments", "bleeding", "activity")
    entries = [each for name in lists for each in told[name]]
    undated = sum(each["studyDay"] is None for each in entries)
    unused = sum(each["value"] is None for name in lists[:2] for each in told[name])
    parts = (
        "n = 1" if told["participation"] else "n = 0",
        told["subject"],
        f"data cut {told['cutoff']}",
        f"as known at {told['asOf']}",
        f"responses: {told['rule']}",
        f"entries without study day, not drawn: {undated}" if undated else "",
        f"counts and levels without usable number, not drawn: {unused}" if unused else "",
        f"kinds of events left out: {lanes - LANES}" if lanes > LANES else "",
    )
    return " · ".join(part for part in parts if part)


def _open(told: Answer, lanes: Sequence[Lane], caption: str) -> tuple[Figure, list[Axes]]:
    heights = (*HEIGHTS, LANE * (max(len(lanes), 3) + 1))
    height = sum(heights) + GAP * 3 + 1.5
    figure = new_figure(height)
    width = float(figure.get_figwidth())
    foot = place_caption(figure, caption) * height + 0.62
    panels: list[Axes] = []
    for each in reversed(heights):
        share: dict[str, Any] = {"sharex": panels[0]} if panels else {}
        place = (LEFT / width, foot / height, 0.97 - LEFT / width, each / height)
        panels.append(figure.add_axes(place, **share))
        foot += each + GAP
    place_title(figure, f"Participant {told['subject']}", 0.012)
    return figure, panels[::-1]


def _elapsed(entry: Answer | None) -> int | None:
    """SDTM's study day has no 0."""
    day = entry["studyDay"] if entry else None
    return None if day is None else int(day) - (day > 0)


def _placed(entries: Sequence[Answer]) -> list[tuple[int, Answer]]:
    """Those with a day, which is elapsed."""
    found = ((_elapsed(each), each) for each in entries)
    return [(day, each) for day, each in found if day is not None]


def _all_days(told: Answer) -> Iterator[list[tuple[int, Answer]]]:
    for name in ("platelets", "doses", "levels", "adverseEvents", "treatments", "visits"):
        yield _placed(told[name])


def _prepare(cohort: Cohort, panels: Sequence[Axes], told: Answer) -> int:
    """Shares the time axis; the last day of it that anything is known of."""
    found = [day for each in _all_days(told) for day, _ in each]
    found += [day for each in told["doses"] if (day := _elapsed(each["last"])) is not None]
    ended = _elapsed((told["participation"] or {}).get("ended"))
    last = max([0, *found, *([] if ended is None else [ended])])
    visits = cohort.protocol.visits
    end = max(last, visits[-1].target)
    first = max(min([0, *found]), EARLIEST)
    mark_visits(panels[-1], visits)
    panels[-1].set_xlim(first - 0.02 * end, 1.03 * end)
    for axes in panels:
        axes.axvline(0, color=SOFT, linewidth=0.6, zorder=0)
        for visit in visits:
            axes.axvline(visit.target, color="0.6", linewidth=0.6, linestyle=":", zorder=-1)
        if ended is not None:
            axes.axvline(ended, color=INK, linewidth=1.0, linestyle="--", zorder=1)
        if axes is not panels[-1]:
            axes.tick_params(axis="x", labelbottom=False)
    if ended is not None:
        above: dict[str, Any] = {"transform": panels[0].get_xaxis_transform()}
        panels[0].text(ended, 1.13, "end of participation", fontsize=7, ha="right", **above)
    return last


def _draw_platelets(cohort: Cohort, axes: Axes, told: Answer) -> None:
    rule = next(each for each in cohort.protocol.response_rules if each.id == told["rule"])
    limit = float(rule.complete_threshold)
    found = [(day, each) for day, each in _placed(told["platelets"]) if each["value"] is not None]
    axes.set_ylabel(f"Platelets\n({cohort.protocol.measurements['platelets'].unit})")
    axes.axhline(limit, color=SOFT, linewidth=0.7, linestyle="--", zorder=1)
    axes.set_ylim(0, 1.12 * max([limit, *(each["value"] for _, each in found)]))
    days, values = [day for day, _ in found], [each["value"] for _, each in found]
    axes.plot(days, values, color=INK, linewidth=1.0, zorder=2)
    for after in (False, True):
        at = [(day, each["value"]) for day, each in found if each["afterRescue"] == after]
        face: dict[str, Any] = {"markerfacecolor": "1.0"} if after else {}
        marks = axes.plot([], [], color=INK, linestyle="none", marker="o", zorder=3, **face)
        marks[0].set_data([day for day, _ in at], [value for _, value in at])
    _write_responses(axes, told)


def _write_responses(axes: Axes, told: Answer) -> None:
    """Above the targets, where it is judged; what the signs mean on the left."""
    across: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "fontsize": 7}
    for each in told["responses"]:
        day = _elapsed(each["target"])
        if day is not None and each["response"] is not None:
            axes.text(day, 1.02, each["response"], ha="center", va="bottom", **across)
    beside: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 6, "color": INK}
    signs = "response per visit:\nabove the panel\nopen: after rescue\ndashed: complete"
    axes.text(-0.295, 0.5, signs, ha="left", va="center", linespacing=1.4, **beside)


def _draw_doses(axes: Axes, told: Answer) -> None:
    axes.set_ylabel("Sirolimus\n(mg/d)")
    highest = max([1.0, *(each["mg"] for each in told["doses"])])
    axes.set_ylim(0, 1.15 * highest)
    for day, run in _placed(told["doses"]):
        look: dict[str, Any] = {"facecolor": "0.72", "edgecolor": INK, "linewidth": 0.5}
        if run["mg"]:
            hatch = {"hatch": "////", "facecolor": "1.0"} if run["origin"] == "pill-count" else {}
            place = {"width": run["days"], "align": "edge"}
            axes.bar(day - 0.5, run["mg"], **place, **(look | hatch))
        else:
            middle = day + (run["days"] - 1) / 2
            axes.plot([middle], [0.06 * highest], marker="x", color=INK, markersize=4)
    beside: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 6, "color": INK}
    signs = "hatched: share of\na pill count\nx: not taken"
    axes.text(-0.295, 0.5, signs, ha="left", va="center", linespacing=1.4, **beside)


def _draw_troughs(cohort: Cohort, axes: Axes, told: Answer) -> None:
    axes.set_ylabel(f"Level\n({cohort.protocol.measurements[SIROLIMUS].unit})")
    found = [(day, each) for day, each in _placed(told["levels"]) if each["value"] is not None]
    highest = max([float(cohort.protocol.trough.high), *(each["value"] for _, each in found)])
    axes.set_ylim(0, 1.1 * highest)
    draw_range(cohort, axes)
    for kind, (_, look) in LOOKS.items():
        of_kind = [at for at in found if _kind(at[1]) == kind]
        marker: dict[str, Any] = {"linestyle": "none", "color": INK, "markeredgewidth": 0.9}
        days, values = [day for day, _ in of_kind], [each["value"] for _, each in of_kind]
        axes.plot(days, values, **marker, **look)
    beside: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 6, "color": INK}
    signs = "dot: valid trough\ntriangle: timing\n  unknown\nx: not steady state\n+: no trough"
    axes.text(-0.295, 0.5, signs, ha="left", va="center", linespacing=1.4, **beside)


def _kind(level: Answer) -> str:
    return str(level["trough"]) if level["trough"] in LOOKS else OTHER


def _lanes(told: Answer) -> Iterator[Lane]:
    yield _moments("Visits", "|", told["visits"], "visit")
    yield _moments("Bleeding (WHO grade)", None, told["bleeding"], "grade")
    for name in sorted({each["instrument"] for each in told["activity"]}):
        scores = [each for each in told["activity"] if each["instrument"] == name]
        yield _moments(name, None, scores, "value")
    given = [each for each in told["treatments"] if each["kind"] != "prescribed"]
    for kind, group in sorted({(each["kind"], each["class"]) for each in given}, reverse=True):
        rows = [each for each in given if (each["kind"], each["class"]) == (kind, group)]
        if kind == "rescue":
            yield Lane(f"Rescue: {group}", "D", tuple(_spans(rows)))
        else:
            yield Lane(f"{kind.capitalize()}: {group}", None, tuple(_spans(rows)))
    for term in sorted({str(each["term"]) for each in told["adverseEvents"]}):
        rows = [each for each in told["adverseEvents"] if str(each["term"]) == term]
        name = f"AE: {term}" if term != "None" else "AE: term not recorded"
        yield Lane(name, None, tuple(_spans(rows)))


def _moments(name: str, marker: str | None, rows: Sequence[Answer], key: str) -> Lane:
    """Of one day each, told by `key` where there is no marker."""
    used = [(day, each) for day, each in _placed(rows) if not each["notUsed"]]
    texts = [(day, each[key]) for day, each in used if each[key] is not None]
    spans = (Span(day, day, False, "" if marker else _short(text)) for day, text in texts)
    return Lane(name, marker, tuple(spans))


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _spans(rows: Sequence[Answer]) -> Iterator[Span]:
    for day, each in _placed(rows):
        if not each["notUsed"]:
            last = _elapsed(each["last"])
            yield Span(day, last, last is None, _about(each))


def _about(entry: Answer) -> str:
    if "grade" not in entry:
        return ""
    grade = "" if entry["grade"] is None else f"G{entry['grade']}"
    return f"{grade} serious".strip() if entry["serious"] else grade


def _draw_lanes(axes: Axes, lanes: Sequence[Lane], last: int) -> None:
    axes.set_ylim(max(len(lanes), 3) - 0.3, -0.7)
    axes.set_yticks(range(len(lanes)))
    axes.set_yticklabels([_clip(lane.name) for lane in lanes], fontsize=7)
    axes.tick_params(axis="y", length=0)
    for at, lane in enumerate(lanes):
        axes.axhline(at, color="0.85", linewidth=0.4, zorder=0)
        for span in lane.spans:
            _draw_span(axes, at, lane, span, last)


def _clip(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _draw_span(axes: Axes, at: int, lane: Lane, span: Span, last: int) -> None:
    centred: dict[str, Any] = {"fontsize": 6, "va": "center", "clip_on": True, "zorder": 4}
    if lane.marker:
        look: dict[str, Any] = {"color": INK, "linestyle": "none", "markersize": 5}
        axes.plot([span.first], [at], marker=lane.marker, zorder=3, **look)
    elif span.first == span.last and span.text and not lane.name.startswith("AE"):
        axes.text(span.first, at, span.text, ha="center", **centred)
    else:
        end = max(last, span.first) if span.last is None else span.last
        look = {"facecolor": SHADE, "edgecolor": INK, "linewidth": 0.5, "zorder": 2}
        first = max(span.first, EARLIEST)
        if end < first:
            return
        axes.broken_barh([(first - 0.5, end - first + 1)], (at - 0.28, 0.56), **look)
        if span.first < first:
            axes.plot([first - 0.5], [at], marker="<", markersize=4, color=INK, zorder=3)
        if span.goes_on:
            axes.plot([end + 0.5], [at], marker=">", markersize=4, color=INK, zorder=3)
        axes.text(end + 3, at, span.text, ha="left", **centred)
