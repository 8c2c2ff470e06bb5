"""Orders as records → facts: what was ordered, and what became of the order.

A laboratory order becomes a ServiceRequest, a medicine's a MedicationRequest (prescriptions.py).
https://hl7.org/fhir/R4/servicerequest.html · https://hl7.org/fhir/R4/request.html
Messages tell the status of an order, or describe it, or both; each part is ordered by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

from app.fhir import Json
from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.site import OrderEntry
from app.mappings.elements import Element, Elements, no_elements
from app.mappings.facts import Candidate, Fact, ResultOrder, Source
from app.mappings.frame import Span
from app.mappings.parsing.times import Time, parse_time
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import NO_CODING, NO_NUMBERS, Coding, Patient
from app.mappings.resources import (
    BASE,
    LOINC,
    ORDER_TOKEN,
    build_coding,
    build_common_extensions,
    build_meta,
)
from app.mappings.result_key import OrderNumbers, keyed_id
from app.mappings.rules.order_links import ORDERED, order_token, order_tokens
from app.mappings.rules.parts import merge_extensions, order_parts, tells_description, tells_status
from app.mappings.rules.results import MAX_CODE_LENGTH, read_instant
from app.mappings.subjects import Subject

LOCAL_ORDERS = f"{BASE}/CodeSystem/pumch-his-order"
ACTIVE, ON_HOLD, CANCELLED, STOPPED = "active", "on-hold", "cancelled", "stopped"
GIVEN = ("NW", "SN", "XO", "XX", "XR", "RO", "CH", "PA", "RF", "AF")
GOING_ON = ("OK", "RE", "RL", "OE", "OR", "PR", "NA", "RR")
CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((*GIVEN, *GOING_ON), ACTIVE),
        **dict.fromkeys(("HD", "OH", "HR"), ON_HOLD),
        **dict.fromkeys(("CA", "OC", "CR"), CANCELLED),
        **dict.fromkeys(("DC", "OD", "DR", "RP", "RQ", "RU", "DF"), STOPPED),
    }
)
"""ORC-1 (HL7 table 0119) → what it makes of the order."""
FIRST = frozenset({"NW", "SN", "RO"})
DESCRIBING = FIRST | {"XO", "XX", "XR", "CH", "PA", "RF"}
DECISIVE = frozenset({ON_HOLD, CANCELLED, STOPPED})
REPLACED = frozenset({"RP", "RQ", "RU"})
REPLACING = "RO"
CHANGES_NOTHING = frozenset({"UC", "UD", "UF", "UH", "UM", "UR", "UX", "SS"})
"""An application says that it could not do what was asked, or asks how the order stands."""
STATES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("A", "IP", "SC"), ACTIVE),
        "HD": ON_HOLD,
        "CA": CANCELLED,
        **dict.fromkeys(("DC", "RP"), STOPPED),
        "CM": "completed",
        "ER": "entered-in-error",
    }
)
"""ORC-5 (HL7 table 0038)."""
SERVICE_STATUSES: Mapping[str, str] = MappingProxyType({CANCELLED: "revoked", STOPPED: "revoked"})


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What a message says of one order. `control` (HL7 table 0119) is what is done with it, `state`
    (table 0038) how it stands; `ordered` the time of that, `sent` when the message was sent."""

    place: str
    span: Span
    patient: Patient = field(default=None, repr=False)
    elements: Elements = field(default_factory=no_elements, repr=False)
    numbers: OrderNumbers = NO_NUMBERS
    control: str = ""
    state: str = ""
    codings: tuple[Coding, ...] = (NO_CODING,)
    ordered: str = ""
    sent: str = ""

    @property
    def letter(self) -> str:
        """What was sent of the status: `NW`, `SC/CM`."""
        return "/".join(filter(None, (self.control.upper(), self.state.upper())))

    @property
    def describes(self) -> bool:
        """Whether the message tells what is ordered, not only what becomes of it."""
        return self.control.upper() in DESCRIBING


