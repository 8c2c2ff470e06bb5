"""Dose records → facts: what each says was given, or was not. The same rules for every format.

The status (HL7 table 0322) says whether it was given, the action (table 0206) whether the record is
added, updated or deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.site import MedicationEntry
from app.mappings.elements import Element
from app.mappings.facts import Candidate, Fact, ResultOrder
from app.mappings.parsing.statuses import COMPLETION_STATUSES
from app.mappings.parsing.times import Time, parse_time
from app.mappings.parsing.units import Unit, parse_unit
from app.mappings.parsing.values import Number, fold_word, parse_text
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import DoseRecord
from app.mappings.resources import Administration, Quantity, build_administration
from app.mappings.result_key import keyed_id, keyed_token
from app.mappings.rules.results import (
    AHEAD,
    MAX_CODE_LENGTH,
    check_plausible,
    lies_ahead,
    read_instant,
)
from app.mappings.subjects import Subject

TABLETS = frozenset({"片", "tab", "tabs", "tablet", "tablets", "{tbl}", "粒", "tb"})
ADD, UPDATE, DELETE = "A", "U", "D"


def map_doses(doses: Iterable[DoseRecord], context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per dose."""
    return [
        _map_dose(ordinal, record, context, subjects[record.patient])
        for ordinal, record in enumerate(doses)
    ]


def _map_dose(
    ordinal: int, record: DoseRecord, context: Context, subject: Subject | Failure
) -> Fact:
    token, elements = _token(record, context), record.elements
    fact = Fact(ordinal, record.place, record.span, order_token=token, elements=elements)
    if isinstance(subject, Failure):
        return fact.failed(subject)
    code, system = record.coding.code[:MAX_CODE_LENGTH], record.coding.system[:MAX_CODE_LENGTH]
    fact = replace(fact, subject=subject, code=code, system=system)
    found = _find_medication(record, context)
    if found is None:
        detail = "the site's dictionary has no such medication"
        return fact.failed(Failure(Reason.CODE_UNMAPPED, detail, Element.CODE))
    medication, code, system = found
    dose = _dose_token(record, (code, system), context)
    fact = replace(fact, code=code, system=system, analyte=medication.drug, order_token=dose)
    if medication.role != "collected":
        return fact.settled(Outcome.NOT_COLLECTED, medication.reason)
    return _map_collected(fact, record, medication, subject, context)


def _find_medication(
    record: DoseRecord, context: Context
) -> tuple[MedicationEntry, str, str] | None:
    for coding in record.codings:
        medication = context.site.find_medication(context.setting.name, coding.code, coding.system)
        if medication:
            return medication, coding.code, coding.system
    return None


