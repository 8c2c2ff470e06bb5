"""From raw bytes to facts: which decoder reads a message, and what its patients came to.

Two steps, so that the database is asked once in between: `read_message` says whom a message is
about, `map_message` turns it into facts when the subjects are known. Mappers are a table by
message code; all of them share the inbox, the identities and the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from app.mappings.administrations import map_administrations
from app.mappings.context import Context, Resolutions
from app.mappings.er7 import Message, Segment, Unreadable, parse_message
from app.mappings.facts import Fact
from app.mappings.frame import Span
from app.mappings.groups import find_patients
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.results import map_results
from app.mappings.site import FeedSetting, Site
from app.mappings.subjects import Found, PatientClaim, Subject, read_claim, resolve

ER7 = "hl7v2"
WHOLE = "MSH[1]"


@dataclass(frozen=True, slots=True)
class Read:
    """A message read but not mapped: either `message` or what is wrong with the whole of it."""

    message: Message | None
    failure: Failure | None
    not_subject_data: bool = False
    claims: Mapping[Segment, PatientClaim] = field(default_factory=dict, repr=False)


MAPPERS: Mapping[str, Callable[[Message, Context, Resolutions], list[Fact]]] = MappingProxyType(
    {"ORU": map_results, "RAS": map_administrations}
)
"""Message code (MSH-9.1) → how its facts are mapped; which triggers are accepted says the feed."""


def read_message(data: bytes, setting: FeedSetting, site: Site) -> Read:
    """Parses, and finds out whom the message is about."""
    message = parse_message(data, setting.codec)
    if isinstance(message, Unreadable):
        return Read(None, Failure(Reason(message.reason), message.detail))
    if message.overlong:
        return Read(message, Failure(Reason.STRUCTURE, "more segments than a message may have"))
    code, trigger = message.message_type
    if f"{code}^{trigger}" not in setting.message_types or code not in MAPPERS:
        detail = "this feed takes no messages of this type"
        return Read(message, Failure(Reason.UNSUPPORTED_TYPE, detail, 9))
    if message.header.text(11).upper() == "Q":
        return Read(message, None, not_subject_data=True)
    claims = {pid: read_claim(pid, setting, site) for pid in find_patients(message)}
    return Read(message, None, False, claims)


def map_message(
    data: bytes,
    read: Read,
    found: Mapping[PatientClaim, Found],
    context: Context,
) -> list[Fact]:
    """The facts of a message; one fact for the whole of it where it cannot be taken apart."""
    if read.message is None or read.failure is not None:
        return [_whole(data, read).failed(read.failure or Failure(Reason.PARSE, ""))]
    resolutions: dict[Segment | None, Subject | Failure] = {None: resolve(None, ())}
    for pid, claim in read.claims.items():
        resolutions[pid] = resolve(claim, found[claim].subjects if claim in found else ())
    if read.not_subject_data:
        resolutions |= dict.fromkeys((None, *find_patients(read.message)), _CONTROL)
    facts = MAPPERS[read.message.message_type[0]](read.message, context, resolutions)
    if not facts:
        detail = "no segment that could hold a fact"
        return [_whole(data, read).failed(Failure(Reason.STRUCTURE, detail))]
    waiting_keys = tuple(key for each in found.values() for key in each.waiting_keys)
    return [_settle(fact, waiting_keys) for fact in facts]


_CONTROL = Failure(Reason.NOT_SUBJECT_DATA, "MSH-11 Q: quality control")


def _whole(data: bytes, read: Read) -> Fact:
    span = read.message.header.span if read.message else Span(0, len(data))
    return Fact(0, WHOLE, span)


def _settle(fact: Fact, waiting_keys: tuple[bytes, ...]) -> Fact:
    """Control material has no subject; facts of unknown patients wait and show nothing."""
    if fact.reason is Reason.NOT_SUBJECT_DATA:
        return fact.settled(Outcome.NOT_SUBJECT_DATA, fact.detail, fact.reason)
    if fact.reason is Reason.PATIENT_UNKNOWN:
        waiting = fact.settled(Outcome.WAITING, fact.detail, fact.reason)
        return replace(waiting, waiting_keys=waiting_keys, order_token="")
    return fact
