"""Order and result records → facts: what each result means, in the order subject, code, unit,
value, status, resource. The same rules for every format.

Pure: the same records, dictionary and subjects give the same facts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from app.fhir import Json
from app.mappings.context import Context, Resolutions
from app.mappings.dictionary.site import FeedSetting, TestEntry, Words
from app.mappings.elements import Element
from app.mappings.facts import AskedBy, Candidate, Fact, Measured, ResultOrder
from app.mappings.parsing.statuses import NOT_ASKED, StatusRule, result_rule
from app.mappings.parsing.times import Time, parse_time
from app.mappings.parsing.units import Unit, parse_unit
from app.mappings.parsing.values import (
    FLAGS,
    Absent,
    Number,
    Ordinal,
    Span,
    Value,
    fold_word,
    parse_text,
    parse_value,
)
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.records import Coding, OrderRecord, ResultRecord
from app.mappings.resources import (
    Quantity,
    Result,
    build_observation,
    build_report,
    build_specimen,
)
from app.mappings.result_key import ResultKey, keyed_id, keyed_token, result_key
from app.mappings.rules.order_links import order_tokens
from app.mappings.subjects import Subject

MAX_CODE_LENGTH = 64
TEXT_TYPES = frozenset({"ST", "TX", "FT", "CE", "CWE", "CNE", "IS", ""})
INTERPRETATION_CODES = """
< > A AA H HH HU L LL LU N IND POS NEG B W U D
"""
INTERPRETATIONS = frozenset(INTERPRETATION_CODES.split())
NEGATIVE_WORDS = frozenset({"f", "false", "n", "no", "none", "0", "否", "nil"})
MAX_REMEMBERED = 64
"""Characters of a text of which it may be remembered whether it tells of clumps."""
CLAUSE_END = re.compile(r"[,，;；。.\n、]")


@dataclass(frozen=True, slots=True)
class _Order:
    """What holds for all results of one order."""

    record: OrderRecord
    subject: Subject | Failure
    panel_name: str
    clumped: bool
    quality_control: bool
    token: str
    collected: Time | Failure | None

    @property
    def panel(self) -> tuple[str, str]:
        return self.record.panel.code, self.record.panel.system


def map_orders(
    orders: Iterable[OrderRecord], context: Context, subjects: Resolutions
) -> list[Fact]:
    """A fact per result, and one per order that has none; [] if there is neither."""
    facts: list[Fact] = []
    for record in orders:
        order = _prepare(record, context, subjects)
        if not record.results and record.is_report:
            facts.append(_empty_order(len(facts), order))
        for result in record.results:
            facts.append(_map_result(len(facts), order, result, context))
    return _without_twins(facts)


def _empty_order(ordinal: int, order: _Order) -> Fact:
    record = order.record
    fact = Fact(
        ordinal, record.place, record.span, order_token=order.token, elements=record.elements
    )
    if isinstance(order.subject, Failure):
        return fact.failed(order.subject)
    fact = replace(fact, subject=order.subject)
    return fact.settled(Outcome.NOT_RECORDED, "an order without results")


def _prepare(record: OrderRecord, context: Context, subjects: Resolutions) -> _Order:
    setting, panel = context.setting, record.panel
    strongest = record.numbers.strongest
    token = keyed_token(context.secret, setting.key_authority, *strongest) if strongest else ""
    return _Order(
        record,
        subjects[record.patient],
        context.site.panel(setting.name, panel.code, panel.system),
        _tells_clumps(record, context),
        any(panel.code.endswith(suffix) for suffix in setting.quality_control_suffixes),
        token,
        parse_time(record.collected, setting.zone, Element.ORDER_TIME),
    )


# One result


def _map_result(ordinal: int, order: _Order, result: ResultRecord, context: Context) -> Fact:
    place, span, elements = result.place, result.span, result.elements
    if order.quality_control:
        control = Fact(ordinal, place, span)
        return control.settled(Outcome.NOT_SUBJECT_DATA, "quality control", Reason.NOT_SUBJECT_DATA)
    if isinstance(order.subject, Failure):
        fact = Fact(ordinal, place, span, order_token=order.token, elements=elements)
        return fact.failed(order.subject)
    found = _find_test(result.codings, order.panel_name, context)
    test, code, system = (
        (None, _code(result), _system(result)) if isinstance(found, Failure) else found
    )
    ignored = test is not None and test.role != "collected"
    fact = Fact(
        ordinal,
        place,
        span,
        outcome=Outcome.NOT_COLLECTED if ignored else None,
        detail=test.reason if test else "",
        code=code,
        system=system,
        analyte=test.analyte if test else "",
        order_token=order.token,
        subject=order.subject,
        elements=elements,
    )
    if isinstance(found, Failure):
        return fact.failed(found)
    if ignored or test is None:
        return fact
    return _map_collected(fact, order.subject, order, result, test, context)


def _map_collected(
    fact: Fact,
    subject: Subject,
    order: _Order,
    result: ResultRecord,
    test: TestEntry,
    context: Context,
) -> Fact:
    effective = _effective(order, result, context)
    if isinstance(effective, Failure):
        return fact.failed(effective)
    key = _key(fact, subject, order, result, effective, context)
    order_times = _order_times(order, result, context)
    fact = replace(
        fact,
        resource_type="Observation",
        resource_id=key.id,
        effective=effective.instant,
        order=order_times,
    )
    rule = _status_rule(result, context.setting)
    if isinstance(rule, Failure):
        return fact.failed(rule)
    if rule is None:
        detail = f"{_status_name(result)} N: not asked for"
        return fact.settled(Outcome.NOT_RECORDED, detail)
    value = _read_value(result, rule, test, context)
    if isinstance(value, Failure):
        return fact.failed(value)
    reviews = _reviews(result, value, rule, test, order, context)
    built = Result(
        id=key.id,
        test=test,
        local=(fact.code, fact.system),
        subject=subject,
        status=rule.status,
        letter=_letter(result, context.setting),
        effective=effective,
        issued=_first_time((result.analysed, _reported(result, order)), context),
        value=value,
        value_text=result.value_text,
        interpretations=_interpretations(result, value),
        reference=_reference(result, context),
        order=order_times,
        order_token=order.token,
        specimen_id=_specimen_id(order, context),
        reviews=reviews,
    )
    return _with_candidates(replace(fact, reviews=reviews), built, order, rule, key.weak, context)


def _with_candidates(
    fact: Fact, result: Result, order: _Order, rule: StatusRule, weak: bool, context: Context
) -> Fact:
    resource = build_observation(result, context.source)
    keeps = rule.value == "kept"
    tokens = order_tokens(context, order.record.numbers)
    companions = (*_specimen(result, order, context), *_report(result, order, context))
    return replace(
        fact,
        detail=_derived(resource, companions) if Reason.WRONG_PATIENT in result.reviews else "",
        asked_by=AskedBy(tokens, order.panel_name) if tokens else None,
        measured=_measured(result),
        candidate=Candidate(resource, result.order, rule.needs_original, keeps, weak),
        companions=companions,
    )


def _derived(resource: Json, companions: Iterable[Candidate]) -> str:
    """What stands in the wrong patient's record because of this result."""
    derived = [resource, *(each.resource for each in companions)]
    return "derived: " + ", ".join(f"{each['resourceType']}/{each['id']}" for each in derived)