def _map_collected(
    fact: Fact,
    record: DoseRecord,
    medication: MedicationEntry,
    subject: Subject,
    context: Context,
) -> Fact:
    start = _read_start(record, context)
    if isinstance(start, Failure):
        return fact.failed(start)
    id, weak = _key(fact, record, start, subject, context)
    order = _order_times(record, context)
    fact = replace(
        fact,
        resource_type="MedicationAdministration",
        resource_id=id,
        effective=start.instant,
        order=order,
    )
    letter = record.status.upper() or context.setting.empty_status
    action = record.action.upper() or ADD
    status = _status(letter, action, record, context)
    if isinstance(status, Failure):
        return fact.failed(status)
    end = parse_time(record.end, context.setting.zone, Element.END)
    if isinstance(end, Failure):
        return fact.failed(end)
    dose = None
    if status == "completed":
        dose = read_amount(record.amount, record.unit, medication, context)
    if isinstance(dose, Failure):
        return fact.failed(dose)
    local = (fact.code, fact.system)
    given = Administration(
        *(id, medication, local, subject, status, letter, start, end, dose, order),
        _token(record, context),
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


def _status(letter: str, action: str, record: DoseRecord, context: Context) -> str | Failure:
    if action not in (ADD, UPDATE, DELETE):
        name = record.elements.get(Element.ACTION, "the action")
        detail = f"{name} is none of A, U, D"
        return Failure(Reason.STATUS_UNMAPPED, detail, Element.ACTION)
    if action == DELETE:
        return "entered-in-error"
    status = COMPLETION_STATUSES.get(letter)
    if status is None or letter not in context.setting.accepted_statuses:
        name = record.elements.get(Element.STATUS, "the status")
        detail = f"{name} is not accepted here" if letter else f"{name} is empty"
        return Failure(Reason.STATUS_UNMAPPED, detail, Element.STATUS)
    return status


def _read_start(record: DoseRecord, context: Context) -> Time | Failure:
    start = parse_time(record.start, context.setting.zone, Element.START)
    if isinstance(start, Time) and lies_ahead(start, record.sent, context):
        return Failure(Reason.TIME_INVALID, AHEAD, Element.START)
    return start or Failure(Reason.TIME_INVALID, "no time of administration", Element.START)


def read_amount(
    amount: str, unit_text: str, medication: MedicationEntry, context: Context
) -> Quantity | Failure:
    """An amount of a medication in its unit; tablets only where the dictionary knows their
    strength."""
    value = parse_text(amount, {})
    if isinstance(value, Number) and value.comparator:
        return Failure(Reason.VALUE_UNPARSABLE, "a bound is no amount", Element.AMOUNT)
    if not isinstance(value, Number) or value.flag:
        return Failure(Reason.VALUE_UNPARSABLE, "the amount is no number", Element.AMOUNT)
    unit = _dose_unit(unit_text, medication, context)
    if isinstance(unit, Failure):
        return unit
    quantity = Quantity(value, unit, unit_text)
    return check_plausible(quantity, medication.low, medication.high, Element.AMOUNT)


def _dose_unit(text: str, medication: MedicationEntry, context: Context) -> Unit | Failure:
    if fold_word(text) in TABLETS:
        if medication.tablet_mg is None:
            return Failure(
                Reason.UNIT_UNMAPPED, "tablets of a strength that is not known", Element.UNIT
            )
        return Unit("mg", medication.tablet_mg, "tablet strength")
    if not text:
        return Failure(Reason.UNIT_UNMAPPED, "no unit was sent", Element.UNIT)
    return parse_unit(text, "mass", context.site.approvals[context.setting.name])


def _token(record: DoseRecord, context: Context) -> str:
    numbers = record.numbers.strongest
    return keyed_token(context.secret, context.setting.key_authority, *numbers) if numbers else ""


def _dose_token(record: DoseRecord, drug: tuple[str, str], context: Context) -> str:
    """Order, counter and drug without the time, by which an update that corrects the time finds its
    dose; '' without an order."""
    numbers, authority = record.numbers.strongest, context.setting.key_authority
    if numbers is None:
        return ""
    return keyed_token(context.secret, authority, "dose", *numbers, record.counter, *drug)


def _key(
    fact: Fact, record: DoseRecord, start: Time, subject: Subject, context: Context
) -> tuple[str, bool]:
    """Order, counter and drug, with the start where the counter does not tell doses
    apart. In HL7 v2: RXA-2, RXA-5, RXA-3."""
    secret, authority = context.secret, context.setting.key_authority
    numbers, counter = record.numbers.strongest, record.counter
    at = start.instant.isoformat()
    drug = (fact.code, fact.system)
    if numbers is None:
        parts = ("weak-administration", authority, subject.number, *drug, at)
        return keyed_id(secret, *parts), True
    told = context.setting.counter_distinguishes and counter not in ("", "0")
    place = (*numbers, counter, *drug, "" if told else at)
    return keyed_id(secret, "administration", authority, *place), False


def _order_times(record: DoseRecord, context: Context) -> ResultOrder:
    """When the dose was entered, ordered, sent (RXA-22, ORC-9, MSH-7) and received."""
    return ResultOrder(
        read_instant(record.entered, context),
        read_instant(record.ordered, context),
        read_instant(record.sent, context),
        context.source.received,
    )