def map_requests(
    records: Iterable[RequestRecord], context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per laboratory order."""
    return [
        _map_request(ordinal, record, context, subjects[record.patient])
        for ordinal, record in enumerate(records)
    ]


def _map_request(
    ordinal: int, record: RequestRecord, context: Context, subject: Subject | Failure
) -> Fact:
    fact = begin_request(ordinal, record, context, subject)
    if fact.outcome is not None or isinstance(subject, Failure):
        return fact
    found = _find_order(record, context)
    if found is None:
        detail = "the site's dictionary has no such order"
        return fact.failed(Failure(Reason.CODE_UNMAPPED, detail, Element.CODE))
    entry, coding = found
    fact = replace(fact, code=coding.code, system=coding.system, analyte=ORDERED)
    if entry.role != "collected":
        return fact.settled(Outcome.NOT_COLLECTED, entry.reason)
    status = read_status(record)
    if isinstance(status, Failure):
        return fact.failed(status)
    authored = read_authored(record, context)
    if isinstance(authored, Failure):
        return fact.failed(authored)
    id = request_id("service-request", record, (coding.code, coding.system), context)
    if not id:
        return fact.failed(NO_NUMBER)
    order = request_order(record, context)
    resource = {
        **build_head("ServiceRequest", id, record, subject, order, context),
        "status": SERVICE_STATUSES.get(status, status),
        "intent": "order",
        "code": _code(entry, coding),
        "subject": {"reference": subject.reference},
        **({"authoredOn": authored.text} if authored else {}),
    }
    return with_request(fact, record, resource, order)


NO_NUMBER = Failure(Reason.STRUCTURE, "an order without a number", Element.ORDER)


def _find_order(record: RequestRecord, context: Context) -> tuple[OrderEntry, Coding] | None:
    for coding in record.codings:
        entry = context.site.find_order(context.setting.name, coding.code, coding.system)
        if entry:
            return entry, coding
    return None


def _code(entry: OrderEntry, coding: Coding) -> Json:
    own = LOINC if coding.system == "LN" else LOCAL_ORDERS
    codings = [build_coding(LOINC, entry.loinc, entry.display)] if entry.loinc else []
    if (own, coding.code) != (LOINC, entry.loinc):
        codings.append(build_coding(own, coding.code, entry.display))
    return {"coding": codings}


# What all orders share


def begin_request(
    ordinal: int, record: RequestRecord, context: Context, subject: Subject | Failure
) -> Fact:
    """The fact of an order, settled where it is nobody's, or changes nothing."""
    numbers = record.numbers.strongest
    token = order_token(context, *numbers) if numbers else ""
    fact = Fact(ordinal, record.place, record.span, order_token=token, elements=record.elements)
    if isinstance(subject, Failure):
        return fact.failed(subject)
    coding = record.codings[0] if record.codings else NO_CODING
    code, system = coding.code[:MAX_CODE_LENGTH], coding.system[:MAX_CODE_LENGTH]
    fact = replace(fact, subject=subject, code=code, system=system)
    if record.control.upper() in CHANGES_NOTHING:
        name = record.elements.get(Element.ACTION, "the order control")
        detail = f"{name} {record.control.upper()}: changes no order"
        return fact.settled(Outcome.NOT_RECORDED, detail)
    return fact


def request_id(kind: str, record: RequestRecord, code: tuple[str, ...], context: Context) -> str:
    """By the placer's number, which an order has from its beginning, else the filler's; '' without
    either."""
    for name in ("placer", "filler"):
        if number := getattr(record.numbers, name):
            authority = context.setting.key_authority
            return keyed_id(context.secret, kind, authority, name, number, *code)
    return ""


def read_status(record: RequestRecord) -> str | Failure:
    """The order's status in the words of MedicationRequest: an ending or a halt by ORC-1, else as
    ORC-5 says, else by ORC-1."""
    control, state = record.control.upper(), record.state.upper()
    done = CONTROLS.get(control, "")
    if done in DECISIVE:
        return done
    if state and state not in STATES:
        return _unmapped(record, Element.STATUS, "is no status of an order")
    if not done and control not in AS_IT_STANDS:
        rule = "is not taken here" if control else "is empty"
        return _unmapped(record, Element.ACTION, rule)
    return STATES.get(state) or done or _unmapped(record, Element.STATUS, "is empty")


AS_IT_STANDS = frozenset({"SC", "SR"})
"""ORC-1 that leaves the status to ORC-5."""


def _unmapped(record: RequestRecord, element: Element, rule: str) -> Failure:
    name = record.elements.get(element, element.value)
    return Failure(Reason.STATUS_UNMAPPED, f"{name} {rule}", element)


def read_authored(record: RequestRecord, context: Context) -> Time | Failure | None:
    """When the order was given: the time of the message that gives it."""
    if record.control.upper() not in FIRST:
        return None
    return parse_time(record.ordered, context.setting.zone, Element.ORDER_TIME)


def request_order(record: RequestRecord, context: Context) -> ResultOrder:
    return ResultOrder(
        None,
        read_instant(record.ordered, context),
        read_instant(record.sent, context),
        context.source.received,
    )


def build_head(
    kind: str,
    id: str,
    record: RequestRecord,
    subject: Subject,
    order: ResultOrder,
    context: Context,
) -> Json:
    tokens = order_tokens(context, record.numbers)
    identifiers = [{"system": ORDER_TOKEN, "value": token} for token in tokens]
    return {
        "resourceType": kind,
        "id": id,
        **build_meta(subject, ()),
        "extension": _extensions(record, order, context.source),
        **({"identifier": identifiers} if identifiers else {}),
    }


def _extensions(record: RequestRecord, order: ResultOrder, source: Source) -> list[Json]:
    common = build_common_extensions(record.letter, order, source)
    return order_parts(common, status=True, description=record.describes)


def with_request(fact: Fact, record: RequestRecord, resource: Json, order: ResultOrder) -> Fact:
    """The fact with what it would store."""
    candidate = Candidate(
        resource,
        order,
        merge=partial(_merge, describes=record.describes, order=order),
        orders_itself=True,
        is_first=record.control.upper() in FIRST,
    )
    return replace(
        fact,
        resource_type=candidate.resource_type,
        resource_id=candidate.id,
        effective=order.reported,
        order=order,
        candidate=candidate,
    )


HEAD = frozenset({"resourceType", "id", "meta", "extension", "identifier", "status"})


def _merge(stored: Json, sent: Json, *, describes: bool, order: ResultOrder) -> Json:
    """What is stored with what the message says that is newer, part by part."""
    ends = tells_status(stored, order)
    tells = describes and tells_description(stored, order)
    body = {key: value for key, value in sent.items() if key not in HEAD}
    missing = {key: value for key, value in body.items() if key not in stored}
    return {
        **stored,
        **(body if tells else missing),
        "extension": merge_extensions(stored, sent, status=ends, description=tells),
        **_identifiers(stored, sent),
        "status": sent["status"] if ends else stored["status"],
    }


def _identifiers(stored: Json, sent: Json) -> Json:
    known = [*stored.get("identifier", [])]
    known += [each for each in sent.get("identifier", []) if each not in known]
    return {"identifier": known} if known else {}
