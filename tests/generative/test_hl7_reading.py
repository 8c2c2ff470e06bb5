"""The reader against everything: GBK's trail bytes, cuts at every byte, any bytes, another library.

HL7 v2.5.1 chapter 2; python-hl7 is the oracle for plain messages.
"""

from __future__ import annotations

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mappings.formats.hl7v2.er7 import (
    Message,
    Separators,
    Unreadable,
    field_span,
    parse_message,
    unescape,
)
from app.mappings.frame import find_frames
from tests.feed_support import map_bytes, message, msh, obr, obx, oru, pid


def gbk_characters_ending_in(trail: bytes) -> list[str]:
    found = []
    for lead in range(0x81, 0xFF):
        try:
            character = (bytes([lead]) + trail).decode("gbk")
        except UnicodeDecodeError:
            continue
        if character.encode("gb18030") == bytes([lead]) + trail:
            found.append(character)
    return found


@pytest.mark.parametrize("trail", [b"|", b"^", b"~", b"\\"])
def test_no_gbk_character_is_taken_for_a_separator(trail: bytes) -> None:
    characters = gbk_characters_ending_in(trail)
    assert len(characters) > 100
    for character in characters:
        text = f"a{character}b"
        data = message(
            msh(f4=text, f18="GB 18030-2000"), pid(f5=f"{text}^{text}"), obr(), charset="gb18030"
        )
        read = parse_message(data, "gb18030")
        assert isinstance(read, Message)
        assert (read.header.text(4), read.segments[1].text(5, 2)) == (text, text)


FULL = message(
    *(msh(f18="GB 18030-2000"), pid(f5="珅誠^王"), "ORC|RE|P1|L1", obr()),
    *(obx(), "NTE|1|L|未见\\.br\\聚集", obx("WBC^白细胞^99MRC", "5.1", f4="2")),
    charset="gb18030",
)


def test_a_message_cut_at_any_byte_is_read_or_refused_never_an_exception() -> None:
    for end in range(len(FULL) + 1):
        find_frames(FULL[:end])
        facts = map_bytes(FULL[:end])
        assert all(fact.outcome or fact.candidate for fact in facts)
        assert facts


def test_a_message_without_any_one_byte_is_read_or_refused() -> None:
    for place in range(len(FULL)):
        assert map_bytes(FULL[:place] + FULL[place + 1 :])


@given(st.binary(max_size=300))
def test_any_bytes_after_msh_are_read_or_refused(tail: bytes) -> None:
    assert map_bytes(b"MSH" + tail)


@given(st.binary(max_size=120), st.integers(0, len(FULL)))
def test_any_bytes_inside_a_message_are_read_or_refused(noise: bytes, place: int) -> None:
    data = FULL[:place] + noise + FULL[place:]
    assert map_bytes(data)
    frames = find_frames(data)
    assert all(0 <= span.start <= span.end <= len(data) for span in frames.messages)


@given(st.text(max_size=60).filter(lambda text: text.isprintable()))
def test_any_text_comes_back_when_it_is_escaped_and_read(text: str) -> None:
    for character, letter in (("\\", "E"), ("|", "F"), ("^", "S"), ("&", "T"), ("~", "R")):
        text = text.replace(character, f"\0{letter}\0")
    escaped = text.replace("\0", "\\")
    plain = text
    for letter, character in (("E", "\\"), ("F", "|"), ("S", "^"), ("T", "&"), ("R", "~")):
        plain = plain.replace(f"\0{letter}\0", character)
    assert unescape(escaped, Separators(), "utf-8") == plain


@given(st.lists(st.sampled_from(["a", "b", "\\", "\\F", "\\Q\\", "\\x\\"]), max_size=12))
def test_letters_around_broken_escapes_are_never_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    read = unescape(text, Separators(), "utf-8")
    assert [c for c in read if c in "abQx"] == [c for c in text if c in "abQx"]


PRINTABLE = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=12
).filter(lambda text: not set(text) & set("|^~\\&"))


@given(st.lists(st.lists(PRINTABLE, min_size=1, max_size=6), min_size=1, max_size=6))
def test_a_plain_message_reads_as_python_hl7_reads_it(rows: list[list[str]]) -> None:
    data = "\r".join([msh(), *("|".join(["ZZZ", *row]) for row in rows)])
    ours = parse_message(data.encode(), "utf-8")
    theirs = hl7.parse(data)
    assert isinstance(ours, Message)
    assert len(ours.segments) == len(theirs)
    for mine, their in zip(ours.segments[1:], list(theirs)[1:], strict=True):
        assert list(mine.fields) == [str(field) for field in their]


@settings(max_examples=50)
@given(st.lists(PRINTABLE, min_size=1, max_size=8), st.sampled_from(["utf-8", "gb18030"]))
def test_every_field_is_where_its_span_says(row: list[str], charset: str) -> None:
    declared = "UNICODE UTF-8" if charset == "utf-8" else "GB 18030-2000"
    data = message(msh(f18=declared), "|".join(["ZZZ", *row]), charset=charset)
    read = parse_message(data, charset)
    assert isinstance(read, Message)
    for number, text in enumerate(row, start=1):
        span = field_span(data, read.segments[1], number)
        assert data[span.start : span.end].decode(charset) == text


def test_mapping_is_a_function_of_its_input() -> None:
    assert [fact.candidate for fact in map_bytes(oru())] == [
        fact.candidate for fact in map_bytes(oru())
    ]


def test_undecodable_bytes_are_told_not_replaced() -> None:
    assert isinstance(parse_message(oru() + b"NTE|1||\xff\xff\r", "gb18030"), Unreadable)
