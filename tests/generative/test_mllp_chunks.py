"""Framing of hostile and of decent streams: how a stream is cut changes nothing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.mappings.mllp.blocks import Block, Event, Framing, wrap

LIMIT = 24
PIECES = [
    *(b"\x0b", b"\x1c", b"\r", b"\n", b"\x1c\r", b"MSH|", b"MS", b"BHS|", b"\xef\xbb\xbf", b"\xef"),
    *(b"\x00", b"OBX|1\r", b"\xab\x7c", "血小板".encode(), b"x" * 9),
]
streams = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)
payloads = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x0b\x1c")).map(str.encode), max_size=6
)
junk = st.binary(max_size=9).map(lambda data: data.replace(b"\x0b", b""))


def read(stream: bytes, cuts: list[int]) -> tuple[list[Event], int]:
    framing = Framing(LIMIT)
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    found: list[Event] = []
    for start, end in pairwise(places):
        found += framing.feed(stream[start:end])
    return found + framing.close(), framing.outside


@given(streams, st.lists(st.integers(0, 1000), max_size=12))
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    assert read(stream, cuts) == read(stream, [])


@given(streams)
def test_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    assert read(stream, list(range(len(stream)))) == read(stream, [])


@given(payloads, junk, st.lists(st.integers(0, 1000), max_size=12))
def test_every_block_is_found_whatever_stands_between(
    given: list[bytes], between: bytes, cuts: list[int]
) -> None:
    framing = Framing(10_000)
    stream = between + between.join(wrap(each) for each in given) + between
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    found = [event for start, end in pairwise(places) for event in framing.feed(stream[start:end])]
    assert found == [Block(each) for each in given]


@given(streams)
def test_no_more_is_held_than_the_limit_allows(stream: bytes) -> None:
    framing = Framing(LIMIT)
    for n in range(len(stream)):
        framing.feed(stream[n : n + 1])
        assert framing.held <= LIMIT + 6
