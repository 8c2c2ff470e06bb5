"""RAS^O17 → facts: what each RXA says was given, or was not.

HL7 v2.5.1 4.13.7 and 4.14.7. RXA-20 says whether it was given, RXA-21 whether the record is added,
updated or deleted.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from app.mappings.context import Context, Resolutions
from app.mappings.er7 import Message, Segment
from app.mappings.facts import Candidate, Fact, ResultOrder
from app.mappings.groups import AdministrationGroup, group_administrations
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.resources import Administration, Quantity, build_administration
from app.mappings.result_key import keyed_id, keyed_token
from app.mappings.results import AHEAD, check_plausible, lies_ahead, read_unit_text
from app.mappings.site import MedicationEntry
from app.mappings.statuses import COMPLETION_STATUSES
from app.mappings.subjects import Subject
from app.mappings.times import Time, parse_time
from app.mappings.units import Unit, parse_unit
from app.mappings.values import Number, fold_word, parse_text

START_FIELD, END_FIELD, CODE_FIELD, AMOUNT_FIELD, UNIT_FIELD = 3, 4, 5, 6, 7
COMPLETION_FIELD, ACTION_FIELD, ENTERED_FIELD = 20, 21, 22
TABLETS = frozenset({"片", "tab", "tabs", "tablet", "tablets", "{tbl}", "粒", "tb"})
ADD, UPDATE, DELETE = "A", "U", "D"


def map_administrations(message: Message, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per RXA."""
    return [
        _map_administration(ordinal, message, group, context, subjects[group.pid])
        for ordinal, group in enumerate(group_administrations(message))
    ]


def _map_administration(
    ordinal: int,
    message: Message,
    group: AdministrationGroup,
    context: Context,
    subject: Subject | Failure,
) -> Fact:
    rxa = group.rxa
    fact = Fact(ordinal, rxa.place, rxa.span, order_token=_token(group, context))
    if isinstance(subject, Failure):
        return fact.failed(subject)
    code, system = rxa.text(CODE_FIELD), rxa.text(CODE_FIELD, 3)
    fact = replace(fact, subject=subject, code=code[:64], system=system[:64])
    found = _find_medication(rxa, context)
    if found is None:
        detail = "the site's dictionary has no such medication"
        return fact.failed(Failure(Reason.CODE_UNMAPPED, detail, CODE_FIELD))
    medication, code, system = found
    dose = _dose_token(group, (code, system), context)
    fact = replace(fact, code=code, system=system, analyte=medication.drug, order_token=dose)
    if medication.role != "collected":
        return fact.settled(Outcome.NOT_COLLECTED, medication.reason)
    return _map_collected(fact, message, group, medication, subject, context)


def _find_medication(rxa: Segment, context: Context) -> tuple[MedicationEntry, str, str] | None:
    for first in (1, 4):
        code, system = rxa.text(CODE_FIELD, first), rxa.text(CODE_FIELD, first + 2)
        medication = context.site.find_medication(context.setting.name, code, system)
        if medication:
            return medication, code, system
    return None


def _map_collected(
    fact: Fact,
    message: Message,
    group: AdministrationGroup,
    medication: MedicationEntry,
    subject: Subject,
    context: Context,
) -> Fact:
    rxa = group.rxa
    start = _read_start(rxa, message, context)
    if isinstance(start, Failure):
        return fact.failed(start)
    id, weak = _key(fact, group, start, subject, context)
    order = _order_times(message, group, context)
    fact = replace(
        fact,
        resource_type="MedicationAdministration",
        resource_id=id,
        effective=start.instant,
        order=order,
    )
    letter = rxa.text(COMPLETION_FIELD).upper() or context.setting.empty_status
    action = rxa.text(ACTION_FIELD).upper() or ADD
    status = _status(letter, action, context)
    if isinstance(status, Failure):
        return fact.failed(status)
    end = parse_time(rxa.text(END_FIELD), context.setting.zone, END_FIELD)
    if isinstance(end, Failure):
        return fact.failed(end)
    dose = _read_dose(rxa, medication, context) if status == "completed" else None
    if isinstance(dose, Failure):
        return fact.failed(dose)
    local = (fact.code, fact.system)
    given = Administration(
        *(id, medication, local, subject, status, letter, start, end, dose, order),
        _token(group, context),
    )
    reviews = (Reason.RESULT_DELETED,) if action == DELETE else ()
    deletes = action == DELETE
    candidate = Candidate(
        build_administration(given, context.source),
        order,
        needs_original=action in (UPDATE, DELETE),
        keeps_value=deletes,
        weak=weak,
    )
    return replace(fact, candidate=candidate, reviews=reviews)


