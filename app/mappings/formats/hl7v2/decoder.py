"""HL7 v2 in its bar encoding as a decoder. Mappers are a table by message code.

HL7 v2.5.1 chapter 2; the answer is the acknowledgement of `ack.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.elements import Element
from app.mappings.facts import Fact
from app.mappings.formats.decoding import Decoder, Head, Read, find_control, header_text
from app.mappings.formats.hl7v2.ack import acknowledge_hl7
from app.mappings.formats.hl7v2.administrations import map_administrations
from app.mappings.formats.hl7v2.er7 import Message, Unreadable, parse_message
from app.mappings.formats.hl7v2.groups import find_people
from app.mappings.formats.hl7v2.orders import map_hl7_orders
from app.mappings.formats.hl7v2.patients import read_merged
from app.mappings.formats.hl7v2.results import map_results
from app.mappings.formats.hl7v2.visits import map_visits
from app.mappings.forms import shown_charset, shown_type
from app.mappings.frame import Span, find_frames, find_segments, has_more_headers, is_ended
from app.mappings.reasons import Failure, Reason
from app.mappings.subjects import read_claim

ER7_MEDIA_TYPE = "x-application/hl7-v2+er7"
ER7_MEDIA_TYPES = frozenset(
    {ER7_MEDIA_TYPE, "application/hl7-v2", "text/plain", "application/octet-stream"}
)
EXAMPLE = (
    "MSH|^~\\&|LIS|PUMCH|SSCI|PUMCH|20190314101500+0800||ORU^R01^ORU_R01|42|P|2.5.1"
    "||||||UNICODE UTF-8\r"
    "PID|1||T000000001^^^PUMCH^MR||测试001||19790504|F\r"
    "OBR|1|P1|L1|CBC^血常规^99MRC|||20190314080000+0800|||||||||||||||20190314095500+0800||HM|F\r"
    "OBX|1|NM|PLT^血小板计数^99MRC|1|38|10*9/L|100-350|L|||F|||20190314080000+0800\r"
)

MERGE = ("ADT", "A40")

Mapper = Callable[[Message, Context, Resolutions], list[Fact]]
MAPPERS: Mapping[str, Mapper] = MappingProxyType(
    {
        "ORU": map_results,
        "OUL": map_results,
        "RAS": map_administrations,
        "ADT": map_visits,
        "RDE": map_hl7_orders,
        "OML": map_hl7_orders,
        "OMP": map_hl7_orders,
        "ORM": map_hl7_orders,
    }
)
"""Message code (MSH-9.1) → how its facts are mapped; which triggers are accepted says the feed."""
NEEDED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("ORU", "OUL"), "OBR or OBX"),
        **dict.fromkeys(("RDE", "OML", "OMP", "ORM"), "ORC, OBR, RXE or RXO"),
        "RAS": "RXA",
        "ADT": "PID, PV1 or MRG",
    }
)
"""Where the facts of a message stand."""


def read_hl7(data: bytes, setting: FeedSetting, site: Site) -> Read:
    """Parses, and finds out whom the message is about."""
    message = parse_message(data, setting.codec)
    if isinstance(message, Unreadable):
        return Read(None, Span(0, len(data)), failure=_unreadable(message))
    span, head = message.header.span, _describe(message)
    if failure := _refuse(message, setting) or _find_cut(data, message, setting):
        return Read(message, span, head, failure)
    if control := find_control(message.header.text(11), setting):
        people = (segment for _, segment in find_people(message))
        return Read(message, span, head, controls=(None, *people), control=control)
    claims = {
        segment: read_claim(read_merged(segment, pid), setting, site)
        for pid, segment in find_people(message)
    }
    return Read(message, span, head, claims=claims)


def find_header(body: bytes) -> bytes:
    """The header segment of a single message: all that its acknowledgement repeats. Nothing of a
    batch, of which one acknowledgement answers no message."""
    frames = find_frames(body[:MAX_HEADER])
    segments = find_segments(body[:MAX_HEADER])
    if frames.envelope or len(frames.messages) != 1 or not segments:
        return b""
    return body[segments[0].start : segments[0].end]


MAX_HEADER = 65_536


def _unreadable(found: Unreadable) -> Failure:
    reason = Reason(found.reason)
    element = Element.CHARSET if reason is Reason.CHARSET_UNDECODABLE else None
    return Failure(reason, found.detail, element)


def _refuse(message: Message, setting: FeedSetting) -> Failure | None:
    """Why this message is not mapped at all."""
    if message.overlong:
        return Failure(Reason.STRUCTURE, "more segments than a message may have")
    if any(segment.name == "ADD" for segment in message.segments):
        detail = "ADD: a segment goes on in another message; such messages are not put together"
        return Failure(Reason.STRUCTURE, detail, Element.TYPE)
    code, trigger = message.message_type
    if f"{code}^{trigger}" not in setting.message_types or code not in MAPPERS:
        detail = "this feed takes no messages of this type"
        return Failure(Reason.UNSUPPORTED_TYPE, detail, Element.TYPE)
    return None


def _find_cut(data: bytes, message: Message, setting: FeedSetting) -> Failure | None:
    """What may have been cut off by its sender, where that is not taken: a number cut short would
    be another one, that of a merge another person's."""
    last = message.segments[-1]
    wanted = setting.segment_end == "required" or message.message_type == MERGE
    if not wanted or is_ended(data, last.span):
        return None
    return Failure(Reason.FRAME_BROKEN, f"{last.place} has no line end: it may be cut off")


def _describe(message: Message) -> Head:
    return Head(
        shown_type("^".join(message.message_type)),
        header_text(message.control_id),
        shown_charset(message.charset.declared),
        message.charset.codec,
        message.charset.mismatch,
    )


def map_hl7(read: Read, context: Context, subjects: Resolutions) -> list[Fact]:
    """The facts of a message whose type the feed takes."""
    message: Message = read.content
    code = message.message_type[0]
    return MAPPERS[code](message, context, subjects) or [_lacking(read, code)]


def _lacking(read: Read, code: str) -> Fact:
    """The fact of a message that has none of the segments its facts would stand in."""
    fact = Fact(0, HL7V2.whole, read.span, elements=HL7V2.elements)
    detail = f"MSH-9 {code}, and no {NEEDED[code]} segment"
    return fact.failed(Failure(Reason.STRUCTURE, detail, Element.TYPE))


HL7V2 = Decoder(
    format="hl7v2",
    title="HL7 v2",
    media_types=ER7_MEDIA_TYPES,
    whole="MSH[1]",
    read=read_hl7,
    map=map_hl7,
    split=find_frames,
    exceeds=has_more_headers,
    acknowledge=acknowledge_hl7,
    header=find_header,
    answer_type=ER7_MEDIA_TYPE,
    elements={Element.TYPE: "MSH-9", Element.CHARSET: "MSH-18"},
    example=EXAMPLE,
)