def _measured(result: Result) -> Measured | None:
    value = result.value
    if not isinstance(value, Quantity) or value.number.comparator:
        return None
    unusual = bool(value.unit_text) and value.unit_text != result.test.usual_unit
    return Measured(result.test.analyte, value.canonical, unusual)


# Code


def _code(result: ResultRecord) -> str:
    return result.coding.code[:MAX_CODE_LENGTH]


def _system(result: ResultRecord) -> str:
    return result.coding.system[:MAX_CODE_LENGTH]


def is_left_out(codings: Sequence[Coding], panel: Coding, context: Context) -> bool:
    """Whether the dictionary says of a result of this panel that it is not collected: then of its
    record only place, codings, value type and text are asked for."""
    name = context.site.panel(context.setting.name, panel.code, panel.system)
    found = _find_test(codings, name, context)
    return not isinstance(found, Failure) and found[0].role != "collected"


def _find_test(
    codings: Sequence[Coding], panel: str, context: Context
) -> tuple[TestEntry, str, str] | Failure:
    """The dictionary's entry for the coding that a result is known by."""
    site, feed = context.site, context.setting.name
    if len(codings) == 1 and codings[0].code:
        code, system = codings[0].code, codings[0].system
        test = site.find_test(feed, panel, code, system)
        return (test, code, system) if test else UNMAPPED
    found = []
    for coding in codings:
        code, system = coding.code, coding.system
        test = site.find_test(feed, panel, code, system)
        if code and test:
            found.append((test, code, system))
    if not found:
        return UNMAPPED
    if len({(test.analyte, test.role) for test, _, _ in found}) > 1:
        detail = "the codings mean different tests"
        return Failure(Reason.CODE_UNMAPPED, detail, Element.CODE)
    return min(found, key=lambda each: _rank(*each[1:]))


