"""What the transport itself answers. HL7 v2.5.1 2.9.2, 2.9.3, 2.10.3, table 0155."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.mappings.formats.hl7v2.ack import NOBODY, build_ack
from app.mappings.mllp.answers import (
    NOT_KEPT,
    build_refusal,
    code_of,
    join_batch,
    name_message,
    read_reply_to,
)
from tests.feed_support import message, msh, oru

AT = datetime(2019, 3, 14, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("accept", "application", "code", "wanted"),
    [
        ("", "", "AA", True),
        ("", "", "AR", True),
        ("AL", "NE", "CA", True),
        ("AL", "NE", "CR", True),
        ("NE", "NE", "CA", False),
        ("NE", "NE", "CR", False),
        ("ER", "NE", "CA", False),
        ("ER", "NE", "CE", True),
        ("SU", "NE", "CA", True),
        ("SU", "NE", "CR", False),
        ("NE", "AL", "AA", True),
        ("NE", "ER", "AA", False),
        ("NE", "ER", "AR", True),
        ("??", "", "CA", True),
    ],
)
def test_msh_15_and_16_say_which_answers_are_wanted(
    accept: str, application: str, code: str, wanted: bool
) -> None:
    to = read_reply_to(message(msh(f15=accept, f16=application)), "utf-8")
    assert to.wants(code) is wanted


def test_a_refusal_names_the_message_in_its_senders_charset_and_mode() -> None:
    data = message(msh(f3="检验科", f10="G7", f15="AL", f18="GB18030"), charset="gb18030")
    ack = build_refusal(read_reply_to(data, "utf-8"), NOT_KEPT, AT)
    assert code_of(ack) == "CR"
    assert b"\rMSA|CR|G7\r" in ack
    assert "检验科".encode("gb18030") in ack
    assert b"INTERNAL" in ack


def test_the_header_is_read_however_broken_the_rest_is() -> None:
    data = b"junk\r" + message(msh(f10="B1")) + b"OBX|1|\xff\xfe\xfa\r"
    assert read_reply_to(data, "gb18030").addressee.control_id == "B1"
    assert read_reply_to(b"no header", "utf-8").addressee == NOBODY
    assert read_reply_to(b"MSH", "utf-8").addressee == NOBODY


def test_an_acknowledgement_without_control_id_gets_the_one_in_the_bytes() -> None:
    nameless = build_ack(NOBODY, "reject", "SSCI1", AT)
    named = name_message(nameless, read_reply_to(oru(id="77"), "utf-8"))
    assert named == nameless.replace(b"MSA|AR", b"MSA|AR|77")
    assert name_message(named, read_reply_to(oru(id="88"), "utf-8")) == named
    assert name_message(nameless, read_reply_to(b"junk", "utf-8")) == nameless


@pytest.mark.parametrize("separator", ["|", "#"])
def test_a_batch_of_answers_refers_to_the_batch_it_answers(separator: str) -> None:
    head = "BHS|^~\\&|LIS|P|||2019||||B77\r".replace("|", separator).encode()
    acks = [build_ack(NOBODY, "accept", str(n), AT) for n in (1, 2)]
    first, *middle, last = join_batch(head + oru() + oru(), acks).split(b"\r")[:-1]
    assert first.split(b"|")[11] == b"B77"
    assert last == b"BTS|2"
    assert b"\r".join([*middle, b""]) == b"".join(acks)
