"""What a decoder is: how one format is cut into messages, read, mapped and answered.

Reading and mapping are two steps, so that the database is asked once in between: `read` says whom a
message is about, `map` turns it into facts when the subjects are known. All formats share the
inbox, the identities and the rules. Decoders are pure: no clock, no
randomness; nothing in them raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Literal

from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.site import FeedSetting, Site, SiteError
from app.mappings.elements import Elements, no_elements
from app.mappings.facts import Fact
from app.mappings.frame import Frames, Span
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import Patient
from app.mappings.subjects import Found, PatientClaim, Subject, resolve

MAX_HEADER_TEXT = 199


@dataclass(frozen=True, slots=True)
class Head:
    """What of a message's header stands beside it, unencrypted: nothing of the patient."""

    message_type: str = ""
    control_id: str = ""
    charset_declared: str = ""
    charset_used: str = ""
    charset_mismatch: bool = False


def header_text(text: str) -> str:
    """Short, without NUL characters and halves of characters, which a text column cannot hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:MAX_HEADER_TEXT]


QUALITY_CONTROL = "quality control"
UNREAL: Mapping[str, str] = MappingProxyType(
    {
        "Q": QUALITY_CONTROL,
        "D": "sent for debugging",
        "N": "sent for testing",
        "T": "sent for training",
    }
)
"""Processing id (HL7 table 0103; V3 ProcessingID) → why what such a message tells is nobody's."""


def find_control(processing_id: str, setting: FeedSetting) -> str:
    """Why nothing of a message is a subject's; '' for one of production, or that does not say."""
    letter = processing_id.strip().upper()
    return UNREAL[letter] if letter == "Q" or letter in setting.test_processing_ids else ""


@dataclass(frozen=True, slots=True)
class Read:
    """A message read but not mapped.

    `content` is the decoder's own, None for bytes that are no message of the format. `failure` is
    what is wrong with the whole of it. `claims`: who its patients are said to be, by the key that
    its records name them with. `controls`: such keys (also None) whose facts are nobody's, for
    the reason `control`. `span` is where a fact about the whole message points.
    """

    content: Any = field(repr=False)
    span: Span
    head: Head = Head()
    failure: Failure | None = None
    claims: Mapping[Any, PatientClaim] = field(default_factory=dict, repr=False)
    controls: tuple[Patient, ...] = field(default=(), repr=False)
    control: str = QUALITY_CONTROL


