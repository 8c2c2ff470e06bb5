"""Every plot of the catalogue: the same bytes twice, n and data cut in it, and no one, one
participant and a thousand drawn as well as a few."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from xml.etree import ElementTree

import pytest

from app.endpoints.analyses.answering import compute_answer
from app.endpoints.analyses.timeline import compute_timeline
from app.endpoints.catalogue import CATALOGUE, TIMELINE_TABLES
from app.endpoints.plots.drawing import PLOTS
from app.endpoints.reading.records import Dose, Measurement, Rows, Subject
from app.endpoints.shell import needs_of
from tests.activity_support import read_scores
from tests.endpoint_support import (
    ask,
    build_tables,
    enrol_all,
    read_counts,
    read_doses,
    read_subjects,
    read_treatments,
)
from tests.event_support import read_events
from tests.response_support import T0, day, read_bleeding, read_courses, repeat_courses

ALL = [(endpoint, plot) for endpoint, entry in CATALOGUE.items() for plot in entry.plots]
OURS = [each for each in ALL if each[1] != "kaplan-meier"]
FORMS = ("svg", "png")
PNG = b"\x89PNG\r\n\x1a\n"

COURSES = """
    subject  | base | M1 | M2  | M4  | M6  | M12
    SSCI-001 | 20   | 40 | 120 | 130 | 150 | 140
    SSCI-002 | 10   | 35 | 40  | 45  | 50  | 40
    SSCI-003 | 15   | 12 | 10  | 14  |     |