def _rank(code: str, system: str) -> tuple[bool, bool, str, str]:
    """Which of the codings that the dictionary knows is part of the identity, in whatever order
    they are sent: a local one before LOINC, one with its system before one without."""
    return system == "LN", not system, system, code


UNMAPPED = Failure(
    Reason.CODE_UNMAPPED, "the site's dictionary has no such code in this panel", Element.CODE
)


# Status


def _letter(result: ResultRecord, setting: FeedSetting) -> str:
    return result.status.upper() or setting.empty_status


def _status_name(result: ResultRecord) -> str:
    return result.elements.get(Element.STATUS, "the status")


def _status_rule(result: ResultRecord, setting: FeedSetting) -> StatusRule | Failure | None:
    """The rule of a status letter; None for N, which makes no Observation."""
    letter, name = _letter(result, setting), _status_name(result)
    if not letter:
        return Failure(Reason.STATUS_UNMAPPED, f"{name} is empty", Element.STATUS)
    if letter not in setting.accepted_statuses:
        return Failure(Reason.STATUS_UNMAPPED, f"{name} is not accepted here", Element.STATUS)
    if letter == NOT_ASKED:
        return None
    has_value = bool(result.value_text or result.absent_reason)
    detail = f"{name} is no result status"
    return result_rule(letter, has_value) or Failure(Reason.STATUS_UNMAPPED, detail, Element.STATUS)


# Value and unit


def _read_value(
    result: ResultRecord, rule: StatusRule, test: TestEntry, context: Context
) -> Quantity | Absent | Failure | None:
    if rule.value == "none":
        return Absent(rule.absent_reason) if rule.absent_reason else None
    if rule.value == "kept":
        return None
    value = _parse_sent(result, context.site.words)
    if isinstance(value, Absent | Failure):
        return value
    if not isinstance(value, Number):
        detail = f"a {type(value).__name__.lower()} where a number is expected"
        return Failure(Reason.VALUE_UNPARSABLE, detail, Element.VALUE)
    unit = _unit(result.unit, test, context)
    if isinstance(unit, Failure):
        return unit
    quantity = Quantity(value, unit, result.unit)
    return check_plausible(quantity, test.low, test.high, Element.VALUE)


def check_plausible(
    quantity: Quantity, low: Decimal | None, high: Decimal | None, element: Element
) -> Quantity | Failure:
    if low is not None and high is not None and not low <= quantity.canonical <= high:
        return Failure(Reason.VALUE_IMPLAUSIBLE, "outside the plausible range", element)
    return quantity


def _unit(text: str, test: TestEntry, context: Context) -> Unit | Failure:
    if not text:
        if not test.empty_unit:
            return Failure(Reason.UNIT_UNMAPPED, "no unit was sent", Element.UNIT)
        text = test.empty_unit
    return parse_unit(text, test.analyte_class, context.site.approvals[context.setting.name])


def _parse_sent(result: ResultRecord, words: Words) -> Value | Failure:
    if result.absent_reason:
        return Absent(result.absent_reason, result.value_text)
    if result.repeated:
        return Failure(Reason.VALUE_UNPARSABLE, "a repeated value", Element.VALUE)
    return parse_value(result.value_type, result.components, words.absent)


