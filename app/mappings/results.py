"""ORU^R01 → facts: what each OBX means, in the order subject, code, unit, value, status, resource.

HL7 v2.5.1 7.3.1 and 7.4. Pure: the same message, dictionary and subjects give the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from app.mappings.context import Context, Resolutions
from app.mappings.er7 import Message, Segment
from app.mappings.facts import Candidate, Fact, Measured, ResultOrder
from app.mappings.groups import OrderGroup, ResultGroup, group_results
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.resources import (
    Quantity,
    Result,
    build_observation,
    build_report,
    build_specimen,
)
from app.mappings.result_key import (
    OrderNumbers,
    ResultKey,
    keyed_id,
    keyed_token,
    result_key,
)
from app.mappings.site import FeedSetting, TestEntry, Words
from app.mappings.statuses import NOT_ASKED, StatusRule, result_rule
from app.mappings.subjects import Subject
from app.mappings.times import Time, parse_time
from app.mappings.units import UNIT_FIELD, Unit, parse_unit
from app.mappings.values import (
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

CODE_FIELD, SUB_ID_FIELD, VALUE_FIELD, STATUS_FIELD, TIME_FIELD = 3, 4, 5, 11, 14
MAX_CODE_LENGTH = 64
TEXT_TYPES = frozenset({"ST", "TX", "FT", "CE", "CWE", "CNE", "IS", ""})
INTERPRETATION_CODES = """
< > A AA H HH HU L LL LU N IND POS NEG B W U D
"""
INTERPRETATIONS = frozenset(INTERPRETATION_CODES.split())
NEGATIVE_WORDS = frozenset({"f", "false", "n", "no", "none", "0", "否", "nil"})
CLAUSE_END = re.compile(r"[,，;；。.\n、]")


@dataclass(frozen=True, slots=True)
class _Order:
    """What holds for all results of one OBR."""

    group: OrderGroup
    subject: Subject | Failure
    numbers: OrderNumbers
    panel: tuple[str, str]
    panel_name: str
    clumped: bool
    quality_control: bool
    token: str
    collected: Time | Failure | None


def map_results(message: Message, context: Context, subjects: Resolutions) -> list[Fact]:
    """A fact per OBX, and one per OBR that has none; [] if the message has neither."""
    facts: list[Fact] = []
    for group in group_results(message):
        order = _read_order_group(group, context, subjects)
        if not group.results and group.obr is not None:
            facts.append(_empty_order(len(facts), order, group.obr))
        for result in group.results:
            facts.append(_map_result(len(facts), message, order, result, context))
    return _without_twins(facts)


def _empty_order(ordinal: int, order: _Order, obr: Segment) -> Fact:
    fact = Fact(ordinal, obr.place, obr.span, order_token=order.token)
    if isinstance(order.subject, Failure):
        return fact.failed(order.subject)
    fact = replace(fact, subject=order.subject)
    return fact.settled(Outcome.NOT_RECORDED, "an order without results")


def _read_order_group(group: OrderGroup, context: Context, subjects: Resolutions) -> _Order:
    setting, obr = context.setting, group.obr
    code, system = (obr.text(4), obr.text(4, 3)) if obr else ("", "")
    code = code or (obr.text(4, 2) if obr else "")
    numbers = _read_numbers(group)
    strongest = numbers.strongest
    token = keyed_token(context.secret, setting.key_authority, *strongest) if strongest else ""
    return _Order(
        group,
        subjects[group.pid],
        numbers,
        (code, system),
        context.site.panel(setting.name, code, system),
        _tells_clumps(group, context),
        any(code.endswith(suffix) for suffix in setting.quality_control_suffixes),
        token,
        _collected(group, context),
    )


def _read_numbers(group: OrderGroup) -> OrderNumbers:
    obr, orc = group.obr, group.orc
    specimen = next((_entity(spm, 2) for spm in group.specimens if _entity(spm, 2)), "")
    return OrderNumbers(
        (_entity(obr, 3) if obr else "") or (_entity(orc, 3) if orc else ""),
        (_entity(obr, 2) if obr else "") or (_entity(orc, 2) if orc else ""),
        specimen,
    )


def _entity(segment: Segment, field: int) -> str:
    """Number and namespace of an entity identifier (EI, or SPM-2's pair: the filler's, else the
    placer's)."""
    raw = segment.text(field)
    if segment.name == "SPM":
        pair = (segment.text(field, 2), raw)
        return next((part for part in pair if part), "")
    namespace = segment.text(field, 2)
    return f"{raw}^{namespace}" if raw and namespace else raw


# One result


def _map_result(
    ordinal: int, message: Message, order: _Order, result: ResultGroup, context: Context
) -> Fact:
    obx = result.obx
    if order.quality_control:
        control = Fact(ordinal, obx.place, obx.span)
        return control.settled(Outcome.NOT_SUBJECT_DATA, "quality control", Reason.NOT_SUBJECT_DATA)
    if isinstance(order.subject, Failure):
        return Fact(ordinal, obx.place, obx.span, order_token=order.token).failed(order.subject)
    found = _find_test(obx, order, context)
    test, code, system = (None, _code(obx), _system(obx)) if isinstance(found, Failure) else found
    ignored = test is not None and test.role != "collected"
    fact = Fact(
        ordinal,
        obx.place,
        obx.span,
        outcome=Outcome.NOT_COLLECTED if ignored else None,
        detail=test.reason if test else "",
        code=code,
        system=system,
        analyte=test.analyte if test else "",
        order_token=order.token,
        subject=order.subject,
    )
    if isinstance(found, Failure):
        return fact.failed(found)
    if ignored or test is None:
        return fact
    return _map_collected(fact, order.subject, message, order, result, test, context)


def _map_collected(
    fact: Fact,
    subject: Subject,
    message: Message,
    order: _Order,
    result: ResultGroup,
    test: TestEntry,
    context: Context,
) -> Fact:
    obx = result.obx
    effective = _effective(message, order, obx, context)
    if isinstance(effective, Failure):
        return fact.failed(effective)
    key = _key(fact, subject, order, obx, effective, context)
    order_times = _order_times(message, order, obx, context)
    fact = replace(
        fact,
        resource_type="Observation",
        resource_id=key.id,
        effective=effective.instant,
        order=order_times,
    )
    rule = _status_rule(obx, context.setting)
    if isinstance(rule, Failure):
        return fact.failed(rule)
    if rule is None:
        return fact.settled(Outcome.NOT_RECORDED, "OBX-11 N: not asked for")
    value = _read_value(obx, rule, test, context)
    if isinstance(value, Failure):
        return fact.failed(value)
    reviews = _reviews(obx, value, rule, test, order, result, context)
    built = Result(
        id=key.id,
        test=test,
        local=(fact.code, fact.system),
        subject=subject,
        status=rule.status,
        letter=_letter(obx, context.setting),
        effective=effective,
        issued=_first_time((obx.text(19), _obr(order, 22)), context),
        value=value,
        value_text=obx.whole(obx.raw(VALUE_FIELD)).strip(),
        interpretations=_interpretations(obx, value),
        reference=_reference(obx, context),
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
    return replace(
        fact,
        measured=_measured(result),
        candidate=Candidate(resource, result.order, rule.needs_original, keeps, weak),
        specimen=_specimen(result, order, context),
        report=_report(result, order, context),
    )


def _measured(result: Result) -> Measured | None:
    value = result.value
    if not isinstance(value, Quantity) or value.number.comparator:
        return None
    unusual = bool(value.unit_text) and value.unit_text != result.test.usual_unit
    return Measured(result.test.analyte, value.canonical, unusual)


# Code


def _code(segment: Segment) -> str:
    return segment.text(CODE_FIELD)[:MAX_CODE_LENGTH]


def _system(segment: Segment) -> str:
    return segment.text(CODE_FIELD, 3)[:MAX_CODE_LENGTH]


def _find_test(
    obx: Segment, order: _Order, context: Context
) -> tuple[TestEntry, str, str] | Failure:
    """The dictionary's entry for OBX-3, by its first or its alternate coding."""
    found = []
    for first in (1, 4):
        code, system = obx.text(CODE_FIELD, first), obx.text(CODE_FIELD, first + 2)
        test = context.site.find_test(context.setting.name, order.panel_name, code, system)
        if code and test:
            found.append((test, code, system))
    if not found:
        detail = "the site's dictionary has no such code in this panel"
        return Failure(Reason.CODE_UNMAPPED, detail, CODE_FIELD)
    if len({(test.analyte, test.role) for test, _, _ in found}) > 1:
        return Failure(Reason.CODE_UNMAPPED, "the two codings mean different tests", CODE_FIELD)
    return found[0]


# Status


def _letter(obx: Segment, setting: FeedSetting) -> str:
    return obx.text(STATUS_FIELD).upper() or setting.empty_status


def _status_rule(obx: Segment, setting: FeedSetting) -> StatusRule | Failure | None:
    """The rule of OBX-11; None for N, which makes no Observation."""
    letter = _letter(obx, setting)
    if not letter:
        return Failure(Reason.STATUS_UNMAPPED, "OBX-11 is empty", STATUS_FIELD)
    if letter not in setting.accepted_statuses:
        return Failure(Reason.STATUS_UNMAPPED, "OBX-11 is not accepted here", STATUS_FIELD)
    if letter == NOT_ASKED:
        return None
    rule = result_rule(letter, bool(obx.raw(VALUE_FIELD).strip()))
    return rule or Failure(Reason.STATUS_UNMAPPED, "OBX-11 is no result status", STATUS_FIELD)


# Value and unit


def _read_value(
    obx: Segment, rule: StatusRule, test: TestEntry, context: Context
) -> Quantity | Absent | Failure | None:
    if rule.value == "none":
        return Absent(rule.absent_reason) if rule.absent_reason else None
    if rule.value == "kept":
        return None
    value = _parse_field(obx, context.site.words)
    if isinstance(value, Absent | Failure):
        return value
    if not isinstance(value, Number):
        detail = f"a {type(value).__name__.lower()} where a number is expected"
        return Failure(Reason.VALUE_UNPARSABLE, detail, VALUE_FIELD)
    unit_text = read_unit_text(obx, UNIT_FIELD)
    unit = _unit(unit_text, test, context)
    if isinstance(unit, Failure):
        return unit
    return check_plausible(Quantity(value, unit, unit_text), test.low, test.high, VALUE_FIELD)


def check_plausible(
    quantity: Quantity, low: Decimal | None, high: Decimal | None, field: int
) -> Quantity | Failure:
    if low is not None and high is not None and not low <= quantity.canonical <= high:
        return Failure(Reason.VALUE_IMPLAUSIBLE, "outside the plausible range", field)
    return quantity


def _unit(text: str, test: TestEntry, context: Context) -> Unit | Failure:
    if not text:
        if not test.empty_unit:
            return Failure(Reason.UNIT_UNMAPPED, "no unit was sent", UNIT_FIELD)
        text = test.empty_unit
    return parse_unit(text, test.analyte_class, context.site.approvals[context.setting.name])


def read_unit_text(segment: Segment, field: int) -> str:
    """The unit as sent; a bare `10^9/L` or `10~9/L`, which HL7 splits, is put together again."""
    raw, separators = segment.raw(field), segment.separators
    for separator in (separators.component, separators.repetition):
        power, found, rest = raw.partition(separator)
        if found and re.fullmatch(r"[xX×*]?\s*10", power.strip()) and rest[:1].isdigit():
            other = separators.repetition if separator == separators.component else ""
            return segment.whole(
                _first_unit(f"{power}{separator}{rest}", separators.component, other)
            )
    return segment.text(field) or segment.text(field, 2)


def _first_unit(text: str, component: str, repetition: str) -> str:
    """`10^9/L^billion per litre` → `10^9/L`: the unit ends at the second component."""
    if repetition:
        text = text.split(repetition, 1)[0]
        return component.join(text.split(component, 2)[:2])
    return text.split(component, 1)[0]


def _parse_field(obx: Segment, words: Words) -> Value | Failure:
    repetitions = [item for item in obx.repetitions(VALUE_FIELD) if item.strip()]
    if len(repetitions) > 1:
        return Failure(Reason.VALUE_UNPARSABLE, "a repeated value", VALUE_FIELD)
    separator = obx.separators.component
    components = repetitions[0].split(separator) if repetitions and separator else repetitions
    texts = tuple(obx.whole(component) for component in components)
    return parse_value(obx.text(2), texts, words.absent)


def _interpretations(obx: Segment, value: Quantity | Absent | None) -> tuple[str, ...]:
    """OBX-8 with its repetitions and arrows, and the flag that stood beside the number."""
    sent = [obx.part(repetition, 1) for repetition in obx.repetitions(8)]
    codes = [FLAGS.get(text, text.upper()) for text in sent]
    if isinstance(value, Quantity) and value.number.flag:
        codes.append(value.number.flag)
    return tuple(dict.fromkeys(code for code in codes if code in INTERPRETATIONS))


def _reference(obx: Segment, context: Context) -> tuple[Decimal | None, Decimal | None] | None:
    """OBX-7 where it is a range or a limit; a range told in words is not carried."""
    found = parse_text(obx.text(7), context.site.words.absent)
    if isinstance(found, Span):
        return found.low, found.high
    if isinstance(found, Number) and found.comparator:
        upper = found.comparator in ("<", "<=")
        return (None, found.value) if upper else (found.value, None)
    return None


# Suspicion


def _reviews(
    obx: Segment,
    value: Quantity | Absent | None,
    rule: StatusRule,
    test: TestEntry,
    order: _Order,
    result: ResultGroup,
    context: Context,
) -> tuple[Reason, ...]:
    reviews = [rule.review] if rule.review else []
    if isinstance(value, Absent) and value.withdrawn:
        reviews.append(Reason.VALUE_WITHDRAWN)
    if test.analyte == "platelets" and rule.value == "sent":
        flagged = any(obx.part(item, 1).upper() == "A" for item in obx.repetitions(8))
        told = isinstance(value, Absent) and value.suspect
        noted = any(_mentions_clumps(_text_of(note, 3), context) for note in result.notes)
        if flagged or told or noted or order.clumped:
            reviews.append(Reason.ANALYTIC_SUSPECT)
    return tuple(reviews)


def _tells_clumps(group: OrderGroup, context: Context) -> bool:
    """Whether a note of the order, or another OBX of it, tells of clumped platelets."""
    if any(_mentions_clumps(_text_of(note, 3), context) for note in group.notes):
        return True
    return any(_is_clump_result(result.obx, context) for result in group.results)


def _is_clump_result(obx: Segment, context: Context) -> bool:
    test = context.site.find_test(context.setting.name, "", _code(obx), _system(obx))
    text = _text_of(obx, VALUE_FIELD)
    if test is not None and test.role == "collected":
        return False
    if (test is not None and test.role == "suspicion") or _mentions_clumps(
        obx.text(CODE_FIELD, 2), context
    ):
        return _is_positive(text, context)
    return obx.text(2).upper() in TEXT_TYPES and _mentions_clumps(text, context)


def _text_of(segment: Segment, field: int) -> str:
    return segment.whole(segment.raw(field))


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
    for clause in CLAUSE_END.split(fold_word(text)):
        for word in words.clump:
            before, found, _ = clause.partition(word)
            if found and not _negates(before, words.negation):
                return True
    return False


def _negates(before: str, negations: Sequence[str]) -> bool:
    latin = set(re.findall(r"[a-z]+", before))
    return any(word in latin if word.isascii() else word in before for word in negations)


# Times and keys


def _obr(order: _Order, field: int) -> str:
    return order.group.obr.text(field) if order.group.obr else ""


def _collected(group: OrderGroup, context: Context) -> Time | Failure | None:
    """The time of collection that holds for the order: OBR-7, else SPM-17."""
    zone = context.setting.zone
    found = parse_time(group.obr.text(7), zone) if group.obr else None
    for specimen in group.specimens:
        found = found or parse_time(specimen.text(17), zone)
    return found


def _effective(message: Message, order: _Order, obx: Segment, context: Context) -> Time | Failure:
    """When the specimen was taken: OBX-14, else OBR-7, else SPM-17."""
    own = parse_time(obx.text(TIME_FIELD), context.setting.zone, TIME_FIELD)
    found = own or order.collected
    if found is None:
        return Failure(Reason.TIME_INVALID, "no time of collection was sent", TIME_FIELD)
    if isinstance(found, Time) and lies_ahead(found, message, context):
        return Failure(Reason.TIME_INVALID, AHEAD, TIME_FIELD if own else None)
    return found


AHEAD = "a time more than a day after the message was sent"


def lies_ahead(time: Time, message: Message, context: Context) -> bool:
    """Whether a time of collection or administration is later than the message can know of: by a
    day, for the sake of wrong clocks. Without a day in MSH-7 its receipt counts."""
    sent = parse_time(message.header.text(7), context.setting.zone)
    exact = isinstance(sent, Time) and sent.precision not in ("year", "month")
    told = sent.instant if isinstance(sent, Time) and exact else context.source.received
    return time.instant > told + timedelta(days=1)


def _first_time(texts: Sequence[str], context: Context) -> Time | None:
    """The first readable time; an unreadable time of reporting counts as not sent."""
    for text in texts:
        found = parse_time(text, context.setting.zone)
        if isinstance(found, Time):
            return found
    return None


def _instant(text: str, context: Context) -> datetime | None:
    found = _first_time((text,), context)
    return found.instant if found else None


def _order_times(
    message: Message, order: _Order, obx: Segment | None, context: Context
) -> ResultOrder:
    return ResultOrder(
        _instant(obx.text(19), context) if obx else None,
        _instant(_obr(order, 22), context),
        _instant(message.header.text(7), context),
        context.source.received,
    )


def _key(
    fact: Fact,
    subject: Subject,
    order: _Order,
    obx: Segment,
    effective: Time,
    context: Context,
) -> ResultKey:
    date = effective.text[:10] if context.setting.order_numbers_restart else ""
    return result_key(
        context.secret,
        context.setting.key_authority,
        order.numbers,
        order.panel,
        (fact.code, fact.system),
        obx.text(SUB_ID_FIELD),
        date,
        subject.number,
        effective.instant.isoformat(),
    )


# What comes with a result


def _specimen_id(order: _Order, context: Context) -> str:
    number = order.numbers.specimen
    if not number:
        return ""
    return keyed_id(context.secret, "specimen", context.setting.key_authority, number)


def _specimen(result: Result, order: _Order, context: Context) -> Candidate | None:
    if not result.specimen_id:
        return None
    token = keyed_token(
        context.secret, context.setting.key_authority, "specimen", order.numbers.specimen
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
    return Candidate(resource, times)


def _report(result: Result, order: _Order, context: Context) -> Candidate | None:
    strongest = order.numbers.strongest
    if strongest is None or order.group.obr is None:
        return None
    times = replace(result.order, analysed=None)
    id = keyed_id(context.secret, "report", context.setting.key_authority, *strongest, *order.panel)
    effective = _first_time((_obr(order, 7),), context) or result.effective
    resource = build_report(
        id,
        result.subject,
        _obr(order, 25).upper(),
        order.panel if order.panel_name or order.panel[1] == "LN" else ("", ""),
        effective,
        _first_time((_obr(order, 22),), context),
        order.token,
        result.specimen_id,
        times,
        context.source,
    )
    return Candidate(resource, times)


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
    detail = f"cannot be told from {first.place}: same order, panel, code and OBX-4"
    return fact.failed(Failure(Reason.WEAK_KEY_CONFLICT, detail, SUB_ID_FIELD))