"""


def build_trial():
    """Three participants with everything that any plot marks."""
    doses = "subject | taken | last | mg | status | origin | total | id\n" + "\n".join(
        (
            f"SSCI-001 | {day(1)}T08:00 | | 1 | | | | a1",
            f"SSCI-001 | {day(2)} | {day(40)} | | | pill-count | 78 | a2",
            f"SSCI-001 | {day(41)} | | | not-done | diary | | a3",
            f"SSCI-002 | {day(1)}T08:00 | | 0.5 | | | | a4",
        )
    )
    levels = "subject | collected | value\n" + "\n".join(
        (
            f"SSCI-001 | {day(2)}T07:00 | 5",
            f"SSCI-001 | {day(30)} | 8",
            f"SSCI-002 | {day(61)} | 12",
            "SSCI-002 | 2019-03 | 9",
        )
    )
    return (
        *read_courses(COURSES),
        *read_doses(doses),
        *read_counts(levels, "sirolimus"),
        *read_treatments(
            "subject | given | last | kind | group\n"
            f"SSCI-003 | {day(40)} | | rescue | platelet-transfusion\n"
            f"SSCI-001 | {day(-90)} | - | background | steroid"
        ),
        *read_events(
            "subject | onset | ended | term | grade | serious\n"
            f"SSCI-001 | {day(20)} | {day(30)} | Mouth ulcer | 2 | no\n"
            f"SSCI-003 | {day(50)} | | Pneumonia | 3 | yes"
        ),
        *read_bleeding("subject | on | grade\nSSCI-001 | 30 | 0\nSSCI-003 | 30 | 2"),
        *read_scores(f"subject | assessed | value\nSSCI-001 | {day(0)} | 8"),
    )


def draw(endpoint, plot, form, records, **changes):
    asked = ask(endpoint, records, view=f"plot:{plot}")
    return compute_answer(replace(asked.request, format=form, **changes), asked.tables)


def written(endpoint, plot, records):
    """The texts of the SVG, which stand in comments beside their outlines."""
    svg = draw(endpoint, plot, "svg", records).decode()
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    return texts_of(svg)


def texts_of(svg):
    return unescape(" ".join(re.findall(r"<!-- (.*?) -->", svg, re.DOTALL)))


def test_every_plot_of_the_catalogue_is_registered_and_every_registered_one_is_in_it():
    assert sorted(PLOTS) == sorted(ALL)


@pytest.mark.parametrize(("endpoint", "plot"), ALL)
def test_a_plot_reads_no_table_that_its_entry_does_not_name(endpoint, plot):
    """Drawn over nothing but what the web worker sends; a table that was not read is an error."""
    asked = ask(endpoint, build_trial(), view=f"plot:{plot}")
    sent = needs_of(asked.request) | {Subject, Measurement, Dose}
    rows = Rows({kind: asked.tables.rows.all(kind) for kind in sent})
    tables = replace(asked.tables, rows=rows)
    assert compute_answer(replace(asked.request, format="png"), tables).startswith(PNG)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("endpoint", "plot"), ALL)
def test_the_same_request_is_drawn_to_the_same_bytes_whatever_the_order_of_rows(
    endpoint, plot, form
):
    records = build_trial()
    first, second = (draw(endpoint, plot, form, each) for each in (records, records[::-1]))
    assert first == second
    assert first.startswith(PNG if form == "png" else b"<?xml")
    assert b"Matplotlib" not in first


@pytest.mark.parametrize(("endpoint", "plot"), ALL)
def test_the_caption_says_of_how_many_of_whom_and_as_of_when(endpoint, plot):
    told = written(endpoint, plot, build_trial())
    assert re.search(r"n = [1-3] · (Efficacy|Safety) set · ", told)
    assert "data cut 2030-01-01" in told
    assert "as known at 2030-01-02T00:00:00.000000Z" in told


EMPTY = {
    "change": "No participant of this population has a baseline and a count at a visit",
    "waterfall": "No participant of this population has a baseline and a count at a visit",
    "trough": "No sirolimus level of this population can be drawn",
    "swimmer": "No participant of this population has a first dose known to the day",
    "rates": "No participant in this population",
}


@pytest.mark.parametrize(("endpoint", "plot"), OURS)
def test_a_plot_of_no_one_is_empty_and_says_so(endpoint, plot):
    records = read_subjects("subject | consent\nSSCI-001 | yes")
    told = written(endpoint, plot, records)
    assert EMPTY[plot] in told
    assert "n = 0 ·" in told


@pytest.mark.parametrize(("endpoint", "plot"), OURS)
@pytest.mark.parametrize("records", [(), build_trial()[:1]])
def test_a_plot_of_a_trial_without_records_is_drawn_too(endpoint, plot, records):
    assert "n = 0 ·" in written(endpoint, plot, records)


@pytest.mark.parametrize(("endpoint", "plot"), OURS)
def test_one_participant_is_drawn(endpoint, plot):
    records = [each for each in build_trial() if each.subject == "SSCI-001"]
    assert "n = 1 ·" in written(endpoint, plot, records)


def test_beyond_forty_participants_their_own_lines_are_left_out():
    header = "base | M1 | M6"
    few = written("platelet-change", "change", repeat_courses([(40, "20 | 30 | 90")], header))
    many = written("platelet-change", "change", repeat_courses([(41, "20 | 30 | 90")], header))
    assert "n = 40 ·" in few
    assert "thin lines: participants" in few
    assert "participants' lines left out" in many


@pytest.mark.parametrize(
    ("endpoint", "plot", "says"),
    [
        ("platelet-change", "change", "lines left out"),
        ("platelet-change", "waterfall", "sorted changes as a line"),
        ("exposure", "swimmer", "the first 100 by number drawn"),
        ("response-rate", "rates", "n = 1001"),
    ],
)
def test_more_than_a_thousand_participants_are_drawn_without_a_line_each(endpoint, plot, says):
    records = repeat_courses([(600, "20 | 30 | 150"), (401, "20 | 30 | 20")], "base | M1 | M6")
    told = written(endpoint, plot, records)
    assert says in told
    assert "n = 1001 ·" in told
    assert len(draw(endpoint, plot, "svg", records)) < 1_500_000


def test_beyond_a_thousand_bars_there_are_no_bars_by_response():
    few, many = (
        written("platelet-change", "waterfall", repeat_courses([(n, "20 | 150")], "base | M1"))
        for n in (1000, 1001)
    )
    assert "Complete response (1000)" in few
    assert "Complete response" not in many


def test_valid_troughs_are_told_from_those_before_steady_state():
    doses = "taken | mg | id\n" + "\n".join(f"{day(n)}T08:00 | 1 | d{n}" for n in range(30))
    levels = "collected | value\n" + "\n".join(f"{day(n)}T07:30 | 8" for n in (2, 20, 25))
    taken, found = read_doses(doses), read_counts(levels, "sirolimus")
    told = written("trough-in-range", "trough", (*enrol_all(taken), *taken, *found))
    assert "valid trough (2)" in told
    assert "not steady state (1)" in told
    assert "lines: one participant's valid troughs" in told


def test_levels_of_more_than_a_thousand_participants_are_drawn_as_quartiles():
    numbers = [f"T-{number:04}" for number in range(1001)]
    doses = read_doses("subject | taken | mg\n" + "\n".join(f"{n} | {T0} | 2" for n in numbers))
    at = f"{day(30)}T08:00"
    levels = read_counts(
        "subject | collected | value\n" + "\n".join(f"{n} | {at} | 8" for n in numbers),
        "sirolimus",
    )
    told = written("trough-in-range", "trough", (*enrol_all(doses), *doses, *levels))
    assert "median and quartiles per visit" in told


def test_levels_are_told_apart_by_what_they_are_worth():
    told = written("trough-in-range", "trough", build_trial())
    assert "range 6 to 15" in told
    assert "timing unknown (" in told
    assert "levels without day or usable value, not drawn: 1" in told


def test_the_waterfall_tells_the_responses_apart():
    told = written("platelet-change", "waterfall", build_trial())
    assert "Complete response (1)" in told
    assert "Partial response (1)" in told
    assert "No response (1)" in told


def test_the_swimmers_are_told_by_number_with_what_happened_to_them():
    told = written("exposure", "swimmer", build_trial())
    shown = ("SSCI-003", "first rescue treatment", "serious adverse event", "first response")
    assert [each for each in shown if each not in told] == []


def draw_one(number, form, records):
    asked = ask("platelet-change", records, population="enrolled", view=f"timeline:{number}")
    tables = build_tables([each for each in records if each.subject == number])
    return compute_timeline(replace(asked.request, format=form), tables)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", ["SSCI-001", "SSCI-003", "SSCI-999"])
def test_a_timeline_is_drawn_to_the_same_bytes(number, form):
    records = build_trial()
    first, second = (draw_one(number, form, each) for each in (records, records[::-1]))
    assert first == second
    assert first.startswith(PNG if form == "png" else b"<?xml")


def test_a_timeline_shows_counts_doses_levels_and_events_of_one_participant():
    told = texts_of(draw_one("SSCI-001", "svg", build_trial()).decode())
    shown = ("Participant SSCI-001", "AE: Mouth ulcer", "Background: steroid", "SLEDAI-2K", "CR")
    assert [each for each in shown if each not in told] == []
    assert "n = 1 · SSCI-001 · data cut 2030-01-01" in told


def test_a_timeline_of_who_has_no_record_is_empty_and_says_so():
    told = texts_of(draw_one("SSCI-999", "svg", build_trial()).decode())
    assert "Nothing that has a place in study time is known under this cut" in told
    assert "n = 0 ·" in told


def test_a_timeline_reads_every_table_that_it_draws():
    kinds = {type(each) for each in build_trial()}
    assert kinds - TIMELINE_TABLES == {Subject}