def _interpretations(result: ResultRecord, value: Quantity | Absent | None) -> tuple[str, ...]:
    """The flags sent, arrows too, and the flag that stood beside the number."""
    codes = [FLAGS.get(text, text.upper()) for text in result.flags]
    if isinstance(value, Quantity) and value.number.flag:
        codes.append(value.number.flag)
    return tuple(dict.fromkeys(code for code in codes if code in INTERPRETATIONS))


def _reference(
    result: ResultRecord, context: Context
) -> tuple[Decimal | None, Decimal | None] | None:
    """The reference range or limit; a range told in words is not carried."""
    found = parse_text(result.reference, context.site.words.absent)
    if isinstance(found, Span):
        return found.low, found.high
    if isinstance(found, Number) and found.comparator:
        upper = found.comparator in ("<", "<=")
        return (None, found.value) if upper else (found.value, None)
    return None


# Suspicion


def _reviews(
    result: ResultRecord,
    value: Quantity | Absent | None,
    rule: StatusRule,
    test: TestEntry,
    order: _Order,
    context: Context,
) -> tuple[Reason, ...]:
    reviews = [rule.review] if rule.review else []
    if isinstance(value, Absent) and value.withdrawn:
        reviews.append(Reason.VALUE_WITHDRAWN)
    if test.analyte == "platelets" and rule.value == "sent":
        flagged = any(flag.upper() == "A" for flag in result.flags)
        told = isinstance(value, Absent) and value.suspect
        noted = any(_mentions_clumps(note, context) for note in result.notes)
        if flagged or told or noted or order.clumped:
            reviews.append(Reason.ANALYTIC_SUSPECT)
    return tuple(reviews)


def _tells_clumps(order: OrderRecord, context: Context) -> bool:
    """Whether a note of the order, or another result of it, tells of clumped platelets."""
    if any(_mentions_clumps(note, context) for note in order.notes):
        return True
    return any(_is_clump_result(result, context) for result in order.results)


def _is_clump_result(result: ResultRecord, context: Context) -> bool:
    test = context.site.find_test(context.setting.name, "", _code(result), _system(result))
    if test is not None and test.role == "collected":
        return False
    if (test is not None and test.role == "suspicion") or _mentions_clumps(
        result.coding.display, context
    ):
        return _is_positive(result.value_text, context)
    is_text = result.value_type.upper() in TEXT_TYPES
    return is_text and _mentions_clumps(result.value_text, context)


def _is_positive(text: str, context: Context) -> bool:
    folded = fold_word(text)
    if not folded or folded in NEGATIVE_WORDS:
        return False
    if any(folded.startswith(word) for word in context.site.words.negation):
        return False
    value = parse_text(text, {})
    if isinstance(value, Ordinal):
        return value.grade != "negative"
    if isinstance(value, Number):
        return value.value != 0
    return not isinstance(value, Absent)


def _mentions_clumps(text: str, context: Context) -> bool:
    """Whether a clause names clumping without a negation before it."""
    words = context.site.words
    if len(text) <= MAX_REMEMBERED:
        return _short_text_names(text, words.clump, words.negation)
    return _names(text, words.clump, words.negation)


def _names(text: str, wanted: Sequence[str], negations: Sequence[str]) -> bool:
    for clause in CLAUSE_END.split(fold_word(text)):
        for word in wanted:
            before, found, _ = clause.partition(word)
            if found and not _negates(before, negations):
                return True
    return False


@functools.lru_cache(maxsize=4096)
def _short_text_names(text: str, wanted: tuple[str, ...], negations: tuple[str, ...]) -> bool:
    """The displays of a laboratory's codes are the same in all of its messages."""
    return _names(text, wanted, negations)


def _negates(before: str, negations: Sequence[str]) -> bool:
    latin = set(re.findall(r"[a-z]+", before))
    return any(word in latin if word.isascii() else word in before for word in negations)


# Times and keys


def _effective(order: _Order, result: ResultRecord, context: Context) -> Time | Failure:
    """When the specimen was taken: as the result says, else as its order does."""
    own = parse_time(result.collected, context.setting.zone, Element.TIME)
    found = own or order.collected
    if found is None:
        return Failure(Reason.TIME_INVALID, "no time of collection was sent", Element.TIME)
    if isinstance(found, Time) and lies_ahead(found, order.record.sent, context):
        element = Element.TIME if own else Element.ORDER_TIME
        return Failure(Reason.TIME_INVALID, AHEAD, element)
    return found


