"""The tolerant reader of HL7 v2 (ER7): HL7 v2.5.1 chapter 2, and what senders make of it."""

from __future__ import annotations

import pytest

from app.mappings.formats.hl7v2.er7 import (
    Message,
    Separators,
    Unreadable,
    field_span,
    parse_message,
    unescape,
)
from app.mappings.frame import find_frames
from tests.feed_support import message, msh, obr, obx, pid


def parsed(data: bytes, codec: str = "gb18030") -> Message:
    found = parse_message(data, codec)
    assert isinstance(found, Message), found
    return found


def names(data: bytes) -> list[str]:
    return [segment.place for segment in parsed(data).segments]


LINES = (msh(), pid(), obr(), obx(), obx(f1="2"))


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\n", "\r\n\r\n"])
def test_segments_end_with_any_line_end(end: str) -> None:
    assert names(message(*LINES, end=end)) == ["MSH[1]", "PID[1]", "OBR[1]", "OBX[1]", "OBX[2]"]


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"\x0b", b"\r\n", b"  ", b"junk "])
def test_what_stands_before_msh_is_passed_over(head: bytes) -> None:
    assert len(names(head + message(*LINES))) == 5


def test_a_line_feed_inside_a_field_belongs_to_the_field() -> None:
    data = message(msh(), pid(), obr(), obx(value="line 1\nline 2|x\nWBC|5"), obx())
    found = parsed(data)
    assert len(found.segments) == 5
    assert found.segments[3].text(5) == "line 1\nline 2"


def test_continuation_lines_join_the_segment_before_them() -> None:
    found = parsed(message(msh(), pid(), "OBX|1|TX|A||first", "and second|||||", end="\n"))
    assert found.segments[2].text(5) == "first\nand second"


@pytest.mark.parametrize(
    ("mark", "separators"),
    [
        ("|^~\\&", Separators()),
        ("|^~\\&#", Separators()),
        ("#*!?%", Separators("#", "*", "!", "?", "%")),
        ("|^~\\", Separators()),
        ("|^", Separators()),
        ("|^^^^", Separators()),
    ],
)
def test_msh_declares_the_separators(mark: str, separators: Separators) -> None:
    field = mark[0]
    data = (
        f"MSH{mark}{field}LIS{field}{field}{field}{field}{field}{field}ORU{separators.component}R01"
    )
    found = parsed(data.encode())
    assert found.separators == separators
    assert found.message_type == ("ORU", "R01")


def test_msh_fields_are_numbered_as_the_standard_numbers_them() -> None:
    header = parsed(message(*LINES)).header
    assert [header.raw(n) for n in (1, 2, 3, 9, 10, 12)] == [
        *("|", "^~\\&", "LIS"),
        *("ORU^R01^ORU_R01", "M1", "2.5.1"),
    ]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("a\\F\\b", "a|b"),
        ("a\\S\\b\\T\\c\\R\\d\\E\\e", "a^b&c~d\\e"),
        ("one\\.br\\two", "one\ntwo"),
        ("\\H\\bold\\N\\ plain", "bold plain"),
        ("a\\.sp2\\b", "a\n\nb"),
        ("\\X41\\\\X42\\", "AB"),
        ("\\XE8A180\\", "血"),
        ("\\XE8\\\\XA1\\\\X80\\", "血"),
        ("\\XE8\\", "\\XE8\\"),
        ("\\XZZ\\", "\\XZZ\\"),
        ("unpaired \\ stays", "unpaired \\ stays"),
        ("C:\\temp\\.br\\x", "C:\\temp\nx"),
        ("ends with \\", "ends with \\"),
        ("\\Zcustom\\", "\\Zcustom\\"),
        ("\\\\", "\\\\"),
    ],
)
def test_escapes_are_resolved_and_no_text_is_lost(sent: str, read: str) -> None:
    assert unescape(sent, Separators(), "utf-8") == read


