"""MLLP blocks in a stream. HL7 "Transport Specification: MLLP", release 2."""

from __future__ import annotations

import pytest

from app.mappings.mllp.blocks import Block, Event, Framing, HalfBlock, TooLarge, wrap

ONE = b"MSH|^~\\&|LIS\rPID|1\r"
TWO = b"MSH|^~\\&|HIS\rPID|2\r"


def events_of(*chunks: bytes, limit: int = 1000) -> list[Event]:
    framing = Framing(limit)
    found = [event for chunk in chunks for event in framing.feed(chunk)]
    return found + framing.close()


def test_a_block_is_what_stands_between_start_and_end() -> None:
    assert events_of(wrap(ONE)) == [Block(ONE)]


def test_pipelined_blocks_keep_their_order() -> None:
    assert events_of(wrap(ONE) + wrap(TWO)) == [Block(ONE), Block(TWO)]


@pytest.mark.parametrize("between", [b"\0", b"\r\n", b"\x00\x00PING\r", b"\x1c\r", b"\x1c"])
def test_what_stands_between_blocks_is_passed_over_and_counted(between: bytes) -> None:
    framing = Framing(1000)
    given = between + wrap(ONE) + between + wrap(TWO) + between
    assert framing.feed(given) == [Block(ONE), Block(TWO)]
    assert framing.outside == 3 * len(between)


@pytest.mark.parametrize("cut", range(1, len(wrap(ONE) + wrap(TWO))))
def test_where_the_stream_is_cut_changes_nothing(cut: int) -> None:
    stream = wrap(ONE) + wrap(TWO)
    assert events_of(stream[:cut], stream[cut:]) == [Block(ONE), Block(TWO)]


def test_an_end_without_cr_waits_for_it_and_is_then_settled() -> None:
    framing = Framing(1000)
    assert framing.feed(b"\x0b" + ONE + b"\x1c") == []
    assert framing.awaits_last_byte
    assert framing.settle() == [Block(ONE)]
    assert framing.feed(b"\r" + wrap(TWO)) == [Block(TWO)]


def test_an_end_without_cr_is_settled_by_the_next_start() -> None:
    assert events_of(b"\x0b" + ONE + b"\x1c" + wrap(TWO)) == [Block(ONE), Block(TWO)]


def test_an_end_with_a_line_feed_instead_of_cr_is_one() -> None:
    assert events_of(b"\x0b" + ONE + b"\x1c\n" + wrap(TWO)) == [Block(ONE), Block(TWO)]


def test_a_start_with_a_header_after_it_abandons_the_half_block_before() -> None:
    assert events_of(b"\x0bMSH|half" + wrap(TWO)) == [HalfBlock(b"MSH|half"), Block(TWO)]


def test_a_vertical_tab_or_file_separator_in_a_text_is_kept() -> None:
    text = ONE + b"NTE|1||one\x0btwo\x1cthree\x0bMS\r"
    assert events_of(b"\x0b" + text + b"\x1c\r") == [Block(text)]


def test_an_empty_block_is_one() -> None:
    assert events_of(b"\x0b\x1c\r") == [Block(b"")]


def test_the_end_of_the_stream_in_a_block_tells_the_half_of_it() -> None:
    assert events_of(b"\x0bMSH|half") == [HalfBlock(b"MSH|half")]
    assert events_of(b"\x0bMSH|whole\x1c") == [Block(b"MSH|whole")]


def test_a_block_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert events_of(wrap(b"M" * 20), limit=20) == [Block(b"M" * 20)]
    assert events_of(wrap(b"M" * 21), limit=20) == [TooLarge(b"M" * 21)]


def test_a_block_above_the_limit_is_told_at_once_and_its_rest_dropped() -> None:
    framing = Framing(20)
    assert framing.feed(b"\x0b" + b"M" * 25) == [TooLarge(b"M" * 21)]
    assert framing.feed(b"M" * 1000) == []
    assert framing.held == 0
    assert framing.feed(b"M\x1c\r" + wrap(b"next")) == [Block(b"next")]


def test_the_rest_of_a_large_block_does_not_hide_the_next_one() -> None:
    given = b"\x0b" + b"M" * 50 + wrap(ONE)
    assert events_of(given, limit=30) == [TooLarge(b"M" * 31), Block(ONE)]


def test_a_block_that_is_given_up_is_dropped_up_to_its_end() -> None:
    framing = Framing(1000)
    framing.feed(b"\x0bMSH|half")
    assert framing.give_up() == [HalfBlock(b"MSH|half")]
    assert framing.feed(b"more\x1c\r" + wrap(TWO)) == [Block(TWO)]


def test_what_would_break_a_block_is_left_out_of_it() -> None:
    assert wrap(b"MSA|AA|\x0b1\x1c\r") == b"\x0bMSA|AA|1\r\x1c\r"