AHEAD = "a time more than a day after the message was sent"


def lies_ahead(time: Time, sent: str, context: Context) -> bool:
    """Whether a time of collection or administration is later than the message can know of: by a
    day, for the sake of wrong clocks. Where the time of sending is not told to the day, its receipt
    counts."""
    found = parse_time(sent, context.setting.zone)
    exact = isinstance(found, Time) and found.precision not in ("year", "month")
    told = found.instant if isinstance(found, Time) and exact else context.source.received
    return time.instant > told + timedelta(days=1)


def _first_time(texts: Sequence[str], context: Context) -> Time | None:
    """The first readable time; an unreadable time of reporting counts as not sent."""
    for text in texts:
        found = parse_time(text, context.setting.zone)
        if isinstance(found, Time):
            return found
    return None


def read_instant(text: str, context: Context) -> datetime | None:
    """The moment a text tells; None where it tells none."""
    found = _first_time((text,), context)
    return found.instant if found else None


def _reported(result: ResultRecord, order: _Order) -> str:
    return result.reported or order.record.reported


def _order_times(order: _Order, result: ResultRecord, context: Context) -> ResultOrder:
    return ResultOrder(
        read_instant(result.analysed, context),
        read_instant(_reported(result, order), context),
        read_instant(order.record.sent, context),
        context.source.received,
    )


def _key(
    fact: Fact,
    subject: Subject,
    order: _Order,
    result: ResultRecord,
    effective: Time,
    context: Context,
) -> ResultKey:
    date = effective.text[:10] if context.setting.order_numbers_restart else ""
    return result_key(
        context.secret,
        context.setting.key_authority,
        order.record.numbers,
        order.panel,
        (fact.code, fact.system),
        result.sub_id,
        date,
        subject.number,
        effective.instant.isoformat(),
    )


# What comes with a result


def _specimen_id(order: _Order, context: Context) -> str:
    number = order.record.numbers.specimen
    if not number:
        return ""
    return keyed_id(context.secret, "specimen", context.setting.key_authority, number)


def _specimen(result: Result, order: _Order, context: Context) -> tuple[Candidate, ...]:
    if not result.specimen_id:
        return ()
    token = keyed_token(
        context.secret, context.setting.key_authority, "specimen", order.record.numbers.specimen
    )
    times = replace(result.order, analysed=None)
    resource = build_specimen(
        result.specimen_id,
        result.subject,
        result.test.specimen,
        result.effective,
        token,
        times,
        context.source,
    )
    return (Candidate(resource, times),)


def _report(result: Result, order: _Order, context: Context) -> tuple[Candidate, ...]:
    record = order.record
    strongest = record.numbers.strongest
    if strongest is None or not record.is_report:
        return ()
    times = replace(result.order, analysed=None)
    id = keyed_id(context.secret, "report", context.setting.key_authority, *strongest, *order.panel)
    effective = _first_time((record.observed,), context) or result.effective
    resource = build_report(
        id,
        result.subject,
        record.status.upper(),
        order.panel if order.panel_name or order.panel[1] == "LN" else ("", ""),
        effective,
        _first_time((record.reported,), context),
        order.token,
        result.specimen_id,
        times,
        context.source,
    )
    return (Candidate(resource, times),)


def _without_twins(facts: list[Fact]) -> list[Fact]:
    """Of two facts of one message with one identity the first counts; an equal second is a
    repetition, another value cannot be told from it."""
    first: dict[str, Fact] = {}
    kept = []
    for fact in facts:
        twin = first.setdefault(fact.resource_id, fact) if fact.candidate else fact
        kept.append(fact if twin is fact else _twin(fact, twin))
    return kept


def _twin(fact: Fact, first: Fact) -> Fact:
    if fact.candidate and first.candidate and fact.candidate.resource == first.candidate.resource:
        return fact.settled(Outcome.UNCHANGED, f"repeats {first.place}")
    name = fact.elements.get(Element.SUB_ID, "sub-id")
    detail = f"cannot be told from {first.place}: same order, panel, code and {name}"
    return fact.failed(Failure(Reason.WEAK_KEY_CONFLICT, detail, Element.SUB_ID))