Verdict = Literal["accept", "error", "reject"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer may tell of a message. `id` is 0 for one that was not kept, `facts` None while
    it is not processed, `read` None for one that was not read."""

    id: int
    received: datetime
    verdict: Verdict
    read: Read | None = None
    facts: Sequence[Fact] | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The answer in the sender's format; `code` is what it says in one word. `private`: it repeats
    something that may name a person, so it is kept sealed."""

    code: str
    body: bytes = field(repr=False)
    private: bool = False


def acknowledge_json(receipt: Receipt) -> Acknowledgement:
    """A receipt for formats that have no acknowledgement of their own."""
    facts = [
        {"position": fact.place, "field": fact.field or None, "outcome": fact.outcome,
         "reason": fact.reason, "detail": fact.detail}
        for fact in receipt.facts or ()
    ]  # fmt: skip
    told = {
        "inbox_id": receipt.id,
        "received": receipt.received.isoformat(),
        "accepted": receipt.verdict == "accept",
        "facts": None if receipt.facts is None else facts,
    }
    return Acknowledgement(receipt.verdict, json.dumps(told, ensure_ascii=False).encode())


def take_whole(body: bytes) -> Frames:
    """A delivery that is one message."""
    return Frames((Span(0, len(body)),), ())


def never_exceeds(body: bytes, limit: int) -> bool:
    """Of a format whose deliveries are one message each."""
    return False


def binary_schema() -> Mapping[str, Any]:
    """The OpenAPI schema of a body that is bytes in any charset."""
    return {"type": "string", "format": "binary"}


def no_templates() -> Mapping[str, str]:
    """Of a format that is not filled in by hand."""
    return {}


def no_header(body: bytes) -> bytes:
    """Of a format whose answer repeats nothing of the message."""
    return b""


@dataclass(frozen=True, slots=True)
class Decoder:
    """One format. Its name is part of the address (`POST /feeds/{feed}/{format}`) and is stored
    with every message, so that workers and replays read it as it was received.

    `split` cuts a delivery into messages and the envelope around them; `exceeds` says without
    doing so whether there are more than a number of them. `map` is called only for a message
    without `failure`; its facts in their order. `whole` is the place of a fact about the whole
    message, `header` cuts off what the answer to a delivery that is not kept repeats,
    `elements` the names of what such a fact may point at. `answer_type` is the media type
    of acknowledgements that are answered as they are; '' where the answer is JSON.
    `documented` gives the schema where it takes work to build.
    `address`: the last part of the address where that is another format's name too; such a format
    has routes of its own at the feeds that take it. `templates`: tables to fill in, by name.
    """

    format: str
    title: str
    media_types: frozenset[str]
    whole: str
    read: Callable[[bytes, FeedSetting, Site], Read]
    map: Callable[[Read, Context, Resolutions], list[Fact]]
    split: Callable[[bytes], Frames] = take_whole
    exceeds: Callable[[bytes, int], bool] = never_exceeds
    acknowledge: Callable[[Receipt], Acknowledgement] = acknowledge_json
    header: Callable[[bytes], bytes] = no_header
    answer_type: str = ""
    elements: Elements = field(default_factory=no_elements)
    example: str = ""
    schema: Mapping[str, Any] = field(default_factory=binary_schema)
    documented: Callable[[], Mapping[str, Any]] | None = None
    address: str = ""
    templates: Callable[[], Mapping[str, str]] = no_templates


def map_message(
    decoder: Decoder, read: Read, found: Mapping[PatientClaim, Found], context: Context
) -> list[Fact]:
    """The facts of a message; one fact for the whole of it where it cannot be taken apart."""
    if read.content is None or read.failure is not None:
        failure = read.failure or Failure(Reason.PARSE, "")
        return [whole_fact(decoder, read).failed(failure)]
    resolutions: dict[Patient, Subject | Failure] = {None: resolve(None, None)}
    for key, claim in read.claims.items():
        resolutions[key] = resolve(claim, found.get(claim))
    resolutions |= dict.fromkeys(read.controls, Failure(Reason.NOT_SUBJECT_DATA, read.control))
    facts = decoder.map(read, context, resolutions)
    if not facts:
        failure = Failure(Reason.STRUCTURE, "nothing in it could hold a fact")
        return [whole_fact(decoder, read).failed(failure)]
    return [_settle(fact, context) for fact in facts]


def whole_fact(decoder: Decoder, read: Read, ordinal: int = 0) -> Fact:
    """A fact about the message as a whole."""
    return Fact(ordinal, decoder.whole, read.span, elements=decoder.elements)


def _settle(fact: Fact, context: Context) -> Fact:
    """Control material has no subject; facts of unknown patients wait and show nothing; those of
    the time after participation are not the study's."""
    if fact.reason is Reason.NOT_SUBJECT_DATA:
        return fact.settled(Outcome.NOT_SUBJECT_DATA, fact.detail, fact.reason)
    if fact.reason is Reason.PATIENT_UNKNOWN:
        return fact.settled(Outcome.WAITING, fact.detail, fact.reason).nameless()
    if _is_after_participation(fact, context):
        detail = "collected after the last day of participation"
        shown = replace(fact, code="", system="", analyte="").nameless()
        return shown.settled(Outcome.NOT_SUBJECT_DATA, detail, Reason.NOT_SUBJECT_DATA)
    return fact


def _is_after_participation(fact: Fact, context: Context) -> bool:
    """Status-only changes are let through: what they withdraw may have been stored before the end
    was known. So is what tells the end itself: it may correct the day."""
    until = fact.subject.until if fact.subject else None
    if fact.candidate is None or fact.candidate.keeps_value or until is None:
        return False
    if fact.candidate.resource_type == "ResearchSubject":
        return False
    return fact.effective is not None and not _is_on_or_before(fact.effective, until, context)


def _is_on_or_before(instant: datetime, day: date, context: Context) -> bool:
    return instant.astimezone(context.setting.zone).date() <= day


def check_formats(site: Site, decoders: Mapping[str, Decoder]) -> None:
    """Raises SiteError where a feed names a format that no decoder reads."""
    for setting in site.feeds.values():
        for name in setting.formats:
            if name not in decoders:
                known = ", ".join(sorted(decoders))
                where = f"site.toml: feeds.{setting.name}.formats"
                raise SiteError(f"{where}: {name!r} is none of {known}")