def _status(letter: str, action: str, context: Context) -> str | Failure:
    if action not in (ADD, UPDATE, DELETE):
        return Failure(Reason.STATUS_UNMAPPED, "RXA-21 is none of A, U, D", ACTION_FIELD)
    if action == DELETE:
        return "entered-in-error"
    if letter not in context.setting.accepted_statuses:
        detail = "RXA-20 is not accepted here" if letter else "RXA-20 is empty"
        return Failure(Reason.STATUS_UNMAPPED, detail, COMPLETION_FIELD)
    return COMPLETION_STATUSES[letter]


def _read_start(rxa: Segment, message: Message, context: Context) -> Time | Failure:
    start = parse_time(rxa.text(START_FIELD), context.setting.zone, START_FIELD)
    if isinstance(start, Time) and lies_ahead(start, message, context):
        return Failure(Reason.TIME_INVALID, AHEAD, START_FIELD)
    return start or Failure(Reason.TIME_INVALID, "no time of administration", START_FIELD)


def _read_dose(rxa: Segment, medication: MedicationEntry, context: Context) -> Quantity | Failure:
    """RXA-6 in RXA-7; tablets only where the dictionary knows their strength."""
    value = parse_text(rxa.text(AMOUNT_FIELD), {})
    if not isinstance(value, Number) or value.comparator or value.flag:
        return Failure(Reason.VALUE_UNPARSABLE, "the amount is no number", AMOUNT_FIELD)
    text = read_unit_text(rxa, UNIT_FIELD)
    unit = _dose_unit(text, medication, context)
    if isinstance(unit, Failure):
        return replace(unit, field=UNIT_FIELD)
    quantity = Quantity(value, unit, text)
    return check_plausible(quantity, medication.low, medication.high, AMOUNT_FIELD)


def _dose_unit(text: str, medication: MedicationEntry, context: Context) -> Unit | Failure:
    if fold_word(text) in TABLETS:
        if medication.tablet_mg is None:
            return Failure(Reason.UNIT_UNMAPPED, "tablets of a strength that is not known")
        return Unit("mg", medication.tablet_mg, "tablet strength")
    if not text:
        return Failure(Reason.UNIT_UNMAPPED, "no unit was sent")
    return parse_unit(text, "mass", context.site.approvals[context.setting.name])


def _numbers(group: AdministrationGroup) -> tuple[str, str] | None:
    """Which order number identifies the order (filler before placer), and the number."""
    if group.orc is None:
        return None
    for kind, field in (("filler", 3), ("placer", 2)):
        number = "^".join(filter(None, (group.orc.text(field), group.orc.text(field, 2))))
        if number:
            return kind, number
    return None


def _token(group: AdministrationGroup, context: Context) -> str:
    numbers = _numbers(group)
    return keyed_token(context.secret, context.setting.key_authority, *numbers) if numbers else ""


def _dose_token(group: AdministrationGroup, drug: tuple[str, str], context: Context) -> str:
    """Order, RXA-2 and drug without the time, by which an update that corrects the time finds its
    dose; '' without an order."""
    numbers, authority = _numbers(group), context.setting.key_authority
    if numbers is None:
        return ""
    return keyed_token(context.secret, authority, "dose", *numbers, group.rxa.text(2), *drug)


def _key(
    fact: Fact, group: AdministrationGroup, start: Time, subject: Subject, context: Context
) -> tuple[str, bool]:
    """FEEDS 2: order + RXA-2 + RXA-5, with RXA-3 where RXA-2 does not tell doses apart."""
    secret, authority = context.secret, context.setting.key_authority
    numbers, counter = _numbers(group), group.rxa.text(2)
    at = start.instant.isoformat()
    drug = (fact.code, fact.system)
    if numbers is None:
        parts = ("weak-administration", authority, subject.number, *drug, at)
        return keyed_id(secret, *parts), True
    told = context.setting.counter_distinguishes and counter not in ("", "0")
    place = (*numbers, counter, *drug, "" if told else at)
    return keyed_id(secret, "administration", authority, *place), False


def _order_times(message: Message, group: AdministrationGroup, context: Context) -> ResultOrder:
    """RXA-22 (entered), ORC-9 (order event), MSH-7, received."""
    return ResultOrder(
        _instant(group.rxa.text(ENTERED_FIELD), context),
        _instant(group.orc.text(9), context) if group.orc else None,
        _instant(message.header.text(7), context),
        context.source.received,
    )


def _instant(text: str, context: Context) -> datetime | None:
    found = parse_time(text, context.setting.zone)
    return found.instant if isinstance(found, Time) else None
