"""Hostile input is read or refused in bounded time: an alarm ends what takes longer.

Python computes `10**999999999` without ever answering, so nothing may be computed that a sender
merely wrote; and no reader may go over the same text again for every character of it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.mappings.formats.hl7v2.er7 import Message, Separators, parse_message, unescape
from app.mappings.frame import find_frames, has_more_headers
from app.mappings.parsing.units import CLASSES, load_ucum, parse_unit
from app.mappings.reasons import Failure, Reason
from tests.feed_support import map_bytes, message, msh, obr, obx, pid

MEGABYTE = 1_000_000


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails after so many seconds of this process's own work: other programs don't count."""

    def too_late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    former = signal.signal(signal.SIGPROF, too_late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)


PIECES = """
10* 10^ 10** 10E ^ * ** E e . / - + L uL m mm g ng mol % { } cells [ ] ' ( ) 9 99 999 999999999
10*99 10*999999999 1e9 G Y K x × ⁹ ⁹⁹⁹⁹ ９９９９ 万
"""
UNITS = st.one_of(
    st.lists(st.sampled_from(PIECES.split()), min_size=1, max_size=9).map("".join),
    st.text(st.sampled_from("0123456789*^E/.-+LmgunK{}[]()"), max_size=40),
    st.text(max_size=40),
)


@settings(max_examples=600, deadline=None)
@given(UNITS, st.sampled_from(sorted(CLASSES)))
@example("10*999999999/L", "count")
@example("10^999999999/L", "count")
@example("10**999999999/L", "count")
@example("10E999999999/L", "count")
@example("m999999999", "count")
@example("L-999999999", "count")
@example("10*-999999999/L", "mass")
@example("10⁹⁹⁹⁹⁹⁹⁹⁹⁹/L", "count")
def test_no_unit_takes_long(text: str, analyte_class: str) -> None:
    load_ucum()
    with within(2):
        parse_unit(text, analyte_class, {})


@pytest.mark.parametrize(
    "text", ["10*999/L", "10*100/L", "10^999999999/L", "10*3000000/uL", "m999/L", "10*9999/L"]
)
def test_a_power_of_more_than_two_digits_is_no_unit(text: str) -> None:
    with within(2):
        found = parse_unit(text, "count", {})
    assert isinstance(found, Failure)
    assert found.reason is Reason.UNIT_UNMAPPED


ESCAPES = {
    "hexadecimal that is no text": "\\XFF\\" * (MEGABYTE // 5),
    "hexadecimal that is text": "\\X41\\" * (MEGABYTE // 5),
    "one long hexadecimal": "\\X" + "FF" * (MEGABYTE // 2) + "\\",
    "hexadecimal that never ends": "\\X4" * (MEGABYTE // 3),
    "unpaired": "\\" * MEGABYTE,
    "unpaired with text": "\\a" * (MEGABYTE // 2),
    "unknown": "\\Q\\" * (MEGABYTE // 3),
    "spaces": "\\.sp99\\" * (MEGABYTE // 7),
}


@pytest.mark.parametrize("text", ESCAPES.values(), ids=ESCAPES)
def test_a_megabyte_of_escapes_is_read_in_one_pass(text: str) -> None:
    with within(3):
        read = unescape(text, Separators(), "utf-8")
    assert read


def test_a_run_of_bytes_that_is_no_text_stays_as_sent() -> None:
    assert unescape("a\\XFF\\\\XFF\\b\\F\\", Separators(), "utf-8") == "a\\XFF\\\\XFF\\b|"


RESULT = message(obr(), obx()).decode()
HOSTILE = {
    "components": message(msh(), pid(f3="^" * MEGABYTE), RESULT),
    "repetitions": message(msh(), pid(f3="~" * MEGABYTE), RESULT),
    "patient numbers": message(msh(), pid(f3="1^^^P^MR~" * (MEGABYTE // 9)), RESULT),
    "names": message(msh(), pid(f5="a^b~" * (MEGABYTE // 4)), RESULT),
    "fields": message(msh(), pid(), obr(), "OBX" + "|" * MEGABYTE),
    "value": message(msh(), pid(), obr(), obx(value="9" * MEGABYTE)),
    "value of repetitions": message(msh(), pid(), obr(), obx(value="1~" * (MEGABYTE // 2))),
    "value of escapes": message(msh(), pid(), obr(), obx(value="\\XFF\\" * (MEGABYTE // 5))),
    "flags": message(msh(), pid(), obr(), obx(f8="A~" * (MEGABYTE // 2))),
    "charsets": message(msh(f18="X~" * (MEGABYTE // 2)), pid(), obr(), obx()),
    "no line end": b"MSH|^~\\&|" + b"x" * MEGABYTE,
    "notes": message(msh(), pid(), obr(), obx(), *(["NTE|1|L|no"] * (MEGABYTE // 12))),
    "orders": message(msh(), pid(), *(["OBR|1"] * 15_000)),
    "results": message(msh(), pid(), "OBR|1", *(["OBX|1"] * 15_000)),
    "specimens": message(msh(), pid(), "OBR|1", *(["SPM|1"] * 7_000), *([obx(f14="")] * 7_000)),
    "patients": message(msh(), *(["PID|1"] * 15_000)),
    "segments": message(msh(), pid(), *(["OBX|1"] * 200_000)),
    "line ends": message(msh(), pid(), obr(), obx()) + b"\r" * MEGABYTE,
    "blanks": message(msh(), pid(), obr(), obx()) + b" \r" * MEGABYTE,
    "continuations": message(msh(), pid(), obr(), obx()) + b"a\n" * 150_000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_message_is_read_or_refused_in_bounded_time(data: bytes) -> None:
    with within(6):
        facts = map_bytes(data)
    assert facts
    assert all(fact.outcome or fact.candidate for fact in facts)


@pytest.mark.parametrize(
    "body",
    [
        b"MSH|\r" * (MEGABYTE // 5),
        b"FHS|\rBHS|\r" * (MEGABYTE // 10),
        b"\r" * MEGABYTE,
        b"\r" + b" " * MEGABYTE,
        b"MSH" * (MEGABYTE // 3),
    ],
)
def test_a_hostile_delivery_is_cut_in_bounded_time(body: bytes) -> None:
    with within(4):
        find_frames(body)


@pytest.mark.parametrize("piece", [b"MSH|\r", b"FHS|\rBHS|\r", b"MSH"])
def test_too_many_messages_are_seen_without_finding_all(piece: bytes) -> None:
    with within(4):
        assert has_more_headers(piece * (16 * MEGABYTE // len(piece)), 10_000) == (b"|" in piece)


def test_a_message_of_too_many_segments_is_refused_but_known_by_its_header() -> None:
    data = message(msh(f10="LONG"), *(["OBX|1"] * 20_001))
    read = parse_message(data, "utf-8")
    assert isinstance(read, Message)
    assert read.control_id == "LONG"
    (fact,) = map_bytes(data)
    assert fact.reason is Reason.STRUCTURE
