"""What is sent, what is remembered, and how acknowledgements are read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.errors import SsciError
from app.mappings.mllp.blocks import wrap
from app.mappings.sending.links import Reply, is_answer, parse_target, read_reply
from app.mappings.sending.sources import Record, find_files, read_messages, read_outgoing
from tests.feed_support import message, msh, oru

ONE, TWO = oru(id="1"), oru(id="2")


def found_in(data: bytes) -> tuple[list[bytes], int]:
    messages, broken = read_messages(data)
    return [each.data for each in messages], broken


@pytest.mark.parametrize(
    ("data", "messages", "broken"),
    [
        (ONE, [ONE], 0),
        (ONE + TWO, [ONE, TWO], 0),
        (b"FHS|^~\\&\rBHS|^~\\&\r" + ONE + TWO + b"BTS|2\rFTS|1\r", [ONE, TWO], 0),
        (wrap(ONE) + b"\r\n" + wrap(TWO), [ONE, TWO], 0),
        (wrap(ONE) + wrap(TWO)[:-30], [ONE], 1),
        (wrap(ONE)[:-30], [], 1),
        (b"notes of the night shift", [], 1),
        (b"", [], 1),
    ],
)
def test_a_file_holds_messages_batches_or_blocks(
    data: bytes, messages: list[bytes], broken: int
) -> None:
    assert found_in(data) == (messages, broken)


def test_the_control_id_is_found_behind_a_character_that_ends_in_a_separator() -> None:
    data = message(msh(f3="珅誠", f10="G1"), charset="gb18030")
    assert b"|" in "珅".encode("gb18030")
    assert read_outgoing(data).control_id == b"G1"


@pytest.mark.parametrize(
    ("accept", "application", "tells"),
    [
        ("", "", True),
        ("AL", "NE", True),
        ("NE", "AL", True),
        ("NE", "NE", False),
        ("ER", "", False),
    ],
)
def test_who_is_not_told_of_a_success_is_known(accept: str, application: str, tells: bool) -> None:
    assert read_outgoing(message(msh(f15=accept, f16=application))).tells_success is tells


def test_folders_are_read_in_the_order_of_names_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.hl7", "a/2.hl7", "a/1.hl7", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(ONE)
    found = [str(path.relative_to(tmp_path)) for path in find_files([tmp_path])]
    assert found == ["a/1.hl7", "a/2.hl7", "b.hl7"]
    with pytest.raises(SsciError, match="no such file"):
        find_files([tmp_path / "nowhere"])


# Acknowledgements


@pytest.mark.parametrize(
    ("ack", "reply", "id"),
    [
        ("MSH|^~\\&|A\rMSA|AA|7\r", Reply("AA"), b"7"),
        ("MSH|^~\\&|A\r\nMSA|AR|7\r\n", Reply("AR", (), True), b"7"),
        ("MSH#^~\\&#A\rMSA#CA#7#x\r", Reply("CA"), b"7"),
        (
            "MSH|^~\\&|A\rMSA|AR\rERR||MSH^1|207^x|E|INTERNAL^y\r",
            Reply("AR", ("INTERNAL",), True),
            b"",
        ),
        (
            "MSH|^~\\&|A\rMSA|AR|7\rERR||MSH^1|207^x|E|TOO_LARGE^y\r",
            Reply("AR", ("TOO_LARGE",)),
            b"7",
        ),
        ("MSH|^~\\&|A\rMSA|AA|7\rERR||OBX^1|103^x|E\r", Reply("AA", ("103",)), b"7"),
        ("MSH|^~\\&|A\rMSA|AE|7\rERR||OBX^1|Zhang San 138|E\r", Reply("AE", ("other",)), b"7"),
    ],
)
def test_an_acknowledgement_is_read_in_its_own_separators(
    ack: str, reply: Reply, id: bytes
) -> None:
    assert read_reply(ack.encode()) == (reply, id)


@pytest.mark.parametrize("data", [b"", b"\r\n", b"MSH|^~\\&|A\rPID|1\r", b"MSA|AA|1\r", b"hello"])
def test_what_is_no_acknowledgement_is_known(data: bytes) -> None:
    assert read_reply(data) is None


def test_an_acceptance_names_its_message_and_a_refusal_may_not_know_it() -> None:
    sent = read_outgoing(ONE)
    assert is_answer(Reply("AA"), b"1", sent)
    assert not is_answer(Reply("AA"), b"2", sent)
    assert not is_answer(Reply("AA"), b"", sent)
    assert is_answer(Reply("AR"), b"", sent)


# Addresses


@pytest.mark.parametrize(
    ("text", "kind", "tls"),
    [
        ("mllp://lis.example:2575", "mllp", False),
        ("mllps://lis.example:2575", "mllp", True),
        ("http://127.0.0.1:8000/feeds/pumch-lis/hl7v2", "http", False),
        ("https://h.example/feeds/pumch-lis/hl7v2", "http", True),
    ],
)
def test_an_address_says_how_to_send(text: str, kind: str, tls: bool) -> None:
    target = parse_target(text)
    assert (target.kind, target.tls is not None) == (kind, tls)


@pytest.mark.parametrize(
    "text", ["", "lis:2575", "ftp://a:1", "mllp://a", "mllp://a:99999", "mllp://a:1/x", "mllp://"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SsciError, match="--to"):
        parse_target(text)


def test_a_certificate_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SsciError, match="--tls-ca"):
        parse_target("mllps://a:1", ca=tmp_path / "none.pem")


# The record


def test_the_record_remembers_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    record = Record(path, "mllp://a:1")
    record.add("a" * 64)
    record.close()
    again = Record(path, "mllp://a:1")
    assert ("a" * 64 in again, "b" * 64 in again) == (True, False)
    again.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_half_a_line_of_a_killed_sender_is_no_acknowledgement(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    record = Record(path, "mllp://a:1")
    record.add("a" * 64)
    record.close()
    path.write_text(path.read_text() + "b" * 63)
    again = Record(path, "mllp://a:1")
    again.add("c" * 64)
    again.close()
    assert path.read_text().split("\n")[1:] == ["a" * 64, "c" * 64, ""]


def test_the_record_of_another_address_is_refused(tmp_path: Path) -> None:
    Record(tmp_path / "sent", "mllp://a:1").close()
    with pytest.raises(SsciError, match="another address"):
        Record(tmp_path / "sent", "mllp://b:1")
    (tmp_path / "thesis").write_text("precious")
    with pytest.raises(SsciError, match="or none"):
        Record(tmp_path / "thesis", "mllp://b:1")
    assert (tmp_path / "thesis").read_text() == "precious"
