"""The HL7 acknowledgement of a message: MSH, MSA and an ERR per known failure.

HL7 v2.5.1 2.9 (original and enhanced mode), 2.15.8 MSA, 2.15.5 ERR. Written with the sender's
separators and in the sender's charset. The text holds places, reasons and rules, never values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from app.mappings.facts import Fact
from app.mappings.formats.decoding import Acknowledgement, Receipt, Verdict
from app.mappings.formats.hl7v2.er7 import Message, Separators
from app.mappings.forms import shown_application, shown_charset, shown_control, shown_word
from app.mappings.reasons import Outcome, Reason, hl7_error

ORIGINAL: Mapping[Verdict, str] = MappingProxyType({"accept": "AA", "error": "AE", "reject": "AR"})
ENHANCED: Mapping[Verdict, str] = MappingProxyType({"accept": "CA", "error": "CE", "reject": "CR"})
SENDS = frozenset({"AL", "ER", "SU"})
KEPT = "stored, to be reviewed"


@dataclass(frozen=True, slots=True)
class Addressee:
    """What an acknowledgement repeats of the message it answers."""

    separators: Separators
    sender: tuple[str, str]
    receiver: tuple[str, str]
    trigger: str
    control_id: str
    processing_id: str
    version: str
    charset: str
    codec: str
    enhanced: bool


NOBODY = Addressee(
    Separators(), ("", ""), ("SSCI", "PUMCH"), "", "", "P", "2.5.1", "UNICODE UTF-8", "utf-8", False
)
"""Whom an unreadable message is answered."""


def addressee_of(message: Message) -> Addressee:
    header = message.header
    accept, application = header.text(15).upper(), header.text(16).upper()
    enhanced = bool(accept or application) and not (accept not in SENDS and application in SENDS)
    return Addressee(
        message.separators,
        (header.raw(3), header.raw(4)),
        (header.raw(5) or "SSCI", header.raw(6) or "PUMCH"),
        message.message_type[1],
        header.raw(10),
        shown_word(header.raw(11)) or "P",
        shown_word(header.raw(12)) or "2.5.1",
        shown_charset(header.raw(18)),
        message.charset.codec,
        enhanced,
    )


def ack_code(to: Addressee, verdict: Verdict) -> str:
    return (ENHANCED if to.enhanced else ORIGINAL)[verdict]


@dataclass(frozen=True, slots=True)
class Told:
    """One ERR segment: where, why. `field` is named as `OBX-5`, or `PID[2]-3` of a further PID."""

    place: str
    field: str | None
    reason: Reason
    detail: str
    severity: Literal["E", "W"] = "E"


def failures_of(facts: Iterable[Fact]) -> list[Told]:
    """What an acknowledgement says of the facts: failures as errors, what is kept and wants a look
    as warnings. An unknown patient is told once, not per fact."""
    told: list[Told] = []
    strangers: set[str] = set()
    for fact in facts:
        if fact.outcome is Outcome.STORED:
            told += [Told(fact.place, fact.field_of(why), why, KEPT, "W") for why in fact.reviews]
        elif fact.outcome is Outcome.REVIEW and fact.reason:
            told.append(Told(fact.place, fact.field, fact.reason, fact.detail, "W"))
        elif fact.outcome is Outcome.WAITING and fact.reason:
            if fact.field not in strangers:
                told.append(Told(_owner(fact), fact.field, fact.reason, fact.detail, "W"))
            strangers.add(fact.field)
        elif fact.outcome is Outcome.QUARANTINED and fact.reason:
            told.append(Told(fact.place, fact.field, fact.reason, fact.detail))
    return told


def acknowledge_hl7(receipt: Receipt) -> Acknowledgement:
    """The acknowledgement of a message that was kept, or of one that was not."""
    message = receipt.read.content if receipt.read is not None else None
    to = NOBODY if message is None else addressee_of(message)
    failures = failures_of(receipt.facts or ())
    body = build_ack(to, receipt.verdict, f"SSCI{receipt.id}", receipt.received, failures)
    return Acknowledgement(ack_code(to, receipt.verdict), body, private=not _is_plain(to))


def _is_plain(to: Addressee) -> bool:
    """Whether what is repeated of the header (MSH-3 to 6, 10) has the form of such."""
    names = filter(None, (*to.sender, *to.receiver))
    identified = not to.control_id or shown_control(to.control_id)
    return bool(identified) and all(map(shown_application, names))


def build_ack(
    to: Addressee, verdict: Verdict, id: str, at: datetime, failures: Sequence[Told] = ()
) -> bytes:
    """The acknowledgement as bytes; equal arguments, equal bytes."""
    separators = to.separators
    fields, parts = separators.field, separators.component
    encoding = f"{parts}{separators.repetition}{separators.escape}{separators.subcomponent}"
    kind = parts.join(("ACK", to.trigger, "ACK")) if to.trigger else "ACK"
    header = [
        *("MSH", encoding, *to.receiver, *to.sender, at.strftime("%Y%m%d%H%M%S%z"), "", kind),
        *(id, to.processing_id, to.version, "", "", "", "", "", to.charset),
    ]
    answer = ["MSA", ack_code(to, verdict), to.control_id]
    segments = [header, answer, *(_error(failure, separators) for failure in failures)]
    text = "".join(fields.join(segment).rstrip(fields) + "\r" for segment in segments)
    return text.encode(to.codec, "replace")


def _error(failure: Told, separators: Separators) -> list[str]:
    """ERR-2 place, ERR-3 HL7 code, ERR-4 severity, ERR-5 our reason, ERR-7 the rule in words."""
    parts = separators.component
    code, text = hl7_error(failure.reason)
    return [
        "ERR",
        "",
        parts.join(_location(failure.place, failure.field or "")),
        parts.join((code, text, "HL70357")),
        failure.severity,
        parts.join((failure.reason.value, failure.reason.value, "99SSCI")),
        "",
        _escaped(failure.detail, separators),
    ]


def _owner(fact: Fact) -> str:
    """The segment that a fact's failure lies in."""
    name, number, *_ = _location(fact.place, fact.field)
    return f"{name}[{number}]"


def _location(place: str, field: str) -> list[str]:
    """ERL: segment, which one of its name, field. A field of another segment than the fact's is
    that of its first unless it says so."""
    segment, _, position = field.rpartition("-")
    name, _, number = place.rstrip("]").partition("[")
    told, _, which = segment.rstrip("]").partition("[")
    if told and (told != name or which):
        name, number = told, which
    return [name, number or "1", *([position] if position else [])]


def _escaped(text: str, separators: Separators) -> str:
    """Our own words may hold a separator of the sender's."""
    if not separators.escape:
        return text
    letters = {
        separators.escape: "E",
        separators.field: "F",
        separators.component: "S",
        separators.subcomponent: "T",
        separators.repetition: "R",
    }
    return "".join(
        f"{separators.escape}{letters[character]}{separators.escape}"
        if character in letters
        else character
        for character in text
    )
