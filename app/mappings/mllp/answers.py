"""What is answered to an MLLP block, as far as the transport decides it: refusals for what was not
kept, whether the sender wants an answer at all, and one answer for a batch.

HL7 v2.5.1 2.9.2, 2.9.3 (original and enhanced mode), 2.10.3 (batches), table 0155 (conditions).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.mappings.formats.hl7v2.ack import NOBODY, Addressee, Told, addressee_of, build_ack
from app.mappings.formats.hl7v2.er7 import Message, parse_message
from app.mappings.reasons import Reason

HEADER_LINE = re.compile(rb"MSH[^\r\n]*")
ENVELOPE_LINE = re.compile(rb"(?:\A|(?<=[\r\n\xbf]))(FHS|BHS)([^\w\s])[^\r\n]*")
BEFORE_HEADER = b"\xef\xbb\xbf\r\n\t \x00"
ANSWERED = re.compile(rb"(?:^|[\r\n])MSA[^\w\s]([AC][AER])")
WITHOUT_ID = re.compile(rb"(\rMSA\|[AC][AER])(?=\r)")
MAX_ID = 199

NOT_KEPT = Told("MSH[1]", None, Reason.INTERNAL, "not kept: send it again later")
EMPTY = Told("MSH[1]", None, Reason.FRAME_BROKEN, "the block is empty")
UNFINISHED = Told("MSH[1]", None, Reason.FRAME_BROKEN, "not kept: the block has no end")

CONDITIONS = {"AL": "AER", "NE": "", "ER": "ER", "SU": "A"}
"""Table 0155: the second letters of MSA-1 that are to be sent."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """What a message's header says of its answer: to whom, and under which conditions."""

    addressee: Addressee
    accept: str = ""
    application: str = ""

    def wants(self, code: str) -> bool:
        """Whether an answer with this MSA-1 is to be sent. Without conditions, or with ones that
        table 0155 has not, always."""
        if not (self.accept or self.application):
            return True
        condition = self.accept if code[:1] == "C" else self.application
        return code[1:] in CONDITIONS.get(condition, "AER")


def read_reply_to(data: bytes, codec: str) -> ReplyTo:
    """From the header segment alone, so that it is found however broken the rest is."""
    line = HEADER_LINE.search(data)
    for each in (codec, "latin-1") if line else ():
        read = parse_message(line.group()[:65536], each) if line else None
        if isinstance(read, Message):
            accept, application = (read.header.text(n).upper() for n in (15, 16))
            return ReplyTo(addressee_of(read), accept, application)
    return ReplyTo(NOBODY)


def build_refusal(to: ReplyTo, why: Told, at: datetime) -> bytes:
    """AR or CR to what was not kept."""
    return build_ack(to.addressee, "reject", "SSCI0", at, [why])


def name_message(ack: bytes, to: ReplyTo) -> bytes:
    """The acknowledgement with MSA-2 as the bytes have it, where it could not be told before."""
    whom = to.addressee
    id = whom.control_id[:MAX_ID].encode(whom.codec, "replace")
    if not id or b"|" in id:
        return ack
    return WITHOUT_ID.sub(lambda found: found.group(1) + b"|" + id, ack, count=1)


def code_of(ack: bytes) -> str:
    """MSA-1; '' where there is none."""
    found = ANSWERED.search(ack)
    return found.group(1).decode() if found else ""


def is_batch(data: bytes) -> bool:
    return data.lstrip(BEFORE_HEADER).startswith((b"FHS", b"BHS"))


def join_batch(data: bytes, acks: Sequence[bytes]) -> bytes:
    """The acknowledgements of a batch in an envelope like its own, which refers to it."""
    heads = {match.group(1): match for match in ENVELOPE_LINE.finditer(data[:65536])}
    file, batch = (_envelope_head(name, heads.get(name)) for name in (b"FHS", b"BHS"))
    body = b"".join((batch, *acks, b"BTS|%d\r" % len(acks)))
    return b"".join((file, body, b"FTS|1\r")) if b"FHS" in heads else body


def _envelope_head(name: bytes, asked: re.Match[bytes] | None) -> bytes:
    """FHS or BHS with the sender's control id (field 11) as reference (field 12)."""
    reference = b""
    if asked is not None and asked.group().isascii():
        fields = asked.group().split(asked.group(2))
        reference = fields[10][:MAX_ID] if len(fields) > 10 else b""
    blank = b"|" * 6
    line = name + b"|^~\\&|SSCI|PUMCH" + blank + b"||" + reference.replace(b"|", b" ")
    return line.rstrip(b"|") + b"\r"