def test_hex_escapes_are_read_in_the_charset_of_the_message() -> None:
    data = message(msh(f18="GB 18030-2000"), obx(value="\\XD1AA\\"), charset="gb18030")
    assert parsed(data).segments[1].text(5) == "血"


def test_a_field_is_found_by_its_bytes() -> None:
    data = message(msh(), pid(f5="王^丽"), obr(), obx(value="38"))
    found = parsed(data)
    for segment, field, text in ((1, 5, "王^丽"), (3, 5, "38"), (3, 6, "10*9/L"), (0, 10, "M1")):
        span = field_span(data, found.segments[segment], field)
        assert data[span.start : span.end].decode() == text


@pytest.mark.parametrize("data", [b"", b"MSH", b"PID|1", b"hello", b"MSHx^~", b"MSH\r\n"])
def test_what_is_no_message_says_so(data: bytes) -> None:
    found = parse_message(data, "utf-8")
    assert isinstance(found, Unreadable)
    assert found.reason == "FRAME_BROKEN"


def test_a_batch_is_cut_into_messages_and_its_envelope() -> None:
    one, two = message(*LINES), message(*LINES[:3])
    body = b"FHS|^~\\&\rBHS|^~\\&\r" + one + b"BTS|1\rBHS|^~\\&\r" + two + b"BTS|9\rFTS|2\r"
    frames = find_frames(body)
    assert [body[span.start : span.end] for span in frames.messages] == [one, two]
    envelope = b"".join(body[span.start : span.end] for span in frames.envelope)
    assert envelope == b"FHS|^~\\&\rBHS|^~\\&\rBTS|1\rBHS|^~\\&\rBTS|9\rFTS|2\r"


def test_a_single_message_keeps_every_byte_of_the_body() -> None:
    body = b"\x0b" + message(*LINES) + b"\x1c\r"
    (span,) = find_frames(body).messages
    assert (span.start, span.end) == (0, len(body))


# Charsets


@pytest.mark.parametrize(
    ("declared", "charset", "used", "mismatch"),
    [
        ("UNICODE UTF-8", "utf-8", "utf-8", False),
        ("UNICODE", "utf-8", "utf-8", False),
        ("GB 18030-2000", "gb18030", "gb18030", False),
        ("", "gb18030", "gb18030", False),
        ("8859/1", "latin-1", "latin-1", False),
        ("ASCII~GB 18030-2000", "gb18030", "gb18030", False),
        ("~GB 18030-2000", "gb18030", "gb18030", False),
        ("GB 18030-2000~UNICODE UTF-8", "gb18030", "gb18030", False),
        ("UNICODE UTF-8", "gb18030", "gb18030", True),
        ("ASCII", "gb18030", "gb18030", True),
        ("MARTIAN", "gb18030", "gb18030", True),
        ("8859/1", "utf-8", "latin-1", True),
    ],
)
def test_the_declared_charset_is_used_where_the_bytes_obey_it(
    declared: str, charset: str, used: str, mismatch: bool
) -> None:
    text = "王丽" if charset != "latin-1" else "Müller µ"
    found = parsed(message(msh(f18=declared), pid(f5=text), charset=charset))
    assert (found.charset.codec, found.charset.mismatch) == (used, mismatch)
    assert found.charset.declared == declared
    if used == charset:
        assert found.segments[1].text(5) == text


def test_bytes_that_fit_no_charset_are_told() -> None:
    found = parse_message(message(*LINES) + b"OBX|1|TX|A||\xff\xff\xff|\r", "gb18030")
    assert isinstance(found, Unreadable)
    assert found.reason == "CHARSET_UNDECODABLE"


def test_a_charset_is_found_behind_a_sender_whose_name_holds_separator_bytes() -> None:
    data = message(msh(f4="珅誠醫院", f18="GB 18030-2000"), pid(), charset="gb18030")
    found = parsed(data, "utf-8")
    assert found.header.text(4) == "珅誠醫院"
    assert found.charset.codec == "gb18030"
